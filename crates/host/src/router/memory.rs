//! The hints a router remembers, so that they can be followed when a preimage is missing.
//!
//! Bounded in number and bytes: what a program says must not fill our memory.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::history::{Heard, LAST, summary};

/// How many hints that ask for one thing are remembered.
const SINGLE: usize = 64;
/// How many hints that ask for much at once are remembered.
const BULK: usize = 4;
/// How many bytes of hints are remembered. The newest is, whatever its length.
const BYTES: usize = 64 << 20;

/// How much a hint asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Bulk,
    Single,
}

/// What became of a hint so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its handler failed, and may not fail again.
    Failed,
    /// Its handler failed, and would again.
    FailedForGood,
    /// Its handler has done what it asks for.
    Followed,
    /// No missing preimage has led to it yet.
    Untried,
}

/// A hint that someone may be able to follow.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// Tells it from all others, and is larger than those of earlier ones.
    pub(super) number: u64,
    pub(super) hint: Arc<[u8]>,
    pub(super) scope: Scope,
    pub(super) fate: Fate,
}

#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Every hint of late, as messages show it, with its number.
    last: VecDeque<(u64, Heard)>,
    /// The hints with a handler, oldest first.
    candidates: VecDeque<Candidate>,
    next: u64,
}

impl Memory {
    /// Remembers a hint; with a scope if someone can follow it.
    ///
    /// One that is told again is as new as any: what it brought may be gone.
    pub(super) fn add(&mut self, hint: &[u8], scope: Option<Scope>) {
        let number = self.next;
        self.next += 1;
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back((number, Heard::new(hint, None)));
        let Some(scope) = scope else { return };
        self.candidates.retain(|known| known.scope != scope || *known.hint != *hint);
        self.candidates.push_back(Candidate {
            number,
            hint: hint.into(),
            scope,
            fate: Fate::Untried,
        });
        self.forget();
    }

    /// Drops the oldest of what is too many or too long.
    fn forget(&mut self) {
        for (scope, most) in [(Scope::Single, SINGLE), (Scope::Bulk, BULK)] {
            let count = self.candidates.iter().filter(|known| known.scope == scope).count();
            if count > most
                && let Some(oldest) = self.candidates.iter().position(|known| known.scope == scope)
            {
                self.candidates.remove(oldest);
            }
        }
        let mut bytes: usize = self.candidates.iter().map(|known| known.hint.len()).sum();
        while bytes > BYTES
            && self.candidates.len() > 1
            && let Some(oldest) = self.candidates.pop_front()
        {
            bytes -= oldest.hint.len();
        }
    }

    /// Notes what became of a hint, unless it has been forgotten meanwhile.
    pub(super) fn note(&mut self, number: u64, fate: Fate, failure: Option<String>) {
        if let Some(known) = self.candidates.iter_mut().find(|known| known.number == number) {
            known.fate = fate;
        }
        if let Some((_, heard)) = self.last.iter_mut().find(|(known, _)| *known == number) {
            heard.failure = failure;
        }
    }

    /// The hints that can be followed, newest first.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        self.candidates.iter().rev().cloned().collect()
    }

    /// The last few hints, oldest first.
    pub(super) fn last(&self) -> Vec<Heard> {
        self.last.iter().map(|(_, heard)| heard.clone()).collect()
    }

    /// What a message says about the last hints.
    pub(super) fn summary(&self) -> String {
        summary(&self.last())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(memory: &Memory) -> Vec<u64> {
        memory.candidates().iter().map(|known| known.number).collect()
    }

    #[test]
    fn hints_are_remembered_by_kind_and_forgotten_oldest_first() {
        let mut memory = Memory::default();
        memory.add(b"bulk", Some(Scope::Bulk));
        for i in 0..100u64 {
            memory.add(&i.to_be_bytes(), Some(Scope::Single));
            memory.add(b"nobody follows this", None);
        }
        let known = memory.candidates();
        assert_eq!(known.len(), SINGLE + 1);
        assert_eq!(*known[0].hint, 99u64.to_be_bytes());
        assert_eq!(*known[SINGLE - 1].hint, 36u64.to_be_bytes());
        assert_eq!(*known[SINGLE].hint, *b"bulk");
        for _ in 0..3 {
            for i in 0..BULK as u64 {
                memory.add(&i.to_be_bytes(), Some(Scope::Bulk));
            }
        }
        let bulk = memory.candidates().iter().filter(|known| known.scope == Scope::Bulk).count();
        assert_eq!(bulk, BULK);
    }

    #[test]
    fn a_hint_told_again_is_new() {
        let mut memory = Memory::default();
        memory.add(b"a", Some(Scope::Single));
        memory.add(b"b", Some(Scope::Single));
        memory.note(0, Fate::Followed, None);
        assert_eq!(memory.candidates()[1].fate, Fate::Followed);
        memory.add(b"a", Some(Scope::Single));
        assert_eq!(numbers(&memory), [2, 1]);
        assert_eq!(memory.candidates()[0].fate, Fate::Untried);
    }

    #[test]
    fn long_hints_do_not_add_up() {
        let mut memory = Memory::default();
        for i in 0..5u8 {
            memory.add(&vec![i; 30 << 20], Some(Scope::Single));
        }
        assert_eq!(numbers(&memory), [4, 3]);
        memory.add(&vec![9; BYTES + 1], Some(Scope::Single));
        assert_eq!(numbers(&memory), [5]);
    }
}
