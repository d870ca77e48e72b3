//! The execution nodes of one chain: what can be asked of them, in every way that nodes know.
//!
//! The first way is the one that gives the bytes themselves; the later ones are for nodes without
//! `debug_` methods. Nothing is returned that was not held against the hash it was asked for by.

use serde_json::{Value, json};
use tribunal_keccak::{Hash, keccak256};
use tribunal_rpc::{Bounds, Client, Question, Trouble};

use crate::failure::Failure;
use crate::header::{Header, items};
use crate::rebuild::{self, bytes};
use crate::trie::{AccountProof, OrderedTrie};

/// The nodes of a chain.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) client: Client,
}

/// What the execution of a block reads: trie nodes, code, headers, in no particular order.
pub(crate) type Witness = Vec<Vec<u8>>;

impl Chain {
    /// The header of a block, encoded.
    pub(crate) fn header(&self, hash: &Hash, bounds: Bounds<'_>) -> Result<Vec<u8>, Failure> {
        let mut failure = Failure::new();
        let raw = question("debug_getRawHeader", json!([digits(hash)]));
        let raw = self.client.ask(&raw, bounds, |answer| of_hash(hash, answer));
        if let Some(header) = failure.way(raw) {
            return Ok(header);
        }
        if !failure.is_hopeless() {
            let block = self.block(hash, false, bounds, |block| {
                let header = rebuild::header(&block)?;
                match keccak256(&header) == *hash {
                    true => Ok(header),
                    false => Err("the header that its fields make has another hash".into()),
                }
            });
            if let Some(header) = failure.way(block) {
                return Ok(header);
            }
        }
        Err(failure)
    }

    /// The transactions of a block.
    pub(crate) fn transactions(
        &self,
        header: &Header,
        bounds: Bounds<'_>,
    ) -> Result<OrderedTrie, Failure> {
        let mut failure = Failure::new();
        let checked = |transactions: Vec<Vec<u8>>| {
            of_root(&header.transactions_root, &transactions, "transactions")
        };
        let raw = question("debug_getRawBlock", json!([digits(&header.hash)]));
        let raw = self.client.ask(&raw, bounds, |answer| {
            let block = bytes(&answer).ok_or("it is no bytes")?;
            checked(transactions_of(&block).ok_or("it is no block")?)
        });
        if let Some(trie) = failure.way(raw) {
            return Ok(trie);
        }
        if failure.is_hopeless() {
            return Err(failure);
        }
        let block = self.block(&header.hash, true, bounds, |block| {
            let list = block["transactions"].as_array().ok_or("there are no transactions")?;
            checked(list.iter().map(rebuild::transaction).collect::<Result<_, _>>()?)
        });
        if let Some(trie) = failure.way(block) {
            return Ok(trie);
        }
        // Of a kind that is not known here, the bytes of each may still be had.
        if !failure.is_hopeless()
            && let Some(hashes) = failure.way(self.transaction_hashes(&header.hash, bounds))
        {
            for method in ["eth_getRawTransactionByHash", "debug_getRawTransaction"] {
                let params = hashes.iter().map(|hash| json!([digits(hash)]));
                let one = |place: usize, answer| of_hash(&hashes[place], answer);
                let all = self.client.ask_many(method, params, bounds, one, checked);
                match failure.way(all) {
                    Some(trie) => return Ok(trie),
                    None if failure.is_hopeless() => break,
                    None => {}
                }
            }
        }
        Err(failure)
    }

    /// The receipts of a block.
    pub(crate) fn receipts(
        &self,
        header: &Header,
        bounds: Bounds<'_>,
    ) -> Result<OrderedTrie, Failure> {
        let mut failure = Failure::new();
        let checked =
            |receipts: Vec<Vec<u8>>| of_root(&header.receipts_root, &receipts, "receipts");
        let no_list = "it is no list of receipts";
        let raw = question("debug_getRawReceipts", json!([digits(&header.hash)]));
        let raw = self.client.ask(&raw, bounds, |answer| {
            let receipts = answer.as_array().ok_or(no_list)?.iter().map(bytes);
            checked(receipts.collect::<Option<_>>().ok_or(no_list)?)
        });
        if let Some(trie) = failure.way(raw) {
            return Ok(trie);
        }
        if failure.is_hopeless() {
            return Err(failure);
        }
        let block = question("eth_getBlockReceipts", json!([digits(&header.hash)]));
        let block = self.client.ask(&block, bounds, |answer| {
            let receipts = answer.as_array().ok_or(no_list)?.iter().map(rebuild::receipt);
            checked(receipts.collect::<Result<_, _>>()?)
        });
        if let Some(trie) = failure.way(block) {
            return Ok(trie);
        }
        if !failure.is_hopeless()
            && let Some(hashes) = failure.way(self.transaction_hashes(&header.hash, bounds))
        {
            let params = hashes.iter().map(|hash| json!([digits(hash)]));
            let one = |_, answer| rebuild::receipt(&answer);
            let all =
                self.client.ask_many("eth_getTransactionReceipt", params, bounds, one, checked);
            if let Some(trie) = failure.way(all) {
                return Ok(trie);
            }
        }
        Err(failure)
    }

    /// The code with this hash, from the node's database or its index of codes.
    pub(crate) fn code(&self, hash: &Hash, bounds: Bounds<'_>) -> Result<Vec<u8>, Failure> {
        let mut failure = Failure::new();
        // geth has it behind a c, older ones had it without.
        let prefixed = digits(&[b"c", &hash[..]].concat());
        for (method, params) in [
            ("debug_dbGet", json!([prefixed])),
            ("debug_dbGet", json!([digits(hash)])),
            ("debug_codeByHash", json!([digits(hash)])),
        ] {
            let answer =
                self.client.ask(&question(method, params), bounds, |answer| of_hash(hash, answer));
            match failure.way(answer) {
                Some(code) => return Ok(code),
                None if failure.is_hopeless() => break,
                None => {}
            }
        }
        Err(failure)
    }

    /// The code of an account, which has this hash.
    pub(crate) fn code_of(
        &self,
        address: &[u8; 20],
        block: &Value,
        hash: &Hash,
        bounds: Bounds<'_>,
    ) -> Result<Vec<u8>, Trouble> {
        let code = question("eth_getCode", json!([digits(address), block]));
        self.client.ask(&code, bounds, |answer| of_hash(hash, answer))
    }

    /// A trie node, from a database that has them by their hashes.
    pub(crate) fn state_node(&self, hash: &Hash, bounds: Bounds<'_>) -> Result<Vec<u8>, Trouble> {
        Self::node_in(&self.client, hash, bounds)
    }

    /// As [`Chain::state_node`], from these nodes.
    pub(crate) fn node_in(
        client: &Client,
        hash: &Hash,
        bounds: Bounds<'_>,
    ) -> Result<Vec<u8>, Trouble> {
        let node = question("debug_dbGet", json!([digits(hash)]));
        client.ask(&node, bounds, |answer| of_hash(hash, answer))
    }

    /// The way to an account and some of its slots, after a block; from this state root, if it is
    /// known.
    pub(crate) fn proof(
        &self,
        address: &[u8; 20],
        slots: &[Hash],
        block: &Value,
        state_root: Option<&Hash>,
        bounds: Bounds<'_>,
    ) -> Result<AccountProof, Trouble> {
        Self::proof_of(&self.client, address, slots, block, state_root, bounds)
    }

    /// As [`Chain::proof`], from these nodes.
    pub(crate) fn proof_of(
        client: &Client,
        address: &[u8; 20],
        slots: &[Hash],
        block: &Value,
        state_root: Option<&Hash>,
        bounds: Bounds<'_>,
    ) -> Result<AccountProof, Trouble> {
        let keys: Vec<String> = slots.iter().map(|slot| digits(slot)).collect();
        let proof = question("eth_getProof", json!([digits(address), keys, block]));
        client.ask(&proof, bounds, |answer| {
            let proof = AccountProof::read(&answer, address, slots)?;
            match state_root {
                Some(root) if proof.root != *root => Err(format!(
                    "the proof begins at {}, not {}",
                    digits(&proof.root),
                    digits(root)
                )),
                _ => Ok(proof),
            }
        })
    }

    /// What the execution of a payload on top of a block reads.
    pub(crate) fn payload_witness(
        &self,
        parent: &Header,
        attributes: &Value,
        bounds: Bounds<'_>,
    ) -> Result<Witness, Trouble> {
        let params = json!([digits(&parent.hash), attributes]);
        self.client.ask(&question("debug_executePayload", params), bounds, |answer| {
            witness(&answer, Some(&parent.state_root))
        })
    }

    /// What the execution of a canonical block reads; from this state root, if it is known.
    pub(crate) fn execution_witness(
        &self,
        number: u64,
        parent_state_root: Option<&Hash>,
        bounds: Bounds<'_>,
    ) -> Result<Witness, Trouble> {
        let params = json!([format!("{number:#x}")]);
        self.client.ask(&question("debug_executionWitness", params), bounds, |answer| {
            witness(&answer, parent_state_root)
        })
    }

    fn transaction_hashes(&self, block: &Hash, bounds: Bounds<'_>) -> Result<Vec<Hash>, Trouble> {
        self.block(block, false, bounds, |block| {
            let list = block["transactions"].as_array().ok_or("there are no transactions")?;
            let hash = |hash: &Value| bytes(hash).and_then(|hash| Hash::try_from(hash).ok());
            let hashes = list.iter().map(hash).collect::<Option<_>>();
            hashes.ok_or_else(|| "the transactions are no hashes".into())
        })
    }

    fn block<T>(
        &self,
        hash: &Hash,
        whole: bool,
        bounds: Bounds<'_>,
        check: impl Fn(Value) -> Result<T, String>,
    ) -> Result<T, Trouble> {
        let block = question("eth_getBlockByHash", json!([digits(hash), whole]));
        self.client.ask(&block, bounds, |answer| match answer {
            Value::Null => Err("it does not know the block".into()),
            block => check(block),
        })
    }
}

/// `0x` and the digits.
pub(crate) fn digits(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn question(method: &str, params: Value) -> Question {
    Question::new(method, params)
}

/// The bytes of an answer, if they have this hash.
fn of_hash(hash: &Hash, answer: Value) -> Result<Vec<u8>, String> {
    if answer.is_null() {
        return Err("it has nothing for it".into());
    }
    let data = bytes(&answer).ok_or("it is no bytes")?;
    let actual = keccak256(&data);
    match actual == *hash {
        true => Ok(data),
        false => Err(format!("what it says has the hash {}", digits(&actual))),
    }
}

/// The trie of a list, if it has this root.
fn of_root(root: &Hash, list: &[Vec<u8>], what: &str) -> Result<OrderedTrie, String> {
    let trie = OrderedTrie::of(list);
    match trie.root == *root {
        true => Ok(trie),
        false => Err(format!(
            "the {} {what} have the root {}, not {}",
            list.len(),
            digits(&trie.root),
            digits(root)
        )),
    }
}

/// The transactions in the RLP of a block, as the trie has them.
fn transactions_of(block: &[u8]) -> Option<Vec<Vec<u8>>> {
    let parts = items(block)?;
    Some(items(parts.get(1)?)?.into_iter().map(<[u8]>::to_vec).collect())
}

/// The values of a witness: lists, or objects by hash. They must begin at this state root.
fn witness(answer: &Value, state_root: Option<&Hash>) -> Result<Witness, String> {
    let mut values = Vec::new();
    for part in ["state", "codes", "keys", "headers"] {
        let entries: Vec<&Value> = match &answer[part] {
            Value::Array(list) => list.iter().collect(),
            Value::Object(map) => map.values().collect(),
            _ if part == "state" => return Err("it has no state".into()),
            _ => continue,
        };
        // Some nodes have headers as objects: they are asked for when they are needed.
        values.extend(entries.into_iter().filter_map(bytes));
    }
    match state_root {
        Some(root) if !values.iter().any(|value| keccak256(value) == *root) => {
            Err(format!("it does not begin at the state root {}", digits(root)))
        }
        _ => Ok(values),
    }
}
