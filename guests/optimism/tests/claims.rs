//! The claims of `testdata/derivation`, judged by the program as a function.

#[allow(dead_code, reason = "shared with the other tests")]
mod support;

use optimism::{Finding, Progress, decide};
use support::{World, fixtures};
use tribunal_guest::Verdict;
use tribunal_optimism::Preimages;

#[test]
fn every_claim_is_judged_as_the_reference_judged_it() {
    let fixtures = fixtures();
    assert_eq!(fixtures.len(), 33);
    for (name, fixture) in fixtures {
        let mut made = Vec::new();
        let mut world = World::new(&fixture);
        let decision = decide(Preimages::new(&mut world), &mut |progress| {
            if let Progress::L2 { number, hash, .. } = progress {
                made.push((number, hash.0));
            }
        });
        let decision = decision.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let verdict = if fixture.holds { Verdict::Holds } else { Verdict::Wrong };
        assert_eq!(decision.verdict(), verdict, "{name}: {decision}");
        assert_eq!(made, fixture.blocks, "{name}");
        let Finding::Output(output) = decision.finding else { panic!("{name}: {decision}") };
        let last = fixture.blocks.last().map(|(number, _)| *number);
        assert!(last.is_none_or(|last| last == output.number), "{name}: {decision}");
        assert!(!decision.known_chain);
    }
}
