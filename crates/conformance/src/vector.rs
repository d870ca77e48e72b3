//! Vectors: one step each, as `testdata/vectors/README.md` describes them.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use tribunal_machine::{Hex, Host, Stream};
use tribunal_mips64::{
    FieldDifference, STATE_WITNESS_BYTES, State, StateWitness, THREAD_WITNESS_BYTES, Thread,
    ThreadStack, WitnessError,
};
use tribunal_preimage::{Key, Oracle, OracleError};

use crate::whole_run::at_root;

/// One step, and what becomes of it.
#[derive(Clone, Debug)]
pub struct Vector {
    /// `class/detail/number`.
    pub name: String,
    /// The state before.
    pub state: State,
    /// What the oracle knows.
    pub preimage: Option<(Key, Vec<u8>)>,
    /// What becomes of it.
    pub expected: Expected,
}

/// What becomes of a vector's step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The witness of the state after it.
    Post(Box<[u8; STATE_WITNESS_BYTES]>),
    /// It is refused; the contract's reason, for people.
    Refused(String),
}

/// What an engine made of a vector's step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The witness of the state after it.
    Post(Box<[u8; STATE_WITNESS_BYTES]>),
    /// It was refused, with this explanation.
    Refused(String),
}

impl Expected {
    /// Compares an outcome with what is expected.
    ///
    /// # Errors
    /// What differs, in words: field by field, if both are states.
    pub fn check(&self, outcome: &Outcome) -> Result<(), String> {
        match (self, outcome) {
            (Self::Post(expected), Outcome::Post(actual)) if expected == actual => Ok(()),
            (Self::Post(expected), Outcome::Post(actual)) => Err(differences(expected, actual)),
            (Self::Post(_), Outcome::Refused(reason)) => {
                Err(format!("refused though it is to be taken: {reason}"))
            }
            (Self::Refused(reason), Outcome::Post(_)) => {
                Err(format!("taken though it is to be refused: {reason}"))
            }
            (Self::Refused(_), Outcome::Refused(_)) => Ok(()),
        }
    }
}

/// The fields in which a witness is not the expected one.
fn differences(expected: &[u8; STATE_WITNESS_BYTES], actual: &[u8; STATE_WITNESS_BYTES]) -> String {
    let differing = StateWitness::decode(expected).differences(&StateWitness::decode(actual));
    let told = differing.into_iter().map(|FieldDifference { field, one, other }| {
        format!("{field}: {other}, where {one} is expected")
    });
    told.collect::<Vec<_>>().join("; ")
}

/// The host of a vector: it knows one preimage at most, and takes every hint.
#[derive(Clone, Debug)]
pub struct VectorHost<'a>(pub Option<&'a (Key, Vec<u8>)>);

impl Oracle for VectorHost<'_> {
    fn hint(&mut self, _hint: &[u8]) -> Result<(), OracleError> {
        Ok(())
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        match self.0 {
            Some((known, data)) if *known == key => Ok(data.clone()),
            _ => Err(OracleError::Host(format!("there is no preimage {key}"))),
        }
    }
}

impl Host for VectorHost<'_> {
    fn output(&mut self, _stream: Stream, _bytes: &[u8]) {}

    fn warn(&mut self, _message: &str) {}
}

/// A vector file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VectorError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// The file.
        path: String,
        /// What the system says.
        error: io::Error,
    },
    /// A line is no vector.
    #[error("{path}, line {line}: {reason}")]
    Line {
        /// The file.
        path: String,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// Reads a file of vectors, gzip if its name ends in `.gz`.
///
/// # Errors
/// If it cannot be read, or holds a line that is no vector, or whose roots are not its own.
pub fn read_vectors(path: &Path) -> Result<Vec<Vector>, VectorError> {
    let name = path.display().to_string();
    let mut names = HashSet::new();
    let mut vectors = Vec::new();
    for (number, text) in read_lines(path)?.into_iter().enumerate() {
        let error = |reason| VectorError::Line { path: name.clone(), line: number + 1, reason };
        let line: Line = serde_json::from_str(&text).map_err(|e| error(e.to_string()))?;
        let vector = line.into_vector().map_err(error)?;
        if !names.insert(vector.name.clone()) {
            return Err(error(format!("there is another vector {}", vector.name)));
        }
        vectors.push(vector);
    }
    Ok(vectors)
}

/// Steps that the deployed contract was seen to take or to refuse: 6,000, of every class.
///
/// # Panics
/// If `testdata/vectors` does not hold them.
pub fn deployed_vectors() -> Vec<Vector> {
    let file = at_root("testdata/vectors/mips64-single-step.jsonl.gz");
    let vectors = read_vectors(&file).expect("the repository has them");
    assert_eq!(vectors.len(), 6000, "vectors of the deployed contract");
    vectors
}

pub(crate) fn read_lines(path: &Path) -> Result<Vec<String>, VectorError> {
    let error = |error| VectorError::Read { path: path.display().to_string(), error };
    let file = std::fs::File::open(path).map_err(error)?;
    let reader: Box<dyn Read> = match tribunal_machine::is_gzip(path) {
        true => Box::new(MultiGzDecoder::new(file)),
        false => Box::new(file),
    };
    BufReader::new(reader).lines().collect::<io::Result<_>>().map_err(error)
}

type HexPair = (Hex<Vec<u8>>, Hex<Vec<u8>>);

/// A vector as it stands in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    state: Hex<Vec<u8>>,
    left: Vec<Hex<Vec<u8>>>,
    right: Vec<Hex<Vec<u8>>>,
    /// Address and word.
    memory: Vec<HexPair>,
    /// Key and data.
    preimage: Option<HexPair>,
    post: Option<Hex<Vec<u8>>>,
    revert: Option<String>,
}

impl Line {
    fn into_vector(self) -> Result<Vector, String> {
        let mut state = State::new(0);
        for (address, word) in self.memory {
            let address = u64::from_be_bytes(sized(address, "address")?);
            state.memory.set_word(address, u64::from_be_bytes(sized(word, "word")?));
        }
        state.left = stack(self.left)?;
        state.right = stack(self.right)?;
        let witness: [u8; STATE_WITNESS_BYTES] = sized(self.state, "state")?;
        state.set_scalars(&witness).map_err(|error: WitnessError| error.to_string())?;
        if state.witness() != witness {
            return Err("the state does not encode to its own witness".into());
        }
        let preimage = match self.preimage {
            None => None,
            Some((key, data)) => Some((Key::from_bytes(sized(key, "preimage key")?), data.0)),
        };
        let expected = match (self.post, self.revert) {
            (Some(post), None) => Expected::Post(Box::new(sized(post, "post")?)),
            (None, Some(reason)) => Expected::Refused(reason),
            _ => return Err("exactly one of post and revert must be there".into()),
        };
        Ok(Vector { name: self.name, state, preimage, expected })
    }
}

fn stack(witnesses: Vec<Hex<Vec<u8>>>) -> Result<ThreadStack, String> {
    let threads: Result<_, String> = witnesses
        .into_iter()
        .map(|witness| {
            sized::<THREAD_WITNESS_BYTES>(witness, "thread").map(|w| Thread::from_witness(&w))
        })
        .collect();
    threads.map(ThreadStack::new)
}

pub(crate) fn sized<const N: usize>(bytes: Hex<Vec<u8>>, what: &str) -> Result<[u8; N], String> {
    let length = bytes.0.len();
    bytes.0.try_into().map_err(|_| format!("{what}: {length} bytes instead of {N}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_tells_which_side_is_expected() {
        let witness = Box::new([7; STATE_WITNESS_BYTES]);
        let expected = Expected::Post(witness.clone());
        assert_eq!(expected.check(&Outcome::Post(witness.clone())), Ok(()));
        let mut other = witness;
        (other[97], other[98]) = (0, 1);
        let told = expected.check(&Outcome::Post(other)).unwrap_err();
        assert_eq!(told, "exit code: 0, where 7 is expected; exited: 1, where 7 is expected");
    }
}
