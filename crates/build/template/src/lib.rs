//! A fault proof program: whether a text has as many words as somebody claims.
//!
//! | local input | what |
//! |---|---|
//! | 1 | keccak256 of the text, 32 bytes |
//! | 3 | the claimed number of words, 8 bytes |
#![no_std]

use tribunal_guest::{Error, Malformed, Oracle, Preimages as _, Verdict, println};

/// The local input that says which text.
pub const TEXT: u64 = 1;

/// The local input that holds the claim.
pub const CLAIM: u64 = 3;

/// The program.
///
/// # Errors
/// If nothing can be decided: an input is missing, or has not the form it should have.
pub fn run<O: Oracle>(oracle: &mut O) -> Result<Verdict, Error> {
    let hash = oracle.local_hash(TEXT)?;
    let claimed = oracle.local_number(CLAIM)?;
    let text = oracle.hashed("text", &hash)?;
    let text = str::from_utf8(&text).map_err(|error| Malformed::new("text", error))?;
    let words = text.split_whitespace().count() as u64;
    println!("{words} words, {claimed} claimed");
    Ok(Verdict::from_claim(words == claimed))
}
