//! A chain that crosses every fork, executed over preimages and in another way: by `op-revm` as it
//! comes, over a whole state in memory, whose roots are made from scratch after each block.

#[allow(dead_code, reason = "shared with the other tests of blocks")]
mod support;

use std::collections::BTreeMap;

use alloy_consensus::proofs::{calculate_receipt_root, ordered_trie_root_with_encoder};
use alloy_consensus::{Header, TxEip1559, TxEip2930, TxEip7702, TxEnvelope, TxLegacy};
use alloy_eips::eip1559::{BaseFeeParams, calc_next_block_base_fee};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::Authorization;
use alloy_primitives::bytes::BufMut as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, hex, keccak256};
use alloy_trie::TrieAccount;
use alloy_trie::root::{state_root_unhashed, storage_root_unhashed};
use op_alloy_consensus::{OpReceiptEnvelope, OpTxType, TxDeposit};
use op_revm::transaction::deposit::DepositTransactionParts;
use op_revm::{
    DefaultOp as _, OpBuilder as _, OpSpecId, OpTransaction, estimate_tx_compressed_size,
};
use revm::context::{BlockEnv, CfgEnv, TxEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::context_interface::either::Either;
use revm::database::{CacheDB, EmptyDB};
use revm::handler::SystemCallEvm as _;
use revm::state::AccountInfo;
use revm::{Context, DatabaseCommit as _, ExecuteCommitEvm as _, ExecuteEvm as _};
use tribunal_optimism::{Attributes, Error, Hints, Preimages, State, execute};
use tribunal_rollup::{Eip1559Params, Fork, ForkTimes, RollupConfig, registry};

use support::{Account, DEPOSITOR, L1_BLOCK, Store, WRITER, contract, signed, store_state};

/// Blocks from one fork to the next.
const BLOCKS_PER_FORK: u64 = 20;
const BLOCKS: u64 = 11 * BLOCKS_PER_FORK + 10;
const GENESIS_TIME: u64 = 1_000_000;
const GAS_LIMIT: u64 = 30_000_000;

const MESSAGE_PASSER: Address = address!("0x4200000000000000000000000000000000000016");
const SEQUENCER_VAULT: Address = address!("0x4200000000000000000000000000000000000011");
const CREATE2_DEPLOYER: Address = address!("0x13b0D85CcB8bf860b6b79AF3029fCA081AE9beF2");
const BEACON_ROOTS: Address = address!("0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02");
const HISTORY: Address = address!("0x0000F90827F1C53a10cb7A02335B175320002935");
const SYSTEM: Address = address!("0xfffffffffffffffffffffffffffffffffffffffe");

/// Creates a contract of its input, with the value it was given, and calls it.
const CREATOR: &[u8] = &hex!("366000600037366000" "34f0" "60006000600060006000855af100");
/// Stores the hash of the block that is so many before the current one as its input says.
const ASKER: &[u8] = &hex!("6000358043034090" "5500");
/// Stores its input in a ring of 97 slots by the time.
const RING: &[u8] = &hex!("60003560614206" "5500");
/// Stores its input in a ring of 8191 slots by the parent's number.
const HISTORY_CODE: &[u8] = &hex!("600035611fff600143030655" "00");

/// Contracts to be: one with storage that goes when it is called, one that stays, one that goes
/// before it is there, one that fails.
const INITCODES: [&[u8]; 4] = [
    &hex!("6007600155" "6133ff600052" "6002601ef3"),
    &hex!("6009600155" "6660015460025500600052" "60076019f3"),
    &hex!("33ff"),
    &hex!("fe"),
];

const WRITER_AT: Address = Address::repeat_byte(0xaa);
const CREATOR_AT: Address = Address::repeat_byte(0xcc);
const ASKER_AT: Address = Address::repeat_byte(0xbb);

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn word(&mut self) -> U256 {
        U256::from(self.below(u64::MAX)) << (self.below(4) * 64)
    }
}

/// A transaction, as the block has it and as `op-revm` takes it.
struct Planned {
    encoded: Bytes,
    kind: OpTxType,
    environment: OpTransaction<TxEnv>,
}

fn config() -> RollupConfig {
    let mut config = registry::rollup(10).unwrap();
    config.block_time = 2;
    config.forks = ForkTimes::NONE;
    for (i, fork) in Fork::ALL.into_iter().filter(|fork| *fork <= Fork::Karst).enumerate() {
        let block = i as u64 * BLOCKS_PER_FORK;
        config.forks.set(fork, (i > 0).then_some(GENESIS_TIME + 2 * block));
    }
    config
}

/// What `op-revm` calls the rules.
fn spec(fork: Fork) -> OpSpecId {
    match fork {
        Fork::Bedrock => OpSpecId::BEDROCK,
        Fork::Regolith => OpSpecId::REGOLITH,
        Fork::Canyon | Fork::Delta => OpSpecId::CANYON,
        Fork::Ecotone => OpSpecId::ECOTONE,
        Fork::Fjord => OpSpecId::FJORD,
        Fork::Granite => OpSpecId::GRANITE,
        Fork::Holocene => OpSpecId::HOLOCENE,
        Fork::Isthmus => OpSpecId::ISTHMUS,
        Fork::Jovian => OpSpecId::JOVIAN,
        Fork::Karst | Fork::Interop => OpSpecId::KARST,
    }
}

/// The other way of executing: everything in memory.
struct Reference {
    db: CacheDB<EmptyDB>,
}

impl Reference {
    fn genesis(accounts: &[Account]) -> Self {
        let mut db = CacheDB::new(EmptyDB::new());
        for account in accounts {
            let balance = U256::from(10u64.pow(18));
            db.insert_account_info(account.address, AccountInfo { balance, ..Default::default() });
        }
        for (address, code) in [
            (L1_BLOCK, WRITER),
            (WRITER_AT, WRITER),
            (MESSAGE_PASSER, WRITER),
            (CREATOR_AT, CREATOR),
            (ASKER_AT, ASKER),
            (BEACON_ROOTS, RING),
            (HISTORY, HISTORY_CODE),
        ] {
            db.insert_account_info(address, contract(code.into()));
        }
        Self { db }
    }

    /// All accounts that are there.
    fn accounts(&self) -> BTreeMap<Address, (TrieAccount, BTreeMap<B256, U256>)> {
        let mut accounts = BTreeMap::new();
        for (address, account) in &self.db.cache.accounts {
            let info = &account.info;
            if info.is_empty() {
                continue;
            }
            let slots = account.storage.iter().filter(|(_, value)| !value.is_zero());
            let slots: BTreeMap<_, _> =
                slots.map(|(slot, value)| (B256::from(*slot), *value)).collect();
            let account = TrieAccount {
                nonce: info.nonce,
                balance: info.balance,
                storage_root: storage_root_unhashed(slots.clone()),
                code_hash: info.code_hash,
            };
            accounts.insert(*address, (account, slots));
        }
        accounts
    }

    fn execute(
        &mut self,
        config: &RollupConfig,
        parent: &Header,
        attributes: &Attributes,
        planned: Vec<Planned>,
    ) -> Header {
        let time = attributes.timestamp;
        let is = |fork| config.is_active(fork, time);
        let number = parent.number + 1;
        let parent_hash = parent.hash_slow();
        self.db.cache.block_hashes.insert(U256::from(parent.number), parent_hash);
        if config.activates_at(Fork::Canyon, time) {
            let code = include_bytes!("../src/code/create2_deployer.bin");
            self.db.insert_account_info(
                CREATE2_DEPLOYER,
                AccountInfo { nonce: 0, ..contract(Bytes::from_static(code)) },
            );
        }
        let base_fee = base_fee(config, parent, time);
        let block = BlockEnv {
            number: U256::from(number),
            beneficiary: attributes.fee_recipient,
            timestamp: U256::from(time),
            gas_limit: GAS_LIMIT,
            basefee: base_fee,
            prevrandao: Some(attributes.prev_randao),
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice {
                excess_blob_gas: 0,
                blob_gasprice: 1,
            }),
            ..BlockEnv::default()
        };
        let mut settings = CfgEnv::new_with_spec(spec(config.forks.newest(time)));
        settings.chain_id = config.l2_chain_id;
        let mut evm =
            Context::op().with_db(&mut self.db).with_block(block).with_cfg(settings).build_op();
        let mut calls = Vec::new();
        calls.extend(attributes.parent_beacon_block_root.map(|root| (BEACON_ROOTS, root)));
        calls.extend(is(Fork::Isthmus).then_some((HISTORY, parent_hash)));
        for (contract, input) in calls {
            evm.system_call_one_with_caller(SYSTEM, contract, input.0.into()).unwrap();
            let changes = evm.finalize();
            evm.0.ctx.journaled_state.database.commit(changes);
        }
        let (mut gas_used, mut footprint, mut receipts) = (0, 0, Vec::new());
        for Planned { encoded, kind, environment } in planned {
            let caller = environment.base.caller;
            let deposit = kind == OpTxType::Deposit;
            let nonce = evm.0.ctx.journaled_state.database.cache.accounts.get(&caller);
            let nonce = nonce.map_or(0, |account| account.info.nonce);
            let result = evm.transact_commit(environment).unwrap();
            gas_used += result.tx_gas_used();
            if is(Fork::Jovian) && !deposit {
                let slots = &evm.0.ctx.journaled_state.database.cache.accounts[&L1_BLOCK].storage;
                let word = slots[&U256::from(8)].to_be_bytes::<32>();
                let scalar = u64::from(u16::from_be_bytes([word[18], word[19]]));
                footprint += estimate_tx_compressed_size(&encoded) / 1_000_000 * scalar;
            }
            let logs = if result.is_success() { result.logs() } else { &[] };
            receipts.push(OpReceiptEnvelope::from_parts(
                result.is_success(),
                gas_used,
                logs,
                kind,
                (deposit && is(Fork::Canyon)).then_some(nonce),
                (deposit && is(Fork::Canyon)).then_some(1),
            ));
        }
        drop(evm);
        let accounts = self.accounts();
        let empty_root = storage_root_unhashed(std::iter::empty::<(B256, U256)>());
        let withdrawals =
            if is(Fork::Isthmus) { accounts[&MESSAGE_PASSER].0.storage_root } else { empty_root };
        let logs = receipts.iter().flat_map(OpReceiptEnvelope::logs);
        let logs_bloom = alloy_primitives::logs_bloom(logs);
        let roots = accounts.iter().map(|(address, (account, _))| (*address, *account));
        Header {
            parent_hash,
            beneficiary: attributes.fee_recipient,
            state_root: state_root_unhashed(roots),
            transactions_root: ordered_trie_root_with_encoder(
                &attributes.transactions,
                |item: &Bytes, out| out.put_slice(item),
            ),
            receipts_root: calculate_receipt_root(&receipts),
            logs_bloom,
            number,
            gas_limit: GAS_LIMIT,
            gas_used,
            timestamp: time,
            extra_data: extra_data(attributes),
            mix_hash: attributes.prev_randao,
            base_fee_per_gas: Some(base_fee),
            withdrawals_root: is(Fork::Canyon).then_some(withdrawals),
            blob_gas_used: is(Fork::Ecotone).then_some(footprint),
            excess_blob_gas: is(Fork::Ecotone).then_some(0),
            parent_beacon_block_root: attributes.parent_beacon_block_root,
            requests_hash: is(Fork::Isthmus).then_some(alloy_eips::eip7685::EMPTY_REQUESTS_HASH),
            ..Header::default()
        }
    }
}

fn extra_data(attributes: &Attributes) -> Bytes {
    let mut extra = Vec::new();
    if let Some(params) = attributes.eip1559 {
        extra.push(u8::from(attributes.min_base_fee.is_some()));
        extra.extend(params.denominator.to_be_bytes());
        extra.extend(params.elasticity.to_be_bytes());
        extra.extend(attributes.min_base_fee.into_iter().flat_map(u64::to_be_bytes));
    }
    extra.into()
}

fn base_fee(config: &RollupConfig, parent: &Header, time: u64) -> u64 {
    let extra = &parent.extra_data;
    let word = |at: usize| u128::from(u32::from_be_bytes(extra[at..at + 4].try_into().unwrap()));
    let params = match () {
        () if !extra.is_empty() => BaseFeeParams::new(word(1), word(5)),
        () if config.is_active(Fork::Canyon, time) => BaseFeeParams::new(250, 6),
        () => BaseFeeParams::new(50, 6),
    };
    let jovian = config.is_active(Fork::Jovian, parent.timestamp);
    let footprint = if jovian { parent.blob_gas_used.unwrap() } else { 0 };
    let metered = parent.gas_used.max(footprint);
    let base = parent.base_fee_per_gas.unwrap();
    let next = calc_next_block_base_fee(metered, parent.gas_limit, base, params);
    let least = if jovian { u64::from_be_bytes(extra[9..17].try_into().unwrap()) } else { 0 };
    next.max(least)
}

struct Generator {
    random: Random,
    accounts: Vec<Account>,
    config: RollupConfig,
}

impl Generator {
    fn attributes(&mut self, time: u64) -> Attributes {
        let is = |fork| self.config.is_active(fork, time);
        let params =
            Eip1559Params { denominator: 8 + self.random.below(300) as u32, elasticity: 2 };
        Attributes {
            timestamp: time,
            prev_randao: B256::from(self.random.word()),
            fee_recipient: SEQUENCER_VAULT,
            gas_limit: GAS_LIMIT,
            parent_beacon_block_root: is(Fork::Ecotone).then(|| B256::from(self.random.word())),
            eip1559: is(Fork::Holocene).then_some(params),
            min_base_fee: is(Fork::Jovian).then(|| self.random.below(2_000)),
            transactions: Vec::new(),
        }
    }

    fn block(&mut self, time: u64, base_fee: u64) -> Vec<Planned> {
        let mut list = vec![self.l1_info(time)];
        for _ in 0..self.random.below(3) {
            list.push(self.user_deposit(time));
        }
        // The rules of these blocks are others', or there are none.
        let quiet = [Fork::Ecotone, Fork::Jovian, Fork::Karst];
        if !quiet.iter().any(|fork| self.config.activates_at(*fork, time)) {
            for _ in 0..1 + self.random.below(4) {
                list.push(self.signed(time, base_fee));
            }
        }
        list
    }

    /// Fills in `L1Block`, in its own way.
    fn l1_info(&mut self, time: u64) -> Planned {
        let bedrock = !self.config.is_active(Fork::Regolith, time);
        let mut input = Vec::new();
        let mut store = |slot: u64, value: U256| {
            input.extend(U256::from(slot).to_be_bytes::<32>());
            input.extend(value.to_be_bytes::<32>());
        };
        let number = |random: &mut Random, bound| U256::from(random.below(bound));
        let random = &mut self.random;
        store(1, number(random, 100_000));
        store(3, number(random, 1 << 12) << 96 | (number(random, 1 << 20) << 64));
        store(5, number(random, 3_000));
        store(6, number(random, 1_000_000));
        store(7, number(random, 100) + U256::from(1));
        // A footprint scalar, an operator fee scalar and constant.
        store(8, U256::from(400) << 96 | (number(random, 500) << 64) | number(random, 5_000));
        deposit(TxDeposit {
            source_hash: B256::from(self.random.word() | U256::from(1)),
            from: DEPOSITOR,
            to: TxKind::Call(L1_BLOCK),
            gas_limit: 1_000_000,
            is_system_transaction: bedrock,
            input: input.into(),
            ..TxDeposit::default()
        })
    }

    fn user_deposit(&mut self, time: u64) -> Planned {
        let from = Address::with_last_byte(0x50 + self.random.below(6) as u8);
        let (to, input) = self.action();
        // What a creation without funds does to the nonce is another matter before Regolith.
        let regolith = self.config.is_active(Fork::Regolith, time);
        let affordable = to.is_create() && !regolith;
        let value = if affordable { 0 } else { self.random.below(3) * 1_000 };
        let gas_limit = [20_000, 60_000, 400_000, 900_000][self.random.below(4) as usize];
        // What creates may be longer than a transaction of L2 can have it.
        let (input, gas_limit) = match self.random.below(8) {
            0 if to.is_create() => ([&input[..], &[0; 49_153]].concat().into(), 2_000_000),
            _ => (input, gas_limit),
        };
        deposit(TxDeposit {
            source_hash: B256::from(self.random.word() | U256::from(1)),
            from,
            to,
            mint: u128::from(self.random.below(2) * 1_500),
            value: U256::from(value),
            gas_limit,
            is_system_transaction: false,
            input,
        })
    }

    /// Whom to call with what.
    fn action(&mut self) -> (TxKind, Bytes) {
        let initcode = INITCODES[self.random.below(4) as usize];
        match self.random.below(8) {
            0..3 => {
                let mut input = Vec::new();
                for _ in 0..1 + self.random.below(3) {
                    input.extend(U256::from(self.random.below(30)).to_be_bytes::<32>());
                    let value =
                        if self.random.below(2) == 0 { U256::ZERO } else { self.random.word() };
                    input.extend(value.to_be_bytes::<32>());
                }
                let to = if self.random.below(4) == 0 { MESSAGE_PASSER } else { WRITER_AT };
                (TxKind::Call(to), input.into())
            }
            3..5 => (TxKind::Call(CREATOR_AT), Bytes::from_static(initcode)),
            5 => (TxKind::Create, Bytes::from_static(initcode)),
            6 => {
                let back = U256::from(self.random.below(260)).to_be_bytes::<32>();
                (TxKind::Call(ASKER_AT), back.into())
            }
            _ => (
                TxKind::Call(Address::with_last_byte(0x60 + self.random.below(9) as u8)),
                Bytes::new(),
            ),
        }
    }

    fn signed(&mut self, time: u64, base_fee: u64) -> Planned {
        let chain_id = self.config.l2_chain_id;
        let (to, input) = self.action();
        let value = U256::from(self.random.below(2) * 77);
        let who = self.random.below(self.accounts.len() as u64) as usize;
        let gas_limit = 700_000;
        let tip = u128::from(self.random.below(50));
        let cap = u128::from(base_fee) + tip + u128::from(self.random.below(100));
        let slot = B256::from(U256::from(self.random.below(30)));
        let access_list =
            AccessList(vec![AccessListItem { address: WRITER_AT, storage_keys: vec![slot] }]);
        let kinds = if self.config.is_active(Fork::Isthmus, time) { 5 } else { 4 };
        let kind = self.random.below(kinds);
        let other = (who + 1) % self.accounts.len();
        let nonce = self.accounts[who].nonce;
        self.accounts[who].nonce += 1;
        let account = &self.accounts[who];
        let caller = account.address;
        let mut environment = TxEnv {
            caller,
            gas_limit,
            gas_price: cap,
            kind: to,
            value,
            data: input.clone(),
            nonce,
            chain_id: Some(chain_id),
            ..TxEnv::default()
        };
        let (envelope, kind): (TxEnvelope, _) = match kind {
            0 | 1 => {
                let protected = kind == 1;
                environment.chain_id = protected.then_some(chain_id);
                let tx = TxLegacy {
                    chain_id: environment.chain_id,
                    nonce,
                    gas_price: cap,
                    gas_limit,
                    to,
                    value,
                    input,
                };
                (signed(tx, account).into(), OpTxType::Legacy)
            }
            2 => {
                environment.tx_type = 1;
                environment.access_list = access_list.clone();
                let tx = TxEip2930 {
                    chain_id,
                    nonce,
                    gas_price: cap,
                    gas_limit,
                    to,
                    value,
                    access_list,
                    input,
                };
                (signed(tx, account).into(), OpTxType::Eip2930)
            }
            3 => {
                environment.tx_type = 2;
                environment.access_list = access_list.clone();
                environment.gas_priority_fee = Some(tip);
                let tx = TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: cap,
                    max_priority_fee_per_gas: tip,
                    to,
                    value,
                    access_list,
                    input,
                };
                (signed(tx, account).into(), OpTxType::Eip1559)
            }
            _ => {
                let to = to.to().copied().unwrap_or(WRITER_AT);
                environment.kind = TxKind::Call(to);
                environment.tx_type = 4;
                environment.gas_priority_fee = Some(tip);
                // Lets somebody else be a writer from now on, or nobody.
                let target = if self.random.below(3) == 0 { Address::ZERO } else { WRITER_AT };
                let nonce_of_other = self.accounts[other].nonce;
                let authorization = Authorization {
                    chain_id: U256::from(chain_id),
                    address: target,
                    nonce: nonce_of_other,
                };
                let signature = self.accounts[other].sign(authorization.signature_hash());
                self.accounts[other].nonce += 1;
                let authorization = authorization.into_signed(signature);
                environment.authorization_list = vec![Either::Left(authorization.clone())];
                let tx = TxEip7702 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: cap,
                    max_priority_fee_per_gas: tip,
                    to,
                    value,
                    access_list: AccessList::default(),
                    authorization_list: vec![authorization],
                    input,
                };
                (signed(tx, &self.accounts[who]).into(), OpTxType::Eip7702)
            }
        };
        let encoded = Bytes::from(envelope.encoded_2718());
        let environment = OpTransaction {
            base: environment,
            enveloped_tx: Some(encoded.clone()),
            deposit: DepositTransactionParts::default(),
        };
        Planned { encoded, kind, environment }
    }
}

fn deposit(deposit: TxDeposit) -> Planned {
    let environment = OpTransaction {
        base: TxEnv {
            tx_type: 0x7e,
            caller: deposit.from,
            gas_limit: deposit.gas_limit,
            kind: deposit.to,
            value: deposit.value,
            data: deposit.input.clone(),
            ..TxEnv::default()
        },
        enveloped_tx: None,
        deposit: DepositTransactionParts {
            source_hash: deposit.source_hash,
            mint: Some(deposit.mint),
            is_system_transaction: deposit.is_system_transaction,
        },
    };
    Planned { encoded: deposit.encoded_2718().into(), kind: OpTxType::Deposit, environment }
}

#[test]
fn a_chain_through_every_fork_is_executed_as_by_a_whole_state_in_memory() {
    let config = config();
    let accounts = (1..6).map(Account::new).collect();
    let mut generator = Generator { random: Random(2026), accounts, config: config.clone() };
    let mut reference = Reference::genesis(&generator.accounts);
    let genesis = &reference.db.cache.accounts;
    assert!(genesis.values().all(|account| account.storage.is_empty()));
    let (mut store, state_root) =
        store_state(genesis.iter().map(|(address, account)| (address, &account.info)));
    let mut parent = Header {
        state_root,
        gas_limit: GAS_LIMIT,
        timestamp: GENESIS_TIME,
        base_fee_per_gas: Some(1_000),
        ..Header::default()
    };
    store.keep(parent.hash_slow(), &alloy_rlp::encode(&parent));
    let open = |store: &Store, head: &Header| {
        let preimages = Preimages::new(store.clone()).with_hints(Hints::None);
        State::new(preimages.without_acceleration(), head.clone(), head.hash_slow())
    };
    // One state goes through the whole chain, another is opened anew for each block.
    let mut lasting = open(&store, &parent);
    let (mut failed, mut logs) = (0, 0);
    for i in 1..=BLOCKS {
        let time = GENESIS_TIME + 2 * i;
        let mut attributes = generator.attributes(time);
        let planned = generator.block(time, base_fee(&config, &parent, time));
        attributes.transactions = planned.iter().map(|planned| planned.encoded.clone()).collect();

        // A block that fails at its end leaves nothing behind.
        let mut spoiled = attributes.clone();
        spoiled.transactions.push(Bytes::from_static(&[2]));
        let error = execute(&mut lasting, &config, &spoiled, &mut |_, _| {}).unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error}");

        *lasting.preimages().oracle() = store.clone();
        let mut fresh = open(&store, &parent);
        let executed = execute(&mut fresh, &config, &attributes, &mut |hash, data| {
            assert_eq!(hash, keccak256(data));
            store.keep(hash, data);
        });
        let executed = executed.unwrap_or_else(|error| panic!("block {i}: {}", error.in_a_line()));
        let expected = reference.execute(&config, &parent, &attributes, planned);
        assert_eq!(executed.header, expected, "block {i}");
        let same = execute(&mut lasting, &config, &attributes, &mut |_, _| {});
        assert_eq!(same.unwrap(), executed, "block {i}, by the state that lasts");

        failed += executed.receipts.iter().filter(|receipt| is_failure(receipt)).count();
        logs += usize::from(!executed.header.logs_bloom.is_zero());
        store.keep(executed.hash, &alloy_rlp::encode(&executed.header));
        parent = executed.header;
    }
    assert!(failed > 100 && logs > 200, "{failed} failures, {logs} blocks with logs");
}

/// Whether the status, behind the header of the list, is 0.
fn is_failure(receipt: &[u8]) -> bool {
    let list = if receipt[0] < 0xc0 { &receipt[1..] } else { receipt };
    let mut rest = list;
    alloy_rlp::Header::decode(&mut rest).unwrap();
    rest[0] == 0x80
}
