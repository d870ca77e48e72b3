//! What fetching needs to know of a header: a few of its fields, by their place.

use tribunal_keccak::{Hash, keccak256};

/// Fields of a header that was held against its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) hash: Hash,
    pub(crate) number: u64,
    pub(crate) state_root: Hash,
    pub(crate) transactions_root: Hash,
    pub(crate) receipts_root: Hash,
    /// On the OP Stack, since Isthmus, the storage root of the message passer.
    pub(crate) withdrawals_root: Option<Hash>,
}

impl Header {
    /// Reads the RLP of a header.
    pub(crate) fn read(encoded: &[u8]) -> Result<Self, String> {
        let fields = items(encoded).ok_or("it is no RLP list")?;
        let hash = |place: usize| {
            let hash = fields.get(place).and_then(|field| Hash::try_from(*field).ok());
            hash.ok_or_else(|| format!("field {place} of the header is no hash"))
        };
        let number = fields.get(8).filter(|number| number.len() <= 8);
        let number = number.ok_or("the number of the block is none")?;
        Ok(Self {
            hash: keccak256(encoded),
            number: number.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)),
            state_root: hash(3)?,
            transactions_root: hash(4)?,
            receipts_root: hash(5)?,
            withdrawals_root: hash(16).ok(),
        })
    }
}

/// The items of an RLP list; of a list within it, as it stands there, with its head.
pub(crate) fn items(encoded: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = encoded;
    let head = alloy_rlp::Header::decode(&mut rest).ok()?;
    if !head.list || rest.len() != head.payload_length {
        return None;
    }
    let mut items = Vec::new();
    while !rest.is_empty() {
        let start = rest;
        let head = alloy_rlp::Header::decode(&mut rest).ok()?;
        let (payload, after) = rest.split_at_checked(head.payload_length)?;
        items.push(match head.list {
            true => &start[..start.len() - after.len()],
            false => payload,
        });
        rest = after;
    }
    Some(items)
}
