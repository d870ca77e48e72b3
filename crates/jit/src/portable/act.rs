//! What decoded instructions do: the acts, and how they follow one another.
//!
//! Knows registers and pages, and the meaning of plain instructions as [`tribunal_mips64`] has it.
//! Knows nothing of blocks, steps and addresses of code: an act that cannot be done here says so.

use tribunal_memory::{PAGE_SIZE, Pages, Storage as _};

use super::code::Code;

/// What acts work on.
pub(crate) struct Cpu {
    /// The 32 registers, hi, lo and [`TEMPORARY`]. Every `u8` is an index: none is ever checked.
    pub(crate) registers: [u64; 256],
    /// Steps that may still be taken.
    pub(crate) budget: u64,
    /// Where [`INDIRECT`] leads.
    pub(crate) target: u64,
    /// How many entries of the block were left, and which act of the entry ended it.
    pub(crate) ended: (usize, usize),
    /// The word that is reserved.
    pub(crate) reserved: u64,
    pub(crate) code: Code,
}

/// The place of hi among the registers.
pub(crate) const HI: u8 = 32;
/// The place of lo.
pub(crate) const LO: u8 = 33;
/// The place of what a branch compares, if its delay slot writes over that.
pub(crate) const TEMPORARY: u8 = 34;

/// The operands of an act.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Args {
    /// Mostly the register that is written.
    pub(crate) a: u8,
    /// Mostly rs.
    pub(crate) b: u8,
    /// Mostly rt.
    pub(crate) c: u8,
    /// Sign-extended; or the number of a block.
    pub(crate) immediate: i32,
}

impl Args {
    fn signed(self) -> u64 {
        i64::from(self.immediate) as u64
    }
}

/// How an act ends a block: the number of the next one, or one of these two.
type Next = u32;

/// The next block is the one at `target`.
pub(crate) const INDIRECT: Next = u32::MAX;
/// The act was not done. The reference has to take its step.
pub(crate) const REFERENCE: Next = u32::MAX - 1;
/// Numbers from here on are no blocks.
pub(crate) const FIRST_SPECIAL: Next = REFERENCE;

/// One or two acts of a block.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) run: Run,
    pub(crate) args: [Args; 2],
}

/// Does the acts of an entry and then those of the rest.
///
/// Each calls the next in its last expression: compilers make a jump of that. Where one does not,
/// the calls go no deeper than a block is long.
pub(crate) type Run = fn(&mut Cpu, &mut Pages, &Entry, &[Entry]) -> Next;

/// What a part of an instruction does. Without a result, the next act follows.
trait Act {
    fn act(cpu: &mut Cpu, memory: &mut Pages, args: Args) -> Result<(), Next>;
}

fn one<A: Act>(cpu: &mut Cpu, memory: &mut Pages, entry: &Entry, rest: &[Entry]) -> Next {
    if let Err(next) = A::act(cpu, memory, entry.args[0]) {
        cpu.ended = (rest.len(), 0);
        return next;
    }
    follow(cpu, memory, rest)
}

fn two<A: Act, B: Act>(cpu: &mut Cpu, memory: &mut Pages, entry: &Entry, rest: &[Entry]) -> Next {
    if let Err(next) = A::act(cpu, memory, entry.args[0]) {
        cpu.ended = (rest.len(), 0);
        return next;
    }
    if let Err(next) = B::act(cpu, memory, entry.args[1]) {
        cpu.ended = (rest.len(), 1);
        return next;
    }
    follow(cpu, memory, rest)
}

#[inline(always)]
fn follow(cpu: &mut Cpu, memory: &mut Pages, rest: &[Entry]) -> Next {
    match rest.split_first() {
        Some((entry, rest)) => (entry.run)(cpu, memory, entry, rest),
        // No block is made without an end.
        None => REFERENCE,
    }
}

/// Declares [`Kind`] and the tables of what runs: of each act alone, and of pairs of the frequent.
macro_rules! kinds {
    (frequent [$($frequent:ident)*] rare [$($rare:ident)*]) => {
        /// The acts there are; the frequent first.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub(crate) enum Kind {
            $($frequent,)*
            $($rare,)*
        }

        const FREQUENT: usize = [$(Kind::$frequent),*].len();

        static ALONE: &[Run] = &[$(one::<acts::$frequent>,)* $(one::<acts::$rare>,)*];

        /// The pairs that begin with an act.
        struct Pairs<A>(std::marker::PhantomData<A>);

        impl<A: Act> Pairs<A> {
            const WITH: [Run; FREQUENT] = [$(two::<A, acts::$frequent>,)*];
        }

        static PAIRS: [[Run; FREQUENT]; FREQUENT] = [$(Pairs::<acts::$frequent>::WITH,)*];
    };
}

impl Kind {
    pub(crate) fn alone(self) -> Run {
        ALONE[self as usize]
    }

    /// What does this and then `second` at once.
    pub(crate) fn with(self, second: Self) -> Option<Run> {
        PAIRS.get(self as usize)?.get(second as usize).copied()
    }
}

kinds! {
    frequent [
        Addu Subu And Or Xor Slt Sltu Daddu Dsubu Move ZeroExtend
        Sll Srl Dsll Dsrl Dsra
        Addiu Daddiu Sltiu Andi Ori Constant
        Lbu Lw Lwu Ld Sb Sw Sd
        Beq Bne Beqz Bnez Blez Bgtz Bltz Bgez Goto JumpRegister
    ]
    rare [
        Nor Mul Clz Clo Dclz Dclo Movz Movn Sra
        Sllv Srlv Srav Dsllv Dsrlv Dsrav Slti Xori
        Mult Multu Dmult Dmultu Div Divu Ddiv Ddivu
        Lb Lh Lhu Lwl Lwr Ldl Ldr Sh Swl Swr Sdl Sdr
        Reference
    ]
}

/// Acts that write a register: `a` = value of the other operands.
macro_rules! values {
    ($($name:ident($cpu:ident, $args:ident) => $value:expr;)*) => {
        $(pub(super) struct $name;

        impl Act for $name {
            #[inline(always)]
            fn act($cpu: &mut Cpu, _: &mut Pages, $args: Args) -> Result<(), Next> {
                let value: u64 = $value;
                $cpu.set($args.a, value);
                Ok(())
            }
        })*
    };
}

/// Acts that write hi and lo: (hi, lo) = value of (rs, rt), or none for a fault.
macro_rules! pairs {
    ($($name:ident => |$rs:ident, $rt:ident| $value:expr;)*) => {
        $(pub(super) struct $name;

        impl Act for $name {
            #[inline(always)]
            fn act(cpu: &mut Cpu, _: &mut Pages, args: Args) -> Result<(), Next> {
                let ($rs, $rt) = (cpu.get(args.b), cpu.get(args.c));
                let value: Option<(u64, u64)> = $value;
                let Some((hi, lo)) = value else { return Err(REFERENCE) };
                cpu.set(HI, hi);
                cpu.set(LO, lo);
                Ok(())
            }
        })*
    };
}

/// Branches: if the condition holds, to the block `immediate`; `a` steps of this block are given
/// back.
macro_rules! branches {
    ($($name:ident => |$rs:ident, $rt:ident| $condition:expr;)*) => {
        $(pub(super) struct $name;

        impl Act for $name {
            #[inline(always)]
            fn act(cpu: &mut Cpu, _: &mut Pages, args: Args) -> Result<(), Next> {
                let ($rs, $rt) = (cpu.get(args.b), cpu.get(args.c));
                if $condition {
                    cpu.budget += u64::from(args.a);
                    return Err(args.immediate as u32);
                }
                Ok(())
            }
        })*
    };
}

/// Loads of one naturally aligned part: as which unsigned type, and through which types its value
/// becomes a register's.
macro_rules! loads {
    ($($name:ident $part:ident => $($through:ident)*;)*) => {
        $(pub(super) struct $name;

        impl Act for $name {
            #[inline(always)]
            fn act(cpu: &mut Cpu, memory: &mut Pages, args: Args) -> Result<(), Next> {
                let address = cpu.address(args);
                const BYTES: usize = size_of::<$part>();
                let part = match memory.page_for_load(address) {
                    Some(page) => {
                        let part = page.as_chunks().0[address as usize % PAGE_SIZE / BYTES];
                        $part::from_be_bytes(part)
                    }
                    None => {
                        let word = load_slowly(memory, address);
                        (word >> shift::<BYTES>(address)) as $part
                    }
                };
                cpu.set(args.a, part $(as $through)*);
                Ok(())
            }
        })*
    };
}

/// Stores of one naturally aligned part.
macro_rules! stores {
    ($($name:ident $part:ident;)*) => {
        $(pub(super) struct $name;

        impl Act for $name {
            #[inline(always)]
            fn act(cpu: &mut Cpu, memory: &mut Pages, args: Args) -> Result<(), Next> {
                let address = cpu.address(args);
                let value = cpu.get(args.c) as $part;
                const BYTES: usize = size_of::<$part>();
                match memory.page_for_store(address) {
                    Some(page) => {
                        let offset = address as usize % PAGE_SIZE;
                        page.as_chunks_mut().0[offset / BYTES] = value.to_be_bytes();
                        Ok(())
                    }
                    None => {
                        let shift = shift::<BYTES>(address);
                        let mask = u64::from($part::MAX) << shift;
                        store_slowly(cpu, memory, address, mask, u64::from(value) << shift)
                    }
                }
            }
        })*
    };
}

/// Loads of a part that need not be aligned: value of (word, bits before the address, rt).
macro_rules! partial_loads {
    ($($name:ident $bytes:literal => |$word:ident, $shift:ident, $rt:ident| $value:expr;)*) => {
        $(pub(super) struct $name;

        impl Act for $name {
            #[inline(always)]
            fn act(cpu: &mut Cpu, memory: &mut Pages, args: Args) -> Result<(), Next> {
                let address = cpu.address(args);
                let $word = memory.word(address) >> shift::<$bytes>(address);
                let ($shift, $rt) = (address % $bytes * 8, cpu.get(args.a));
                let value: u64 = $value;
                cpu.set(args.a, value);
                Ok(())
            }
        })*
    };
}

/// Stores of a part that need not be aligned: (mask, value) of (bits before the address, rt).
macro_rules! partial_stores {
    ($($name:ident $bytes:literal => |$shift:ident, $rt:ident| $value:expr;)*) => {
        $(pub(super) struct $name;

        impl Act for $name {
            #[inline(always)]
            fn act(cpu: &mut Cpu, memory: &mut Pages, args: Args) -> Result<(), Next> {
                let address = cpu.address(args);
                let ($shift, $rt) = (address % $bytes * 8, cpu.get(args.c));
                let (mask, value): (u64, u64) = $value;
                let at = shift::<$bytes>(address);
                store_slowly(cpu, memory, address, mask << at, value << at)
            }
        })*
    };
}

/// The acts, by their kind.
mod acts {
    use super::*;

    values! {
        Addu(cpu, args) => extended(cpu.get(args.b).wrapping_add(cpu.get(args.c)));
        Subu(cpu, args) => extended(cpu.get(args.b).wrapping_sub(cpu.get(args.c)));
        And(cpu, args) => cpu.get(args.b) & cpu.get(args.c);
        Or(cpu, args) => cpu.get(args.b) | cpu.get(args.c);
        Xor(cpu, args) => cpu.get(args.b) ^ cpu.get(args.c);
        Nor(cpu, args) => !(cpu.get(args.b) | cpu.get(args.c));
        Slt(cpu, args) => u64::from((cpu.get(args.b) as i64) < cpu.get(args.c) as i64);
        Sltu(cpu, args) => u64::from(cpu.get(args.b) < cpu.get(args.c));
        Daddu(cpu, args) => cpu.get(args.b).wrapping_add(cpu.get(args.c));
        Dsubu(cpu, args) => cpu.get(args.b).wrapping_sub(cpu.get(args.c));
        Move(cpu, args) => cpu.get(args.b);
        ZeroExtend(cpu, args) => u64::from(cpu.get(args.b) as u32);
        Mul(cpu, args) => extended(cpu.get(args.b).wrapping_mul(cpu.get(args.c)));
        Clz(cpu, args) => u64::from((cpu.get(args.b) as u32).leading_zeros());
        Clo(cpu, args) => u64::from((cpu.get(args.b) as u32).leading_ones());
        Dclz(cpu, args) => u64::from(cpu.get(args.b).leading_zeros());
        Dclo(cpu, args) => u64::from(cpu.get(args.b).leading_ones());
        Movz(cpu, args) => cpu.get(if cpu.get(args.c) == 0 { args.b } else { args.a });
        Movn(cpu, args) => cpu.get(if cpu.get(args.c) != 0 { args.b } else { args.a });

        Sll(cpu, args) => extended(cpu.get(args.b) << (args.immediate & 31));
        Srl(cpu, args) => extended((cpu.get(args.b) as u32 >> (args.immediate & 31)).into());
        Sra(cpu, args) => (cpu.get(args.b) as i32 >> (args.immediate & 31)) as u64;
        Dsll(cpu, args) => cpu.get(args.b) << (args.immediate & 63);
        Dsrl(cpu, args) => cpu.get(args.b) >> (args.immediate & 63);
        Dsra(cpu, args) => (cpu.get(args.b) as i64 >> (args.immediate & 63)) as u64;
        // What is shifted is rt, as in the instructions of a fixed shift.
        Sllv(cpu, args) => extended(cpu.get(args.c) << (cpu.get(args.b) & 31));
        Srlv(cpu, args) => extended((cpu.get(args.c) as u32 >> (cpu.get(args.b) & 31)).into());
        Srav(cpu, args) => (cpu.get(args.c) as i32 >> (cpu.get(args.b) & 31)) as u64;
        Dsllv(cpu, args) => cpu.get(args.c) << (cpu.get(args.b) & 63);
        Dsrlv(cpu, args) => cpu.get(args.c) >> (cpu.get(args.b) & 63);
        Dsrav(cpu, args) => (cpu.get(args.c) as i64 >> (cpu.get(args.b) & 63)) as u64;

        Addiu(cpu, args) => extended(cpu.get(args.b).wrapping_add(args.signed()));
        Daddiu(cpu, args) => cpu.get(args.b).wrapping_add(args.signed());
        Slti(cpu, args) => u64::from((cpu.get(args.b) as i64) < args.signed() as i64);
        Sltiu(cpu, args) => u64::from(cpu.get(args.b) < args.signed());
        Andi(cpu, args) => cpu.get(args.b) & args.signed();
        Ori(cpu, args) => cpu.get(args.b) | args.signed();
        Xori(cpu, args) => cpu.get(args.b) ^ args.signed();
        Constant(cpu, args) => args.signed();
    }

    pairs! {
        Mult => |rs, rt| Some(halves((i64::from(rs as i32) * i64::from(rt as i32)) as u64));
        Multu => |rs, rt| Some(halves(u64::from(rs as u32) * u64::from(rt as u32)));
        Dmult => |rs, rt| {
            let product = i128::from(rs as i64) * i128::from(rt as i64);
            Some(((product >> 64) as u64, product as u64))
        };
        Dmultu => |rs, rt| {
            let product = u128::from(rs) * u128::from(rt);
            Some(((product >> 64) as u64, product as u64))
        };
        Div => |rs, rt| {
            let (rs, rt) = (rs as i32, rt as i32);
            (rt != 0).then(|| (rs.wrapping_rem(rt) as u64, rs.wrapping_div(rt) as u64))
        };
        Divu => |rs, rt| {
            let (rs, rt) = (rs as u32, rt as u32);
            (rt != 0).then(|| (extended((rs % rt).into()), extended((rs / rt).into())))
        };
        Ddiv => |rs, rt| {
            let (rs, rt) = (rs as i64, rt as i64);
            (rt != 0).then(|| (rs.wrapping_rem(rt) as u64, rs.wrapping_div(rt) as u64))
        };
        Ddivu => |rs, rt| (rt != 0).then(|| (rs % rt, rs / rt));
    }

    branches! {
        Beq => |rs, rt| rs == rt;
        Bne => |rs, rt| rs != rt;
        Beqz => |rs, _rt| rs == 0;
        Bnez => |rs, _rt| rs != 0;
        Blez => |rs, _rt| rs as i64 <= 0;
        Bgtz => |rs, _rt| rs as i64 > 0;
        Bltz => |rs, _rt| (rs as i64) < 0;
        Bgez => |rs, _rt| rs as i64 >= 0;
    }

    loads! {
        Lb u8 => i8 u64;
        Lbu u8 => u64;
        Lh u16 => i16 u64;
        Lhu u16 => u64;
        Lw u32 => i32 u64;
        Lwu u32 => u64;
        Ld u64 => u64;
    }

    stores! {
        Sb u8;
        Sh u16;
        Sw u32;
        Sd u64;
    }

    partial_loads! {
        Lwl 4 => |word, shift, rt| extended(word << shift | rt & !(u64::MAX << shift));
        // Only a load of the whole word extends its sign; otherwise rt keeps its upper half.
        Lwr 4 => |word, shift, rt| {
            let behind = 24 - shift;
            let loaded = (word & 0xffff_ffff) >> behind;
            if behind == 0 { extended(loaded) } else { rt & !(0xffff_ffff >> behind) | loaded }
        };
        Ldl 8 => |word, shift, rt| word << shift | rt & !(u64::MAX << shift);
        Ldr 8 => |word, shift, rt| {
            let behind = 56 - shift;
            word >> behind | rt & !(u64::MAX >> behind)
        };
    }

    partial_stores! {
        Swl 4 => |shift, rt| (0xffff_ffff >> shift, (rt & 0xffff_ffff) >> shift);
        Swr 4 => |shift, rt| {
            let behind = 24 - shift;
            (0xffff_ffff << behind & 0xffff_ffff, rt << behind & 0xffff_ffff)
        };
        Sdl 8 => |shift, rt| (u64::MAX >> shift, rt >> shift);
        Sdr 8 => |shift, rt| (u64::MAX << (56 - shift), rt << (56 - shift));
    }

    /// On to the block `immediate`.
    pub(super) struct Goto;

    impl Act for Goto {
        #[inline(always)]
        fn act(_: &mut Cpu, _: &mut Pages, args: Args) -> Result<(), Next> {
            Err(args.immediate as u32)
        }
    }

    /// On to the block that begins at the address in `b`.
    pub(super) struct JumpRegister;

    impl Act for JumpRegister {
        #[inline(always)]
        fn act(cpu: &mut Cpu, _: &mut Pages, args: Args) -> Result<(), Next> {
            cpu.target = cpu.get(args.b);
            Err(INDIRECT)
        }
    }

    /// On with a step of the reference.
    pub(super) struct Reference;

    impl Act for Reference {
        #[inline(always)]
        fn act(_: &mut Cpu, _: &mut Pages, _: Args) -> Result<(), Next> {
            Err(REFERENCE)
        }
    }
}

impl Cpu {
    #[inline(always)]
    fn get(&self, register: u8) -> u64 {
        self.registers[register as usize]
    }

    #[inline(always)]
    fn set(&mut self, register: u8, value: u64) {
        self.registers[register as usize] = value;
    }

    #[inline(always)]
    fn address(&self, args: Args) -> u64 {
        self.get(args.b).wrapping_add(args.signed())
    }
}

/// A 32-bit result, sign-extended.
#[inline(always)]
fn extended(value: u64) -> u64 {
    value as i32 as u64
}

/// A 64-bit product as (hi, lo), each half sign-extended.
#[inline(always)]
fn halves(product: u64) -> (u64, u64) {
    (extended(product >> 32), extended(product))
}

/// Bits behind the naturally aligned part at `address`, in the word that holds it.
#[inline(always)]
fn shift<const BYTES: usize>(address: u64) -> u64 {
    let bytes = BYTES as u64;
    64 - bytes * 8 - (address & 7 & !(bytes - 1)) * 8
}

#[cold]
#[inline(never)]
fn load_slowly(memory: &mut Pages, address: u64) -> u64 {
    memory.word(address)
}

/// Replaces the bits of `mask` in a word. Leaves it to the reference where more may have to be done.
#[cold]
#[inline(never)]
fn store_slowly(
    cpu: &Cpu,
    memory: &mut Pages,
    address: u64,
    mask: u64,
    bits: u64,
) -> Result<(), Next> {
    let reserved = (address ^ cpu.reserved) & !7 == 0;
    let exists = |memory: &Pages| {
        memory.page_for_load(address).is_some() || memory.has_page(address / PAGE_SIZE as u64)
    };
    // A page that comes to be may have to be watched.
    if reserved || cpu.code.holds(address) || !exists(memory) {
        return Err(REFERENCE);
    }
    let word = memory.word(address) & !mask | bits & mask;
    memory.set_word(address, word);
    // Nothing of interest was written there.
    memory.watched_writes().for_each(drop);
    Ok(())
}
