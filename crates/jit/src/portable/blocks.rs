//! The blocks there are, by number and by address.
//!
//! The number of an address stays the same while its block comes and goes, so blocks refer to each
//! other by it, decoded or not.

use std::collections::HashMap;

use super::act::{Entry, FIRST_SPECIAL};
use super::decode::{Decoded, Place};

/// Numbers given before everything is thrown away.
const MAX_BLOCKS: usize = 1 << 18;
/// Entries kept before everything is thrown away.
const MAX_ENTRIES: usize = 1 << 20;

/// Places of jumps to addresses in registers.
const RECENT: usize = 1 << 12;

pub(crate) struct Blocks {
    heads: Vec<Head>,
    bodies: Vec<Body>,
    numbers: HashMap<u64, u32>,
    /// Numbers by the low bits of their address.
    recent: Box<[(u64, u32); RECENT]>,
    entries: usize,
}

/// What is needed to execute a block.
#[derive(Default)]
pub(crate) struct Head {
    /// None if it is not decoded.
    pub(crate) entries: Box<[Entry]>,
    pub(crate) steps: u32,
}

struct Body {
    pc: u64,
    places: Box<[[Place; 2]]>,
}

/// What is at a place of `recent` before anything is: an address that is never looked for there.
/// Guests jump to whatever they like, so none is safe at every place.
const fn nothing(place: usize) -> (u64, u32) {
    (if place == 0 { 4 } else { 0 }, 0)
}

impl Default for Blocks {
    fn default() -> Self {
        Self {
            heads: Vec::new(),
            bodies: Vec::new(),
            numbers: HashMap::new(),
            recent: Box::new(std::array::from_fn(nothing)),
            entries: 0,
        }
    }
}

impl Blocks {
    #[inline]
    pub(crate) fn head(&self, number: u32) -> Option<&Head> {
        self.heads.get(number as usize)
    }

    /// The address of a block.
    pub(crate) fn pc(&self, number: u32) -> u64 {
        self.bodies[number as usize].pc
    }

    /// Where an act of a block is, counted from the last entry.
    pub(crate) fn place(&self, number: u32, (behind, act): (usize, usize)) -> Place {
        let places = &self.bodies[number as usize].places;
        places[places.len() - 1 - behind][act]
    }

    /// The number of the block at `pc`, if it was given one.
    #[inline]
    pub(crate) fn find(&mut self, pc: u64) -> Option<u32> {
        let recent = &mut self.recent[(pc >> 2) as usize % RECENT];
        if recent.0 == pc {
            return Some(recent.1);
        }
        let number = *self.numbers.get(&pc)?;
        *recent = (pc, number);
        Some(number)
    }

    /// The number of the block at `pc`.
    pub(crate) fn number(&mut self, pc: u64) -> u32 {
        *self.numbers.entry(pc).or_insert_with(|| {
            let number = self.heads.len() as u32;
            self.heads.push(Head::default());
            self.bodies.push(Body { pc, places: Box::default() });
            number
        })
    }

    pub(crate) fn is_decoded(&self, number: u32) -> bool {
        !self.heads[number as usize].entries.is_empty()
    }

    pub(crate) fn insert(&mut self, number: u32, decoded: Decoded) {
        self.entries += decoded.entries.len();
        let entries = decoded.entries.into_boxed_slice();
        self.heads[number as usize] = Head { entries, steps: decoded.steps };
        self.bodies[number as usize].places = decoded.places.into_boxed_slice();
    }

    /// The block has to be decoded anew.
    pub(crate) fn remove(&mut self, number: u32) {
        // Of a number given before everything was thrown away, there may be no block.
        let Some(head) = self.heads.get_mut(number as usize) else { return };
        self.entries -= head.entries.len();
        *head = Head::default();
    }

    /// Whether it is time to throw everything away.
    pub(crate) fn is_full(&self) -> bool {
        const { assert!(MAX_BLOCKS * 2 < FIRST_SPECIAL as usize) };
        self.heads.len() > MAX_BLOCKS || self.entries > MAX_ENTRIES
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
