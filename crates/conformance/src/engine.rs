//! Engines: what takes the step of a vector.

use tribunal_machine::{Fault, Machine, StopOn};
use tribunal_mips64::Mips64;

use crate::vector::{Outcome, Vector, VectorHost, deployed_vectors};

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

/// Has an engine take every step of the deployed contract, to the same end.
///
/// # Panics
/// With the name of each step that it takes to another, and what differs.
pub fn assert_as_deployed(engine: &mut dyn Engine) {
    let failed = failures(engine, &deployed_vectors());
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

/// The reference semantics.
pub fn reference(vector: &Vector) -> Outcome {
    let mut machine = Mips64::new(vector.state.clone());
    let result = machine.step_once(&mut VectorHost(vector.preimage.as_ref()));
    outcome(&mut machine, result)
}

/// What `machine` makes of the step of `vector`, whose state it stands at.
pub fn run_vector<M: Machine>(mut machine: M, vector: &Vector) -> Outcome {
    let host = &mut VectorHost(vector.preimage.as_ref());
    let result = match vector.state.exited {
        // A run does not go on from here, but a step can be asked for.
        1 => machine.prove_step(host).map(|_| ()),
        _ => machine.run(machine.step().wrapping_add(1), StopOn::Nothing, host).map(|_| ()),
    };
    outcome(&mut machine, result)
}

fn outcome<M: Machine>(machine: &mut M, result: Result<(), Fault>) -> Outcome {
    match result {
        Ok(()) => {
            let witness = machine.witness();
            Outcome::Post(Box::new(witness.try_into().expect("a witness has its length")))
        }
        Err(fault) => Outcome::Refused(fault.to_string()),
    }
}
