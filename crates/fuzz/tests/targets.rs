//! The first thousands of inputs for each target, with the checks of a debug build on.

use std::time::Duration;

use tribunal_fuzz::{Limit, Target, run};

#[track_caller]
fn inputs_hold(target: Target, inputs: u64) {
    let progress = run(target, Limit::Inputs(inputs), 0, |_| {});
    let progress = progress.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(progress.inputs, inputs);
    // Inputs that are all refused, or all taken, try nothing.
    assert!(progress.taken > inputs / 20, "{progress:?}");
    assert!(progress.taken < inputs / 20 * 19, "{progress:?}");
}

#[test]
fn derivation() {
    inputs_hold(Target::Derivation, 10_000);
}

#[test]
fn elf_files() {
    inputs_hold(Target::Elf, 1_000);
}

#[test]
fn state_files() {
    inputs_hold(Target::StateFile, 1_000);
}

#[test]
fn steps() {
    inputs_hold(Target::Step, 3_000);
}

#[test]
fn wires() {
    inputs_hold(Target::Wire, 10_000);
}

#[test]
fn engines() {
    inputs_hold(Target::Engines, 1_000);
}

#[test]
fn time_is_a_limit_too() {
    let progress = run(Target::Wire, Limit::Time(Duration::ZERO), 0, |_| {}).unwrap();
    assert_eq!(progress.inputs, 0);
}

#[test]
fn targets_have_the_names_they_are_asked_for_by() {
    for target in Target::ALL {
        assert_eq!(target.name().parse(), Ok(target));
    }
    let error = "elves".parse::<Target>().unwrap_err().to_string();
    assert!(error.contains("elf, state-file, step, wire, engines"), "{error}");
}
