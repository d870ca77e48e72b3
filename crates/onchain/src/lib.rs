//! The on-chain half of a fault proof: calldata, the contracts, and a local EVM in which they judge
//! a step.
//!
//! Knows how a step and its preimages are put into transactions, and what the contracts make of
//! them. Knows nothing of how a trace was run or where a preimage came from, and no network.

mod abi;
mod artifact;
mod blob;
pub mod calldata;
mod instance;
mod large_preimage;
mod plan;
mod preimage;
mod refusal;

pub use revm::primitives::{Address, U256};
pub use tribunal_kzg::{Blob, BlobError};

pub use crate::artifact::{Artifact, ArtifactError, Contract};
pub use crate::blob::NoEvidence;
pub use crate::calldata::StepCall;
pub use crate::instance::{Gas, Instance, InstanceError, Receipt, Refused, Step, Transaction};
pub use crate::large_preimage::{
    BLOCK_BYTES, LargePreimage, LargePreimageError, Leaf, MAX_LEAVES, Sponge, TREE_DEPTH,
    Transition,
};
pub use crate::plan::{Dispute, Plan, PlanError, Planned};
pub use crate::preimage::{Evidence, LoadError, Loaded, LoadedHow, PartSlots};
pub use crate::refusal::Refusal;
