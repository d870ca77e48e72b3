//! Trails: state hashes and proofs that the reference VM gave on the way through a whole run, as
//! `testdata/guests/README.md` describes them.

use std::path::Path;

use serde::Deserialize;
use tribunal_keccak::Hash;
use tribunal_machine::Hex;
use tribunal_preimage::Key;

use crate::vector::{VectorError, read_lines};

/// One step of a run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrailPoint {
    /// The step.
    pub step: u64,
    /// The state hash before it.
    pub hash: Hex<Hash>,
    /// The witness before it.
    pub state: Option<Hex<Vec<u8>>>,
    /// Its proof data.
    pub proof: Option<Hex<Vec<u8>>>,
    /// The state hash after it.
    pub post: Option<Hex<Hash>>,
    /// The key of the preimage it reads.
    pub oracle_key: Option<Hex<Hash>>,
    /// The preimage, behind its length.
    pub oracle_value: Option<Hex<Vec<u8>>>,
    /// Where it begins to read.
    pub oracle_offset: Option<u64>,
}

impl TrailPoint {
    /// The key of the preimage it reads.
    pub fn key(&self) -> Option<Key> {
        self.oracle_key.as_ref().map(|key| Key::from_bytes(key.0))
    }
}

/// A trail that cannot be used.
pub type TrailError = VectorError;

/// Reads a trail, gzip if its name ends in `.gz`.
///
/// # Errors
/// If it cannot be read or holds a line that is none of a trail.
pub fn read_trail(path: &Path) -> Result<Vec<TrailPoint>, TrailError> {
    let name = path.display().to_string();
    let parse = |(number, text): (usize, String)| {
        serde_json::from_str(&text).map_err(|error| VectorError::Line {
            path: name.clone(),
            line: number + 1,
            reason: error.to_string(),
        })
    };
    read_lines(path)?.into_iter().enumerate().map(parse).collect()
}
