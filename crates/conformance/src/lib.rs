//! The conformance suite, written once and run on every engine: the reference, the contract, and
//! whatever is faster.
//!
//! Knows the vector files and the trails of reference runs, and what agreeing with them means.
//! Knows no engine: an engine is a function from a vector to what became of it.

mod engine;
mod trail;
mod vector;

pub use crate::engine::{Engine, reference};
pub use crate::trail::{TrailError, TrailPoint, read_trail};
pub use crate::vector::{Expected, Outcome, Vector, VectorError, VectorHost, read_vectors};
