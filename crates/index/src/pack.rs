//! Files of pages: each page with its root in the memory tree, which is its name, and a checksum.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use tribunal_keccak::Hash;
use tribunal_memory::{PAGE_SIZE, PageData};
use xxhash_rust::xxh3::xxh3_64;

use crate::IndexError;

/// A root, the page, a checksum of both.
pub(crate) const RECORD_BYTES: usize = 32 + PAGE_SIZE + 8;

/// Where a page is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) pack: u32,
    pub(crate) slot: u32,
}

impl Place {
    fn offset(self) -> u64 {
        u64::from(self.slot) * RECORD_BYTES as u64
    }
}

/// What the names of such files begin with.
pub(crate) const PREFIX: &str = "pages-";

pub(crate) fn path(directory: &Path, pack: u32) -> PathBuf {
    directory.join(format!("{PREFIX}{pack:08}"))
}

/// The number in the name of such a file.
pub(crate) fn number_of(name: &str) -> Option<u32> {
    let digits = name.strip_prefix(PREFIX).filter(|digits| digits.len() == 8)?;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Writes one file of pages.
pub(crate) struct PackWriter {
    path: PathBuf,
    file: BufWriter<File>,
    next: Place,
}

impl PackWriter {
    pub(crate) fn create(directory: &Path, pack: u32) -> Result<Self, IndexError> {
        let path = path(directory, pack);
        let file = File::options().write(true).create_new(true).open(&path);
        let file = file.map_err(IndexError::io("create", &path))?;
        let file = BufWriter::with_capacity(1 << 18, file);
        Ok(Self { path, file, next: Place { pack, slot: 0 } })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.next.offset()
    }

    pub(crate) fn append(&mut self, root: &Hash, data: &PageData) -> Result<Place, IndexError> {
        let mut record = [0; RECORD_BYTES];
        record[..32].copy_from_slice(root);
        record[32..32 + PAGE_SIZE].copy_from_slice(data);
        let sum = xxh3_64(&record[..32 + PAGE_SIZE]);
        record[32 + PAGE_SIZE..].copy_from_slice(&sum.to_be_bytes());
        self.file.write_all(&record).map_err(IndexError::io("write", &self.path))?;
        let place = self.next;
        self.next.slot += 1;
        Ok(place)
    }

    pub(crate) fn flush(&mut self) -> Result<(), IndexError> {
        self.file.flush().map_err(IndexError::io("write", &self.path))
    }
}

/// Reads pages. Keeps the files open that it has read from.
pub(crate) struct PackReader {
    directory: PathBuf,
    files: BTreeMap<u32, File>,
    buffer: Vec<u8>,
}

/// Records that are read at once, at most.
const RECORDS_AT_ONCE: usize = 64;

impl PackReader {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), files: BTreeMap::new(), buffer: Vec::new() }
    }

    /// Forgets the files, which are to be replaced.
    pub(crate) fn close(&mut self) {
        self.files.clear();
    }

    /// Hands over `count` pages that lie side by side, each checked, with its root.
    pub(crate) fn read(
        &mut self,
        mut place: Place,
        count: u64,
        mut page: impl FnMut(Place, Hash, &PageData),
    ) -> Result<(), IndexError> {
        let mut left = count;
        while left > 0 {
            let records = left.min(RECORDS_AT_ONCE as u64) as usize;
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.resize(records * RECORD_BYTES, 0);
            self.read_exact(place.pack, place.offset(), &mut buffer)?;
            for record in buffer.as_chunks::<RECORD_BYTES>().0 {
                let (root, data) = check(record).ok_or_else(|| {
                    IndexError::damaged(
                        &path(&self.directory, place.pack),
                        "the checksum of a page is wrong",
                    )
                })?;
                page(place, root, data);
                place.slot = place.slot.wrapping_add(1);
            }
            self.buffer = buffer;
            left -= records as u64;
        }
        Ok(())
    }

    /// Whether the page at `place` holds `data`. For pages that this process has written or checked.
    pub(crate) fn holds(&mut self, place: Place, data: &PageData) -> Result<bool, IndexError> {
        let mut kept = [0; PAGE_SIZE];
        self.read_exact(place.pack, place.offset() + 32, &mut kept)?;
        Ok(kept == *data)
    }

    fn read_exact(&mut self, pack: u32, offset: u64, bytes: &mut [u8]) -> Result<(), IndexError> {
        let path = || path(&self.directory, pack);
        let file = match self.files.get(&pack) {
            Some(file) => file,
            None => {
                let file = File::open(path()).map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => IndexError::damaged(&path(), "it is missing"),
                    _ => IndexError::io("read", &path())(error),
                })?;
                self.files.entry(pack).or_insert(file)
            }
        };
        file.read_exact_at(bytes, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => IndexError::damaged(&path(), "it is truncated"),
            _ => IndexError::io("read", &path())(error),
        })
    }
}

/// What a record holds, if it is whole.
fn check(record: &[u8; RECORD_BYTES]) -> Option<(Hash, &PageData)> {
    let (content, sum) = record.split_last_chunk()?;
    let (root, data) = content.split_first_chunk()?;
    let whole = xxh3_64(content) == u64::from_be_bytes(*sum);
    whole.then_some((*root, data.try_into().ok()?))
}
