//! Small chains of our own: on top of the two genesis blocks of a fixture, L1 blocks with what our
//! batcher sends. What L2 blocks come of it, the program says.

use alloy_consensus::{
    Header, Receipt, ReceiptWithBloom, SignableTransaction as _, TxEip1559, TxEip4844, TxLegacy,
    TxReceipt as _,
};
use alloy_primitives::{Address, B256, Bloom, Bytes, Log, Signature, TxKind, U256, keccak256};
use k256::ecdsa::SigningKey;
use optimism::inputs;
use serde_json::Value;
use tribunal_derivation::batch::SingularBatch;
use tribunal_derivation::blob::encode_blob;
use tribunal_derivation::frame::{Frame, write_frames};
use tribunal_derivation::span::{Chain, SpanBlock, encode_span};
use tribunal_guest::Key;
use tribunal_kzg::{Blob, ELEMENTS, point};
use tribunal_optimism::list;
use tribunal_optimism_host::Fixture;
use tribunal_rollup::{BlockId, RollupConfig};

use super::World;

/// Seconds from one L1 block to the next.
const L1_BLOCK_TIME: u64 = 12;

/// Somebody who signs transactions.
pub(crate) struct Account {
    key: SigningKey,
    pub(crate) address: Address,
}

impl Account {
    pub(crate) fn new(key: B256) -> Self {
        let key = SigningKey::from_slice(&key.0).unwrap();
        let public = key.verifying_key().to_encoded_point(false);
        let address = Address::from_slice(&keccak256(&public.as_bytes()[1..])[12..]);
        Self { key, address }
    }

    fn sign(&self, hash: B256) -> Signature {
        let (signature, id) = self.key.sign_prehash_recoverable(&hash.0).unwrap();
        let (r, s) = signature.split_bytes();
        Signature::new(U256::from_be_slice(&r), U256::from_be_slice(&s), id.is_y_odd())
    }

    /// A payment on L2.
    pub(crate) fn pay(&self, nonce: u64, value: u64) -> Vec<u8> {
        self.send(nonce, value, 0)
    }

    /// A payment on L2 with so many zero bytes of data, and no more gas than that takes.
    pub(crate) fn send(&self, nonce: u64, value: u64, zeroes: usize) -> Vec<u8> {
        let tx = TxLegacy {
            chain_id: Some(901),
            nonce,
            gas_price: 10_000_000_000,
            gas_limit: 21_000 + 10 * zeroes as u64,
            to: TxKind::Call(Address::repeat_byte(0x77)),
            value: U256::from(value),
            input: vec![0; zeroes].into(),
        };
        let mut bytes = Vec::new();
        let signature = self.sign(tx.signature_hash());
        tx.into_signed(signature).rlp_encode(&mut bytes);
        bytes
    }
}

/// Both chains.
pub(crate) struct Devnet {
    pub(crate) config: RollupConfig,
    config_json: Value,
    l1_config: Vec<u8>,
    agreed_output: [u8; 32],
    preimages: Vec<(Key, Vec<u8>)>,
    /// From genesis on.
    pub(crate) l1: Vec<(Header, B256)>,
    batcher: Account,
    nonce: u64,
}

impl Devnet {
    /// The chains of a fixture that begins at genesis, with another batcher, and what `change` makes of
    /// the configuration.
    pub(crate) fn new(fixture: &Fixture, change: impl FnOnce(&mut Value)) -> Self {
        let batcher = Account::new(B256::repeat_byte(0x42));
        let json = fixture.boot.rollup_config.as_ref().unwrap();
        let mut config_json: Value = serde_json::from_slice(json).unwrap();
        let address = format!("{:?}", batcher.address);
        config_json["genesis"]["system_config"]["batcherAddr"] = address.into();
        change(&mut config_json);
        let mut preimages = fixture.preimages.clone();
        let agreed_output = match config_json.get("holocene_time") {
            Some(_) => fixture.boot.agreed_l2_output,
            None => before_holocene(&mut config_json, &mut preimages, fixture),
        };
        let config = RollupConfig::from_json(config_json.to_string().as_bytes()).unwrap();
        let genesis = config.genesis.l1.hash;
        let header = alloy_rlp::decode_exact(keccak(&preimages, genesis.0)).unwrap();
        let l1_config = fixture.boot.l1_config.clone().unwrap();
        let l1 = vec![(header, genesis)];
        Self { config, config_json, l1_config, agreed_output, preimages, l1, batcher, nonce: 0 }
    }

    fn keep(&mut self, bytes: Vec<u8>) -> B256 {
        let hash = keccak256(&bytes);
        self.preimages.push((Key::keccak256(hash.0), bytes));
        hash
    }

    /// Adds an L1 block with these transactions.
    pub(crate) fn mine(&mut self, transactions: &[Vec<u8>]) {
        self.mine_with(transactions, None);
    }

    /// Adds an L1 block that sets the gas limit of L2 blocks.
    pub(crate) fn mine_gas_limit(&mut self, gas_limit: u64) {
        let event = keccak256("ConfigUpdate(uint256,uint8,bytes)");
        let words = [32, 32, gas_limit].map(|word| U256::from(word).to_be_bytes::<32>());
        let log = Log::new_unchecked(
            self.config.l1_system_config,
            vec![event, B256::ZERO, B256::with_last_byte(2)],
            words.concat().into(),
        );
        let receipt = Receipt { status: true.into(), cumulative_gas_used: 50_000, logs: vec![log] };
        self.mine_with(&[], Some(receipt.into_with_bloom()));
    }

    fn mine_with(&mut self, transactions: &[Vec<u8>], receipt: Option<ReceiptWithBloom<Receipt>>) {
        let preimages = &mut self.preimages;
        let mut root = |items: &[Vec<u8>]| {
            list::root(items, &mut |hash, node| {
                preimages.push((Key::keccak256(hash.0), node.to_vec()));
            })
        };
        let transactions_root = root(transactions);
        let receipts: Vec<_> = receipt.iter().map(alloy_rlp::encode).collect();
        let (parent, parent_hash) = self.l1.last().unwrap();
        let header = Header {
            parent_hash: *parent_hash,
            number: parent.number + 1,
            timestamp: parent.timestamp + L1_BLOCK_TIME,
            transactions_root,
            receipts_root: root(&receipts),
            logs_bloom: receipt.map_or(Bloom::ZERO, |receipt| receipt.logs_bloom),
            ..parent.clone()
        };
        let hash = self.keep(alloy_rlp::encode(&header));
        self.l1.push((header, hash));
    }

    /// A transaction of the batcher with this calldata.
    pub(crate) fn calldata(&mut self, data: Vec<u8>) -> Vec<u8> {
        self.nonce += 1;
        let tx = TxEip1559 {
            chain_id: self.config.l1_chain_id,
            nonce: self.nonce,
            gas_limit: 1 << 24,
            to: TxKind::Call(self.config.batch_inbox),
            input: data.into(),
            ..TxEip1559::default()
        };
        let signature = self.batcher.sign(tx.signature_hash());
        let mut bytes = Vec::new();
        tx.into_signed(signature).eip2718_encode(&mut bytes);
        bytes
    }

    /// A transaction of the batcher with a blob for each of these.
    pub(crate) fn blobs(&mut self, datas: &[Vec<u8>]) -> Vec<u8> {
        let hashes = datas.iter().map(|data| self.blob(&encode_blob(data).unwrap())).collect();
        self.nonce += 1;
        let tx = TxEip4844 {
            chain_id: self.config.l1_chain_id,
            nonce: self.nonce,
            to: self.config.batch_inbox,
            blob_versioned_hashes: hashes,
            ..TxEip4844::default()
        };
        let signature = self.batcher.sign(tx.signature_hash());
        let mut bytes = Vec::new();
        tx.into_signed(signature).eip2718_encode(&mut bytes);
        bytes
    }

    /// The preimages of a blob.
    fn blob(&mut self, bytes: &[u8]) -> B256 {
        let commitment = Blob::new(bytes).unwrap().commitment();
        for (place, element) in bytes.chunks(32).enumerate() {
            let key = Key::blob(&commitment, &point(place));
            let behind = [&commitment[..], &point(place)].concat();
            self.preimages.push((key, element.to_vec()));
            self.preimages.push((Key::keccak256(key.into_bytes()), behind));
        }
        assert_eq!(bytes.len(), 32 * ELEMENTS);
        let mut hash = Key::sha256_of(&commitment).into_bytes();
        hash[0] = 1;
        self.preimages.push((Key::sha256(hash), commitment.to_vec()));
        B256::new(hash)
    }

    /// A span of blocks with these transactions, on top of the block `parent`. All have the first L1
    /// block as their origin.
    pub(crate) fn span(&self, parent: BlockId, blocks: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let origins = vec![0; blocks.len()];
        self.span_with_origins(parent, blocks, &origins)
    }

    /// The same, with these L1 blocks as their origins. The parent's is the first L1 block.
    pub(crate) fn span_with_origins(
        &self,
        parent: BlockId,
        blocks: &[Vec<Vec<u8>>],
        origins: &[usize],
    ) -> Vec<u8> {
        let genesis = &self.config.genesis;
        let time = genesis.l2_time + (parent.number - genesis.l2.number) * self.config.block_time;
        let blocks: Vec<SpanBlock> = (1..)
            .zip(blocks.iter().zip(origins))
            .map(|(place, (transactions, origin))| SpanBlock {
                timestamp: time + place * self.config.block_time,
                epoch_number: self.l1[*origin].0.number,
                transactions: transactions.iter().collect(),
            })
            .collect();
        let chain = Chain::from(&self.config);
        let last = self.l1[*origins.last().unwrap()].1;
        encode_span(&chain, &blocks, parent.hash, last, origins[0] > 0).unwrap()
    }

    /// The same for one block.
    pub(crate) fn singular(&self, parent: BlockId, transactions: &[Vec<u8>]) -> Vec<u8> {
        let genesis = &self.config.genesis;
        let number = parent.number - genesis.l2.number + 1;
        let batch = SingularBatch {
            parent_hash: parent.hash,
            epoch_number: self.l1[0].0.number,
            epoch_hash: self.l1[0].1,
            timestamp: genesis.l2_time + number * self.config.block_time,
            transactions: transactions.iter().collect(),
        };
        batch.encode()
    }

    /// A host for the claim that the block `number` has this output root.
    pub(crate) fn world(&self, number: u64, claim: B256) -> World {
        let locals = [
            (inputs::L1_HEAD, self.l1.last().unwrap().1.to_vec()),
            (inputs::AGREED_OUTPUT, self.agreed_output.to_vec()),
            (inputs::CLAIM, claim.to_vec()),
            (inputs::CLAIMED_NUMBER, number.to_be_bytes().to_vec()),
            (inputs::CHAIN_ID, self.config.l2_chain_id.to_be_bytes().to_vec()),
            (inputs::ROLLUP_CONFIG, self.config_json.to_string().into_bytes()),
            (inputs::L1_CONFIG, self.l1_config.clone()),
        ];
        let locals = locals.map(|(ident, data)| (Key::local(ident), data));
        World::of(self.preimages.iter().cloned().chain(locals).collect())
    }
}

/// What has this keccak256.
fn keccak(preimages: &[(Key, Vec<u8>)], hash: [u8; 32]) -> &[u8] {
    &preimages.iter().find(|(key, _)| *key == Key::keccak256(hash)).unwrap().1
}

/// Has the L2 genesis block be one of a time when headers had no extra data; its output root.
fn before_holocene(
    config: &mut Value,
    preimages: &mut Vec<(Key, Vec<u8>)>,
    fixture: &Fixture,
) -> [u8; 32] {
    let genesis = keccak(preimages, fixture.boot.agreed_l2_head);
    let mut header: Header = alloy_rlp::decode_exact(genesis).unwrap();
    (header.extra_data, header.requests_hash) = (Bytes::new(), None);
    let header = alloy_rlp::encode(header);
    let hash = keccak256(&header);
    config["genesis"]["l2"]["hash"] = format!("{hash}").into();
    let mut output = keccak(preimages, fixture.boot.agreed_l2_output).to_vec();
    output[96..].copy_from_slice(&hash.0);
    let root = keccak256(&output);
    preimages.extend([(Key::keccak256(hash.0), header), (Key::keccak256(root.0), output)]);
    root.0
}

/// A channel of these batches, in zlib.
pub(crate) fn channel(batches: &[Vec<u8>], level: u32) -> Vec<u8> {
    use std::io::Write as _;
    let level = flate2::Compression::new(level);
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
    for batch in batches {
        encoder.write_all(&alloy_rlp::encode(&batch[..])).unwrap();
    }
    encoder.finish().unwrap()
}

/// A channel in frames of at most `size` bytes.
pub(crate) fn frames(id: u8, channel: &[u8], size: usize) -> Vec<Frame> {
    let count = channel.len().div_ceil(size);
    let frame = |(number, data): (usize, &[u8])| Frame {
        id: [id; 16],
        number: number as u16,
        data: data.to_vec(),
        is_last: number + 1 == count,
    };
    channel.chunks(size).enumerate().map(frame).collect()
}

/// The bytes of a transaction or a blob that carries one channel as a whole.
pub(crate) fn whole(id: u8, batches: &[Vec<u8>]) -> Vec<u8> {
    let channel = channel(batches, 6);
    write_frames(&frames(id, &channel, channel.len()))
}
