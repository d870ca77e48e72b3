//! `exec`: run a program to its end, or a recording again, and leave with its verdict.

use std::path::PathBuf;

use clap::Args;
use tribunal_host::recording::{Beginning, End};
use tribunal_host::{Recording, RecordingStore};
use tribunal_machine::Machine as _;
use tribunal_mips64::Mips64;
use tribunal_optimism_host::Verified;

use crate::failure::{Failure, Kind, Result};
use crate::input::{Artefact, Loaded, load, ready, state_of};
use crate::output::print_json;
use crate::running::RunArgs;
use crate::units::Count;
use crate::world::Source;

/// Run a program to its end in the VM, and leave with its verdict.
///
/// PROGRAM may also be a recording that record wrote: then the run is repeated from it alone, and must
/// come to the same final state.
///
/// The exit status is the program's exit code: 0 the claim holds, 1 it is wrong, 2 or more: nothing
/// was decided. What keeps the program from its end is 2 too if the program or its file is to blame,
/// 3 if the host, the disk or the memory limit is.
#[derive(Args, Debug)]
pub(crate) struct Exec {
    /// The program (an ELF file) or a state to go on from; .gz is fine, - is standard input.
    #[arg(value_name = "PROGRAM")]
    program: PathBuf,

    #[command(flatten)]
    run: RunArgs,

    /// The program of a recording that does not hold it.
    #[arg(long, value_name = "FILE")]
    with_program: Option<PathBuf>,
}

impl Exec {
    pub(crate) fn execute(&self) -> Result<u8> {
        let (path, meta) = (&self.program, self.run.meta.as_deref());
        let limit = self.run.machine.memory_limit();
        let loaded = match Artefact::open(path, limit)? {
            Artefact::Recording(recording) => return self.replay(*recording),
            other => ready(other, path, meta, limit)?,
        };
        if self.with_program.is_some() {
            return Err(Failure::input("--with-program is for recordings, and this is none"));
        }
        let stage = self.run.stage(loaded.machine.step())?;
        let mut source = self.run.source(&stage)?;
        let mut ran = self.run.manner().run(loaded, stage, &mut source);
        let problem = ran.verdict.is_ok().then(|| source.shutdown()).flatten();
        let summary = ran.tell(self.run.quiet.quiet, problem.as_deref(), "");
        if let (Some(summary), true) = (summary, self.run.json) {
            // Without a reader the exit status still tells.
            let _ = print_json(summary);
        }
        ran.verdict
    }

    /// Runs a recording again.
    fn replay(&self, mut recording: Recording) -> Result<u8> {
        if self.run.host.names_any() {
            return Err(Failure::input(
                "a recording answers the program itself: it takes no --preimages and no host",
            ));
        }
        let Beginning { ref machine, prestate, step } = recording.beginning;
        if machine != <Mips64>::NAME {
            return Err(Failure::input(format!(
                "the run was recorded in the machine {machine:?}, and only {:?} is known here",
                <Mips64>::NAME
            )));
        }
        let end = recording.end;
        let mut loaded = self.program_of(&mut recording)?;
        if loaded.machine.state_hash() != prestate || loaded.machine.step() != step {
            let found = hex::encode(loaded.machine.state_hash());
            return Err(Failure::input("this is not the program that was recorded")
                .detail(format!("recorded  0x{}, at step {}", hex::encode(prestate), Count(step)))
                .detail(format!("given     0x{found}, at step {}", Count(loaded.machine.step()))));
        }
        let store = RecordingStore::of(&self.program, recording);
        let mut source = Source::local(Box::new(Verified::new(store)));
        let stage = self.run.stage(step)?;
        let mut ran = self.run.manner().run(loaded, stage, &mut source);
        let code = match ran.verdict {
            Ok(code) => code,
            Err(failure) => return Err(explain(failure, &end)),
        };
        compare(&end, &ran.end)?;
        let more = "  recording  repeated: the same final state\n";
        let summary = ran.tell(self.run.quiet.quiet, None, more);
        if let (Some(summary), true) = (summary, self.run.json) {
            let _ = print_json(summary);
        }
        Ok(code)
    }

    fn program_of(&self, recording: &mut Recording) -> Result<Loaded> {
        let limit = self.run.machine.memory_limit();
        let meta = self.run.meta.as_deref();
        match (&self.with_program, recording.program.take()) {
            (Some(path), _) => load(path, meta, limit),
            (None, Some(state)) => state_of(&state, &self.program, meta, limit),
            (None, None) => {
                let prestate = hex::encode(recording.beginning.prestate);
                Err(Failure::input("the recording does not hold the program that was run")
                    .detail(format!("prestate  0x{prestate}"))
                    .hint("name the program of this prestate with --with-program FILE"))
            }
        }
    }
}

/// Says what a failure has to do with the recording.
fn explain(failure: Failure, recorded: &End) -> Failure {
    if failure.kind() != Kind::Environment {
        return failure;
    }
    match recorded.exit_code {
        Some(_) => failure.hint(
            "the recording lacks what the run needs: record it again; nothing is known of the claim",
        ),
        None => failure
            .detail(format!("the run that was recorded got to step {} itself", Count(recorded.step)))
            .hint("record it again where nothing keeps it from its end; nothing is known of the claim"),
    }
}

/// Refuses a run that did not end as the recorded one. That is no verdict of either.
fn compare(recorded: &End, now: &End) -> Result<()> {
    if recorded == now {
        return Ok(());
    }
    let tell = |end: &End| {
        let code = match end.exit_code {
            Some(code) => format!("exit code {code}"),
            None => "no end".into(),
        };
        format!("0x{}, {code} at step {}", hex::encode(end.state_hash), Count(end.step))
    };
    let failure = match recorded.exit_code {
        Some(_) => Failure::input("the run came to another end than the one that was recorded"),
        None => Failure::input("the run came to an end, and the one that was recorded did not"),
    };
    Err(failure
        .detail(format!("recorded  {}", tell(recorded)))
        .detail(format!("now       {}", tell(now)))
        .hint("nothing is known of the claim: run the program with its host, or record it again"))
}
