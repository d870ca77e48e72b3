//! Code that is out of the way of the usual: behind the block, and jumped to when it is needed.

use dynasmrt::{DynamicLabel, DynasmApi as _, DynasmLabelApi as _, dynasm};

use super::groups::Way;
use super::memory::Width;
use super::operands::{RAX, RDX};
use super::{CAREFUL, Translator, WITHHELD};
use crate::frame::{Exit, FRAME};

/// Code that is out of the way of the usual.
pub(super) enum Rare {
    /// The block has more steps than are left.
    Budget {
        from: DynamicLabel,
    },
    /// The reference takes instruction `done`.
    Interpret {
        from: DynamicLabel,
        done: usize,
    },
    Load {
        from: DynamicLabel,
        back: DynamicLabel,
        address: u8,
        width: Width,
        to: u8,
        keep: bool,
    },
    Store {
        /// Not in the segment that was looked in.
        from: DynamicLabel,
        /// The page needs attention.
        marked: DynamicLabel,
        back: DynamicLabel,
        address: u8,
        width: Width,
        value: u8,
        /// The instruction behind the store, unless that is where a branch leads.
        done: Option<usize>,
    },
    /// A branch in the middle that goes the less likely way.
    Away {
        from: DynamicLabel,
        done: usize,
        target: u64,
    },
    /// What was compiled from `done` on may be stale.
    Stale {
        from: DynamicLabel,
        done: usize,
    },
    /// A base that does not pass for all of its group: on with a careful block.
    Careful {
        from: DynamicLabel,
        done: usize,
        give_back: usize,
    },
    /// A link whose target is not compiled.
    Link {
        from: DynamicLabel,
        which: usize,
        target: u64,
    },
    /// A jump to what the table does not know.
    Indirect {
        from: DynamicLabel,
    },
}

/// What is out of the way.
impl Translator<'_> {
    pub(super) fn rare(&mut self, which: usize) {
        let shared = self.request.shared;
        match self.rare[which] {
            Rare::Budget { from } => {
                dynasm!(self.code ; .arch x64 ; =>from);
                self.leave_early(0, Exit::Budget);
            }
            Rare::Interpret { from, done } => {
                dynasm!(self.code ; .arch x64 ; =>from);
                self.leave_early(done, Exit::Interpret);
            }
            Rare::Away { from, done, target } => {
                dynasm!(self.code ; .arch x64 ; =>from);
                self.give_back(self.steps - done);
                self.link_to(target);
            }
            Rare::Stale { from, done } => {
                dynasm!(self.code ; .arch x64 ; =>from);
                self.leave_early(done, Exit::Dispatch);
            }
            Rare::Careful { from, done, give_back } => {
                dynasm!(self.code ; .arch x64 ; =>from);
                self.give_back(give_back);
                self.link_to(self.pc_of(done) | CAREFUL);
            }
            Rare::Load { from, back, address, width, to, keep } => {
                let call = self.code.new_dynamic_label();
                dynasm!(self.code ; .arch x64 ; =>from);
                self.move_host(RAX, address);
                self.look_up(width, call);
                let at = self.at(Way::Rcx, RAX, width);
                self.fetch(at, width, to);
                dynasm!(self.code ; .arch x64 ; jmp =>back ; =>call);
                if keep {
                    dynasm!(self.code ; .arch x64 ; mov [rsp + FRAME.kept], rdx);
                }
                dynasm!(self.code ; .arch x64
                    ; mov ecx, width.bytes()
                    ; call extern shared.load.addr()
                );
                if keep {
                    dynasm!(self.code ; .arch x64 ; mov rdx, [rsp + FRAME.kept]);
                }
                self.move_host(to, RAX);
                self.extend(width, to);
                dynasm!(self.code ; .arch x64 ; jmp =>back);
            }
            Rare::Store { from, marked, back, address, width, value, done } => {
                dynasm!(self.code ; .arch x64 ; =>from);
                self.move_host(RAX, address);
                self.look_up(width, marked);
                self.check_mark(RAX, marked);
                self.look_up(width, marked);
                let at = self.at(Way::Rcx, RAX, width);
                self.put(at, width, value);
                dynasm!(self.code ; .arch x64 ; jmp =>back ; =>marked);
                self.move_host(RAX, address);
                self.move_host(RDX, value);
                dynasm!(self.code ; .arch x64
                    ; mov ecx, width.bytes()
                    ; call extern shared.store.addr()
                );
                dynasm!(self.code ; .arch x64 ; test eax, eax ; jz =>back);
                match done {
                    Some(done) => self.leave_early(done, Exit::Dispatch),
                    // The branch comes first; what it leads to finds no steps left.
                    None => dynasm!(self.code ; .arch x64
                        ; mov rcx, QWORD WITHHELD as i64
                        ; sub r15, rcx
                        ; jmp =>back
                    ),
                }
            }
            Rare::Link { from, which, target } => {
                self.links[which].stub = self.code.offset().0;
                dynasm!(self.code ; .arch x64 ; =>from);
                let link = self.request.links + which + Exit::FIRST_LINK;
                self.leave(target, i32::try_from(link).expect("code ends before links do"));
            }
            Rare::Indirect { from } => {
                dynasm!(self.code ; .arch x64 ; =>from);
                let exit = shared.exit;
                dynasm!(self.code ; .arch x64
                    ; mov ecx, Exit::Dispatch as i32
                    ; jmp extern exit.addr()
                );
            }
        }
    }
}
