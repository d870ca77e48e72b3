//! The forks of the OP Stack and when they activate. Knows their order; what each changes is with the
//! rules.

use core::fmt;

/// A fork, in the order in which they follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the field's, and say nothing more")]
pub enum Fork {
    Bedrock,
    Regolith,
    Canyon,
    Delta,
    Ecotone,
    Fjord,
    Granite,
    Holocene,
    Isthmus,
    Jovian,
    Karst,
    /// Named Lagoon since the summer of 2026.
    Interop,
}

impl Fork {
    /// All of them, in order.
    pub const ALL: [Self; 12] = [
        Self::Bedrock,
        Self::Regolith,
        Self::Canyon,
        Self::Delta,
        Self::Ecotone,
        Self::Fjord,
        Self::Granite,
        Self::Holocene,
        Self::Isthmus,
        Self::Jovian,
        Self::Karst,
        Self::Interop,
    ];

    /// The name in lower case, as configurations spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bedrock => "bedrock",
            Self::Regolith => "regolith",
            Self::Canyon => "canyon",
            Self::Delta => "delta",
            Self::Ecotone => "ecotone",
            Self::Fjord => "fjord",
            Self::Granite => "granite",
            Self::Holocene => "holocene",
            Self::Isthmus => "isthmus",
            Self::Jovian => "jovian",
            Self::Karst => "karst",
            Self::Interop => "interop",
        }
    }
}

impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When each fork activates, in seconds; Bedrock always is.
///
/// Whose time is compared is a matter of each rule: an L2 block's, its L1 origin's, or that of the L1
/// block which the data is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForkTimes {
    /// One for each fork after Bedrock; `None` is never.
    times: [Option<u64>; Fork::ALL.len() - 1],
}

impl ForkTimes {
    /// Bedrock for ever.
    pub const NONE: Self = Self { times: [None; Fork::ALL.len() - 1] };

    /// All forks up to and including `last` from the beginning.
    pub fn from_genesis(last: Fork) -> Self {
        let mut times = Self::NONE;
        for fork in Fork::ALL.into_iter().filter(|fork| *fork <= last) {
            times.set(fork, Some(0));
        }
        times
    }

    /// When `fork` activates.
    pub const fn time(&self, fork: Fork) -> Option<u64> {
        match (fork as usize).checked_sub(1) {
            None => Some(0),
            Some(index) => self.times[index],
        }
    }

    /// Lets `fork` activate at `time`. Bedrock cannot be moved.
    pub const fn set(&mut self, fork: Fork, time: Option<u64>) {
        if let Some(index) = (fork as usize).checked_sub(1) {
            self.times[index] = time;
        }
    }

    /// Whether the rules of `fork` hold at `time`.
    pub fn is_active(&self, fork: Fork, time: u64) -> bool {
        self.time(fork).is_some_and(|activation| time >= activation)
    }

    /// Whether the L2 block at `time` is the first with the rules of `fork`. Never so for a fork that
    /// is active at genesis.
    pub fn activates_at(&self, fork: Fork, time: u64, block_time: u64) -> bool {
        let before = time.checked_sub(block_time);
        before.is_some_and(|before| self.is_active(fork, time) && !self.is_active(fork, before))
    }

    /// The newest fork whose rules hold at `time`.
    pub fn newest(&self, time: u64) -> Fork {
        let active = |fork: &Fork| self.is_active(*fork, time);
        Fork::ALL.into_iter().rev().find(active).unwrap_or(Fork::Bedrock)
    }

    /// The first fork that activates before, or without, the one it follows.
    pub(crate) fn disorder(&self) -> Option<Fork> {
        let never = |fork| self.time(fork).unwrap_or(u64::MAX);
        let pairs = Fork::ALL.into_iter().zip(Fork::ALL.into_iter().skip(1));
        pairs.filter(|(a, b)| never(*a) > never(*b)).map(|(_, later)| later).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_activates_once() {
        let mut forks = ForkTimes::from_genesis(Fork::Granite);
        forks.set(Fork::Holocene, Some(101));
        assert!(!forks.is_active(Fork::Holocene, 100));
        assert!(forks.is_active(Fork::Holocene, 101));
        let activations: [bool; 3] =
            [100, 102, 104].map(|time| forks.activates_at(Fork::Holocene, time, 2));
        assert_eq!(activations, [false, true, false]);
        assert!((0..10).all(|time| !forks.activates_at(Fork::Granite, time, 2)));
        assert_eq!(forks.newest(100), Fork::Granite);
        assert_eq!(forks.newest(101), Fork::Holocene);
        assert_eq!(ForkTimes::NONE.newest(u64::MAX), Fork::Bedrock);
    }

    #[test]
    fn forks_follow_one_another() {
        let mut forks = ForkTimes::from_genesis(Fork::Holocene);
        assert_eq!(forks.disorder(), None);
        forks.set(Fork::Jovian, Some(7));
        assert_eq!(forks.disorder(), Some(Fork::Jovian));
        forks.set(Fork::Isthmus, Some(8));
        assert_eq!(forks.disorder(), Some(Fork::Jovian));
        forks.set(Fork::Isthmus, Some(7));
        assert_eq!(forks.disorder(), None);
    }
}
