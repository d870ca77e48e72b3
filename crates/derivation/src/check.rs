//! Whether a batch fits the chain as it is. Knows the rules for singular and span batches before and
//! since Holocene, in the order in which they apply; knows nothing of what happens to a batch then.

use alloc::collections::VecDeque;

use tribunal_rollup::{Fork, RollupConfig};

use crate::Error;
use crate::batch::SingularBatch;
use crate::data::L2Data;
use crate::header::L1BlockRef;
use crate::l2::L2BlockRef;
use crate::span::SpanBatch;
use crate::transactions::{DEPOSIT, SET_CODE, Transactions};

/// What is to be done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// It is the next block.
    Accept,
    /// It never will be.
    Drop,
    /// It may be later (before Holocene).
    Future,
    /// Its block is there already (since Holocene).
    Past,
    /// More of L1 has to be known first.
    Undecided,
}

use Validity::{Accept, Drop, Future, Past, Undecided};

/// What a batch is held against.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The chain.
    pub config: &'a RollupConfig,
    /// The L1 blocks that may be origins of the next blocks: the current epoch first.
    pub l1_blocks: &'a VecDeque<L1BlockRef>,
    /// The block to build on.
    pub parent: &'a L2BlockRef,
    /// The L1 block that the batch was in, or was completed in.
    pub inclusion: L1BlockRef,
}

impl Context<'_> {
    fn is_holocene(&self) -> bool {
        self.config.is_active(Fork::Holocene, self.inclusion.time)
    }

    const fn next_time(&self) -> u64 {
        self.parent.time.wrapping_add(self.config.block_time)
    }

    fn is_too_late(&self, epoch: u64) -> bool {
        epoch.wrapping_add(self.config.seq_window_size) < self.inclusion.id.number
    }

    /// Whether a block at `time` is further ahead of its origin than a sequencer may be.
    fn is_beyond_drift(&self, time: u64, origin: L1BlockRef) -> bool {
        time > origin.time.saturating_add(self.config.max_sequencer_drift(origin.time))
    }

    /// The rules that transactions of a block at `time` have to keep before anybody executes them.
    fn may_hold(&self, transactions: &Transactions, time: u64) -> bool {
        transactions.iter().all(|transaction| match transaction.first() {
            None | Some(&DEPOSIT) => false,
            Some(&SET_CODE) => self.config.is_active(Fork::Isthmus, time),
            Some(_) => true,
        })
    }
}

/// Checks a singular batch, or a block of a span batch since Holocene.
pub fn check_singular(context: &Context<'_>, batch: &SingularBatch) -> Validity {
    let Context { config, l1_blocks, parent, .. } = context;
    let Some(&epoch) = l1_blocks.front() else { return Undecided };
    let next_time = context.next_time();
    if batch.timestamp > next_time {
        return if context.is_holocene() { Drop } else { Future };
    }
    if batch.timestamp < next_time {
        return if context.is_holocene() { Past } else { Drop };
    }
    if batch.parent_hash != parent.hash || context.is_too_late(batch.epoch_number) {
        return Drop;
    }
    let origin = if batch.epoch_number == epoch.id.number {
        epoch
    } else if batch.epoch_number == epoch.id.number.wrapping_add(1) {
        let Some(&next) = l1_blocks.get(1) else { return Undecided };
        next
    } else {
        return Drop;
    };
    if batch.epoch_hash != origin.id.hash || batch.timestamp < origin.time {
        return Drop;
    }
    let activates = |fork| config.activates_at(fork, batch.timestamp);
    let is_empty = batch.transactions.is_empty();
    if !is_empty && [Fork::Jovian, Fork::Karst, Fork::Interop].into_iter().any(activates) {
        return Drop;
    }
    if context.is_beyond_drift(batch.timestamp, origin) {
        if !is_empty {
            return Drop;
        }
        if origin == epoch {
            // The sequencer could have gone on to the next origin, if there was one in time.
            let Some(next) = l1_blocks.get(1) else { return Undecided };
            if batch.timestamp >= next.time {
                return Drop;
            }
        }
    }
    if context.may_hold(&batch.transactions, batch.timestamp) { Accept } else { Drop }
}

/// Checks what can be said of a span batch without looking at its blocks. Gives the block that it
/// builds on, too, if it is accepted.
///
/// # Errors
/// If that block cannot be read.
pub fn check_span_prefix<D: L2Data>(
    context: &Context<'_>,
    batch: &SpanBatch,
    data: &mut D,
) -> Result<(Validity, L2BlockRef), Error<D::Error>> {
    let Context { config, l1_blocks, parent, .. } = context;
    let mut base = **parent;
    let verdict = |validity| Ok((validity, **parent));
    let Some(&epoch) = l1_blocks.front() else { return verdict(Undecided) };
    let first_epoch = batch.first_epoch();
    let mut origin = epoch;
    if first_epoch == epoch.id.number.wrapping_add(1) {
        let Some(&next) = l1_blocks.get(1) else { return verdict(Undecided) };
        origin = next;
    }
    if !config.is_active(Fork::Delta, origin.time) {
        return verdict(Drop);
    }
    let next_time = context.next_time();
    if batch.timestamp > next_time {
        return verdict(if context.is_holocene() { Drop } else { Future });
    }
    if batch.last_timestamp() < next_time {
        return verdict(if context.is_holocene() { Past } else { Drop });
    }
    if batch.timestamp < next_time {
        if batch.timestamp > parent.time {
            return verdict(Drop);
        }
        let age = parent.time - batch.timestamp;
        if !age.is_multiple_of(config.block_time) {
            return verdict(Drop);
        }
        let number = parent.number.checked_sub(age / config.block_time.max(1) + 1);
        let Some(number) = number.filter(|number| *number >= config.genesis.l2.number) else {
            // There is no such block, and there never will be.
            return verdict(Undecided);
        };
        base = crate::l2::ancestor(config, parent, number, data)?.block;
    }
    if !batch.is_parent(base.hash)
        || context.is_too_late(first_epoch)
        || first_epoch > base.l1_origin.number.wrapping_add(1)
    {
        return verdict(Drop);
    }
    let last = l1_blocks.iter().find(|block| block.id.number == batch.last_epoch);
    match last {
        None => return verdict(Undecided),
        Some(last) if !batch.is_last_origin(last.id.hash) => return verdict(Drop),
        Some(_) => {}
    }
    if first_epoch < base.l1_origin.number {
        return verdict(Drop);
    }
    Ok((Accept, base))
}

/// Checks all of a span batch, as it was before Holocene.
///
/// # Errors
/// If a block that it overlaps cannot be read.
pub fn check_span<D: L2Data>(
    context: &Context<'_>,
    batch: &SpanBatch,
    data: &mut D,
) -> Result<Validity, Error<D::Error>> {
    let (validity, base) = check_span_prefix(context, batch, data)?;
    if validity != Accept {
        return Ok(validity);
    }
    let Context { config, l1_blocks, parent, .. } = context;
    let mut previous_epoch = base.l1_origin.number;
    for block in batch.clone().blocks() {
        let advances = block.epoch_number > previous_epoch;
        previous_epoch = block.epoch_number;
        if block.timestamp <= parent.time {
            continue;
        }
        if block.epoch_number < parent.l1_origin.number {
            return Ok(Drop);
        }
        let place = l1_blocks.iter().position(|l1| l1.id.number == block.epoch_number);
        let Some((place, origin)) = place.and_then(|place| Some((place, *l1_blocks.get(place)?)))
        else {
            return Ok(Drop);
        };
        if block.timestamp < origin.time {
            return Ok(Drop);
        }
        if context.is_beyond_drift(block.timestamp, origin) {
            if !block.transactions.is_empty() {
                return Ok(Drop);
            }
            if !advances {
                let Some(next) = l1_blocks.get(place + 1) else { return Ok(Undecided) };
                if block.timestamp >= next.time {
                    return Ok(Drop);
                }
            }
        }
        if !context.may_hold(&block.transactions, block.timestamp) {
            return Ok(Drop);
        }
    }
    // What it says of blocks that are there already must be what they are.
    let overlapped = parent.number - base.number;
    for (number, block) in (base.number + 1..).zip(batch.clone().blocks()).take(overlapped as usize)
    {
        let safe = crate::l2::ancestor(config, parent, number, data)?;
        let transactions = data.l2_transactions(&safe.header).map_err(Error::Data)?;
        let sequenced = transactions.iter().filter(|bytes| bytes.first() != Some(&DEPOSIT));
        if safe.block.l1_origin.number != block.epoch_number
            || !sequenced.cloned().eq(block.transactions.iter())
        {
            return Ok(Drop);
        }
    }
    Ok(Accept)
}
