//! The upgrade transactions beside the JSON that they were made from, which stands in
//! `testdata/upgrades`. With `UPDATE=1` in the environment the table is written anew.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use alloy_primitives::{B256, Bytes, U256, hex};
use flate2::read::GzDecoder;
use serde_json::Value;
use tribunal_derivation::deposit::{Deposit, upgrade_source_hash};
use tribunal_derivation::upgrades::{FORKS, KARST_GAS, transactions};
use tribunal_rollup::Fork;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/upgrades").join(name)
}

fn listed(fork: Fork) -> Vec<Value> {
    let mut text = String::new();
    match fs::File::open(path(&format!("{fork}.json.gz"))) {
        Ok(file) => GzDecoder::new(file).read_to_string(&mut text).map(drop),
        Err(_) => fs::read_to_string(path(&format!("{fork}.json"))).map(|found| text = found),
    }
    .expect("testdata is there");
    serde_json::from_str(&text).expect("JSON")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().expect("text")
}

fn number(value: &Value, name: &str) -> U256 {
    text(value, name).parse().expect("a number")
}

#[test]
fn the_table_holds_what_the_json_says() {
    if std::env::var_os("UPDATE").is_some() {
        let mut table = Vec::new();
        for fork in FORKS {
            let listed = listed(fork);
            table.push(u8::try_from(listed.len()).expect("few"));
            for transaction in listed {
                let encoded = hex::decode(text(&transaction, "encoded")).expect("hex");
                table.extend(u32::try_from(encoded.len()).expect("short").to_be_bytes());
                table.extend(encoded);
            }
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/upgrades.bin");
        fs::write(path, table).expect("the table can be written");
        return;
    }
    for fork in FORKS {
        let listed = listed(fork);
        let ours: Vec<Bytes> = transactions(fork).collect();
        assert_eq!(ours.len(), listed.len(), "{fork}");
        for (ours, listed) in ours.iter().zip(&listed) {
            assert_eq!(hex::encode_prefixed(ours), text(listed, "encoded"));
            let deposit = Deposit {
                source_hash: upgrade_source_hash(text(listed, "intent")),
                from: text(listed, "from").parse().expect("an address"),
                to: listed["to"].as_str().map(|to| to.parse().expect("an address")),
                mint: number(listed, "mint"),
                value: number(listed, "value"),
                gas_limit: listed["gas"].as_u64().expect("gas"),
                is_system: false,
                data: text(listed, "data").parse().expect("hex"),
            };
            assert_eq!(
                deposit.source_hash,
                text(listed, "source_hash").parse::<B256>().expect("hash")
            );
            assert_eq!(deposit.encode(), *ours);
        }
    }
    let karst: u64 = listed(Fork::Karst).iter().filter_map(|listed| listed["gas"].as_u64()).sum();
    assert_eq!(karst, KARST_GAS);
    assert_eq!(transactions(Fork::Holocene).count(), 0);
}
