//! A state in preimages, and who signs transactions: what the tests of blocks share.

use std::collections::BTreeMap;

use alloy_consensus::SignableTransaction;
use alloy_primitives::{
    Address, B256, Bytes, KECCAK256_EMPTY, Signature, U256, address, hex, keccak256,
};
use alloy_trie::TrieAccount;
use k256::ecdsa::SigningKey;
use revm::state::{AccountInfo, Bytecode};
use tribunal_optimism::Attributes;
use tribunal_optimism::trie::{Nodes, Trie};
use tribunal_preimage::{Key, Oracle, OracleError};
use tribunal_rollup::{Eip1559Params, Fork};

pub(crate) const L1_BLOCK: Address = address!("0x4200000000000000000000000000000000000015");
pub(crate) const DEPOSITOR: Address = address!("0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001");

/// Stores pairs of words of its input, slot and value, and logs who called.
pub(crate) const WRITER: &[u8] =
    &hex!("60005b803611156018578060200135813555604001600256" "5b3360006000a100");

/// Preimages, without a host.
#[derive(Clone, Default)]
pub(crate) struct Store(BTreeMap<Key, Vec<u8>>);

impl Store {
    /// Keeps what has this hash.
    pub(crate) fn keep(&mut self, hash: B256, data: &[u8]) {
        self.0.insert(Key::keccak256(hash.0), data.to_vec());
    }

    /// Keeps the nodes of a trie, and says what its root is.
    fn keep_trie(&mut self, trie: &mut Trie) -> B256 {
        trie.commit(&mut |hash, node| self.keep(hash, node))
    }
}

impl Oracle for Store {
    fn hint(&mut self, _: &[u8]) -> Result<(), OracleError> {
        Ok(())
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        let data = self.0.get(&key).cloned();
        data.ok_or_else(|| OracleError::Missing { key, why: String::new() })
    }
}

impl Nodes for Store {
    type Error = B256;
    fn node(&mut self, hash: B256) -> Result<Vec<u8>, B256> {
        self.preimage(Key::keccak256(hash.0)).map_err(|_| hash)
    }
}

/// Somebody who signs.
pub(crate) struct Account {
    key: SigningKey,
    pub(crate) address: Address,
    pub(crate) nonce: u64,
}

impl Account {
    pub(crate) fn new(number: u8) -> Self {
        let mut secret = [0x11; 32];
        secret[31] = number;
        let key = SigningKey::from_slice(&secret).unwrap();
        let point = key.verifying_key().to_encoded_point(false);
        let address = Address::from_slice(&keccak256(&point.as_bytes()[1..])[12..]);
        Self { key, address, nonce: 0 }
    }

    pub(crate) fn sign(&self, hash: B256) -> Signature {
        let (signature, id) = self.key.sign_prehash_recoverable(&hash.0).unwrap();
        let (r, s) = signature.split_bytes();
        Signature::new(U256::from_be_slice(&r), U256::from_be_slice(&s), id.is_y_odd())
    }
}

/// An account with code.
pub(crate) fn contract(code: Bytes) -> AccountInfo {
    let code_hash = keccak256(&code);
    AccountInfo {
        nonce: 1,
        code_hash,
        code: Some(Bytecode::new_legacy(code)),
        ..AccountInfo::default()
    }
}

pub(crate) fn signed<T: SignableTransaction<Signature>>(
    transaction: T,
    account: &Account,
) -> alloy_consensus::Signed<T> {
    let signature = account.sign(transaction.signature_hash());
    transaction.into_signed(signature)
}

/// The extra data of a block by the rules of `fork`.
pub(crate) fn extra_data(fork: Fork) -> Bytes {
    match () {
        () if fork < Fork::Holocene => Bytes::new(),
        () if fork < Fork::Jovian => vec![0, 0, 0, 0, 250, 0, 0, 0, 6].into(),
        () => [&[1, 0, 0, 0, 250, 0, 0, 0, 6][..], &[0; 8]].concat().into(),
    }
}

/// What a block by the rules of `fork` is made of.
pub(crate) fn attributes(fork: Fork, timestamp: u64, gas_limit: u64) -> Attributes {
    Attributes {
        timestamp,
        prev_randao: B256::ZERO,
        fee_recipient: Address::repeat_byte(0x42),
        gas_limit,
        parent_beacon_block_root: (fork >= Fork::Ecotone).then_some(B256::ZERO),
        eip1559: (fork >= Fork::Holocene)
            .then_some(Eip1559Params { denominator: 250, elasticity: 6 }),
        min_base_fee: (fork >= Fork::Jovian).then_some(0),
        transactions: Vec::new(),
    }
}

/// A state without storage.
pub(crate) fn store_state<'a>(
    accounts: impl IntoIterator<Item = (&'a Address, &'a AccountInfo)>,
) -> (Store, B256) {
    let accounts = accounts.into_iter();
    store_accounts(accounts.map(|(address, info)| (*address, info.clone(), BTreeMap::new())))
}

/// A state of these accounts and their slots.
pub(crate) fn store_accounts(
    accounts: impl IntoIterator<Item = (Address, AccountInfo, BTreeMap<U256, U256>)>,
) -> (Store, B256) {
    let mut store = Store::default();
    let mut trie = Trie::empty();
    for (address, info, slots) in accounts {
        let mut storage = Trie::empty();
        for (slot, value) in slots {
            let slot = keccak256(slot.to_be_bytes::<32>());
            storage.insert(&mut store, &slot, alloy_rlp::encode(value)).unwrap();
        }
        let account = TrieAccount {
            nonce: info.nonce,
            balance: info.balance,
            storage_root: store.keep_trie(&mut storage),
            code_hash: info.code_hash,
        };
        trie.insert(&mut store, &keccak256(address), alloy_rlp::encode(account)).unwrap();
        if info.code_hash != KECCAK256_EMPTY {
            store.keep(info.code_hash, &info.code.as_ref().unwrap().original_bytes());
        }
    }
    let root = store.keep_trie(&mut trie);
    (store, root)
}
