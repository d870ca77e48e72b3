//! Loads and stores with one base, which are checked together before the first of them.

#![expect(clippy::useless_conversion, reason = "what dynasm! expands to converts its operands")]

use dynasmrt::{DynasmApi as _, DynasmLabelApi as _, dynasm};
use tribunal_mips64::Op;

use super::Translator;
use super::memory::{Width, mask_of};
use super::operands::{RCX, RDX, Value};
use super::rare::Rare;
use super::reading::{Item, is_atomic, is_branch, is_store, rs, rt, signed, written};
use crate::frame::{FRAME, Near};
use crate::window::SEGMENT_BITS;

/// How memory is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Through `gs`.
    Gs,
    /// Through `r13`.
    R13,
    /// Through a delta in the frame.
    Frame,
    /// Through whatever delta `rcx` holds.
    Rcx,
}

impl Way {
    /// To the segments that are near.
    const NEAR: [Self; Near::COUNT] = [Self::Gs, Self::R13, Self::Frame];

    /// The place of its segment among those that are near, in bytes.
    pub(super) fn near(self) -> i32 {
        match self {
            Self::Gs => 0,
            Self::R13 => 8,
            Self::Frame | Self::Rcx => 16,
        }
    }
}

/// Accesses whose addresses differ by constants.
#[derive(Clone, Copy)]
pub(super) struct Group {
    members: usize,
    /// Alignment: the widest access.
    bytes: i32,
    /// Of the lowest and the highest byte written, how far behind the group's base.
    stores: Option<(i32, i32)>,
    /// Set once it has been checked.
    way: Option<Way>,
    /// Cannot be checked at once.
    given_up: bool,
}

/// An access of a group: its register is so far behind the group's base.
#[derive(Clone, Copy)]
pub(super) struct Member {
    group: usize,
    behind: i32,
}

/// Bytes written through one base that are checked at once: within two pages.
const MAX_STORE_SPAN: i32 = 4096;

/// Groups of accesses.
impl Translator<'_> {
    pub(super) fn find_groups(&mut self, items: &[Item]) {
        // What an access through each register would be a member of.
        let mut current: [Option<Member>; 32] = [None; 32];
        let instructions = items.iter().flat_map(|item| match *item {
            Item::Plain { word, op } => [Some((word, op)), None],
            Item::Branch { word, op, slot, slot_op, .. } => {
                [Some((word, op)), Some((slot, slot_op))]
            }
        });
        for (word, op) in instructions.flatten() {
            let member = self.group_of(op, word, &mut current);
            self.members.push(member);
            let (s, t) = (rs(word), rt(word));
            let value = match op {
                Op::Daddi | Op::Daddiu => moved(current[usize::from(s)], signed(word)),
                Op::Dadd | Op::Daddu | Op::Or | Op::Xor if t == 0 => current[usize::from(s)],
                Op::Dadd | Op::Daddu | Op::Or | Op::Xor if s == 0 => current[usize::from(t)],
                _ => None,
            };
            current[usize::from(written(op, word))] = value;
            current[0] = None;
            if is_branch(op) {
                current[31] = None;
            }
            if is_atomic(op) {
                // Another page may be watched from here on.
                current = [None; 32];
            }
        }
    }

    /// The group that an instruction belongs to, if it is a load or a store.
    fn group_of(
        &mut self,
        op: Op,
        word: u32,
        current: &mut [Option<Member>; 32],
    ) -> Option<Member> {
        let width = Width::of(op)?;
        let base = usize::from(rs(word));
        let begun = current[base].filter(|member| moved(Some(*member), signed(word)).is_some());
        let member = begun.unwrap_or_else(|| {
            self.groups.push(Group {
                members: 0,
                bytes: 1,
                stores: None,
                way: None,
                given_up: base == 0,
            });
            Member { group: self.groups.len() - 1, behind: 0 }
        });
        current[base] = Some(member);
        let offset = member.behind + signed(word);
        let group = &mut self.groups[member.group];
        group.members += 1;
        group.bytes = group.bytes.max(width.bytes());
        // What is aligned only together with an odd base is for careful code.
        group.given_up |= offset % width.bytes() != 0;
        if is_store(op) {
            let (low, high) = (offset, offset + width.bytes() - 1);
            let stores = group.stores.get_or_insert((low, high));
            *stores = (stores.0.min(low), stores.1.max(high));
            group.given_up |= stores.1 - stores.0 >= MAX_STORE_SPAN;
        }
        Some(member)
    }

    /// The way that the base of this access has been found to pass, or is now.
    pub(super) fn grouped(&mut self, register: u8) -> Option<Way> {
        let member = (*self.members.get(self.done)?)?;
        let group = self.groups[member.group];
        if group.way.is_some() || group.given_up || group.members < 2 || self.in_slot {
            return group.way;
        }
        let way = self.likely(self.values[usize::from(register)])?;
        self.check_group(member, register, way, self.steps - self.done);
        Some(way)
    }

    /// How far the register of this access is behind a base that is known to be divisible by 8.
    pub(super) fn behind_aligned_base(&self) -> Option<i32> {
        let member = (*self.members.get(self.done)?)?;
        let group = self.groups[member.group];
        (group.way.is_some() && group.bytes == 8).then_some(member.behind)
    }

    /// Before a loop: checks what is accessed through registers that it does not write.
    pub(super) fn check_what_stays(&mut self, items: &[Item]) {
        let mut stays = [true; 32];
        for item in items {
            match *item {
                Item::Plain { op, .. } if is_atomic(op) => return,
                Item::Plain { word, op } => stays[usize::from(written(op, word))] = false,
                Item::Branch { word, op, slot, slot_op, .. } => {
                    stays[usize::from(written(op, word))] = false;
                    stays[usize::from(written(slot_op, slot))] = false;
                    stays[31] = false;
                }
            }
        }
        // Behind the first branch it is not certain that anything is accessed.
        for (done, item) in items.iter().enumerate() {
            let Item::Plain { word, op } = *item else { break };
            let Some(member) = self.members[done].filter(|_| Width::of(op).is_some()) else {
                continue;
            };
            let (group, register) = (self.groups[member.group], rs(word));
            if stays[usize::from(register)]
                && !group.given_up
                && group.way.is_none()
                && let Some(way) = self.likely(self.values[usize::from(register)])
            {
                self.check_group(member, register, way, 0);
            }
        }
        self.fresh = [None; 2];
    }

    /// Leaves for a careful block, and gives back so many steps, unless all of a group may be
    /// accessed through `way`.
    fn check_group(&mut self, member: Member, register: u8, way: Way, give_back: usize) {
        let group = &mut self.groups[member.group];
        group.way = Some(way);
        let Group { bytes, stores, .. } = *group;
        let from = self.code.new_dynamic_label();
        self.rare.push(Rare::Careful { from, done: self.done, give_back });
        let base = self.read(register, RDX);
        let bound = FRAME.negated_bounds + way.near();
        let ahead = -member.behind;
        if self.starts_at_zero(way) {
            dynasm!(self.code ; .arch x64 ; lea rax, [Rq(base) + (ahead - 0x8000)]);
        } else if ahead == 0 {
            dynasm!(self.code ; .arch x64 ; mov rax, QWORD [rsp + bound] ; add rax, Rq(base));
        } else {
            dynasm!(self.code ; .arch x64
                ; mov rax, QWORD [rsp + bound]
                ; lea rax, [rax + Rq(base) + ahead]
            );
        }
        self.fresh = [None; 2];
        dynasm!(self.code ; .arch x64
            ; test rax, QWORD [rsp + FRAME.masks + mask_of(bytes)]
            ; jnz =>from
        );
        let Some((low, high)) = stores else { return };
        // A span of at most a page lies in the pages of its first and its last byte. Offsets are from
        // an aligned base, so what lies in one aligned word lies in one page.
        let one_word = low.div_euclid(bytes) == high.div_euclid(bytes);
        let ends = if one_word { vec![low] } else { vec![low, high] };
        for offset in ends {
            self.add_to(RCX, base, ahead + offset);
            dynasm!(self.code ; .arch x64
                ; shr rcx, 12
                ; cmp BYTE [r14 + rcx], 0
                ; je =>from
            );
        }
    }

    pub(super) fn starts_at_zero(&self, way: Way) -> bool {
        self.request.near.segments[way.near() as usize / 8] == 0
    }

    /// The way to the segment that `value` is in, if that is near.
    pub(super) fn likely(&self, value: Value) -> Option<Way> {
        let near = self.request.near;
        let (Value::Known(address) | Value::Guess(address)) = value else {
            // What the program's pointers mostly point to.
            return Some(Way::NEAR[near.usual]);
        };
        let segment = (address >> SEGMENT_BITS) as usize;
        let place = near.segments.iter().position(|near| *near == segment)?;
        Some(Way::NEAR[place])
    }
}

/// A member as far behind as its register is after `by` was added to it. None if that is further
/// than the displacement of a load could be: a base that passed says nothing of what lies there.
fn moved(member: Option<Member>, by: i32) -> Option<Member> {
    let Member { group, behind } = member?;
    let behind = i32::from(i16::try_from(behind + by).ok()?);
    Some(Member { group, behind })
}
