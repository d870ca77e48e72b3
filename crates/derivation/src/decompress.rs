//! A channel's bytes, decompressed as they are asked for: a bomb costs what is read of it, not what it
//! says it holds. Knows zlib and brotli by their first byte; knows no batch.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use brotli_decompressor::{
    Allocator, BrotliDecompressStream, BrotliResult, BrotliState, HuffmanCode, SliceWrapper,
    SliceWrapperMut,
};

use crate::inflate::{Inflate, Portion, WINDOW};

/// The first byte of a brotli channel.
const BROTLI: u8 = 1;

/// The buffer of the reference's reader (`bufio`). What is wanted goes through it, but for what is at
/// least as long and wanted when the buffer is empty: that is read past it.
const PORTION: usize = 4096;

/// Bytes that were read are let go of when there are so many of them.
const KEPT: usize = 8 * WINDOW;

/// The decompressed bytes of a channel, from front to back, in the portions in which the reference has
/// them: of an error at the end of a stream it depends on them whether the last batch counts.
#[derive(Debug)]
pub(crate) struct Stream {
    source: Source,
    /// The bytes read already, then those to read, then those that are decompressed early.
    buffer: Vec<u8>,
    read: usize,
    /// Where in `buffer` ends what the reference has by now.
    fetched: usize,
    /// Where what is wanted as a whole ends, once that is in `buffer`.
    whole_end: usize,
    call: Call,
    ended: bool,
    failed: bool,
}

/// A call of the reference's to its decompressor.
#[derive(Debug, Default)]
struct Call {
    /// How many bytes there is room for still.
    room: usize,
    /// How many it has given.
    given: usize,
    /// Past the buffer, straight to where the bytes are wanted: an error that comes with the last of
    /// them is noticed.
    direct: bool,
}

#[derive(Debug)]
enum Source {
    /// Nothing but what the buffer holds.
    Plain,
    Zlib {
        inflate: Inflate,
        /// Where in the buffer the last portion ends, and what came with its end.
        end: usize,
        portion: Portion,
    },
    Brotli(Box<Brotli>),
}

impl Stream {
    /// Starts to decompress a channel. `None` if it is compressed in no known way.
    pub(crate) fn open(data: Vec<u8>, allow_brotli: bool) -> Option<Self> {
        let first = *data.first()?;
        let source = match first & 0x0f {
            8 => Source::Zlib {
                inflate: Inflate::zlib(data)?,
                end: 0,
                portion: Portion { len: 0, is_last: false, failed: false },
            },
            _ if first == BROTLI && allow_brotli => Source::Brotli(Box::new(Brotli::new(data))),
            _ => return None,
        };
        Some(Self { ended: false, ..Self::of(source, Vec::new()) })
    }

    /// Bytes that are not compressed.
    pub(crate) fn plain(data: Vec<u8>) -> Self {
        Self::of(Source::Plain, data)
    }

    fn of(source: Source, buffer: Vec<u8>) -> Self {
        let (read, whole_end, fetched) = (0, 0, buffer.len());
        let call = Call::default();
        Self { source, buffer, read, fetched, whole_end, call, ended: true, failed: false }
    }

    /// Says that the next `len` bytes are wanted as a whole, other than those before.
    pub(crate) const fn want(&mut self, len: usize) {
        self.whole_end = self.read.saturating_add(len);
    }

    /// Whether what was wanted as a whole is lost although all of it came: an error came with it.
    pub(crate) const fn is_lost(&self) -> bool {
        self.failed
    }

    /// The next `count` bytes, which stay unread, or fewer at the end.
    pub(crate) fn peek(&mut self, count: usize) -> &[u8] {
        while self.fetched - self.read < count && !self.ended {
            if self.read >= KEPT {
                self.let_go(self.read - WINDOW);
            }
            self.fetch();
        }
        let rest = &self.buffer[self.read..self.fetched];
        &rest[..count.min(rest.len())]
    }

    /// Reads past bytes that were peeked at.
    pub(crate) fn skip(&mut self, count: usize) {
        self.read = self.read.saturating_add(count).min(self.fetched);
    }

    /// Lets go of the first `count` bytes of the buffer.
    fn let_go(&mut self, count: usize) {
        self.buffer.drain(..count);
        self.read -= count;
        self.fetched -= count;
        self.whole_end = self.whole_end.saturating_sub(count);
        if let Source::Zlib { end, .. } = &mut self.source {
            *end -= count;
        }
    }

    /// Goes on with a call, or begins one.
    fn fetch(&mut self) {
        let Self { source, buffer, fetched, call, .. } = self;
        if call.room == 0 {
            let rest = self.whole_end.saturating_sub(*fetched);
            let direct = rest >= PORTION;
            *call = Call { room: if direct { rest } else { PORTION }, given: 0, direct };
        }
        let (given, after) = match source {
            Source::Plain => (0, After::Ends { failed: false }),
            Source::Zlib { inflate, end, portion } => {
                if *fetched == *end && !portion.is_last {
                    *portion = inflate.portion(buffer);
                    *end += portion.len;
                }
                let given = call.room.min(*end - *fetched);
                let is_end = portion.is_last && *fetched + given == *end;
                // An error that comes alone comes when the bytes before it were taken.
                let failed = portion.failed && given > 0;
                (given, if is_end { After::Ends { failed } } else { After::Returns })
            }
            Source::Brotli(brotli) => {
                let after = brotli.read(buffer, call);
                (buffer.len() - *fetched, after)
            }
        };
        *fetched += given;
        call.given += given;
        call.room -= given;
        match after {
            After::GoesOn => {}
            After::Returns => call.room = 0,
            After::Ends { failed } => {
                self.ended = true;
                self.failed = failed && call.direct;
            }
        }
    }
}

/// What becomes of a call to a decompressor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// It goes on while there is room.
    GoesOn,
    /// It returns.
    Returns,
    /// It returns, and nothing follows; whether an error came along with what it gave.
    Ends { failed: bool },
}

/// A brotli stream being read.
struct Brotli {
    input: Vec<u8>,
    next: usize,
    /// Where the portion of the input ends that the decoder was given. What it hands out before an
    /// error depends on that, so the portions are those of the reference: its reader has looked at
    /// 4,096 bytes when decoding begins, and takes 32 KiB at a time from there on.
    portion_end: usize,
    state: BrotliState<Heap, Heap, Heap>,
    output: Vec<u8>,
    total: usize,
}

impl Brotli {
    fn new(input: Vec<u8>) -> Self {
        Self {
            portion_end: input.len().min(4096),
            input,
            next: 1,
            state: BrotliState::new_strict(Heap, Heap, Heap),
            output: vec![0; PORTION],
            total: 0,
        }
    }

    /// Appends what a call gives, or a part of it.
    fn read(&mut self, out: &mut Vec<u8>, call: &Call) -> After {
        loop {
            let (mut left, mut room, mut written) =
                (self.portion_end - self.next, self.output.len().min(call.room), 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut self.next,
                &self.input,
                &mut room,
                &mut written,
                &mut self.output,
                &mut self.total,
                &mut self.state,
            );
            out.extend_from_slice(&self.output[..written]);
            let has_given = call.given + written > 0;
            match result {
                // What follows is an error, and if it is in the same portion it is noticed now.
                BrotliResult::ResultSuccess => {
                    let failed = has_given && self.next < self.portion_end;
                    return After::Ends { failed };
                }
                BrotliResult::ResultFailure => return After::Ends { failed: has_given },
                BrotliResult::NeedsMoreOutput => return After::GoesOn,
                // Whatever is decoded has to be out before the decoder gets more.
                BrotliResult::NeedsMoreInput if has_given => return After::Returns,
                BrotliResult::NeedsMoreInput if self.portion_end == self.input.len() => {
                    return After::Ends { failed: false };
                }
                BrotliResult::NeedsMoreInput => {
                    self.portion_end = self.input.len().min(self.portion_end + (32 << 10));
                }
            }
        }
    }
}

impl fmt::Debug for Brotli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brotli").field("next", &self.next).field("total", &self.total).finish()
    }
}

/// The heap, as the decoder wants to be told of it.
struct Heap;

struct Allocation<T>(Box<[T]>);

impl<T> Default for Allocation<T> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<T> SliceWrapper<T> for Allocation<T> {
    fn slice(&self) -> &[T] {
        &self.0
    }
}

impl<T> SliceWrapperMut<T> for Allocation<T> {
    fn slice_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

macro_rules! allocate {
    ($($element:ty),*) => {$(
        impl Allocator<$element> for Heap {
            type AllocatedMemory = Allocation<$element>;

            fn alloc_cell(&mut self, len: usize) -> Allocation<$element> {
                Allocation(vec![<$element>::default(); len].into())
            }

            fn free_cell(&mut self, _: Allocation<$element>) {}
        }
    )*};
}

allocate!(u8, u32, HuffmanCode);

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::inflate::CODE_ORDER;
    use crate::testing::Numbers;

    fn all(stream: &mut Stream) -> Vec<u8> {
        stream.peek(usize::MAX).to_vec()
    }

    fn zlib(data: &[u8], level: u32) -> Vec<u8> {
        let mut encoder =
            flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(level));
        encoder.write_all(data).expect("memory");
        encoder.finish().expect("memory")
    }

    fn brotli(data: &[u8], quality: u32, window: u32) -> Vec<u8> {
        let mut out = vec![BROTLI];
        brotli::CompressorWriter::new(&mut out, 4096, quality, window)
            .write_all(data)
            .expect("memory");
        out
    }

    /// Bytes of all kinds: random, repeated near and far, runs.
    fn samples() -> Vec<Vec<u8>> {
        let mut numbers = Numbers(1);
        let mut samples = vec![vec![], vec![7], b"Batches, batches, batches".to_vec()];
        for scale in [300, 10_000, 200_000] {
            let mut data = Vec::new();
            while data.len() < scale {
                match numbers.below(4) {
                    0 => data.extend((0..numbers.below(200)).map(|n| (n * n) as u8)),
                    1 => data.extend((0..100).map(|_| numbers.below(256) as u8)),
                    2 => data.extend(vec![numbers.below(256) as u8; numbers.below(1000) as usize]),
                    _ => {
                        let start = numbers.below(data.len() as u64 + 1) as usize;
                        let end = data.len().min(start + numbers.below(600) as usize);
                        data.extend_from_within(start..end);
                    }
                }
            }
            samples.push(data);
        }
        samples
    }

    #[test]
    fn what_was_compressed_comes_back() {
        for data in samples() {
            for level in [0, 1, 6, 9] {
                let mut stream = Stream::open(zlib(&data, level), false).expect("zlib");
                assert_eq!(all(&mut stream), data, "zlib {level}");
            }
            for (quality, window) in [(0, 10), (5, 16), (9, 22), (11, 24)] {
                let compressed = brotli(&data, quality, window);
                assert!(Stream::open(compressed.clone(), false).is_none(), "before Fjord");
                let mut stream = Stream::open(compressed, true).expect("brotli");
                assert_eq!(all(&mut stream), data, "brotli {quality}");
            }
        }
    }

    #[test]
    fn small_reads_see_the_same() {
        let data = samples().pop().expect("some");
        for compressed in [zlib(&data, 6), brotli(&data, 9, 22)] {
            let mut stream = Stream::open(compressed, true).expect("it opens");
            let mut numbers = Numbers(2);
            let mut read = Vec::new();
            loop {
                let bytes = stream.peek(1 + numbers.below(5000) as usize);
                if bytes.is_empty() {
                    break;
                }
                read.extend_from_slice(bytes);
                let len = bytes.len();
                stream.skip(len);
            }
            assert!(read == data);
        }
    }

    #[test]
    fn what_is_cut_off_gives_all_that_was_there() {
        let data = samples().pop().expect("some");
        for level in [0, 6] {
            let whole = zlib(&data, level);
            let mut last = 0;
            for len in (2..whole.len()).step_by(997) {
                let got = all(&mut Stream::open(whole[..len].to_vec(), true).expect("zlib"));
                assert!(data.starts_with(&got) && got.len() >= last);
                last = got.len();
            }
            // The checksum is the last four bytes, and comes after what is wanted as no whole.
            let without_checksum = whole[..whole.len() - 4].to_vec();
            assert!(all(&mut Stream::open(without_checksum, true).expect("zlib")) == data);
        }
        let whole = brotli(&data, 9, 22);
        let mut last = 0;
        for len in (2..whole.len()).step_by(997) {
            let got = all(&mut Stream::open(whole[..len].to_vec(), true).expect("brotli"));
            assert!(data.starts_with(&got) && got.len() >= last);
            last = got.len();
        }
        assert!(last > data.len() / 2, "a decoder that hands out nothing before the end");
        for compressed in [zlib(&data, 6), whole] {
            let with_more = [compressed, vec![1, 2, 3]].concat();
            assert!(all(&mut Stream::open(with_more, true).expect("it opens")) == data);
        }
    }

    #[test]
    fn headers_are_those_that_go_takes() {
        let opens = |bytes: &[u8]| Stream::open(bytes.to_vec(), true).is_some();
        assert!(opens(&[0x78, 0x9c]) && opens(&[0x08, 0x1d]) && opens(&[1]));
        assert!(!opens(&[]) && !opens(&[0x78]) && !opens(&[0x78, 0x9d]), "check bits");
        assert!(!opens(&[0x88, 0x1c]), "a window of 64 KiB");
        assert!(!opens(&[0x7f, 0x9f]) && !opens(&[0x0f, 0]), "another method");
        assert!(!opens(&[0]) && !opens(&[2]) && !opens(&[0x11]));
        assert!(opens(&[0x78, 0x20, 0, 0, 0, 1]), "the empty dictionary");
        assert!(!opens(&[0x78, 0x20, 0, 0, 0, 2]) && !opens(&[0x78, 0x20, 0, 0]));
    }

    /// Puts bits together, the first written lowest.
    #[derive(Default)]
    struct BitWriter(Vec<bool>);

    impl BitWriter {
        fn put(mut self, value: u32, count: u32) -> Self {
            self.0.extend((0..count).map(|bit| value >> bit & 1 == 1));
            self
        }

        fn zlib(self) -> Vec<u8> {
            let bytes = self
                .0
                .chunks(8)
                .map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit)));
            [0x78, 0x9c].into_iter().chain(bytes).collect()
        }
    }

    fn inflate(bits: BitWriter) -> Vec<u8> {
        all(&mut Stream::open(bits.zlib(), false).expect("a header"))
    }

    #[test]
    fn a_copy_from_before_the_beginning_ends_the_stream() {
        // Fixed codes: the literal 0x00 is the code 00110000, length 3 is 0000001, distance 1 is 00000.
        let literal = || BitWriter::default().put(0b011, 3).put(0b0000_1100, 8);
        let copy = |bits: BitWriter, distance: u32| bits.put(0b100_0000, 7).put(distance, 5);
        assert_eq!(inflate(literal()), [0]);
        assert_eq!(inflate(copy(literal(), 0).put(0, 7)), [0; 4]);
        assert_eq!(inflate(copy(literal(), 0b10000).put(0, 7)), [0], "distance 2 after one byte");
        assert_eq!(inflate(copy(literal(), 0b01111).put(0, 7)), [0], "distance symbol 30");
    }

    #[test]
    fn codes_must_be_complete_but_for_one_of_one_bit() {
        // A block with its own codes; of the codes for lengths, symbols 0, 1, 2 and 18 are given.
        let head = || {
            // 257 literals, 1 distance, 18 lengths of codes: up to symbol 1 in their order.
            let mut bits = BitWriter::default().put(0b101, 3).put(0, 5).put(0, 5).put(14, 4);
            for symbol in CODE_ORDER.iter().take(18) {
                let len = match symbol {
                    0 | 1 | 2 | 18 => 2,
                    _ => 0,
                };
                bits = bits.put(len, 3);
            }
            bits
        };
        // Their codes are 00, 01, 10, 11, written with the highest bit first.
        let len0 = |bits: BitWriter| bits.put(0b00, 2);
        let len1 = |bits: BitWriter| bits.put(0b10, 2);
        let len2 = |bits: BitWriter| bits.put(0b01, 2);
        let zeroes = |bits: BitWriter, count: u32| bits.put(0b11, 2).put(count - 11, 7);
        // The literal 0 and the end, one bit each, and no distance.
        let complete = len0(len1(zeroes(zeroes(len1(head()), 138), 117)));
        assert_eq!(inflate(complete.put(0, 2).put(1, 1)), [0, 0]);
        // Only the literal 0 with a code of one bit: zlib takes that, and so does Go.
        let single = len0(len0(zeroes(zeroes(len1(head()), 138), 117)));
        assert_eq!(inflate(single.put(0, 2)), [0; 9], "what is left of the last byte are zeroes");
        // Only the literal 0 with a code of two bits: zlib would take that, Go does not.
        let incomplete = len0(len0(zeroes(zeroes(len2(head()), 138), 117)));
        assert!(inflate(incomplete.put(0, 8)).is_empty());
    }

    #[test]
    fn a_bomb_costs_what_is_read_of_it() {
        let zeroes = vec![0; 20_000_000];
        for compressed in [zlib(&zeroes, 9), brotli(&zeroes, 11, 22)] {
            assert!(compressed.len() < 60_000);
            let mut stream = Stream::open(compressed, true).expect("it opens");
            for _ in 0..100 {
                assert_eq!(stream.peek(1000), [0; 1000]);
                stream.skip(1000);
                assert!(stream.buffer.capacity() < 2 << 20, "{}", stream.buffer.capacity());
            }
        }
    }
}
