//! The program within this binary.

use std::io::Read as _;

use flate2::read::GzDecoder;

use crate::failure::{Failure, Result};

/// The OP Stack program, built from guests/optimism.
static OPTIMISM: &[u8] = include_bytes!("../../../guests/elf/mips64/optimism.elf.gz");

/// The OP Stack program for the machine, an ELF file.
pub(crate) fn optimism() -> Result<Vec<u8>> {
    unpack(OPTIMISM)
}

/// Unpacks what is inside this binary.
pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::environment(format!("this binary is damaged: {error}")))?;
    Ok(bytes)
}
