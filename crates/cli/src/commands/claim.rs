//! `claim`: is this the output root of a block of an OP Stack chain?

use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use optimism::Finding;
use serde::Serialize;
use tribunal_host::store::{self, MemoryStore, StoreFormat};
use tribunal_host::{PreimageStore, RecordingStore};
use tribunal_keccak::Hash;
use tribunal_machine::{Hex, Machine as _};
use tribunal_mips64::Mips64;
use tribunal_optimism_host::view::{self, BlockOutput};
use tribunal_optimism_host::{Boot, Fixture};
use tribunal_preimage::Key;
use tribunal_rpc::{Bounds, Client, Policy, Trouble};

use crate::cli::{MachineArgs, QuietArg};
use crate::commands::host::parse_format;
use crate::failure::{Failure, Kind, Result};
use crate::input::{Loaded, holds_preimages, load, load_program};
use crate::interrupt::Interrupt;
use crate::native::{Judged, judge};
use crate::nodes::{NodeArgs, Reporter, Talk, client, parse_hash};
use crate::op_host::{Answers, OpHost, read_config};
use crate::output::{Destination, print, print_json};
use crate::programs;
use crate::progress::Progress;
use crate::running::{Manner, Stage, Summary, Words};
use crate::speaker::Speaker;
use crate::stores::open_data_dir;
use crate::style::Style;
use crate::units::{Bytes, Count};
use crate::world::Source;

/// Judge a claim: is this the output root of that block of an OP Stack chain?
///
/// Derives the chain from the data on L1, from a block whose output is agreed on up to the claimed
/// one, executes it, and compares. What is asked comes from nodes, from a data directory, or from a
/// file. With nodes, the block before the claimed one is agreed on unless others are named, and data
/// ends at the last final L1 block.
///
/// Leaves with 0 if the claim holds, 1 if it is wrong, 2 if the inputs are, 3 if something could not
/// be had.
#[derive(Args, Debug)]
pub(crate) struct Claim {
    /// A claim in a file: the recording of a run, preimages in JSON with the inputs among them, or a
    /// fixture as testdata/derivation has them. Flags are stronger than what it says.
    #[arg(value_name = "FILE", conflicts_with = "data_dir")]
    file: Option<PathBuf>,

    /// Number of the L2 block that the claim is about.
    #[arg(long, visible_aliases = ["block", "l2-block-number"], value_name = "NUMBER")]
    claimed_l2_block_number: Option<u64>,

    /// Output root that is claimed.
    #[arg(long, visible_aliases = ["root", "l2-claim"], value_name = "HASH",
          value_parser = parse_hash)]
    claimed_l2_output_root: Option<Hash>,

    /// Id of the L2 chain, if the program knows its configuration.
    #[arg(long, visible_alias = "chain", value_name = "ID", conflicts_with = "rollup_config_path")]
    l2_chain_id: Option<u64>,

    /// Configuration of the rollup, for a chain that the program does not know.
    #[arg(long, visible_alias = "rollup-cfg", value_name = "FILE")]
    rollup_config_path: Option<PathBuf>,

    /// Configuration of the L1 chain, for a chain that the program does not know.
    #[arg(long, visible_alias = "l1-cfg", value_name = "FILE")]
    l1_config_path: Option<PathBuf>,

    /// Hash of the L1 block where data ends.
    #[arg(long, value_name = "HASH", value_parser = parse_hash)]
    l1_head: Option<Hash>,

    /// Output root that is agreed on.
    #[arg(long, visible_alias = "l2-output-root", value_name = "HASH", value_parser = parse_hash)]
    agreed_l2_output_root: Option<Hash>,

    /// Hash of the L2 block that it is of; needed with nodes.
    #[arg(long, visible_alias = "l2-head", value_name = "HASH", value_parser = parse_hash)]
    agreed_l2_head_hash: Option<Hash>,

    /// Number of the L2 block that is agreed on: the L2 node says what its output is.
    #[arg(long, visible_alias = "agreed-block", value_name = "NUMBER",
          conflicts_with_all = ["agreed_l2_output_root", "agreed_l2_head_hash"])]
    agreed_l2_block_number: Option<u64>,

    #[command(flatten)]
    nodes: NodeArgs,

    /// A rollup node (op-node, kona-node) of somebody who may see the chain differently: where the
    /// claim is wrong, its blocks are compared; without, those of the L2 node.
    #[arg(long, visible_alias = "rollup", value_name = "URL", value_delimiter = ',')]
    rollup_node_address: Vec<String>,

    /// Where preimages are kept. Without nodes it must be there, unless there is a file, and is only read.
    #[arg(long, visible_alias = "db", value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// How a new data directory is written: redb, which only we read, or directory or file, which
    /// op-challenger reads. What an older one is written in, it says itself.
    #[arg(long, value_name = "FORMAT", default_value_t, value_parser = parse_format)]
    data_format: StoreFormat,

    /// How long a missing preimage is sought, in seconds, before that is an error.
    #[arg(long, value_name = "SECONDS", default_value_t = 300,
          value_parser = clap::value_parser!(u64).range(1..))]
    deadline: u64,

    /// Judge it in the machine too, as a dispute would, and compare.
    #[arg(long)]
    vm: bool,

    /// The program that the machine runs (an ELF file or a state, kona's too); without, ours, which is
    /// within this binary. Implies --vm.
    #[arg(long, value_name = "PROGRAM")]
    program: Option<PathBuf>,

    /// Record the run in the machine: exec repeats it, and its steps are proven from the recording
    /// alone. Implies --vm.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Say what came out as JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    quiet: QuietArg,

    #[command(flatten)]
    machine: MachineArgs,
}

/// What is known of a claim.
#[derive(Default)]
struct Facts {
    l1_head: Option<Hash>,
    agreed_head: Option<Hash>,
    agreed_output: Option<Hash>,
    claimed_output: Option<Hash>,
    claimed_block: Option<u64>,
    chain: Option<u64>,
    rollup_config: Option<Vec<u8>>,
    l1_config: Option<Vec<u8>>,
}

/// What came out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    verdict: &'static str,
    claimed_block: u64,
    claimed_output: Hex<Hash>,
    agreed_output: Hex<Hash>,
    /// The last block that was derived, and its output root; nothing if the claim is about a block
    /// before the agreed one.
    block: Option<u64>,
    output: Option<Hex<Hash>>,
    l1_head: Hex<Hash>,
    l1_head_number: Option<u64>,
    l1_blocks: usize,
    l2_blocks: usize,
    seconds: f64,
    /// Whether the program knows the chain: else its configuration is what somebody says.
    known_chain: bool,
    compared: Option<Compared>,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<Summary>,
}

/// The blocks that were derived, beside those of somebody else.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Compared {
    /// The flag that names whom.
    with: &'static str,
    /// The first block that differs: its number, its hash as derived, its hash there.
    first_different: Option<(u64, Hex<Hash>, Hex<Hash>)>,
}

impl Claim {
    pub(crate) fn execute(&self) -> Result<u8> {
        let record = self.record.as_ref().map(Destination::new);
        if let Some(destination) = &record {
            destination.check()?;
            if *destination == Destination::Stdout {
                return Err(Failure::input(
                    "a recording goes into a file here, not to standard output",
                ));
            }
        }
        let loaded = self.load()?;
        let talk = if self.quiet.quiet { Talk::Nothing } else { Talk::Trouble };
        let reporter = Reporter::new(talk);
        let interrupt = Interrupt::listen()?;
        let (facts, kept) = self.sources()?;
        let boot = self.boot(facts, &interrupt)?;
        let host = Answers {
            boot: &boot,
            kept,
            nodes: &self.nodes,
            payload_witness: true,
            deadline: Duration::from_secs(self.deadline),
            cancel: Some(interrupt.flag()),
            reporter: &reporter,
        }
        .host()?;

        let mut progress = Progress::new(self.quiet.quiet, 0);
        reporter.step_around(progress.bar());
        let started = Instant::now();
        let judged = judge(&mut &host, &interrupt, &mut progress)?;
        let seconds = started.elapsed().as_secs_f64();
        progress.finish();
        reporter.step_around(None);

        let machine = match loaded {
            Some(loaded) => {
                let interrupt = interrupt.clone();
                Some(self.run(loaded, host, interrupt, record.as_ref(), judged.code())?)
            }
            None => None,
        };
        let compared = if judged.code() == 1 { self.compare(&judged, &interrupt) } else { None };
        let code = judged.code();
        let report = Report::of(&boot, &judged, seconds, compared, machine);
        match self.json {
            true => print_json(&report)?,
            false => print(&report.text(Style::of_stdout()))?,
        }
        if code == 1 {
            self.tell(&self.dispute()?);
        }
        Ok(code)
    }

    fn tell(&self, text: &str) {
        if !self.quiet.quiet {
            // Nobody may be listening any more: the verdict is the answer.
            let _ = stderr().write_all(text.as_bytes());
        }
    }

    /// The program for the machine, if it is to run.
    fn load(&self) -> Result<Option<Loaded>> {
        let limit = self.machine.memory_limit();
        match &self.program {
            Some(path) => load(path, None, limit).map(Some),
            None if self.vm || self.record.is_some() => ours(limit).map(Some),
            None => Ok(None),
        }
    }

    /// What the file says, and what is kept.
    fn sources(&self) -> Result<(Facts, Box<dyn PreimageStore>)> {
        if let Some(path) = &self.file {
            return read_file(path);
        }
        let online = self.nodes.are_named()?;
        let kept: Box<dyn PreimageStore> = match &self.data_dir {
            Some(directory) => open_data_dir(directory, self.data_format, online)?,
            None if online => Box::new(MemoryStore::new()),
            None => {
                return Err(Failure::input("there is nothing to judge the claim by").hint(
                    "give --l1-node-address, --l1-beacon-address and --l2-node-address; or a file, \
                     or a --data-dir with all that is needed",
                ));
            }
        };
        Ok((Facts::default(), kept))
    }

    /// The inputs of the run: flags before the file, and what nodes say where both are silent.
    fn boot(&self, file: Facts, interrupt: &Interrupt) -> Result<Boot> {
        let online = self.nodes.are_named()?;
        let [l1, _, l2] = self.nodes.all();
        let ask =
            |(flag, urls): (&'static str, &Vec<String>)| client(flag, urls, Policy::default());
        let cancelled = || interrupt.check().is_err();
        let bounds = || Bounds::new(self.until(), &cancelled);
        let failed = |trouble: &Trouble| match interrupt.check() {
            Ok(()) => failed(trouble),
            Err(interrupted) => interrupted,
        };
        let missing = |what: &str, flag: &str| {
            Failure::input(format!("{what} is not known")).hint(format!("give {flag}"))
        };
        let block = self.claimed_l2_block_number.or(file.claimed_block);
        let block = block.ok_or_else(|| {
            missing("the block that the claim is about", "--claimed-l2-block-number")
        })?;
        let claimed = self.claimed_l2_output_root.or(file.claimed_output);
        let claimed = claimed.ok_or_else(|| {
            missing("the output root that is claimed", "--claimed-l2-output-root")
        })?;

        let rollup_config = read_config(self.rollup_config_path.as_deref())?.or(file.rollup_config);
        let l1_config = read_config(self.l1_config_path.as_deref())?.or(file.l1_config);
        let chain = match (self.l2_chain_id, &self.rollup_config_path, file.chain) {
            (Some(id), _, _) => Some(id),
            (None, Some(_), _) => None,
            (None, None, Some(id)) => Some(id),
            (None, None, None) if online => {
                Some(view::chain_id(&ask(l2)?, bounds()).map_err(|trouble| failed(&trouble))?)
            }
            (None, None, None) => {
                return Err(missing("the chain", "--l2-chain-id or --rollup-config-path"));
            }
        };

        let l1_head = match self.l1_head.or(file.l1_head) {
            Some(hash) => hash,
            None if online => {
                let (number, hash) =
                    view::finalized(&ask(l1)?, bounds()).map_err(|trouble| failed(&trouble))?;
                self.tell(&format!(
                    "data ends at L1 block {}, {}: final, as {} says\n",
                    Count(number),
                    digits(&hash),
                    l1.0
                ));
                hash
            }
            None => return Err(missing("the L1 block where data ends", "--l1-head")),
        };

        let agreed = (
            self.agreed_l2_output_root.or(file.agreed_output),
            self.agreed_l2_head_hash.or(file.agreed_head),
        );
        let (agreed_output, agreed_head) = match (self.agreed_l2_block_number, agreed) {
            (None, (Some(output), Some(head))) => (output, head),
            // No host without nodes asks what block it is.
            (None, (Some(output), None)) if !online => (output, [0; 32]),
            (None, (Some(_), None)) => {
                return Err(missing("the agreed block", "--agreed-l2-head-hash"));
            }
            (number, _) if online => {
                let number = number.unwrap_or(block.saturating_sub(1));
                let BlockOutput { block, root } = view::output_at(&ask(l2)?, number, bounds())
                    .map_err(|trouble| failed(&trouble))?;
                self.tell(&format!(
                    "agreed is L2 block {}, {}, with the output root {}: as {} says\n",
                    Count(number),
                    digits(&block),
                    digits(&root),
                    l2.0
                ));
                (root, block)
            }
            (Some(_), _) => {
                return Err(Failure::input(
                    "without nodes nobody says what the output of the agreed block is",
                )
                .hint("give --agreed-l2-output-root in the place of its number"));
            }
            (None, (None, _)) => {
                return Err(missing("the agreed output root", "--agreed-l2-output-root"));
            }
        };
        Ok(Boot {
            l1_head,
            agreed_l2_head: agreed_head,
            agreed_l2_output: agreed_output,
            claimed_l2_output: claimed,
            claimed_l2_block: block,
            l2_chain_id: chain,
            rollup_config,
            l1_config,
        })
    }

    /// Runs the program in the machine. It must come to the same verdict.
    fn run(
        &self,
        loaded: Loaded,
        host: OpHost,
        interrupt: Interrupt,
        record: Option<&Destination>,
        expected: u8,
    ) -> Result<Summary> {
        let quiet = self.quiet.quiet;
        let words = if quiet { Words::Nowhere } else { Words::AllToStderr };
        let manner = Manner { machine: self.machine, quiet, words };
        let stage = Stage::new(interrupt, quiet, loaded.machine.step());
        let source = Source::Local(Box::new(host));
        let ran = match record {
            None => {
                let mut source = source;
                manner.run(loaded, stage, &mut source)
            }
            Some(destination) => {
                let recorded = manner.record(loaded, true, stage, source)?;
                destination.write(|sink| sink.write_all(&recorded.bytes))?;
                self.tell(&format!(
                    "recorded: {} hints, {} preimages; {}\n",
                    Count(recorded.hints),
                    Count(recorded.preimages),
                    Bytes(recorded.bytes.len() as u64)
                ));
                recorded.ran
            }
        };
        let code = ran.verdict?;
        let Some(summary) = ran.summary.filter(|_| code == expected) else {
            let failure = match code {
                0 | 1 => Failure::new(Kind::Fault, "the program in the machine disagrees")
                    .detail(format!("here       {}", verdict(expected)))
                    .detail(format!("machine    {}", verdict(code))),
                _ => Failure::new(Kind::Fault, "the program in the machine decided nothing")
                    .detail(format!("exit code {code}"))
                    .detail(format!("here       {}", verdict(expected))),
            };
            return Err(failure.hint(
                "one of the two programs is wrong, or was not given what it needs: keep a \
                 recording of it (--record)",
            ));
        };
        Ok(summary)
    }

    /// Seeks the first block that differs from somebody else's, by halves: after it, all do.
    fn compare(&self, judged: &Judged, interrupt: &Interrupt) -> Option<Compared> {
        let l2 = self.nodes.all()[2];
        let rollup = ("--rollup-node-address", &self.rollup_node_address);
        let (with, urls) = [rollup, l2].into_iter().find(|(_, urls)| !urls.is_empty())?;
        let of_rollup = with == rollup.0;
        let compared = client(with, urls, Policy::default()).and_then(|nodes| {
            let differs = |number: u64, ours: Hash| -> Result<Option<Hash>> {
                let theirs = self.block_of(&nodes, of_rollup, number, interrupt);
                let theirs = theirs.map_err(|trouble| failed(&trouble))?;
                Ok((theirs != ours).then_some(theirs))
            };
            let mut first = None;
            // Before `same` all blocks are, and from `end` on all differ.
            let (mut same, mut end) = (0, judged.blocks.len());
            // Where the last one is the same, all are.
            let mut next = end.saturating_sub(1);
            while same < end {
                let (number, ours) = judged.blocks[next];
                match differs(number, ours)? {
                    Some(theirs) => {
                        first = Some((number, Hex(ours), Hex(theirs)));
                        end = next;
                    }
                    None => same = next + 1,
                }
                next = same + (end - same) / 2;
            }
            Ok(Compared { with, first_different: first })
        });
        match compared {
            Ok(compared) => Some(compared),
            Err(failure) => {
                let text = format!("the blocks cannot be compared with those of {with}: {failure}");
                Speaker::new(None, true).unless(self.quiet.quiet)(&text);
                None
            }
        }
    }

    fn block_of(
        &self,
        nodes: &Client,
        of_rollup: bool,
        number: u64,
        interrupt: &Interrupt,
    ) -> std::result::Result<Hash, Trouble> {
        let cancelled = || interrupt.check().is_err();
        let bounds = Bounds::new(self.until(), &cancelled);
        match of_rollup {
            true => view::rollup_output_at(nodes, number, bounds).map(|output| output.block),
            false => view::block_hash(nodes, number, bounds),
        }
    }

    /// When a question that is asked now is given up.
    fn until(&self) -> Instant {
        Instant::now() + Duration::from_secs(self.deadline)
    }

    /// How a wrong claim is disputed.
    fn dispute(&self) -> Result<String> {
        let mut text = format!("\n{}\n", Style::of_stderr().strong("To dispute it"));
        let name = match (&self.record, &self.file) {
            (Some(path), _) => path.display().to_string(),
            (None, file) => {
                let what = file.as_ref().map_or("…".into(), |path| path.display().to_string());
                text.push_str(&format!("  tribunal claim {what} --record claim.rec\n"));
                "claim.rec".into()
            }
        };
        let mut program = match &self.program {
            Some(path) => load(path, None, self.machine.memory_limit())?,
            None => ours(self.machine.memory_limit())?,
        };
        text.push_str(&format!(
            "  tribunal exec {name}\n  \
             tribunal sample --input {name} --at %1000000\n  \
             tribunal prove --input {name} --at STEP > step.json\n  \
             tribunal verify step.json --preimages {name}\n  \
             tribunal calldata step.json --preimages {name}\n\
             The run, its state hashes to bisect with, and the step that is left: proven, taken by \
             the contract, sent to it.\n\
             The game must be about this program: its absolutePrestate is\n  0x{}\n",
            hex::encode(program.machine.state_hash())
        ));
        Ok(text)
    }
}

impl Report {
    fn of(
        boot: &Boot,
        judged: &Judged,
        seconds: f64,
        compared: Option<Compared>,
        machine: Option<Summary>,
    ) -> Self {
        let output = match judged.decision.finding {
            Finding::Output(output) => Some(output),
            Finding::BeforeAgreed { .. } => None,
        };
        Self {
            verdict: if judged.code() == 0 { "valid" } else { "invalid" },
            claimed_block: boot.claimed_l2_block,
            claimed_output: Hex(boot.claimed_l2_output),
            agreed_output: Hex(boot.agreed_l2_output),
            block: output.map(|output| output.number),
            output: output.map(|output| Hex(output.root.0)),
            l1_head: Hex(boot.l1_head),
            l1_head_number: judged.l1_head,
            l1_blocks: judged.l1_blocks,
            l2_blocks: judged.blocks.len(),
            seconds,
            known_chain: judged.decision.known_chain,
            compared,
            machine,
        }
    }

    /// What people are told.
    fn text(&self, style: Style) -> String {
        let code = u8::from(self.verdict != "valid");
        let verdict = match code {
            0 => style.good(verdict(code)),
            _ => style.bad(verdict(code)),
        };
        let mut text = format!("{verdict}\n");
        let mut line =
            |name: &str, value: String| text.push_str(&format!("  {name:<9}  {value}\n"));
        let of = |block: u64| format!("of block {}", Count(block));
        line("claimed", format!("{} {}", digits(&self.claimed_output.0), of(self.claimed_block)));
        match self.block.zip(self.output.as_ref()) {
            Some((block, output)) => {
                line("derived", format!("{} {}", digits(&output.0), of(block)));
                if block < self.claimed_block {
                    line("", "L1 holds no block after it, so its output counts".into());
                }
            }
            None => line("derived", "nothing: a later block is agreed on already".into()),
        }
        line("agreed", digits(&self.agreed_output.0));
        let number = self.l1_head_number.map(|number| format!(", block {}", Count(number)));
        line("L1 head", format!("{}{}", digits(&self.l1_head.0), number.unwrap_or_default()));
        let several = |count: usize, what: &str| match count {
            1 => format!("1 {what} block"),
            count => format!("{} {what} blocks", Count(count as u64)),
        };
        let (l2, l1) = (several(self.l2_blocks, "L2"), several(self.l1_blocks, "L1"));
        line("work", format!("{l2} made out of {l1}"));
        if !self.known_chain {
            line(
                "chain",
                "not one that the program knows: nobody verified its configuration".into(),
            );
        }
        if let Some(Compared { with, first_different }) = &self.compared {
            match first_different {
                Some((number, ours, theirs)) => {
                    line("differs", format!("first block {}, {}", Count(*number), digits(&ours.0)));
                    line("", format!("which is {} as {with} has it", digits(&theirs.0)));
                }
                None => line("differs", format!("no block, from those of {with}")),
            }
        }
        if let Some(machine) = &self.machine {
            text.push_str("in the machine: ");
            text.push_str(&machine.text(style));
        }
        text
    }
}

/// Our program in the machine.
fn ours(limit: u64) -> Result<Loaded> {
    let program = load_program(Path::new("optimism.elf"), &programs::optimism()?, limit)?;
    let symbols = program.symbols.unwrap_or_default();
    Ok(Loaded { machine: Mips64::new(program.state), symbols, recording: None })
}

/// Reads a claim in a file, and all that it has.
fn read_file(path: &Path) -> Result<(Facts, Box<dyn PreimageStore>)> {
    if path.is_dir() {
        return Err(Failure::input(format!("{} is a directory", path.display()))
            .hint("name it with --data-dir, and say with flags what is claimed"));
    }
    if !RecordingStore::is_at(path)? && !holds_preimages(path)? {
        let fixture = Fixture::read(path).map_err(|error| {
            Failure::input(error.to_string()).hint(
                "name the recording of a run, preimages in JSON with the inputs among them, or a \
                 claim in the form of those in testdata/derivation",
            )
        })?;
        let boot = fixture.boot;
        let facts = Facts {
            l1_head: Some(boot.l1_head),
            agreed_head: Some(boot.agreed_l2_head),
            agreed_output: Some(boot.agreed_l2_output),
            claimed_output: Some(boot.claimed_l2_output),
            claimed_block: Some(boot.claimed_l2_block),
            chain: boot.l2_chain_id,
            rollup_config: boot.rollup_config,
            l1_config: boot.l1_config,
        };
        let kept: MemoryStore = fixture.preimages.into_iter().collect();
        return Ok((facts, Box::new(kept)));
    }
    // Into memory, where what is computed out of them has a place too.
    let from = store::open(path)?;
    let kept = MemoryStore::new();
    for key in from.keys()? {
        if let Some(data) = from.get(key)? {
            kept.put(key, data)?;
        }
    }
    Ok((Facts::of_locals(path, &kept)?, Box::new(kept)))
}

impl Facts {
    /// What the inputs of a run say.
    fn of_locals(path: &Path, store: &dyn PreimageStore) -> Result<Self> {
        fn input<const N: usize>(
            path: &Path,
            store: &dyn PreimageStore,
            ident: u64,
        ) -> Result<Option<[u8; N]>> {
            let Some(data) = store.get(Key::local(ident))? else { return Ok(None) };
            let length = data.len();
            data.try_into().map(Some).map_err(|_| {
                Failure::input(format!(
                    "local input {ident} in {} has {length} bytes, not {N}",
                    path.display()
                ))
            })
        }
        Ok(Self {
            l1_head: input(path, store, 1)?,
            agreed_head: None,
            agreed_output: input(path, store, 2)?,
            claimed_output: input(path, store, 3)?,
            claimed_block: input(path, store, 4)?.map(u64::from_be_bytes),
            chain: input(path, store, 5)?.map(u64::from_be_bytes),
            rollup_config: store.get(Key::local(6))?,
            l1_config: store.get(Key::local(7))?,
        })
    }
}

fn verdict(code: u8) -> &'static str {
    match code {
        0 => "the claim holds",
        _ => "the claim is wrong",
    }
}

fn failed(trouble: &Trouble) -> Failure {
    let advice = trouble.advice().unwrap_or("is it a node of the right chain?");
    Failure::environment(trouble.in_full()).hint(advice)
}

fn digits(hash: &Hash) -> String {
    format!("0x{}", hex::encode(hash))
}
