//! The forms in which configurations come.

use serde_json::{Value, json};
use tribunal_rollup::{
    ConfigError, Eip1559Params, Fork, JsonError, L1Config, OperatorFee, RollupConfig,
};

fn minimal() -> Value {
    let hash = format!("0x{}", "11".repeat(32));
    let address = format!("0x{}", "22".repeat(20));
    json!({
        "genesis": {
            "l1": { "hash": hash, "number": 5 },
            "l2": { "hash": hash, "number": 0 },
            "l2_time": 1000,
            "system_config": {
                "batcherAddr": address, "overhead": "0x834", "scalar": "0xf4240",
                "gasLimit": 30_000_000,
            },
        },
        "block_time": 2, "max_sequencer_drift": 600, "seq_window_size": 3600,
        "channel_timeout": 300, "l1_chain_id": 1, "l2_chain_id": 77,
        "regolith_time": 0, "canyon_time": null,
        "batch_inbox_address": address, "deposit_contract_address": address,
        "l1_system_config_address": address,
    })
}

fn parse(json: &Value) -> Result<RollupConfig, JsonError> {
    RollupConfig::from_json(json.to_string().as_bytes())
}

#[test]
fn what_is_not_said_has_a_default() {
    let config = parse(&minimal()).expect("a configuration");
    assert_eq!(config.forks.time(Fork::Regolith), Some(0));
    assert_eq!(config.forks.time(Fork::Canyon), None);
    assert_eq!(config.chain_op_config.denominator_canyon, 250);
    assert_eq!(config.genesis.system_config.operator_fee, OperatorFee::default());
    assert!(!config.alt_da);
}

#[test]
fn both_ways_to_write_fees_are_read() {
    let mut packed = minimal();
    let system_config = &mut packed["genesis"]["system_config"];
    system_config["eip1559Params"] = "0x000000fa00000006".into();
    system_config["operatorFeeParams"] =
        format!("0x{}0000000700000000000000ff", "00".repeat(20)).into();
    let mut spelled = minimal();
    let system_config = &mut spelled["genesis"]["system_config"];
    system_config["eip1559Denominator"] = 250.into();
    system_config["eip1559Elasticity"] = 6.into();
    system_config["operatorFeeScalar"] = 7.into();
    system_config["operatorFeeConstant"] = 255.into();
    let config = parse(&packed).expect("a configuration");
    assert_eq!(
        config.genesis.system_config.eip1559,
        Eip1559Params { denominator: 250, elasticity: 6 }
    );
    assert_eq!(config.genesis.system_config.operator_fee, OperatorFee { scalar: 7, constant: 255 });
    assert_eq!(parse(&spelled), Ok(config));
}

#[test]
fn what_rules_would_divide_by_is_not_zero_and_forks_are_in_order() {
    for (pointer, field) in
        [("/block_time", "block_time"), ("/max_sequencer_drift", "max_sequencer_drift")]
    {
        let mut json = minimal();
        *json.pointer_mut(pointer).expect("it is there") = 0.into();
        assert_eq!(parse(&json), Err(JsonError::Config(ConfigError::Zero { field })));
    }
    let mut json = minimal();
    json["delta_time"] = 0.into();
    assert_eq!(parse(&json), Err(JsonError::Config(ConfigError::ForkOrder { fork: Fork::Delta })));
    for fork in ["canyon_time", "delta_time", "ecotone_time", "fjord_time"] {
        json[fork] = 0.into();
    }
    json.as_object_mut().expect("an object").remove("max_sequencer_drift");
    assert!(parse(&json).is_ok(), "from Fjord on the drift is a constant");
}

#[test]
fn what_is_no_configuration_is_refused() {
    for json in ["", "{}", "null", "[1]", "{\"genesis\": 3}"] {
        assert!(matches!(RollupConfig::from_json(json.as_bytes()), Err(JsonError::Json(_))));
        assert!(matches!(L1Config::from_json(json.as_bytes()), Err(JsonError::Json(_))));
    }
    let l1 = json!({ "chainId": 1, "cancunTime": 0, "blobSchedule": { "cancun": { "max": 6 } } });
    assert_eq!(
        L1Config::from_json(l1.to_string().as_bytes()),
        Err(JsonError::UpdateFraction("cancun"))
    );
}
