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
    let last = l1_blocks.iter().find(|block| block.id.number == batch.last_epoch);
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
        // What is to be dropped whatever its parent is does not have that looked for: it may be far
        // back. No block before has a later origin.
        if context.is_too_late(first_epoch)
            || first_epoch > parent.l1_origin.number.saturating_add(1)
            || last.is_some_and(|last| !batch.is_last_origin(last.id.hash))
        {
            return verdict(Drop);
        }
        base = crate::l2::ancestor(config, parent, number, data)?.block;
    }
    if !batch.is_parent(base.hash)
        || context.is_too_late(first_epoch)
        || first_epoch > base.l1_origin.number.wrapping_add(1)
    {
        return verdict(Drop);
    }
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

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use alloy_primitives::{B256, Bytes};
    use tribunal_keccak::keccak256;
    use tribunal_rollup::BlockId;

    use super::*;
    use crate::batch::{Batch, decode_batch};
    use crate::l1_info::L1Info;
    use crate::span::{Chain, SpanBlock, encode_span};
    use crate::testing::{Memory, config, header};

    const LEGACY: &[u8] = &[0xc9, 1, 2, 3, 0x80, 5, 6, 27, 8, 9];

    fn hash(number: u64) -> B256 {
        B256::new(keccak256(&number.to_be_bytes()))
    }

    /// L1 block 100 is at 1000, one comes every 12 seconds.
    fn l1(number: u64) -> L1BlockRef {
        let id = BlockId { hash: hash(number), number };
        L1BlockRef { id, time: 1000 + 12 * (number - 100) }
    }

    /// What batches are held against: L1 blocks 100 to 102, and block 10, at 1020 with origin 100.
    struct Case {
        config: RollupConfig,
        l1_blocks: VecDeque<L1BlockRef>,
        parent: L2BlockRef,
        inclusion: L1BlockRef,
    }

    impl Case {
        fn new(fork: Fork) -> Self {
            let parent = L2BlockRef {
                hash: hash(10),
                number: 10,
                time: 1020,
                l1_origin: l1(100).id,
                sequence_number: 10,
            };
            let l1_blocks = (100..103).map(l1).collect();
            Self { config: config(fork), l1_blocks, parent, inclusion: l1(103) }
        }

        fn context(&self) -> Context<'_> {
            let Self { config, l1_blocks, parent, inclusion } = self;
            Context { config, l1_blocks, parent, inclusion: *inclusion }
        }

        fn singular(&self, batch: &SingularBatch) -> Validity {
            check_singular(&self.context(), batch)
        }

        /// The prefix check and the full one.
        fn span(&self, batch: &SpanBatch, data: &mut Memory) -> (Validity, Validity) {
            let prefix = check_span_prefix(&self.context(), batch, data).expect("memory").0;
            (prefix, check_span(&self.context(), batch, data).expect("memory"))
        }
    }

    fn next() -> SingularBatch {
        SingularBatch {
            parent_hash: hash(10),
            epoch_number: 100,
            epoch_hash: hash(100),
            timestamp: 1022,
            transactions: [LEGACY].into_iter().collect(),
        }
    }

    fn with(transactions: &[&[u8]]) -> SingularBatch {
        SingularBatch { transactions: transactions.iter().collect(), ..next() }
    }

    fn of_epoch(number: u64) -> SingularBatch {
        SingularBatch { epoch_number: number, epoch_hash: hash(number), ..next() }
    }

    #[test]
    fn a_batch_is_the_next_one_in_time() {
        for (fork, early, late) in [(Fork::Granite, Drop, Future), (Fork::Holocene, Past, Drop)] {
            let case = Case::new(fork);
            let at = |timestamp| case.singular(&SingularBatch { timestamp, ..next() });
            assert_eq!([1020, 1021, 1022, 1023, 1024].map(at), [early, early, Accept, late, late]);
            let wrong = SingularBatch { parent_hash: hash(9), ..next() };
            assert_eq!(case.singular(&wrong), Drop);
            let mut blind = Case::new(fork);
            blind.l1_blocks.clear();
            assert_eq!(blind.singular(&next()), Undecided);
        }
    }

    #[test]
    fn the_epoch_stays_or_goes_on_by_one() {
        let mut case = Case::new(Fork::Holocene);
        let epochs = [99, 100, 101, 102].map(|number| case.singular(&of_epoch(number)));
        assert_eq!(epochs, [Drop, Accept, Accept, Drop]);
        assert_eq!(case.singular(&SingularBatch { epoch_hash: hash(7), ..next() }), Drop);
        case.l1_blocks[1].time = 1023;
        assert_eq!(case.singular(&of_epoch(101)), Drop, "before its origin");
        case.l1_blocks.truncate(1);
        assert_eq!(case.singular(&of_epoch(101)), Undecided);
        for (number, verdict) in [(220, Accept), (221, Drop)] {
            case.inclusion = l1(number);
            assert_eq!(case.singular(&next()), verdict, "the sequencing window");
        }
    }

    #[test]
    fn a_sequencer_may_be_ahead_of_l1_by_so_much() {
        for (fork, drift) in [(Fork::Granite, 1800), (Fork::Ecotone, 600)] {
            let mut case = Case::new(fork);
            for (ahead, full) in [(drift, Accept), (drift + 1, Drop)] {
                case.parent.time = 1000 + ahead - 2;
                let timestamp = 1000 + ahead;
                let batch = SingularBatch { timestamp, ..next() };
                assert_eq!(case.singular(&batch), full, "{fork}");
            }
            let timestamp = 1001 + drift;
            case.parent.time = timestamp - 2;
            let empty = |epoch| SingularBatch {
                timestamp,
                transactions: Transactions::default(),
                ..of_epoch(epoch)
            };
            assert_eq!(case.singular(&empty(100)), Drop, "L1 had gone on");
            case.l1_blocks[1].time = timestamp + 1;
            assert_eq!(case.singular(&empty(100)), Accept);
            case.l1_blocks[1].time = 1001;
            assert_eq!(case.singular(&empty(101)), Accept, "it does go on");
            case.l1_blocks.truncate(1);
            assert_eq!(case.singular(&empty(100)), Undecided);
        }
    }

    #[test]
    fn transactions_are_looked_at_by_their_first_byte() {
        for (fork, set_code) in [(Fork::Holocene, Drop), (Fork::Isthmus, Accept)] {
            let case = Case::new(fork);
            let check = |bytes: &[u8]| case.singular(&with(&[LEGACY, bytes]));
            assert_eq!(check(b"\x04"), set_code);
            assert_eq!([check(b""), check(b"\x7e12")], [Drop; 2]);
            assert_eq!([check(b"\x03"), check(b"\x00"), check(b"\x7d")], [Accept; 3]);
        }
    }

    #[test]
    fn some_activation_blocks_are_empty() {
        let before = [Fork::Isthmus, Fork::Jovian, Fork::Karst];
        for (fork, before) in [Fork::Jovian, Fork::Karst, Fork::Interop].into_iter().zip(before) {
            let mut case = Case::new(before);
            case.config.forks.set(fork, Some(1021));
            assert_eq!(case.singular(&next()), Drop, "{fork}");
            assert_eq!(case.singular(&with(&[])), Accept, "{fork}");
        }
        let mut case = Case::new(Fork::Holocene);
        case.config.forks.set(Fork::Isthmus, Some(1021));
        assert_eq!(case.singular(&next()), Accept);
    }

    fn block(timestamp: u64, epoch_number: u64, transactions: &[&[u8]]) -> SpanBlock {
        SpanBlock { timestamp, epoch_number, transactions: transactions.iter().collect() }
    }

    /// A span batch on top of block `parent`.
    fn span(parent: u64, blocks: &[SpanBlock]) -> SpanBatch {
        let chain = Chain::from(&config(Fork::Fjord));
        let last = blocks.last().map_or(0, |block| block.epoch_number);
        let bytes = encode_span(&chain, blocks, hash(parent), hash(last), false).expect("a batch");
        match decode_batch(&bytes, &chain) {
            Some(Batch::Span(batch)) => batch,
            _ => panic!("no batch"),
        }
    }

    #[test]
    fn a_span_begins_where_the_chain_ends_or_before() {
        let mut data = Memory::default();
        for (fork, early, late) in [(Fork::Granite, Drop, Future), (Fork::Holocene, Past, Drop)] {
            let case = Case::new(fork);
            let mut check = |parent, times: &[u64]| {
                let blocks: Vec<_> = times.iter().map(|time| block(*time, 100, &[])).collect();
                case.span(&span(parent, &blocks), &mut data)
            };
            assert_eq!(check(10, &[1022, 1024, 1026]), (Accept, Accept));
            assert_eq!(check(9, &[1022, 1024, 1026]), (Drop, Drop), "another parent");
            assert_eq!(check(10, &[1024, 1026]), (late, late));
            assert_eq!(check(10, &[1018, 1020]), (early, early));
            assert_eq!(check(10, &[1021, 1023]), (Drop, Drop), "between two blocks");
            assert_eq!(check(10, &[1017, 1019, 1021, 1023]), (Drop, Drop), "between two blocks");
            assert_eq!(
                check(
                    10,
                    &[1000, 1002, 1004, 1006, 1008, 1010, 1012, 1014, 1016, 1018, 1020, 1022]
                ),
                (Undecided, Undecided),
                "no block has genesis as its child's sibling"
            );
        }
        let case = Case::new(Fork::Canyon);
        let (prefix, _) = case.span(&span(10, &[block(1022, 100, &[])]), &mut data);
        assert_eq!(prefix, Drop, "before Delta");
    }

    #[test]
    fn a_span_names_origins_that_are_known() {
        let mut data = Memory::default();
        let mut case = Case::new(Fork::Granite);
        let times = |epochs: &[u64]| {
            let blocks: Vec<_> =
                (0..).zip(epochs).map(|(n, epoch)| block(1022 + 2 * n, *epoch, &[])).collect();
            span(10, &blocks)
        };
        let mut check = |case: &Case, epochs: &[u64]| case.span(&times(epochs), &mut data);
        assert_eq!(check(&case, &[100, 101, 102]), (Accept, Accept));
        assert_eq!(check(&case, &[101, 101]), (Accept, Accept));
        assert_eq!(check(&case, &[102, 102]), (Drop, Drop), "an origin is left out");
        assert_eq!(check(&case, &[99, 100]), (Drop, Drop), "an origin before the parent's");
        assert_eq!(check(&case, &[101, 102, 103]), (Undecided, Undecided), "not known yet");
        let mut other = case.l1_blocks[1];
        core::mem::swap(&mut other, &mut case.l1_blocks[1]);
        case.l1_blocks[1].id.hash = hash(7);
        assert_eq!(check(&case, &[100, 101]), (Drop, Drop), "another chain");
        case.l1_blocks[1] = other;
        for (number, verdict) in [(220, Accept), (221, Drop)] {
            case.inclusion = l1(number);
            assert_eq!(check(&case, &[100, 101]).0, verdict, "the sequencing window");
        }
        case.l1_blocks.truncate(1);
        assert_eq!(check(&case, &[101, 101]), (Undecided, Undecided));
    }

    #[test]
    fn what_overlaps_and_is_dropped_anyway_has_no_parent_looked_for() {
        // There is nothing here to read: whoever looks for a block fails.
        let mut data = Memory::default();
        let case = Case::new(Fork::Granite);
        let of = |epochs: [u64; 2]| {
            let [first, last] = epochs;
            span(8, &[block(1020, first, &[]), block(1022, last, &[])])
        };
        let mut check = |case: &Case, batch: &SpanBatch| {
            check_span_prefix(&case.context(), batch, &mut data).map(|(validity, _)| validity)
        };
        check(&case, &of([100, 100])).unwrap_err();
        assert_eq!(check(&case, &of([102, 102])), Ok(Drop), "an origin is left out");
        let late = Case { inclusion: l1(221), ..Case::new(Fork::Granite) };
        assert_eq!(check(&late, &of([100, 100])), Ok(Drop), "the sequencing window");
        let mut other = Case::new(Fork::Granite);
        other.l1_blocks[0].id.hash = hash(7);
        assert_eq!(check(&other, &of([100, 100])), Ok(Drop), "another chain");
    }

    #[test]
    fn before_holocene_every_block_of_a_span_is_checked_at_once() {
        let mut data = Memory::default();
        let mut case = Case::new(Fork::Ecotone);
        let mut check = |case: &Case, blocks: &[SpanBlock]| case.span(&span(10, blocks), &mut data);
        let early = [block(1022, 100, &[]), block(1024, 101, &[]), block(1026, 102, &[])];
        assert_eq!(check(&case, &early).1, Accept);
        case.l1_blocks[2].time = 1027;
        assert_eq!(check(&case, &early), (Accept, Drop), "before its origin");

        let mut case = Case::new(Fork::Ecotone);
        case.parent.time = 1598;
        let drifted = |second: &[&[u8]]| [block(1600, 100, &[LEGACY]), block(1602, 100, second)];
        assert_eq!(check(&case, &drifted(&[LEGACY])), (Accept, Drop));
        assert_eq!(check(&case, &drifted(&[])), (Accept, Drop), "L1 had gone on");
        case.l1_blocks[1].time = 1603;
        assert_eq!(check(&case, &drifted(&[])), (Accept, Accept));
        case.l1_blocks.truncate(1);
        assert_eq!(check(&case, &drifted(&[])), (Accept, Undecided));
    }

    #[test]
    fn what_a_span_says_again_must_be_so() {
        let config = config(Fork::Granite);
        let mut data = Memory::default();
        for number in 8..=10_u64 {
            let mut header = header(number, 1000 + 2 * number);
            header.hash = hash(number);
            header.parent_hash = hash(number - 1);
            let info = L1Info { origin: l1(100).id, ..L1Info::default() };
            let info = info.deposit(&config, header.timestamp).expect("a known scalar").encode();
            data.l2_transactions.insert(header.hash, vec![info.into(), Bytes::from_static(LEGACY)]);
            data.l2.insert(header.hash, header);
        }
        let case = Case::new(Fork::Granite);
        let mut check = |transactions: &[&[u8]], epoch: u64| {
            let blocks = [
                block(1018, 100, &[LEGACY]),
                block(1020, epoch, transactions),
                block(1022, 101, &[]),
            ];
            case.span(&span(8, &blocks), &mut data)
        };
        assert_eq!(check(&[LEGACY], 100), (Accept, Accept));
        assert_eq!(check(&[], 100), (Accept, Drop), "one is missing");
        assert_eq!(check(&[LEGACY, LEGACY], 100), (Accept, Drop), "one too many");
        let other = [0xc9, 2, 2, 3, 0x80, 5, 6, 27, 8, 9];
        assert_eq!(check(&[&other], 100), (Accept, Drop), "another one");
        assert_eq!(check(&[LEGACY], 101), (Accept, Drop), "another origin");
    }
}
