//! Keys and preimages at their edges: every offset, every way of writing a key, every odd length.

use tribunal_conformance::RecordingHost;
use tribunal_conformance::assemble::{before, call};
use tribunal_machine::{Blame, Machine as _, StopOn};
use tribunal_mips64::{Mips64, State};
use tribunal_preimage::{Key, OracleError};

const CODE: u64 = 0x1000;
const DATA: u64 = 0x10_0000;

fn host(data: &[u8]) -> (Key, RecordingHost) {
    let key = Key::keccak256_of(data);
    let preimages = [(key, data.to_vec())].into();
    (key, RecordingHost { preimages, ..RecordingHost::default() })
}

/// A state before these system calls, followed by an end with code 0.
fn calling(calls: &[(u64, [u64; 3])]) -> State {
    let mut words: Vec<u32> =
        calls.iter().flat_map(|(number, arguments)| call(*number, arguments)).collect();
    words.extend(call(5205, &[0]));
    before(CODE, &words)
}

fn run(state: State, host: &mut RecordingHost) -> (Mips64, Result<(), tribunal_machine::Fault>) {
    let mut machine = Mips64::new(state);
    let outcome = machine.run(100_000, StopOn::Nothing, host).map(drop);
    (machine, outcome)
}

fn word_at(machine: &Mips64, address: u64) -> u64 {
    // Looking a word up may change where the next one is looked for.
    machine.state().memory.clone().word(address)
}

#[test]
fn a_preimage_is_read_at_every_offset_it_has_and_at_no_other() {
    let data = b"0123456789";
    let (key, mut host) = host(data);
    let whole = [&10u64.to_be_bytes()[..], data].concat();
    let mut offsets: Vec<u64> = (0..=20).collect();
    offsets.extend([u64::MAX, u64::MAX - 7, 1 << 32, 1 << 63]);
    for offset in offsets {
        let mut state = calling(&[(5000, [5, DATA, 8])]);
        state.preimage_key = key.into_bytes();
        state.preimage_offset = offset;
        let (mut machine, outcome) = run(state, &mut host);
        let Some(rest) = whole.get(offset as usize..).filter(|rest| !rest.is_empty()) else {
            // On chain there is no part to load there: the same step reverts.
            let fault = outcome.unwrap_err();
            assert_eq!(fault.blame, Blame::Guest, "{offset}");
            assert!(fault.to_string().contains(&offset.to_string()), "{fault}");
            assert_eq!(machine.state().preimage_offset, offset, "nothing of the step is taken");
            continue;
        };
        outcome.unwrap();
        let read = rest.len().min(8);
        assert_eq!(machine.state().preimage_offset, offset + read as u64);
        let mut expected = [0; 8];
        expected[..read].copy_from_slice(&rest[..read]);
        assert_eq!(word_at(&machine, DATA).to_be_bytes(), expected, "{offset}");
        assert_eq!(machine.exit_code(), Some(0));
        machine.state_hash();
    }
}

#[test]
fn preimages_of_every_awkward_length_are_read_whole() {
    for length in [0, 1, 7, 8, 9, 31, 32, 33, 135, 136, 137, 271, 272, 273] {
        let data: Vec<u8> = (0..length).map(|i| i as u8 ^ 0x5a).collect();
        let (key, mut host) = host(&data);
        let mut words = Vec::new();
        for place in (0..length as u64 + 8).step_by(8) {
            words.push((5000, [5, DATA + place, 8]));
        }
        let mut state = calling(&words);
        state.preimage_key = key.into_bytes();
        let (machine, outcome) = run(state, &mut host);
        outcome.unwrap();
        let whole = [&(length as u64).to_be_bytes()[..], &data].concat();
        let read: Vec<u8> = (0..whole.len())
            .map(|i| word_at(&machine, (DATA + i as u64) & !7).to_be_bytes()[i % 8])
            .collect();
        assert_eq!(read, whole, "{length}");
        assert_eq!(machine.state().preimage_offset, whole.len() as u64);
        assert_eq!(host.asked, [key]);
    }
}

/// Keys in pieces of every size, and begun anew in the middle: the last 32 bytes count.
#[test]
fn a_key_may_be_written_in_any_pieces_and_begun_again() {
    let (key, mut host) = host(b"found");
    for size in 1..=32u64 {
        for begun in [0, 1, 7, 31] {
            let mut words = Vec::new();
            let mut write = |from: u64, length: u64| {
                // A write takes no more than is left of a word.
                let mut place = from;
                while place < from + length {
                    let taken = (from + length - place).min(8 - place % 8);
                    words.push((5001, [6, place, from + length - place]));
                    place += taken;
                }
            };
            write(DATA + 0x100, begun);
            for place in (0..32).step_by(size as usize) {
                write(DATA + place, size.min(32 - place));
            }
            words.push((5000, [5, DATA + 0x200, 8]));
            let mut state = calling(&words);
            state.preimage_offset = 5;
            state.memory.write(DATA, key.as_bytes());
            state.memory.write(DATA + 0x100, &[0xee; 32]);
            host.forget();
            let (machine, outcome) = run(state, &mut host);
            outcome.unwrap();
            assert_eq!(host.asked, [key], "pieces of {size} after {begun}");
            assert_eq!(word_at(&machine, DATA + 0x200), 5, "from the beginning again");
            assert_eq!(machine.state().preimage_offset, 8);
        }
    }
}

#[test]
fn a_read_before_the_key_is_complete_asks_for_what_is_there() {
    let (key, mut host) = host(b"found");
    let words = [(5001, [6, DATA, 8]), (5000, [5, DATA + 0x200, 8])];
    let mut state = calling(&words);
    state.memory.write(DATA, key.as_bytes());
    let (_, outcome) = run(state, &mut host);
    // Zeroes, and then the first eight bytes: no kind of key, whoever answers.
    let fault = outcome.unwrap_err();
    let mut asked = [0; 32];
    asked[24..].copy_from_slice(&key.as_bytes()[..8]);
    assert_eq!(host.asked, [Key::from_bytes(asked)]);
    assert_eq!(fault.blame, Blame::Guest);
    let reason = fault.reason.downcast_ref::<OracleError>().unwrap();
    assert!(matches!(reason, OracleError::InvalidKey { .. }), "{reason}");
}

#[test]
fn writing_the_key_again_begins_the_preimage_again() {
    let (key, mut host) = host(b"0123456789");
    let read = |to| (5000, [5, DATA + to, 8]);
    let mut words: Vec<_> = [read(0x200), read(0x208)].into();
    words.extend((0..4).map(|word| (5001, [6, DATA + 8 * word, 8])));
    words.extend([read(0x210), read(0x218)]);
    let mut state = calling(&words);
    state.preimage_key = key.into_bytes();
    state.memory.write(DATA, key.as_bytes());
    let (machine, outcome) = run(state, &mut host);
    outcome.unwrap();
    let word = |at| word_at(&machine, DATA + at).to_be_bytes();
    assert_eq!([word(0x200), word(0x208)], [10u64.to_be_bytes(), *b"01234567"]);
    assert_eq!([word(0x210), word(0x218)], [10u64.to_be_bytes(), *b"01234567"]);
}

/// The kinds that are reserved or illegal: no host is believed about them.
#[test]
fn keys_of_no_kind_are_the_programs_fault() {
    for kind in [0, 7, 128, 129, 255] {
        let key = Key::from_bytes([kind; 32]);
        let mut host = RecordingHost::default();
        let mut state = calling(&[(5000, [5, DATA, 8])]);
        state.preimage_key = key.into_bytes();
        let (_, outcome) = run(state, &mut host);
        assert_eq!(outcome.unwrap_err().blame, Blame::Guest, "{kind}");
    }
}
