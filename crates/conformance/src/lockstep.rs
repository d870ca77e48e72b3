//! Two machines side by side: an engine against the reference, over random programs, stopped at
//! random steps.

use tribunal_machine::{Machine, Pause, StopOn};
use tribunal_mips64::{Mips64, State};

use crate::generate::{generate_pitfalls, generate_program};
use crate::host::RecordingHost;
use crate::random::Random;

/// The most steps of one program.
const MAX_STEPS: u64 = 3000;

/// Runs the program of `seed` on the reference and on what `engine` makes of the same state, and
/// compares everything that can be seen at every stop: state hash, state file, faults, output,
/// hints, preimages asked for, statistics.
///
/// Returns how many steps they took, and the engine.
///
/// # Errors
/// What differs, in words.
pub fn lockstep<M: Machine>(
    seed: u64,
    engine: impl FnOnce(State) -> M,
) -> Result<(u64, M), String> {
    let random = &mut Random::new(seed ^ 0x10c5);
    let mut start = match seed % 4 {
        0 => generate_program(seed),
        _ => generate_pitfalls(seed),
    };
    if seed.is_multiple_of(4) && random.once_in(3) {
        point_at_code(&mut start.state, random);
    }
    let mut hosts = [RecordingHost::default(), RecordingHost::default()];
    for host in &mut hosts {
        host.preimages.extend(start.preimage.clone());
    }
    let [reference_host, engine_host] = &mut hosts;
    let mut reference = Mips64::new(start.state.clone());
    let mut engine = engine(start.state);
    let begin = reference.step();
    // Some programs are stopped all the time, some hardly ever.
    let stride = random.pick(&[1, 2, 3, 7, 40, 200, 1000]);
    while reference.step().wrapping_sub(begin) < MAX_STEPS {
        let step = reference.step();
        let until = step.wrapping_add(1 + random.below(stride));
        let stop = random.pick(&[StopOn::Nothing, StopOn::Nothing, StopOn::PreimageRead]);
        let expected = run(&mut reference, until, stop, reference_host);
        let actual = run(&mut engine, until, stop, engine_host);
        let at = format!("after running from step {step} to {until}");
        if expected != actual {
            return Err(format!("{at}: {actual:?} instead of {expected:?}"));
        }
        let goes_on = matches!(expected, Ok(Pause::Reached | Pause::PreimageRead));
        let is_last = !goes_on || until.wrapping_sub(begin) >= MAX_STEPS;
        compare(&mut reference, &mut engine, random, is_last)
            .map_err(|what| format!("{at}: {what}"))?;
        if reference_host != engine_host {
            return Err(format!("{at}: the host saw {engine_host:?}, not {reference_host:?}"));
        }
        [&mut *reference_host, &mut *engine_host].into_iter().for_each(RecordingHost::forget);
        if !goes_on {
            break;
        }
        if random.once_in(8) {
            let expected = reference.prove_step(reference_host).map_err(|fault| fault.to_string());
            let actual = engine.prove_step(engine_host).map_err(|fault| fault.to_string());
            if expected != actual {
                return Err(format!("{at}: the proof of the next step differs"));
            }
            if expected.is_err() {
                break;
            }
        }
    }
    Ok((reference.step().wrapping_sub(begin), engine))
}

/// Lets some pointers of the active thread lead into its own program.
fn point_at_code(state: &mut State, random: &mut Random) {
    let active = if state.traverse_right == 0 { &mut state.left } else { &mut state.right };
    if let Some(thread) = active.top_mut() {
        let pointer = 16 + random.index(4);
        thread.registers[pointer] = thread.pc.wrapping_add(random.below(800));
    }
}

fn run<M: Machine>(
    machine: &mut M,
    until: u64,
    stop: StopOn,
    host: &mut RecordingHost,
) -> Result<Pause, String> {
    machine.run(until, stop, host).map_err(|fault| fault.to_string())
}

fn compare<M: Machine>(
    reference: &mut Mips64,
    engine: &mut M,
    random: &mut Random,
    is_last: bool,
) -> Result<(), String> {
    let looks = (reference.step(), reference.pc(), reference.instruction(), reference.exit_code());
    let same = (engine.step(), engine.pc(), engine.instruction(), engine.exit_code());
    if looks != same {
        return Err(format!("step, pc, instruction and exit code are {same:x?}, not {looks:x?}"));
    }
    if reference.last_preimage_read() != engine.last_preimage_read() {
        return Err("another preimage was read".into());
    }
    if reference.statistics() != engine.statistics() {
        let (ours, theirs) = (engine.statistics(), reference.statistics());
        return Err(format!("the statistics are {ours:?}, not {theirs:?}"));
    }
    // What differs once mostly goes on to differ: to write a large state at every stop tells no more.
    let is_due = is_last || random.once_in(1 + reference.page_count() / 4);
    let files = if is_due { [file(reference)?, file(engine)?] } else { Default::default() };
    if files[0] != files[1] {
        let place = files[0].iter().zip(&files[1]).position(|(a, b)| a != b);
        let threads = |stack: &[tribunal_mips64::Thread]| format!("{:x?}", stack.last());
        let state = reference.state();
        return Err(format!(
            "the state files differ from byte {place:?} on; the reference's threads: {} {}",
            threads(state.left.as_slice()),
            threads(state.right.as_slice()),
        ));
    }
    // Hashing in between must not change what comes after, and neither must not hashing.
    if random.once_in(4) && reference.witness() != engine.witness() {
        return Err("the witnesses differ".into());
    }
    Ok(())
}

fn file<M: Machine>(machine: &M) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    machine.write_state(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}
