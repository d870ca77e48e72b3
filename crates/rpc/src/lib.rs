//! JSON-RPC over HTTP, and plain GET beside it: several endpoints that serve the same, patience with
//! those that fail, and answers that nobody sees before a check has passed them.
//!
//! Knows URLs, HTTP, the envelopes of JSON-RPC and the many ways in which nodes fail. Knows no
//! method, no chain and no preimage: what an answer must be, whoever asks says with the question. A
//! URL may hold a key, so it is never shown whole.

mod client;
mod endpoint;
mod slots;
mod trouble;

pub use client::{Bounds, Client, Notice, Policy, Question};
pub use endpoint::{Endpoint, UrlError};
pub use trouble::{Trouble, What};
