//! The reference against the deployed contract: every vector, every class.

use std::path::Path;

use tribunal_conformance::{failures, read_vectors, reference};

#[test]
fn every_vector_of_the_deployed_contract_passes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata/vectors/mips64-single-step.jsonl.gz");
    let vectors = read_vectors(&path).unwrap();
    assert_eq!(vectors.len(), 6000);
    let failed = failures(&mut reference, &vectors);
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}
