//! The machine's state: memory, threads on two stacks, and a few scalars.
//!
//! Fields that the contract treats as booleans stay bytes here: it keeps what it does not write,
//! so a state with another value than 0 or 1 must keep it too.

use tribunal_keccak::{Hash, hash_pair, keccak256};
use tribunal_memory::{Memory, PAGE_SIZE, Pages, Storage};

use crate::witness::{EMPTY_STACK_ROOT, THREAD_WITNESS_BYTES};

/// Where `mmap` begins to hand out memory.
pub const HEAP_START: u64 = 0x0000_1000_0000_0000;
/// Where `mmap` has no more to hand out.
pub const HEAP_END: u64 = 0x0000_6000_0000_0000;
/// What `brk` answers, always.
pub const PROGRAM_BREAK: u64 = 0x0000_4000_0000_0000;
/// The stack pointer of a program that was just loaded.
pub const INITIAL_SP: u64 = 0x0000_7fff_ffff_f000;
/// The last address a program may be loaded at.
pub const USER_ADDRESS_LIMIT: u64 = (1 << 48) - 1;
/// Steps a thread may take before another one's turn.
pub const QUANTUM: u64 = 100_000;

/// A state of the machine (spec: MIPS64 FPVM §1.2).
#[derive(Clone, Debug)]
pub struct State<S: Storage = Pages> {
    /// Memory.
    pub memory: Memory<S>,
    /// The preimage that reads of fd 5 read.
    pub preimage_key: [u8; 32],
    /// Where the next read begins, the 8 bytes of the length prefix counted.
    pub preimage_offset: u64,
    /// Where the next `mmap` begins.
    pub heap: u64,
    /// Who may store conditionally where.
    pub reservation: LlReservation,
    /// The program's exit code, meaningless before `exited`.
    pub exit_code: u8,
    /// Whether the program has exited: 0 or 1; anything else is refused by the next step.
    pub exited: u8,
    /// Steps taken.
    pub step: u64,
    /// Steps since a thread was last put on or taken off a stack.
    pub steps_since_switch: u64,
    /// Which stack the active thread is on top of: 0 is the left one.
    pub traverse_right: u8,
    /// Threads.
    pub left: ThreadStack,
    /// Threads.
    pub right: ThreadStack,
    /// The id of the next thread that is made.
    pub next_thread_id: u64,
    /// Bytes written to fd 4 that are no whole hint yet. Not part of the witness.
    pub last_hint: Vec<u8>,
}

impl State {
    /// A state without memory whose only thread stands at `pc`.
    pub fn new(pc: u64) -> Self {
        let mut left = ThreadStack::default();
        left.push(Thread { pc, next_pc: pc.wrapping_add(4), ..Thread::default() });
        Self {
            memory: Memory::new(),
            preimage_key: [0; 32],
            preimage_offset: 0,
            heap: HEAP_START,
            reservation: LlReservation::default(),
            exit_code: 0,
            exited: 0,
            step: 0,
            steps_since_switch: 0,
            traverse_right: 0,
            left,
            right: ThreadStack::default(),
            next_thread_id: 1,
            last_hint: Vec::new(),
        }
    }
}

impl<S: Storage> State<S> {
    /// The same state, its memory kept by another storage, which is empty.
    pub fn move_to<T: Storage>(self, storage: T) -> State<T> {
        State {
            memory: self.memory.move_to(storage),
            preimage_key: self.preimage_key,
            preimage_offset: self.preimage_offset,
            heap: self.heap,
            reservation: self.reservation,
            exit_code: self.exit_code,
            exited: self.exited,
            step: self.step,
            steps_since_switch: self.steps_since_switch,
            traverse_right: self.traverse_right,
            left: self.left,
            right: self.right,
            next_thread_id: self.next_thread_id,
            last_hint: self.last_hint,
        }
    }

    /// The exit code, once there is one.
    pub fn exit_code(&self) -> Option<u8> {
        (self.exited == 1).then_some(self.exit_code)
    }

    /// The stack whose top is the active thread.
    #[inline]
    pub fn active_stack(&self) -> &ThreadStack {
        if self.traverse_right == 0 { &self.left } else { &self.right }
    }

    /// The stack whose top is the active thread.
    #[inline]
    pub fn active_stack_mut(&mut self) -> &mut ThreadStack {
        if self.traverse_right == 0 { &mut self.left } else { &mut self.right }
    }

    /// Threads on both stacks, exited ones included.
    pub fn thread_count(&self) -> usize {
        self.left.len() + self.right.len()
    }

    /// Bytes of memory, threads and pending hint.
    pub fn bytes(&self) -> u64 {
        let pages = self.memory.page_count() * PAGE_SIZE;
        let threads = self.thread_count() * THREAD_WITNESS_BYTES;
        (pages + threads + self.last_hint.len()) as u64
    }
}

/// What load-linked reserved (ll, lld) for a store-conditional (sc, scd).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LlReservation {
    /// 0 none, 1 made by ll, 2 made by lld.
    pub status: u8,
    /// The address as ll or lld was given it, unaligned if it was.
    pub address: u64,
    /// The thread that made it.
    pub owner: u64,
}

/// A thread (spec: MIPS64 FPVM §1.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thread {
    /// Its id.
    pub id: u64,
    /// Its exit code.
    pub exit_code: u8,
    /// Whether it has exited: anything but 0 is yes.
    pub exited: u8,
    /// The address of the next instruction.
    pub pc: u64,
    /// The address of the one after it: `pc + 4`, or the target of a branch.
    pub next_pc: u64,
    /// Quotients and low halves.
    pub lo: u64,
    /// Remainders and high halves.
    pub hi: u64,
    /// Registers. Nothing writes register 0; a state in which it is not 0 keeps that.
    pub registers: [u64; 32],
}

/// A stack of threads, and the hash onion over it.
///
/// Only the top of a stack ever changes, so what lies below it is hashed once.
#[derive(Clone, Debug, Default)]
pub struct ThreadStack {
    /// Bottom to top.
    threads: Vec<Thread>,
    /// The root of the stack of the first `i + 1` threads, at place `i`; shorter than `threads`.
    roots: Vec<Hash>,
}

impl ThreadStack {
    /// A stack of these threads, bottom to top.
    pub fn new(threads: Vec<Thread>) -> Self {
        Self { threads, roots: Vec::new() }
    }

    /// The threads, bottom to top.
    pub fn as_slice(&self) -> &[Thread] {
        &self.threads
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.threads.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// The thread on top.
    #[inline]
    pub fn top(&self) -> Option<&Thread> {
        self.threads.last()
    }

    /// The thread on top.
    #[inline]
    pub fn top_mut(&mut self) -> Option<&mut Thread> {
        self.threads.last_mut()
    }

    /// Puts a thread on top.
    pub fn push(&mut self, thread: Thread) {
        self.threads.push(thread);
    }

    /// Takes the thread on top off.
    pub fn pop(&mut self) -> Option<Thread> {
        let thread = self.threads.pop();
        self.roots.truncate(self.threads.len().saturating_sub(1));
        thread
    }

    /// The root of the whole stack.
    pub fn root(&mut self) -> Hash {
        let below = self.root_below_top();
        match self.threads.last() {
            Some(top) => push_root(&below, top),
            None => below,
        }
    }

    /// The root of the stack without its top.
    pub fn root_below_top(&mut self) -> Hash {
        let settled = self.threads.len().saturating_sub(1);
        let mut root = self.roots.last().copied().unwrap_or(EMPTY_STACK_ROOT);
        for thread in self.threads.get(self.roots.len()..settled).unwrap_or_default() {
            root = push_root(&root, thread);
            self.roots.push(root);
        }
        root
    }
}

fn push_root(below: &Hash, thread: &Thread) -> Hash {
    hash_pair(below, &keccak256(&thread.witness()))
}
