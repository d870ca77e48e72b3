//! `host`: answering a program as kona-host does.
//!
//! Flags, aliases, environment and stores are kona-host's, so whoever starts that can start this.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, ArgGroup, Args, Subcommand};
use tribunal_host::serve::{ServeFailure, ServerPipes};
use tribunal_host::store::{MemoryStore, StoreFormat};
use tribunal_host::{PreimageStore, serve, serve_program};
use tribunal_keccak::Hash;
use tribunal_optimism_host::Boot;

use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::native::judge;
use crate::nodes::{NodeArgs, Reporter, Talk, parse_hash};
use crate::op_host::{Answers, OpHost, read_config};
use crate::output::print;
use crate::progress::Progress;
use crate::stores::open_data_dir;

/// Answer an OP Stack program, as kona-host does: fetch what it asks for, and keep it.
#[derive(Args, Debug)]
pub(crate) struct Host {
    /// Say more: every question that nodes are asked.
    #[arg(short, action = ArgAction::Count, global = true, display_order = 100)]
    verbosity: u8,

    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    Single(Box<Single>),
}

/// Answer a program over one L2 chain.
///
/// Flags, aliases and environment are kona-host's, so `op-challenger --cannon-kona-server tribunal`
/// works. With nodes, whatever is missing is fetched, held against its hash and kept; without,
/// only what is in the data directory exists. Nothing that a node says is believed.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("runs").required(true).args(["native", "server"]))]
struct Single {
    /// Hash of the L1 block where derivation ends.
    #[arg(long, env, hide_env_values = true, value_name = "HASH", value_parser = parse_hash)]
    l1_head: Hash,

    /// Hash of the agreed L2 block.
    #[arg(long, visible_alias = "l2-head", env, hide_env_values = true, value_name = "HASH",
          value_parser = parse_hash)]
    agreed_l2_head_hash: Hash,

    /// Output root of the agreed L2 block.
    #[arg(long, visible_alias = "l2-output-root", env, hide_env_values = true,
          value_name = "HASH", value_parser = parse_hash)]
    agreed_l2_output_root: Hash,

    /// Output root that is claimed.
    #[arg(long, visible_alias = "l2-claim", env, hide_env_values = true, value_name = "HASH",
          value_parser = parse_hash)]
    claimed_l2_output_root: Hash,

    /// Number of the L2 block that it is claimed for.
    #[arg(
        long,
        visible_alias = "l2-block-number",
        env,
        hide_env_values = true,
        value_name = "NUMBER"
    )]
    claimed_l2_block_number: u64,

    #[command(flatten)]
    nodes: NodeArgs,

    /// Where preimages are kept. Without nodes it must be there, and is only read.
    #[arg(long, visible_alias = "db", env, hide_env_values = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// How a new data directory is written: directory or file, which op-challenger reads, or redb,
    /// which only we read. What an older one is written in, it says itself.
    #[arg(long, env, hide_env_values = true, value_name = "FORMAT", default_value = "directory",
          value_parser = parse_format)]
    data_format: StoreFormat,

    /// Run the program on this machine, and leave with its verdict: 0 the claim holds, 1 it is wrong,
    /// 2 or more: nothing was decided. Ours, within this process; or that which is named after --, as
    /// a process of its own.
    #[arg(long)]
    native: bool,

    /// Answer the program of the process that started this one, over the descriptors 3 to 6.
    #[arg(long)]
    server: bool,

    /// Id of the L2 chain, if the program knows its configuration.
    #[arg(
        long,
        env,
        hide_env_values = true,
        value_name = "ID",
        conflicts_with = "rollup_config_path",
        required_unless_present = "rollup_config_path"
    )]
    l2_chain_id: Option<u64>,

    /// Configuration of the rollup, for a chain that the program does not know.
    #[arg(long, visible_alias = "rollup-cfg", env, hide_env_values = true, value_name = "FILE")]
    rollup_config_path: Option<PathBuf>,

    /// Configuration of the L1 chain, for a chain that the program does not know.
    #[arg(long, visible_alias = "l1-cfg", env, hide_env_values = true, value_name = "FILE")]
    l1_config_path: Option<PathBuf>,

    /// Have the L2 node execute whole payloads and say all they read (debug_executePayload).
    #[arg(long, env, hide_env_values = true)]
    enable_experimental_witness_endpoint: bool,

    /// How long a missing preimage is sought, in seconds, before that is an error.
    #[arg(long, value_name = "SECONDS", default_value_t = 300,
          value_parser = clap::value_parser!(u64).range(1..))]
    deadline: u64,

    /// Say nothing on standard error unless something goes wrong.
    #[arg(long, short)]
    quiet: bool,

    /// The program that --native runs in the place of ours, and its arguments.
    #[arg(last = true, value_name = "PROGRAM", conflicts_with = "server")]
    program: Vec<OsString>,
}

impl Host {
    pub(crate) fn execute(&self) -> Result<u8> {
        match &self.mode {
            Mode::Single(single) => single.execute(self.verbosity),
        }
    }
}

impl Single {
    fn execute(&self, verbosity: u8) -> Result<u8> {
        let talk = match (self.quiet, verbosity) {
            (true, _) => Talk::Nothing,
            (false, 0) => Talk::Trouble,
            (false, _) => Talk::Everything,
        };
        let reporter = Reporter::new(talk);
        let interrupt = Interrupt::listen()?;
        let host = self.host(&reporter, &interrupt)?;
        match self.program.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments);
                let served = serve_program(&host, command);
                interrupt.check()?;
                let status = served.map_err(failed)?;
                match status.code().and_then(|code| u8::try_from(code).ok()) {
                    Some(code) => Ok(code),
                    None => Err(Failure::environment(format!("the program ended with {status}"))),
                }
            }
            None if self.native => {
                let mut progress = Progress::new(self.quiet, 0);
                reporter.step_around(progress.bar());
                let judged = judge(&mut &host, &interrupt, &mut progress)?;
                progress.finish();
                print(&format!("{}\n", judged.decision))?;
                Ok(judged.code())
            }
            None => {
                let pipes = ServerPipes::inherited().map_err(failed)?;
                let served = serve(&host, pipes);
                interrupt.check()?;
                served.map_err(failed)?;
                Ok(0)
            }
        }
    }

    /// A store, and who follows hints.
    fn host(&self, reporter: &Arc<Reporter>, interrupt: &Interrupt) -> Result<OpHost> {
        let online = self.nodes.are_named()?;
        let kept: Box<dyn PreimageStore> = match &self.data_dir {
            Some(directory) => open_data_dir(directory, self.data_format, online)?,
            None if online => Box::new(MemoryStore::new()),
            None => {
                return Err(Failure::input("there is neither a data directory nor all the nodes")
                    .hint(
                        "give --data-dir, or --l1-node-address, --l1-beacon-address and \
                         --l2-node-address",
                    ));
            }
        };
        let boot = Boot {
            l1_head: self.l1_head,
            agreed_l2_head: self.agreed_l2_head_hash,
            agreed_l2_output: self.agreed_l2_output_root,
            claimed_l2_output: self.claimed_l2_output_root,
            claimed_l2_block: self.claimed_l2_block_number,
            l2_chain_id: self.l2_chain_id,
            rollup_config: read_config(self.rollup_config_path.as_deref())?,
            l1_config: read_config(self.l1_config_path.as_deref())?,
        };
        Answers {
            boot: &boot,
            kept,
            nodes: &self.nodes,
            payload_witness: self.enable_experimental_witness_endpoint,
            deadline: Duration::from_secs(self.deadline),
            cancel: Some(interrupt.flag()),
            reporter,
        }
        .host()
    }
}

pub(crate) fn parse_format(text: &str) -> std::result::Result<StoreFormat, String> {
    match text {
        "rocksdb" | "pebble" => Err(format!("{text} is not written here; directory is, and file")),
        text => StoreFormat::from_str(text).map_err(|error| error.to_string()),
    }
}

/// Why answering ended early.
fn failed(failure: ServeFailure) -> Failure {
    match &failure {
        ServeFailure::Inherited { .. } => {
            Failure::input(failure.to_string().split("; ").next().unwrap_or_default()).hint(
                "a server is started by what runs the program: tribunal exec PROGRAM -- tribunal \
                 host single … --server",
            )
        }
        _ => {
            let text = failure.to_string();
            let mut clauses = text.split("; ");
            let failure = Failure::environment(clauses.next().unwrap_or_default());
            clauses.fold(failure, Failure::detail)
        }
    }
}
