//! A channel while its frames arrive, and the two ways to collect channels: the bank, and since
//! Holocene the assembler. Knows frames and L1 block numbers; knows nothing of what a channel holds.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use tribunal_rollup::{Fork, RollupConfig};

use crate::frame::{ChannelId, Frame};
use crate::header::L1BlockRef;

/// The most decompressed bytes of a channel that count, at an L1 time.
pub fn max_channel_bytes(config: &RollupConfig, l1_time: u64) -> u64 {
    if config.is_active(Fork::Fjord, l1_time) { 100_000_000 } else { 10_000_000 }
}

/// The most bytes that the bank holds, at an L1 time.
fn max_bank_bytes(config: &RollupConfig, l1_time: u64) -> u64 {
    if config.is_active(Fork::Fjord, l1_time) { 1_000_000_000 } else { 100_000_000 }
}

/// Whether a channel that was opened at L1 block `opened` is too old for what `origin` holds.
fn is_timed_out(config: &RollupConfig, opened: u64, origin: L1BlockRef) -> bool {
    opened.saturating_add(config.channel_timeout(origin.time)) < origin.id.number
}

/// The frames of one channel.
#[derive(Clone, Debug)]
pub struct Channel {
    id: ChannelId,
    opened: u64,
    /// The number of the last frame, once it is known.
    end: Option<u16>,
    frames: BTreeMap<u16, Frame>,
    size: u64,
}

impl Channel {
    /// A channel whose first frame is seen in the L1 block with the number `opened`.
    pub const fn new(id: ChannelId, opened: u64) -> Self {
        Self { id, opened, end: None, frames: BTreeMap::new(), size: 0 }
    }

    /// Adds a frame and says whether it was taken. `in_order` is Holocene's: only the next one is.
    pub fn add(&mut self, frame: Frame, in_order: bool) -> bool {
        let number = frame.number;
        if frame.id != self.id
            || (frame.is_last && self.end.is_some())
            || self.frames.contains_key(&number)
            || self.end.is_some_and(|end| number >= end)
            || (in_order && usize::from(number) != self.frames.len())
        {
            return false;
        }
        if frame.is_last {
            self.end = Some(number);
            if self.frames.last_key_value().is_some_and(|(highest, _)| *highest > number) {
                // The size forgets all frames so far, though only those beyond the end go: sizes
                // decide what a bank drops, and everybody has counted so.
                let stored: u64 = self.frames.values().map(Frame::size).sum();
                self.size = self.size.saturating_sub(stored);
                self.frames.retain(|stored, _| *stored < number);
            }
        }
        self.size += frame.size();
        self.frames.insert(number, frame);
        true
    }

    /// Whether it has its last frame and all before.
    pub fn is_ready(&self) -> bool {
        self.end.is_some_and(|end| self.frames.len() == usize::from(end) + 1)
    }

    /// The data of all frames, in order.
    pub fn into_data(self) -> Vec<u8> {
        let mut data = Vec::with_capacity(self.frames.values().map(|frame| frame.data.len()).sum());
        for frame in self.frames.into_values() {
            data.extend_from_slice(&frame.data);
        }
        data
    }
}

/// The channels before Holocene: many at once, frames in any order, first opened first read.
#[derive(Clone, Debug, Default)]
pub struct ChannelBank {
    queue: VecDeque<ChannelId>,
    channels: BTreeMap<ChannelId, Channel>,
    size: u64,
}

impl ChannelBank {
    /// Takes the data of a channel that is complete. A channel at the front that timed out is removed
    /// and answered as empty data, one at a time.
    pub fn read(&mut self, config: &RollupConfig, origin: L1BlockRef) -> Option<Vec<u8>> {
        let first = self.channels.get(self.queue.front()?)?;
        if is_timed_out(config, first.opened, origin) {
            self.remove(0);
            return Some(Vec::new());
        }
        // Before Canyon a channel that is not complete holds up those behind it.
        let readable =
            if config.is_active(Fork::Canyon, origin.time) { self.queue.len() } else { 1 };
        let index = self.queue.iter().take(readable).position(|id| {
            self.channels.get(id).is_some_and(|channel| {
                channel.is_ready() && !is_timed_out(config, channel.opened, origin)
            })
        })?;
        self.remove(index).map(Channel::into_data)
    }

    /// Takes a frame in, and drops the oldest channels if there is too much then.
    pub fn ingest(&mut self, config: &RollupConfig, origin: L1BlockRef, frame: Frame) {
        let queue = &mut self.queue;
        let channel = self.channels.entry(frame.id).or_insert_with(|| {
            queue.push_back(frame.id);
            Channel::new(frame.id, origin.id.number)
        });
        if is_timed_out(config, channel.opened, origin) {
            return;
        }
        let before = channel.size;
        if !channel.add(frame, false) {
            return;
        }
        self.size = self.size.saturating_sub(before) + channel.size;
        while self.size > max_bank_bytes(config, origin.time) && self.remove(0).is_some() {}
    }

    fn remove(&mut self, index: usize) -> Option<Channel> {
        let channel = self.channels.remove(&self.queue.remove(index)?)?;
        self.size = self.size.saturating_sub(channel.size);
        Some(channel)
    }
}

/// The channel since Holocene: at most one, its frames in order.
#[derive(Clone, Debug, Default)]
pub struct ChannelAssembler {
    channel: Option<Channel>,
}

impl ChannelAssembler {
    /// Drops the channel if it timed out. Comes before frames of a block are taken in.
    pub fn expire(&mut self, config: &RollupConfig, origin: L1BlockRef) {
        self.channel.take_if(|channel| is_timed_out(config, channel.opened, origin));
    }

    /// Takes a frame in, and gives the channel's data if it is complete then.
    pub fn ingest(
        &mut self,
        config: &RollupConfig,
        origin: L1BlockRef,
        frame: Frame,
    ) -> Option<Vec<u8>> {
        if frame.number == 0 {
            self.channel = Some(Channel::new(frame.id, origin.id.number));
        }
        let is_last = frame.is_last;
        let channel = self.channel.as_mut()?;
        if !channel.add(frame, true) {
            return None;
        }
        if channel.size > max_channel_bytes(config, origin.time) {
            self.channel = None;
            return None;
        }
        if is_last { self.channel.take().map(Channel::into_data) } else { None }
    }

    /// Drops the channel.
    pub fn flush(&mut self) {
        self.channel = None;
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use tribunal_rollup::BlockId;

    use super::*;
    use crate::testing::config;

    fn at(number: u64) -> L1BlockRef {
        L1BlockRef { id: BlockId { number, ..BlockId::default() }, time: 12 * number }
    }

    fn frame(channel: u8, number: u16, len: usize, is_last: bool) -> Frame {
        Frame { id: [channel; 16], number, data: vec![number as u8; len], is_last }
    }

    #[test]
    fn frames_come_in_any_order_and_once() {
        let mut channel = Channel::new([1; 16], 0);
        assert!(!channel.add(frame(2, 0, 1, false), false), "of another channel");
        assert!(channel.add(frame(1, 3, 1, false), false));
        assert!(!channel.add(frame(1, 3, 1, false), false), "twice");
        assert!(channel.add(frame(1, 1, 1, false), false));
        assert!(channel.add(frame(1, 2, 5, true), false));
        assert_eq!(channel.size, 205, "kept frames are forgotten with those beyond the end");
        assert!(!channel.add(frame(1, 4, 1, true), false), "a second end");
        assert!(!channel.add(frame(1, 3, 1, false), false), "beyond the end");
        assert!(!channel.is_ready());
        assert!(channel.add(frame(1, 0, 2, false), false));
        assert!(channel.is_ready());
        assert_eq!(channel.into_data(), [0, 0, 1, 2, 2, 2, 2, 2]);
    }

    #[test]
    fn a_channel_lives_until_its_timeout_and_no_longer() {
        for fork in [Fork::Fjord, Fork::Granite] {
            let config = config(fork);
            let timeout = if fork == Fork::Granite { 50 } else { config.channel_timeout };
            for (age, lives) in [(timeout, true), (timeout + 1, false)] {
                let mut bank = ChannelBank::default();
                bank.ingest(&config, at(10), frame(1, 0, 1, false));
                bank.ingest(&config, at(10 + age), frame(1, 1, 1, true));
                let data = bank.read(&config, at(10 + age));
                assert_eq!(data, Some(if lives { vec![0, 1] } else { vec![] }), "{fork} {age}");
                assert_eq!(bank.read(&config, at(10 + age)), None);

                let mut assembler = ChannelAssembler::default();
                assert_eq!(assembler.ingest(&config, at(10), frame(1, 0, 1, false)), None);
                assembler.expire(&config, at(10 + age));
                let data = assembler.ingest(&config, at(10 + age), frame(1, 1, 1, true));
                assert_eq!(data, lives.then(|| vec![0, 1]), "{fork} {age}");
            }
        }
    }

    #[test]
    fn before_canyon_the_first_channel_holds_up_the_others() {
        for (fork, expected) in [(Fork::Regolith, None), (Fork::Canyon, Some(vec![0]))] {
            let config = config(fork);
            let mut bank = ChannelBank::default();
            bank.ingest(&config, at(1), frame(1, 0, 1, false));
            bank.ingest(&config, at(1), frame(2, 0, 1, true));
            assert_eq!(bank.read(&config, at(1)), expected);
        }
    }

    #[test]
    fn a_full_bank_drops_what_it_has_had_longest() {
        let config = config(Fork::Regolith);
        let mut bank = ChannelBank::default();
        for channel in 0..100 {
            bank.ingest(&config, at(1), frame(channel, 0, 1_000_000, true));
        }
        // 100 frames of a million bytes and 200 each are 20,000 too many.
        assert_eq!(bank.queue.front(), Some(&[1; 16]));
        assert_eq!(bank.channels.len(), 99);
        assert_eq!(bank.size, 99 * 1_000_200);
    }

    #[test]
    fn the_assembler_takes_frames_in_order_and_one_channel_at_a_time() {
        let config = config(Fork::Holocene);
        let mut assembler = ChannelAssembler::default();
        let mut ingest = |frame| assembler.ingest(&config, at(1), frame);
        assert_eq!(ingest(frame(1, 1, 1, true)), None, "no channel yet");
        assert_eq!(ingest(frame(1, 0, 1, false)), None);
        assert_eq!(ingest(frame(1, 2, 1, true)), None, "out of order");
        assert_eq!(ingest(frame(2, 1, 1, true)), None, "of another channel");
        assert_eq!(ingest(frame(1, 1, 1, true)), Some(vec![0, 1]), "what was refused did no harm");
        assert_eq!(ingest(frame(1, 0, 1, false)), None);
        assert_eq!(ingest(frame(2, 0, 3, false)), None, "a new channel replaces the old");
        assert_eq!(ingest(frame(1, 1, 1, true)), None);
        assert_eq!(ingest(frame(2, 1, 1, true)), Some(vec![0, 0, 0, 1]));
        assert_eq!(ingest(frame(2, 1, 1, true)), None, "it is gone once it was read");
        for number in 0..100 {
            assert_eq!(ingest(frame(3, number, 1_000_000, number == 99)), None, "too large");
        }
    }
}
