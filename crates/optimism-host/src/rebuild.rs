//! Headers, transactions and receipts as a chain encodes them, from the JSON of a node.
//!
//! Knows the fields of each in their order, as tables. Believes nothing: whoever uses what comes out
//! holds it against a hash, so a field that a node leaves out or a table does not know shows there.

use alloy_primitives::U256;
use alloy_rlp::Encodable as _;
use serde_json::Value;

/// How a field of the JSON becomes an item of the encoding.
#[derive(Clone, Copy)]
enum Kind {
    /// A list of addresses with their slots.
    AccessList,
    /// A list of EIP-7702 authorizations.
    Authorizations,
    /// The bytes, whatever they are.
    Bytes,
    /// True or false; false if it is not there.
    Flag,
    /// A list of hashes.
    Hashes,
    /// A number; zero if it is null.
    Number,
    /// The parity of a signature, which some nodes only call v.
    Parity,
    /// An address, or nothing where a contract is created.
    To,
}

use Kind::{AccessList, Authorizations, Bytes, Flag, Hashes, Number, Parity, To};

/// What every header has.
const HEADER: [(&str, Kind); 15] = [
    ("parentHash", Bytes),
    ("sha3Uncles", Bytes),
    ("miner", Bytes),
    ("stateRoot", Bytes),
    ("transactionsRoot", Bytes),
    ("receiptsRoot", Bytes),
    ("logsBloom", Bytes),
    ("difficulty", Number),
    ("number", Number),
    ("gasLimit", Number),
    ("gasUsed", Number),
    ("timestamp", Number),
    ("extraData", Bytes),
    ("mixHash", Bytes),
    ("nonce", Bytes),
];

/// What later forks added, in their order: the first that is missing ends a header.
const HEADER_BY_FORK: [(&str, Kind); 8] = [
    ("baseFeePerGas", Number),
    ("withdrawalsRoot", Bytes),
    ("blobGasUsed", Number),
    ("excessBlobGas", Number),
    ("parentBeaconBlockRoot", Bytes),
    ("requestsHash", Bytes),
    ("blockAccessListHash", Bytes),
    ("slotNumber", Number),
];

const LEGACY: &[(&str, Kind)] = &[
    ("nonce", Number),
    ("gasPrice", Number),
    ("gas", Number),
    ("to", To),
    ("value", Number),
    ("input", Bytes),
    ("v", Number),
    ("r", Number),
    ("s", Number),
];

const EIP_2930: &[(&str, Kind)] = &[
    ("chainId", Number),
    ("nonce", Number),
    ("gasPrice", Number),
    ("gas", Number),
    ("to", To),
    ("value", Number),
    ("input", Bytes),
    ("accessList", AccessList),
    ("yParity", Parity),
    ("r", Number),
    ("s", Number),
];

const EIP_1559: &[(&str, Kind)] = &[
    ("chainId", Number),
    ("nonce", Number),
    ("maxPriorityFeePerGas", Number),
    ("maxFeePerGas", Number),
    ("gas", Number),
    ("to", To),
    ("value", Number),
    ("input", Bytes),
    ("accessList", AccessList),
    ("yParity", Parity),
    ("r", Number),
    ("s", Number),
];

const EIP_4844: &[(&str, Kind)] = &[
    ("chainId", Number),
    ("nonce", Number),
    ("maxPriorityFeePerGas", Number),
    ("maxFeePerGas", Number),
    ("gas", Number),
    ("to", To),
    ("value", Number),
    ("input", Bytes),
    ("accessList", AccessList),
    ("maxFeePerBlobGas", Number),
    ("blobVersionedHashes", Hashes),
    ("yParity", Parity),
    ("r", Number),
    ("s", Number),
];

const EIP_7702: &[(&str, Kind)] = &[
    ("chainId", Number),
    ("nonce", Number),
    ("maxPriorityFeePerGas", Number),
    ("maxFeePerGas", Number),
    ("gas", Number),
    ("to", To),
    ("value", Number),
    ("input", Bytes),
    ("accessList", AccessList),
    ("authorizationList", Authorizations),
    ("yParity", Parity),
    ("r", Number),
    ("s", Number),
];

const AUTHORIZATION: &[(&str, Kind)] = &[
    ("chainId", Number),
    ("address", Bytes),
    ("nonce", Number),
    ("yParity", Parity),
    ("r", Number),
    ("s", Number),
];

/// The OP Stack's deposits.
const DEPOSIT: &[(&str, Kind)] = &[
    ("sourceHash", Bytes),
    ("from", Bytes),
    ("to", To),
    ("mint", Number),
    ("value", Number),
    ("gas", Number),
    ("isSystemTx", Flag),
    ("input", Bytes),
];

/// The type byte of [`DEPOSIT`].
const DEPOSIT_TYPE: u8 = 0x7e;

/// The RLP of a header, from a block or a header as JSON.
pub(crate) fn header(block: &Value) -> Result<Vec<u8>, String> {
    let mut list = List::default();
    list.add(block, &HEADER)?;
    for field in HEADER_BY_FORK {
        if block.get(field.0).is_none_or(Value::is_null) {
            break;
        }
        list.add(block, &[field])?;
    }
    Ok(list.encode())
}

/// A transaction as the trie of a block has it (EIP-2718).
pub(crate) fn transaction(transaction: &Value) -> Result<Vec<u8>, String> {
    let kind = type_of(transaction)?;
    let fields = match kind {
        0 => LEGACY,
        1 => EIP_2930,
        2 => EIP_1559,
        3 => EIP_4844,
        4 => EIP_7702,
        DEPOSIT_TYPE => DEPOSIT,
        _ => return Err(format!("transactions of type {kind:#04x} are not known")),
    };
    let mut list = List::default();
    list.add(transaction, fields)?;
    Ok(typed(kind, list))
}

/// A receipt as the trie of a block has it (EIP-2718).
pub(crate) fn receipt(receipt: &Value) -> Result<Vec<u8>, String> {
    let kind = type_of(receipt)?;
    let mut list = List::default();
    // Before Byzantium it had the state root in the place of a status.
    match receipt.get("root").filter(|root| root.as_str().is_some_and(|root| root.len() == 66)) {
        Some(_) => list.add(receipt, &[("root", Bytes)])?,
        None => list.add(receipt, &[("status", Number)])?,
    }
    list.add(receipt, &[("cumulativeGasUsed", Number), ("logsBloom", Bytes)])?;
    let mut logs = List::default();
    for log in array(receipt, "logs")? {
        let mut fields = List::default();
        fields.add(log, &[("address", Bytes), ("topics", Hashes), ("data", Bytes)])?;
        logs.nest(fields);
    }
    list.nest(logs);
    // Since Canyon, the version says that nonce and version are part of the encoding.
    if kind == DEPOSIT_TYPE && receipt.get("depositReceiptVersion").is_some_and(|v| !v.is_null()) {
        list.add(receipt, &[("depositNonce", Number), ("depositReceiptVersion", Number)])?;
    }
    Ok(typed(kind, list))
}

fn type_of(value: &Value) -> Result<u8, String> {
    match value.get("type") {
        None | Some(Value::Null) => Ok(0),
        Some(kind) => {
            let kind = number(kind).and_then(|kind| u8::try_from(kind).ok());
            kind.ok_or_else(|| "the field type is no type".into())
        }
    }
}

/// Behind its type, unless that is 0.
fn typed(kind: u8, list: List) -> Vec<u8> {
    let list = list.encode();
    match kind {
        0 => list,
        kind => [&[kind][..], &list].concat(),
    }
}

/// An RLP list in the making.
#[derive(Default)]
struct List {
    payload: Vec<u8>,
}

impl List {
    fn add(&mut self, object: &Value, fields: &[(&str, Kind)]) -> Result<(), String> {
        for &(name, kind) in fields {
            let wrong = || format!("the field {name} is not as it should be");
            let value = object.get(name).unwrap_or(&Value::Null);
            match kind {
                Bytes => self.bytes(&bytes(value).ok_or_else(wrong)?),
                To if value.is_null() => self.bytes(&[]),
                To => self.bytes(&bytes(value).ok_or_else(wrong)?),
                // A mint of none is one of zero.
                Number if value.is_null() && name == "mint" => self.bytes(&[]),
                Number => number(value).ok_or_else(wrong)?.encode(&mut self.payload),
                Parity => {
                    let value = if value.is_null() { &object["v"] } else { value };
                    number(value).ok_or_else(wrong)?.encode(&mut self.payload);
                }
                Flag => value.as_bool().unwrap_or(false).encode(&mut self.payload),
                Hashes => {
                    let mut hashes = Self::default();
                    for hash in value.as_array().ok_or_else(wrong)? {
                        hashes.bytes(&bytes(hash).ok_or_else(wrong)?);
                    }
                    self.nest(hashes);
                }
                AccessList => {
                    let mut accesses = Self::default();
                    for access in value.as_array().ok_or_else(wrong)? {
                        let mut fields = Self::default();
                        fields.add(access, &[("address", Bytes), ("storageKeys", Hashes)])?;
                        accesses.nest(fields);
                    }
                    self.nest(accesses);
                }
                Authorizations => {
                    let mut all = Self::default();
                    for authorization in value.as_array().ok_or_else(wrong)? {
                        let mut fields = Self::default();
                        fields.add(authorization, AUTHORIZATION)?;
                        all.nest(fields);
                    }
                    self.nest(all);
                }
            }
        }
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) {
        bytes.encode(&mut self.payload);
    }

    fn nest(&mut self, list: Self) {
        self.payload.extend(list.encode());
    }

    fn encode(self) -> Vec<u8> {
        let mut encoded = Vec::with_capacity(self.payload.len() + 9);
        alloy_rlp::Header { list: true, payload_length: self.payload.len() }.encode(&mut encoded);
        encoded.extend(self.payload);
        encoded
    }
}

fn array<'a>(object: &'a Value, name: &str) -> Result<&'a Vec<Value>, String> {
    object[name].as_array().ok_or_else(|| format!("the field {name} is no list"))
}

/// The bytes behind `0x`.
pub(crate) fn bytes(value: &Value) -> Option<Vec<u8>> {
    hex::decode(value.as_str()?.strip_prefix("0x")?).ok()
}

/// The number behind `0x`.
pub(crate) fn number(value: &Value) -> Option<U256> {
    let digits = value.as_str()?.strip_prefix("0x")?;
    match digits.len() {
        1..=64 => U256::from_str_radix(digits, 16).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tribunal_keccak::keccak256;

    use super::*;

    /// Block 0 of the main chain, by its published hash.
    #[test]
    fn a_header_from_before_any_fork_has_its_hash() {
        let zero = |bytes: usize| format!("0x{}", "00".repeat(bytes));
        let empty = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421";
        let block = json!({
            "parentHash": zero(32),
            "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
            "miner": zero(20),
            "stateRoot": "0xd7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544",
            "transactionsRoot": empty,
            "receiptsRoot": empty,
            "logsBloom": zero(256),
            "difficulty": "0x400000000",
            "number": "0x0",
            "gasLimit": "0x1388",
            "gasUsed": "0x0",
            "timestamp": "0x0",
            "extraData": "0x11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa",
            "mixHash": zero(32),
            "nonce": "0x0000000000000042",
            "baseFeePerGas": null,
        });
        assert_eq!(
            hex::encode(keccak256(&header(&block).unwrap())),
            "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"
        );
        for (field, value) in [("number", json!("0xzz")), ("miner", json!(null))] {
            let mut block = block.clone();
            block[field] = value;
            let error = header(&block).unwrap_err();
            assert_eq!(error, format!("the field {field} is not as it should be"));
        }
    }

    /// The example of EIP-155, and what nobody knows.
    #[test]
    fn a_legacy_transaction_is_written_as_its_specification_does() {
        let signed = json!({
            "nonce": "0x9",
            "gasPrice": "0x4a817c800",
            "gas": "0x5208",
            "to": "0x3535353535353535353535353535353535353535",
            "value": "0xde0b6b3a7640000",
            "input": "0x",
            "v": "0x25",
            "r": "0x28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276",
            "s": "0x67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83",
        });
        assert_eq!(
            hex::encode(transaction(&signed).unwrap()),
            "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025\
             a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb7\
             03304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
        );
        let unknown = json!({ "type": "0x77" });
        assert_eq!(transaction(&unknown).unwrap_err(), "transactions of type 0x77 are not known");
        assert!(transaction(&json!({ "type": "0x100" })).is_err());
        assert!(transaction(&json!("0x00")).is_err());
    }

    fn fixture(name: &str) -> Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/op-stack/");
        let file = std::fs::File::open(format!("{path}{name}.json.gz")).unwrap();
        serde_json::from_reader(flate2::read::GzDecoder::new(file)).unwrap()
    }

    /// A block of OP Sepolia, as nodes show it.
    #[test]
    fn a_header_of_a_rollup_has_its_hash() {
        let encoded = header(&fixture("op-sepolia-26207961-holocene")["parent_header"]).unwrap();
        assert_eq!(
            hex::encode(keccak256(&encoded)),
            "db32d9ddfa5fd26c9fb0260bbfa53da88326aa2a465e34d75180564aa31b851e"
        );
    }

    /// Every receipt of a block of Sepolia, as nodes show them: of all types that it has.
    #[test]
    fn receipts_of_a_real_block_have_its_root() {
        let chain = fixture("base-sepolia-37312300-jovian");
        let receipts = chain["l1Receipts"].as_array().unwrap();
        let encoded: Vec<_> = receipts.iter().map(|shown| receipt(shown).unwrap()).collect();
        let kinds: std::collections::BTreeSet<u8> =
            encoded.iter().map(|receipt| receipt[0].min(0xc0)).collect();
        assert!(kinds.len() >= 3, "{kinds:?}");
        let header = crate::header::Header::read(&header(&chain["l1Origin"]).unwrap()).unwrap();
        assert_eq!(crate::trie::OrderedTrie::of(&encoded).root, header.receipts_root);
    }

    /// The first transaction of a real block, a deposit, as nodes show it.
    #[test]
    fn a_deposit_is_written_as_the_chain_has_it() {
        let block = fixture("op-sepolia-26207961-holocene");
        let raw = bytes(&block["executing_payload"]["transactions"][0]).unwrap();
        assert_eq!(raw[0], DEPOSIT_TYPE);
        let fields = crate::header::items(&raw[1..]).unwrap();
        let digits = |field: &[u8]| format!("0x{}", hex::encode(field));
        let shown = json!({
            "type": "0x7e",
            "sourceHash": digits(fields[0]),
            "from": "0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001",
            "to": "0x4200000000000000000000000000000000000015",
            "value": "0x0",
            "gas": "0xf4240",
            "input": digits(fields[7]),
            "depositReceiptVersion": "0x1",
            "v": "0x0",
            "r": "0x0",
            "s": "0x0",
        });
        assert_eq!(transaction(&shown).unwrap(), raw);
    }

    #[test]
    fn a_deposits_receipt_has_its_nonce_since_canyon() {
        let shown = |version: Value| {
            json!({
                "type": "0x7e",
                "status": "0x1",
                "cumulativeGasUsed": "0xb44c",
                "logsBloom": "0x00",
                "logs": [],
                "depositNonce": "0x18fe6d9",
                "depositReceiptVersion": version,
            })
        };
        let list = |items: &str| format!("7e{:02x}{items}", 0xc0 + items.len() / 2);
        let before = receipt(&shown(Value::Null)).unwrap();
        assert_eq!(hex::encode(before), list("0182b44c00c0"));
        let since = receipt(&shown(json!("0x1"))).unwrap();
        assert_eq!(hex::encode(since), list("0182b44c00c084018fe6d901"));
    }
}
