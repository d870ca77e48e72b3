//! Derivation and execution joined: each block that derivation names is executed, and derivation is
//! told when that cannot be done.

use alloy_primitives::B256;
use tribunal_derivation::{PayloadAttributes, Pipeline};
use tribunal_guest::Oracle;
use tribunal_optimism::Attributes;
use tribunal_rollup::Fork;

use crate::chain::Chain;
use crate::{Boot, Error};

/// The output of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// The block's number.
    pub number: u64,
    /// The output root after it.
    pub root: B256,
}

/// Derives and executes up to the claimed block, or to the end of what L1 holds.
///
/// # Errors
/// If something is not to be had, or contradicts what is agreed.
pub(crate) fn derive<O: Oracle>(mut chain: Chain<'_, O>, boot: &Boot) -> Result<Output, Error> {
    let mut head = chain.head()?;
    let mut pipeline = Pipeline::new(&boot.config, &boot.l1_config, &head, &mut chain)?;
    chain.begin();
    // The last block that stays. Before Holocene that is the last of a whole batch: an invalid block
    // takes those of its span along, so a claim about one of them waits for all.
    let mut safe = head.clone();
    while safe.block.number < boot.claimed_number {
        let Some(attributes) = pipeline.next(&head, &mut chain)? else { break };
        let holocene = boot.config.is_active(Fork::Holocene, attributes.derived_from.time);
        let (number, concludes) = (attributes.number, attributes.concludes);
        head = match chain.execute(block_of(attributes.payload.clone()), !holocene)? {
            Ok(head) => head,
            Err(reason) => {
                if attributes.payload.has_only_deposits() {
                    return Err(Error::DepositsOnly { number, reason });
                }
                let Some(deposits) = pipeline.reject(attributes) else {
                    chain = chain.go_back_to(safe.block.number);
                    head = safe.clone();
                    continue;
                };
                chain
                    .execute(block_of(deposits), false)?
                    .map_err(|reason| Error::DepositsOnly { number, reason })?
            }
        };
        if holocene || concludes {
            safe = head.clone();
        }
    }
    let number = safe.block.number.min(boot.claimed_number);
    let mut chain = chain.go_back_to(number);
    Ok(Output { number, root: chain.output_root()? })
}

/// What derivation says of a block, as execution takes it.
fn block_of(payload: PayloadAttributes) -> Attributes {
    Attributes {
        timestamp: payload.timestamp,
        prev_randao: payload.prev_randao,
        fee_recipient: payload.fee_recipient,
        gas_limit: payload.gas_limit,
        parent_beacon_block_root: payload.parent_beacon_block_root,
        eip1559: payload.eip1559,
        min_base_fee: payload.min_base_fee,
        transactions: payload.transactions,
    }
}
