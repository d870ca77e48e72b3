//! Frames: what a batcher's transaction or blob consists of. Knows their form, and which of those in
//! a row Holocene drops; knows no channel.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// The name that a batcher gave a channel.
pub type ChannelId = [u8; 16];

/// The most bytes of data in a frame.
pub const MAX_FRAME_DATA: usize = 1_000_000;

/// What a frame counts for beside its data, where sizes are limited.
const FRAME_OVERHEAD: u64 = 200;

/// The version byte before frames.
const VERSION: u8 = 0;

/// A part of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its channel.
    pub id: ChannelId,
    /// Its place in the channel, from 0.
    pub number: u16,
    /// Its bytes.
    pub data: Vec<u8>,
    /// Whether it ends the channel.
    pub is_last: bool,
}

impl Frame {
    /// What it counts for where sizes are limited.
    pub fn size(&self) -> u64 {
        self.data.len() as u64 + FRAME_OVERHEAD
    }

    /// Appends its bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&(self.data.len() as u32).to_be_bytes());
        out.extend_from_slice(&self.data);
        out.push(self.is_last.into());
    }

    fn read(input: &[u8]) -> Option<(Self, &[u8])> {
        let (id, rest) = input.split_first_chunk::<16>()?;
        let (number, rest) = rest.split_first_chunk::<2>()?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let len = u32::from_be_bytes(*len) as usize;
        if len > MAX_FRAME_DATA {
            return None;
        }
        let (data, rest) = rest.split_at_checked(len)?;
        let (is_last, rest) = rest.split_first()?;
        if *is_last > 1 {
            return None;
        }
        let number = u16::from_be_bytes(*number);
        Some((Self { id: *id, number, data: data.to_vec(), is_last: *is_last == 1 }, rest))
    }
}

/// The frames of a transaction or blob: one or more after a version byte. `None` if anything is wrong
/// with any of them.
pub fn read_frames(data: &[u8]) -> Option<Vec<Frame>> {
    let (version, mut rest) = data.split_first()?;
    if *version != VERSION || rest.is_empty() {
        return None;
    }
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let (frame, after) = Frame::read(rest)?;
        frames.push(frame);
        rest = after;
    }
    Some(frames)
}

/// The bytes of a transaction or blob with these frames.
pub fn write_frames(frames: &[Frame]) -> Vec<u8> {
    let mut out = alloc::vec![VERSION];
    for frame in frames {
        frame.write(&mut out);
    }
    out
}

/// Drops the frames that Holocene does not allow in a row: each must follow the one before, or begin
/// a channel; one that begins drops an unfinished channel before it.
pub fn prune(frames: &mut VecDeque<Frame>) {
    let mut kept: Vec<Frame> = Vec::with_capacity(frames.len());
    for frame in frames.drain(..) {
        let stays = loop {
            let Some(last) = kept.last() else { break true };
            if last.id == frame.id {
                break !last.is_last && last.number.checked_add(1) == Some(frame.number);
            }
            if frame.number != 0 {
                break false;
            }
            if last.is_last {
                break true;
            }
            // The channel before will never end: all of its frames go, this one at a time.
            kept.pop();
        };
        if stays {
            kept.push(frame);
        }
    }
    frames.extend(kept);
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn frame(channel: u8, number: u16, is_last: bool) -> Frame {
        Frame { id: [channel; 16], number, data: vec![channel; 3], is_last }
    }

    #[test]
    fn frames_are_read_all_or_none() {
        let frames = [frame(1, 0, false), frame(1, 1, true), frame(2, u16::MAX, false)];
        let good = write_frames(&frames);
        assert_eq!(read_frames(&good).as_deref(), Some(&frames[..]));
        for len in 0..good.len() {
            let whole = len >= 1 && (len - 1) % 26 == 0 && len > 1;
            assert_eq!(read_frames(&good[..len]).is_some(), whole, "{len} bytes");
        }
        let spoil = |place: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[place] = value;
            read_frames(&bytes)
        };
        assert_eq!(spoil(0, 1), None, "another version");
        assert_eq!(spoil(26, 2), None, "neither last nor not last");
        assert_eq!(spoil(19, 1), None, "a length beyond the end");
        let long = Frame { data: vec![0; MAX_FRAME_DATA + 1], ..frame(1, 0, true) };
        assert_eq!(read_frames(&write_frames(&[long])), None);
    }

    /// The reference's way to say it, to be held against ours: a cursor over pairs.
    fn prune_by_pairs(frames: &mut Vec<Frame>) {
        let mut i = 0;
        while i + 1 < frames.len() {
            let discard = |frames: &mut Vec<Frame>, at: usize| drop(frames.remove(at));
            let (a, b) = (&frames[i], &frames[i + 1]);
            if a.id == b.id {
                if a.is_last || u32::from(b.number) != u32::from(a.number) + 1 {
                    discard(frames, i + 1);
                    continue;
                }
            } else if b.number == 0 {
                if !a.is_last {
                    discard(frames, i);
                    i = i.saturating_sub(1);
                    continue;
                }
            } else {
                discard(frames, i + 1);
                continue;
            }
            i += 1;
        }
    }

    #[test]
    fn pruning_is_the_same_as_by_pairs() {
        // All rows of up to five frames out of these eight.
        let choices: Vec<Frame> =
            (0..8).map(|n| frame(1 + (n & 1), u16::from(n >> 1 & 1), n >> 2 == 1)).collect();
        for len in 0..=5_u32 {
            for row in 0..8_usize.pow(len) {
                let frames: Vec<Frame> =
                    (0..len).map(|place| choices[row >> (3 * place) & 7].clone()).collect();
                let mut expected = frames.clone();
                prune_by_pairs(&mut expected);
                let mut pruned = VecDeque::from(frames);
                prune(&mut pruned);
                assert_eq!(Vec::from(pruned), expected);
            }
        }
    }
}
