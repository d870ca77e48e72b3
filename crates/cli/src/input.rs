//! Files that are given to our own commands: what they hold is told from their content.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, stdin};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use tribunal_host::{Recording, StoreError, recording};
use tribunal_machine::{
    FileError, ProofFile, ReadState, StateFileError, Symbols, check_state_path,
};
use tribunal_mips64::{ElfError, KNOWN_VERSIONS, Mips64, load_elf};
use tribunal_onchain::Artifact;

use crate::failure::{Failure, Result};

/// The most bytes of a proof file. The largest preimages that a chain takes are 9 MB.
const PROOF_LIMIT: u64 = 256 << 20;

/// The most bytes of a compiled contract.
const ARTIFACT_LIMIT: u64 = 64 << 20;

/// The most bytes of a program, whatever a state may take: a small file can unpack to a lot.
const PROGRAM_LIMIT: u64 = 1 << 30;

/// The most bytes of a recording.
const RECORDING_LIMIT: u64 = 4 << 30;

/// The most bytes of symbols.
const SYMBOLS_LIMIT: u64 = 1 << 30;

/// What a file holds.
pub(crate) enum Artefact {
    /// A program.
    Elf(Vec<u8>),
    /// The proof of a step, if anything of ours: JSON.
    Json(Vec<u8>),
    /// A run's inputs.
    Recording(Box<Recording>),
    /// A state.
    State(Box<Mips64>),
}

impl Artefact {
    /// Reads a file, or standard input for `-`, of at most `max_bytes` bytes. Gzip is told from the
    /// content too.
    pub(crate) fn open(path: &Path, max_bytes: u64) -> Result<Self> {
        Self::read_unpacked(&mut open_unpacked(path)?, path, max_bytes)
    }

    fn read_unpacked(source: &mut dyn BufRead, path: &Path, max_bytes: u64) -> Result<Self> {
        let start = source.fill_buf().map_err(|error| unreadable(path, error))?;
        let (first, recording) = (start.first().copied(), recording::is_recording(start));
        let named_state = check_state_path(path).is_ok();
        match first {
            Some(_) if recording && !named_state => {
                let mut source = source;
                let recording = Recording::read(&mut source, RECORDING_LIMIT)
                    .map_err(|source| StoreError::Recording { path: path.to_owned(), source })?;
                Ok(Self::Recording(recording.into()))
            }
            Some(0x7f) if !named_state => {
                let (limit, limit_of) = match max_bytes < PROGRAM_LIMIT {
                    true => (max_bytes, "the limit that --memory-limit sets"),
                    false => (PROGRAM_LIMIT, "more than any program"),
                };
                read_whole(source, path, limit, limit_of).map(Self::Elf)
            }
            Some(b'{') if !named_state => {
                read_whole(source, path, PROOF_LIMIT, "more than any proof").map(Self::Json)
            }
            Some(version) if named_state || usize::from(version) < KNOWN_VERSIONS.len() => {
                read_state(source, path, max_bytes).map(|machine| Self::State(machine.into()))
            }
            None if named_state => {
                read_state(source, path, max_bytes).map(|machine| Self::State(machine.into()))
            }
            None => Err(Failure::input(format!("{} is empty", path.display()))),
            _ => Err(Failure::input(format!(
                "{} is neither a program (ELF), a state, a proof nor a recording",
                path.display()
            ))),
        }
    }
}

/// Opens a file, or standard input for `-`. Gzip is told from the content and unpacked.
fn open_unpacked(path: &Path) -> Result<Box<dyn BufRead>> {
    let mut source: Box<dyn BufRead> = if path.as_os_str() == "-" {
        Box::new(stdin().lock())
    } else {
        let file = File::open(path).map_err(|error| Failure::reading(path, &error))?;
        Box::new(BufReader::with_capacity(1 << 16, file))
    };
    if begins_with(&mut source, path, &[0x1f, 0x8b])? {
        source = Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(source)));
    }
    Ok(source)
}

fn begins_with(source: &mut dyn BufRead, path: &Path, magic: &[u8]) -> Result<bool> {
    let start = source.fill_buf().map_err(|error| unreadable(path, error))?;
    Ok(start.starts_with(magic))
}

fn read_state(source: &mut dyn BufRead, path: &Path, max_bytes: u64) -> Result<Mips64> {
    let mut source = source;
    let machine = Mips64::read_state(&mut source, max_bytes).and_then(|machine| {
        // The end of the file is also where gzip compares its checksum.
        match source.fill_buf().map_err(StateFileError::from)?.is_empty() {
            true => Ok(machine),
            false => Err(StateFileError::Trailing),
        }
    });
    Ok(machine.map_err(|error| FileError::State { path: path.to_owned(), error })?)
}

/// Reads all of `source` unless that is more than `limit` bytes.
fn read_whole(
    source: &mut dyn BufRead,
    path: &Path,
    limit: u64,
    limit_of: &str,
) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, error))?;
    if bytes.len() as u64 > limit {
        return Err(Failure::environment(format!(
            "{} holds more than {limit} bytes, {limit_of}",
            path.display()
        )));
    }
    Ok(bytes)
}

/// Truncated or damaged gzip is the file's fault, not the disk's.
fn unreadable(path: &Path, error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Failure::input(format!(
            "cannot read {}: the compressed data is truncated",
            path.display()
        )),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            Failure::input(format!("cannot read {}: {error}", path.display()))
        }
        _ => Failure::reading(path, &error),
    }
}

/// Unpacks what this binary carries with it.
pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    MultiGzDecoder::new(packed)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::environment(format!("this binary is damaged: {error}")))?;
    Ok(bytes)
}

/// A machine that is ready to run.
pub(crate) struct Loaded {
    pub(crate) machine: Mips64,
    pub(crate) symbols: Symbols,
    /// The recording that it came from, which can be read again for the preimages in it.
    pub(crate) recording: Option<PathBuf>,
}

/// Loads a program, or takes up a state. `meta` names the symbols of a state.
pub(crate) fn load(path: &Path, meta: Option<&Path>, max_bytes: u64) -> Result<Loaded> {
    ready(Artefact::open(path, max_bytes)?, path, meta, max_bytes)
}

/// Makes a machine of what was read from `path`.
pub(crate) fn ready(
    artefact: Artefact,
    path: &Path,
    meta: Option<&Path>,
    max_bytes: u64,
) -> Result<Loaded> {
    let named = meta.map(read_symbols).transpose()?;
    match artefact {
        Artefact::Elf(bytes) => {
            let program = load_program(path, &bytes, max_bytes)?;
            let symbols = named.or(program.symbols).unwrap_or_default();
            Ok(Loaded { machine: Mips64::new(program.state), symbols, recording: None })
        }
        Artefact::State(machine) => {
            let symbols = named.unwrap_or_default();
            Ok(Loaded { machine: *machine, symbols, recording: None })
        }
        Artefact::Json(_) => {
            Err(Failure::input(format!("{} is JSON, not a program or a state", path.display()))
                .hint(format!(
                    "if it is a proof, this shows it: tribunal inspect {}",
                    path.display()
                )))
        }
        Artefact::Recording(recording) => match recording.program {
            Some(state) => {
                let recording = (path.as_os_str() != "-").then(|| path.to_owned());
                Ok(Loaded { recording, ..state_of(&state, path, meta, max_bytes)? })
            }
            None => Err(Failure::input(format!(
                "{} is the recording of a run, and does not hold the program",
                path.display()
            ))
            .hint("name its program here, and the recording itself with --preimages")),
        },
    }
}

/// Makes a machine of the state file in the recording at `path`.
pub(crate) fn state_of(
    state: &[u8],
    path: &Path,
    meta: Option<&Path>,
    max_bytes: u64,
) -> Result<Loaded> {
    let mut source = state;
    let machine = read_state(&mut source, path, max_bytes)?;
    let symbols = meta.map(read_symbols).transpose()?.unwrap_or_default();
    Ok(Loaded { machine, symbols, recording: None })
}

/// Whether a file begins as preimages in JSON do, and a proof does not: with a key.
pub(crate) fn holds_preimages(path: &Path) -> Result<bool> {
    let mut source = open_unpacked(path)?;
    let start = source.fill_buf().map_err(|error| unreadable(path, error))?;
    let mut words = start.iter().filter(|byte| !byte.is_ascii_whitespace());
    Ok(b"{\"0x".iter().all(|wanted| words.next() == Some(wanted)))
}

/// Makes the state before the first step.
pub(crate) fn load_program(
    path: &Path,
    bytes: &[u8],
    max_bytes: u64,
) -> Result<tribunal_mips64::Program> {
    load_elf(bytes, max_bytes).map_err(|error| {
        let message = format!("cannot load {}: {error}", path.display());
        match error {
            ElfError::NoRoomForStack { .. } => {
                Failure::environment(message).hint("allow more with --memory-limit")
            }
            _ => Failure::input(message),
        }
    })
}

/// Reads a program file.
pub(crate) fn read_program(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    let failure = match Artefact::open(path, max_bytes) {
        Ok(Artefact::Elf(bytes)) => return Ok(bytes),
        Ok(_) => Failure::input(format!("{} is not a program (ELF)", path.display())),
        Err(failure) if path.exists() => return Err(failure),
        Err(failure) => failure,
    };
    Err(failure.hint("`tribunal build` compiles a program and says where it is"))
}

/// The proof that the text of a file is.
pub(crate) fn parse_proof(path: &Path, text: &[u8]) -> Result<ProofFile> {
    serde_json::from_slice(text)
        .map_err(|error| Failure::input(format!("{} is not a proof: {error}", path.display())))
}

/// Reads the proofs in a file: one as `run --proof-at` writes it, or many as `sample --proof` does.
/// There is at least one.
pub(crate) fn read_proofs(path: &Path) -> Result<Vec<ProofFile>> {
    let text = read_whole(&mut open_unpacked(path)?, path, PROOF_LIMIT, "more than any proof")?;
    let name = path.display();
    let not_a_proof = |why: &str| Failure::input(format!("{name} is not a proof: {why}"));
    if text.is_empty() {
        return Err(not_a_proof("it is empty"));
    }
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(not_a_proof("it is no JSON object")
            .hint("run --proof-at and sample --proof write proofs; to see what this is: inspect"));
    }
    let proofs = serde_json::Deserializer::from_slice(&text).into_iter();
    proofs.collect::<serde_json::Result<_>>().map_err(|error| not_a_proof(&error.to_string()))
}

/// Reads a file of text.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let bytes = read_whole(&mut open_unpacked(path)?, path, PROOF_LIMIT, "more than any list")?;
    String::from_utf8(bytes).map_err(|_| Failure::input(format!("{} is not text", path.display())))
}

/// Reads a compiled contract.
pub(crate) fn read_artifact(path: &Path) -> Result<Artifact> {
    let text =
        read_whole(&mut open_unpacked(path)?, path, ARTIFACT_LIMIT, "more than any contract")?;
    Artifact::from_file(&text)
        .map_err(|error| Failure::input(format!("cannot use {}: {error}", path.display())))
}

/// Reads the symbols that `load-elf --meta` wrote.
pub(crate) fn read_symbols(path: &Path) -> Result<Symbols> {
    let file = File::open(path).map_err(|error| Failure::reading(path, &error))?;
    let mut source = BufReader::with_capacity(1 << 16, file);
    let text = if tribunal_machine::is_gzip(path) {
        let mut unpacked = BufReader::new(MultiGzDecoder::new(source));
        read_whole(&mut unpacked, path, SYMBOLS_LIMIT, "more than any symbols")?
    } else {
        read_whole(&mut source, path, SYMBOLS_LIMIT, "more than any symbols")?
    };
    serde_json::from_slice(&text).map_err(|error| {
        Failure::input(format!("{} does not hold symbols: {error}", path.display()))
    })
}
