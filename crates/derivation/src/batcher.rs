//! Which transactions of L1 a batcher sent, and what they carry. Knows the transaction types of L1 as
//! far as it takes to see recipient, sender and data.

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, Bytes, U256, uint};
use tribunal_keccak::{Keccak256, keccak256};
use tribunal_rollup::{Fork, RollupConfig};

use crate::Error;
use crate::blob::decode_blob;
use crate::data::L1Data;
use crate::header::Header;
use crate::rlp::{self, Items, exact_list};
use crate::transactions::DEPOSIT;

/// Half the order of the curve: a signature above it is none (EIP-2).
const HALF_ORDER: U256 =
    uint!(0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0_U256);

/// The order of the curve.
const ORDER: U256 = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);

/// A transaction, as far as derivation looks at it.
struct Transaction<'a> {
    to: &'a [u8],
    data: &'a [u8],
    /// Of a transaction with blobs.
    blobs: Option<Vec<B256>>,
    sender: Sender,
}

enum Sender {
    /// A deposit names it.
    Known(Address),
    /// A signature does.
    Signed { digest: B256, parity: bool, r: U256, s: U256 },
}

/// A piece of data, in the order of L1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datum {
    /// The call of a transaction.
    Calldata(Bytes),
    /// A blob, to be fetched: its hash, and its place among all blobs of the block.
    Blob(B256, u64),
}

/// The data that `batcher` sent in a block.
///
/// # Errors
/// If the block or a sender cannot be had.
pub fn batcher_data<D: L1Data>(
    config: &RollupConfig,
    header: &Header,
    batcher: Address,
    data: &mut D,
) -> Result<Vec<Datum>, Error<D::Error>> {
    let transactions = data.l1_transactions(header).map_err(Error::Data)?;
    let ecotone = config.is_active(Fork::Ecotone, header.timestamp);
    let mut found = Vec::new();
    let mut blobs_before = 0;
    for bytes in &transactions {
        let Some(transaction) = Transaction::read(bytes, config.l1_chain_id) else { continue };
        let first_blob = blobs_before;
        blobs_before += transaction.blobs.as_ref().map_or(0, Vec::len) as u64;
        if transaction.to != config.batch_inbox.as_slice() {
            continue;
        }
        let sender = match transaction.sender {
            Sender::Known(sender) => Some(sender),
            Sender::Signed { digest, parity, r, s } => data
                .signer(digest, parity, B256::new(r.to_be_bytes()), B256::new(s.to_be_bytes()))
                .map_err(Error::Data)?,
        };
        if sender != Some(batcher) {
            continue;
        }
        match transaction.blobs {
            // Before Ecotone nobody looks at blobs, and a call is a call.
            Some(blobs) if ecotone => {
                found.extend(
                    blobs.into_iter().zip(first_blob..).map(|(hash, i)| Datum::Blob(hash, i)),
                );
            }
            _ => found.push(Datum::Calldata(bytes.slice_ref(transaction.data))),
        }
    }
    Ok(found)
}

impl Datum {
    /// Its bytes; `None` of a blob that nobody can have encoded.
    ///
    /// # Errors
    /// If a blob cannot be had.
    pub fn bytes<D: L1Data>(
        self,
        header: &Header,
        data: &mut D,
    ) -> Result<Option<Bytes>, Error<D::Error>> {
        match self {
            Self::Calldata(bytes) => Ok(Some(bytes)),
            Self::Blob(hash, index) => {
                let blob = data.blob(header, hash, index).map_err(Error::Data)?;
                Ok(decode_blob(&blob).map(Bytes::from))
            }
        }
    }
}

impl<'a> Transaction<'a> {
    /// Reads EIP-2718 bytes. `None` of what no batcher can have sent: an unknown type, a signature for
    /// another chain, or none.
    fn read(bytes: &'a [u8], chain_id: u64) -> Option<Self> {
        let (tx_type, list) = match bytes.split_first()? {
            (tx_type @ ..=0x7f, list) => (*tx_type, list),
            _ => return Self::read_legacy(exact_list(bytes)?, chain_id),
        };
        let mut items = exact_list(list)?;
        if tx_type == DEPOSIT {
            let _source = items.string()?;
            let from = Address::new(items.array()?);
            let to = items.string()?;
            for _ in 0..4 {
                items.string()?;
            }
            return Some(Self {
                to,
                data: items.string()?,
                blobs: None,
                sender: Sender::Known(from),
            });
        }
        let fees = match tx_type {
            1 => 1,
            2 | 3 => 2,
            _ => return None,
        };
        let all = items.0;
        items.u64().filter(|id| *id == chain_id)?;
        let _nonce = items.u64()?;
        for _ in 0..fees {
            items.u256()?;
        }
        let _gas = items.u64()?;
        let to = items.string()?;
        let _value = items.u256()?;
        let data = items.string()?;
        let _access_list = items.list()?;
        let mut blobs = None;
        if tx_type == 3 {
            let _blob_fee = items.u256()?;
            let mut hashes = items.list()?;
            let mut found = Vec::new();
            while !hashes.is_empty() {
                found.push(B256::new(hashes.array()?));
            }
            blobs = Some(found);
        }
        let signed = &all[..all.len() - items.0.len()];
        let mut hasher = Keccak256::new();
        hasher.update(&[tx_type]);
        hasher.update(&rlp::list(signed));
        let digest = B256::new(hasher.finish());
        let parity = match items.integer()? {
            [] => false,
            [1] => true,
            _ => return None,
        };
        Some(Self { to, data, blobs, sender: signature(items, digest, parity)? })
    }

    fn read_legacy(mut items: Items<'a>, chain_id: u64) -> Option<Self> {
        let all = items.0;
        let _nonce = items.u64()?;
        let _gas_price = items.u256()?;
        let _gas = items.u64()?;
        let to = items.string()?;
        let _value = items.u256()?;
        let data = items.string()?;
        let signed = &all[..all.len() - items.0.len()];
        let v = items.u256()?;
        let (digest, parity) = if v == U256::from(27) || v == U256::from(28) {
            (keccak256(&rlp::list(signed)), v == U256::from(28))
        } else {
            let base = U256::from(chain_id) * U256::from(2) + U256::from(35);
            let parity = match v.checked_sub(base)? {
                U256::ZERO => false,
                U256::ONE => true,
                _ => return None,
            };
            let mut fields = signed.to_vec();
            rlp::write_integer(&mut fields, &chain_id.to_be_bytes());
            fields.extend([0x80, 0x80]);
            (keccak256(&rlp::list(&fields)), parity)
        };
        let sender = signature(items, B256::new(digest), parity)?;
        Some(Self { to, data, blobs: None, sender })
    }
}

/// Reads r and s, the last two fields.
fn signature(mut items: Items<'_>, digest: B256, parity: bool) -> Option<Sender> {
    let (r, s) = (items.u256()?, items.u256()?);
    let in_range = !r.is_zero() && !s.is_zero() && r < ORDER && s <= HALF_ORDER;
    (in_range && items.is_empty()).then_some(Sender::Signed { digest, parity, r, s })
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::deposit::Deposit;
    use crate::testing::{Memory, Wallet, config, header};

    fn data_of(fork: Fork, transactions: Vec<Bytes>, batcher: Address) -> Vec<Datum> {
        let config = config(fork);
        let header = header(7, 2000);
        let mut data = Memory::default();
        data.l1_transactions.insert(header.hash, transactions);
        batcher_data(&config, &header, batcher, &mut data).expect("memory")
    }

    #[test]
    fn what_the_batcher_sent_to_the_inbox_counts_and_nothing_else() {
        let inbox = config(Fork::Ecotone).batch_inbox;
        let batcher = Wallet::new(1);
        let other = Wallet::new(2);
        let hashes = [B256::repeat_byte(1), B256::repeat_byte(2)];
        let transactions = vec![
            batcher.legacy(None, inbox, b"unprotected"),
            batcher.legacy(Some(900), inbox, b"protected"),
            batcher.legacy(Some(901), inbox, b"another chain"),
            other.legacy(Some(900), inbox, b"another sender"),
            batcher.legacy(Some(900), Address::ZERO, b"another recipient"),
            batcher.typed(1, 900, inbox, b"one", &[]),
            batcher.typed(2, 901, inbox, b"another chain", &[]),
            batcher.typed(3, 900, Address::ZERO, b"", &[B256::ZERO]),
            batcher.typed(3, 900, inbox, b"three", &hashes),
            batcher.typed(2, 900, inbox, b"two", &[]),
            batcher.typed(4, 900, inbox, b"four", &[]),
            Bytes::from_static(b"\x02noise"),
            Bytes::new(),
        ];
        let call = |bytes: &'static [u8]| Datum::Calldata(Bytes::from_static(bytes));
        let calls = |third: Vec<Datum>| {
            let mut all = vec![call(b"unprotected"), call(b"protected"), call(b"one")];
            all.extend(third);
            all.push(call(b"two"));
            all
        };
        assert_eq!(
            data_of(Fork::Ecotone, transactions.clone(), batcher.address()),
            calls(vec![Datum::Blob(hashes[0], 1), Datum::Blob(hashes[1], 2)])
        );
        assert_eq!(
            data_of(Fork::Delta, transactions, batcher.address()),
            calls(vec![call(b"three")])
        );
    }

    #[test]
    fn a_deposit_on_an_l1_that_is_an_l2_counts() {
        let deposit = Deposit {
            source_hash: B256::ZERO,
            from: Address::repeat_byte(9),
            to: Some(config(Fork::Ecotone).batch_inbox),
            mint: U256::ZERO,
            value: U256::ZERO,
            gas_limit: 1,
            is_system: false,
            data: Bytes::from_static(b"deposited"),
        };
        let found = data_of(Fork::Ecotone, vec![deposit.encode().into()], Address::repeat_byte(9));
        assert_eq!(found, [Datum::Calldata(Bytes::from_static(b"deposited"))]);
    }

    #[test]
    fn a_signature_out_of_range_is_none() {
        let signature = |r: U256, s: U256| {
            let mut fields = Vec::new();
            rlp::write_integer(&mut fields, &r.to_be_bytes::<32>());
            rlp::write_integer(&mut fields, &s.to_be_bytes::<32>());
            super::signature(Items(&fields), B256::ZERO, false).is_some()
        };
        assert!(signature(U256::ONE, HALF_ORDER));
        assert!(!signature(U256::ONE, HALF_ORDER + U256::ONE));
        assert!(!signature(ORDER, U256::ONE) && !signature(U256::ZERO, U256::ONE));
        assert!(!signature(U256::ONE, U256::ZERO));
    }
}
