//! The state of an L2 chain after a block, over preimages: accounts, storage, code and the hashes of
//! older blocks, of which as much is here as was touched.
//!
//! Changes are collected while a block is executed. They reach the tries once, at its end, because
//! what is written twice is hashed once then, and because the nodes that a removal needs beside it
//! can only be told when all is known. Until then they can be discarded.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use alloy_consensus::Header;
use alloy_primitives::map::{AddressMap, B256Map, Entry, U256Map};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, address};
use alloy_trie::TrieAccount;
use revm::bytecode::Bytecode;
use revm::database_interface::{Database, DatabaseCommit};
use revm::state::AccountInfo;
use tribunal_keccak::keccak256;
use tribunal_preimage::Oracle;

use crate::code;
use crate::preimages::{Preimages, Undecided};
use crate::trie::{EMPTY_ROOT, Trie};

/// The contract that keeps the hashes of the last blocks (EIP-2935).
pub(crate) const HISTORY: Address = address!("0x0000F90827F1C53a10cb7A02335B175320002935");

/// How many hashes it keeps.
const HISTORY_SLOTS: u64 = 8191;

/// The chain's state after its newest block, the head.
#[derive(Debug)]
pub struct State<O> {
    pub(crate) preimages: Preimages<O>,
    head: Header,
    head_hash: B256,
    trie: Trie,
    accounts: AddressMap<Account>,
    /// Accounts that may have changed since the head.
    touched: Vec<Address>,
    codes: B256Map<Bytecode>,
    /// Codes that came about since the head.
    new_codes: Vec<B256>,
    /// Hashes of blocks by their numbers, the head's among them.
    hashes: BTreeMap<u64, B256>,
    /// The history contract has what it should have: Isthmus is active at the head.
    history: bool,
    /// Something went wrong where nothing could be returned.
    failure: Option<Undecided>,
}

/// An account that was looked at.
#[derive(Debug)]
struct Account {
    /// keccak256 of the address: its key in the trie.
    key: B256,
    /// What the trie holds.
    committed: Option<TrieAccount>,
    /// What it is now; the storage root is still the committed one.
    now: Option<TrieAccount>,
    /// The committed storage.
    storage: Trie,
    slots: U256Map<Slot>,
    /// The slots that were written since the head, some of them twice. There can be far more others:
    /// some contracts get a new one with each block.
    written: Vec<U256>,
    /// Nothing of the committed storage is left.
    wiped: bool,
    touched: bool,
}

#[derive(Debug)]
struct Slot {
    /// keccak256 of the slot's number: its key in the trie.
    key: B256,
    /// What the trie holds; `None` if nobody has looked.
    committed: Option<U256>,
    now: U256,
}

impl<O: Oracle> State<O> {
    /// The state after the block with this header.
    pub fn new(mut preimages: Preimages<O>, head: Header, head_hash: B256) -> Self {
        preimages.at_block(head.number);
        Self {
            preimages,
            trie: Trie::at(head.state_root),
            accounts: AddressMap::default(),
            touched: Vec::new(),
            codes: B256Map::default(),
            new_codes: Vec::new(),
            hashes: BTreeMap::from([(head.number, head_hash)]),
            history: false,
            failure: None,
            head,
            head_hash,
        }
    }

    /// The oracle alone; the state is forgotten.
    pub fn into_preimages(self) -> Preimages<O> {
        self.preimages
    }

    /// The header of the newest block.
    pub const fn head(&self) -> &Header {
        &self.head
    }

    /// Its hash.
    pub const fn head_hash(&self) -> B256 {
        self.head_hash
    }

    /// The oracle and how it is asked.
    pub const fn preimages(&mut self) -> &mut Preimages<O> {
        &mut self.preimages
    }

    /// The storage root of an account after the head, whatever has changed since.
    ///
    /// # Errors
    /// If the account is not to be had.
    pub fn storage_root(&mut self, address: Address) -> Result<B256, Undecided> {
        let account = self.account(address)?;
        Ok(account.committed.map_or(EMPTY_ROOT, |account| account.storage_root))
    }

    /// Lets block hashes be read from the history contract, or not.
    pub(crate) const fn use_history(&mut self, history: bool) {
        self.history = history;
    }

    /// The current nonce of an account.
    pub(crate) fn nonce(&mut self, address: Address) -> Result<u64, Undecided> {
        Ok(self.account(address)?.now.map_or(0, |account| account.nonce))
    }

    /// Changes an account.
    pub(crate) fn change(
        &mut self,
        address: Address,
        change: impl FnOnce(&mut TrieAccount),
    ) -> Result<(), Undecided> {
        let account = self.account(address)?;
        change(account.now.get_or_insert(TrieAccount {
            nonce: 0,
            balance: U256::ZERO,
            storage_root: EMPTY_ROOT,
            code_hash: KECCAK256_EMPTY,
        }));
        self.touch(address);
        Ok(())
    }

    /// Gives an account this code, and leaves the rest of it as it is.
    pub(crate) fn set_code(&mut self, address: Address, code: Bytes) -> Result<(), Undecided> {
        let hash = B256::new(keccak256(&code));
        self.keep_code(hash, Bytecode::new_legacy(code));
        self.change(address, |account| account.code_hash = hash)
    }

    /// What went wrong where nothing could be returned.
    pub(crate) fn fail(&mut self, failure: Undecided) {
        self.failure.get_or_insert(failure);
    }

    /// The failure that was remembered, if any.
    pub(crate) fn take_failure(&mut self) -> Option<Undecided> {
        self.failure.take()
    }

    /// Forgets all that has changed since the head.
    pub(crate) fn discard(&mut self) {
        for address in core::mem::take(&mut self.touched) {
            let Some(account) = self.accounts.get_mut(&address) else { continue };
            account.touched = false;
            account.now = account.committed;
            account.written.clear();
            // What was not looked up, or taken to be empty because all was, is not known.
            let wiped = core::mem::take(&mut account.wiped);
            account.slots.retain(|_, slot| !wiped && slot.committed.is_some());
            for slot in account.slots.values_mut() {
                slot.now = slot.committed.unwrap_or_default();
            }
        }
        for hash in self.new_codes.drain(..) {
            self.codes.remove(&hash);
        }
        self.failure = None;
    }

    /// Brings all changes into the tries and returns the root of the state. New nodes and codes are
    /// given to `keep` with their hashes.
    pub(crate) fn commit_tries(
        &mut self,
        keep: &mut dyn FnMut(B256, &[u8]),
    ) -> Result<B256, Undecided> {
        let mut changed = Vec::with_capacity(self.touched.len());
        for address in core::mem::take(&mut self.touched) {
            if let Some(account) = self.accounts.get_mut(&address) {
                account.touched = false;
                account.commit_storage(&mut self.preimages, address, keep)?;
                if account.now != account.committed {
                    changed.push((account.key, address));
                }
            }
        }
        // In the order of the trie, whatever order a map had.
        changed.sort_unstable();
        // What is put in before anything is taken out can spare the look at a sibling.
        for existing in [true, false] {
            for (key, address) in &changed {
                let Some(account) = self.accounts.get_mut(address) else { continue };
                match account.now {
                    Some(now) if existing => {
                        let value = alloy_rlp::encode(now);
                        self.trie.insert(&mut self.preimages, key, value)?;
                    }
                    None if !existing => {
                        self.preimages.for_siblings();
                        self.trie.remove(&mut self.preimages, key)?;
                    }
                    _ => continue,
                }
                account.committed = account.now;
            }
        }
        for hash in self.new_codes.drain(..) {
            if let Some(code) = self.codes.get(&hash) {
                keep(hash, code.original_byte_slice());
            }
        }
        Ok(self.trie.commit(keep))
    }

    /// Makes the block with this header the head; the state is the one that was committed.
    pub(crate) fn advance(&mut self, head: Header, head_hash: B256) {
        self.preimages.at_block(head.number);
        self.hashes.insert(head.number, head_hash);
        self.head = head;
        self.head_hash = head_hash;
    }

    fn account(&mut self, address: Address) -> Result<&mut Account, Undecided> {
        match self.accounts.entry(address) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                self.preimages.for_account(address)?;
                let key = B256::new(keccak256(address.as_slice()));
                let leaf = self.trie.get(&mut self.preimages, &key)?;
                let committed = leaf
                    .map(alloy_rlp::decode_exact::<TrieAccount>)
                    .transpose()
                    .map_err(|reason| Undecided::Account { address, reason })?;
                Ok(entry.insert(Account::new(key, committed)))
            }
        }
    }

    fn touch(&mut self, address: Address) {
        if let Some(account) = self.accounts.get_mut(&address)
            && !account.touched
        {
            account.touched = true;
            self.touched.push(address);
        }
    }

    fn keep_code(&mut self, hash: B256, code: Bytecode) {
        if hash != KECCAK256_EMPTY && !self.codes.contains_key(&hash) {
            self.codes.insert(hash, code);
            self.new_codes.push(hash);
        }
    }

    fn slot(&mut self, address: Address, number: U256) -> Result<U256, Undecided> {
        self.account(address)?;
        let Some(account) = self.accounts.get_mut(&address) else { return Ok(U256::ZERO) };
        account.slot(&mut self.preimages, address, number)
    }
}

impl Account {
    fn new(key: B256, committed: Option<TrieAccount>) -> Self {
        Self {
            key,
            committed,
            now: committed,
            storage: committed.map_or(Trie::empty(), |account| Trie::at(account.storage_root)),
            slots: U256Map::default(),
            written: Vec::new(),
            wiped: false,
            touched: false,
        }
    }

    /// Has no storage any more.
    fn wipe(&mut self) {
        self.wiped = true;
        for slot in self.slots.values_mut() {
            slot.now = U256::ZERO;
        }
    }

    /// There is nothing to read in the storage.
    fn is_bare(&self) -> bool {
        self.wiped || self.committed.is_none_or(|account| account.storage_root == EMPTY_ROOT)
    }

    fn slot<O: Oracle>(
        &mut self,
        preimages: &mut Preimages<O>,
        address: Address,
        number: U256,
    ) -> Result<U256, Undecided> {
        let bare = self.is_bare();
        match self.slots.entry(number) {
            Entry::Occupied(entry) => Ok(entry.get().now),
            Entry::Vacant(entry) => {
                let key = B256::new(keccak256(&number.to_be_bytes::<32>()));
                let mut value = U256::ZERO;
                if !bare {
                    preimages.for_slot(address, number)?;
                    if let Some(leaf) = self.storage.get(preimages, &key)? {
                        value = alloy_rlp::decode_exact(leaf)
                            .map_err(|reason| Undecided::Slot { address, slot: number, reason })?;
                    }
                }
                entry.insert(Slot { key, committed: Some(value), now: value });
                Ok(value)
            }
        }
    }

    fn set_slot(&mut self, number: U256, value: U256) {
        let committed = self.is_bare().then_some(U256::ZERO);
        self.written.push(number);
        match self.slots.entry(number) {
            Entry::Occupied(mut entry) => entry.get_mut().now = value,
            Entry::Vacant(entry) => {
                let key = B256::new(keccak256(&number.to_be_bytes::<32>()));
                entry.insert(Slot { key, committed, now: value });
            }
        }
    }

    /// Brings changed slots into the storage trie, and its root into the account.
    fn commit_storage<O: Oracle>(
        &mut self,
        preimages: &mut Preimages<O>,
        address: Address,
        keep: &mut dyn FnMut(B256, &[u8]),
    ) -> Result<(), Undecided> {
        if core::mem::take(&mut self.wiped) {
            self.storage = Trie::empty();
            for slot in self.slots.values_mut() {
                slot.committed = Some(U256::ZERO);
            }
        }
        let mut changed: Vec<(B256, U256)> = Vec::new();
        for number in self.written.drain(..) {
            if let Some(slot) = self.slots.get_mut(&number)
                && slot.committed != Some(slot.now)
            {
                changed.push((slot.key, slot.now));
                if slot.committed.is_none() && slot.now.is_zero() {
                    preimages.for_slot(address, number)?;
                }
                slot.committed = Some(slot.now);
            }
        }
        changed.sort_unstable();
        for (key, value) in changed.iter().filter(|(_, value)| !value.is_zero()) {
            self.storage.insert(preimages, key, alloy_rlp::encode(value))?;
        }
        for (key, _) in changed.iter().filter(|(_, value)| value.is_zero()) {
            preimages.for_siblings();
            self.storage.remove(preimages, key)?;
        }
        if let Some(now) = &mut self.now {
            now.storage_root = self.storage.commit(keep);
        }
        Ok(())
    }
}

impl<O: Oracle> Database for State<O> {
    type Error = Undecided;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Undecided> {
        Ok(self.account(address)?.now.map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            account_id: None,
            code: None,
        }))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, Undecided> {
        if hash == KECCAK256_EMPTY {
            return Ok(Bytecode::default());
        }
        match self.codes.entry(hash) {
            Entry::Occupied(entry) => Ok(entry.get().clone()),
            Entry::Vacant(entry) => {
                let code = self.preimages.code(hash)?;
                let code = code::read(code).ok_or(Undecided::Code { hash })?;
                Ok(entry.insert(code).clone())
            }
        }
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, Undecided> {
        self.slot(address, slot)
    }

    /// The hash of an older block; the interpreter asks for the last 256 before the current one.
    fn block_hash(&mut self, number: u64) -> Result<B256, Undecided> {
        if let Some(hash) = self.hashes.get(&number) {
            return Ok(*hash);
        }
        if number + 1 == self.head.number {
            return Ok(self.head.parent_hash);
        }
        if self.history {
            let slot = U256::from(number % HISTORY_SLOTS);
            let hash = self.slot(HISTORY, slot)?;
            // Where the contract has nothing, it was not there yet.
            if !hash.is_zero() {
                let hash = B256::from(hash);
                self.hashes.insert(number, hash);
                return Ok(hash);
            }
        }
        let (mut at, mut hash) =
            self.hashes.range(number..).next().map_or((0, B256::ZERO), |(at, hash)| (*at, *hash));
        while at > number {
            let header = if at == self.head.number {
                self.head.clone()
            } else {
                self.preimages.header(hash)?
            };
            if header.number != at {
                let (expected, number) = (at, header.number);
                return Err(Undecided::AncestorNumber { hash, expected, number });
            }
            at -= 1;
            hash = header.parent_hash;
            self.hashes.insert(at, hash);
        }
        Ok(hash)
    }
}

impl<O: Oracle> DatabaseCommit for State<O> {
    fn commit(&mut self, changes: AddressMap<revm::state::Account>) {
        for (address, change) in changes {
            if !change.is_touched() {
                continue;
            }
            let Some(account) = self.accounts.get_mut(&address) else {
                let lost = alloc::format!("it changed account {address} without having read it");
                self.fail(Undecided::Evm(lost));
                continue;
            };
            let info = &change.info;
            if change.is_selfdestructed() || info.is_empty() {
                // Empty accounts that were touched are gone (EIP-161).
                account.now = None;
                account.wipe();
            } else {
                if change.is_created() {
                    account.wipe();
                }
                let storage_root = account.committed.map_or(EMPTY_ROOT, |was| was.storage_root);
                account.now = Some(TrieAccount {
                    nonce: info.nonce,
                    balance: info.balance,
                    storage_root,
                    code_hash: info.code_hash,
                });
                for (number, slot) in &change.storage {
                    if slot.is_changed() {
                        account.set_slot(*number, slot.present_value);
                    }
                }
            }
            self.touch(address);
            if let Some(code) = change.info.code {
                self.keep_code(change.info.code_hash, code);
            }
        }
    }
}
