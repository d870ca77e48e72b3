//! The program's side of both protocols.
//!
//! Nothing is read beyond the bytes an answer announces: on chain there is no proof for a read at the
//! end of a preimage, so a program must never probe for it.

use alloc::vec::Vec;

use crate::channel::{self, Channel, ChannelError, Field};
use crate::{Key, Oracle, OracleError};

/// The longest preimage an [`OracleReader`] takes unless told otherwise: 256 MiB.
///
/// On chain nothing above 9 MB can be loaded. Only what really arrives costs memory.
pub const DEFAULT_PREIMAGE_LIMIT: u64 = 256 << 20;

/// Sends hints.
#[derive(Clone, Debug)]
pub struct HintWriter<C> {
    channel: C,
}

impl<C: Channel> HintWriter<C> {
    /// Sends over a channel that carries hints one way and acknowledgements back.
    pub const fn new(channel: C) -> Self {
        Self { channel }
    }

    /// Sends one hint, which may be empty, and waits until it is acknowledged.
    ///
    /// Any byte acknowledges. Every host in use sends 0, even for a hint it could not follow, and
    /// no program in use looks at the value; so it has no meaning here either.
    ///
    /// # Errors
    /// If the host goes away, or the hint is longer than the 2³²-1 bytes that a length can say.
    pub fn write(&mut self, hint: &[u8]) -> Result<(), ChannelError> {
        let length = u32::try_from(hint.len()).map_err(|_| ChannelError::TooLong {
            field: Field::HintText,
            announced: hint.len() as u64,
            limit: u64::from(u32::MAX),
        })?;
        channel::write_all(&mut self.channel, &length.to_be_bytes(), Field::HintLength)?;
        channel::write_all(&mut self.channel, hint, Field::HintText)?;
        channel::read_exact(&mut self.channel, &mut [0], Field::HintAck)
    }
}

/// Asks for preimages.
#[derive(Clone, Debug)]
pub struct OracleReader<C> {
    channel: C,
    limit: u64,
}

impl<C: Channel> OracleReader<C> {
    /// Asks over a channel that carries keys one way and preimages back.
    pub const fn new(channel: C) -> Self {
        Self { channel, limit: DEFAULT_PREIMAGE_LIMIT }
    }

    /// Refuses preimages longer than `bytes`.
    pub const fn with_limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// The preimage of `key`, as the host sent it: unchecked.
    ///
    /// # Errors
    /// If the host goes away or announces more than the limit. The channel is of no use after an
    /// error, since what the host still sends cannot be told from the next answer.
    pub fn read(&mut self, key: Key) -> Result<Vec<u8>, ChannelError> {
        channel::write_all(&mut self.channel, key.as_bytes(), Field::PreimageKey)?;
        let mut length = [0; 8];
        channel::read_exact(&mut self.channel, &mut length, Field::PreimageLength)?;
        let length = u64::from_be_bytes(length);
        channel::read_vec(&mut self.channel, length, self.limit, Field::PreimageData)
    }
}

/// Both together: all that a program has of the world.
#[derive(Clone, Debug)]
pub struct Client<H, P> {
    hints: HintWriter<H>,
    preimages: OracleReader<P>,
}

impl<H: Channel, P: Channel> Client<H, P> {
    /// A client over the two channels of a program.
    pub const fn new(hints: HintWriter<H>, preimages: OracleReader<P>) -> Self {
        Self { hints, preimages }
    }
}

impl<H: Channel, P: Channel> Oracle for Client<H, P> {
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        Ok(self.hints.write(hint)?)
    }

    /// The preimage as the host sent it: see [`Checked`](crate::Checked) for one that does not
    /// trust it. A key of no kind is refused before anything is sent.
    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        if key.kind().is_none() {
            return Err(OracleError::InvalidKey { key });
        }
        Ok(self.preimages.read(key)?)
    }
}
