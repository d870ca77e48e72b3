//! The fast engine beside the reference, over random programs that are stopped at random steps.
//!
//! What has to be equal, the conformance suite knows. Where code cannot be compiled there is nothing
//! to try, and that is an error: a minute of nothing must not look like a minute of fuzzing.

use tribunal_conformance::{Random, lockstep};
use tribunal_jit::{Compiler, Options};
use tribunal_mips64::{Mips64, State};

use crate::Verdict;

/// A program that goes on for as long as this, by compiled code, counts as one that ran.
const FAR: u64 = 1000;

/// The fast engine, on any number of programs.
pub(crate) struct Engines {
    /// Bytes of compiled code there are before anything was compiled.
    no_code: usize,
}

impl Engines {
    pub(crate) fn new() -> Result<Self, String> {
        let compiler = Compiler::new(Mips64::new(State::new(0)), Options::default());
        match compiler {
            Ok(compiler) => Ok(Self { no_code: compiler.code_bytes() }),
            Err((_, error)) => Err(format!("code cannot be compiled here: {error}")),
        }
    }

    pub(crate) fn check(&self, random: &mut Random) -> Result<Verdict, String> {
        let options = Options {
            // Mostly everything is compiled at once, or else the reference would run beside itself.
            warm: random.pick(&[0, 0, 0, 0, 1, 2]),
            max_block: random.pick(&[usize::MAX, usize::MAX, usize::MAX, 1, 2, 3, 7]),
        };
        let compiler = |state| match Compiler::new(Mips64::new(state), options) {
            Ok(compiler) => compiler,
            Err((_, error)) => panic!("code could be compiled before: {error}"),
        };
        let (steps, compiler) = lockstep(random.number(), compiler)
            .map_err(|difference| format!("with {options:?}, {difference}"))?;
        // Where no code was compiled, the reference ran beside itself.
        let has_run = steps >= FAR && compiler.code_bytes() > self.no_code;
        Ok(if has_run { Verdict::Taken } else { Verdict::Refused })
    }
}
