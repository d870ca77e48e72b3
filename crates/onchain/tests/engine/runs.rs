//! Whole runs of programs: those of `testdata/guests`, and our own over real blocks. Knows what they
//! need, and not who judges them.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use tribunal_conformance::{Random, RecordingHost};
use tribunal_machine::{Machine as _, StopOn, is_gzip};
use tribunal_mips64::{Mips64, load_elf};

/// More than any of them needs, in bytes.
const MEMORY: u64 = 1 << 30;

/// A program, and a host that knows what it asks for.
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) start: Mips64,
    pub(crate) host: RecordingHost,
}

impl Run {
    /// Go's runtime and threads; no preimages.
    pub(crate) fn threads() -> Self {
        Self::new("threads", "testdata/guests/threads.elf.gz", None)
    }

    /// A Go program that reads a preimage of every kind.
    pub(crate) fn preimages() -> Self {
        let preimages = "testdata/guests/preimages.json";
        Self::new("preimages", "testdata/guests/preimages.elf.gz", Some(preimages))
    }

    /// Our own program, on every block there is, in their order.
    pub(crate) fn transactions() -> Vec<Self> {
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
    pub(crate) fn length(&self) -> u64 {
        let (mut machine, mut host) = (self.start.clone(), self.host.clone());
        machine.run(u64::MAX, StopOn::Nothing, &mut host).expect("a run that goes through");
        machine.step()
    }
}

/// As many steps as asked for, the same ones for the same seed, out of a run that is `length` long,
/// in order; the last one may be that after the end. None stands there twice, so they can be fewer.
pub(crate) fn random_steps(seed: u64, count: u64, length: u64) -> Vec<u64> {
    let mut random = Random::new(seed);
    let mut steps: Vec<u64> = (0..count).map(|_| random.below(length + 1)).collect();
    steps.sort_unstable();
    steps.dedup();
    steps
}

fn at_root(path: &str) -> PathBuf {
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
