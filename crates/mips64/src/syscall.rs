//! Syscalls: the part of Linux (n64 ABI) that the machine has (spec: MIPS64 FPVM §1.8).
//!
//! A result goes to $2 and 0 to $7; an error number goes to $2 and all ones to $7.

use std::sync::Arc;

use tribunal_machine::{Host, Stream};
use tribunal_memory::Storage;
use tribunal_preimage::Key;

use crate::execute::{GuestFault, clear_reservation_at, word_32};
use crate::state::{HEAP_END, PROGRAM_BREAK, Thread};
use crate::step::Recorder;
use crate::{CachedPreimage, Mips64};

/// A syscall that the machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syscall {
    /// Its number, in $2.
    pub number: u64,
    /// Its name on Linux.
    pub name: &'static str,
    /// What it does here.
    pub kind: SyscallKind,
}

/// What a syscall does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as on Linux; the methods of the machine say the rest")]
pub enum SyscallKind {
    Brk,
    ClockGettime,
    Clone,
    Eventfd2,
    Exit,
    ExitGroup,
    Fcntl,
    Futex,
    Getpid,
    Getrandom,
    Gettid,
    Mmap,
    /// Succeeds and does nothing.
    NoOp,
    Open,
    Read,
    /// Gives the turn to another thread.
    Yield,
    Write,
}

macro_rules! syscalls {
    ($($number:literal $name:literal $kind:ident)*) => {
        /// Every syscall, by number.
        pub const SYSCALLS: &[Syscall] = &[
            $(Syscall { number: $number, name: $name, kind: SyscallKind::$kind },)*
        ];

        impl Syscall {
            /// The syscall with this number, if the machine has it.
            pub fn by_number(number: u64) -> Option<Self> {
                match number {
                    $($number => {
                        Some(Self { number, name: $name, kind: SyscallKind::$kind })
                    })*
                    _ => None,
                }
            }
        }
    };
}

syscalls! {
    5000 "read"              Read
    5001 "write"             Write
    5002 "open"              Open
    5003 "close"             NoOp
    5004 "stat"              NoOp
    5005 "fstat"             NoOp
    5008 "lseek"             NoOp
    5009 "mmap"              Mmap
    5010 "mprotect"          NoOp
    5011 "munmap"            NoOp
    5012 "brk"               Brk
    5013 "rt_sigaction"      NoOp
    5014 "rt_sigprocmask"    NoOp
    5015 "ioctl"             NoOp
    5016 "pread64"           NoOp
    5023 "sched_yield"       Yield
    5026 "mincore"           NoOp
    5027 "madvise"           NoOp
    5034 "nanosleep"         Yield
    5036 "setitimer"         NoOp
    5038 "getpid"            Getpid
    5055 "clone"             Clone
    5058 "exit"              Exit
    5061 "uname"             NoOp
    5070 "fcntl"             Fcntl
    5087 "readlink"          NoOp
    5095 "getrlimit"         NoOp
    5100 "getuid"            NoOp
    5102 "getgid"            NoOp
    5129 "sigaltstack"       NoOp
    5178 "gettid"            Gettid
    5194 "futex"             Futex
    5196 "sched_getaffinity" NoOp
    5205 "exit_group"        ExitGroup
    5208 "epoll_ctl"         NoOp
    5216 "timer_create"      NoOp
    5217 "timer_settime"     NoOp
    5220 "timer_delete"      NoOp
    5222 "clock_gettime"     ClockGettime
    5225 "tgkill"            NoOp
    5247 "openat"            NoOp
    5257 "readlinkat"        NoOp
    5272 "epoll_pwait"       NoOp
    5284 "eventfd2"          Eventfd2
    5285 "epoll_create1"     NoOp
    5287 "pipe2"             NoOp
    5297 "prlimit64"         NoOp
    5313 "getrandom"         Getrandom
}

const EBADF: u64 = 0x9;
const EAGAIN: u64 = 0xb;
const EINVAL: u64 = 0x16;

/// What $7 holds after an error.
const ERROR_SIGNAL: u64 = u64::MAX;

const FD_STDIN: u64 = 0;
const FD_STDOUT: u64 = 1;
const FD_STDERR: u64 = 2;
const FD_HINT_READ: u64 = 3;
const FD_HINT_WRITE: u64 = 4;
const FD_PREIMAGE_READ: u64 = 5;
const FD_PREIMAGE_WRITE: u64 = 6;
const FD_EVENT: u64 = 100;

const PAGE_SIZE: u64 = 4096;

/// Steps per second of the monotonic clock.
const HZ: u64 = 10_000_000;

/// VM | FS | FILES | SIGHAND | SYSVSEM | THREAD: the only flags a clone may have.
const CLONE_FLAGS: u64 = 0x0005_0f00;
/// The exit code of a machine whose program cloned with others.
const EXIT_CODE_PANIC: u8 = 2;

const FUTEX_WAIT_PRIVATE: u64 = 128;
const FUTEX_WAKE_PRIVATE: u64 = 129;
const CLOCK_REALTIME: u64 = 0;
const CLOCK_MONOTONIC: u64 = 1;
const EFD_NONBLOCK: u64 = 0x80;
const F_GETFD: u64 = 1;
const F_GETFL: u64 = 3;

/// The most bytes of one write that leave the machine, and of hints that wait to be complete.
///
/// The state never depends on what leaves, so a program that claims to write 2^63 bytes goes on as
/// it does on chain; it is only not listened to for that long.
pub(crate) const MAX_WRITE: u64 = 64 << 20;

/// Bytes of output that are handed over at once.
const WRITE_PIECE: u64 = 64 << 10;

/// What a syscall answers.
enum Answer {
    Value(u64),
    Error(u64),
}

use Answer::{Error, Value};

impl<S: Storage> Mips64<S> {
    /// Handles the syscall that the active thread stands at.
    pub(crate) fn syscall<R: Recorder>(
        &mut self,
        host: &mut dyn Host,
        recorder: &mut R,
    ) -> Result<(), Box<GuestFault>> {
        let thread = self.thread();
        let [number, a0, a1, a2] = [2, 4, 5, 6].map(|register| thread.registers[register]);
        let thread_id = thread.id;
        let Some(syscall) = Syscall::by_number(number) else {
            return Err(GuestFault::UnknownSyscall { number }.into());
        };
        let answer = match syscall.kind {
            SyscallKind::Brk => Value(PROGRAM_BREAK),
            SyscallKind::ClockGettime => self.clock_gettime(a0, a1, recorder),
            SyscallKind::Clone => {
                self.clone_thread(a0, a1);
                return Ok(());
            }
            SyscallKind::Eventfd2 if a1 & EFD_NONBLOCK == 0 => Error(EINVAL),
            SyscallKind::Eventfd2 => Value(FD_EVENT),
            SyscallKind::Exit => {
                self.exit_thread(a0 as u8);
                return Ok(());
            }
            SyscallKind::ExitGroup => {
                self.state.exited = 1;
                self.state.exit_code = a0 as u8;
                return Ok(());
            }
            SyscallKind::Fcntl => fcntl(a0, a1),
            SyscallKind::Futex => match a1 {
                FUTEX_WAIT_PRIVATE if !self.futex_holds(a0, a2, recorder) => Error(EAGAIN),
                FUTEX_WAIT_PRIVATE | FUTEX_WAKE_PRIVATE => {
                    self.yield_turn();
                    return Ok(());
                }
                _ => Error(EINVAL),
            },
            SyscallKind::Getpid | SyscallKind::NoOp => Value(0),
            SyscallKind::Getrandom => self.getrandom(a0, a1, recorder),
            SyscallKind::Gettid => Value(thread_id),
            SyscallKind::Mmap => self.mmap(a0, a1),
            SyscallKind::Open => Error(EBADF),
            SyscallKind::Read => match a0 {
                FD_STDIN => Value(0),
                FD_HINT_READ => Value(a2),
                FD_PREIMAGE_READ => self.read_preimage(a1, a2, host, recorder)?,
                FD_EVENT => Error(EAGAIN),
                _ => Error(EBADF),
            },
            SyscallKind::Write => match a0 {
                FD_STDOUT => self.write_output(Stream::Stdout, a1, a2, host),
                FD_STDERR => self.write_output(Stream::Stderr, a1, a2, host),
                FD_HINT_WRITE => self.write_hint(a1, a2, host)?,
                FD_PREIMAGE_WRITE => self.write_preimage_key(a1, a2, recorder),
                FD_EVENT => Error(EAGAIN),
                _ => Error(EBADF),
            },
            SyscallKind::Yield => {
                self.yield_turn();
                return Ok(());
            }
        };
        self.thread().answer(answer);
        Ok(())
    }

    fn clone_thread(&mut self, flags: u64, stack: u64) {
        if flags != CLONE_FLAGS {
            self.state.exited = 1;
            self.state.exit_code = EXIT_CODE_PANIC;
            return;
        }
        let id = self.state.next_thread_id;
        self.state.next_thread_id = id.wrapping_add(1);
        let parent = self.thread();
        let mut child = Thread { id, exit_code: 0, exited: 0, ..parent.clone() };
        child.answer(Value(0));
        child.registers[29] = stack;
        parent.answer(Value(id));
        self.push_thread(child);
    }

    fn exit_thread(&mut self, code: u8) {
        let thread = self.thread();
        thread.exited = 1;
        thread.exit_code = code;
        if self.state.thread_count() == 1 {
            self.state.exited = 1;
            self.state.exit_code = code;
        }
    }

    fn yield_turn(&mut self) {
        self.thread().answer(Value(0));
        self.preempt();
    }

    /// Whether the 32 bits at `address` are what the thread thinks they are.
    fn futex_holds<R: Recorder>(&mut self, address: u64, value: u64, recorder: &mut R) -> bool {
        recorder.access(&mut self.state.memory, address);
        let word = self.state.memory.word(address);
        word_32(word, address) as u32 == value as u32
    }

    fn mmap(&mut self, hint: u64, length: u64) -> Answer {
        if hint != 0 {
            return Value(hint);
        }
        let heap = self.state.heap;
        let end =
            length.checked_next_multiple_of(PAGE_SIZE).and_then(|length| heap.checked_add(length));
        match end {
            Some(end) if end <= HEAP_END => {
                self.state.heap = end;
                Value(heap)
            }
            _ => Error(EINVAL),
        }
    }

    fn clock_gettime<R: Recorder>(&mut self, clock: u64, to: u64, recorder: &mut R) -> Answer {
        let step = self.state.step;
        let (seconds, nanoseconds) = match clock {
            CLOCK_REALTIME => (0, 0),
            CLOCK_MONOTONIC => (step / HZ, step % HZ * (1_000_000_000 / HZ)),
            _ => return Error(EINVAL),
        };
        recorder.access(&mut self.state.memory, to);
        self.store(to, seconds);
        let second = (to & !7).wrapping_add(8);
        recorder.second_access(&mut self.state.memory, second);
        self.store(second, nanoseconds);
        Value(0)
    }

    /// Fills up to the end of a word with a hash of the step counter.
    fn getrandom<R: Recorder>(&mut self, to: u64, length: u64, recorder: &mut R) -> Answer {
        recorder.access(&mut self.state.memory, to);
        let length = length.min(8 - to % 8);
        let before = self.state.memory.word(to);
        self.store(to, replace_bytes(before, to, length, splitmix64(self.state.step)));
        Value(length)
    }

    /// Stores a word as any store does: a reservation of that word ends.
    pub fn store(&mut self, address: u64, word: u64) {
        self.state.memory.set_word(address, word);
        clear_reservation_at(address, &mut self.state.reservation, &mut self.statistics);
    }
}

/// The preimage oracle: hints, keys, preimages.
impl<S: Storage> Mips64<S> {
    /// Appends bytes to the key, which has room for the last 32, and begins at its start.
    fn write_preimage_key<R: Recorder>(
        &mut self,
        from: u64,
        length: u64,
        recorder: &mut R,
    ) -> Answer {
        recorder.access(&mut self.state.memory, from);
        let word = self.state.memory.word(from).to_be_bytes();
        let start = (from % 8) as usize;
        let length = length.min(8 - from % 8);
        let written = &word[start..start + length as usize];
        let key = &mut self.state.preimage_key;
        key.copy_within(written.len().., 0);
        key[32 - written.len()..].copy_from_slice(written);
        self.state.preimage_offset = 0;
        Value(length)
    }

    /// Reads up to the end of a word, of the preimage, or of what was asked for. Even a read of
    /// nothing writes the word back.
    fn read_preimage<R: Recorder>(
        &mut self,
        to: u64,
        length: u64,
        host: &mut dyn Host,
        recorder: &mut R,
    ) -> Result<Answer, Box<GuestFault>> {
        // As the contract does: the word is proven before the oracle is asked.
        recorder.access(&mut self.state.memory, to);
        let key = Key::from_bytes(self.state.preimage_key);
        let value = self.preimage(key, host)?;
        let offset = self.state.preimage_offset;
        let rest = usize::try_from(offset).ok().and_then(|offset| value.get(offset..));
        let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
            let length = value.len() as u64;
            return Err(GuestFault::PreimageOffset { key, offset, length }.into());
        };
        let length = length.min(8 - to % 8).min(rest.len() as u64);
        let before = self.state.memory.word(to);
        let mut bytes = before.to_be_bytes();
        let start = (to % 8) as usize;
        bytes[start..start + length as usize].copy_from_slice(&rest[..length as usize]);
        self.store(to, u64::from_be_bytes(bytes));
        self.state.preimage_offset = offset + length;
        self.preimage = Some(CachedPreimage { key, value, read: (offset, self.state.step) });
        Ok(Value(length))
    }

    /// The preimage of `key` behind its length, from the host or as it was last read.
    fn preimage(&mut self, key: Key, host: &mut dyn Host) -> Result<Arc<[u8]>, Box<GuestFault>> {
        if let Some(cached) = &self.preimage
            && cached.key == key
        {
            return Ok(Arc::clone(&cached.value));
        }
        let data = host.preimage(key).map_err(GuestFault::Oracle)?;
        self.statistics.preimage(data.len());
        Ok((data.len() as u64).to_be_bytes().into_iter().chain(data).collect())
    }

    /// Appends to the hint that is being written, and hands over those that are complete.
    fn write_hint(
        &mut self,
        from: u64,
        length: u64,
        host: &mut dyn Host,
    ) -> Result<Answer, Box<GuestFault>> {
        let pending = self.state.last_hint.len() as u64;
        if pending.saturating_add(length) > MAX_WRITE {
            host.warn("the program writes a hint of more than 64 MiB; it is dropped");
            self.state.last_hint.clear();
            return Ok(Value(length));
        }
        let mut hints = std::mem::take(&mut self.state.last_hint);
        hints.extend(self.bytes(from, length));
        let mut rest = hints.as_slice();
        while let Some((prefix, behind)) = rest.split_first_chunk() {
            let length = u32::from_be_bytes(*prefix) as usize;
            let Some((hint, behind)) = behind.split_at_checked(length) else { break };
            if let Err(error) = host.hint(hint) {
                // The step fails and may be taken again: what was pending still is.
                hints.truncate(pending as usize);
                self.state.last_hint = hints;
                return Err(GuestFault::Oracle(error).into());
            }
            rest = behind;
        }
        // What is not complete stays where it is: a hint may come in millions of pieces.
        let complete = hints.len() - rest.len();
        hints.drain(..complete);
        self.state.last_hint = hints;
        Ok(Value(length))
    }

    fn write_output(
        &mut self,
        stream: Stream,
        from: u64,
        length: u64,
        host: &mut dyn Host,
    ) -> Answer {
        if length > MAX_WRITE {
            host.warn("the program writes more than 64 MiB at once; only the beginning is shown");
        }
        let mut written = 0;
        while written < length.min(MAX_WRITE) {
            let piece = (length.min(MAX_WRITE) - written).min(WRITE_PIECE);
            host.output(stream, &self.bytes(from.wrapping_add(written), piece));
            written += piece;
        }
        Value(length)
    }

    fn bytes(&self, from: u64, length: u64) -> Vec<u8> {
        let mut bytes = vec![0; length as usize];
        self.state.memory.read(from, &mut bytes);
        bytes
    }
}

impl Thread {
    fn answer(&mut self, answer: Answer) {
        let (value, error) = match answer {
            Value(value) => (value, 0),
            Error(number) => (number, ERROR_SIGNAL),
        };
        self.registers[2] = value;
        self.registers[7] = error;
        self.advance();
    }
}

/// The address whose word the syscall that `thread` stands at looks at first.
pub(crate) fn touched_by_syscall(thread: &Thread) -> Option<u64> {
    let [number, a0, a1] = [2, 4, 5].map(|register| thread.registers[register]);
    match (Syscall::by_number(number)?.kind, a0) {
        (SyscallKind::Read, FD_PREIMAGE_READ) | (SyscallKind::Write, FD_PREIMAGE_WRITE) => Some(a1),
        (SyscallKind::ClockGettime, CLOCK_REALTIME | CLOCK_MONOTONIC) => Some(a1),
        (SyscallKind::Futex, _) if a1 == FUTEX_WAIT_PRIVATE => Some(a0),
        (SyscallKind::Getrandom, _) => Some(a0),
        _ => None,
    }
}

fn fcntl(fd: u64, command: u64) -> Answer {
    match (command, fd) {
        (F_GETFD, FD_STDIN..=FD_PREIMAGE_WRITE) => Value(0),
        (F_GETFL, FD_STDIN | FD_HINT_READ | FD_PREIMAGE_READ) => Value(0),
        (F_GETFL, FD_STDOUT | FD_STDERR | FD_HINT_WRITE | FD_PREIMAGE_WRITE) => Value(1),
        (F_GETFD | F_GETFL, _) => Error(EBADF),
        _ => Error(EINVAL),
    }
}

/// `word` with the `length` bytes from `address` on taken from the same places of `other`.
fn replace_bytes(word: u64, address: u64, length: u64, other: u64) -> u64 {
    let (mut bytes, other) = (word.to_be_bytes(), other.to_be_bytes());
    let start = (address % 8) as usize;
    let range = start..start + length as usize;
    bytes[range.clone()].copy_from_slice(&other[range]);
    u64::from_be_bytes(bytes)
}

fn splitmix64(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
