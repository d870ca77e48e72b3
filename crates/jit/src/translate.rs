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
//!   out; whatever can fail or needs more than registers and memory (syscalls, load-linked, a
//!   division by zero) leaves the block before the instruction, which the reference then executes.

#![expect(clippy::useless_conversion, reason = "what dynasm! expands to converts its operands")]

use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynamicLabel, DynasmApi as _, DynasmLabelApi as _, VecAssembler, dynasm};
use tribunal_mips64::{Op, Syntax, decode};

use crate::frame::{Exit, FRAME, Near, Pins};
use crate::window::{DELTAS_BYTES, SEGMENT_BITS, SEGMENTS, TABLE_BYTES};

type Assembler = VecAssembler<X64Relocation>;

/// The most instructions of a block.
const MAX_INSTRUCTIONS: usize = 96;

/// Where shared code lies that blocks jump to and call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared {
    /// Leaves: `rax` is the next pc, `rcx` the [`Exit`] or a link.
    pub(crate) exit: *const u8,
    /// Loads: `rax` the address, `ecx` the size; the value comes back in `rax`, not extended.
    pub(crate) load: *const u8,
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

/// Marks the address of a careful block where the addresses of blocks are told apart.
pub(crate) const CAREFUL: u64 = 1;

/// Compiles the block at `request.pc`.
pub(crate) fn compile(request: &Request<'_>) -> Compiled {
    let fetch = |pc: u64| {
        let word = (request.peek)(pc & !7);
        (word >> if pc & 4 == 0 { 32 } else { 0 }) as u32
    };
    let mut words: Vec<(u32, Op)> = Vec::new();
    let mut end = End::FallsThrough;
    let limit = request.max_steps.min(MAX_INSTRUCTIONS);
    while words.len() < limit {
        let pc = request.pc.wrapping_add(words.len() as u64 * 4);
        let word = fetch(pc);
        let Some(op) = decode(word).filter(|op| is_compiled(*op)) else {
            end = End::Interpreted;
            break;
        };
        if is_branch(op) {
            if words.len() + 2 > limit && !words.is_empty() {
                break;
            }
            let slot = fetch(pc.wrapping_add(4));
            match decode(slot).filter(|slot| is_compiled(*slot) && !is_branch(*slot)) {
                // Two steps may be more than are allowed; what leaves in the middle cannot stand
                // behind a branch that is not taken yet.
                Some(slot_op) if words.len() + 2 <= limit && !may_fail(slot_op) => {
                    end = End::Branch { word, op, slot, slot_op };
                }
                _ => end = End::Interpreted,
            }
            break;
        }
        words.push((word, op));
    }

    let steps = words.len() + if matches!(end, End::Branch { .. }) { 2 } else { 0 };
    let mut translator = Translator {
        code: Assembler::new_with_capacity(request.at.addr(), 1024, 0, 0, 32, 0, 32),
        request,
        steps,
        done: 0,
        in_slot: false,
        values: request.registers.map(Value::Guess),
        fresh: [None; 2],
        groups: Vec::new(),
        members: Vec::new(),
        rare: Vec::new(),
        links: Vec::new(),
    };
    translator.values[0] = Value::Known(0);
    if !request.careful {
        translator.find_groups(&words, &end);
    }
    translator.block(&words, &end);
    let Translator { mut code, links, .. } = translator;
    let code = code.take().expect("every label of a block is bound");
    let slots = if matches!(end, End::Branch { .. }) { 2 } else { 0 };
    Compiled { code, instructions: words.len() + slots, links }
}

/// How a block ends.
enum End {
    /// The next instruction is in another block, because this one is long enough.
    FallsThrough,
    /// The next instruction is for the reference.
    Interpreted,
    /// With a branch and what stands in its delay slot.
    Branch { word: u32, op: Op, slot: u32, slot_op: Op },
}

/// Whether dsll32 and then dsrl32 clear the upper half of a register, and do nothing else.
fn is_zero_extension(first: u32, second: u32) -> bool {
    shift_amount(first) == 0
        && shift_amount(second) == 0
        && rd(first) == rt(second)
        && rd(first) == rd(second)
}

/// Whether blocks hold this instruction.
fn is_compiled(op: Op) -> bool {
    !matches!(op, Op::Syscall | Op::Ll | Op::Lld | Op::Sc | Op::Scd)
}

/// Whether it may be left to the reference when its operands are seen.
fn may_fail(op: Op) -> bool {
    matches!(op, Op::Div | Op::Divu | Op::Ddiv | Op::Ddivu)
}

fn is_branch(op: Op) -> bool {
    matches!(op.row().syntax, Syntax::RsRtBranch | Syntax::RsBranch | Syntax::Jump)
        || matches!(op, Op::Jr | Op::Jalr)
}

/// The register that an instruction writes; for branches, only that of jalr.
fn written(op: Op, word: u32) -> u8 {
    match op.row().syntax {
        Syntax::RtRsSigned | Syntax::RtRsUnsigned | Syntax::RtUnsigned => rt(word),
        Syntax::RtOffset if is_store(op) => 0,
        Syntax::RtOffset => rt(word),
        _ => rd(word),
    }
}

fn is_store(op: Op) -> bool {
    matches!(op, Op::Sb | Op::Sh | Op::Swl | Op::Sw | Op::Sdl | Op::Sdr | Op::Swr | Op::Sd)
}

fn rs(word: u32) -> u8 {
    (word >> 21 & 31) as u8
}

fn rt(word: u32) -> u8 {
    (word >> 16 & 31) as u8
}

fn rd(word: u32) -> u8 {
    (word >> 11 & 31) as u8
}

fn shift_amount(word: u32) -> u8 {
    (word >> 6 & 31) as u8
}

fn signed(word: u32) -> i32 {
    i32::from(word as i16)
}

/// What is known of a guest register.
#[derive(Clone, Copy)]
enum Value {
    /// Always this.
    Known(u64),
    /// This when the block was compiled.
    Guess(u64),
    Unknown,
}

/// Numbers from here on are taken for pointers.
const POINTERS: u64 = 1 << SEGMENT_BITS;

impl Value {
    /// The sum, as far as it tells where it points to.
    fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Known(a), Self::Known(b)) => Self::Known(a.wrapping_add(b)),
            (Self::Unknown, Self::Guess(pointer) | Self::Known(pointer))
            | (Self::Guess(pointer) | Self::Known(pointer), Self::Unknown) => {
                if pointer >= POINTERS { Self::Guess(pointer) } else { Self::Unknown }
            }
            (Self::Unknown, Self::Unknown) => Self::Unknown,
            (Self::Guess(a) | Self::Known(a), Self::Guess(b) | Self::Known(b)) => {
                Self::Guess(a.wrapping_add(b))
            }
        }
    }

    fn map(self, change: impl Fn(u64) -> u64) -> Self {
        match self {
            Self::Known(value) => Self::Known(change(value)),
            Self::Guess(value) => Self::Guess(change(value)),
            Self::Unknown => Self::Unknown,
        }
    }
}

/// Where an operand is.
#[derive(Clone, Copy)]
enum Place {
    Host(u8),
    Home(i32),
    Immediate(i32),
}

/// Host registers that are free between instructions.
const RAX: u8 = 0;
const RCX: u8 = 1;
const RDX: u8 = 2;

/// How memory is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Through `gs`.
    Gs,
    /// Through `r13`.
    R13,
    /// Through whatever delta `rcx` holds.
    Rcx,
}

impl Way {
    /// Its place among the segments that are near.
    fn near(self) -> i32 {
        match self {
            Self::Gs => 0,
            Self::R13 | Self::Rcx => 8,
        }
    }
}

/// Where a value in memory is: what a host register holds, and a displacement.
#[derive(Clone, Copy)]
struct At {
    way: Way,
    base: u8,
    offset: i32,
}

/// Accesses with one base whose value does not change between them.
#[derive(Clone, Copy)]
struct Group {
    base: u8,
    members: usize,
    /// Alignment: the widest access.
    bytes: i32,
    /// Displacements of the lowest and the highest byte written.
    stores: Option<(i32, i32)>,
    /// Set once it has been checked.
    way: Option<Way>,
    /// Cannot be checked at once.
    given_up: bool,
}

/// Bytes written through one base that are checked at once: within two pages.
const MAX_STORE_SPAN: i32 = 4096;

/// How a value in memory becomes one in a register.
#[derive(Clone, Copy)]
enum Width {
    Byte { signed: bool },
    Half { signed: bool },
    Word { signed: bool },
    Double,
}

impl Width {
    fn bytes(self) -> i32 {
        match self {
            Self::Byte { .. } => 1,
            Self::Half { .. } => 2,
            Self::Word { .. } => 4,
            Self::Double => 8,
        }
    }

    /// Where its mask is among those of the frame.
    fn mask(self) -> i32 {
        mask_of(self.bytes())
    }

    /// That of a plain load or store.
    fn of(op: Op) -> Option<Self> {
        Some(match op {
            Op::Lb => Self::Byte { signed: true },
            Op::Lbu | Op::Sb => Self::Byte { signed: false },
            Op::Lh => Self::Half { signed: true },
            Op::Lhu | Op::Sh => Self::Half { signed: false },
            Op::Lw => Self::Word { signed: true },
            Op::Lwu | Op::Sw => Self::Word { signed: false },
            Op::Ld | Op::Sd => Self::Double,
            _ => return None,
        })
    }
}

fn mask_of(bytes: i32) -> i32 {
    bytes.trailing_zeros() as i32 * 8
}

/// Code that is out of the way of the usual.
enum Rare {
    /// The block has more steps than are left.
    Budget {
        from: DynamicLabel,
    },
    /// The reference takes instruction `done`.
    Interpret {
        from: DynamicLabel,
        done: usize,
    },
    Load {
        from: DynamicLabel,
        back: DynamicLabel,
        width: Width,
        to: u8,
        keep: bool,
    },
    Store {
        /// Not in the segment that was looked in.
        from: DynamicLabel,
        /// The page needs attention.
        marked: DynamicLabel,
        back: DynamicLabel,
        width: Width,
        value: u8,
        /// The instruction behind the store, unless that is certain to leave the block.
        done: Option<usize>,
    },
    /// A base that does not pass for all of its group: on with a careful block.
    Careful {
        from: DynamicLabel,
        done: usize,
    },
    /// A link whose target is not compiled.
    Link {
        from: DynamicLabel,
        which: usize,
        target: u64,
    },
    /// A jump to what the table does not know.
    Indirect {
        from: DynamicLabel,
    },
}

struct Translator<'a> {
    code: Assembler,
    request: &'a Request<'a>,
    /// Steps of the whole block.
    steps: usize,
    /// Instructions before the one being translated.
    done: usize,
    in_slot: bool,
    values: [Value; 32],
    /// What `rax` and `rdx` still hold of the instruction before: a place in the frame each.
    fresh: [Option<i32>; 2],
    groups: Vec<Group>,
    /// For each instruction, its group.
    members: Vec<Option<usize>>,
    rare: Vec<Rare>,
    links: Vec<NewLink>,
}

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

impl Translator<'_> {
    fn block(&mut self, words: &[(u32, Op)], end: &End) {
        if self.steps > 0 {
            let from = self.code.new_dynamic_label();
            match i8::try_from(self.steps) {
                Ok(steps) => dynasm!(self.code ; .arch x64 ; sub r15, BYTE steps),
                Err(_) => dynasm!(self.code ; .arch x64 ; sub r15, self.steps as i32),
            }
            dynasm!(self.code ; .arch x64 ; jl =>from);
            self.rare.push(Rare::Budget { from });
        }
        let mut rest = words;
        while let [(word, op), after @ ..] = rest {
            match after {
                [(next, Op::Dsrl32), ..]
                    if *op == Op::Dsll32 && rd(*word) != 0 && is_zero_extension(*word, *next) =>
                {
                    let (d, t) = (rd(*word), rt(*word));
                    let to = self.target(d);
                    let from = self.read(t, to);
                    dynasm!(self.code ; .arch x64 ; mov Rd(to), Rd(from));
                    self.write(d, to);
                    self.done += 2;
                    rest = &after[1..];
                }
                _ => {
                    self.instruction(*op, *word);
                    self.done += 1;
                    rest = after;
                }
            }
        }
        match *end {
            End::FallsThrough => self.link_to(self.pc()),
            End::Interpreted => {
                let pc = self.pc();
                self.leave(pc, Exit::Interpret as i32);
            }
            End::Branch { word, op, slot, slot_op } => self.branch(op, word, slot_op, slot),
        }
        let mut rare = 0;
        while rare < self.rare.len() {
            self.rare(rare);
            rare += 1;
        }
    }

    /// Where the instruction being translated is.
    fn pc(&self) -> u64 {
        self.request.pc.wrapping_add(self.done as u64 * 4)
    }
}

/// Operands.
impl Translator<'_> {
    fn place(&self, register: u8) -> Place {
        match self.request.pins.host(register) {
            Some(host) => Place::Host(host),
            None => Place::Home(FRAME.register(register)),
        }
    }

    /// A host register that holds `register`: its own, or `scratch`.
    fn read(&mut self, register: u8, scratch: u8) -> u8 {
        if let Some(host) = self.request.pins.host(register) {
            return host;
        }
        if let Value::Known(value) = self.values[usize::from(register)] {
            self.constant(scratch, value);
        } else {
            self.read_home(FRAME.register(register), scratch);
        }
        scratch
    }

    /// `scratch` = what is at a place in the frame.
    fn read_home(&mut self, at: i32, scratch: u8) {
        match std::mem::take(&mut self.fresh) {
            [Some(fresh), _] if fresh == at => {
                if scratch != RAX {
                    dynasm!(self.code ; .arch x64 ; mov Rq(scratch), rax);
                }
            }
            [_, Some(fresh)] if fresh == at => {
                if scratch != RDX {
                    dynasm!(self.code ; .arch x64 ; mov Rq(scratch), rdx);
                }
            }
            _ => dynasm!(self.code ; .arch x64 ; mov Rq(scratch), QWORD [rsp + at]),
        }
    }

    /// Where to take the second operand of a calculation from: an immediate if it is one.
    fn operand(&self, register: u8) -> Place {
        match self.values[usize::from(register)] {
            Value::Known(value) => match i32::try_from(value as i64) {
                Ok(value) => Place::Immediate(value),
                Err(_) => self.place(register),
            },
            _ => self.place(register),
        }
    }

    /// `to` = `register`
    fn copy(&mut self, to: u8, register: u8) {
        let from = self.read(register, to);
        if from != to {
            dynasm!(self.code ; .arch x64 ; mov Rq(to), Rq(from));
            self.fresh = [None; 2];
        }
    }

    /// The host register to compute a result for `register` in.
    fn target(&self, register: u8) -> u8 {
        self.request.pins.host(register).unwrap_or(RAX)
    }

    /// `register` = `from`; nothing more is known of it.
    fn write(&mut self, register: u8, from: u8) {
        self.values[usize::from(register)] = Value::Unknown;
        match self.place(register) {
            Place::Host(host) if host == from => {}
            Place::Host(host) => dynasm!(self.code ; .arch x64 ; mov Rq(host), Rq(from)),
            Place::Home(at) => {
                dynasm!(self.code ; .arch x64 ; mov QWORD [rsp + at], Rq(from));
                if from == RAX {
                    self.fresh = [Some(at), None];
                }
            }
            Place::Immediate(_) => {}
        }
    }

    /// `register` = a constant
    fn write_known(&mut self, register: u8, value: u64) {
        match self.place(register) {
            Place::Host(host) => self.constant(host, value),
            Place::Home(at) => match i32::try_from(value as i64) {
                Ok(value) => dynasm!(self.code ; .arch x64 ; mov QWORD [rsp + at], value),
                Err(_) => {
                    self.constant(RAX, value);
                    dynasm!(self.code ; .arch x64 ; mov QWORD [rsp + at], rax);
                }
            },
            Place::Immediate(_) => {}
        }
        self.values[usize::from(register)] = Value::Known(value);
    }

    /// `to` = `from` + `offset`
    fn add_to(&mut self, to: u8, from: u8, offset: i32) {
        self.fresh = [None; 2];
        match i8::try_from(offset) {
            Ok(0) => dynasm!(self.code ; .arch x64 ; mov Rq(to), Rq(from)),
            Ok(offset) => dynasm!(self.code ; .arch x64 ; lea Rq(to), [BYTE Rq(from) + offset]),
            Err(_) => dynasm!(self.code ; .arch x64 ; lea Rq(to), [Rq(from) + offset]),
        }
    }

    fn constant(&mut self, to: u8, value: u64) {
        self.fresh = [None; 2];
        if value == 0 {
            dynasm!(self.code ; .arch x64 ; xor Rd(to), Rd(to));
        } else if let Ok(value) = u32::try_from(value) {
            dynasm!(self.code ; .arch x64 ; mov Rd(to), value as i32);
        } else if let Ok(value) = i32::try_from(value as i64) {
            dynasm!(self.code ; .arch x64 ; mov Rq(to), value);
        } else {
            dynasm!(self.code ; .arch x64 ; mov Rq(to), QWORD value as i64);
        }
    }
}

/// Registers to registers.
impl Translator<'_> {
    fn instruction(&mut self, op: Op, word: u32) {
        let (s, t, d) = (rs(word), rt(word), rd(word));
        // What is fresh is used by the first operand that is read, or lost.
        let kept = self.fresh;
        self.instruction_with(op, word, s, t, d);
        if self.fresh == kept && !matches!(op, Op::Mfhi | Op::Mflo) {
            self.fresh = [None; 2];
        }
    }

    fn instruction_with(&mut self, op: Op, word: u32, s: u8, t: u8, d: u8) {
        let (small, amount) = (signed(word), shift_amount(word));
        let large = (word & 0xffff) as i32;
        match op {
            // Without a result that anyone sees. Loads and stores touch memory, but reading has no
            // effect, so even a load to register 0 is nothing.
            _ if written(op, word) == 0 && !is_store(op) && !writes_hi_lo(op) => {}

            Op::Sll if amount == 0 => self.unary(d, t, sign_extend),
            Op::Sll => self.unary(d, t, |code, to| {
                dynasm!(code ; .arch x64 ; shl Rd(to), amount as i8 ; movsxd Rq(to), Rd(to))
            }),
            Op::Srl => self.unary(d, t, |code, to| {
                dynasm!(code ; .arch x64 ; shr Rd(to), amount as i8 ; movsxd Rq(to), Rd(to))
            }),
            Op::Sra => self.unary(d, t, |code, to| {
                dynasm!(code ; .arch x64 ; sar Rd(to), amount as i8 ; movsxd Rq(to), Rd(to))
            }),
            Op::Dsll => self.shift_left(d, t, amount),
            Op::Dsll32 => self.shift_left(d, t, amount + 32),
            Op::Dsrl => self.shift_right(d, t, amount),
            Op::Dsrl32 => self.shift_right(d, t, amount + 32),
            Op::Dsra => self.unary(d, t, |code, to| {
                dynasm!(code ; .arch x64 ; sar Rq(to), amount as i8)
            }),
            Op::Dsra32 => self.unary(d, t, |code, to| {
                dynasm!(code ; .arch x64 ; sar Rq(to), amount as i8 + 32)
            }),
            Op::Sllv | Op::Srlv | Op::Srav | Op::Dsllv | Op::Dsrlv | Op::Dsrav => {
                let count = self.read(s, RCX);
                let value = self.read(t, RDX);
                let to = self.target(d);
                let code = &mut self.code;
                match op {
                    Op::Sllv => dynasm!(code ; .arch x64 ; shlx Rd(to), Rd(value), Rd(count)),
                    Op::Srlv => dynasm!(code ; .arch x64 ; shrx Rd(to), Rd(value), Rd(count)),
                    Op::Srav => dynasm!(code ; .arch x64 ; sarx Rd(to), Rd(value), Rd(count)),
                    Op::Dsllv => dynasm!(code ; .arch x64 ; shlx Rq(to), Rq(value), Rq(count)),
                    Op::Dsrlv => dynasm!(code ; .arch x64 ; shrx Rq(to), Rq(value), Rq(count)),
                    _ => dynasm!(code ; .arch x64 ; sarx Rq(to), Rq(value), Rq(count)),
                }
                if matches!(op, Op::Sllv | Op::Srlv | Op::Srav) {
                    sign_extend(code, to);
                }
                self.write(d, to);
            }

            Op::Daddu | Op::Dadd | Op::Or | Op::Xor if t == 0 => self.move_to(d, s),
            Op::Daddu | Op::Dadd | Op::Or | Op::Xor if s == 0 => self.move_to(d, t),
            Op::Add | Op::Addu => {
                self.binary(d, s, t, true, |this, to, from| {
                    alu!(this, add, to, from, 32);
                    sign_extend(&mut this.code, to);
                });
            }
            Op::Sub | Op::Subu => {
                self.binary(d, s, t, false, |this, to, from| {
                    alu!(this, sub, to, from, 32);
                    sign_extend(&mut this.code, to);
                });
            }
            Op::Mul => {
                self.binary(d, s, t, true, |this, to, from| {
                    alu!(this, imul, to, from, 32);
                    sign_extend(&mut this.code, to);
                });
            }
            Op::Dadd | Op::Daddu => {
                let sum = self.values[usize::from(s)].plus(self.values[usize::from(t)]);
                match (self.place(s), self.place(t), self.place(d)) {
                    (Place::Host(a), Place::Host(b), Place::Host(to)) if to != a && to != b => {
                        dynasm!(self.code ; .arch x64 ; lea Rq(to), [Rq(a) + Rq(b)]);
                        self.write(d, to);
                    }
                    _ => self.binary(d, s, t, true, |this, to, from| alu!(this, add, to, from, 64)),
                }
                if let Value::Guess(_) = sum {
                    self.values[usize::from(d)] = sum;
                }
            }
            Op::Dsub | Op::Dsubu => {
                self.binary(d, s, t, false, |this, to, from| alu!(this, sub, to, from, 64));
            }
            Op::And => self.binary(d, s, t, true, |this, to, from| alu!(this, and, to, from, 64)),
            Op::Or => self.binary(d, s, t, true, |this, to, from| alu!(this, or, to, from, 64)),
            Op::Xor => self.binary(d, s, t, true, |this, to, from| alu!(this, xor, to, from, 64)),
            Op::Nor if t == 0 => self.unary(d, s, |code, to| dynasm!(code ; .arch x64 ; not Rq(to))),
            Op::Nor if s == 0 => self.unary(d, t, |code, to| dynasm!(code ; .arch x64 ; not Rq(to))),
            Op::Nor => self.binary(d, s, t, true, |this, to, from| {
                alu!(this, or, to, from, 64);
                dynasm!(this.code ; .arch x64 ; not Rq(to));
            }),
            Op::Slt | Op::Sltu => {
                let left = self.read(s, RCX);
                let right = self.operand(t);
                alu!(self, cmp, left, right, 64);
                self.set_if(d, op == Op::Slt);
            }
            Op::Slti | Op::Sltiu => {
                let left = self.read(s, RCX);
                dynasm!(self.code ; .arch x64 ; cmp Rq(left), small);
                self.set_if(t, op == Op::Slti);
            }
            Op::Clz | Op::Clo | Op::Dclz | Op::Dclo => {
                self.copy(RAX, s);
                let code = &mut self.code;
                match op {
                    Op::Clz => dynasm!(code ; .arch x64 ; lzcnt eax, eax),
                    Op::Clo => dynasm!(code ; .arch x64 ; not eax ; lzcnt eax, eax),
                    Op::Dclz => dynasm!(code ; .arch x64 ; lzcnt rax, rax),
                    _ => dynasm!(code ; .arch x64 ; not rax ; lzcnt rax, rax),
                }
                self.write(d, RAX);
            }
            Op::Movz | Op::Movn => {
                let condition = self.read(t, RCX);
                let from = self.read(s, RDX);
                let to = self.read(d, RAX);
                dynasm!(self.code ; .arch x64 ; test Rq(condition), Rq(condition));
                match op {
                    Op::Movz => dynasm!(self.code ; .arch x64 ; cmovz Rq(to), Rq(from)),
                    _ => dynasm!(self.code ; .arch x64 ; cmovnz Rq(to), Rq(from)),
                }
                self.write(d, to);
            }
            Op::Sync => self.move_to(d, s),

            Op::Addi | Op::Addiu if s == 0 => self.write_known(t, i64::from(small) as u64),
            Op::Daddi | Op::Daddiu if s == 0 => self.write_known(t, i64::from(small) as u64),
            Op::Addi | Op::Addiu => {
                let value = self.values[usize::from(s)];
                if let Value::Known(value) = value {
                    return self.write_known(t, (value as i32).wrapping_add(small) as u64);
                }
                self.unary(t, s, |code, to| {
                    match i8::try_from(small) {
                        Ok(0) => {}
                        Ok(small) => dynasm!(code ; .arch x64 ; add Rd(to), BYTE small),
                        Err(_) => dynasm!(code ; .arch x64 ; add Rd(to), small),
                    }
                    sign_extend(code, to);
                });
                self.values[usize::from(t)] =
                    value.map(|value| (value as i32).wrapping_add(small) as u64);
            }
            Op::Daddi | Op::Daddiu => {
                let value = self.values[usize::from(s)];
                let result = value.map(|value| value.wrapping_add_signed(small.into()));
                if let Value::Known(result) = result {
                    return self.write_known(t, result);
                }
                match (self.place(s), self.place(t)) {
                    (Place::Host(from), Place::Host(to)) if from != to => {
                        self.add_to(to, from, small);
                    }
                    (Place::Home(at), Place::Home(to)) if at == to => {
                        dynasm!(self.code ; .arch x64 ; add QWORD [rsp + at], small);
                    }
                    _ => self.unary(t, s, |code, to| match i8::try_from(small) {
                        Ok(small) => dynasm!(code ; .arch x64 ; add Rq(to), BYTE small),
                        Err(_) => dynasm!(code ; .arch x64 ; add Rq(to), small),
                    }),
                }
                self.values[usize::from(t)] = result;
            }
            Op::Andi => self.unary(t, s, |code, to| dynasm!(code ; .arch x64 ; and Rd(to), large)),
            Op::Ori | Op::Xori => {
                if let Value::Known(value) = self.values[usize::from(s)] {
                    let large = large as u64;
                    let value = if op == Op::Ori { value | large } else { value ^ large };
                    return self.write_known(t, value);
                }
                self.unary(t, s, |code, to| match op {
                    Op::Ori => dynasm!(code ; .arch x64 ; or Rq(to), large),
                    _ => dynasm!(code ; .arch x64 ; xor Rq(to), large),
                });
            }
            Op::Lui => self.write_known(t, (large << 16) as u64),

            Op::Mfhi | Op::Mflo => {
                let at = if op == Op::Mfhi { FRAME.hi } else { FRAME.lo };
                let fresh = self.fresh;
                let host = match fresh {
                    [Some(fresh), _] if fresh == at => RAX,
                    [_, Some(fresh)] if fresh == at => RDX,
                    _ => {
                        let to = self.target(d);
                        self.read_home(at, to);
                        self.write(d, to);
                        return;
                    }
                };
                self.write(d, host);
                // The other half may be asked for next.
                self.fresh = fresh;
            }
            Op::Mthi | Op::Mtlo => {
                let at = if op == Op::Mthi { FRAME.hi } else { FRAME.lo };
                let from = self.read(s, RAX);
                dynasm!(self.code ; .arch x64 ; mov QWORD [rsp + at], Rq(from));
                self.clear(d);
            }
            Op::Mult | Op::Multu => {
                match op {
                    Op::Mult => {
                        self.copy_extended(RAX, s);
                        self.copy_extended(RCX, t);
                    }
                    _ => {
                        self.copy(RAX, s);
                        self.copy(RCX, t);
                        dynasm!(self.code ; .arch x64 ; mov eax, eax ; mov ecx, ecx);
                    }
                }
                dynasm!(self.code ; .arch x64
                    ; imul rax, rcx
                    ; movsxd rcx, eax
                    ; sar rax, 32
                    ; mov QWORD [rsp + FRAME.lo], rcx
                    ; mov QWORD [rsp + FRAME.hi], rax
                );
                self.clear(d);
            }
            Op::Dmult | Op::Dmultu => {
                self.copy(RAX, s);
                let by = self.read(t, RCX);
                match op {
                    Op::Dmult => dynasm!(self.code ; .arch x64 ; imul Rq(by)),
                    _ => dynasm!(self.code ; .arch x64 ; mul Rq(by)),
                }
                self.write_hi_lo();
                self.clear(d);
            }
            Op::Div | Op::Divu | Op::Ddiv | Op::Ddivu => self.divide(op, s, t, d),

            _ if is_store(op) => self.store(op, word),
            _ => self.load(op, word),
        }
    }

    /// `d` = a change of `from`
    fn unary(&mut self, d: u8, from: u8, change: impl Fn(&mut Assembler, u8)) {
        let to = self.target(d);
        self.copy(to, from);
        change(&mut self.code, to);
        self.write(d, to);
    }

    /// `d` = `s` and `t` combined
    fn binary(
        &mut self,
        d: u8,
        s: u8,
        t: u8,
        commutes: bool,
        combine: impl Fn(&mut Self, u8, Place),
    ) {
        let (s, t) = if d == t && commutes { (t, s) } else { (s, t) };
        // The result must not replace the second operand before it is read.
        let to = if d == t && s != t { RAX } else { self.target(d) };
        self.copy(to, s);
        let from = if s == t { Place::Host(to) } else { self.operand(t) };
        combine(self, to, from);
        self.write(d, to);
    }

    fn move_to(&mut self, d: u8, from: u8) {
        let value = self.values[usize::from(from)];
        if let Value::Known(value) = value {
            return self.write_known(d, value);
        }
        let host = self.read(from, RAX);
        self.write(d, host);
        self.values[usize::from(d)] = value;
    }

    fn shift_left(&mut self, d: u8, t: u8, by: u8) {
        self.unary(d, t, |code, to| dynasm!(code ; .arch x64 ; shl Rq(to), by as i8));
    }

    fn shift_right(&mut self, d: u8, t: u8, by: u8) {
        self.unary(d, t, |code, to| dynasm!(code ; .arch x64 ; shr Rq(to), by as i8));
    }

    /// `d` = 1 if the comparison before says less, else 0
    fn set_if(&mut self, d: u8, signed: bool) {
        match signed {
            true => dynasm!(self.code ; .arch x64 ; setl al),
            false => dynasm!(self.code ; .arch x64 ; setb al),
        }
        let to = self.target(d);
        dynasm!(self.code ; .arch x64 ; movzx Rd(to), al);
        self.write(d, to);
    }

    fn copy_extended(&mut self, to: u8, register: u8) {
        let from = self.read(register, to);
        dynasm!(self.code ; .arch x64 ; movsxd Rq(to), Rd(from));
        self.fresh = [None; 2];
    }

    /// hi = `rdx`, lo = `rax`
    fn write_hi_lo(&mut self) {
        dynasm!(self.code ; .arch x64
            ; mov QWORD [rsp + FRAME.lo], rax
            ; mov QWORD [rsp + FRAME.hi], rdx
        );
        self.fresh = [Some(FRAME.lo), Some(FRAME.hi)];
    }

    /// Instructions without a result of their own clear the register in its place.
    fn clear(&mut self, d: u8) {
        if d != 0 {
            self.write_known(d, 0);
        }
    }

    fn divide(&mut self, op: Op, s: u8, t: u8, d: u8) {
        let from = self.code.new_dynamic_label();
        self.rare.push(Rare::Interpret { from, done: self.done });
        self.copy(RCX, t);
        self.copy(RAX, s);
        let code = &mut self.code;
        match op {
            // In 64 bits the one quotient that overflows 32 is in range.
            Op::Div => dynasm!(code ; .arch x64
                ; movsxd rcx, ecx ; test rcx, rcx ; jz =>from
                ; movsxd rax, eax ; cqo ; idiv rcx
                ; movsxd rax, eax ; movsxd rdx, edx
            ),
            Op::Divu => dynasm!(code ; .arch x64
                ; test ecx, ecx ; jz =>from
                ; xor edx, edx ; div ecx
                ; movsxd rax, eax ; movsxd rdx, edx
            ),
            Op::Ddivu => dynasm!(code ; .arch x64
                ; test rcx, rcx ; jz =>from
                ; xor edx, edx ; div rcx
            ),
            _ => {
                let (negate, done) = (code.new_dynamic_label(), code.new_dynamic_label());
                dynasm!(code ; .arch x64
                    ; test rcx, rcx ; jz =>from
                    ; cmp rcx, -1 ; je =>negate
                    ; cqo ; idiv rcx ; jmp =>done
                    ; =>negate
                    ; neg rax ; xor edx, edx
                    ; =>done
                );
            }
        }
        self.write_hi_lo();
        self.clear(d);
    }
}

fn writes_hi_lo(op: Op) -> bool {
    matches!(
        op,
        Op::Mthi
            | Op::Mtlo
            | Op::Mult
            | Op::Multu
            | Op::Dmult
            | Op::Dmultu
            | Op::Div
            | Op::Divu
            | Op::Ddiv
            | Op::Ddivu
    )
}

fn sign_extend(code: &mut Assembler, register: u8) {
    dynasm!(code ; .arch x64 ; movsxd Rq(register), Rd(register));
}

/// Groups of accesses.
impl Translator<'_> {
    fn find_groups(&mut self, words: &[(u32, Op)], end: &End) {
        // The group that an access through each register belongs to, as long as that is not written.
        let mut current = [None; 32];
        let last = match *end {
            End::Branch { word, op, slot, slot_op } => [Some((word, op)), Some((slot, slot_op))],
            _ => [None, None],
        };
        for (word, op) in words.iter().copied().chain(last.into_iter().flatten()) {
            let mut member = None;
            if let Some(width) = Width::of(op) {
                let (base, offset) = (rs(word), signed(word));
                let current = &mut current[usize::from(base)];
                let which = *current.get_or_insert_with(|| {
                    self.groups.push(Group {
                        base,
                        members: 0,
                        bytes: 1,
                        stores: None,
                        way: None,
                        given_up: base == 0,
                    });
                    self.groups.len() - 1
                });
                let group = &mut self.groups[which];
                group.members += 1;
                group.bytes = group.bytes.max(width.bytes());
                // What is aligned only together with an odd base is for careful code.
                group.given_up |= offset % width.bytes() != 0;
                if is_store(op) {
                    let (low, high) = (offset, offset + width.bytes() - 1);
                    let stores = group.stores.get_or_insert((low, high));
                    *stores = (stores.0.min(low), stores.1.max(high));
                    group.given_up |= stores.1 - stores.0 >= MAX_STORE_SPAN;
                }
                member = Some(which);
            }
            self.members.push(member);
            current[usize::from(written(op, word))] = None;
            if is_branch(op) {
                current[31] = None;
            }
        }
    }

    /// The way that the base of this access has been found to pass, or is now.
    fn grouped(&mut self) -> Option<Way> {
        let which = (*self.members.get(self.done)?)?;
        let group = self.groups[which];
        if group.way.is_some() || group.given_up || group.members < 2 || self.in_slot {
            return group.way;
        }
        let way = self.likely(self.values[usize::from(group.base)])?;
        self.check_group(&group, way);
        self.groups[which].way = Some(way);
        Some(way)
    }

    /// Leaves for a careful block unless all of `group` may be accessed through `way`.
    fn check_group(&mut self, group: &Group, way: Way) {
        let from = self.code.new_dynamic_label();
        self.rare.push(Rare::Careful { from, done: self.done });
        let base = self.read(group.base, RDX);
        let bound = FRAME.negated_bounds + way.near();
        if self.starts_at_zero(way) {
            dynasm!(self.code ; .arch x64 ; lea rax, [Rq(base) - 0x8000]);
        } else {
            dynasm!(self.code ; .arch x64 ; mov rax, QWORD [rsp + bound] ; add rax, Rq(base));
        }
        self.fresh = [None; 2];
        dynasm!(self.code ; .arch x64
            ; test rax, QWORD [rsp + FRAME.masks + mask_of(group.bytes)]
            ; jnz =>from
        );
        let Some((low, high)) = group.stores else { return };
        // A span of at most a page lies in the pages of its first and its last byte. An aligned word
        // lies in one.
        let ends = if high - low < group.bytes { vec![low] } else { vec![low, high] };
        for offset in ends {
            self.add_to(RCX, base, offset);
            dynasm!(self.code ; .arch x64
                ; shr rcx, 12
                ; cmp BYTE [r14 + rcx], 0
                ; je =>from
            );
        }
    }

    fn starts_at_zero(&self, way: Way) -> bool {
        self.request.near.segments[way.near() as usize / 8] == 0
    }

    /// The way to the segment that `value` is in, if that is near.
    fn likely(&self, value: Value) -> Option<Way> {
        let (Value::Known(address) | Value::Guess(address)) = value else {
            // What the program's pointers mostly point to.
            return Some(if self.request.near.usual == 0 { Way::Gs } else { Way::R13 });
        };
        let segment = (address >> SEGMENT_BITS) as usize;
        let near = self.request.near.segments;
        if segment == near[0] {
            Some(Way::Gs)
        } else if segment == near[1] {
            Some(Way::R13)
        } else {
            None
        }
    }
}

/// Memory.
impl Translator<'_> {
    /// `rax` = the address of a load or store; and the way to it, if that can be guessed.
    fn address(&mut self, word: u32) -> Option<Way> {
        let (base, offset) = (rs(word), signed(word));
        let value =
            self.values[usize::from(base)].map(|value| value.wrapping_add_signed(offset.into()));
        if let Value::Known(address) = value {
            self.constant(RAX, address);
        } else {
            match self.read(base, RAX) {
                RAX if offset == 0 => {}
                RAX => match i8::try_from(offset) {
                    Ok(offset) => dynasm!(self.code ; .arch x64 ; add rax, BYTE offset),
                    Err(_) => dynasm!(self.code ; .arch x64 ; add rax, DWORD offset),
                },
                host => self.add_to(RAX, host, offset),
            }
        }
        self.likely(value)
    }

    /// Goes to `otherwise` unless `rax` is in the segment of `way` and aligned.
    fn check(&mut self, way: Way, width: Width, otherwise: DynamicLabel) {
        let mask = FRAME.masks + width.mask();
        if self.starts_at_zero(way) {
            dynasm!(self.code ; .arch x64 ; test rax, QWORD [rsp + mask] ; jnz =>otherwise);
        } else {
            dynasm!(self.code ; .arch x64
                ; mov rcx, rax
                ; xor rcx, QWORD [rsp + FRAME.starts + way.near()]
                ; test rcx, QWORD [rsp + mask]
                ; jnz =>otherwise
            );
        }
    }

    /// `rcx` = the delta of the segment that `rax` is in. Goes to `otherwise` if there is none, or the
    /// address is not aligned.
    fn look_up(&mut self, width: Width, otherwise: DynamicLabel) {
        let deltas = -((TABLE_BYTES + DELTAS_BYTES) as i32);
        if width.bytes() > 1 {
            dynasm!(self.code ; .arch x64
                ; test al, (width.bytes() - 1) as i8
                ; jnz =>otherwise
            );
        }
        dynasm!(self.code ; .arch x64
            ; mov rcx, rax
            ; shr rcx, SEGMENT_BITS as i8
            ; cmp rcx, SEGMENTS as i32
            ; jae =>otherwise
            ; mov rcx, QWORD [r14 + rcx * 8 + deltas]
            ; test rcx, rcx
            ; jz =>otherwise
        );
    }

    /// `to` = memory
    fn fetch(&mut self, At { way, base, offset }: At, width: Width, to: u8) {
        let code = &mut self.code;
        macro_rules! from {
            ($op:ident $reg:ident $size:ident) => {
                match (way, i8::try_from(offset)) {
                    (Way::Gs, Ok(0)) => dynasm!(code ; .arch x64 ; gs $op $reg(to), $size [Rq(base)]),
                    (Way::Gs, Ok(at)) => dynasm!(code ; .arch x64 ; gs $op $reg(to), $size [BYTE Rq(base) + at]),
                    (Way::Gs, Err(_)) => dynasm!(code ; .arch x64 ; gs $op $reg(to), $size [Rq(base) + offset]),
                    (Way::R13, Ok(at)) => dynasm!(code ; .arch x64 ; $op $reg(to), $size [BYTE r13 + Rq(base) + at]),
                    (Way::R13, Err(_)) => dynasm!(code ; .arch x64 ; $op $reg(to), $size [r13 + Rq(base) + offset]),
                    (Way::Rcx, _) => dynasm!(code ; .arch x64 ; $op $reg(to), $size [rcx + Rq(base) + offset]),
                }
            };
        }
        match width {
            Width::Byte { signed: true } => from!(movsx Rq BYTE),
            Width::Byte { signed: false } => from!(movzx Rd BYTE),
            Width::Half { .. } => from!(movbe Rw WORD),
            Width::Word { .. } => from!(movbe Rd DWORD),
            Width::Double => from!(movbe Rq QWORD),
        }
        match width {
            Width::Byte { .. } | Width::Double => {}
            _ => self.extend(width, to),
        }
    }

    /// Extends what was loaded into `to`.
    fn extend(&mut self, width: Width, to: u8) {
        let code = &mut self.code;
        match width {
            Width::Byte { signed: true } => dynasm!(code ; .arch x64 ; movsx Rq(to), Rb(to)),
            Width::Half { signed: true } => dynasm!(code ; .arch x64 ; movsx Rq(to), Rw(to)),
            Width::Half { signed: false } => dynasm!(code ; .arch x64 ; movzx Rd(to), Rw(to)),
            Width::Word { signed: true } => sign_extend(code, to),
            Width::Byte { .. } | Width::Word { .. } | Width::Double => {}
        }
    }

    /// Memory = `value`
    fn put(&mut self, At { way, base, offset }: At, width: Width, value: u8) {
        let code = &mut self.code;
        macro_rules! into {
            ($op:ident $reg:ident $size:ident) => {
                match (way, i8::try_from(offset)) {
                    (Way::Gs, Ok(0)) => dynasm!(code ; .arch x64 ; gs $op $size [Rq(base)], $reg(value)),
                    (Way::Gs, Ok(at)) => dynasm!(code ; .arch x64 ; gs $op $size [BYTE Rq(base) + at], $reg(value)),
                    (Way::Gs, Err(_)) => dynasm!(code ; .arch x64 ; gs $op $size [Rq(base) + offset], $reg(value)),
                    (Way::R13, Ok(at)) => dynasm!(code ; .arch x64 ; $op $size [BYTE r13 + Rq(base) + at], $reg(value)),
                    (Way::R13, Err(_)) => dynasm!(code ; .arch x64 ; $op $size [r13 + Rq(base) + offset], $reg(value)),
                    (Way::Rcx, _) => dynasm!(code ; .arch x64 ; $op $size [rcx + Rq(base) + offset], $reg(value)),
                }
            };
        }
        match width {
            Width::Byte { .. } => into!(mov Rb BYTE),
            Width::Half { .. } => into!(movbe Rw WORD),
            Width::Word { .. } => into!(movbe Rd DWORD),
            Width::Double => into!(movbe Rq QWORD),
        }
    }

    /// `to` = memory at `rax`, wherever that is. Keeps `rdx` if asked to; never `rax` and `rcx`.
    fn load_from(&mut self, likely: Option<Way>, width: Width, to: u8, keep: bool) {
        let (from, back) = (self.code.new_dynamic_label(), self.code.new_dynamic_label());
        match likely {
            Some(way) => {
                self.check(way, width, from);
                self.fetch(At { way, base: RAX, offset: 0 }, width, to);
            }
            None => {
                self.look_up(width, from);
                self.fetch(At { way: Way::Rcx, base: RAX, offset: 0 }, width, to);
            }
        }
        dynasm!(self.code ; .arch x64 ; =>back);
        self.rare.push(Rare::Load { from, back, width, to, keep });
    }

    /// Memory at `rax`, wherever that is, = `value`
    fn store_to(&mut self, likely: Option<Way>, width: Width, value: u8) {
        let from = self.code.new_dynamic_label();
        let (marked, back) = (self.code.new_dynamic_label(), self.code.new_dynamic_label());
        match likely {
            Some(way) => {
                self.check(way, width, from);
                self.check_mark(marked);
                self.put(At { way, base: RAX, offset: 0 }, width, value);
            }
            None => dynasm!(self.code ; .arch x64 ; jmp =>from),
        }
        dynasm!(self.code ; .arch x64 ; =>back);
        let done = (!self.in_slot).then_some(self.done + 1);
        self.rare.push(Rare::Store { from, marked, back, width, value, done });
    }

    /// Goes to `otherwise` if the page of `rax` needs attention before a store.
    fn check_mark(&mut self, otherwise: DynamicLabel) {
        dynasm!(self.code ; .arch x64
            ; mov rcx, rax
            ; shr rcx, 12
            ; cmp BYTE [r14 + rcx], 0
            ; je =>otherwise
        );
    }

    fn load(&mut self, op: Op, word: u32) {
        let t = rt(word);
        let Some(width) = Width::of(op) else {
            let likely = self.address(word);
            return self.load_part(op, t, likely);
        };
        let to = self.target(t);
        let address = self.values[usize::from(rs(word))]
            .map(|base| base.wrapping_add_signed(signed(word).into()));
        match self.grouped() {
            Some(way) => {
                let base = self.read(rs(word), RAX);
                self.fetch(At { way, base, offset: signed(word) }, width, to);
            }
            None => {
                let likely = self.address(word);
                self.load_from(likely, width, to, false);
            }
        }
        self.write(t, to);
        // What is there now is probably like what will be: a pointer, and into which segment.
        if let (Width::Double, Value::Known(address) | Value::Guess(address)) = (width, address) {
            self.values[usize::from(t)] = Value::Guess((self.request.peek)(address & !7));
        }
    }

    /// lwl, lwr, ldl, ldr: part of a word, merged with what the register holds.
    fn load_part(&mut self, op: Op, t: u8, likely: Option<Way>) {
        let double = matches!(op, Op::Ldl | Op::Ldr);
        self.align(double);
        let width = if double { Width::Double } else { Width::Word { signed: false } };
        self.load_from(likely, width, RAX, true);
        self.part_shift(matches!(op, Op::Lwr | Op::Ldr), double);
        // rax is the word, rdx the shift.
        let kept = self.read(t, RCX);
        if kept != RCX {
            dynasm!(self.code ; .arch x64 ; mov rcx, Rq(kept));
        }
        let code = &mut self.code;
        match op {
            // word << shift, and the lower `shift` bits of the register
            Op::Ldl => dynasm!(code ; .arch x64
                ; bzhi rcx, rcx, rdx ; shlx rax, rax, rdx ; or rax, rcx
            ),
            Op::Lwl => dynasm!(code ; .arch x64
                ; bzhi ecx, ecx, edx ; shlx eax, eax, edx ; or eax, ecx ; movsxd rax, eax
            ),
            // word >> shift, and the upper `shift` bits of the register
            Op::Ldr => dynasm!(code ; .arch x64
                ; shrx rax, rax, rdx
                ; neg edx ; add edx, 64 ; mov [rsp + FRAME.scratch], rcx
                ; bzhi rcx, rcx, rdx ; xor rcx, [rsp + FRAME.scratch] ; or rax, rcx
            ),
            // The upper half stays, unless the whole word is loaded.
            _ => dynasm!(code ; .arch x64
                ; shrx eax, eax, edx
                ; neg edx ; add edx, 32 ; mov [rsp + FRAME.scratch], rcx
                ; bzhi rcx, rcx, rdx ; xor rcx, [rsp + FRAME.scratch]
                ; cmp edx, 32 ; movsxd rdx, eax
                ; lea rax, [rax + rcx]
                ; cmove rax, rdx
            ),
        }
        self.write(t, RAX);
    }

    /// `rdx` = the address, `rax` = the address rounded down to the word
    fn align(&mut self, double: bool) {
        let mask = if double { -8 } else { -4 };
        dynasm!(self.code ; .arch x64 ; mov rdx, rax ; and rax, BYTE mask);
    }

    /// `rdx` = the bits before, or behind, the byte at address `rdx` in its word
    fn part_shift(&mut self, right: bool, double: bool) {
        if right {
            dynasm!(self.code ; .arch x64 ; not edx);
        }
        let mask = if double { 7 } else { 3 };
        dynasm!(self.code ; .arch x64 ; and edx, BYTE mask ; shl edx, 3);
    }

    fn store(&mut self, op: Op, word: u32) {
        let Some(width) = Width::of(op) else {
            let likely = self.address(word);
            return self.store_part(op, rt(word), likely);
        };
        match self.grouped() {
            Some(way) => {
                let base = self.read(rs(word), RAX);
                let value = self.read(rt(word), RDX);
                self.put(At { way, base, offset: signed(word) }, width, value);
            }
            None => {
                let likely = self.address(word);
                let value = self.read(rt(word), RDX);
                self.store_to(likely, width, value);
            }
        }
    }

    /// swl, swr, sdl, sdr: part of a word, the rest of it as it was.
    fn store_part(&mut self, op: Op, t: u8, likely: Option<Way>) {
        let double = matches!(op, Op::Sdl | Op::Sdr);
        self.align(double);
        let width = if double { Width::Double } else { Width::Word { signed: false } };
        dynasm!(self.code ; .arch x64 ; mov [rsp + FRAME.scratch], rax);
        self.load_from(likely, width, RAX, true);
        self.part_shift(matches!(op, Op::Swr | Op::Sdr), double);
        // rax is the word, rdx the shift.
        let value = self.read(t, RCX);
        if value != RCX {
            dynasm!(self.code ; .arch x64 ; mov rcx, Rq(value));
        }
        let code = &mut self.code;
        match op {
            // The lower `shift` bits of the word stay.
            Op::Sdr => dynasm!(code ; .arch x64
                ; bzhi rax, rax, rdx ; shlx rdx, rcx, rdx ; or rdx, rax
            ),
            Op::Swr => dynasm!(code ; .arch x64
                ; bzhi eax, eax, edx ; shlx edx, ecx, edx ; or edx, eax
            ),
            // The upper `shift` bits of the word stay.
            Op::Sdl => dynasm!(code ; .arch x64
                ; shrx rcx, rcx, rdx ; neg edx ; add edx, 64
                ; bzhi rdx, rax, rdx ; xor rax, rdx ; or rax, rcx ; mov rdx, rax
            ),
            _ => dynasm!(code ; .arch x64
                ; shrx ecx, ecx, edx ; neg edx ; add edx, 32
                ; bzhi edx, eax, edx ; xor eax, edx ; or eax, ecx ; mov edx, eax
            ),
        }
        dynasm!(self.code ; .arch x64 ; mov rax, [rsp + FRAME.scratch]);
        self.store_to(likely, width, RDX);
    }
}

/// When a branch is taken.
#[derive(Clone, Copy)]
enum Condition {
    Always,
    Never,
    Equal,
    NotEqual,
    Negative,
    NotNegative,
    Positive,
    NotPositive,
}

/// Branches.
impl Translator<'_> {
    fn branch(&mut self, op: Op, word: u32, slot_op: Op, slot: u32) {
        let pc = self.pc();
        let behind = pc.wrapping_add(4);
        let (s, t) = (rs(word), rt(word));
        let offset = i64::from(signed(word)) << 2;
        let region = behind & 0xffff_ffff_f000_0000;
        let jump = region | u64::from(word & 0x03ff_ffff) << 2;
        let target = behind.wrapping_add_signed(offset);
        let slot_writes = written(slot_op, slot);
        match op {
            Op::Jr | Op::Jalr => {
                let link = if op == Op::Jalr { rd(word) } else { 0 };
                let early = s != 0 && (slot_writes == s || link == s);
                if early {
                    let from = self.read(s, RAX);
                    dynasm!(self.code ; .arch x64 ; mov [rsp + FRAME.target], Rq(from));
                }
                self.link_and_slot(link, pc, slot_op, slot);
                if early {
                    dynasm!(self.code ; .arch x64 ; mov rax, [rsp + FRAME.target]);
                } else {
                    self.copy(RAX, s);
                }
                self.jump_to_rax();
            }
            Op::J => {
                self.link_and_slot(0, pc, slot_op, slot);
                self.link_to(jump);
            }
            Op::Jal => {
                self.link_and_slot(31, pc, slot_op, slot);
                self.link_to(jump);
            }
            _ => {
                let condition = match op {
                    Op::Beq if s == t => Condition::Always,
                    Op::Bne if s == t => Condition::Never,
                    Op::Beq => Condition::Equal,
                    Op::Bne => Condition::NotEqual,
                    Op::Bltz | Op::Bltzal if s == 0 => Condition::Never,
                    Op::Bgez | Op::Bgezal if s == 0 => Condition::Always,
                    Op::Blez if s == 0 => Condition::Always,
                    Op::Bgtz if s == 0 => Condition::Never,
                    Op::Bltz | Op::Bltzal => Condition::Negative,
                    Op::Bgez | Op::Bgezal => Condition::NotNegative,
                    Op::Blez => Condition::NotPositive,
                    Op::Bgtz => Condition::Positive,
                    _ => Condition::Never,
                };
                let links = matches!(op, Op::Bltzal | Op::Bgezal);
                let two = matches!(op, Op::Beq | Op::Bne);
                let clobbered = |register: u8| {
                    register != 0 && (slot_writes == register || links && register == 31)
                };
                let early = clobbered(s) || two && clobbered(t);
                let depends = !matches!(condition, Condition::Always | Condition::Never);
                if early && depends {
                    self.compare(s, t, two);
                    self.keep_condition(condition);
                }
                self.link_and_slot(if links { 31 } else { 0 }, pc, slot_op, slot);
                match condition {
                    Condition::Always => return self.link_to(target),
                    Condition::Never => return self.link_to(pc.wrapping_add(8)),
                    _ => {}
                }
                let taken = self.code.new_dynamic_label();
                if early {
                    dynasm!(self.code ; .arch x64 ; cmp BYTE [rsp + FRAME.condition], 0 ; jne =>taken);
                } else {
                    self.compare(s, t, two);
                    self.jump_if(condition, taken);
                }
                self.add_link(taken, target);
                self.link_to(pc.wrapping_add(8));
            }
        }
    }

    fn link_and_slot(&mut self, link: u8, pc: u64, slot_op: Op, slot: u32) {
        if link != 0 {
            self.write_known(link, pc.wrapping_add(8));
        }
        self.in_slot = true;
        self.done += 1;
        self.instruction(slot_op, slot);
    }

    fn compare(&mut self, s: u8, t: u8, two: bool) {
        if two && s != 0 && t != 0 {
            let left = self.read(s, RAX);
            let right = self.operand(t);
            alu!(self, cmp, left, right, 64);
            return;
        }
        let one = if s == 0 { t } else { s };
        match self.place(one) {
            Place::Host(host) => dynasm!(self.code ; .arch x64 ; test Rq(host), Rq(host)),
            _ => {
                let host = self.read(one, RAX);
                dynasm!(self.code ; .arch x64 ; test Rq(host), Rq(host));
            }
        }
    }

    fn keep_condition(&mut self, condition: Condition) {
        let at = FRAME.condition;
        match condition {
            Condition::Equal => dynasm!(self.code ; .arch x64 ; sete BYTE [rsp + at]),
            Condition::NotEqual => dynasm!(self.code ; .arch x64 ; setne BYTE [rsp + at]),
            Condition::Negative => dynasm!(self.code ; .arch x64 ; setl BYTE [rsp + at]),
            Condition::NotNegative => dynasm!(self.code ; .arch x64 ; setge BYTE [rsp + at]),
            Condition::Positive => dynasm!(self.code ; .arch x64 ; setg BYTE [rsp + at]),
            Condition::NotPositive => dynasm!(self.code ; .arch x64 ; setle BYTE [rsp + at]),
            Condition::Always | Condition::Never => {}
        }
    }

    fn jump_if(&mut self, condition: Condition, taken: DynamicLabel) {
        match condition {
            Condition::Equal => dynasm!(self.code ; .arch x64 ; je =>taken),
            Condition::NotEqual => dynasm!(self.code ; .arch x64 ; jne =>taken),
            Condition::Negative => dynasm!(self.code ; .arch x64 ; jl =>taken),
            Condition::NotNegative => dynasm!(self.code ; .arch x64 ; jge =>taken),
            Condition::Positive => dynasm!(self.code ; .arch x64 ; jg =>taken),
            Condition::NotPositive => dynasm!(self.code ; .arch x64 ; jle =>taken),
            Condition::Always | Condition::Never => {}
        }
    }

    /// Goes on at the guest address in `rax`.
    fn jump_to_rax(&mut self) {
        let from = self.code.new_dynamic_label();
        dynasm!(self.code ; .arch x64
            ; test rax, QWORD [rsp + FRAME.table_mask]
            ; jnz =>from
            ; mov rcx, QWORD [r14 + rax * 2 + -(TABLE_BYTES as i32)]
            ; test rcx, rcx
            ; jz =>from
            ; jmp rcx
        );
        self.rare.push(Rare::Indirect { from });
    }

    /// Goes on at `target`.
    fn link_to(&mut self, target: u64) {
        let from = self.code.new_dynamic_label();
        dynasm!(self.code ; .arch x64 ; jmp =>from);
        self.add_link(from, target);
    }

    /// The jump just emitted, whose displacement stands at its end, leads to `target`.
    fn add_link(&mut self, from: DynamicLabel, target: u64) {
        let which = self.links.len();
        let site = self.code.offset().0 - 4;
        self.links.push(NewLink { site, stub: 0, target });
        self.rare.push(Rare::Link { from, which, target });
    }

    fn leave(&mut self, pc: u64, how: i32) {
        self.constant(RAX, pc);
        let exit = self.request.shared.exit;
        dynasm!(self.code ; .arch x64 ; mov ecx, how ; jmp extern exit.addr());
    }

    /// Gives back the steps from `done` on, and leaves.
    fn leave_early(&mut self, done: usize, how: Exit) {
        let pc = self.request.pc.wrapping_add(done as u64 * 4);
        let left = self.steps - done;
        dynasm!(self.code ; .arch x64 ; add r15, left as i32);
        self.leave(pc, how as i32);
    }
}

/// What is out of the way.
impl Translator<'_> {
    fn rare(&mut self, which: usize) {
        let shared = self.request.shared;
        match self.rare[which] {
            Rare::Budget { from } => {
                dynasm!(self.code ; .arch x64 ; =>from);
                self.leave_early(0, Exit::Budget);
            }
            Rare::Interpret { from, done } => {
                dynasm!(self.code ; .arch x64 ; =>from);
                self.leave_early(done, Exit::Interpret);
            }
            Rare::Careful { from, done } => {
                dynasm!(self.code ; .arch x64 ; =>from ; add r15, (self.steps - done) as i32);
                let pc = self.request.pc.wrapping_add(done as u64 * 4);
                self.link_to(pc | CAREFUL);
            }
            Rare::Load { from, back, width, to, keep } => {
                let call = self.code.new_dynamic_label();
                dynasm!(self.code ; .arch x64 ; =>from);
                self.look_up(width, call);
                self.fetch(At { way: Way::Rcx, base: RAX, offset: 0 }, width, to);
                dynasm!(self.code ; .arch x64 ; jmp =>back ; =>call);
                if keep {
                    dynasm!(self.code ; .arch x64 ; mov [rsp + FRAME.kept], rdx);
                }
                dynasm!(self.code ; .arch x64
                    ; mov ecx, width.bytes()
                    ; call extern shared.load.addr()
                );
                if keep {
                    dynasm!(self.code ; .arch x64 ; mov rdx, [rsp + FRAME.kept]);
                }
                if to != RAX {
                    dynasm!(self.code ; .arch x64 ; mov Rq(to), rax);
                }
                self.extend(width, to);
                dynasm!(self.code ; .arch x64 ; jmp =>back);
            }
            Rare::Store { from, marked, back, width, value, done } => {
                dynasm!(self.code ; .arch x64 ; =>from);
                self.look_up(width, marked);
                self.check_mark(marked);
                self.look_up(width, marked);
                self.put(At { way: Way::Rcx, base: RAX, offset: 0 }, width, value);
                dynasm!(self.code ; .arch x64 ; jmp =>back ; =>marked);
                if value != RDX {
                    dynasm!(self.code ; .arch x64 ; mov rdx, Rq(value));
                }
                dynasm!(self.code ; .arch x64
                    ; mov ecx, width.bytes()
                    ; call extern shared.store.addr()
                );
                match done {
                    Some(done) => {
                        dynasm!(self.code ; .arch x64 ; test eax, eax ; jz =>back);
                        self.leave_early(done, Exit::Dispatch);
                    }
                    // Behind a delay slot comes a jump, which leads nowhere stale.
                    None => dynasm!(self.code ; .arch x64 ; jmp =>back),
                }
            }
            Rare::Link { from, which, target } => {
                self.links[which].stub = self.code.offset().0;
                dynasm!(self.code ; .arch x64 ; =>from);
                let link = self.request.links + which + Exit::FIRST_LINK;
                self.leave(target, i32::try_from(link).expect("code ends before links do"));
            }
            Rare::Indirect { from } => {
                dynasm!(self.code ; .arch x64 ; =>from);
                let exit = shared.exit;
                dynasm!(self.code ; .arch x64
                    ; mov ecx, Exit::Dispatch as i32
                    ; jmp extern exit.addr()
                );
            }
        }
    }
}
