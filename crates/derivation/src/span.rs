//! Span batches (Delta): rows of blocks, their fields regrouped so that they compress well. Knows how
//! to read one and to put its transactions together again; whether it fits a chain,
//! [`check`](crate::check) knows.

use alloc::vec;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use alloy_primitives::B256;
use tribunal_rollup::{Fork, RollupConfig};

use crate::batch::Content;
use crate::rlp::{self, Items};
use crate::transactions::{Builder, SET_CODE, Transactions};

/// The most blocks, transactions, and transactions of a block.
const MAX_ELEMENTS: u64 = 10_000_000;

/// How many bytes of transactions are kept in one piece while they are read.
const PORTION: usize = 1 << 20;

/// What stands for a legacy transaction that is not kept: a first byte that none has.
const LEGACY: u8 = 0x80;

/// The most bytes of a transaction that are neither in its data nor its signature or recipient: chain
/// id, nonce, gas and parity, and headers.
const MORE_BYTES: usize = 4 * 9 + 8;

/// What of a chain is in no batch, but belongs to what it says, or says how much of it can count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The L2 chain id.
    pub chain_id: u64,
    /// Seconds from block to block.
    pub block_time: u64,
    /// The time of the first L2 block, in seconds.
    pub genesis_time: u64,
    /// From when on Isthmus holds, in seconds.
    pub isthmus_time: Option<u64>,
    /// No block has a higher gas limit.
    pub gas_limit: u64,
}

impl From<&RollupConfig> for Chain {
    fn from(config: &RollupConfig) -> Self {
        Self {
            chain_id: config.l2_chain_id,
            block_time: config.block_time,
            genesis_time: config.genesis.l2_time,
            isthmus_time: config.forks.time(Fork::Isthmus),
            gas_limit: u64::MAX,
        }
    }
}

impl Chain {
    /// With a limit on the gas of all blocks.
    pub const fn with_gas_limit(mut self, gas_limit: u64) -> Self {
        self.gas_limit = gas_limit;
        self
    }

    /// No block at `time` has transactions of more bytes.
    ///
    /// A zero byte of data uses 4 gas, and a fifth of that can be refunded (EIP-3529). Since Isthmus it
    /// uses 10 at the least (EIP-7623), or 4 and whatever else is beside it; then the cheapest byte
    /// is that of a mix with slots of an access list, and uses 8.7. A transaction's own 21,000 pay for
    /// all its other fields.
    pub fn most_bytes(&self, time: u64) -> usize {
        let is_isthmus = self.isthmus_time.is_some_and(|isthmus| time >= isthmus);
        let gas_of_a_byte = if is_isthmus { 8 } else { 3 };
        usize::try_from(self.gas_limit / gas_of_a_byte).unwrap_or(usize::MAX)
    }
}

/// A row of blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanBatch {
    /// The time of the first block, in seconds.
    pub timestamp: u64,
    /// The number of the last block's L1 origin.
    pub last_epoch: u64,
    /// The beginning of the first block's parent hash.
    pub parent_check: [u8; 20],
    /// The beginning of the hash of the last block's L1 origin.
    pub origin_check: [u8; 20],
    block_time: u64,
    block_count: NonZeroU32,
    /// Which blocks have another origin than the one before.
    origin_bits: Vec<u8>,
    /// How many transactions each block has, as it was written: a row of ten million empty blocks is
    /// soon said, and must not become ten million things.
    transaction_counts: Vec<u8>,
    transactions: Transactions,
}

/// A block of a span batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanBlock {
    /// The time, in seconds.
    pub timestamp: u64,
    /// The number of the L1 origin.
    pub epoch_number: u64,
    /// The sequenced transactions.
    pub transactions: Transactions,
}

impl SpanBatch {
    /// How many blocks there are.
    pub const fn block_count(&self) -> u64 {
        self.block_count.get() as u64
    }

    /// The time of the last block, in seconds. All these numbers are an attacker's, and wrap like
    /// those of the reference.
    pub const fn last_timestamp(&self) -> u64 {
        self.timestamp.wrapping_add((self.block_count() - 1).wrapping_mul(self.block_time))
    }

    /// The number of the first block's L1 origin.
    pub fn first_epoch(&self) -> u64 {
        let all: u32 = self.origin_bits.iter().map(|byte| byte.count_ones()).sum();
        let first = u32::from(bit(&self.origin_bits, 0));
        self.last_epoch.wrapping_sub(u64::from(all - first))
    }

    /// Whether `hash` can be that of the first block's parent.
    pub fn is_parent(&self, hash: B256) -> bool {
        hash[..20] == self.parent_check
    }

    /// Whether `hash` can be that of the last block's L1 origin.
    pub fn is_last_origin(&self, hash: B256) -> bool {
        hash[..20] == self.origin_check
    }

    /// The blocks in order.
    pub fn blocks(self) -> SpanBlocks {
        SpanBlocks {
            epoch: self.first_epoch(),
            span: self,
            next: 0,
            counts_read: 0,
            transactions_read: 0,
        }
    }

    /// Reads what follows the type byte. `None` if the form is wrong; `Some(None)` if it is right, but
    /// there are transactions that cannot be.
    pub(crate) fn read(content: &mut Content<'_>, chain: &Chain) -> Option<Option<Self>> {
        let timestamp = chain.genesis_time.wrapping_add(varint(content)?);
        let last_epoch = varint(content)?;
        let parent_check = content.array()?;
        let origin_check = content.array()?;
        let block_count = varint(content).filter(|count| *count <= MAX_ELEMENTS)?;
        let block_count = NonZeroU32::new(block_count as u32)?;
        let origin_bits = bitlist(content, block_count.get() as usize)?;

        let mut total = 0;
        let mut transaction_counts = Vec::new();
        for _ in 0..block_count.get() {
            let count = varint(content).filter(|count| *count <= MAX_ELEMENTS)?;
            total += count;
            if total > MAX_ELEMENTS {
                return None;
            }
            write_varint(&mut transaction_counts, count);
        }
        let rooms = Rooms { chain, counts: &transaction_counts, timestamp, left: 0, room: 0 };
        let parts = Parts::read(content, total as usize, rooms)?;
        let Some(transactions) = parts.and_then(|parts| parts.join(chain.chain_id)) else {
            return Some(None);
        };
        Some(Some(Self {
            timestamp,
            last_epoch,
            parent_check,
            origin_check,
            block_time: chain.block_time,
            block_count,
            origin_bits,
            transaction_counts,
            transactions,
        }))
    }
}

/// The blocks of a span batch, made one at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanBlocks {
    span: SpanBatch,
    next: usize,
    epoch: u64,
    counts_read: usize,
    transactions_read: usize,
}

impl SpanBlocks {
    /// The next block, which stays the next.
    pub fn peek(&self) -> Option<SpanBlock> {
        self.clone_cursor().next_with(&self.span)
    }

    /// Whether there is none left.
    pub const fn is_empty(&self) -> bool {
        self.next >= self.span.block_count.get() as usize
    }

    /// Lets go of the blocks up to and including this time.
    pub fn skip_until(&mut self, time: u64) {
        while !self.is_empty() && self.next_timestamp() <= time {
            self.next();
        }
    }

    fn next_timestamp(&self) -> u64 {
        self.span.timestamp.wrapping_add((self.next as u64).wrapping_mul(self.span.block_time))
    }

    fn clone_cursor(&self) -> Cursor {
        Cursor {
            next: self.next,
            epoch: self.epoch,
            counts_read: self.counts_read,
            transactions_read: self.transactions_read,
        }
    }
}

/// Where in a span batch one is.
struct Cursor {
    next: usize,
    epoch: u64,
    counts_read: usize,
    transactions_read: usize,
}

impl Cursor {
    fn next_with(&mut self, span: &SpanBatch) -> Option<SpanBlock> {
        if self.next >= span.block_count.get() as usize {
            return None;
        }
        if self.next > 0 && bit(&span.origin_bits, self.next) {
            self.epoch = self.epoch.wrapping_add(1);
        }
        let (count, len) = read_varint(span.transaction_counts.get(self.counts_read..)?)?;
        let block = SpanBlock {
            timestamp: span
                .timestamp
                .wrapping_add((self.next as u64).wrapping_mul(span.block_time)),
            epoch_number: self.epoch,
            transactions: span.transactions.part(self.transactions_read, count as usize),
        };
        self.next += 1;
        self.counts_read += len;
        self.transactions_read += count as usize;
        Some(block)
    }
}

impl Iterator for SpanBlocks {
    type Item = SpanBlock;

    fn next(&mut self) -> Option<SpanBlock> {
        let mut cursor = self.clone_cursor();
        let block = cursor.next_with(&self.span)?;
        self.next = cursor.next;
        self.epoch = cursor.epoch;
        self.counts_read = cursor.counts_read;
        self.transactions_read = cursor.transactions_read;
        Some(block)
    }
}

/// How much fits in the blocks of a span batch, of whose transactions one after the other is looked at.
struct Rooms<'a> {
    chain: &'a Chain,
    /// The transactions of the blocks that were not reached yet.
    counts: &'a [u8],
    /// The time of the next of these, in seconds.
    timestamp: u64,
    /// How many transactions of the block are left.
    left: u64,
    /// How many bytes of transactions still fit in it.
    room: usize,
}

impl Rooms<'_> {
    /// Whether the next transaction, of at least `len` bytes, and all before it in its block, fit there.
    fn take(&mut self, len: usize) -> bool {
        while self.left == 0
            && let Some((count, read)) = read_varint(self.counts)
        {
            self.counts = &self.counts[read..];
            self.left = count;
            self.room = self.chain.most_bytes(self.timestamp);
            self.timestamp = self.timestamp.wrapping_add(self.chain.block_time);
        }
        self.left = self.left.saturating_sub(1);
        let rest = self.room.checked_sub(len);
        self.room = rest.unwrap_or(0);
        rest.is_some()
    }
}

/// The transactions of a span batch, taken apart.
struct Parts {
    creation_bits: Vec<u8>,
    parity_bits: Vec<u8>,
    /// r and s of each.
    signatures: Vec<u8>,
    /// Where each goes that is no creation.
    recipients: Vec<u8>,
    /// The rest of each, in portions that can be let go of one by one. Of a transaction that no block
    /// has room for, it is one byte: the type, or [`LEGACY`].
    datas: Vec<Transactions>,
    nonces: Vec<u64>,
    gases: Vec<u64>,
    /// For each legacy transaction, whether its chain id is signed.
    protected_bits: Vec<u8>,
}

impl Parts {
    /// `None` if the form is wrong; `Some(None)` if it is right, but there is a transaction that cannot
    /// be and would not be kept.
    fn read(content: &mut Content<'_>, total: usize, mut rooms: Rooms<'_>) -> Option<Option<Self>> {
        let creation_bits = bitlist(content, total)?;
        let parity_bits = bitlist(content, total)?;
        let signatures = content.take(total.checked_mul(64)?)?;
        let creations: u32 = creation_bits.iter().map(|byte| byte.count_ones()).sum();
        let recipients = content.take((total - creations as usize).checked_mul(20)?)?;

        let (mut datas, mut portion) = (Vec::new(), Builder::default());
        let mut legacy = 0;
        let mut beyond = Vec::new();
        let mut is_possible = true;
        for index in 0..total {
            let first = content.peek(1)?[0];
            let tx_type = if first <= 0x7f { Some(content.byte()?) } else { None };
            // The reference takes the type 0 for that of legacy transactions, until it looks closer.
            legacy += usize::from(first == 0 || first > 0x7f);
            let header = content.item_header().filter(|header| header.is_list)?;
            let len = header.total().filter(|total| *total as u64 <= MAX_ELEMENTS)?;
            if rooms.take(len) {
                portion.bytes.extend(tx_type);
                content.append_to(&mut portion.bytes, len)?;
            } else {
                beyond.clear();
                content.append_to(&mut beyond, len)?;
                let is_creation = bit(&creation_bits, index);
                is_possible =
                    is_possible && DataParts::read(tx_type, &beyond, is_creation).is_some();
                portion.bytes.push(tx_type.unwrap_or(LEGACY));
            }
            portion.end();
            if portion.bytes.len() >= PORTION {
                datas.push(core::mem::take(&mut portion).finish());
            }
        }
        datas.push(portion.finish());
        let mut numbers = || (0..total).map(|_| varint(content)).collect::<Option<Vec<u64>>>();
        let (nonces, gases) = (numbers()?, numbers()?);
        let protected_bits = bitlist(content, legacy)?;
        Some(is_possible.then_some(Self {
            creation_bits,
            parity_bits,
            signatures,
            recipients,
            datas,
            nonces,
            gases,
            protected_bits,
        }))
    }

    /// Puts the transactions together, as their blocks hold them. What was put together is let go of, so
    /// that a large batch is in memory once.
    fn join(mut self, chain_id: u64) -> Option<Transactions> {
        let mut out = Builder::default();
        // What is reserved and never written costs nothing, and what has room is not moved.
        let size: usize = self.datas.iter().map(Transactions::size).sum();
        out.bytes.reserve(size + self.recipients.len() + (64 + MORE_BYTES) * self.nonces.len());
        let datas = core::mem::take(&mut self.datas)
            .into_iter()
            .flat_map(|portion| (0..portion.len()).filter_map(move |index| portion.get(index)));
        let (mut front, mut back) = (Vec::new(), Vec::new());
        let mut recipients = self.recipients.as_chunks::<20>().0.iter();
        let mut legacy = 0;
        for (index, data) in datas.enumerate() {
            let recipient: &[u8] =
                if bit(&self.creation_bits, index) { &[] } else { recipients.next()? };
            let parity = bit(&self.parity_bits, index);
            let nonce = *self.nonces.get(index)?;
            let gas = *self.gases.get(index)?;

            let (tx_type, list) = match data.split_first()? {
                (kind @ ..=LEGACY, []) => {
                    legacy += usize::from(*kind == LEGACY);
                    out.bytes.push(*kind);
                    out.end();
                    continue;
                }
                (tx_type @ ..=0x7f, list) => (Some(*tx_type), list),
                _ => (None, &data[..]),
            };
            let parts = DataParts::read(tx_type, list, recipient.is_empty())?;
            front.clear();
            back.clear();
            if tx_type.is_some() {
                rlp::write_integer(&mut front, &chain_id.to_be_bytes());
            }
            rlp::write_integer(&mut front, &nonce.to_be_bytes());
            front.extend_from_slice(parts.fees);
            rlp::write_integer(&mut front, &gas.to_be_bytes());
            rlp::write_string(&mut front, recipient);
            front.extend_from_slice(parts.value);
            let v = match tx_type {
                Some(_) => u128::from(parity),
                None => {
                    let protected = bit(&self.protected_bits, legacy);
                    legacy += 1;
                    let base = if protected { 35 + 2 * u128::from(chain_id) } else { 27 };
                    base + u128::from(parity)
                }
            };
            rlp::write_integer(&mut back, &v.to_be_bytes());
            let signature = self.signatures.get(64 * index..64 * index + 64)?;
            let (r, s) = signature.split_at(32);
            rlp::write_integer(&mut back, r);
            rlp::write_integer(&mut back, s);

            out.bytes.extend(tx_type);
            rlp::write_list_header(&mut out.bytes, front.len() + parts.rest.len() + back.len());
            for fields in [&front, parts.rest, &back] {
                out.bytes.extend_from_slice(fields);
            }
            out.end();
        }
        Some(out.finish())
    }
}

/// What stands in `tx_datas`, cut where other fields come between. All of it is in the form that it
/// has in the transaction.
struct DataParts<'a> {
    value: &'a [u8],
    fees: &'a [u8],
    /// Data and lists.
    rest: &'a [u8],
}

impl<'a> DataParts<'a> {
    fn read(tx_type: Option<u8>, list: &'a [u8], is_creation: bool) -> Option<Self> {
        if tx_type == Some(SET_CODE) && is_creation {
            return None;
        }
        let (fees, has_access_list, has_authorizations) = match tx_type {
            None => (1, false, false),
            Some(1) => (1, true, false),
            Some(2) => (2, true, false),
            Some(SET_CODE) => (2, true, true),
            Some(_) => return None,
        };
        // Only where the reference keeps 256 bits is a larger number no number. (Elsewhere it is one,
        // and no block takes it.)
        let number_bytes = if tx_type == Some(SET_CODE) { 32 } else { usize::MAX };
        let mut items = rlp::exact_list(list)?;
        let all = items.0;
        let integer = |items: &mut Items<'a>| {
            items.integer().filter(|bytes| bytes.len() <= number_bytes).map(drop)
        };
        integer(&mut items)?;
        let value = all.len() - items.0.len();
        for _ in 0..fees {
            integer(&mut items)?;
        }
        let fees = all.len() - items.0.len();
        items.string()?;
        if has_access_list {
            let mut entries = items.list()?;
            while !entries.is_empty() {
                let mut entry = entries.list()?;
                entry.array::<20>()?;
                let mut slots = entry.list()?;
                while !slots.is_empty() {
                    slots.array::<32>()?;
                }
                if !entry.is_empty() {
                    return None;
                }
            }
        }
        if has_authorizations {
            let mut entries = items.list()?;
            while !entries.is_empty() {
                let mut entry = entries.list()?;
                entry.u256()?;
                entry.array::<20>()?;
                entry.u64()?;
                entry.integer().filter(|parity| parity.len() <= 1)?;
                entry.u256()?;
                entry.u256()?;
                if !entry.is_empty() {
                    return None;
                }
            }
        }
        items.is_empty().then_some(Self {
            value: &all[..value],
            fees: &all[value..fees],
            rest: &all[fees..],
        })
    }
}

/// A bit of a bitlist: a big-endian number, counted from its lowest bit.
fn bit(bits: &[u8], index: usize) -> bool {
    let byte = bits.len().checked_sub(1 + index / 8).and_then(|place| bits.get(place));
    byte.is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

/// Reads a bitlist, in which no bit beyond `len` may be set.
fn bitlist(content: &mut Content<'_>, len: usize) -> Option<Vec<u8>> {
    let bits = content.take(len.div_ceil(8))?;
    let unused = (8 * bits.len() - len) as u32;
    bits.first().is_none_or(|first| first.leading_zeros() >= unused).then_some(bits)
}

/// Reads an unsigned LEB128 of up to 64 bits. Longer forms than needed are taken.
fn varint(content: &mut Content<'_>) -> Option<u64> {
    let mut number = 0;
    for place in 0..10 {
        let byte = content.byte()?;
        if place == 9 && byte > 1 {
            return None;
        }
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// The same out of bytes, and how many it took.
fn read_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let len = 1 + bytes.iter().position(|byte| *byte < 0x80)?;
    let parts = bytes[..len].iter().take(10).enumerate();
    let number =
        parts.fold(0, |number, (place, byte)| number | u64::from(byte & 0x7f) << (7 * place));
    Some((number, len))
}

fn write_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Writes a span batch as it stands in a channel, type byte first: what a batcher does.
///
/// `None` if a transaction cannot be in one, or there is no block. The blocks must follow one another
/// in time, and their origins must be those of the chain.
pub fn encode_span(
    chain: &Chain,
    blocks: &[SpanBlock],
    parent: B256,
    last_origin: B256,
    first_epoch_advances: bool,
) -> Option<Vec<u8>> {
    let (first, last) = (blocks.first()?, blocks.last()?);
    let mut out = vec![1];
    write_varint(&mut out, first.timestamp.wrapping_sub(chain.genesis_time));
    write_varint(&mut out, last.epoch_number);
    out.extend_from_slice(&parent[..20]);
    out.extend_from_slice(&last_origin[..20]);
    write_varint(&mut out, blocks.len() as u64);
    let advances = blocks.windows(2).map(|pair| pair[1].epoch_number != pair[0].epoch_number);
    write_bitlist(&mut out, [first_epoch_advances].into_iter().chain(advances).collect());
    for block in blocks {
        write_varint(&mut out, block.transactions.len() as u64);
    }
    let mut creations = Vec::new();
    let mut parities = Vec::new();
    let mut protected = Vec::new();
    let mut columns: [Vec<u8>; 5] = Default::default();
    let [signatures, recipients, datas, nonces, gases] = &mut columns;
    for transaction in blocks.iter().flat_map(|block| block.transactions.iter()) {
        let (tx_type, list) = match transaction.split_first()? {
            (tx_type @ ..=0x7f, list) => (Some(*tx_type), list),
            _ => (None, &transaction[..]),
        };
        let (fees, lists) = match tx_type {
            None => (1, 0),
            Some(1) => (1, 1),
            Some(2) => (2, 1),
            Some(SET_CODE) => (2, 2),
            Some(_) => return None,
        };
        let mut items = rlp::exact_list(list)?;
        if tx_type.is_some() {
            items.u64().filter(|id| *id == chain.chain_id)?;
        }
        write_varint(nonces, items.u64()?);
        let fees = (0..fees).map(|_| items.raw()).collect::<Option<Vec<_>>>()?.concat();
        write_varint(gases, items.u64()?);
        let recipient = items.string()?;
        creations.push(recipient.is_empty());
        recipients.extend_from_slice(recipient);
        let value = items.raw()?;
        let rest = (0..=lists).map(|_| items.raw()).collect::<Option<Vec<_>>>()?.concat();
        let v = items.u64()?;
        match tx_type {
            Some(_) => parities.push(v == 1),
            None => {
                protected.push(v >= 35);
                parities.push(v % 2 == 0);
            }
        }
        for _ in 0..2 {
            signatures.extend_from_slice(&items.u256()?.to_be_bytes::<32>());
        }
        datas.extend(tx_type);
        datas.extend_from_slice(&rlp::list(&[value, &fees, &rest].concat()));
    }
    write_bitlist(&mut out, creations);
    write_bitlist(&mut out, parities);
    out.extend_from_slice(&columns.concat());
    write_bitlist(&mut out, protected);
    Some(out)
}

fn write_bitlist(out: &mut Vec<u8>, bits: Vec<bool>) {
    let mut bytes = vec![0; bits.len().div_ceil(8)];
    let last = bytes.len().saturating_sub(1);
    for (index, _) in bits.into_iter().enumerate().filter(|(_, bit)| *bit) {
        bytes[last - index / 8] |= 1 << (index % 8);
    }
    out.extend_from_slice(&bytes);
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;
    use tribunal_keccak::keccak256;

    use super::*;
    use crate::batch::{Batch, decode_batch};

    const CHAIN: Chain = Chain {
        chain_id: 10,
        block_time: 2,
        genesis_time: 1000,
        isthmus_time: None,
        gas_limit: u64::MAX,
    };

    /// Three blocks with transactions of every kind, written by op-node.
    const VECTOR: &[u8] = &hex!(
        "01ac0208ff483e972a04a9a62bb4b7d04ae403c615604e40525180bd62a2bce4e5f490d56225d67546565ae1
         0304020003021a36b9a6006995ca31ba24baab8f69539b4d84adeda3c0f63fe6b2c705a883cbf24df0efb31d
         73f9e22d359aa205d851efac4a7fefccc5df335392b65d8b97c38c8704e2ede6facc288f221e6a8eb705d6a2
         d0e62ae2d03a184935273d2583422431d58fffd2b43bb7a60f76d507f40561a178708ed44024ca2c34d77323
         30a62142d8db75ac8c2a7bdb9545cfc767d01a2d313850c5c229d7f0a146bc1d6cb5f2328b5834e838143500
         7e73b1c83b18065993db875824de4d0e7b11a80c4624e1198b1910bf555fcc0e03f7ebdc26920b4a5fc609e8
         4d42f01d1591e4f67a1df717791de9e0bfda199e0eec5f9876a30e2a2e18adb8c5e4c39323d6fd64cb74cba8
         42149eca7d8b6b990dd8dec0d8f6970877ccec2beac67ea9520bbd9006df812fe867a1c925b2903634bd57a0
         5bcf1a0bf0c9c1d1279644021cbd1388134d9011111111111111111111111111111111111111111111111111
         1111111111111111111111111111111111111111111111111111111111111111111111111111111111111111
         1111111111111111111111c3010580c5800682600001f83d800780f838f79411111111111111111111111111
         11111111111111e1a0000000000000000000000000000000000000000000000000000000000000000702c880
         010883010203c004f86380010980c0f85cf85a0a9411111111111111111111111111111111111111110980a0
         87f3898fa3579d5d91d0ec5349fb958955ef54afc3a0357150ff9e4179e9ea81a01d9305e7937d9952028409
         b2e6b7146e81dd74d21046cc2065f5aa5866f2854e000102c8010388a401a08d06d08603e0d403f0a20401"
    );

    fn decode(bytes: &[u8]) -> Option<SpanBatch> {
        match decode_batch(bytes, &CHAIN) {
            Some(Batch::Span(batch)) => Some(batch),
            _ => None,
        }
    }

    #[test]
    fn a_batch_of_op_node_is_read_and_written_again() {
        let batch = decode(VECTOR).expect("a batch");
        assert_eq!((batch.timestamp, batch.last_timestamp(), batch.block_count()), (1300, 1304, 3));
        assert_eq!((batch.first_epoch(), batch.last_epoch), (7, 8));
        let blocks: Vec<SpanBlock> = batch.clone().blocks().collect();
        let shape: Vec<_> = blocks
            .iter()
            .map(|block| (block.timestamp, block.epoch_number, block.transactions.len()))
            .collect();
        assert_eq!(shape, [(1300, 7, 2), (1302, 7, 0), (1304, 8, 3)]);
        let all: Vec<u8> =
            blocks.iter().flat_map(|block| block.transactions.iter()).flatten().collect();
        assert_eq!(
            keccak256(&all),
            hex!("4e6746054e8001178e1306a6c1e4046e7a3c9b8ba3e64e5d1352cce9a666882f")
        );
        let check = |check: [u8; 20]| {
            let mut hash = [0xee; 32];
            hash[..20].copy_from_slice(&check);
            B256::new(hash)
        };
        let (parent, origin) = (check(batch.parent_check), check(batch.origin_check));
        assert!(batch.is_parent(parent) && !batch.is_parent(origin));
        assert!(batch.is_last_origin(origin) && !batch.is_last_origin(parent));
        let advances = bit(&batch.origin_bits, 0);
        assert_eq!(encode_span(&CHAIN, &blocks, parent, origin, advances).as_deref(), Some(VECTOR));

        let mut rest = batch.blocks();
        rest.skip_until(1302);
        assert_eq!(rest.peek().as_ref(), blocks.last());
        assert_eq!(rest.next().as_ref(), blocks.last());
        assert!(rest.is_empty() && rest.peek().is_none());
    }

    #[test]
    fn nothing_may_be_missing_and_what_follows_is_ignored() {
        for len in 0..VECTOR.len() {
            assert_eq!(decode(&VECTOR[..len]), None, "{len} bytes: protected_bits included");
        }
        let with_more = [VECTOR, &[1, 2, 3]].concat();
        assert_eq!(decode(&with_more), decode(VECTOR));
    }

    #[test]
    fn numbers_may_be_longer_than_needed_but_not_than_64_bits() {
        let long = [&[1, 0xac, 0x82, 0x00], &VECTOR[3..]].concat();
        assert_eq!(decode(&long).map(|batch| batch.timestamp), Some(1300));
        let read = |bytes: &[u8]| {
            let mut stream = crate::decompress::Stream::plain(bytes.to_vec());
            varint(&mut Content::new(&mut stream, bytes.len()))
        };
        let nine = [0xff; 9];
        assert_eq!(read(&[&nine[..], &[1]].concat()), Some(u64::MAX));
        assert_eq!(read(&[&nine[..], &[2]].concat()), None);
        assert_eq!(read(&[&nine[..], &[0x81, 0]].concat()), None);
        assert_eq!(read(&nine), None);
    }

    /// A batch of `count` blocks; the counts of transactions and all that follows are given.
    fn batch(count: u64, origin_bits: &[u8], rest: &[u8]) -> Vec<u8> {
        let mut out = vec![1, 0, 7];
        out.extend([0; 40]);
        write_varint(&mut out, count);
        out.extend_from_slice(origin_bits);
        out.extend_from_slice(rest);
        out
    }

    #[test]
    fn counts_and_bits_have_limits() {
        assert!(decode(&batch(1, &[0], &[0])).is_some());
        assert_eq!(decode(&batch(0, &[], &[])), None, "no blocks");
        assert_eq!(decode(&batch(MAX_ELEMENTS + 1, &[], &[])), None, "too many");
        assert_eq!(decode(&batch(2, &[0b100], &[0, 0])), None, "a bit for a third block");
        assert!(decode(&batch(2, &[0b11], &[0, 0])).is_some());
        for counts in [&[0x81, 0xad, 0xe2, 4][..], &[0xff, 0xff, 0xff, 0xff, 0xff, 1]] {
            assert_eq!(decode(&batch(1, &[0], counts)), None, "too many transactions");
        }
        let sum = [0x80, 0xad, 0xe2, 4, 1];
        assert_eq!(decode(&batch(2, &[0], &sum)), None, "too many together");
    }

    #[test]
    fn origins_below_zero_wrap() {
        let bytes = batch(9, &[1, 0xff], &[0; 9]);
        let batch = decode(&bytes).expect("a batch");
        assert_eq!(batch.first_epoch(), u64::MAX, "7 minus 8");
        assert_eq!(batch.blocks().last().map(|block| block.epoch_number), Some(7));
    }

    #[test]
    fn ten_million_empty_blocks_are_no_burden() {
        let count = MAX_ELEMENTS as usize;
        let bytes = batch(MAX_ELEMENTS, &vec![0; count.div_ceil(8)], &vec![0; count]);
        let batch = decode(&bytes).expect("a batch");
        assert_eq!(batch.transaction_counts.len(), count);
        assert_eq!(batch.last_timestamp(), 1000 + 2 * (MAX_ELEMENTS - 1));
    }

    #[test]
    fn transactions_of_other_types_spoil_the_batch_but_not_its_form() {
        let with = |datas: &[u8], protected: &[u8]| {
            let mut rest = vec![1, 0, 0];
            rest.extend([9; 64]);
            rest.extend([8; 20]);
            rest.extend_from_slice(datas);
            rest.extend([1, 2]);
            rest.extend_from_slice(protected);
            let bytes = batch(1, &[0], &rest);
            let mut stream = crate::decompress::Stream::plain(bytes[1..].to_vec());
            SpanBatch::read(&mut Content::new(&mut stream, bytes.len() - 1), &CHAIN)
                .map(|batch| batch.map(|batch| batch.transactions.len()))
        };
        assert_eq!(with(&[0xc3, 1, 2, 3], &[1]), Some(Some(1)));
        assert_eq!(with(&[0xc3, 1, 2, 3], &[]), None, "no protected_bits");
        assert_eq!(with(&[0xc3, 1, 2, 3], &[2]), None, "a bit for a second legacy transaction");
        assert_eq!(with(&[0xc2, 1, 2], &[1]), Some(None), "no data");
        assert_eq!(with(&[0xc3, 0, 2, 3], &[1]), Some(None), "a value with a leading zero");
        assert_eq!(with(&[2, 0xc5, 1, 2, 3, 4, 0xc0], &[]), Some(Some(1)));
        assert_eq!(with(&[2, 0xc6, 1, 2, 3, 4, 0xc1, 0xc0], &[]), Some(None), "an access list");
        assert_eq!(with(&[4, 0xc6, 1, 2, 3, 4, 0xc0, 0xc0], &[]), Some(Some(1)));
        // A fee of 136 bits, and a value of 264, which only one type refuses.
        let fee = [&[2, 0xc0 + 4 + 18, 1, 2, 0x91][..], &[9; 17], &[0x80, 0xc0]].concat();
        assert_eq!(with(&fee, &[]), Some(Some(1)));
        let value = |tx_type: u8, rest: &[u8]| {
            [&[tx_type, 0xc0 + 34 + rest.len() as u8, 0xa1][..], &[9; 33], rest].concat()
        };
        assert_eq!(with(&value(2, &[1, 2, 3, 0xc0]), &[]), Some(Some(1)));
        assert_eq!(with(&value(4, &[1, 2, 3, 0xc0, 0xc0]), &[]), Some(None));
        // The type 0 has a protected bit, as if it were none.
        assert_eq!(with(&[0, 0xc3, 1, 2, 3], &[]), None);
        assert_eq!(with(&[0, 0xc3, 1, 2, 3], &[2]), None);
        assert_eq!(with(&[0, 0xc3, 1, 2, 3], &[1]), Some(None));
        for other in [3, 5, 0x7d, 0x7e] {
            assert_eq!(with(&[other, 0xc3, 1, 2, 3], &[]), Some(None), "type {other}");
        }
        assert_eq!(with(&[2, 0x81, 0x80], &[]), None, "no list");
        assert_eq!(with(&[0x80], &[]), None, "no list");
        assert_eq!(with(&[2, 0xff, 255, 255, 255, 255, 255, 255, 255, 255], &[]), None);
    }

    #[test]
    fn of_what_no_block_has_gas_for_the_first_byte_is_kept() {
        let blocks: Vec<SpanBlock> = decode(VECTOR).expect("a batch").blocks().collect();
        let lengths = |blocks: &[SpanBlock]| {
            let transactions = blocks.iter().flat_map(|block| block.transactions.iter());
            transactions.map(|transaction| transaction.len()).collect::<Vec<_>>()
        };
        let all = lengths(&blocks);
        assert_eq!(all, [97, 80, 157, 105, 196]);
        let limited = |chain: Chain| match decode_batch(VECTOR, &chain) {
            Some(Batch::Span(batch)) => batch.blocks().collect::<Vec<_>>(),
            _ => panic!("no batch"),
        };
        for gas_limit in 0..2000 {
            let found = limited(Chain { gas_limit, ..CHAIN });
            let since = Chain { isthmus_time: Some(1304), gas_limit, ..CHAIN };
            let floor = limited(since);
            assert_eq!(found[..2], floor[..2], "before Isthmus");
            for (found, gas_of_a_byte) in [(&found, 3), (&floor, 8)] {
                let room = [gas_limit / 3, 0, gas_limit / gas_of_a_byte];
                for (block, (expected, room)) in found.iter().zip(blocks.iter().zip(room)) {
                    let pairs: Vec<_> =
                        block.transactions.iter().zip(expected.transactions.iter()).collect();
                    let kept = pairs.iter().take_while(|(found, all)| found == all);
                    let kept: usize = kept.map(|(found, _)| found.len()).sum();
                    // 21,000 gas, which this does not count, pay for 7,000 bytes.
                    assert!(kept as u64 <= room + 3 * (64 + 20 + MORE_BYTES as u64));
                    for (found, all) in pairs {
                        let first = all[0].min(LEGACY);
                        assert!(found == all || found[..] == [first], "{gas_limit} gas: {found}");
                    }
                }
            }
            // The block that has most has 458 bytes.
            assert!(lengths(&found) == all || gas_limit < 3 * 458, "{gas_limit}");
        }
        let nothing = Chain { gas_limit: 0, ..CHAIN };
        assert_eq!(lengths(&limited(nothing)), [1; 5]);
    }

    #[test]
    fn the_largest_chain_id_has_a_signature_too() {
        let chain = Chain { chain_id: u64::MAX, ..CHAIN };
        let mut rest = vec![1, 1, 1];
        rest.extend([9; 64]);
        rest.extend([0xc3, 1, 2, 3, 1, 2, 1]);
        let Some(Batch::Span(batch)) = decode_batch(&batch(1, &[0], &rest), &chain) else {
            panic!("no batch");
        };
        let transaction = batch.transactions.get(0).expect("one");
        let mut items = rlp::exact_list(&transaction).expect("a list");
        let v = (0..7).filter_map(|_| items.integer()).last().expect("v");
        assert_eq!(v, &(35 + 2 * u128::from(u64::MAX) + 1).to_be_bytes()[7..]);
    }
}
