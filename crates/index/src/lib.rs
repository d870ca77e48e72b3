//! An index of a run: snapshots on disk, taken while the run goes forward, from which any step of it
//! is a short way.
//!
//! Knows where a snapshot is worth its cost, how pages are kept once each, how much may be kept, and
//! whether what is read is what was written. Knows no instruction, nothing of where preimages come
//! from, and prints nothing.
//!
//! # What is believed
//!
//! An index belongs to one run: to a prestate, and to the preimages that nothing binds to their keys
//! (local ones). Both are checked before an answer comes from it. Every byte that is read from it is
//! held against a checksum, which finds damage. It does not find forgery: whoever can write to the
//! directory can make it lie, as whoever can write to the program can.
//!
//! # Files
//!
//! `docs/formats.md` draws them. A snapshot is a file of its own that appears whole, once the pages
//! that it needs are written, and a file of pages is only ever added to. So a process may end at any
//! moment, and what is there is an index up to its last snapshot.

mod bytes;
mod error;
mod head;
mod index;
mod inputs;
mod pack;
mod recorder;
mod replay;
mod snapshot;
mod store;

pub use crate::error::IndexError;
pub use crate::head::Identity;
pub use crate::index::{Found, Index, Rebuilt, Summary};
pub use crate::inputs::{Inputs, Observed};
pub use crate::recorder::{Options, Recorder};
pub use crate::replay::{Hand, in_order};
