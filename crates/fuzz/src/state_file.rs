//! State files: of random states, in another order, damaged, and compressed.

use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;
use tribunal_conformance::{Random, generate, generate_program};
use tribunal_machine::{Machine, ReadState, load_state, save_state};
use tribunal_memory::PAGE_SIZE;
use tribunal_mips64::{Mips64, State};

use crate::mutate::{mutate, noise};
use crate::{Verdict, ensure};

/// Bytes of a page in a file: its index, then what it holds.
const PAGE_RECORD: usize = 8 + PAGE_SIZE;
/// Where pages begin in a file: behind the version and their number.
const FIRST_PAGE: usize = 9;

/// A folder for the inputs that have to be files.
pub(crate) struct Files {
    folder: TempDir,
}

impl Files {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { folder: tempfile::Builder::new().prefix("tribunal-fuzz-").tempdir()? })
    }

    pub(crate) fn check(&mut self, random: &mut Random) -> Result<Verdict, String> {
        let limit = random.pick(&[0, 3000, 16 << 20, 16 << 20, 16 << 20, u64::MAX]);
        let bytes = bytes(random);
        let machine = check_bytes(&bytes, limit, random)?;
        if random.once_in(4) {
            self.check_file(&bytes, limit, machine.as_ref(), random)?;
        }
        Ok(if machine.is_some() { Verdict::Taken } else { Verdict::Refused })
    }

    /// What is in a file is what it would be without one; a damaged file is what it was or nothing.
    fn check_file(
        &self,
        bytes: &[u8],
        limit: u64,
        expected: Option<&Mips64>,
        random: &mut Random,
    ) -> Result<(), String> {
        let say = |error: io::Error| error.to_string();
        // Bytes behind the end are not looked at in a stream, but they are in a file.
        let whole = expected.is_some_and(|machine| to_bytes(machine).len() == bytes.len());

        let plain = self.path("state.bin");
        fs::write(&plain, bytes).map_err(say)?;
        let loaded = load_state::<Mips64>(&plain, limit);
        ensure(loaded.is_ok() == whole, || format!("plain file: {:?}", loaded.err()))?;

        let mut compressed = GzEncoder::new(Vec::new(), Compression::fast());
        compressed.write_all(bytes).map_err(say)?;
        let mut compressed = compressed.finish().map_err(say)?;
        let zipped = self.path("state.bin.gz");
        fs::write(&zipped, &compressed).map_err(say)?;
        let loaded = load_state::<Mips64>(&zipped, limit);
        ensure(loaded.is_ok() == whole, || format!("compressed file: {:?}", loaded.err()))?;

        let length = compressed.len();
        mutate(&mut compressed, random.pick(&[20, length]), random);
        fs::write(&zipped, &compressed).map_err(say)?;
        if let Ok(loaded) = load_state::<Mips64>(&zipped, limit) {
            let same = whole && expected.is_some_and(|e| to_bytes(e) == to_bytes(&loaded));
            ensure(same, || "a damaged compressed file holds another state".into())?;
        }

        if let Some(machine) = expected {
            let path = if random.once_in(2) { &plain } else { &zipped };
            save_state(machine, path).map_err(|error| error.to_string())?;
            let loaded = load_state::<Mips64>(path, limit).map_err(|error| error.to_string())?;
            let same = to_bytes(machine) == to_bytes(&loaded);
            ensure(same, || "another state was saved".into())?;
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn bytes(random: &mut Random) -> Vec<u8> {
    let seed = random.number();
    let start = if random.once_in(4) { generate_program(seed) } else { generate(seed) };
    let mut bytes = to_bytes(&Mips64::new(start.state));
    if random.once_in(4) {
        shuffle_pages(&mut bytes, random);
    }
    match random.below(16) {
        0 => noise(random, 400),
        1 => [&[8], noise(random, 400).as_slice()].concat(),
        2..6 => bytes,
        6..10 => {
            // Behind the pages, where most fields are.
            let pages = pages(&bytes).map_or(0, |pages| FIRST_PAGE + pages.len() * PAGE_RECORD);
            let mut tail = bytes.split_off(pages.min(bytes.len()));
            mutate(&mut tail, 200, random);
            [bytes, tail].concat()
        }
        _ => {
            mutate(&mut bytes, 17, random);
            bytes
        }
    }
}

/// Puts the pages of a file into another order.
fn shuffle_pages(bytes: &mut [u8], random: &mut Random) {
    let Some(count) = pages(bytes).map(|pages| pages.len()) else { return };
    for place in 1..count {
        let other = random.index(place + 1);
        for byte in 0..PAGE_RECORD {
            let at = |place| FIRST_PAGE + place * PAGE_RECORD + byte;
            bytes.swap(at(place), at(other));
        }
    }
}

/// The indices of the pages of a file, in its order; `None` if it promises more than it has.
fn pages(bytes: &[u8]) -> Option<Vec<u64>> {
    let count = u64::from_be_bytes(*bytes.get(1..)?.first_chunk()?);
    let records = bytes[FIRST_PAGE..].as_chunks::<PAGE_RECORD>().0;
    let records = records.get(..usize::try_from(count).ok()?)?;
    let index = |record: &[u8; PAGE_RECORD]| {
        record.first_chunk().map_or(0, |index| u64::from_be_bytes(*index))
    };
    Some(records.iter().map(index).collect())
}

/// Reads `bytes` as a stream that may go on; the machine they hold, if they do.
fn check_bytes(bytes: &[u8], limit: u64, random: &mut Random) -> Result<Option<Mips64>, String> {
    let mut rest = bytes;
    let result = Mips64::read_state(&mut rest, limit);
    let mut trickle = Trickle { bytes, random: random.clone() };
    let in_pieces = Mips64::read_state(&mut trickle, limit);
    let mut machine = match (result, in_pieces) {
        (Ok(machine), Ok(_)) => machine,
        (Err(a), Err(b)) => {
            let (a, b) = (a.to_string(), b.to_string());
            ensure(!a.is_empty() && a == b, || format!("in pieces \"{b}\", at once \"{a}\""))?;
            return Ok(None);
        }
        (a, b) => return Err(format!("in pieces {:?}, at once {:?}", b.err(), a.err())),
    };
    let read = &bytes[..bytes.len() - rest.len()];
    let written = to_bytes(&machine);
    ensure(written.len() == read.len(), || {
        format!("{} bytes were read, {} are written", read.len(), written.len())
    })?;
    let in_order = pages(read).is_some_and(|pages| pages.is_sorted());
    ensure(!in_order || written == read, || "what was read is not what is written".into())?;
    let size = machine.state_bytes();
    ensure(size <= limit, || format!("a state of {size} bytes, the limit is {limit}"))?;
    ensure(machine.witness().len() == 188, || "no witness".into())?;
    check_round_trip(machine.state())?;
    Ok(Some(machine))
}

/// A state that was written is read as it was, if it is one that files may hold.
pub(crate) fn check_round_trip(state: &State) -> Result<(), String> {
    let mut machine = Mips64::new(state.clone());
    let written = to_bytes(&machine);
    let mut again = Mips64::read_state(&mut written.as_slice(), machine.state_bytes())
        .map_err(|error| format!("a state that was written cannot be read: {error}"))?;
    ensure(to_bytes(&again) == written, || "what was written is not what is read".into())?;
    ensure(again.witness() == machine.witness(), || "reading changes the witness".into())
}

/// The bytes of a state file.
pub(crate) fn to_bytes(machine: &Mips64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A Vec takes everything.
    let written = machine.write_state(&mut bytes);
    debug_assert!(written.is_ok());
    bytes
}

/// Gives its bytes in pieces of any size, interrupted now and then.
struct Trickle<'a> {
    bytes: &'a [u8],
    random: Random,
}

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.random.once_in(16) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let most = buffer.len().min(self.bytes.len()).min(3000);
        let length = if most == 0 { 0 } else { 1 + self.random.index(most) };
        let (piece, rest) = self.bytes.split_at(length);
        buffer[..length].copy_from_slice(piece);
        self.bytes = rest;
        Ok(length)
    }
}
