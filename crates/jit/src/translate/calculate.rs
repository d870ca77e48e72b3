//! Instructions that read registers and write registers.

#![expect(clippy::useless_conversion, reason = "what dynasm! expands to converts its operands")]

use dynasmrt::{DynasmApi as _, DynasmLabelApi as _, dynasm};
use tribunal_mips64::Op;

use super::operands::{Place, RAX, RCX, RDX, Value};
use super::rare::Rare;
use super::reading::{is_atomic, is_nothing, is_store, rd, rs, rt, shift_amount, signed};
use super::{Assembler, Translator};
use crate::frame::FRAME;

/// Registers to registers.
impl Translator<'_> {
    pub(super) fn instruction(&mut self, op: Op, word: u32) {
        let (s, t, d) = (rs(word), rt(word), rd(word));
        // What is fresh is used by the first operand that is read, or lost.
        let kept = self.fresh;
        let flags = self.flags.take();
        self.instruction_with(op, word, s, t, d);
        if is_nothing(op, word) {
            self.flags = flags;
        }
        if self.fresh == kept && !matches!(op, Op::Mfhi | Op::Mflo) {
            self.fresh = [None; 2];
        }
    }

    fn instruction_with(&mut self, op: Op, word: u32, s: u8, t: u8, d: u8) {
        let (small, amount) = (signed(word), shift_amount(word));
        let large = (word & 0xffff) as i32;
        match op {
            _ if is_atomic(op) => self.step_of_reference(t),

            _ if is_nothing(op, word) => {}

            Op::Sll if amount == 0 => self.unary(d, t, sign_extend),
            Op::Sll => self.unary(d, t, |code, to| {
                dynasm!(code ; .arch x64 ; shl Rd(to), amount as i8 ; movsxd Rq(to), Rd(to))
            }),
            Op::Srl => self.unary(d, t, |code, to| {
                dynasm!(code ; .arch x64 ; shr Rd(to), amount as i8 ; movsxd Rq(to), Rd(to))
            }),
            Op::Sra => self.unary(d, t, |code, to| {
                dynasm!(code ; .arch x64 ; sar Rd(to), amount as i8 ; movsxd Rq(to), Rd(to))
            }),
            Op::Dsll => self.shift_left(d, t, amount),
            Op::Dsll32 => self.shift_left(d, t, amount + 32),
            Op::Dsrl => self.shift_right(d, t, amount),
            Op::Dsrl32 => self.shift_right(d, t, amount + 32),
            Op::Dsra => self.unary(d, t, |code, to| {
                dynasm!(code ; .arch x64 ; sar Rq(to), amount as i8)
            }),
            Op::Dsra32 => self.unary(d, t, |code, to| {
                dynasm!(code ; .arch x64 ; sar Rq(to), amount as i8 + 32)
            }),
            Op::Sllv | Op::Srlv | Op::Srav | Op::Dsllv | Op::Dsrlv | Op::Dsrav => {
                let count = self.read(s, RCX);
                let value = self.read(t, RDX);
                let to = self.target(d);
                let code = &mut self.code;
                match op {
                    Op::Sllv => dynasm!(code ; .arch x64 ; shlx Rd(to), Rd(value), Rd(count)),
                    Op::Srlv => dynasm!(code ; .arch x64 ; shrx Rd(to), Rd(value), Rd(count)),
                    Op::Srav => dynasm!(code ; .arch x64 ; sarx Rd(to), Rd(value), Rd(count)),
                    Op::Dsllv => dynasm!(code ; .arch x64 ; shlx Rq(to), Rq(value), Rq(count)),
                    Op::Dsrlv => dynasm!(code ; .arch x64 ; shrx Rq(to), Rq(value), Rq(count)),
                    _ => dynasm!(code ; .arch x64 ; sarx Rq(to), Rq(value), Rq(count)),
                }
                if matches!(op, Op::Sllv | Op::Srlv | Op::Srav) {
                    sign_extend(code, to);
                }
                self.write(d, to);
            }

            Op::Daddu | Op::Dadd | Op::Or | Op::Xor if t == 0 => self.move_to(d, s),
            Op::Daddu | Op::Dadd | Op::Or | Op::Xor if s == 0 => self.move_to(d, t),
            Op::Add | Op::Addu => {
                self.binary(d, s, t, true, |this, to, from| {
                    alu!(this, add, to, from, 32);
                    sign_extend(&mut this.code, to);
                });
            }
            Op::Sub | Op::Subu => {
                self.binary(d, s, t, false, |this, to, from| {
                    alu!(this, sub, to, from, 32);
                    sign_extend(&mut this.code, to);
                });
            }
            Op::Mul => {
                self.binary(d, s, t, true, |this, to, from| {
                    alu!(this, imul, to, from, 32);
                    sign_extend(&mut this.code, to);
                });
            }
            Op::Dadd | Op::Daddu => {
                let sum = self.values[usize::from(s)].plus(self.values[usize::from(t)]);
                match (self.place(s), self.place(t), self.place(d)) {
                    (Place::Host(a), Place::Host(b), Place::Host(to)) if to != a && to != b => {
                        dynasm!(self.code ; .arch x64 ; lea Rq(to), [Rq(a) + Rq(b)]);
                        self.write(d, to);
                    }
                    _ => self.binary(d, s, t, true, |this, to, from| alu!(this, add, to, from, 64)),
                }
                if let Value::Guess(_) = sum {
                    self.values[usize::from(d)] = sum;
                }
            }
            Op::Dsub | Op::Dsubu => {
                self.binary(d, s, t, false, |this, to, from| alu!(this, sub, to, from, 64));
            }
            Op::And => self.binary(d, s, t, true, |this, to, from| alu!(this, and, to, from, 64)),
            Op::Or => self.binary(d, s, t, true, |this, to, from| alu!(this, or, to, from, 64)),
            Op::Xor => self.binary(d, s, t, true, |this, to, from| alu!(this, xor, to, from, 64)),
            Op::Nor if t == 0 => self.unary(d, s, |code, to| dynasm!(code ; .arch x64 ; not Rq(to))),
            Op::Nor if s == 0 => self.unary(d, t, |code, to| dynasm!(code ; .arch x64 ; not Rq(to))),
            Op::Nor => self.binary(d, s, t, true, |this, to, from| {
                alu!(this, or, to, from, 64);
                dynasm!(this.code ; .arch x64 ; not Rq(to));
            }),
            Op::Slt | Op::Sltu => {
                let left = self.read(s, RCX);
                let right = self.operand(t);
                alu!(self, cmp, left, right, 64);
                self.set_if(d, op == Op::Slt);
            }
            Op::Slti | Op::Sltiu => {
                let left = self.read(s, RCX);
                dynasm!(self.code ; .arch x64 ; cmp Rq(left), small);
                self.set_if(t, op == Op::Slti);
            }
            Op::Clz | Op::Clo | Op::Dclz | Op::Dclo => {
                self.copy(RAX, s);
                let code = &mut self.code;
                match op {
                    Op::Clz => dynasm!(code ; .arch x64 ; lzcnt eax, eax),
                    Op::Clo => dynasm!(code ; .arch x64 ; not eax ; lzcnt eax, eax),
                    Op::Dclz => dynasm!(code ; .arch x64 ; lzcnt rax, rax),
                    _ => dynasm!(code ; .arch x64 ; not rax ; lzcnt rax, rax),
                }
                self.write(d, RAX);
            }
            Op::Movz | Op::Movn => {
                let condition = self.read(t, RCX);
                let from = self.read(s, RDX);
                let to = self.read(d, RAX);
                dynasm!(self.code ; .arch x64 ; test Rq(condition), Rq(condition));
                match op {
                    Op::Movz => dynasm!(self.code ; .arch x64 ; cmovz Rq(to), Rq(from)),
                    _ => dynasm!(self.code ; .arch x64 ; cmovnz Rq(to), Rq(from)),
                }
                self.write(d, to);
            }
            Op::Sync => self.move_to(d, s),

            Op::Addi | Op::Addiu if s == 0 => self.write_known(t, i64::from(small) as u64),
            Op::Daddi | Op::Daddiu if s == 0 => self.write_known(t, i64::from(small) as u64),
            Op::Addi | Op::Addiu => {
                let value = self.values[usize::from(s)];
                if let Value::Known(value) = value {
                    return self.write_known(t, (value as i32).wrapping_add(small) as u64);
                }
                self.unary(t, s, |code, to| {
                    match i8::try_from(small) {
                        Ok(0) => {}
                        Ok(small) => dynasm!(code ; .arch x64 ; add Rd(to), BYTE small),
                        Err(_) => dynasm!(code ; .arch x64 ; add Rd(to), small),
                    }
                    sign_extend(code, to);
                });
                self.values[usize::from(t)] =
                    value.map(|value| (value as i32).wrapping_add(small) as u64);
            }
            Op::Daddi | Op::Daddiu => {
                let value = self.values[usize::from(s)];
                let result = value.map(|value| value.wrapping_add_signed(small.into()));
                if let Value::Known(result) = result {
                    return self.write_known(t, result);
                }
                match (self.place(s), self.place(t)) {
                    (Place::Host(from), Place::Host(to)) if from != to => {
                        self.add_to(to, from, small);
                    }
                    (Place::Home(at), Place::Home(to)) if at == to => {
                        dynasm!(self.code ; .arch x64 ; add QWORD [rsp + at], small);
                    }
                    _ => self.unary(t, s, |code, to| match i8::try_from(small) {
                        Ok(small) => dynasm!(code ; .arch x64 ; add Rq(to), BYTE small),
                        Err(_) => dynasm!(code ; .arch x64 ; add Rq(to), small),
                    }),
                }
                self.values[usize::from(t)] = result;
            }
            Op::Andi => self.unary(t, s, |code, to| dynasm!(code ; .arch x64 ; and Rd(to), large)),
            Op::Ori | Op::Xori => {
                if let Value::Known(value) = self.values[usize::from(s)] {
                    let large = large as u64;
                    let value = if op == Op::Ori { value | large } else { value ^ large };
                    return self.write_known(t, value);
                }
                self.unary(t, s, |code, to| match op {
                    Op::Ori => dynasm!(code ; .arch x64 ; or Rq(to), large),
                    _ => dynasm!(code ; .arch x64 ; xor Rq(to), large),
                });
            }
            Op::Lui => self.write_known(t, (large << 16) as u64),

            Op::Mfhi | Op::Mflo => {
                let at = if op == Op::Mfhi { FRAME.hi } else { FRAME.lo };
                let fresh = self.fresh;
                let host = match fresh {
                    [Some(fresh), _] if fresh == at => RAX,
                    [_, Some(fresh)] if fresh == at => RDX,
                    _ => {
                        let to = self.target(d);
                        self.read_home(at, to);
                        self.write(d, to);
                        return;
                    }
                };
                self.write(d, host);
                // The other half may be asked for next.
                self.fresh = fresh;
            }
            Op::Mthi | Op::Mtlo => {
                let at = if op == Op::Mthi { FRAME.hi } else { FRAME.lo };
                let from = self.read(s, RAX);
                dynasm!(self.code ; .arch x64 ; mov QWORD [rsp + at], Rq(from));
                self.clear(d);
            }
            Op::Mult | Op::Multu => {
                match op {
                    Op::Mult => {
                        self.copy_extended(RAX, s);
                        self.copy_extended(RCX, t);
                    }
                    _ => {
                        self.copy(RAX, s);
                        self.copy(RCX, t);
                        dynasm!(self.code ; .arch x64 ; mov eax, eax ; mov ecx, ecx);
                    }
                }
                dynasm!(self.code ; .arch x64
                    ; imul rax, rcx
                    ; movsxd rcx, eax
                    ; sar rax, 32
                    ; mov QWORD [rsp + FRAME.lo], rcx
                    ; mov QWORD [rsp + FRAME.hi], rax
                );
                self.clear(d);
            }
            Op::Dmult | Op::Dmultu => {
                self.copy(RAX, s);
                let by = self.read(t, RCX);
                match op {
                    Op::Dmult => dynasm!(self.code ; .arch x64 ; imul Rq(by)),
                    _ => dynasm!(self.code ; .arch x64 ; mul Rq(by)),
                }
                self.write_hi_lo();
                self.clear(d);
            }
            Op::Div | Op::Divu | Op::Ddiv | Op::Ddivu => self.divide(op, s, t, d),

            _ if is_store(op) => self.store(op, word),
            _ => self.load(op, word),
        }
    }

    /// An instruction that may write `t` and memory.
    fn step_of_reference(&mut self, t: u8) {
        let (pc, left) = (self.pc(), self.steps - self.done);
        self.constant(RAX, pc);
        let step = self.request.shared.step;
        let stale = self.code.new_dynamic_label();
        dynasm!(self.code ; .arch x64
            ; lea rdx, [r15 + left as i32]
            ; call extern step.addr()
            ; test eax, eax
            ; jnz =>stale
        );
        self.values[usize::from(t)] = if t == 0 { Value::Known(0) } else { Value::Unknown };
        self.rare.push(Rare::Stale { from: stale, done: self.done + 1 });
    }

    /// `d` = a change of `from`
    fn unary(&mut self, d: u8, from: u8, change: impl Fn(&mut Assembler, u8)) {
        let to = self.target(d);
        self.copy(to, from);
        change(&mut self.code, to);
        self.write(d, to);
    }

    /// `d` = `s` and `t` combined
    fn binary(
        &mut self,
        d: u8,
        s: u8,
        t: u8,
        commutes: bool,
        combine: impl Fn(&mut Self, u8, Place),
    ) {
        let (s, t) = if d == t && commutes { (t, s) } else { (s, t) };
        // The result must not replace the second operand before it is read.
        let to = if d == t && s != t { RAX } else { self.target(d) };
        self.copy(to, s);
        let from = if s == t { Place::Host(to) } else { self.operand(t) };
        combine(self, to, from);
        self.write(d, to);
    }

    fn move_to(&mut self, d: u8, from: u8) {
        let value = self.values[usize::from(from)];
        if let Value::Known(value) = value {
            return self.write_known(d, value);
        }
        let host = self.read(from, RAX);
        self.write(d, host);
        self.values[usize::from(d)] = value;
    }

    fn shift_left(&mut self, d: u8, t: u8, by: u8) {
        match (self.pins.host(t), self.target(d)) {
            (Some(from), to) if from != to && (1..=3).contains(&by) => {
                self.scaled(to, None, from, by);
                self.write(d, to);
            }
            _ => self.unary(d, t, |code, to| dynasm!(code ; .arch x64 ; shl Rq(to), by as i8)),
        }
    }

    /// `d` = `s` + (`t` << `by`), for a shift of 1 to 3
    pub(super) fn add_scaled(&mut self, d: u8, s: u8, t: u8, by: u8) {
        let base = self.read(s, RDX);
        let index = self.read(t, RCX);
        let to = self.target(d);
        self.scaled(to, Some(base), index, by);
        // Where that points to, the base tells.
        let value = Value::Unknown.plus(self.values[usize::from(s)]);
        self.write(d, to);
        self.values[usize::from(d)] = value;
    }

    /// `to` = `base` + (`index` << `by`)
    fn scaled(&mut self, to: u8, base: Option<u8>, index: u8, by: u8) {
        self.fresh = [None; 2];
        let code = &mut self.code;
        match (base, by) {
            (None, 1) => dynasm!(code ; .arch x64 ; lea Rq(to), [Rq(index) + Rq(index)]),
            (None, 2) => dynasm!(code ; .arch x64 ; lea Rq(to), [NOSPLIT Rq(index) * 4]),
            (None, _) => dynasm!(code ; .arch x64 ; lea Rq(to), [NOSPLIT Rq(index) * 8]),
            (Some(base), 1) => dynasm!(code ; .arch x64 ; lea Rq(to), [Rq(base) + Rq(index) * 2]),
            (Some(base), 2) => dynasm!(code ; .arch x64 ; lea Rq(to), [Rq(base) + Rq(index) * 4]),
            (Some(base), _) => dynasm!(code ; .arch x64 ; lea Rq(to), [Rq(base) + Rq(index) * 8]),
        }
    }

    fn shift_right(&mut self, d: u8, t: u8, by: u8) {
        self.unary(d, t, |code, to| dynasm!(code ; .arch x64 ; shr Rq(to), by as i8));
    }

    /// `d` = 1 if the comparison before says less, else 0
    fn set_if(&mut self, d: u8, signed: bool) {
        match signed {
            true => dynasm!(self.code ; .arch x64 ; setl al),
            false => dynasm!(self.code ; .arch x64 ; setb al),
        }
        let to = self.target(d);
        dynasm!(self.code ; .arch x64 ; movzx Rd(to), al);
        self.write(d, to);
        self.flags = Some((d, signed));
    }

    fn copy_extended(&mut self, to: u8, register: u8) {
        let from = self.read(register, to);
        dynasm!(self.code ; .arch x64 ; movsxd Rq(to), Rd(from));
        self.fresh = [None; 2];
    }

    /// hi = `rdx`, lo = `rax`
    fn write_hi_lo(&mut self) {
        dynasm!(self.code ; .arch x64
            ; mov QWORD [rsp + FRAME.lo], rax
            ; mov QWORD [rsp + FRAME.hi], rdx
        );
        self.fresh = [Some(FRAME.lo), Some(FRAME.hi)];
    }

    /// Instructions without a result of their own clear the register in its place.
    pub(super) fn clear(&mut self, d: u8) {
        if d != 0 {
            self.write_known(d, 0);
        }
    }

    fn divide(&mut self, op: Op, s: u8, t: u8, d: u8) {
        let from = self.code.new_dynamic_label();
        self.rare.push(Rare::Interpret { from, done: self.done });
        self.copy(RCX, t);
        self.copy(RAX, s);
        let code = &mut self.code;
        match op {
            // In 64 bits the one quotient that overflows 32 is in range.
            Op::Div => dynasm!(code ; .arch x64
                ; movsxd rcx, ecx ; test rcx, rcx ; jz =>from
                ; movsxd rax, eax ; cqo ; idiv rcx
                ; movsxd rax, eax ; movsxd rdx, edx
            ),
            Op::Divu => dynasm!(code ; .arch x64
                ; test ecx, ecx ; jz =>from
                ; xor edx, edx ; div ecx
                ; movsxd rax, eax ; movsxd rdx, edx
            ),
            Op::Ddivu => dynasm!(code ; .arch x64
                ; test rcx, rcx ; jz =>from
                ; xor edx, edx ; div rcx
            ),
            _ => {
                let (negate, done) = (code.new_dynamic_label(), code.new_dynamic_label());
                dynasm!(code ; .arch x64
                    ; test rcx, rcx ; jz =>from
                    ; cmp rcx, -1 ; je =>negate
                    ; cqo ; idiv rcx ; jmp =>done
                    ; =>negate
                    ; neg rax ; xor edx, edx
                    ; =>done
                );
            }
        }
        self.write_hi_lo();
        self.clear(d);
    }
}

pub(super) fn sign_extend(code: &mut Assembler, register: u8) {
    dynasm!(code ; .arch x64 ; movsxd Rq(register), Rd(register));
}
