//! Channels that say much with little: what they cost is what a batch may hold, not what they unpack to.
//! A test binary of its own, because it looks at the memory of processes.
#![cfg(target_os = "linux")]

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

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

/// A channel, what it may cost, and what comes out of it.
struct Case {
    name: &'static str,
    channel: Vec<u8>,
    gas_limit: u64,
    /// In bytes, beside what every channel costs.
    most: usize,
    /// How long the transactions of the first batch's first block are; `None` if no batch comes out.
    expected: Option<Vec<usize>>,
}

/// What every channel may cost: most of it is what its decoder looks back at.
const DECODER: usize = 16 << 20;

fn cases() -> Vec<Case> {
    let len = 30_000_000;
    let span = [header(0xb7, len), vec![1]].concat();
    let zeroes = [singular(len + 5, 0), header(0xb7, len)].concat();
    let case = |name, channel, expected: Option<&[usize]>| {
        let expected = expected.map(<[_]>::to_vec);
        Case { name, channel, gas_limit: u64::MAX, most: 0, expected }
    };
    let mut cases = vec![
        case("an unknown type", bomb(&[&header(0xb7, len)[..], &[7]].concat(), 0, len - 1), None),
        case("a string beyond the limit", bomb(&header(0xb7, LIMIT), 0, len), None),
        case("bytes after a batch", bomb(&singular(0, len), 0, len), Some(&[])),
        case("empty transactions", bomb(&singular(len, 0), 0x80, len), Some(&[0])),
        case("transactions of a byte", bomb(&singular(len, 0), 1, len), Some(&[1])),
        case("zeroes as a transaction", bomb(&zeroes, 0, len), Some(&[1])),
        case("a span of zeroes", bomb(&span, 0, len - 1), None),
        case("a span of ones", bomb(&span, 1, len - 1), None),
        case("a span of large numbers", bomb(&span, 0xff, len - 1), None),
    ];

    // A batch of one transaction.
    let len = 95_000_000;
    let list = header(0xf7, len);
    let item = [header(0xb7, list.len() + len), list].concat();
    let one = bomb(&[singular(item.len() + len, 0), item].concat(), 0, len);
    // A span of eight that create, in one block, each as long as it can be.
    let each = 9_900_000;
    let data = header(0xb7, each);
    let list = [header(0xf7, 2 + data.len() + each), vec![0x80, 0x80], data].concat();
    let before_datas =
        [&[1, 0, 7][..], &[0; 40], &[1, 0, 8, 0xff, 0], &[0; 8 * 64], &list].concat();
    let after_datas = [[1; 8], [9; 8]].concat();
    let datas = 8 * (list.len() + each);
    let item = before_datas.len() - list.len() + datas + after_datas.len() + 1;
    let first = [header(0xb7, item), before_datas].concat();
    let mut parts = vec![(&first[..], 0, each)];
    parts.resize(8, (&list[..], 0, each));
    parts.push((&after_datas, 0, 1));
    let eight = bomb_of(&parts);

    let kept = "what a block may have gas for is kept, once";
    let cut = "what no block has gas for is not kept";
    let mut case = |name, channel: &[u8], gas_limit, most, expected: &[usize]| {
        let (channel, expected) = (channel.to_vec(), Some(expected.to_vec()));
        cases.push(Case { name, channel, gas_limit, most, expected });
    };
    case(kept, &one, u64::MAX, len, &[95_000_005]);
    case(kept, &eight, u64::MAX, 95_000_000, &[9_900_016; 8]);
    // This is enough for 20 MB of data before Isthmus.
    let gas_limit = 60_000_000;
    case(cut, &one, gas_limit, 0, &[1]);
    // While it is read, a transaction that is not kept has to be looked at.
    case(cut, &eight, gas_limit, 3 * each, &[9_900_016, 9_900_016, 1, 1, 1, 1, 1, 1]);
    cases
}

/// Set for a process that does nothing but read a channel: the gas limit.
const CHILD: &str = "BOMBS_GAS_LIMIT";

/// Reads a channel from stdin and says what is in it, and what that cost.
#[allow(clippy::print_stdout, reason = "it is what the other process reads")]
fn read(gas_limit: u64) {
    let config = registry::rollup(10).expect("OP Mainnet");
    let origin = L1BlockRef { time: 1_750_000_000, ..L1BlockRef::default() };
    let mut channel = Vec::new();
    std::io::stdin().read_to_end(&mut channel).expect("a channel");
    let before = peak();
    let mut reader = ChannelReader::default();
    reader.open(&config, origin, channel);
    let transactions = reader.next(&config, origin, gas_limit).map(|batch| match batch {
        Batch::Singular(batch) => batch.transactions,
        Batch::Span(span) => span.blocks().next().expect("a block").transactions,
    });
    let lengths = transactions.map(|all| all.iter().map(|bytes| bytes.len()).collect::<Vec<_>>());
    println!("\nlengths {lengths:?}\ncost {}", peak() - before);
}

#[test]
fn a_bomb_costs_no_more_than_what_it_says() {
    if let Ok(gas_limit) = std::env::var(CHILD) {
        return read(gas_limit.parse().expect("a number"));
    }
    for Case { name, channel, gas_limit, most, expected } in cases() {
        assert!(channel.len() < 10_000, "{name}: {} bytes", channel.len());
        // In a process of its own: what was freed before would hide what is taken, or add to it.
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "a_bomb_costs_no_more_than_what_it_says", "--nocapture"])
            .env(CHILD, gas_limit.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        child.stdin.take().expect("a pipe").write_all(&channel).expect("a pipe");
        let output = child.wait_with_output().expect("a process");
        let output = String::from_utf8(output.stdout).expect("text");
        let find = |word| output.lines().find_map(|line| line.strip_prefix(word)).expect("a line");
        assert_eq!(find("lengths "), format!("{expected:?}"), "{name}");
        let cost: usize = find("cost ").parse().expect("a number");
        assert!(cost < most + DECODER, "{name}: {} MiB, not {}", cost >> 20, most >> 20);
    }
}
