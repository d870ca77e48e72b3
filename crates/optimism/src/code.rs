//! Code as the interpreter takes it: with the places that may be jumped to.
//!
//! `revm` finds them too, in twice as many steps; it keeps doing so for code that a transaction makes.

use alloc::vec;
use alloc::vec::Vec;

use revm::bytecode::{Bytecode, JumpTable};

const JUMPDEST: u8 = 0x5b;
const PUSH0: usize = 0x5f;

/// Zeroes behind the code: what the longest push at its end pushes, then a stop, and what follows an
/// instruction with an operand that the interpreter of a later fork may find there.
const PADDING: usize = 32 + 2;

/// How the code of an account that acts as another one begins (EIP-7702).
const DELEGATION: [u8; 2] = [0xef, 0x01];

/// Code from the state; `None` if it is none.
pub(crate) fn read(mut code: Vec<u8>) -> Option<Bytecode> {
    if code.is_empty() || code.starts_with(&DELEGATION) {
        return Bytecode::new_raw_checked(code.into()).ok();
    }
    let length = code.len();
    let table = JumpTable::from_slice(&jump_destinations(&code), length);
    code.resize(length + PADDING, 0);
    Some(Bytecode::new_analyzed(code.into(), length, table))
}

/// From each instruction to the next, in bytes.
const LENGTHS: [u8; 256] = {
    let mut lengths = [1; 256];
    let mut pushed = 1;
    while pushed <= 32 {
        lengths[PUSH0 + pushed] += pushed as u8;
        pushed += 1;
    }
    lengths
};

/// A bit for each byte of the code, which says whether it is an instruction that may be jumped to.
fn jump_destinations(code: &[u8]) -> Vec<u8> {
    let mut bits = vec![0; code.len().div_ceil(8)];
    let mut at = 0;
    while let Some(instruction) = code.get(at) {
        if *instruction == JUMPDEST {
            bits[at / 8] |= 1 << (at % 8);
        }
        at += usize::from(LENGTHS[usize::from(*instruction)]);
    }
    bits
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Bytes;

    use super::*;

    fn check(code: &[u8]) {
        let ours = read(code.to_vec()).unwrap();
        let theirs = Bytecode::new_legacy(Bytes::copy_from_slice(code));
        assert_eq!(ours.original_byte_slice(), code);
        let (ours, theirs) =
            (ours.legacy_jump_table().unwrap(), theirs.legacy_jump_table().unwrap());
        for at in 0..code.len() + 40 {
            assert_eq!(ours.is_valid(at), theirs.is_valid(at), "{at} of {code:02x?}");
        }
    }

    #[test]
    fn what_may_be_jumped_to_is_what_revm_says() {
        check(&[0x5b]);
        check(&[0x60, 0x5b, 0x5b]);
        for push in 0x5f..=0x80 {
            check(&[&[push][..], &[0x5b; 40]].concat());
            check(&[0x5b, push]);
        }
        let mut seed = 1u64;
        for length in 1..600 {
            let code: Vec<u8> = (0..length)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    match seed >> 61 {
                        0 => JUMPDEST,
                        1 => 0x60 + (seed >> 40) as u8 % 32,
                        _ => (seed >> 48) as u8,
                    }
                })
                .collect();
            if !code.starts_with(&DELEGATION) {
                check(&code);
            }
        }
    }

    #[test]
    fn a_delegation_is_read_as_one_and_a_broken_one_is_none() {
        let delegation = [&[0xef, 0x01, 0x00][..], &[7; 20]].concat();
        assert_eq!(read(delegation.clone()).unwrap().eip7702_address(), Some([7; 20].into()));
        assert!(read(delegation[..22].to_vec()).is_none());
        assert!(read(Vec::new()).unwrap().original_byte_slice().is_empty());
    }
}
