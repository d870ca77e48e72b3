//! `run`: Cannon's command, with its flags, its files and its log, as op-challenger uses it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use tribunal_jit::{Engine, Unread};
use tribunal_machine::{
    Events, Later, Machine, Outcome, PreimageStop, ProofFile, RunPlan, Saver, Statistics,
    StepPattern, StepProof, Stream, Symbols, load_state_with, run, save_state,
};
use tribunal_memory::{PAGE_SIZE, Storage};
use tribunal_mips64::{Mips64, Thread, VERSION_NAME};
use tribunal_preimage::KeyKind;

use crate::cli::MachineArgs;
use crate::failure::{Failure, Result, of_run};
use crate::input::read_symbols;
use crate::interrupt::Interrupt;
use crate::logfmt::{Level, Log};
use crate::output::{Destination, NameFormat, is_binary_state};
use crate::units::{Bytes, Speed};
use crate::world::{HostArgs, HostWords, Lines, Listener, Source, World};

const PATTERN: &str = "PATTERN";
const PATTERN_HELP: &str = "\
A PATTERN says at which steps: never, always, =N at step N, %N at every multiple of N. \
A snapshot or proof at step N is of the state before step N.

Everything behind -- is the command of the host. It gets hint requests on file descriptor 3, \
acknowledges them on 4, gets preimage requests on 5 and answers on 6.

Exit statuses: 0 for every completed run, whatever the program's exit code; 1 for errors; 2 if the \
program did what no program may do; 130 if interrupted.";

/// Run a program from a state on, with snapshots and proofs on the way (Cannon).
#[derive(Args, Debug)]
#[command(args_override_self = true, after_help = PATTERN_HELP)]
pub(crate) struct Run {
    /// The state to begin with: a .bin or .bin.gz file.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,

    /// Where to write the last state: a .bin or .bin.gz file, nowhere if empty.
    #[arg(long, value_name = "FILE", default_value = "out.bin.gz")]
    output: OsString,

    /// Which steps to prove.
    #[arg(long, value_name = PATTERN, default_value = "never")]
    proof_at: StepPattern,

    /// What to call proofs, %d being the step; - for standard output.
    #[arg(long, value_name = "NAME", default_value = "proof-%d.json")]
    proof_fmt: String,

    /// When to write a snapshot.
    #[arg(long, value_name = PATTERN, default_value = "never")]
    snapshot_at: StepPattern,

    /// What to call snapshots, %d being the step.
    #[arg(long, value_name = "NAME", default_value = "state-%d.bin.gz")]
    snapshot_fmt: String,

    /// Where to stop.
    #[arg(long, value_name = PATTERN, default_value = "never")]
    stop_at: StepPattern,

    /// Stop after the first read of a preimage whose key begins so, at this offset (0), not before
    /// this step.
    #[arg(long, value_name = "HEX[@OFFSET[@STEP]]")]
    stop_at_preimage: Option<String>,

    /// Stop after the first read of a preimage of this kind: local, keccak, sha256, blob,
    /// precompile, any.
    #[arg(long, value_name = "KIND", default_value = "", hide_default_value = true)]
    stop_at_preimage_type: String,

    /// Stop after the first read of a preimage longer than this, its 8-byte length included.
    #[arg(long, value_name = "BYTES", default_value_t = 0, hide_default_value = true)]
    stop_at_preimage_larger_than: u64,

    /// The symbols that load-elf wrote; none if empty.
    #[arg(long, value_name = "FILE", default_value = "meta.json")]
    meta: OsString,

    /// When to log where the run is.
    #[arg(long, value_name = PATTERN, default_value = "%1000000000")]
    info_at: StepPattern,

    /// Accepted and ignored.
    #[arg(long = "pprof.cpu", num_args = 0..=1, require_equals = true, default_value_t = false,
          default_missing_value = "true", value_name = "BOOL", hide_default_value = true,
          hide_possible_values = true)]
    pprof_cpu: bool,

    /// At the end, say where each thread is. Needs --meta.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false,
          default_missing_value = "true", value_name = "BOOL", hide_default_value = true,
          hide_possible_values = true)]
    debug: bool,

    /// Where to write what the run did, as JSON: a file, - for standard output.
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true)]
    debug_info: OsString,

    #[command(flatten)]
    machine: MachineArgs,

    #[command(flatten)]
    host: HostArgs,
}

/// The flags, once they are known to make sense.
struct Plan {
    run: RunPlan,
    output: Destination,
    proofs: NameFormat,
    snapshots: NameFormat,
    debug_info: Destination,
    symbols: Option<Symbols>,
}

impl Run {
    pub(crate) fn execute(&self) -> Result<()> {
        let plan = self.plan()?;
        let log = Log::new();
        if self.pprof_cpu {
            log_vm(log, Level::Warn, "--pprof.cpu is ignored: profile with perf or samply", &[]);
        }
        if plan.symbols.is_none() {
            let message = "no metadata file specified, defaulting to empty metadata";
            log_vm(log, Level::Info, message, &[]);
        }
        let state = StateFile { path: &self.input, limit: self.machine.memory_limit(), log };
        let warn = |message: &str| log_vm(log, Level::Warn, message, &[]);
        let mut machine = self.machine.engines().read(state, warn)?;
        let code = machine.exit_code_byte();

        // Until here there was nothing to clean up: a signal may end the process as it is.
        let interrupt = Interrupt::listen()?;
        let words = HostWords {
            stdout: Box::new(move |line| log.host_stdout(line)),
            stderr: Box::new(move |line| log.host_stderr(line)),
        };
        let mut source = Source::open(&self.host, &interrupt, words)?;
        let outcome = self.run(&mut machine, &plan, &interrupt, log, &mut source);
        let outcome = outcome.map(|()| {
            let exited = machine.exit_code();
            // Nothing but an exit changes the code.
            let fields: [(&str, &dyn Display); 2] =
                [("exited", &exited.is_some()), ("code", &exited.unwrap_or(code))];
            log_vm(log, Level::Info, "Execution stopped", &fields);
        });
        if outcome.is_ok()
            && let Some(problem) = source.shutdown()
        {
            log_vm(log, Level::Error, "failed to close pre-image server", &[("err", &problem)]);
        }
        outcome?;

        let symbols = plan.symbols.unwrap_or_default();
        if self.debug {
            log_threads(log, &machine.threads(), &symbols);
        }
        if let Destination::File(path) = &plan.output {
            save_state(&machine, path)?;
        }
        plan.debug_info.write_json(&DebugInfo::of(&machine))
    }

    fn run(
        &self,
        machine: &mut Engine,
        plan: &Plan,
        interrupt: &Interrupt,
        log: Log,
        source: &mut Source,
    ) -> Result<()> {
        let no_symbols = Symbols::default();
        let symbols = plan.symbols.as_ref().unwrap_or(&no_symbols);
        let mut keeper = Keeper {
            log,
            plan,
            symbols,
            interrupt,
            started: Instant::now(),
            first_step: machine.step(),
            proofs: VecDeque::new(),
            saver: Saver::default(),
        };
        let mut guest = GuestLog { log, stdout: Lines::default(), stderr: Lines::default() };
        let outcome = {
            let mut world = World { source, listener: &mut guest };
            run(machine, &plan.run, &mut world, &mut keeper)
        };
        let kept = keeper.finish();
        guest.finish();
        kept?;
        match outcome.map_err(|error| of_run(error, machine, symbols))? {
            Outcome::Exited(_) => {}
            Outcome::Stopped => log_vm(log, Level::Info, "Reached stop at", &[]),
            Outcome::StoppedAtPreimage(read) => {
                let fields: [(&str, &dyn Display); 3] =
                    [("key", &read.key), ("offset", &read.offset), ("size", &read.value.len())];
                log_vm(log, Level::Info, "Stopping at preimage read", &fields);
            }
        }
        Ok(())
    }

    /// Checks all that can be known before the first step.
    fn plan(&self) -> Result<Plan> {
        let named_wrong = |flag: &str, name: &Path| {
            Failure::input(format!(
                "invalid --{flag} {}: a state file is named .bin or .bin.gz",
                name.display()
            ))
        };
        if !self.output.is_empty() && !is_binary_state(&self.output) {
            return Err(named_wrong("output", self.output.as_ref()));
        }
        let snapshots = NameFormat::parse("snapshot-fmt", &self.snapshot_fmt)?;
        if !self.snapshot_fmt.is_empty() && !is_binary_state(&snapshots.at(0)) {
            return Err(named_wrong("snapshot-fmt", self.snapshot_fmt.as_ref()));
        }
        let proofs = NameFormat::parse("proof-fmt", &self.proof_fmt)?;
        for (flag, format, pattern) in
            [("proof-fmt", &proofs, self.proof_at), ("snapshot-fmt", &snapshots, self.snapshot_at)]
        {
            check_names(flag, format, pattern)?;
        }
        let stop_at_preimage = self.preimage_stop()?;
        let output = Destination::new(&self.output);
        output.check()?;

        let symbols = match self.meta.is_empty() {
            true if self.debug => {
                return Err(Failure::input("cannot enable debug mode without a metadata file")
                    .hint("name the symbols that load-elf wrote with --meta"));
            }
            true => None,
            false => {
                let symbols = read_symbols(self.meta.as_ref()).map_err(|failure| {
                    // Where there is no state either, that is what is wrong.
                    match std::fs::metadata(&self.input) {
                        Ok(_) => failure.hint("--meta \"\" does without symbols"),
                        Err(error) => Failure::reading(&self.input, &error),
                    }
                })?;
                Some(symbols)
            }
        };
        Ok(Plan {
            run: RunPlan {
                info_at: self.info_at,
                stop_at: self.stop_at,
                snapshot_at: self.snapshot_at,
                proof_at: self.proof_at,
                stop_at_preimage,
                max_bytes: self.machine.memory_limit(),
            },
            output,
            proofs,
            snapshots,
            debug_info: Destination::new(&self.debug_info),
            symbols,
        })
    }

    /// The three flags that stop at a preimage. A key prevails over a kind.
    fn preimage_stop(&self) -> Result<PreimageStop> {
        let mut stop = PreimageStop {
            larger_than: self.stop_at_preimage_larger_than,
            offset: Some(0),
            ..PreimageStop::default()
        };
        if let Some(text) = &self.stop_at_preimage {
            read_preimage_stop(text, &mut stop)?;
            return Ok(stop);
        }
        let kind = match self.stop_at_preimage_type.as_str() {
            "" => return Ok(stop),
            "any" => {
                stop.any = true;
                return Ok(stop);
            }
            "local" => KeyKind::Local,
            "keccak" => KeyKind::Keccak256,
            "sha256" => KeyKind::Sha256,
            "blob" => KeyKind::Blob,
            "precompile" => KeyKind::Precompile,
            other => {
                return Err(Failure::input(format!("invalid preimage type \"{other}\""))
                    .hint("use local, keccak, sha256, blob, precompile or any"));
            }
        };
        stop.key_prefix = vec![kind as u8];
        Ok(stop)
    }
}

/// The state to begin with, before it is read.
struct StateFile<'a> {
    path: &'a Path,
    limit: u64,
    log: Log,
}

impl Unread for StateFile<'_> {
    type Error = Failure;

    fn read<S: Storage>(self, storage: S) -> Result<Mips64<S>> {
        let read = |source: &mut dyn Read| Mips64::read_into(storage, source, self.limit);
        let machine = load_state_with(self.path, read)?;
        log_vm(self.log, Level::Info, "Loaded input state", &[("version", &VERSION_NAME)]);
        Ok(machine)
    }
}

/// Reads `HEX[@OFFSET[@STEP]]`. An odd number of digits lacks a zero in front, as in Cannon.
fn read_preimage_stop(text: &str, stop: &mut PreimageStop) -> Result<()> {
    let invalid = || {
        Failure::input(format!("invalid --stop-at-preimage \"{text}\""))
            .hint("use the first digits of a key, and optionally @OFFSET and @STEP: 0x02ab@8@1000")
    };
    let mut parts = text.split('@');
    let digits = parts.next().unwrap_or_default();
    let digits = digits.strip_prefix("0x").or(digits.strip_prefix("0X")).unwrap_or(digits);
    let zero = if digits.len() % 2 == 1 { "0" } else { "" };
    stop.key_prefix = hex::decode(format!("{zero}{digits}")).map_err(|_| invalid())?;
    if stop.key_prefix.len() > 32 {
        return Err(invalid());
    }
    if let Some(offset) = parts.next() {
        stop.offset = Some(u64::from_str(offset).map_err(|_| invalid())?);
    }
    if let Some(step) = parts.next() {
        stop.min_step = u64::from_str(step).map_err(|_| invalid())?;
    }
    match parts.next() {
        Some(_) => Err(invalid()),
        None => Ok(()),
    }
}

/// Checks that the files of a pattern have a place, and that none replaces another.
fn check_names(flag: &str, format: &NameFormat, pattern: StepPattern) -> Result<()> {
    if pattern == StepPattern::Never {
        return Ok(());
    }
    let first = Destination::new(format.at(0));
    let many = !matches!(pattern, StepPattern::At(_));
    if many && matches!(first, Destination::File(_)) && !format.names_the_step() {
        return Err(Failure::input(format!("--{flag} names one file for many steps"))
            .hint("put %d into the name: it stands for the step"));
    }
    first.check()
}

/// Keeps what is to be kept on the way, and logs.
struct Keeper<'a> {
    log: Log,
    plan: &'a Plan,
    symbols: &'a Symbols,
    interrupt: &'a Interrupt,
    started: Instant,
    first_step: u64,
    /// Those that another thread is still working on, while the run goes on.
    proofs: VecDeque<Later<StepProof>>,
    saver: Saver,
}

/// Proofs that may wait to be written.
const PROOFS: usize = 8;

impl Keeper<'_> {
    /// Waits until all is written that is to be kept.
    fn finish(&mut self) -> Result<()> {
        let proofs = self.write_proofs(0);
        self.saver.finish()?;
        proofs
    }

    /// Writes the proofs that are there, and waits for them as long as there are more than `most`.
    fn write_proofs(&mut self, most: usize) -> Result<()> {
        while let Some(mut first) = self.proofs.pop_front() {
            if self.proofs.len() < most && !first.is_ready() {
                self.proofs.push_front(first);
                break;
            }
            let proof = first.wait();
            let name = self.plan.proofs.at(proof.step);
            Destination::new(name).write_json(&ProofFile::from(proof))?;
        }
        Ok(())
    }
}

impl<M: Machine> Events<M> for Keeper<'_> {
    type Error = Failure;

    fn poll(&mut self, _: &M) -> Result<()> {
        self.write_proofs(PROOFS)?;
        self.interrupt.check()
    }

    fn info(&mut self, machine: &M) {
        let step = machine.step();
        let speed =
            Speed { steps: step.wrapping_sub(self.first_step), time: self.started.elapsed() };
        let pages = machine.page_count();
        let fields: [(&str, &dyn Display); 7] = [
            ("step", &step),
            ("pc", &format!("{:08x}", machine.pc())),
            ("insn", &format!("{:08x}", machine.instruction())),
            ("ips", &(speed.per_second() as u64)),
            ("pages", &pages),
            ("mem", &Bytes(pages * PAGE_SIZE as u64)),
            ("name", &self.symbols.name(machine.pc())),
        ];
        log_vm(self.log, Level::Info, "processing", &fields);
    }

    fn snapshot(&mut self, machine: &M) -> Result<()> {
        let name = self.plan.snapshots.at(machine.step());
        if name.is_empty() {
            return Ok(());
        }
        Ok(self.saver.save(machine, name.as_ref())?)
    }

    fn proof(&mut self, proof: Later<StepProof>) -> Result<()> {
        self.proofs.push_back(proof);
        self.write_proofs(PROOFS)
    }
}

/// Logs what the program writes, line by line.
struct GuestLog {
    log: Log,
    stdout: Lines,
    stderr: Lines,
}

impl GuestLog {
    fn finish(&mut self) {
        let log = self.log;
        self.stdout.finish(|line| log.guest("stdout", line));
        self.stderr.finish(|line| log.guest("stderr", line));
    }
}

impl Listener for GuestLog {
    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        let log = self.log;
        match stream {
            Stream::Stdout => self.stdout.add(bytes, |line| log.guest("stdout", line)),
            Stream::Stderr => self.stderr.add(bytes, |line| log.guest("stderr", line)),
        }
    }

    fn warn(&mut self, message: &str) {
        log_vm(self.log, Level::Warn, message, &[]);
    }
}

fn log_vm(log: Log, level: Level, message: &str, fields: &[(&str, &dyn Display)]) {
    let mut all: Vec<(&str, &dyn Display)> = vec![("module", &"vm")];
    all.extend_from_slice(fields);
    log.line(level, message, &all);
}

/// Says where each thread is, and where it will return to.
fn log_threads(log: Log, threads: &[Thread], symbols: &Symbols) {
    for Thread { id, pc, registers, .. } in threads {
        let returns_to = registers[31];
        let fields: [(&str, &dyn Display); 5] = [
            ("thread", id),
            ("pc", &format!("{pc:08x}")),
            ("name", &symbols.name(*pc)),
            ("ra", &format!("{returns_to:08x}")),
            ("caller", &symbols.name(returns_to)),
        ];
        log_vm(log, Level::Info, "traceback", &fields);
    }
}

/// What op-challenger makes metrics of. There is no instruction cache here that could miss.
#[derive(Serialize)]
struct DebugInfo {
    pages: u64,
    memory_used: String,
    num_preimage_requests: u64,
    total_preimage_size: u64,
    total_steps: u64,
    instruction_cache_miss_count: u64,
    highest_icache_miss_pc: String,
    rmw_success_count: u64,
    rmw_fail_count: u64,
    max_steps_between_ll_and_sc: u64,
    reservation_invalidation_count: u64,
    forced_preemption_count: u64,
    idle_step_count_thread_0: u64,
}

impl DebugInfo {
    fn of(machine: &impl Machine) -> Self {
        let Statistics {
            preimage_requests,
            preimage_bytes,
            rmw_successes,
            rmw_failures,
            max_steps_between_ll_and_sc,
            reservation_invalidations,
            forced_preemptions,
            idle_steps_of_thread_0,
        } = machine.statistics();
        let pages = machine.page_count();
        Self {
            pages,
            memory_used: format!("{:#x}", pages * PAGE_SIZE as u64),
            num_preimage_requests: preimage_requests,
            total_preimage_size: preimage_bytes,
            total_steps: machine.step(),
            instruction_cache_miss_count: 0,
            highest_icache_miss_pc: format!("{:#x}", 0),
            rmw_success_count: rmw_successes,
            rmw_fail_count: rmw_failures,
            max_steps_between_ll_and_sc,
            reservation_invalidation_count: reservation_invalidations,
            forced_preemption_count: forced_preemptions,
            idle_step_count_thread_0: idle_steps_of_thread_0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_to_stop_at_are_read_as_in_cannon() {
        let read = |text| {
            let mut stop = PreimageStop { offset: Some(0), ..PreimageStop::default() };
            read_preimage_stop(text, &mut stop).map(|()| stop)
        };
        let stop = read("0x2ab@8@1000").unwrap();
        assert_eq!(
            (stop.key_prefix, stop.offset, stop.min_step),
            (vec![0x02, 0xab], Some(8), 1000)
        );
        let stop = read("02").unwrap();
        assert_eq!((stop.key_prefix, stop.offset, stop.min_step), (vec![2], Some(0), 0));
        let too_long = "00".repeat(33);
        for text in ["0xg", "02@", "02@x", "02@1@", "02@1@2@3", "02@-1", &too_long] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
