//! File descriptors as types: what can be read from cannot be written to, and only the six that a
//! program is given exist.

use core::fmt;

use crate::sys;

/// A file descriptor that is only read from.
#[derive(Debug)]
pub struct ReadEnd(u32);

/// A file descriptor that is only written to.
#[derive(Debug)]
pub struct WriteEnd(u32);

/// What a system call says when it fails: an error number of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub usize);

impl ReadEnd {
    /// Where hints are acknowledged.
    pub const HINT: Self = Self(3);
    /// Where preimages come from.
    pub const PREIMAGE: Self = Self(5);

    #[cfg(test)]
    pub(crate) const fn of(fd: u32) -> Self {
        Self(fd)
    }

    /// Reads up to `buffer.len()` bytes; 0 means that the other side has closed, or that `buffer`
    /// is empty.
    ///
    /// # Errors
    /// What the system call says, except that a call which was only interrupted is made again.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        // Not even an empty read is without effect: an FPVM writes the word it lands in.
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match sys::read(self.0, buffer) {
                Err(Errno::INTERRUPTED) => {}
                // A host that claims more than there was room for is not believed.
                other => return other.map(|count| count.min(buffer.len())),
            }
        }
    }
}

impl WriteEnd {
    /// For data.
    pub const STDOUT: Self = Self(1);
    /// For people.
    pub const STDERR: Self = Self(2);
    /// Where hints go.
    pub const HINT: Self = Self(4);
    /// Where keys of preimages go.
    pub const PREIMAGE: Self = Self(6);

    #[cfg(test)]
    pub(crate) const fn of(fd: u32) -> Self {
        Self(fd)
    }

    /// Writes up to `buffer.len()` bytes and says how many.
    ///
    /// # Errors
    /// What the system call says, except that a call which was only interrupted is made again.
    pub fn write(&mut self, buffer: &[u8]) -> Result<usize, Errno> {
        // Writing nothing to the preimage descriptor would rewind what is being read.
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match sys::write(self.0, buffer) {
                Err(Errno::INTERRUPTED) => {}
                other => return other.map(|count| count.min(buffer.len())),
            }
        }
    }

    /// Writes all of `buffer`, in as many calls as it takes.
    ///
    /// # Errors
    /// What the system call says, or [`Errno::CLOSED`] if it takes nothing any more.
    pub fn write_all(&mut self, mut buffer: &[u8]) -> Result<(), Errno> {
        while !buffer.is_empty() {
            match self.write(buffer)? {
                0 => return Err(Errno::CLOSED),
                count => buffer = &buffer[count..],
            }
        }
        Ok(())
    }
}

impl Errno {
    /// `EINTR`.
    const INTERRUPTED: Self = Self(4);
    /// `EPIPE`: the other side has closed.
    pub const CLOSED: Self = Self(32);
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self.0 {
            5 => "input or output error",
            9 => "bad file descriptor",
            11 => "try again",
            12 => "out of memory",
            22 => "invalid argument",
            32 => "the other side has closed",
            _ => return write!(f, "error number {}", self.0),
        };
        f.write_str(meaning)
    }
}

impl core::error::Error for Errno {}
