//! The table of known chains beside the JSON that it was made from, which stands in
//! `testdata/chains`. With `UPDATE=1` in the environment the table is written anew.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tribunal_rollup::{ChainOpConfig, ConfigError, Fork, L1Config, RollupConfig, registry};

fn lines(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/chains").join(name);
    let text = fs::read_to_string(path).expect("testdata is there");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn name(line: &Value) -> &str {
    line["name"].as_str().expect("a name")
}

fn rollup(line: &Value) -> RollupConfig {
    RollupConfig::from_json_unchecked(line["rollup"].to_string().as_bytes())
        .unwrap_or_else(|error| panic!("{}: {error}", name(line)))
}

#[test]
fn the_table_holds_what_the_json_says() {
    let (l1, l2) = (lines("l1.jsonl"), lines("l2.jsonl"));
    let mut l1s: Vec<_> = l1
        .iter()
        .map(|line| {
            let json = line["l1_chain_config"].to_string();
            (name(line), L1Config::from_json(json.as_bytes()).expect("an L1 configuration"))
        })
        .collect();
    let mut rollups: Vec<_> = l2.iter().map(|line| (name(line), rollup(line))).collect();
    l1s.sort_by_key(|(_, config)| config.chain_id);
    rollups.sort_by_key(|(_, config)| config.l2_chain_id);

    if std::env::var_os("UPDATE").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/registry.bin");
        fs::write(path, registry::write(&l1s, &rollups)).expect("the table can be written");
        return;
    }
    assert_eq!((l1s.len(), registry::l1s().count()), (3, 3));
    assert_eq!((rollups.len(), registry::rollups().count()), (54, 54));
    for (known, (name, config)) in registry::l1s().zip(&l1s) {
        assert_eq!((known.0, &known.1), (*name, config));
    }
    for (known, (name, config)) in registry::rollups().zip(&rollups) {
        assert_eq!((known.0, &known.1), (*name, config));
    }
    for (_, config) in rollups {
        assert_eq!(registry::rollup(config.l2_chain_id).as_ref(), Some(&config));
        assert!(registry::l1(config.l1_chain_id).is_some(), "{}", config.l1_chain_id);
    }
    let unusable: Vec<_> = registry::rollups()
        .filter_map(|(name, config)| config.check().err().map(|error| (name, error)))
        .collect();
    // They were rehearsals of Interop, before Jovian was thought of.
    let disorder = ConfigError::ForkOrder { fork: Fork::Interop };
    let celo = ConfigError::OtherRules { chain_id: 11_142_220, name: "Celo" };
    assert_eq!(
        unusable,
        [
            ("celo-sep-sepolia", celo),
            ("rehearsal-0-bn-0-rehearsal-0-bn", disorder.clone()),
            ("rehearsal-0-bn-1-rehearsal-0-bn", disorder),
        ]
    );
    assert_eq!(registry::rollup(901), None);
    assert_eq!(registry::l1(900), None);
}

#[test]
fn the_l2_chain_configuration_says_the_same() {
    for line in lines("l2.jsonl") {
        let config = rollup(&line);
        let chain = &line["l2_chain_config"];
        let op = ChainOpConfig::from_l2_chain_config_json(chain.to_string().as_bytes());
        assert_eq!(op, Ok(config.chain_op_config));
        // The execution engine knows no Delta.
        for fork in
            Fork::ALL.into_iter().filter(|fork| !matches!(fork, Fork::Bedrock | Fork::Delta))
        {
            let time = chain[format!("{fork}Time")].as_u64();
            assert_eq!(time, config.forks.time(fork), "{}: {fork}", name(&line));
        }
    }
}

#[test]
fn op_mainnet_is_what_everybody_knows() {
    let config = registry::rollup(10).expect("OP Mainnet");
    assert_eq!(config.l1_chain_id, 1);
    assert_eq!(config.block_time, 2);
    assert_eq!(config.genesis.l2.number, 105_235_063);
    assert_eq!(config.forks.time(Fork::Ecotone), Some(1_710_374_401));
    assert_eq!(config.batch_inbox.to_string(), "0xFF00000000000000000000000000000000000010");
    let l1 = registry::l1(1).expect("mainnet");
    assert_eq!(l1.blob_schedule.update_fraction(1_746_612_311), 5_007_716);
    assert_eq!(l1.blob_schedule.update_fraction(1_767_747_671), 11_684_671);
}
