//! What a fault-proof program is written with.
//!
//! A program is a function from an [`Oracle`] to a [`Verdict`] or an error, in a library that knows
//! nothing of where it runs. [`entry!`] makes an executable of it: for the bare targets one that
//! starts in a fault-proof VM, elsewhere an ordinary process; both talk to their host over the file
//! descriptors 3 to 6. The same function also runs in the host's own process, over any other
//! [`Oracle`].
//!
//! ```
//! use tribunal_guest::{Key, Oracle, OracleError, Verdict};
//!
//! /// Whether local input 1 is what local input 2 claims it is.
//! pub fn run<O: Oracle>(oracle: &mut O) -> Result<Verdict, OracleError> {
//!     let input = oracle.preimage(Key::local(1))?;
//!     let claim = oracle.preimage(Key::local(2))?;
//!     Ok(Verdict::from_claim(input == claim))
//! }
//! # struct Host;
//! # impl Oracle for Host {
//! #     fn hint(&mut self, _: &[u8]) -> Result<(), OracleError> { Ok(()) }
//! #     fn preimage(&mut self, _: Key) -> Result<Vec<u8>, OracleError> { Ok(vec![7]) }
//! # }
//! # assert_eq!(run(&mut Host), Ok(Verdict::Holds));
//! ```
//!
//! [`Preimages`] asks for things with a meaning: local inputs, headers, accounts. [`Hint`] says
//! what will be asked for. [`Cached`] remembers within a bound. `testing` (not on a bare machine) has
//! what a test needs.
//!
//! Knows system calls, the heap, exit codes, and the forms that Ethereum gives to what it hashes;
//! knows no rule of any chain, and of the host only the wire. This is the only room of a program
//! where `unsafe` is allowed.
#![no_std]
#![cfg_attr(target_arch = "mips64", feature(asm_experimental_arch))]
#![cfg_attr(target_os = "none", feature(alloc_error_handler))]

extern crate alloc;

#[cfg(target_os = "none")]
mod bare;
mod cache;
pub mod entry;
mod error;
mod exit;
pub mod fd;
#[cfg(all(target_os = "none", feature = "native-keccak"))]
mod hash;
mod header;
#[cfg(any(target_os = "none", test))]
mod heap;
#[cfg(feature = "log")]
pub mod logging;
#[cfg(any(target_os = "none", test))]
mod memory;
mod number;
mod oracle;
pub mod precompile;
mod preimages;
pub mod print;
mod sys;
#[cfg(not(target_os = "none"))]
pub mod testing;
pub mod trie;

pub use cache::Cached;
pub use error::{Error, Malformed};
pub use exit::{ExitStatus, Verdict};
pub use header::Header;
pub use number::Number;
pub use oracle::HostOracle;
pub use preimages::Preimages;
pub use tribunal_keccak::{Hash, keccak256};
pub use tribunal_optimism_hints::{BlockId, Dialect, Hint};
pub use tribunal_preimage::{Key, KeyKind, Oracle, OracleError, WrongPreimage};
pub use tribunal_rlp as rlp;
pub use trie::Account;
