//! From instructions to the acts of a block.
//!
//! Knows what instructions are written as, and which acts they come to. Executes nothing.
//!
//! A block begins at one address and goes on where its instructions most likely lead: behind a
//! forward branch, through jumps, and a few times round a short loop. A branch the other way leaves
//! it. The delay slot comes before its branch, unless it writes what the branch compares: then that
//! is put aside. An act that cannot be done leaves everything as it was at the instruction, for a
//! delay slot at its branch, so the reference goes on from there.

use tribunal_mips64::{Op, decode};

use super::act::{Args, Entry, HI, Kind, LO, TEMPORARY};
use super::code::Span;

/// The most steps of a block; fits into an operand.
const MAX_STEPS: usize = 96;

/// Steps after which a block does not follow jumps and loops any more.
const ENOUGH_STEPS: usize = 32;

/// What a block is made from.
pub(crate) struct Source<'a> {
    pub(crate) pc: u64,
    /// The most steps of a block.
    pub(crate) max_steps: usize,
    /// The word at an address, unless it is not to be decoded.
    pub(crate) fetch: &'a dyn Fn(u64) -> Option<u32>,
    /// The number of the block that begins at an address.
    pub(crate) number: &'a mut dyn FnMut(u64) -> u32,
}

/// A decoded block.
pub(crate) struct Decoded {
    pub(crate) entries: Vec<Entry>,
    /// For each act of each entry, where it is.
    pub(crate) places: Vec<[Place; 2]>,
    pub(crate) steps: u32,
    pub(crate) spans: Vec<Span>,
}

/// Where an act is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// From where the reference goes on, if the act cannot be done.
    pub(crate) pc: u64,
    /// Steps of the block that were not taken then.
    pub(crate) left: u32,
}

/// An act in the making.
#[derive(Clone, Copy)]
struct Item {
    kind: Kind,
    args: Args,
    pc: u64,
    /// Steps of the block before those of `pc`.
    before: usize,
    /// Steps of the block before what follows, if it is a branch that leaves.
    after: usize,
}

/// What the registers of an instruction are.
#[derive(Clone, Copy)]
struct Word(u32);

impl Word {
    fn rs(self) -> u8 {
        (self.0 >> 21 & 0x1f) as u8
    }

    fn rt(self) -> u8 {
        (self.0 >> 16 & 0x1f) as u8
    }

    fn rd(self) -> u8 {
        (self.0 >> 11 & 0x1f) as u8
    }

    fn shift_amount(self) -> i32 {
        (self.0 >> 6 & 0x1f) as i32
    }

    fn signed(self) -> i32 {
        i32::from(self.0 as i16)
    }

    fn unsigned(self) -> i32 {
        i32::from(self.0 as u16)
    }
}

/// Decodes the block at `source.pc`.
pub(crate) fn decode_block(source: Source<'_>) -> Decoded {
    let mut block = Block {
        pc: source.pc,
        start: source.pc,
        source,
        items: Vec::new(),
        steps: 0,
        spans: Vec::new(),
    };
    while block.instruction() {}
    block.finish()
}

struct Block<'a> {
    source: Source<'a>,
    /// The next instruction.
    pc: u64,
    /// Where the instructions that end at `pc` begin.
    start: u64,
    items: Vec<Item>,
    steps: usize,
    spans: Vec<Span>,
}

impl Block<'_> {
    fn fetch(&self, pc: u64) -> Option<u32> {
        (self.source.fetch)(pc)
    }

    /// Decodes the next instruction. Returns whether the block goes on.
    fn instruction(&mut self) -> bool {
        let limit = self.source.max_steps.min(MAX_STEPS);
        let Some(word) = self.fetch(self.pc) else { return self.goto(self.pc) };
        let Some(op) = decode(word) else { return self.leave_to_reference(4) };
        let word = Word(word);
        if is_branch(op) {
            if self.steps + 2 > limit && self.steps > 0 {
                return self.goto(self.pc);
            }
            return self.branch(word, op);
        }
        if self.steps == limit {
            return self.goto(self.pc);
        }
        let Some(acts) = acts(word, op) else { return self.leave_to_reference(4) };
        self.add(&acts, self.pc, self.steps);
        self.steps += 1;
        self.pc = self.pc.wrapping_add(4);
        true
    }

    fn add(&mut self, acts: &[Option<(Kind, Args)>; 2], pc: u64, before: usize) {
        for &(kind, args) in acts.iter().flatten() {
            self.push(kind, args, pc, before);
        }
    }

    fn push(&mut self, kind: Kind, args: Args, pc: u64, before: usize) {
        let item = Item { kind, args, pc, before, after: 0 };
        if let Some(last) = self.items.last_mut()
            && let Some((kind, args)) = merge((last.kind, last.args), (kind, args))
        {
            (last.kind, last.args) = (kind, args);
            return;
        }
        self.items.push(item);
    }

    /// The reference takes the next step, because of what these bytes are now.
    fn leave_to_reference(&mut self, bytes: u64) -> bool {
        self.push(Kind::Reference, Args::default(), self.pc, self.steps);
        self.pc = self.pc.wrapping_add(bytes);
        self.close();
        false
    }

    /// Instructions that follow each other end here.
    fn close(&mut self) {
        if self.pc != self.start {
            self.spans.push(Span { start: self.start, end: self.pc });
        }
    }

    fn goto(&mut self, target: u64) -> bool {
        let immediate = (self.source.number)(target) as i32;
        self.push(Kind::Goto, Args { immediate, ..Args::default() }, self.pc, self.steps);
        self.close();
        false
    }

    /// Decodes a branch or a jump, and its delay slot.
    fn branch(&mut self, word: Word, op: Op) -> bool {
        let pc = self.pc;
        let behind = pc.wrapping_add(8);
        let Some(slot) = self.fetch(pc.wrapping_add(4)) else { return self.leave_to_reference(4) };
        let slot = decode(slot).and_then(|op| acts(Word(slot), op));
        let Some(slot) = slot.filter(|_| self.source.max_steps >= 2) else {
            return self.leave_to_reference(8);
        };
        let link = match op {
            Op::Jal | Op::Bltzal | Op::Bgezal => 31,
            Op::Jalr => word.rd(),
            _ => 0,
        };
        let compares = match op {
            Op::J | Op::Jal | Op::RegimmReserved => [0, 0],
            Op::Beq | Op::Bne => [word.rs(), word.rt()],
            _ => [word.rs(), 0],
        };
        // A delay slot that cannot be done begins again at the branch, which must find what it
        // compares.
        let linked = i32::try_from(behind as i64);
        if link != 0 && (compares.contains(&link) || linked.is_err()) {
            return self.leave_to_reference(8);
        }
        if let (1.., Ok(immediate)) = (link, linked) {
            let args = Args { a: link, immediate, ..Args::default() };
            self.push(Kind::Constant, args, pc, self.steps);
        }

        let mut condition = match op {
            Op::Beq if word.rs() == word.rt() => None,
            Op::Beq if word.rt() == 0 => Some((Kind::Beqz, word.rs(), 0)),
            Op::Beq => Some((Kind::Beq, word.rs(), word.rt())),
            Op::Bne if word.rt() == 0 => Some((Kind::Bnez, word.rs(), 0)),
            Op::Bne => Some((Kind::Bne, word.rs(), word.rt())),
            Op::Blez => Some((Kind::Blez, word.rs(), 0)),
            Op::Bgtz => Some((Kind::Bgtz, word.rs(), 0)),
            Op::Bltz | Op::Bltzal => Some((Kind::Bltz, word.rs(), 0)),
            Op::Bgez | Op::Bgezal => Some((Kind::Bgez, word.rs(), 0)),
            _ => None,
        };
        let mut register = word.rs();
        let overwritten = slot.iter().flatten().any(|(kind, args)| {
            let written = writes(*kind, *args);
            written != 0 && compares.contains(&written)
        });
        if overwritten {
            let mut aside = |kind, b, c| {
                let args = Args { a: TEMPORARY, b, c, ..Args::default() };
                self.push(kind, args, pc, self.steps);
            };
            condition = match condition {
                Some((Kind::Beq, rs, rt)) => {
                    aside(Kind::Xor, rs, rt);
                    Some((Kind::Beqz, TEMPORARY, 0))
                }
                Some((Kind::Bne, rs, rt)) => {
                    aside(Kind::Xor, rs, rt);
                    Some((Kind::Bnez, TEMPORARY, 0))
                }
                Some((kind, rs, _)) => {
                    aside(Kind::Move, rs, 0);
                    Some((kind, TEMPORARY, 0))
                }
                None => {
                    aside(Kind::Move, register, 0);
                    None
                }
            };
            register = TEMPORARY;
        }
        self.add(&slot, pc, self.steps);
        self.pc = behind;
        self.steps += 2;

        match op {
            Op::Jr | Op::Jalr => {
                let args = Args { b: register, ..Args::default() };
                self.push(Kind::JumpRegister, args, pc, self.steps);
                self.close();
                return false;
            }
            Op::RegimmReserved => return true,
            _ => {}
        }
        let next = pc.wrapping_add(4);
        let target = match op {
            Op::J | Op::Jal => next & !0x0fff_ffff | u64::from(word.0 & 0x03ff_ffff) << 2,
            _ => next.wrapping_add((i64::from(word.signed()) << 2) as u64),
        };
        match condition {
            None => self.follow(target),
            Some((kind, b, c)) if target.wrapping_sub(pc) as i64 > 0 => {
                self.leave(kind, b, c, target);
                true
            }
            Some((kind, b, c)) => {
                self.leave(opposite(kind), b, c, behind);
                self.follow(target)
            }
        }
    }

    /// A branch that leaves the block.
    fn leave(&mut self, kind: Kind, b: u8, c: u8, target: u64) {
        let immediate = (self.source.number)(target) as i32;
        let args = Args { a: 0, b, c, immediate };
        let after = self.steps;
        self.items.push(Item { kind, args, pc: target, before: after, after });
    }

    /// Goes on elsewhere, in this block or in another.
    fn follow(&mut self, target: u64) -> bool {
        if self.steps >= ENOUGH_STEPS.min(self.source.max_steps) {
            return self.goto(target);
        }
        self.close();
        (self.pc, self.start) = (target, target);
        true
    }

    fn finish(self) -> Decoded {
        let Self { items, steps, spans, .. } = self;
        let mut entries = Vec::with_capacity(items.len());
        let mut places = Vec::with_capacity(items.len());
        let place = |item: Item| Place { pc: item.pc, left: (steps - item.before) as u32 };
        let args = |item: Item| match item.kind {
            kind if is_leaving(kind) => Args { a: (steps - item.after) as u8, ..item.args },
            _ => item.args,
        };
        let mut rest = &items[..];
        while let [first, behind @ ..] = rest {
            let second = behind.first().copied();
            match second.and_then(|second| Some((second, first.kind.with(second.kind)?))) {
                Some((second, run)) => {
                    entries.push(Entry { run, args: [args(*first), args(second)] });
                    places.push([place(*first), place(second)]);
                    rest = &behind[1..];
                }
                None => {
                    let args = [args(*first), Args::default()];
                    entries.push(Entry { run: first.kind.alone(), args });
                    places.push([place(*first), Place::default()]);
                    rest = behind;
                }
            }
        }
        Decoded { entries, places, steps: steps as u32, spans }
    }
}

fn is_branch(op: Op) -> bool {
    use Op::{Beq, Bgez, Bgezal, Bgtz, Blez, Bltz, Bltzal, Bne, J, Jal, Jalr, Jr, RegimmReserved};
    matches!(
        op,
        Beq | Bne
            | Blez
            | Bgtz
            | Bltz
            | Bgez
            | Bltzal
            | Bgezal
            | RegimmReserved
            | J
            | Jal
            | Jr
            | Jalr
    )
}

fn is_leaving(kind: Kind) -> bool {
    use Kind::{Beq, Beqz, Bgez, Bgtz, Blez, Bltz, Bne, Bnez};
    matches!(kind, Beq | Beqz | Bgez | Bgtz | Blez | Bltz | Bne | Bnez)
}

fn opposite(kind: Kind) -> Kind {
    match kind {
        Kind::Beq => Kind::Bne,
        Kind::Bne => Kind::Beq,
        Kind::Beqz => Kind::Bnez,
        Kind::Bnez => Kind::Beqz,
        Kind::Blez => Kind::Bgtz,
        Kind::Bgtz => Kind::Blez,
        Kind::Bltz => Kind::Bgez,
        Kind::Bgez => Kind::Bltz,
        other => other,
    }
}

/// The register an act writes, 0 for none. Multiplications and divisions write two that no branch
/// compares.
fn writes(kind: Kind, args: Args) -> u8 {
    use Kind::{Ddiv, Ddivu, Div, Divu, Dmult, Dmultu, Mult, Multu};
    use Kind::{Reference, Sb, Sd, Sdl, Sdr, Sh, Sw, Swl, Swr};
    match kind {
        Sb | Sh | Sw | Sd | Swl | Swr | Sdl | Sdr | Reference => 0,
        Mult | Multu | Dmult | Dmultu | Div | Divu | Ddiv | Ddivu => 0,
        _ => args.a,
    }
}

/// What two acts come to, where one can do for both.
fn merge(first: (Kind, Args), second: (Kind, Args)) -> Option<(Kind, Args)> {
    let (before, args) = (first.1, second.1);
    // The second has to hide what the first wrote.
    if before.a != args.b || args.a != args.b {
        return None;
    }
    let constant = |value: i64| {
        let immediate = i32::try_from(value).ok()?;
        Some((Kind::Constant, Args { a: args.a, immediate, ..Args::default() }))
    };
    let (old, new) = (i64::from(before.immediate), i64::from(args.immediate));
    match (first.0, second.0) {
        (Kind::Dsll, Kind::Dsrl) if (old, new) == (32, 32) => {
            Some((Kind::ZeroExtend, Args { a: args.a, b: before.b, ..Args::default() }))
        }
        (Kind::Constant, Kind::Daddiu) => constant(old + new),
        (Kind::Constant, Kind::Addiu) => constant(i64::from((old + new) as i32)),
        (Kind::Constant, Kind::Ori) => constant(old | new),
        _ => None,
    }
}

/// The acts of an instruction that is no branch; none if the reference has to take it.
fn acts(word: Word, op: Op) -> Option<[Option<(Kind, Args)>; 2]> {
    let (rs, rt, rd) = (word.rs(), word.rt(), word.rd());
    let registers = |kind| (kind, Args { a: rd, b: rs, c: rt, immediate: 0 });
    let shift =
        |kind, more| (kind, Args { a: rd, b: rt, c: 0, immediate: word.shift_amount() + more });
    let signed = |kind| (kind, Args { a: rt, b: rs, c: 0, immediate: word.signed() });
    let unsigned = |kind| (kind, Args { a: rt, b: rs, c: 0, immediate: word.unsigned() });
    let store = |kind| Some((kind, Args { a: 0, b: rs, c: rt, immediate: word.signed() }));
    let copy = |to, from| (Kind::Move, Args { a: to, b: from, ..Args::default() });
    let constant = |to, immediate| (Kind::Constant, Args { a: to, immediate, ..Args::default() });
    // Whatever has no result of its own writes 0 to rd.
    let cleared = (rd != 0).then(|| constant(rd, 0));
    let sum = |kind| match (rs, rt) {
        (from, 0) | (0, from) => copy(rd, from),
        _ => registers(kind),
    };
    let act = match op {
        Op::Mthi => return Some([Some(copy(HI, rs)), cleared]),
        Op::Mtlo => return Some([Some(copy(LO, rs)), cleared]),
        Op::Mult => return Some([Some(registers(Kind::Mult)), cleared]),
        Op::Multu => return Some([Some(registers(Kind::Multu)), cleared]),
        Op::Dmult => return Some([Some(registers(Kind::Dmult)), cleared]),
        Op::Dmultu => return Some([Some(registers(Kind::Dmultu)), cleared]),
        Op::Div => return Some([Some(registers(Kind::Div)), cleared]),
        Op::Divu => return Some([Some(registers(Kind::Divu)), cleared]),
        Op::Ddiv => return Some([Some(registers(Kind::Ddiv)), cleared]),
        Op::Ddivu => return Some([Some(registers(Kind::Ddivu)), cleared]),
        Op::Sb => return Some([store(Kind::Sb), None]),
        Op::Sh => return Some([store(Kind::Sh), None]),
        Op::Sw => return Some([store(Kind::Sw), None]),
        Op::Sd => return Some([store(Kind::Sd), None]),
        Op::Swl => return Some([store(Kind::Swl), None]),
        Op::Swr => return Some([store(Kind::Swr), None]),
        Op::Sdl => return Some([store(Kind::Sdl), None]),
        Op::Sdr => return Some([store(Kind::Sdr), None]),

        Op::Sll => shift(Kind::Sll, 0),
        Op::Srl => shift(Kind::Srl, 0),
        Op::Sra => shift(Kind::Sra, 0),
        Op::Dsll => shift(Kind::Dsll, 0),
        Op::Dsrl => shift(Kind::Dsrl, 0),
        Op::Dsra => shift(Kind::Dsra, 0),
        Op::Dsll32 => shift(Kind::Dsll, 32),
        Op::Dsrl32 => shift(Kind::Dsrl, 32),
        Op::Dsra32 => shift(Kind::Dsra, 32),
        Op::Sllv => registers(Kind::Sllv),
        Op::Srlv => registers(Kind::Srlv),
        Op::Srav => registers(Kind::Srav),
        Op::Dsllv => registers(Kind::Dsllv),
        Op::Dsrlv => registers(Kind::Dsrlv),
        Op::Dsrav => registers(Kind::Dsrav),
        Op::Add | Op::Addu => registers(Kind::Addu),
        Op::Sub | Op::Subu => registers(Kind::Subu),
        Op::And => registers(Kind::And),
        Op::Or => sum(Kind::Or),
        Op::Xor => sum(Kind::Xor),
        Op::Nor => registers(Kind::Nor),
        Op::Slt => registers(Kind::Slt),
        Op::Sltu => registers(Kind::Sltu),
        Op::Dadd | Op::Daddu => sum(Kind::Daddu),
        Op::Dsub | Op::Dsubu => registers(Kind::Dsubu),
        Op::Mul => registers(Kind::Mul),
        Op::Clz => registers(Kind::Clz),
        Op::Clo => registers(Kind::Clo),
        Op::Dclz => registers(Kind::Dclz),
        Op::Dclo => registers(Kind::Dclo),
        Op::Movz => registers(Kind::Movz),
        Op::Movn => registers(Kind::Movn),
        Op::Sync => copy(rd, rs),
        Op::Mfhi => copy(rd, HI),
        Op::Mflo => copy(rd, LO),

        Op::Addi | Op::Addiu if rs == 0 => constant(rt, word.signed()),
        Op::Daddi | Op::Daddiu if rs == 0 => constant(rt, word.signed()),
        Op::Ori | Op::Xori if rs == 0 => constant(rt, word.unsigned()),
        Op::Addi | Op::Addiu => signed(Kind::Addiu),
        Op::Slti => signed(Kind::Slti),
        Op::Sltiu => signed(Kind::Sltiu),
        Op::Andi => unsigned(Kind::Andi),
        Op::Ori => unsigned(Kind::Ori),
        Op::Xori => unsigned(Kind::Xori),
        Op::Lui => constant(rt, word.unsigned() << 16),
        Op::Daddi | Op::Daddiu => signed(Kind::Daddiu),

        Op::Lb => signed(Kind::Lb),
        Op::Lbu => signed(Kind::Lbu),
        Op::Lh => signed(Kind::Lh),
        Op::Lhu => signed(Kind::Lhu),
        Op::Lw => signed(Kind::Lw),
        Op::Lwu => signed(Kind::Lwu),
        Op::Ld => signed(Kind::Ld),
        Op::Lwl => signed(Kind::Lwl),
        Op::Lwr => signed(Kind::Lwr),
        Op::Ldl => signed(Kind::Ldl),
        Op::Ldr => signed(Kind::Ldr),

        Op::Ll | Op::Lld | Op::Sc | Op::Scd | Op::Syscall => return None,
        Op::Beq | Op::Bne | Op::Blez | Op::Bgtz | Op::Bltz | Op::Bgez => return None,
        Op::Bltzal | Op::Bgezal | Op::RegimmReserved => return None,
        Op::J | Op::Jal | Op::Jr | Op::Jalr => return None,
    };
    // Nothing is seen of what would be written to register 0, and reading changes nothing.
    Some([(act.1.a != 0).then_some(act), None])
}
