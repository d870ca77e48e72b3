//! Which guest registers are worth a host register, and which segments of memory should be at hand:
//! those that the code uses which is executed most.
//!
//! Knows only samples: what stands at the places where a run happened to be interrupted.

use tribunal_memory::{Memory, Storage};
use tribunal_mips64::{Op, Syntax, decode};

use crate::frame::{Near, Pins};
use crate::window::{SEGMENT_BITS, SEGMENTS};

/// Instructions that a sample looks at.
const INSTRUCTIONS: u64 = 24;

/// Samples after which to look at them for the first time. Then at four times as many, and so on.
const FIRST_LOOK: u64 = 48;

/// After the first look, one chance in so many is taken: by then a sample tells little that is new.
const CHANCES: u64 = 8;

#[derive(Debug)]
pub(crate) struct Sampler {
    uses: [u64; 32],
    accesses: [u64; SEGMENTS],
    samples: u64,
    next_look: u64,
    /// Interruptions so far.
    chances: u64,
}

/// Counts the registers that an instruction names.
pub(crate) fn count_uses(op: Op, word: u32, uses: &mut [u64; 32]) {
    let [s, t, d] = [21, 16, 11].map(|shift| (word >> shift & 31) as usize);
    let used: &[usize] = match op.row().syntax {
        Syntax::RdRsRt | Syntax::RdRtRs => &[s, t, d],
        Syntax::RdRtSa => &[t, d],
        Syntax::RtRsSigned | Syntax::RtRsUnsigned | Syntax::RsRtBranch | Syntax::RsRt => &[s, t],
        // An address is worth more: it is used twice.
        Syntax::RtOffset => &[s, s, t],
        Syntax::RdRs => &[s, d],
        Syntax::Rs | Syntax::RsBranch => &[s],
        Syntax::RtUnsigned => &[t],
        Syntax::Rd => &[d],
        Syntax::Jump | Syntax::Nothing => &[],
    };
    for &register in used {
        uses[register] += 1;
    }
}

impl Default for Sampler {
    fn default() -> Self {
        Self {
            uses: [0; 32],
            accesses: [0; SEGMENTS],
            samples: 0,
            next_look: FIRST_LOOK,
            chances: 0,
        }
    }
}

impl Sampler {
    /// What most programs use most: the stack pointer, results, arguments, the return address.
    pub(crate) const FIRST_GUESS: [u8; Pins::COUNT] = [29, 2, 3, 4, 5, 6, 7, 31, 1];

    /// Whether to look at this interruption.
    #[inline]
    pub(crate) fn is_due(&mut self) -> bool {
        self.chances += 1;
        self.samples < FIRST_LOOK || self.chances.is_multiple_of(CHANCES)
    }

    /// Looks at the code at `pc`, where the run was interrupted. True if it is time to think again.
    pub(crate) fn sample<S: Storage>(
        &mut self,
        pc: u64,
        registers: &[u64; 32],
        memory: &Memory<S>,
    ) -> bool {
        for place in 0..INSTRUCTIONS {
            let at = pc.wrapping_add(place * 4);
            let word = (memory.peek(at) >> if at & 4 == 0 { 32 } else { 0 }) as u32;
            let Some(op) = decode(word) else { break };
            if op.row().syntax == Syntax::RtOffset
                && let base = registers[(word >> 21 & 31) as usize]
                && let Some(count) = self.accesses.get_mut((base >> SEGMENT_BITS) as usize)
            {
                *count += 1;
            }
            count_uses(op, word, &mut self.uses);
        }
        self.uses[0] = 0;
        self.samples += 1;
        self.samples == self.next_look
    }

    /// The registers and segments to have at hand instead of these, if that is worth compiling
    /// everything anew. Segments are those with a piece.
    pub(crate) fn better_than(
        &mut self,
        pinned: &[u8; Pins::COUNT],
        near: Near,
        has_piece: impl Fn(usize) -> bool,
    ) -> Option<([u8; Pins::COUNT], Near)> {
        self.next_look = self.samples.saturating_mul(4);
        let mut order: [u8; 31] = std::array::from_fn(|place| place as u8 + 1);
        order.sort_by_key(|register| std::cmp::Reverse(self.uses[usize::from(*register)]));
        let registers = *order.first_chunk()?;
        let used = |registers: &[u8; Pins::COUNT]| -> u64 {
            registers.iter().map(|register| self.uses[usize::from(*register)]).sum()
        };
        let mut order: Vec<usize> = (0..SEGMENTS).filter(|segment| has_piece(*segment)).collect();
        order.sort_by_key(|segment| std::cmp::Reverse(self.accesses[*segment]));
        let mut segments: [usize; Near::COUNT] = *order.first_chunk()?;
        // To test for segment 0 is cheaper, in the first place; the last place is a little dearer.
        segments[..2].sort_unstable();
        let usual = segments.iter().position(|segment| *segment == order[0])?;
        let accessed = |near: &[usize; Near::COUNT]| {
            near.iter().zip([8, 8, 7]).map(|(near, worth)| self.accesses[*near] * worth).sum()
        };
        let worth = |now: u64, best: u64| best * 10 > now * 11;
        (worth(used(pinned), used(&registers))
            || worth(accessed(&near.segments), accessed(&segments)))
        .then_some((registers, Near { segments, usual }))
    }
}
