//! The transactions of a batch: many short byte strings in one piece of memory. Knows where each ends
//! and what its first byte says; not whether a transaction is any good.

use alloc::sync::Arc;
use alloc::vec::Vec;

use alloy_primitives::Bytes;

use crate::rlp::ItemHeader;

/// The type byte of a deposit.
pub const DEPOSIT: u8 = 0x7e;

/// The type byte of an EIP-7702 transaction.
pub const SET_CODE: u8 = 4;

/// Transactions in order, each in its EIP-2718 bytes.
#[derive(Clone, Debug, Default)]
pub struct Transactions {
    bytes: Bytes,
    /// Where each transaction ends in `bytes`.
    ends: Arc<[u32]>,
    /// Which of them these are.
    first: usize,
    count: usize,
}

impl Transactions {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The `index`-th.
    pub fn get(&self, index: usize) -> Option<Bytes> {
        if index >= self.count {
            return None;
        }
        let index = self.first + index;
        let end = *self.ends.get(index)? as usize;
        let start = match index.checked_sub(1) {
            None => 0,
            Some(before) => *self.ends.get(before)? as usize,
        };
        Some(self.bytes.slice(start..end))
    }

    /// How many bytes they have, together with those that these are a part of.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Bytes> {
        (0..self.count).filter_map(|index| self.get(index))
    }

    /// `count` of them from `first` on, as far as there are.
    pub(crate) fn part(&self, first: usize, count: usize) -> Self {
        let first = first.min(self.count);
        let count = count.min(self.count - first);
        Self {
            bytes: self.bytes.clone(),
            ends: Arc::clone(&self.ends),
            first: self.first + first,
            count,
        }
    }
}

impl PartialEq for Transactions {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.iter().eq(other.iter())
    }
}

impl Eq for Transactions {}

impl<T: AsRef<[u8]>> FromIterator<T> for Transactions {
    fn from_iter<I: IntoIterator<Item = T>>(transactions: I) -> Self {
        let mut builder = Builder::default();
        for transaction in transactions {
            builder.bytes.extend_from_slice(transaction.as_ref());
            builder.end();
        }
        builder.finish()
    }
}

/// Transactions being put together.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    pub(crate) bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Builder {
    /// What was appended to `bytes` since the last call is a transaction.
    pub(crate) fn end(&mut self) {
        // A channel has at most 100 MB, so there is no batch with 4 GB.
        self.ends.push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
    }

    pub(crate) fn finish(self) -> Transactions {
        let count = self.ends.len();
        Transactions { bytes: self.bytes.into(), ends: self.ends.into(), first: 0, count }
    }
}

/// Whether `len` bytes that begin with `start` can be a transaction of a batch: a list, or a known type
/// and a list, and nothing else. A block with one that cannot is invalid, whatever it is.
///
/// `start` holds the first [`ENVELOPE_BYTES`], or all if there are fewer.
pub(crate) fn is_possible(start: &[u8], len: usize) -> bool {
    let list = match start.first() {
        Some(1 | 2 | 4) => start.get(1..),
        Some(0xc0..) => Some(start),
        _ => None,
    };
    let Some(list) = list else { return false };
    let type_bytes = start.len() - list.len();
    let header = ItemHeader::read(list).ok().filter(|header| header.is_list);
    // No transaction has fewer than nine fields.
    header.is_some_and(|header| {
        header.payload >= 9 && header.total().is_some_and(|total| total + type_bytes == len)
    })
}

/// How much [`is_possible`] looks at.
pub(crate) const ENVELOPE_BYTES: usize = 1 + ItemHeader::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_views() {
        let all: Transactions = [&b"one"[..], b"", b"three"].into_iter().collect();
        assert_eq!(all.len(), 3);
        let part = all.part(1, 7);
        assert_eq!(part, [&b""[..], b"three"].into_iter().collect());
        assert_eq!(part.part(1, 1).get(0), Some(Bytes::from_static(b"three")));
        assert_eq!(part.get(2), None);
        assert!(all.part(3, 1).is_empty() && all.part(9, 9).is_empty());
    }

    #[test]
    fn what_cannot_be_a_transaction_is_known_by_its_beginning() {
        let list = [0xc9, 1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert!(is_possible(&list, 10) && !is_possible(&list, 11));
        let typed = |byte: u8| [&[byte][..], &list].concat();
        assert!([1, 2, 4].into_iter().all(|byte| is_possible(&typed(byte), 11)));
        assert!([0, 3, 0x7d, 0x7e].into_iter().all(|byte| !is_possible(&typed(byte), 11)));
        assert!(!is_possible(&[], 0) && !is_possible(&[0xc0], 1) && !is_possible(&[2], 1));
        assert!(!is_possible(&[2, 0x89], 11), "a string is no list");
    }
}
