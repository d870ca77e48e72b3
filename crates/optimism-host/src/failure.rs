//! Why something could not be fetched: what every way that was tried came to.

use std::fmt;
use std::time::Duration;

use tribunal_host::HintError;
use tribunal_rpc::{Trouble, What};

/// The ways that were tried, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure {
    ways: Vec<Trouble>,
    /// What is wrong with the question itself, whoever is asked.
    question: Option<String>,
    /// What a person can do.
    advice: Option<&'static str>,
}

impl Failure {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Nobody can answer that.
    pub(crate) fn of_question(why: impl Into<String>) -> Self {
        Self { question: Some(why.into()), ..Self::default() }
    }

    /// What a way came to, if it came to something; else it is kept.
    pub(crate) fn way<T>(&mut self, outcome: Result<T, Trouble>) -> Option<T> {
        outcome.map_err(|trouble| self.ways.push(trouble)).ok()
    }

    /// Whether another way need not be tried: nobody is there, or nobody lets us in.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.ways.last().is_some_and(|way| match *way.what {
            // It may be about the method.
            What::Status { code: 403, .. } => false,
            _ => way.is_silence() || way.is_barred(),
        })
    }

    /// Whether an answer was given that is not what was asked for.
    pub(crate) fn is_contradiction(&self) -> bool {
        self.ways.iter().any(|way| matches!(*way.what, What::Rejected { .. }))
    }

    /// Adds the ways of another failure.
    pub(crate) fn also(&mut self, other: Self) {
        self.ways.extend(other.ways);
        self.question = self.question.take().or(other.question);
    }

    /// Adds what a person can do about it, where nodes answered; else the way says it.
    pub(crate) fn advise(mut self, advice: &'static str) -> Self {
        self.advice = Some(advice);
        self
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self { ways: vec![trouble], ..Self::default() }
    }
}

impl From<Failure> for HintError {
    fn from(failure: Failure) -> Self {
        let for_good = failure.question.is_some()
            || !failure.ways.is_empty()
                && failure.ways.iter().all(|way| way.is_lack() || way.is_barred());
        let rest: Option<Duration> = failure.ways.iter().filter_map(Trouble::retry_after).max();
        let error = Self::new(failure.to_string());
        match rest {
            _ if for_good => error.for_good(),
            Some(rest) => error.not_before(rest),
            None => error,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said: Vec<String> = self.question.iter().cloned().collect();
        for way in &self.ways {
            let text = way.in_full();
            // Every way may fail alike.
            if !said.contains(&text) {
                said.push(text);
            }
        }
        f.write_str(&said.join("; "))?;
        // Where no way was answered, what was asked is not the reason.
        let answered = |way: &&Trouble| !way.is_lack();
        let causes: Vec<_> = self.ways.iter().filter(answered).map(Trouble::advice).collect();
        let cause = match causes.contains(&None) {
            true => None,
            false => causes.last().copied().flatten(),
        };
        cause.or(self.advice).map_or(Ok(()), |advice| write!(f, "; {advice}"))
    }
}
