//! The OP Stack program: the state of an L2 chain over preimages, and the execution of its blocks.
//!
//! Knows tries, accounts, transactions, the rules of every fork from Bedrock to Karst, and what to
//! ask a host for. Knows nothing of RPC, of stores, or of which machine it runs on.
#![no_std]

extern crate alloc;

mod blob;
mod block;
mod code;
mod fees;
mod header;
pub mod list;
mod payload;
mod precompiles;
mod preimages;
mod signature;
mod state;
mod transaction;
pub mod trie;

pub use blob::{BlobId, Blobs};
pub use block::{
    Error, Executed, InvalidBlock, InvalidTransaction, MESSAGE_PASSER, execute, output_root,
};
pub use header::Attributes;
pub use preimages::{Hints, Item, Preimages, Undecided};
pub use signature::recover;
pub use state::State;
pub use tribunal_optimism_hints::{Dialect, Hint};
