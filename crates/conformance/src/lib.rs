//! The conformance suite, written once and run on every engine: the reference, the contract, and
//! whatever is faster.
//!
//! Knows the vector files and the trails of reference runs, and what agreeing with them means; and
//! how to make states, programs and files that nobody recorded.
//! Knows no engine but the reference: an engine is what makes an outcome of a vector.

pub mod assemble;
pub mod elf_file;
mod engine;
mod generate;
mod host;
mod lockstep;
mod random;
mod trail;
mod vector;
mod whole_run;

pub use crate::engine::{Engine, assert_as_deployed, failures, reference, run_vector};
pub use crate::generate::{Start, generate, generate_pitfalls, generate_program};
pub use crate::host::RecordingHost;
pub use crate::lockstep::lockstep;
pub use crate::random::Random;
pub use crate::trail::{TrailError, TrailPoint, read_trail};
pub use crate::vector::{
    Expected, Outcome, Vector, VectorError, VectorHost, deployed_vectors, read_vectors,
};
pub use crate::whole_run::{Run, follow, text_of, trail_of};
