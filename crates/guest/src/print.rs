//! Lines for whoever watches: [`println!`](crate::println!) for data,
//! [`eprintln!`](crate::eprintln!) for people; [`print!`](crate::print!) and
//! [`eprint!`](crate::eprint!) leave the line open.
//!
//! Nothing here fails or needs the heap. A program's verdict does not depend on whether anyone
//! reads its output, and a line about a lack of memory can still be written.

use core::fmt::{self, Write as _};

use crate::fd::WriteEnd;

/// Writes a line to stdout.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => {
        $crate::print::line($crate::fd::WriteEnd::STDOUT, ::core::format_args!($($argument)*))
    };
}

/// Writes a line to stderr.
#[macro_export]
macro_rules! eprintln {
    ($($argument:tt)*) => {
        $crate::print::line($crate::fd::WriteEnd::STDERR, ::core::format_args!($($argument)*))
    };
}

/// Writes to stdout, and ends no line.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => {
        $crate::print::piece($crate::fd::WriteEnd::STDOUT, ::core::format_args!($($argument)*))
    };
}

/// Writes to stderr, and ends no line.
#[macro_export]
macro_rules! eprint {
    ($($argument:tt)*) => {
        $crate::print::piece($crate::fd::WriteEnd::STDERR, ::core::format_args!($($argument)*))
    };
}

/// Writes `text` and a newline to `end`, in one call if the line is short.
pub fn line(end: WriteEnd, text: fmt::Arguments<'_>) {
    piece(end, format_args!("{text}\n"));
}

/// Writes `text` to `end`, in one call if it is short.
pub fn piece(end: WriteEnd, text: fmt::Arguments<'_>) {
    let mut piece = Buffered { end, buffer: [0; 256], filled: 0 };
    // What cannot be written is lost, and that is all.
    let _ = piece.write_fmt(text);
    piece.flush();
}

struct Buffered {
    end: WriteEnd,
    buffer: [u8; 256],
    filled: usize,
}

impl Buffered {
    fn flush(&mut self) {
        let _ = self.end.write_all(&self.buffer[..self.filled]);
        self.filled = 0;
    }
}

impl fmt::Write for Buffered {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut bytes = text.as_bytes();
        while !bytes.is_empty() {
            if self.filled == self.buffer.len() {
                self.flush();
            }
            let count = bytes.len().min(self.buffer.len() - self.filled);
            self.buffer[self.filled..][..count].copy_from_slice(&bytes[..count]);
            self.filled += count;
            bytes = &bytes[count..];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::io::{Read as _, pipe};
    use std::os::fd::AsRawFd as _;
    use std::string::String;

    use super::*;

    #[test]
    fn lines_of_any_length_arrive_whole_and_lost_ones_do_no_harm() {
        for length in [0, 1, 254, 255, 256, 257, 511, 512, 5000] {
            let text = "x".repeat(length);
            let (mut reader, writer) = pipe().unwrap();
            line(WriteEnd::of(writer.as_raw_fd() as u32), format_args!("{text}|{length}"));
            drop(writer);
            let mut read = String::new();
            reader.read_to_string(&mut read).unwrap();
            assert_eq!(read, std::format!("{text}|{length}\n"));
        }
        line(WriteEnd::of(9_999), format_args!("nobody"));
    }
}
