//! What stands behind a fault-proof program: where preimages are kept, who follows hints, and how
//! both are served, in this process, to a parent, or by a child; and how a run's share of it is recorded.
//!
//! Knows stores, hints, pipes and processes. Knows no instruction, no virtual machine and no chain:
//! whoever asks is an [`Oracle`](tribunal_preimage::Oracle) client like any other, and what a hint
//! means is the business of the handler that is registered for it.

pub mod child;
mod history;
mod local;
mod pipe;
mod program;
pub mod recording;
mod router;
pub mod serve;
pub mod store;

pub use child::ChildHost;
pub use history::Heard;
pub use local::LocalHost;
pub use program::serve_program;
pub use recording::{Recorder, Recording, RecordingError, RecordingStore, RecordingWriter};
pub use router::{Errand, Event, Hint, HintError, Patience, Router};
pub use serve::serve;
pub use store::{PreimageStore, StoreError};
