//! Precompiled contracts whose result is a preimage: a host, and on chain the real contract, has
//! done the work that would take a machine millions of steps.

use alloc::vec::Vec;

use crate::{Dialect, Error, Hint, Key, Malformed, Oracle, Preimages as _};

/// Recovers the address behind a signature.
pub const ECRECOVER: [u8; 20] = address(0x01);
/// Checks a product of pairings on BN254.
pub const BN254_PAIRING: [u8; 20] = address(0x08);
/// Checks one value of a blob.
pub const POINT_EVALUATION: [u8; 20] = address(0x0a);
/// The seven contracts for BLS12-381.
pub const BLS12_381: [[u8; 20]; 7] = [
    address(0x0b),
    address(0x0c),
    address(0x0d),
    address(0x0e),
    address(0x0f),
    address(0x10),
    address(0x11),
];

/// What [`ECRECOVER`] takes, in gas.
pub const ECRECOVER_GAS: u64 = 3_000;
/// What [`POINT_EVALUATION`] takes, in gas.
pub const POINT_EVALUATION_GAS: u64 = 50_000;

const fn address(last: u8) -> [u8; 20] {
    let mut address = [0; 20];
    address[19] = last;
    address
}

/// What [`BN254_PAIRING`] takes for an input of so many bytes, in gas (EIP-1108).
pub const fn bn254_pairing_gas(input_len: usize) -> u64 {
    45_000 + 34_000 * (input_len as u64 / 192)
}

/// Calls a contract: its output, or `None` if it failed. `gas` is what the contract takes for this
/// input: on chain the oracle makes sure that it gets that much.
///
/// # Errors
/// If the host has no result, or one without a status.
pub fn call<O: Oracle>(
    oracle: &mut O,
    dialect: Dialect,
    address: &[u8; 20],
    gas: u64,
    input: &[u8],
) -> Result<Option<Vec<u8>>, Error> {
    let hint =
        Hint::L1Precompile { address: *address, required_gas: Some(gas), input: input.into() };
    oracle.tell(dialect, &hint)?;
    let result = oracle.preimage(Key::precompile(address, gas, input));
    let mut result = result.map_err(|source| Error::Oracle {
        what: "result of a precompiled contract".into(),
        source,
    })?;
    match result.first() {
        Some(0) => Ok(None),
        Some(1) => {
            result.remove(0);
            Ok(Some(result))
        }
        _ => Err(Malformed::new("result of a precompiled contract", "it has no status").into()),
    }
}

/// The address that signed `hash`, or `None` if the signature is none. `v` is 27 or 28.
///
/// # Errors
/// As [`call`].
pub fn ecrecover<O: Oracle>(
    oracle: &mut O,
    dialect: Dialect,
    hash: &[u8; 32],
    v: u8,
    r: &[u8; 32],
    s: &[u8; 32],
) -> Result<Option<[u8; 20]>, Error> {
    let mut input = [0; 128];
    input[..32].copy_from_slice(hash);
    input[63] = v;
    input[64..96].copy_from_slice(r);
    input[96..].copy_from_slice(s);
    let output = call(oracle, dialect, &ECRECOVER, ECRECOVER_GAS, &input)?;
    // It succeeds with nothing where there is no such signature.
    let word: Option<[u8; 32]> = output.and_then(|output| output.try_into().ok());
    Ok(word.map(|word| core::array::from_fn(|i| word[12 + i])))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::testing::Store;

    #[test]
    fn a_result_is_its_status_and_its_output() {
        let input = [7; 192];
        let gas = bn254_pairing_gas(input.len());
        assert_eq!(gas, 79_000);
        let key = Key::precompile(&BN254_PAIRING, gas, &input);
        let result = |data: Vec<u8>| {
            let mut store = Store::new();
            store.insert(key, data);
            let result = call(&mut store, Dialect::Kona, &BN254_PAIRING, gas, &input);
            assert!(store.hints[0].starts_with("l1-precompile 0x0000"), "{:?}", store.hints);
            result
        };
        assert_eq!(result(vec![1, 5, 6]), Ok(Some(vec![5, 6])));
        assert_eq!(result(vec![1]), Ok(Some(vec![])));
        assert_eq!(result(vec![0]), Ok(None));
        let nothing = call(&mut Store::new(), Dialect::OpProgram, &ECRECOVER, 3_000, b"");
        assert!(matches!(nothing, Err(Error::Oracle { .. })));
    }

    #[test]
    fn a_signer_is_the_end_of_a_word_or_nobody() {
        let (hash, r, s) = ([1; 32], [2; 32], [3; 32]);
        let input = [&hash[..], &[0; 31], &[28], &r, &s].concat();
        let key = Key::precompile(&ECRECOVER, ECRECOVER_GAS, &input);
        let mut store = Store::new();
        let mut recover = |output: &[u8]| {
            store.insert(key, [&[1], output].concat());
            ecrecover(&mut store, Dialect::Kona, &hash, 28, &r, &s)
        };
        assert_eq!(recover(&[[0; 12].as_slice(), &[9; 20]].concat()), Ok(Some([9; 20])));
        assert_eq!(recover(&[]), Ok(None));
    }
}
