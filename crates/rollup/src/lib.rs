//! The configuration of an OP Stack chain.
//!
//! Knows what is agreed about a chain before its first block: genesis, times, limits, addresses, the
//! [`Fork`]s and when they activate, and of L1 the price schedule of blobs; how configurations are
//! written in JSON; and the configurations of the chains of the superchain [`registry`]. Knows
//! nothing of what rules do with it, and nothing of where a configuration came from.
#![no_std]

extern crate alloc;

mod config;
mod fork;
mod json;
mod l1;
pub mod registry;

pub use config::{
    BlockId, ChainOpConfig, ConfigError, Eip1559Params, Genesis, OperatorFee, RollupConfig,
    SystemConfig,
};
pub use fork::{Fork, ForkTimes};
pub use json::JsonError;
pub use l1::{BlobParams, BlobSchedule, L1Config, fake_exponential};
