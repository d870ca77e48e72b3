//! Reading a block: which instructions it holds, and what kind each is.
//!
//! Knows guest instructions. Knows nothing of the code that they become.

use tribunal_mips64::{Op, Syntax, decode};

use super::{MAX_BRANCHES, MAX_INSTRUCTIONS, Request};
use crate::frame::{Pins, Swap};
use crate::pinning::count_uses;

/// The most times that a loop is laid out one behind the other.
const MAX_COPIES: usize = 4;

/// A block.
pub(super) struct Reading {
    pub(super) items: Vec<Item>,
    pub(super) end: End,
    /// Its instructions, each counted once.
    pub(super) instructions: usize,
    /// Whether a branch leads back to where it begins.
    pub(super) is_loop: bool,
}

/// Reads a block: on behind branches that lead forward, as if they were not taken; a short loop
/// several times, as if it were not left.
pub(super) fn read_block(request: &Request<'_>, fetch: impl Fn(u64) -> u32) -> Reading {
    let (mut items, end) = read_once(request, fetch);
    let instructions: usize = items.iter().map(Item::steps).sum();
    let last = request.pc.wrapping_add(instructions as u64 * 4).wrapping_sub(8);
    let is_loop = !request.careful
        && matches!(items[..], [.., Item::Branch { word, op, on: On::Left, .. }]
            if Condition::of(op, word).is_open() && branch_target(last, word) == request.pc);
    if is_loop {
        let copies = request.max_steps.min(MAX_INSTRUCTIONS) / instructions;
        let once = items.clone();
        for _ in 1..copies.min(MAX_COPIES) {
            if let Some(Item::Branch { on, .. }) = items.last_mut() {
                *on = On::Taken;
            }
            items.extend(&once);
        }
    }
    Reading { items, end, instructions, is_loop }
}

fn read_once(request: &Request<'_>, fetch: impl Fn(u64) -> u32) -> (Vec<Item>, End) {
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
        let goes_on = falls_through(op, word) && branches < MAX_BRANCHES;
        let on = if goes_on { On::NotTaken } else { On::Left };
        items.push(Item::Branch { word, op, slot, slot_op, on });
        steps += 2;
        if !goes_on {
            return (items, End::Left);
        }
    }
    (items, End::FallsThrough)
}

/// The pins for a block: if it is a loop, those that suit it, and what is different about them.
pub(super) fn loop_pins(request: &Request<'_>, reading: &Reading) -> (Pins, Vec<Swap>) {
    let mut uses = [0; 32];
    for item in &reading.items {
        match *item {
            // What the reference does within a block, it does with the pins of all blocks.
            Item::Plain { op, .. } if is_atomic(op) => return (request.pins.clone(), Vec::new()),
            Item::Plain { word, op } => count_uses(op, word, &mut uses),
            Item::Branch { word, op, slot, slot_op, .. } => {
                count_uses(op, word, &mut uses);
                count_uses(slot_op, slot, &mut uses);
            }
        }
    }
    if reading.is_loop { request.pins.for_loop(&uses) } else { (request.pins.clone(), Vec::new()) }
}

/// Where a conditional branch at `pc` leads.
pub(super) fn branch_target(pc: u64, word: u32) -> u64 {
    pc.wrapping_add(4).wrapping_add_signed(i64::from(signed(word)) << 2)
}

/// When a branch is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Always,
    Never,
    Equal,
    NotEqual,
    Negative,
    NotNegative,
    Positive,
    NotPositive,
}

impl Condition {
    /// That of a branch.
    pub(super) fn of(op: Op, word: u32) -> Self {
        let (s, t) = (rs(word), rt(word));
        match op {
            Op::Beq if s == t => Self::Always,
            Op::Beq => Self::Equal,
            Op::Bne if s != t => Self::NotEqual,
            Op::Blez | Op::Bgez | Op::Bgezal if s == 0 => Self::Always,
            Op::Blez => Self::NotPositive,
            Op::Bgez | Op::Bgezal => Self::NotNegative,
            Op::Bgtz if s != 0 => Self::Positive,
            Op::Bltz | Op::Bltzal if s != 0 => Self::Negative,
            // Those that stay are branches to nowhere, the reserved ones among them; jumps have none.
            _ => Self::Never,
        }
    }

    /// When a branch is not taken.
    pub(super) fn opposite(self) -> Self {
        match self {
            Self::Always => Self::Never,
            Self::Never => Self::Always,
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Negative => Self::NotNegative,
            Self::NotNegative => Self::Negative,
            Self::Positive => Self::NotPositive,
            Self::NotPositive => Self::Positive,
        }
    }

    /// Whether it depends on registers.
    pub(super) fn is_open(self) -> bool {
        !matches!(self, Self::Always | Self::Never)
    }
}

/// Whether it is a branch that probably is not taken: a condition, and a way forward.
fn falls_through(op: Op, word: u32) -> bool {
    signed(word) > 0 && Condition::of(op, word).is_open() && !matches!(op, Op::Bltzal | Op::Bgezal)
}

/// An instruction, or a branch with what stands in its delay slot.
#[derive(Clone, Copy)]
pub(super) enum Item {
    Plain { word: u32, op: Op },
    Branch { word: u32, op: Op, slot: u32, slot_op: Op, on: On },
}

/// Where a block goes on behind a branch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    /// Nowhere: the branch ends it.
    Left,
    /// With the instruction that follows, if the branch is not taken.
    NotTaken,
    /// With the loop's first instruction, if the branch is taken.
    Taken,
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

/// If a dsll by 1 to 3 and then a daddu add a multiple to a base, and do nothing else: the base.
pub(super) fn base_of_scaled_sum(first: u32, second: u32) -> Option<u8> {
    let scaled = rd(first);
    let base = if rs(second) == scaled { rt(second) } else { rs(second) };
    let is_one = (rs(second) == scaled) != (rt(second) == scaled);
    (is_one && scaled != 0 && rd(second) == scaled && (1..=3).contains(&shift_amount(first)))
        .then_some(base)
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
        Syntax::RsRtBranch | Syntax::RsBranch | Syntax::Jump => 0,
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
