//! Decoded blocks against the deployed contract's vectors and against the reference.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use tribunal_conformance::{
    RecordingHost, Vector, failures, lockstep, read_trail, read_vectors, run_vector,
};
use tribunal_jit::{Portable, PortableOptions};
use tribunal_machine::{Machine as _, StopOn};
use tribunal_mips64::{Mips64, State, load_elf};

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata")
}

fn portable(state: State, options: PortableOptions) -> Portable {
    Portable::new(Mips64::new(state), options)
}

#[test]
fn every_vector_of_the_deployed_contract_passes() {
    let vectors = read_vectors(&testdata().join("vectors/mips64-single-step.jsonl.gz")).unwrap();
    assert_eq!(vectors.len(), 6000);
    // Decoded at once, one instruction at a time: otherwise nothing but the reference would run.
    let options = PortableOptions { warm: 0, max_block: 1 };
    let mut engine = |vector: &Vector| run_vector(portable(vector.state.clone(), options), vector);
    let failed = failures(&mut engine, &vectors);
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn random_programs_run_as_on_the_reference() {
    let mut steps = 0;
    for seed in 0..3000 {
        // Short blocks are entered where only few steps are left, too.
        let max_block = [usize::MAX, 2, 5][(seed / 3 % 3) as usize];
        let options = PortableOptions { warm: (seed % 3) as u8, max_block };
        let result = lockstep(seed, |state| portable(state, options));
        let (taken, _) = result.unwrap_or_else(|difference| panic!("seed {seed}: {difference}"));
        steps += taken;
    }
    assert!(steps > 500_000, "{steps}");
}

#[test]
fn a_whole_program_goes_along_the_trail_of_cannon() {
    let mut elf = Vec::new();
    let file = std::fs::File::open(testdata().join("guests/threads.elf.gz")).unwrap();
    GzDecoder::new(file).read_to_end(&mut elf).unwrap();
    let state = load_elf(&elf, 1 << 30).unwrap().state;
    let mut machine = portable(state, PortableOptions::default());
    let mut host = RecordingHost::default();
    let trail = read_trail(&testdata().join("guests/threads.trail.jsonl.gz")).unwrap();
    for point in &trail {
        machine.run(point.step, StopOn::Nothing, &mut host).unwrap();
        assert_eq!(machine.step(), point.step);
        assert_eq!(machine.state_hash(), point.hash.0, "step {}", point.step);
    }
    assert!(trail.len() > 50 && machine.exit_code() == Some(0));
}
