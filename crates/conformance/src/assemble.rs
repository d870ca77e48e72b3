//! MIPS64 instructions as words, and states that stand before them: for tests that need a program
//! of a few instructions.
//!
//! Registers are numbers. Knows encodings only, not what they mean.

use tribunal_mips64::State;

/// `$zero`
pub const ZERO: u32 = 0;
/// `$v0`: the number of a syscall, and its result.
pub const V0: u32 = 2;
/// `$a0`: the first argument of a syscall.
pub const A0: u32 = 4;
/// `$a1`: the second argument of a syscall.
pub const A1: u32 = 5;
/// `$a2`: the third argument of a syscall.
pub const A2: u32 = 6;
/// `$t0`
pub const T0: u32 = 12;
/// `$t1`
pub const T1: u32 = 13;
/// `$s0`
pub const S0: u32 = 16;

/// `nop`
pub const NOP: u32 = 0;
/// `syscall`
pub const SYSCALL: u32 = 0x0c;

/// An instruction with two registers and 16 bits.
pub const fn immediate(opcode: u32, rs: u32, rt: u32, bits: u16) -> u32 {
    opcode << 26 | rs << 21 | rt << 16 | bits as u32
}

/// An instruction with three registers and a shift amount.
pub const fn special(function: u32, rs: u32, rt: u32, rd: u32, amount: u32) -> u32 {
    rs << 21 | rt << 16 | rd << 11 | amount << 6 | function
}

/// `addiu rt, rs, value`
pub const fn addiu(rt: u32, rs: u32, value: i16) -> u32 {
    immediate(0x09, rs, rt, value as u16)
}

/// `daddiu rt, rs, value`
pub const fn daddiu(rt: u32, rs: u32, value: i16) -> u32 {
    immediate(0x19, rs, rt, value as u16)
}

/// `ori rt, rs, value`
pub const fn ori(rt: u32, rs: u32, value: u16) -> u32 {
    immediate(0x0d, rs, rt, value)
}

/// `dsll rd, rt, amount`
pub const fn dsll(rd: u32, rt: u32, amount: u32) -> u32 {
    special(0x38, 0, rt, rd, amount)
}

/// `ld rt, offset(base)`
pub const fn ld(rt: u32, offset: i16, base: u32) -> u32 {
    immediate(0x37, base, rt, offset as u16)
}

/// `sd rt, offset(base)`
pub const fn sd(rt: u32, offset: i16, base: u32) -> u32 {
    immediate(0x3f, base, rt, offset as u16)
}

/// `ll rt, offset(base)`
pub const fn ll(rt: u32, offset: i16, base: u32) -> u32 {
    immediate(0x30, base, rt, offset as u16)
}

/// `sc rt, offset(base)`
pub const fn sc(rt: u32, offset: i16, base: u32) -> u32 {
    immediate(0x38, base, rt, offset as u16)
}

/// `beq rs, rt, distance`: in instructions, from the delay slot on.
pub const fn beq(rs: u32, rt: u32, distance: i16) -> u32 {
    immediate(0x04, rs, rt, distance as u16)
}

/// `bne rs, rt, distance`: in instructions, from the delay slot on.
pub const fn bne(rs: u32, rt: u32, distance: i16) -> u32 {
    immediate(0x05, rs, rt, distance as u16)
}

/// Puts any value into a register.
pub fn load_value(register: u32, value: u64) -> Vec<u32> {
    let mut words = vec![ori(register, ZERO, (value >> 48) as u16)];
    for shift in [32, 16, 0] {
        words.push(dsll(register, register, 16));
        words.push(ori(register, register, (value >> shift) as u16));
    }
    words
}

/// Makes a syscall with up to three arguments.
pub fn call(number: u64, arguments: &[u64]) -> Vec<u32> {
    let mut words = load_value(V0, number);
    for (register, &argument) in [A0, A1, A2].into_iter().zip(arguments) {
        words.extend(load_value(register, argument));
    }
    words.push(SYSCALL);
    words
}

/// A state whose only thread stands at the first of `words`, which begin at `address`.
pub fn before(address: u64, words: &[u32]) -> State {
    let mut state = State::new(address);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    state.memory.write(address, &bytes);
    state
}

#[cfg(test)]
mod tests {
    use tribunal_mips64::disassemble;

    use super::*;

    #[test]
    fn words_are_the_instructions_they_are_called() {
        for (word, text) in [
            (addiu(V0, ZERO, -1), "addiu $v0, $zero, -1"),
            (daddiu(T0, T0, 8), "daddiu $t0, $t0, 8"),
            (ori(A0, A1, 0xffff), "ori $a0, $a1, 0xffff"),
            (dsll(A2, A1, 16), "dsll $a2, $a1, 16"),
            (ld(T1, -8, S0), "ld $t1, -8($s0)"),
            (sd(T1, 16, S0), "sd $t1, 16($s0)"),
            (ll(T0, 4, S0), "ll $t0, 4($s0)"),
            (sc(T0, 4, S0), "sc $t0, 4($s0)"),
            (beq(T0, T1, -1), "beq $t0, $t1, 0x1000"),
            (bne(T0, ZERO, 1), "bne $t0, $zero, 0x1008"),
            (SYSCALL, "syscall"),
            (NOP, "nop"),
        ] {
            assert_eq!(disassemble(word, 0x1000), text);
        }
    }
}
