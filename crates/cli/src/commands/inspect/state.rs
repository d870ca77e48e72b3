//! A state: where it is, its threads, its memory.

use std::fmt::{self, Write as _};

use serde::Serialize;
use tribunal_keccak::Hash;
use tribunal_machine::{Hex, Machine as _, Symbols};
use tribunal_memory::PAGE_SIZE;
use tribunal_mips64::{
    LlReservation, Mips64, REGISTER_NAMES, State, Thread, VERSION_NAME, disassemble,
};
use tribunal_preimage::Key;

use super::{field, hex_of, hex_word, key_kind};
use crate::symbol::name_at;
use crate::units::{Bytes, Count};

/// What there is to see of a state.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StateView {
    kind: &'static str,
    version: &'static str,
    step: u64,
    exit_code: Option<u8>,
    state_hash: Hex<Hash>,
    memory_root: Hex<Hash>,
    pages: u64,
    memory_bytes: u64,
    ranges: Vec<Range>,
    heap: String,
    preimage_key: Hex<Hash>,
    preimage_offset: u64,
    reservation: Option<ReservationView>,
    pending_hint_bytes: usize,
    steps_since_switch: u64,
    active_stack: &'static str,
    next_thread_id: u64,
    /// The active one first, then in the order of their turns.
    threads: Vec<ThreadView>,
}

/// Pages without a gap between them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Range {
    start: String,
    pages: u64,
    #[serde(skip)]
    first_page: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReservationView {
    by: &'static str,
    address: String,
    thread: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ThreadView {
    id: u64,
    stack: &'static str,
    active: bool,
    exit_code: Option<u8>,
    pc: String,
    next_pc: String,
    symbol: Option<String>,
    instruction: String,
    lo: String,
    hi: String,
    registers: Registers,
}

/// By name, in their order.
struct Registers([u64; 32]);

impl Serialize for Registers {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            REGISTER_NAMES.iter().zip(self.0).map(|(name, word)| (name, hex_word(word))),
        )
    }
}

impl StateView {
    pub(super) fn of(mut machine: Mips64, symbols: &Symbols) -> Self {
        let state_hash = Hex(machine.state_hash());
        let mut state = machine.into_state();
        let memory_root = Hex(state.memory.root());
        let pages = state.memory.page_count() as u64;
        Self {
            kind: "state",
            version: VERSION_NAME,
            step: state.step,
            exit_code: state.exit_code(),
            state_hash,
            memory_root,
            pages,
            memory_bytes: pages * PAGE_SIZE as u64,
            ranges: ranges(&state),
            heap: hex_word(state.heap),
            preimage_key: Hex(state.preimage_key),
            preimage_offset: state.preimage_offset,
            reservation: reservation(&state.reservation),
            pending_hint_bytes: state.last_hint.len(),
            steps_since_switch: state.steps_since_switch,
            active_stack: if state.traverse_right == 0 { "left" } else { "right" },
            next_thread_id: state.next_thread_id,
            threads: threads(&state, symbols),
        }
    }

    pub(super) fn write(&self, text: &mut String) -> fmt::Result {
        let status = match self.exit_code {
            None => "running".to_owned(),
            Some(code) => format!("exited with code {code}"),
        };
        writeln!(text, "state of {} at step {}, {status}", self.version, Count(self.step))?;
        field(text, "state hash", hex_of(&self.state_hash.0))?;
        field(text, "memory root", hex_of(&self.memory_root.0))?;
        let memory =
            format_args!("{} in {} pages", Bytes(self.memory_bytes), Count(self.pages)).to_string();
        field(text, "memory", memory)?;
        for range in self.ranges.iter().take(SHOWN_RANGES) {
            let start = range.first_page * PAGE_SIZE as u64;
            let bytes = range.pages * PAGE_SIZE as u64;
            let last = start.wrapping_add(bytes - 1);
            field(text, "", format_args!("{start:#018x} to {last:#018x}  {}", Bytes(bytes)))?;
        }
        if let Some(more) = self.ranges.len().checked_sub(SHOWN_RANGES).filter(|&more| more > 0) {
            field(text, "", format_args!("and {more} more ranges; --json shows all"))?;
        }
        field(text, "heap", format_args!("next at {}", self.heap))?;
        let key = Key::from_bytes(self.preimage_key.0);
        field(text, "preimage", format_args!("{key} ({})", key_kind(&key)))?;
        field(text, "", format_args!("next read at offset {}", self.preimage_offset))?;
        match &self.reservation {
            None => field(text, "reservation", "none")?,
            Some(ReservationView { by, address, thread }) => field(
                text,
                "reservation",
                format_args!("of {address}, made by {by} of thread {thread}"),
            )?,
        }
        field(text, "hint", format_args!("{} bytes pending", self.pending_hint_bytes))?;
        field(
            text,
            "threads",
            format_args!(
                "{} on two stacks, the {} one active for {} steps; the next is number {}",
                self.threads.len(),
                self.active_stack,
                Count(self.steps_since_switch),
                self.next_thread_id
            ),
        )?;
        self.threads.iter().try_for_each(|thread| thread.write(text))
    }
}

impl ThreadView {
    fn of(thread: &Thread, state: &State, symbols: &Symbols) -> Self {
        let word = state.memory.peek(thread.pc);
        let instruction = (word >> if thread.pc & 4 == 0 { 32 } else { 0 }) as u32;
        Self {
            id: thread.id,
            stack: "",
            active: false,
            exit_code: (thread.exited != 0).then_some(thread.exit_code),
            pc: hex_word(thread.pc),
            next_pc: hex_word(thread.next_pc),
            symbol: name_at(symbols, thread.pc),
            instruction: disassemble(instruction, thread.pc),
            lo: hex_word(thread.lo),
            hi: hex_word(thread.hi),
            registers: Registers(thread.registers),
        }
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        let active = if self.active { ", active" } else { "" };
        let exited = match self.exit_code {
            None => String::new(),
            Some(code) => format!(", exited with code {code}"),
        };
        writeln!(text, "\nthread {} ({} stack{active}{exited})", self.id, self.stack)?;
        let symbol = match &self.symbol {
            None => String::new(),
            Some(name) => format!(" in `{name}`"),
        };
        writeln!(text, "  pc    {}{symbol}: {}", self.pc, self.instruction)?;
        writeln!(text, "  then  {}", self.next_pc)?;
        writeln!(text, "  lo {}  hi {}", self.lo, self.hi)?;
        let registers: Vec<_> = REGISTER_NAMES.iter().zip(self.registers.0).collect();
        for row in registers.chunks(4) {
            for (name, word) in row {
                write!(text, "  {name:>4} {word:016x}")?;
            }
            writeln!(text)?;
        }
        Ok(())
    }
}

fn ranges(state: &State) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    for (index, _) in state.memory.pages() {
        match ranges.last_mut() {
            Some(range) if range.first_page + range.pages == index => range.pages += 1,
            _ => ranges.push(Range {
                start: hex_word(index * PAGE_SIZE as u64),
                pages: 1,
                first_page: index,
            }),
        }
    }
    ranges
}

fn reservation(reservation: &LlReservation) -> Option<ReservationView> {
    let by = match reservation.status {
        0 => return None,
        1 => "ll",
        _ => "lld",
    };
    let address = hex_word(reservation.address);
    Some(ReservationView { by, address, thread: reservation.owner })
}

fn threads(state: &State, symbols: &Symbols) -> Vec<ThreadView> {
    let stacks = [("left", &state.left), ("right", &state.right)];
    let stacks = match state.traverse_right {
        0 => stacks,
        _ => [stacks[1], stacks[0]],
    };
    let mut views: Vec<ThreadView> = Vec::new();
    for (stack, threads) in stacks {
        for thread in threads.as_slice().iter().rev() {
            views.push(ThreadView { stack, ..ThreadView::of(thread, state, symbols) });
        }
    }
    if let Some(first) = views.first_mut() {
        first.active = true;
    }
    views
}

/// Ranges of memory that people are shown.
const SHOWN_RANGES: usize = 24;
