//! The ordered tries of a block, with all their nodes, and proofs of single entries.

use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_rlp::Encodable as _;
use alloy_trie::proof::{ProofRetainer, verify_proof};
use alloy_trie::{EMPTY_ROOT_HASH, HashBuilder, KECCAK_EMPTY, Nibbles};
use serde_json::Value;
use tribunal_keccak::Hash;

use crate::rebuild::{bytes, number};

/// The list behind a root of a header, and every node that leads there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OrderedTrie {
    pub(crate) root: Hash,
    /// In no particular order.
    pub(crate) nodes: Vec<Vec<u8>>,
}

impl OrderedTrie {
    /// The trie whose entry at `rlp(i)` is item `i`.
    pub(crate) fn of(items: &[Vec<u8>]) -> Self {
        if items.is_empty() {
            return Self {
                root: EMPTY_ROOT_HASH.0,
                nodes: vec![vec![alloy_rlp::EMPTY_STRING_CODE]],
            };
        }
        let keys = (0..items.len()).map(|i| Nibbles::unpack(alloy_rlp::encode(i)));
        let mut entries: Vec<(Nibbles, &Vec<u8>)> = keys.zip(items).collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        let retainer = ProofRetainer::new(entries.iter().map(|(key, _)| *key).collect());
        let mut builder = HashBuilder::default().with_proof_retainer(retainer);
        for (key, item) in entries {
            builder.add_leaf(key, item);
        }
        let root = builder.root();
        let nodes = builder.take_proof_nodes().into_inner().into_values();
        // A shorter node is part of the one above it.
        let stands_alone = |node: &Bytes| node.len() >= 32 || keccak256(node) == root;
        let nodes = nodes.filter(stands_alone).map(|node| node.to_vec()).collect();
        Self { root: root.0, nodes }
    }
}

/// What `eth_getProof` says of an account, held together by hashes.
#[derive(Clone, Debug)]
pub(crate) struct AccountProof {
    /// What it begins at: the state root.
    pub(crate) root: Hash,
    pub(crate) storage_root: Hash,
    /// Of the account, if it has code.
    pub(crate) code_hash: Option<Hash>,
    /// The nodes on the way to the account and to each of the slots.
    pub(crate) nodes: Vec<Vec<u8>>,
}

impl AccountProof {
    /// Reads an answer to a question for this account and these slots.
    ///
    /// Its nodes must lead from one root to what it says of the account, and from the account's
    /// storage root to what it says of each slot.
    pub(crate) fn read(answer: &Value, address: &[u8; 20], slots: &[Hash]) -> Result<Self, String> {
        let nodes = nodes(&answer["accountProof"], "accountProof")?;
        let first = nodes.first().ok_or("the field accountProof is empty")?;
        let root = keccak256(first);
        let hash = |name: &str| {
            let hash = bytes(&answer[name]).and_then(|hash| Hash::try_from(hash).ok());
            hash.ok_or_else(|| format!("the field {name} is no hash"))
        };
        let balance = number(&answer["balance"]).ok_or("the field balance is no number")?;
        let nonce = number(&answer["nonce"]).and_then(|nonce| u64::try_from(nonce).ok());
        let nonce = nonce.ok_or("the field nonce is no number")?;
        let (code_hash, storage_root) = (hash("codeHash")?, hash("storageHash")?);
        let account = account(nonce, balance, &storage_root, &code_hash);
        let path = Nibbles::unpack(keccak256(address));
        let known = verify_proof(root, path, Some(account), &nodes);
        // Of an account that does not exist, a proof shows just that.
        let exists = known.is_ok();
        if let (Err(why), true) = (known, verify_proof(root, path, None, &nodes).is_err()) {
            return Err(format!("the account proof does not hold: {why}"));
        }
        let mut proof = Self {
            root: root.0,
            storage_root,
            code_hash: (exists && code_hash != KECCAK_EMPTY.0).then_some(code_hash),
            nodes: nodes.into_iter().map(Into::into).collect(),
        };
        if exists {
            proof.add_slots(&answer["storageProof"], slots)?;
        }
        Ok(proof)
    }

    fn add_slots(&mut self, answer: &Value, slots: &[Hash]) -> Result<(), String> {
        let proofs = answer.as_array().map_or(&[][..], Vec::as_slice);
        if proofs.len() < slots.len() {
            return Err(format!("there are {} storage proofs, not {}", proofs.len(), slots.len()));
        }
        for (slot, proof) in slots.iter().zip(proofs) {
            let nodes = nodes(&proof["proof"], "proof")?;
            let value = number(&proof["value"]).ok_or("the field value is no number")?;
            let value = (value != U256::ZERO).then(|| alloy_rlp::encode(value));
            let path = Nibbles::unpack(keccak256(slot));
            verify_proof(B256::new(self.storage_root), path, value, &nodes)
                .map_err(|why| format!("the storage proof does not hold: {why}"))?;
            self.nodes.extend(nodes.into_iter().map(|node| node.to_vec()));
        }
        Ok(())
    }
}

/// An account as the state trie has it.
fn account(nonce: u64, balance: U256, storage_root: &Hash, code_hash: &Hash) -> Vec<u8> {
    let mut fields = Vec::new();
    nonce.encode(&mut fields);
    balance.encode(&mut fields);
    storage_root.encode(&mut fields);
    code_hash.encode(&mut fields);
    let mut encoded = Vec::new();
    alloy_rlp::Header { list: true, payload_length: fields.len() }.encode(&mut encoded);
    encoded.extend(fields);
    encoded
}

fn nodes(list: &Value, name: &str) -> Result<Vec<Bytes>, String> {
    let wrong = || format!("the field {name} is no list of nodes");
    let list = list.as_array().ok_or_else(wrong)?;
    list.iter().map(|node| bytes(node).map(Bytes::from).ok_or_else(wrong)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::output::MESSAGE_PASSER;

    /// What a node of Base Sepolia said of the message passer.
    fn answer() -> Value {
        let path = "/../../testdata/op-stack/base-sepolia-37312300-jovian.json.gz";
        let path = format!("{}{path}", env!("CARGO_MANIFEST_DIR"));
        let file = flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap());
        let chain: Value = serde_json::from_reader(file).unwrap();
        chain["messageAccount"].clone()
    }

    #[test]
    fn a_real_proof_holds_and_a_changed_one_does_not() {
        let proof = AccountProof::read(&answer(), &MESSAGE_PASSER, &[]).unwrap();
        assert_eq!(
            json!(format!("0x{}", hex::encode(proof.storage_root))),
            answer()["storageHash"]
        );
        assert!(proof.code_hash.is_some());
        let nodes = answer()["accountProof"].as_array().unwrap().len();
        assert_eq!(proof.nodes.len(), nodes);

        let zero = json!(format!("0x{}", "00".repeat(32)));
        for (field, value) in [
            ("storageHash", zero.clone()),
            ("codeHash", zero),
            ("balance", json!("0x7")),
            ("nonce", json!("0x7")),
            ("nonce", json!(null)),
            ("accountProof", json!([])),
            ("accountProof", json!(null)),
            ("accountProof", json!(["0x00"])),
        ] {
            let mut changed = answer();
            changed[field] = value;
            let read = AccountProof::read(&changed, &MESSAGE_PASSER, &[]);
            assert!(read.is_err(), "{field}");
        }
        let mut cut = answer();
        cut["accountProof"].as_array_mut().unwrap().pop();
        assert!(AccountProof::read(&cut, &MESSAGE_PASSER, &[]).is_err());
        // Another account, and a slot that nothing is said of.
        assert!(AccountProof::read(&answer(), &[0x42; 20], &[]).is_err());
        let mut silent = answer();
        silent["storageProof"] = json!(null);
        assert!(AccountProof::read(&silent, &MESSAGE_PASSER, &[[0; 32]]).is_err());
    }

    #[test]
    fn an_ordered_trie_has_the_root_that_others_compute() {
        for count in [0, 1, 2, 17, 127, 128, 129, 300] {
            let items: Vec<Vec<u8>> = (0..count).map(|i| vec![i as u8; 3 + i % 60]).collect();
            let trie = OrderedTrie::of(&items);
            let root = alloy_trie::root::ordered_trie_root_encoded(&items);
            assert_eq!(trie.root, root.0, "{count}");
            assert!(trie.nodes.iter().any(|node| keccak256(node) == root), "{count}");
        }
    }
}
