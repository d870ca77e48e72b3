//! The attributes of a block in JSON, as the Engine API has them: what a host hands to a node so that it
//! executes the block and tells what that reads.
//!
//! Knows names and forms of fields. Knows nothing of what they mean.

use alloc::vec::Vec;

use alloy_primitives::B256;
use tribunal_optimism_hints::write_digits;
use tribunal_rollup::{Fork, RollupConfig};

use crate::header::Attributes;

/// How much text of transactions is worth a hint, which is twice as long, in bytes: whoever writes
/// batches must not make a program take many times what it reads.
const LONGEST: usize = 2 << 20;

/// The attributes as `OpPayloadAttributes`: quantities and bytes in hexadecimal digits, the least base
/// fee in decimal ones, no field that the fork does not have. `None` if the
/// transactions are longer than [`LONGEST`].
pub(crate) fn json(config: &RollupConfig, attributes: &Attributes) -> Option<Vec<u8>> {
    let transactions = &attributes.transactions;
    let text: usize = transactions.iter().map(|transaction| 2 * transaction.len() + 5).sum();
    if text > LONGEST {
        return None;
    }
    let mut object = Object { json: Vec::with_capacity(text + 512) };
    object.quantity("timestamp", attributes.timestamp);
    object.bytes("prevRandao", &attributes.prev_randao.0);
    object.bytes("suggestedFeeRecipient", attributes.fee_recipient.as_slice());
    if config.is_active(Fork::Canyon, attributes.timestamp) {
        object.field("withdrawals", b"[]");
    }
    if let Some(root) = attributes.parent_beacon_block_root {
        object.bytes("parentBeaconBlockRoot", &root.0);
    }
    object.name("transactions");
    for (index, transaction) in transactions.iter().enumerate() {
        object.json.push(if index == 0 { b'[' } else { b',' });
        object.string(transaction);
    }
    object.json.extend_from_slice(if transactions.is_empty() { b"[]" } else { b"]" });
    object.field("noTxPool", b"true");
    object.quantity("gasLimit", attributes.gas_limit);
    if let Some(params) = attributes.eip1559 {
        let params = u64::from(params.denominator) << 32 | u64::from(params.elasticity);
        object.bytes("eip1559Params", &params.to_be_bytes());
    }
    if let Some(least) = attributes.min_base_fee {
        object.field("minBaseFee", alloc::format!("{least}").as_bytes());
    }
    object.json.push(b'}');
    Some(object.json)
}

/// The object that op-program's hosts read, of the attributes as [`json`] writes them.
pub(crate) fn on_parent(parent: B256, attributes: &[u8]) -> Vec<u8> {
    let mut object = Object { json: Vec::with_capacity(attributes.len() + 128) };
    object.bytes("parentBlockHash", &parent.0);
    object.field("payloadAttributes", attributes);
    object.json.push(b'}');
    object.json
}

/// A JSON object that is being written.
struct Object {
    json: Vec<u8>,
}

impl Object {
    fn name(&mut self, name: &str) {
        self.json.push(if self.json.is_empty() { b'{' } else { b',' });
        self.json.push(b'"');
        self.json.extend_from_slice(name.as_bytes());
        self.json.extend_from_slice(b"\":");
    }

    fn field(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.json.extend_from_slice(value);
    }

    fn quantity(&mut self, name: &str, value: u64) {
        self.field(name, alloc::format!("\"{value:#x}\"").as_bytes());
    }

    fn bytes(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.string(value);
    }

    fn string(&mut self, value: &[u8]) {
        self.json.extend_from_slice(b"\"0x");
        write_digits(&mut self.json, value);
        self.json.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;

    use alloy_primitives::{Address, B256, Bytes};
    use tribunal_rollup::{Eip1559Params, registry};

    use super::*;

    /// What op-alloy's `OpPayloadAttributes` writes, and op-geth's reads.
    #[test]
    fn every_field_has_the_form_that_nodes_read() {
        let config = registry::rollup(11_155_420).expect("OP Sepolia");
        let mut attributes = Attributes {
            timestamp: 1_800_000_000,
            prev_randao: B256::repeat_byte(0x1f),
            fee_recipient: Address::repeat_byte(0x42),
            gas_limit: 60_000_000,
            parent_beacon_block_root: Some(B256::repeat_byte(0xa0)),
            eip1559: Some(Eip1559Params { denominator: 250, elasticity: 6 }),
            min_base_fee: Some(100_000),
            transactions: vec![
                Bytes::from_static(&[0x7e, 0xf8, 0x01, 0x9a, 0xbc]),
                Bytes::from_static(&[0x02]),
            ],
        };
        let digits = |pair: &str, count| pair.repeat(count);
        let jovian = alloc::format!(
            concat!(
                r#"{{"timestamp":"0x6b49d200","prevRandao":"0x{}","suggestedFeeRecipient":"0x{}","#,
                r#""withdrawals":[],"parentBeaconBlockRoot":"0x{}","#,
                r#""transactions":["0x7ef8019abc","0x02"],"noTxPool":true,"gasLimit":"0x3938700","#,
                r#""eip1559Params":"0x000000fa00000006","minBaseFee":100000}}"#
            ),
            digits("1f", 32),
            digits("42", 20),
            digits("a0", 32)
        );
        let written = |attributes: &Attributes| {
            String::from_utf8(json(&config, attributes).expect("few bytes")).expect("digits")
        };
        assert_eq!(written(&attributes), jovian);

        attributes.timestamp = config.genesis.l2_time;
        attributes.parent_beacon_block_root = None;
        attributes.eip1559 = None;
        attributes.min_base_fee = None;
        attributes.transactions.clear();
        let bedrock = alloc::format!(
            concat!(
                r#"{{"timestamp":"{:#x}","prevRandao":"0x{}","suggestedFeeRecipient":"0x{}","#,
                r#""transactions":[],"noTxPool":true,"gasLimit":"0x3938700"}}"#
            ),
            config.genesis.l2_time,
            digits("1f", 32),
            digits("42", 20)
        );
        assert_eq!(written(&attributes), bedrock);
    }

    #[test]
    fn nobody_can_make_a_hint_of_any_length() {
        let config = registry::rollup(11_155_420).expect("OP Sepolia");
        let attributes = |bytes| Attributes {
            timestamp: config.genesis.l2_time,
            prev_randao: B256::ZERO,
            fee_recipient: Address::ZERO,
            gas_limit: 0,
            parent_beacon_block_root: None,
            eip1559: None,
            min_base_fee: None,
            transactions: vec![vec![0; bytes].into(), vec![0; 5].into()],
        };
        let most = (LONGEST - 20) / 2;
        assert!(json(&config, &attributes(most)).is_some());
        assert!(json(&config, &attributes(most + 1)).is_none());
    }
}
