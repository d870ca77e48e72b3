//! Whatever a batcher, or anybody, may write to L1: frames, blobs, channels, batches, transactions,
//! deposit logs and system configuration logs. What was written whole comes back; damage is refused or
//! read as something else, and never more comes out than went in.

use std::io::{Read as _, Write as _};

use alloy_primitives::{Address, B256, Bytes};
use tribunal_conformance::Random;
use tribunal_derivation::batch::{Batch, SingularBatch, decode_batch};
use tribunal_derivation::batcher::batcher_data;
use tribunal_derivation::blob::{
    BLOB_BYTES, MAX_BLOB_DATA, decode_blob, elements_used, encode_blob,
};
use tribunal_derivation::channel::{ChannelAssembler, ChannelBank};
use tribunal_derivation::deposit::{Deposit, deposits};
use tribunal_derivation::frame::{Frame, prune, read_frames, write_frames};
use tribunal_derivation::l1_info::{L1Info, Layout};
use tribunal_derivation::reader::ChannelReader;
use tribunal_derivation::span::{Chain, SpanBlock, encode_span};
use tribunal_derivation::system_config;
use tribunal_derivation::{Header, L1BlockRef, L1Data};
use tribunal_keccak::keccak256;
use tribunal_rollup::{BlockId, Fork, RollupConfig, registry};

use crate::mutate::{mutate, noise};
use crate::{Verdict, ensure};

/// L1 times of OP Mainnet under which different rules hold: Bedrock, Delta, Fjord, Holocene, Isthmus.
const TIMES: [u64; 5] = [1_690_000_000, 1_709_000_000, 1_722_000_000, 1_740_000_000, 1_750_000_000];

pub(crate) struct Derivation {
    config: RollupConfig,
}

impl Derivation {
    pub(crate) fn new() -> Result<Self, String> {
        let config = registry::rollup(10).ok_or("OP Mainnet is not known")?;
        Ok(Self { config })
    }

    pub(crate) fn check(&self, random: &mut Random) -> Result<Verdict, String> {
        match random.below(9) {
            0 => frames(random),
            1 => blob(random),
            2 => self.channels(random),
            3 => self.reader(random),
            4 => self.singular(random),
            5 => self.span(random),
            6 => self.transactions(random),
            7 => self.logs(random),
            _ => blocks(random),
        }
    }

    fn origin(&self, random: &mut Random) -> L1BlockRef {
        let id = BlockId { number: random.below(400), hash: B256::ZERO };
        L1BlockRef { id, time: random.pick(&TIMES) }
    }

    fn chain(&self) -> Chain {
        Chain::from(&self.config)
    }

    /// Frames in any order, in bank and assembler.
    fn channels(&self, random: &mut Random) -> Result<Verdict, String> {
        let mut bank = ChannelBank::default();
        let mut assembler = ChannelAssembler::default();
        let mut origin = self.origin(random);
        let (mut taken, mut given) = (0, 0);
        for _ in 0..random.below(60) {
            let frame = frame(random);
            taken += frame.data.len();
            bank.ingest(&self.config, origin, frame.clone());
            let complete = assembler.ingest(&self.config, origin, frame);
            ensure(complete.is_none_or(|data| data.len() <= taken), || "more came out".into())?;
            while let Some(data) = bank.read(&self.config, origin) {
                given += data.len();
            }
            ensure(given <= taken, || format!("{given} bytes came out of {taken}"))?;
            if random.once_in(8) {
                origin.id.number += random.below(80);
                assembler.expire(&self.config, origin);
            }
        }
        Ok(if given > 0 { Verdict::Taken } else { Verdict::Refused })
    }

    /// A channel: compressed well, badly, or not at all.
    fn reader(&self, random: &mut Random) -> Result<Verdict, String> {
        let mut items = Vec::new();
        for _ in 0..random.below(6) {
            if random.once_in(4) {
                items.extend(noise(random, 300));
                continue;
            }
            let bytes = if random.once_in(2) {
                self.singular_batch(random).encode()
            } else {
                self.span_bytes(random).unwrap_or_default()
            };
            items.extend(string(&bytes));
        }
        let mut channel = vec![];
        match random.below(3) {
            0 => {
                let level = flate2::Compression::new(random.below(10) as u32);
                let mut encoder = flate2::write::ZlibEncoder::new(&mut channel, level);
                let _ = encoder.write_all(&items).and_then(|()| encoder.try_finish());
            }
            1 => {
                // Not compressed, but in brotli's form: stored blocks with a header each.
                channel = stored_brotli(&items);
            }
            _ => {
                channel.push(random.pick(&[0x78, 1, 0x08, 0x7f, 0]));
                channel.extend(noise(random, 400));
            }
        }
        if random.once_in(2) {
            mutate(&mut channel, 6, random);
        }
        if channel.first().is_some_and(|first| first & 0x0f == 8) {
            self.beside_zlib(&channel)?;
        }
        let origin = L1BlockRef { time: random.pick(&TIMES[2..]), ..L1BlockRef::default() };
        let (mut reader, mut limited) = (ChannelReader::default(), ChannelReader::default());
        reader.open(&self.config, origin, channel.clone());
        limited.open(&self.config, origin, channel);
        let gas_limit = random.below(3000);
        let mut count = 0;
        while let Some(batch) = reader.next(&self.config, origin, u64::MAX) {
            count += 1;
            let same = limited.next(&self.config, origin, gas_limit);
            let same = same.ok_or("a gas limit takes away a batch")?;
            self.beside_limited(&batch, &same, gas_limit)?;
            walk(batch)?;
        }
        for (reader, gas_limit) in [(&mut reader, u64::MAX), (&mut limited, gas_limit)] {
            let next = reader.next(&self.config, origin, gas_limit);
            ensure(next.is_none(), || "an ended channel goes on".into())?;
        }
        Ok(if count > 0 { Verdict::Taken } else { Verdict::Refused })
    }

    /// What a limit on gas leaves of a batch: in each block all transactions up to the first that it has
    /// no room for, and of the rest enough to tell what the rules of batches ask.
    fn beside_limited(&self, all: &Batch, kept: &Batch, gas_limit: u64) -> Result<(), String> {
        let chain = self.chain().with_gas_limit(gas_limit);
        match (all, kept) {
            (Batch::Singular(all), Batch::Singular(kept)) => {
                let most = chain.most_bytes(all.timestamp);
                let expected = cut(all.transactions.iter(), most).into_iter().collect();
                ensure(kept.transactions == expected, || {
                    format!("{most} bytes of {all:?} are {kept:?}")
                })
            }
            (Batch::Span(all), Batch::Span(kept)) => {
                let blocks = all.clone().blocks().zip(kept.clone().blocks());
                for (all, kept) in blocks.take(1000) {
                    let most = chain.most_bytes(all.timestamp);
                    let size: usize = all.transactions.iter().map(|bytes| bytes.len()).sum();
                    let pairs = all.transactions.iter().zip(kept.transactions.iter());
                    let mut rest = pairs.skip_while(|(all, kept)| all == kept).peekable();
                    let is_whole = rest.peek().is_none();
                    let is_cut = rest.all(|(all, kept)| kept[..] == [all[0].min(0x80)]);
                    ensure(is_whole || (is_cut && size > most), || {
                        format!("{most} bytes of {all:?} are {kept:?}")
                    })?;
                }
                ensure(all.block_count() == kept.block_count(), || "a block is missing".into())
            }
            _ => Err("a gas limit makes another kind of batch".into()),
        }
    }

    /// What another implementation unpacks without complaint holds the same batches, unpacked.
    fn beside_zlib(&self, channel: &[u8]) -> Result<(), String> {
        let mut unpacked = Vec::new();
        let limit = 1 << 20;
        let mut decoder = flate2::read::ZlibDecoder::new(channel).take(limit);
        if decoder.read_to_end(&mut unpacked).is_err() || unpacked.len() as u64 == limit {
            return Ok(());
        }
        let origin = L1BlockRef { time: TIMES[2], ..L1BlockRef::default() };
        let read = |data: Vec<u8>| {
            let mut reader = ChannelReader::default();
            reader.open(&self.config, origin, data);
            let mut found = Vec::new();
            while let Some(batch) = reader.next(&self.config, origin, u64::MAX) {
                found.push(batch);
            }
            found
        };
        let mut plain = Vec::new();
        let mut encoder = flate2::write::ZlibEncoder::new(&mut plain, flate2::Compression::none());
        let written = encoder.write_all(&unpacked).and_then(|()| encoder.try_finish());
        drop(encoder);
        ensure(written.is_ok() && read(channel.to_vec()) == read(plain), || {
            "zlib unpacks something else".into()
        })
    }

    fn singular_batch(&self, random: &mut Random) -> SingularBatch {
        SingularBatch {
            parent_hash: B256::from_slice(&random.bytes(32)),
            epoch_number: random.number() >> random.below(64),
            epoch_hash: B256::from_slice(&random.bytes(32)),
            timestamp: random.number() >> random.below(64),
            transactions: (0..random.below(5)).map(|_| self.transaction(random)).collect(),
        }
    }

    /// A transaction that a span batch can hold.
    fn transaction(&self, random: &mut Random) -> Vec<u8> {
        let tx_type = random.below(3) as u8;
        let mut fields = Vec::new();
        if tx_type > 0 {
            fields.extend(integer(self.config.l2_chain_id));
        }
        for _ in 0..3 + u8::from(tx_type == 2) {
            fields.extend(integer(random.number() >> random.below(64)));
        }
        fields.extend(if random.once_in(4) { vec![0x80] } else { string(&random.bytes(20)) });
        fields.extend(integer(random.number()));
        let len = random.index(200);
        fields.extend(string(&random.bytes(len)));
        if tx_type > 0 {
            fields.push(0xc0);
        }
        let parity = random.below(2);
        fields.extend(integer(match tx_type {
            0 => 35 + 2 * self.config.l2_chain_id + parity,
            _ => parity,
        }));
        for _ in 0..2 {
            let mut scalar = random.bytes(32);
            scalar[0] |= 1;
            fields.extend(string(&scalar));
        }
        let mut out = if tx_type > 0 { vec![tx_type] } else { vec![] };
        out.extend(header(0xc0, fields.len()));
        out.extend(fields);
        out
    }

    fn singular(&self, random: &mut Random) -> Result<Verdict, String> {
        let batch = self.singular_batch(random);
        let mut bytes = batch.encode();
        let back = decode_batch(&bytes, &self.chain());
        ensure(back == Some(Batch::Singular(batch)), || "a batch does not come back".into())?;
        mutate(&mut bytes, 4, random);
        match decode_batch(&bytes, &self.chain()) {
            None => Ok(Verdict::Refused),
            Some(batch) => walk(batch).map(|()| Verdict::Taken),
        }
    }

    fn blocks(&self, random: &mut Random) -> Vec<SpanBlock> {
        let mut epoch = random.below(1 << 30);
        let start = self.config.genesis.l2_time + random.below(1 << 30);
        (0..1 + random.below(6))
            .map(|index| {
                epoch += random.below(2);
                SpanBlock {
                    timestamp: start + index * self.config.block_time,
                    epoch_number: epoch,
                    transactions: (0..random.below(3)).map(|_| self.transaction(random)).collect(),
                }
            })
            .collect()
    }

    fn span_bytes(&self, random: &mut Random) -> Option<Vec<u8>> {
        let blocks = self.blocks(random);
        encode_span(&self.chain(), &blocks, B256::ZERO, B256::ZERO, random.once_in(2))
    }

    fn span(&self, random: &mut Random) -> Result<Verdict, String> {
        let blocks = self.blocks(random);
        let bytes = encode_span(&self.chain(), &blocks, B256::ZERO, B256::ZERO, false);
        let mut bytes = bytes.ok_or("a span batch cannot be written")?;
        match decode_batch(&bytes, &self.chain()) {
            Some(Batch::Span(batch)) => {
                ensure(batch.blocks().eq(blocks), || "a span batch does not come back".into())?;
            }
            _ => return Err("a span batch is not read".into()),
        }
        mutate(&mut bytes, 4, random);
        match decode_batch(&bytes, &self.chain()) {
            None => Ok(Verdict::Refused),
            Some(batch) => walk(batch).map(|()| Verdict::Taken),
        }
    }

    /// Transactions of L1, damaged.
    fn transactions(&self, random: &mut Random) -> Result<Verdict, String> {
        let mut transactions = Vec::new();
        for _ in 0..random.below(4) {
            let mut bytes = self.transaction(random);
            mutate(&mut bytes, 4, random);
            transactions.push(Bytes::from(bytes));
        }
        let mut deposit = Deposit {
            source_hash: B256::ZERO,
            from: Address::ZERO,
            to: Some(self.config.batch_inbox),
            mint: Default::default(),
            value: Default::default(),
            gas_limit: random.number(),
            is_system: false,
            data: noise(random, 50).into(),
        }
        .encode();
        let kept = Deposit::decode(&deposit).map(|deposit| deposit.data);
        if random.once_in(2) {
            mutate(&mut deposit, 2, random);
        }
        let whole = Deposit::decode(&deposit).is_some();
        transactions.push(deposit.into());
        let mut data = Transactions(transactions);
        let header = l1_header(TIMES[3]);
        let found = batcher_data(&self.config, &header, Address::ZERO, &mut data)
            .map_err(|error| format!("{error:?}"))?;
        ensure(kept.is_some(), || "a deposit does not come back".into())?;
        Ok(if whole && !found.is_empty() { Verdict::Taken } else { Verdict::Refused })
    }

    /// Receipts with logs of the two contracts, damaged.
    fn logs(&self, random: &mut Random) -> Result<Verdict, String> {
        let contracts = [self.config.deposit_contract, self.config.l1_system_config];
        let events = [
            &b"TransactionDeposited(address,address,uint256,bytes)"[..],
            b"ConfigUpdate(uint256,uint8,bytes)",
        ];
        let mut receipts = Vec::new();
        for _ in 0..1 + random.below(3) {
            let kind = random.index(2);
            let mut topics = string(&keccak256(events[kind]));
            let mut small = [0; 32];
            for _ in 0..3 - kind {
                topics.extend(string(&small));
                small[31] = random.below(9) as u8;
            }
            let len = random.pick(&[32, 64, 73, 80, 100]);
            let mut data = vec![0; 64];
            (data[31], data[63]) = (32, len as u8);
            data.extend(if random.once_in(2) { vec![0; len] } else { random.bytes(len) });
            data.resize(data.len().next_multiple_of(32), 0);
            if random.once_in(3) {
                mutate(&mut data, 3, random);
            }
            let log = [string(contracts[kind].as_slice()), list(&topics), string(&data)].concat();
            let logs = list(&list(&log));
            let fields = [vec![1, 0x80], string(&[0; 256]), logs].concat();
            let mut receipt = [vec![2], list(&fields)].concat();
            if random.once_in(6) {
                mutate(&mut receipt, 3, random);
            }
            receipts.push(Bytes::from(receipt));
        }
        let read = deposits(&receipts, contracts[0], B256::ZERO);
        for deposit in read.iter().flatten() {
            let back = Deposit::decode(&deposit.encode());
            ensure(back.as_ref() == Some(deposit), || "a deposit does not come back".into())?;
        }
        let mut config = self.config.genesis.system_config;
        let before = config;
        let time = random.pick(&TIMES);
        let updated = system_config::update(&mut config, &receipts, &self.config, time);
        let params = config.eip1559;
        ensure((params.denominator == 0) == (params.elasticity == 0), || {
            "a base fee would be divided by zero".into()
        })?;
        ensure(!self.config.is_active(Fork::Ecotone, time) || config.scalar.byte(31) <= 1, || {
            "a scalar of an unknown version".into()
        })?;
        let changed = updated.is_some() && config != before;
        Ok(if changed || read.is_ok_and(|read| !read.is_empty()) {
            Verdict::Taken
        } else {
            Verdict::Refused
        })
    }
}

fn frame(random: &mut Random) -> Frame {
    let data = noise(random, 40);
    Frame {
        id: [random.below(3) as u8; 16],
        number: random.below(5) as u16,
        data,
        is_last: random.once_in(4),
    }
}

fn frames(random: &mut Random) -> Result<Verdict, String> {
    let frames: Vec<Frame> = (0..1 + random.below(8)).map(|_| frame(random)).collect();
    let mut bytes = write_frames(&frames);
    ensure(read_frames(&bytes).as_ref() == Some(&frames), || "frames do not come back".into())?;
    let mut queue = frames.into();
    prune(&mut queue);
    let once = queue.clone();
    prune(&mut queue);
    ensure(queue == once, || "pruning twice is not pruning once".into())?;
    mutate(&mut bytes, 6, random);
    let Some(read) = read_frames(&bytes) else { return Ok(Verdict::Refused) };
    ensure(write_frames(&read) == bytes, || "frames have two forms".into())?;
    Ok(Verdict::Taken)
}

fn blob(random: &mut Random) -> Result<Verdict, String> {
    let scale = random.pick(&[200, 5000, MAX_BLOB_DATA + 1]);
    let len = random.index(scale);
    let data = random.bytes(len);
    let mut blob = encode_blob(&data).ok_or("data that fits is refused")?;
    ensure(decode_blob(&blob) == Some(data), || "data does not come back".into())?;
    for _ in 0..1 + random.below(3) {
        let place = random.index(BLOB_BYTES) >> random.below(17);
        blob[place] = random.number() as u8;
    }
    // What the first element promises is all that anybody needs, if there is nothing behind it.
    let (first, read) = (blob.first_chunk().ok_or("a blob is empty")?, decode_blob(&blob));
    let used = 32 * elements_used(first).unwrap_or(1);
    let rest_counts = elements_used(first).is_some() && blob[used..].iter().any(|byte| *byte != 0);
    let expected = if rest_counts { None } else { decode_blob(&blob[..used]) };
    ensure(read == expected, || format!("{used} bytes are not enough, or too many"))?;
    let cut = (1 + random.index(BLOB_BYTES - 1)) >> random.below(17);
    let (whole, cut) = (random.once_in(2), cut.max(1));
    let cut = if whole { cut.next_multiple_of(32) } else { cut };
    let short = decode_blob(&blob[..cut]);
    let is_all = cut % 32 == 0 && blob[cut..].iter().all(|byte| *byte == 0);
    ensure(!is_all || short == read, || "missing elements are not 0".into())?;

    let Some(read) = read else { return Ok(Verdict::Refused) };
    let again = encode_blob(&read).ok_or("more came out than a blob can carry")?;
    ensure(decode_blob(&again) == Some(read), || "what was read does not come back".into())?;
    Ok(Verdict::Taken)
}

/// Headers and the transactions that tell of L1, damaged.
fn blocks(random: &mut Random) -> Result<Verdict, String> {
    let layout = random.pick(&[Layout::Bedrock, Layout::Ecotone, Layout::Isthmus, Layout::Jovian]);
    let mut call = L1Info::default().encode(layout).ok_or("an unknown scalar")?;
    ensure(L1Info::decode(layout, &call).is_some(), || "a call does not come back".into())?;
    mutate(&mut call, 3, random);
    let info = L1Info::decode(layout, &call);
    if let Some(info) = info {
        ensure(info.encode(layout).as_ref() == Some(&call), || "a call has two forms".into())?;
    }
    let mut fields = Vec::new();
    for len in [32, 32, 20, 32, 32, 32, 256] {
        fields.extend(string(&random.bytes(len)));
    }
    for _ in 0..5 {
        fields.extend(integer(random.number()));
    }
    for len in [9, 32, 8] {
        fields.extend(string(&random.bytes(len)));
    }
    fields.extend(integer(7));
    let mut header = list(&fields);
    ensure(Header::decode(&header).is_some(), || "a header is refused".into())?;
    mutate(&mut header, 3, random);
    let header = Header::decode(&header);
    Ok(if info.is_some() || header.is_some() { Verdict::Taken } else { Verdict::Refused })
}

/// Everything a batch says.
/// The transactions of a singular batch for whose block `most` bytes are too much. Once one is cut, an
/// empty one, a deposit and one of type 4 count, once each.
fn cut(transactions: impl Iterator<Item = Bytes>, most: usize) -> Vec<Bytes> {
    let (mut kept, mut size, mut first_bytes) = (vec![], 0, vec![]);
    let mut is_whole = true;
    for transaction in transactions {
        size += transaction.len();
        let fits = transaction.len() > 1 && size <= most;
        if is_whole && fits {
            kept.push(transaction);
            continue;
        }
        let first = transaction.first().copied();
        let counts = matches!(first, None | Some(4 | 0x7e)) && !first_bytes.contains(&first);
        if is_whole || counts {
            kept.push(transaction.slice(..transaction.len().min(1)));
        }
        first_bytes.push(first);
        is_whole = false;
    }
    kept
}

fn walk(batch: Batch) -> Result<(), String> {
    match batch {
        Batch::Singular(batch) => {
            let count = batch.transactions.iter().count();
            ensure(count == batch.transactions.len(), || "a transaction is missing".into())
        }
        Batch::Span(batch) => {
            let (count, last) = (batch.block_count(), batch.last_timestamp());
            let mut seen = 0;
            let mut time = batch.timestamp;
            for block in batch.blocks() {
                seen += 1;
                time = block.timestamp;
                let count = block.transactions.iter().count();
                ensure(count == block.transactions.len(), || "a transaction is missing".into())?;
            }
            ensure(seen == count && time == last, || "a block is missing".into())
        }
    }
}

fn l1_header(timestamp: u64) -> Header {
    Header {
        hash: B256::ZERO,
        parent_hash: B256::ZERO,
        transactions_root: B256::ZERO,
        receipts_root: B256::ZERO,
        logs_bloom: Bytes::new(),
        number: 0,
        gas_limit: 0,
        timestamp,
        extra_data: Bytes::new(),
        mix_digest: B256::ZERO,
        base_fee: Default::default(),
        excess_blob_gas: None,
        parent_beacon_root: None,
    }
}

/// Transactions of a block, all by the same hand.
struct Transactions(Vec<Bytes>);

impl L1Data for Transactions {
    type Error = ();

    fn l1_header(&mut self, _: B256) -> Result<Header, ()> {
        Err(())
    }

    fn l1_header_by_number(&mut self, _: u64) -> Result<Option<Header>, ()> {
        Err(())
    }

    fn l1_transactions(&mut self, _: &Header) -> Result<Vec<Bytes>, ()> {
        Ok(self.0.clone())
    }

    fn l1_receipts(&mut self, _: &Header) -> Result<Vec<Bytes>, ()> {
        Err(())
    }

    fn blob(&mut self, _: &Header, _: B256, _: u64) -> Result<Bytes, ()> {
        Err(())
    }

    fn signer(&mut self, _: B256, _: bool, _: B256, _: B256) -> Result<Option<Address>, ()> {
        Ok(Some(Address::ZERO))
    }
}

/// Brotli that stores what it is given.
fn stored_brotli(data: &[u8]) -> Vec<u8> {
    // A window of 16 bits; then blocks: not last, four nibbles of length less one, stored.
    let mut out = vec![1];
    let (mut bits, mut count) = (0_u32, 1_u32);
    for chunk in data.chunks(1 << 16) {
        bits |= ((chunk.len() as u32 - 1) << 3 | 1 << 19) << count;
        count += 20;
        out.extend(&bits.to_le_bytes()[..count.div_ceil(8) as usize]);
        out.extend(chunk);
        (bits, count) = (0, 0);
    }
    // Last, and empty.
    out.push((bits | 0b11 << count) as u8);
    out
}

fn header(base: u8, len: usize) -> Vec<u8> {
    if len < 56 {
        return vec![base + len as u8];
    }
    let bytes = (len as u32).to_be_bytes();
    let zeroes = bytes.iter().take_while(|byte| **byte == 0).count();
    [&[base + 59 - zeroes as u8][..], &bytes[zeroes..]].concat()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [byte @ ..0x80] => vec![*byte],
        _ => [header(0x80, bytes.len()), bytes.to_vec()].concat(),
    }
}

fn list(payload: &[u8]) -> Vec<u8> {
    [header(0xc0, payload.len()), payload.to_vec()].concat()
}

fn integer(number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    string(&bytes[number.leading_zeros() as usize / 8..])
}
