//! Who signed: the address behind a signature, by the precompiled contract `ecrecover`.
//!
//! Recovering takes millions of steps in a machine, but the preimage oracle runs the contract itself.
//! What the contract does not look at, a low `s`, is looked at here.

use alloy_primitives::{Address, B256, U256, address, uint};
use revm::precompile::secp256k1::ec_recover_run;
use tribunal_preimage::Oracle;

use crate::preimages::{Preimages, Undecided};

/// `ecrecover`.
const ECRECOVER: Address = address!("0x0000000000000000000000000000000000000001");

/// What it takes, in gas.
pub(crate) const ECRECOVER_GAS: u64 = 3_000;

/// Half the order of the curve: a larger `s` is another way to write a smaller one (EIP-2).
const HALF_ORDER: U256 =
    uint!(0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0_U256);

/// The address that signed `hash`, or `None` if this is no signature.
///
/// # Errors
/// If the result of the precompiled contract is not to be had.
pub fn recover<O: Oracle>(
    preimages: &mut Preimages<O>,
    hash: B256,
    r: U256,
    s: U256,
    odd: bool,
) -> Result<Option<Address>, Undecided> {
    if s > HALF_ORDER {
        return Ok(None);
    }
    let mut input = [0; 128];
    input[..32].copy_from_slice(&hash.0);
    input[63] = 27 + u8::from(odd);
    input[64..96].copy_from_slice(&r.to_be_bytes::<32>());
    input[96..].copy_from_slice(&s.to_be_bytes::<32>());
    let output = if preimages.is_accelerated() {
        preimages.precompile(&ECRECOVER, ECRECOVER_GAS, &input)?.unwrap_or_default()
    } else {
        ec_recover_run(&input, ECRECOVER_GAS).map_or_else(|_| [].into(), |done| done.bytes.into())
    };
    // Without a signer there is no output. An address is the end of a word.
    Ok(output.last_chunk().filter(|_| output.len() == 32).map(Address::from))
}
