//! The choice of an engine: the reference, or what takes the same steps fastest here.
//!
//! Knows which engines there are and where to turn when one cannot be had. Knows nothing of how any
//! of them works. Everybody who runs a machine chooses through it, so that all choose alike.

use std::io::{self, Write};
use std::str::FromStr;

use tribunal_keccak::Hash;
use tribunal_machine::{
    Fault, Host, Later, Machine, Pause, PreimageRead, Statistics, StepProof, StopOn,
};
use tribunal_memory::{Pages, Storage};
use tribunal_mips64::{Mips64, State, Thread};

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use crate::engine::{Compiler, Options};
use crate::portable::{Portable, PortableOptions};

/// What may be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineKind {
    /// The meaning of the machine, one step after the other.
    Reference,
    /// The fastest there is on this machine.
    #[default]
    Fast,
    /// The fastest that compiles nothing: what `Fast` is where nothing can be compiled.
    Portable,
}

impl EngineKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Reference, Self::Fast, Self::Portable];

    /// What the command line calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Fast => "fast",
            Self::Portable => "portable",
        }
    }
}

impl std::fmt::Display for EngineKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EngineKind {
    type Err = UnknownEngine;

    fn from_str(name: &str) -> Result<Self, UnknownEngine> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| UnknownEngine { name: name.to_owned() })
    }
}

/// A name that no engine has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no engine \"{name}\": choose reference, fast or portable")]
pub struct UnknownEngine {
    name: String,
}

/// A machine that is still to be read, into the memory of whatever is to run it.
pub trait Unread {
    /// Why it cannot be read.
    type Error;

    /// Reads it into `storage`, which is empty.
    ///
    /// # Errors
    /// If it cannot be read.
    fn read<S: Storage>(self, storage: S) -> Result<Mips64<S>, Self::Error>;
}

/// Why code cannot be compiled here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub(crate) String);

/// A machine, and what takes its steps. Whichever that is: everything that can be seen is the same.
#[derive(Debug)]
pub enum Engine {
    /// The reference.
    Reference(Box<Mips64>),
    /// Compiled code.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Compiler(Box<Compiler>),
    /// Decoded blocks.
    Portable(Box<Portable>),
}

/// `$engine`'s machine, whatever takes its steps.
macro_rules! machine {
    ($engine:expr, $machine:ident => $work:expr) => {
        match $engine {
            Engine::Reference($machine) => $work,
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Engine::Compiler($machine) => $work,
            Engine::Portable($machine) => $work,
        }
    };
}

impl Engine {
    /// Goes on where `machine` stands. What is wrong is said where the engine is not the fastest of
    /// its kind.
    pub fn new(kind: EngineKind, machine: Mips64) -> (Self, Option<Unavailable>) {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        let compile = |machine| {
            let compiler = Compiler::new(machine, Options::default());
            compiler.map(|compiler| Self::Compiler(compiler.into()))
        };
        #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
        let compile = |machine: Mips64| {
            let reason = "code is compiled for x86-64 on Linux only".to_owned();
            Err((Box::new(machine), Unavailable(reason)))
        };
        Self::with(kind, machine, compile)
    }

    /// Reads a machine and goes on where it stands. What is wrong is said as by [`Engine::new`].
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read<U: Unread>(
        kind: EngineKind,
        unread: U,
    ) -> Result<(Self, Option<Unavailable>), U::Error> {
        match kind {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            EngineKind::Fast => match Compiler::read(unread, Options::default()) {
                Ok(compiler) => Ok((Self::Compiler(compiler?.into()), None)),
                Err((unread, why)) => {
                    Ok((Self::portable(unread.read(Pages::default())?), Some(why)))
                }
            },
            _ => Ok(Self::new(kind, unread.read(Pages::default())?)),
        }
    }

    /// The same, with something else to compile.
    fn with<E>(
        kind: EngineKind,
        machine: Mips64,
        compile: impl FnOnce(Mips64) -> Result<Self, (Box<Mips64>, E)>,
    ) -> (Self, Option<E>) {
        match kind {
            EngineKind::Reference => (Self::Reference(machine.into()), None),
            EngineKind::Fast => match compile(machine) {
                Ok(compiler) => (compiler, None),
                Err((machine, error)) => (Self::portable(*machine), Some(error)),
            },
            EngineKind::Portable => (Self::portable(machine), None),
        }
    }

    fn portable(machine: Mips64) -> Self {
        Self::Portable(Portable::new(machine, PortableOptions::default()).into())
    }

    /// The exit code as the state holds it: before an exit, whatever it began with.
    pub fn exit_code_byte(&self) -> u8 {
        machine!(self, machine => machine.state().exit_code)
    }

    /// Every thread, the active one first, each stack from its top.
    pub fn threads(&self) -> Vec<Thread> {
        fn of<S: Storage>(state: &State<S>) -> Vec<Thread> {
            let State { left, right, traverse_right, .. } = state;
            let stacks = if *traverse_right == 0 { [left, right] } else { [right, left] };
            stacks.into_iter().flat_map(|stack| stack.as_slice().iter().rev()).cloned().collect()
        }
        machine!(self, machine => of(machine.state()))
    }
}

impl Machine for Engine {
    const NAME: &'static str = Mips64::<Pages>::NAME;

    fn step(&self) -> u64 {
        machine!(self, machine => machine.step())
    }

    fn pc(&self) -> u64 {
        machine!(self, machine => machine.pc())
    }

    fn instruction(&self) -> u32 {
        machine!(self, machine => machine.instruction())
    }

    fn exit_code(&self) -> Option<u8> {
        machine!(self, machine => machine.exit_code())
    }

    fn page_count(&self) -> u64 {
        machine!(self, machine => machine.page_count())
    }

    fn state_bytes(&self) -> u64 {
        machine!(self, machine => machine.state_bytes())
    }

    fn run(&mut self, until: u64, stop: StopOn, host: &mut dyn Host) -> Result<Pause, Fault> {
        machine!(self, machine => machine.run(until, stop, host))
    }

    fn prove_step(&mut self, host: &mut dyn Host) -> Result<StepProof, Fault> {
        machine!(self, machine => machine.prove_step(host))
    }

    fn prove_step_later(&mut self, host: &mut dyn Host) -> Result<Later<StepProof>, Fault> {
        machine!(self, machine => machine.prove_step_later(host))
    }

    fn witness(&mut self) -> Vec<u8> {
        machine!(self, machine => machine.witness())
    }

    fn state_hash(&mut self) -> Hash {
        machine!(self, machine => machine.state_hash())
    }

    fn state_hash_later(&mut self) -> Later<Hash> {
        machine!(self, machine => machine.state_hash_later())
    }

    fn last_preimage_read(&self) -> Option<PreimageRead> {
        machine!(self, machine => machine.last_preimage_read())
    }

    fn write_state(&self, sink: &mut dyn Write) -> io::Result<()> {
        machine!(self, machine => machine.write_state(sink))
    }

    fn statistics(&self) -> Statistics {
        machine!(self, machine => machine.statistics())
    }
}

#[cfg(test)]
mod tests {
    use tribunal_conformance::assemble::{addiu, before, beq};

    use super::*;

    #[test]
    fn where_nothing_can_be_compiled_the_machine_goes_on_all_the_same() {
        let start = before(0x1000, &[addiu(2, 2, 1), beq(0, 0, -2), addiu(3, 3, 1)]);
        let refuse = |machine: Mips64| Err((machine.into(), "not here"));
        let (mut fallen, why) = Engine::with(EngineKind::Fast, Mips64::new(start.clone()), refuse);
        assert!(matches!(fallen, Engine::Portable(_)));
        assert_eq!(why, Some("not here"));

        let host = &mut tribunal_conformance::RecordingHost::default();
        let mut hash = |engine: &mut Engine| {
            engine.run(100_001, StopOn::Nothing, host).unwrap();
            engine.state_hash()
        };
        let (mut compiled, why) = Engine::new(EngineKind::Fast, Mips64::new(start));
        assert_eq!(why.is_some(), matches!(compiled, Engine::Portable(_)));
        assert_eq!(hash(&mut fallen), hash(&mut compiled));
        let [one, other] = [&fallen, &compiled].map(|engine| engine.threads());
        assert_eq!((one.len(), &one), (1, &other));
    }

    #[test]
    fn nobody_who_asks_for_the_reference_gets_anything_else() {
        let compile = |_| -> Result<Engine, (Box<Mips64>, ())> { panic!("nobody asked") };
        let machine = Mips64::new(before(0x1000, &[0]));
        let (engine, why) = Engine::with(EngineKind::Reference, machine, compile);
        assert!(matches!(engine, Engine::Reference(_)) && why.is_none());
    }

    #[test]
    fn engines_have_the_names_they_are_asked_for_by() {
        for kind in EngineKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let error = "quick".parse::<EngineKind>().unwrap_err().to_string();
        assert!(error.contains("reference, fast or portable"), "{error}");
    }
}
