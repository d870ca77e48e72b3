//! The fast engine: compiles a guest's code for x86-64 and counts every step.
//!
//! Knows how to take the plain steps of [`tribunal_mips64`] quickly. Knows no rule that is not there:
//! whatever it does not compile, it leaves to that crate, on the same state.

mod blocks;
mod code;
mod engine;
mod fast;
mod frame;
mod pinning;
mod translate;
mod window;

pub use crate::engine::{Compiler, Options, Unavailable};
pub use crate::fast::{Engine, EngineKind, UnknownEngine};
