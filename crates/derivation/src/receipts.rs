//! The logs of L1 receipts. Knows the encoding of receipts; what a log says, its reader knows.

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, Bytes};

use crate::rlp::exact_list;

/// A log of a contract.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log<'a> {
    /// Its place among all logs of the block.
    pub(crate) index: u64,
    /// The topics, 32 bytes each with a byte before.
    topics: &'a [u8],
    pub(crate) data: &'a [u8],
}

impl Log<'_> {
    /// The topics, if there are `N`.
    pub(crate) fn topics<const N: usize>(&self) -> Option<[B256; N]> {
        let (topics, _) = self.topics.as_chunks::<33>();
        let topics: &[[u8; 33]; N] = topics.try_into().ok()?;
        Some(topics.map(|topic| B256::from_slice(&topic[1..])))
    }

    /// The first topic, which names the event.
    pub(crate) fn event(&self) -> Option<B256> {
        self.topics.get(1..33).map(B256::from_slice)
    }
}

/// The logs of `contract` in successful receipts, in order. `None` if something is no receipt.
pub(crate) fn logs_of(receipts: &[Bytes], contract: Address) -> Option<Vec<Log<'_>>> {
    let mut found = Vec::new();
    let mut index = 0;
    for receipt in receipts {
        let list = match receipt.first()? {
            ..=0x7f => &receipt[1..],
            _ => receipt,
        };
        let mut fields = exact_list(list)?;
        let succeeded = fields.string()? == [1];
        let _gas_used = fields.u64()?;
        let _bloom = fields.string()?;
        let mut logs = fields.list()?;
        while !logs.is_empty() {
            let mut log = logs.list()?;
            let address = log.array::<20>()?;
            let topics = log.list()?;
            let mut rest = topics;
            while !rest.is_empty() {
                rest.array::<32>()?;
            }
            let data = log.string()?;
            if succeeded && address == contract {
                found.push(Log { index, topics: topics.0, data });
            }
            index += 1;
        }
    }
    Some(found)
}

/// What stands in ABI-encoded bytes that are all of an event's data, with nothing around them.
///
/// The length must fit what is there to the word; what pads the last word is not looked at.
pub(crate) fn abi_bytes(data: &[u8]) -> Option<&[u8]> {
    let (words, rest) = data.as_chunks::<32>();
    let [offset, len, content @ ..] = words else { return None };
    let len = usize::try_from(alloy_primitives::U256::from_be_bytes(*len)).ok()?;
    let offset_is_word = offset[..31].iter().all(|byte| *byte == 0) && offset[31] == 32;
    if !rest.is_empty() || !offset_is_word || len.div_ceil(32) != content.len() {
        return None;
    }
    content.as_flattened().get(..len)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rlp;

    /// A receipt with these logs: contract, topics, data.
    pub(crate) fn receipt(success: bool, logs: &[(Address, Vec<B256>, Vec<u8>)]) -> Bytes {
        let mut encoded = Vec::new();
        for (address, topics, data) in logs {
            let mut log = Vec::new();
            rlp::write_string(&mut log, address.as_slice());
            let mut list = Vec::new();
            for topic in topics {
                rlp::write_string(&mut list, topic.as_slice());
            }
            log.extend(rlp::list(&list));
            rlp::write_string(&mut log, data);
            encoded.extend(rlp::list(&log));
        }
        let mut fields = Vec::new();
        rlp::write_integer(&mut fields, &[success.into()]);
        rlp::write_integer(&mut fields, &21_000_u64.to_be_bytes());
        rlp::write_string(&mut fields, &[0; 256]);
        fields.extend(rlp::list(&encoded));
        [&[2][..], &rlp::list(&fields)].concat().into()
    }

    /// ABI-encoded bytes.
    pub(crate) fn abi(bytes: &[u8]) -> Vec<u8> {
        let mut out = alloc::vec![0; 64];
        out[31] = 32;
        out[56..64].copy_from_slice(&(bytes.len() as u64).to_be_bytes());
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(32), 0);
        out
    }

    #[test]
    fn logs_are_counted_over_the_whole_block() {
        let (ours, other) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let log = |address, topics: u8| {
            (address, (0..topics).map(B256::repeat_byte).collect(), alloc::vec![topics])
        };
        let receipts = [
            receipt(true, &[log(other, 0), log(ours, 1)]),
            receipt(false, &[log(ours, 2)]),
            receipt(true, &[]),
            receipt(true, &[log(ours, 4)]),
        ];
        let logs = logs_of(&receipts, ours).expect("receipts");
        let indices: Vec<u64> = logs.iter().map(|log| log.index).collect();
        assert_eq!(indices, [1, 3]);
        assert_eq!(logs[1].topics(), Some([0, 1, 2, 3].map(B256::repeat_byte)));
        assert_eq!(logs[1].topics::<3>(), None);
        assert_eq!(logs[0].event(), Some(B256::ZERO));
        assert!(logs_of(&[Bytes::from_static(&[2])], ours).is_none());
        assert!(logs_of(&[receipts[0].slice(..40)], ours).is_none());
    }

    #[test]
    fn bytes_fill_what_is_there() {
        for len in [0, 1, 31, 32, 33, 100] {
            let bytes = alloc::vec![7; len];
            let data = abi(&bytes);
            assert_eq!(abi_bytes(&data), Some(&bytes[..]));
            assert_eq!(abi_bytes(&data[1..]), None);
            assert_eq!(abi_bytes(&[&data[..], &[0; 32]].concat()), None, "a word too many");
            let mut wrong = data.clone();
            wrong[30] = 1;
            assert_eq!(abi_bytes(&wrong), None, "another offset");
            let mut huge = data;
            huge[32] = 1;
            assert_eq!(abi_bytes(&huge), None, "a length of 249 bits");
        }
        assert_eq!(abi_bytes(&[]), None);
    }
}
