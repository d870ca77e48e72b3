//! Pairs of pipes that never block for long, so that whoever waits can be told to stop.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tribunal_preimage::{Channel, ChannelError};

/// How long is waited before looking whether waiting still makes sense.
const SLICE: Duration = Duration::from_millis(50);

/// What a pipe holds, where the system allows it: most preimages as a whole, and no more than stays in
/// a cache.
const PIPE_BYTES: usize = 1 << 18;

/// One pipe in each direction.
#[derive(Debug)]
pub(crate) struct Pipes {
    from: File,
    to: File,
}

impl Pipes {
    /// Takes the two ends that are this process's.
    pub(crate) fn new(from: OwnedFd, to: OwnedFd) -> io::Result<Self> {
        // The other process's ends are other descriptions: they go on blocking.
        rustix::io::ioctl_fionbio(&from, true)?;
        rustix::io::ioctl_fionbio(&to, true)?;
        for end in [&from, &to] {
            // Smaller ones only mean more waiting for each other.
            let _ = rustix::pipe::fcntl_setpipe_size(end, PIPE_BYTES);
        }
        Ok(Self { from: from.into(), to: to.into() })
    }

    /// Whether there is something to read already.
    pub(crate) fn is_readable(&self) -> io::Result<bool> {
        let mut fds = [PollFd::new(&self.from, PollFlags::IN)];
        match poll(&mut fds, Some(&Timespec::default())) {
            Ok(_) => Ok(fds[0].revents().contains(PollFlags::IN)),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The end that is written to once more, to ask whether it [is abandoned](is_abandoned) while
    /// the pipes are in use. `None` if this process has too many files open.
    pub(crate) fn writer(&self) -> Option<File> {
        self.to.try_clone().ok()
    }

    /// A channel over the pipes that asks `still` whether to go on, each time it has to wait.
    pub(crate) const fn channel<F>(&mut self, still: F) -> Waiting<'_, F>
    where
        F: FnMut() -> Result<Still, ChannelError>,
    {
        Waiting { pipes: self, still }
    }
}

/// Whether nobody will ever read what is written to this pipe.
pub(crate) fn is_abandoned(writer: &File) -> bool {
    let mut fds = [PollFd::new(writer, PollFlags::empty())];
    poll(&mut fds, Some(&Timespec::default())).is_ok()
        && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

/// Whether there is anyone to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Still {
    /// The other side is gone, even if its pipe is still open somewhere.
    Gone,
    /// The other side may still answer.
    There,
}

/// Pipes in use.
pub(crate) struct Waiting<'a, F> {
    pipes: &'a mut Pipes,
    still: F,
}

impl<F: FnMut() -> Result<Still, ChannelError>> Waiting<'_, F> {
    /// Repeats `operation`, which does not block, until it has something to say.
    fn until_done(
        &mut self,
        flags: PollFlags,
        mut operation: impl FnMut(&mut Pipes) -> io::Result<usize>,
    ) -> Result<usize, ChannelError> {
        let slice = Timespec { tv_sec: 0, tv_nsec: SLICE.subsec_nanos().into() };
        let mut gone = false;
        loop {
            match operation(self.pipes) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(0),
                Err(error) => return Err(error.into()),
            }
            if gone {
                return Ok(0);
            }
            if (self.still)()? == Still::Gone {
                // What it said last may have arrived in between.
                gone = true;
                continue;
            }
            let file = if flags == PollFlags::IN { &self.pipes.from } else { &self.pipes.to };
            match poll(&mut [PollFd::new(file, flags)], Some(&slice)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
    }
}

impl<F: FnMut() -> Result<Still, ChannelError>> Channel for Waiting<'_, F> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, ChannelError> {
        self.until_done(PollFlags::IN, |pipes| pipes.from.read(buf))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, ChannelError> {
        self.until_done(PollFlags::OUT, |pipes| pipes.to.write(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The other side speaks and dies between our looking for bytes and our looking for it.
    #[test]
    fn the_last_words_of_the_other_side_are_heard() {
        let (from, mut other) = io::pipe().unwrap();
        let (_other_reads, to) = io::pipe().unwrap();
        let mut pipes = Pipes::new(from.into(), to.into()).unwrap();
        let mut channel = pipes.channel(|| {
            other.write_all(b"last").unwrap();
            Ok(Still::Gone)
        });
        let mut buf = [0; 10];
        assert_eq!(channel.read(&mut buf), Ok(4));
        assert_eq!(buf[..4], *b"last");
    }

    /// Somebody else holds its end of the pipe open.
    #[test]
    fn a_side_that_is_gone_is_not_waited_for() {
        let (from, _open) = io::pipe().unwrap();
        let (_open_too, to) = io::pipe().unwrap();
        let mut pipes = Pipes::new(from.into(), to.into()).unwrap();
        let mut channel = pipes.channel(|| Ok(Still::Gone));
        assert_eq!(channel.read(&mut [0]), Ok(0));
        let full = std::iter::from_fn(|| Some(channel.write(&[0; 4096])));
        assert_eq!(full.take_while(|written| *written != Ok(0)).last(), Some(Ok(4096)));
    }
}
