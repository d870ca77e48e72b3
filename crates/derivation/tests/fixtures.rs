//! The 33 claims of `testdata/derivation`, which the reference stack made and judged: every L2 block on
//! the way is derived with exactly what it holds. Execution is not here, so a block stands in for its
//! own: attributes that are those of the block that followed are valid, all others are not.

mod support;

use alloy_primitives::{B256, Bytes};
use support::{Fixture, hash, names, number, text};
use tribunal_derivation::{
    Attributes, Error, FEE_RECIPIENT, Header, L2Data as _, L2Head, PayloadAttributes, Pipeline,
};
use tribunal_rollup::RollupConfig;

/// The header that differs in nothing that attributes decide, whether it is `header` or not.
fn is_block(
    config: &RollupConfig,
    payload: &PayloadAttributes,
    header: &Header,
    transactions: &[Bytes],
) -> bool {
    let mut extra = Vec::new();
    if let Some(params) = payload.eip1559 {
        let own = &config.chain_op_config;
        let [denominator, elasticity] = match params.denominator {
            0 => [own.denominator_canyon as u32, own.elasticity as u32],
            _ => [params.denominator, params.elasticity],
        };
        extra.push(payload.min_base_fee.is_some().into());
        extra.extend(denominator.to_be_bytes());
        extra.extend(elasticity.to_be_bytes());
        extra.extend(payload.min_base_fee.iter().flat_map(|fee| fee.to_be_bytes()));
    }
    payload.timestamp == header.timestamp
        && payload.prev_randao == header.mix_digest
        && payload.gas_limit == header.gas_limit
        && payload.parent_beacon_block_root == header.parent_beacon_root
        && payload.fee_recipient == FEE_RECIPIENT
        && extra == header.extra_data[..]
        && payload.transactions == transactions
}

/// What came of a fixture.
struct Outcome {
    /// The blocks derived, in order.
    blocks: Vec<B256>,
    /// How many of them came in the place of others.
    replaced: usize,
    valid: bool,
}

fn derive(fixture: &mut Fixture) -> Outcome {
    let (config, l1_config) = (fixture.config.clone(), fixture.l1_config.clone());
    let boot = fixture.json["boot"].clone();
    let agreed = hash(&boot, "agreed_l2_head_hash");
    let claimed = number(&boot, "claimed_l2_block_number");
    let mut head = L2Head::read(&config, agreed, fixture).expect("the agreed block");
    let mut outcome = Outcome { blocks: Vec::new(), replaced: 0, valid: false };

    let mut pipeline = Pipeline::new(&config, &l1_config, &head, fixture).expect("a pipeline");
    while head.block.number < claimed {
        let Some(attributes) = pipeline.next(&head, fixture).expect("the data is there") else {
            break;
        };
        assert_eq!(
            (attributes.parent, attributes.number),
            (head.block.hash, head.block.number + 1)
        );
        let blocks = fixture.json["l2_blocks"].as_array().expect("blocks");
        let next = blocks.iter().find(|block| number(block, "number") == attributes.number);
        let next = next.unwrap_or_else(|| panic!("{}: a block too many", fixture.name)).clone();
        let next = &next;
        let header = fixture.header(hash(next, "hash")).expect("it is there");
        assert_eq!(header.parent_hash, head.block.hash);
        let transactions = fixture.l2_transactions(&header).expect("they are there");
        if !is_block(&config, &attributes.payload, &header, &transactions) {
            let payload = pipeline.reject(attributes).expect("Holocene is active");
            assert!(
                is_block(&config, &payload, &header, &transactions),
                "{}: block {} is not what was derived:\n{payload:?}\n{header:?}\n{transactions:?}",
                fixture.name,
                header.number
            );
            outcome.replaced += 1;
        }
        let first = transactions.first().map(|first| &first[..]);
        head = L2Head::new(&config, header, first).expect("a block of the chain");
        assert_eq!(head.block.l1_origin.hash, hash(next, "l1_origin_hash"));
        assert_eq!(head.block.sequence_number, number(next, "sequence_number"));
        outcome.blocks.push(head.block.hash);
    }
    let blocks = fixture.json["l2_blocks"].as_array().expect("blocks");
    let last = blocks.iter().find(|block| hash(block, "hash") == head.block.hash);
    outcome.valid =
        last.map(|last| text(last, "output_root")) == Some(text(&boot, "claimed_l2_output_root"));
    outcome
}

#[test]
fn every_claim_is_judged_as_the_reference_judged_it() {
    let names = names();
    assert_eq!(names.len(), 33);
    for name in names {
        let mut fixture = Fixture::read(&name);
        let outcome = derive(&mut fixture);
        let json = &fixture.json;
        let safe = number(json, "l2_safe_head_number");
        let boot = &json["boot"];
        let reached = number(boot, "agreed_l2_block_number") + outcome.blocks.len() as u64;
        assert_eq!(reached, safe.min(number(boot, "claimed_l2_block_number")), "{name}");
        assert_eq!(outcome.valid, text(json, "expected") == "valid", "{name}");
        // One fixture is about a payload that cannot be executed.
        assert_eq!(outcome.replaced, usize::from(name.contains("invalid-payload")), "{name}");
    }
}

fn first_attributes(fixture: &mut Fixture) -> Result<Option<Attributes>, Error<String>> {
    let (config, l1_config) = (fixture.config.clone(), fixture.l1_config.clone());
    let agreed = hash(&fixture.json["boot"], "agreed_l2_head_hash");
    let head = L2Head::read(&config, agreed, fixture)?;
    Pipeline::new(&config, &l1_config, &head, fixture)?.next(&head, fixture)
}

#[test]
fn missing_data_is_an_error_and_never_the_end_of_the_chain() {
    for name in ["03-isthmus-simple-calldata-valid.json.gz", "01-jovian-simple-blob-valid.json.gz"]
    {
        let mut fixture = Fixture::read(name);
        let expected = first_attributes(&mut fixture).expect("the data is there");
        assert!(expected.is_some());
        let mut missed = 0;
        let keys: Vec<Vec<u8>> = fixture.preimages.keys().cloned().collect();
        for key in keys {
            let value = fixture.preimages.remove(&key).expect("it is there");
            match first_attributes(&mut fixture) {
                Ok(attributes) => assert_eq!(attributes, expected, "{name}"),
                Err(_) => missed += 1,
            }
            fixture.preimages.insert(key, value);
        }
        assert!(missed >= 4, "{name}: {missed}");
        if !fixture.blobs.is_empty() {
            fixture.blobs.clear();
            assert!(first_attributes(&mut fixture).is_err(), "{name}: a blob is never skipped");
        }
    }
}
