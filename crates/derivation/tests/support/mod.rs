//! The fixtures of `testdata/derivation`, and the data in them as derivation asks for it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256, Bytes, hex};
use flate2::read::GzDecoder;
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use serde_json::Value;
use tribunal_derivation::{Header, L1Data, L2Data};
use tribunal_keccak::keccak256;
use tribunal_rollup::{L1Config, RollupConfig};

/// A claim about a small chain.
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) json: Value,
    pub(crate) config: RollupConfig,
    pub(crate) l1_config: L1Config,
    /// Keys as the oracle has them, to values.
    pub(crate) preimages: HashMap<Vec<u8>, Bytes>,
    pub(crate) blobs: HashMap<B256, Bytes>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/derivation")
}

fn load(name: &str) -> Value {
    let file = fs::File::open(folder().join(name)).expect("testdata is there");
    serde_json::from_reader(std::io::BufReader::new(GzDecoder::new(file))).expect("JSON")
}

/// The names of all fixtures.
pub(crate) fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .expect("testdata is there")
        .filter_map(|entry| entry.expect("a folder").file_name().into_string().ok())
        .filter(|name| name.ends_with(".json.gz") && !name.starts_with("common-"))
        .collect();
    names.sort();
    names
}

pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name}"))
}

pub(crate) fn hash(value: &Value, name: &str) -> B256 {
    text(value, name).parse().expect("a hash")
}

pub(crate) fn bytes(value: &Value, name: &str) -> Bytes {
    text(value, name).parse().expect("hex")
}

pub(crate) fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("no {name}"))
}

impl Fixture {
    pub(crate) fn read(name: &str) -> Self {
        let json = load(name);
        let mut preimages = HashMap::new();
        for (key, value) in json["preimages"].as_object().expect("preimages") {
            let value = value.as_str().expect("hex").parse().expect("hex");
            preimages.insert(hex::decode(key).expect("hex"), value);
        }
        let blobs = json["blobs"].as_array().expect("blobs").iter();
        let blobs = blobs.map(|blob| (hash(blob, "versioned_hash"), bytes(blob, "blob"))).collect();
        let config = json["rollup_config"].to_string();
        let l1_config = json["l1_chain_config"].to_string();
        Self {
            name: name.to_owned(),
            config: RollupConfig::from_json(config.as_bytes()).expect("a configuration"),
            l1_config: L1Config::from_json(l1_config.as_bytes()).expect("a configuration"),
            json,
            preimages,
            blobs,
        }
    }

    /// The bytes with this keccak256.
    pub(crate) fn preimage(&self, hash: B256) -> Result<&Bytes, String> {
        let mut key = hash.to_vec();
        key[0] = 2;
        self.preimages
            .get(&key)
            .ok_or_else(|| format!("{}: nothing has the hash {hash}", self.name))
    }

    pub(crate) fn header(&self, hash: B256) -> Result<Header, String> {
        let header = Header::decode(self.preimage(hash)?).ok_or("no header")?;
        assert_eq!(header.hash, hash);
        Ok(header)
    }

    /// The values of an ordered trie, in order.
    fn list(&self, root: B256) -> Result<Vec<Bytes>, String> {
        if root == keccak256(&[0x80]) {
            return Ok(Vec::new());
        }
        let mut found = BTreeMap::new();
        self.walk(&self.preimage(root)?.clone(), &mut Vec::new(), &mut found)?;
        Ok(found.into_values().collect())
    }

    fn walk(
        &self,
        node: &[u8],
        path: &mut Vec<u8>,
        found: &mut BTreeMap<u64, Bytes>,
    ) -> Result<(), String> {
        let items = items(node);
        let depth = path.len();
        let [prefix, value] = &items[..] else {
            for (nibble, child) in items[..16].iter().enumerate() {
                path.push(nibble as u8);
                self.child(child, path, found)?;
                path.truncate(depth);
            }
            return Ok(());
        };
        let prefix = payload(prefix);
        let nibbles = prefix.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let is_odd = prefix[0] & 0x10 != 0;
        path.extend(nibbles.skip(if is_odd { 1 } else { 2 }));
        if prefix[0] & 0x20 != 0 {
            let key: Vec<u8> = path.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
            let index = payload(&key).iter().fold(0, |index, byte| index << 8 | u64::from(*byte));
            found.insert(index, Bytes::copy_from_slice(payload(value)));
        } else {
            self.child(value, path, found)?;
        }
        path.truncate(depth);
        Ok(())
    }

    fn child(
        &self,
        child: &[u8],
        path: &mut Vec<u8>,
        found: &mut BTreeMap<u64, Bytes>,
    ) -> Result<(), String> {
        match payload(child) {
            [] => Ok(()),
            hash if hash.len() == 32 => {
                self.walk(&self.preimage(B256::from_slice(hash))?.clone(), path, found)
            }
            _ => self.walk(child, path, found),
        }
    }
}

/// Splits a list into its items, headers included.
fn items(list: &[u8]) -> Vec<&[u8]> {
    let mut rest = payload(list);
    let mut found = Vec::new();
    while !rest.is_empty() {
        let end = payload(rest).as_ptr_range().end;
        let len = end as usize - rest.as_ptr() as usize;
        let (item, after) = rest.split_at(len);
        found.push(item);
        rest = after;
    }
    found
}

/// What the first item holds.
fn payload(item: &[u8]) -> &[u8] {
    let long = |first: u8, base: u8| {
        let len_of_len = usize::from(first - base);
        let len = item[1..=len_of_len].iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
        &item[1 + len_of_len..][..len]
    };
    match item[0] {
        ..=0x7f => &item[..1],
        first @ ..=0xb7 => &item[1..][..usize::from(first - 0x80)],
        first @ ..=0xbf => long(first, 0xb7),
        first @ ..=0xf7 => &item[1..][..usize::from(first - 0xc0)],
        first => long(first, 0xf7),
    }
}

impl L1Data for Fixture {
    type Error = String;

    fn l1_header(&mut self, hash: B256) -> Result<Header, String> {
        self.header(hash)
    }

    fn l1_header_by_number(&mut self, number: u64) -> Result<Option<Header>, String> {
        let mut header = self.header(hash(&self.json["boot"], "l1_head"))?;
        if header.number < number {
            return Ok(None);
        }
        while header.number > number {
            header = self.header(header.parent_hash)?;
        }
        Ok(Some(header))
    }

    fn l1_transactions(&mut self, header: &Header) -> Result<Vec<Bytes>, String> {
        self.list(header.transactions_root)
    }

    fn l1_receipts(&mut self, header: &Header) -> Result<Vec<Bytes>, String> {
        self.list(header.receipts_root)
    }

    fn blob(&mut self, _: &Header, versioned_hash: B256, _: u64) -> Result<Bytes, String> {
        let blob = self.blobs.get(&versioned_hash).cloned();
        blob.ok_or_else(|| format!("{}: no blob {versioned_hash}", self.name))
    }

    fn signer(
        &mut self,
        digest: B256,
        parity: bool,
        r: B256,
        s: B256,
    ) -> Result<Option<Address>, String> {
        let signature = Signature::from_scalars(r.0, s.0).ok();
        let key = signature.and_then(|signature| {
            let id = RecoveryId::new(parity, false);
            VerifyingKey::recover_from_prehash(digest.as_slice(), &signature, id).ok()
        });
        Ok(key.map(|key| {
            let point = key.to_encoded_point(false);
            Address::from_slice(&keccak256(&point.as_bytes()[1..])[12..])
        }))
    }
}

impl L2Data for Fixture {
    type Error = String;

    fn l2_header(&mut self, hash: B256) -> Result<Header, String> {
        self.header(hash)
    }

    fn l2_transactions(&mut self, header: &Header) -> Result<Vec<Bytes>, String> {
        self.list(header.transactions_root)
    }
}
