//! Whether who signed a transaction had at least so much at the agreed output, in wei. Hints are
//! given in the words of one dialect or the other, as the clients of both give them.
//!
//! | local input | what |
//! |---|---|
//! | 2 | the agreed output root |
//! | 4 | the claim, a number |
//! | 6 | the dialect, as JSON: `"kona"` or `"op-program"` |
#![no_std]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use tribunal_guest::precompile::ecrecover;
use tribunal_guest::{
    Dialect, Error, Malformed, Number, Oracle, Preimages as _, Verdict, println,
};

/// What was signed by the third transaction of block 37312300 of Base Sepolia, and its signature.
const HASH: [u8; 32] = *b"\xc2\xc9\xf5\x44\xa2\x2e\x97\xf8\xc4\x3b\x54\x16\x47\x3a\x7b\x65\
    \xc9\xfb\x1f\x2f\x6e\x4d\xdd\xc4\x7b\x9f\xc4\xa9\xa1\xfc\x61\x4b";
const R: [u8; 32] = *b"\xa5\xf0\x9d\x3a\x76\x4d\x05\x75\x4a\x69\x61\x33\xa7\xa0\xce\x33\
    \x02\xbc\x1d\x8e\xe1\x36\x99\xfc\xbf\xba\x6d\x85\xf2\xad\xe4\x73";
const S: [u8; 32] = *b"\x40\x04\x6d\xab\xfc\x08\x05\xe8\xf1\xfa\x5a\x1f\xd0\x3c\xd6\x7e\
    \x51\x89\x6a\xc4\x09\x2c\x49\x7d\x8e\x51\xcd\x8b\x7b\x1c\x3e\x2a";

/// The program.
///
/// # Errors
/// If nothing can be decided.
pub fn run<O: Oracle>(oracle: &mut O) -> Result<Verdict, Error> {
    let root = oracle.local_hash(2)?;
    let at_least = oracle.local_number(4)?;
    let dialect = match &oracle.local(6)?[..] {
        b"\"kona\"" => Dialect::Kona,
        b"\"op-program\"" => Dialect::OpProgram,
        _ => return Err(Malformed::new("dialect", "nobody speaks it").into()),
    };
    let is_kona = dialect == Dialect::Kona;

    let name = if is_kona { "starting-l2-output" } else { "l2-output" };
    oracle.hint(format!("{name} 0x{}", digits(&root)).as_bytes())?;
    let output = oracle.hashed("output", &root)?;
    let block = output.last_chunk::<32>();
    let block = block.ok_or_else(|| Malformed::new("output", "it names no block"))?;

    // op-program's newer clients add the chain.
    let chain = if is_kona { "" } else { "0000000000014a34" };
    oracle.hint(format!("l2-block-header 0x{}{chain}", digits(block)).as_bytes())?;
    let header = oracle.header(block)?;

    let signer = ecrecover(oracle, dialect, &HASH, 27, &R, &S)?;
    let signer = signer.ok_or_else(|| Malformed::new("signature", "nobody made it"))?;

    // One of op-program's versions wrote this hint in three words.
    let between = if is_kona { "" } else { " 0x" };
    let (number, address) = (header.number, digits(&signer));
    oracle.hint(format!("l2-account-proof 0x{number:016x}{between}{address}").as_bytes())?;
    let account = oracle.account(&header.state_root, &signer)?;

    let balance = account.map_or(Number::ZERO, |account| account.balance);
    println!("0x{address} had {balance} wei at block {number}, {at_least} claimed at least");
    Ok(Verdict::from_claim(balance >= Number::from(u128::from(at_least))))
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
