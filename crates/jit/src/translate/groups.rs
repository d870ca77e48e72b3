//! Loads and stores with one base, which are checked together before the first of them.

#![expect(clippy::useless_conversion, reason = "what dynasm! expands to converts its operands")]

use dynasmrt::{DynasmApi as _, DynasmLabelApi as _, dynasm};

use super::Translator;
use super::memory::{Width, mask_of};
use super::operands::{RCX, RDX, Value};
use super::rare::Rare;
use super::reading::{Item, is_atomic, is_branch, is_store, rs, signed, written};
use crate::frame::FRAME;
use crate::window::SEGMENT_BITS;

/// How memory is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Through `gs`.
    Gs,
    /// Through `r13`.
    R13,
    /// Through whatever delta `rcx` holds.
    Rcx,
}

impl Way {
    /// Its place among the segments that are near.
    pub(super) fn near(self) -> i32 {
        match self {
            Self::Gs => 0,
            Self::R13 | Self::Rcx => 8,
        }
    }
}

/// Accesses with one base whose value does not change between them.
#[derive(Clone, Copy)]
pub(super) struct Group {
    pub(super) base: u8,
    pub(super) members: usize,
    /// Alignment: the widest access.
    pub(super) bytes: i32,
    /// Displacements of the lowest and the highest byte written.
    pub(super) stores: Option<(i32, i32)>,
    /// Set once it has been checked.
    pub(super) way: Option<Way>,
    /// Cannot be checked at once.
    pub(super) given_up: bool,
}

/// Bytes written through one base that are checked at once: within two pages.
const MAX_STORE_SPAN: i32 = 4096;

/// Groups of accesses.
impl Translator<'_> {
    pub(super) fn find_groups(&mut self, items: &[Item]) {
        // The group that an access through each register belongs to, as long as that is not written.
        let mut current = [None; 32];
        let instructions = items.iter().flat_map(|item| match *item {
            Item::Plain { word, op } => [Some((word, op)), None],
            Item::Branch { word, op, slot, slot_op, .. } => {
                [Some((word, op)), Some((slot, slot_op))]
            }
        });
        for (word, op) in instructions.flatten() {
            let mut member = None;
            if let Some(width) = Width::of(op) {
                let (base, offset) = (rs(word), signed(word));
                let current = &mut current[usize::from(base)];
                let which = *current.get_or_insert_with(|| {
                    self.groups.push(Group {
                        base,
                        members: 0,
                        bytes: 1,
                        stores: None,
                        way: None,
                        given_up: base == 0,
                    });
                    self.groups.len() - 1
                });
                let group = &mut self.groups[which];
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
                member = Some(which);
            }
            self.members.push(member);
            current[usize::from(written(op, word))] = None;
            if is_branch(op) {
                current[31] = None;
            }
            if is_atomic(op) {
                // Another page may be watched from here on.
                current = [None; 32];
            }
        }
    }

    /// The way that the base of this access has been found to pass, or is now.
    pub(super) fn grouped(&mut self) -> Option<Way> {
        let which = (*self.members.get(self.done)?)?;
        let group = self.groups[which];
        if group.way.is_some() || group.given_up || group.members < 2 || self.in_slot {
            return group.way;
        }
        let way = self.likely(self.values[usize::from(group.base)])?;
        self.check_group(&group, way);
        self.groups[which].way = Some(way);
        Some(way)
    }

    /// Leaves for a careful block unless all of `group` may be accessed through `way`.
    fn check_group(&mut self, group: &Group, way: Way) {
        let from = self.code.new_dynamic_label();
        self.rare.push(Rare::Careful { from, done: self.done });
        let base = self.read(group.base, RDX);
        let bound = FRAME.negated_bounds + way.near();
        if self.starts_at_zero(way) {
            dynasm!(self.code ; .arch x64 ; lea rax, [Rq(base) - 0x8000]);
        } else {
            dynasm!(self.code ; .arch x64 ; mov rax, QWORD [rsp + bound] ; add rax, Rq(base));
        }
        self.fresh = [None; 2];
        dynasm!(self.code ; .arch x64
            ; test rax, QWORD [rsp + FRAME.masks + mask_of(group.bytes)]
            ; jnz =>from
        );
        let Some((low, high)) = group.stores else { return };
        // A span of at most a page lies in the pages of its first and its last byte. An aligned word
        // lies in one.
        let ends = if high - low < group.bytes { vec![low] } else { vec![low, high] };
        for offset in ends {
            self.add_to(RCX, base, offset);
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
        let (Value::Known(address) | Value::Guess(address)) = value else {
            // What the program's pointers mostly point to.
            return Some(if self.request.near.usual == 0 { Way::Gs } else { Way::R13 });
        };
        let segment = (address >> SEGMENT_BITS) as usize;
        let near = self.request.near.segments;
        if segment == near[0] {
            Some(Way::Gs)
        } else if segment == near[1] {
            Some(Way::R13)
        } else {
            None
        }
    }
}
