//! A block as it is recorded: which one, of what nodes, judged by which program.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use clap::Args;
use tribunal_host::store::MemoryStore;
use tribunal_host::{LocalHost, Patience, PreimageStore, Router};
use tribunal_optimism_host::{BlockBoot, Fetcher, Options};
use tribunal_preimage::Key;
use tribunal_rpc::{Bounds, Policy};

use crate::failure::{Failure, Result};
use crate::input::unpack;
use crate::nodes::{Reporter, Talk, client};
use crate::running::{RunArgs, Stage};
use crate::world::Source;

/// The program, built from guests/op-block.
static PROGRAM: &[u8] = include_bytes!("../../../../../guests/elf/mips64/op-block.elf.gz");

/// The input with the configuration of the rollup.
const CONFIG: Key = Key::local(6);

/// Which block is recorded, and who has it.
#[derive(Args, Debug)]
pub(crate) struct BlockArgs {
    /// Record how this block of an L2 chain is judged by its parent and its transactions.
    #[arg(long, value_name = "NUMBER", requires = "l2_node_address",
          conflicts_with_all = ["preimages", "host"],
          value_parser = clap::value_parser!(u64).range(1..))]
    block: Option<u64>,

    /// Execution node of the L2 chain, or several that serve the same, separated by commas.
    #[arg(
        long,
        visible_alias = "l2",
        env,
        hide_env_values = true,
        value_name = "URL",
        value_delimiter = ','
    )]
    l2_node_address: Vec<String>,

    /// Configuration of the rollup, for a chain that the program does not know.
    #[arg(long, visible_alias = "rollup-cfg", value_name = "FILE", requires = "block")]
    rollup_config_path: Option<PathBuf>,
}

impl BlockArgs {
    pub(crate) const fn number(&self) -> Option<u64> {
        self.block
    }

    /// A host that has the inputs of the run, and gets the rest from the nodes.
    pub(crate) fn source(&self, number: u64, run: &RunArgs, stage: &Stage) -> Result<Source> {
        let reporter = Reporter::new(if run.quiet.quiet { Talk::Nothing } else { Talk::Trouble });
        let watching = Arc::clone(&reporter);
        let client = client("--l2-node-address", &self.l2_node_address, Policy::default())?
            .watched(move |notice| watching.notice(notice));
        let patience = Patience::default();
        let deadline = run.host.deadline().unwrap_or(patience.deadline);
        let cancel = stage.interrupt.flag();

        let cancelled = || cancel.load(Ordering::Relaxed);
        let bounds = Bounds::new(Instant::now() + deadline, &cancelled);
        let asked = BlockBoot::ask(&client, number, bounds);
        stage.interrupt.check()?;
        let mut boot = asked.map_err(|trouble| {
            let failure =
                Failure::environment(format!("the node does not say what block {number} is"))
                    .detail(trouble.in_full());
            match trouble.advice() {
                Some(advice) => failure.hint(advice),
                None => failure,
            }
        })?;
        if let Some(path) = &self.rollup_config_path {
            let config = std::fs::read(path).map_err(|error| Failure::reading(path, &error))?;
            boot.rollup_config = Some(config);
        }
        let store = MemoryStore::new();
        for (key, data) in boot.preimages() {
            store.put(key, data)?;
        }
        let options = Options {
            agreed_l2_head: boot.parent,
            claimed_l2_block: number,
            l2_chain_id: Some(boot.l2_chain_id),
            // One question for all that the block reads, where the node can; else the hints of proofs
            // and nodes bring it.
            payload_witness: true,
        };
        let patience = Patience { deadline, cancel: Some(Arc::clone(&cancel)), ..patience };
        let mut router = Router::new().with_patience(patience);
        Fetcher::of_l2(client, options).register(&mut router);
        let router = router.with_log(move |event| reporter.event(event));
        let store = Box::new(store) as Box<dyn PreimageStore>;
        Ok(Source::fetched(LocalHost::with_router(store, router)))
    }

    /// What to say where a configuration is named, and the program did not want it among its inputs.
    pub(crate) fn unused(&self, inputs: &[Key]) -> Option<String> {
        let path = self.rollup_config_path.as_ref()?;
        (!inputs.contains(&CONFIG)).then(|| {
            format!(
                "{} was not used: the program knows the configuration of this chain itself, and judged \
                 by that; leave --rollup-config-path out, or name a program that asks for it",
                path.display()
            )
        })
    }
}

/// The program that judges a block.
pub(crate) fn program() -> Result<Vec<u8>> {
    unpack(PROGRAM)
}
