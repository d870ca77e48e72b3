//! Precompiled contracts whose results a program may ask its host for, run here.

use alloy_primitives::Address;
use revm::precompile::Precompiles;
use tribunal_preimage::{Key, KeyKind};

/// The last byte of the addresses: `ecrecover`, the pairing of BN254, the evaluation of a blob, and
/// the seven of BLS12-381.
const ACCELERATED: [u8; 10] = [0x01, 0x08, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11];

/// The result of a call of a precompile, with the key that programs know it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// What the key is a hash of: address, required gas if there is one, input.
    pub(crate) call: Vec<u8>,
    /// A status byte, then the output.
    pub(crate) result: Vec<u8>,
}

impl Call {
    /// Runs it. `None` if no program may ask for this precompile.
    ///
    /// It runs with all the gas it may need: the contract on L1 makes sure of that too.
    pub(crate) fn run(address: &[u8; 20], required_gas: Option<u64>, input: &[u8]) -> Option<Self> {
        let (last, zeroes) = address.split_last()?;
        if zeroes.iter().any(|byte| *byte != 0) || !ACCELERATED.contains(last) {
            return None;
        }
        let precompile = Precompiles::prague().get(&Address::new(*address))?;
        let result = match precompile.execute(input, u64::MAX, 0) {
            Ok(output) if output.is_success() => [&[1], &output.bytes[..]].concat(),
            Ok(_) | Err(_) => vec![0],
        };
        let gas = required_gas.map(u64::to_be_bytes);
        let gas = gas.as_ref().map_or(&[][..], |gas| gas);
        Some(Self { call: [&address[..], gas, input].concat(), result })
    }

    /// The keccak256 key of the call.
    pub(crate) fn call_key(&self) -> Key {
        Key::keccak256_of(&self.call)
    }

    /// The key of the result: the same hash.
    pub(crate) fn result_key(&self) -> Key {
        let mut key = self.call_key().into_bytes();
        key[0] = KeyKind::Precompile as u8;
        Key::from_bytes(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> [u8; 20] {
        let mut address = [0; 20];
        address[19] = last;
        address
    }

    /// The vector of execution-specs for `ecrecover`.
    fn signature() -> Vec<u8> {
        hex::decode(
            "18c547e4f7b0f325ad1e56f57e26c745b09a3e503d86e00e5255ff7f715d3d1c\
             000000000000000000000000000000000000000000000000000000000000001c\
             73b1693892219d736caba55bdb67216e485557ea6b6af75f37096c9aa6a5a75f\
             eeb940b1d03b21e36b0e47e79769f095fe2ab855bd91e3a38756b7d75a9c4549",
        )
        .unwrap()
    }

    #[test]
    fn a_signature_is_recovered_under_the_key_of_a_real_run() {
        let call = Call::run(&address(1), Some(3000), &signature()).unwrap();
        assert_eq!(
            hex::encode(&call.result),
            "01000000000000000000000000a94f5374fce5edbc8e2a8697c15331677e6ebf0b"
        );
        assert_eq!(
            call.result_key().to_string(),
            "0x068160565afb63d472879bb03e042e0867049b802d5236900a7296adf3fae797"
        );
        assert_eq!(call.result_key(), Key::precompile(&address(1), 3000, &signature()));
        let old = Call::run(&address(1), None, &signature()).unwrap();
        assert_eq!(old.result, call.result);
        assert_eq!(old.call, [&address(1)[..], &signature()].concat());
    }

    #[test]
    fn a_call_that_fails_has_status_0_and_no_output() {
        // A pairing takes a multiple of 192 bytes; a blob's evaluation must hold.
        for last in [0x08, 0x0a, 0x0b] {
            let call = Call::run(&address(last), Some(50_000), &[1; 100]).unwrap();
            assert_eq!(call.result, [0], "{last}");
        }
        // An empty pairing holds; a signature that is none recovers nobody, without failing.
        let one = [&[1][..], &[0; 31], &[1]].concat();
        assert_eq!(Call::run(&address(8), Some(45_000), &[]).unwrap().result, one);
        assert_eq!(Call::run(&address(1), Some(3000), &[0; 128]).unwrap().result, [1]);
    }

    #[test]
    fn results_are_those_of_go_ethereums_vectors() {
        let path = "../../testdata/precompiles/go-ethereum.json.gz";
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let file = flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap());
        let vectors: Vec<serde_json::Value> = serde_json::from_reader(file).unwrap();
        for vector in &vectors {
            let bytes = |name: &str| hex::decode(vector[name].as_str().unwrap()).unwrap();
            let last = vector["address"].as_u64().unwrap() as u8;
            let call = Call::run(&address(last), vector["Gas"].as_u64(), &bytes("Input")).unwrap();
            let expected = match vector["Expected"].is_null() {
                true => vec![0],
                false => [vec![1], bytes("Expected")].concat(),
            };
            assert_eq!(call.result, expected, "{}", vector["Name"]);
        }
        assert_eq!(vectors.len(), 671);
    }

    #[test]
    fn no_other_precompile_is_run() {
        for last in [0, 2, 3, 4, 5, 6, 7, 9, 0x12] {
            assert_eq!(Call::run(&address(last), Some(3000), &[]), None, "{last}");
        }
        let mut other = address(1);
        other[0] = 1;
        assert_eq!(Call::run(&other, Some(3000), &[]), None);
    }
}
