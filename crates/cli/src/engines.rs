//! The engine that was asked for, and what is said where there has to be another.
//!
//! Knows no engine: the choice is made where they are.

use tribunal_jit::{Engine, EngineKind, Unavailable, Unread};
use tribunal_mips64::{Mips64, State};

/// Makes engines of the kind that was asked for, and says once if there is none.
#[derive(Debug)]
pub(crate) struct Engines {
    kind: EngineKind,
}

impl Engines {
    pub(crate) const fn new(kind: EngineKind) -> Self {
        Self { kind }
    }

    /// The kind that can be had. `warn` is called if it is not the one that was asked for.
    pub(crate) fn available(&mut self, warn: impl FnOnce(&str)) -> EngineKind {
        self.start(Mips64::new(State::new(0)), warn);
        self.kind
    }

    /// Goes on where `machine` stands. `warn` is called at most once, however many are started.
    pub(crate) fn start(&mut self, machine: Mips64, warn: impl FnOnce(&str)) -> Engine {
        let (engine, problem) = Engine::new(self.kind, machine);
        self.note(problem, warn);
        engine
    }

    /// Reads a machine, and goes on where it stands. `warn` as for [`Engines::start`].
    pub(crate) fn read<U: Unread>(
        &mut self,
        unread: U,
        warn: impl FnOnce(&str),
    ) -> Result<Engine, U::Error> {
        let (engine, problem) = Engine::read(self.kind, unread)?;
        self.note(problem, warn);
        Ok(engine)
    }

    fn note(&mut self, problem: Option<Unavailable>, warn: impl FnOnce(&str)) {
        if let Some(problem) = problem {
            self.kind = EngineKind::Portable;
            warn(&format!("nothing can be compiled here, the portable engine runs: {problem}"));
        }
    }
}
