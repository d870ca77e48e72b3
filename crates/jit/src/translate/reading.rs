//! Reading a block: which instructions it holds, and what kind each is.
//!
//! Knows guest instructions. Knows nothing of the code that they become.

use tribunal_mips64::{Op, Syntax, decode};

use super::{MAX_BRANCHES, MAX_INSTRUCTIONS, Request};
use crate::frame::{Pins, Swap};
use crate::pinning::count_uses;

/// Reads a block: on behind branches that lead forward, as if they were not taken.
pub(super) fn read_block(request: &Request<'_>, fetch: impl Fn(u64) -> u32) -> (Vec<Item>, End) {
    let limit = request.max_steps.min(MAX_INSTRUCTIONS);
    let (mut items, mut steps, mut branches) = (Vec::new(), 0, 0);
    while steps < limit {
        let pc = request.pc.wrapping_add(steps as u64 * 4);
        let word = fetch(pc);
        let Some(op) = decode(word).filter(|op| is_compiled(*op)) else {
            return (items, End::Interpreted);
        };
        if !is_branch(op) {
            items.push(Item::Plain { word, op });
            steps += 1;
            continue;
        }
        if steps + 2 > limit && steps > 0 {
            break;
        }
        let slot = fetch(pc.wrapping_add(4));
        let slot_op = decode(slot).filter(|slot| is_compiled(*slot) && !is_branch(*slot));
        // Two steps may be more than are allowed; what leaves in the middle cannot stand behind a
        // branch that is not taken yet.
        let Some(slot_op) = slot_op.filter(|op| steps + 2 <= limit && !may_leave(*op)) else {
            return (items, End::Interpreted);
        };
        branches += 1;
        // Behind a store that may change the code, nothing of the block may follow.
        let goes_on = falls_through(op, word) && !is_store(slot_op) && branches < MAX_BRANCHES;
        items.push(Item::Branch { word, op, slot, slot_op, goes_on });
        steps += 2;
        if !goes_on {
            return (items, End::Left);
        }
    }
    (items, End::FallsThrough)
}

/// The pins for a block: if it is a loop, those that suit it, and what is different about them.
pub(super) fn loop_pins(request: &Request<'_>, items: &[Item]) -> (Pins, Vec<Swap>) {
    let (mut uses, mut steps, mut is_loop) = ([0; 32], 0, false);
    for item in items {
        match *item {
            // What the reference does within a block, it does with the pins of all blocks.
            Item::Plain { op, .. } if is_atomic(op) => return (request.pins.clone(), Vec::new()),
            Item::Plain { word, op } => count_uses(op, word, &mut uses),
            Item::Branch { word, op, slot, slot_op, .. } => {
                count_uses(op, word, &mut uses);
                count_uses(slot_op, slot, &mut uses);
                let pc = request.pc.wrapping_add(steps as u64 * 4);
                let conditional = matches!(op.row().syntax, Syntax::RsRtBranch | Syntax::RsBranch);
                is_loop |= conditional && branch_target(pc, word) == request.pc;
            }
        }
        steps += item.steps();
    }
    if is_loop && !request.careful {
        request.pins.for_loop(&uses)
    } else {
        (request.pins.clone(), Vec::new())
    }
}

/// Where a conditional branch at `pc` leads.
pub(super) fn branch_target(pc: u64, word: u32) -> u64 {
    pc.wrapping_add(4).wrapping_add_signed(i64::from(signed(word)) << 2)
}

/// Whether it is a branch that probably is not taken: a condition, and a way forward.
fn falls_through(op: Op, word: u32) -> bool {
    let forward = signed(word) > 0;
    match op {
        Op::Beq | Op::Bne => forward && rs(word) != rt(word),
        Op::Blez | Op::Bgtz | Op::Bltz | Op::Bgez => forward && rs(word) != 0,
        _ => false,
    }
}

/// An instruction, or a branch with what stands in its delay slot.
#[derive(Clone, Copy)]
pub(super) enum Item {
    Plain {
        word: u32,
        op: Op,
    },
    /// `goes_on`: the block does, where it is not taken.
    Branch {
        word: u32,
        op: Op,
        slot: u32,
        slot_op: Op,
        goes_on: bool,
    },
}

impl Item {
    pub(super) fn steps(&self) -> usize {
        match self {
            Self::Plain { .. } => 1,
            Self::Branch { .. } => 2,
        }
    }
}

/// How a block ends.
#[derive(Clone, Copy)]
pub(super) enum End {
    /// The next instruction is in another block, because this one is long enough.
    FallsThrough,
    /// The next instruction is for the reference.
    Interpreted,
    /// With a branch.
    Left,
}

/// Whether dsll32 and then dsrl32 clear the upper half of a register, and do nothing else.
pub(super) fn is_zero_extension(first: u32, second: u32) -> bool {
    shift_amount(first) == 0
        && shift_amount(second) == 0
        && rd(first) == rt(second)
        && rd(first) == rd(second)
}

/// Whether blocks hold this instruction.
fn is_compiled(op: Op) -> bool {
    op != Op::Syscall
}

/// Whether a block may be left before or behind it: then it is not for a delay slot.
fn may_leave(op: Op) -> bool {
    is_atomic(op) || matches!(op, Op::Div | Op::Divu | Op::Ddiv | Op::Ddivu)
}

/// Load-linked and store-conditional, which are steps of the reference, called from within a block.
pub(super) fn is_atomic(op: Op) -> bool {
    matches!(op, Op::Ll | Op::Lld | Op::Sc | Op::Scd)
}

pub(super) fn is_branch(op: Op) -> bool {
    matches!(op.row().syntax, Syntax::RsRtBranch | Syntax::RsBranch | Syntax::Jump)
        || matches!(op, Op::Jr | Op::Jalr)
}

/// Whether nobody sees what a plain instruction does. Reading memory has no effect, so even a load to
/// register 0 is nothing.
pub(super) fn is_nothing(op: Op, word: u32) -> bool {
    written(op, word) == 0 && !is_store(op) && !writes_hi_lo(op) && !is_atomic(op)
}

/// The register that an instruction writes; for branches, only that of jalr.
pub(super) fn written(op: Op, word: u32) -> u8 {
    match op.row().syntax {
        Syntax::RtRsSigned | Syntax::RtRsUnsigned | Syntax::RtUnsigned => rt(word),
        Syntax::RtOffset if is_store(op) => 0,
        Syntax::RtOffset => rt(word),
        _ => rd(word),
    }
}

pub(super) fn is_store(op: Op) -> bool {
    matches!(op, Op::Sb | Op::Sh | Op::Swl | Op::Sw | Op::Sdl | Op::Sdr | Op::Swr | Op::Sd)
}

pub(super) fn rs(word: u32) -> u8 {
    (word >> 21 & 31) as u8
}

pub(super) fn rt(word: u32) -> u8 {
    (word >> 16 & 31) as u8
}

pub(super) fn rd(word: u32) -> u8 {
    (word >> 11 & 31) as u8
}

pub(super) fn shift_amount(word: u32) -> u8 {
    (word >> 6 & 31) as u8
}

pub(super) fn signed(word: u32) -> i32 {
    i32::from(word as i16)
}

fn writes_hi_lo(op: Op) -> bool {
    matches!(
        op,
        Op::Mthi
            | Op::Mtlo
            | Op::Mult
            | Op::Multu
            | Op::Dmult
            | Op::Dmultu
            | Op::Div
            | Op::Divu
            | Op::Ddiv
            | Op::Ddivu
    )
}
