//! The instruction table: every instruction the machine has, one row each.
//!
//! Decoding, execution, disassembly and the list that tests and documents are held against all come
//! from these rows. A word that no row matches is a fault.

use tribunal_memory::Storage;

use crate::execute::{
    Cpu, Execution, bits_32, byte, half, insert_byte, insert_half, insert_word, quotient_32,
    quotient_64, quotient_u32, quotient_u64, shift_within, sign_extend_8, sign_extend_16,
    sign_extend_32, split_64, split_128, word_32,
};
use crate::step::Recorder;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What it is.
    pub op: Op,
    /// What assemblers call it.
    pub mnemonic: &'static str,
    /// Which words it is.
    pub encoding: Encoding,
    /// How its operands are written.
    pub syntax: Syntax,
}

/// The field that tells an instruction from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Bits 31–26.
    Primary(u8),
    /// Bits 31–26 are 0, these are bits 5–0.
    Special(u8),
    /// Bits 31–26 are 0x1c, these are bits 5–0.
    Special2(u8),
    /// Bits 31–26 are 1, these are bits 20–16.
    Regimm(u8),
    /// Bits 31–26 are 1, and bits 20–16 are those of no other row.
    OtherRegimm,
}

/// The operands of an instruction, in the order they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// `rd, rs, rt`
    RdRsRt,
    /// `rd, rt, shift amount`
    RdRtSa,
    /// `rd, rt, rs`
    RdRtRs,
    /// `rs, rt`
    RsRt,
    /// `rd, rs`
    RdRs,
    /// `rd`
    Rd,
    /// `rs`
    Rs,
    /// `rt, rs, signed immediate`
    RtRsSigned,
    /// `rt, rs, unsigned immediate`
    RtRsUnsigned,
    /// `rt, unsigned immediate`
    RtUnsigned,
    /// `rt, offset(rs)`
    RtOffset,
    /// `rs, rt, branch target`
    RsRtBranch,
    /// `rs, branch target`
    RsBranch,
    /// `jump target`
    Jump,
    /// Nothing.
    Nothing,
}

/// Declares [`Op`], [`INSTRUCTIONS`] and `execute` from rows of
/// `name "mnemonic" encoding syntax => rule(semantics)`.
///
/// A rule is a method of [`Cpu`]: it fetches operands, stores the result and moves on.
macro_rules! instructions {
    ($(
        $op:ident $mnemonic:literal $encoding:ident $(($code:literal))? $syntax:ident
            => $rule:ident($($semantics:expr),*);
    )*) => {
        /// An instruction, without its operands.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Op {
            $(#[doc = concat!("`", $mnemonic, "`")] $op,)*
        }

        /// Every instruction.
        pub const INSTRUCTIONS: &[Instruction] = &[
            $(Instruction {
                op: Op::$op,
                mnemonic: $mnemonic,
                encoding: Encoding::$encoding $(($code))?,
                syntax: Syntax::$syntax,
            },)*
        ];

        /// Executes one instruction of the active thread.
        #[inline]
        pub(crate) fn execute<S: Storage, R: Recorder>(
            cpu: &mut Cpu<'_, S, R>,
            op: Op,
            instruction: u32,
        ) -> Execution {
            match op {
                $(Op::$op => cpu.$rule(instruction $(, $semantics)*),)*
            }
        }
    };
}

instructions! {
    // Shifts. A 32-bit result is always sign-extended.
    Sll    "sll"    Special(0x00)  RdRtSa  => shift(|rt, sa| sign_extend_32(rt << sa));
    Srl    "srl"    Special(0x02)  RdRtSa  => shift(|rt, sa| sign_extend_32(bits_32(rt) >> sa));
    Sra    "sra"    Special(0x03)  RdRtSa  => shift(|rt, sa| (sign_extend_32(rt) as i64 >> sa) as u64);
    Sllv   "sllv"   Special(0x04)  RdRtRs  => register(|rs, rt| sign_extend_32(rt << (rs & 31)));
    Srlv   "srlv"   Special(0x06)  RdRtRs  => register(|rs, rt| sign_extend_32(bits_32(rt) >> (rs & 31)));
    Srav   "srav"   Special(0x07)  RdRtRs  => register(|rs, rt| (sign_extend_32(rt) as i64 >> (rs & 31)) as u64);
    Dsllv  "dsllv"  Special(0x14)  RdRtRs  => register(|rs, rt| rt << (rs & 63));
    Dsrlv  "dsrlv"  Special(0x16)  RdRtRs  => register(|rs, rt| rt >> (rs & 63));
    Dsrav  "dsrav"  Special(0x17)  RdRtRs  => register(|rs, rt| (rt as i64 >> (rs & 63)) as u64);
    Dsll   "dsll"   Special(0x38)  RdRtSa  => shift(|rt, sa| rt << sa);
    Dsrl   "dsrl"   Special(0x3a)  RdRtSa  => shift(|rt, sa| rt >> sa);
    Dsra   "dsra"   Special(0x3b)  RdRtSa  => shift(|rt, sa| (rt as i64 >> sa) as u64);
    Dsll32 "dsll32" Special(0x3c)  RdRtSa  => shift(|rt, sa| rt << (sa + 32));
    Dsrl32 "dsrl32" Special(0x3e)  RdRtSa  => shift(|rt, sa| rt >> (sa + 32));
    Dsra32 "dsra32" Special(0x3f)  RdRtSa  => shift(|rt, sa| (rt as i64 >> (sa + 32)) as u64);

    // Arithmetic and logic. Nothing traps on overflow: add is addu.
    Add    "add"    Special(0x20)  RdRsRt  => register(|rs, rt| sign_extend_32(rs.wrapping_add(rt)));
    Addu   "addu"   Special(0x21)  RdRsRt  => register(|rs, rt| sign_extend_32(rs.wrapping_add(rt)));
    Sub    "sub"    Special(0x22)  RdRsRt  => register(|rs, rt| sign_extend_32(rs.wrapping_sub(rt)));
    Subu   "subu"   Special(0x23)  RdRsRt  => register(|rs, rt| sign_extend_32(rs.wrapping_sub(rt)));
    And    "and"    Special(0x24)  RdRsRt  => register(|rs, rt| rs & rt);
    Or     "or"     Special(0x25)  RdRsRt  => register(|rs, rt| rs | rt);
    Xor    "xor"    Special(0x26)  RdRsRt  => register(|rs, rt| rs ^ rt);
    Nor    "nor"    Special(0x27)  RdRsRt  => register(|rs, rt| !(rs | rt));
    Slt    "slt"    Special(0x2a)  RdRsRt  => register(|rs, rt| u64::from((rs as i64) < rt as i64));
    Sltu   "sltu"   Special(0x2b)  RdRsRt  => register(|rs, rt| u64::from(rs < rt));
    Dadd   "dadd"   Special(0x2c)  RdRsRt  => register(u64::wrapping_add);
    Daddu  "daddu"  Special(0x2d)  RdRsRt  => register(u64::wrapping_add);
    Dsub   "dsub"   Special(0x2e)  RdRsRt  => register(u64::wrapping_sub);
    Dsubu  "dsubu"  Special(0x2f)  RdRsRt  => register(u64::wrapping_sub);
    Mul    "mul"    Special2(0x02) RdRsRt  => register(|rs, rt| sign_extend_32(rs.wrapping_mul(rt)));
    Clz    "clz"    Special2(0x20) RdRs    => register(|rs, _| u64::from((rs as u32).leading_zeros()));
    Clo    "clo"    Special2(0x21) RdRs    => register(|rs, _| u64::from((rs as u32).leading_ones()));
    Dclz   "dclz"   Special2(0x24) RdRs    => register(|rs, _| u64::from(rs.leading_zeros()));
    Dclo   "dclo"   Special2(0x25) RdRs    => register(|rs, _| u64::from(rs.leading_ones()));
    Movz   "movz"   Special(0x0a)  RdRsRt  => conditional_move(|rt| rt == 0);
    Movn   "movn"   Special(0x0b)  RdRsRt  => conditional_move(|rt| rt != 0);
    // The contract writes rs back to rd, as for any register instruction.
    Sync   "sync"   Special(0x0f)  Nothing => register(|rs, _| rs);

    Addi   "addi"   Primary(0x08)  RtRsSigned   => immediate(|rs, imm| sign_extend_32(rs.wrapping_add(imm)));
    Addiu  "addiu"  Primary(0x09)  RtRsSigned   => immediate(|rs, imm| sign_extend_32(rs.wrapping_add(imm)));
    Slti   "slti"   Primary(0x0a)  RtRsSigned   => immediate(|rs, imm| u64::from((rs as i64) < imm as i64));
    Sltiu  "sltiu"  Primary(0x0b)  RtRsSigned   => immediate(|rs, imm| u64::from(rs < imm));
    Andi   "andi"   Primary(0x0c)  RtRsUnsigned => unsigned_immediate(|rs, imm| rs & imm);
    Ori    "ori"    Primary(0x0d)  RtRsUnsigned => unsigned_immediate(|rs, imm| rs | imm);
    Xori   "xori"   Primary(0x0e)  RtRsUnsigned => unsigned_immediate(|rs, imm| rs ^ imm);
    Lui    "lui"    Primary(0x0f)  RtUnsigned   => unsigned_immediate(|_, imm| sign_extend_32(imm << 16));
    Daddi  "daddi"  Primary(0x18)  RtRsSigned   => immediate(u64::wrapping_add);
    Daddiu "daddiu" Primary(0x19)  RtRsSigned   => immediate(u64::wrapping_add);

    // HI and LO. Whatever has no result of its own writes 0 to rd.
    Mfhi   "mfhi"   Special(0x10)  Rd   => move_from(|hi, _| hi);
    Mthi   "mthi"   Special(0x11)  Rs   => hi_lo(|rs, _, (_, lo)| Ok((rs, lo)));
    Mflo   "mflo"   Special(0x12)  Rd   => move_from(|_, lo| lo);
    Mtlo   "mtlo"   Special(0x13)  Rs   => hi_lo(|rs, _, (hi, _)| Ok((hi, rs)));
    Mult   "mult"   Special(0x18)  RsRt => product(|rs, rt| split_64((sign_extend_32(rs) as i64 * sign_extend_32(rt) as i64) as u64));
    Multu  "multu"  Special(0x19)  RsRt => product(|rs, rt| split_64(bits_32(rs) * bits_32(rt)));
    Div    "div"    Special(0x1a)  RsRt => hi_lo(|rs, rt, _| quotient_32(rs, rt));
    Divu   "divu"   Special(0x1b)  RsRt => hi_lo(|rs, rt, _| quotient_u32(rs, rt));
    Dmult  "dmult"  Special(0x1c)  RsRt => product(|rs, rt| split_128((i128::from(rs as i64) * i128::from(rt as i64)) as u128));
    Dmultu "dmultu" Special(0x1d)  RsRt => product(|rs, rt| split_128(u128::from(rs) * u128::from(rt)));
    Ddiv   "ddiv"   Special(0x1e)  RsRt => hi_lo(|rs, rt, _| quotient_64(rs, rt));
    Ddivu  "ddivu"  Special(0x1f)  RsRt => hi_lo(|rs, rt, _| quotient_u64(rs, rt));

    // Branches and jumps. None may stand in a delay slot.
    Beq    "beq"    Primary(0x04)  RsRtBranch => branch(|rs, rt| rs == rt);
    Bne    "bne"    Primary(0x05)  RsRtBranch => branch(|rs, rt| rs != rt);
    Blez   "blez"   Primary(0x06)  RsBranch   => branch(|rs, _| rs as i64 <= 0);
    Bgtz   "bgtz"   Primary(0x07)  RsBranch   => branch(|rs, _| rs as i64 > 0);
    Bltz   "bltz"   Regimm(0x00)   RsBranch   => branch(|rs, _| (rs as i64) < 0);
    Bgez   "bgez"   Regimm(0x01)   RsBranch   => branch(|rs, _| rs as i64 >= 0);
    Bltzal "bltzal" Regimm(0x10)   RsBranch   => branch_and_link(|rs| (rs as i64) < 0);
    Bgezal "bgezal" Regimm(0x11)   RsBranch   => branch_and_link(|rs| rs as i64 >= 0);
    // The contract takes every other code for a branch that is never taken.
    RegimmReserved "regimm" OtherRegimm RsBranch => branch(|_, _| false);
    J      "j"      Primary(0x02)  Jump => jump();
    Jal    "jal"    Primary(0x03)  Jump => jump_and_link();
    Jr     "jr"     Special(0x08)  Rs   => jump_register();
    Jalr   "jalr"   Special(0x09)  RdRs => jump_and_link_register();

    // Loads. The part of the word is picked by the address, rounded down to the part's own size.
    Lb     "lb"     Primary(0x20)  RtOffset => load(|word, at, _| sign_extend_8(byte(word, at)));
    Lh     "lh"     Primary(0x21)  RtOffset => load(|word, at, _| sign_extend_16(half(word, at)));
    Lwl    "lwl"    Primary(0x22)  RtOffset => load(|word, at, rt| {
        let shift = shift_within(at, 4);
        sign_extend_32((word_32(word, at) << shift) | (rt & !(u64::MAX << shift)))
    });
    Lw     "lw"     Primary(0x23)  RtOffset => load(|word, at, _| sign_extend_32(word_32(word, at)));
    Lbu    "lbu"    Primary(0x24)  RtOffset => load(|word, at, _| byte(word, at));
    Lhu    "lhu"    Primary(0x25)  RtOffset => load(|word, at, _| half(word, at));
    // Only a load of the whole word extends its sign; otherwise rt keeps its upper half.
    Lwr    "lwr"    Primary(0x26)  RtOffset => load(|word, at, rt| {
        let shift = 24 - shift_within(at, 4);
        let loaded = word_32(word, at) >> shift;
        if shift == 0 { sign_extend_32(loaded) } else { (rt & !(0xffff_ffff >> shift)) | loaded }
    });
    Lwu    "lwu"    Primary(0x27)  RtOffset => load(|word, at, _| word_32(word, at));
    Ldl    "ldl"    Primary(0x1a)  RtOffset => load(|word, at, rt| {
        let shift = shift_within(at, 8);
        (word << shift) | (rt & !(u64::MAX << shift))
    });
    Ldr    "ldr"    Primary(0x1b)  RtOffset => load(|word, at, rt| {
        let shift = 56 - shift_within(at, 8);
        (word >> shift) | (rt & !(u64::MAX >> shift))
    });
    Ld     "ld"     Primary(0x37)  RtOffset => load(|word, _, _| word);

    // Stores: the word that is there, with a part of it replaced.
    Sb     "sb"     Primary(0x28)  RtOffset => store(insert_byte);
    Sh     "sh"     Primary(0x29)  RtOffset => store(insert_half);
    Swl    "swl"    Primary(0x2a)  RtOffset => store(|word, at, rt| {
        let shift = shift_within(at, 4);
        let kept = word_32(word, at) & !(0xffff_ffff >> shift);
        insert_word(word, at, kept | (bits_32(rt) >> shift))
    });
    Sw     "sw"     Primary(0x2b)  RtOffset => store(insert_word);
    Sdl    "sdl"    Primary(0x2c)  RtOffset => store(|word, at, rt| {
        let shift = shift_within(at, 8);
        (word & !(u64::MAX >> shift)) | (rt >> shift)
    });
    Sdr    "sdr"    Primary(0x2d)  RtOffset => store(|word, at, rt| {
        let shift = 56 - shift_within(at, 8);
        (word & !(u64::MAX << shift)) | (rt << shift)
    });
    Swr    "swr"    Primary(0x2e)  RtOffset => store(|word, at, rt| {
        let shift = 24 - shift_within(at, 4);
        let kept = word_32(word, at) & !(0xffff_ffff << shift);
        insert_word(word, at, kept | bits_32(rt << shift))
    });
    Sd     "sd"     Primary(0x3f)  RtOffset => store(|_, _, rt| rt);

    // Read-modify-write.
    Ll     "ll"     Primary(0x30)  RtOffset => load_linked(1, |word, at| sign_extend_32(word_32(word, at)));
    Lld    "lld"    Primary(0x34)  RtOffset => load_linked(2, |word, _| word);
    Sc     "sc"     Primary(0x38)  RtOffset => store_conditional(1, insert_word);
    Scd    "scd"    Primary(0x3c)  RtOffset => store_conditional(2, |_, _, rt| rt);

    Syscall "syscall" Special(0x0c) Nothing => syscall();
}

/// The instruction that a word is, if it is any.
#[inline]
pub fn decode(instruction: u32) -> Option<Op> {
    let function = (instruction & 0x3f) as usize;
    match instruction >> 26 {
        0x00 => DECODER.special[function],
        0x01 => DECODER.regimm[(instruction >> 16 & 0x1f) as usize],
        0x1c => DECODER.special2[function],
        primary => DECODER.primary[primary as usize],
    }
}

/// The table, indexed by the field that tells instructions apart.
struct Decoder {
    primary: [Option<Op>; 64],
    special: [Option<Op>; 64],
    special2: [Option<Op>; 64],
    regimm: [Option<Op>; 32],
}

static DECODER: Decoder = {
    let mut decoder = Decoder {
        primary: [None; 64],
        special: [None; 64],
        special2: [None; 64],
        regimm: [Some(Op::RegimmReserved); 32],
    };
    let mut row = 0;
    while row < INSTRUCTIONS.len() {
        let Instruction { op, encoding, .. } = INSTRUCTIONS[row];
        match encoding {
            Encoding::Primary(code) => decoder.primary[code as usize] = Some(op),
            Encoding::Special(code) => decoder.special[code as usize] = Some(op),
            Encoding::Special2(code) => decoder.special2[code as usize] = Some(op),
            Encoding::Regimm(code) => decoder.regimm[code as usize] = Some(op),
            Encoding::OtherRegimm => {}
        }
        row += 1;
    }
    decoder
};

impl Op {
    /// Its row in the table.
    pub fn row(self) -> &'static Instruction {
        &INSTRUCTIONS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_ops_and_decode_to_themselves() {
        for (place, row) in INSTRUCTIONS.iter().enumerate() {
            assert_eq!(row.op as usize, place);
            let word = match row.encoding {
                Encoding::Primary(code) => u32::from(code) << 26,
                Encoding::Special(code) => u32::from(code),
                Encoding::Special2(code) => 0x1c << 26 | u32::from(code),
                Encoding::Regimm(code) => 1 << 26 | u32::from(code) << 16,
                Encoding::OtherRegimm => 1 << 26 | 0x1f << 16,
            };
            // Two rows with one encoding would make one of them fail here.
            assert_eq!(decode(word), Some(row.op), "{}", row.mnemonic);
        }
    }

    #[test]
    fn what_the_contract_does_not_have_is_not_decoded() {
        // break, branch-likely, traps, COP0, COP1, cache, pref, madd, ext, rdhwr
        for word in [
            0x0000_000d,
            0x5000_0000,
            0x0000_0034,
            0x4000_0000,
            0x4400_0000,
            0xbc00_0000,
            0xcc00_0000,
            0x7000_0000,
            0x7c00_0000,
            0x7c03_e83b,
        ] {
            assert_eq!(decode(word), None, "{word:#010x}");
        }
    }
}
