//! What the tests of several stages need: a configuration, chains in memory, somebody who signs, and
//! numbers that look random.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use alloy_primitives::{Address, B256, Bytes, U256};
use k256::ecdsa::{RecoveryId, Signature, SigningKey, VerifyingKey};
use tribunal_keccak::keccak256;
use tribunal_rollup::{
    BlockId, ChainOpConfig, Fork, ForkTimes, Genesis, RollupConfig, SystemConfig,
};

use crate::data::{L1Data, L2Data};
use crate::header::Header;
use crate::rlp;

/// A chain that has been at `fork` from its beginning: genesis at time 1000, blocks every 2 seconds.
pub(crate) fn config(fork: Fork) -> RollupConfig {
    RollupConfig {
        genesis: Genesis {
            l1: BlockId { hash: B256::repeat_byte(0x11), number: 5 },
            l2: BlockId { hash: B256::repeat_byte(0x22), number: 0 },
            l2_time: 1000,
            system_config: SystemConfig {
                batcher: Address::repeat_byte(0xba),
                overhead: U256::from(2100),
                scalar: U256::from(1_000_000),
                gas_limit: 30_000_000,
                ..SystemConfig::default()
            },
        },
        block_time: 2,
        max_sequencer_drift: 600,
        seq_window_size: 120,
        channel_timeout: 300,
        l1_chain_id: 900,
        l2_chain_id: 901,
        forks: ForkTimes::from_genesis(fork),
        pectra_blob_schedule_time: None,
        batch_inbox: Address::repeat_byte(0x1b),
        deposit_contract: Address::repeat_byte(0xde),
        l1_system_config: Address::repeat_byte(0x5c),
        chain_op_config: ChainOpConfig::DEFAULT,
        alt_da: false,
    }
}

/// A sequence of numbers, the same on every run (splitmix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }
}

/// A header that says as little as it can.
pub(crate) fn header(number: u64, timestamp: u64) -> Header {
    Header {
        hash: B256::new(keccak256(&number.to_be_bytes())),
        parent_hash: B256::new(keccak256(&number.wrapping_sub(1).to_be_bytes())),
        transactions_root: B256::ZERO,
        receipts_root: B256::ZERO,
        logs_bloom: vec![0; 256].into(),
        number,
        gas_limit: 30_000_000,
        timestamp,
        extra_data: Bytes::new(),
        mix_digest: B256::ZERO,
        base_fee: U256::ONE,
        excess_blob_gas: None,
        parent_beacon_root: None,
    }
}

/// Chains in memory.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) l1: BTreeMap<B256, Header>,
    pub(crate) l1_transactions: BTreeMap<B256, Vec<Bytes>>,
    pub(crate) l1_receipts: BTreeMap<B256, Vec<Bytes>>,
    pub(crate) blobs: BTreeMap<B256, Bytes>,
    pub(crate) l2: BTreeMap<B256, Header>,
    pub(crate) l2_transactions: BTreeMap<B256, Vec<Bytes>>,
}

/// What is not in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing;

impl L1Data for Memory {
    type Error = Missing;

    fn l1_header(&mut self, hash: B256) -> Result<Header, Missing> {
        self.l1.get(&hash).cloned().ok_or(Missing)
    }

    fn l1_header_by_number(&mut self, number: u64) -> Result<Option<Header>, Missing> {
        Ok(self.l1.values().find(|header| header.number == number).cloned())
    }

    fn l1_transactions(&mut self, header: &Header) -> Result<Vec<Bytes>, Missing> {
        Ok(self.l1_transactions.get(&header.hash).cloned().unwrap_or_default())
    }

    fn l1_receipts(&mut self, header: &Header) -> Result<Vec<Bytes>, Missing> {
        Ok(self.l1_receipts.get(&header.hash).cloned().unwrap_or_default())
    }

    fn blob(&mut self, _: &Header, versioned_hash: B256, _: u64) -> Result<Bytes, Missing> {
        self.blobs.get(&versioned_hash).cloned().ok_or(Missing)
    }

    fn signer(
        &mut self,
        digest: B256,
        parity: bool,
        r: B256,
        s: B256,
    ) -> Result<Option<Address>, Missing> {
        Ok(recover(digest, parity, r, s))
    }
}

impl L2Data for Memory {
    type Error = Missing;

    fn l2_header(&mut self, hash: B256) -> Result<Header, Missing> {
        self.l2.get(&hash).cloned().ok_or(Missing)
    }

    fn l2_transactions(&mut self, header: &Header) -> Result<Vec<Bytes>, Missing> {
        self.l2_transactions.get(&header.hash).cloned().ok_or(Missing)
    }
}

fn recover(digest: B256, parity: bool, r: B256, s: B256) -> Option<Address> {
    let signature = Signature::from_scalars(r.0, s.0).ok()?;
    let id = RecoveryId::new(parity, false);
    let key = VerifyingKey::recover_from_prehash(digest.as_slice(), &signature, id).ok()?;
    Some(address_of(&key))
}

fn address_of(key: &VerifyingKey) -> Address {
    Address::from_slice(&keccak256(&key.to_encoded_point(false).as_bytes()[1..])[12..])
}

/// Somebody who signs L1 transactions.
pub(crate) struct Wallet(SigningKey);

impl Wallet {
    pub(crate) fn new(seed: u8) -> Self {
        Self(SigningKey::from_slice(&[seed; 32]).expect("a key"))
    }

    pub(crate) fn address(&self) -> Address {
        address_of(self.0.verifying_key())
    }

    fn sign(&self, message: &[u8]) -> (bool, Vec<u8>) {
        let (signature, id) =
            self.0.sign_prehash_recoverable(&keccak256(message)).expect("a signature");
        let mut fields = Vec::new();
        rlp::write_integer(&mut fields, &signature.r().to_bytes());
        rlp::write_integer(&mut fields, &signature.s().to_bytes());
        (id.is_y_odd(), fields)
    }

    pub(crate) fn legacy(&self, chain_id: Option<u64>, to: Address, data: &[u8]) -> Bytes {
        let mut fields = Vec::new();
        for number in [5_u64, 7, 21_000] {
            rlp::write_integer(&mut fields, &number.to_be_bytes());
        }
        rlp::write_string(&mut fields, to.as_slice());
        rlp::write_string(&mut fields, &[]);
        rlp::write_string(&mut fields, data);
        let mut signed = fields.clone();
        if let Some(chain_id) = chain_id {
            rlp::write_integer(&mut signed, &chain_id.to_be_bytes());
            signed.extend([0x80, 0x80]);
        }
        let (parity, signature) = self.sign(&rlp::list(&signed));
        let v = chain_id.map_or(27, |id| 35 + 2 * id) + u64::from(parity);
        rlp::write_integer(&mut fields, &v.to_be_bytes());
        fields.extend(signature);
        rlp::list(&fields).into()
    }

    pub(crate) fn typed(
        &self,
        tx_type: u8,
        chain_id: u64,
        to: Address,
        data: &[u8],
        blobs: &[B256],
    ) -> Bytes {
        let mut fields = Vec::new();
        let fees = if tx_type == 1 { 1 } else { 2 };
        for number in [chain_id, 5].into_iter().chain([7; 2].into_iter().take(fees)).chain([21_000])
        {
            rlp::write_integer(&mut fields, &u64::to_be_bytes(number));
        }
        rlp::write_string(&mut fields, to.as_slice());
        rlp::write_string(&mut fields, &[]);
        rlp::write_string(&mut fields, data);
        fields.push(0xc0);
        if tx_type == 3 {
            rlp::write_integer(&mut fields, &[9]);
            let mut hashes = Vec::new();
            blobs.iter().for_each(|hash| rlp::write_string(&mut hashes, hash.as_slice()));
            fields.extend(rlp::list(&hashes));
        } else if tx_type == 4 {
            fields.push(0xc0);
        }
        let (parity, signature) = self.sign(&[&[tx_type][..], &rlp::list(&fields)].concat());
        rlp::write_integer(&mut fields, &[parity.into()]);
        fields.extend(signature);
        [&[tx_type][..], &rlp::list(&fields)].concat().into()
    }
}
