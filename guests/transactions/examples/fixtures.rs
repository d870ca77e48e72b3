//! `fixtures SOURCE TARGET`: makes the preimages that the program needs of recorded chain data.
//!
//! SOURCE holds files of two kinds (blocks of OP Sepolia and of Base Sepolia, as their execution
//! was recorded) which know headers of some blocks and transactions of others. Wherever both are
//! known of one block, its preimages and the right claim become `TARGET/CHAIN-NUMBER.json.gz`.
//! Nothing is taken on trust: the transactions must give the header's root, and the header's hash must be one
//! that another part of the data names.
//!
//! Beside TARGET, `balance/op-sepolia-26207961.json` becomes what the book's program asks for: the
//! header of that block, and the nodes that lead to the account which is paid for it.
#![allow(clippy::print_stdout, reason = "a tool that people run speaks")]

#[path = "../../op-block/tests/fixture/json.rs"]
#[allow(dead_code, reason = "the other reads more of it")]
mod json;
#[path = "../tests/store/mod.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use alloy_consensus::Header;
use alloy_primitives::{B256, hex, keccak256};
use alloy_trie::root::ordered_trie_root_encoded;
use anyhow::{Context as _, Result, bail, ensure};
use flate2::read::GzDecoder;
use json::parse_header;
use serde_json::Value;
use store::Store;
use transactions::{digest, read_block};
use tribunal_guest::{Account, Malformed, trie};

/// What the files of one chain know.
#[derive(Default)]
struct Known {
    headers: Vec<Header>,
    /// Hashes of blocks, from parents and from expectations.
    hashes: BTreeSet<B256>,
    /// Lists of encoded transactions, by the root of their trie.
    transactions: BTreeMap<B256, Vec<Vec<u8>>>,
}

fn main() -> Result<()> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [source, target] = &paths[..] else { bail!("usage: fixtures SOURCE TARGET") };
    let mut chains: BTreeMap<String, Known> = BTreeMap::new();
    for entry in fs::read_dir(source).with_context(|| format!("cannot list {source:?}"))? {
        let path = entry?.path();
        if let Some(chain) = chain_of(&path) {
            let known = chains.entry(chain).or_default();
            known.learn(&path).with_context(|| format!("cannot use {path:?}"))?;
        }
    }
    fs::create_dir_all(target)?;
    let mut count = 0;
    for (chain, known) in &chains {
        count += known.write(chain, target)?;
    }
    ensure!(count > 0, "no block in {source:?} has both its header and its transactions there");
    let recording = source.join("op-sepolia-26207962-holocene.json.gz");
    write_balance(&recording, &target.join("../balance/op-sepolia-26207961.json"))
}

/// Writes the header before a recorded block, the nodes that lead to the account which was paid for
/// it, and a claim that holds: that the account has exactly what it has.
fn write_balance(recording: &Path, path: &Path) -> Result<()> {
    let file: Value = serde_json::from_reader(GzDecoder::new(File::open(recording)?))?;
    let header = parse_header(&file["parent_header"])?;
    let known: BTreeMap<B256, Vec<u8>> = match &file["preimages"] {
        Value::Object(preimages) => preimages
            .values()
            .map(|data| Ok(hex::decode(data.as_str().context("no text")?)?))
            .map(|data: Result<Vec<u8>>| data.map(|data| (keccak256(&data), data)))
            .collect::<Result<_>>()?,
        _ => bail!("{recording:?} has no preimages"),
    };
    let mut store = tribunal_guest::testing::Store::new();
    let hash = store.add(alloy_rlp::encode(&header));
    let mut nodes = Vec::new();
    let key = keccak256(header.beneficiary);
    let account = trie::walk(&header.state_root.0, key.as_slice(), |hash| {
        let node = known.get(&B256::from(*hash)).cloned();
        let node = node.ok_or_else(|| Malformed::new("recording", "a node is missing"))?;
        nodes.push(node.clone());
        Ok::<_, Malformed>(node)
    })?;
    let account = Account::decode(&account.context("there is no such account")?)?;
    for node in nodes {
        store.add(node);
    }
    let inputs: [(u64, Vec<u8>); 3] =
        [(1, hash.into()), (2, header.beneficiary.to_vec()), (3, account.balance.0.into())];
    for (ident, data) in inputs {
        store = store.with_local(ident, data);
    }
    println!("{} has {} wei at block {}", header.beneficiary, account.balance, header.number);
    let temporary = path.with_extension("tmp");
    fs::create_dir_all(path.parent().context("no folder")?)?;
    fs::write(&temporary, store.to_json())?;
    Ok(fs::rename(&temporary, path)?)
}

/// `op-sepolia` of `op-sepolia-26207960-holocene.json.gz`.
fn chain_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_suffix(".json.gz")?;
    let digits = name.find(|c: char| c.is_ascii_digit())?;
    Some(name[..digits].trim_end_matches('-').to_owned())
}

impl Known {
    fn learn(&mut self, path: &Path) -> Result<()> {
        let file: Value = serde_json::from_reader(GzDecoder::new(File::open(path)?))?;
        let headers = [&file["parent_header"], &file["blockHeader"]];
        let witness = file["witness"]["Headers"].as_array().into_iter().flatten();
        for header in headers.into_iter().chain(witness).filter(|header| !header.is_null()) {
            let header = parse_header(header)?;
            self.hashes.insert(header.parent_hash);
            self.headers.push(header);
        }
        if let Some(hash) = file["expected_block_hash"].as_str() {
            self.hashes.insert(hash.parse()?);
        }
        let lists = ["previousBlockTxs", "actualBlockTxs"].map(|name| &file[name]);
        let payload = &file["executing_payload"]["transactions"];
        for list in lists.into_iter().chain([payload]).filter(|list| !list.is_null()) {
            let list = parse_transactions(list)?;
            self.transactions.insert(ordered_trie_root_encoded(&list), list);
        }
        Ok(())
    }

    /// Writes a file for each block that is known whole, and returns how many.
    fn write(&self, chain: &str, target: &Path) -> Result<usize> {
        let mut count = 0;
        for header in &self.headers {
            let name = format!("{chain}-{}", header.number);
            let Some(list) = self.transactions.get(&header.transactions_root) else {
                println!("{name}: its transactions are not in the data, left out");
                continue;
            };
            let hash = header.hash_slow();
            if !self.hashes.contains(&hash) {
                println!("{name}: its header is not whole in the data, left out");
                continue;
            }
            let mut store = Store::of_block(header, list);
            let block = read_block(&mut store, hash)?;
            ensure!(block.transactions == *list, "{name}: the trie does not give the transactions");
            let summary = digest(&block)?;
            store.set_claim(summary.digest);

            let path = target.join(format!("{name}.json.gz"));
            let temporary = path.with_extension("tmp");
            fs::write(&temporary, store.to_json_gz()?)?;
            fs::rename(&temporary, &path)?;
            println!("{name}: {summary}, digest {}", summary.digest);
            count += 1;
        }
        Ok(count)
    }
}

fn parse_transactions(json: &Value) -> Result<Vec<Vec<u8>>> {
    let list = json.as_array().context("the transactions are not a list")?;
    list.iter().map(|text| Ok(hex::decode(text.as_str().context("no text")?)?)).collect()
}
