//! The choice of the next batch: the batch queue before Holocene, the batch stage since. Knows which L1
//! blocks may be origins, which batches wait, and when an empty batch takes the place of one that never
//! came. Batches come from the caller, one at a time.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use tribunal_rollup::RollupConfig;

use crate::batch::{Batch, SingularBatch};
use crate::check::{Context, Validity, check_singular, check_span, check_span_prefix};
use crate::data::L2Data;
use crate::header::L1BlockRef;
use crate::l2::L2BlockRef;
use crate::span::SpanBlocks;
use crate::transactions::Transactions;
use crate::{ChainError, Error};

/// What became of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The next block; whether it is the last of its batch.
    Batch(SingularBatch, bool),
    /// Nothing yet; there may be more in what was read.
    Again,
    /// Nothing yet, and what is left of the channel and the span does not count (since Holocene).
    Flush,
    /// Nothing before more of L1 is read.
    OutOfData,
}

/// What both kinds have.
#[derive(Clone, Debug)]
struct Origins {
    /// The L1 blocks that may be origins of the next blocks: the current epoch first.
    blocks: VecDeque<L1BlockRef>,
    /// The L1 block that data is read from.
    current: L1BlockRef,
}

impl Origins {
    fn new(base: L1BlockRef) -> Self {
        Self { blocks: [base].into(), current: base }
    }

    /// Takes note of the block that data is read from, and lets go of those before the parent's origin.
    fn update(&mut self, origin: L1BlockRef, parent: &L2BlockRef) {
        if self.current != origin {
            self.current = origin;
            if self.is_behind(parent) {
                // No batch is looked at before the parent's origin is reached.
                self.blocks.clear();
            } else {
                self.blocks.push_back(origin);
            }
        }
        let place = self.blocks.iter().position(|block| block.id.number == parent.l1_origin.number);
        if let Some(place) = place {
            self.blocks.drain(..place);
        }
    }

    const fn is_behind(&self, parent: &L2BlockRef) -> bool {
        self.current.id.number < parent.l1_origin.number
    }

    /// The epoch that a batch is looked for. It may be ahead of the parent's by one, if the last one
    /// was filled up with empty blocks.
    fn epoch(&self, parent: &L2BlockRef) -> Result<L1BlockRef, ChainError> {
        let mismatch = ChainError::Epoch { number: parent.number, origin: parent.l1_origin };
        let epoch = self.blocks.front().copied().ok_or(mismatch.clone())?;
        let follows = parent.l1_origin.number.checked_add(1) == Some(epoch.id.number);
        if epoch.id == parent.l1_origin || follows { Ok(epoch) } else { Err(mismatch) }
    }

    /// The empty batch that comes when none did until the sequencing window closed.
    fn empty_batch(
        &mut self,
        config: &RollupConfig,
        out_of_data: bool,
        parent: &L2BlockRef,
    ) -> Option<SingularBatch> {
        let epoch = *self.blocks.front()?;
        let expiry = epoch.id.number.saturating_add(config.seq_window_size);
        let now = self.current.id.number;
        let is_expired = expiry < now || (expiry == now && out_of_data);
        let next_epoch = *self.blocks.get(1).filter(|_| is_expired)?;
        let timestamp = parent.time.saturating_add(config.block_time);
        let is_first = parent.l1_origin.number.checked_add(1) == Some(epoch.id.number);
        if timestamp < next_epoch.time || is_first {
            return Some(SingularBatch {
                parent_hash: parent.hash,
                epoch_number: epoch.id.number,
                epoch_hash: epoch.id.hash,
                timestamp,
                transactions: Transactions::default(),
            });
        }
        self.blocks.pop_front();
        None
    }

    /// The next block of a span, on top of `parent`.
    fn next_of(&self, span: &mut SpanBlocks, parent: &L2BlockRef) -> Option<SingularBatch> {
        let block = span.next()?;
        let origin = self.blocks.iter().find(|l1| l1.id.number == block.epoch_number);
        Some(SingularBatch {
            parent_hash: parent.hash,
            epoch_number: block.epoch_number,
            // An epoch that is none of these is refused by its number.
            epoch_hash: origin.map(|origin| origin.id.hash).unwrap_or_default(),
            timestamp: block.timestamp,
            transactions: block.transactions,
        })
    }
}

/// The batch queue, before Holocene.
#[derive(Clone, Debug)]
pub struct BatchQueue {
    origins: Origins,
    /// Batches that may count yet, with the L1 blocks that they were in.
    waiting: Vec<(Batch, L1BlockRef)>,
    /// What is left of the span batch that was accepted last.
    span: Option<SpanBlocks>,
}

impl BatchQueue {
    /// An empty queue, at the L1 block that reading begins with.
    pub fn new(base: L1BlockRef) -> Self {
        Self { origins: Origins::new(base), waiting: Vec::new(), span: None }
    }

    /// The stage that takes over at Holocene. What waits is forgotten.
    pub fn into_stage(self) -> BatchStage {
        BatchStage { origins: self.origins, span: None }
    }

    /// The next block after `parent`, if it is known without another batch. `None` asks for one.
    pub fn ready(&mut self, config: &RollupConfig, parent: &L2BlockRef) -> Option<Turn> {
        let span = self.span.as_mut().filter(|span| !span.is_empty())?;
        let next_time = parent.time.checked_add(config.block_time);
        if span.peek().map(|block| block.timestamp) == next_time
            && let Some(batch) = self.origins.next_of(span, parent)
        {
            return Some(Turn::Batch(batch, span.is_empty()));
        }
        // The block before was no good, so the rest of its batch is not, either.
        self.span = None;
        None
    }

    /// Takes a batch in, or the fact that there is none in what was read of L1, and looks for the next
    /// block after `parent`.
    ///
    /// # Errors
    /// If an L2 block cannot be had that a batch overlaps, or `parent` does not fit what was read of L1.
    pub fn take<D: L2Data>(
        &mut self,
        config: &RollupConfig,
        origin: L1BlockRef,
        parent: &L2BlockRef,
        batch: Option<Batch>,
        data: &mut D,
    ) -> Result<Turn, Error<D::Error>> {
        self.origins.update(origin, parent);
        let out_of_data = batch.is_none();
        let nothing = if out_of_data { Turn::OutOfData } else { Turn::Again };
        if self.origins.is_behind(parent) {
            return Ok(nothing);
        }
        if let Some(batch) = batch
            && self.check(config, &batch, origin, parent, data)? != Validity::Drop
        {
            self.waiting.push((batch, origin));
        }
        self.origins.epoch(parent)?;

        let mut index = 0;
        while let Some((batch, inclusion)) = self.waiting.get(index) {
            match self.check(config, batch, *inclusion, parent, data)? {
                Validity::Future => index += 1,
                Validity::Drop | Validity::Past => drop(self.waiting.remove(index)),
                Validity::Undecided => return Ok(nothing),
                Validity::Accept => {
                    return Ok(match self.waiting.remove(index).0 {
                        Batch::Singular(batch) => Turn::Batch(batch, true),
                        Batch::Span(batch) => {
                            let mut span = batch.blocks();
                            span.skip_until(parent.time);
                            let batch = self.origins.next_of(&mut span, parent);
                            let concludes = span.is_empty();
                            self.span = Some(span);
                            batch.map_or(nothing, |batch| Turn::Batch(batch, concludes))
                        }
                    });
                }
            }
        }
        let empty = self.origins.empty_batch(config, out_of_data, parent);
        Ok(empty.map_or(nothing, |batch| Turn::Batch(batch, true)))
    }

    fn check<D: L2Data>(
        &self,
        config: &RollupConfig,
        batch: &Batch,
        inclusion: L1BlockRef,
        parent: &L2BlockRef,
        data: &mut D,
    ) -> Result<Validity, Error<D::Error>> {
        let context = Context { config, l1_blocks: &self.origins.blocks, parent, inclusion };
        match batch {
            Batch::Singular(batch) => Ok(check_singular(&context, batch)),
            Batch::Span(batch) => check_span(&context, batch, data),
        }
    }
}

/// The batch stage, since Holocene: a batch is the next one, or none.
#[derive(Clone, Debug)]
pub struct BatchStage {
    origins: Origins,
    /// What is left of the span batch that was accepted last.
    span: Option<SpanBlocks>,
}

impl BatchStage {
    /// A stage at the L1 block that reading begins with.
    pub fn new(base: L1BlockRef) -> Self {
        Self { origins: Origins::new(base), span: None }
    }

    /// Drops what is left of a span.
    pub fn flush(&mut self) {
        self.span = None;
    }

    /// Whether the next block of an accepted span follows `parent`. `None` asks for a batch.
    ///
    /// # Errors
    /// If `parent` does not fit what was read of L1.
    pub fn ready(
        &mut self,
        config: &RollupConfig,
        origin: L1BlockRef,
        parent: &L2BlockRef,
    ) -> Result<Option<Turn>, ChainError> {
        self.origins.update(origin, parent);
        if self.is_draining(parent) {
            return Ok(None);
        }
        self.origins.epoch(parent)?;
        if self.origins.blocks.len() < 2 {
            return Err(ChainError::Epoch { number: parent.number, origin: parent.l1_origin });
        }
        let batch = self.span.as_mut().and_then(|span| self.origins.next_of(span, parent));
        Ok(batch.map(|batch| self.judge(config, parent, batch)))
    }

    /// Takes a batch in, or the fact that there is none in what was read of L1, and says whether it is
    /// the next block after `parent`. [`ready`](Self::ready) has asked for it.
    ///
    /// # Errors
    /// If an L2 block cannot be had that a batch overlaps.
    pub fn take<D: L2Data>(
        &mut self,
        config: &RollupConfig,
        parent: &L2BlockRef,
        batch: Option<Batch>,
        data: &mut D,
    ) -> Result<Turn, Error<D::Error>> {
        if self.is_draining(parent) {
            return Ok(if batch.is_some() { Turn::Again } else { Turn::OutOfData });
        }
        let batch = match batch {
            None => {
                let empty = self.origins.empty_batch(config, true, parent);
                return Ok(empty.map_or(Turn::OutOfData, |batch| Turn::Batch(batch, true)));
            }
            Some(Batch::Singular(batch)) => batch,
            Some(Batch::Span(batch)) => {
                let context = self.context(config, parent);
                match check_span_prefix(&context, &batch, data)?.0 {
                    Validity::Accept => {}
                    Validity::Past | Validity::Undecided => return Ok(Turn::Again),
                    Validity::Drop | Validity::Future => return Ok(Turn::Flush),
                }
                let mut span = batch.blocks();
                span.skip_until(parent.time);
                // The epochs rise from the first block's to one that is known, so if the first is
                // known, all are.
                let least = self.origins.blocks.front().map(|first| first.id.number);
                let is_known = span.peek().is_some_and(|block| {
                    block.epoch_number >= parent.l1_origin.number
                        && least.is_some_and(|least| block.epoch_number >= least)
                });
                if !is_known {
                    return Ok(Turn::Flush);
                }
                let batch = self.origins.next_of(&mut span, parent);
                self.span = Some(span);
                let Some(batch) = batch else { return Ok(Turn::Again) };
                batch
            }
        };
        Ok(self.judge(config, parent, batch))
    }

    /// What is in the parent's origin or before can only be past.
    const fn is_draining(&self, parent: &L2BlockRef) -> bool {
        self.origins.current.id.number <= parent.l1_origin.number
    }

    fn context<'a>(&'a self, config: &'a RollupConfig, parent: &'a L2BlockRef) -> Context<'a> {
        let Origins { blocks, current } = &self.origins;
        Context { config, l1_blocks: blocks, parent, inclusion: *current }
    }

    fn judge(&self, config: &RollupConfig, parent: &L2BlockRef, batch: SingularBatch) -> Turn {
        match check_singular(&self.context(config, parent), &batch) {
            Validity::Accept => Turn::Batch(batch, true),
            Validity::Past | Validity::Undecided => Turn::Again,
            Validity::Drop | Validity::Future => Turn::Flush,
        }
    }
}
