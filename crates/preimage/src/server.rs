//! The host's side of both protocols: one request at a time, from a channel to a handler.

use alloc::vec::Vec;

use crate::Key;
use crate::channel::{self, Channel, ChannelError, Field, Read};

/// The longest hint a [`HintReader`] takes unless told otherwise: 64 MiB.
///
/// The longest hints in use carry a block's attributes as JSON, a few megabytes. Only what really
/// arrives costs memory.
pub const DEFAULT_HINT_LIMIT: u32 = 64 << 20;

/// How a turn of a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The program closed its channel between two requests: there will be no more.
    Ended,
    /// One request was served.
    Served,
}

/// Why a turn of a server failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError<E> {
    /// The channel broke or the program sent nonsense.
    #[error("the channel to the program failed: {0}")]
    Channel(#[from] ChannelError),
    /// The handler failed.
    #[error("{0}")]
    Handler(E),
}

/// Takes hints.
#[derive(Clone, Debug)]
pub struct HintReader<C> {
    channel: C,
    limit: u32,
}

impl<C: Channel> HintReader<C> {
    /// Reads from a channel that carries hints one way and acknowledgements back.
    pub const fn new(channel: C) -> Self {
        Self { channel, limit: DEFAULT_HINT_LIMIT }
    }

    /// Refuses hints longer than `bytes`.
    pub const fn with_limit(mut self, bytes: u32) -> Self {
        self.limit = bytes;
        self
    }

    /// Waits for one hint, gives it to `handle`, then acknowledges it with a zero byte.
    ///
    /// # Errors
    /// The hint is acknowledged also when `handle` fails, because the program waits for it and the
    /// wire has no other answer; the next turn may follow. After a channel error there is none.
    pub fn next<E>(
        &mut self,
        handle: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Result<Turn, ServeError<E>> {
        let mut length = [0; 4];
        match channel::read_or_end(&mut self.channel, &mut length, Field::HintLength)? {
            Read::Nothing => return Ok(Turn::Ended),
            Read::Whole => {}
        }
        let length = u64::from(u32::from_be_bytes(length));
        let limit = u64::from(self.limit);
        let hint = channel::read_vec(&mut self.channel, length, limit, Field::HintText)?;
        let handled = handle(&hint);
        channel::write_all(&mut self.channel, &[0], Field::HintAck)?;
        handled.map(|()| Turn::Served).map_err(ServeError::Handler)
    }
}

/// Answers requests for preimages.
#[derive(Clone, Debug)]
pub struct OracleServer<C> {
    channel: C,
}

impl<C: Channel> OracleServer<C> {
    /// Serves a channel that carries keys one way and preimages back.
    pub const fn new(channel: C) -> Self {
        Self { channel }
    }

    /// Waits for one key, asks `find` for the preimage and sends it.
    ///
    /// # Errors
    /// If `find` fails, nothing is sent, since the wire has no way to say so: the caller should let
    /// go of the channel, which the program notices at once. After a channel error there is no next
    /// turn.
    pub fn next<E>(
        &mut self,
        find: impl FnOnce(Key) -> Result<Vec<u8>, E>,
    ) -> Result<Turn, ServeError<E>> {
        let mut key = [0; 32];
        match channel::read_or_end(&mut self.channel, &mut key, Field::PreimageKey)? {
            Read::Nothing => return Ok(Turn::Ended),
            Read::Whole => {}
        }
        let data = find(Key::from_bytes(key)).map_err(ServeError::Handler)?;
        let length = (data.len() as u64).to_be_bytes();
        channel::write_all(&mut self.channel, &length, Field::PreimageLength)?;
        channel::write_all(&mut self.channel, &data, Field::PreimageData)?;
        Ok(Turn::Served)
    }
}
