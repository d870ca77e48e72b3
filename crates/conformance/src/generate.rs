//! Random states for one step or a few, the same from the same seed on every machine.
//!
//! Whatever takes a step can be held against whatever else does, the deployed contract included, so
//! a state here is small and its preimage is one that anyone can prove (keccak256). The choices lean
//! towards the edges: extreme operands, every alignment, the last page, the ends of a quantum,
//! reservations that almost match, delay slots, bytes that no run produces.

mod pitfalls;

use tribunal_memory::Memory;
use tribunal_mips64::{
    HEAP_END, HEAP_START, LlReservation, QUANTUM, SYSCALLS, State, Thread, ThreadStack,
};
use tribunal_preimage::Key;

use crate::assemble::{self, A0, A1, A2, SYSCALL, V0, call, immediate, load_value, special};
use crate::random::Random;
use crate::vector::VectorHost;

pub use pitfalls::generate_pitfalls;

/// A state to step from, and what its oracle knows.
#[derive(Clone, Debug)]
pub struct Start {
    /// What is special about it, for people.
    pub name: &'static str,
    /// The state.
    pub state: State,
    /// The only preimage there is.
    pub preimage: Option<(Key, Vec<u8>)>,
}

impl Start {
    /// A host that knows the preimage.
    pub fn host(&self) -> VectorHost<'_> {
        VectorHost(self.preimage.as_ref())
    }
}

/// A state of which one step is interesting; it may be one that has to be refused.
pub fn generate(seed: u64) -> Start {
    let mut scene = Scene::new(seed);
    let class = scene.random.pick(&CLASSES);
    let name = match class {
        Class::Register => scene.register(),
        Class::Immediate => scene.immediate(),
        Class::Memory => scene.memory_access(),
        Class::Atomic => scene.atomic(),
        Class::Branch => scene.branch(),
        Class::Syscall => scene.syscall(),
        Class::Noise => {
            scene.instruction = scene.random.number() as u32;
            "noise"
        }
    };
    scene.finish(name)
}

/// A state in which a few threads stand in front of a program that goes on for many steps, most
/// times.
pub fn generate_program(seed: u64) -> Start {
    let mut scene = Scene::new(seed);
    let base = scene.random.pick(&[0x1000, 0x1e00, 0x0fff_fe00, 0x7fff_ffff_f000, 0x8000]);
    let words = program(&mut scene.random);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    scene.memory.write(base, &bytes);
    scene.instruction = words[0];
    scene.thread.pc = base;
    scene.give_data_pointers();
    let mut start = scene.finish("program");
    place_threads(&mut start.state, base, words.len() as u64, &mut Random::new(seed ^ 1));
    start
}

/// Puts the threads in front of the `length` instructions at `base`: whoever is active at the
/// beginning, the others anywhere. Turns end soon, most times.
fn place_threads(state: &mut State, base: u64, length: u64, random: &mut Random) {
    state.exited = 0;
    state.steps_since_switch = match random.below(3) {
        0 => QUANTUM - random.below(40),
        _ => random.below(QUANTUM),
    };
    let right_is_active = state.traverse_right != 0;
    for (stack, is_active) in
        [(&mut state.left, !right_is_active), (&mut state.right, right_is_active)]
    {
        let mut threads = stack.as_slice().to_vec();
        let last = threads.len().wrapping_sub(1);
        for (place, thread) in threads.iter_mut().enumerate() {
            let starts = is_active && place == last;
            let skipped = if starts { 0 } else { random.below(length / 2) };
            thread.pc = base.wrapping_add(skipped * 4);
            thread.next_pc = thread.pc.wrapping_add(4);
            thread.exited = u8::from(!starts && random.once_in(6));
        }
        *stack = ThreadStack::new(threads);
    }
}

#[derive(Clone, Copy)]
enum Class {
    Register,
    Immediate,
    Memory,
    Atomic,
    Branch,
    Syscall,
    Noise,
}

/// A class that stands here twice is picked twice as often.
const CLASSES: [Class; 10] = [
    Class::Register,
    Class::Register,
    Class::Immediate,
    Class::Memory,
    Class::Memory,
    Class::Atomic,
    Class::Branch,
    Class::Syscall,
    Class::Syscall,
    Class::Noise,
];

/// Loads and stores: primary opcodes.
const ACCESSES: [u32; 19] = [
    0x1a, 0x1b, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2d,
    0x2e, 0x37, 0x3f,
];
/// ll, lld, sc, scd.
const ATOMICS: [u32; 4] = [0x30, 0x34, 0x38, 0x3c];
/// j, jal, beq, bne, blez, bgtz; the branches of REGIMM are 1.
const BRANCHES: [u32; 7] = [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07];

/// Values at which 32-bit and 64-bit, signed and unsigned arithmetic part.
fn operand(random: &mut Random) -> u64 {
    let edge = random.pick(&[
        0,
        1,
        u64::MAX,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff_8000_0000,
        0xffff_ffff,
        1 << 32,
        i64::MAX as u64,
        1 << 63,
        31,
        32,
        63,
        64,
    ]);
    match random.below(8) {
        0 => random.number(),
        1 => random.number() & 0xffff_ffff,
        // An edge in the lower half, dirt in the upper one, or the other way round.
        2 => edge & 0xffff_ffff | random.number() << 32,
        3 => edge << 32 | random.number() & 0xffff_ffff,
        4 => edge.wrapping_add(random.below(3)).wrapping_sub(1),
        _ => edge,
    }
}

/// Where words can be, aligned to 8: page ends, the last page, the first one, and where programs
/// have them.
fn word_address(random: &mut Random) -> u64 {
    match random.below(8) {
        0 => random.number() & !7,
        1 => 0x2000,
        2 => 0x2ff8,
        3 => 0,
        4 => u64::MAX - 7,
        5 => 0x00c0_0000_1000,
        6 => HEAP_START + 0xff8,
        _ => 0x7fff_ffff_e000 + random.below(512) * 8,
    }
}

fn code_address(random: &mut Random) -> u64 {
    match random.below(8) {
        0 => random.number() & !3,
        1 => 0x1000,
        2 => 0x1ffc,
        // Both sides of a 256 MiB region: jumps take theirs from the delay slot.
        3 => 0x0fff_fffc,
        4 => 0x1000_0000_0000_0000 - 8,
        5 => u64::MAX - 3,
        6 => u64::MAX - 7,
        _ => 0x11000 + random.below(1024) * 4,
    }
}

/// A state that is being made: what is not decided is plausible.
struct Scene {
    random: Random,
    memory: Memory,
    thread: Thread,
    /// What the active thread stands at.
    instruction: u32,
    reservation: LlReservation,
    preimage: Option<(Key, Vec<u8>)>,
    preimage_key: [u8; 32],
    preimage_offset: u64,
    heap: u64,
    step: u64,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let pc = code_address(&mut random);
        let thread = Thread {
            id: random.pick(&[0, 0, 1, 2, 3, u64::MAX]),
            pc,
            next_pc: pc.wrapping_add(4),
            lo: operand(&mut random),
            hi: operand(&mut random),
            registers: std::array::from_fn(|register| match register {
                0 => 0,
                _ => operand(&mut random),
            }),
            ..Thread::default()
        };
        let heap = match random.below(4) {
            0 => HEAP_END - random.pick(&[0, 1, 4095, 4096, 8192]),
            1 => operand(&mut random),
            _ => HEAP_START + random.below(1 << 20) * 4096,
        };
        let step = match random.below(4) {
            0 => u64::MAX - random.below(2),
            1 => operand(&mut random),
            _ => random.below(1 << 40),
        };
        let mut scene = Self {
            memory: Memory::new(),
            thread,
            instruction: 0,
            reservation: LlReservation::default(),
            preimage: None,
            preimage_key: [0; 32],
            preimage_offset: 0,
            heap,
            step,
            random,
        };
        scene.make_preimage();
        scene
    }

    fn make_preimage(&mut self) {
        let random = &mut self.random;
        let length = random.pick(&[0, 1, 7, 8, 24, 31, 32, 33, 135, 136, 137, 272]);
        let data = random.bytes(length);
        let key = Key::keccak256_of(&data);
        self.preimage_key = *key.as_bytes();
        if random.once_in(8) {
            self.preimage_key[random.index(32)] ^= 1 << random.below(8);
        }
        let end = length as u64 + 8;
        self.preimage_offset = match random.below(8) {
            0 => end,
            1 => end - 1,
            2 => operand(random),
            3 => 0,
            _ => random.below(end),
        };
        self.preimage = (!random.once_in(8)).then_some((key, data));
    }

    /// A register, often one that an instruction already names.
    fn any_register(&mut self) -> u32 {
        let random = &mut self.random;
        if random.once_in(8) { 0 } else { random.pick(&[1, 2, 3, 8, 9, 31, 30, 4]) }
    }

    fn register(&mut self) -> &'static str {
        let (rs, rt, rd) = (self.any_register(), self.any_register(), self.any_register());
        let function = self.random.below(64) as u32;
        let amount = self.random.pick(&[0, 1, 16, 31, self.instruction & 31]);
        let opcode = if self.random.once_in(4) { 0x1c << 26 } else { 0 };
        self.instruction = opcode | special(function, rs, rt, rd, amount);
        "register"
    }

    fn immediate(&mut self) -> &'static str {
        let (rs, rt) = (self.any_register(), self.any_register());
        let bits = self.random.pick(&[0, 1, 0x7fff, 0x8000, 0xffff, 0x1234]);
        self.instruction = immediate(self.random.below(64) as u32, rs, rt, bits);
        "immediate"
    }

    /// Makes register `base` plus an offset, which is returned, an address somewhere in a word, and
    /// puts something there.
    fn point_at_word(&mut self, base: u32) -> (u64, u16) {
        let random = &mut self.random;
        let word = match random.below(6) {
            // The instruction's own word.
            0 => self.thread.pc & !7,
            _ => word_address(random),
        };
        let address = word + random.below(8);
        let offset: i16 = random.pick(&[0, 0, 1, -1, i16::MIN, i16::MAX, 8, -4]);
        self.thread.registers[base as usize] = address.wrapping_sub(offset as u64);
        if !random.once_in(4) {
            let value = if random.once_in(3) { operand(random) } else { random.number() };
            self.memory.set_word(word, value);
        }
        (address, offset as u16)
    }

    /// A reservation that has something to do with `address`.
    fn reserve_near(&mut self, address: u64) {
        let random = &mut self.random;
        let near = match random.below(6) {
            0 => address ^ 4,
            1 => address & !7,
            2 => address ^ random.below(8),
            3 => address.wrapping_add(8),
            _ => address,
        };
        let owner = if random.once_in(4) { random.below(4) } else { self.thread.id };
        let status = random.pick(&[0, 1, 1, 2, 2]);
        self.reservation = LlReservation { status, address: near, owner };
    }

    fn memory_access(&mut self) -> &'static str {
        let base = self.random.pick(&[1, 9, 29]);
        let (address, offset) = self.point_at_word(base);
        if self.random.once_in(2) {
            self.reserve_near(address);
        }
        let rt = if self.random.once_in(8) { base } else { self.any_register() };
        self.instruction = immediate(self.random.pick(&ACCESSES), base, rt, offset);
        "memory"
    }

    fn atomic(&mut self) -> &'static str {
        let base = self.random.pick(&[1, 9, 29]);
        let (address, offset) = self.point_at_word(base);
        self.reserve_near(address);
        let rt = if self.random.once_in(8) { base } else { self.any_register() };
        self.instruction = immediate(self.random.pick(&ATOMICS), base, rt, offset);
        "atomic"
    }

    fn branch(&mut self) -> &'static str {
        let (rs, rt) = (self.any_register(), self.any_register());
        let random = &mut self.random;
        let bits = random.pick(&[0, 1, 0x7fff, 0x8000, 0xffff, 0x0123]);
        self.instruction = match random.below(4) {
            // jr and jalr, to wherever a register points.
            0 => {
                let rd = random.pick(&[31, rs, 0]);
                special(random.pick(&[0x08, 0x09]), rs, 0, rd, 0)
            }
            1 => {
                let any = random.below(32) as u32;
                immediate(0x01, rs, random.pick(&[0x00, 0x01, 0x10, 0x11, any]), bits)
            }
            _ => match random.pick(&BRANCHES) {
                jump @ (0x02 | 0x03) => jump << 26 | random.number() as u32 >> 6,
                branch => immediate(branch, rs, rt, bits),
            },
        };
        if random.once_in(6) {
            // In the delay slot of another.
            self.thread.next_pc = random.pick(&[self.thread.pc.wrapping_add(8), 0, 0x2000]);
        }
        if random.once_in(2) {
            self.thread.registers[rs as usize & 31] = self.thread.registers[rt as usize & 31];
            self.thread.registers[0] = 0;
        }
        "branch"
    }

    fn syscall(&mut self) -> &'static str {
        let random = &mut self.random;
        // The bits between opcode and function mean nothing.
        let stray = if random.once_in(4) { random.number() as u32 & 0x03ff_ffc0 } else { 0 };
        self.instruction = SYSCALL | stray;
        let mut number = random.pick(SYSCALLS).number;
        if random.once_in(2) {
            // Those that do something, in equal parts.
            number =
                random.pick(&[5000, 5001, 5009, 5055, 5058, 5070, 5194, 5205, 5222, 5284, 5313]);
        }
        if random.once_in(16) {
            number = random.pick(&[0, 4999, 5999, number | 1 << 32, u64::MAX]);
        }
        let count = |random: &mut Random| {
            let edge = random.pick(&[0, 1, 3, 4, 7, 8, 9, 32, 100]);
            if random.once_in(8) { operand(random) } else { edge }
        };
        let fd = |random: &mut Random| {
            let known = random.pick(&[5, 5, 5, 6, 6, 6, 4, 0, 1, 2, 3, 7, 100]);
            if random.once_in(16) { operand(random) } else { known }
        };
        let arguments = match number {
            5000 | 5001 => {
                let (fd, count) = (fd(random), count(random));
                // What leaves the machine costs time, not meaning: not too much of it.
                let count = if matches!(fd, 1 | 2 | 4) { count % 200 } else { count };
                let (address, _) = self.point_at_word(A1);
                [fd, address, count]
            }
            5009 => {
                let hint = if random.once_in(4) { operand(random) } else { 0 };
                let sizes = [0, 1, 4095, 4096, 4097, 1 << 40, u64::MAX, u64::MAX - 4095, HEAP_END];
                [hint, random.pick(&sizes), operand(random)]
            }
            5055 => [
                random.pick(&[0x50f00, 0x50f00, 0x50f00, 0x50f01, 0, 0x1_0005_0f00]),
                operand(random),
                operand(random),
            ],
            5070 => [fd(random), random.below(6), operand(random)],
            5194 => {
                let operation = random.pick(&[128, 128, 128, 129, 0, 1, 1 << 32 | 128]);
                let (address, _) = self.point_at_word(A0);
                let word = self.memory.word(address);
                let held = if address & 4 == 0 { word >> 32 } else { word & 0xffff_ffff };
                let random = &mut self.random;
                let value = match random.below(3) {
                    0 => operand(random),
                    1 => held | random.number() << 32,
                    _ => held,
                };
                [address, operation, value]
            }
            5222 => {
                let clock = self.random.pick(&[0, 1, 1, 2, u64::MAX]);
                let (address, _) = self.point_at_word(A1);
                [clock, address, 0]
            }
            5284 => [operand(random), random.pick(&[0, 0x80, 0x7f, 0xff80, u64::MAX]), 0],
            5313 => {
                let count = count(random);
                let (address, _) = self.point_at_word(A0);
                [address, count, operand(&mut self.random)]
            }
            5058 | 5205 => [random.pick(&[0, 1, 2, 255, 256, 257, u64::MAX]), 0, 0],
            _ => [operand(random), operand(random), operand(random)],
        };
        let registers = &mut self.thread.registers;
        registers[V0 as usize] = number;
        for (register, argument) in [A0, A1, A2].into_iter().zip(arguments) {
            registers[register as usize] = argument;
        }
        if self.random.once_in(2) {
            // Also next to the second word of clock_gettime.
            let far = self.random.pick(&[0, 8]);
            let near = self.random.pick(&[A0, A1]) as usize;
            self.reserve_near(self.thread.registers[near].wrapping_add(far));
        }
        "syscall"
    }

    /// Registers 16 to 19 point to memory that is there.
    fn give_data_pointers(&mut self) {
        for (register, address) in (16..).zip([0x3000, 0x4ff0, 0x1_0000_0000, u64::MAX - 0xf]) {
            self.thread.registers[register] = address;
            for word in 0..4 {
                self.memory.set_word(address.wrapping_add(word * 8), operand(&mut self.random));
            }
        }
    }

    /// Puts the rest of the world around the active thread.
    fn finish(mut self, name: &'static str) -> Start {
        let random = &mut self.random;
        let word = self.memory.word(self.thread.pc);
        let word = match self.thread.pc & 4 {
            0 => word & 0xffff_ffff | u64::from(self.instruction) << 32,
            _ => word & !0xffff_ffff | u64::from(self.instruction),
        };
        self.memory.set_word(self.thread.pc, word);
        if random.once_in(16) {
            // In a delay slot, or anywhere at all.
            self.thread.next_pc = operand(random);
        }
        if random.once_in(32) {
            self.thread.pc = self.thread.pc.wrapping_add(random.below(8));
        }

        let mut steps_since_switch = random.below(QUANTUM);
        if random.once_in(8) {
            steps_since_switch =
                random.pick(&[QUANTUM - 1, QUANTUM, QUANTUM + 1, u64::MAX, 0, QUANTUM - 2]);
        }
        let mut traverse_right = random.below(2) as u8;
        let (mut exited, mut exit_code) = (0, random.pick(&[0, 0, 1, 2, 255]));
        let mut next_thread_id = random.pick(&[1, 4, u64::MAX, 1 << 32]);
        if random.once_in(16) {
            exited = random.pick(&[1, 1, 2, 255]);
        }
        if random.once_in(16) {
            self.thread.exited = 1;
        }
        if random.once_in(24) {
            match random.below(6) {
                0 => traverse_right = random.pick(&[2, 255]),
                1 => self.thread.exited = random.pick(&[2, 255]),
                2 => self.reservation.status = random.pick(&[3, 255]),
                3 => self.thread.registers[0] = operand(random),
                4 => exit_code = random.number() as u8,
                _ => next_thread_id = operand(random),
            }
        }
        let below = others(random);
        let other = others(random);
        let mut active = below;
        if !random.once_in(64) {
            active.push(self.thread);
        }
        let (left, right) = if traverse_right == 0 { (active, other) } else { (other, active) };
        // A hint of which a few bytes are still missing.
        let last_hint = if random.once_in(4) {
            let written = random.index(12);
            let length = written as u32 + 1 + random.below(8) as u32;
            [&length.to_be_bytes(), random.bytes(written).as_slice()].concat()
        } else {
            Vec::new()
        };
        let state = State {
            memory: self.memory,
            preimage_key: self.preimage_key,
            preimage_offset: self.preimage_offset,
            heap: self.heap,
            reservation: self.reservation,
            exit_code,
            exited,
            step: self.step,
            steps_since_switch,
            traverse_right,
            left: ThreadStack::new(left),
            right: ThreadStack::new(right),
            next_thread_id,
            last_hint,
        };
        Start { name, state, preimage: self.preimage }
    }
}

/// Threads that do not move in this step.
fn others(random: &mut Random) -> Vec<Thread> {
    let count = random.pick(&[0, 0, 1, 1, 2, 3]);
    let thread = |id| {
        let pc = code_address(random);
        Thread {
            id,
            exit_code: random.pick(&[0, 0, 3]),
            exited: u8::from(random.once_in(4)),
            pc,
            next_pc: pc.wrapping_add(4),
            lo: operand(random),
            hi: operand(random),
            registers: std::array::from_fn(|register| match register {
                16..20 => 0x3000 + register as u64 * 8,
                0 => 0,
                _ => operand(random),
            }),
        }
    };
    (10..10 + count).map(thread).collect()
}

/// Instructions that mostly go on: registers 16 to 19 are pointers and stay.
fn program(random: &mut Random) -> Vec<u32> {
    let length = 40 + random.index(160);
    let mut words = Vec::new();
    while words.len() < length {
        match random.below(16) {
            0..6 => words.push(calculation(random)),
            6..9 => words.push(access(random, &ACCESSES)),
            9..11 => {
                words.push(access(random, &ATOMICS));
                if random.once_in(2) {
                    words.push(access(random, &ATOMICS));
                }
            }
            11..13 => {
                let opcode = random.pick(&[0x01, 0x04, 0x05, 0x06, 0x07]);
                let (rs, rt) = (scratch(random), scratch(random));
                let distance = random.below(12) as i16 - 3;
                words.push(immediate(opcode, rs, rt, distance as u16));
                words.push(calculation(random));
            }
            13 | 14 => {
                let place = random.pick(&[0x3000, 0x4ff4, 0x1_0000_0007]);
                words.extend(random_call(random, place));
            }
            _ if random.once_in(12) => words.push(random.number() as u32),
            _ => words.extend(load_value(scratch(random), operand(random))),
        }
    }
    // From the top again, so that a run is as long as it is told to be.
    words.extend([assemble::beq(0, 0, -(words.len() as i16) - 1), assemble::NOP]);
    words
}

/// A register that a program may change.
fn scratch(random: &mut Random) -> u32 {
    random.pick(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 31])
}

fn calculation(random: &mut Random) -> u32 {
    let (rs, rt, rd) = (scratch(random), scratch(random), scratch(random));
    match random.below(3) {
        // addi to lui, daddi, daddiu.
        0 => {
            let opcode = random.pick(&[8, 9, 10, 11, 12, 13, 14, 15, 0x18, 0x19]);
            immediate(opcode, rs, rt, random.number() as u16)
        }
        1 => {
            let function = random.pick(&[0x02, 0x20, 0x21, 0x24, 0x25]);
            0x1c << 26 | special(function, rs, rt, rd, 0)
        }
        _ => {
            // All but jumps, syscalls and what is reserved; a division by zero ends the program.
            let function = random.pick(&[
                0x00, 0x02, 0x03, 0x04, 0x06, 0x07, 0x0a, 0x0b, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14,
                0x16, 0x17, 0x18, 0x19, 0x1c, 0x1d, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27,
                0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x38, 0x3a, 0x3b, 0x3c, 0x3e, 0x3f,
            ]);
            special(function, rs, rt, rd, random.below(32) as u32)
        }
    }
}

fn access(random: &mut Random, opcodes: &[u32]) -> u32 {
    let base = random.pick(&[16, 17, 18, 19]);
    immediate(random.pick(opcodes), base, scratch(random), random.below(24) as u16)
}

/// A syscall, about the memory at `place` if it is about memory.
fn random_call(random: &mut Random, place: u64) -> Vec<u32> {
    let pointer = place.wrapping_add(random.below(16));
    let count = random.below(12);
    match random.below(12) {
        0 => call(5023, &[]),
        1 => call(5222, &[1, pointer]),
        2 => call(5313, &[pointer, count]),
        // Mostly of nothing, which goes back to the start of the preimage that is there.
        3 | 4 => call(5001, &[6, pointer, if random.once_in(6) { count } else { 0 }]),
        5 | 6 => call(5000, &[5, pointer, count]),
        7 => call(5001, &[random.pick(&[1, 2, 4]), pointer, count]),
        8 => call(5055, &[0x50f00, 0x7000]),
        9 => call(5194, &[pointer, random.pick(&[128, 129]), random.below(2)]),
        10 if random.once_in(4) => call(5058, &[random.below(3)]),
        10 => call(5178, &[]),
        _ => {
            let number = random.pick(SYSCALLS).number;
            let words = call(number, &[operand(random), operand(random), operand(random)]);
            // exit_group would end it, clone with odd flags too, and a huge write takes long.
            if matches!(number, 5001 | 5055 | 5205) { call(5038, &[]) } else { words }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tribunal_mips64::Mips64;

    use super::*;

    #[test]
    fn a_seed_is_a_state() {
        for seed in 0..200 {
            for make in [generate, generate_program] {
                let (mut a, mut b) = (make(seed), make(seed));
                assert_eq!(a.state.witness(), b.state.witness(), "{seed}");
                assert_eq!(a.preimage, b.preimage);
            }
        }
        assert_ne!(generate(1).state.witness(), generate(2).state.witness());
    }

    #[test]
    fn every_class_has_steps_that_are_taken_and_most_has_some_that_are_refused() {
        let mut taken: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
        for seed in 0..20_000 {
            let start = generate(seed);
            let mut machine = Mips64::new(start.state.clone());
            let counts = taken.entry(start.name).or_default();
            match machine.step_once(&mut start.host()) {
                Ok(()) => counts.0 += 1,
                Err(_) => counts.1 += 1,
            }
        }
        assert_eq!(taken.len(), 7);
        for (name, (taken, refused)) in taken {
            assert!(taken > 300 && refused > 30, "{name}: {taken} taken, {refused} refused");
        }
    }

    #[test]
    fn many_programs_run_for_long() {
        let steps: Vec<u64> = (0..200)
            .map(|seed| {
                let start = generate_program(seed);
                let mut machine = Mips64::new(start.state.clone());
                (0..200).take_while(|_| machine.step_once(&mut start.host()).is_ok()).count() as u64
            })
            .collect();
        let long = steps.iter().filter(|&&steps| steps >= 100).count();
        assert!(long > 100, "{long} of 200");
    }
}
