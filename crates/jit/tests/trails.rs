//! Compiled code on whole runs of real programs: Cannon's trails of two in Go, and our own beside the
//! reference.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use std::collections::BTreeMap;

use sha2::Digest as _;
use tribunal_conformance::{Random, RecordingHost, Run, follow, text_of, trail_of};
use tribunal_jit::{Compiler, Options};
use tribunal_keccak::Hash;
use tribunal_machine::{Machine, Pause, Statistics, StopOn};
use tribunal_mips64::Mips64;

fn compiler(machine: &Mips64) -> Compiler {
    Compiler::new(machine.clone(), Options::default()).map_err(|(_, error)| error).unwrap()
}

fn sha256(machine: &impl Machine) -> String {
    let mut bytes = Vec::new();
    machine.write_state(&mut bytes).unwrap();
    hex::encode(sha2::Sha256::digest(&bytes))
}

/// Follows the trail of `run`: hashes and proofs are Cannon's, and the file after the last step too.
fn follow_to_the_end(run: &Run, steps: u64, file: &str) -> (Compiler, RecordingHost) {
    let (mut machine, mut host) = (compiler(&run.start), run.host.clone());
    follow(&mut machine, &trail_of(run), &mut host).unwrap();
    assert_eq!((machine.step(), machine.exit_code()), (steps, Some(0)));
    assert_eq!(sha256(&machine), file);
    assert!(machine.code_bytes() > 100_000, "most of it was compiled");
    (machine, host)
}

/// What a run to the end on an engine comes to, and all that is seen of it.
#[derive(Debug, PartialEq)]
struct End {
    step: u64,
    exit_code: Option<u8>,
    hash: Hash,
    file: String,
    statistics: Statistics,
    host: RecordingHost,
}

/// Runs to the end, stopped at these steps; the state hash at each.
fn run_to_end<M: Machine>(mut machine: M, run: &Run, stops: &[u64]) -> (BTreeMap<u64, Hash>, End) {
    let mut host = run.host.clone();
    let mut hashes = BTreeMap::new();
    for &stop in stops {
        machine.run(stop, StopOn::Nothing, &mut host).unwrap();
        hashes.insert(stop, machine.state_hash());
    }
    assert_eq!(machine.run(u64::MAX, StopOn::Nothing, &mut host).unwrap(), Pause::Exited);
    let end = End {
        step: machine.step(),
        exit_code: machine.exit_code(),
        hash: machine.state_hash(),
        file: sha256(&machine),
        statistics: machine.statistics(),
        host,
    };
    (hashes, end)
}

#[test]
fn threads_runs_as_in_cannon() {
    let file = "e24d9a99fec868fb896447f6cac0d72e50b8e3f623ed17047a36f1e897006a42";
    let (_, host) = follow_to_the_end(&Run::threads(), 24_712_149, file);
    let output = text_of(&host.output);
    assert!(output.starts_with("pool 40db50198074f300\ncount 1800 1800\n"), "{output}");
    assert!(output.ends_with("map 1500 k00700 k00701 k00702 18\nrecovered true\n"), "{output}");
}

#[test]
fn preimages_runs_as_in_cannon() {
    let file = "8994c96ef4565c37bd531c262a9372847ab2a78874cc6c2da60b2adf0709af82";
    let (mut machine, mut host) = follow_to_the_end(&Run::preimages(), 2_533_557, file);
    // Past the end nothing changes any more.
    let end = machine.state_hash();
    assert_eq!(machine.run(u64::MAX, StopOn::Nothing, &mut host).unwrap(), Pause::Exited);
    let proof = machine.prove_step(&mut host).unwrap();
    assert_eq!((proof.pre, proof.post, proof.proof_data.len()), (end, end, 0));
}

#[test]
fn whole_runs_are_those_of_the_reference() {
    let runs = [Run::threads(), Run::preimages()].into_iter().chain(Run::transactions());
    for run in runs {
        let random = &mut Random::new(run.length());
        let mut stops: Vec<u64> = (0..40).map(|_| random.below(2_500_000)).collect();
        stops.sort_unstable();
        let compiled = run_to_end(compiler(&run.start), &run, &stops);
        assert!(compiled == run_to_end(run.start.clone(), &run, &stops), "{}", run.name);
    }
}
