//! Where operands are, how they are read and written, and what is known of their values.

#![expect(clippy::useless_conversion, reason = "what dynasm! expands to converts its operands")]

use dynasmrt::{DynasmApi as _, dynasm};

use super::Translator;
use crate::frame::FRAME;
use crate::window::SEGMENT_BITS;

/// What is known of a guest register.
#[derive(Clone, Copy)]
pub(super) enum Value {
    /// Always this.
    Known(u64),
    /// This when the block was compiled.
    Guess(u64),
    Unknown,
}

/// Numbers from here on are taken for pointers.
const POINTERS: u64 = 1 << SEGMENT_BITS;

impl Value {
    /// The sum, as far as it tells where it points to.
    pub(super) fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Known(a), Self::Known(b)) => Self::Known(a.wrapping_add(b)),
            (Self::Unknown, Self::Guess(pointer) | Self::Known(pointer))
            | (Self::Guess(pointer) | Self::Known(pointer), Self::Unknown) => {
                if pointer >= POINTERS { Self::Guess(pointer) } else { Self::Unknown }
            }
            (Self::Unknown, Self::Unknown) => Self::Unknown,
            (Self::Guess(a) | Self::Known(a), Self::Guess(b) | Self::Known(b)) => {
                Self::Guess(a.wrapping_add(b))
            }
        }
    }

    pub(super) fn map(self, change: impl Fn(u64) -> u64) -> Self {
        match self {
            Self::Known(value) => Self::Known(change(value)),
            Self::Guess(value) => Self::Guess(change(value)),
            Self::Unknown => Self::Unknown,
        }
    }
}

/// Where an operand is.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Host(u8),
    Home(i32),
    Immediate(i32),
}

/// Host registers that are free between instructions.
pub(super) const RAX: u8 = 0;
pub(super) const RCX: u8 = 1;
pub(super) const RDX: u8 = 2;

/// Operands.
impl Translator<'_> {
    pub(super) fn place(&self, register: u8) -> Place {
        match self.pins.host(register) {
            Some(host) => Place::Host(host),
            None => Place::Home(FRAME.register(register)),
        }
    }

    /// A host register that holds `register`: its own, or `scratch`.
    pub(super) fn read(&mut self, register: u8, scratch: u8) -> u8 {
        if let Some(host) = self.pins.host(register) {
            return host;
        }
        if let Value::Known(value) = self.values[usize::from(register)] {
            self.constant(scratch, value);
        } else {
            self.read_home(FRAME.register(register), scratch);
        }
        scratch
    }

    /// `scratch` = what is at a place in the frame.
    pub(super) fn read_home(&mut self, at: i32, scratch: u8) {
        match std::mem::take(&mut self.fresh) {
            [Some(fresh), _] if fresh == at => {
                if scratch != RAX {
                    dynasm!(self.code ; .arch x64 ; mov Rq(scratch), rax);
                }
            }
            [_, Some(fresh)] if fresh == at => {
                if scratch != RDX {
                    dynasm!(self.code ; .arch x64 ; mov Rq(scratch), rdx);
                }
            }
            _ => dynasm!(self.code ; .arch x64 ; mov Rq(scratch), QWORD [rsp + at]),
        }
    }

    /// Where to take the second operand of a calculation from: an immediate if it is one.
    pub(super) fn operand(&self, register: u8) -> Place {
        match self.values[usize::from(register)] {
            Value::Known(value) => match i32::try_from(value as i64) {
                Ok(value) => Place::Immediate(value),
                Err(_) => self.place(register),
            },
            _ => self.place(register),
        }
    }

    /// `to` = `from`, both of the host.
    pub(super) fn move_host(&mut self, to: u8, from: u8) {
        if from != to {
            dynasm!(self.code ; .arch x64 ; mov Rq(to), Rq(from));
        }
    }

    /// `to` = `register`
    pub(super) fn copy(&mut self, to: u8, register: u8) {
        let from = self.read(register, to);
        if from != to {
            dynasm!(self.code ; .arch x64 ; mov Rq(to), Rq(from));
            self.fresh = [None; 2];
        }
    }

    /// The host register to compute a result for `register` in.
    pub(super) fn target(&self, register: u8) -> u8 {
        self.pins.host(register).unwrap_or(RAX)
    }

    /// `register` = `from`; nothing more is known of it.
    pub(super) fn write(&mut self, register: u8, from: u8) {
        self.values[usize::from(register)] = Value::Unknown;
        match self.place(register) {
            Place::Host(host) if host == from => {}
            Place::Host(host) => dynasm!(self.code ; .arch x64 ; mov Rq(host), Rq(from)),
            Place::Home(at) => {
                dynasm!(self.code ; .arch x64 ; mov QWORD [rsp + at], Rq(from));
                if from == RAX {
                    self.fresh = [Some(at), None];
                }
            }
            Place::Immediate(_) => {}
        }
    }

    /// `register` = a constant
    pub(super) fn write_known(&mut self, register: u8, value: u64) {
        match self.place(register) {
            Place::Host(host) => self.constant(host, value),
            Place::Home(at) => match i32::try_from(value as i64) {
                Ok(value) => dynasm!(self.code ; .arch x64 ; mov QWORD [rsp + at], value),
                Err(_) => {
                    self.constant(RAX, value);
                    dynasm!(self.code ; .arch x64 ; mov QWORD [rsp + at], rax);
                }
            },
            Place::Immediate(_) => {}
        }
        self.values[usize::from(register)] = Value::Known(value);
    }

    /// `to` = `from` + `offset`
    pub(super) fn add_to(&mut self, to: u8, from: u8, offset: i32) {
        self.fresh = [None; 2];
        match i8::try_from(offset) {
            Ok(0) => dynasm!(self.code ; .arch x64 ; mov Rq(to), Rq(from)),
            Ok(offset) => dynasm!(self.code ; .arch x64 ; lea Rq(to), [BYTE Rq(from) + offset]),
            Err(_) => dynasm!(self.code ; .arch x64 ; lea Rq(to), [Rq(from) + offset]),
        }
    }

    pub(super) fn constant(&mut self, to: u8, value: u64) {
        self.fresh = [None; 2];
        if value == 0 {
            dynasm!(self.code ; .arch x64 ; xor Rd(to), Rd(to));
        } else if let Ok(value) = u32::try_from(value) {
            dynasm!(self.code ; .arch x64 ; mov Rd(to), value as i32);
        } else if let Ok(value) = i32::try_from(value as i64) {
            dynasm!(self.code ; .arch x64 ; mov Rq(to), value);
        } else {
            dynasm!(self.code ; .arch x64 ; mov Rq(to), QWORD value as i64);
        }
    }
}
