//! The stages joined: from an L2 block to build on to the attributes of the next, block by block of
//! L1. Knows the order in which stages are asked, when L1 goes on, and where reading begins; what each
//! stage does, it knows itself.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use alloy_primitives::Bytes;
use tribunal_rollup::{Fork, L1Config, RollupConfig, SystemConfig};

use crate::attributes::{Attributes, PayloadAttributes, attributes};
use crate::batch::{Batch, SingularBatch};
use crate::batch_queue::{BatchQueue, BatchStage, Turn};
use crate::batcher::{Datum, batcher_data};
use crate::channel::{ChannelAssembler, ChannelBank};
use crate::data::{L1Data, L2Data};
use crate::frame::{Frame, prune, read_frames};
use crate::header::{Header, L1BlockRef};
use crate::l2::L2Head;
use crate::reader::ChannelReader;
use crate::{ChainError, Error, system_config};

/// Derivation under way.
#[derive(Debug)]
pub struct Pipeline<'a> {
    config: &'a RollupConfig,
    l1_config: &'a L1Config,
    reading: Reading<'a>,
    batches: Batches,
    /// A batch whose attributes are not made yet, because L1 data for them could not be had.
    batch: Option<(SingularBatch, bool)>,
}

/// The stages up to batches.
#[derive(Debug)]
struct Reading<'a> {
    config: &'a RollupConfig,
    /// The L1 block that data is read from.
    origin: Header,
    system_config: SystemConfig,
    /// The block's data that was not read yet; `None` before anybody looked.
    data: Option<VecDeque<Datum>>,
    frames: VecDeque<Frame>,
    channels: Channels,
    reader: ChannelReader,
}

#[derive(Debug)]
enum Channels {
    Bank(ChannelBank),
    Assembler(ChannelAssembler),
}

#[derive(Debug)]
enum Batches {
    Queue(BatchQueue),
    Stage(BatchStage),
}

impl<'a> Pipeline<'a> {
    /// Starts with the agreed block `head`. Reading begins so many blocks before its L1 origin that no
    /// channel is missed that was still open there.
    ///
    /// # Errors
    /// If something cannot be had, or the chain cannot be derived at all.
    pub fn new<E, D: L1Data<Error = E> + L2Data<Error = E>>(
        config: &'a RollupConfig,
        l1_config: &'a L1Config,
        head: &L2Head,
        data: &mut D,
    ) -> Result<Self, Error<E>> {
        if config.alt_da {
            return Err(ChainError::AltDa.into());
        }
        let genesis = &config.genesis;
        let reached = head.block.l1_origin.number;
        let mut start = head.clone();
        let mut origin = data.l1_header(start.block.l1_origin.hash).map_err(Error::Data)?;
        while start.block.number > genesis.l2.number
            && start.block.l1_origin.number > genesis.l1.number
            && start.block.l1_origin.number.saturating_add(config.channel_timeout(origin.timestamp))
                > reached
        {
            start = L2Head::read(config, start.header.parent_hash, data)?;
            if start.block.l1_origin.hash != origin.hash {
                origin = data.l1_header(start.block.l1_origin.hash).map_err(Error::Data)?;
            }
        }
        let base = L1BlockRef::from(&origin);
        let holocene = config.is_active(Fork::Holocene, base.time);
        let reading = Reading {
            config,
            origin,
            system_config: start.system_config,
            data: None,
            frames: VecDeque::new(),
            channels: if holocene {
                Channels::Assembler(ChannelAssembler::default())
            } else {
                Channels::Bank(ChannelBank::default())
            },
            reader: ChannelReader::default(),
        };
        let batches = if holocene {
            Batches::Stage(BatchStage::new(base))
        } else {
            Batches::Queue(BatchQueue::new(base))
        };
        Ok(Self { config, l1_config, reading, batches, batch: None })
    }

    /// The L1 block that data is read from.
    pub const fn origin(&self) -> &Header {
        &self.reading.origin
    }

    /// The attributes of the block after `parent`, or `None` if L1 holds no more.
    ///
    /// # Errors
    /// If something cannot be had, or contradicts what is agreed.
    pub fn next<E, D: L1Data<Error = E> + L2Data<Error = E>>(
        &mut self,
        parent: &L2Head,
        data: &mut D,
    ) -> Result<Option<Attributes>, Error<E>> {
        while self.batch.is_none() {
            match self.turn(parent, data)? {
                Turn::Batch(batch, concludes) => self.batch = Some((batch, concludes)),
                Turn::Again => {}
                Turn::Flush => self.flush(),
                Turn::OutOfData => {
                    if !self.advance(data)? {
                        return Ok(None);
                    }
                }
            }
        }
        let Some((batch, concludes)) = &self.batch else { return Ok(None) };
        let payload = attributes(self.config, self.l1_config, parent, batch, data)?;
        let attributes = Attributes {
            payload,
            parent: parent.block.hash,
            number: parent.block.number.saturating_add(1),
            derived_from: L1BlockRef::from(&self.reading.origin),
            concludes: *concludes,
        };
        self.batch = None;
        Ok(Some(attributes))
    }

    /// Tells that the block with these attributes is invalid. Since Holocene another one comes in its
    /// place, with deposits only, and what is left of channel and span does not count. Before, the
    /// whole batch is gone: derivation goes on from the block before it.
    pub fn reject(&mut self, attributes: Attributes) -> Option<PayloadAttributes> {
        if !self.config.is_active(Fork::Holocene, attributes.derived_from.time) {
            return None;
        }
        self.flush();
        Some(attributes.payload.deposits_only())
    }

    fn turn<E, D: L1Data<Error = E> + L2Data<Error = E>>(
        &mut self,
        parent: &L2Head,
        data: &mut D,
    ) -> Result<Turn, Error<E>> {
        let origin = L1BlockRef::from(&self.reading.origin);
        let parent = &parent.block;
        match &mut self.batches {
            Batches::Queue(queue) => {
                if let Some(turn) = queue.ready(self.config, parent) {
                    return Ok(turn);
                }
                let batch = self.reading.next_batch(data)?;
                queue.take(self.config, origin, parent, batch, data)
            }
            Batches::Stage(stage) => {
                if let Some(turn) = stage.ready(self.config, origin, parent)? {
                    return Ok(turn);
                }
                let batch = self.reading.next_batch(data)?;
                stage.take(self.config, parent, batch, data)
            }
        }
    }

    /// Drops channel and span; frames stay.
    fn flush(&mut self) {
        self.reading.reader.flush();
        if let Channels::Assembler(assembler) = &mut self.reading.channels {
            assembler.flush();
        }
        if let Batches::Stage(stage) = &mut self.batches {
            stage.flush();
        }
    }

    /// Goes on to the next L1 block. False if there is none.
    fn advance<E, D: L1Data<Error = E>>(&mut self, data: &mut D) -> Result<bool, Error<E>> {
        let before = L1BlockRef::from(&self.reading.origin);
        let Some(number) = before.id.number.checked_add(1) else { return Ok(false) };
        let Some(header) = data.l1_header_by_number(number).map_err(Error::Data)? else {
            return Ok(false);
        };
        if header.parent_hash != before.id.hash {
            return Err(ChainError::Reorg { block: header.id() }.into());
        }
        // A new batcher is the batcher of the very block that names it.
        if header.may_have_logs_of(self.config.l1_system_config) {
            let receipts = data.l1_receipts(&header).map_err(Error::Data)?;
            let system_config = &mut self.reading.system_config;
            system_config::update(system_config, &receipts, self.config, header.timestamp)
                .ok_or(ChainError::Receipts { block: header.id() })?;
        }
        let is_holocene = |time| self.config.is_active(Fork::Holocene, time);
        if is_holocene(header.timestamp) && !is_holocene(before.time) {
            self.reading.frames.clear();
            self.reading.channels = Channels::Assembler(ChannelAssembler::default());
            let base = BatchQueue::new(before);
            if let Batches::Queue(queue) = &mut self.batches {
                self.batches = Batches::Stage(core::mem::replace(queue, base).into_stage());
            }
        }
        self.reading.origin = header;
        self.reading.data = None;
        Ok(true)
    }
}

impl Reading<'_> {
    /// The next batch in what was read of L1, or `None`.
    fn next_batch<D: L1Data>(&mut self, data: &mut D) -> Result<Option<Batch>, Error<D::Error>> {
        let origin = L1BlockRef::from(&self.origin);
        loop {
            if let Some(batch) = self.reader.next(self.config, origin) {
                return Ok(Some(batch));
            }
            let Some(channel) = self.next_channel(data)? else { return Ok(None) };
            self.reader.open(self.config, origin, channel);
        }
    }

    /// The data of the next channel that is complete.
    fn next_channel<D: L1Data>(
        &mut self,
        data: &mut D,
    ) -> Result<Option<Vec<u8>>, Error<D::Error>> {
        let origin = L1BlockRef::from(&self.origin);
        if let Channels::Assembler(assembler) = &mut self.channels {
            assembler.expire(self.config, origin);
        }
        loop {
            if let Channels::Bank(bank) = &mut self.channels
                && let Some(channel) = bank.read(self.config, origin)
            {
                return Ok(Some(channel));
            }
            let Some(frame) = self.next_frame(data)? else { return Ok(None) };
            match &mut self.channels {
                Channels::Bank(bank) => bank.ingest(self.config, origin, frame),
                Channels::Assembler(assembler) => {
                    if let Some(channel) = assembler.ingest(self.config, origin, frame) {
                        return Ok(Some(channel));
                    }
                }
            }
        }
    }

    fn next_frame<D: L1Data>(&mut self, data: &mut D) -> Result<Option<Frame>, Error<D::Error>> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(Some(frame));
            }
            let Some(bytes) = self.next_datum(data)? else { return Ok(None) };
            self.frames.extend(read_frames(&bytes).unwrap_or_default());
            if self.config.is_active(Fork::Holocene, self.origin.timestamp) {
                prune(&mut self.frames);
            }
        }
    }

    /// The next bytes that the batcher sent, in this L1 block.
    fn next_datum<D: L1Data>(&mut self, data: &mut D) -> Result<Option<Bytes>, Error<D::Error>> {
        let queue = match &mut self.data {
            Some(queue) => queue,
            None => {
                let batcher = self.system_config.batcher;
                let found = batcher_data(self.config, &self.origin, batcher, data)?;
                self.data.insert(found.into())
            }
        };
        while let Some(datum) = queue.pop_front() {
            if let Some(bytes) = datum.bytes(&self.origin, data)? {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}
