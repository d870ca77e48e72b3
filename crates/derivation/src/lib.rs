//! The OP Stack's derivation: which L2 blocks the data on L1 stands for, from Bedrock to Karst.
//!
//! Knows the rules, as op-node has them where others differ (`docs/differences.md`), each stage a
//! module that works by itself; [`Pipeline`] joins them. Knows no execution: what it makes are
//! [`PayloadAttributes`]. Knows nothing of where data comes from; that is behind [`L1Data`] and
//! [`L2Data`]. Whatever a batcher writes to L1 is skipped at worst: nothing panics on it, and memory is
//! bounded by what the rules let a batch hold.
//!
//! ```text
//! L1 block ▶ batcher's data ▶ frames ▶ channel ▶ batches ▶ the next batch ▶ attributes ▶
//!   data      batcher, blob    frame    channel   reader    batch_queue      attributes
//! ```
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod attributes;
pub mod batch;
pub mod batch_queue;
pub mod batcher;
pub mod blob;
pub mod channel;
pub mod check;
mod data;
mod decompress;
pub mod deposit;
mod error;
pub mod frame;
#[cfg(test)]
mod generated;
mod header;
mod inflate;
pub mod l1_info;
mod l2;
mod pipeline;
pub mod reader;
mod receipts;
mod rlp;
pub mod span;
pub mod system_config;
#[cfg(test)]
mod testing;
pub mod transactions;
pub mod upgrades;

pub use attributes::{Attributes, FEE_RECIPIENT, PayloadAttributes, attributes};
pub use data::{L1Data, L2Data};
pub use error::{ChainError, Error};
pub use header::{Header, L1BlockRef};
pub use l2::{L2BlockRef, L2Head};
pub use pipeline::Pipeline;
