//! What answers an OP Stack program: its inputs, what is kept, and who is asked for the rest.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tribunal_host::store::{MemoryStore, Split};
use tribunal_host::{Event, LocalHost, Patience, PreimageStore, Router};
use tribunal_optimism_host::{Boot, Fetcher, Nodes, Options, Verified, register_computed};
use tribunal_rpc::Policy;

use crate::failure::{Failure, Result};
use crate::nodes::{NodeArgs, Reporter, client};

/// A host in this process.
pub(crate) type OpHost = LocalHost<Box<dyn PreimageStore>>;

/// What a host is made of.
pub(crate) struct Answers<'a> {
    /// The inputs of the run.
    pub(crate) boot: &'a Boot,
    /// What else there is, and where what is fetched is kept.
    pub(crate) kept: Box<dyn PreimageStore>,
    /// Who is asked for what is missing: all of them, or none.
    pub(crate) nodes: &'a NodeArgs,
    /// Whether the L2 node executes whole payloads.
    pub(crate) payload_witness: bool,
    /// How long nodes are asked for one preimage.
    pub(crate) deadline: Duration,
    /// Ends a search.
    pub(crate) cancel: Option<Arc<AtomicBool>>,
    pub(crate) reporter: &'a Arc<Reporter>,
}

impl Answers<'_> {
    /// The host. Without nodes it computes what can be computed out of what is kept.
    pub(crate) fn host(self) -> Result<OpHost> {
        let locals = MemoryStore::new();
        for (key, data) in self.boot.preimages() {
            locals.put(key, data)?;
        }
        let online = self.nodes.are_named()?;
        let deadline = if online { self.deadline } else { Duration::ZERO };
        let cancel = self.cancel.clone();
        let patience = Patience { deadline, cancel, ..Patience::default() };
        let mut router = Router::new().with_patience(patience);
        match online {
            true => self.fetcher()?.register(&mut router),
            false => register_computed(&mut router),
        }
        let events = Arc::clone(self.reporter);
        let router = router.with_log(move |event| match event {
            // What is asked for is kept, or it is not.
            Event::Unknown { .. } if !online => {}
            event => events.event(event),
        });
        Ok(LocalHost::with_router(
            Box::new(Split { locals, rest: Verified::new(self.kept) }),
            router,
        ))
    }

    fn fetcher(&self) -> Result<Fetcher> {
        let [l1, beacon, l2] = self.nodes.all().map(|(flag, urls)| {
            let reporter = Arc::clone(self.reporter);
            let client = client(flag, urls, Policy::default());
            client.map(|client| client.watched(move |notice| reporter.notice(notice)))
        });
        let nodes = Nodes { l1: l1?, beacon: beacon?, l2: l2? };
        Ok(Fetcher::new(
            nodes,
            Options {
                agreed_l2_head: self.boot.agreed_l2_head,
                claimed_l2_block: self.boot.claimed_l2_block,
                l2_chain_id: self.boot.chain(),
                payload_witness: self.payload_witness,
            },
        ))
    }
}

/// Reads the file of a configuration, if one is named.
pub(crate) fn read_config(path: Option<&Path>) -> Result<Option<Vec<u8>>> {
    let Some(path) = path else { return Ok(None) };
    let text = fs::read(path).map_err(|error| Failure::reading(path, &error))?;
    match serde_json::from_slice::<serde_json::Value>(&text) {
        Ok(_) => Ok(Some(text)),
        Err(error) => {
            let path = path.display();
            Err(Failure::input(format!("{path} is no configuration: {error}")))
        }
    }
}
