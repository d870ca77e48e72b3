//! The same calls where there is an operating system under the program.

extern crate std;

use core::mem::ManuallyDrop;
use std::fs::File;
use std::io::{Error, Read as _, Write as _};
use std::os::fd::FromRawFd as _;

use crate::fd::Errno;

pub(crate) fn read(fd: u32, buffer: &mut [u8]) -> Result<usize, Errno> {
    file(fd).read(buffer).map_err(errno)
}

pub(crate) fn write(fd: u32, buffer: &[u8]) -> Result<usize, Errno> {
    file(fd).write(buffer).map_err(errno)
}

/// The file behind a descriptor that somebody else opened and will close.
fn file(fd: u32) -> ManuallyDrop<File> {
    // SAFETY: the numbers in `fd` name what the parent process opened for this one, for as long as
    // it lives, and the file is not closed here. A descriptor that is not open is an error.
    ManuallyDrop::new(unsafe { File::from_raw_fd(fd as i32) })
}

fn errno(error: Error) -> Errno {
    Errno(error.raw_os_error().map_or(0, |code| code as usize))
}
