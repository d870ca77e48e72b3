//! Both protocols, both sides, over channels that move bytes in pieces, end early and lie.

use tribunal_preimage::channel::{self, Field, Read};
use tribunal_preimage::client::{Client, HintWriter, OracleReader};
use tribunal_preimage::server::{HintReader, OracleServer, ServeError, Turn};
use tribunal_preimage::{Channel, ChannelError, Key, Oracle, OracleError};

/// A small deterministic generator (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// The other side, already recorded: what it sends, then its end. Moves random pieces.
struct Script {
    incoming: Vec<u8>,
    read: usize,
    written: Vec<u8>,
    /// Bytes it takes before it goes away.
    takes: usize,
    pieces: Random,
    biggest_piece: usize,
}

impl Script {
    fn new(incoming: impl Into<Vec<u8>>) -> Self {
        Self {
            incoming: incoming.into(),
            read: 0,
            written: Vec::new(),
            takes: usize::MAX,
            pieces: Random(7),
            biggest_piece: usize::MAX,
        }
    }

    fn in_pieces(incoming: &[u8], seed: u64, biggest_piece: usize) -> Self {
        Self { pieces: Random(seed), biggest_piece, ..Self::new(incoming) }
    }

    fn piece(&mut self, len: usize) -> usize {
        match len.min(self.biggest_piece) {
            0 => 0,
            most => 1 + self.pieces.below(most),
        }
    }
}

impl Channel for Script {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, ChannelError> {
        let n = self.piece(buf.len().min(self.incoming.len() - self.read));
        buf[..n].copy_from_slice(&self.incoming[self.read..][..n]);
        self.read += n;
        Ok(n)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, ChannelError> {
        let n = self.piece(bytes.len().min(self.takes - self.written.len()));
        self.written.extend(&bytes[..n]);
        Ok(n)
    }
}

fn answer(length: u64, data: &[u8]) -> Vec<u8> {
    [&length.to_be_bytes(), data].concat()
}

fn hint(length: u32, text: &[u8]) -> Vec<u8> {
    [&length.to_be_bytes(), text].concat()
}

fn no_error(_: &[u8]) -> Result<(), ()> {
    Ok(())
}

#[test]
fn client_requests_and_answers_are_these_bytes() {
    let key = Key::keccak256_of(b"hello");
    let mut script = Script::new(answer(5, b"hello"));
    assert_eq!(OracleReader::new(&mut script).read(key).unwrap(), b"hello");
    assert_eq!(script.written, key.as_bytes());

    let mut script = Script::new([0]);
    HintWriter::new(&mut script).write(b"l2-code 0x00").unwrap();
    assert_eq!(script.written, b"\0\0\0\x0cl2-code 0x00");
}

#[test]
fn server_takes_and_sends_these_bytes() {
    let key = Key::local(3);
    let mut script = Script::new(*key.as_bytes());
    let mut asked = None;
    let turn = OracleServer::new(&mut script).next(|key| {
        asked = Some(key);
        Ok::<_, ()>(b"value".to_vec())
    });
    assert_eq!((turn, asked), (Ok(Turn::Served), Some(key)));
    assert_eq!(script.written, b"\0\0\0\0\0\0\0\x05value");

    let mut script = Script::new(*b"\0\0\0\x02hi");
    let mut heard = Vec::new();
    let turn = HintReader::new(&mut script).next(|hint| {
        heard.extend_from_slice(hint);
        Ok::<_, ()>(())
    });
    assert_eq!((turn, &heard[..]), (Ok(Turn::Served), &b"hi"[..]));
    assert_eq!(script.written, [0]);
}

/// A program may wait for exactly what was announced; a read at the end has no proof on chain.
#[test]
fn client_reads_nothing_beyond_the_answer() {
    for len in [0, 1, 7, 8, 31, 32, 33, 135, 136, 137, 70_000] {
        let data = Random(len as u64).bytes(len);
        let mut script = Script::new([answer(len as u64, &data), b"next".to_vec()].concat());
        assert_eq!(OracleReader::new(&mut script).read(Key::local(1)).unwrap(), data);
        assert_eq!(script.read, 8 + len);
    }
}

#[test]
fn clean_end_between_requests_is_no_error() {
    let mut hints = HintReader::new(Script::new(hint(1, b"a")));
    assert_eq!(hints.next(no_error), Ok(Turn::Served));
    assert_eq!(hints.next(no_error), Ok(Turn::Ended));
    assert_eq!(hints.next(no_error), Ok(Turn::Ended));

    let mut keys = OracleServer::new(Script::new(*Key::local(1).as_bytes()));
    assert_eq!(keys.next(|_| Ok::<_, ()>(vec![])), Ok(Turn::Served));
    assert_eq!(keys.next(|_| Ok::<_, ()>(vec![])), Ok(Turn::Ended));
}

#[test]
fn end_in_the_middle_says_where() {
    let ended = |field, done, expected| ChannelError::Ended { field, done, expected };
    let whole = answer(5, b"hello");
    for cut in 0..whole.len() {
        let expected = match cut {
            0..8 => ended(Field::PreimageLength, cut as u64, 8),
            _ => ended(Field::PreimageData, cut as u64 - 8, 5),
        };
        let mut script = Script::in_pieces(&whole[..cut], cut as u64, 3);
        assert_eq!(OracleReader::new(&mut script).read(Key::local(1)), Err(expected));
    }
    for cut in 1..32 {
        let mut server = OracleServer::new(Script::in_pieces(&[1; 32][..cut], 5, 3));
        let error = server.next(|_| -> Result<_, ()> { panic!("half a key is no request") });
        let expected = ended(Field::PreimageKey, cut as u64, 32);
        assert_eq!(error, Err(ServeError::Channel(expected)));
    }
    let whole = hint(3, b"abc");
    for cut in 1..whole.len() {
        let expected = match cut {
            1..4 => ended(Field::HintLength, cut as u64, 4),
            _ => ended(Field::HintText, cut as u64 - 4, 3),
        };
        let mut server = HintReader::new(Script::in_pieces(&whole[..cut], 5, 3));
        let error = server.next(|_| -> Result<(), ()> { panic!("half a hint is no hint") });
        assert_eq!(error, Err(ServeError::Channel(expected)));
    }
    assert_eq!(HintWriter::new(Script::new([])).write(b"x"), Err(ended(Field::HintAck, 0, 1)));
    let message = ended(Field::PreimageLength, 3, 8).to_string();
    assert_eq!(
        message,
        "the other side closed its channel 3 bytes into a preimage length of 8 bytes"
    );
}

#[test]
fn end_while_writing_says_where() {
    let cases =
        [(0, Field::HintLength, 0, 4), (3, Field::HintLength, 3, 4), (6, Field::HintText, 2, 5)];
    for (takes, field, done, expected) in cases {
        let mut script = Script { takes, ..Script::new([0]) };
        let error = ChannelError::Ended { field, done, expected };
        assert_eq!(HintWriter::new(&mut script).write(b"hello"), Err(error));
    }
    let cases = [
        (0, Field::PreimageLength, 0, 8),
        (8, Field::PreimageData, 0, 5),
        (12, Field::PreimageData, 4, 5),
    ];
    for (takes, field, done, expected) in cases {
        let mut script = Script { takes, ..Script::new([1; 32]) };
        let error = ChannelError::Ended { field, done, expected };
        let turn = OracleServer::new(&mut script).next(|_| Ok::<_, ()>(b"hello".to_vec()));
        assert_eq!(turn, Err(ServeError::Channel(error)));
    }
    let mut script = Script { takes: 20, ..Script::new([]) };
    let error = ChannelError::Ended { field: Field::PreimageKey, done: 20, expected: 32 };
    assert_eq!(OracleReader::new(&mut script).read(Key::local(1)), Err(error));
}

#[test]
fn any_byte_acknowledges() {
    for ack in [0, 1, 255] {
        HintWriter::new(Script::new([ack])).write(b"x").unwrap();
    }
}

#[test]
fn an_empty_hint_is_a_hint() {
    let mut script = Script::new([0]);
    HintWriter::new(&mut script).write(b"").unwrap();
    assert_eq!(script.written, [0; 4]);

    let mut heard = 0;
    let mut script = Script::new([0; 4]);
    let turn = HintReader::new(&mut script).next(|hint| {
        assert!(hint.is_empty());
        heard += 1;
        Ok::<_, ()>(())
    });
    assert_eq!((turn, heard), (Ok(Turn::Served), 1));
    assert_eq!(script.written, [0]);
}

#[test]
fn a_hint_of_four_gigabytes_is_refused_before_it_is_read() {
    let mut script = Script::new(hint(u32::MAX, b"xx"));
    let error = HintReader::new(&mut script).next(no_error).unwrap_err();
    let expected = ChannelError::TooLong {
        field: Field::HintText,
        announced: u64::from(u32::MAX),
        limit: 64 << 20,
    };
    assert_eq!(error, ServeError::Channel(expected));
    assert_eq!(script.read, 4);
    assert!(script.written.is_empty());
}

/// With the limit raised, a length that lies still costs only what arrives.
#[test]
fn a_length_larger_than_the_data_costs_no_memory() {
    let mut hints = HintReader::new(Script::new(hint(u32::MAX, b"xx"))).with_limit(u32::MAX);
    let error = hints.next(no_error).unwrap_err();
    let ended = |field, done, expected| ChannelError::Ended { field, done, expected };
    assert_eq!(error, ServeError::Channel(ended(Field::HintText, 2, u64::from(u32::MAX))));

    for announced in [1 << 32, 1 << 63, u64::MAX] {
        let mut reader = OracleReader::new(Script::new(answer(announced, b"abc")));
        let error = reader.read(Key::local(1)).unwrap_err();
        let expected =
            ChannelError::TooLong { field: Field::PreimageData, announced, limit: 256 << 20 };
        assert_eq!(error, expected);

        let mut reader =
            OracleReader::new(Script::new(answer(announced, b"abc"))).with_limit(u64::MAX);
        let error = reader.read(Key::local(1)).unwrap_err();
        assert_eq!(error, ended(Field::PreimageData, 3, announced));
    }
}

#[test]
fn limits_are_inclusive() {
    let read = |limit| {
        OracleReader::new(Script::new(answer(4, b"abcd"))).with_limit(limit).read(Key::local(1))
    };
    assert_eq!(read(4).unwrap(), b"abcd");
    assert!(matches!(read(3), Err(ChannelError::TooLong { announced: 4, limit: 3, .. })));
}

#[test]
fn a_handler_that_fails_still_acknowledges_its_hint() {
    let mut script = Script::new([hint(1, b"a"), hint(1, b"b")].concat());
    let mut server = HintReader::new(&mut script);
    let turn = server.next(|_| Err("no such block"));
    assert_eq!(turn, Err(ServeError::Handler("no such block")));
    assert_eq!(server.next(no_error), Ok(Turn::Served));
    assert_eq!(script.written, [0, 0]);
}

#[test]
fn a_preimage_that_is_not_found_sends_nothing() {
    let mut script = Script::new([2; 32]);
    let turn = OracleServer::new(&mut script).next(|_| Err::<Vec<u8>, _>("missing"));
    assert_eq!(turn, Err(ServeError::Handler("missing")));
    assert!(script.written.is_empty());
}

#[test]
fn client_refuses_a_key_of_no_kind_before_it_is_sent() {
    let mut script = Script::new([]);
    let hints = HintWriter::new(Script::new([]));
    let mut client = Client::new(hints, OracleReader::new(&mut script));
    for byte in [0, 7, 129, 255] {
        let key = Key::from_bytes([byte; 32]);
        assert_eq!(client.preimage(key), Err(OracleError::InvalidKey { key }));
    }
    assert!(script.written.is_empty());
}

/// A channel that claims to have moved more than it was given.
struct Boaster;

impl Channel for Boaster {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, ChannelError> {
        Ok(buf.len() + 1)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, ChannelError> {
        Ok(bytes.len() + 1)
    }
}

#[test]
fn a_channel_that_miscounts_does_no_harm() {
    let mut buf = [0; 4];
    assert_eq!(channel::read_or_end(&mut Boaster, &mut buf, Field::HintLength), Ok(Read::Whole));
    assert_eq!(channel::write_all(&mut Boaster, &buf, Field::HintLength), Ok(()));
    assert_eq!(channel::read_vec(&mut Boaster, 9, 9, Field::HintText), Ok(vec![0; 9]));
}

/// Client and server face to face: what one writes, the other reads, in random pieces.
struct Loop<F> {
    /// Written by the client, not yet consumed by a turn of the server.
    sent: Vec<u8>,
    /// Written by the server, not yet read by the client.
    answered: Vec<u8>,
    turn: F,
    pieces: Random,
}

impl<F: FnMut(&[u8]) -> (Vec<u8>, usize)> Channel for Loop<F> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, ChannelError> {
        if self.answered.is_empty() {
            let (answer, consumed) = (self.turn)(&self.sent);
            self.sent.drain(..consumed);
            self.answered = answer;
        }
        let n = buf.len().min(self.answered.len()).min(1 + self.pieces.below(9000));
        buf[..n].copy_from_slice(&self.answered[..n]);
        self.answered.drain(..n);
        Ok(n)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, ChannelError> {
        let n = bytes.len().min(1 + self.pieces.below(13));
        self.sent.extend(&bytes[..n]);
        Ok(n)
    }
}

#[test]
fn client_and_server_agree_whatever_the_pieces() {
    for seed in 0..200 {
        let mut random = Random(seed);
        let sizes = [0, 1, 7, 8, 9, 31, 32, 33, 136, 5000, 65_535, 65_536, 65_537, 200_000];
        let data: Vec<Vec<u8>> = (0..4)
            .map(|_| {
                let len = sizes[random.below(sizes.len())];
                random.bytes(len)
            })
            .collect();
        let preimages = Loop {
            sent: vec![],
            answered: vec![],
            pieces: Random(seed),
            turn: |sent: &[u8]| {
                let mut script = Script::in_pieces(sent, seed, 11);
                let find = |key: Key| {
                    data.iter().find(|d| Key::keccak256_of(d) == key).cloned().ok_or("missing")
                };
                assert_eq!(OracleServer::new(&mut script).next(find), Ok(Turn::Served));
                (script.written, script.read)
            },
        };
        let mut heard = Vec::new();
        let hints = Loop {
            sent: vec![],
            answered: vec![],
            pieces: Random(!seed),
            turn: |sent: &[u8]| {
                let mut script = Script::in_pieces(sent, seed, 5);
                let turn = HintReader::new(&mut script).next(|hint| {
                    heard.push(hint.to_vec());
                    Ok::<_, ()>(())
                });
                assert_eq!(turn, Ok(Turn::Served));
                (script.written, script.read)
            },
        };
        let mut client = Client::new(HintWriter::new(hints), OracleReader::new(preimages));
        for data in &data {
            client.hint(&data[..data.len().min(300)]).unwrap();
            assert_eq!(&client.preimage(Key::keccak256_of(data)).unwrap(), data);
        }
        drop(client);
        assert!(heard.iter().eq(data.iter().map(|d| &d[..d.len().min(300)])));
    }
}

/// Any bytes from a program or a host end in a result: no panic, no loop, no more memory than bytes.
#[test]
fn random_bytes_are_survived() {
    for seed in 0..20_000 {
        let mut random = Random(seed);
        let len = random.below(120);
        let mut bytes = random.bytes(len);
        // Small lengths, so that some of it means something.
        for byte in bytes.iter_mut().take(random.below(8)) {
            *byte = 0;
        }
        let piece = 1 + random.below(40);

        let mut hints = HintReader::new(Script::in_pieces(&bytes, seed, piece));
        while hints.next(no_error) == Ok(Turn::Served) {}
        let mut keys = OracleServer::new(Script::in_pieces(&bytes, seed, piece));
        while keys.next(|key| key.kind().map(|_| vec![1; 9]).ok_or(())) == Ok(Turn::Served) {}
        let mut reader = OracleReader::new(Script::in_pieces(&bytes, seed, piece));
        while reader.read(Key::local(0)).is_ok() {}
        let mut writer = HintWriter::new(Script::in_pieces(&bytes, seed, piece));
        while writer.write(b"hint").is_ok() {}
    }
}

#[cfg(feature = "std")]
mod over_std {
    use std::io::{self, ErrorKind, Write as _};

    use tribunal_preimage::channel::ReadWrite;

    use super::*;

    #[test]
    fn pipes_carry_a_whole_conversation() {
        let (key_reader, key_writer) = io::pipe().unwrap();
        let (data_reader, data_writer) = io::pipe().unwrap();
        let server = std::thread::spawn(move || {
            let channel = ReadWrite { reader: key_reader, writer: data_writer };
            let mut server = OracleServer::new(channel);
            let mut served = 0;
            // More than a pipe holds at once.
            while server.next(|_| Ok::<_, ()>(vec![served; 300_000])).unwrap() == Turn::Served {
                served += 1;
            }
            served
        });
        let mut reader = OracleReader::new(ReadWrite { reader: data_reader, writer: key_writer });
        for i in 0..3 {
            assert_eq!(reader.read(Key::local(1)).unwrap(), vec![i; 300_000]);
        }
        drop(reader);
        assert_eq!(server.join().unwrap(), 3);
    }

    #[test]
    fn a_pipe_nobody_reads_is_the_end_and_not_a_signal() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut channel = ReadWrite { reader: io::empty(), writer };
        let error = ChannelError::Ended { field: Field::PreimageKey, done: 0, expected: 32 };
        assert_eq!(OracleReader::new(&mut channel).read(Key::local(1)), Err(error));
    }

    /// Every other call is interrupted, as by a signal.
    struct Nervous<T>(T, bool);

    impl<T> Nervous<T> {
        fn call<R>(&mut self, call: impl FnOnce(&mut T) -> io::Result<R>) -> io::Result<R> {
            self.1 = !self.1;
            if self.1 { Err(ErrorKind::Interrupted.into()) } else { call(&mut self.0) }
        }
    }

    impl<T: io::Read> io::Read for Nervous<T> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.call(|inner| inner.read(buf))
        }
    }

    impl<T: io::Write> io::Write for Nervous<T> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.call(|inner| inner.write(bytes))
        }

        fn flush(&mut self) -> io::Result<()> {
            self.call(io::Write::flush)
        }
    }

    #[test]
    fn interruptions_are_repeated_and_buffers_flushed() {
        let mut sink = Vec::new();
        let source = answer(3, b"abc");
        let mut channel = ReadWrite {
            reader: Nervous(&source[..], false),
            writer: Nervous(io::BufWriter::new(&mut sink), false),
        };
        assert_eq!(OracleReader::new(&mut channel).read(Key::local(2)).unwrap(), b"abc");
        // What a buffer still holds is lost here.
        let Nervous(writer, _) = channel.writer;
        let (written, unwritten) = writer.into_parts();
        assert!(unwritten.unwrap().is_empty());
        assert_eq!(written, Key::local(2).as_bytes());
    }

    #[test]
    fn other_failures_keep_their_words() {
        struct Full;
        impl io::Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::other("no space"))
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut channel = ReadWrite { reader: io::empty(), writer: Full };
        channel.writer.flush().unwrap();
        let error = OracleReader::new(&mut channel).read(Key::local(1)).unwrap_err();
        assert_eq!(error, ChannelError::Failed("no space".into()));
    }
}
