//! Our contract against the deployed one: every vector, every class.

mod engine;

use engine::{Contract, random_vector, to_line};
use tribunal_conformance::{
    Engine as _, Expected, Outcome, assert_as_deployed, deployed_vectors, failures, read_vectors,
};

#[test]
fn every_vector_of_the_deployed_contract_passes_and_is_refused_in_the_same_words() {
    let mut contract = Contract::new();
    assert_as_deployed(&mut contract);

    let mut refused = 0;
    for vector in &deployed_vectors() {
        let Expected::Refused(expected) = &vector.expected else { continue };
        let expected = match expected.as_str() {
            "0x3f8200bc" => "InvalidPC()",
            "0x0136cc76" => "InvalidExitedValue()",
            message => message,
        };
        assert_eq!(contract.take(vector), Outcome::Refused(expected.into()), "{}", vector.name);
        refused += 1;
    }
    assert_eq!(refused, 923);
}

#[test]
fn random_states_become_what_the_reference_makes_of_them() {
    let vectors: Vec<_> = (0..4000).map(random_vector).collect();
    let failed = failures(&mut Contract::new(), &vectors);
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
    let taken = vectors.iter().filter(|v| matches!(v.expected, Expected::Post(_))).count();
    assert!((1000..3900).contains(&taken), "{taken} of 4000 are taken");
}

/// What a soak prints of a difference can be run again.
#[test]
fn a_vector_that_is_written_is_read_as_it_was() {
    let vectors: Vec<_> = (0..200).map(random_vector).collect();
    let file = tempfile::NamedTempFile::with_suffix(".jsonl").unwrap();
    let lines: Vec<String> = vectors.iter().map(to_line).collect();
    std::fs::write(file.path(), lines.join("\n")).unwrap();
    let read = read_vectors(file.path()).unwrap();
    assert_eq!(read.len(), vectors.len());
    for (mut read, mut vector) in read.into_iter().zip(vectors) {
        assert_eq!(read.state.witness(), vector.state.witness());
        assert_eq!((read.name, read.preimage), (vector.name, vector.preimage));
        assert_eq!(read.expected, vector.expected);
    }
}
