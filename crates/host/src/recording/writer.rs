//! Writes a recording, piece by piece, as the run goes on.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use tribunal_keccak::Keccak256;
use tribunal_preimage::Key;

use super::{Beginning, END, End, HINT, MAGIC, PREIMAGE, PROGRAM, VERSION};

/// Writes a recording.
///
/// It is none before [`RecordingWriter::end`].
pub struct RecordingWriter<W: Write> {
    sink: GzEncoder<W>,
    /// Of all that is written before it is compressed.
    checksum: Keccak256,
}

impl<W: Write> RecordingWriter<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// What `sink` reports, here and below.
    pub fn begin(mut sink: W, beginning: &Beginning) -> io::Result<Self> {
        sink.write_all(&MAGIC)?;
        sink.write_all(&VERSION.to_be_bytes())?;
        let mut writer =
            Self { sink: GzEncoder::new(sink, Compression::default()), checksum: Keccak256::new() };
        let Beginning { machine, prestate, step } = beginning;
        writer.long(machine.as_bytes())?;
        writer.bytes(prestate)?;
        writer.bytes(&step.to_be_bytes())?;
        Ok(writer)
    }

    /// Writes the state file that the run begins with: before all else, if at all.
    ///
    /// # Errors
    /// What the sink reports.
    pub fn program(&mut self, state: &[u8]) -> io::Result<()> {
        self.bytes(&[PROGRAM])?;
        self.long(state)
    }

    /// Writes a hint.
    ///
    /// # Errors
    /// What the sink reports.
    pub fn hint(&mut self, hint: &[u8]) -> io::Result<()> {
        self.bytes(&[HINT])?;
        self.long(hint)
    }

    /// Writes a preimage: each only once.
    ///
    /// # Errors
    /// What the sink reports.
    pub fn preimage(&mut self, key: Key, data: &[u8]) -> io::Result<()> {
        self.bytes(&[PREIMAGE])?;
        self.bytes(key.as_bytes())?;
        self.long(data)
    }

    /// Ends the recording, and gives back where it was written to.
    ///
    /// # Errors
    /// What the sink reports.
    pub fn end(mut self, end: &End) -> io::Result<W> {
        let End { exit_code, state_hash, step } = end;
        self.bytes(&[END])?;
        self.bytes(&step.to_be_bytes())?;
        self.bytes(&[u8::from(exit_code.is_some()), exit_code.unwrap_or(0)])?;
        self.bytes(state_hash)?;
        let checksum = self.checksum.finish();
        self.sink.write_all(&checksum)?;
        self.sink.finish()
    }

    fn long(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes(&(bytes.len() as u64).to_be_bytes())?;
        self.bytes(bytes)
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.checksum.update(bytes);
        self.sink.write_all(bytes)
    }
}
