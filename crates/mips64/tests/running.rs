//! The run loop and the sampler, on a machine that runs real programs: what happens in which order,
//! what ends a run, and that looking at a run does not change it.

use std::fmt;

use tribunal_conformance::RecordingHost;
use tribunal_conformance::assemble::{
    NOP, S0, T0, ZERO, before, beq, call, daddiu, load_value, ori, sd, special,
};
use tribunal_machine::{
    Blame, Events, Hex, Host, Later, Machine, Outcome, PreimageStop, ProofFile, RunError, RunPlan,
    STEPS_BETWEEN_POLLS, Sample, SamplePoints, StepPattern, StepProof, StopOn, Stream, run, sample,
};
use tribunal_mips64::{Mips64, PROOF_DATA_BYTES, State};
use tribunal_preimage::{Key, Oracle, OracleError};

const CODE: u64 = 0x1000;
const DATA: u64 = 0x10_0000;

/// Instructions of a syscall with three arguments, and of one with one.
const CALL: u64 = 29;
const SHORT_CALL: u64 = 15;
/// The step that first reads the preimage, the second one that does, and the end of [`reader`].
const FIRST_READ: u64 = 5 * CALL - 1;
const SECOND_READ: u64 = 6 * CALL - 1;
const END: u64 = 6 * CALL + SHORT_CALL;

fn data() -> Vec<u8> {
    (0..20).collect()
}

fn host() -> RecordingHost {
    let preimages = [(Key::keccak256_of(&data()), data())].into();
    RecordingHost { preimages, ..RecordingHost::default() }
}

/// Writes a key in four pieces, reads 16 bytes in two, exits with 1.
fn reader() -> State {
    let mut words = Vec::new();
    for piece in 0..4 {
        words.extend(call(5001, &[6, DATA + piece * 8, 8]));
    }
    for piece in 0..2 {
        words.extend(call(5000, &[5, DATA + 0x100 + piece * 8, 8]));
    }
    words.extend(call(5205, &[1]));
    let mut state = before(CODE, &words);
    state.memory.write(DATA, Key::keccak256_of(&data()).as_bytes());
    state
}

fn plan() -> RunPlan {
    RunPlan {
        info_at: StepPattern::Never,
        stop_at: StepPattern::Never,
        snapshot_at: StepPattern::Never,
        proof_at: StepPattern::Never,
        stop_at_preimage: PreimageStop::default(),
        max_bytes: 1 << 30,
    }
}

/// What a listener was told, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Info(u64),
    Snapshot(u64),
    Proof(u64),
}

use Told::{Info, Proof, Snapshot};

#[derive(Default)]
struct Listener {
    told: Vec<Told>,
    /// The state files at snapshots.
    snapshots: Vec<Vec<u8>>,
    proofs: Vec<StepProof>,
    /// The steps at which someone looked whether to go on.
    polls: Vec<u64>,
    /// What to fail at.
    fail_at: Option<Told>,
    /// The poll to fail at.
    fail_at_poll: Option<usize>,
}

#[derive(Debug, PartialEq, Eq)]
struct Enough;

impl fmt::Display for Enough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("enough")
    }
}

impl std::error::Error for Enough {}

impl Listener {
    fn tell(&mut self, told: Told) -> Result<(), Enough> {
        let fails = self.fail_at.as_ref() == Some(&told);
        self.told.push(told);
        if fails { Err(Enough) } else { Ok(()) }
    }
}

impl Events<Mips64> for Listener {
    type Error = Enough;

    fn poll(&mut self, machine: &Mips64) -> Result<(), Enough> {
        self.polls.push(machine.step());
        if self.fail_at_poll == Some(self.polls.len()) { Err(Enough) } else { Ok(()) }
    }

    fn info(&mut self, machine: &Mips64) {
        self.told.push(Info(machine.step()));
    }

    fn snapshot(&mut self, machine: &Mips64) -> Result<(), Enough> {
        let mut bytes = Vec::new();
        machine.write_state(&mut bytes).unwrap();
        self.snapshots.push(bytes);
        self.tell(Snapshot(machine.step()))
    }

    fn proof(&mut self, proof: Later<StepProof>) -> Result<(), Enough> {
        let proof = proof.wait();
        let step = proof.step;
        self.proofs.push(proof);
        self.tell(Proof(step))
    }
}

#[track_caller]
fn run_reader(plan: &RunPlan) -> (Outcome, Mips64, Listener) {
    let mut machine = Mips64::new(reader());
    let mut listener = Listener::default();
    let outcome = run(&mut machine, plan, &mut host(), &mut listener).unwrap();
    (outcome, machine, listener)
}

#[test]
fn information_then_stop_then_snapshot_then_proof() {
    let plan = RunPlan {
        info_at: StepPattern::Every(10),
        stop_at: StepPattern::At(20),
        snapshot_at: StepPattern::Every(10),
        proof_at: StepPattern::At(10),
        ..plan()
    };
    let (outcome, mut machine, listener) = run_reader(&plan);
    assert_eq!(outcome, Outcome::Stopped);
    assert_eq!(machine.step(), 20);
    assert_eq!(
        listener.told,
        [Info(0), Snapshot(0), Info(10), Snapshot(10), Proof(10), Info(20)],
        "a stop comes before a snapshot"
    );

    // Taken up at a multiple, the run begins with it again.
    let mut again = Listener::default();
    let plan = RunPlan { stop_at: StepPattern::At(31), ..plan };
    assert_eq!(run(&mut machine, &plan, &mut host(), &mut again).unwrap(), Outcome::Stopped);
    assert_eq!(again.told, [Info(20), Snapshot(20), Info(30), Snapshot(30)]);
    assert_eq!(machine.step(), 31);
}

#[test]
fn a_run_that_is_to_stop_where_it_begins_does_nothing() {
    let plan = RunPlan { stop_at: StepPattern::At(0), proof_at: StepPattern::Always, ..plan() };
    let (outcome, machine, listener) = run_reader(&plan);
    assert_eq!((outcome, machine.step()), (Outcome::Stopped, 0));
    assert!(listener.told.is_empty());
}

#[test]
fn a_run_ends_with_the_program_and_nothing_happens_after_it() {
    let plan = RunPlan {
        info_at: StepPattern::Every(END),
        snapshot_at: StepPattern::Every(END),
        stop_at: StepPattern::At(END),
        proof_at: StepPattern::At(END),
        ..plan()
    };
    let (outcome, mut machine, listener) = run_reader(&plan);
    assert_eq!((outcome, machine.step()), (Outcome::Exited(1), END));
    assert_eq!(listener.told, [Info(0), Snapshot(0)]);

    let mut again = Listener::default();
    let plan = RunPlan { info_at: StepPattern::Always, ..plan };
    assert_eq!(run(&mut machine, &plan, &mut host(), &mut again).unwrap(), Outcome::Exited(1));
    assert!(again.told.is_empty());
}

#[test]
fn every_step_can_be_proven_without_changing_the_run() {
    let plan = RunPlan { proof_at: StepPattern::Always, ..plan() };
    let (outcome, mut machine, listener) = run_reader(&plan);
    assert_eq!((outcome, machine.step()), (Outcome::Exited(1), END));
    assert_eq!(listener.told, (0..END).map(Proof).collect::<Vec<_>>());

    let mut plain = Mips64::new(reader());
    for proof in &listener.proofs {
        assert_eq!(proof.pre, plain.state_hash(), "step {}", proof.step);
        assert_eq!(proof.state_data, plain.witness());
        assert_eq!(proof.proof_data.len(), PROOF_DATA_BYTES);
        plain.step_once(&mut host()).unwrap();
        assert_eq!(proof.post, plain.state_hash(), "step {}", proof.step);
    }
    assert_eq!(machine.state_hash(), plain.state_hash());

    let value = [&20u64.to_be_bytes()[..], &data()].concat();
    for proof in listener.proofs {
        let offset = match proof.step {
            FIRST_READ => Some(0),
            SECOND_READ => Some(8),
            _ => None,
        };
        let file = ProofFile::from(proof);
        match offset {
            Some(offset) => {
                assert_eq!(file.oracle_key, Hex(Key::keccak256_of(&data()).as_bytes().to_vec()));
                assert_eq!((file.oracle_value, file.oracle_offset), (Hex(value.clone()), offset));
            }
            None => assert!(file.oracle_key.0.is_empty() && file.oracle_value.0.is_empty()),
        }
    }
}

#[test]
fn a_run_stops_after_the_preimage_it_is_told_to_stop_at() {
    let key = Key::keccak256_of(&data());
    let prefix = key.as_bytes()[..5].to_vec();
    let any = PreimageStop { any: true, ..PreimageStop::default() };
    let of_key = PreimageStop { key_prefix: prefix.clone(), ..PreimageStop::default() };
    let other_key = PreimageStop { key_prefix: vec![1], ..PreimageStop::default() };
    let larger = |than| PreimageStop { larger_than: than, ..PreimageStop::default() };
    for (what, stop, expected) in [
        ("nothing", PreimageStop::default(), None),
        ("any read", any.clone(), Some(FIRST_READ)),
        ("a key", of_key.clone(), Some(FIRST_READ)),
        ("a key and the first offset", with_offset(&of_key, 0), Some(FIRST_READ)),
        ("a key and an offset", with_offset(&of_key, 8), Some(SECOND_READ)),
        ("a key and an offset where no read begins", with_offset(&of_key, 4), None),
        (
            "a key after a step",
            PreimageStop { min_step: FIRST_READ + 1, ..of_key.clone() },
            Some(SECOND_READ),
        ),
        (
            "a key from the read's own step on",
            PreimageStop { min_step: FIRST_READ, ..of_key.clone() },
            Some(FIRST_READ),
        ),
        ("another key", other_key.clone(), None),
        ("a size below the preimage's", larger(27), Some(FIRST_READ)),
        ("the preimage's size, its length counted", larger(28), None),
        ("a key and a size", PreimageStop { larger_than: 27, ..of_key.clone() }, Some(FIRST_READ)),
        ("a key and too large a size", PreimageStop { larger_than: 28, ..of_key.clone() }, None),
        ("another key and a size", PreimageStop { larger_than: 27, ..other_key }, None),
    ] {
        // Whether the step is proven makes no difference.
        for proof_at in [StepPattern::Never, StepPattern::Always] {
            let plan = RunPlan { stop_at_preimage: stop.clone(), proof_at, ..plan() };
            let (outcome, machine, _) = run_reader(&plan);
            match (expected, outcome) {
                (Some(step), Outcome::StoppedAtPreimage(read)) => {
                    assert_eq!(machine.step(), step + 1, "{what}: after the step that reads");
                    assert_eq!(read.key, key);
                    assert_eq!(read.offset, if step == FIRST_READ { 0 } else { 8 }, "{what}");
                }
                (None, Outcome::Exited(1)) => {}
                (_, outcome) => panic!("{what}: {outcome:?} at step {}", machine.step()),
            }
        }
    }
}

fn with_offset(stop: &PreimageStop, offset: u64) -> PreimageStop {
    PreimageStop { offset: Some(offset), ..stop.clone() }
}

#[test]
fn a_run_that_stopped_at_a_preimage_goes_on_to_the_next() {
    let mut machine = Mips64::new(reader());
    let any = PreimageStop { any: true, ..PreimageStop::default() };
    let plan = RunPlan { stop_at_preimage: any, ..plan() };
    let mut steps = Vec::new();
    let end = loop {
        let outcome = run(&mut machine, &plan, &mut host(), &mut Listener::default()).unwrap();
        match outcome {
            Outcome::StoppedAtPreimage(_) => steps.push(machine.step()),
            end => break end,
        }
    };
    assert_eq!(steps, [FIRST_READ + 1, SECOND_READ + 1]);
    assert_eq!(end, Outcome::Exited(1));
}

/// Touches one new page every four steps, for ever.
fn hungry() -> State {
    let words = [
        load_value(S0, DATA),
        load_value(T0, 4096),
        // daddu $s0, $s0, $t0 stands in the delay slot.
        vec![sd(ZERO, 0, S0), NOP, beq(ZERO, ZERO, -3), special(0x2d, S0, T0, S0, 0)],
    ]
    .concat();
    before(CODE, &words)
}

#[test]
fn a_program_that_uses_too_much_memory_is_stopped() {
    let limit = 10_000 * 4096;
    let plan = RunPlan { max_bytes: limit, ..plan() };
    let mut machine = Mips64::new(hungry());
    let mut listener = Listener::default();
    let error = run(&mut machine, &plan, &mut host(), &mut listener).unwrap_err();
    let RunError::TooLarge { step, bytes, limit: said } = error else { panic!("{error}") };
    assert_eq!((step, bytes, said), (machine.step(), machine.state_bytes(), limit));
    assert!(bytes > limit && bytes < limit + (256 << 20));
    let message = error.to_string();
    assert!(message.contains("bytes of memory") && message.contains("40960000"), "{message}");
    assert!(listener.polls.windows(2).all(|pair| pair[1] - pair[0] <= 1 << 15));

    // Sampling is held to it too.
    let mut machine = Mips64::new(hungry());
    let points = "1000000".parse().unwrap();
    let sampled =
        sample(&mut machine, &points, false, limit, &mut host(), &mut listener, |_| Ok(()));
    assert!(matches!(sampled, Err(RunError::TooLarge { .. })));
}

#[test]
fn someone_looks_up_from_a_long_run_often_enough() {
    let mut machine = Mips64::new(before(CODE, &[daddiu(T0, T0, 1), beq(ZERO, ZERO, -2), NOP]));
    let mut listener = Listener { fail_at_poll: Some(5), ..Listener::default() };
    let plan = RunPlan { max_bytes: 8 << 30, ..plan() };
    let error = run(&mut machine, &plan, &mut host(), &mut listener).unwrap_err();
    assert!(matches!(error, RunError::Listener(Enough)));
    let expected: Vec<u64> = (0..5).map(|poll| poll * STEPS_BETWEEN_POLLS).collect();
    assert_eq!(listener.polls, expected);
    assert_eq!(machine.step(), 4 * STEPS_BETWEEN_POLLS);
}

#[test]
fn a_listener_that_fails_ends_the_run_where_it_failed() {
    for (fail_at, stands_at) in [(Snapshot(30), 30), (Proof(30), 31)] {
        let plan = RunPlan {
            snapshot_at: StepPattern::Every(15),
            proof_at: StepPattern::Every(15),
            ..plan()
        };
        let mut machine = Mips64::new(reader());
        let mut listener = Listener { fail_at: Some(fail_at.clone()), ..Listener::default() };
        let error = run(&mut machine, &plan, &mut host(), &mut listener).unwrap_err();
        assert!(matches!(error, RunError::Listener(Enough)));
        assert_eq!(listener.told.last(), Some(&fail_at));
        assert_eq!(machine.step(), stands_at);
    }
}

#[test]
fn a_fault_says_where_and_whose_it_is_and_can_be_mended() {
    // A host without the preimage: with another one the run goes on.
    let mut machine = Mips64::new(reader());
    let mut listener = Listener::default();
    let error = run(&mut machine, &plan(), &mut RecordingHost::default(), &mut listener);
    let Err(RunError::Fault(fault)) = error else { panic!("{error:?}") };
    assert_eq!((fault.blame, fault.step, fault.thread), (Blame::Host, FIRST_READ, 0));
    assert_eq!(fault.pc, CODE + FIRST_READ * 4);
    assert!(fault.to_string().starts_with(&format!("the host failed at step {FIRST_READ}")));
    assert_eq!(machine.step(), FIRST_READ);
    let outcome = run(&mut machine, &plan(), &mut host(), &mut listener).unwrap();
    assert_eq!(outcome, Outcome::Exited(1));

    // A program that does what none may, proven or not.
    for proof_at in [StepPattern::Never, StepPattern::Always] {
        let mut machine = Mips64::new(before(CODE, &[NOP, NOP, 0x0000_000d]));
        let plan = RunPlan { proof_at, ..plan() };
        let error = run(&mut machine, &plan, &mut host(), &mut Listener::default());
        let Err(RunError::Fault(fault)) = error else { panic!("{error:?}") };
        assert_eq!((fault.blame, fault.step, fault.pc), (Blame::Guest, 2, CODE + 8));
        assert!(fault.to_string().contains("0x0000000d is no instruction"), "{fault}");
        assert_eq!(machine.step(), 2);
    }

    // A key of no kind: no host can help.
    let mut state = before(CODE, &call(5000, &[5, DATA, 8]));
    state.preimage_key = [7; 32];
    let error = run(&mut Mips64::new(state), &plan(), &mut host(), &mut Listener::default());
    let Err(RunError::Fault(fault)) = error else { panic!("{error:?}") };
    assert_eq!(fault.blame, Blame::Guest, "{fault}");

    // A state without threads.
    let mut state = before(CODE, &[NOP]);
    state.traverse_right = 1;
    let error = run(&mut Mips64::new(state), &plan(), &mut host(), &mut Listener::default());
    let Err(RunError::Fault(fault)) = error else { panic!("{error:?}") };
    assert_eq!(fault.blame, Blame::State, "{fault}");
}

#[test]
fn the_step_counter_may_wrap_within_a_run() {
    let mut state = reader();
    state.step = u64::MAX - 20;
    let mut machine = Mips64::new(state);
    let plan = RunPlan {
        info_at: StepPattern::At(5),
        snapshot_at: StepPattern::At(u64::MAX),
        stop_at: StepPattern::At(7),
        ..plan()
    };
    let mut listener = Listener::default();
    let outcome = run(&mut machine, &plan, &mut host(), &mut listener).unwrap();
    assert_eq!((outcome, machine.step()), (Outcome::Stopped, 7));
    assert_eq!(listener.told, [Snapshot(u64::MAX), Info(5)]);
}

#[test]
fn two_runs_and_whatever_is_watched_on_the_way_leave_the_same() {
    let watched = |plan: &RunPlan| {
        let (outcome, machine, listener) = run_reader(plan);
        let mut end = Vec::new();
        machine.write_state(&mut end).unwrap();
        (outcome, end, listener.snapshots)
    };
    let plan = RunPlan { snapshot_at: StepPattern::Every(7), ..plan() };
    let first = watched(&plan);
    assert_eq!(first.2.len() as u64, END.div_ceil(7));
    assert!(first == watched(&plan));
    let busy = RunPlan { info_at: StepPattern::Always, proof_at: StepPattern::Every(2), ..plan };
    assert!(first == watched(&busy));
}

/// All samples, in the order they came.
fn sample_reader(from: u64, points: &str, prove: bool) -> (Vec<Sample>, Mips64) {
    let mut machine = Mips64::new(reader());
    machine.run(from, StopOn::Nothing, &mut host()).unwrap();
    let points: SamplePoints = points.parse().unwrap();
    let mut samples = Vec::new();
    let mut listener = Listener::default();
    sample(&mut machine, &points, prove, 1 << 30, &mut host(), &mut listener, |sample| {
        samples.push(sample);
        Ok(())
    })
    .unwrap();
    (samples, machine)
}

/// The hash before each step, and at the end.
fn hashes() -> Vec<[u8; 32]> {
    let mut machine = Mips64::new(reader());
    let mut hashes = vec![machine.state_hash()];
    while machine.exit_code().is_none() {
        machine.step_once(&mut host()).unwrap();
        hashes.push(machine.state_hash());
    }
    hashes
}

#[test]
fn samples_come_once_each_in_order_with_the_hashes_of_a_plain_run() {
    let hashes = hashes();
    assert_eq!(hashes.len() as u64, END + 1);
    let last = hashes[END as usize];
    let (end, past) = (END.to_string(), (END + 1).to_string());
    for (points, expected) in [
        ("0", vec![0]),
        ("5,3,5, 3\n7", vec![3, 5, 7]),
        ("%50", vec![0, 50, 100, 150]),
        ("%50,%75,60", vec![0, 50, 60, 75, 100, 150]),
        // The end is a state like any other, also for a stride.
        (end.as_str(), vec![END]),
        (&format!("%{END}"), vec![0, END]),
        // Past the end numbered points go on with the last hash, strides do not.
        (past.as_str(), vec![END + 1]),
        ("180,1000000,18446744073709551615", vec![180, 1_000_000, u64::MAX]),
        ("%100,188,500,300", vec![0, 100, 188, 300, 500]),
        ("", vec![]),
    ] {
        for prove in [false, true] {
            let (samples, _) = sample_reader(0, points, prove);
            let steps: Vec<u64> = samples.iter().map(|sample| sample.step).collect();
            assert_eq!(steps, expected, "{points:?}");
            for sample in samples {
                let step = usize::try_from(sample.step).unwrap_or(usize::MAX);
                let hash = hashes.get(step).copied().unwrap_or(last);
                assert_eq!(sample.hash, hash, "{points:?}, step {step}");
                assert_eq!(sample.proof.is_some(), prove);
            }
        }
    }
}

#[test]
fn a_run_that_was_taken_up_passes_over_what_lies_behind() {
    let (samples, _) = sample_reader(100, "99,100,101,%40", false);
    let steps: Vec<u64> = samples.iter().map(|sample| sample.step).collect();
    assert_eq!(steps, [100, 101, 120, 160]);
    let points: SamplePoints = "99,100".parse().unwrap();
    assert_eq!((points.first_before(100), points.first_before(99)), (Some(99), None));
    // Taken up at the end, too.
    let (samples, _) = sample_reader(END, &format!("%1,{},{},7", END, END + 9), false);
    let steps: Vec<u64> = samples.iter().map(|sample| sample.step).collect();
    assert_eq!(steps, [END, END + 9]);
}

#[test]
fn proofs_of_samples_are_those_of_a_run() {
    let plan = RunPlan { proof_at: StepPattern::Always, ..plan() };
    let (_, _, listener) = run_reader(&plan);
    let (samples, mut machine) = sample_reader(0, &format!("%1,{},999", END), true);
    assert_eq!(samples.len() as u64, END + 2);
    for (sample, proof) in samples.iter().zip(&listener.proofs) {
        assert_eq!(sample.proof.as_ref(), Some(proof));
    }
    // Past the end a step is proven to change nothing, under the number that was asked for.
    for (sample, step) in samples[END as usize..].iter().zip([END, 999]) {
        let proof = sample.proof.as_ref().unwrap();
        assert_eq!((sample.step, proof.step), (step, step));
        assert_eq!((proof.pre, proof.post), (machine.state_hash(), machine.state_hash()));
        assert!(proof.proof_data.is_empty() && proof.preimage.is_none());
        assert_eq!(proof.state_data, machine.witness());
    }
}

#[test]
fn who_takes_samples_can_end_the_run() {
    // Without an end of its own.
    let mut machine = Mips64::new(before(CODE, &[daddiu(T0, T0, 1), beq(ZERO, ZERO, -2), NOP]));
    let points = "%10".parse().unwrap();
    let mut taken = Vec::new();
    let mut listener = Listener::default();
    let found = |sample: Sample| {
        taken.push(sample.step);
        if taken.len() == 3 { Err(Enough) } else { Ok(()) }
    };
    let error = sample(&mut machine, &points, false, 1 << 30, &mut host(), &mut listener, found);
    assert!(matches!(error, Err(RunError::Listener(Enough))));
    assert_eq!(taken, [0, 10, 20]);
    assert!((20..=120).contains(&machine.step()), "not many points ahead: {}", machine.step());
}

#[test]
fn what_was_sampled_before_a_fault_is_handed_over() {
    for prove in [false, true] {
        let mut machine = Mips64::new(reader());
        let mut taken = Vec::new();
        let nobody = &mut RecordingHost::default();
        let found = |sample: Sample| {
            taken.push(sample.step);
            Ok(())
        };
        let mut listener = Listener::default();
        let points = "%2".parse().unwrap();
        let error = sample(&mut machine, &points, prove, 1 << 30, nobody, &mut listener, found);
        assert!(matches!(error, Err(RunError::Fault(fault)) if fault.step == FIRST_READ));
        let before = FIRST_READ + u64::from(!prove);
        assert_eq!(taken, (0..before).step_by(2).collect::<Vec<_>>());
    }
}

#[test]
fn a_hint_in_many_pieces_costs_its_bytes_and_not_more_for_every_piece() {
    // 16 MiB that wait, and then one byte at a time: copying them each time would take minutes.
    let mut words = call(5001, &[4, DATA, 16 << 20]);
    words.extend(load_value(6, 1));
    let piece = vec![0x0000_000c, ori(2, ZERO, 5001), beq(ZERO, ZERO, -3), NOP];
    words.extend([vec![ori(2, ZERO, 5001)], piece].concat());
    let mut state = before(CODE, &words);
    state.memory.set_word(DATA, u64::MAX);
    let mut machine = Mips64::new(state);
    let steps = 4 * 50_000;
    machine.run(steps, StopOn::Nothing, &mut host()).unwrap();
    let waiting = machine.state().last_hint.len();
    assert!(waiting > (16 << 20) + 49_000 && waiting < (16 << 20) + 50_000, "{waiting}");
}

#[test]
fn a_hint_that_is_too_long_is_dropped_and_the_program_goes_on() {
    let mut words = call(5001, &[4, DATA, 6]);
    words.extend(call(5001, &[4, DATA, 1 << 62]));
    words.extend(call(5001, &[4, DATA + 8, 6]));
    let mut state = before(CODE, &words);
    state.memory.write(DATA, b"\xff\xff\xff\xff..\0\0\0\0\0\x02hi");
    let mut machine = Mips64::new(state);
    let mut host = RecordingHost::default();
    machine.run(CALL, StopOn::Nothing, &mut host).unwrap();
    assert_eq!(machine.state().last_hint, b"\xff\xff\xff\xff..");
    machine.run(2 * CALL, StopOn::Nothing, &mut host).unwrap();
    // As on chain, where nobody listens: all of it is taken.
    let registers = machine.state().left.top().unwrap().registers;
    assert_eq!((registers[2], registers[7]), (1 << 62, 0));
    assert_eq!(host.warnings.len(), 1);
    machine.run(3 * CALL, StopOn::Nothing, &mut host).unwrap();
    assert_eq!(host.hints, [b"hi"]);
}

/// Refuses one hint, then is well again.
struct MoodyHost {
    refused: Option<&'static [u8]>,
    host: RecordingHost,
}

impl Oracle for MoodyHost {
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        if self.refused == Some(hint) {
            self.refused = None;
            return Err(OracleError::Host("not now".into()));
        }
        self.host.hint(hint)
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        self.host.preimage(key)
    }
}

impl Host for MoodyHost {
    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        self.host.output(stream, bytes);
    }

    fn warn(&mut self, message: &str) {
        self.host.warn(message);
    }
}

#[test]
fn a_hint_that_the_host_refuses_is_still_to_be_given() {
    // The end of one hint, a second one, and the beginning of a third.
    let mut state = before(CODE, &call(5001, &[4, DATA, 10]));
    state.memory.write(DATA, b"st\0\0\0\x03two\0");
    state.last_hint = b"\0\0\0\x05fir".to_vec();
    let mut machine = Mips64::new(state);
    let mut host = MoodyHost { refused: Some(b"two"), host: RecordingHost::default() };
    let fault = machine.run(CALL, StopOn::Nothing, &mut host).unwrap_err();
    assert_eq!((fault.blame, fault.step), (Blame::Host, CALL - 1));
    assert_eq!(machine.state().last_hint, b"\0\0\0\x05fir", "the step was not taken");
    machine.run(CALL, StopOn::Nothing, &mut host).unwrap();
    assert_eq!(machine.state().last_hint, b"\0");
    assert_eq!(host.host.hints, [&b"first"[..], b"first", b"two"]);
}

#[test]
fn a_machine_that_exited_needs_a_thread_all_the_same() {
    // As the contract has it: proven or not, a step of such a state is refused.
    let mut state = State::new(CODE);
    (state.exited, state.traverse_right) = (1, 1);
    let machine = Mips64::new(state);
    let faults = [
        machine.clone().step_once(&mut host()).unwrap_err(),
        machine.clone().prove_step(&mut host()).unwrap_err(),
    ];
    for fault in faults {
        assert_eq!(fault.blame, Blame::State);
        assert!(fault.to_string().contains("the active thread stack is empty"), "{fault}");
    }
}
