//! Compiled code against the deployed contract's vectors and against the reference.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use tribunal_conformance::assemble::{before, special};
use tribunal_conformance::{RecordingHost, Vector, assert_as_deployed, lockstep, run_vector};
use tribunal_jit::{Compiler, Options};
use tribunal_machine::{Machine as _, StopOn};
use tribunal_mips64::{Mips64, State};

fn compiler(state: State, options: Options) -> Compiler {
    Compiler::new(Mips64::new(state), options).map_err(|(_, error)| error).unwrap()
}

#[test]
fn every_vector_of_the_deployed_contract_passes() {
    // Compiled at once, one instruction at a time: otherwise nothing but the reference would run.
    let options = Options { warm: 0, max_block: 1 };
    assert_as_deployed(&mut |vector: &Vector| {
        run_vector(compiler(vector.state.clone(), options), vector)
    });
}

#[test]
fn random_programs_run_as_on_the_reference() {
    let mut steps = 0;
    for seed in 0..800 {
        let options = Options { warm: (seed % 3) as u8, ..Options::default() };
        let result = lockstep(seed, |state| compiler(state, options));
        let (taken, _) = result.unwrap_or_else(|difference| panic!("seed {seed}: {difference}"));
        steps += taken;
    }
    assert!(steps > 100_000, "{steps}");
}

/// Instructions that compiled code takes together, with operands for which it may not.
#[test]
fn pairs_that_almost_clear_the_upper_half_run_as_on_the_reference() {
    const DSLL32: u32 = 0x3c;
    const DSRL32: u32 = 0x3e;
    const REGISTERS: [u32; 4] = [0, 2, 3, 29];
    for choice in 0..64 {
        let [s, t, d] = [choice % 4, choice / 4 % 4, choice / 16].map(|place| REGISTERS[place]);
        for (first, second) in [(0, 0), (0, 1), (1, 0), (31, 31)] {
            let words = [
                special(DSLL32, 0, s, t, first),
                special(DSRL32, 0, t, d, second),
                special(DSLL32, 0, 2, 3, first),
                special(DSRL32, 0, 3, 2, second),
            ];
            let mut state = before(0x1000, &words);
            let thread = state.left.top_mut().unwrap();
            for register in [2, 3, 29] {
                thread.registers[register] = 0x8765_4321_fedc_ba98 ^ (register as u64) << 36;
            }
            let mut reference = Mips64::new(state.clone());
            let mut compiled = compiler(state, Options { warm: 0, ..Options::default() });
            let host = &mut RecordingHost::default();
            reference.run(4, StopOn::Nothing, host).unwrap();
            compiled.run(4, StopOn::Nothing, host).unwrap();
            let what = format!("s {s}, t {t}, d {d}, by {first} and {second}");
            assert_eq!(reference.witness(), compiled.witness(), "{what}");
        }
    }
}
