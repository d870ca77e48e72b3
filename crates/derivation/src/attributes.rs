//! Payload attributes: all that decides an L2 block before it is executed. Knows how they follow from
//! a batch, the block before and the L1 origin.

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, Bytes, address};
use tribunal_rollup::{Eip1559Params, Fork, L1Config, RollupConfig};

use crate::batch::SingularBatch;
use crate::data::L1Data;
use crate::deposit::deposits;
use crate::header::L1BlockRef;
use crate::l1_info::L1Info;
use crate::l2::L2Head;
use crate::system_config;
use crate::transactions::DEPOSIT;
use crate::upgrades::upgrade;
use crate::{ChainError, Error};

/// Who gets the tips.
pub const FEE_RECIPIENT: Address = address!("4200000000000000000000000000000000000011");

/// What an L2 block is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadAttributes {
    /// The time, in seconds.
    pub timestamp: u64,
    /// The randomness.
    pub prev_randao: B256,
    /// The fee recipient.
    pub fee_recipient: Address,
    /// Whether there is a list of withdrawals, which is empty (since Canyon).
    pub withdrawals: bool,
    /// The parent beacon block root (since Ecotone).
    pub parent_beacon_block_root: Option<B256>,
    /// The transactions in their EIP-2718 bytes; no others may be added.
    pub transactions: Vec<Bytes>,
    /// The gas limit.
    pub gas_limit: u64,
    /// The parameters of the next base fee (since Holocene); zeroes mean the chain's own.
    pub eip1559: Option<Eip1559Params>,
    /// The least next base fee, in wei (since Jovian).
    pub min_base_fee: Option<u64>,
}

impl PayloadAttributes {
    /// The same without what the sequencer put in: what a block becomes that cannot be executed.
    pub fn deposits_only(mut self) -> Self {
        self.transactions.retain(is_deposit);
        self
    }

    /// Whether the sequencer put nothing in.
    pub fn has_only_deposits(&self) -> bool {
        self.transactions.iter().all(is_deposit)
    }
}

fn is_deposit(transaction: &Bytes) -> bool {
    transaction.first() == Some(&DEPOSIT)
}

/// Attributes, and where they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// What the block is to be.
    pub payload: PayloadAttributes,
    /// The hash of the block that it is to follow.
    pub parent: B256,
    /// The number of the block that it is to be.
    pub number: u64,
    /// The L1 block up to which L1 was read for it.
    pub derived_from: L1BlockRef,
    /// Whether it is the last block of its batch. Before Holocene the blocks of a batch stand or fall
    /// together.
    pub concludes: bool,
}

/// Makes the attributes of the block that `batch` puts after `parent`.
///
/// # Errors
/// If L1 cannot be had, or does not fit the batch.
pub fn attributes<D: L1Data>(
    config: &RollupConfig,
    l1_config: &L1Config,
    parent: &L2Head,
    batch: &SingularBatch,
    data: &mut D,
) -> Result<PayloadAttributes, Error<D::Error>> {
    let time = batch.timestamp;
    let expected = parent.block.time.checked_add(config.block_time);
    if batch.parent_hash != parent.block.hash || expected != Some(time) {
        return Err(ChainError::Batch { number: parent.block.number }.into());
    }
    if config.is_active(Fork::Interop, time) {
        return Err(ChainError::Unsupported { fork: Fork::Interop }.into());
    }
    let origin = data.l1_header(batch.epoch_hash).map_err(Error::Data)?;
    let mut system_config = parent.system_config;
    let advances = batch.epoch_number != parent.block.l1_origin.number;
    let follows = if advances {
        origin.parent_hash == parent.block.l1_origin.hash
    } else {
        origin.hash == parent.block.l1_origin.hash
    };
    if !follows || origin.number != batch.epoch_number || time < origin.timestamp {
        return Err(ChainError::Origin { origin: origin.id(), number: parent.block.number }.into());
    }

    let mut user_deposits = Vec::new();
    let contracts = [config.deposit_contract, config.l1_system_config];
    if advances && contracts.into_iter().any(|contract| origin.may_have_logs_of(contract)) {
        let receipts = data.l1_receipts(&origin).map_err(Error::Data)?;
        user_deposits =
            deposits(&receipts, config.deposit_contract, origin.hash).map_err(|log| {
                log.map_or(ChainError::Receipts { block: origin.id() }, |log| ChainError::Deposit {
                    block: origin.id(),
                    log,
                })
            })?;
        system_config::update(&mut system_config, &receipts, config, origin.timestamp)
            .ok_or(ChainError::Receipts { block: origin.id() })?;
    }
    let sequence_number = if advances { 0 } else { parent.block.sequence_number.saturating_add(1) };

    let blob_base_fee = l1_config.blob_base_fee(
        origin.timestamp,
        origin.excess_blob_gas,
        config.pectra_blob_schedule_time,
    );
    let info = L1Info::new(&origin, blob_base_fee, sequence_number, &system_config);
    let info =
        info.deposit(config, time).ok_or(ChainError::Scalar { word: system_config.scalar })?;

    let (upgrades, extra_gas) = upgrade(config, time);
    let mut transactions =
        Vec::with_capacity(1 + user_deposits.len() + upgrades.len() + batch.transactions.len());
    transactions.push(info.encode().into());
    transactions.extend(user_deposits.iter().map(|deposit| Bytes::from(deposit.encode())));
    transactions.extend(upgrades);
    transactions.extend(batch.transactions.iter());

    let is_active = |fork| config.is_active(fork, time);
    Ok(PayloadAttributes {
        timestamp: time,
        prev_randao: origin.mix_digest,
        fee_recipient: FEE_RECIPIENT,
        withdrawals: is_active(Fork::Canyon),
        parent_beacon_block_root: is_active(Fork::Ecotone)
            .then(|| origin.parent_beacon_root.unwrap_or_default()),
        transactions,
        gas_limit: system_config.gas_limit.saturating_add(extra_gas),
        eip1559: is_active(Fork::Holocene).then_some(system_config.eip1559),
        min_base_fee: is_active(Fork::Jovian).then_some(system_config.min_base_fee),
    })
}
