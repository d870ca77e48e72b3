//! Files that end in a checksum of themselves, and what is in them.

use std::fs;
use std::path::Path;

use tribunal_machine::write_atomically;
use xxhash_rust::xxh3::xxh3_64;

use crate::IndexError;

/// What a file is made of.
#[derive(Default)]
pub(crate) struct Writing(Vec<u8>);

impl Writing {
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn word(&mut self, word: u64) {
        self.put(&word.to_be_bytes());
    }

    /// Bytes behind their length.
    pub(crate) fn counted(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        self.put(bytes);
    }

    /// Writes the file, checksum included. Returns how many bytes it has.
    pub(crate) fn save(mut self, path: &Path) -> Result<u64, IndexError> {
        self.word(xxh3_64(&self.0));
        write_atomically(path, |sink| sink.write_all(&self.0)).map_err(|error| match error {
            tribunal_machine::FileError::Write { path, error } => {
                IndexError::Io { action: "write", path, error }
            }
            other => IndexError::io("write", path)(std::io::Error::other(other)),
        })?;
        Ok(self.0.len() as u64)
    }
}

/// Reads a file that [`Writing::save`] wrote, without its checksum.
pub(crate) fn load(path: &Path) -> Result<Vec<u8>, IndexError> {
    let mut bytes = fs::read(path).map_err(IndexError::io("read", path))?;
    let checksum =
        bytes.split_last_chunk().map(|(all, sum)| xxh3_64(all) == u64::from_be_bytes(*sum));
    if checksum != Some(true) {
        return Err(IndexError::damaged(path, "its checksum is wrong"));
    }
    bytes.truncate(bytes.len() - 8);
    Ok(bytes)
}

/// Takes such bytes apart. `None` is where they end too early.
pub(crate) struct Reading<'a>(pub(crate) &'a [u8]);

impl<'a> Reading<'a> {
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn word(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    pub(crate) fn counted(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.word()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}
