//! Preimage keys and the two wire protocols between a fault-proof program and its host.
//!
//! Knows the six kinds of key with their hash rules, and both sides of the hint and preimage
//! streams over any byte [`channel`]. Knows no virtual machine, no chain, no store and no async
//! runtime.
//!
//! ```text
//! preimage   program ─▶ host   key[32]
//!            host ─▶ program   length u64 big-endian │ data[length]
//! hint       program ─▶ host   length u32 big-endian │ text[length]
//!            host ─▶ program   ack[1]
//! ```
#![no_std]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

pub mod channel;
pub mod client;
mod key;
mod oracle;
pub mod server;

pub use channel::{Channel, ChannelError};
pub use key::{Key, KeyKind, ParseKeyError, WrongPreimage};
pub use oracle::{Checked, Fault, Oracle, OracleError};
