//! Instructions as assemblers write them.

use std::fmt::Write as _;

use crate::instructions::{Syntax, decode};

/// What registers are called in the n64 ABI.
pub const REGISTER_NAMES: [&str; 32] = [
    "zero", "at", "v0", "v1", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "t0", "t1", "t2",
    "t3", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "t8", "t9", "k0", "k1", "gp", "sp", "fp",
    "ra",
];

/// The instruction `word` at address `pc`, as text. A word that is none is shown as `.word`.
pub fn disassemble(word: u32, pc: u64) -> String {
    if word == 0 {
        return "nop".to_owned();
    }
    let Some(op) = decode(word) else { return format!(".word {word:#010x}") };
    let register = |shift: u32| format!("${}", REGISTER_NAMES[(word >> shift & 0x1f) as usize]);
    let (rs, rt, rd) = (register(21), register(16), register(11));
    let signed = word as i16;
    let unsigned = word & 0xffff;
    let branch = pc.wrapping_add(4).wrapping_add((i64::from(signed) << 2) as u64);
    let jump = pc.wrapping_add(4) & 0xffff_ffff_f000_0000 | u64::from(word & 0x03ff_ffff) << 2;
    let row = op.row();
    let mut text = row.mnemonic.to_owned();
    let written = match row.syntax {
        Syntax::RdRsRt => write!(text, " {rd}, {rs}, {rt}"),
        Syntax::RdRtSa => write!(text, " {rd}, {rt}, {}", word >> 6 & 0x1f),
        Syntax::RdRtRs => write!(text, " {rd}, {rt}, {rs}"),
        Syntax::RsRt => write!(text, " {rs}, {rt}"),
        Syntax::RdRs => write!(text, " {rd}, {rs}"),
        Syntax::Rd => write!(text, " {rd}"),
        Syntax::Rs => write!(text, " {rs}"),
        Syntax::RtRsSigned => write!(text, " {rt}, {rs}, {signed}"),
        Syntax::RtRsUnsigned => write!(text, " {rt}, {rs}, {unsigned:#x}"),
        Syntax::RtUnsigned => write!(text, " {rt}, {unsigned:#x}"),
        Syntax::RtOffset => write!(text, " {rt}, {signed}({rs})"),
        Syntax::RsRtBranch => write!(text, " {rs}, {rt}, {branch:#x}"),
        Syntax::RsBranch => write!(text, " {rs}, {branch:#x}"),
        Syntax::Jump => write!(text, " {jump:#x}"),
        Syntax::Nothing => Ok(()),
    };
    written.expect("a String takes any text");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_stand_where_assemblers_put_them() {
        for (word, pc, text) in [
            (0x0000_0000, 0, "nop"),
            (0x0000_000c, 0, "syscall"),
            (0x0085_1020, 0, "add $v0, $a0, $a1"),
            (0x0005_1140, 0, "sll $v0, $a1, 5"),
            (0x0085_1004, 0, "sllv $v0, $a1, $a0"),
            (0x67bd_fff0, 0, "daddiu $sp, $sp, -16"),
            (0x3c02_8001, 0, "lui $v0, 0x8001"),
            (0xdfbf_0008, 0, "ld $ra, 8($sp)"),
            (0x1440_ffff, 0x1000, "bne $v0, $zero, 0x1000"),
            (0x0800_0400, 0x3000_0000, "j 0x30001000"),
            (0x03e0_0008, 0, "jr $ra"),
            (0x0085_001a, 0, "div $a0, $a1"),
            (0x7082_1020, 0, "clz $v0, $a0"),
            (0x0411_0000, 0x10, "bgezal $zero, 0x14"),
            (0x0417_0001, 0x10, "regimm $zero, 0x18"),
            (0x0000_000d, 0, ".word 0x0000000d"),
        ] {
            assert_eq!(disassemble(word, pc), text, "{word:#010x}");
        }
    }
}
