//! The channel reader: from the data of a channel to its batches, one after the other. Knows how much
//! of a channel counts; what is in a batch, the batch knows.

use alloc::vec::Vec;

use tribunal_rollup::{Fork, RollupConfig};

use crate::batch::{self, Batch, Read};
use crate::channel::max_channel_bytes;
use crate::decompress::Stream;
use crate::header::L1BlockRef;
use crate::span;

/// The reader, with the channel that it is at.
#[derive(Debug, Default)]
pub struct ChannelReader {
    channel: Option<Open>,
}

#[derive(Debug)]
struct Open {
    stream: Stream,
    /// How many decompressed bytes may follow.
    left: usize,
}

impl ChannelReader {
    /// Goes on to another channel, of which nothing may come out: then the next answer is `None`.
    pub fn open(&mut self, config: &RollupConfig, origin: L1BlockRef, data: Vec<u8>) {
        let fjord = config.is_active(Fork::Fjord, origin.time);
        let left = max_channel_bytes(config, origin.time) as usize;
        self.channel = Stream::open(data, fjord).map(|stream| Open { stream, left });
    }

    /// The next batch of the channel; `None` asks for another channel. No block that comes of it has more
    /// gas than `gas_limit`: of transactions that take more, only their first bytes are kept.
    pub fn next(
        &mut self,
        config: &RollupConfig,
        origin: L1BlockRef,
        gas_limit: u64,
    ) -> Option<Batch> {
        let chain = span::Chain::from(config).with_gas_limit(gas_limit);
        loop {
            let Open { stream, left } = self.channel.as_mut()?;
            let Some((read, len)) = batch::read(stream, *left, &chain) else {
                self.channel = None;
                return None;
            };
            *left -= len;
            let delta = config.is_active(Fork::Delta, origin.time);
            match read {
                Read::Batch(Batch::Span(_)) if !delta => {}
                Read::Batch(batch) => return Some(batch),
                Read::Malformed => {}
            }
        }
    }

    /// Drops the channel.
    pub fn flush(&mut self) {
        self.channel = None;
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::vec;
    use std::io::Write as _;

    use alloy_primitives::B256;
    use tribunal_keccak::keccak256;

    use super::*;
    use crate::batch::SingularBatch;
    use crate::rlp;
    use crate::testing::{Numbers, config};

    fn zlib(data: &[u8]) -> Vec<u8> {
        let mut encoder =
            flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).expect("memory");
        encoder.finish().expect("memory")
    }

    fn batch(number: u64) -> SingularBatch {
        SingularBatch { epoch_number: number, parent_hash: B256::ZERO, ..SingularBatch::default() }
    }

    fn string(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        rlp::write_string(&mut out, bytes);
        out
    }

    fn span() -> Vec<u8> {
        let mut out = vec![1, 0, 7];
        out.extend([0; 40]);
        out.extend([1, 0, 0]);
        out
    }

    /// A span batch with a transaction that cannot be one.
    fn malformed_span() -> Vec<u8> {
        let mut out = span();
        out.pop();
        out.extend([1, 0, 0]);
        out.extend([9; 64 + 20]);
        out.extend([3, 0xc0, 0, 0]);
        out
    }

    /// The epochs of the batches of a channel that is complete at an L1 time of 2000.
    fn epochs(fork: Fork, items: &[Vec<u8>]) -> Vec<u64> {
        let config = config(fork);
        let origin = L1BlockRef { time: 2000, ..L1BlockRef::default() };
        let mut reader = ChannelReader::default();
        reader.open(&config, origin, zlib(&items.concat()));
        let mut found = Vec::new();
        while let Some(batch) = reader.next(&config, origin, u64::MAX) {
            found.push(match batch {
                Batch::Singular(batch) => batch.epoch_number,
                Batch::Span(batch) => batch.last_epoch,
            });
        }
        assert!(reader.next(&config, origin, u64::MAX).is_none());
        found
    }

    #[test]
    fn batches_before_an_error_stand() {
        let good = |number| string(&batch(number).encode());
        for bad in [
            rlp::list(b"ab"),
            vec![0x80],
            vec![0x81, 0x05],
            vec![0xb8, 3, 0, 0, 0],
            string(&[2, 1, 2, 3]),
            string(&[0]),
            string(&[0, 0xc0]),
            string(&[1, 0, 0]),
            string(&batch(9).encode())[..20].to_vec(),
        ] {
            assert_eq!(epochs(Fork::Fjord, &[good(1), good(2), bad, good(3)]), [1, 2]);
        }
        assert_eq!(epochs(Fork::Fjord, &[good(1), string(&span()), good(3)]), [1, 7, 3]);
    }

    #[test]
    fn some_span_batches_are_dropped_alone() {
        let items =
            [string(&batch(1).encode()), string(&malformed_span()), string(&batch(2).encode())];
        assert_eq!(epochs(Fork::Fjord, &items), [1, 2], "its transactions cannot be");
        let items = [string(&span()), string(&batch(2).encode())];
        assert_eq!(epochs(Fork::Canyon, &items), [2], "before Delta");
        assert_eq!(epochs(Fork::Delta, &items), [7, 2]);
    }

    #[test]
    fn so_much_of_a_channel_counts_and_no_more() {
        // Strings of a megabyte each, of which the content is ignored but for the batch at the front.
        let long = |number, len: usize| {
            let mut content = batch(number).encode();
            content.resize(len, 0);
            string(&content)
        };
        let million = |number| long(number, 1_000_000 - 4);
        let ten: Vec<_> = (0..10).map(million).collect();
        assert_eq!(epochs(Fork::Ecotone, &ten).len(), 10, "up to the limit exactly");
        let mut more = ten.clone();
        more.push(string(&batch(11).encode()));
        assert_eq!(epochs(Fork::Ecotone, &more).len(), 10);
        assert_eq!(epochs(Fork::Fjord, &more).len(), 11);
        let mut across = ten;
        across[9] = long(9, 1_000_001 - 4);
        assert_eq!(epochs(Fork::Ecotone, &across).len(), 9);
    }

    /// A batch of `len` bytes, most of them after what counts.
    fn padded(numbers: &mut Numbers, len: usize) -> Vec<u8> {
        let mut content = batch(1).encode();
        assert!(len > content.len());
        // Some of it can be compressed, most of it cannot.
        while content.len() < len {
            let byte = numbers.below(256) as u8;
            content.resize(content.len() + 1 + numbers.below(3) as usize / 2, byte);
        }
        content.truncate(len);
        string(&content)
    }

    fn brotli(data: &[u8], window: u32) -> Vec<u8> {
        let mut out = vec![1];
        brotli::CompressorWriter::new(&mut out, 4096, 5, window).write_all(data).expect("memory");
        out
    }

    /// The same bytes with a place after `at` of them where the compressor let go of all it had.
    fn flushed(data: &[u8], at: usize) -> Vec<u8> {
        let mut encoder =
            flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&data[..at]).expect("memory");
        encoder.flush().expect("memory");
        encoder.write_all(&data[at..]).expect("memory");
        encoder.finish().expect("memory")
    }

    fn stored(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::none());
        encoder.write_all(data).expect("memory");
        encoder.finish().expect("memory")
    }

    /// How long the last batches of the streams are: around the sizes of the buffers that they pass.
    const LENGTHS: [usize; 24] = [
        200, 4000, 4092, 4093, 4094, 8000, 8188, 8189, 8190, 9000, 20_000, 28_671, 28_672, 28_673,
        32_764, 32_765, 32_766, 36_000, 40_000, 65_532, 65_533, 200_000, 262_140, 300_000,
    ];

    /// Streams that end well and badly, by the length of the last batch.
    fn endings() -> Vec<(String, Vec<Vec<u8>>)> {
        type Encode = fn(&[u8]) -> Vec<u8>;
        type Spoil = fn(&mut Vec<u8>);
        let encodings: [(&str, Encode); 8] = [
            ("zlib", zlib),
            ("stored", stored),
            ("flushed in the middle", |data| flushed(data, data.len() / 2)),
            ("flushed early", |data| flushed(data, 100)),
            ("flushed at the end", |data| flushed(data, data.len())),
            ("brotli", |data| brotli(data, 22)),
            ("brotli, small window", |data| brotli(data, 16)),
            ("brotli, smallest window", |data| brotli(data, 10)),
        ];
        let spoils: [(&str, Spoil); 5] = [
            ("whole", |_| {}),
            ("another last byte", |out| *out.last_mut().expect("some") ^= 0x80),
            ("without the last byte", |out| out.truncate(out.len() - 1)),
            ("without the last four bytes", |out| out.truncate(out.len() - 4)),
            ("with more", |out| out.extend([1, 2, 3])),
        ];
        let mut found = Vec::new();
        for (encoding, encode) in encodings {
            for (spoil, change) in spoils {
                for before in [false, true] {
                    let place = if before { "the second" } else { "alone" };
                    let name = format!("{encoding}, {spoil}, {place}");
                    let streams = LENGTHS.iter().map(|len| {
                        let mut numbers = Numbers(*len as u64);
                        let mut data = if before { padded(&mut numbers, 1000) } else { Vec::new() };
                        data.extend(padded(&mut numbers, *len));
                        let mut out = encode(&data);
                        change(&mut out);
                        out
                    });
                    found.push((name, streams.collect()));
                }
            }
        }
        found
    }

    /// What op-node's reader finds in them: geth's `rlp` over Go's `compress/zlib` and
    /// `andybalholm/brotli`. Where a brotli stream breaks off depends on the compressor: if the hash
    /// is another, those have to be asked again.
    const FOUND_BY_GO: &str = include_str!("endings.txt");

    #[test]
    fn an_error_at_the_end_takes_the_last_batch_along_where_go_has_it_so() {
        let config = config(Fork::Fjord);
        let origin = L1BlockRef { time: 2000, ..L1BlockRef::default() };
        let count = |stream| {
            let mut reader = ChannelReader::default();
            reader.open(&config, origin, stream);
            core::iter::from_fn(|| reader.next(&config, origin, u64::MAX)).count()
        };
        let mut hashes = Vec::new();
        let found = endings().into_iter().map(|(name, streams)| {
            if name.starts_with("brotli") {
                hashes.extend(streams.iter().flat_map(|stream| keccak256(stream)));
            }
            let digits: String = streams.into_iter().map(|s| format!("{}", count(s))).collect();
            format!("{digits} {name}\n")
        });
        let found: String = found.collect();
        let hash = B256::new(keccak256(&hashes));
        assert_eq!(format!("{hash} the brotli streams\n{found}"), FOUND_BY_GO);
    }
}
