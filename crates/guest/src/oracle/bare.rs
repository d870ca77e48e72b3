//! The same where the host is the machine itself, which has checked: straight into memory that
//! nobody has written yet, and no further than is wanted.
//!
//! A machine hands over at most 8 bytes a call, so what is done between two calls is most of what a
//! preimage costs. It takes a new key at any time and forgets the rest of the last preimage.

use alloc::vec::Vec;
use core::mem::MaybeUninit;

use tribunal_preimage::channel::Field;
use tribunal_preimage::client::{DEFAULT_PREIMAGE_LIMIT, HintWriter};
use tribunal_preimage::{ChannelError, Key, Oracle, OracleError};

use super::descriptors::{self, Descriptors, failed};
use crate::fd::WriteEnd;
use crate::sys;

/// Where preimages come from.
const PREIMAGES: u32 = 5;

/// Asks the machine.
#[derive(Debug)]
pub(super) struct MachineClient {
    hints: HintWriter<Descriptors>,
}

impl MachineClient {
    pub(super) fn new() -> Self {
        Self { hints: descriptors::hints() }
    }
}

impl Oracle for MachineClient {
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        Ok(self.hints.write(hint)?)
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        let announced = open(key)?;
        let field = Field::PreimageData;
        if announced > DEFAULT_PREIMAGE_LIMIT {
            let limit = DEFAULT_PREIMAGE_LIMIT;
            return Err(ChannelError::TooLong { field, announced, limit }.into());
        }
        let length = announced as usize;
        let mut data = Vec::new();
        // The machine has the bytes, and what is not written costs it nothing.
        data.try_reserve_exact(length).map_err(|_| ChannelError::OutOfMemory {
            field,
            done: 0,
            expected: announced,
        })?;
        read_exact(&mut data.spare_capacity_mut()[..length], field)?;
        // SAFETY: that many bytes were reserved, and `read_exact` has written them all.
        unsafe { data.set_len(length) };
        Ok(data)
    }

    fn beginning(&mut self, key: Key, buffer: &mut [u8]) -> Result<u64, OracleError> {
        let length = open(key)?;
        let shared = buffer.len().min(usize::try_from(length).unwrap_or(usize::MAX));
        let room: *mut [u8] = &mut buffer[..shared];
        // SAFETY: initialised bytes are a room for bytes, and only bytes are written to it.
        read_exact(unsafe { &mut *(room as *mut [MaybeUninit<u8>]) }, Field::PreimageData)?;
        Ok(length)
    }
}

/// Asks for a preimage and reads its length.
fn open(key: Key) -> Result<u64, OracleError> {
    if key.kind().is_none() {
        return Err(OracleError::InvalidKey { key });
    }
    // Where a word begins, so that the machine takes 8 bytes at once.
    #[repr(align(8))]
    struct Aligned<T>(T);
    let key = Aligned(key.into_bytes());
    let closed = |_| ChannelError::Ended { field: Field::PreimageKey, done: 0, expected: 32 };
    let mut keys = WriteEnd::PREIMAGE;
    keys.write_all(&key.0).map_err(closed)?;
    let mut length = Aligned([MaybeUninit::uninit(); 8]);
    read_exact(&mut length.0, Field::PreimageLength)?;
    // SAFETY: `read_exact` has written all of them.
    Ok(u64::from_be_bytes(length.0.map(|byte| unsafe { byte.assume_init() })))
}

/// Writes all of `room`.
fn read_exact(mut room: &mut [MaybeUninit<u8>], field: Field) -> Result<(), ChannelError> {
    let expected = room.len();
    while !room.is_empty() {
        match sys::read_into(PREIMAGES, room) {
            Ok(0) => {
                let done = (expected - room.len()) as u64;
                return Err(ChannelError::Ended { field, done, expected: expected as u64 });
            }
            // A machine that claims more than there was room for is not believed.
            Ok(count) => room = room.get_mut(count..).unwrap_or_default(),
            Err(errno) => return Err(failed(errno)),
        }
        // From here on words begin where those of memory do.
        let done = sys::read_words(PREIMAGES, room);
        room = room.get_mut(done..).unwrap_or_default();
    }
    Ok(())
}
