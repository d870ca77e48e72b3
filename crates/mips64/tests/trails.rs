//! The reference against whole runs of Cannon: every sampled hash, every proof, the output, and the
//! bytes of the state files.

use sha2::Digest as _;
use tribunal_conformance::{Run, follow, text_of, trail_of};
use tribunal_machine::{Machine, Pause, ReadState, StopOn};
use tribunal_mips64::Mips64;

const MAX_BYTES: u64 = 1 << 30;

fn sha256(machine: &Mips64) -> String {
    let mut bytes = Vec::new();
    machine.write_state(&mut bytes).unwrap();
    let reread = Mips64::read_state(&mut bytes.as_slice(), MAX_BYTES).unwrap();
    let mut again = Vec::new();
    reread.write_state(&mut again).unwrap();
    assert!(bytes == again, "a state file that was read is written as it was");
    hex::encode(sha2::Sha256::digest(&bytes))
}

#[test]
fn threads_runs_as_in_cannon() {
    let run = Run::threads();
    let (mut machine, mut host) = (run.start.clone(), run.host.clone());
    assert_eq!(
        sha256(&machine),
        "1182ff80c09fffdb14f6724eff697b7c29f865b1f2204486f512b7346b6d6ea0"
    );
    follow(&mut machine, &trail_of(&run), &mut host).unwrap();
    assert_eq!((machine.step(), machine.exit_code()), (24_712_149, Some(0)));
    assert_eq!(
        sha256(&machine),
        "e24d9a99fec868fb896447f6cac0d72e50b8e3f623ed17047a36f1e897006a42"
    );
    assert_eq!(
        text_of(&host.output),
        "pool 40db50198074f300\ncount 1800 1800\ntimer true context deadline exceeded\n\
         tree ab527e71e147721a\nmap 1500 k00700 k00701 k00702 18\nrecovered true\n"
    );
    assert!(host.warnings.is_empty(), "{:?}", host.warnings);
}

#[test]
fn preimages_runs_as_in_cannon() {
    let run = Run::preimages();
    let (mut machine, mut host) = (run.start.clone(), run.host.clone());
    assert_eq!(
        sha256(&machine),
        "4a90f5a2b5464b04c8e447d66fff58de650cc2ca9efa9c61ee77a12a45957a73"
    );
    follow(&mut machine, &trail_of(&run), &mut host).unwrap();
    assert_eq!((machine.step(), machine.exit_code()), (2_533_557, Some(0)));
    assert_eq!(
        sha256(&machine),
        "8994c96ef4565c37bd531c262a9372847ab2a78874cc6c2da60b2adf0709af82"
    );
    let output = text_of(&host.output);
    let read = output.lines().filter(|line| line.contains(" type ")).count();
    assert_eq!(host.hints.len(), read, "a hint before each preimage");
    assert!(host.hints.iter().all(|hint| hint.starts_with(b"fetch 0x")));
    assert!(host.warnings.is_empty(), "{:?}", host.warnings);

    // Past the end nothing changes any more.
    let end = machine.state_hash();
    assert_eq!(machine.run(u64::MAX, StopOn::Nothing, &mut host).unwrap(), Pause::Exited);
    assert_eq!(machine.state_hash(), end);
    let proof = machine.prove_step(&mut host).unwrap();
    assert_eq!((proof.pre, proof.post, proof.proof_data.len()), (end, end, 0));
}

#[test]
fn a_run_taken_up_from_a_file_is_the_straight_run_at_every_boundary() {
    let run = Run::preimages();
    let (mut straight, mut resumed) = (run.start.clone(), run.start.clone());
    let mut host = run.host.clone();
    // Boundaries within hints, keys and preimages too: the steps around the reads of a trail.
    for point in &trail_of(&run) {
        straight.run(point.step, StopOn::Nothing, &mut host).unwrap();
        resumed.run(point.step, StopOn::Nothing, &mut host).unwrap();
        let mut bytes = Vec::new();
        resumed.write_state(&mut bytes).unwrap();
        resumed = Mips64::read_state(&mut bytes.as_slice(), MAX_BYTES).unwrap();
        assert_eq!(resumed.state_hash(), straight.state_hash(), "step {}", point.step);
    }
    straight.run(u64::MAX, StopOn::Nothing, &mut host).unwrap();
    resumed.run(u64::MAX, StopOn::Nothing, &mut host).unwrap();
    assert_eq!(sha256(&resumed), sha256(&straight));
}
