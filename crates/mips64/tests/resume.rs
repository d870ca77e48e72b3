//! A run that is taken up from a file is the straight run, whatever the step before which the file
//! was written: within a read-modify-write sequence, a quantum, a hint, a key, a preimage.

use tribunal_conformance::assemble::{
    A0, A1, A2, NOP, S0, SYSCALL, T0, T1, V0, ZERO, addiu, before, beq, bne, call, daddiu, ld, ll,
    load_value, ori, sc, sd,
};
use tribunal_conformance::{RecordingHost, generate_program};
use tribunal_keccak::Hash;
use tribunal_machine::{Machine, ReadState, StopOn};
use tribunal_mips64::{Mips64, QUANTUM, State};
use tribunal_preimage::Key;

const CODE: u64 = 0x1000;
const DATA: u64 = 0x10_0000;

/// The flags of the only clone there is.
const CLONE_FLAGS: u64 = 0x50f00;

/// What a run leaves: the hash before each step and at the end, and what it told its host.
type Trace = (Vec<Hash>, RecordingHost);

/// A machine that was written to a file and read again.
fn through_a_file(machine: &Mips64) -> Mips64 {
    let mut bytes = Vec::new();
    machine.write_state(&mut bytes).unwrap();
    Mips64::read_state(&mut bytes.as_slice(), 1 << 24).unwrap()
}

/// Runs to the end, handing the machine to `between` before each step.
fn trace(state: &State, host: &RecordingHost, between: impl Fn(Mips64) -> Mips64) -> Trace {
    let mut machine = Mips64::new(state.clone());
    let mut host = host.clone();
    let mut hashes = vec![machine.state_hash()];
    while machine.exit_code().is_none() {
        machine = between(machine);
        machine.step_once(&mut host).unwrap();
        hashes.push(machine.state_hash());
        assert!(hashes.len() < 10_000, "it ends");
    }
    // A machine from a file has to ask again, which no state depends on.
    host.asked.dedup();
    (hashes, host)
}

/// Runs straight, through a file before every step, and from a file at each single step.
#[track_caller]
fn assert_resumable(state: State, host: &RecordingHost) -> Trace {
    let straight = trace(&state, host, |machine| machine);
    let always = trace(&state, host, |machine| through_a_file(&machine));
    assert!(straight.0 == always.0, "the hashes differ");
    assert_eq!(straight.1, always.1);

    let end = straight.0.len() as u64 - 1;
    let mut machine = Mips64::new(state);
    for step in 0..end {
        let mut resumed = through_a_file(&machine);
        resumed.run(u64::MAX, StopOn::Nothing, &mut host.clone()).unwrap();
        assert_eq!(resumed.step(), end, "taken up at step {step}");
        assert!(resumed.state_hash() == straight.0[end as usize], "taken up at step {step}");
        machine.run(step + 1, StopOn::Nothing, &mut host.clone()).unwrap();
    }
    straight
}

fn exit(code: u64) -> Vec<u32> {
    call(5205, &[code])
}

#[test]
fn between_load_linked_and_store_conditional() {
    let words = [
        load_value(S0, DATA),
        // Succeeds; fails, since the first took the reservation; fails, since a store took it.
        vec![
            ll(T0, 4, S0),
            addiu(T0, T0, 1),
            sc(T0, 4, S0),
            sc(T1, 4, S0),
            ll(V0, 4, S0),
            sd(ZERO, 0, S0),
            sc(V0, 4, S0),
        ],
        exit(0),
    ]
    .concat();
    let host = RecordingHost::default();
    assert_resumable(before(CODE, &words), &host);

    let mut end = Mips64::new(before(CODE, &words));
    end.run(u64::MAX, StopOn::Nothing, &mut host.clone()).unwrap();
    let registers = end.state().left.top().unwrap().registers;
    assert_eq!([T0, T1].map(|register| registers[register as usize]), [1, 0]);
    assert_eq!(end.statistics().rmw_successes, 1);
    assert_eq!(end.statistics().rmw_failures, 2);
}

#[test]
fn while_threads_come_and_go() {
    // The child stores, wakes nobody, and exits; the parent yields until it sees what was stored.
    let child = [load_value(S0, DATA), vec![ori(T0, ZERO, 7), sd(T0, 0, S0)], call(5058, &[0])];
    let child = child.concat();
    let clone = call(5055, &[CLONE_FLAGS, 0x7000]);
    let wait = [call(5023, &[]), load_value(S0, DATA), vec![ld(T1, 0, S0)]].concat();
    let back = -(wait.len() as i16) - 1;
    let words = [
        clone,
        // The child has 0 in $v0, the parent an id: over the child's code.
        vec![bne(V0, ZERO, child.len() as i16 + 1), NOP],
        child,
        wait,
        vec![beq(T1, ZERO, back), NOP],
        exit(3),
    ]
    .concat();
    let host = RecordingHost::default();
    let (hashes, _) = assert_resumable(before(CODE, &words), &host);

    let mut end = Mips64::new(before(CODE, &words));
    end.run(u64::MAX, StopOn::Nothing, &mut host.clone()).unwrap();
    assert_eq!(end.exit_code(), Some(3));
    assert_eq!(end.step() as usize, hashes.len() - 1);
    assert_eq!(end.state().thread_count(), 1, "the child is gone");
    assert_eq!(end.state().next_thread_id, 2);
}

#[test]
fn around_the_end_of_a_quantum() {
    // Two threads that count for ever in registers of their own.
    let words =
        [call(5055, &[CLONE_FLAGS, 0]), vec![daddiu(T0, T0, 1), beq(ZERO, ZERO, -2), NOP]].concat();
    let host = &mut RecordingHost::default();
    let start = Mips64::new(before(CODE, &words));
    let cloned = call(5055, &[CLONE_FLAGS, 0]).len() as u64;
    // One is preempted, then the other, then the first again.
    for turn in 1..=3 {
        let edge = cloned + turn * (QUANTUM + 1);
        let mut machine = start.clone();
        machine.run(edge - 3, StopOn::Nothing, host).unwrap();
        assert_eq!(machine.statistics().forced_preemptions, turn - 1);
        let mut resumed = machine.clone();
        for step in edge - 3..edge + 3 {
            resumed = through_a_file(&resumed);
            machine.step_once(host).unwrap();
            resumed.step_once(host).unwrap();
            assert!(machine.state_hash() == resumed.state_hash(), "step {step}");
        }
        assert_eq!(machine.statistics().forced_preemptions, turn);
        machine.run(edge + 2 * QUANTUM, StopOn::Nothing, host).unwrap();
        resumed.run(edge + 2 * QUANTUM, StopOn::Nothing, host).unwrap();
        assert!(machine.state_hash() == resumed.state_hash());
    }
}

#[test]
fn within_a_hint() {
    // Two hints in pieces of 3 bytes, so that none ends where a piece does.
    let message = b"\0\0\0\x05first\0\0\0\0\0\0\0\x06second";
    let mut words = Vec::new();
    for piece in 0..message.len().div_ceil(3) {
        let length = 3.min(message.len() - piece * 3);
        words.extend(call(5001, &[4, DATA + piece as u64 * 3, length as u64]));
    }
    words.extend(exit(0));
    let mut state = before(CODE, &words);
    state.memory.write(DATA, message);
    let (_, host) = assert_resumable(state, &RecordingHost::default());
    assert_eq!(host.hints, [&b"first"[..], b"", b"second"]);
}

#[test]
fn within_a_key_and_within_a_preimage() {
    let data: Vec<u8> = (0..20).collect();
    let key = Key::keccak256_of(&data);
    let host =
        RecordingHost { preimages: [(key, data.clone())].into(), ..RecordingHost::default() };
    let mut words = Vec::new();
    for piece in 0..4 {
        words.extend(call(5001, &[6, DATA + piece * 8, 8]));
    }
    // 28 bytes with their length, five at a time at any alignment, and then to standard output.
    let to = DATA + 0x100;
    words.extend(load_value(A1, to));
    words.extend(load_value(T1, to + 28));
    let read = vec![ori(V0, ZERO, 5000), ori(A0, ZERO, 5), ori(A2, ZERO, 5), SYSCALL];
    let next = vec![
        // $a1 += what was read, until all is
        0x00a2_282d,
        bne(A1, T1, -(read.len() as i16) - 2),
        NOP,
    ];
    words.extend([read, next].concat());
    words.extend(call(5001, &[1, to, 28]));
    words.extend(exit(0));
    let mut state = before(CODE, &words);
    state.memory.write(DATA, key.as_bytes());

    let (_, host) = assert_resumable(state, &host);
    assert_eq!(host.asked, [key]);
    let written = [&20u64.to_be_bytes()[..], &data].concat();
    assert_eq!(host.output.iter().map(|(_, bytes)| bytes).collect::<Vec<_>>(), [&written]);
}

#[test]
fn anywhere_in_any_program() {
    for seed in 0..60 {
        let start = generate_program(seed);
        let mut straight = Mips64::new(start.state.clone());
        if !(0..2).contains(&start.state.traverse_right) || start.state.reservation.status > 2 {
            continue;
        }
        let mut resumed = straight.clone();
        for _ in 0..150 {
            let step = straight.step();
            let taken = straight.step_once(&mut start.host()).is_ok();
            resumed = through_a_file(&resumed);
            assert_eq!(resumed.step_once(&mut start.host()).is_ok(), taken);
            assert!(straight.state_hash() == resumed.state_hash(), "seed {seed}, step {step}");
            if !taken || straight.exit_code().is_some() {
                break;
            }
        }
    }
}
