//! Loads and stores.

#![expect(clippy::useless_conversion, reason = "what dynasm! expands to converts its operands")]

use dynasmrt::{DynamicLabel, DynasmApi as _, DynasmLabelApi as _, dynasm};
use tribunal_mips64::Op;

use super::Translator;
use super::calculate::sign_extend;
use super::groups::Way;
use super::operands::{RAX, RCX, RDX, Value};
use super::rare::Rare;
use super::reading::{rs, rt, signed};
use crate::frame::FRAME;
use crate::window::{DELTAS_BYTES, SEGMENT_BITS, SEGMENTS, TABLE_BYTES};

/// Where a value in memory is: what a host register holds, and a displacement.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub(super) way: Way,
    pub(super) base: u8,
    pub(super) offset: i32,
}

/// How a value in memory becomes one in a register.
#[derive(Clone, Copy)]
pub(super) enum Width {
    Byte { signed: bool },
    Half { signed: bool },
    Word { signed: bool },
    Double,
}

impl Width {
    pub(super) fn bytes(self) -> i32 {
        match self {
            Self::Byte { .. } => 1,
            Self::Half { .. } => 2,
            Self::Word { .. } => 4,
            Self::Double => 8,
        }
    }

    /// Where its mask is among those of the frame.
    fn mask(self) -> i32 {
        mask_of(self.bytes())
    }

    /// The bits of an address that differ between the guest's order of bytes and that of the window.
    fn flipped(self) -> i32 {
        8 - self.bytes()
    }

    /// That of a plain load or store.
    pub(super) fn of(op: Op) -> Option<Self> {
        Some(match op {
            Op::Lb => Self::Byte { signed: true },
            Op::Lbu | Op::Sb => Self::Byte { signed: false },
            Op::Lh => Self::Half { signed: true },
            Op::Lhu | Op::Sh => Self::Half { signed: false },
            Op::Lw => Self::Word { signed: true },
            Op::Lwu | Op::Sw => Self::Word { signed: false },
            Op::Ld | Op::Sd => Self::Double,
            _ => return None,
        })
    }
}

pub(super) fn mask_of(bytes: i32) -> i32 {
    bytes.trailing_zeros() as i32 * 8
}

/// Memory.
impl Translator<'_> {
    /// The host register that holds the address of a load or store, maybe `rax`; and the way to it,
    /// if that can be guessed.
    fn address(&mut self, word: u32) -> (u8, Option<Way>) {
        let (base, offset) = (rs(word), signed(word));
        let value = self.address_value(word);
        let host = match (value, self.pins.host(base)) {
            (_, Some(host)) if offset == 0 => host,
            (Value::Known(address), _) => {
                self.constant(RAX, address);
                RAX
            }
            (_, Some(host)) => {
                self.add_to(RAX, host, offset);
                RAX
            }
            (_, None) => {
                self.read(base, RAX);
                match i8::try_from(offset) {
                    Ok(0) => {}
                    Ok(offset) => dynasm!(self.code ; .arch x64 ; add rax, BYTE offset),
                    Err(_) => dynasm!(self.code ; .arch x64 ; add rax, DWORD offset),
                }
                RAX
            }
        };
        (host, self.likely(value))
    }

    /// What is known of the address of a load or store.
    fn address_value(&self, word: u32) -> Value {
        let base = self.values[usize::from(rs(word))];
        base.map(|base| base.wrapping_add_signed(signed(word).into()))
    }

    /// Where a load or store finds what it accesses, if that has been checked, or is now, together
    /// with others. Maybe through `rax`.
    fn checked(&mut self, word: u32, width: Width) -> Option<At> {
        let way = self.grouped(rs(word))?;
        let base = self.read(rs(word), RAX);
        Some(match self.place_in_word(width, signed(word)) {
            Some(offset) => At { way, base, offset },
            None => {
                self.add_to(RAX, base, signed(word));
                self.flip(width);
                At { way, base: RAX, offset: 0 }
            }
        })
    }

    /// The displacement that leads to the same bytes in the window's order, if that is known.
    fn place_in_word(&self, width: Width, offset: i32) -> Option<i32> {
        if width.flipped() == 0 {
            return Some(offset);
        }
        let behind = self.behind_aligned_base()?;
        Some(((behind + offset) ^ width.flipped()) - behind)
    }

    /// Turns the address in `rax` into that of the same bytes in the window's order.
    fn flip(&mut self, width: Width) {
        if width.flipped() != 0 {
            dynasm!(self.code ; .arch x64 ; xor rax, BYTE width.flipped() as i8);
        }
    }

    /// What lies at a guest address, which is aligned. Changes `rax`, unless that is the address of a
    /// double.
    pub(super) fn at(&mut self, way: Way, address: u8, width: Width) -> At {
        if width.flipped() == 0 {
            return At { way, base: address, offset: 0 };
        }
        self.fresh = [None; 2];
        self.move_host(RAX, address);
        self.flip(width);
        At { way, base: RAX, offset: 0 }
    }

    /// What lies at an address that is known, if nothing has to be looked at first.
    fn known(&mut self, word: u32, width: Width) -> Option<At> {
        let Value::Known(address) = self.address_value(word) else { return None };
        let way = self.likely(Value::Known(address))?;
        if !address.is_multiple_of(width.bytes() as u64) {
            return None;
        }
        let place = address ^ width.flipped() as u64;
        Some(match self.pins.host(rs(word)) {
            Some(base) => {
                let offset = signed(word) + place.wrapping_sub(address) as i64 as i32;
                At { way, base, offset }
            }
            None => {
                self.constant(RAX, place);
                At { way, base: RAX, offset: 0 }
            }
        })
    }

    /// Goes to `otherwise` unless `address` is in the segment of `way` and aligned.
    fn check(&mut self, way: Way, address: u8, width: Width, otherwise: DynamicLabel) {
        let mask = FRAME.masks + width.mask();
        if self.starts_at_zero(way) {
            dynasm!(self.code ; .arch x64
                ; test Rq(address), QWORD [rsp + mask]
                ; jnz =>otherwise
            );
        } else {
            dynasm!(self.code ; .arch x64
                ; mov rcx, QWORD [rsp + FRAME.starts + way.near()]
                ; xor rcx, Rq(address)
                ; test rcx, QWORD [rsp + mask]
                ; jnz =>otherwise
            );
        }
    }

    /// `rcx` = the delta of the segment that `rax` is in. Goes to `otherwise` if there is none, or the
    /// address is not aligned.
    pub(super) fn look_up(&mut self, width: Width, otherwise: DynamicLabel) {
        let deltas = -((TABLE_BYTES + DELTAS_BYTES) as i32);
        if width.bytes() > 1 {
            dynasm!(self.code ; .arch x64
                ; test al, (width.bytes() - 1) as i8
                ; jnz =>otherwise
            );
        }
        dynasm!(self.code ; .arch x64
            ; mov rcx, rax
            ; shr rcx, SEGMENT_BITS as i8
            ; cmp rcx, SEGMENTS as i32
            ; jae =>otherwise
            ; mov rcx, QWORD [r14 + rcx * 8 + deltas]
            ; test rcx, rcx
            ; jz =>otherwise
        );
    }

    /// A place with its delta in `rcx`, if that was in the frame.
    fn with_delta(&mut self, at: At) -> At {
        if at.way != Way::Frame {
            return at;
        }
        dynasm!(self.code ; .arch x64 ; mov rcx, QWORD [rsp + FRAME.deltas + at.way.near()]);
        At { way: Way::Rcx, ..at }
    }

    /// `to` = memory
    pub(super) fn fetch(&mut self, at: At, width: Width, to: u8) {
        let At { way, base, offset } = self.with_delta(at);
        let code = &mut self.code;
        macro_rules! from {
            ($op:ident $reg:ident $size:ident) => {
                match (way, i8::try_from(offset)) {
                    (Way::Gs, Ok(0)) => dynasm!(code ; .arch x64 ; gs $op $reg(to), $size [Rq(base)]),
                    (Way::Gs, Ok(at)) => dynasm!(code ; .arch x64 ; gs $op $reg(to), $size [BYTE Rq(base) + at]),
                    (Way::Gs, Err(_)) => dynasm!(code ; .arch x64 ; gs $op $reg(to), $size [Rq(base) + offset]),
                    (Way::R13, Ok(at)) => dynasm!(code ; .arch x64 ; $op $reg(to), $size [BYTE r13 + Rq(base) + at]),
                    (Way::R13, Err(_)) => dynasm!(code ; .arch x64 ; $op $reg(to), $size [r13 + Rq(base) + offset]),
                    (Way::Rcx | Way::Frame, _) => dynasm!(code ; .arch x64 ; $op $reg(to), $size [rcx + Rq(base) + offset]),
                }
            };
        }
        match width {
            Width::Byte { signed: true } => from!(movsx Rq BYTE),
            Width::Byte { signed: false } => from!(movzx Rd BYTE),
            Width::Half { signed: true } => from!(movsx Rq WORD),
            Width::Half { signed: false } => from!(movzx Rd WORD),
            Width::Word { signed: true } => from!(movsxd Rq DWORD),
            Width::Word { signed: false } => from!(mov Rd DWORD),
            Width::Double => from!(mov Rq QWORD),
        }
    }

    /// Extends what was loaded into `to`.
    pub(super) fn extend(&mut self, width: Width, to: u8) {
        let code = &mut self.code;
        match width {
            Width::Byte { signed: true } => dynasm!(code ; .arch x64 ; movsx Rq(to), Rb(to)),
            Width::Half { signed: true } => dynasm!(code ; .arch x64 ; movsx Rq(to), Rw(to)),
            Width::Half { signed: false } => dynasm!(code ; .arch x64 ; movzx Rd(to), Rw(to)),
            Width::Word { signed: true } => sign_extend(code, to),
            Width::Byte { .. } | Width::Word { .. } | Width::Double => {}
        }
    }

    /// Memory = `value`
    pub(super) fn put(&mut self, at: At, width: Width, value: u8) {
        let At { way, base, offset } = self.with_delta(at);
        let code = &mut self.code;
        macro_rules! into {
            ($op:ident $reg:ident $size:ident) => {
                match (way, i8::try_from(offset)) {
                    (Way::Gs, Ok(0)) => dynasm!(code ; .arch x64 ; gs $op $size [Rq(base)], $reg(value)),
                    (Way::Gs, Ok(at)) => dynasm!(code ; .arch x64 ; gs $op $size [BYTE Rq(base) + at], $reg(value)),
                    (Way::Gs, Err(_)) => dynasm!(code ; .arch x64 ; gs $op $size [Rq(base) + offset], $reg(value)),
                    (Way::R13, Ok(at)) => dynasm!(code ; .arch x64 ; $op $size [BYTE r13 + Rq(base) + at], $reg(value)),
                    (Way::R13, Err(_)) => dynasm!(code ; .arch x64 ; $op $size [r13 + Rq(base) + offset], $reg(value)),
                    (Way::Rcx | Way::Frame, _) => dynasm!(code ; .arch x64 ; $op $size [rcx + Rq(base) + offset], $reg(value)),
                }
            };
        }
        match width {
            Width::Byte { .. } => into!(mov Rb BYTE),
            Width::Half { .. } => into!(mov Rw WORD),
            Width::Word { .. } => into!(mov Rd DWORD),
            Width::Double => into!(mov Rq QWORD),
        }
    }

    /// `to` = memory at `address`, wherever that is. Keeps `rdx` if asked to; never `rax` and `rcx`.
    fn load_from(&mut self, likely: Option<Way>, address: u8, width: Width, to: u8, keep: bool) {
        let (from, back) = (self.code.new_dynamic_label(), self.code.new_dynamic_label());
        match likely {
            Some(way) => {
                self.check(way, address, width, from);
                let at = self.at(way, address, width);
                self.fetch(at, width, to);
            }
            None => {
                self.move_host(RAX, address);
                self.look_up(width, from);
                let at = self.at(Way::Rcx, RAX, width);
                self.fetch(at, width, to);
            }
        }
        dynasm!(self.code ; .arch x64 ; =>back);
        self.rare.push(Rare::Load { from, back, address, width, to, keep });
    }

    /// Memory at `address`, wherever that is, = `value`. `is_near`: it is certainly where `likely` says.
    fn store_to(
        &mut self,
        likely: Option<Way>,
        is_near: bool,
        address: u8,
        width: Width,
        value: u8,
    ) {
        let from = self.code.new_dynamic_label();
        let (marked, back) = (self.code.new_dynamic_label(), self.code.new_dynamic_label());
        match likely {
            Some(way) => {
                if !is_near {
                    self.check(way, address, width, from);
                }
                self.check_mark(address, marked);
                let at = self.at(way, address, width);
                self.put(at, width, value);
            }
            None => dynasm!(self.code ; .arch x64 ; jmp =>from),
        }
        dynasm!(self.code ; .arch x64 ; =>back);
        let done = (!self.in_slot).then_some(self.done + 1);
        self.rare.push(Rare::Store { from, marked, back, address, width, value, done });
    }

    /// Goes to `otherwise` if the page of `address` needs attention before a store.
    pub(super) fn check_mark(&mut self, address: u8, otherwise: DynamicLabel) {
        dynasm!(self.code ; .arch x64
            ; mov rcx, Rq(address)
            ; shr rcx, 12
            ; cmp BYTE [r14 + rcx], 0
            ; je =>otherwise
        );
    }

    pub(super) fn load(&mut self, op: Op, word: u32) {
        let t = rt(word);
        let Some(width) = Width::of(op) else {
            let (address, likely) = self.address(word);
            return self.load_part(op, t, address, likely);
        };
        let to = self.target(t);
        let value = self.address_value(word);
        if let Some(at) = self.known(word, width).or_else(|| self.checked(word, width)) {
            self.fetch(at, width, to);
        } else {
            let (address, likely) = self.address(word);
            self.load_from(likely, address, width, to, false);
        }
        self.write(t, to);
        // What is there now is probably like what will be: a pointer, and into which segment.
        if let (Width::Double, Value::Known(address) | Value::Guess(address)) = (width, value) {
            self.values[usize::from(t)] = Value::Guess((self.request.peek)(address & !7));
        }
    }

    /// lwl, lwr, ldl, ldr: part of a word, merged with what the register holds.
    fn load_part(&mut self, op: Op, t: u8, address: u8, likely: Option<Way>) {
        let double = matches!(op, Op::Ldl | Op::Ldr);
        self.align(address, double);
        let width = if double { Width::Double } else { Width::Word { signed: false } };
        self.load_from(likely, RAX, width, RAX, true);
        self.part_shift(matches!(op, Op::Lwr | Op::Ldr), double);
        // rax is the word, rdx the shift.
        let kept = self.read(t, RCX);
        if kept != RCX {
            dynasm!(self.code ; .arch x64 ; mov rcx, Rq(kept));
        }
        let code = &mut self.code;
        match op {
            // word << shift, and the lower `shift` bits of the register
            Op::Ldl => dynasm!(code ; .arch x64
                ; bzhi rcx, rcx, rdx ; shlx rax, rax, rdx ; or rax, rcx
            ),
            Op::Lwl => dynasm!(code ; .arch x64
                ; bzhi ecx, ecx, edx ; shlx eax, eax, edx ; or eax, ecx ; movsxd rax, eax
            ),
            // word >> shift, and the upper `shift` bits of the register
            Op::Ldr => dynasm!(code ; .arch x64
                ; shrx rax, rax, rdx
                ; neg edx ; add edx, 64 ; mov [rsp + FRAME.scratch], rcx
                ; bzhi rcx, rcx, rdx ; xor rcx, [rsp + FRAME.scratch] ; or rax, rcx
            ),
            // The upper half stays, unless the whole word is loaded.
            _ => dynasm!(code ; .arch x64
                ; shrx eax, eax, edx
                ; neg edx ; add edx, 32 ; mov [rsp + FRAME.scratch], rcx
                ; bzhi rcx, rcx, rdx ; xor rcx, [rsp + FRAME.scratch]
                ; cmp edx, 32 ; movsxd rdx, eax
                ; lea rax, [rax + rcx]
                ; cmove rax, rdx
            ),
        }
        self.write(t, RAX);
    }

    /// `rdx` = the address, `rax` = the address rounded down to the word
    fn align(&mut self, address: u8, double: bool) {
        let mask = if double { -8 } else { -4 };
        self.fresh = [None; 2];
        dynasm!(self.code ; .arch x64 ; mov rdx, Rq(address));
        self.move_host(RAX, address);
        dynasm!(self.code ; .arch x64 ; and rax, BYTE mask);
    }

    /// `rdx` = the bits before, or behind, the byte at address `rdx` in its word
    fn part_shift(&mut self, right: bool, double: bool) {
        if right {
            dynasm!(self.code ; .arch x64 ; not edx);
        }
        let mask = if double { 7 } else { 3 };
        dynasm!(self.code ; .arch x64 ; and edx, BYTE mask ; shl edx, 3);
    }

    pub(super) fn store(&mut self, op: Op, word: u32) {
        let Some(width) = Width::of(op) else {
            let (address, likely) = self.address(word);
            return self.store_part(op, rt(word), address, likely);
        };
        if let Some(at) = self.checked(word, width) {
            let value = self.read(rt(word), RDX);
            self.put(at, width, value);
        } else {
            let is_near = matches!(self.address_value(word), Value::Known(address)
                if address.is_multiple_of(width.bytes() as u64));
            let (address, likely) = self.address(word);
            let value = self.read(rt(word), RDX);
            self.store_to(likely, is_near, address, width, value);
        }
    }

    /// swl, swr, sdl, sdr: part of a word, the rest of it as it was.
    fn store_part(&mut self, op: Op, t: u8, address: u8, likely: Option<Way>) {
        let double = matches!(op, Op::Sdl | Op::Sdr);
        self.align(address, double);
        let width = if double { Width::Double } else { Width::Word { signed: false } };
        dynasm!(self.code ; .arch x64 ; mov [rsp + FRAME.scratch], rax);
        self.load_from(likely, RAX, width, RAX, true);
        self.part_shift(matches!(op, Op::Swr | Op::Sdr), double);
        // rax is the word, rdx the shift.
        let value = self.read(t, RCX);
        if value != RCX {
            dynasm!(self.code ; .arch x64 ; mov rcx, Rq(value));
        }
        let code = &mut self.code;
        match op {
            // The lower `shift` bits of the word stay.
            Op::Sdr => dynasm!(code ; .arch x64
                ; bzhi rax, rax, rdx ; shlx rdx, rcx, rdx ; or rdx, rax
            ),
            Op::Swr => dynasm!(code ; .arch x64
                ; bzhi eax, eax, edx ; shlx edx, ecx, edx ; or edx, eax
            ),
            // The upper `shift` bits of the word stay.
            Op::Sdl => dynasm!(code ; .arch x64
                ; shrx rcx, rcx, rdx ; neg edx ; add edx, 64
                ; bzhi rdx, rax, rdx ; xor rax, rdx ; or rax, rcx ; mov rdx, rax
            ),
            _ => dynasm!(code ; .arch x64
                ; shrx ecx, ecx, edx ; neg edx ; add edx, 32
                ; bzhi edx, eax, edx ; xor eax, edx ; or eax, ecx ; mov edx, eax
            ),
        }
        dynasm!(self.code ; .arch x64 ; mov rax, [rsp + FRAME.scratch]);
        self.store_to(likely, false, RAX, width, RDX);
    }
}
