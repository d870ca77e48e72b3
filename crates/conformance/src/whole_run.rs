//! Whole runs of programs: those of `testdata/guests`, and our own over real blocks.
//!
//! Knows what they need and what they come to, and not who runs or judges them. A file of the
//! repository that is not what it should be is a panic: there is nothing to run then.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use tribunal_machine::{Host, Machine, StepProof, StopOn, Stream, is_gzip};
use tribunal_mips64::{MEMORY_PROOFS_OFFSET, Mips64, PROOF_DATA_BYTES, load_elf};

use crate::host::RecordingHost;
use crate::trail::{TrailPoint, read_trail};

/// More than any of them needs, in bytes.
const MEMORY: u64 = 1 << 30;

/// A program, and a host that knows what it asks for.
#[derive(Clone, Debug)]
pub struct Run {
    /// What it is called.
    pub name: String,
    /// The machine before the first step.
    pub start: Mips64,
    /// What answers it.
    pub host: RecordingHost,
}

impl Run {
    /// Go's runtime and threads; no preimages.
    pub fn threads() -> Self {
        Self::new("threads", "testdata/guests/threads.elf.gz", None)
    }

    /// A Go program that reads a preimage of every kind.
    pub fn preimages() -> Self {
        let preimages = "testdata/guests/preimages.json";
        Self::new("preimages", "testdata/guests/preimages.elf.gz", Some(preimages))
    }

    /// Our own program, on every block there is, in their order.
    pub fn transactions() -> Vec<Self> {
        let folder = "testdata/transactions";
        let entries = at_root(folder).read_dir().expect("the repository has it");
        let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
        let mut names: Vec<_> = names.collect::<io::Result<_>>().expect("a folder can be listed");
        names.sort();
        let blocks = names.iter().map(|name| name.to_string_lossy());
        let run = |block: std::borrow::Cow<'_, str>| {
            let name = format!("transactions of {}", block.trim_end_matches(".json.gz"));
            let elf = "guests/elf/mips64/transactions.elf.gz";
            Self::new(&name, elf, Some(&format!("{folder}/{block}")))
        };
        blocks.map(run).collect()
    }

    fn new(name: &str, elf: &str, preimages: Option<&str>) -> Self {
        let program = load_elf(&read(elf), MEMORY).expect("a program of this machine");
        let preimages = preimages.map(|path| {
            let known: std::collections::BTreeMap<String, String> =
                serde_json::from_slice(&read(path)).expect("keys and data");
            let parse = |(key, data): (String, String)| {
                let data = data.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
                (key.parse().expect("a key"), data.expect("digits"))
            };
            known.into_iter().map(parse).collect()
        });
        let host =
            RecordingHost { preimages: preimages.unwrap_or_default(), ..RecordingHost::default() };
        Self { name: name.into(), start: Mips64::new(program.state), host }
    }

    /// Steps until it exits.
    pub fn length(&self) -> u64 {
        let (mut machine, mut host) = (self.start.clone(), self.host.clone());
        machine.run(u64::MAX, StopOn::Nothing, &mut host).expect("a run that goes through");
        machine.step()
    }
}

/// The trail of one of the runs of Cannon.
pub fn trail_of(run: &Run) -> Vec<TrailPoint> {
    let path = at_root(&format!("testdata/guests/{}.trail.jsonl.gz", run.name));
    read_trail(&path).expect("a trail of the repository")
}

/// Runs `machine` along a trail: every hash of it must be the machine's, and every proof.
///
/// # Errors
/// What differs first.
pub fn follow<M: Machine>(
    machine: &mut M,
    trail: &[TrailPoint],
    host: &mut dyn Host,
) -> Result<(), String> {
    for point in trail {
        let step = point.step;
        machine.run(step, StopOn::Nothing, host).map_err(|fault| fault.to_string())?;
        same(&machine.step(), &step, step, "step")?;
        same(&machine.state_hash(), &point.hash.0, step, "state hash")?;
        if point.proof.is_some() {
            let proof = machine.prove_step(host).map_err(|fault| fault.to_string())?;
            compare_proof(&proof, point)?;
        }
    }
    Ok(())
}

fn compare_proof(proof: &StepProof, point: &TrailPoint) -> Result<(), String> {
    let step = point.step;
    let expected = point.proof.as_ref().map_or(&[][..], |proof| &proof.0);
    same(&proof.step, &step, step, "step of the proof")?;
    same(&proof.pre, &point.hash.0, step, "hash before")?;
    same(&Some(proof.post), &point.post.as_ref().map(|post| post.0), step, "hash after")?;
    let state = point.state.as_ref().map(|state| &state.0);
    same(&Some(&proof.state_data), &state, step, "witness")?;
    let lengths = (proof.proof_data.len(), expected.len());
    same(&lengths, &(PROOF_DATA_BYTES, PROOF_DATA_BYTES), step, "length of the proof")?;
    let (threads, memory) = proof.proof_data.split_at(MEMORY_PROOFS_OFFSET);
    let (expected_threads, expected_memory) = expected.split_at(MEMORY_PROOFS_OFFSET);
    same(&threads, &expected_threads, step, "proof of the thread")?;
    for (ours, theirs) in memory.chunks(1920).zip(expected_memory.chunks(1920)) {
        same(&ours, &theirs, step, "proof of a word of memory")?;
    }
    let read = proof.preimage.as_ref().map(|read| (read.key, &*read.value, read.offset));
    let expected = point.key().map(|key| {
        let value = point.oracle_value.as_ref().map_or(&[][..], |value| &value.0);
        (key, value, point.oracle_offset.unwrap_or(0))
    });
    same(&read, &expected, step, "preimage")
}

fn same<T: PartialEq + std::fmt::Debug>(
    ours: &T,
    theirs: &T,
    step: u64,
    what: &str,
) -> Result<(), String> {
    match ours == theirs {
        true => Ok(()),
        false => Err(format!("at step {step} the {what} is {ours:x?}, not {theirs:x?}")),
    }
}

/// All that a program wrote, as text.
pub fn text_of(output: &[(Stream, Vec<u8>)]) -> String {
    let bytes: Vec<u8> = output.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn at_root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn read(path: &str) -> Vec<u8> {
    let path = at_root(path);
    let mut bytes = Vec::new();
    let file = File::open(&path).and_then(|mut file| match is_gzip(&path) {
        true => GzDecoder::new(file).read_to_end(&mut bytes),
        false => file.read_to_end(&mut bytes),
    });
    file.unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    bytes
}
