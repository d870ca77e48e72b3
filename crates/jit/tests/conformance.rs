//! Compiled code against the deployed contract's vectors and against the reference.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use std::path::Path;

use tribunal_conformance::{Vector, failures, lockstep, read_vectors, run_vector};
use tribunal_jit::{Compiler, Options};
use tribunal_mips64::{Mips64, State};

fn compiler(state: State, options: Options) -> Compiler {
    Compiler::new(Mips64::new(state), options).map_err(|(_, error)| error).unwrap()
}

#[test]
fn every_vector_of_the_deployed_contract_passes() {
    let path = "../../testdata/vectors/mips64-single-step.jsonl.gz";
    let vectors = read_vectors(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    assert_eq!(vectors.len(), 6000);
    // Compiled at once, one instruction at a time: otherwise nothing but the reference would run.
    let options = Options { warm: 0, max_block: 1 };
    let mut engine = |vector: &Vector| run_vector(compiler(vector.state.clone(), options), vector);
    let failed = failures(&mut engine, &vectors);
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn random_programs_run_as_on_the_reference() {
    let mut steps = 0;
    for seed in 0..3000 {
        let options = Options { warm: (seed % 3) as u8, ..Options::default() };
        let result = lockstep(seed, |state| compiler(state, options));
        let (taken, _) = result.unwrap_or_else(|difference| panic!("seed {seed}: {difference}"));
        steps += taken;
    }
    assert!(steps > 500_000, "{steps}");
}
