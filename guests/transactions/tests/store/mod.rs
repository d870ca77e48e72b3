//! A host in the same process: preimages in a map, in memory or as a file of `testdata/`.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use alloy_consensus::Header;
use alloy_primitives::{B256, hex, keccak256};
use alloy_trie::proof::ProofRetainer;
use alloy_trie::{HashBuilder, Nibbles};
use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use transactions::{BLOCK_HASH, CLAIM};
use tribunal_guest::{Key, Oracle, OracleError};

#[derive(Clone, Default)]
pub(crate) struct Store {
    pub(crate) preimages: BTreeMap<Key, Vec<u8>>,
    /// The hints that came, in their order.
    pub(crate) hints: Vec<String>,
}

impl Store {
    /// Everything but the claim that the program needs for the block.
    pub(crate) fn of_block(header: &Header, transactions: &[Vec<u8>]) -> Self {
        let mut store = Self::default();
        store.set_block(&alloy_rlp::encode(header));
        for node in trie_nodes(transactions) {
            store.add(node);
        }
        store
    }

    /// Makes this header the one whose hash the program is given.
    pub(crate) fn set_block(&mut self, header: &[u8]) {
        self.preimages.insert(BLOCK_HASH, keccak256(header).to_vec());
        self.add(header.to_vec());
    }

    pub(crate) fn set_claim(&mut self, digest: B256) {
        self.preimages.insert(CLAIM, digest.to_vec());
    }

    pub(crate) fn block_hash(&self) -> B256 {
        B256::from_slice(&self.preimages[&BLOCK_HASH])
    }

    /// Adds what is known by its hash.
    pub(crate) fn add(&mut self, data: Vec<u8>) {
        self.preimages.insert(Key::keccak256_of(&data), data);
    }

    /// Gzip of a JSON object of keys and preimages; the same bytes for the same preimages.
    pub(crate) fn to_json_gz(&self) -> Result<Vec<u8>> {
        let texts = self.preimages.iter().map(|(k, v)| (k.to_string(), hex::encode_prefixed(v)));
        let json = serde_json::to_vec_pretty(&texts.collect::<BTreeMap<_, _>>())?;
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
        gzip.write_all(&json)?;
        Ok(gzip.finish()?)
    }

    pub(crate) fn from_json_gz(bytes: &[u8]) -> Result<Self> {
        let mut json = Vec::new();
        GzDecoder::new(bytes).read_to_end(&mut json)?;
        let texts: BTreeMap<String, String> = serde_json::from_slice(&json)?;
        let mut store = Self::default();
        for (key, data) in texts {
            store.preimages.insert(key.parse()?, hex::decode(data).context(key)?);
        }
        Ok(store)
    }
}

impl Oracle for Store {
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        self.hints.push(String::from_utf8_lossy(hint).into_owned());
        Ok(())
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        let found = self.preimages.get(&key).cloned();
        found.ok_or(OracleError::Missing { key, why: String::new() })
    }
}

/// The nodes of the ordered trie of `items`, without those that are part of their parent.
pub(crate) fn trie_nodes(items: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let keys = (0..items.len()).map(|i| Nibbles::unpack(alloy_rlp::encode(i)));
    trie_nodes_of(keys.zip(items.iter().cloned()).collect())
}

/// The nodes of any trie, without those that are part of their parent.
pub(crate) fn trie_nodes_of(leaves: BTreeMap<Nibbles, Vec<u8>>) -> Vec<Vec<u8>> {
    let retainer: ProofRetainer = ProofRetainer::new(leaves.keys().copied().collect());
    let mut builder = HashBuilder::default().with_proof_retainer(retainer);
    for (key, value) in leaves {
        builder.add_leaf(key, &value);
    }
    let root = builder.root();
    let nodes = builder.take_proof_nodes().into_nodes_sorted();
    let nodes = nodes.into_iter().map(|(_, node)| node.to_vec());
    nodes.filter(|node| node.len() >= 32 || keccak256(node) == root).collect()
}
