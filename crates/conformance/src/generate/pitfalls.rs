//! Programs in which an engine that is not the reference can go wrong: that compiles blocks, checks
//! the addresses of several accesses at once, or remembers what memory held.
//!
//! Knows where such an engine has to be careful, and no engine. A program here mostly goes on: what
//! ends it is rare.

use std::iter;

use tribunal_memory::PAGE_SIZE;
use tribunal_mips64::{HEAP_START, QUANTUM, ThreadStack};

use super::{
    ACCESSES, ATOMICS, Scene, Start, calculation, operand, place_threads, random_call, scratch,
};
use crate::assemble::{
    NOP, ZERO, beq, bne, daddiu, dsll, immediate, ld, load_value, ori, sd, special,
};
use crate::random::Random;

/// Registers that point into data, and keep to it.
const POINTERS: [u32; 8] = [29, CHANGED, 16, 17, 18, 20, 28, 30];
/// The one of them that calculations change too.
const CHANGED: u32 = 7;
/// Points at what the pointers are at first.
const TABLE: u32 = 23;
/// Count loops.
const COUNTERS: [u32; 2] = [26, 27];
/// Holds an address of code.
const PLACE: u32 = 25;
/// Holds an instruction.
const WORD: u32 = 24;

/// Where code begins, mostly: page ends, both sides of a jump's region.
const BASES: [u64; 8] =
    [0x1000, 0x1e04, 0x1_0ff8, 0x4_0ffc, 0x0fff_fe00, 0x1000_0000, 0x1234_5ff0, 0x1fff_f000];

/// Where no program begins: both sides of 2^29, of 2^31, of 2^32, of 2^41 and of 2^47, and the end
/// of the address space.
const FAR_BASES: [u64; 10] = [
    0x1fff_fe04,
    0x2000_0000,
    0x7fff_ff00,
    0xffff_ff00,
    HEAP_START + 0xffc,
    (1 << 41) - 0x100,
    (5 << 41) - 4,
    (1 << 47) - 0x104,
    1 << 50,
    u64::MAX - 0x4fb,
];

/// A state whose threads stand in front of a program that is full of pitfalls.
pub fn generate_pitfalls(seed: u64) -> Start {
    let mut scene = Scene::new(seed ^ 0x9171);
    let random = &mut Random::new(seed ^ 0x7a11);
    let base = if random.once_in(8) { random.pick(&FAR_BASES) } else { random.pick(&BASES) };
    let length = 30 + random.index(250);
    let pointers = std::array::from_fn(|_| data_address(random, base, length));
    let mut author = Author { random, base, length, pointers, words: Vec::new() };
    author.program();
    let Author { words, .. } = author;

    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    for (pointer, register) in pointers.into_iter().zip(POINTERS) {
        // Also memory that nobody touched yet.
        if random.once_in(2) {
            (0..4).for_each(|word| {
                scene.memory.set_word((pointer & !7).wrapping_add(word * 8), operand(random));
            });
        }
        scene.thread.registers[register as usize] = pointer;
    }
    let table = 0x9000;
    for (pointer, place) in pointers.into_iter().zip(0..) {
        scene.memory.set_word(table + place * 8, pointer);
    }
    scene.memory.write(base, &bytes);
    scene.instruction = words[0];
    (scene.thread.pc, scene.thread.next_pc) = (base, base.wrapping_add(4));
    scene.thread.registers[TABLE as usize] = table;
    let active = scene.thread.clone();
    let mut start = scene.finish("pitfalls");
    let state = &mut start.state;
    place_threads(state, base, words.len() as u64, random);
    if random.once_in(3) {
        state.steps_since_switch = QUANTUM - random.below(2000);
    }
    for stack in [&mut state.left, &mut state.right] {
        let mut threads = stack.as_slice().to_vec();
        for thread in &mut threads {
            for register in POINTERS.into_iter().chain([TABLE]) {
                thread.registers[register as usize] = active.registers[register as usize];
            }
            // Threads of their own, as a program has them.
            thread.registers[9] = thread.id;
        }
        *stack = ThreadStack::new(threads);
    }
    start
}

/// Where data can be: in all kinds of memory, next to all kinds of ends.
fn data_address(random: &mut Random, code: u64, length: usize) -> u64 {
    let near = |random: &mut Random, end: u64| {
        let distance = random.pick(&[0, 1, 4, 8, 16, 64, 0x7ff8, 0x8000, 0x8001, 0xfff8, 0x1_0008]);
        let distance = distance + random.pick(&[0, 0, 1, 3, 8]);
        if random.once_in(2) { end.wrapping_add(distance) } else { end.wrapping_sub(distance) }
    };
    let address = match random.below(16) {
        0 | 1 => 0x3000 + random.below(2 * PAGE_SIZE as u64),
        2 => near(random, 0x1_0000),
        3 | 4 => HEAP_START + random.below(4 * PAGE_SIZE as u64),
        5 => near(random, HEAP_START),
        6 => 0x7fff_ffff_d000 + random.below(PAGE_SIZE as u64),
        7 => near(random, 1 << 47),
        8 | 9 => {
            let segment = random.below(66);
            near(random, segment << 41)
        }
        10 => {
            let place = random.below(1 << 20);
            near(random, place << 21)
        }
        11 => near(random, 0),
        12 => near(random, (1 << 47) + (1 << 41)),
        13 => code.wrapping_add(random.below(length as u64) * 4),
        14 => random.number(),
        _ => random.below(1 << 47),
    };
    // Programs align their data.
    if random.once_in(4) { address } else { address & !7 }
}

/// Writes a program.
struct Author<'a> {
    random: &'a mut Random,
    base: u64,
    /// Of the program, about.
    length: usize,
    pointers: [u64; POINTERS.len()],
    words: Vec<u32>,
}

impl Author<'_> {
    fn program(&mut self) {
        while self.words.len() < self.length {
            self.piece(0);
        }
        // From the top again, so that a run is as long as it is told to be.
        self.words.extend([beq(ZERO, ZERO, -(self.words.len() as i16) - 1), NOP]);
    }

    fn piece(&mut self, depth: usize) {
        match self.random.below(20) {
            0..3 => (0..1 + self.random.below(6)).for_each(|_| self.calculation()),
            3..8 => self.group(),
            8..11 => self.branch(),
            11 | 12 if depth < COUNTERS.len() => self.repeat(depth),
            11 | 12 => self.group(),
            13 => self.jump(),
            14 | 15 => self.rewrite(),
            16 | 17 => self.atomic(),
            18 if self.random.once_in(2) => self.call(),
            18 => self.straddle(),
            _ => self.rarity(),
        }
    }

    fn calculation(&mut self) {
        let random = &mut *self.random;
        match random.below(12) {
            // The halves of a register: what compilers make of a cast.
            0 => {
                let (first, second) = (scratch(random), scratch(random));
                let left = random.pick(&[0x3c, 0x38]);
                let right = random.pick(&[0x3e, 0x3f, 0x3a]);
                let amount = random.pick(&[0, 0, 0, 1, 31]);
                self.words.push(special(left, 0, first, second, amount));
                let source = if random.once_in(4) { first } else { second };
                let target = if random.once_in(4) { first } else { second };
                self.words.push(special(right, 0, source, target, amount));
            }
            1 => {
                let (dividend, divisor) = (scratch(random), random.pick(&[2, 3, 8]));
                self.words.push(ori(divisor, divisor, 1));
                let function = random.pick(&[0x1a, 0x1b, 0x1e, 0x1f]);
                self.words.push(special(function, dividend, divisor, 0, 0));
                self.words.push(special(random.pick(&[0x10, 0x12]), 0, 0, scratch(random), 0));
            }
            2 => self.words.extend(load_value(scratch(random), operand(random))),
            _ => self.words.push(calculation(random)),
        }
    }

    /// A displacement from a pointer at `from`, to something near `style`.
    fn displacement(&mut self, from: u64, style: u64) -> i16 {
        let random = &mut *self.random;
        let to_end = (PAGE_SIZE as u64 - from % PAGE_SIZE as u64) as i16;
        match style {
            0 => random.below(64) as i16,
            1 => to_end.wrapping_add(random.below(24) as i16 - 12),
            2 => random.below(32) as i16 - 16,
            3 => random.pick(&[i16::MIN, i16::MIN + 1, i16::MIN + 8, i16::MAX, i16::MAX - 7]),
            4 => to_end
                .wrapping_add(random.pick(&[-4096, 4096, 8192, 0]))
                .wrapping_add(random.below(16) as i16 - 8),
            _ => random.number() as i16,
        }
    }

    /// Loads and stores with one base, and something in between.
    fn group(&mut self) {
        let place = self.random.index(POINTERS.len());
        let (base, from) = (POINTERS[place], self.pointers[place]);
        let style = self.random.below(7);
        if base == CHANGED {
            self.words.push(ld(base, place as i16 * 8, TABLE));
        }
        // Every displacement as aligned as the access asks for, as compilers have it, as aligned as
        // can be, or not at all.
        let alignment = self.random.below(3);
        let mut moved = false;
        for _ in 0..1 + self.random.below(9) {
            let style = if self.random.once_in(8) { self.random.below(7) } else { style };
            let offset = self.displacement(from, style);
            let opcode = self.random.pick(&ACCESSES);
            let offset = match alignment {
                0 => offset & !(width(opcode) - 1),
                1 => offset & !7,
                _ => offset,
            };
            let register = scratch(self.random);
            self.words.push(immediate(opcode, base, register, offset as u16));
            match self.random.below(12) {
                0 | 1 => self.calculation(),
                2 => {
                    let step = self.random.pick(&[8, -8, 1, 4096, 24]);
                    self.words.push(daddiu(base, base, step));
                    moved = true;
                }
                3 if self.random.once_in(4) => {
                    // What is in memory becomes an address.
                    self.words.push(ld(base, offset, base));
                    moved = true;
                }
                _ => {}
            }
        }
        if moved && !self.random.once_in(8) {
            self.words.push(ld(base, place as i16 * 8, TABLE));
        }
    }

    /// Narrow stores on both sides of a page end, closer together than the widest access through the
    /// same base is wide. What else writes to the first of the pages does so through another.
    fn straddle(&mut self) {
        let place = self.random.index(POINTERS.len());
        let (base, from) = (POINTERS[place], self.pointers[place]);
        let end = (PAGE_SIZE as u64 - from % PAGE_SIZE as u64) as i16 & !7;
        let random = &mut *self.random;
        let end = end + random.pick(&[0, 0, -4096, 4096]);
        if base == CHANGED {
            self.words.push(ld(base, place as i16 * 8, TABLE));
        }
        if random.once_in(2) {
            self.words.extend([ori(PLACE, base, 0), sd(2, end.wrapping_sub(24), PLACE)]);
        }
        let (load, wide) = random.pick(&[(0x37, 8), (0x37, 8), (0x23, 4), (0x27, 4)]);
        let stores = [(0x2b, 4), (0x29, 2), (0x28, 1)];
        let stores = if wide == 8 { &stores[..] } else { &stores[1..] };
        let side = if random.once_in(2) { end } else { end.wrapping_sub(wide) };
        let (before, after) = (random.pick(stores), random.pick(stores));
        let mut pair = [
            immediate(before.0, base, scratch(random), end.wrapping_sub(before.1) as u16),
            immediate(after.0, base, scratch(random), end as u16),
        ];
        if random.once_in(2) {
            pair.reverse();
        }
        self.words.push(immediate(load, base, scratch(random), side as u16));
        self.words.extend(pair);
    }

    /// One instruction for a delay slot, or for anywhere else.
    fn single(&mut self) -> u32 {
        let place = self.random.index(POINTERS.len());
        let style = self.random.below(7);
        let offset = self.displacement(self.pointers[place], style);
        let random = &mut *self.random;
        let target = scratch(random);
        match random.below(16) {
            0..4 => {
                let opcode = random.pick(&ACCESSES);
                let offset = if random.once_in(2) { offset & !(width(opcode) - 1) } else { offset };
                immediate(opcode, POINTERS[place], target, offset as u16)
            }
            4 => NOP,
            5 => immediate(random.pick(&ATOMICS), POINTERS[place], target, 8),
            6 => special(random.pick(&[0x10, 0x11, 0x12, 0x13, 0x18, 0x1d]), target, 3, 2, 0),
            // Mostly not zero.
            7 => special(random.pick(&[0x1a, 0x1b, 0x1e, 0x1f]), target, POINTERS[0], 0, 0),
            _ => calculation(random),
        }
    }

    fn slot(&mut self) {
        let slot = match self.random.below(150) {
            // A branch in a delay slot ends the program.
            0 => beq(ZERO, ZERO, 3),
            1 | 2 => 0x0c,
            _ => self.single(),
        };
        self.words.push(slot);
    }

    /// A branch over a few instructions, now and then into what was not meant to be jumped into.
    fn branch(&mut self) {
        let random = &mut *self.random;
        let (rs, rt) = (scratch(random), scratch(random));
        let skipped = random.pick(&[0, 1, 2, 3, 6, 12]);
        let back = random.once_in(12);
        let distance = if back { -(random.below(12) as i16) } else { 1 + skipped };
        let opcode = random.pick(&[1, 1, 4, 4, 5, 5, 6, 7]);
        let rt = if opcode == 1 { random.pick(&[0, 1, 0x11, 0x10]) } else { rt };
        let rt = if matches!(opcode, 6 | 7) { 0 } else { rt };
        self.words.push(immediate(opcode, rs, rt, distance as u16));
        self.slot();
        for _ in 0..skipped {
            let word = self.single();
            self.words.push(word);
        }
    }

    fn repeat(&mut self, depth: usize) {
        let counter = COUNTERS[depth];
        let times = self.random.pick(&[2, 3, 10, 40, 90]);
        self.words.push(ori(counter, ZERO, times));
        let top = self.words.len();
        (0..1 + self.random.below(3)).for_each(|_| self.piece(depth + 1));
        self.words.push(daddiu(counter, counter, -1));
        let distance = self.words.len() - top + 1;
        self.words.push(bne(counter, ZERO, -(distance as i16)));
        self.slot();
    }

    fn code_address(&mut self, distance: u64) -> u64 {
        let here = self.words.len() as u64;
        let place = match self.random.below(4) {
            0 => self.random.below(self.length as u64),
            // Around here: behind the instructions that are about to be written, mostly.
            _ => here + self.random.below(distance),
        };
        self.base.wrapping_add(place * 4)
    }

    /// A jump to an address in a register, or to one in the instruction.
    fn jump(&mut self) {
        let here = self.base.wrapping_add(self.words.len() as u64 * 4);
        match self.random.below(4) {
            0 => {
                let target = self.code_address(24);
                let opcode = self.random.pick(&[2, 3]);
                if here.wrapping_add(4) >> 28 == target >> 28 {
                    self.words.push(opcode << 26 | (target >> 2) as u32 & 0x03ff_ffff);
                    self.slot();
                }
            }
            1 => {
                // There and back.
                self.words.extend([immediate(1, ZERO, 0x11, 3), NOP, beq(ZERO, ZERO, 3), NOP]);
                let slot = self.single();
                self.words.extend([special(0x08, 31, 0, 0, 0), slot]);
            }
            _ => {
                let target = self.code_address(24);
                let target = match self.random.below(100) {
                    0 => target + self.random.below(4),
                    1 => target | 1 << 63,
                    2 => target ^ 1 << 29,
                    3 => self.random.below(8),
                    _ => target,
                };
                self.words.extend(load_value(PLACE, target));
                let link = self.random.pick(&[31, PLACE, 0, 3]);
                let function = self.random.pick(&[0x08, 0x09]);
                let link = if function == 0x09 { link } else { 0 };
                self.words.push(special(function, PLACE, 0, link, 0));
                self.slot();
            }
        }
    }

    /// A store into the program: over what comes next, what was just executed, or anything else.
    fn rewrite(&mut self) {
        // What becomes of it is an instruction most times.
        let word = match self.random.below(12) {
            0 => self.random.number() as u32,
            1 => 0x0c,
            2 => beq(ZERO, ZERO, 1),
            _ => self.single(),
        };
        let target = self.code_address(32);
        self.words.extend(load_value(WORD, u64::from(word)));
        self.words.extend(load_value(PLACE, target));
        let offset = self.random.pick(&[0, 0, 0, 4, -4, 8]);
        let store = match self.random.below(10) {
            0 => {
                self.words.push(dsll(WORD, WORD, 16));
                self.words.push(dsll(WORD, WORD, 16));
                sd(WORD, offset, PLACE)
            }
            // One byte: other registers, another displacement.
            1 => immediate(0x28, PLACE, WORD, 1),
            2 => immediate(0x29, PLACE, WORD, 2),
            3 => immediate(self.random.pick(&[0x2a, 0x2e]), PLACE, WORD, 3),
            _ => immediate(0x2b, PLACE, WORD, offset as u16),
        };
        match self.random.below(5) {
            // In a delay slot.
            0 => self.words.extend([beq(ZERO, ZERO, 1), store]),
            // As one of several.
            1 => {
                let before = self.random.pick(&[0x23, 0x37, 0x27]);
                self.words.extend([immediate(before, PLACE, 2, 8), store]);
                self.words.push(immediate(0x23, PLACE, 3, 0));
            }
            _ => self.words.push(store),
        }
        for _ in 0..self.random.below(5) {
            let word = self.single();
            self.words.push(word);
        }
    }

    /// Load-linked, something that may break the reservation, and store-conditional.
    fn atomic(&mut self) {
        let place = self.random.index(POINTERS.len());
        let base = POINTERS[place];
        let offset: i16 = self.random.pick(&[0, 4, 8, -8, 0x7ff8, -0x8000]);
        let double = self.random.once_in(2);
        let (load, store) = if double { (0x34, 0x3c) } else { (0x30, 0x38) };
        self.words.push(immediate(load, base, 8, offset as u16));
        match self.random.below(6) {
            0 => self.words.push(immediate(0x2b, base, 3, offset as u16)),
            1 => self.words.push(sd(3, offset.wrapping_add(16), base)),
            2 => self.group(),
            3 => self.words.push(immediate(0x28, base, 3, (offset ^ 7) as u16)),
            _ => self.calculation(),
        }
        self.words.push(daddiu(8, 8, 1));
        self.words.push(immediate(store, base, 8, offset as u16));
        if self.random.once_in(4) {
            // Again, if it did not succeed; for ever, if it never does.
            let distance = -(self.random.below(4) as i16) - 2;
            self.words.extend([beq(8, ZERO, distance), NOP]);
        }
    }

    fn call(&mut self) {
        let place = match self.random.below(5) {
            // Preimages, time and random bytes may become code.
            0 => self.code_address(16),
            1 => self.random.pick(&self.pointers),
            _ => self.random.pick(&[0x3000, 0x4ff4, HEAP_START + 0xffc]),
        };
        let call = random_call(self.random, place);
        self.words.extend(call);
    }

    /// What ends a program, and what is seldom seen.
    fn rarity(&mut self) {
        match self.random.below(30) {
            0 => self.words.push(self.random.number() as u32),
            1 => self.words.push(special(self.random.pick(&[0x1a, 0x1b, 0x1e, 0x1f]), 2, 0, 0, 0)),
            // As far as a page goes, and further.
            2..5 => {
                let count = self.random.pick(&[90, 96, 97, 100, 130]);
                let filler = iter::repeat_with(|| calculation(self.random)).take(count);
                self.words.extend(filler);
            }
            _ => self.calculation(),
        }
    }
}

/// Bytes that a load or store accesses; 1 for those to which any address is as good as another.
fn width(opcode: u32) -> i16 {
    match opcode {
        0x37 | 0x3f => 8,
        0x23 | 0x27 | 0x2b => 4,
        0x21 | 0x25 | 0x29 => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use tribunal_machine::{Machine as _, StopOn};
    use tribunal_mips64::Mips64;

    use super::*;

    #[test]
    fn a_seed_is_a_program_and_many_run_for_long() {
        let mut long = 0;
        for seed in 0..200 {
            let (mut start, mut again) = (generate_pitfalls(seed), generate_pitfalls(seed));
            assert_eq!(start.state.witness(), again.state.witness());
            let mut machine = Mips64::new(start.state.clone());
            let until = machine.step().wrapping_add(1000);
            let end = machine.run(until, StopOn::Nothing, &mut start.host());
            long += u32::from(end.is_ok() && machine.step() == until);
        }
        assert!(long > 80, "{long} of 200");
    }
}
