//! Batches as a channel holds them: singular ones, and how to tell the two kinds apart. Knows their
//! bytes; whether they fit a chain, [`check`](crate::check) knows.

use alloc::vec::Vec;

use alloy_primitives::B256;

use crate::decompress::Stream;
use crate::rlp::{self, ItemHeader, Items};
use crate::span::{self, SpanBatch};
use crate::transactions::{Builder, DEPOSIT, ENVELOPE_BYTES, SET_CODE, Transactions, is_possible};

/// What a channel holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Batch {
    /// One block.
    Singular(SingularBatch),
    /// A row of blocks.
    Span(SpanBatch),
}

/// One block, but for what follows from L1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SingularBatch {
    /// The hash of the block before.
    pub parent_hash: B256,
    /// The number of the L1 origin.
    pub epoch_number: u64,
    /// The hash of the L1 origin.
    pub epoch_hash: B256,
    /// The time, in seconds.
    pub timestamp: u64,
    /// The sequenced transactions. Of those that make the block invalid whatever they are, a batch
    /// that was read keeps no more than it takes to tell why.
    pub transactions: Transactions,
}

/// The type byte of a singular batch.
const SINGULAR: u8 = 0;

/// The type byte of a span batch.
const SPAN: u8 = 1;

/// What became of an attempt to read a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Batch(Batch),
    /// A span batch whose form is right but not its transactions: it alone is dropped.
    Malformed,
}

/// The bytes of an RLP string that a stream is at.
pub(crate) struct Content<'a> {
    stream: &'a mut Stream,
    left: usize,
}

impl<'a> Content<'a> {
    /// The next `len` bytes of a stream.
    pub(crate) const fn new(stream: &'a mut Stream, len: usize) -> Self {
        Self { stream, left: len }
    }

    /// The next `count` bytes, which stay unread. `None` if there are fewer.
    pub(crate) fn peek(&mut self, count: usize) -> Option<&[u8]> {
        if count > self.left {
            return None;
        }
        let bytes = self.stream.peek(count);
        (bytes.len() == count).then_some(bytes)
    }

    pub(crate) fn skip(&mut self, count: usize) {
        self.stream.skip(count);
        self.left -= count;
    }

    /// Reads `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.append_to(&mut bytes, count)?;
        Some(bytes)
    }

    /// Reads `count` bytes and appends them, so that they are not in memory twice.
    pub(crate) fn append_to(&mut self, out: &mut Vec<u8>, count: usize) -> Option<()> {
        if count > self.left {
            return None;
        }
        // What is reserved and never written costs nothing, and a single long one is not moved.
        out.reserve(count);
        self.portions(count, |portion| out.extend_from_slice(portion))
    }

    /// Reads past `count` bytes.
    fn pass(&mut self, count: usize) -> Option<()> {
        self.portions(count, |_| {})
    }

    fn portions(&mut self, mut count: usize, mut take: impl FnMut(&[u8])) -> Option<()> {
        while count > 0 {
            let portion = count.min(4096);
            take(self.peek(portion)?);
            self.skip(portion);
            count -= portion;
        }
        Some(())
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let byte = *self.peek(1)?.first()?;
        self.skip(1);
        Some(byte)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.peek(N)?.try_into().ok()?;
        self.skip(N);
        Some(bytes)
    }

    /// The header of the RLP item that is next, which stays unread, and is all there.
    pub(crate) fn item_header(&mut self) -> Option<ItemHeader> {
        let first = *self.peek(1)?.first()?;
        let header = ItemHeader::read(self.peek(ItemHeader::len_of(first).max(1))?).ok()?;
        if header.total()? > self.left {
            return None;
        }
        if !header.is_list && header.len == 1 && header.payload == 1 && self.peek(2)?[1] < 0x80 {
            return None;
        }
        Some(header)
    }
}

/// Reads the batch in the RLP string that `stream` is at, of which not more than `limit` bytes may be
/// read. Says also how many were. `None` ends the channel: the stream has ended, or nothing that
/// follows counts.
pub(crate) fn read(
    stream: &mut Stream,
    limit: usize,
    chain: &span::Chain,
) -> Option<(Read, usize)> {
    let header = Content::new(stream, limit).item_header().filter(|header| !header.is_list)?;
    stream.skip(header.len);
    stream.want(header.payload);
    let mut content = Content::new(stream, header.payload);
    let batch = match content.byte()? {
        SINGULAR => Read::Batch(Batch::Singular(SingularBatch::read(&mut content, chain)?)),
        SPAN => match SpanBatch::read(&mut content, chain)? {
            Some(batch) => Read::Batch(Batch::Span(batch)),
            None => Read::Malformed,
        },
        _ => return None,
    };
    let rest = content.left;
    content.pass(rest)?;
    (!stream.is_lost()).then_some((batch, header.total()?))
}

impl SingularBatch {
    fn read(content: &mut Content<'_>, chain: &span::Chain) -> Option<Self> {
        let list = content.item_header().filter(|header| header.is_list)?;
        content.skip(list.len);
        let end = content.left - list.payload;

        let parent_hash = B256::new(Items(&field(content, end)?).array()?);
        let epoch_number = Items(&field(content, end)?).u64()?;
        let epoch_hash = B256::new(Items(&field(content, end)?).array()?);
        let timestamp = Items(&field(content, end)?).u64()?;
        // The list of transactions is the last field and nothing follows it.
        let list = content.item_header().filter(|header| header.is_list)?;
        if content.left.checked_sub(list.total()?) != Some(end) {
            return None;
        }
        content.skip(list.len);
        let transactions = read_transactions(content, end, chain.most_bytes(timestamp))?;
        Some(Self { parent_hash, epoch_number, epoch_hash, timestamp, transactions })
    }

    /// The batch as it stands in a channel, type byte first.
    pub fn encode(&self) -> Vec<u8> {
        let mut transactions = Vec::new();
        for transaction in self.transactions.iter() {
            rlp::write_string(&mut transactions, &transaction);
        }
        let mut fields = Vec::new();
        rlp::write_string(&mut fields, self.parent_hash.as_slice());
        rlp::write_integer(&mut fields, &self.epoch_number.to_be_bytes());
        rlp::write_string(&mut fields, self.epoch_hash.as_slice());
        rlp::write_integer(&mut fields, &self.timestamp.to_be_bytes());
        rlp::write_list_header(&mut fields, transactions.len());
        fields.extend_from_slice(&transactions);
        let mut out = alloc::vec![SINGULAR];
        rlp::write_list_header(&mut out, fields.len());
        out.extend_from_slice(&fields);
        out
    }
}

/// Reads a field that is no list, and short. It must not reach into the last `end` bytes.
fn field(content: &mut Content<'_>, end: usize) -> Option<Vec<u8>> {
    let total = content.item_header().filter(|header| !header.is_list)?.total()?;
    let fits = content.left.checked_sub(total).is_some_and(|left| left >= end);
    (fits && total <= 33).then(|| content.take(total)).flatten()
}

/// Reads transactions until `end` bytes of the content are left. No block has more than `most` bytes of
/// them.
fn read_transactions(content: &mut Content<'_>, end: usize, most: usize) -> Option<Transactions> {
    let mut transactions = Builder::default();
    // Once a transaction cannot be one, or fits in no block, the block is invalid; but a first byte of
    // these still decides whether the batch comes to a block at all.
    let mut hopeless = false;
    let mut kinds = [false; 3];
    while content.left > end {
        let header = content.item_header().filter(|header| !header.is_list)?;
        if content.left - header.total()? < end {
            return None;
        }
        content.skip(header.len);
        let len = header.payload;
        let start = content.peek(len.min(ENVELOPE_BYTES))?;
        let fits = transactions.bytes.len().saturating_add(len) <= most;
        if !hopeless && fits && is_possible(start, len) {
            content.append_to(&mut transactions.bytes, len)?;
            transactions.end();
            continue;
        }
        let kind = match start.first() {
            None => Some(0),
            Some(&DEPOSIT) => Some(1),
            Some(&SET_CODE) => Some(2),
            Some(_) => None,
        };
        let is_new = kind.is_some_and(|kind| !core::mem::replace(&mut kinds[kind], true));
        if !hopeless || is_new {
            transactions.bytes.extend_from_slice(&start[..len.min(1)]);
            transactions.end();
        }
        hopeless = true;
        content.pass(len)?;
    }
    Some(transactions.finish())
}

/// Reads one batch out of bytes that are not compressed: what a channel holds, type byte first.
pub fn decode_batch(bytes: &[u8], chain: &span::Chain) -> Option<Batch> {
    let mut item = Vec::new();
    rlp::write_string(&mut item, bytes);
    let limit = item.len();
    match read(&mut Stream::plain(item), limit, chain)? {
        (Read::Batch(batch), _) => Some(batch),
        (Read::Malformed, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    const CHAIN: span::Chain = span::Chain {
        chain_id: 10,
        block_time: 2,
        genesis_time: 1000,
        isthmus_time: Some(1_800_000_000),
        gas_limit: u64::MAX,
    };

    fn batch(transactions: &[&[u8]]) -> SingularBatch {
        SingularBatch {
            parent_hash: B256::repeat_byte(1),
            epoch_number: 300,
            epoch_hash: B256::repeat_byte(2),
            timestamp: 1_700_000_000,
            transactions: transactions.iter().collect(),
        }
    }

    fn decode(bytes: &[u8]) -> Option<SingularBatch> {
        match decode_batch(bytes, &CHAIN) {
            Some(Batch::Singular(batch)) => Some(batch),
            _ => None,
        }
    }

    fn legacy(len: usize) -> Vec<u8> {
        rlp::list(&vec![1; len])
    }

    #[test]
    fn a_batch_comes_back() {
        for transactions in [vec![], vec![legacy(9)], vec![legacy(70), legacy(300), legacy(70_000)]]
        {
            let transactions: Vec<&[u8]> = transactions.iter().map(Vec::as_slice).collect();
            let batch = batch(&transactions);
            let bytes = batch.encode();
            assert_eq!(decode(&bytes), Some(batch.clone()));
            assert_eq!(
                decode(&[&bytes[..], b"more"].concat()),
                Some(batch),
                "what follows is ignored"
            );
            for len in [0, 1, 2, 3, 40, bytes.len() - 1] {
                assert_eq!(decode(&bytes[..len]), None);
            }
        }
    }

    #[test]
    fn fields_have_one_form() {
        let good = batch(&[]).encode();
        let spoil = |place: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[place] = value;
            decode(&bytes)
        };
        assert_eq!(spoil(0, 2), None, "an unknown type");
        assert_eq!(spoil(1, good[1] - 1), None, "a list that ends inside its last field");
        assert_eq!(spoil(3, 0x9f), None, "a hash of 31 bytes");
        assert_eq!(spoil(37, 0), None, "a number with a leading zero");
        let last = good.len() - 1;
        assert_eq!(good[last], 0xc0);
        assert_eq!(spoil(last, 0x80), None, "no list of transactions");
        let mut six = good.clone();
        six.push(0x80);
        six[2] += 1;
        assert_eq!(decode(&six), None, "six fields");
        let nested = [&good[..last], &[0xc1, 0xc0]].concat();
        let mut nested = nested;
        nested[2] += 1;
        assert_eq!(decode(&nested), None, "a list among the transactions");
    }

    #[test]
    fn what_makes_a_block_invalid_is_kept_once() {
        let good = legacy(20);
        let zeroes = vec![0; 100_000];
        let many: Vec<&[u8]> = [&good[..], &zeroes]
            .into_iter()
            .chain((0..1000).map(|n| &b"\x07\x06\x04\x7e"[n % 4..][..1]))
            .chain([&b""[..], b"", b"\x7e1"])
            .collect();
        let decoded = decode(&batch(&many).encode()).expect("a batch");
        let expected: [&[u8]; 5] = [&good, &[0], &[4], &[0x7e], &[]];
        assert_eq!(decoded.transactions, expected.into_iter().collect());
    }
}
