//! Where the preimages of OP Stack programs come from: the nodes of an L1 and of an L2 chain.
//!
//! Knows what each hint of kona's and op-program's clients asks for, which questions to which nodes
//! bring it, and what hash an answer must have; nothing that has another one reaches a store. Knows
//! no pipes, no store's inside, no virtual machine, and prints nothing.

mod beacon;
mod blob;
mod boot;
mod chain;
mod compute;
mod failure;
mod fetcher;
pub mod fixture;
mod header;
mod output;
mod precompile;
mod rebuild;
mod survey;
mod trie;
mod verified;
pub mod view;

pub use boot::{BlockBoot, Boot};
pub use compute::register_computed;
pub use fetcher::{Fetcher, Nodes, Options};
pub use fixture::Fixture;
pub use output::output_preimage;
pub use survey::{Finding, Grade, survey_beacon, survey_l1, survey_l2};
pub use verified::Verified;
