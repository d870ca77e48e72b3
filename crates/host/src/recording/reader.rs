//! Reads a recording whole. Nothing in it is believed.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, ErrorKind, Read};

use flate2::bufread::GzDecoder;
use tribunal_keccak::Keccak256;
use tribunal_preimage::Key;

use super::{
    Asked, Beginning, END, End, HINT, MAGIC, Misplaced, PREIMAGE, PROGRAM, Recording,
    RecordingError, VERSION,
};

impl Recording {
    /// Reads a recording that unpacks to at most `limit` bytes, and checks all of it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(source: &mut impl BufRead, limit: u64) -> Result<Self, RecordingError> {
        let mut head = [0; 16];
        source.read_exact(&mut head).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => RecordingError::Foreign,
            _ => RecordingError::Io(error),
        })?;
        let (magic, version) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(RecordingError::Foreign);
        }
        let found = u64::from_be_bytes(version.try_into().expect("eight bytes"));
        if found != VERSION {
            return Err(RecordingError::Version { found });
        }
        let unpacked = BufReader::with_capacity(1 << 16, GzDecoder::new(&mut *source));
        let mut body = Body { source: unpacked, checksum: Keccak256::new(), left: limit, limit };
        let recording = body.recording()?;
        if !source.fill_buf().map_err(RecordingError::Io)?.is_empty() {
            return Err(RecordingError::Trailing);
        }
        Ok(recording)
    }
}

/// What is compressed.
struct Body<R> {
    source: R,
    checksum: Keccak256,
    /// How many more bytes may come.
    left: u64,
    limit: u64,
}

impl<R: Read> Body<R> {
    fn recording(&mut self) -> Result<Recording, RecordingError> {
        let within = "its beginning";
        let machine =
            String::from_utf8(self.long(within)?).map_err(|_| misplaced(Misplaced::Value))?;
        let prestate = self.array(within)?;
        let step = u64::from_be_bytes(self.array(within)?);
        let beginning = Beginning { machine, prestate, step };

        let mut program = None;
        let mut events = Vec::new();
        let mut keys = BTreeSet::new();
        loop {
            match self.array::<1>("its records")? {
                [PROGRAM] if program.is_none() && events.is_empty() => {
                    program = Some(self.long("its program")?);
                }
                [PROGRAM] => return Err(misplaced(Misplaced::Program)),
                [HINT] => events.push(Asked::Hint(self.long("a hint")?)),
                [PREIMAGE] => {
                    let key = Key::from_bytes(self.array("a preimage")?);
                    let data = self.long("a preimage")?;
                    key.check(&data)?;
                    if !keys.insert(key) {
                        return Err(misplaced(Misplaced::Again(key)));
                    }
                    events.push(Asked::Preimage(key, data));
                }
                [END] => break,
                [kind] => return Err(misplaced(Misplaced::Record(kind))),
            }
        }
        let within = "its end";
        let step = u64::from_be_bytes(self.array(within)?);
        let exit_code = match self.array(within)? {
            [0, 0] => None,
            [1, code] => Some(code),
            _ => return Err(misplaced(Misplaced::Value)),
        };
        let end = End { exit_code, state_hash: self.array(within)?, step };
        let computed = std::mem::replace(&mut self.checksum, Keccak256::new()).finish();
        if self.array::<32>("its checksum")? != computed {
            return Err(RecordingError::Checksum);
        }
        // Only at its end does the decoder look at its own checksum.
        match self.source.read(&mut [0]).map_err(|error| broken(error, "its checksum"))? {
            0 => Ok(Recording { beginning, program, events, end }),
            _ => Err(RecordingError::Trailing),
        }
    }

    /// A length, and as many bytes. Memory grows with what comes.
    fn long(&mut self, within: &'static str) -> Result<Vec<u8>, RecordingError> {
        let length = u64::from_be_bytes(self.array(within)?);
        self.spend(length)?;
        let mut bytes = Vec::new();
        let read = (&mut self.source).take(length).read_to_end(&mut bytes);
        if read.map_err(|error| broken(error, within))? as u64 != length {
            return Err(RecordingError::Truncated(within));
        }
        self.checksum.update(&bytes);
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, within: &'static str) -> Result<[u8; N], RecordingError> {
        self.spend(N as u64)?;
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes).map_err(|error| broken(error, within))?;
        self.checksum.update(&bytes);
        Ok(bytes)
    }

    fn spend(&mut self, bytes: u64) -> Result<(), RecordingError> {
        let too_large = RecordingError::TooLarge { limit: self.limit };
        self.left = self.left.checked_sub(bytes).ok_or(too_large)?;
        Ok(())
    }
}

fn misplaced(what: Misplaced) -> RecordingError {
    RecordingError::Misplaced(what)
}

fn broken(error: std::io::Error, within: &'static str) -> RecordingError {
    match error.kind() {
        ErrorKind::UnexpectedEof => RecordingError::Truncated(within),
        // What the decoder has to say of the data.
        ErrorKind::InvalidData | ErrorKind::InvalidInput => RecordingError::Compression(error),
        _ => RecordingError::Io(error),
    }
}
