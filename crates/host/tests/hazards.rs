//! Every case in `README.md` names tests that exist.

use std::fs;
use std::path::Path;

#[test]
fn every_case_has_the_tests_it_names() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = fs::read_to_string(here.join("tests/README.md")).unwrap();
    let mut found = 0;
    for row in list.lines().filter(|line| line.starts_with("| ") && line.contains(".rs`")) {
        let (_, tests) = row[2..].split_once(" | ").unwrap();
        for group in tests.trim_end_matches(" |").split("; ") {
            let (file, names) = group.split_once(": ").unwrap_or_else(|| panic!("{group}"));
            let path = here.join("../..").join(file.trim_matches('`'));
            let source = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
            for name in names.split(", ") {
                let function = format!("fn {}()", name.trim_matches('`'));
                assert!(source.contains(&function), "{file} has no {function}");
                found += 1;
            }
        }
    }
    assert!(found > 50, "{found}");
}
