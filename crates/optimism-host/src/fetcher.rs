//! What each hint asks for, and how it is brought.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tribunal_host::{Errand, HintError, PreimageStore, Router};
use tribunal_keccak::{Hash, keccak256};
use tribunal_optimism_hints::{BlockId, Hint, NAMES, PayloadWitness, STARTING_L2_OUTPUT};
use tribunal_preimage::Key;
use tribunal_rpc::{Bounds, Client};

use crate::beacon::Beacon;
use crate::chain::{Chain, Witness, digits};
use crate::compute;
use crate::failure::Failure;
use crate::header::Header;
use crate::output::{MESSAGE_PASSER, output_preimage};
use crate::rebuild::bytes;
use crate::trie::OrderedTrie;

/// How many L2 blocks are remembered whose children a program may execute.
const PARENTS: usize = 16;

/// How many accounts are remembered whose code a program may ask for.
const ACCOUNTS: usize = 10_000;

/// How many witnesses are fetched for one trie node before that is given up.
const WITNESSES: usize = 64;

/// Whom to ask.
#[derive(Debug)]
pub struct Nodes {
    /// Execution nodes of the L1 chain.
    pub l1: Client,
    /// Beacon nodes of the L1 chain.
    pub beacon: Client,
    /// Execution nodes of the L2 chain.
    pub l2: Client,
}

/// What is fetched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The L2 block that is agreed upon.
    pub agreed_l2_head: Hash,
    /// The number of the L2 block that is claimed: no execution goes further.
    pub claimed_l2_block: u64,
    /// The id of the L2 chain, if it is known: hints for another are refused.
    pub l2_chain_id: Option<u64>,
    /// Whether `l2-payload-witness` is followed; if not, it is acknowledged.
    pub payload_witness: bool,
}

/// Follows the hints of OP Stack programs.
#[derive(Debug)]
pub struct Fetcher {
    l1: Option<(Chain, Beacon)>,
    l2: Chain,
    options: Options,
    memory: Mutex<Memory>,
}

/// What earlier hints said, which helps where a node lacks a method.
#[derive(Debug, Default)]
struct Memory {
    /// L2 blocks whose children may be executed, the last one at the end.
    parents: VecDeque<u64>,
    /// Blocks whose witness has been fetched.
    witnessed: BTreeSet<u64>,
    /// Accounts by the hash of their code, and the block they have it after.
    accounts: BTreeMap<Hash, ([u8; 20], String)>,
}

impl Memory {
    fn parent(&mut self, number: u64) {
        self.parents.retain(|other| *other != number);
        self.parents.push_back(number);
        if self.parents.len() > PARENTS {
            self.parents.pop_front();
        }
    }

    /// The block whose witness may help next: the child of the block that was last heard of, then
    /// those after it.
    fn next_witness(&self, claimed: u64) -> Option<u64> {
        let fresh = |number: &u64| !self.witnessed.contains(number);
        let children = self.parents.iter().rev().map(|parent| parent.saturating_add(1));
        let onward = self.witnessed.last().map(|last| last.saturating_add(1));
        children.filter(fresh).chain(onward.filter(|next| *next <= claimed).filter(fresh)).next()
    }
}

type Followed = Result<(), HintError>;

impl Fetcher {
    /// One that asks these nodes.
    pub fn new(nodes: Nodes, options: Options) -> Self {
        Self {
            l1: Some((Chain { client: nodes.l1 }, Beacon::new(nodes.beacon))),
            ..Self::of_l2(nodes.l2, options)
        }
    }

    /// One that asks only the execution nodes of the L2 chain, for programs that look at nothing else.
    pub fn of_l2(l2: Client, options: Options) -> Self {
        let memory = Mutex::new(Memory::default());
        Self { l1: None, l2: Chain { client: l2 }, options, memory }
    }

    /// Has a router give it every hint of both dialects.
    pub fn register(self, router: &mut Router) {
        let fetcher = Arc::new(self);
        for name in NAMES.iter().chain([&STARTING_L2_OUTPUT]) {
            let fetcher = Arc::clone(&fetcher);
            let follow = move |hint: &tribunal_host::Hint<'_>, errand: &Errand<'_>| {
                fetcher.follow(hint, errand)
            };
            match name.bulk {
                true => router.on_bulk(name.text, follow),
                false => router.on(name.text, follow),
            };
        }
    }

    /// Brings what a hint asks for.
    fn follow(&self, hint: &tribunal_host::Hint<'_>, errand: &Errand<'_>) -> Followed {
        let malformed = |error| HintError::new(format!("{error}")).for_good();
        let hint = Hint::parse(hint.name(), hint.argument()).map_err(malformed)?;
        if let (Some(chain), Some(ours)) = (hint.chain(), self.options.l2_chain_id)
            && chain != ours
        {
            let why = format!("it is for chain {chain}, and this host serves chain {ours}");
            return Err(HintError::new(why).for_good());
        }
        let cancelled = || errand.is_cancelled();
        let errand = &Trip { errand, cancelled: &cancelled };
        match hint {
            Hint::L1BlockHeader(hash) => self.header(&self.l1()?.0, &hash, errand).map(drop),
            Hint::L1Transactions(hash) => self.transactions(&self.l1()?.0, &hash, errand),
            Hint::L1Receipts(hash) => self.receipts(&self.l1()?.0, &hash, errand),
            Hint::L1Blob { versioned_hash, index, timestamp } => {
                let bounds = errand.bounds();
                let blob = self.l1()?.1.blob(&versioned_hash, index, timestamp, bounds)?;
                errand.put_all(blob.preimages().collect())
            }
            Hint::L1Precompile { address, required_gas, input } => {
                compute::precompile(&address, required_gas, &input, errand.errand)
            }
            Hint::L2BlockHeader { hash, .. } => {
                let header = self.header(&self.l2, &hash, errand)?;
                self.memory().parent(header.number);
                Ok(())
            }
            Hint::L2Transactions { hash, .. } => self.transactions(&self.l2, &hash, errand),
            Hint::L2Receipts { hash, .. } => self.receipts(&self.l2, &hash, errand),
            Hint::L2Code { hash, .. } => self.code(&hash, errand),
            Hint::L2StateNode { hash, .. } => self.state_node(&hash, errand),
            Hint::L2Output { root, .. } => self.output(&root, errand),
            Hint::L2AccountProof { block, address, .. } => {
                // The first node of the storage trie comes with the proof of any slot.
                self.account(block, &address, &[[0; 32]], errand)
            }
            Hint::L2AccountStorageProof { block, address, slot, .. } => {
                self.account(block, &address, &[slot], errand)
            }
            Hint::L2PayloadWitness(payload) => self.payload_witness(payload, errand),
            Hint::L2ExecutionWitness { block } => {
                self.memory().parent(block.saturating_sub(1));
                let witness = self.l2.execution_witness(block, None, errand.bounds());
                errand.keep(witness.map_err(Failure::from)?)
            }
            Hint::L2BlockData { block, .. } => self.block_data(&block, errand),
            hint => {
                let why = "only programs over several chains ask for it, and this host serves one";
                Err(HintError::new(format!("{hint:?}: {why}")).for_good())
            }
        }
    }

    fn l1(&self) -> Result<&(Chain, Beacon), HintError> {
        let why = "the program asks for data of L1, and this host was given no nodes of it";
        self.l1.as_ref().ok_or_else(|| HintError::new(why).for_good())
    }

    /// A header, from the store or else from a node.
    fn header(&self, chain: &Chain, hash: &Hash, errand: &Trip<'_>) -> Result<Header, HintError> {
        let key = Key::keccak256(*hash);
        // What is damaged is fetched anew.
        let header = match errand.store().get(key) {
            Ok(Some(header)) if keccak256(&header) == *hash => header,
            Ok(_) | Err(_) => {
                let header = chain.header(hash, errand.bounds()).map_err(Failure::advise_header)?;
                errand.put(key, header.clone())?;
                header
            }
        };
        Header::read(&header).map_err(|why| {
            HintError::new(format!("what has the hash {} is no header: {why}", digits(hash)))
                .for_good()
        })
    }

    fn transactions(&self, chain: &Chain, hash: &Hash, errand: &Trip<'_>) -> Followed {
        let header = self.header(chain, hash, errand)?;
        let trie = chain.transactions(&header, errand.bounds()).map_err(Failure::advise_list)?;
        errand.keep_trie(trie)
    }

    fn receipts(&self, chain: &Chain, hash: &Hash, errand: &Trip<'_>) -> Followed {
        let header = self.header(chain, hash, errand)?;
        let trie = chain.receipts(&header, errand.bounds()).map_err(Failure::advise_list)?;
        errand.keep_trie(trie)
    }

    /// The preimage of an output root: that of the agreed block.
    fn output(&self, root: &Hash, errand: &Trip<'_>) -> Followed {
        let head = &self.options.agreed_l2_head;
        let header = self.header(&self.l2, head, errand)?;
        self.memory().parent(header.number);
        let preimage = |storage_root| output_preimage(&header.state_root, storage_root, head);
        let of_root = |preimage: &Vec<u8>| keccak256(preimage) == *root;
        // Since Isthmus the header has the storage root, and no proof is needed.
        if let Some(preimage) = header.withdrawals_root.as_ref().map(preimage).filter(of_root) {
            return errand.put(Key::keccak256(*root), preimage);
        }
        let (block, state_root) = (json!(digits(head)), Some(&header.state_root));
        let proof = self.l2.proof(&MESSAGE_PASSER, &[], &block, state_root, errand.bounds());
        let proof = proof.map_err(Failure::from)?;
        let preimage = preimage(&proof.storage_root);
        errand.keep(proof.nodes)?;
        match of_root(&preimage) {
            true => errand.put(Key::keccak256(*root), preimage),
            false => Err(HintError::new(format!(
                "the output root of the agreed block {} is {}, not {}: the host was started with \
                 an output and a block that do not belong together",
                digits(head),
                digits(&keccak256(&preimage)),
                digits(root)
            ))
            .for_good()),
        }
    }

    fn account(
        &self,
        block: BlockId,
        address: &[u8; 20],
        slots: &[Hash],
        errand: &Trip<'_>,
    ) -> Followed {
        let (block, state_root) = match block {
            BlockId::Number(number) => {
                self.memory().parent(number);
                (format!("{number:#x}"), None)
            }
            BlockId::Hash(hash) => {
                let header = self.header(&self.l2, &hash, errand)?;
                self.memory().parent(header.number);
                (digits(&hash), Some(header.state_root))
            }
        };
        let named = json!(block);
        let proof = self.l2.proof(address, slots, &named, state_root.as_ref(), errand.bounds());
        let proof = proof.map_err(Failure::from)?;
        if let Some(code) = proof.code_hash {
            let accounts = &mut self.memory().accounts;
            if accounts.len() == ACCOUNTS {
                accounts.pop_first();
            }
            accounts.insert(code, (*address, block));
        }
        errand.keep(proof.nodes)
    }

    fn code(&self, hash: &Hash, errand: &Trip<'_>) -> Followed {
        let key = Key::keccak256(*hash);
        // Of an account that was hinted at, every node has the code.
        let account = self.memory().accounts.get(hash).cloned();
        let mut failure = Failure::new();
        if let Some((address, block)) = account {
            let code = self.l2.code_of(&address, &json!(block), hash, errand.bounds());
            if let Some(code) = failure.way(code) {
                return errand.put(key, code);
            }
        }
        match self.l2.code(hash, errand.bounds()) {
            Ok(code) => errand.put(key, code),
            Err(other) => {
                failure.also(other);
                self.seek_in_witnesses(key, failure, errand)
            }
        }
    }

    fn state_node(&self, hash: &Hash, errand: &Trip<'_>) -> Followed {
        let key = Key::keccak256(*hash);
        let mut failure = Failure::new();
        match failure.way(self.l2.state_node(hash, errand.bounds())) {
            Some(node) => errand.put(key, node),
            None => self.seek_in_witnesses(key, failure, errand),
        }
    }

    /// Looks for a preimage in what the blocks read that a program may be executing.
    fn seek_in_witnesses(&self, key: Key, mut failure: Failure, errand: &Trip<'_>) -> Followed {
        for _ in 0..WITNESSES {
            let next = self.memory().next_witness(self.options.claimed_l2_block);
            let Some(number) = next.filter(|_| !failure.is_hopeless()) else { break };
            let witness = self.l2.execution_witness(number, None, errand.bounds());
            let Some(witness) = failure.way(witness) else { break };
            errand.keep(witness)?;
            self.memory().witnessed.insert(number);
            if errand.store().get(key).is_ok_and(|found| found.is_some()) {
                return Ok(());
            }
        }
        Err(failure.advise(NEEDS_STATE).into())
    }

    fn payload_witness(&self, payload: PayloadWitness<'_>, errand: &Trip<'_>) -> Followed {
        let malformed = || HintError::new("its payload attributes are no JSON object").for_good();
        let (parent, attributes) = match payload {
            PayloadWitness::Parts { parent, attributes, .. } => {
                let attributes = serde_json::from_slice::<Value>(&attributes);
                (parent, attributes.map_err(|_| malformed())?)
            }
            PayloadWitness::Object(object) => {
                let mut object: Value = serde_json::from_slice(&object).map_err(|_| malformed())?;
                let parent =
                    bytes(&object["parentBlockHash"]).and_then(|hash| hash.try_into().ok());
                (parent.ok_or_else(malformed)?, object["payloadAttributes"].take())
            }
        };
        if !attributes.is_object() {
            return Err(malformed());
        }
        if !self.options.payload_witness {
            return Ok(());
        }
        let parent = self.header(&self.l2, &parent, errand)?;
        self.memory().parent(parent.number);
        let mut failure = Failure::new();
        let bounds = errand.bounds();
        if let Some(witness) = failure.way(self.l2.payload_witness(&parent, &attributes, bounds)) {
            return errand.keep(witness);
        }
        // The payload of an honest claim is that of the canonical block.
        let child = parent.number.saturating_add(1);
        let canonical = self.l2.execution_witness(child, Some(&parent.state_root), bounds);
        match failure.way(canonical) {
            Some(witness) => errand.keep(witness),
            None => Err(failure.into()),
        }
    }

    /// All there is of a block: it is not executed here, so the nodes must have it.
    fn block_data(&self, hash: &Hash, errand: &Trip<'_>) -> Followed {
        let header = self.header(&self.l2, hash, errand)?;
        let mut failure = Failure::new();
        let witness = self.l2.execution_witness(header.number, None, errand.bounds());
        let witness = failure.way(witness);
        self.transactions(&self.l2, hash, errand)?;
        self.receipts(&self.l2, hash, errand)?;
        match witness {
            Some(witness) => errand.keep(witness),
            None => Err(failure.advise(NEEDS_STATE).into()),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to do where a node has neither nodes by hash nor witnesses.
const NEEDS_STATE: &str = "the L2 node must have debug_dbGet (op-geth with --state.scheme=hash and \
     --gcmode=archive) or debug_executionWitness (op-reth, newer op-geth), and the state of these blocks";

impl Failure {
    fn advise_header(self) -> HintError {
        self.advise("is it a node of the right chain, and does it have blocks that old?").into()
    }

    fn advise_list(self) -> HintError {
        match self.is_contradiction() {
            true => self.advise(
                "what it says of the block contradicts its header: it may lag, or see another fork; \
                 wait, or name another node",
            ),
            false => self,
        }
        .into()
    }
}

/// An errand, and what is done on it.
struct Trip<'a> {
    errand: &'a Errand<'a>,
    cancelled: &'a dyn Fn() -> bool,
}

impl Trip<'_> {
    fn store(&self) -> &dyn PreimageStore {
        self.errand.store()
    }

    fn bounds(&self) -> Bounds<'_> {
        Bounds::new(self.errand.until(), self.cancelled)
    }

    fn put(&self, key: Key, data: Vec<u8>) -> Followed {
        Ok(self.store().put(key, data)?)
    }

    /// Keeps many together, since each put may be a transaction of its own.
    fn put_all(&self, entries: Vec<(Key, Vec<u8>)>) -> Followed {
        Ok(self.store().put_all(entries)?)
    }

    /// Keeps values under their own hashes.
    fn keep(&self, values: Witness) -> Followed {
        self.put_all(values.into_iter().map(|value| (Key::keccak256_of(&value), value)).collect())
    }

    fn keep_trie(&self, trie: OrderedTrie) -> Followed {
        self.keep(trie.nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn witnesses_begin_at_the_last_block_that_was_heard_of_and_go_on() {
        let mut memory = Memory::default();
        assert_eq!(memory.next_witness(10), None);
        memory.parent(5);
        memory.parent(3);
        let mut order = Vec::new();
        while let Some(next) = memory.next_witness(8) {
            order.push(next);
            memory.witnessed.insert(next);
        }
        // After the children of 3 and 5, whatever is up to the claimed block.
        assert_eq!(order, [4, 6, 7, 8]);
        memory.parent(u64::MAX);
        assert_eq!(memory.next_witness(8), Some(u64::MAX));
    }

    #[test]
    fn few_blocks_are_remembered() {
        let mut memory = Memory::default();
        for number in 0..100 {
            memory.parent(number);
            memory.parent(0);
        }
        assert_eq!(memory.parents.len(), PARENTS);
        assert_eq!(memory.parents.back(), Some(&0));
        assert_eq!(memory.parents.iter().filter(|number| **number == 0).count(), 1);
    }
}
