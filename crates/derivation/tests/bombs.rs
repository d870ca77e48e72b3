//! Channels that say much with little: what they cost is what a batch may hold, not what they unpack to.
//! A test binary of its own, because it looks at the memory of the process.
#![cfg(target_os = "linux")]

use std::io::{Read as _, Write as _};

use tribunal_derivation::L1BlockRef;
use tribunal_derivation::batch::Batch;
use tribunal_derivation::reader::ChannelReader;
use tribunal_rollup::registry;

/// What a channel may hold (Fjord).
const LIMIT: usize = 100_000_000;

/// The most memory that this process ever had, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux says it");
    let kib = line.split_whitespace().nth(1).expect("a number");
    1024 * kib.parse::<usize>().expect("a number")
}

/// A brotli channel of `head`, then `len` times `byte`. Made portion by portion, so that making it
/// costs nothing either.
fn bomb(head: &[u8], byte: u8, len: usize) -> Vec<u8> {
    bomb_of(&[(head, byte, len)])
}

/// The same of several such parts.
fn bomb_of(parts: &[(&[u8], u8, usize)]) -> Vec<u8> {
    let mut out = vec![1];
    let mut encoder = brotli::CompressorWriter::new(&mut out, 1 << 16, 5, 18);
    for (head, byte, len) in parts {
        encoder.write_all(head).expect("memory");
        let content = std::io::repeat(*byte).take(*len as u64);
        std::io::copy(&mut { content }, &mut encoder).expect("memory");
    }
    drop(encoder);
    out
}

/// The header of an RLP string (0xb7) or list (0xf7) of `len` bytes.
fn header(base: u8, len: usize) -> Vec<u8> {
    if len < 56 {
        return vec![base - 55 + len as u8];
    }
    let bytes = (len as u32).to_be_bytes();
    let bytes = &bytes[len.leading_zeros() as usize / 8 - 4..];
    [&[base + bytes.len() as u8][..], bytes].concat()
}

/// A singular batch whose list of transactions has `len` bytes, up to that list.
fn singular(len: usize, after: usize) -> Vec<u8> {
    let fields = [&[0xa0][..], &[1; 32], &[7, 0xa0], &[2; 32], &[9], &header(0xf7, len)].concat();
    let list = [header(0xf7, fields.len() + len), fields].concat();
    [header(0xb7, 1 + list.len() + len + after), vec![0], list].concat()
}

#[test]
fn a_bomb_costs_no_more_than_what_it_says() {
    let config = registry::rollup(10).expect("OP Mainnet");
    let origin = L1BlockRef { time: 1_750_000_000, ..L1BlockRef::default() };
    let len = 30_000_000;
    let span = [header(0xb7, len), vec![1]].concat();
    let transaction = [singular(len + 5, 0), header(0xb7, len)].concat();
    // What it is, the channel, how many transactions come out of it if a batch does.
    let bombs = [
        ("an unknown type", bomb(&[&header(0xb7, len)[..], &[7]].concat(), 0, len - 1), None),
        ("a string beyond the limit", bomb(&header(0xb7, LIMIT), 0, len), None),
        ("bytes after a batch", bomb(&singular(0, len), 0, len), Some(0)),
        ("empty transactions", bomb(&singular(len, 0), 0x80, len), Some(1)),
        ("transactions of a byte", bomb(&singular(len, 0), 1, len), Some(1)),
        ("one transaction", bomb(&transaction, 0, len), Some(1)),
        ("a span of zeroes", bomb(&span, 0, len - 1), None),
        ("a span of ones", bomb(&span, 1, len - 1), None),
        ("a span of large numbers", bomb(&span, 0xff, len - 1), None),
    ];
    let before = peak();
    for (name, bomb, expected) in bombs {
        assert!(bomb.len() < 10_000, "{name}: {} bytes", bomb.len());
        let mut reader = ChannelReader::default();
        reader.open(&config, origin, bomb);
        let found = reader.next(&config, origin).map(|batch| match batch {
            Batch::Singular(batch) => batch.transactions.len(),
            Batch::Span(_) => usize::MAX,
        });
        assert_eq!(found, expected, "{name}");
        let cost = peak() - before;
        assert!(cost < 16 << 20, "{name}: {} MiB", cost >> 20);
    }

    // What may be a transaction is kept, once.
    let len = 95_000_000;
    let list = header(0xf7, len);
    let size = list.len() + len;
    let item = [header(0xb7, size), list].concat();
    let bomb = bomb(&[singular(item.len() + len, 0), item].concat(), 0, len);
    assert!(bomb.len() < 10_000);
    let mut reader = ChannelReader::default();
    reader.open(&config, origin, bomb);
    let Some(Batch::Singular(batch)) = reader.next(&config, origin) else { panic!("no batch") };
    assert_eq!(batch.transactions.get(0).map(|transaction| transaction.len()), Some(size));
    let cost = peak() - before;
    assert!(cost < size + (16 << 20), "{} MiB for {} MiB", cost >> 20, size >> 20);
    drop((batch, reader));

    // Of a span too: eight that create, in one block, each as long as it can be.
    let len = 9_900_000;
    let data = header(0xb7, len);
    let list = [header(0xf7, 2 + data.len() + len), vec![0x80, 0x80], data].concat();
    let before_datas =
        [&[1, 0, 7][..], &[0; 40], &[1, 0, 8, 0xff, 0], &[0; 8 * 64], &list].concat();
    let after_datas = [[1; 8], [9; 8]].concat();
    let size = 8 * (list.len() + len);
    let item = before_datas.len() - list.len() + size + after_datas.len() + 1;
    let first = [header(0xb7, item), before_datas].concat();
    let mut parts = vec![(&first[..], 0, len)];
    parts.resize(8, (&list[..], 0, len));
    parts.push((&after_datas, 0, 1));
    let bomb = bomb_of(&parts);
    assert!(bomb.len() < 10_000);
    let mut reader = ChannelReader::default();
    reader.open(&config, origin, bomb);
    let Some(Batch::Span(span)) = reader.next(&config, origin) else { panic!("no span") };
    let block = span.blocks().next().expect("a block");
    assert_eq!(block.transactions.len(), 8);
    assert!(block.transactions.iter().all(|transaction| transaction.len() > len));
    let cost = peak() - before;
    assert!(cost < 95_000_000 + (16 << 20), "{} MiB for {} MiB", cost >> 20, size >> 20);
}
