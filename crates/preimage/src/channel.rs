//! A blocking channel of bytes, and how whole fields are moved over one.
//!
//! A channel may move fewer bytes than asked. Everything above it uses the functions here, so that
//! partial reads, partial writes and an end in the middle of a field are handled once. A length that
//! came over the wire never makes anyone allocate that much: memory grows with the bytes that really
//! arrive, up to a limit.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

/// A two-way stream of bytes that blocks.
pub trait Channel {
    /// Waits for bytes and puts at least one into `buf`; returns how many.
    ///
    /// Returns 0 if `buf` is empty, or if the other side is gone and no more will come.
    ///
    /// # Errors
    /// If the channel failed. An interrupted call is repeated, not reported.
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, ChannelError>;

    /// Takes at least one byte from the beginning of `bytes`; returns how many.
    ///
    /// Returns 0 if `bytes` is empty, or if the other side is gone and nobody will read them. What
    /// was taken reaches the other side without any further call.
    ///
    /// # Errors
    /// If the channel failed. An interrupted call is repeated, not reported.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ChannelError>;
}

impl<C: Channel + ?Sized> Channel for &mut C {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, ChannelError> {
        (**self).read(buf)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, ChannelError> {
        (**self).write(bytes)
    }
}

/// Why a request or its answer did not cross the channel whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The waiting side was told to stop waiting.
    #[error("cancelled")]
    Cancelled,
    /// The other side went away before the field was complete.
    #[error("the other side closed its channel {done} bytes into {field} of {expected} bytes")]
    Ended {
        /// What was being moved.
        field: Field,
        /// Bytes of it that crossed.
        done: u64,
        /// Bytes it has.
        expected: u64,
    },
    /// The operating system refused, in its words.
    #[error("{0}")]
    Failed(String),
    /// The kernel under the program refused with an error number.
    #[error("the system refused to move bytes, error number {errno}")]
    Io {
        /// The error number, positive.
        errno: i32,
    },
    /// There is no memory for the bytes that arrive.
    #[error("out of memory after {done} bytes of {field} of {expected} bytes")]
    OutOfMemory {
        /// What was being moved.
        field: Field,
        /// Bytes of it that crossed.
        done: u64,
        /// Bytes it has.
        expected: u64,
    },
    /// The other side took longer than it was allowed to.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// How long it was waited for.
        after: Duration,
    },
    /// A length is beyond what the reader is ready to take.
    #[error("{field} of {announced} bytes is announced, the limit is {limit}")]
    TooLong {
        /// What the length is of.
        field: Field,
        /// The announced length in bytes.
        announced: u64,
        /// The limit in bytes.
        limit: u64,
    },
}

/// The parts that cross a channel, in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// The byte that says a hint has been taken.
    HintAck,
    /// The 4 bytes before a hint.
    HintLength,
    /// The hint.
    HintText,
    /// The preimage.
    PreimageData,
    /// The 32 bytes of a request.
    PreimageKey,
    /// The 8 bytes before a preimage.
    PreimageLength,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HintAck => "a hint acknowledgement",
            Self::HintLength => "a hint length",
            Self::HintText => "a hint",
            Self::PreimageData => "a preimage",
            Self::PreimageKey => "a preimage key",
            Self::PreimageLength => "a preimage length",
        })
    }
}

/// Writes all of `bytes`.
///
/// # Errors
/// [`ChannelError::Ended`] with `field` if the other side goes away first; what the channel reports.
pub fn write_all<C: Channel + ?Sized>(
    channel: &mut C,
    bytes: &[u8],
    field: Field,
) -> Result<(), ChannelError> {
    let mut done = 0;
    while done < bytes.len() {
        match channel.write(&bytes[done..])? {
            0 => return Err(ended(field, done, bytes.len())),
            // A channel that claims too much must not make us index past the end.
            n => done += n.min(bytes.len() - done),
        }
    }
    Ok(())
}

/// Fills all of `buf`.
///
/// # Errors
/// [`ChannelError::Ended`] with `field` if the other side goes away first; what the channel reports.
pub fn read_exact<C: Channel + ?Sized>(
    channel: &mut C,
    buf: &mut [u8],
    field: Field,
) -> Result<(), ChannelError> {
    match read_or_end(channel, buf, field)? {
        Read::Whole => Ok(()),
        Read::Nothing => Err(ended(field, 0, buf.len())),
    }
}

/// How a field that may be the first of a request arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The other side went away before the first byte: the normal end between requests.
    Nothing,
    /// All of it is there.
    Whole,
}

/// Fills all of `buf`, or reports that the channel ended before the first byte.
///
/// # Errors
/// [`ChannelError::Ended`] with `field` if the other side goes away in the middle; what the channel
/// reports.
pub fn read_or_end<C: Channel + ?Sized>(
    channel: &mut C,
    buf: &mut [u8],
    field: Field,
) -> Result<Read, ChannelError> {
    let mut done = 0;
    while done < buf.len() {
        match channel.read(&mut buf[done..])? {
            0 if done == 0 => return Ok(Read::Nothing),
            0 => return Err(ended(field, done, buf.len())),
            n => done += n.min(buf.len() - done),
        }
    }
    Ok(Read::Whole)
}

/// Reads `announced` bytes into memory that grows with what arrives.
///
/// # Errors
/// [`ChannelError::TooLong`] if more than `limit` bytes are announced: none of them is read then.
/// [`ChannelError::Ended`] if the other side goes away first. [`ChannelError::OutOfMemory`].
pub fn read_vec<C: Channel + ?Sized>(
    channel: &mut C,
    announced: u64,
    limit: u64,
    field: Field,
) -> Result<Vec<u8>, ChannelError> {
    /// What is taken on trust.
    const PIECE: usize = 64 * 1024;

    let too_long = || ChannelError::TooLong { field, announced, limit };
    if announced > limit {
        return Err(too_long());
    }
    let expected = usize::try_from(announced).map_err(|_| too_long())?;
    let mut data = Vec::new();
    let mut done = 0;
    while done < expected {
        if done == data.len() {
            // Doubling keeps the copying linear; the first piece is exact for small fields.
            let more = data.len().max(PIECE).min(expected - done);
            data.try_reserve_exact(more).map_err(|_| ChannelError::OutOfMemory {
                field,
                done: done as u64,
                expected: announced,
            })?;
            data.resize(done + more, 0);
        }
        let space = data.len() - done;
        match channel.read(&mut data[done..])? {
            0 => return Err(ended(field, done, expected)),
            n => done += n.min(space),
        }
    }
    Ok(data)
}

fn ended(field: Field, done: usize, expected: usize) -> ChannelError {
    ChannelError::Ended { field, done: done as u64, expected: expected as u64 }
}

#[cfg(feature = "std")]
mod over_std {
    use std::io::{self, ErrorKind};
    use std::string::ToString;

    use super::{Channel, ChannelError};

    /// A channel made of a reader and a writer, such as two pipes.
    ///
    /// The writer is flushed after each write, so it may buffer.
    #[derive(Clone, Debug)]
    pub struct ReadWrite<R, W> {
        /// Where bytes come from.
        pub reader: R,
        /// Where bytes go.
        pub writer: W,
    }

    impl<R: io::Read, W: io::Write> Channel for ReadWrite<R, W> {
        fn read(&mut self, buf: &mut [u8]) -> Result<usize, ChannelError> {
            loop {
                match self.reader.read(buf) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    other => return other.map_err(ChannelError::from),
                }
            }
        }

        fn write(&mut self, bytes: &[u8]) -> Result<usize, ChannelError> {
            loop {
                match self.writer.write(bytes) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(0),
                    Err(error) => return Err(error.into()),
                    Ok(count) => return self.flush().map(|gone| if gone { 0 } else { count }),
                }
            }
        }
    }

    impl<R, W: io::Write> ReadWrite<R, W> {
        /// Flushes; returns whether the other side is gone.
        fn flush(&mut self) -> Result<bool, ChannelError> {
            loop {
                match self.writer.flush() {
                    Ok(()) => return Ok(false),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(true),
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }

    impl From<io::Error> for ChannelError {
        fn from(error: io::Error) -> Self {
            Self::Failed(error.to_string())
        }
    }
}

#[cfg(feature = "std")]
pub use over_std::ReadWrite;
