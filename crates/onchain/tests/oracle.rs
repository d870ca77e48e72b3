//! The preimage oracle: every entry point, every edge of every part, and what must not get in.

use tribunal_keccak::keccak256;
use tribunal_machine::PreimageRead;
use tribunal_onchain::{
    Address, Evidence, Instance, LoadError, LoadedHow, PartSlots, Receipt, Refused, Transaction,
    U256, calldata,
};
use tribunal_preimage::Key;

const CONTEXT: [u8; 32] = [0xc0; 32];
/// The precompile that returns its input.
const IDENTITY: [u8; 20] = precompile(4);
const PAIRING: [u8; 20] = precompile(8);

const fn precompile(number: u8) -> [u8; 20] {
    let mut address = [0; 20];
    address[19] = number;
    address
}

fn data(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + 1) as u8).collect()
}

/// A preimage behind its length.
fn value(data: &[u8]) -> Vec<u8> {
    [&(data.len() as u64).to_be_bytes(), data].concat()
}

fn send(
    instance: &mut Instance,
    calldata: Vec<u8>,
    gas_limit: Option<u64>,
) -> Result<Receipt, Refused> {
    let (from, to) = (Instance::SENDER, instance.oracle());
    instance.transact(Transaction { from, to, value: U256::ZERO, calldata, gas_limit })
}

fn refusal(instance: &mut Instance, calldata: Vec<u8>) -> String {
    send(instance, calldata, None).unwrap_err().to_string()
}

/// What the oracle has: the bytes that count, and the whole part.
fn read(instance: &mut Instance, key: &Key, offset: u64) -> Result<(Vec<u8>, [u8; 32]), String> {
    let oracle = instance.oracle();
    let answer = instance.call(oracle, calldata::read_preimage(key, offset));
    let output = answer.map_err(|refused| refused.to_string())?.output;
    let (part, length) = output.split_at(32);
    let length = usize::from(length[31]);
    Ok((part[..length].to_vec(), part.try_into().unwrap()))
}

/// Asserts that the oracle has this part of `value`, filled up with zeroes.
#[track_caller]
fn has(instance: &mut Instance, key: &Key, value: &[u8], offset: usize) {
    let (bytes, part) = read(instance, key, offset as u64).unwrap();
    let rest = &value[offset..];
    let expected = &rest[..rest.len().min(32)];
    assert_eq!(bytes, expected, "offset {offset}");
    assert_eq!(part[..expected.len()], *expected);
    assert_eq!(part[expected.len()..], vec![0; 32 - expected.len()], "offset {offset}");
}

#[test]
fn every_part_of_hashed_preimages_of_every_length_can_be_loaded_and_no_more() {
    let mut instance = Instance::new();
    for length in [0, 1, 7, 8, 23, 24, 25, 31, 32, 33, 64, 135, 136, 137] {
        let data = data(length);
        let value = value(&data);
        let keccak = (
            Key::keccak256_of(&data),
            calldata::load_keccak256_preimage_part as fn(u64, &[u8]) -> Vec<u8>,
        );
        let sha = (Key::sha256_of(&data), calldata::load_sha256_preimage_part as _);
        for (key, load) in [keccak, sha] {
            for offset in 0..value.len() {
                let missing = read(&mut instance, &key, offset as u64).unwrap_err();
                assert_eq!(missing, "pre-image must exist");
                send(&mut instance, load(offset as u64, &data), None).unwrap();
                has(&mut instance, &key, &value, offset);
            }
            for offset in [value.len() as u64, value.len() as u64 + 1] {
                assert_eq!(refusal(&mut instance, load(offset, &data)), "PartOffsetOOB()");
            }
        }
    }
}

/// A sum that wraps around would bring it back.
#[test]
fn a_huge_offset_of_a_part_is_refused() {
    let mut instance = Instance::new();
    let data = data(100);
    let calls = [
        (calldata::load_keccak256_preimage_part(0, &data), 4),
        (calldata::load_sha256_preimage_part(0, &data), 4),
        (calldata::load_precompile_preimage_part(0, &IDENTITY, 10_000, &data), 4),
        (calldata::load_local_data(&Key::local(3), &CONTEXT, [7; 32], 32, 0), 4 + 4 * 32),
    ];
    for (call, offset_at) in calls {
        for byte in 0..32 {
            let mut huge = call.clone();
            huge[offset_at + byte..offset_at + 32].fill(0xff);
            assert_eq!(refusal(&mut instance, huge), "PartOffsetOOB()", "from byte {byte}");
        }
        send(&mut instance, call, None).unwrap();
    }
}

#[test]
fn the_last_byte_is_the_last_that_can_be_read() {
    let mut instance = Instance::new();
    let (data, end) = (data(100), 108);
    let key = Key::keccak256_of(&data);
    send(&mut instance, calldata::load_keccak256_preimage_part(end - 1, &data), None).unwrap();
    assert_eq!(read(&mut instance, &key, end - 1).unwrap().0, [data[99]]);
    assert_eq!(read(&mut instance, &key, end).unwrap_err(), "pre-image must exist");
}

#[test]
fn local_data_is_a_word_at_most() {
    let mut instance = Instance::new();
    for (size, offset) in [(33, 0), (33, 40), (u64::MAX, 0)] {
        let call = calldata::load_local_data(&Key::local(3), &CONTEXT, [7; 32], size, offset);
        assert_eq!(refusal(&mut instance, call), "PartOffsetOOB()", "{offset} of {size}");
    }
}

#[test]
fn local_data_belongs_to_its_sender_and_context() {
    let mut instance = Instance::new();
    let key = Key::local(3);
    let word = [0x5a; 32];
    let load = |size, offset| calldata::load_local_data(&key, &CONTEXT, word, size, offset);
    let kept = key.localized(&Instance::SENDER.0, &CONTEXT);
    for size in [0, 1, 8, 31, 32] {
        let value = value(&word[..size as usize]);
        for offset in 0..size + 8 {
            let receipt = send(&mut instance, load(size, offset), None).unwrap();
            assert_eq!(receipt.output, kept.as_bytes());
            let (bytes, _) = read(&mut instance, &kept, offset).unwrap();
            let rest = &value[offset as usize..];
            assert_eq!(bytes, rest[..rest.len().min(32)], "{offset} of {size}");
        }
        assert_eq!(refusal(&mut instance, load(size, size + 8)), "PartOffsetOOB()");
    }

    // The first byte of the number does not count.
    let mut other_kind = key.into_bytes();
    other_kind[0] = 9;
    let call = calldata::load_local_data(&Key::from_bytes(other_kind), &CONTEXT, word, 32, 0);
    assert_eq!(send(&mut instance, call, None).unwrap().output, kept.as_bytes());

    // Whoever else loads it, or for what else, has another key.
    let stranger = Address::repeat_byte(0x99);
    let to = instance.oracle();
    let call = calldata::load_local_data(&key, &CONTEXT, word, 32, 0);
    let transaction =
        Transaction { from: stranger, to, value: U256::ZERO, calldata: call, gas_limit: None };
    let theirs = instance.transact(transaction).unwrap().output;
    assert_eq!(theirs, key.localized(&stranger.0, &CONTEXT).as_bytes());
    assert_ne!(theirs, kept.as_bytes());
}

/// A point that the c-kzg project publishes as correct (`correct_proof_4_4`).
fn blob() -> (Evidence, [u8; 32], [u8; 32]) {
    fn bytes<const N: usize>(digits: &str) -> [u8; N] {
        hex::decode(digits).unwrap().try_into().unwrap()
    }
    let z = bytes("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000000");
    let commitment = "8f59a8d2a1a625a17f3fea0fe5eb8c896db3764f3185481bc22f91b4aaffcca25f26936857bc3a7c2539ea8ec3a952b7";
    let proof = "a62ad71d14c5719385c0686f1871430475bf3a00f0aa3f7b8dd99a9abc2160744faf0070725e00b60ad9a026a15b1a8c";
    let y = bytes("1522a4a7f34e1ea350ae07c29c96c7e79655aa926122e95fe69fcbd932ca49e9");
    (Evidence::Blob { commitment: bytes(commitment), z, proof: bytes(proof) }, z, y)
}

#[test]
fn a_field_element_is_loaded_with_its_kzg_proof_and_no_other() {
    let mut instance = Instance::new();
    let (evidence, z, y) = blob();
    let Evidence::Blob { commitment, proof, .. } = evidence else { unreachable!() };
    let key = Key::blob(&commitment, &z);
    for offset in 0..40 {
        let call = calldata::load_blob_preimage_part(z, y, &commitment, &proof, offset);
        send(&mut instance, call, None).unwrap();
        has(&mut instance, &key, &value(&y), offset as usize);
    }
    let past_end = calldata::load_blob_preimage_part(z, y, &commitment, &proof, 40);
    assert_eq!(refusal(&mut instance, past_end), "PartOffsetOOB()");

    let wrong = |what: u8| {
        let (mut z, mut y, mut commitment, mut proof) = (z, y, commitment, proof);
        match what {
            0 => z[31] ^= 1,
            1 => y[31] ^= 1,
            // Another point of the curve: the proof for the commitment, and the other way round.
            2 => commitment = proof,
            _ => proof = commitment,
        }
        calldata::load_blob_preimage_part(z, y, &commitment, &proof, 0)
    };
    for what in 0..4 {
        assert_eq!(refusal(&mut instance, wrong(what)), "InvalidProof()", "{what}");
    }
}

#[test]
fn results_of_calls_hold_a_status_and_the_output() {
    let mut instance = Instance::new();
    let input = [0xde, 0xad, 0xbe, 0xef];
    let key = Key::precompile(&IDENTITY, 1000, &input);
    let expected = value(&[1, 0xde, 0xad, 0xbe, 0xef]);
    for offset in 0..13 {
        let call = calldata::load_precompile_preimage_part(offset, &IDENTITY, 1000, &input);
        send(&mut instance, call, None).unwrap();
        has(&mut instance, &key, &expected, offset as usize);
    }
    let past_end = calldata::load_precompile_preimage_part(13, &IDENTITY, 1000, &input);
    assert_eq!(refusal(&mut instance, past_end), "PartOffsetOOB()");

    // A longer output, a part in its middle and at its end.
    let input = data(100);
    let key = Key::precompile(&IDENTITY, 0, &input);
    let expected = value(&[&[1], &input[..]].concat());
    for offset in [8, 9, 40, 76, 77, 78, 108] {
        let call = calldata::load_precompile_preimage_part(offset, &IDENTITY, 0, &input);
        send(&mut instance, call, None).unwrap();
        has(&mut instance, &key, &expected, offset as usize);
    }
}

#[test]
fn a_failing_precompile_is_a_result_and_eats_the_gas_it_got() {
    let mut instance = Instance::new();
    let input = [0xff; 192];
    let call = calldata::load_precompile_preimage_part(0, &PAIRING, 100_000, &input);
    let receipt = send(&mut instance, call, Some(30_000_000)).unwrap();
    assert!(receipt.gas.execution > 29_000_000, "{:?}", receipt.gas);
    has(&mut instance, &Key::precompile(&PAIRING, 100_000, &input), &value(&[0]), 0);
}

#[test]
fn any_address_can_be_called() {
    let mut instance = Instance::new();
    // The oracle itself, with its version: behind length, status, and two words of the ABI.
    let oracle = instance.oracle().0.0;
    let version = hex::decode("54fd4d50").unwrap();
    let call = calldata::load_precompile_preimage_part(73, &oracle, 50_000, &version);
    send(&mut instance, call, None).unwrap();
    let (_, part) = read(&mut instance, &Key::precompile(&oracle, 50_000, &version), 73).unwrap();
    assert_eq!(part[..6], *b"1.1.5\0");

    // And an account without code, which has nothing to say.
    let nobody = [0x77; 20];
    let call = calldata::load_precompile_preimage_part(0, &nobody, 0, b"?");
    send(&mut instance, call, None).unwrap();
    has(&mut instance, &Key::precompile(&nobody, 0, b"?"), &value(&[1]), 0);
}

/// A good call that runs out of gas would be loaded as a failure: so it must get what its key says.
#[test]
fn a_call_gets_the_gas_of_its_key_or_is_not_made() {
    let mut instance = Instance::new();
    let refused = |instance: &mut Instance, required: u64, limit: u64| {
        let call = calldata::load_precompile_preimage_part(0, &IDENTITY, required, b"abc");
        send(instance, call, Some(limit)).err().map(|refused| refused.to_string())
    };
    let not_enough = Some("NotEnoughGas()".to_owned());
    assert_eq!(refused(&mut instance, 29_900_000, 30_000_000), not_enough);
    assert_eq!(refused(&mut instance, u64::MAX, 1 << 39), not_enough);

    // The edge, from both sides: with one gas more it is made.
    let required = 1_000_000;
    let (mut low, mut high) = (21_000, 3_000_000);
    assert_eq!(refused(&mut instance, required, high), None);
    while high - low > 1 {
        let middle = (low + high) / 2;
        match refused(&mut instance, required, middle) {
            None => high = middle,
            Some(_) => low = middle,
        }
    }
    assert_eq!(refused(&mut instance, required, low), not_enough);
    let calldata = calldata::load_precompile_preimage_part(0, &IDENTITY, required, b"abc");
    let before_call: u64 =
        21_000 + calldata.iter().map(|&b| if b == 0 { 4 } else { 16 }).sum::<u64>();
    let least = (required * 64).div_ceil(63) + 100_000;
    let spent_before = high - before_call - least;
    assert!(spent_before < 2_000, "{spent_before} gas were spent before the check");
    has(&mut instance, &Key::precompile(&IDENTITY, required, b"abc"), &value(b"\x01abc"), 0);
}

/// The check comes after the input was copied: a huge one must not starve the call.
#[test]
fn a_huge_input_does_not_starve_the_call() {
    let mut instance = Instance::new();
    let input = vec![7; 300_000];
    // What the identity precompile costs for these bytes.
    let required = 15 + 3 * (input.len() as u64).div_ceil(32);
    let key = Key::precompile(&IDENTITY, required, &input);
    let call = calldata::load_precompile_preimage_part(0, &IDENTITY, required, &input);
    let (mut low, mut high) = (5_000_000, 20_000_000);
    while high - low > 1 {
        let middle = (low + high) / 2;
        instance.reset();
        match send(&mut instance, call.clone(), Some(middle)) {
            Ok(_) => {
                has(&mut instance, &key, &value(&[&[1], &input[..]].concat()), 0);
                high = middle;
            }
            Err(_) => low = middle,
        }
    }
}

#[test]
fn parts_are_kept_where_overrides_of_storage_would_put_them() {
    let data = data(50);
    let (key, value) = (Key::keccak256_of(&data), value(&data));
    // A kind that no oracle proves is written straight into storage.
    let given = Key::global_generic(keccak256(&data));
    for offset in [0, 7, 8, 30, 57] {
        let mut instance = Instance::new();
        let read_of = |key| PreimageRead { key, value: value.clone().into(), offset };
        let loaded = instance.load_preimage(&read_of(key), None, &CONTEXT).unwrap();
        let LoadedHow::Proven { function, .. } = loaded.how else { panic!("{loaded:?}") };
        assert_eq!(function, "loadKeccak256PreimagePart");
        has(&mut instance, &key, &value, offset as usize);
        let loaded = instance.load_preimage(&read_of(given), None, &CONTEXT).unwrap();
        assert!(matches!(loaded.how, LoadedHow::Given { .. }), "{loaded:?}");
        has(&mut instance, &given, &value, offset as usize);
        let slots = PartSlots::of(&key, offset);
        assert_ne!(slots.part, slots.part_ok);

        instance.reset();
        assert!(read(&mut instance, &key, offset).is_err());
        assert!(read(&mut instance, &given, offset).is_err());
    }
}

#[test]
fn preimages_are_proven_where_what_is_known_suffices() {
    let mut instance = Instance::new();
    let mut how = |key, data: &[u8], evidence: Option<&Evidence>| {
        let read = PreimageRead { key, value: value(data).into(), offset: 8 };
        let loaded = instance.load_preimage(&read, evidence, &CONTEXT).unwrap();
        let (bytes, _) = self::read(&mut instance, &loaded.key, 8).unwrap();
        assert_eq!(bytes, data[..data.len().min(32)]);
        match loaded.how {
            LoadedHow::Proven { function, gas, .. } => {
                assert!(gas.execution > 40_000 && gas.transaction > gas.execution + 21_000);
                function
            }
            LoadedHow::Given { why } => why,
        }
    };
    let many = data(33);
    assert_eq!(how(Key::local(1), &many[..32], None), "loadLocalData");
    assert!(how(Key::local(1), &many, None).contains("more than 32 bytes"));
    assert_eq!(how(Key::keccak256_of(&many), &many, None), "loadKeccak256PreimagePart");
    assert_eq!(how(Key::sha256_of(&many), &many, None), "loadSha256PreimagePart");

    let (evidence, z, y) = blob();
    let Evidence::Blob { commitment, .. } = &evidence else { unreachable!() };
    let key = Key::blob(commitment, &z);
    assert_eq!(how(key, &y, Some(&evidence)), "loadBlobPreimagePart");
    assert!(how(key, &y, None).contains("KZG"));

    let input = b"abcd".to_vec();
    let key = Key::precompile(&IDENTITY, 99, &input);
    let evidence = Evidence::Precompile { address: IDENTITY, required_gas: 99, input };
    assert_eq!(how(key, b"\x01abcd", Some(&evidence)), "loadPrecompilePreimagePart");
    assert!(how(key, b"\x01abcd", None).contains("not known"));
}

#[test]
fn what_no_oracle_can_have_is_not_loaded() {
    let mut instance = Instance::new();
    let data = data(10);
    let key = Key::keccak256_of(&data);
    let read = |value: Vec<u8>, offset| PreimageRead { key, value: value.into(), offset };
    let past_end = instance.load_preimage(&read(value(&data), 18), None, &CONTEXT);
    assert_eq!(past_end, Err(LoadError::PastEnd { key, offset: 18, end: 18 }));
    for broken in [Vec::new(), vec![0; 7], value(&data)[..17].to_vec()] {
        let result = instance.load_preimage(&read(broken, 0), None, &CONTEXT);
        assert_eq!(result, Err(LoadError::Malformed { key }));
    }
    // Other bytes are another preimage.
    instance.load_preimage(&read(value(b"other"), 0), None, &CONTEXT).unwrap();
    assert_eq!(self::read(&mut instance, &key, 0).unwrap_err(), "pre-image must exist");
}
