//! Chains of our own: encoded in any valid way they derive to themselves, and an invalid block takes
//! with it what the rules of its time say.

#[allow(dead_code, reason = "shared with the other tests")]
mod support;

use alloy_primitives::{B256, b256};
use optimism::{Decision, Finding, Output, Progress, decide};
use serde_json::Value;
use support::devnet::{Account, Devnet, channel, frames, whole};
use support::fixture;
use tribunal_derivation::frame::{Frame, write_frames};
use tribunal_guest::Verdict;
use tribunal_optimism::Preimages;
use tribunal_rollup::BlockId;

/// The first account of development chains, which has money at genesis.
const RICH: B256 = b256!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");

/// What came of a claim about the block `number`, and every block that was made on the way.
fn judge(devnet: &Devnet, number: u64, claim: B256) -> (Decision, Vec<BlockId>) {
    let mut made = Vec::new();
    let mut world = devnet.world(number, claim);
    let decision = decide(Preimages::new(&mut world), &mut |progress| {
        if let Progress::L2 { number, hash, .. } = progress {
            made.push(BlockId { number, hash });
        }
    });
    (decision.unwrap(), made)
}

/// The blocks up to `number`, and the output after the last.
fn derive(devnet: &Devnet, number: u64) -> (Output, Vec<BlockId>) {
    let (decision, made) = judge(devnet, number, B256::ZERO);
    assert_eq!(decision.verdict(), Verdict::Wrong);
    let Finding::Output(output) = decision.finding else { panic!("{decision}") };
    let (decision, again) = judge(devnet, number, output.root);
    assert_eq!((decision.verdict(), &again), (Verdict::Holds, &made));
    (output, made)
}

fn numbers(blocks: &[BlockId]) -> Vec<u64> {
    blocks.iter().map(|block| block.number).collect()
}

/// Forks after Granite never come.
fn before_holocene(config: &mut Value) {
    for fork in ["holocene_time", "isthmus_time", "jovian_time", "karst_time"] {
        config.as_object_mut().unwrap().remove(fork);
    }
}

#[test]
fn before_holocene_an_invalid_block_takes_its_span_along_and_the_state_goes_back() {
    let rich = Account::new(RICH);
    let fixture = fixture("01-");
    let empty = |nonce| vec![rich.pay(nonce, 5)];
    let run = |invalid: bool, change: &dyn Fn(&mut Value)| {
        let mut devnet = Devnet::new(&fixture, change);
        let genesis = devnet.config.genesis.l2;
        let first = devnet.singular(genesis, &empty(0));
        let data = devnet.calldata(whole(1, &[first]));
        devnet.mine(&[data]);
        let head = *derive(&devnet, 9).1.last().unwrap();
        assert_eq!(head.number, 1, "the account has money");
        if invalid {
            // Block 4 spends a nonce that is not there yet.
            let bad = devnet.span(head, &[empty(1), empty(2), empty(9), empty(3)]);
            let data = devnet.calldata(whole(2, &[bad]));
            devnet.mine(&[data]);
        }
        let good = devnet.span(head, &[vec![rich.pay(1, 6)], vec![], vec![rich.pay(2, 7)]]);
        let data = devnet.calldata(whole(3, &[good]));
        devnet.mine(&[data]);
        derive(&devnet, 9)
    };
    let (output, made) = run(true, &before_holocene);
    assert_eq!(numbers(&made), [1, 2, 3, 2, 3, 4]);
    assert_ne!(made[1], made[3], "the blocks of the span are gone");
    let (alone, expected) = run(false, &before_holocene);
    assert_eq!((output, &made[3..]), (alone, &expected[1..]));
    assert_eq!(output.number, 4);

    // Since Holocene only the block goes, and the rest of its span: what comes later is in the past.
    let (output, made) = run(true, &|_| {});
    assert_eq!(numbers(&made), [1, 2, 3, 4]);
    assert_eq!(output.number, 4);
    let (alone, _) = run(false, &|_| {});
    assert_ne!(output, alone);
}

#[test]
fn before_holocene_a_claim_about_a_block_of_a_span_waits_for_all_of_it() {
    let rich = Account::new(RICH);
    let fixture = fixture("01-");
    let blocks = [vec![rich.pay(0, 5)], vec![rich.pay(1, 6)], vec![rich.pay(2, 7)]];
    // What the outputs are if each block has a batch of its own.
    let mut devnet = Devnet::new(&fixture, before_holocene);
    let genesis = devnet.config.genesis.l2;
    let mut parent = genesis;
    let mut expected = Vec::new();
    for (number, block) in (1..).zip(&blocks) {
        let batch = devnet.singular(parent, block);
        let data = devnet.calldata(whole(number as u8, &[batch]));
        devnet.mine(&[data]);
        let (output, made) = derive(&devnet, number);
        parent = *made.last().unwrap();
        expected.push(output);
    }

    let spans = |doomed: bool, change: &dyn Fn(&mut Value)| {
        let mut devnet = Devnet::new(&fixture, change);
        if doomed {
            // Block 1 is as good as the other one, but block 2 spends a nonce that is not there yet.
            let bad = devnet.span(genesis, &[vec![rich.pay(0, 1)], vec![rich.pay(9, 1)], vec![]]);
            let data = devnet.calldata(whole(8, &[bad]));
            devnet.mine(&[data]);
        }
        let good = devnet.span(devnet.config.genesis.l2, &blocks);
        let data = devnet.calldata(whole(9, &[good]));
        devnet.mine(&[data]);
        devnet
    };
    for (doomed, on_the_way) in [(true, &[1, 1, 2, 3][..]), (false, &[1, 2, 3])] {
        let devnet = spans(doomed, &before_holocene);
        for (number, expected) in (1..).zip(&expected) {
            let (output, made) = derive(&devnet, number);
            assert_eq!((&output, &numbers(&made)[..]), (expected, on_the_way), "{number}");
        }
    }
    // Since Holocene a block of a span is there to stay, and nothing after it is looked at.
    let devnet = spans(false, &|_| {});
    for number in 1..=3 {
        assert_eq!(numbers(&derive(&devnet, number).1), (1..=number).collect::<Vec<_>>());
    }
}

/// A block may be as full of data as its gas allows, whatever form its batch has; of what is more,
/// nothing is kept, and the block is as any other that cannot be executed.
#[test]
fn a_block_is_as_full_as_its_gas_allows() {
    let rich = Account::new(RICH);
    let fixture = fixture("01-");
    // The second L1 block doubles the limit of 30 million, and the twelfth L2 block is the first that
    // can have it as its origin.
    let last_of = |transactions: &[Vec<u8>], raised: bool| {
        let mut devnet = Devnet::new(&fixture, |_| {});
        let genesis = devnet.config.genesis.l2;
        devnet.mine_gas_limit(60_000_000);
        let batch = if raised {
            let mut blocks = vec![Vec::new(); 11];
            blocks.push(transactions.to_vec());
            let origins: Vec<_> = (0..12).map(|place| place / 11).collect();
            devnet.span_with_origins(genesis, &blocks, &origins)
        } else {
            devnet.singular(genesis, transactions)
        };
        let data = devnet.calldata(whole(1, &[batch]));
        devnet.mine(&[data]);
        let number = if raised { 12 } else { 1 };
        derive(&devnet, number).1.last().copied().unwrap()
    };
    for (raised, gas) in [(false, 30_000_000), (true, 60_000_000)] {
        let empty = last_of(&[], raised);
        // 21,000 gas of the transaction's own, and some for what tells of L1.
        let most = (gas - 400_000) / 10;
        let full = last_of(&[rich.send(0, 5, most)], raised);
        assert_ne!(full, empty);
        // As many bytes of two transactions, of which the first stands if it is alone.
        let half = rich.send(0, 5, most / 2);
        let alone = last_of(std::slice::from_ref(&half), raised);
        let both = last_of(&[half.clone(), rich.send(1, 5, most / 2 - 10_000)], raised);
        assert!(both != empty && both != alone && both != full);
        // A little more than there is gas for, and more than anybody looks at.
        for more in [40_000, 3_000_000] {
            assert_eq!(last_of(&[rich.send(0, 5, most + more)], raised), empty, "{more} more");
            let both = [half.clone(), rich.send(1, 5, most / 2 + more)];
            assert_eq!(last_of(&both, raised), empty, "{more} more in two");
        }
    }
}

/// A sequence of numbers, the same on every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn noise(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }
}

#[test]
fn a_chain_that_is_encoded_in_any_valid_way_derives_to_itself() {
    let rich = Account::new(RICH);
    let fixture = fixture("01-");
    // The plain way: a batch for each block, a channel and a transaction for each batch.
    let blocks: Vec<Vec<Vec<u8>>> = [2, 0, 1, 0, 0, 3, 1, 0]
        .iter()
        .scan(0, |nonce, count| {
            let first = *nonce;
            *nonce += count;
            Some((first..*nonce).map(|nonce| rich.pay(nonce, 1 + nonce)).collect())
        })
        .collect();
    let last = blocks.len() as u64;
    let mut parents = Vec::new();
    let mut devnet = Devnet::new(&fixture, |_| {});
    parents.push(devnet.config.genesis.l2);
    for (place, block) in blocks.iter().enumerate() {
        let batch = devnet.singular(parents[place], block);
        let data = devnet.calldata(whole(place as u8, &[batch]));
        devnet.mine(&[data]);
        parents.push(*derive(&devnet, last).1.last().unwrap());
    }
    let expected = derive(&devnet, last);
    assert_eq!(numbers(&expected.1), (1..=last).collect::<Vec<_>>());

    for seed in 0..24 {
        let mut random = Numbers(seed);
        let mut devnet = Devnet::new(&fixture, |_| {});
        // Batches of any number of blocks, some of them twice; channels of any number of batches.
        let mut channels: Vec<Vec<Vec<u8>>> = Vec::new();
        let mut done = 0;
        while done < blocks.len() {
            let count = 1 + random.below(blocks.len() - done);
            let batch = match count {
                1 if random.below(2) == 0 => devnet.singular(parents[done], &blocks[done]),
                _ => devnet.span(parents[done], &blocks[done..done + count]),
            };
            done += count;
            if channels.is_empty() || random.below(2) == 0 {
                channels.push(Vec::new());
            }
            let batches = channels.last_mut().unwrap();
            batches.extend(vec![batch; 1 + random.below(4) / 3]);
        }
        let mut payloads = Vec::new();
        for (id, batches) in channels.iter().enumerate() {
            let bytes = channel(batches, random.below(10) as u32);
            let frames = frames(id as u8, &bytes, 1 + random.below(bytes.len()).max(20));
            for frame in frames {
                // What is no frame, a frame of no channel, one that was there already.
                if random.below(4) == 0 {
                    let len = 1 + random.below(40);
                    payloads.push(random.noise(len));
                }
                if random.below(4) == 0 && frame.number > 0 {
                    let id = [0xee; 16];
                    payloads.push(write_frames(&[Frame { id, number: 3, ..frame.clone() }]));
                }
                payloads.push(write_frames(std::slice::from_ref(&frame)));
                if random.below(4) == 0 {
                    payloads.push(write_frames(&[frame]));
                }
            }
        }
        let mut rest = &payloads[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(1 + random.below(rest.len()));
            let blobs = random.below(4) == 0;
            let transactions: Vec<_> = if blobs {
                now.chunks(3).map(|datas| devnet.blobs(datas)).collect()
            } else {
                now.iter().map(|data| devnet.calldata(data.clone())).collect()
            };
            devnet.mine(&transactions);
            if random.below(3) == 0 {
                devnet.mine(&[]);
            }
            rest = later;
        }
        assert_eq!(derive(&devnet, last), expected, "seed {seed}");
    }
}
