//! Decoded blocks against the deployed contract's vectors and against the reference.

use std::path::Path;

use tribunal_conformance::{Vector, failures, lockstep, read_vectors, run_vector};
use tribunal_jit::{Portable, PortableOptions};
use tribunal_mips64::{Mips64, State};

fn portable(state: State, options: PortableOptions) -> Portable {
    Portable::new(Mips64::new(state), options)
}

#[test]
fn every_vector_of_the_deployed_contract_passes() {
    let path = "../../testdata/vectors/mips64-single-step.jsonl.gz";
    let vectors = read_vectors(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
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
    for seed in 0..6000 {
        // Short blocks are entered where only few steps are left, too.
        let max_block = [usize::MAX, 2, 5][(seed / 3 % 3) as usize];
        let options = PortableOptions { warm: (seed % 3) as u8, max_block };
        let result = lockstep(seed, |state| portable(state, options));
        steps += result.unwrap_or_else(|difference| panic!("seed {seed}: {difference}"));
    }
    assert!(steps > 1_000_000, "{steps}");
}
