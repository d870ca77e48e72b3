//! What went wrong, as a person is told it: what, where, whose fault, and what to do next.
//!
//! Knows how errors of the other crates read best, and what exit status each kind has.

use std::fmt;
use std::io;
use std::path::Path;

use tribunal_host::child::StartError;
use tribunal_host::{RecordingError, StoreError};
use tribunal_index::IndexError;
use tribunal_machine::{Blame, Fault, FileError, Machine, RunError, StateFileError, Symbols};
use tribunal_mips64::disassemble;
use tribunal_preimage::{ChannelError, OracleError};

use crate::style::Style;
use crate::symbol::in_function;
use crate::units::{Bytes, Count};
use crate::world::NOBODY;

/// A result whose error can be shown.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Why a command could not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
    details: Vec<String>,
    hint: Option<String>,
}

/// Whose fault a failure is: it decides the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The environment: disk, network, host, too little memory.
    Environment,
    /// The program in the machine, or its state: on chain the same step reverts.
    Fault,
    /// The command line, or a file that it names.
    Input,
    /// Nobody: somebody wanted it to end.
    Interrupted,
    /// Nobody: whoever reads the output has had enough.
    Unread,
}

/// Whose exit statuses a command has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statuses {
    /// Cannon's: op-challenger takes 2 for a fault of the program, and for nothing else.
    Cannon,
    /// Ours.
    Tribunal,
}

/// The status of a command that a signal ended.
pub(crate) const INTERRUPTED: u8 = 130;

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), details: Vec::new(), hint: None }
    }

    pub(crate) fn environment(message: impl Into<String>) -> Self {
        Self::new(Kind::Environment, message)
    }

    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(Kind::Input, message)
    }

    pub(crate) fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "command interrupted")
    }

    /// A failure to write to standard output.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Kind::Unread, "nobody reads the output"),
            _ => Self::environment(format!("cannot write to standard output: {error}")),
        }
    }

    /// A file that could not be read.
    pub(crate) fn reading(path: &Path, error: &io::Error) -> Self {
        let message = format!("cannot read {}: {error}", path.display());
        Self::new(kind_of_read(error), message).advise(error)
    }

    /// Says what to do about a file that could not be read, if there is anything to say.
    fn advise(self, error: &io::Error) -> Self {
        let hint = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                "check the path; a relative one begins in the folder where the command runs"
            }
            io::ErrorKind::IsADirectory => "name a file in that folder",
            io::ErrorKind::PermissionDenied => "ask for the right to read it, or read a copy",
            _ => return self,
        };
        self.hint(hint)
    }

    /// Adds a line below the message.
    pub(crate) fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// Says what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says in which file it is.
    pub(crate) fn within(mut self, file: &str) -> Self {
        if self.kind == Kind::Input {
            self.message = format!("{file}: {}", self.message);
        }
        self
    }

    /// Whose fault it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The exit status.
    pub(crate) fn status(&self, statuses: Statuses) -> u8 {
        match (statuses, self.kind) {
            (_, Kind::Unread) => 0,
            (_, Kind::Interrupted) => INTERRUPTED,
            (Statuses::Cannon, Kind::Fault) => 2,
            (Statuses::Cannon, Kind::Environment | Kind::Input) => 1,
            (Statuses::Tribunal, Kind::Fault | Kind::Input) => 2,
            (Statuses::Tribunal, Kind::Environment) => 3,
        }
    }

    /// What standard error is told.
    pub(crate) fn report(&self) -> String {
        match self.kind {
            Kind::Unread => return String::new(),
            Kind::Interrupted => return format!("{}\n", self.message),
            Kind::Environment | Kind::Fault | Kind::Input => {}
        }
        let style = Style::of_stderr();
        let mut report = format!("{} {}\n", style.bad("error:"), self.message);
        for line in self.details.iter().flat_map(|detail| detail.lines()) {
            report.push_str(&format!("  {line}\n"));
        }
        if let Some(hint) = &self.hint {
            report.push_str(&format!("{} {hint}\n", style.hint("hint:")));
        }
        report
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// A path that leads nowhere, or to a directory, was wrong; a disk that fails is another matter.
fn kind_of_read(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::InvalidFilename => Kind::Input,
        _ => Kind::Environment,
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let message = error.to_string();
        match error {
            FileError::NotBinary { .. } => Self::input(message),
            FileError::Read { error, .. } => {
                Self::new(kind_of_read(&error), message).advise(&error)
            }
            FileError::Write { .. } => Self::environment(message),
            FileError::State { error, .. } => Self { message, ..Self::from(error) },
        }
    }
}

impl From<StateFileError> for Failure {
    fn from(error: StateFileError) -> Self {
        let message = error.to_string();
        match error {
            StateFileError::TooLarge { .. } => {
                Self::environment(message).hint("allow more with --memory-limit")
            }
            StateFileError::Version { .. } => Self::input(message)
                .hint("load the program anew with load-elf, which makes a state of this version"),
            _ => Self::input(message),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Io { source, .. } => Self::new(kind_of_read(&source), message),
            StoreError::Busy { .. } | StoreError::DamagedDatabase { .. } => {
                Self::environment(message)
            }
            StoreError::Recording { source: RecordingError::Io(source), .. } => {
                Self::new(kind_of_read(&source), message)
            }
            _ => Self::input(message),
        }
    }
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        let message = error.to_string();
        match error {
            IndexError::Io { error, .. } => Self::new(kind_of_read(&error), message),
            IndexError::Damaged { .. } | IndexError::Kind { .. } => {
                Self::input(message).hint("--reindex deletes the index and makes it anew")
            }
            IndexError::Foreign { .. } | IndexError::OtherInput { .. } => Self::input(message)
                .hint("name another directory; or let --reindex delete what is there"),
            IndexError::NoIndex { .. } => {
                Self::input(message).hint("name an empty directory, or one that is not there yet")
            }
            IndexError::Busy { .. } => {
                Self::environment(message).hint("wait for it, or name another directory")
            }
            IndexError::State { error, .. } => Self { message, ..Self::from(error) },
            IndexError::Input(error) => of_oracle(&error, "the start of the run, for the index"),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::environment(error.to_string())
    }
}

/// Tells why a run could not go on; `machine` stands before the step that could not be taken.
pub(crate) fn of_run(
    error: RunError<Failure>,
    machine: &impl Machine,
    symbols: &Symbols,
) -> Failure {
    match error {
        RunError::Listener(failure) => failure,
        RunError::TooLarge { step, bytes, limit } => Failure::environment(format!(
            "the program uses {} of memory, more than the limit of {}",
            Bytes(bytes),
            Bytes(limit)
        ))
        .detail(format!("at step {}{}", Count(step), in_function(symbols, machine.pc())))
        .hint("allow more with --memory-limit, or find out with inspect what the memory is for"),
        RunError::Fault(fault) => of_fault(&fault, machine, symbols),
    }
}

fn of_fault(fault: &Fault, machine: &impl Machine, symbols: &Symbols) -> Failure {
    let place = format!("step {}{}", Count(fault.step), in_function(symbols, fault.pc));
    if let Some(error) = fault.reason.downcast_ref::<OracleError>() {
        return of_oracle(error, &place);
    }
    let message = format!("{}: {}", fault.blame, fault.reason);
    let next = disassemble(machine.instruction(), fault.pc);
    let here = format!("thread {}, pc {:#x}: {next}", fault.thread, fault.pc);
    match fault.blame {
        Blame::Guest => Failure::new(Kind::Fault, message)
            .detail(format!("at {place}"))
            .detail(here)
            .detail("on chain the same step reverts"),
        Blame::State => Failure::new(Kind::Fault, message)
            .detail(format!("at {place}"))
            .detail(here)
            .hint("no run of a program leads to such a state: start from another one"),
        Blame::Host => Failure::environment(message).detail(format!("at {place}")),
    }
}

/// Whether somebody was asked for a preimage that is missing.
pub(crate) fn was_sought(why: &str) -> bool {
    why.contains("; hints were followed ")
}

/// Tells why a program was not answered, which asked for something at `place`.
pub(crate) fn of_oracle(error: &OracleError, place: &str) -> Failure {
    let message = error.to_string();
    match error {
        OracleError::Channel(ChannelError::Cancelled) => Failure::interrupted(),
        OracleError::InvalidKey { .. } => Failure::new(Kind::Fault, message)
            .detail(format!("at {place}"))
            .detail("on chain the same step reverts"),
        OracleError::Missing { key, why } => {
            let kind = key.kind().map_or("of no kind", |kind| kind.name());
            let failure = Failure::environment("the host does not know a preimage")
                .detail(format!("key   {key} ({kind}), asked for at {place}"));
            let failure =
                why.split("; ").filter(|why| !why.is_empty()).fold(failure, Failure::detail);
            failure.hint(match why.as_str() {
                NOBODY => "name a store with --preimages PATH, or a host after --",
                // What to do about the nodes is said above.
                why if was_sought(why) => {
                    "mend that, then start again: nothing is known of the claim yet"
                }
                _ => {
                    "let the host that made the store fetch it: run that host after -- instead; \
                     nothing is known of the claim yet"
                }
            })
        }
        // A host in a child process tells a story of several lines.
        OracleError::Host(story) => {
            let (first, rest) = story.split_once('\n').unwrap_or((story, ""));
            let mut clauses = first.split("; ");
            let failure =
                Failure::environment(format!("the host failed: {}", clauses.next().unwrap_or("")));
            clauses
                .chain(rest.lines())
                .fold(failure.detail(format!("at {place}")), Failure::detail)
                .hint("the run can be taken up again: nothing is known of the claim yet")
        }
        _ => Failure::environment(message).detail(format!("at {place}")),
    }
}
