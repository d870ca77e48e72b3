//! Executing a block: what its attributes make of the state after its parent.
//!
//! The order is the chain's: what happens before any transaction, the transactions, the roots. What
//! each transaction does is `op-revm`'s business, where it does what the chain does; what is
//! otherwise stands here, each with the reason.

use alloc::string::String;
use alloc::vec::Vec;

use alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH;
use alloy_consensus::{Header, Transaction as _};
use alloy_eips::eip2718::{Eip2718Error, Typed2718 as _};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::map::{AddressMap, B256Map};
use alloy_primitives::{Address, B64, B256, Bloom, BloomInput, Bytes, Log, U256, address};
use alloy_rlp::Encodable as _;
use op_alloy_consensus::{DEPOSIT_TX_TYPE_ID, TxDeposit};
use op_revm::{OpEvm, OpSpecId, OpTransaction, OpTransactionError};
use revm::context::result::{EVMError, ExecutionResult};
use revm::context::{BlockEnv, JournalTr as _, TxEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::handler::SystemCallEvm as _;
use revm::handler::instructions::EthInstructions;
use revm::interpreter::interpreter::EthInterpreter;
use revm::{DatabaseCommit as _, ExecuteEvm as _};
use tribunal_keccak::{Keccak256, keccak256};
use tribunal_preimage::Oracle;
use tribunal_rollup::{Fork, RollupConfig};

use crate::fees::Fees;
use crate::header::{Attributes, extra_data, next_base_fee};
use crate::list;
use crate::payload;
use crate::precompiles::{Context, Precompiles};
use crate::preimages::Undecided;
use crate::state::{HISTORY, State};
use crate::transaction::{self, Transaction};
use crate::trie::EMPTY_ROOT;

/// Who calls on behalf of the protocol.
const SYSTEM: Address = address!("0xfffffffffffffffffffffffffffffffffffffffe");

/// The contract that keeps beacon block roots (EIP-4788).
const BEACON_ROOTS: Address = address!("0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02");

/// The predeploy whose storage root is part of an output root.
pub const MESSAGE_PASSER: Address = address!("0x4200000000000000000000000000000000000016");

/// A contract that Canyon puts there, without a transaction.
const CREATE2_DEPLOYER: Address = address!("0x13b0D85CcB8bf860b6b79AF3029fCA081AE9beF2");
const CREATE2_DEPLOYER_CODE: &[u8] = include_bytes!("code/create2_deployer.bin");

/// What came out of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// The header, complete.
    pub header: Header,
    /// Its hash.
    pub hash: B256,
    /// Of each transaction, encoded as the trie of receipts has it.
    pub receipts: Vec<Vec<u8>>,
}

/// Executes a block on top of the head of `state`, which it becomes.
///
/// The nodes and codes that are new are given to `keep` with their hashes.
///
/// # Errors
/// If the block is invalid, or it could not be told. The state is then what it was before, unless
/// the tries could not be read to the end.
pub fn execute<O: Oracle>(
    state: &mut State<O>,
    config: &RollupConfig,
    attributes: &Attributes,
    keep: &mut dyn FnMut(B256, &[u8]),
) -> Result<Executed, Error> {
    let block = Block::begin(state, config, attributes)?;
    state.preimages.for_payload(block.parent_hash, || payload::json(config, attributes))?;
    let outcome = match run(state, &block) {
        Ok(outcome) => outcome,
        Err(error) => {
            let failure = state.take_failure();
            state.discard();
            return Err(failure.map_or(error, Error::Undecided));
        }
    };
    if let Some(failure) = state.take_failure() {
        state.discard();
        return Err(failure.into());
    }
    let header = block.seal(state, &outcome, keep)?;
    let hash = header.hash_slow();
    state.advance(header.clone(), hash);
    Ok(Executed { header, hash, receipts: outcome.receipts })
}

/// Version 0 of the output root after the head of `state`.
///
/// # Errors
/// If the account of the message passer is not to be had.
pub fn output_root<O: Oracle>(state: &mut State<O>) -> Result<B256, Undecided> {
    let storage_root = state.storage_root(MESSAGE_PASSER)?;
    let mut hasher = Keccak256::new();
    hasher.update(&[0; 32]);
    hasher.update(&state.head().state_root.0);
    hasher.update(&storage_root.0);
    hasher.update(&state.head_hash().0);
    Ok(B256::new(hasher.finish()))
}

/// A block that is being made.
struct Block<'a> {
    config: &'a RollupConfig,
    attributes: &'a Attributes,
    fork: Fork,
    number: u64,
    parent_hash: B256,
    base_fee: u64,
    extra_data: Bytes,
}

/// What the transactions came to.
#[derive(Default)]
struct Outcome {
    gas_used: u64,
    footprint: u64,
    bloom: Bloom,
    receipts: Vec<Vec<u8>>,
    hashes: Hashes,
}

/// The hashes that blooms are made of. Few contracts write most logs, of few kinds.
#[derive(Default)]
struct Hashes {
    addresses: AddressMap<B256>,
    topics: B256Map<B256>,
}

/// What a transaction came to.
struct Receipt {
    kind: u8,
    success: bool,
    gas_used: u64,
    logs: Vec<Log>,
    /// Of a deposit from Canyon on: the sender's nonce before it.
    deposit_nonce: Option<u64>,
}

type Evm<'a, O> =
    OpEvm<Context<'a, O>, (), EthInstructions<EthInterpreter, Context<'a, O>>, Precompiles>;

impl<'a> Block<'a> {
    fn begin<O: Oracle>(
        state: &mut State<O>,
        config: &'a RollupConfig,
        attributes: &'a Attributes,
    ) -> Result<Self, Error> {
        let time = attributes.timestamp;
        if config.is_active(Fork::Interop, time) {
            return Err(Undecided::Unsupported { fork: Fork::Interop }.into());
        }
        let parent = state.head();
        if parent.timestamp.checked_add(config.block_time) != Some(time) {
            return Err(InvalidBlock::Timestamp { parent: parent.timestamp, time }.into());
        }
        if attributes.gas_limit > i64::MAX as u64 {
            return Err(InvalidBlock::GasLimit.into());
        }
        let ecotone = config.is_active(Fork::Ecotone, time);
        if ecotone != attributes.parent_beacon_block_root.is_some() {
            return Err(InvalidBlock::BeaconRoot.into());
        }
        let number = parent.number.checked_add(1).ok_or(InvalidBlock::Number)?;
        let block = Self {
            config,
            attributes,
            fork: config.forks.newest(time),
            number,
            parent_hash: state.head_hash(),
            base_fee: next_base_fee(config, parent, time)?,
            extra_data: extra_data(config, attributes)?,
        };
        let history = config.is_active(Fork::Isthmus, parent.timestamp);
        state.use_history(history);
        Ok(block)
    }

    fn is_active(&self, fork: Fork) -> bool {
        self.config.is_active(fork, self.attributes.timestamp)
    }

    fn activates(&self, fork: Fork) -> bool {
        self.config.activates_at(fork, self.attributes.timestamp)
    }

    fn spec(&self) -> OpSpecId {
        match self.fork {
            Fork::Bedrock => OpSpecId::BEDROCK,
            Fork::Regolith => OpSpecId::REGOLITH,
            Fork::Canyon | Fork::Delta => OpSpecId::CANYON,
            Fork::Ecotone => OpSpecId::ECOTONE,
            Fork::Fjord => OpSpecId::FJORD,
            Fork::Granite => OpSpecId::GRANITE,
            Fork::Holocene => OpSpecId::HOLOCENE,
            Fork::Isthmus => OpSpecId::ISTHMUS,
            Fork::Jovian => OpSpecId::JOVIAN,
            // Interop is refused before anything runs.
            Fork::Karst | Fork::Interop => OpSpecId::KARST,
        }
    }

    fn environment(&self) -> BlockEnv {
        BlockEnv {
            number: U256::from(self.number),
            beneficiary: self.attributes.fee_recipient,
            timestamp: U256::from(self.attributes.timestamp),
            gas_limit: self.attributes.gas_limit,
            basefee: self.base_fee,
            prevrandao: Some(self.attributes.prev_randao),
            // Whatever the header says of blobs, the opcode says 1.
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice {
                excess_blob_gas: 0,
                blob_gasprice: 1,
            }),
            ..BlockEnv::default()
        }
    }

    /// Brings the state into the tries and completes the header.
    fn seal<O: Oracle>(
        &self,
        state: &mut State<O>,
        outcome: &Outcome,
        keep: &mut dyn FnMut(B256, &[u8]),
    ) -> Result<Header, Undecided> {
        let attributes = self.attributes;
        let state_root = state.commit_tries(keep)?;
        let withdrawals_root = match () {
            () if self.is_active(Fork::Isthmus) => Some(state.storage_root(MESSAGE_PASSER)?),
            () => self.is_active(Fork::Canyon).then_some(EMPTY_ROOT),
        };
        let ecotone = self.is_active(Fork::Ecotone);
        Ok(Header {
            parent_hash: self.parent_hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: attributes.fee_recipient,
            state_root,
            transactions_root: list::root(&attributes.transactions, &mut |_, _| {}),
            receipts_root: list::root(&outcome.receipts, &mut |_, _| {}),
            logs_bloom: outcome.bloom,
            difficulty: U256::ZERO,
            number: self.number,
            gas_limit: attributes.gas_limit,
            gas_used: outcome.gas_used,
            timestamp: attributes.timestamp,
            extra_data: self.extra_data.clone(),
            mix_hash: attributes.prev_randao,
            nonce: B64::ZERO,
            base_fee_per_gas: Some(self.base_fee),
            withdrawals_root,
            blob_gas_used: ecotone.then_some(outcome.footprint),
            excess_blob_gas: ecotone.then_some(0),
            parent_beacon_block_root: attributes.parent_beacon_block_root,
            requests_hash: self.is_active(Fork::Isthmus).then_some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        })
    }
}

/// Everything from the first system call to the last transaction.
fn run<O: Oracle>(state: &mut State<O>, block: &Block<'_>) -> Result<Outcome, Error> {
    if block.activates(Fork::Canyon) {
        state.set_code(CREATE2_DEPLOYER, Bytes::from_static(CREATE2_DEPLOYER_CODE))?;
    }
    let spec = block.spec();
    let accelerated = state.preimages.is_accelerated();
    let mut context: Context<'_, O> = revm::Context::new(state, spec);
    context.cfg.chain_id = block.config.l2_chain_id;
    context.block = block.environment();
    let mut evm = OpEvm::new(context, ()).with_precompiles(Precompiles::new(spec, accelerated));

    if let Some(root) = block.attributes.parent_beacon_block_root {
        system_call(&mut evm, BEACON_ROOTS, root)?;
    }
    if block.is_active(Fork::Isthmus) {
        system_call(&mut evm, HISTORY, block.parent_hash)?;
    }
    let mut outcome = Outcome::default();
    let mut fees = None;
    for (index, encoded) in block.attributes.transactions.iter().enumerate() {
        let invalid = |reason| InvalidBlock::Transaction { index, reason };
        let receipt = match Transaction::decode(encoded).map_err(invalid)? {
            Transaction::Deposit(deposit) => {
                let room = block.attributes.gas_limit - outcome.gas_used;
                run_deposit(&mut evm, block, room, deposit).map_err(|error| error.at(index))?
            }
            Transaction::Signed(signed) => {
                let fees = match &mut fees {
                    Some(fees) => fees,
                    none => none.insert(Fees::read(db(&mut evm), block.fork)?),
                };
                let size = Fees::size(encoded);
                if block.is_active(Fork::Jovian) {
                    // The block that activates Jovian has no parameters for the limit yet.
                    let fits = !block.activates(Fork::Jovian);
                    outcome.footprint = outcome.footprint.saturating_add(fees.footprint(size));
                    if !fits || outcome.footprint > block.attributes.gas_limit {
                        return Err(invalid(InvalidTransaction::Footprint).into());
                    }
                }
                if signed.gas_limit() > block.attributes.gas_limit - outcome.gas_used {
                    return Err(invalid(InvalidTransaction::BlockGas).into());
                }
                let chain_id = block.config.l2_chain_id;
                let preimages = &mut db(&mut evm).preimages;
                let transaction = transaction::signed(preimages, chain_id, &signed, encoded)?;
                let transaction = transaction.map_err(invalid)?;
                evm.0.ctx.chain = fees.for_transaction(block.number, fees.data_fee(size));
                let result = transact(&mut evm, transaction).map_err(|error| error.at(index))?;
                Receipt::new(signed.ty(), result.tx_gas_used(), result)
            }
        };
        outcome.add(receipt);
    }
    Ok(outcome)
}

impl Receipt {
    fn new<H>(kind: u8, gas_used: u64, result: ExecutionResult<H>) -> Self {
        let (success, logs) = match result {
            ExecutionResult::Success { logs, .. } => (true, logs),
            ExecutionResult::Revert { .. } | ExecutionResult::Halt { .. } => (false, Vec::new()),
        };
        Self { kind, success, gas_used, logs, deposit_nonce: None }
    }

    /// As the trie of receipts has it.
    fn encode(&self, cumulative_gas: u64, bloom: &Bloom) -> Vec<u8> {
        /// Deposit receipts have a version since Canyon.
        const VERSION: u8 = 1;
        let mut length =
            self.success.length() + cumulative_gas.length() + bloom.length() + self.logs.length();
        if let Some(nonce) = self.deposit_nonce {
            length += nonce.length() + VERSION.length();
        }
        let mut out = Vec::with_capacity(length + 6);
        if self.kind != 0 {
            out.push(self.kind);
        }
        alloy_rlp::Header { list: true, payload_length: length }.encode(&mut out);
        self.success.encode(&mut out);
        cumulative_gas.encode(&mut out);
        bloom.encode(&mut out);
        self.logs.encode(&mut out);
        if let Some(nonce) = self.deposit_nonce {
            nonce.encode(&mut out);
            VERSION.encode(&mut out);
        }
        out
    }
}

impl Outcome {
    fn add(&mut self, receipt: Receipt) {
        self.gas_used += receipt.gas_used;
        let mut bloom = Bloom::ZERO;
        for log in &receipt.logs {
            let hash = self.hashes.addresses.entry(log.address);
            let hash = hash.or_insert_with(|| B256::new(keccak256(log.address.as_slice())));
            bloom.accrue(BloomInput::Hash(*hash));
            for topic in log.topics() {
                let hash = self.hashes.topics.entry(*topic);
                let hash = hash.or_insert_with(|| B256::new(keccak256(&topic.0)));
                bloom.accrue(BloomInput::Hash(*hash));
            }
        }
        if !receipt.logs.is_empty() {
            self.bloom.accrue_bloom(&bloom);
        }
        self.receipts.push(receipt.encode(self.gas_used, &bloom));
    }
}

fn db<'b, O: Oracle>(evm: &'b mut Evm<'_, O>) -> &'b mut State<O> {
    evm.0.ctx.journaled_state.db_mut()
}

/// Calls a contract as the protocol does. It matters to nobody how that ends.
fn system_call<O: Oracle>(
    evm: &mut Evm<'_, O>,
    contract: Address,
    input: B256,
) -> Result<(), Undecided> {
    let input = Bytes::copy_from_slice(&input.0);
    evm.system_call_one_with_caller(SYSTEM, contract, input).map_err(|error| match error {
        EVMError::Database(undecided) => undecided,
        other => Undecided::Evm(alloc::format!("{other}")),
    })?;
    let changes = evm.finalize();
    db(evm).commit(changes);
    Ok(())
}

/// Runs one transaction and keeps what it changed.
fn transact<O: Oracle>(
    evm: &mut Evm<'_, O>,
    transaction: OpTransaction<TxEnv>,
) -> Result<ExecutionResult<op_revm::OpHaltReason>, Failed> {
    let result = evm.transact(transaction).map_err(|error| match error {
        EVMError::Transaction(reason) => Failed::Invalid(InvalidTransaction::Rule(reason)),
        EVMError::Database(undecided) => Failed::Undecided(undecided),
        other => Failed::Undecided(Undecided::Evm(alloc::format!("{other}"))),
    })?;
    db(evm).commit(result.state);
    Ok(result.result)
}

/// Why a transaction stops the block.
enum Failed {
    Invalid(InvalidTransaction),
    Undecided(Undecided),
}

impl Failed {
    fn at(self, index: usize) -> Error {
        match self {
            Self::Invalid(reason) => InvalidBlock::Transaction { index, reason }.into(),
            Self::Undecided(undecided) => undecided.into(),
        }
    }
}

impl From<Undecided> for Failed {
    fn from(undecided: Undecided) -> Self {
        Self::Undecided(undecided)
    }
}

/// Runs a deposit, which cannot fail but for the block's gas: what goes wrong in it is in its receipt.
fn run_deposit<O: Oracle>(
    evm: &mut Evm<'_, O>,
    block: &Block<'_>,
    room: u64,
    deposit: TxDeposit,
) -> Result<Receipt, Failed> {
    let regolith = block.is_active(Fork::Regolith);
    let system = deposit.is_system_transaction;
    if system && regolith {
        return Err(Failed::Invalid(InvalidTransaction::SystemDeposit));
    }
    if !system && deposit.gas_limit > room {
        return Err(Failed::Invalid(InvalidTransaction::BlockGas));
    }
    let (from, gas_limit) = (deposit.from, deposit.gas_limit);
    let creates = deposit.to.is_create();
    let nonce = db(evm).nonce(from)?;
    // However long the code is that creates a contract: since September 2026 the specification says
    // that deposits are not held to EIP-3860's limit.
    let result = transact(evm, transaction::deposit(deposit))?;
    let mut receipt = Receipt::new(DEPOSIT_TX_TYPE_ID, result.tx_gas_used(), result);
    if !regolith {
        // All is paid for on L1; the transaction of the protocol is free.
        receipt.gas_used = if system { 0 } else { gas_limit };
        // A creation that fails for want of funds counts all the same; `op-revm` 20 forgets it.
        if creates && db(evm).nonce(from)? == nonce {
            db(evm).change(from, |account| account.nonce = account.nonce.saturating_add(1))?;
        }
    }
    receipt.deposit_nonce = block.is_active(Fork::Canyon).then_some(nonce);
    Ok(receipt)
}

/// Why there is no block.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The rules allow no such block.
    #[error(transparent)]
    Invalid(#[from] InvalidBlock),
    /// It could not be told.
    #[error(transparent)]
    Undecided(#[from] Undecided),
}

/// What is wrong with a block.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBlock {
    /// There is a beacon root before Ecotone, or none after.
    #[error("the beacon block root is there before Ecotone, or missing after")]
    BeaconRoot,
    /// The extra data is not what the fork has there.
    #[error("the extra data is not what its fork has there")]
    ExtraData,
    /// The gas limit is above 2⁶³-1.
    #[error("the gas limit is above 2^63-1")]
    GasLimit,
    /// There is no number after the parent's.
    #[error("there is no block after number 2^64-1")]
    Number,
    /// The block does not follow its parent at once.
    #[error("the time is {time}, which is not one block after the parent's, {parent}")]
    Timestamp {
        /// The parent's, in seconds.
        parent: u64,
        /// The block's.
        time: u64,
    },
    /// A transaction cannot be in the block.
    #[error("transaction {index} cannot be in the block: {reason}")]
    Transaction {
        /// Its index, from 0.
        index: usize,
        /// What is wrong with it.
        reason: InvalidTransaction,
    },
}

/// What is wrong with a transaction.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTransaction {
    /// It may use more gas than is left in the block.
    #[error("its gas limit is more than the block has left")]
    BlockGas,
    /// It cannot be decoded.
    #[error("it cannot be decoded: {0}")]
    Encoding(Eip2718Error),
    /// Its data is more than the block has room for.
    #[error("its data is more than the block has room for")]
    Footprint,
    /// The chain has no transactions of this type.
    #[error("the chain has no transactions of type {kind}")]
    Kind {
        /// The type.
        kind: u8,
    },
    /// It breaks a rule.
    #[error("{0}")]
    Rule(OpTransactionError),
    /// Nobody signed it, or with a high `s`.
    #[error("its signature is none")]
    Signature,
    /// A deposit that pays no gas, which Regolith did away with.
    #[error("it is a system deposit, and Regolith is active")]
    SystemDeposit,
}

impl Error {
    /// What went wrong, with its causes, in a line.
    pub fn in_a_line(&self) -> String {
        use alloc::string::ToString as _;
        use core::error::Error as _;
        let mut said = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let more = error.to_string();
            if !said.contains(&more) {
                said.push_str(": ");
                said.push_str(&more);
            }
            cause = error.source();
        }
        said
    }
}
