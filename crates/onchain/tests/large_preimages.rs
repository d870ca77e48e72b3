//! Large preimage proposals from their first transaction to their part in the oracle, and everything
//! that must not get one there.

use tribunal_onchain::{
    Address, BLOCK_BYTES, Instance, LargePreimage, MAX_LEAVES, Receipt, Refusal, Refused,
    Transaction, Transition, U256, calldata,
};
use tribunal_preimage::Key;

const CLAIMANT: Address = Instance::SENDER;
const CHALLENGER: Address = Address::repeat_byte(0xcc);
const BOND: u64 = 250_000_000_000_000_000;
const UUID: u128 = 0xabcd_0123;
/// The least bytes that may be proposed: 926 blocks and 64 bytes.
const LEAST: usize = 126_000;
/// Seconds for challenges.
const PERIOD: u64 = 86_400;
/// Blocks in one call. As many as a transaction can pay for.
const BLOCKS: usize = 300;

fn data(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i ^ (i / 136) ^ (i / 70_000)) as u8).collect()
}

fn proposal(part_offset: u32) -> LargePreimage {
    LargePreimage::new(data(LEAST), part_offset).unwrap()
}

/// A reason for a refusal, and what is done to an honest call for it.
type Case<'a> = (&'a str, &'a dyn Fn(&mut Transition));

struct Chain {
    instance: Instance,
}

impl Chain {
    fn new() -> Self {
        Self { instance: Instance::new() }
    }

    fn send_from(
        &mut self,
        from: Address,
        value: u64,
        calldata: Vec<u8>,
    ) -> Result<Receipt, Refused> {
        let to = self.instance.oracle();
        let value = U256::from(value);
        self.instance.transact(Transaction { from, to, value, calldata, gas_limit: None })
    }

    #[track_caller]
    fn send(&mut self, calldata: Vec<u8>) -> Receipt {
        self.send_from(CLAIMANT, 0, calldata).unwrap()
    }

    #[track_caller]
    fn refuses(&mut self, calldata: Vec<u8>, why: &str) {
        let refused = self.send_from(CLAIMANT, 0, calldata).expect_err(why);
        assert_eq!(refused.to_string(), why);
    }

    #[track_caller]
    fn init(&mut self, proposal: &LargePreimage) {
        self.send_from(CLAIMANT, BOND, proposal.init(UUID)).unwrap();
    }

    /// Everything up to the last block.
    fn propose(&mut self, proposal: &LargePreimage) {
        self.init(proposal);
        for addition in proposal.additions(UUID, BLOCKS) {
            self.send(addition);
        }
    }

    fn read(&mut self, key: &Key, offset: u32) -> Result<Vec<u8>, String> {
        let oracle = self.instance.oracle();
        let answer = self.instance.call(oracle, calldata::read_preimage(key, offset.into()));
        let output = answer.map_err(|refused| refused.to_string())?.output;
        Ok(output[..usize::from(output[63])].to_vec())
    }

    fn held(&self) -> U256 {
        self.instance.balance(self.instance.oracle())
    }
}

/// The bytes of a part.
fn part(data: &[u8], offset: u32) -> Vec<u8> {
    let value = [&(data.len() as u64).to_be_bytes(), data].concat();
    value.into_iter().skip(offset as usize).take(32).collect()
}

#[test]
fn parts_anywhere_go_from_init_to_squeeze() {
    let end = LEAST as u32 + 8;
    let call = (BLOCKS * BLOCK_BYTES) as u32 + 8;
    for part_offset in
        [0, 7, 8, 9, 1000, call - 33, call - 32, call - 1, call, end - 33, end - 32, end - 1]
    {
        let mut chain = Chain::new();
        let proposal = proposal(part_offset);
        chain.propose(&proposal);
        assert_eq!(chain.held(), U256::from(BOND));
        chain.instance.advance_time(PERIOD + 1);
        chain.send(proposal.squeeze(CLAIMANT, UUID));
        let expected = part(&data(LEAST), part_offset);
        assert_eq!(chain.read(&proposal.key(), part_offset).unwrap(), expected, "{part_offset}");
        assert_eq!(chain.held(), U256::ZERO, "the bond goes back");
    }
}

#[test]
fn a_part_is_the_same_as_one_loaded_in_a_single_call() {
    let end = LEAST as u32 + 8;
    for part_offset in [3, 8, end - 5] {
        let mut whole = [[0; 32]; 2];
        for (part, direct) in whole.iter_mut().zip([true, false]) {
            let mut chain = Chain::new();
            let proposal = proposal(part_offset);
            if direct {
                let offset = part_offset.into();
                chain.send(calldata::load_keccak256_preimage_part(offset, &data(LEAST)));
            } else {
                chain.propose(&proposal);
                chain.instance.advance_time(PERIOD + 1);
                chain.send(proposal.squeeze(CLAIMANT, UUID));
            }
            let oracle = chain.instance.oracle();
            let read = calldata::read_preimage(&proposal.key(), part_offset.into());
            part.copy_from_slice(&chain.instance.call(oracle, read).unwrap().output[..32]);
        }
        assert_eq!(whole[0], whole[1], "what lies past the end included");
    }
}

#[test]
fn sizes_around_whole_blocks_go_through() {
    for length in [136 * 927 - 1, 136 * 927, 136 * 927 + 1, 136 * 1024 - 1] {
        let mut chain = Chain::new();
        let part_offset = length as u32 + 7;
        let proposal = LargePreimage::new(data(length), part_offset).unwrap();
        chain.propose(&proposal);
        chain.instance.advance_time(PERIOD + 1);
        chain.send(proposal.squeeze(CLAIMANT, UUID));
        let last = chain.read(&proposal.key(), part_offset).unwrap();
        assert_eq!(last, [data(length)[length - 1]], "{length}");
    }
}

#[test]
fn one_megabyte_and_nine_go_through() {
    for length in [1 << 20, MAX_LEAVES * BLOCK_BYTES - 1] {
        let mut chain = Chain::new();
        let proposal = LargePreimage::new(data(length), 555_555).unwrap();
        chain.propose(&proposal);
        chain.instance.advance_time(PERIOD + 1);
        chain.send(proposal.squeeze(CLAIMANT, UUID));
        let expected = part(&data(length), 555_555);
        assert_eq!(chain.read(&proposal.key(), 555_555).unwrap(), expected);
    }
}

#[test]
fn no_block_is_added_beyond_the_65_535_of_the_tree() {
    let mut chain = Chain::new();
    let most = MAX_LEAVES as u32 * BLOCK_BYTES as u32;
    chain.send_from(CLAIMANT, BOND, calldata::init_lpp(UUID, 0, most)).unwrap();
    let blocks = 5_000;
    let (input, commitments) = (vec![7; blocks * BLOCK_BYTES], vec![[1; 32]; blocks]);
    let mut added = 0;
    while added + blocks <= MAX_LEAVES {
        chain.send(calldata::add_leaves_lpp(UUID, added, &input, &commitments, false));
        added += blocks;
    }
    let rest = MAX_LEAVES - added;
    let addition = |blocks: usize, last| {
        let (input, commitments) =
            (vec![7; blocks * BLOCK_BYTES], vec![[1; 32]; blocks + usize::from(last)]);
        calldata::add_leaves_lpp(UUID, added, &input, &commitments, last)
    };
    chain.refuses(addition(rest + 1, false), "TreeSizeOverflow()");
    chain.refuses(addition(rest, true), "TreeSizeOverflow()");
    chain.send(addition(rest, false));
}

#[test]
fn only_proposals_that_can_be_are_begun() {
    let mut chain = Chain::new();
    let init = |part_offset, size| calldata::init_lpp(UUID, part_offset, size);
    let least = LEAST as u32;
    for (value, call, why) in [
        (0, init(0, least), "InsufficientBond()"),
        (BOND - 1, init(0, least), "InsufficientBond()"),
        (BOND, init(least + 8, least), "PartOffsetOOB()"),
        (BOND, init(u32::MAX, least), "PartOffsetOOB()"),
        (BOND, init(0, least - 1), "InvalidInputSize()"),
        (BOND, init(0, 0), "InvalidInputSize()"),
    ] {
        let refused = chain.send_from(CLAIMANT, value, call).unwrap_err();
        assert_eq!(refused.to_string(), why);
    }
    chain.send_from(CLAIMANT, BOND, init(least + 7, least)).unwrap();
}

/// H-03: whatever the other part or size.
#[test]
fn what_was_begun_is_not_begun_again() {
    let mut chain = Chain::new();
    let init = |part_offset, size| calldata::init_lpp(UUID, part_offset, size);
    let least = LEAST as u32;
    chain.send_from(CLAIMANT, BOND, init(least + 7, least)).unwrap();
    for call in [init(least + 7, least), init(0, least), init(0, least + 1)] {
        let refused = chain.send_from(CLAIMANT, BOND, call).unwrap_err();
        assert_eq!(refused.to_string(), "AlreadyInitialized()");
    }
    // A number is a number of one claimant.
    let value = U256::from(BOND);
    let to = chain.instance.oracle();
    let rich =
        Transaction { from: CLAIMANT, to: CHALLENGER, value, calldata: vec![], gas_limit: None };
    chain.instance.transact(rich).unwrap();
    let call = init(0, least);
    let theirs = Transaction { from: CHALLENGER, to, value, calldata: call, gas_limit: None };
    chain.instance.transact(theirs).unwrap();
}

#[test]
fn blocks_are_added_in_order() {
    let mut chain = Chain::new();
    let proposal = proposal(0);
    chain.refuses(proposal.addition(UUID, 0..10), "NotInitialized()");
    chain.init(&proposal);
    chain.refuses(proposal.addition(UUID, 1..10), "WrongStartingBlock()");
    chain.send(proposal.addition(UUID, 0..10));
    for start in [0, 9, 11] {
        chain.refuses(proposal.addition(UUID, start..20), "WrongStartingBlock()");
    }
    // Nothing at all may be added, and changes nothing.
    chain.send(calldata::add_leaves_lpp(UUID, 10, &[], &[], false));
    chain.send(proposal.addition(UUID, 10..20));
}

/// Adds so many bytes with so many commitments, finally or not: all are refused.
fn refuses_additions(cases: &[(usize, usize, bool)]) {
    let mut chain = Chain::new();
    let proposal = proposal(0);
    chain.init(&proposal);
    let (input, commitments) = (data(3 * BLOCK_BYTES), [[1; 32]; 5]);
    for &(length, count, finalize) in cases {
        let call =
            calldata::add_leaves_lpp(UUID, 0, &input[..length], &commitments[..count], finalize);
        chain.refuses(call, "InvalidInputSize()");
    }
    chain.send(proposal.addition(UUID, 0..10));
}

#[test]
fn blocks_are_added_whole() {
    refuses_additions(&[(3 * BLOCK_BYTES - 1, 3, false), (1, 0, false), (1, 1, false)]);
}

#[test]
fn every_block_has_one_commitment() {
    let three = 3 * BLOCK_BYTES;
    refuses_additions(&[(three, 2, false), (three, 4, false), (0, 1, false)]);
    // The last call pads what it is given by a block, or fills one up.
    refuses_additions(&[(three, 3, true), (three - 1, 4, true)]);
}

#[test]
fn a_proposal_ends_at_the_size_that_was_claimed() {
    for (length, why) in
        [(LEAST - 1, "short"), (LEAST + 1, "long"), (LEAST + BLOCK_BYTES, "longer")]
    {
        let mut chain = Chain::new();
        let claimed = LEAST as u32;
        chain.send_from(CLAIMANT, BOND, calldata::init_lpp(UUID, 0, claimed)).unwrap();
        let data = data(length);
        let commitments = vec![[1; 32]; length / BLOCK_BYTES + 1];
        let call = calldata::add_leaves_lpp(UUID, 0, &data, &commitments, true);
        let refused = chain.send_from(CLAIMANT, 0, call).expect_err(why);
        assert_eq!(refused.to_string(), "InvalidInputSize()", "{why}");
    }
}

#[test]
fn a_proposal_ends_once() {
    let mut chain = Chain::new();
    let proposal = proposal(0);
    chain.propose(&proposal);
    let more = calldata::add_leaves_lpp(UUID, proposal.block_count(), &[], &[], false);
    chain.refuses(more, "AlreadyFinalized()");
}

#[test]
fn a_part_across_two_calls_is_refused() {
    // In the second of ten blocks; a part must end with a byte to spare.
    let inside = |bytes_left: usize| (8 + 10 * BLOCK_BYTES - bytes_left) as u32;
    for (bytes_left, fits) in [(1, false), (31, false), (32, false), (33, true), (34, true)] {
        let mut chain = Chain::new();
        let proposal = proposal(inside(bytes_left));
        chain.init(&proposal);
        let addition = proposal.addition(UUID, 0..10);
        if fits {
            chain.send(addition);
        } else {
            chain.refuses(addition, "PartOffsetOOB()");
            chain.send(proposal.addition(UUID, 0..11));
        }
    }
}

/// H-05: it has no time that could have passed.
#[test]
fn what_was_never_finalized_is_not_squeezed() {
    let mut chain = Chain::new();
    let proposal = proposal(8);
    let squeeze = proposal.squeeze(CLAIMANT, UUID);
    chain.refuses(squeeze.clone(), "ActiveProposal()");
    chain.init(&proposal);
    chain.refuses(squeeze.clone(), "ActiveProposal()");
    chain.send(proposal.addition(UUID, 0..proposal.block_count() - 1));
    chain.instance.advance_time(10 * PERIOD);
    chain.refuses(squeeze, "ActiveProposal()");
    assert!(chain.read(&proposal.key(), 8).is_err());
}

#[test]
fn nothing_is_squeezed_before_its_time() {
    let mut chain = Chain::new();
    let proposal = proposal(8);
    let squeeze = proposal.squeeze(CLAIMANT, UUID);
    chain.propose(&proposal);
    chain.refuses(squeeze.clone(), "ActiveProposal()");
    chain.instance.advance_time(PERIOD);
    chain.refuses(squeeze.clone(), "ActiveProposal()");
    chain.instance.advance_time(1);
    chain.send(squeeze);
}

#[test]
fn only_the_last_two_blocks_and_the_sponge_between_them_can_be_squeezed() {
    let mut chain = Chain::new();
    let proposal = proposal(8);
    chain.propose(&proposal);
    chain.instance.advance_time(PERIOD + 1);
    let last = proposal.block_count() - 1;
    let honest = proposal.transition(last);
    let squeeze = |change: &dyn Fn(&mut Transition)| {
        let mut transition = honest.clone();
        change(&mut transition);
        calldata::squeeze_lpp(CLAIMANT, UUID, &transition)
    };
    let earlier = proposal.transition(last - 1);
    let cases: [Case<'_>; 10] = [
        ("InvalidPreimage()", &|t| t.sponge[24] ^= 1),
        ("InvalidProof()", &|t| t.post.input[0] ^= 1),
        ("InvalidProof()", &|t| t.pre.input[0] ^= 1),
        ("InvalidProof()", &|t| t.post.commitment[0] ^= 1),
        ("InvalidProof()", &|t| t.pre.index ^= 1),
        ("InvalidProof()", &|t| t.post_proof[3][0] ^= 1),
        ("InvalidProof()", &|t| t.pre_proof[15][0] ^= 1),
        // Blocks of the proposal, with the right sponge, but not its last ones.
        ("StatesNotContiguous()", &|t| *t = earlier.clone()),
        // The last one after the last but two, after itself, and before itself.
        ("StatesNotContiguous()", &|t| {
            (t.sponge, t.pre, t.pre_proof) =
                (earlier.sponge, earlier.pre.clone(), earlier.pre_proof);
        }),
        ("StatesNotContiguous()", &|t| (t.post, t.post_proof) = (t.pre.clone(), t.pre_proof)),
    ];
    for (why, change) in cases {
        chain.refuses(squeeze(change), why);
    }
    assert!(chain.read(&proposal.key(), 8).is_err());
    chain.send(squeeze(&|_| ()));
    assert!(chain.read(&proposal.key(), 8).is_ok());
}

#[test]
fn a_wrong_commitment_is_found_challenged_and_never_squeezed() {
    for wrong in [0, 1, 500, 926] {
        let mut chain = Chain::new();
        let mut proposal = proposal(8);
        proposal.commitments[wrong][31] ^= 1;
        chain.propose(&proposal);
        assert_eq!(proposal.first_wrong_block(), Some(wrong));

        let before = chain.instance.balance(CHALLENGER);
        let challenge = proposal.challenge(CLAIMANT, UUID, wrong);
        chain.send_from(CHALLENGER, 0, challenge).unwrap();
        let gained = chain.instance.balance(CHALLENGER) - before;
        assert_eq!((gained, chain.held()), (U256::from(BOND), U256::ZERO));

        chain.instance.advance_time(PERIOD + 1);
        chain.refuses(proposal.squeeze(CLAIMANT, UUID), "BadProposal()");
        assert!(chain.read(&proposal.key(), 8).is_err());
    }
}

#[test]
fn a_bond_is_paid_once() {
    let mut chain = Chain::new();
    let (mut wrong, right) = (proposal(8), proposal(9));
    wrong.commitments[7][0] ^= 1;
    wrong.commitments[70][0] ^= 1;
    chain.propose(&wrong);
    chain.send_from(CLAIMANT, BOND, right.init(UUID + 1)).unwrap();
    for addition in right.additions(UUID + 1, BLOCKS) {
        chain.send(addition);
    }
    // Two mistakes are not two bonds, nor is the bond of another proposal there to be had.
    for block in [7, 70, 7] {
        chain.send_from(CHALLENGER, 0, wrong.challenge(CLAIMANT, UUID, block)).unwrap();
        assert_eq!(chain.instance.balance(CHALLENGER), U256::from(BOND));
    }
    chain.instance.advance_time(PERIOD + 1);
    for _ in 0..2 {
        chain.send(right.squeeze(CLAIMANT, UUID + 1));
        assert_eq!(chain.held(), U256::ZERO);
    }
}

/// The oracle is made to call itself: the sender is a contract then, and the answer can be read.
#[test]
fn a_contract_adds_nothing() {
    let mut chain = Chain::new();
    let oracle = chain.instance.oracle().0.0;
    let addition = proposal(8).addition(UUID, 0..1);
    chain.send(calldata::load_precompile_preimage_part(8, &oracle, 1_000_000, &addition));
    let answer = chain.read(&Key::precompile(&oracle, 1_000_000, &addition), 8).unwrap();
    assert_eq!(answer[0], 0, "the call fails");
    assert_eq!(Refusal::decode(&answer[1..]).to_string(), "NotEOA()");
}

#[test]
fn a_true_commitment_stands() {
    let mut chain = Chain::new();
    let proposal = proposal(8);
    chain.propose(&proposal);
    assert_eq!(proposal.first_wrong_block(), None);
    for block in [0, 1, 500, 926] {
        chain.refuses(proposal.challenge(CLAIMANT, UUID, block), "PostStateMatches()");
    }
    assert_eq!(chain.held(), U256::from(BOND));
}

#[test]
fn a_challenge_takes_neighbouring_blocks_as_they_are() {
    let mut chain = Chain::new();
    let proposal = proposal(8);
    chain.propose(&proposal);
    let challenge = |change: &dyn Fn(&mut Transition)| {
        let mut transition = proposal.transition(10);
        change(&mut transition);
        calldata::challenge_lpp(CLAIMANT, UUID, &transition)
    };
    let far = proposal.transition(20);
    let cases: [Case<'_>; 4] = [
        ("InvalidPreimage()", &|t| t.sponge[0] ^= 1),
        ("InvalidProof()", &|t| t.post.input[5] ^= 1),
        ("InvalidProof()", &|t| t.post_proof[0][5] ^= 1),
        ("StatesNotContiguous()", &|t| (t.post, t.post_proof) = (far.post.clone(), far.post_proof)),
    ];
    for (why, change) in cases {
        chain.refuses(challenge(change), why);
    }
    // Only the first block is the first.
    let second =
        calldata::challenge_first_lpp(CLAIMANT, UUID, &proposal.leaf(1), &proposal.proof(1));
    chain.refuses(second, "StatesNotContiguous()");
    let mut forged = proposal.leaf(0);
    forged.input[0] ^= 1;
    let forged = calldata::challenge_first_lpp(CLAIMANT, UUID, &forged, &proposal.proof(0));
    chain.refuses(forged, "InvalidProof()");
    assert_eq!(chain.held(), U256::from(BOND));
}

#[test]
fn whoever_watches_finds_what_was_added_in_the_log() {
    let mut chain = Chain::new();
    let proposal = proposal(8);
    chain.init(&proposal);
    let addition = proposal.addition(UUID, 0..10);
    let receipt = chain.send(addition.clone());
    assert_eq!(receipt.logs, [[&CLAIMANT.0[..], &addition].concat()]);
}
