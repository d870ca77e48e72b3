//! Proofs that prove nothing: each is refused, or changes nothing. An honest one stands beside each,
//! so that it is the forgery that is refused.

use tribunal_conformance::VectorHost;
use tribunal_conformance::assemble::{A0, A1, S0, SYSCALL, T0, V0, before, sd};
use tribunal_machine::{Machine as _, StepProof};
use tribunal_memory::PROOF_BYTES;
use tribunal_mips64::{
    MEMORY_PROOFS_OFFSET, Mips64, PROOF_DATA_BYTES, State, THREAD_WITNESS_BYTES, Thread,
};
use tribunal_onchain::{Instance, Refusal, Step, StepCall};

const CLOCK_GETTIME: u64 = 5222;
const MONOTONIC: u64 = 1;

/// Proof data up to the end of the proof of the instruction, of the first access, of the second.
const ENDS: [usize; 3] = [
    MEMORY_PROOFS_OFFSET + PROOF_BYTES,
    MEMORY_PROOFS_OFFSET + 2 * PROOF_BYTES,
    MEMORY_PROOFS_OFFSET + 3 * PROOF_BYTES,
];

struct Court {
    instance: Instance,
}

impl Court {
    fn new() -> Self {
        Self { instance: Instance::new() }
    }

    fn judge(&mut self, state_data: &[u8], proof_data: &[u8]) -> Result<Step, Refusal> {
        let call = StepCall { state_data, proof_data, local_context: [0; 32] };
        self.instance.step(&call).map_err(|refused| refused.why)
    }

    fn judge_calldata(&mut self, calldata: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        let machine = self.instance.machine();
        let receipt = self.instance.call(machine, calldata);
        receipt.map(|receipt| receipt.output).map_err(|refused| refused.why)
    }

    /// Checks that a proof as it is convinces the contract.
    fn accepts(&mut self, proof: &StepProof) {
        let step = self.judge(&proof.state_data, &proof.proof_data).unwrap();
        assert_eq!(step.post, proof.post);
    }

    fn refuses(&mut self, proof: &StepProof, proof_data: &[u8], why: &str, what: &str) {
        let refusal = self.judge(&proof.state_data, proof_data).expect_err(what);
        assert_eq!(refusal.to_string(), why, "{what}");
    }
}

fn prove(state: State) -> StepProof {
    Mips64::new(state).prove_step(&mut VectorHost(None)).unwrap()
}

fn active(state: &mut State) -> &mut Thread {
    state.left.top_mut().unwrap()
}

/// A step that reads and writes memory, in which nothing around the word is zero.
fn store() -> State {
    let mut state = before(0x1000, &[sd(T0, 8, S0)]);
    let thread = active(&mut state);
    thread.registers[T0 as usize] = 0x0123_4567_89ab_cdef;
    thread.registers[S0 as usize] = 0x8_2000;
    for address in (0..0x1000).step_by(8) {
        state.memory.set_word(0x8_2000 + address, address ^ 0x5555_5555);
    }
    for bit in 13..64 {
        state.memory.set_word(0x8_2008 ^ (1 << bit), bit);
    }
    state
}

/// A step that writes two words, at `to` and behind it.
fn clock(to: u64) -> State {
    let mut state = before(0x1000, &[SYSCALL]);
    state.step = 12_345_678;
    let thread = active(&mut state);
    thread.registers[V0 as usize] = CLOCK_GETTIME;
    thread.registers[A0 as usize] = MONOTONIC;
    thread.registers[A1 as usize] = to;
    state
}

#[test]
fn a_wrong_node_in_any_place_of_any_proof_is_refused() {
    let mut court = Court::new();
    let proof = prove(store());
    court.accepts(&proof);
    for node in 0..2 * 60 {
        let mut forged = proof.proof_data.clone();
        forged[MEMORY_PROOFS_OFFSET + node * 32 + 7] ^= 0x10;
        court.refuses(&proof, &forged, "InvalidMemoryProof()", &format!("node {node}"));
    }
}

#[test]
fn swapped_siblings_are_refused() {
    let mut court = Court::new();
    let proof = prove(store());
    let (start, end) = (ENDS[0], ENDS[1]);
    let mut swapped = 0;
    for place in (start + 32..end - 32).step_by(32) {
        let mut forged = proof.proof_data.clone();
        let (a, b) = forged[place..].split_at_mut(32);
        a.swap_with_slice(&mut b[..32]);
        assert_ne!(forged, proof.proof_data, "siblings that differ");
        court.refuses(&proof, &forged, "InvalidMemoryProof()", &format!("siblings at {place}"));
        swapped += 1;
    }
    assert_eq!(swapped, 58);
}

#[test]
fn the_proof_of_another_word_is_refused() {
    let mut court = Court::new();
    let proof = prove(store());
    let mut state = store();
    for (slot, address, what) in [
        (0, 0x1020, "the leaf after the instruction"),
        (0, 0x8_2008, "data as an instruction"),
        (1, 0x1000, "the instruction as data"),
        (1, 0x8_2028, "the leaf after the data"),
        (1, 0x8_2008 | 1 << 63, "the same offset in the other half of memory"),
    ] {
        let mut forged = proof.proof_data.clone();
        let place = MEMORY_PROOFS_OFFSET + slot * PROOF_BYTES;
        forged[place..place + PROOF_BYTES].copy_from_slice(state.memory.proof(address).as_bytes());
        court.refuses(&proof, &forged, "InvalidMemoryProof()", what);
    }
}

/// Judges honest proofs cut off at these lengths, counted from the end of what the step needs.
fn refuses_cut_off(cut: usize) {
    let mut court = Court::new();
    const THREAD: &str = "MIPS64: insufficient calldata for thread witness";
    const MEMORY: &str = "MIPS64Memory: check that there is enough calldata";
    // How much of the proof the step needs.
    for (state, needed) in [(store(), ENDS[1]), (clock(0x2000), ENDS[2])] {
        let proof = prove(state);
        let honest = &proof.proof_data[..needed];
        assert_eq!(court.judge(&proof.state_data, honest).unwrap().post, proof.post);
        for end in [needed, ENDS[0], MEMORY_PROOFS_OFFSET + cut].map(|end| end - cut) {
            court.refuses(&proof, &honest[..end], MEMORY, &format!("{end} of {needed} bytes"));
        }
        for end in [MEMORY_PROOFS_OFFSET, 298, cut].map(|end| end - cut) {
            court.refuses(&proof, &honest[..end], THREAD, &format!("{end} of {needed} bytes"));
        }
    }
}

#[test]
fn a_proof_without_its_last_byte_is_refused() {
    refuses_cut_off(1);
}

#[test]
fn a_proof_without_its_last_word_is_refused() {
    refuses_cut_off(32);
}

#[test]
fn a_second_proof_from_before_the_first_write_is_refused() {
    let mut court = Court::new();
    // Both words in one leaf, in neighbouring leaves, and at the two ends of memory.
    for to in [0x2000, 0x2018, 0x2ff8, 0xffff_ffff_ffff_fff8] {
        let mut state = clock(to);
        let proof = prove(state.clone());
        court.accepts(&proof);
        let mut forged = proof.proof_data.clone();
        let early = state.memory.proof(to.wrapping_add(8));
        forged[ENDS[1]..].copy_from_slice(early.as_bytes());
        assert_ne!(forged, proof.proof_data, "{to:#x}");
        court.refuses(&proof, &forged, "InvalidSecondMemoryProof()", &format!("{to:#x}"));

        // And one of nothing at all.
        forged[ENDS[1]..].fill(0);
        court.refuses(&proof, &forged, "InvalidSecondMemoryProof()", &format!("{to:#x}"));
    }
}

/// Judges a proof with one byte of these changed, each in turn.
fn refuses_changes(places: std::ops::Range<usize>) {
    let mut court = Court::new();
    let proof = prove(store());
    court.accepts(&proof);
    for place in places {
        let mut forged = proof.proof_data.clone();
        forged[place] ^= 1;
        court.refuses(&proof, &forged, "MIPS64: invalid thread witness", &format!("byte {place}"));
    }
}

#[test]
fn any_wrong_byte_of_the_thread_is_refused() {
    refuses_changes(0..THREAD_WITNESS_BYTES);
}

#[test]
fn a_wrong_root_of_the_threads_below_is_refused() {
    refuses_changes(THREAD_WITNESS_BYTES..MEMORY_PROOFS_OFFSET);
}

#[test]
fn only_the_top_of_a_stack_can_step() {
    let mut court = Court::new();
    let threads: Vec<Thread> = (0..6)
        .map(|id| Thread { id, pc: 0x1000, next_pc: 0x1004, ..store().left.top().unwrap().clone() })
        .collect();
    for depth in 1..=threads.len() {
        let mut state = store();
        state.left = tribunal_mips64::ThreadStack::new(threads[..depth].to_vec());
        let proof = prove(state);
        court.accepts(&proof);
        // A thread further down, with what truly lies below it.
        for below in 1..depth {
            let mut other = store();
            other.left = tribunal_mips64::ThreadStack::new(threads[..below].to_vec());
            let mut forged = prove(other).proof_data;
            forged[MEMORY_PROOFS_OFFSET..]
                .copy_from_slice(&proof.proof_data[MEMORY_PROOFS_OFFSET..]);
            let what = format!("thread {below} of {depth}");
            court.refuses(&proof, &forged, "MIPS64: invalid thread witness", &what);
        }
    }
}

#[test]
fn bytes_behind_the_proof_change_nothing() {
    let mut court = Court::new();
    for state in [store(), clock(0x2000)] {
        let proof = prove(state);
        assert_eq!(proof.proof_data.len(), PROOF_DATA_BYTES);
        let honest = court.judge(&proof.state_data, &proof.proof_data).unwrap();
        for extra in [1, 32, PROOF_BYTES] {
            let longer = [proof.proof_data.clone(), vec![0xab; extra]].concat();
            let step = court.judge(&proof.state_data, &longer).unwrap();
            assert_eq!((step.post, step.post_state), (honest.post, honest.post_state.clone()));
        }
    }
    // Nor does anything in a proof that the step does not look at.
    let proof = prove(store());
    let mut stale = proof.proof_data.clone();
    stale[ENDS[1]..].fill(0xcd);
    assert_eq!(court.judge(&proof.state_data, &stale).unwrap().post, proof.post);
}

#[test]
fn a_state_of_another_length_is_refused() {
    let mut court = Court::new();
    let proof = prove(store());
    for length in [0, 1, 187, 189, 192, 193, 220] {
        let mut state_data = proof.state_data.clone();
        state_data.resize(length, 0);
        assert_eq!(court.judge(&state_data, &proof.proof_data), Err(Refusal::Silent), "{length}");
    }
}

#[test]
fn arguments_in_unusual_places_are_refused() {
    let mut court = Court::new();
    let proof = prove(store());
    let (state_data, proof_data) = (&proof.state_data[..], &proof.proof_data[..]);
    let canonical = StepCall { state_data, proof_data, local_context: [0; 32] }.encode();
    assert_eq!(court.judge_calldata(canonical.clone()).unwrap(), proof.post);

    let word = |number: usize| {
        let mut word = vec![0; 24];
        word.extend((number as u64).to_be_bytes());
        word
    };
    let padded = |bytes: &[u8]| {
        let mut value = word(bytes.len());
        value.extend(bytes);
        value.resize(value.len().next_multiple_of(32), 0);
        value
    };
    let (state, witness) = (padded(state_data), padded(proof_data));
    let encode = |offsets: [usize; 2], rest: Vec<Vec<u8>>| {
        let head = [word(offsets[0]), word(offsets[1]), vec![0; 32]];
        [canonical[..4].to_vec(), head.concat(), rest.concat()].concat()
    };
    // The same arguments, each where its offset says.
    let gap = vec![0; 32];
    let size = 96 + state.len();
    assert_eq!(encode([96, size], vec![state.clone(), witness.clone()]), canonical);
    for (what, calldata) in [
        (
            "a gap before the state",
            encode([128, size + 32], vec![gap.clone(), state.clone(), witness.clone()]),
        ),
        (
            "a gap before the proof",
            encode([96, size + 32], vec![state.clone(), gap, witness.clone()]),
        ),
        (
            "the proof before the state",
            encode([96 + witness.len(), 96], vec![witness.clone(), state.clone()]),
        ),
        (
            "the state behind the proof",
            encode(
                [size + witness.len(), size],
                vec![vec![0; state.len()], witness.clone(), state.clone()],
            ),
        ),
        ("one place for both", encode([96, 96], vec![state.clone(), witness.clone()])),
        ("an offset past the end", encode([96, 1 << 20], vec![state, witness])),
        ("half of the head", canonical[..68].to_vec()),
        ("no arguments", canonical[..4].to_vec()),
        ("no function", Vec::new()),
    ] {
        assert_eq!(court.judge_calldata(calldata), Err(Refusal::Silent), "{what}");
    }

    // An offset that only a wrapped sum would bring back, and a length past the end.
    let mut wrapped = canonical.clone();
    wrapped[4..36].fill(0xff);
    assert_eq!(court.judge_calldata(wrapped), Err(Refusal::Silent));
    let mut longer = canonical;
    longer[324 + 24] = 1;
    assert_eq!(court.judge_calldata(longer), Err(Refusal::Silent));
}
