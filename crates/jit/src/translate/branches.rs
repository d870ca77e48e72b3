//! Branches and jumps, with what stands in their delay slots, and the ways out of a block.

#![expect(clippy::useless_conversion, reason = "what dynasm! expands to converts its operands")]

use dynasmrt::{DynamicLabel, DynasmApi as _, DynasmLabelApi as _, dynasm};
use tribunal_mips64::Op;

use super::operands::{Place, RAX};
use super::rare::Rare;
use super::reading::{Condition, On, branch_target, is_nothing, is_store, rd, rs, rt, written};
use super::{NewLink, Translator};
use crate::frame::{Exit, FRAME, Swap};
use crate::window::TABLE_BYTES;

/// Branches.
impl Translator<'_> {
    pub(super) fn branch(&mut self, op: Op, word: u32, slot_op: Op, slot: u32, on: On) {
        let flags = self.flags.take();
        let pc = self.pc();
        let behind = pc.wrapping_add(4);
        let (s, t) = (rs(word), rt(word));
        let region = behind & 0xffff_ffff_f000_0000;
        let jump = region | u64::from(word & 0x03ff_ffff) << 2;
        let target = branch_target(pc, word);
        let slot_writes = written(slot_op, slot);
        match op {
            Op::Jr | Op::Jalr => {
                let link = if op == Op::Jalr { rd(word) } else { 0 };
                let early = s != 0 && (slot_writes == s || link == s);
                if early {
                    let from = self.read(s, RAX);
                    dynasm!(self.code ; .arch x64 ; mov [rsp + FRAME.target], Rq(from));
                }
                self.link_and_slot(link, pc, slot_op, slot);
                if early {
                    dynasm!(self.code ; .arch x64 ; mov rax, [rsp + FRAME.target]);
                } else {
                    self.copy(RAX, s);
                }
                self.jump_to_rax();
            }
            Op::J => {
                self.link_and_slot(0, pc, slot_op, slot);
                self.link_to(jump);
            }
            Op::Jal => {
                self.link_and_slot(31, pc, slot_op, slot);
                self.link_to(jump);
            }
            _ => {
                let condition = Condition::of(op, word);
                // The block goes on with the more likely way; the other is jumped to.
                let (jump_if, jump_to) = match on {
                    On::Taken => (condition.opposite(), pc.wrapping_add(8)),
                    On::Left | On::NotTaken => (condition, target),
                };
                let links = matches!(op, Op::Bltzal | Op::Bgezal);
                let two = matches!(op, Op::Beq | Op::Bne);
                let clobbered = |register: u8| {
                    register != 0 && (slot_writes == register || links && register == 31)
                };
                let early = clobbered(s) || two && clobbered(t);
                if early && condition.is_open() {
                    self.compare(s, t, two);
                    self.keep_condition(jump_if);
                }
                self.link_and_slot(if links { 31 } else { 0 }, pc, slot_op, slot);
                match condition {
                    Condition::Always => return self.link_to(target),
                    Condition::Never => return self.link_to(pc.wrapping_add(8)),
                    _ => {}
                }
                let again = on == On::Left && self.is_top(target);
                let away = if again { self.top } else { self.code.new_dynamic_label() };
                let one = if s == 0 { t } else { s };
                match flags {
                    _ if early => dynasm!(self.code ; .arch x64
                        ; cmp BYTE [rsp + FRAME.condition], 0
                        ; jne =>away
                    ),
                    // What was compared a moment ago.
                    Some((register, signed))
                        if register == one
                            && two
                            && (s == 0 || t == 0)
                            && is_nothing(slot_op, slot) =>
                    {
                        match (jump_if, signed) {
                            (Condition::NotEqual, true) => {
                                dynasm!(self.code ; .arch x64 ; jl =>away)
                            }
                            (Condition::NotEqual, false) => {
                                dynasm!(self.code ; .arch x64 ; jb =>away)
                            }
                            (_, true) => dynasm!(self.code ; .arch x64 ; jge =>away),
                            (_, false) => dynasm!(self.code ; .arch x64 ; jae =>away),
                        }
                    }
                    _ => {
                        self.compare(s, t, two);
                        self.jump_if(jump_if, away);
                    }
                }
                let done = self.done + 1;
                match on {
                    On::Taken | On::NotTaken => {
                        self.rare.push(Rare::Away { from: away, done, target: jump_to });
                        if is_store(slot_op) {
                            let from = self.code.new_dynamic_label();
                            dynasm!(self.code ; .arch x64 ; test r15, r15 ; js =>from);
                            self.rare.push(Rare::Stale { from, done });
                        }
                    }
                    On::Left => {
                        if !again && self.swaps.is_empty() {
                            self.add_link(away, target);
                        } else if !again {
                            self.rare.push(Rare::Away { from: away, done, target });
                        }
                        self.link_to(pc.wrapping_add(8));
                    }
                }
            }
        }
    }

    fn link_and_slot(&mut self, link: u8, pc: u64, slot_op: Op, slot: u32) {
        if link != 0 {
            self.write_known(link, pc.wrapping_add(8));
        }
        self.in_slot = true;
        self.done += 1;
        self.instruction(slot_op, slot);
    }

    fn compare(&mut self, s: u8, t: u8, two: bool) {
        if two && s != 0 && t != 0 {
            let left = self.read(s, RAX);
            let right = self.operand(t);
            alu!(self, cmp, left, right, 64);
            return;
        }
        let one = if s == 0 { t } else { s };
        match self.place(one) {
            Place::Host(host) => dynasm!(self.code ; .arch x64 ; test Rq(host), Rq(host)),
            _ => {
                let host = self.read(one, RAX);
                dynasm!(self.code ; .arch x64 ; test Rq(host), Rq(host));
            }
        }
    }

    fn keep_condition(&mut self, condition: Condition) {
        let at = FRAME.condition;
        match condition {
            Condition::Equal => dynasm!(self.code ; .arch x64 ; sete BYTE [rsp + at]),
            Condition::NotEqual => dynasm!(self.code ; .arch x64 ; setne BYTE [rsp + at]),
            Condition::Negative => dynasm!(self.code ; .arch x64 ; setl BYTE [rsp + at]),
            Condition::NotNegative => dynasm!(self.code ; .arch x64 ; setge BYTE [rsp + at]),
            Condition::Positive => dynasm!(self.code ; .arch x64 ; setg BYTE [rsp + at]),
            Condition::NotPositive => dynasm!(self.code ; .arch x64 ; setle BYTE [rsp + at]),
            Condition::Always | Condition::Never => {}
        }
    }

    fn jump_if(&mut self, condition: Condition, taken: DynamicLabel) {
        match condition {
            Condition::Equal => dynasm!(self.code ; .arch x64 ; je =>taken),
            Condition::NotEqual => dynasm!(self.code ; .arch x64 ; jne =>taken),
            Condition::Negative => dynasm!(self.code ; .arch x64 ; jl =>taken),
            Condition::NotNegative => dynasm!(self.code ; .arch x64 ; jge =>taken),
            Condition::Positive => dynasm!(self.code ; .arch x64 ; jg =>taken),
            Condition::NotPositive => dynasm!(self.code ; .arch x64 ; jle =>taken),
            Condition::Always | Condition::Never => {}
        }
    }

    /// Goes on at the guest address in `rax`.
    fn jump_to_rax(&mut self) {
        self.swap_back();
        let from = self.code.new_dynamic_label();
        dynasm!(self.code ; .arch x64
            ; test rax, QWORD [rsp + FRAME.table_mask]
            ; jnz =>from
            ; mov rcx, QWORD [r14 + rax * 2 + -(TABLE_BYTES as i32)]
            ; test rcx, rcx
            ; jz =>from
            ; jmp rcx
        );
        self.rare.push(Rare::Indirect { from });
    }

    /// Goes on at `target`.
    pub(super) fn link_to(&mut self, target: u64) {
        if self.is_top(target) {
            let top = self.top;
            dynasm!(self.code ; .arch x64 ; jmp =>top);
            return;
        }
        self.swap_back();
        let from = self.code.new_dynamic_label();
        dynasm!(self.code ; .arch x64 ; jmp =>from);
        self.add_link(from, target);
    }

    /// Whether a jump to `target` begins this block again.
    fn is_top(&self, target: u64) -> bool {
        target == self.request.pc && !self.request.careful
    }

    /// Back to the pins of all blocks.
    pub(super) fn swap_back(&mut self) {
        for Swap { host, out, guest } in self.swaps.clone() {
            dynasm!(self.code ; .arch x64
                ; mov [rsp + FRAME.register(guest)], Rq(host)
                ; mov Rq(host), [rsp + FRAME.register(out)]
            );
        }
    }

    /// The jump just emitted, whose displacement stands at its end, leads to `target`.
    fn add_link(&mut self, from: DynamicLabel, target: u64) {
        let which = self.links.len();
        let site = self.code.offset().0 - 4;
        self.links.push(NewLink { site, stub: 0, target });
        self.rare.push(Rare::Link { from, which, target });
    }

    pub(super) fn leave(&mut self, pc: u64, how: i32) {
        self.constant(RAX, pc);
        let exit = self.request.shared.exit;
        dynasm!(self.code ; .arch x64 ; mov ecx, how ; jmp extern exit.addr());
    }

    /// Gives back steps that were taken off at the head, and that the block does not take.
    pub(super) fn give_back(&mut self, steps: usize) {
        if self.request.counted {
            dynasm!(self.code ; .arch x64 ; add r15, steps as i32);
        }
    }

    /// Gives back the steps from `done` on, and leaves.
    pub(super) fn leave_early(&mut self, done: usize, how: Exit) {
        let pc = self.pc_of(done);
        self.give_back(self.steps - done);
        self.swap_back();
        self.leave(pc, how as i32);
    }
}
