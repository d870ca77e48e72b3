//! Guests that want the engine to crash, to be wrong, or to take for ever.
//!
//! Each runs on the reference too and must come to the same hash. How much longer compiled code took
//! is printed (`cargo test -p tribunal-jit --test hostile -- --nocapture`), not asserted: time is not
//! a matter of right and wrong.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![allow(clippy::print_stdout, reason = "says how long each took, for those who look")]

use std::time::Instant;

use tribunal_conformance::assemble::{
    NOP, ZERO, addiu, before, beq, bne, call, daddiu, load_value, ori, sd, special,
};
use tribunal_conformance::{Random, RecordingHost};
use tribunal_jit::{Compiler, Options};
use tribunal_keccak::Hash;
use tribunal_machine::{
    Events, Later, Machine, Outcome, PreimageStop, RunError, RunPlan, StepPattern, StepProof,
    StopOn, run,
};
use tribunal_mips64::{Mips64, State};

/// Registers of these programs.
const PLACE: u32 = 16;
const WORD: u32 = 17;
const COUNT: u32 = 18;
const END: u32 = 19;

const CODE: u64 = 0x1_0000;

fn sw(rt: u32, offset: i16, base: u32) -> u32 {
    tribunal_conformance::assemble::immediate(0x2b, base, rt, offset as u16)
}

fn compiler(state: State) -> Compiler {
    Compiler::new(Mips64::new(state), Options::default()).map_err(|(_, error)| error).unwrap()
}

/// What a guest comes to after so many steps: its hash and its fault, if it has one.
fn end<M: Machine>(mut machine: M, steps: u64) -> (u64, Hash, Option<String>, f64) {
    let host = &mut RecordingHost::default();
    let start = Instant::now();
    let fault = machine.run(steps, StopOn::Nothing, host).err().map(|fault| fault.to_string());
    let seconds = start.elapsed().as_secs_f64();
    (machine.step(), machine.state_hash(), fault, seconds)
}

/// Runs the guest on both engines, which must agree. Returns how many steps it took.
#[track_caller]
fn agree(name: &str, state: &State, steps: u64) -> u64 {
    let (step, hash, fault, reference) = end(Mips64::new(state.clone()), steps);
    let (compiled_step, compiled_hash, compiled_fault, compiled) =
        end(compiler(state.clone()), steps);
    assert_eq!((compiled_step, &compiled_fault), (step, &fault), "{name}");
    assert_eq!(compiled_hash, hash, "{name}");
    println!("{name}: {step} steps in {:.2} of the reference's time", compiled / reference);
    step
}

#[test]
fn a_jump_into_the_middle_of_anything() {
    // Into the middle of itself, of what was compiled, of data, into delay slots, without end: the
    // next target is taken from memory that is full of addresses of code.
    let random = &mut Random::new(1);
    let mut words = load_value(PLACE, 0x10_0000);
    let top = words.len();
    words.extend([
        daddiu(COUNT, COUNT, 8),
        special(0x25, COUNT, ZERO, 2, 0),
        tribunal_conformance::assemble::immediate(0x0c, 2, 2, 0x7ff8),
        special(0x2d, 2, PLACE, 3, 0),
        tribunal_conformance::assemble::ld(4, 0, 3),
        special(0x09, 4, 0, 31, 0),
        daddiu(5, 5, 1),
        beq(ZERO, ZERO, -8),
        addiu(6, 6, 3),
    ]);
    let length = words.len();
    let mut state = before(CODE, &words);
    for place in 0..4096u64 {
        let target = CODE + (top as u64 + random.below((length - top) as u64)) * 4;
        state.memory.set_word(0x10_0000 + place * 8, target);
    }
    // What a jump in a delay slot does depends on where it was jumped to: most places fault at once.
    agree("jumps into the middle", &state, 1_000_000);
    for seed in 0..50 {
        let mut state = state.clone();
        let place = Random::new(seed).below(4096);
        state.memory.set_word(0x10_0000 + place * 8, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        state.left = with_register(&state, COUNT, place * 8);
        agree("jumps to anywhere", &state, 100_000);
    }
}

fn with_register(state: &State, register: u32, value: u64) -> tribunal_mips64::ThreadStack {
    let mut threads = state.left.as_slice().to_vec();
    threads[0].registers[register as usize] = value;
    tribunal_mips64::ThreadStack::new(threads)
}

#[test]
fn code_that_rewrites_itself_in_a_loop() {
    // Adds one to the displacement of an instruction that is executed next, for ever.
    let mut words = load_value(PLACE, 0);
    words.extend(load_value(WORD, u64::from(addiu(5, 5, 0))));
    let top = words.len();
    words.extend([daddiu(WORD, WORD, 1), sw(WORD, 0, PLACE)]);
    let target = CODE + words.len() as u64 * 4;
    words.extend([addiu(5, 5, 0), NOP]);
    let distance = (words.len() - top + 1) as i16;
    words.extend([beq(ZERO, ZERO, -distance), addiu(6, 6, 1)]);
    words.splice(..load_value(PLACE, 0).len(), load_value(PLACE, target));
    let steps = agree("code that rewrites itself", &before(CODE, &words), 1_000_000);
    // It ends where the word is no addiu any more.
    assert!(steps > 100_000, "{steps}");
}

#[test]
fn a_million_tiny_blocks() {
    // 2^20 branches to what comes next: more code than there is room for.
    let blocks: i64 = 1 << 20;
    let mut words: Vec<u32> =
        (0..blocks).flat_map(|_| [beq(ZERO, ZERO, 1), addiu(2, 2, 1)]).collect();
    let here = CODE + words.len() as u64 * 4;
    // Four times over all of them: each is warm then.
    let back = 0x02 << 26 | (CODE >> 2) as u32;
    assert_eq!(here >> 28, CODE >> 28);
    words.extend([back, NOP]);
    let steps = blocks as u64 * 2 + 2;
    assert_eq!(agree("2^20 tiny blocks", &before(CODE, &words), steps * 5), steps * 5);
}

#[test]
fn a_store_storm_over_code_pages() {
    // Many pages, each with code that was executed; then stores all over them, then again.
    const PAGES: u64 = 64;
    let pages = 0x20_0000;
    let mut words = load_value(END, pages + PAGES * 4096);
    words.extend(load_value(WORD, u64::from(special(0x08, 31, 0, 0, 0)) << 32));
    let top = words.len();
    words.extend(load_value(PLACE, pages));
    words.extend([special(0x09, PLACE, 0, 31, 0), NOP, daddiu(PLACE, PLACE, 2048)]);
    words.extend([bne(PLACE, END, -4), NOP]);
    words.extend(load_value(PLACE, pages));
    words.extend([sd(WORD, 0, PLACE), daddiu(PLACE, PLACE, 32), bne(PLACE, END, -3), NOP]);
    let distance = (words.len() - top + 1) as i16;
    words.extend([beq(ZERO, ZERO, -distance), NOP]);
    let mut state = before(CODE, &words);
    for place in (0..PAGES * 4096).step_by(8) {
        state.memory.set_word(pages + place, u64::from(special(0x08, 31, 0, 0, 0)) << 32);
    }
    assert_eq!(agree("a store storm over code", &state, 3_000_000), 3_000_000);
}

#[test]
fn a_thread_bomb() {
    // Every thread makes threads, and gives its turn away.
    let mut words = call(5055, &[0x50f00, 0x7000]);
    words.extend(call(5023, &[]));
    words.extend([beq(ZERO, ZERO, -(words.len() as i16) - 1), NOP]);
    assert_eq!(agree("a thread bomb", &before(CODE, &words), 200_000), 200_000);
}

/// Words stored through one base on both sides of a page end, beside a load that is wider than both
/// together reach: the page behind the end was not there, or not changed, or watched before.
#[test]
fn stores_on_both_sides_of_a_page_end() {
    const BASE: u32 = 20;
    let access = tribunal_conformance::assemble::immediate;
    let (sh, sb) = (
        |offset: i16| access(0x29, BASE, 3, offset as u16),
        |offset: i16| access(0x28, BASE, 3, offset as u16),
    );
    let pairs = [
        [sw(3, 4, BASE), sw(3, 8, BASE)],
        [sw(3, 8, BASE), sw(3, 4, BASE)],
        [sh(6), sh(8)],
        [sb(7), sb(8)],
        [sb(7), sh(8)],
        [sh(4), sw(3, 8, BASE)],
    ];
    for (number, pair) in pairs.into_iter().enumerate() {
        let mut words = load_value(BASE, 0x100_0ff8);
        words.extend(load_value(COUNT, 1000));
        // The page of the base is known to have changed; the next one is new.
        words.extend([sd(COUNT, -16, BASE), tribunal_conformance::assemble::ld(4, 0, BASE)]);
        words.extend([daddiu(3, 3, 0x2345), pair[0], pair[1]]);
        words.extend([daddiu(COUNT, COUNT, -1), daddiu(BASE, BASE, 0x4000)]);
        words.extend([bne(COUNT, ZERO, -8), daddiu(BASE, BASE, -0x2000)]);
        // Once more over the same pages, and the word behind the end is reserved.
        words.extend(load_value(BASE, 0x100_0ff8));
        words.extend(load_value(COUNT, 1000));
        words.extend([sd(COUNT, -16, BASE), access(0x34, BASE, 5, 8)]);
        words.extend([beq(ZERO, ZERO, 1), NOP]);
        words.extend([tribunal_conformance::assemble::ld(4, 0, BASE), pair[0], pair[1]]);
        words.extend([beq(ZERO, ZERO, 1), NOP, ori(5, ZERO, 77), access(0x3c, BASE, 5, 8)]);
        words.extend([special(0x2d, 6, 5, 6, 0), daddiu(COUNT, COUNT, -1)]);
        words.extend([bne(COUNT, ZERO, -15), daddiu(BASE, BASE, 0x2000)]);
        words.extend([beq(ZERO, ZERO, -1), NOP]);
        let state = before(CODE, &words);
        agree(&format!("stores over a page end, {number}"), &state, 40_000);
        // Hashes on the way, from which on every page counts as unchanged.
        let (mut reference, mut compiled) = (Mips64::new(state.clone()), compiler(state));
        for until in (0..40_000).step_by(977) {
            let host = &mut RecordingHost::default();
            reference.run(until, StopOn::Nothing, host).unwrap();
            compiled.run(until, StopOn::Nothing, host).unwrap();
            assert_eq!(compiled.state_hash(), reference.state_hash(), "{number}, step {until}");
        }
    }
}

/// Nothing happens on the way.
struct Quiet;

impl<M> Events<M> for Quiet {
    type Error = std::convert::Infallible;

    fn poll(&mut self, _: &M) -> Result<(), Self::Error> {
        Ok(())
    }

    fn info(&mut self, _: &M) {}

    fn snapshot(&mut self, _: &M) -> Result<(), Self::Error> {
        Ok(())
    }

    fn proof(&mut self, _: Later<StepProof>) -> Result<(), Self::Error> {
        Ok(())
    }
}

fn bomb<M: Machine>(mut machine: M) -> (String, u64, Hash) {
    let plan = RunPlan {
        info_at: StepPattern::Never,
        stop_at: StepPattern::Never,
        snapshot_at: StepPattern::Never,
        proof_at: StepPattern::Never,
        stop_at_preimage: PreimageStop::default(),
        max_bytes: 64 << 20,
    };
    let end: Result<Outcome, RunError<_>> =
        run(&mut machine, &plan, &mut RecordingHost::default(), &mut Quiet);
    (end.unwrap_err().to_string(), machine.step(), machine.state_hash())
}

#[test]
fn a_memory_bomb_ends_in_a_clear_error() {
    for stride in [4096, i16::MAX, i16::MIN] {
        let mut words = load_value(PLACE, 0x1000_0000_0000);
        words.extend([ori(2, 2, 1), sd(2, 0, PLACE), daddiu(PLACE, PLACE, stride)]);
        words.extend([beq(ZERO, ZERO, -3), NOP]);
        let state = before(CODE, &words);
        let reference = bomb(Mips64::new(state.clone()));
        assert!(reference.0.contains("more than the limit of 67108864"), "{}", reference.0);
        assert_eq!(bomb(compiler(state)), reference);
    }
}
