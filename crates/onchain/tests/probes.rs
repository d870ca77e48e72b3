//! What the deployed MIPS64 1.10.1 was seen to do with single steps, one probe each
//! (spec: MIPS64 FPVM §7). Expected states are written down here, not taken from the reference.

mod engine;

use engine::Contract;
use tribunal_conformance::Engine as _;
use tribunal_conformance::assemble::{
    A0, A1, A2, S0, SYSCALL, T0, T1, V0, before, immediate, special,
};
use tribunal_conformance::{Expected, Outcome, Vector};
use tribunal_mips64::{LlReservation, QUANTUM, State, Thread, ThreadStack};
use tribunal_preimage::Key;

const PC: u64 = 0x1000;
/// Where most probes have their data.
const DATA: u64 = 0x2000;
const A3: u32 = 7;
const SP: u32 = 29;
const RA: u32 = 31;

const EBADF: u64 = 9;
const EAGAIN: u64 = 0xb;
const EINVAL: u64 = 0x16;

const INVALID: &str = "MIPS64: invalid instruction";

/// Two functions on a state: what it is before the step, and what becomes of it besides the counters.
struct Probe {
    contract: Contract,
    preimage: Option<(Key, Vec<u8>)>,
}

impl Probe {
    fn new() -> Self {
        Self { contract: Contract::new(), preimage: None }
    }

    fn outcome(&mut self, what: &str, state: State) -> Outcome {
        let expected = Expected::Refused(String::new());
        let vector =
            Vector { name: what.to_owned(), state, preimage: self.preimage.clone(), expected };
        self.contract.take(&vector)
    }

    /// The step is taken, and this is the state after it.
    #[track_caller]
    fn becomes(&mut self, what: &str, state: State, mut expected: State) {
        let witness = Box::new(expected.witness());
        assert_eq!(self.outcome(what, state), Outcome::Post(witness), "{what}");
    }

    #[track_caller]
    fn refuses(&mut self, what: &str, state: State, why: &str) {
        assert_eq!(self.outcome(what, state), Outcome::Refused(why.to_owned()), "{what}");
    }

    /// An instruction that moves on to the next one, and changes what `change` says.
    #[track_caller]
    fn instruction(
        &mut self,
        what: &str,
        word: u32,
        setup: impl FnOnce(&mut State),
        change: impl FnOnce(&mut State),
    ) {
        let state = at(word, setup);
        let mut expected = state.clone();
        expected.step += 1;
        expected.steps_since_switch += 1;
        thread(&mut expected).pc = thread(&mut expected).next_pc;
        thread(&mut expected).next_pc += 4;
        change(&mut expected);
        self.becomes(what, state, expected);
    }

    /// The result of an instruction on registers: t0 = function of (s0, t1).
    #[track_caller]
    fn result(&mut self, what: &str, word: u32, s0: u64, t1: u64, t0: u64) {
        let operands = |state: &mut State| {
            set(state, S0, s0);
            set(state, T1, t1);
        };
        self.instruction(what, word, operands, |state| set(state, T0, t0));
    }

    /// A syscall that answers with this in v0 and a3, and changes what `change` says.
    #[track_caller]
    fn syscall(
        &mut self,
        what: &str,
        call: &[u64],
        setup: impl FnOnce(&mut State),
        (v0, a3): (u64, u64),
        change: impl FnOnce(&mut State),
    ) {
        let setup = |state: &mut State| {
            arguments(state, call);
            setup(state);
        };
        self.instruction(what, SYSCALL, setup, |state| {
            set(state, V0, v0);
            set(state, A3, a3);
            change(state);
        });
    }
}

fn at(word: u32, setup: impl FnOnce(&mut State)) -> State {
    let mut state = before(PC, &[word]);
    setup(&mut state);
    state
}

fn thread(state: &mut State) -> &mut Thread {
    state.left.top_mut().unwrap()
}

fn set(state: &mut State, register: u32, value: u64) {
    thread(state).registers[register as usize] = value;
}

fn arguments(state: &mut State, call: &[u64]) {
    for (register, &value) in [V0, A0, A1, A2].into_iter().zip(call) {
        set(state, register, value);
    }
}

fn nothing(_: &mut State) {}

/// `t0 = s0 OP t1`
fn alu(function: u32) -> u32 {
    special(function, S0, T1, T0, 0)
}

/// A load or store of t0 at s0.
fn access(opcode: u32, offset: u16) -> u32 {
    immediate(opcode, S0, T0, offset)
}

#[test]
fn division_wraps_and_refuses_zero() {
    let mut probe = Probe::new();
    let hi_lo = |hi, lo| {
        move |state: &mut State| {
            thread(state).hi = hi;
            thread(state).lo = lo;
        }
    };
    let operands = |s0, t1| {
        move |state: &mut State| {
            set(state, S0, s0);
            set(state, T1, t1);
        }
    };
    let (div, ddiv) = (special(0x1a, S0, T1, 0, 0), special(0x1e, S0, T1, 0, 0));
    let minimum = operands(0xffff_ffff_8000_0000, u64::MAX);
    probe.instruction("div INT32_MIN/-1", div, minimum, hi_lo(0, 0xffff_ffff_8000_0000));
    probe.instruction("ddiv INT64_MIN/-1", ddiv, operands(1 << 63, u64::MAX), hi_lo(0, 1 << 63));
    for (word, t1) in [(div, 0), (div, 1 << 32), (ddiv, 0), (special(0x1b, S0, T1, 0, 0), 1 << 32)]
    {
        probe.refuses("by zero", at(word, operands(1, t1)), "MIPS64: division by zero");
    }
}

#[test]
fn arithmetic_and_shifts_do_what_the_contract_does_where_processors_do_not() {
    let mut probe = Probe::new();
    probe.result("add wraps", alu(0x20), 0x7fff_ffff, 1, 0xffff_ffff_8000_0000);
    probe.result("sll 1 drops the upper half", special(0x00, 0, T1, T0, 1), 0, 0x8000_0000, 0);
    probe.result("srav 0x28 shifts by 8", alu(0x07), 0x28, 0x8000_0000, 0xffff_ffff_ff80_0000);
    let sra = special(0x03, 0, T1, T0, 0);
    probe.result("sra 0 extends the sign", sra, 0, 0x8000_0000, 0xffff_ffff_8000_0000);
    probe.result("sync copies rs to rd", special(0x0f, S0, 0, T0, 0), 77, 0, 77);
    let dirty = 0xdead_beef_0001_0000;
    probe.result(
        "mul of 32 bits, with dirty upper ones",
        0x1c << 26 | alu(0x02),
        dirty,
        0x8001,
        0xffff_ffff_8001_0000,
    );
    probe.result("rd = 0 is dropped", special(0x21, S0, T1, 0, 0), 1, 2, 0);
    probe.instruction(
        "mthi with rd zeroes it",
        special(0x11, S0, 0, T0, 0),
        |state| {
            set(state, S0, 7);
            set(state, T0, 9);
        },
        |state| {
            thread(state).hi = 7;
            set(state, T0, 0);
        },
    );
    let five = |state: &mut State| set(state, 0, 5);
    probe.instruction("r0 = 5 is 5, and stays", special(0x21, 0, 0, T0, 0), five, |s| {
        set(s, T0, 10)
    });
    probe.instruction("nothing writes r0", special(0x21, 0, 0, 0, 0), five, nothing);
}

#[test]
fn what_is_no_instruction_is_refused() {
    let mut probe = Probe::new();
    for function in [0x01, 0x05, 0x0d, 0x0e, 0x15, 0x28, 0x30] {
        probe.refuses("SPECIAL", at(function, nothing), INVALID);
    }
    // COP0, COP1, beql, SPECIAL2/03, and opcodes 1d to 1f, cache, lwc1, 35, swc1, pref.
    for word in [0x10 << 26, 0x11 << 26, 0x14 << 26, 0x1c << 26 | 3] {
        probe.refuses("no opcode", at(word, nothing), INVALID);
    }
    for opcode in [0x1d, 0x1e, 0x1f, 0x2f, 0x31, 0x33, 0x35, 0x39] {
        probe.refuses("no opcode", at(opcode << 26, nothing), INVALID);
    }
}

#[test]
fn loads_and_stores_round_addresses_down() {
    let mut probe = Probe::new();
    let word = 0x0102_0304_8586_8788;
    let data = |offset: u64| {
        move |state: &mut State| {
            state.memory.set_word(DATA, word);
            set(state, S0, DATA + offset);
            set(state, T0, 0x1111_2222_3333_4444);
        }
    };
    for (what, opcode, offset, loaded) in [
        ("lh +3 reads at &~1", 0x21, 3, 0x0304),
        ("lw +6 reads at &~3", 0x23, 6, 0xffff_ffff_8586_8788),
        ("lwu +7 reads at &~3", 0x27, 7, 0x8586_8788),
        ("ld +5 reads at &~7", 0x37, 5, word),
        ("lwr +1 keeps the upper half of rt", 0x26, 1, 0x1111_2222_3333_0102),
        ("lwl +1 extends the sign", 0x22, 5, 0xffff_ffff_8687_8844),
    ] {
        probe.instruction(what, access(opcode, 0), data(offset), |state| set(state, T0, loaded));
    }
    for (what, opcode, offset, stored) in [
        ("sw +2 stores at &~3", 0x2b, 2, 0x3333_4444_8586_8788),
        ("swl +3 stores a byte", 0x2a, 3, 0x0102_0333_8586_8788),
        ("sd +1 stores at &~7", 0x3f, 1, 0x1111_2222_3333_4444),
    ] {
        probe.instruction(what, access(opcode, 0), data(offset), |state| {
            state.memory.set_word(DATA, stored);
        });
    }
    let wrapping = |state: &mut State| {
        set(state, S0, u64::MAX - 7);
        state.memory.set_word(0, word);
    };
    probe.instruction("addresses wrap", access(0x37, 8), wrapping, |state| set(state, T0, word));
}

#[test]
fn reservations_are_of_one_size_one_thread_and_one_address() {
    let mut probe = Probe::new();
    let word = 0x0102_0304_8586_8788;
    let reserve = |status, address| {
        move |state: &mut State| {
            state.memory.set_word(DATA, word);
            set(state, S0, DATA);
            set(state, T0, 0x3333_4444);
            state.reservation = LlReservation { status, address, owner: 0 };
        }
    };
    let at_2 = |state: &mut State| {
        state.memory.set_word(DATA, word);
        set(state, S0, DATA);
    };
    probe.instruction(
        "ll +2: the value of &~3, the address as it is",
        access(0x30, 2),
        at_2,
        |state| {
            set(state, T0, 0x0102_0304);
            state.reservation = LlReservation { status: 1, address: DATA + 2, owner: 0 };
        },
    );
    for (what, offset, status, address) in [
        ("sc without a reservation", 0, 0, 0),
        ("sc on a 64-bit one", 0, 2, DATA),
        ("sc +4 in the same doubleword", 4, 1, DATA),
    ] {
        let refused = |state: &mut State| set(state, T0, 0);
        probe.instruction(what, access(0x38, offset), reserve(status, address), refused);
    }
    probe.instruction("sc", access(0x38, 0), reserve(1, DATA), |state| {
        state.memory.set_word(DATA, 0x3333_4444_8586_8788);
        state.reservation = LlReservation::default();
        set(state, T0, 1);
    });
    probe.instruction(
        "sb in the same doubleword clears another thread's",
        access(0x28, 7),
        |state| {
            reserve(1, DATA)(state);
            state.reservation.owner = 9;
        },
        |state| {
            state.memory.set_word(DATA, word & !0xff | 0x44);
            state.reservation = LlReservation::default();
        },
    );
}

#[test]
fn a_failing_sc_needs_no_proof_of_memory() {
    let mut contract = Contract::new();
    let state = at(access(0x38, 0), nothing);
    let vector = Vector {
        name: String::new(),
        state,
        preimage: None,
        expected: Expected::Refused("".into()),
    };
    let gas_of_one_proof = contract.gas(&vector).unwrap();
    assert!(gas_of_one_proof.transaction < 150_000, "one proof of 1,920 bytes in calldata");
}

#[test]
fn branches_and_jumps() {
    let mut probe = Probe::new();
    let in_slot = |state: &mut State| thread(state).next_pc = 0x9000;
    let beq = immediate(0x04, 0, 0, 4);
    probe.refuses("branch in a delay slot", at(beq, in_slot), "MIPS64: branch in delay slot");
    probe.refuses("j in a delay slot", at(0x02 << 26, in_slot), "MIPS64: jump in delay slot");
    let to = |target| move |state: &mut State| thread(state).next_pc = target;
    let odd = |state: &mut State| set(state, S0, 0x3001);
    probe.instruction("jr to an odd target", special(0x08, S0, 0, 0, 0), odd, to(0x3001));
    probe.instruction(
        "jalr with rd = rs",
        special(0x09, S0, 0, S0, 0),
        |state| set(state, S0, 0x3000),
        |state| {
            set(state, S0, PC + 8);
            to(0x3000)(state);
        },
    );
    probe.instruction("REGIMM 2 is never taken", immediate(0x01, S0, 2, 4), nothing, nothing);
    let bltzal = immediate(0x01, S0, 0x10, 4);
    probe.instruction("bltzal links when not taken", bltzal, nothing, |s| set(s, RA, PC + 8));
    let misaligned = at(0, |state| thread(state).pc = PC + 2);
    probe.refuses("pc & 3", misaligned, "InvalidPC()");
}

#[test]
fn exited_machines_and_odd_bytes() {
    let mut probe = Probe::new();
    probe.refuses("exited = 2", at(0, |state| state.exited = 2), "InvalidExitedValue()");
    for (code, status) in [(0, 0), (1, 1), (2, 2), (255, 2)] {
        let mut state = at(0, |state| {
            state.exited = 1;
            state.exit_code = code;
        });
        let witness = state.witness();
        probe.becomes("exited", state.clone(), state.clone());
        let call = tribunal_onchain::StepCall {
            state_data: &witness,
            proof_data: &[],
            local_context: [0; 32],
        };
        let post = probe.contract.instance.step(&call).unwrap().post;
        assert_eq!((post[0], post), (status, state.hash()));
    }
    let empty = |state: &mut State| state.left = ThreadStack::default();
    probe.refuses("empty stack", at(0, empty), "MIPS64: active thread stack is empty");

    // Anything but 0 is right.
    let right = |direction| {
        let mut state = at(0, nothing);
        state.right = std::mem::take(&mut state.left);
        state.traverse_right = direction;
        state
    };
    let mut after = right(2);
    after.step = 1;
    after.steps_since_switch = 1;
    let thread_after = after.right.top_mut().unwrap();
    (thread_after.pc, thread_after.next_pc) = (PC + 4, PC + 8);
    probe.becomes("direction 2", right(2), after);
}

#[test]
fn the_scheduler() {
    let mut probe = Probe::new();
    const EMPTY: &str = "MIPS64: post-state active thread stack is empty";
    let gone = at(0, |state| thread(state).exited = 1);
    probe.refuses("the only thread has exited", gone, EMPTY);

    // The end of a quantum with one thread: it goes to the other stack, no instruction is executed.
    let due = at(alu(0x21), |state| state.steps_since_switch = QUANTUM);
    let mut after = due.clone();
    after.step = 1;
    after.steps_since_switch = 0;
    after.right = std::mem::take(&mut after.left);
    after.traverse_right = 1;
    probe.becomes("quantum", due, after);
}

#[test]
fn syscalls_that_only_answer() {
    let mut probe = Probe::new();
    let unknown = at(SYSCALL, |state| arguments(state, &[9999]));
    probe.refuses("9999", unknown, "MIPS64: unimplemented syscall");
    probe.syscall("brk", &[5012], nothing, (0x4000_0000_0000, 0), nothing);
    let failed = |error| (error, u64::MAX);
    probe.syscall("mmap 2^64-1", &[5009, 0, u64::MAX], nothing, failed(EINVAL), nothing);
    let full = |state: &mut State| state.heap = 0x6000_0000_0000;
    probe.syscall("mmap at the end", &[5009, 0, 1], full, failed(EINVAL), nothing);
    probe.syscall("read of fd 7", &[5000, 7, DATA, 8], nothing, failed(EBADF), nothing);
    probe.syscall("read of a hint", &[5000, 3, DATA, 99], nothing, (99, 0), nothing);
    probe.syscall("futex mismatch", &[5194, DATA, 128, 1], nothing, failed(EAGAIN), nothing);
    probe.syscall("futex 1", &[5194, DATA, 1, 0], nothing, failed(EINVAL), nothing);
    probe.syscall("open", &[5002], nothing, failed(EBADF), nothing);
    probe.syscall("eventfd2 that blocks", &[5284, 0, 0], nothing, failed(EINVAL), nothing);
    probe.syscall("eventfd2", &[5284, 0, 0x80], nothing, (100, 0), nothing);
}

#[test]
fn syscalls_that_end_or_begin_something() {
    let mut probe = Probe::new();
    let ends = |call: &'static [u64], code: u8, thread_exits: bool| {
        let state = at(SYSCALL, |state| arguments(state, call));
        let mut after = state.clone();
        after.step = 1;
        after.steps_since_switch = 1;
        after.exited = 1;
        after.exit_code = code;
        if thread_exits {
            thread(&mut after).exited = 1;
            thread(&mut after).exit_code = code;
        }
        (state, after)
    };
    let (state, after) = ends(&[5055, 0x50f01, 0x7000], 2, false);
    probe.becomes("clone with other flags panics", state, after);
    let (state, after) = ends(&[5205, 0x105], 5, false);
    probe.becomes("exit_group 0x105 is 5", state, after);
    let (state, after) = ends(&[5058, 3], 3, true);
    probe.becomes("exit of the last thread", state, after);

    let state = at(SYSCALL, |state| arguments(state, &[5055, 0x50f00, 0x7000]));
    let mut after = state.clone();
    after.step = 1;
    after.next_thread_id = 2;
    let parent = thread(&mut after);
    (parent.pc, parent.next_pc) = (PC + 4, PC + 8);
    let mut child = parent.clone();
    parent.registers[V0 as usize] = 1;
    child.id = 1;
    child.registers[V0 as usize] = 0;
    child.registers[SP as usize] = 0x7000;
    after.left.push(child);
    probe.becomes("clone", state, after);
}

#[test]
fn keys_and_preimages() {
    let mut probe = Probe::new();
    let word = 0x0102_0304_0506_0708;
    let key = Key::keccak256_of(b"0123456789");
    let memory = |state: &mut State| {
        state.memory.set_word(DATA, word);
        state.preimage_key = key.into_bytes();
        state.preimage_offset = 8;
    };
    probe.syscall(
        "a key write of 0 resets the offset",
        &[5001, 6, DATA, 0],
        memory,
        (0, 0),
        |state| {
            state.preimage_offset = 0;
        },
    );
    probe.syscall(
        "a key write of 100 at +5 takes 3",
        &[5001, 6, DATA + 5, 100],
        memory,
        (3, 0),
        |state| {
            state.preimage_key.copy_within(3.., 0);
            state.preimage_key[29..].copy_from_slice(&[6, 7, 8]);
            state.preimage_offset = 0;
        },
    );

    let read = at(SYSCALL, |state| {
        memory(state);
        arguments(state, &[5000, 5, DATA, 8]);
    });
    probe.refuses("no preimage", read, "pre-image must exist");
    probe.preimage = Some((key, b"0123456789".to_vec()));
    probe.syscall(
        "a read of 100 at +3 takes 5",
        &[5000, 5, DATA + 3, 100],
        memory,
        (5, 0),
        |state| {
            state.memory.write(DATA + 3, b"01234");
            state.preimage_offset = 13;
        },
    );
    probe.syscall("a read of 2 at +1", &[5000, 5, DATA + 1, 2], memory, (2, 0), |state| {
        state.memory.write(DATA + 1, b"01");
        state.preimage_offset = 10;
    });
    let at_end = |state: &mut State| {
        memory(state);
        state.preimage_offset = 17;
    };
    probe.syscall("one byte is left", &[5000, 5, DATA, 8], at_end, (1, 0), |state| {
        state.memory.write(DATA, b"9");
        state.preimage_offset = 18;
    });
}

#[test]
fn getrandom_of_nothing_still_needs_the_proof() {
    let mut probe = Probe::new();
    probe.syscall("getrandom 0", &[5313, DATA, 0], nothing, (0, 0), nothing);
    let mut state = at(SYSCALL, |state| arguments(state, &[5313, DATA, 0]));
    let witness = state.witness();
    let mut machine = tribunal_mips64::Mips64::new(state);
    let (proof, _) = machine.attempt_step(&mut tribunal_conformance::VectorHost(None));
    let call = tribunal_onchain::StepCall {
        state_data: &witness,
        proof_data: &proof[..330 + 1920],
        local_context: [0; 32],
    };
    let refused = probe.contract.instance.step(&call).unwrap_err();
    assert_eq!(refused.to_string(), "MIPS64Memory: check that there is enough calldata");
}
