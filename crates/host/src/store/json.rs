//! Preimages in one JSON file: what people pass around.
//!
//! ```text
//! { "0x<64 hex digits>": "0x<hex digits>", … }
//! ```
//!
//! `.gz` at the end of the name means gzip. The file is read whole and never changed.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde::{Deserialize as _, Deserializer};
use tribunal_preimage::Key;

use super::{Backend, MemoryStore, PreimageStore as _, StoreError, digits};

/// The most that is read of one file, in bytes after decompression.
const LIMIT: u64 = 1 << 30;

/// The preimages of a JSON file.
///
/// What is put here is kept in memory only.
#[derive(Debug)]
pub struct JsonStore {
    path: PathBuf,
    preimages: MemoryStore,
}

impl JsonStore {
    /// Reads the file at `path`, and checks every preimage in it.
    ///
    /// # Errors
    /// If it cannot be read, is not an object of keys and data, names a key twice, or holds data that
    /// does not belong to its key.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_within(path, LIMIT)
    }

    fn open_within(path: &Path, limit: u64) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|e| StoreError::io("open", path, e))?;
        let file = BufReader::new(file);
        let preimages = if path.extension().is_some_and(|e| e == "gz") {
            read(MultiGzDecoder::new(file), path, limit)
        } else {
            read(file, path, limit)
        }?;
        Ok(Self { path: path.into(), preimages })
    }

    /// How many preimages there are.
    pub fn len(&self) -> usize {
        self.preimages.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.preimages.is_empty()
    }
}

impl Backend for JsonStore {
    fn load(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.preimages.load(key)
    }

    fn save(&self, key: Key, data: Vec<u8>) -> Result<(), StoreError> {
        self.preimages.save(key, data)
    }

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        self.preimages.keys()
    }

    fn name(&self) -> String {
        format!("the file {}", self.path.display())
    }
}

/// Writes preimages as such a file, uncompressed, in ascending order of their keys.
///
/// # Errors
/// What `sink` reports.
pub fn write_json(
    preimages: impl IntoIterator<Item = (Key, Vec<u8>)>,
    sink: &mut dyn io::Write,
) -> io::Result<()> {
    let mut before = "{\n";
    for (key, data) in preimages {
        write!(sink, "{before}  \"{key}\": \"0x{}\"", digits::encode(&data))?;
        before = ",\n";
    }
    match before {
        "{\n" => sink.write_all(b"{}\n"),
        _ => sink.write_all(b"\n}\n"),
    }
}

fn read(source: impl Read, path: &Path, limit: u64) -> Result<MemoryStore, StoreError> {
    let mut source = source.take(limit);
    let preimages = MemoryStore::new();
    // Buffered, because the parser takes single bytes.
    let mut parser = serde_json::Deserializer::from_reader(BufReader::new(&mut source));
    let parsed = Preimages(&preimages).deserialize(&mut parser).and_then(|()| parser.end());
    drop(parser);
    match parsed {
        Ok(()) => Ok(preimages),
        Err(_) if source.limit() == 0 => Err(StoreError::TooLarge { path: path.into(), limit }),
        Err(error) if error.is_io() => Err(StoreError::io("read", path, io::Error::from(error))),
        Err(source) => Err(StoreError::Json { path: path.into(), source }),
    }
}

/// Reads the object entry by entry, so that each mistake is reported with its line.
struct Preimages<'a>(&'a MemoryStore);

impl<'de> DeserializeSeed<'de> for Preimages<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Preimages<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of preimage keys and data")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut entries: M) -> Result<(), M::Error> {
        while let Some(key) = entries.next_key::<String>()? {
            let key: Key = key.parse().map_err(M::Error::custom)?;
            if self.0.contains(key) {
                return Err(M::Error::custom(format_args!("{key} is there twice")));
            }
            let data = entries.next_value_seed(HexData(key))?;
            self.0.put(key, data).map_err(|error| match error {
                StoreError::Rejected { wrong, .. } => M::Error::custom(wrong),
                other => M::Error::custom(other),
            })?;
        }
        Ok(())
    }
}

/// The hex digits of the data for a key.
struct HexData(Key);

impl<'de> DeserializeSeed<'de> for HexData {
    type Value = Vec<u8>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        digits::decode(digits.as_bytes())
            .map_err(|error| D::Error::custom(format_args!("the data for {}: {error}", self.0)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// A small file that unpacks to a large one must not fill the memory.
    #[test]
    fn a_file_that_unpacks_beyond_the_limit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bomb.json.gz");
        let mut encoder = GzEncoder::new(fs::File::create(&path).unwrap(), Compression::fast());
        let text = format!("{{\"{}\": \"0x{}\"}}", Key::local(1), "0".repeat(1 << 20));
        encoder.write_all(text.as_bytes()).unwrap();
        let length = text.len() as u64;
        encoder.finish().unwrap();

        let error = JsonStore::open_within(&path, 1 << 20).unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { limit: 1_048_576, .. }), "{error}");
        let error = JsonStore::open_within(&path, length - 1).unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
        assert_eq!(JsonStore::open_within(&path, length).unwrap().len(), 1);
    }
}
