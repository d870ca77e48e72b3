//! Claims about small chains, as files: `testdata/derivation` has them, with the verdict that each must
//! end with. A file is JSON, in gzip or not; others beside it hold what several have in common.
//!
//! Knows that format. Knows nothing of how a claim is judged.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use flate2::bufread::GzDecoder;
use serde::Deserialize;
use serde_json::Value;
use tribunal_keccak::Hash;
use tribunal_preimage::Key;

use crate::Boot;
use crate::blob::CheckedBlob;

/// A claim, and all that is needed to judge it.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// What it is about, in a sentence.
    pub about: String,
    /// What a program is started with.
    pub boot: Boot,
    /// Whether the claim holds.
    pub holds: bool,
    /// The L2 blocks above the agreed one that L1 holds, up to the claimed one: number and hash.
    pub blocks: Vec<(u64, Hash)>,
    /// How many L1 blocks there are.
    pub l1_blocks: usize,
    /// Everything else that a program asks for, but for what is computed when it is asked for.
    pub preimages: Vec<(Key, Vec<u8>)>,
    /// The hashes of the blobs among them.
    pub blobs: Vec<Hash>,
}

/// Why a file is no fixture.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {file}: {why}")]
pub struct FixtureError {
    file: String,
    why: String,
}

#[derive(Deserialize)]
struct Json {
    about: String,
    boot: BootJson,
    expected: String,
    l2_safe_head_number: u64,
    rollup_config: Value,
    l1_chain_config: Value,
    l1_blocks: Vec<Value>,
    l2_blocks: Vec<BlockJson>,
    blobs: Vec<BlobJson>,
    common: Vec<String>,
    preimages: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct BootJson {
    agreed_l2_block_number: u64,
    agreed_l2_head_hash: String,
    agreed_l2_output_root: String,
    claimed_l2_block_number: u64,
    claimed_l2_output_root: String,
    l1_head: String,
    l2_chain_id: u64,
}

#[derive(Deserialize)]
struct BlockJson {
    number: u64,
    hash: String,
}

#[derive(Deserialize)]
struct BlobJson {
    versioned_hash: String,
    blob: String,
}

#[derive(Deserialize)]
struct Common {
    preimages: BTreeMap<String, String>,
}

impl Fixture {
    /// Reads a file, and those that it names.
    ///
    /// # Errors
    /// If one cannot be read or is no such file.
    pub fn read(path: &Path) -> Result<Self, FixtureError> {
        let failure = |why| FixtureError { file: path.display().to_string(), why };
        let json: Json = read(path)?;
        let mut preimages = Vec::new();
        for common in &json.common {
            let common: Common = read(&path.with_file_name(common))?;
            add(&mut preimages, common.preimages).map_err(failure)?;
        }
        Self::of(json, preimages).map_err(failure)
    }

    fn of(json: Json, mut preimages: Vec<(Key, Vec<u8>)>) -> Result<Self, String> {
        add(&mut preimages, json.preimages)?;
        let mut blobs = Vec::new();
        for blob in &json.blobs {
            let versioned_hash = hash(&blob.versioned_hash)?;
            let checked = CheckedBlob::new(&bytes(&blob.blob)?, &versioned_hash)?;
            preimages.extend(checked.preimages());
            blobs.push(versioned_hash);
        }
        let boot = json.boot;
        let last = json.l2_safe_head_number.min(boot.claimed_l2_block_number);
        let derived = boot.agreed_l2_block_number.saturating_add(1)..=last;
        let blocks = json.l2_blocks.iter().filter(|block| derived.contains(&block.number));
        Ok(Self {
            about: json.about,
            holds: match &json.expected[..] {
                "valid" => true,
                "invalid" => false,
                other => return Err(format!("a verdict is valid or invalid, not {other}")),
            },
            blocks: blocks
                .map(|block| Ok((block.number, hash(&block.hash)?)))
                .collect::<Result<_, String>>()?,
            l1_blocks: json.l1_blocks.len(),
            boot: Boot {
                l1_head: hash(&boot.l1_head)?,
                agreed_l2_head: hash(&boot.agreed_l2_head_hash)?,
                agreed_l2_output: hash(&boot.agreed_l2_output_root)?,
                claimed_l2_output: hash(&boot.claimed_l2_output_root)?,
                claimed_l2_block: boot.claimed_l2_block_number,
                l2_chain_id: Some(boot.l2_chain_id),
                rollup_config: Some(json.rollup_config.to_string().into_bytes()),
                l1_config: Some(json.l1_chain_config.to_string().into_bytes()),
            },
            preimages,
            blobs,
        })
    }
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T, FixtureError> {
    let failure = |why: String| FixtureError { file: path.display().to_string(), why };
    let file = File::open(path).map_err(|error| failure(error.to_string()))?;
    let mut source = BufReader::new(file);
    let start = source.fill_buf().map_err(|error| failure(error.to_string()))?;
    let json = if start.starts_with(&[0x1f, 0x8b]) {
        serde_json::from_reader(BufReader::new(GzDecoder::new(source)))
    } else {
        serde_json::from_reader(source)
    };
    json.map_err(|error| failure(error.to_string()))
}

fn add(preimages: &mut Vec<(Key, Vec<u8>)>, more: BTreeMap<String, String>) -> Result<(), String> {
    for (key, data) in more {
        let key: Key = key.parse().map_err(|error| format!("{key}: {error}"))?;
        preimages.push((key, bytes(&data)?));
    }
    Ok(())
}

fn bytes(digits: &str) -> Result<Vec<u8>, String> {
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    hex::decode(digits).map_err(|error| format!("{digits:.20}: {error}"))
}

fn hash(digits: &str) -> Result<Hash, String> {
    bytes(digits)?.try_into().map_err(|_| format!("{digits} is no hash"))
}
