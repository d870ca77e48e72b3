//! The bytes of a state file, in Cannon's order (spec: MIPS64 FPVM §1.6).

use std::io::{self, Read, Write};

use tribunal_machine::StateFileError;
use tribunal_memory::{Memory, PAGE_SIZE, PageData, Storage};

use crate::state::{LlReservation, State, Thread, ThreadStack};
use crate::witness::THREAD_WITNESS_BYTES;
use crate::{KNOWN_VERSIONS, STATE_VERSION, VERSION_NAME};

/// Page indices have 52 bits.
const LAST_PAGE: u64 = (1 << 52) - 1;

pub(crate) fn write<S: Storage>(state: &State<S>, sink: &mut dyn Write) -> io::Result<()> {
    sink.write_all(&[STATE_VERSION])?;
    put(sink, state.memory.page_count() as u64)?;
    for (index, data) in state.memory.pages() {
        put(sink, index)?;
        sink.write_all(&*data)?;
    }
    sink.write_all(&state.preimage_key)?;
    put(sink, state.preimage_offset)?;
    put(sink, state.heap)?;
    sink.write_all(&[state.reservation.status])?;
    put(sink, state.reservation.address)?;
    put(sink, state.reservation.owner)?;
    sink.write_all(&[state.exit_code, state.exited])?;
    put(sink, state.step)?;
    put(sink, state.steps_since_switch)?;
    sink.write_all(&[state.traverse_right])?;
    put(sink, state.next_thread_id)?;
    for stack in [&state.left, &state.right] {
        put(sink, stack.len() as u64)?;
        for thread in stack.as_slice() {
            sink.write_all(&thread.witness())?;
        }
    }
    // A pending hint is far below 4 GiB: see `MAX_WRITE`.
    sink.write_all(&(state.last_hint.len() as u32).to_be_bytes())?;
    sink.write_all(&state.last_hint)
}

fn put(sink: &mut dyn Write, word: u64) -> io::Result<()> {
    sink.write_all(&word.to_be_bytes())
}

/// Reads a state that takes at most `max_bytes` bytes into `storage`, which is empty.
///
/// Nothing is allocated for what a length promises, only for what is there.
pub(crate) fn read<S: Storage>(
    source: &mut dyn Read,
    storage: S,
    max_bytes: u64,
) -> Result<State<S>, StateFileError> {
    let mut source = Source { source, left: max_bytes, limit: max_bytes };
    read_version(&mut source)?;
    let memory = read_memory(&mut source, storage)?;
    read_rest(&mut source, memory)
}

/// Reads what a [`Splitter`] left of a state whose pages are in `memory`.
pub(crate) fn read_split(
    rest: &[u8],
    memory: Memory,
    max_bytes: u64,
) -> Result<State, StateFileError> {
    let mut unread = rest;
    let mut source = Source { source: &mut unread, left: max_bytes, limit: max_bytes };
    source.charge((memory.page_count() * PAGE_SIZE) as u64)?;
    read_version(&mut source)?;
    let state = read_rest(&mut source, memory)?;
    match unread.is_empty() {
        true => Ok(state),
        false => Err(StateFileError::Trailing),
    }
}

/// Takes a state apart while a machine writes it ([`tribunal_machine::Machine::write_state`]): each
/// page is handed over with its index, the rest is kept.
pub struct Splitter<F> {
    page: F,
    rest: Vec<u8>,
    /// Pages that are still to come, once that is known.
    pages: Option<u64>,
    /// What has come of the version and the number of pages, or of a page.
    pending: Vec<u8>,
}

/// The version and the number of pages.
const HEAD_BYTES: usize = 9;

impl<F: FnMut(u64, &PageData) -> io::Result<()>> Splitter<F> {
    /// Hands each page to `page`, whose error ends the writing.
    pub fn new(page: F) -> Self {
        Self { page, rest: Vec::new(), pages: None, pending: Vec::new() }
    }

    /// What the state holds besides pages: [`crate::Mips64::from_split`] reads it.
    pub fn into_rest(self) -> Vec<u8> {
        self.rest
    }

    /// Takes what is needed of `bytes` for `wanted` bytes to be pending; true once they are.
    fn collect(&mut self, bytes: &mut &[u8], wanted: usize) -> bool {
        let (taken, left) = bytes.split_at(bytes.len().min(wanted - self.pending.len()));
        self.pending.extend_from_slice(taken);
        *bytes = left;
        self.pending.len() == wanted
    }
}

impl<F: FnMut(u64, &PageData) -> io::Result<()>> Write for Splitter<F> {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len();
        while !bytes.is_empty() {
            match self.pages {
                None => {
                    if self.collect(&mut bytes, HEAD_BYTES)
                        && let Some((version, count)) = self.pending.split_first()
                        && let Ok(count) = count.try_into()
                    {
                        self.rest.push(*version);
                        self.pages = Some(u64::from_be_bytes(count));
                        self.pending.clear();
                    }
                }
                Some(0) => {
                    self.rest.extend_from_slice(bytes);
                    bytes = &[];
                }
                Some(pages) => {
                    if self.collect(&mut bytes, 8 + PAGE_SIZE)
                        && let Some((index, data)) = self.pending.split_first_chunk()
                        && let Ok(data) = data.try_into()
                    {
                        (self.page)(u64::from_be_bytes(*index), data)?;
                        self.pages = Some(pages - 1);
                        self.pending.clear();
                    }
                }
            }
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn read_version(source: &mut Source<'_>) -> Result<(), StateFileError> {
    let [version] = source.take("the version")?;
    if version != STATE_VERSION {
        let name = KNOWN_VERSIONS.get(usize::from(version)).copied();
        return Err(StateFileError::Version {
            found: version,
            name: name.unwrap_or("no version that was ever published"),
            expected: VERSION_NAME,
        });
    }
    Ok(())
}

/// What follows the pages.
fn read_rest<S: Storage>(
    source: &mut Source<'_>,
    memory: Memory<S>,
) -> Result<State<S>, StateFileError> {
    let preimage_key = source.take("the preimage key")?;
    let preimage_offset = source.word("the preimage offset")?;
    let heap = source.word("the heap pointer")?;
    let [status] = source.take("the reservation status")?;
    let address = source.word("the reserved address")?;
    let owner = source.word("the owner of the reservation")?;
    let [exit_code, exited] = source.take("the exit code")?;
    let step = source.word("the step counter")?;
    let steps_since_switch = source.word("the steps since the last switch")?;
    let [traverse_right] = source.take("the traversal direction")?;
    let next_thread_id = source.word("the next thread id")?;
    let left = read_stack(source, "the left thread stack")?;
    let right = read_stack(source, "the right thread stack")?;
    let last_hint = read_hint(source)?;
    for (what, found, most) in [
        ("the reservation status", status, 2),
        ("the exited byte", exited, 1),
        ("the traversal direction", traverse_right, 1),
    ] {
        if found > most {
            return Err(StateFileError::Value { what, found: found.into() });
        }
    }
    Ok(State {
        memory,
        preimage_key,
        preimage_offset,
        heap,
        reservation: LlReservation { status, address, owner },
        exit_code,
        exited,
        step,
        steps_since_switch,
        traverse_right,
        left,
        right,
        next_thread_id,
        last_hint,
    })
}

fn read_memory<S: Storage>(
    source: &mut Source<'_>,
    storage: S,
) -> Result<Memory<S>, StateFileError> {
    let mut memory = Memory::over(storage);
    let mut data = [0; PAGE_SIZE];
    // One more than the highest index so far: what lies behind cannot be there yet.
    let mut behind = 0;
    for _ in 0..source.word("the number of pages")? {
        let index = source.word("the index of a page")?;
        if index > LAST_PAGE {
            return Err(StateFileError::Value { what: "the index of a page", found: index });
        }
        if index < behind && memory.has_page(index) {
            return Err(StateFileError::DuplicatePage { index });
        }
        behind = behind.max(index + 1);
        source.charge(PAGE_SIZE as u64)?;
        source.fill(&mut data, "a page")?;
        memory.write(index * PAGE_SIZE as u64, &data);
    }
    Ok(memory)
}

fn read_stack(source: &mut Source<'_>, what: &'static str) -> Result<ThreadStack, StateFileError> {
    let mut threads = Vec::new();
    for _ in 0..source.word(what)? {
        source.charge(THREAD_WITNESS_BYTES as u64)?;
        let thread = Thread::from_witness(&source.take(what)?);
        if thread.exited > 1 {
            let what = "the exited byte of a thread";
            return Err(StateFileError::Value { what, found: thread.exited.into() });
        }
        threads.push(thread);
    }
    Ok(ThreadStack::new(threads))
}

fn read_hint(source: &mut Source<'_>) -> Result<Vec<u8>, StateFileError> {
    let length = u32::from_be_bytes(source.take("the length of the pending hint")?);
    source.charge(length.into())?;
    let mut hint = Vec::new();
    source.source.take(length.into()).read_to_end(&mut hint)?;
    if hint.len() < length as usize {
        return Err(StateFileError::Truncated { within: "the pending hint" });
    }
    Ok(hint)
}

/// Bytes that may end too early, and may be too many.
struct Source<'a> {
    source: &'a mut dyn Read,
    left: u64,
    limit: u64,
}

impl Source<'_> {
    fn take<const N: usize>(&mut self, within: &'static str) -> Result<[u8; N], StateFileError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, within)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8], within: &'static str) -> Result<(), StateFileError> {
        match self.source.read_exact(bytes) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(StateFileError::Truncated { within })
            }
            Err(error) => Err(StateFileError::Read(error)),
        }
    }

    fn word(&mut self, within: &'static str) -> Result<u64, StateFileError> {
        self.take(within).map(u64::from_be_bytes)
    }

    /// Counts `bytes` against the limit.
    fn charge(&mut self, bytes: u64) -> Result<(), StateFileError> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(StateFileError::TooLarge { limit: self.limit }),
        }
    }
}
