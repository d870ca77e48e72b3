//! Public state tests of Ethereum: a transaction on a state, and the root that comes of it. Each is a block
//! of an L2 chain here, executed by the rules of every fork that has those of Ethereum's.

#[allow(dead_code, reason = "shared with the other tests of blocks")]
mod support;

use std::path::Path;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256, address, keccak256};
use revm::state::AccountInfo;
use serde_json::Value;
use tribunal_optimism::trie::Trie;
use tribunal_optimism::{Attributes, Error, Hints, Preimages, State, execute};
use tribunal_rollup::{Fork, ForkTimes, RollupConfig, registry};

use support::{Store, attributes, contract, extra_data, store_accounts};

/// Where the base fee goes on L2; on L1 it is burnt.
const BASE_FEE_VAULT: Address = address!("0x4200000000000000000000000000000000000019");

/// The forks of the OP Stack that have the rules of one of Ethereum's.
fn forks(ethereum: &str) -> &'static [Fork] {
    match ethereum {
        "Merge" => &[Fork::Bedrock, Fork::Regolith],
        "Shanghai" => &[Fork::Canyon, Fork::Delta],
        "Cancun" => &[Fork::Ecotone, Fork::Fjord, Fork::Granite, Fork::Holocene],
        "Prague" => &[Fork::Isthmus, Fork::Jovian],
        "Osaka" => &[Fork::Karst],
        other => panic!("{other}"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn quantity(value: &Value) -> U256 {
    text(value).parse().unwrap()
}

fn bytes(value: &Value) -> Bytes {
    text(value).parse().unwrap()
}

/// Ethereum's mainnet, if it were an L2 chain with these forks.
fn config(newest: Fork) -> RollupConfig {
    let mut config = registry::rollup(10).unwrap();
    config.l2_chain_id = 1;
    config.block_time = 2;
    config.forks = ForkTimes::NONE;
    for fork in Fork::ALL.into_iter().filter(|fork| *fork > Fork::Bedrock && *fork <= newest) {
        config.forks.set(fork, Some(0));
    }
    config
}

/// The state before, with its root.
fn before(test: &Value) -> (Store, B256) {
    let accounts = test["pre"].as_object().unwrap().iter().map(|(address, account)| {
        let info = match bytes(&account["code"]) {
            code if code.is_empty() => AccountInfo::default(),
            code => contract(code),
        };
        let info = AccountInfo {
            nonce: quantity(&account["nonce"]).to(),
            balance: quantity(&account["balance"]),
            ..info
        };
        let slots = account["storage"].as_object().unwrap().iter();
        let slots = slots.map(|(slot, value)| (slot.parse().unwrap(), quantity(value))).collect();
        (address.parse().unwrap(), info, slots)
    });
    store_accounts(accounts)
}

/// The root after the block, as if the base fee had been burnt.
fn run(test: &Value, fork: Fork, transaction: Bytes) -> Result<B256, Error> {
    let (mut store, state_root) = before(test);
    let config = config(fork);
    let env = &test["env"];
    let number = |name: &str| quantity(&env[name]).to::<u64>();
    let time = number("currentTimestamp");
    let parent = Header {
        state_root,
        gas_limit: 30_000_000,
        // As much as leaves the base fee as it is.
        gas_used: 5_000_000,
        timestamp: time - 2,
        base_fee_per_gas: Some(number("currentBaseFee")),
        extra_data: extra_data(fork),
        blob_gas_used: (fork >= Fork::Ecotone).then_some(0),
        ..Header::default()
    };
    let attributes = Attributes {
        fee_recipient: text(&env["currentCoinbase"]).parse().unwrap(),
        transactions: vec![transaction],
        ..attributes(fork, time, number("currentGasLimit"))
    };
    let preimages = Preimages::new(store.clone()).with_hints(Hints::None).without_acceleration();
    let hash = parent.hash_slow();
    let mut state = State::new(preimages, parent, hash);
    let executed = execute(&mut state, &config, &attributes, &mut |hash, data| {
        store.keep(hash, data);
    })?;
    let mut trie = Trie::at(executed.header.state_root);
    trie.remove(&mut store, &keccak256(BASE_FEE_VAULT)).unwrap();
    Ok(trie.root())
}

#[test]
fn transactions_come_to_the_roots_of_the_public_tests() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/state/tests.json");
    let tests: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut count = 0;
    for test in tests.as_array().unwrap() {
        let is_invalid = test.get("expectException").is_some();
        for (ethereum, roots) in test["post"].as_object().unwrap() {
            let transactions = test["transactions"].as_array().unwrap();
            for (index, (transaction, root)) in
                transactions.iter().zip(roots.as_array().unwrap()).enumerate()
            {
                for fork in forks(ethereum) {
                    let what = format!("{}, {index}, {fork}", text(&test["name"]));
                    match run(test, *fork, bytes(transaction)) {
                        Ok(found) if !is_invalid => {
                            assert_eq!(found, text(root).parse::<B256>().unwrap(), "{what}");
                        }
                        Err(Error::Invalid(_)) if is_invalid => {}
                        other => panic!("{what}: {other:?}"),
                    }
                    count += 1;
                }
            }
        }
    }
    assert_eq!(count, 128);
}
