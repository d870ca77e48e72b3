//! Compiled code against the deployed contract's vectors and against the reference.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use tribunal_conformance::assemble::{NOP, ZERO, before, bne, daddiu, dsll, immediate, special};
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
fn pairs_that_are_taken_together_run_as_on_the_reference() {
    const DSLL32: u32 = 0x3c;
    const DSRL32: u32 = 0x3e;
    const DADDU: u32 = 0x2d;
    const REGISTERS: [u32; 4] = [0, 2, 3, 29];
    for choice in 0..256 {
        let [a, b, c, d] = [choice % 4, choice / 4 % 4, choice / 16 % 4, choice / 64]
            .map(|place| REGISTERS[place]);
        for (first, second) in [(0, 0), (0, 1), (1, 0), (2, 0), (3, 0), (4, 0), (31, 31)] {
            let words = [
                special(DSLL32, 0, a, b, first),
                special(DSRL32, 0, b, c, second),
                dsll(b, a, first),
                special(DADDU, b, c, d, 0),
                dsll(d, c, first),
                special(DADDU, a, d, d, 0),
                special(DSLL32, 0, 2, 3, first),
                special(DSRL32, 0, 3, 2, second),
                dsll(21, 20, first),
                special(DADDU, 21, 22, 21, 0),
            ];
            let mut state = before(0x1000, &words);
            let thread = state.left.top_mut().unwrap();
            for register in [2, 3, 20, 21, 22, 29] {
                thread.registers[register] = 0x8765_4321_fedc_ba98 ^ (register as u64) << 36;
            }
            let mut reference = Mips64::new(state.clone());
            let mut compiled = compiler(state, Options { warm: 0, ..Options::default() });
            let host = &mut RecordingHost::default();
            reference.run(10, StopOn::Nothing, host).unwrap();
            compiled.run(10, StopOn::Nothing, host).unwrap();
            let what = format!("registers {a}, {b}, {c}, {d}; shifts {first} and {second}");
            assert_eq!(reference.witness(), compiled.witness(), "{what}");
        }
    }
}

/// Parts of a word, stored from or loaded into the register that was computed just before.
#[test]
fn parts_of_a_fresh_register_run_as_on_the_reference() {
    const SRAV: u32 = 0x07;
    const PARTS: [u32; 8] = [0x1a, 0x1b, 0x22, 0x26, 0x2a, 0x2c, 0x2d, 0x2e];
    for part in PARTS {
        for (offset, base) in (0..16).flat_map(|offset| [(offset, 29), (offset, 25)]) {
            let words = [special(SRAV, 9, 10, 8, 0), immediate(part, base, 8, offset % 8), NOP];
            let mut state = before(0x1000, &words);
            state.memory.write(0x2000, &(0..32).collect::<Vec<u8>>());
            let thread = state.left.top_mut().unwrap();
            thread.registers[base as usize] = 0x2000 + u64::from(offset / 8) * 3;
            thread.registers[10] = 0x8765_4321;
            let mut reference = Mips64::new(state.clone());
            let mut compiled = compiler(state, Options { warm: 0, ..Options::default() });
            let host = &mut RecordingHost::default();
            reference.run(2, StopOn::Nothing, host).unwrap();
            compiled.run(2, StopOn::Nothing, host).unwrap();
            let what = format!("{part:#x}, {offset} behind {base}");
            assert_eq!(reference.witness(), compiled.witness(), "{what}");
        }
    }
}

/// A loop that is laid out several times and stores into its own instructions, from the delay slot
/// and from elsewhere, in any round.
#[test]
fn a_loop_that_changes_itself_runs_as_on_the_reference() {
    const DADDU: u32 = 0x2d;
    const SW: u32 = 0x2b;
    // Register 4 counts down, 5 moves ahead, 7 counts up, 8 adds up.
    let (count, ahead, add) = (daddiu(4, 4, -1), daddiu(5, 5, 4), daddiu(7, 7, 1));
    let sum = special(DADDU, 7, 8, 8, 0);
    let back = |place: i16| bne(4, ZERO, -place - 1);
    let store = immediate(SW, 5, 6, 0);
    let in_slot = [count, ahead, add, sum, back(4), store, NOP, NOP];
    let outside = [count, ahead, add, store, sum, back(5), NOP, NOP];
    for words in [in_slot, outside] {
        for far in 0..40 {
            for new in [daddiu(7, 7, 0x100), NOP, daddiu(4, 4, 0)] {
                let mut state = before(0x1000, &words);
                let thread = state.left.top_mut().unwrap();
                thread.registers[4] = 60;
                // Reaches the loop's third instruction in round `far`, and goes on through the rest.
                thread.registers[5] = 0x1008 - 4 * far;
                thread.registers[6] = u64::from(new);
                let mut reference = Mips64::new(state.clone());
                let mut compiled = compiler(state, Options { warm: 0, ..Options::default() });
                let host = &mut RecordingHost::default();
                for stop in [3, 50, 51, 200, 300] {
                    let expected =
                        reference.run(stop, StopOn::Nothing, host).map_err(|e| e.to_string());
                    let actual =
                        compiled.run(stop, StopOn::Nothing, host).map_err(|e| e.to_string());
                    assert_eq!(expected, actual);
                    assert_eq!(reference.witness(), compiled.witness(), "round {far}, step {stop}");
                }
            }
        }
    }
}
