//! The automation as a person starts it.

use std::process::{Command, Output};

fn xtask(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask")).args(arguments).output().unwrap()
}

#[test]
fn a_command_that_there_is_not_is_answered_with_those_that_there_are() {
    let help = xtask(&["help"]);
    assert!(help.status.success());
    let usage = String::from_utf8(help.stdout).unwrap();
    for command in ["bench", "check", "fuzz", "guests", "soak", "vectors"] {
        assert!(usage.lines().any(|line| line.trim_start().starts_with(command)), "{command}");
    }
    let unknown = xtask(&["chekc"]);
    assert_eq!(unknown.status.code(), Some(2));
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(said.contains("no such command: chekc") && said.contains(&usage), "{said}");
}
