//! The two chains as derivation and execution see them: L1 back from its head, L2 back from the agreed
//! block over preimages, and on from there in memory, where nobody else may have it.
//!
//! Knows what was asked for already. Knows no rule of derivation or execution.

use alloc::boxed::Box;
use alloc::vec::Vec;

use alloy_consensus::Header as ConsensusHeader;
use alloy_primitives::map::B256Map;
use alloy_primitives::{Address, B256, Bytes, U256};
use tribunal_derivation::{Header, L1Data, L2Data, L2Head, blob};
use tribunal_guest::{Hint, Oracle};
use tribunal_optimism::{
    Attributes, BlobId, Blobs, Error as BlockError, Executed, InvalidBlock, Item, Preimages, State,
    Undecided, execute, list, output_root, recover,
};
use tribunal_rollup::RollupConfig;

use crate::{Boot, Error};

/// How far the program got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Data is read from an L1 block.
    L1 {
        /// Its number.
        number: u64,
        /// The number of the last one.
        head: u64,
    },
    /// An L2 block was made.
    L2 {
        /// Its number.
        number: u64,
        /// Its hash.
        hash: B256,
        /// The number of the last one, unless data ends before.
        claimed: u64,
    },
}

/// Both chains, and the state after the last L2 block.
pub(crate) struct Chain<'a, O> {
    config: &'a RollupConfig,
    state: State<O>,
    /// The agreed block, and what was made on top of it.
    blocks: Vec<Block>,
    /// Hashes of the L2 blocks before the agreed one, from its parent back.
    ancestors: Vec<B256>,
    l1: L1,
    blobs: Blobs,
    watch: &'a mut dyn FnMut(Progress),
    claimed_number: u64,
}

/// An L2 block.
struct Block {
    header: ConsensusHeader,
    hash: B256,
    /// Of the agreed block they are not here.
    transactions: Option<Vec<Bytes>>,
}

/// What was read of L1.
struct L1 {
    headers: B256Map<Header>,
    /// Hashes from the head back.
    hashes: Vec<B256>,
    /// The number of the head.
    head: u64,
    /// Blocks are asked for to read them, no longer to find out where to begin.
    is_read: bool,
}

impl<'a, O: Oracle> Chain<'a, O> {
    /// The chain up to the agreed block.
    pub(crate) fn agreed(
        mut preimages: Preimages<O>,
        boot: &'a Boot,
        watch: &'a mut dyn FnMut(Progress),
    ) -> Result<Self, Error> {
        let root = boot.agreed_output;
        preimages.tell(&Hint::L2Output { root: root.0, chain: None })?;
        let output = preimages.keccak(root, Item::Output)?;
        let problem = |problem| Error::Output { root, problem };
        let ([version, state_root, _, hash], []) = output.as_chunks::<32>() else {
            return Err(problem("its preimage is not 128 bytes long"));
        };
        if *version != [0; 32] {
            return Err(problem("its version is not 0"));
        }
        let hash = B256::new(*hash);
        let header = preimages.header(hash)?;
        if header.state_root.0 != *state_root {
            return Err(problem("it names a block and the state root of another"));
        }
        let block = Block { header: header.clone(), hash, transactions: None };
        let mut chain = Self {
            config: &boot.config,
            state: State::new(preimages, header, hash),
            blocks: [block].into(),
            ancestors: Vec::new(),
            l1: L1 {
                headers: B256Map::default(),
                hashes: [boot.l1_head].into(),
                head: 0,
                is_read: false,
            },
            blobs: Blobs::default(),
            watch,
            claimed_number: boot.claimed_number,
        };
        chain.l1.head = chain.l1_header(boot.l1_head)?.number;
        Ok(chain)
    }

    /// The number of the agreed block.
    pub(crate) fn agreed_number(&self) -> u64 {
        self.blocks.first().map_or(0, |block| block.header.number)
    }

    /// Says that L1 is read from now on.
    pub(crate) const fn begin(&mut self) {
        self.l1.is_read = true;
    }

    /// The last block.
    pub(crate) fn head(&mut self) -> Result<L2Head, Error> {
        let hash = self.state.head_hash();
        let config = self.config;
        Ok(L2Head::read(config, hash, self)?)
    }

    /// Executes a block on top of the last one, which it becomes.
    pub(crate) fn execute(
        &mut self,
        attributes: Attributes,
        may_go_back: bool,
    ) -> Result<Result<L2Head, InvalidBlock>, Error> {
        let mut fresh = Vec::new();
        let executed = execute(&mut self.state, self.config, &attributes, &mut |hash, bytes| {
            if may_go_back {
                fresh.push((hash, bytes.to_vec()));
            }
        });
        let Executed { header, hash, .. } = match executed {
            Ok(executed) => executed,
            Err(BlockError::Invalid(invalid)) => return Ok(Err(invalid)),
            Err(BlockError::Undecided(undecided)) => return Err(undecided.into()),
        };
        for (hash, bytes) in fresh {
            self.state.preimages().keep(hash, bytes);
        }
        let first = attributes.transactions.first().cloned();
        let head = L2Head::new(
            self.config,
            convert(&header, hash),
            first.as_ref().map(|first| &first[..]),
        )?;
        let claimed = self.claimed_number;
        (self.watch)(Progress::L2 { number: header.number, hash, claimed });
        let transactions = Some(attributes.transactions);
        self.blocks.push(Block { header, hash, transactions });
        Ok(Ok(head))
    }

    /// Forgets all blocks after this one. If there are any, they were executed such that one may go back.
    pub(crate) fn go_back_to(mut self, number: u64) -> Self {
        let keep = number.saturating_sub(self.agreed_number()).saturating_add(1);
        self.blocks.truncate(keep.try_into().unwrap_or(usize::MAX));
        if let Some(block) = self.blocks.last()
            && block.hash != self.state.head_hash()
        {
            let preimages = self.state.into_preimages();
            self.state = State::new(preimages, block.header.clone(), block.hash);
        }
        self
    }

    /// The output root after the last block.
    pub(crate) fn output_root(&mut self) -> Result<B256, Error> {
        Ok(output_root(&mut self.state)?)
    }

    fn block(&self, number: u64) -> Option<&Block> {
        let place = number.checked_sub(self.agreed_number())?;
        self.blocks.get(usize::try_from(place).ok()?)
    }

    fn preimages(&mut self) -> &mut Preimages<O> {
        self.state.preimages()
    }

    fn list(
        &mut self,
        hint: &Hint<'_>,
        what: &'static str,
        block: B256,
        root: B256,
    ) -> Result<Vec<Bytes>, Error> {
        let read = self.preimages().list(hint, root);
        read.map_err(|error| not_a_list(error, what, block))
    }
}

/// Nodes that are not to be had are the host's fault, others nobody can have made a block of.
fn not_a_list(error: list::Error<Undecided>, what: &'static str, block: B256) -> Error {
    match error {
        list::Error::Nodes(undecided) => undecided.into(),
        reason => Error::List { what, block, reason: Box::new(reason) },
    }
}

/// A header as derivation looks at it.
fn convert(header: &ConsensusHeader, hash: B256) -> Header {
    Header {
        hash,
        parent_hash: header.parent_hash,
        transactions_root: header.transactions_root,
        receipts_root: header.receipts_root,
        logs_bloom: Bytes::copy_from_slice(header.logs_bloom.as_slice()),
        number: header.number,
        gas_limit: header.gas_limit,
        timestamp: header.timestamp,
        extra_data: header.extra_data.clone(),
        mix_digest: header.mix_hash,
        base_fee: header.base_fee_per_gas.map_or(U256::ZERO, U256::from),
        excess_blob_gas: header.excess_blob_gas,
        parent_beacon_root: header.parent_beacon_block_root,
    }
}

impl<O: Oracle> L1Data for Chain<'_, O> {
    type Error = Error;

    fn l1_header(&mut self, hash: B256) -> Result<Header, Error> {
        if let Some(header) = self.l1.headers.get(&hash) {
            return Ok(header.clone());
        }
        let encoded = self.preimages().encoded_header(&Hint::L1BlockHeader(hash.0), hash)?;
        let header = Header::decode_hashed(&encoded, hash);
        let header = header.ok_or(Error::Header { chain: "L1", hash })?;
        self.l1.headers.insert(hash, header.clone());
        Ok(header)
    }

    fn l1_header_by_number(&mut self, number: u64) -> Result<Option<Header>, Error> {
        let Some(back) = self.l1.head.checked_sub(number) else { return Ok(None) };
        while let Some(last) = self.l1.hashes.last().copied()
            && (self.l1.hashes.len() as u64) <= back
        {
            let parent = self.l1_header(last)?.parent_hash;
            self.l1.hashes.push(parent);
        }
        let Some(hash) =
            usize::try_from(back).ok().and_then(|back| self.l1.hashes.get(back).copied())
        else {
            return Ok(None);
        };
        if self.l1.is_read {
            (self.watch)(Progress::L1 { number, head: self.l1.head });
        }
        self.l1_header(hash).map(Some)
    }

    fn l1_transactions(&mut self, header: &Header) -> Result<Vec<Bytes>, Error> {
        let (hash, root) = (header.hash, header.transactions_root);
        self.list(&Hint::L1Transactions(hash.0), "L1 transactions", hash, root)
    }

    fn l1_receipts(&mut self, header: &Header) -> Result<Vec<Bytes>, Error> {
        let hint = Hint::L1Receipts(header.hash.0);
        self.list(&hint, "L1 receipts", header.hash, header.receipts_root)
    }

    fn blob(&mut self, header: &Header, versioned_hash: B256, index: u64) -> Result<Bytes, Error> {
        let id = BlobId { versioned_hash, index, timestamp: header.timestamp };
        let preimages = self.state.preimages();
        Ok(self.blobs.read(preimages, &id, blob::elements_used)?.into())
    }

    fn signer(
        &mut self,
        digest: B256,
        parity: bool,
        r: B256,
        s: B256,
    ) -> Result<Option<Address>, Error> {
        let (r, s) = (U256::from_be_bytes(r.0), U256::from_be_bytes(s.0));
        Ok(recover(self.preimages(), digest, r, s, parity)?)
    }
}

impl<O: Oracle> L2Data for Chain<'_, O> {
    type Error = Error;

    fn l2_header(&mut self, hash: B256) -> Result<Header, Error> {
        if let Some(block) = self.blocks.iter().rev().find(|block| block.hash == hash) {
            return Ok(convert(&block.header, hash));
        }
        let hint = Hint::L2BlockHeader { hash: hash.0, chain: None };
        let encoded = self.preimages().encoded_header(&hint, hash)?;
        Header::decode_hashed(&encoded, hash).ok_or(Error::Header { chain: "L2", hash })
    }

    fn l2_hash(&mut self, head: B256, number: u64) -> Result<B256, Error> {
        if let Some(block) = self.block(number) {
            return Ok(block.hash);
        }
        let Some(back) = self.agreed_number().checked_sub(number) else { return Ok(head) };
        if self.ancestors.is_empty() {
            self.ancestors.extend(self.blocks.first().map(|agreed| agreed.header.parent_hash));
        }
        while let Some(last) = self.ancestors.last().copied()
            && (self.ancestors.len() as u64) < back
        {
            let parent = self.l2_header(last)?.parent_hash;
            self.ancestors.push(parent);
        }
        let place = usize::try_from(back - 1).ok();
        Ok(place.and_then(|place| self.ancestors.get(place).copied()).unwrap_or(head))
    }

    fn l2_transactions(&mut self, header: &Header) -> Result<Vec<Bytes>, Error> {
        let made = self.block(header.number).filter(|block| block.hash == header.hash);
        if let Some(transactions) = made.and_then(|block| block.transactions.clone()) {
            return Ok(transactions);
        }
        let (hash, root) = (header.hash, header.transactions_root);
        let hint = Hint::L2Transactions { hash: hash.0, chain: None };
        self.list(&hint, "L2 transactions", hash, root)
    }

    fn l2_first_transaction(&mut self, header: &Header) -> Result<Option<Bytes>, Error> {
        let made = self.block(header.number).filter(|block| block.hash == header.hash);
        if let Some(transactions) = made.and_then(|block| block.transactions.as_ref()) {
            return Ok(transactions.first().cloned());
        }
        let (hash, root) = (header.hash, header.transactions_root);
        let hint = Hint::L2Transactions { hash: hash.0, chain: None };
        let read = self.preimages().first_of_list(&hint, root);
        read.map_err(|error| not_a_list(error, "L2 transactions", hash))
    }
}
