//! The rules behind the instruction table: where operands come from, where results go, and how the
//! thread moves on. The contract is right where it differs from a MIPS processor.

use tribunal_memory::{Memory, Storage};
use tribunal_preimage::OracleError;

use crate::state::{LlReservation, Thread};
use crate::statistics::Tracker;
use crate::step::Recorder;

/// What one instruction can reach: its thread and memory, not the other threads.
pub(crate) struct Cpu<'a, S, R> {
    pub(crate) thread: &'a mut Thread,
    pub(crate) memory: &'a mut Memory<S>,
    pub(crate) reservation: &'a mut LlReservation,
    pub(crate) statistics: &'a mut Tracker,
    pub(crate) recorder: &'a mut R,
    /// The step counter, this step counted.
    pub(crate) step: u64,
}

/// How an instruction ended.
pub(crate) type Execution = Result<Flow, Box<GuestFault>>;

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Nothing: the step is done.
    Done,
    /// A syscall, which needs more than a [`Cpu`] can reach.
    Syscall,
}

/// Why a step cannot be taken. On chain the same step reverts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuestFault {
    /// The word at pc is no instruction of this machine.
    #[error(
        "{instruction:#010x} is no instruction of this machine (a MIPS64 r1 integer subset without \
         floating point, traps, break and branch-likely: build the program for it)"
    )]
    InvalidInstruction {
        /// The word.
        instruction: u32,
    },
    /// pc is not divisible by four.
    #[error("the program jumped to an address that is not divisible by 4")]
    InvalidPc,
    /// A division by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// A branch or jump in the delay slot of another.
    #[error("a branch or jump in the delay slot of another")]
    BranchInDelaySlot,
    /// A syscall that the machine does not have.
    #[error("syscall {number} is not supported")]
    UnknownSyscall {
        /// Its number.
        number: u64,
    },
    /// A read at or past the end of a preimage.
    #[error(
        "the program read preimage {key} at offset {offset}, but with its 8-byte length it is \
         {length} bytes long, and its end cannot be read"
    )]
    PreimageOffset {
        /// The preimage.
        key: tribunal_preimage::Key,
        /// Where the read began.
        offset: u64,
        /// The bytes there are.
        length: u64,
    },
    /// The host did not provide a preimage or did not take a hint. Mostly the host's fault.
    #[error(transparent)]
    Oracle(#[from] OracleError),
    /// The state is none that a run leads to.
    #[error("{0}")]
    State(&'static str),
}

/// The operand fields of an instruction.
#[derive(Clone, Copy)]
struct Fields(u32);

impl Fields {
    fn rs(self) -> usize {
        (self.0 >> 21 & 0x1f) as usize
    }

    fn rt(self) -> usize {
        (self.0 >> 16 & 0x1f) as usize
    }

    fn rd(self) -> usize {
        (self.0 >> 11 & 0x1f) as usize
    }

    fn sa(self) -> u32 {
        self.0 >> 6 & 0x1f
    }

    fn signed_immediate(self) -> u64 {
        sign_extend_16(u64::from(self.0))
    }

    fn unsigned_immediate(self) -> u64 {
        u64::from(self.0 & 0xffff)
    }
}

impl Thread {
    #[inline]
    fn set(&mut self, register: usize, value: u64) {
        if register != 0 {
            self.registers[register] = value;
        }
    }

    /// Moves on to the next instruction.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.pc = self.next_pc;
        self.next_pc = self.next_pc.wrapping_add(4);
    }

    /// Moves on into the delay slot, and from there to `target`.
    #[inline]
    fn advance_to(&mut self, target: u64) {
        self.pc = self.next_pc;
        self.next_pc = target;
    }
}

/// Registers to register.
impl<S: Storage, R: Recorder> Cpu<'_, S, R> {
    /// rd = value of (rs, rt)
    #[inline]
    pub(crate) fn register(&mut self, word: u32, value: impl Fn(u64, u64) -> u64) -> Execution {
        let f = Fields(word);
        let result = value(self.thread.registers[f.rs()], self.thread.registers[f.rt()]);
        self.thread.set(f.rd(), result);
        self.thread.advance();
        Ok(Flow::Done)
    }

    /// rd = value of (rt, shift amount)
    #[inline]
    pub(crate) fn shift(&mut self, word: u32, value: impl Fn(u64, u32) -> u64) -> Execution {
        let f = Fields(word);
        let result = value(self.thread.registers[f.rt()], f.sa());
        self.thread.set(f.rd(), result);
        self.thread.advance();
        Ok(Flow::Done)
    }

    /// rd = rs, if rt fulfils the condition
    #[inline]
    pub(crate) fn conditional_move(
        &mut self,
        word: u32,
        condition: impl Fn(u64) -> bool,
    ) -> Execution {
        let f = Fields(word);
        if condition(self.thread.registers[f.rt()]) {
            self.thread.set(f.rd(), self.thread.registers[f.rs()]);
        }
        self.thread.advance();
        Ok(Flow::Done)
    }

    /// rt = value of (rs, sign-extended immediate)
    #[inline]
    pub(crate) fn immediate(&mut self, word: u32, value: impl Fn(u64, u64) -> u64) -> Execution {
        let f = Fields(word);
        let result = value(self.thread.registers[f.rs()], f.signed_immediate());
        self.thread.set(f.rt(), result);
        self.thread.advance();
        Ok(Flow::Done)
    }

    /// rt = value of (rs, zero-extended immediate)
    #[inline]
    pub(crate) fn unsigned_immediate(
        &mut self,
        word: u32,
        value: impl Fn(u64, u64) -> u64,
    ) -> Execution {
        let f = Fields(word);
        let result = value(self.thread.registers[f.rs()], f.unsigned_immediate());
        self.thread.set(f.rt(), result);
        self.thread.advance();
        Ok(Flow::Done)
    }
}

/// HI and LO.
impl<S: Storage, R: Recorder> Cpu<'_, S, R> {
    /// rd = value of (hi, lo)
    #[inline]
    pub(crate) fn move_from(&mut self, word: u32, value: impl Fn(u64, u64) -> u64) -> Execution {
        let result = value(self.thread.hi, self.thread.lo);
        self.thread.set(Fields(word).rd(), result);
        self.thread.advance();
        Ok(Flow::Done)
    }

    /// (hi, lo) = value of (rs, rt); rd = 0
    #[inline]
    pub(crate) fn product(
        &mut self,
        word: u32,
        value: impl Fn(u64, u64) -> (u64, u64),
    ) -> Execution {
        self.hi_lo(word, |rs, rt, _| Ok(value(rs, rt)))
    }

    /// (hi, lo) = value of (rs, rt, (hi, lo)), which may be a fault; rd = 0
    #[inline]
    pub(crate) fn hi_lo(
        &mut self,
        word: u32,
        value: impl Fn(u64, u64, (u64, u64)) -> Result<(u64, u64), Box<GuestFault>>,
    ) -> Execution {
        let f = Fields(word);
        let thread = &mut *self.thread;
        let (rs, rt) = (thread.registers[f.rs()], thread.registers[f.rt()]);
        (thread.hi, thread.lo) = value(rs, rt, (thread.hi, thread.lo))?;
        thread.set(f.rd(), 0);
        thread.advance();
        Ok(Flow::Done)
    }
}

/// Branches and jumps.
impl<S: Storage, R: Recorder> Cpu<'_, S, R> {
    #[inline]
    fn check_delay_slot(&self) -> Result<(), Box<GuestFault>> {
        if self.thread.next_pc == self.thread.pc.wrapping_add(4) {
            Ok(())
        } else {
            Err(GuestFault::BranchInDelaySlot.into())
        }
    }

    #[inline]
    pub(crate) fn branch(&mut self, word: u32, taken: impl Fn(u64, u64) -> bool) -> Execution {
        self.check_delay_slot()?;
        let f = Fields(word);
        let thread = &mut *self.thread;
        if taken(thread.registers[f.rs()], thread.registers[f.rt()]) {
            thread.advance_to(thread.next_pc.wrapping_add(f.signed_immediate() << 2));
        } else {
            thread.advance();
        }
        Ok(Flow::Done)
    }

    /// Links whether it is taken or not.
    #[inline]
    pub(crate) fn branch_and_link(&mut self, word: u32, taken: impl Fn(u64) -> bool) -> Execution {
        self.check_delay_slot()?;
        let link = self.thread.pc.wrapping_add(8);
        let flow = self.branch(word, |rs, _| taken(rs))?;
        self.thread.set(31, link);
        Ok(flow)
    }

    /// The target lies in the 256 MiB region of the delay slot.
    #[inline]
    pub(crate) fn jump(&mut self, word: u32) -> Execution {
        self.check_delay_slot()?;
        let region = self.thread.next_pc & 0xffff_ffff_f000_0000;
        self.thread.advance_to(region | u64::from(word & 0x03ff_ffff) << 2);
        Ok(Flow::Done)
    }

    #[inline]
    pub(crate) fn jump_and_link(&mut self, word: u32) -> Execution {
        let link = self.thread.pc.wrapping_add(8);
        let flow = self.jump(word)?;
        self.thread.set(31, link);
        Ok(flow)
    }

    #[inline]
    pub(crate) fn jump_register(&mut self, word: u32) -> Execution {
        self.check_delay_slot()?;
        self.thread.advance_to(self.thread.registers[Fields(word).rs()]);
        Ok(Flow::Done)
    }

    #[inline]
    pub(crate) fn jump_and_link_register(&mut self, word: u32) -> Execution {
        let link = self.thread.pc.wrapping_add(8);
        let flow = self.jump_register(word)?;
        self.thread.set(Fields(word).rd(), link);
        Ok(flow)
    }
}

/// Memory.
impl<S: Storage, R: Recorder> Cpu<'_, S, R> {
    #[inline]
    fn address(&self, f: Fields) -> u64 {
        effective_address(self.thread, f.0)
    }

    /// rt = value of (word, address, rt)
    #[inline]
    pub(crate) fn load(&mut self, word: u32, value: impl Fn(u64, u64, u64) -> u64) -> Execution {
        let f = Fields(word);
        let address = self.address(f);
        self.recorder.access(self.memory, address);
        let loaded = self.memory.word(address);
        let result = value(loaded, address, self.thread.registers[f.rt()]);
        self.thread.set(f.rt(), result);
        self.thread.advance();
        Ok(Flow::Done)
    }

    /// memory = value of (word, address, rt)
    #[inline]
    pub(crate) fn store(&mut self, word: u32, value: impl Fn(u64, u64, u64) -> u64) -> Execution {
        let f = Fields(word);
        let address = self.address(f);
        self.recorder.access(self.memory, address);
        let before = self.memory.word(address);
        let after = value(before, address, self.thread.registers[f.rt()]);
        self.memory.set_word(address, after);
        clear_reservation_at(address, self.reservation, self.statistics);
        self.thread.advance();
        Ok(Flow::Done)
    }

    /// rt = value of (word, address), which the thread reserves
    #[inline]
    pub(crate) fn load_linked(
        &mut self,
        word: u32,
        status: u8,
        value: impl Fn(u64, u64) -> u64,
    ) -> Execution {
        let f = Fields(word);
        let address = self.address(f);
        self.recorder.access(self.memory, address);
        let result = value(self.memory.word(address), address);
        *self.reservation = LlReservation { status, address, owner: self.thread.id };
        self.statistics.load_linked(self.thread.id, self.step);
        self.thread.set(f.rt(), result);
        self.thread.advance();
        Ok(Flow::Done)
    }

    /// memory = value of (word, address, rt) and rt = 1, if the reservation holds; else rt = 0, and
    /// memory is not looked at
    #[inline]
    pub(crate) fn store_conditional(
        &mut self,
        word: u32,
        status: u8,
        value: impl Fn(u64, u64, u64) -> u64,
    ) -> Execution {
        let f = Fields(word);
        let address = self.address(f);
        let holds = *self.reservation == LlReservation { status, address, owner: self.thread.id };
        if holds {
            self.recorder.access(self.memory, address);
            let before = self.memory.word(address);
            let after = value(before, address, self.thread.registers[f.rt()]);
            self.memory.set_word(address, after);
            *self.reservation = LlReservation::default();
        }
        self.statistics.store_conditional(self.thread.id, self.step, holds);
        self.thread.set(f.rt(), u64::from(holds));
        self.thread.advance();
        Ok(Flow::Done)
    }

    pub(crate) fn syscall(&mut self, _word: u32) -> Execution {
        Ok(Flow::Syscall)
    }
}

/// The address that a load or a store of `thread` means.
#[inline]
pub(crate) fn effective_address(thread: &Thread, instruction: u32) -> u64 {
    let f = Fields(instruction);
    thread.registers[f.rs()].wrapping_add(f.signed_immediate())
}

/// What every store does to a reservation of the same 8-byte word, whoever made it and whatever its
/// status.
#[inline]
pub(crate) fn clear_reservation_at(
    address: u64,
    reservation: &mut LlReservation,
    statistics: &mut Tracker,
) {
    if (address ^ reservation.address) & !7 == 0 {
        *reservation = LlReservation::default();
        statistics.reservation_invalidated();
    }
}

pub(crate) fn bits_32(value: u64) -> u64 {
    value & 0xffff_ffff
}

pub(crate) fn sign_extend_8(value: u64) -> u64 {
    value as i8 as u64
}

pub(crate) fn sign_extend_16(value: u64) -> u64 {
    value as i16 as u64
}

pub(crate) fn sign_extend_32(value: u64) -> u64 {
    value as i32 as u64
}

/// The byte at `address`, within the word that holds it.
pub(crate) fn byte(word: u64, address: u64) -> u64 {
    word >> byte_shift(address) & 0xff
}

/// The two bytes at `address` rounded down to 2.
pub(crate) fn half(word: u64, address: u64) -> u64 {
    word >> half_shift(address) & 0xffff
}

/// The four bytes at `address` rounded down to 4.
pub(crate) fn word_32(word: u64, address: u64) -> u64 {
    word >> word_shift(address) & 0xffff_ffff
}

pub(crate) fn insert_byte(word: u64, address: u64, value: u64) -> u64 {
    let shift = byte_shift(address);
    word & !(0xff << shift) | (value & 0xff) << shift
}

pub(crate) fn insert_half(word: u64, address: u64, value: u64) -> u64 {
    let shift = half_shift(address);
    word & !(0xffff << shift) | (value & 0xffff) << shift
}

pub(crate) fn insert_word(word: u64, address: u64, value: u64) -> u64 {
    let shift = word_shift(address);
    word & !(0xffff_ffff << shift) | (value & 0xffff_ffff) << shift
}

fn byte_shift(address: u64) -> u64 {
    56 - (address & 7) * 8
}

fn half_shift(address: u64) -> u64 {
    48 - (address & 6) * 8
}

fn word_shift(address: u64) -> u64 {
    32 - (address & 4) * 8
}

/// Bits from the start of the `size` bytes that hold `address` to `address`.
pub(crate) fn shift_within(address: u64, size: u64) -> u64 {
    (address & (size - 1)) * 8
}

/// A 64-bit product as (hi, lo), each half sign-extended.
pub(crate) fn split_64(product: u64) -> (u64, u64) {
    (sign_extend_32(product >> 32), sign_extend_32(product))
}

/// A 128-bit product as (hi, lo).
pub(crate) fn split_128(product: u128) -> (u64, u64) {
    ((product >> 64) as u64, product as u64)
}

type HiLo = Result<(u64, u64), Box<GuestFault>>;

/// (remainder, quotient); the smallest number by -1 wraps.
pub(crate) fn quotient_32(dividend: u64, divisor: u64) -> HiLo {
    let (dividend, divisor) = (dividend as i32, divisor as i32);
    if divisor == 0 {
        return Err(GuestFault::DivisionByZero.into());
    }
    Ok((dividend.wrapping_rem(divisor) as u64, dividend.wrapping_div(divisor) as u64))
}

pub(crate) fn quotient_u32(dividend: u64, divisor: u64) -> HiLo {
    let (dividend, divisor) = (bits_32(dividend), bits_32(divisor));
    if divisor == 0 {
        return Err(GuestFault::DivisionByZero.into());
    }
    Ok((sign_extend_32(dividend % divisor), sign_extend_32(dividend / divisor)))
}

pub(crate) fn quotient_64(dividend: u64, divisor: u64) -> HiLo {
    let (dividend, divisor) = (dividend as i64, divisor as i64);
    if divisor == 0 {
        return Err(GuestFault::DivisionByZero.into());
    }
    Ok((dividend.wrapping_rem(divisor) as u64, dividend.wrapping_div(divisor) as u64))
}

pub(crate) fn quotient_u64(dividend: u64, divisor: u64) -> HiLo {
    if divisor == 0 {
        return Err(GuestFault::DivisionByZero.into());
    }
    Ok((dividend % divisor, dividend / divisor))
}
