//! What others got wrong about claims, each by its name: no claim that is not true is ever judged to
//! hold, and 1 is never confused with not knowing.

#[allow(dead_code, reason = "shared with the other tests")]
mod support;

use optimism::{Decision, Finding, Output, decide, inputs};
use support::{World, fixture};
use tribunal_guest::{Key, Verdict};
use tribunal_optimism::Preimages;
use tribunal_optimism_host::Fixture;

/// What is said of this root for the block `number`.
fn claim(fixture: &Fixture, number: u64, root: &[u8; 32]) -> Decision {
    let mut world = World::new(fixture);
    world.put(Key::local(inputs::CLAIM), root.to_vec());
    world.put(Key::local(inputs::CLAIMED_NUMBER), number.to_be_bytes().to_vec());
    decide(Preimages::new(&mut world), &mut |_| {}).unwrap()
}

fn verdict(fixture: &Fixture, number: u64, root: &[u8; 32]) -> Verdict {
    claim(fixture, number, root).verdict()
}

#[test]
fn a_claim_about_a_block_before_the_agreed_one_is_wrong_whatever_it_says() {
    // Block 1 is agreed on.
    let fixture = fixture("73-");
    let agreed = fixture.boot.agreed_l2_output;
    for root in [agreed, [0; 32], [7; 32]] {
        let decision = claim(&fixture, 0, &root);
        assert_eq!(decision.finding, Finding::BeforeAgreed { agreed: 1 });
        assert_eq!(decision.verdict(), Verdict::Wrong);
    }
}

#[test]
fn a_claim_about_the_agreed_block_holds_if_it_is_its_root() {
    let genesis = fixture("06-");
    let later = fixture("73-");
    for (fixture, number) in [(&genesis, 0), (&later, 1)] {
        let agreed = fixture.boot.agreed_l2_output;
        assert_eq!(verdict(fixture, number, &agreed), Verdict::Holds);
        for root in [[0; 32], [7; 32]] {
            assert_eq!(verdict(fixture, number, &root), Verdict::Wrong);
        }
    }
}

#[test]
fn the_agreed_root_is_no_claim_about_a_later_block() {
    // Kona's test for the extension of a trace compared roots alone.
    let fixture = fixture("73-");
    let agreed = fixture.boot.agreed_l2_output;
    for number in [2, 3, u64::MAX] {
        let decision = claim(&fixture, number, &agreed);
        assert_eq!(decision.verdict(), Verdict::Wrong, "{decision}");
        assert!(matches!(decision.finding, Finding::Output(Output { number: 2, .. })));
    }
}

#[test]
fn where_data_ends_the_last_output_stands_and_nothing_else() {
    let extended = fixture("70-");
    let root = extended.boot.claimed_l2_output;
    for number in [1, 2, 3, 1 << 40, u64::MAX] {
        assert_eq!(verdict(&extended, number, &root), Verdict::Holds, "{number}");
        for other in [[0; 32], [7; 32], extended.boot.agreed_l2_output] {
            assert_eq!(verdict(&extended, number, &other), Verdict::Wrong, "{number}");
        }
    }
    // A sequencer's block that is not on L1.
    let unsafe_block = fixture("15-");
    let root = unsafe_block.boot.claimed_l2_output;
    for number in [1, 2, 3, 4, u64::MAX] {
        assert_eq!(verdict(&unsafe_block, number, &root), Verdict::Wrong, "{number}");
    }
}

#[test]
fn where_nothing_can_be_derived_a_root_of_zeroes_is_wrong_as_any_other() {
    // The frames are in no order: no block comes of them.
    let fixture = fixture("12-");
    assert_eq!(verdict(&fixture, 3, &[0; 32]), Verdict::Wrong);
    assert_eq!(verdict(&fixture, 3, &fixture.boot.claimed_l2_output), Verdict::Wrong);
    let decision = claim(&fixture, 3, &fixture.boot.agreed_l2_output);
    assert_eq!(decision.verdict(), Verdict::Holds, "{decision}");
}

#[test]
fn the_root_of_the_block_before_is_wrong() {
    let fixture = fixture("82-");
    let root = fixture.boot.claimed_l2_output;
    assert_eq!(verdict(&fixture, 36, &root), Verdict::Wrong);
    assert_eq!(verdict(&fixture, 35, &root), Verdict::Holds);
}
