//! State hashes and proofs at many steps, from one forward run.

use std::collections::VecDeque;
use std::str::FromStr;

use tribunal_keccak::Hash;

use crate::run::poll;
use crate::{Events, Fault, Host, Later, Machine, RunError, StepProof, StopOn};

/// The steps to sample: some by number, and every multiple of some strides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SamplePoints {
    /// Ascending, each once.
    steps: Vec<u64>,
    /// None of them zero.
    strides: Vec<u64>,
    /// No step before this is a point, whatever the above say.
    start: u64,
    /// Nor is this one, or any behind it.
    end: Option<u64>,
}

/// A text that is no list of steps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is neither a step nor a stride: use N for step N or %N for every Nth step")]
pub struct SampleError(String);

impl FromStr for SamplePoints {
    type Err = SampleError;

    /// Steps and `%N` strides, separated by commas or white space.
    fn from_str(text: &str) -> Result<Self, SampleError> {
        let mut points = Self::default();
        for item in text.split([',', '\n', ' ', '\t', '\r']).filter(|item| !item.is_empty()) {
            let error = || SampleError(item.to_owned());
            match item.strip_prefix('%') {
                None => points.steps.push(item.parse().map_err(|_| error())?),
                Some(stride) => match stride.parse() {
                    Ok(0) | Err(_) => return Err(error()),
                    Ok(stride) => points.strides.push(stride),
                },
            }
        }
        points.steps.sort_unstable();
        points.steps.dedup();
        Ok(points)
    }
}

impl From<u64> for SamplePoints {
    /// One step.
    fn from(step: u64) -> Self {
        Self { steps: vec![step], ..Self::default() }
    }
}

impl SamplePoints {
    /// Whether there is nothing to sample.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.strides.is_empty()
    }

    /// Those of a span of the trace: from `start` on, and before `end` if it has one.
    pub fn within(&self, start: u64, end: Option<u64>) -> Self {
        let numbered = |step: &&u64| **step >= start && end.is_none_or(|end| **step < end);
        Self {
            steps: self.steps.iter().filter(numbered).copied().collect(),
            strides: self.strides.clone(),
            start: self.start.max(start),
            end: [self.end, end].into_iter().flatten().min(),
        }
    }

    /// How many there are between two steps, if none is both a number and of a stride.
    pub fn count(&self, start: u64, end: u64) -> u64 {
        let before = |step| self.steps.partition_point(|&point| point < step) as u64;
        let strides =
            self.strides.iter().map(|stride| end.div_ceil(*stride) - start.div_ceil(*stride));
        strides.fold(before(end) - before(start), u64::saturating_add)
    }

    /// The first point from `step` on that a running machine can come by.
    pub fn next(&self, step: u64) -> Option<u64> {
        let step = step.max(self.start);
        let numbered = self.steps[self.steps.partition_point(|&point| point < step)..].first();
        self.strides
            .iter()
            .filter_map(|&stride| step.checked_next_multiple_of(stride))
            .chain(numbered.copied())
            .min()
            .filter(|&point| self.end.is_none_or(|end| point < end))
    }

    /// The points from `step` on, once the program has exited: numbered ones only, for the trace
    /// goes on for ever.
    fn past_the_end(&self, step: u64) -> &[u64] {
        &self.steps[self.steps.partition_point(|&point| point < step)..]
    }

    /// The first point that lies before `step`.
    pub fn first_before(&self, step: u64) -> Option<u64> {
        self.steps.first().copied().filter(|&first| first < step)
    }
}

/// The state at one step of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The step.
    pub step: u64,
    /// The state hash before that step.
    pub hash: Hash,
    /// The proof of that step, where it was asked for.
    pub proof: Option<StepProof>,
}

/// Runs `machine` on and hands `found` the state at each of `points`, in ascending order.
///
/// Hashes are computed by another thread while the run goes on, so a point may be handed over when the
/// machine is well past it; what was found before an error is handed over all the same. Points that lie
/// behind are passed over. Past the end of the program the state no longer changes: numbered points
/// there have its last hash, strides end with it.
///
/// # Errors
/// See [`RunError`]; `found` ends the run with an error of its own.
pub fn sample<M: Machine, E: Events<M>>(
    machine: &mut M,
    points: &SamplePoints,
    prove: bool,
    max_bytes: u64,
    host: &mut dyn Host,
    events: &mut E,
    found: impl FnMut(Sample) -> Result<(), E::Error>,
) -> Result<(), RunError<E::Error>> {
    let mut sampling = Sampling { prove, coming: VecDeque::new(), found };
    match sampling.run(machine, points, max_bytes, host, events) {
        // Whoever is to be told has had enough.
        Err(Ended::ByFound(error)) => Err(RunError::Listener(error)),
        Err(Ended::Otherwise(error)) => {
            sampling.hand_over(0).map_err(RunError::Listener)?;
            Err(error)
        }
        Ok(()) => sampling.hand_over(0).map_err(RunError::Listener),
    }
}

/// Points that may wait to be handed over.
const COMING: usize = 8;

/// Samples that are being taken.
struct Sampling<F> {
    prove: bool,
    coming: VecDeque<Coming>,
    found: F,
}

/// A sample that may be still to come.
struct Coming {
    step: u64,
    what: What,
}

enum What {
    Hash(Later<Hash>),
    Proof(Later<StepProof>),
}

/// Why sampling ended before its time.
enum Ended<E: std::error::Error + 'static> {
    ByFound(E),
    Otherwise(RunError<E>),
}

impl<E: std::error::Error> From<RunError<E>> for Ended<E> {
    fn from(error: RunError<E>) -> Self {
        Self::Otherwise(error)
    }
}

impl<F> Sampling<F> {
    fn run<M: Machine, E: Events<M>>(
        &mut self,
        machine: &mut M,
        points: &SamplePoints,
        max_bytes: u64,
        host: &mut dyn Host,
        events: &mut E,
    ) -> Result<(), Ended<E::Error>>
    where
        F: FnMut(Sample) -> Result<(), E::Error>,
    {
        let mut point = points.next(machine.step());
        while let Some(step) = point {
            while machine.exit_code().is_none() && machine.step() < step {
                self.hand_over(COMING).map_err(Ended::ByFound)?;
                let unwatched = poll(machine, max_bytes, events)?;
                let halt = step.min(machine.step().saturating_add(unwatched));
                machine.run(halt, StopOn::Nothing, host).map_err(RunError::Fault)?;
            }
            if machine.step() < step {
                break;
            }
            self.take(machine, step, host).map_err(RunError::Fault)?;
            self.hand_over(COMING).map_err(Ended::ByFound)?;
            point = step.checked_add(1).and_then(|after| points.next(after));
        }
        let end = machine.step();
        if machine.exit_code().is_some() {
            for &step in points.past_the_end(end).iter().filter(|&&step| step > end) {
                self.take(machine, step, host).map_err(RunError::Fault)?;
                self.hand_over(COMING).map_err(Ended::ByFound)?;
            }
        }
        Ok(())
    }

    fn take<M: Machine>(
        &mut self,
        machine: &mut M,
        step: u64,
        host: &mut dyn Host,
    ) -> Result<(), Fault> {
        let what = match self.prove {
            true => What::Proof(machine.prove_step_later(host)?),
            false => What::Hash(machine.state_hash_later()),
        };
        self.coming.push_back(Coming { step, what });
        Ok(())
    }

    /// Hands over what is there, and waits for it as long as more than `most` samples are to come.
    fn hand_over<E>(&mut self, most: usize) -> Result<(), E>
    where
        F: FnMut(Sample) -> Result<(), E>,
    {
        while let Some(mut first) = self.coming.pop_front() {
            if self.coming.len() < most && !first.is_ready() {
                self.coming.push_front(first);
                break;
            }
            (self.found)(first.wait())?;
        }
        Ok(())
    }
}

impl Coming {
    fn is_ready(&mut self) -> bool {
        match &mut self.what {
            What::Hash(hash) => hash.is_ready(),
            What::Proof(proof) => proof.is_ready(),
        }
    }

    fn wait(self) -> Sample {
        let Self { step, what } = self;
        match what {
            What::Hash(hash) => Sample { step, hash: hash.wait(), proof: None },
            What::Proof(proof) => {
                // Past the end of the program, the machine no longer counts.
                let proof = StepProof { step, ..proof.wait() };
                Sample { step, hash: proof.pre, proof: Some(proof) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_hold_steps_and_strides() {
        let points: SamplePoints = "7,3, 3\n%10".parse().unwrap();
        assert_eq!(points.next(0), Some(0), "zero is a multiple of every stride");
        assert_eq!(points.next(1), Some(3));
        assert_eq!(points.next(8), Some(10));
        assert_eq!(points.next(11), Some(20));
        assert_eq!(points.past_the_end(4), [7]);
        assert_eq!("7".parse::<SamplePoints>().unwrap().next(8), None);
        let span = points.within(5, Some(20));
        assert_eq!([0, 8, 11].map(|step| span.next(step)), [Some(7), Some(10), None]);
        assert_eq!((span.past_the_end(0), points.count(3, 21)), (&[7][..], 4));
        assert!("".parse::<SamplePoints>().unwrap().is_empty());
        for text in ["x", "%0", "%", "-1", "1;2", "18446744073709551616"] {
            assert!(text.parse::<SamplePoints>().is_err(), "{text}");
        }
    }
}
