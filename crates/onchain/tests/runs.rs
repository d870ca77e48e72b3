//! Whole runs of programs: steps all along them, proven by the reference and taken by the contract.

mod engine;

use tribunal_conformance::Run;

use engine::{Contract, random_steps};

/// Lets the contract judge random steps of a run, and the ones at both of its ends.
fn judge(run: &Run, count: u64) {
    let length = run.length();
    let mut steps = random_steps(count, count, length);
    steps.extend([0, length - 1, length]);
    steps.sort_unstable();
    steps.dedup();
    let judged = Contract::new().judge_run(&run.name, &run.start, &run.host, steps.iter().copied());
    assert_eq!(judged.unwrap(), steps.len() as u64);
    assert!(steps.len() as u64 > count * 9 / 10);
}

#[test]
fn a_run_with_threads() {
    judge(&Run::threads(), 2500);
}

#[test]
fn a_run_that_reads_preimages() {
    judge(&Run::preimages(), 2500);
}

#[test]
fn runs_of_our_own_program() {
    let runs = Run::transactions();
    assert!(!runs.is_empty());
    runs.iter().for_each(|run| judge(run, 500));
}
