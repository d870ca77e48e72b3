//! Chains made at random, written to L1 in every way that the rules allow, and derived again.
//!
//! Blocks are not executed here: a header is made of what attributes decide. So what is shown is that
//! a chain comes back out of its encoding, not that it is right.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use std::io::Write as _;

use alloy_primitives::{Address, B256, Bytes, U256};
use tribunal_keccak::keccak256;
use tribunal_rollup::{BlobSchedule, Fork, L1Config, RollupConfig};

use crate::attributes::{PayloadAttributes, attributes};
use crate::batch::SingularBatch;
use crate::blob::encode_blob;
use crate::frame::{Frame, write_frames};
use crate::header::Header;
use crate::l2::L2Head;
use crate::pipeline::Pipeline;
use crate::receipts::tests::{abi, receipt};
use crate::rlp;
use crate::span::{Chain, SpanBlock, encode_span};
use crate::testing::{Memory, Numbers, Wallet, config};

/// L1 blocks, of which the first is the origin of genesis.
const L1_BLOCKS: u64 = 48;

/// L2 blocks after genesis.
const L2_BLOCKS: u64 = 80;

struct World {
    config: RollupConfig,
    l1_config: L1Config,
    data: Memory,
    /// L1, from number 5 on.
    l1: Vec<Header>,
    /// Who may send batches in each L1 block, by seed.
    batchers: Vec<u8>,
    /// L2, genesis first, with the batches that the blocks are of.
    l2: Vec<(L2Head, SingularBatch)>,
    genesis: L2Head,
}

fn execute(config: &RollupConfig, parent: &L2Head, payload: &PayloadAttributes) -> L2Head {
    let mut extra = Vec::new();
    if let Some(params) = payload.eip1559 {
        let params = if params.denominator == 0 {
            [250, 6]
        } else {
            [params.denominator, params.elasticity]
        };
        extra.push(payload.min_base_fee.is_some().into());
        params.iter().for_each(|param: &u32| extra.extend(param.to_be_bytes()));
        extra.extend(payload.min_base_fee.iter().flat_map(|fee| fee.to_be_bytes()));
    }
    let said = format!("{payload:?}{}", parent.block.hash);
    let header = Header {
        hash: B256::new(keccak256(said.as_bytes())),
        parent_hash: parent.block.hash,
        number: parent.block.number + 1,
        gas_limit: payload.gas_limit,
        timestamp: payload.timestamp,
        extra_data: extra.into(),
        mix_digest: payload.prev_randao,
        parent_beacon_root: payload.parent_beacon_block_root,
        ..crate::testing::header(0, 0)
    };
    L2Head::new(config, header, payload.transactions.first().map(|first| &first[..]))
        .expect("a block")
}

fn transaction(numbers: &mut Numbers, chain_id: u64) -> Vec<u8> {
    let data: Vec<u8> = (0..numbers.below(300)).map(|_| numbers.below(256) as u8).collect();
    let tx_type = numbers.below(3) as u8;
    let mut fields = Vec::new();
    if tx_type != 0 {
        rlp::write_integer(&mut fields, &chain_id.to_be_bytes());
    }
    let fees = if tx_type == 2 { 2 } else { 1 };
    for _ in 0..1 + fees + 1 {
        rlp::write_integer(&mut fields, &numbers.below(1 << 40).to_be_bytes());
    }
    let to = [numbers.below(256) as u8; 20];
    rlp::write_string(&mut fields, if numbers.below(8) == 0 { &[] } else { &to });
    rlp::write_integer(&mut fields, &numbers.below(1 << 60).to_be_bytes());
    rlp::write_string(&mut fields, &data);
    if tx_type != 0 {
        fields.push(0xc0);
    }
    let parity = numbers.below(2);
    let v = match tx_type {
        0 if numbers.below(4) == 0 => 27 + parity,
        0 => 35 + 2 * chain_id + parity,
        _ => parity,
    };
    rlp::write_integer(&mut fields, &v.to_be_bytes());
    for _ in 0..2 {
        let scalar = keccak256(&numbers.below(u64::MAX).to_be_bytes());
        rlp::write_integer(&mut fields, &scalar);
    }
    let list = rlp::list(&fields);
    if tx_type == 0 { list } else { [&[tx_type][..], &list].concat() }
}

impl World {
    /// A chain that begins at `first` and may activate the forks after it on its way.
    fn new(first: Fork, numbers: &mut Numbers) -> Self {
        let mut config = config(first);
        let mut time = 1000;
        for fork in Fork::ALL.into_iter().filter(|fork| *fork > first && *fork <= Fork::Karst) {
            time += numbers.below(40);
            config.forks.set(fork, Some(time));
        }
        let system = config.l1_system_config;
        let mut data = Memory::default();
        let mut l1: Vec<Header> = Vec::new();
        let mut batchers = Vec::new();
        let mut batcher = 1;
        config.genesis.system_config.batcher = Wallet::new(batcher).address();
        for number in 0..L1_BLOCKS {
            let mut header = crate::testing::header(5 + number, 1000 + 12 * number);
            header.mix_digest = B256::repeat_byte(number as u8);
            header.base_fee = U256::from(1_000_000 + number);
            let cancun = config.is_active(Fork::Ecotone, header.timestamp);
            header.excess_blob_gas = cancun.then_some(number << 17);
            header.parent_beacon_root = cancun.then(|| B256::repeat_byte(!number as u8));
            if number > 0 && numbers.below(3) == 0 {
                // Two deposits, perhaps a new gas limit, perhaps a new batcher.
                header.logs_bloom = vec![0xff; 256].into();
                let from = Address::repeat_byte(number as u8).into_word();
                let event = keccak256(b"TransactionDeposited(address,address,uint256,bytes)");
                let topics = vec![event.into(), from, from, B256::ZERO];
                let deposit = (config.deposit_contract, topics, abi(&[number as u8; 80]));
                let mut logs = vec![deposit.clone(), deposit];
                let update = |kind: u8, word: B256| {
                    let event = keccak256(b"ConfigUpdate(uint256,uint8,bytes)");
                    let topics = vec![event.into(), B256::ZERO, B256::with_last_byte(kind)];
                    (system, topics, abi(word.as_slice()))
                };
                if numbers.below(2) == 0 {
                    logs.push(update(2, U256::from(30_000_000 + number).into()));
                }
                if numbers.below(3) == 0 {
                    batcher = 1 + numbers.below(200) as u8;
                    logs.push(update(0, Wallet::new(batcher).address().into_word()));
                }
                data.l1_receipts.insert(header.hash, vec![receipt(true, &logs)]);
            }
            batchers.push(batcher);
            data.l1.insert(header.hash, header.clone());
            l1.push(header);
        }
        config.genesis.l1 = l1[0].id();
        let mut genesis = crate::testing::header(0, 1000);
        genesis.hash = config.genesis.l2.hash;
        let genesis = L2Head::new(&config, genesis, None).expect("genesis");
        let l1_config = L1Config { chain_id: 900, blob_schedule: BlobSchedule::default() };
        let mut world = Self { config, l1_config, data, l1, batchers, l2: Vec::new(), genesis };
        for _ in 0..L2_BLOCKS {
            world.sequence(numbers);
        }
        world
    }

    fn head(&self) -> &L2Head {
        self.l2.last().map_or(&self.genesis, |(head, _)| head)
    }

    /// Puts a block on top.
    fn sequence(&mut self, numbers: &mut Numbers) {
        let parent = self.head().clone();
        let timestamp = parent.block.time + self.config.block_time;
        let mut epoch = parent.block.l1_origin.number;
        let next = &self.l1[(epoch + 1 - 5) as usize];
        // Now and then the sequencer waits, but not for long.
        if next.timestamp <= timestamp && (numbers.below(2) == 0 || next.timestamp + 20 < timestamp)
        {
            epoch += 1;
        }
        let forks = [Fork::Jovian, Fork::Karst];
        let is_empty = forks.into_iter().any(|fork| self.config.activates_at(fork, timestamp));
        let count = if is_empty { 0 } else { numbers.below(4) };
        let batch = SingularBatch {
            parent_hash: parent.block.hash,
            epoch_number: epoch,
            epoch_hash: self.l1[(epoch - 5) as usize].hash,
            timestamp,
            transactions: (0..count)
                .map(|_| transaction(numbers, self.config.l2_chain_id))
                .collect(),
        };
        let payload = attributes(&self.config, &self.l1_config, &parent, &batch, &mut self.data)
            .expect("attributes");
        let head = execute(&self.config, &parent, &payload);
        self.data.l2.insert(head.block.hash, head.header.clone());
        self.data.l2_transactions.insert(head.block.hash, payload.transactions);
        self.l2.push((head, batch));
    }

    fn is_active(&self, fork: Fork, l1_index: usize) -> bool {
        self.config.is_active(fork, self.l1[l1_index].timestamp)
    }

    /// Some blocks of the chain as a batch or batches in RLP strings, for a channel that is not complete
    /// before an L1 block.
    fn batches(&self, first: usize, end: usize, l1_index: usize, numbers: &mut Numbers) -> Vec<u8> {
        let mut out = Vec::new();
        let mut next = first;
        while next < end {
            let batch = &self.l2[next].1;
            // A span that comes early is dropped while the chain is at an epoch before Delta.
            let earlier = &self.l2[next.saturating_sub(60)].1;
            let delta = self.is_active(Fork::Delta, (earlier.epoch_number - 5) as usize)
                && self.is_active(Fork::Delta, l1_index);
            if !delta || numbers.below(3) == 0 {
                rlp::write_string(&mut out, &batch.encode());
                next += 1;
                continue;
            }
            let count = 1 + numbers.below((end - next) as u64) as usize;
            // A span may say again what the chain has already.
            let back =
                if numbers.below(4) == 0 { numbers.below(1 + next as u64) as usize } else { 0 };
            let mut start = next - back;
            while start < next
                && !self.is_active(Fork::Delta, (self.l2[start].1.epoch_number - 5) as usize)
            {
                start += 1;
            }
            let before = match start.checked_sub(1) {
                None => &self.genesis,
                Some(before) => &self.l2[before].0,
            };
            let blocks: Vec<SpanBlock> = self.l2[start..next + count]
                .iter()
                .map(|(_, batch)| SpanBlock {
                    timestamp: batch.timestamp,
                    epoch_number: batch.epoch_number,
                    transactions: batch.transactions.clone(),
                })
                .collect();
            let last = &self.l2[next + count - 1].1;
            let advances = self.l2[start].1.epoch_number != before.block.l1_origin.number;
            let chain = Chain::from(&self.config);
            let span = encode_span(&chain, &blocks, before.block.hash, last.epoch_hash, advances);
            rlp::write_string(&mut out, &span.expect("a batch"));
            next += count;
        }
        out
    }

    fn compress(&self, data: &[u8], l1_index: usize, numbers: &mut Numbers) -> Vec<u8> {
        if self.is_active(Fork::Fjord, l1_index) && numbers.below(2) == 0 {
            let mut out = vec![1];
            brotli::CompressorWriter::new(&mut out, 4096, numbers.below(10) as u32, 20)
                .write_all(data)
                .expect("memory");
            return out;
        }
        let level = flate2::Compression::new(numbers.below(10) as u32);
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
        encoder.write_all(data).expect("memory");
        encoder.finish().expect("memory")
    }

    /// Writes the chain to L1.
    fn publish(&mut self, numbers: &mut Numbers) {
        let holocene = (0..self.l1.len()).find(|index| self.is_active(Fork::Holocene, *index));
        let holocene = holocene.unwrap_or(self.l1.len());
        let mut pieces: Vec<Vec<Vec<Frame>>> = vec![Vec::new(); self.l1.len()];
        let (mut next, mut block, mut channel) = (0, 1, 0_u8);
        while next < self.l2.len() {
            let end = self.l2.len().min(next + 1 + numbers.below(25) as usize);
            // Not before the last block's origin is there, and L1 is a block further.
            let origin = (self.l2[end - 1].1.epoch_number - 5) as usize;
            block = block.max(origin + 1);
            let mut length = 1 + numbers.below(3) as usize;
            // No channel is open while Holocene comes.
            if block < holocene && block + length > holocene {
                block = holocene;
            }
            length = length.min(self.l1.len() - block);
            let done = block + length - 1;
            let data = self.batches(next, end, block, numbers);
            let mut data = &self.compress(&data, block, numbers)[..];
            channel = channel.wrapping_add(1);
            let mut frames = Vec::new();
            loop {
                let len = data.len().min(1 + numbers.below(3000) as usize);
                let (head, rest) = data.split_at(len);
                data = rest;
                frames.push(Frame {
                    id: [channel; 16],
                    number: frames.len() as u16,
                    data: head.to_vec(),
                    is_last: data.is_empty(),
                });
                if data.is_empty() {
                    break;
                }
            }
            let count = frames.len();
            let before_holocene = done < holocene;
            for (index, frame) in frames.into_iter().enumerate() {
                let at = if before_holocene {
                    // In any order.
                    block + numbers.below(length as u64) as usize
                } else {
                    block + index * length / count
                };
                if before_holocene && numbers.below(6) == 0 {
                    pieces[block + numbers.below(length as u64) as usize].push(vec![frame.clone()]);
                }
                pieces[at].push(vec![frame]);
            }
            if before_holocene {
                // Channels may lie across one another, unless one of them could time out.
                for frames in &mut pieces[block..=done] {
                    for place in 1..frames.len() {
                        let other = numbers.below(place as u64 + 1) as usize;
                        frames.swap(place, other);
                    }
                }
                block += numbers.below(length as u64) as usize;
            } else {
                block = done;
            }
            next = end;
        }
        for (index, pieces) in pieces.into_iter().enumerate() {
            self.send(index, pieces, numbers);
        }
    }

    /// Puts frames into transactions of an L1 block, among others that mean nothing.
    fn send(&mut self, index: usize, mut pieces: Vec<Vec<Frame>>, numbers: &mut Numbers) {
        // Some share a transaction.
        let mut joined: Vec<Vec<Frame>> = Vec::new();
        for piece in pieces.drain(..) {
            match joined.last_mut().filter(|_| numbers.below(2) == 0) {
                Some(last) => last.extend(piece),
                None => joined.push(piece),
            }
        }
        let inbox = self.config.batch_inbox;
        let blobs = self.is_active(Fork::Ecotone, index);
        let batcher = Wallet::new(self.batchers[index]);
        let stranger = Wallet::new(201);
        let mut transactions = Vec::new();
        let noise = |numbers: &mut Numbers, transactions: &mut Vec<Bytes>| {
            let garbage: Vec<u8> =
                (0..numbers.below(60)).map(|_| numbers.below(256) as u8).collect();
            match numbers.below(8) {
                0 => transactions.push(batcher.typed(2, 900, inbox, &garbage, &[])),
                1 => transactions.push(stranger.typed(
                    2,
                    900,
                    inbox,
                    &write_frames(&joined.concat()),
                    &[],
                )),
                2 => transactions.push(batcher.legacy(Some(900), Address::ZERO, &garbage)),
                3 => transactions.push(batcher.legacy(Some(901), inbox, &garbage)),
                _ => {}
            }
        };
        let frames = joined.clone();
        for frames in frames {
            noise(numbers, &mut transactions);
            let data = write_frames(&frames);
            if blobs && numbers.below(2) == 0 {
                let hash = B256::new(keccak256(&[&data[..], &[index as u8]].concat()));
                self.data.blobs.insert(hash, encode_blob(&data).expect("it fits").into());
                let mut hashes = vec![hash];
                if numbers.below(3) == 0 {
                    // A blob that is no encoding comes before it.
                    let bad = B256::new(keccak256(hash.as_slice()));
                    self.data.blobs.insert(bad, vec![0xff; crate::blob::BLOB_BYTES].into());
                    hashes.insert(0, bad);
                }
                transactions.push(batcher.typed(
                    3,
                    900,
                    inbox,
                    b"a call that does not count",
                    &hashes,
                ));
            } else {
                transactions.push(match numbers.below(4) {
                    0 => batcher.legacy(None, inbox, &data),
                    1 => batcher.legacy(Some(900), inbox, &data),
                    2 => batcher.typed(1, 900, inbox, &data, &[]),
                    _ => batcher.typed(2, 900, inbox, &data, &[]),
                });
            }
        }
        noise(numbers, &mut transactions);
        self.data.l1_transactions.insert(self.l1[index].hash, transactions);
    }

    /// Derives the chain on top of its block `start`, until L1 ends.
    fn derive(&mut self, start: usize) -> Vec<L2Head> {
        let config = self.config.clone();
        let mut head = match start.checked_sub(1) {
            None => self.genesis.clone(),
            Some(before) => self.l2[before].0.clone(),
        };
        let data = &mut self.data;
        let mut pipeline =
            Pipeline::new(&config, &self.l1_config, &head, data).expect("a pipeline");
        let mut derived = Vec::new();
        while let Some(attributes) = pipeline.next(&head, data).expect("all is there") {
            head = execute(&config, &head, &attributes.payload);
            derived.push(head.clone());
        }
        derived
    }
}

#[test]
fn a_chain_derives_to_itself_however_it_is_written() {
    let firsts = [
        Fork::Bedrock,
        Fork::Regolith,
        Fork::Canyon,
        Fork::Delta,
        Fork::Ecotone,
        Fork::Fjord,
        Fork::Granite,
        Fork::Holocene,
        Fork::Isthmus,
        Fork::Jovian,
        Fork::Karst,
    ];
    for seed in 0..22 {
        let mut numbers = Numbers(seed);
        let first = firsts[seed as usize % firsts.len()];
        let mut world = World::new(first, &mut numbers);
        world.data.l2.insert(world.genesis.block.hash, world.genesis.header.clone());
        world.publish(&mut numbers);
        let expected: Vec<L2Head> = world.l2.iter().map(|(head, _)| head.clone()).collect();
        for start in [0, numbers.below(L2_BLOCKS) as usize] {
            let derived = world.derive(start);
            let same = derived.iter().zip(&expected[start..]).take_while(|(a, b)| a == b).count();
            assert!(
                same == derived.len() && same == expected.len() - start,
                "seed {seed} from {first}: {same} blocks after block {start} are right, of {} derived",
                derived.len()
            );
        }
    }
}
