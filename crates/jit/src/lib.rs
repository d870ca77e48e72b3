//! The fast engines: a guest's code compiled for x86-64, and decoded for everywhere else. Both count
//! every step.
//!
//! Knows how to take the plain steps of [`tribunal_mips64`] quickly. Knows no rule that is not there:
//! whatever an engine does not do itself, it leaves to that crate, on the same state.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod blocks;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod code;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod engine;
mod fast;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod frame;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod pinning;
mod portable;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod translate;
mod turns;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod window;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub use crate::engine::{Compiler, Options};
pub use crate::fast::{Engine, EngineKind, Unavailable, UnknownEngine, Unread};
pub use crate::portable::{Portable, PortableOptions};
