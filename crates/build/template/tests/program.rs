//! What the program decides. `cargo test` runs this natively, `tribunal test` natively and then in
//! the machine.

use {{crate}}::{CLAIM, TEXT};
use tribunal_guest::testing::Store;
use tribunal_guest::{ExitStatus, Key, run_program};

/// How the program ends over these preimages.
fn run(store: Store) -> ExitStatus {
    run_program!({{crate}}::run, store)
}

/// A file of `inputs/`.
fn input(name: &str) -> Store {
    Store::from_file(format!("{}/inputs/{name}.json", env!("CARGO_MANIFEST_DIR")))
}

/// A text and a claim about it.
fn claim(text: &[u8], words: u64) -> Store {
    let mut store = Store::new();
    let hash = store.add(text);
    store.with_local(TEXT, hash).with_local(CLAIM, words.to_be_bytes())
}

#[test]
fn the_sample_inputs_are_what_they_are_called() {
    assert_eq!(run(input("holds")), ExitStatus::HOLDS);
    assert_eq!(run(input("wrong")), ExitStatus::WRONG);
}

#[test]
fn words_are_counted() {
    assert_eq!(run(claim(b"", 0)), ExitStatus::HOLDS);
    assert_eq!(run(claim(b" two  words\n", 2)), ExitStatus::HOLDS);
    assert_eq!(run(claim(b" two  words\n", 3)), ExitStatus::WRONG);
}

#[test]
fn nothing_is_decided_of_what_is_missing_or_malformed() {
    let mut store = input("holds");
    store.remove(Key::local(CLAIM));
    assert_eq!(run(store), ExitStatus::NO_PREIMAGE);
    assert_eq!(run(claim(b"\xff", 1)), ExitStatus::MALFORMED);
    assert_eq!(run(input("holds").with_local(CLAIM, [9])), ExitStatus::MALFORMED);
}
