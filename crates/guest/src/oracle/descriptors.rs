//! The descriptors 3 to 6 as channels, and the wire protocols over them.

use tribunal_preimage::client::HintWriter;
#[cfg(not(target_os = "none"))]
use tribunal_preimage::client::{Client, OracleReader};
use tribunal_preimage::{Channel, ChannelError};

use crate::fd::{Errno, ReadEnd, WriteEnd};

/// Hints and preimages over descriptors.
#[cfg(not(target_os = "none"))]
pub(super) type WireClient = Client<Descriptors, Descriptors>;

/// The client of this process.
#[cfg(not(target_os = "none"))]
pub(super) fn client() -> WireClient {
    let preimages = Descriptors { from: ReadEnd::PREIMAGE, to: WriteEnd::PREIMAGE };
    Client::new(hints(), OracleReader::new(preimages))
}

/// Where hints go.
pub(super) fn hints() -> HintWriter<Descriptors> {
    HintWriter::new(Descriptors { from: ReadEnd::HINT, to: WriteEnd::HINT })
}

/// Two descriptors that make a channel.
#[derive(Debug)]
pub(super) struct Descriptors {
    from: ReadEnd,
    to: WriteEnd,
}

impl Channel for Descriptors {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, ChannelError> {
        self.from.read(buf).map_err(failed)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, ChannelError> {
        match self.to.write(bytes) {
            Err(Errno::CLOSED) => Ok(0),
            other => other.map_err(failed),
        }
    }
}

pub(super) fn failed(errno: Errno) -> ChannelError {
    ChannelError::Io { errno: i32::try_from(errno.0).unwrap_or(i32::MAX) }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::io::{PipeReader, PipeWriter, Read as _, Write as _, pipe};
    use std::os::fd::AsRawFd as _;
    use std::thread;
    use std::vec;
    use std::vec::Vec;

    use tribunal_preimage::channel::Field;

    use super::*;
    use crate::Key;

    /// Descriptors of a program, and the ends that its host has.
    fn pair() -> (Descriptors, (PipeReader, PipeWriter), (PipeReader, PipeWriter)) {
        let ((from, to_program), (from_program, to)) = (pipe().unwrap(), pipe().unwrap());
        let descriptors = Descriptors {
            from: ReadEnd::of(from.as_raw_fd() as u32),
            to: WriteEnd::of(to.as_raw_fd() as u32),
        };
        (descriptors, (from, to), (from_program, to_program))
    }

    #[test]
    fn an_answer_in_pieces_is_read_to_its_end_and_no_further() {
        let (descriptors, _open, (mut from_program, mut to_program)) = pair();
        let data: Vec<u8> = (0..100_000u32).map(|i| i as u8).collect();
        let expected = data.clone();
        let host = thread::spawn(move || {
            let mut key = [0; 32];
            from_program.read_exact(&mut key).unwrap();
            assert_eq!(key, Key::local(7).into_bytes());
            for byte in 100_000u64.to_be_bytes() {
                to_program.write_all(&[byte]).unwrap();
            }
            for piece in data.chunks(777) {
                to_program.write_all(piece).unwrap();
            }
            // The beginning of the next answer, which is not part of this one.
            to_program.write_all(&3u64.to_be_bytes()).unwrap();
            to_program.write_all(b"abc").unwrap();
            (from_program, to_program)
        });
        let mut reader = OracleReader::new(descriptors);
        assert_eq!(reader.read(Key::local(7)).unwrap(), expected);
        let _host = host.join().unwrap();
        assert_eq!(reader.read(Key::local(8)).unwrap(), b"abc");
    }

    #[test]
    fn a_host_that_is_gone_is_an_error_at_once() {
        let (descriptors, open, (from_program, mut to_program)) = pair();
        to_program.write_all(&8u64.to_be_bytes()).unwrap();
        to_program.write_all(b"half").unwrap();
        drop((from_program, to_program));
        let mut reader = OracleReader::new(descriptors);
        // Nobody reads the key; what was already sent does not matter.
        let ended = ChannelError::Ended { field: Field::PreimageKey, done: 0, expected: 32 };
        assert_eq!(reader.read(Key::local(1)), Err(ended));
        drop(open);
    }

    #[test]
    fn a_descriptor_that_is_not_open_is_named_by_its_error() {
        let closed = || Descriptors { from: ReadEnd::of(9_999), to: WriteEnd::of(9_999) };
        assert_eq!(closed().read(&mut [0]), Err(ChannelError::Io { errno: 9 }));
        assert_eq!(closed().write(&[0]), Err(ChannelError::Io { errno: 9 }));
        // Nothing is asked of the system for nothing.
        assert_eq!((closed().read(&mut []), closed().write(&[])), (Ok(0), Ok(0)));
    }

    #[test]
    fn a_hint_is_sent_whole_and_waits_for_its_acknowledgement() {
        let (descriptors, _open, (mut from_program, mut to_program)) = pair();
        let hint = vec![b'h'; 200_000];
        let expected = hint.clone();
        let host = thread::spawn(move || {
            let mut length = [0; 4];
            from_program.read_exact(&mut length).unwrap();
            let mut hint = vec![0; u32::from_be_bytes(length) as usize];
            from_program.read_exact(&mut hint).unwrap();
            to_program.write_all(&[0]).unwrap();
            hint
        });
        HintWriter::new(descriptors).write(&hint).unwrap();
        assert_eq!(host.join().unwrap(), expected);
    }
}
