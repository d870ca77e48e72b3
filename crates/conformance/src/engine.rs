//! Engines: what takes the step of a vector.

use tribunal_machine::Machine;
use tribunal_mips64::Mips64;

use crate::vector::{Outcome, Vector, VectorHost};

/// Takes the step of a vector.
pub type Engine = fn(&Vector) -> Outcome;

/// The reference semantics.
pub fn reference(vector: &Vector) -> Outcome {
    let mut machine = Mips64::new(vector.state.clone());
    match machine.step_once(&mut VectorHost(vector)) {
        Ok(()) => {
            let witness = machine.witness();
            Outcome::Post(Box::new(witness.try_into().expect("a witness has its length")))
        }
        Err(fault) => Outcome::Refused(fault.to_string()),
    }
}
