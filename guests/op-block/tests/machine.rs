//! The program as it is stored, in the machine.

#[allow(dead_code, reason = "shared with the other tests")]
mod fixture;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use fixture::{Fixture, Store};
use flate2::read::GzDecoder;
use tribunal_jit::{Engine, EngineKind};
use tribunal_machine::{Machine as _, StopOn};
use tribunal_mips64::{Mips64, load_elf};

/// Bytes that the state may hold; the largest block takes a fortieth of it.
const MEMORY: u64 = 200 << 20;

fn at_root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn program() -> Mips64 {
    let path = at_root("guests/elf/mips64/op-block.elf.gz");
    let mut elf = Vec::new();
    GzDecoder::new(File::open(path).unwrap()).read_to_end(&mut elf).unwrap();
    assert!(elf.len() < 3 << 20, "{} bytes", elf.len());
    Mips64::new(load_elf(&elf, MEMORY).unwrap().state)
}

/// Whoever runs the program for a chain has its prestate hash written down there. So it changes only
/// with a reason, and the reason stands beside it.
#[test]
fn the_prestate_is_the_one_that_is_written_down() {
    let found = format!("0x{}", hex::encode(program().state_hash()));
    let table = std::fs::read_to_string(at_root("guests/op-block/PRESTATE.md")).unwrap();
    let newest = table.lines().find_map(|line| line.strip_prefix("| `0x")?.split('`').next());
    assert_eq!(
        Some(found.trim_start_matches("0x")),
        newest,
        "the stored program begins with {found}: if it was meant to change, put that hash and the \
         reason into a new first row of guests/op-block/PRESTATE.md"
    );
}

/// Exit code, or why there is none, and what the program wrote.
fn run(host: &mut Store) -> (Result<u8, String>, String) {
    let (mut engine, _) = Engine::new(EngineKind::Fast, program());
    let done = engine.run(u64::MAX, StopOn::Nothing, host);
    assert!(engine.state_bytes() < MEMORY);
    let code = done.map_err(|fault| fault.to_string());
    (code.map(|_| engine.exit_code().unwrap()), host.output.clone())
}

#[test]
fn recorded_blocks_are_what_their_transactions_make_them() {
    let mut count = 0;
    for entry in at_root("testdata/op-stack").read_dir().unwrap() {
        let fixture = Fixture::read(&entry.unwrap().path()).unwrap();
        let executed = fixture.execute().unwrap();
        let (code, said) = run(&mut fixture.host(&executed));
        assert_eq!(code, Ok(0), "{said}");
        assert!(said.contains(&format!("{}: as claimed", executed.hash)), "{said}");
        count += 1;
    }
    assert_eq!(count, 5);
}

#[test]
fn a_wrong_claim_is_status_1_and_a_missing_preimage_is_none() {
    let path = at_root("testdata/op-stack/op-sepolia-26207960-holocene.json.gz");
    let fixture = Fixture::read(&path).unwrap();
    let executed = fixture.execute().unwrap();
    let mut header = executed.header.clone();
    header.gas_used += 1;
    let mut host = fixture.host(&executed);
    host.set_claim(&header, &fixture.attributes.transactions);
    let (code, said) = run(&mut host);
    assert_eq!(code, Ok(1));
    assert!(said.contains("gas used: "), "{said}");

    // A parent that is agreed on but is no header.
    let mut host = fixture.host(&executed);
    let nothing = vec![0x80];
    host.set_local(op_block::PARENT, &alloy_primitives::keccak256(&nothing).0);
    host.add(nothing);
    let (code, said) = run(&mut host);
    // An error of the program's own: nothing was decided.
    assert_eq!(code, Ok(6));
    assert!(said.contains("is no header"), "{said}");

    // The machine cannot take a step without its preimage: it is not the program that ends.
    let mut host = fixture.host(&executed);
    host.preimages.remove(&tribunal_guest::Key::keccak256(fixture.parent.state_root.0));
    let (code, _) = run(&mut host);
    code.unwrap_err();
}
