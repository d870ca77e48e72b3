//! The bytes of a state file, in Cannon's order (spec: MIPS64 FPVM §1.6).

use std::io::{self, Read, Write};

use tribunal_machine::StateFileError;
use tribunal_memory::{Memory, PAGE_SIZE, Storage};

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
        sink.write_all(data)?;
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

/// Reads a state that takes at most `max_bytes` bytes.
///
/// Nothing is allocated for what a length promises, only for what is there.
pub(crate) fn read(source: &mut dyn Read, max_bytes: u64) -> Result<State, StateFileError> {
    let mut source = Source { source, left: max_bytes, limit: max_bytes };
    let [version] = source.take("the version")?;
    if version != STATE_VERSION {
        let name = KNOWN_VERSIONS.get(usize::from(version)).copied();
        return Err(StateFileError::Version {
            found: version,
            name: name.unwrap_or("no version that was ever published"),
            expected: VERSION_NAME,
        });
    }
    let memory = read_memory(&mut source)?;
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
    let left = read_stack(&mut source, "the left thread stack")?;
    let right = read_stack(&mut source, "the right thread stack")?;
    let last_hint = read_hint(&mut source)?;
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

fn read_memory(source: &mut Source<'_>) -> Result<Memory, StateFileError> {
    let mut memory = Memory::new();
    for _ in 0..source.word("the number of pages")? {
        let index = source.word("the index of a page")?;
        if index > LAST_PAGE {
            return Err(StateFileError::Value { what: "the index of a page", found: index });
        }
        if memory.has_page(index) {
            return Err(StateFileError::DuplicatePage { index });
        }
        source.charge(PAGE_SIZE as u64)?;
        let data: [u8; PAGE_SIZE] = source.take("a page")?;
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
        match self.source.read_exact(&mut bytes) {
            Ok(()) => Ok(bytes),
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
