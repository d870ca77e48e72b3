//! Translation of one block of guest code into x86-64.
//!
//! Knows what each instruction means in machine code, and nothing of how blocks find each other or
//! when they are thrown away. Never executes anything: its result is bytes.
//!
//! # What compiled code keeps to
//!
//! * `rsp` points at a frame; guest registers live in its `registers`, except those that [`Pins`]
//!   keeps in host registers. `gs` and `r13` are added to an address in one of the two segments that
//!   are [`Near`], `r14` points at the marks of pages, `r15` holds the steps that may still be taken.
//!   `rax`, `rcx` and `rdx` are free between instructions.
//! * A block takes its steps off `r15` at its head, and does nothing if there are not enough. Where
//!   it is left early, it gives back those not taken. So the count is exact wherever it can be seen.
//! * Where several loads and stores have one base, it is checked once, before the first of them, for
//!   all: its segment, its alignment, and the marks of the pages that are written. If it does not
//!   pass, the block is left for a *careful* one, which begins at that instruction and checks each
//!   access by itself.
//! * Whatever is rare (a page written for the first time, an address outside of the pieces) calls
//!   out, and so do load-linked and store-conditional, which are steps of the reference. Whatever can
//!   fail or needs more than a thread and memory (syscalls, a division by zero) leaves the block
//!   before the instruction, which the reference then executes.

#![expect(clippy::useless_conversion, reason = "what dynasm! expands to converts its operands")]

use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynamicLabel, DynasmApi as _, DynasmLabelApi as _, VecAssembler, dynasm};
use tribunal_mips64::Op;

use self::groups::{Group, Member};
use self::operands::Value;
use self::rare::Rare;
use self::reading::{
    End, Item, Reading, base_of_scaled_sum, is_zero_extension, loop_pins, rd, read_block, rt,
    shift_amount,
};
use crate::frame::{Exit, FRAME, Near, Pins, Swap};

type Assembler = VecAssembler<X64Relocation>;

/// An instruction with two sources.
macro_rules! alu {
    ($self:ident, imul, $to:expr, $from:expr, 32) => {
        match $from {
            Place::Host(from) => dynasm!($self.code ; .arch x64 ; imul Rd($to), Rd(from)),
            Place::Home(at) => dynasm!($self.code ; .arch x64 ; imul Rd($to), DWORD [rsp + at]),
            Place::Immediate(by) => dynasm!($self.code ; .arch x64 ; imul Rd($to), Rd($to), by),
        }
    };
    ($self:ident, cmp, $to:expr, $from:expr, 64) => {
        match $from {
            Place::Immediate(value) => dynasm!($self.code ; .arch x64 ; cmp Rq($to), value),
            Place::Host(from) => dynasm!($self.code ; .arch x64 ; cmp Rq($to), Rq(from)),
            Place::Home(at) => dynasm!($self.code ; .arch x64 ; cmp Rq($to), QWORD [rsp + at]),
        }
    };
    ($self:ident, $op:ident, $to:expr, $from:expr, 64) => {
        match $from {
            Place::Immediate(value) => match i8::try_from(value) {
                Ok(value) => dynasm!($self.code ; .arch x64 ; $op Rq($to), BYTE value),
                Err(_) => dynasm!($self.code ; .arch x64 ; $op Rq($to), DWORD value),
            },
            Place::Host(from) => dynasm!($self.code ; .arch x64 ; $op Rq($to), Rq(from)),
            Place::Home(at) => dynasm!($self.code ; .arch x64 ; $op Rq($to), QWORD [rsp + at]),
        }
    };
    ($self:ident, $op:ident, $to:expr, $from:expr, 32) => {
        match $from {
            Place::Immediate(value) => match i8::try_from(value) {
                Ok(value) => dynasm!($self.code ; .arch x64 ; $op Rd($to), BYTE value),
                Err(_) => dynasm!($self.code ; .arch x64 ; $op Rd($to), DWORD value),
            },
            Place::Host(from) => dynasm!($self.code ; .arch x64 ; $op Rd($to), Rd(from)),
            Place::Home(at) => dynasm!($self.code ; .arch x64 ; $op Rd($to), DWORD [rsp + at]),
        }
    };
}

mod branches;
mod calculate;
mod groups;
mod memory;
mod operands;
mod rare;
mod reading;

/// The most instructions of a block.
const MAX_INSTRUCTIONS: usize = 80;

/// The most branches of a block.
const MAX_BRANCHES: usize = 4;

/// Where shared code lies that blocks jump to and call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared {
    /// Leaves: `rax` is the next pc, `rcx` the [`Exit`] or a link.
    pub(crate) exit: *const u8,
    /// Loads: `rax` the address, `ecx` the size; the value comes back in `rax`, not extended.
    pub(crate) load: *const u8,
    /// One step of the reference: `rax` is pc, `rdx` the steps that may be taken from there; `eax` is
    /// not zero if compiled code may be stale now.
    pub(crate) step: *const u8,
    /// Stores: `rax` the address, `rdx` the value, `ecx` the size; `eax` is not zero if compiled
    /// code may be stale now.
    pub(crate) store: *const u8,
}

/// What is known when a block is compiled.
pub(crate) struct Request<'a> {
    /// Where it begins.
    pub(crate) pc: u64,
    /// The most steps it may take.
    pub(crate) max_steps: usize,
    /// The registers as they are now, for guesses at where an address will be.
    pub(crate) registers: &'a [u64; 32],
    /// The word in memory at an address as it is now, for the same.
    pub(crate) peek: &'a dyn Fn(u64) -> u64,
    /// Where the code will lie.
    pub(crate) at: *const u8,
    /// Links made so far: new ones count from here.
    pub(crate) links: usize,
    pub(crate) pins: &'a Pins,
    pub(crate) near: Near,
    /// Whether each access is to be checked by itself.
    pub(crate) careful: bool,
    /// Whether its steps are counted: always, but where that is measured.
    pub(crate) counted: bool,
    pub(crate) shared: Shared,
}

/// A compiled block.
pub(crate) struct Compiled {
    pub(crate) code: Vec<u8>,
    /// Guest instructions it was made from.
    pub(crate) instructions: usize,
    /// Jumps that lead to other blocks.
    pub(crate) links: Vec<NewLink>,
}

/// A jump out of a block.
pub(crate) struct NewLink {
    /// Where its 32-bit displacement is, from the start of the code.
    pub(crate) site: usize,
    /// Where it leads while its target is not compiled.
    pub(crate) stub: usize,
    /// The guest address it leads to, with [`CAREFUL`] if to a careful block.
    pub(crate) target: u64,
}

/// Taken off the steps left by a delay slot that may have made code stale, so that what comes next
/// does not run. More than there ever are.
pub(crate) const WITHHELD: u64 = 1 << 62;

/// Marks the address of a careful block where the addresses of blocks are told apart.
pub(crate) const CAREFUL: u64 = 1;

/// Compiles the block at `request.pc`.
pub(crate) fn compile(request: &Request<'_>) -> Compiled {
    let fetch = |pc: u64| {
        let word = (request.peek)(pc & !7);
        (word >> if pc & 4 == 0 { 32 } else { 0 }) as u32
    };
    let reading = read_block(request, fetch);
    let steps = reading.items.iter().map(Item::steps).sum();
    let mut code = Assembler::new_with_capacity(request.at.addr(), 1024, 0, 0, 32, 0, 32);
    let top = code.new_dynamic_label();
    let (pins, swaps) = loop_pins(request, &reading);
    let mut translator = Translator {
        code,
        request,
        steps,
        round: reading.instructions.max(1),
        done: 0,
        in_slot: false,
        pins,
        swaps,
        top,
        values: request.registers.map(Value::Guess),
        fresh: [None; 2],
        flags: None,
        groups: Vec::new(),
        members: Vec::new(),
        rare: Vec::new(),
        links: Vec::new(),
    };
    translator.values[0] = Value::Known(0);
    if !request.careful {
        translator.find_groups(&reading.items);
    }
    translator.block(&reading);
    let Translator { mut code, links, .. } = translator;
    let code = code.take().expect("every label of a block is bound");
    Compiled { code, instructions: reading.instructions, links }
}

struct Translator<'a> {
    code: Assembler,
    request: &'a Request<'a>,
    /// Steps of the whole block.
    steps: usize,
    /// Those of a loop that is laid out several times: once.
    round: usize,
    /// Instructions before the one being translated.
    done: usize,
    in_slot: bool,
    /// Those of all blocks, or, in a loop, those that suit it.
    pins: Pins,
    /// What is different about the pins of a loop. Undone wherever the block is left.
    swaps: Vec<Swap>,
    /// Where a loop begins again.
    top: DynamicLabel,
    values: [Value; 32],
    /// What `rax` and `rdx` still hold of the instruction before: a place in the frame each.
    fresh: [Option<i32>; 2],
    /// The register that was just set by a comparison, a signed one or not, whose flags are still there.
    flags: Option<(u8, bool)>,
    groups: Vec<Group>,
    /// For each instruction, its group.
    members: Vec<Option<Member>>,
    rare: Vec<Rare>,
    links: Vec<NewLink>,
}

impl Translator<'_> {
    fn block(&mut self, reading: &Reading) {
        for Swap { host, out, guest } in self.swaps.clone() {
            dynasm!(self.code ; .arch x64
                ; mov [rsp + FRAME.register(out)], Rq(host)
                ; mov Rq(host), [rsp + FRAME.register(guest)]
            );
        }
        if reading.is_loop {
            self.check_what_stays(&reading.items);
        }
        let top = self.top;
        dynasm!(self.code ; .arch x64 ; =>top);
        if self.steps > 0 && self.request.counted {
            let from = self.code.new_dynamic_label();
            match i8::try_from(self.steps) {
                Ok(steps) => dynasm!(self.code ; .arch x64 ; sub r15, BYTE steps),
                Err(_) => dynasm!(self.code ; .arch x64 ; sub r15, self.steps as i32),
            }
            dynasm!(self.code ; .arch x64 ; jl =>from);
            self.rare.push(Rare::Budget { from });
        }
        let mut rest = &reading.items[..];
        while let [item, after @ ..] = rest {
            rest = after;
            match (*item, after.first()) {
                (
                    Item::Plain { word, op: Op::Dsll32 },
                    Some(&Item::Plain { word: next, op: Op::Dsrl32 }),
                ) if rd(word) != 0 && is_zero_extension(word, next) => {
                    let (d, t) = (rd(word), rt(word));
                    let to = self.target(d);
                    let from = self.read(t, to);
                    dynasm!(self.code ; .arch x64 ; mov Rd(to), Rd(from));
                    self.write(d, to);
                    self.flags = None;
                    self.done += 2;
                    rest = &after[1..];
                }
                (
                    Item::Plain { word, op: Op::Dsll },
                    Some(&Item::Plain { word: next, op: Op::Daddu }),
                ) if let Some(base) = base_of_scaled_sum(word, next) => {
                    self.add_scaled(rd(next), base, rt(word), shift_amount(word));
                    self.flags = None;
                    self.done += 2;
                    rest = &after[1..];
                }
                (Item::Plain { word, op }, _) => {
                    self.instruction(op, word);
                    self.done += 1;
                }
                (Item::Branch { word, op, slot, slot_op, on }, _) => {
                    self.branch(op, word, slot_op, slot, on);
                    self.in_slot = false;
                    self.done += 1;
                }
            }
        }
        match reading.end {
            End::FallsThrough => self.link_to(self.pc()),
            End::Interpreted => {
                let pc = self.pc();
                self.swap_back();
                self.leave(pc, Exit::Interpret as i32);
            }
            End::Left => {}
        }
        let mut rare = 0;
        while rare < self.rare.len() {
            self.rare(rare);
            rare += 1;
        }
    }

    /// Where the instruction being translated is, or, at the end, the one behind the block.
    fn pc(&self) -> u64 {
        self.pc_of(self.done)
    }

    fn pc_of(&self, done: usize) -> u64 {
        let place = if self.steps > self.round { done % self.round } else { done };
        self.request.pc.wrapping_add(place as u64 * 4)
    }
}
