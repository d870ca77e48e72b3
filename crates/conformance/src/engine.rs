//! Engines: what takes the step of a vector.

use tribunal_machine::Machine;
use tribunal_mips64::Mips64;

use crate::vector::{Outcome, Vector, VectorHost};

/// Takes the steps of vectors, and may keep what is costly to set up from one to the next.
///
/// A function of a vector is an engine.
pub trait Engine {
    /// Takes one.
    fn take(&mut self, vector: &Vector) -> Outcome;
}

impl<F: FnMut(&Vector) -> Outcome> Engine for F {
    fn take(&mut self, vector: &Vector) -> Outcome {
        self(vector)
    }
}

/// The vectors that an engine fails: the name of each, and what differs.
pub fn failures(engine: &mut dyn Engine, vectors: &[Vector]) -> Vec<String> {
    let failure = |vector: &Vector| {
        let difference = vector.expected.check(&engine.take(vector)).err()?;
        Some(format!("{}: {difference}", vector.name))
    };
    vectors.iter().filter_map(failure).collect()
}

/// The reference semantics.
pub fn reference(vector: &Vector) -> Outcome {
    let mut machine = Mips64::new(vector.state.clone());
    match machine.step_once(&mut VectorHost(vector.preimage.as_ref())) {
        Ok(()) => {
            let witness = machine.witness();
            Outcome::Post(Box::new(witness.try_into().expect("a witness has its length")))
        }
        Err(fault) => Outcome::Refused(fault.to_string()),
    }
}
