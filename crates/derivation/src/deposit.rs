//! Deposits: transactions that L1 makes. Knows their encoding and the logs that ask for them.

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, Bytes, U256, b256};
use tribunal_keccak::{Keccak256, keccak256};

use crate::l1_info::source_hash;
use crate::receipts::{Log, abi_bytes, logs_of};
use crate::rlp;
use crate::transactions::DEPOSIT;

/// `TransactionDeposited(address,address,uint256,bytes)`.
const EVENT: B256 = b256!("b3813568d9991fc951961fcb4c784893574240a28925604d09fc577c55bb7c32");

/// What stands before the data in a log: mint, value, gas limit, whether a contract is created.
const HEAD: usize = 32 + 32 + 8 + 1;

/// A deposit transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// What names it.
    pub source_hash: B256,
    /// The sender.
    pub from: Address,
    /// Where it goes; `None` creates a contract.
    pub to: Option<Address>,
    /// What is created for the sender beforehand, in wei.
    pub mint: U256,
    /// What is sent, in wei.
    pub value: U256,
    /// The gas limit.
    pub gas_limit: u64,
    /// Whether it takes no gas of the block (before Regolith).
    pub is_system: bool,
    /// The call.
    pub data: Bytes,
}

impl Deposit {
    /// Its EIP-2718 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut fields = Vec::with_capacity(self.data.len() + 160);
        rlp::write_string(&mut fields, self.source_hash.as_slice());
        rlp::write_string(&mut fields, self.from.as_slice());
        rlp::write_string(&mut fields, self.to.as_ref().map_or(&[], |to| to.as_slice()));
        rlp::write_integer(&mut fields, &self.mint.to_be_bytes::<32>());
        rlp::write_integer(&mut fields, &self.value.to_be_bytes::<32>());
        rlp::write_integer(&mut fields, &self.gas_limit.to_be_bytes());
        rlp::write_integer(&mut fields, &[self.is_system.into()]);
        rlp::write_string(&mut fields, &self.data);
        let mut out = Vec::with_capacity(fields.len() + 10);
        out.push(DEPOSIT);
        rlp::write_list_header(&mut out, fields.len());
        out.extend_from_slice(&fields);
        out
    }

    /// Reads EIP-2718 bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut items = rlp::exact_list(bytes.strip_prefix(&[DEPOSIT])?)?;
        let deposit = Self {
            source_hash: B256::new(items.array()?),
            from: Address::new(items.array()?),
            to: match items.string()? {
                [] => None,
                to => Some(Address::new(to.try_into().ok()?)),
            },
            mint: items.u256()?,
            value: items.u256()?,
            gas_limit: items.u64()?,
            is_system: match items.string()? {
                [] => false,
                [1] => true,
                _ => return None,
            },
            data: Bytes::copy_from_slice(items.string()?),
        };
        items.is_empty().then_some(deposit)
    }

    /// What a log of the deposit contract asks for. `None` if it is none of the logs that the contract
    /// makes.
    fn from_log(log: &Log<'_>, l1_block: B256) -> Option<Self> {
        let [_, from, to, version] = log.topics()?;
        let opaque = abi_bytes(log.data)?;
        if version != B256::ZERO || opaque.len() < HEAD {
            return None;
        }
        let (head, data) = opaque.split_at(HEAD);
        let gas_limit = head[64..72].iter().fold(0, |gas, byte| gas << 8 | u64::from(*byte));
        let mut hasher = Keccak256::new();
        hasher.update(l1_block.as_slice());
        hasher.update(&U256::from(log.index).to_be_bytes::<32>());
        Some(Self {
            source_hash: source_hash(0, hasher.finish()),
            from: Address::from_word(from),
            to: (head[72] == 0).then(|| Address::from_word(to)),
            mint: U256::from_be_slice(&head[..32]),
            value: U256::from_be_slice(&head[32..64]),
            gas_limit,
            is_system: false,
            data: Bytes::copy_from_slice(data),
        })
    }
}

/// The source hash of an upgrade transaction.
pub fn upgrade_source_hash(intent: &str) -> B256 {
    source_hash(2, keccak256(intent.as_bytes()))
}

/// The deposits that the receipts of an L1 block ask for, in order.
///
/// # Errors
/// If a log of the contract cannot be read: no deposit may be left out, so nothing can be said then.
/// The number of the log is given, or none if what is read are no receipts.
pub fn deposits(
    receipts: &[Bytes],
    contract: Address,
    l1_block: B256,
) -> Result<Vec<Deposit>, Option<u64>> {
    let logs = logs_of(receipts, contract).ok_or(None)?;
    let deposits = logs.iter().filter(|log| log.event() == Some(EVENT));
    deposits.map(|log| Deposit::from_log(log, l1_block).ok_or(Some(log.index))).collect()
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::receipts::tests::{abi, receipt};

    const CONTRACT: Address = Address::repeat_byte(0xde);

    fn opaque(mint: u64, creation: u8, data: &[u8]) -> Vec<u8> {
        let mut out = U256::from(mint).to_be_bytes::<32>().to_vec();
        out.extend(U256::from(77).to_be_bytes::<32>());
        out.extend(100_000_u64.to_be_bytes());
        out.push(creation);
        out.extend_from_slice(data);
        out
    }

    fn topics() -> Vec<B256> {
        let from = Address::repeat_byte(1).into_word();
        // The reference does not look at the upper bytes of an address.
        let to = B256::repeat_byte(2);
        vec![EVENT, from, to, B256::ZERO]
    }

    fn read(topics: Vec<B256>, data: Vec<u8>) -> Result<Vec<Deposit>, Option<u64>> {
        deposits(&[receipt(true, &[(CONTRACT, topics, data)])], CONTRACT, B256::ZERO)
    }

    #[test]
    fn a_log_becomes_a_deposit() {
        let deposit = Deposit {
            source_hash: source_hash(0, keccak256(&[0; 64])),
            from: Address::repeat_byte(1),
            to: Some(Address::repeat_byte(2)),
            mint: U256::from(5),
            value: U256::from(77),
            gas_limit: 100_000,
            is_system: false,
            data: Bytes::from_static(b"call"),
        };
        assert_eq!(read(topics(), abi(&opaque(5, 0, b"call"))), Ok(vec![deposit.clone()]));
        let bytes = deposit.encode();
        assert_eq!(Deposit::decode(&bytes), Some(deposit.clone()));
        assert_eq!(Deposit::decode(&bytes[..bytes.len() - 1]), None);
        let creation = Deposit { to: None, ..deposit };
        assert_eq!(read(topics(), abi(&opaque(5, 9, b"call"))), Ok(vec![creation.clone()]));
        assert_eq!(Deposit::decode(&creation.encode()), Some(creation));
    }

    #[test]
    fn a_mint_has_256_bits() {
        let mut opaque = opaque(0, 0, b"");
        opaque[..32].fill(0xff);
        let deposits = read(topics(), abi(&opaque)).expect("a deposit");
        assert_eq!(deposits[0].mint, U256::MAX);
        assert_eq!(Deposit::decode(&deposits[0].encode()).as_ref(), deposits.first());
    }

    #[test]
    fn a_deposit_is_named_by_block_and_log() {
        let block = B256::new(keccak256(b"epoch 7"));
        let other = (Address::repeat_byte(3), vec![], vec![]);
        let log = (CONTRACT, topics(), abi(&opaque(0, 0, b"")));
        let receipts = [
            receipt(true, &[other.clone(), other]),
            receipt(false, core::slice::from_ref(&log)),
            receipt(true, &[log]),
        ];
        let deposits = deposits(&receipts, CONTRACT, block).expect("deposits");
        let [deposit] = &deposits[..] else { panic!("{} deposits", deposits.len()) };
        assert_eq!(
            deposit.source_hash,
            b256!("3b4598875aa836ea78e6cc38e61696cb07d47d9fef348618e2c3add6e12c2bea")
        );
    }

    #[test]
    fn a_deposit_log_that_cannot_be_read_is_never_passed_over() {
        let good = abi(&opaque(0, 0, b""));
        assert!(read(topics(), good.clone()).is_ok());
        let mut version = topics();
        version[3] = B256::with_last_byte(1);
        assert_eq!(read(version, good.clone()), Err(Some(0)));
        assert_eq!(read(topics()[..3].to_vec(), good.clone()), Err(Some(0)));
        assert_eq!(read(topics(), abi(&opaque(0, 0, b"")[..72])), Err(Some(0)), "too short");
        assert_eq!(read(topics(), good[..good.len() - 1].to_vec()), Err(Some(0)));
        assert_eq!(read(topics(), vec![]), Err(Some(0)));
        let mut another = topics();
        another[0] = B256::ZERO;
        assert_eq!(read(another, good), Ok(vec![]), "another event");
        assert_eq!(deposits(&[Bytes::new()], CONTRACT, B256::ZERO), Err(None));
    }
}
