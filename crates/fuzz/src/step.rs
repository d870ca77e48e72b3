//! Steps of random states: taken in every way there is, they must come to the same, and do nothing
//! that a step may not do.

use tribunal_conformance::{Random, Start, generate, generate_program};
use tribunal_keccak::{Hash, hash_pair, keccak256};
use tribunal_machine::{Fault, Host, Machine, Pause, ReadState, StepProof, StopOn, Stream};
use tribunal_memory::{Memory, PAGE_SIZE, PROOF_BYTES, PageData, Proof};
use tribunal_mips64::{
    LlReservation, MEMORY_PROOFS_OFFSET, Mips64, PROOF_DATA_BYTES, QUANTUM, State,
    THREAD_WITNESS_BYTES, Thread, ThreadStack, disassemble,
};
use tribunal_preimage::{Key, Oracle, OracleError};

use crate::state_file::to_bytes;
use crate::{Verdict, ensure};

pub(crate) fn check(random: &mut Random) -> Result<Verdict, String> {
    let seed = random.number();
    if !random.once_in(16) {
        let mut start = generate(seed);
        let taken = take_a_step(&mut start, random)?;
        return Ok(if taken.is_some() { Verdict::Taken } else { Verdict::Refused });
    }
    let mut start = generate_program(seed);
    check_run(&start, 1 + random.below(200), random)?;
    for _ in 0..random.below(40) {
        if take_a_step(&mut start, random)?.is_none() {
            return Ok(Verdict::Refused);
        }
    }
    Ok(Verdict::Taken)
}

/// Takes a step of `start` in every way and moves `start` on; `None` if it has to be refused.
pub(crate) fn take_a_step(start: &mut Start, random: &mut Random) -> Result<Option<()>, String> {
    let mut before = Mips64::new(start.state.clone());
    // Cached roots or none: half of the states have never been hashed.
    if random.once_in(2) {
        before.witness();
    }
    let mut once = before.clone();
    let result = once.step_once(&mut start.host());
    let after = Snapshot::of(&once);
    check_again(&before, &result, &after, start, random)?;
    match result {
        Err(fault) => {
            let unchanged = Snapshot::of(&before);
            ensure(after == unchanged, || format!("a step that failed did something: {fault}"))?;
            check_fault(&fault, before.state())?;
            Ok(None)
        }
        Ok(()) => {
            check_transition(before.state(), once.state(), &mut once.clone().into_state())
                .map_err(|problem| format!("{problem}; {}", describe(&before)))?;
            start.state = once.into_state();
            Ok(Some(()))
        }
    }
}

/// The same step, taken in other ways.
fn check_again(
    before: &Mips64,
    result: &Result<(), Fault>,
    after: &Snapshot,
    start: &Start,
    random: &mut Random,
) -> Result<(), String> {
    let says = |result: &Result<(), Fault>| result.as_ref().map_err(ToString::to_string).copied();
    let expected = says(result);
    let compare = |way: &str, machine: &Mips64, result: Result<(), Fault>| {
        let said = says(&result);
        let describe = || format!("{way}: {said:?}, not {expected:?}; {}", describe(before));
        ensure(said == expected, describe)?;
        ensure(Snapshot::of(machine) == *after, || {
            format!("{way} leads to another state; {}", describe())
        })
    };

    let mut proven = before.clone();
    let proof = proven.prove_step(&mut start.host());
    let proof = match proof {
        Ok(proof) => {
            compare("proven", &proven, Ok(()))?;
            Some(proof)
        }
        Err(fault) => {
            compare("proven", &proven, Err(fault))?;
            None
        }
    };

    let mut rebuilt = Mips64::new(rebuild(before.state()));
    let result = rebuilt.step_once(&mut start.host());
    compare("rebuilt", &rebuilt, result)?;

    if has_file(before.state()) {
        let bytes = to_bytes(before);
        let mut read = Mips64::read_state(&mut bytes.as_slice(), before.state_bytes())
            .map_err(|error| format!("{error}; {}", describe(before)))?;
        let result = read.step_once(&mut start.host());
        compare("read from a file", &read, result)?;
    } else {
        let read = Mips64::read_state(&mut to_bytes(before).as_slice(), before.state_bytes());
        ensure(read.is_err(), || format!("an odd state has a file; {}", describe(before)))?;
    }

    // A machine that has exited does not get as far as the step.
    if before.state().exited != 1 {
        let mut run = before.clone();
        let stop = if random.once_in(2) { StopOn::Nothing } else { StopOn::PreimageRead };
        let pause = run.run(before.step().wrapping_add(1), stop, &mut start.host());
        if let Ok(pause) = &pause {
            let expected = match (run.exit_code(), stop) {
                (_, StopOn::PreimageRead) if run.last_preimage_read().is_some() => {
                    Pause::PreimageRead
                }
                (Some(_), _) => Pause::Exited,
                (None, _) => Pause::Reached,
            };
            ensure(*pause == expected, || format!("{pause:?}, not {expected:?}"))?;
        }
        compare("run", &run, pause.map(drop))?;
    }

    // A host that fails first: the step may be taken again.
    let mut retried = before.clone();
    if let Err(fault) = retried.step_once(&mut FailingHost) {
        ensure(Snapshot::of(&retried) == Snapshot::of(before), || {
            format!("a step whose host failed did something: {fault}; {}", describe(before))
        })?;
        let result = retried.step_once(&mut start.host());
        compare("taken again", &retried, result)?;
    }

    match proof {
        Some(proof) => check_proof(&proof, before, after)
            .map_err(|problem| format!("{problem}; {}", describe(before))),
        None => Ok(()),
    }
}

/// Many steps at once are as many steps one at a time, and as in two pieces with a file between.
fn check_run(start: &Start, steps: u64, random: &mut Random) -> Result<(), String> {
    let first = start.state.step;
    let until = first.wrapping_add(steps);
    let mut singly = Mips64::new(start.state.clone());
    let mut end = Ok(());
    while singly.step() != until && singly.exit_code().is_none() && end.is_ok() {
        end = singly.step_once(&mut start.host());
    }
    let expected = (Snapshot::of(&singly), end.map_err(|fault| fault.to_string()));
    let finish = |mut machine: Mips64| {
        let end = machine.run(until, StopOn::Nothing, &mut start.host()).map(drop);
        (Snapshot::of(&machine), end.map_err(|fault| fault.to_string()))
    };

    ensure(finish(Mips64::new(start.state.clone())) == expected, || {
        format!("{steps} steps at once are not {steps} steps")
    })?;
    let cut = random.below(steps);
    let mut machine = Mips64::new(start.state.clone());
    let paused = machine.run(first.wrapping_add(cut), StopOn::Nothing, &mut start.host());
    if paused.is_ok() && has_file(machine.state()) {
        let read = Mips64::read_state(&mut to_bytes(&machine).as_slice(), u64::MAX)
            .map_err(|error| error.to_string())?;
        ensure(finish(read) == expected, || {
            format!("{steps} steps with a file after {cut} are not {steps} steps")
        })?;
    }
    Ok(())
}

fn check_fault(fault: &Fault, state: &State) -> Result<(), String> {
    let top = state.active_stack().top();
    let place = (state.step, top.map_or(0, |top| top.id), top.map_or(0, |top| top.pc));
    ensure((fault.step, fault.thread, fault.pc) == place, || {
        format!("a fault at another place than {place:?}: {fault}")
    })?;
    ensure(!fault.reason.to_string().is_empty(), || "a fault without words".into())
}

/// What a step may change, and what it must not.
fn check_transition(before: &State, after: &State, owned: &mut State) -> Result<(), String> {
    if before.exited == 1 {
        let same = owned.witness() == before.clone().witness();
        return ensure(same, || "a step after the end".into());
    }
    ensure(after.step == before.step.wrapping_add(1), || "the step is not counted".into())?;
    check_threads(before, after)?;
    check_words(before, after)
}

/// Threads come by clone only, go once they have exited only, and move only from one top to
/// another; none but the active one changes.
fn check_threads(before: &State, after: &State) -> Result<(), String> {
    let right_is_active = before.traverse_right != 0;
    let sides = |state: &State| {
        let (left, right) = (state.left.as_slice().to_vec(), state.right.as_slice().to_vec());
        if right_is_active { (right, left) } else { (left, right) }
    };
    let (mut below, other) = sides(before);
    let active = below.pop().ok_or("a step without a thread")?;
    let (here, there) = sides(after);
    let lost = || "a thread that was not active is not what and where it was".to_owned();
    let here = here.strip_prefix(below.as_slice()).ok_or_else(lost)?;
    let there = there.strip_prefix(other.as_slice()).ok_or_else(lost)?;

    let id = |threads: &[Thread]| threads.iter().map(|thread| thread.id).collect::<Vec<_>>();
    let made = after.next_thread_id != before.next_thread_id;
    let (expected_here, expected_there) = match (id(here), id(there)) {
        _ if active.exited != 0 => (vec![], vec![]),
        _ if made => (vec![active.id, before.next_thread_id], vec![]),
        // It stayed, or had its turn.
        (here, _) if here.is_empty() => (vec![], vec![active.id]),
        _ => (vec![active.id], vec![]),
    };
    ensure((id(here), id(there)) == (expected_here, expected_there), || {
        format!("threads {:?} and {:?} after thread {}", id(here), id(there), active.id)
    })?;
    if made {
        let next = before.next_thread_id.wrapping_add(1);
        ensure(after.next_thread_id == next, || "a thread id is skipped".into())?;
    }
    ensure(!after.active_stack().is_empty(), || "no thread is active".into())
}

/// Memory changes in the words that the step writes only, and pages exist for those only.
fn check_words(before: &State, after: &State) -> Result<(), String> {
    let touched = Touched::by(before);
    let written: Vec<u64> = match touched.writes {
        true => touched.words().map(|address| address & !7).collect(),
        false => Vec::new(),
    };
    let zero: PageData = [0; PAGE_SIZE];
    let mut old = before.memory.pages().peekable();
    for (index, data) in after.memory.pages() {
        let is_old = old.peek().is_some_and(|&(next, _)| next == index);
        let was = old.next_if(|_| is_old).map_or(zero, |(_, data)| *data);
        let is_written = written.iter().any(|address| address >> 12 == index);
        ensure(is_old || is_written, || format!("page {index:#x} comes from nowhere"))?;
        if *data == was {
            continue;
        }
        for (place, (now, was)) in data.as_chunks::<8>().0.iter().zip(was.as_chunks().0).enumerate()
        {
            let address = (index << 12) + place as u64 * 8;
            ensure(now == was || written.contains(&address), || {
                format!("the word at {address:#x} changed")
            })?;
        }
    }
    ensure(old.next().is_none(), || "a page is gone".into())?;
    for address in written {
        let there = after.memory.has_page(address >> 12);
        ensure(there, || format!("{address:#x} was written, but has no page"))?;
    }
    Ok(())
}

/// The words that a step touches, from the encodings alone.
#[derive(Debug, Default)]
struct Touched {
    first: Option<u64>,
    second: Option<u64>,
    writes: bool,
}

impl Touched {
    fn words(&self) -> impl Iterator<Item = u64> {
        self.first.into_iter().chain(self.second)
    }

    fn by(state: &State) -> Self {
        let nothing = Self::default();
        let Some(thread) = state.active_stack().top() else { return nothing };
        let idle = state.exited != 0 || thread.exited != 0 || state.steps_since_switch >= QUANTUM;
        if idle {
            return nothing;
        }
        let word = state.memory.peek(thread.pc);
        let instruction = if thread.pc & 4 == 0 { (word >> 32) as u32 } else { word as u32 };
        let register = |shift: u32| thread.registers[(instruction >> shift & 31) as usize];
        let address = register(21).wrapping_add(instruction as i16 as u64);
        let access = |writes| Self { first: Some(address), second: None, writes };
        let owns =
            |status| state.reservation == LlReservation { status, address, owner: thread.id };
        match instruction >> 26 {
            0x00 if instruction & 0x3f == 0x0c => Self::by_syscall(&thread.registers),
            0x1a | 0x1b | 0x20..=0x27 | 0x30 | 0x34 | 0x37 => access(false),
            0x28..=0x2e | 0x3f => access(true),
            0x38 if owns(1) => access(true),
            0x3c if owns(2) => access(true),
            _ => nothing,
        }
    }

    fn by_syscall(registers: &[u64; 32]) -> Self {
        let [number, a0, a1] = [2, 4, 5].map(|register: usize| registers[register]);
        let access = |address, writes| Self { first: Some(address), second: None, writes };
        match (number, a0, a1) {
            (5000, 5, to) => access(to, true),
            (5001, 6, from) => access(from, false),
            (5194, at, 128) => access(at, false),
            (5222, 0 | 1, to) => {
                Self { second: Some((to & !7).wrapping_add(8)), ..access(to, true) }
            }
            (5313, to, _) => access(to, true),
            _ => Self::default(),
        }
    }
}

/// What the contract checks, and what it computes from a proof alone.
fn check_proof(proof: &StepProof, before: &Mips64, after: &Snapshot) -> Result<(), String> {
    let mut machine = before.clone();
    let witness = machine.witness();
    ensure(proof.state_data == witness, || "the proof is of another state".into())?;
    ensure(proof.pre == machine.state_hash(), || "pre is not the hash before".into())?;
    ensure(proof.step == before.step(), || "the proof is of another step".into())?;
    ensure(proof.pre[1..] == keccak256(&witness)[1..], || "pre is not the witness's hash".into())?;
    ensure(proof.post == after.hash, || "post is not the hash after".into())?;
    let state = before.state();
    if state.exited == 1 {
        return ensure(proof.proof_data.is_empty() && proof.pre == proof.post, || {
            "a proof of a step after the end".into()
        });
    }

    let data = &proof.proof_data;
    ensure(data.len() == PROOF_DATA_BYTES, || format!("{} bytes of proof", data.len()))?;
    let (thread, rest) = data.split_at(THREAD_WITNESS_BYTES);
    let below: Hash = *rest.first_chunk().ok_or("no inner root")?;
    let active_root: Hash = *witness
        .get(if state.traverse_right == 0 { 116 } else { 148 }..)
        .and_then(<[u8]>::first_chunk)
        .ok_or("no root of threads")?;
    ensure(hash_pair(&below, &keccak256(thread)) == active_root, || {
        "the thread is not on top of its stack".into()
    })?;

    let proofs = data[MEMORY_PROOFS_OFFSET..].as_chunks::<PROOF_BYTES>().0;
    let [instruction, first, second] = proofs else { return Err("not three proofs".into()) };
    let memory_root = root_of_memory(&witness)?;
    let root_after = root_of_memory(&after.witness)?;
    let pc = state.active_stack().top().map_or(0, |thread| thread.pc);
    let root = Proof::from_bytes(instruction).root(pc);
    ensure(root == memory_root, || "the proof of the instruction has another root".into())?;

    // Each proof is held against the root that the one before it led to.
    let touched = Touched::by(state);
    let mut root = memory_root;
    for (proof, address) in [(first, touched.first), (second, touched.second)] {
        let Some(address) = address else {
            ensure(*proof == [0; PROOF_BYTES], || "a proof that nobody needs".into())?;
            continue;
        };
        let mut bytes = *proof;
        ensure(Proof::from_bytes(&bytes).root(address) == root, || {
            format!("the proof of {address:#x} has another root; {touched:x?}")
        })?;
        if touched.writes {
            // The same leaf, with the word as it is after the step.
            let place = (address & 31 & !7) as usize;
            let word = after.memory.peek(address);
            bytes[place..place + 8].copy_from_slice(&word.to_be_bytes());
            root = Proof::from_bytes(&bytes).root(address);
        }
    }
    ensure(root == root_after, || "the proofs do not lead to the memory after the step".into())
}

fn root_of_memory(witness: &[u8]) -> Result<Hash, String> {
    witness.first_chunk().copied().ok_or_else(|| "no root of memory".into())
}

/// All that a machine is, caches apart.
struct Snapshot {
    witness: Vec<u8>,
    hash: Hash,
    /// Also what no hash commits to: pages of zeroes, the pending hint.
    file: Vec<u8>,
    memory: Memory,
}

impl Snapshot {
    fn of(machine: &Mips64) -> Self {
        let mut copy = machine.clone();
        Self {
            witness: copy.witness(),
            hash: copy.state_hash(),
            file: to_bytes(machine),
            memory: copy.into_state().memory,
        }
    }
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        (&self.witness, self.hash, &self.file) == (&other.witness, other.hash, &other.file)
    }
}

/// The same state, with nothing of its caches.
fn rebuild(state: &State) -> State {
    let mut memory = Memory::new();
    for (index, data) in state.memory.pages() {
        memory.touch(index);
        memory.write(index << 12, &*data);
    }
    State {
        memory,
        left: ThreadStack::new(state.left.as_slice().to_vec()),
        right: ThreadStack::new(state.right.as_slice().to_vec()),
        last_hint: state.last_hint.clone(),
        ..*state
    }
}

/// Whether no byte is one that a file may not hold.
fn has_file(state: &State) -> bool {
    let threads = state.left.as_slice().iter().chain(state.right.as_slice());
    state.exited <= 1
        && state.traverse_right <= 1
        && state.reservation.status <= 2
        && threads.into_iter().all(|thread| thread.exited <= 1)
}

fn describe(machine: &Mips64) -> String {
    let instruction = disassemble(machine.instruction(), machine.pc());
    format!("at step {}, pc {:#x}: {instruction}", machine.step(), machine.pc())
}

/// Answers nothing.
struct FailingHost;

impl Oracle for FailingHost {
    fn hint(&mut self, _hint: &[u8]) -> Result<(), OracleError> {
        Err(OracleError::Host("not now".into()))
    }

    fn preimage(&mut self, _key: Key) -> Result<Vec<u8>, OracleError> {
        Err(OracleError::Host("not now".into()))
    }
}

impl Host for FailingHost {
    fn output(&mut self, _stream: Stream, _bytes: &[u8]) {}

    fn warn(&mut self, _message: &str) {}
}
