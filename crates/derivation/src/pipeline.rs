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
use crate::upgrades::KARST_GAS;
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
    /// The highest gas limit that was set by now, from the first block on that is still to be made.
    gas_limit: u64,
    /// How much more than that a block may have.
    extra_gas: u64,
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
    /// If something cannot be had, the L1 chain is not the one that `head` comes from, or the chain
    /// cannot be derived at all.
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
        let l1_origin = head.block.l1_origin;
        // Where L1 ends before it went on from here, nothing later would show that it is another one.
        let on_l1 = data.l1_header_by_number(l1_origin.number).map_err(Error::Data)?;
        if on_l1.is_none_or(|header| header.hash != l1_origin.hash) {
            return Err(ChainError::L1Head { number: head.block.number, origin: l1_origin }.into());
        }
        let reached = l1_origin.number;
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
        // Karst's first block has more gas than was set, for what it inserts, and hands that on.
        let karst = config.forks.time(Fork::Karst).filter(|karst| *karst > head.block.time);
        let reading = Reading {
            config,
            origin,
            system_config: start.system_config,
            gas_limit: head.system_config.gas_limit.max(start.system_config.gas_limit),
            extra_gas: karst.map_or(0, |_| KARST_GAS),
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
            self.reading.gas_limit = self.reading.gas_limit.max(system_config.gas_limit);
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
        // What a later L1 block makes of the gas limit matters to no batch read by now: it would have to
        // name that block by its hash.
        let gas_limit = self.gas_limit.saturating_add(self.extra_gas);
        loop {
            if let Some(batch) = self.reader.next(self.config, origin, gas_limit) {
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

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use alloy_primitives::{B256, U256};
    use tribunal_keccak::keccak256;
    use tribunal_rollup::{BlobSchedule, Eip1559Params};

    use super::*;
    use crate::l1_info::L1Info;
    use crate::receipts::tests::{abi, receipt};
    use crate::span::{Chain, SpanBlock, encode_span};
    use crate::testing::{Memory, config, header};
    use crate::transactions::Transactions;
    use crate::upgrades;

    static L1: L1Config =
        L1Config { chain_id: 900, blob_schedule: BlobSchedule { params: Vec::new() } };

    fn l1(number: u64) -> Header {
        header(number, 1000 + 12 * (number - 5))
    }

    fn l2_hash(number: u64) -> B256 {
        B256::new(keccak256(&[number as u8, 2]))
    }

    /// A hundred L2 blocks, each with an L1 origin of its own, from L1 block 5 on.
    fn world(config: &RollupConfig) -> Memory {
        let mut data = Memory::default();
        let genesis = Header { hash: config.genesis.l1.hash, ..l1(5) };
        data.l1.insert(genesis.hash, genesis);
        for number in 0..=100_u64 {
            let origin = l1(5 + number);
            data.l1.insert(origin.hash, origin.clone());
            let mut block = header(number, 1000 + 12 * number);
            block.hash = if number == 0 { config.genesis.l2.hash } else { l2_hash(number) };
            block.parent_hash =
                if number == 1 { config.genesis.l2.hash } else { l2_hash(number.wrapping_sub(1)) };
            let info = L1Info { origin: origin.id(), ..L1Info::default() };
            let info = info.deposit(config, block.timestamp).expect("a known scalar").encode();
            if config.is_active(Fork::Holocene, block.timestamp) {
                block.extra_data = vec![0, 0, 0, 0, 250, 0, 0, 0, 6].into();
            }
            data.l2_transactions.insert(block.hash, vec![info.into()]);
            data.l2.insert(block.hash, block);
        }
        data
    }

    fn start(config: &RollupConfig, head: u64) -> u64 {
        let mut data = world(config);
        let head = L2Head::read(config, l2_hash(head), &mut data).expect("memory");
        Pipeline::new(config, &L1, &head, &mut data).expect("a pipeline").origin().number
    }

    #[test]
    fn reading_begins_where_no_channel_can_be_open_any_more() {
        let mut config = config(Fork::Fjord);
        config.block_time = 12;
        config.channel_timeout = 60;
        assert_eq!(start(&config, 100), 45, "of L1 block 105");
        assert_eq!(start(&config, 30), 5, "not before genesis");
        // The timeout is that of the L1 block looked at, not of the agreed block.
        config.forks.set(Fork::Granite, Some(l1(100).timestamp));
        assert_eq!(start(&config, 100), 45);
        config.forks.set(Fork::Granite, Some(l1(55).timestamp));
        assert_eq!(start(&config, 100), 55);
    }

    #[test]
    fn a_chain_that_is_not_on_l1_is_refused() {
        let mut config = config(Fork::Fjord);
        config.alt_da = true;
        let mut data = world(&config);
        let head = L2Head::read(&config, l2_hash(3), &mut data).expect("memory");
        let refused = Pipeline::new(&config, &L1, &head, &mut data);
        assert_eq!(refused.err(), Some(Error::Chain(ChainError::AltDa)));
    }

    #[test]
    fn l1_must_hold_the_origin_of_the_agreed_block() {
        let config = config(Fork::Fjord);
        let mut data = world(&config);
        let head = L2Head::read(&config, l2_hash(30), &mut data).expect("memory");
        let origin = head.block.l1_origin;
        assert_eq!(origin, l1(35).id());
        let refused = Err(Error::Chain(ChainError::L1Head { number: 30, origin }));
        let start = |data: &mut Memory| Pipeline::new(&config, &L1, &head, data).map(drop);
        assert_eq!(start(&mut data), Ok(()));
        // The head is the origin itself, then the block before it.
        data.l1.retain(|_, header| header.number <= origin.number);
        assert_eq!(start(&mut data), Ok(()));
        data.l1.retain(|_, header| header.number < origin.number);
        assert_eq!(start(&mut data), refused);
        // Another block with that number, be it the head or not.
        let other = Header { hash: B256::repeat_byte(7), ..l1(35) };
        data.l1.insert(other.hash, other);
        assert_eq!(start(&mut data), refused);
        data.l1.insert(l1(36).hash, l1(36));
        assert_eq!(start(&mut data), refused);
    }

    #[test]
    fn an_invalid_block_is_replaced_since_holocene_by_the_time_of_l1() {
        let mut config = config(Fork::Granite);
        config.forks.set(Fork::Holocene, Some(2000));
        let mut data = world(&config);
        let head = L2Head::read(&config, l2_hash(3), &mut data).expect("memory");
        let mut pipeline = Pipeline::new(&config, &L1, &head, &mut data).expect("a pipeline");
        let mut attributes = |l1_time: u64, timestamp: u64| {
            let deposit = Bytes::from_static(&[0x7e, 1]);
            let payload = PayloadAttributes {
                timestamp,
                prev_randao: B256::ZERO,
                fee_recipient: crate::FEE_RECIPIENT,
                withdrawals: true,
                parent_beacon_block_root: None,
                transactions: vec![deposit.clone(), Bytes::from_static(&[2]), deposit],
                gas_limit: 1,
                eip1559: None,
                min_base_fee: None,
            };
            let derived_from = L1BlockRef { time: l1_time, ..L1BlockRef::default() };
            let parent = B256::ZERO;
            let attributes =
                Attributes { payload, parent, number: 4, derived_from, concludes: true };
            pipeline.reject(attributes).map(|payload| payload.transactions.len())
        };
        assert_eq!(attributes(1999, 2002), None);
        assert_eq!(attributes(2000, 1998), Some(2));
    }

    fn parent_at(config: &RollupConfig, time: u64) -> L2Head {
        let mut block = header(9, time);
        block.hash = l2_hash(9);
        let info = L1Info { origin: l1(20).id(), sequence_number: 4, ..L1Info::default() };
        let info = info.deposit(config, time).expect("a known scalar").encode();
        if config.is_active(Fork::Holocene, time) {
            block.extra_data = vec![0, 0, 0, 0, 250, 0, 0, 0, 6].into();
        }
        if config.is_active(Fork::Jovian, time) {
            let mut extra = vec![1, 0, 0, 0, 250, 0, 0, 0, 6];
            extra.extend([0; 8]);
            block.extra_data = extra.into();
        }
        L2Head::new(config, block, Some(&info)).expect("a block")
    }

    #[test]
    fn an_epoch_brings_deposits_updates_and_a_fork_its_transactions() {
        let mut config = config(Fork::Granite);
        for fork in [Fork::Holocene, Fork::Isthmus, Fork::Jovian, Fork::Karst] {
            config.forks.set(fork, Some(1300));
        }
        let parent = parent_at(&config, 1298);
        let mut data = Memory::default();
        let mut origin = l1(21);
        origin.logs_bloom = vec![0xff; 256].into();
        origin.parent_beacon_root = Some(B256::repeat_byte(3));
        let from = B256::with_last_byte(7);
        let deposited = keccak256(b"TransactionDeposited(address,address,uint256,bytes)").into();
        let updated = keccak256(b"ConfigUpdate(uint256,uint8,bytes)").into();
        let params = U256::from(50_u64 << 32 | 4).to_be_bytes::<32>();
        let logs = [
            (config.deposit_contract, vec![deposited, from, from, B256::ZERO], abi(&[1; 80])),
            (
                config.l1_system_config,
                vec![updated, B256::ZERO, B256::with_last_byte(4)],
                abi(&params),
            ),
        ];
        data.l1_receipts.insert(origin.hash, vec![receipt(true, &logs)]);
        data.l1.insert(origin.hash, origin.clone());
        let batch = SingularBatch {
            parent_hash: parent.block.hash,
            epoch_number: 21,
            epoch_hash: origin.hash,
            timestamp: 1300,
            transactions: [b"one"].into_iter().collect(),
        };
        let made = attributes(&config, &L1, &parent, &batch, &mut data).expect("attributes");
        // Several forks at once: their transactions follow one another, those of the batch come last.
        let inserted: Vec<Bytes> = [Fork::Isthmus, Fork::Jovian, Fork::Karst]
            .into_iter()
            .flat_map(upgrades::transactions)
            .collect();
        assert_eq!(made.transactions.len(), 1 + 1 + inserted.len() + 1);
        assert_eq!(made.transactions[2..2 + inserted.len()], inserted);
        assert_eq!(made.transactions.last(), Some(&Bytes::from_static(b"one")));
        assert_eq!(made.gas_limit, parent.system_config.gas_limit + upgrades::KARST_GAS);
        // As op-node has it: the update of the new epoch counts in the activation block already.
        assert_eq!(made.eip1559, Some(Eip1559Params { denominator: 50, elasticity: 4 }));
        assert_eq!(made.min_base_fee, Some(0));
        assert_eq!(made.parent_beacon_block_root, Some(B256::repeat_byte(3)));

        let same = SingularBatch { epoch_number: 20, epoch_hash: l1(20).hash, ..batch.clone() };
        data.l1.insert(l1(20).hash, l1(20));
        let made = attributes(&config, &L1, &parent, &same, &mut data).expect("attributes");
        assert_eq!(made.transactions.len(), 1 + inserted.len() + 1, "no deposits within an epoch");
        for wrong in [
            SingularBatch { parent_hash: B256::ZERO, ..batch.clone() },
            SingularBatch { timestamp: 1302, ..batch.clone() },
            SingularBatch { epoch_number: 22, ..batch },
        ] {
            assert!(attributes(&config, &L1, &parent, &wrong, &mut data).is_err());
        }
        data.l1_receipts.insert(origin.hash, vec![Bytes::from_static(b"\x02no")]);
        let batch = SingularBatch { epoch_number: 21, epoch_hash: origin.hash, ..same };
        let error = attributes(&config, &L1, &parent, &batch, &mut data);
        assert_eq!(error, Err(Error::Chain(ChainError::Receipts { block: origin.id() })));
    }

    /// What the batch queue makes of a span of two blocks on top of block 9.
    #[test]
    fn before_holocene_the_rest_of_a_span_goes_with_its_first_invalid_block() {
        let config = config(Fork::Granite);
        let parent = parent_at(&config, 1298).block;
        let base = L1BlockRef::from(&l1(20));
        let block = |timestamp| SpanBlock {
            timestamp,
            epoch_number: 20,
            transactions: Transactions::default(),
        };
        let chain = Chain::from(&config);
        let blocks = [block(1300), block(1302), block(1304)];
        let bytes =
            encode_span(&chain, &blocks, parent.hash, base.id.hash, false).expect("a batch");
        let batch = crate::batch::decode_batch(&bytes, &chain);
        let mut data = Memory::default();
        let mut queue = BatchQueue::new(base);
        assert_eq!(queue.ready(&config, &parent), None);
        let turn = queue.take(&config, base, &parent, batch, &mut data).expect("memory");
        assert!(matches!(turn, Turn::Batch(batch, false) if batch.timestamp == 1300));
        let child = L2Head {
            block: crate::L2BlockRef { number: 10, time: 1300, hash: l2_hash(10), ..parent },
            ..parent_at(&config, 1298)
        };
        let next = queue.ready(&config, &child.block);
        assert!(matches!(next, Some(Turn::Batch(batch, false)) if batch.timestamp == 1302));
        // That one was invalid, so derivation is back at block 9.
        assert_eq!(queue.ready(&config, &parent), None);
        let turn = queue.take(&config, base, &parent, None, &mut data).expect("memory");
        assert_eq!(turn, Turn::OutOfData);
    }
}
