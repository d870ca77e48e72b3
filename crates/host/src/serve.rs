//! The server role: answering a program that is in another process, usually our parent.
//!
//! Its descriptors, as Cannon sets them up: hint requests come in on 3, their acknowledgements go
//! out on 4, preimage requests come in on 5, preimages go out on 6.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tribunal_preimage::channel::Field;
use tribunal_preimage::server::{HintReader, OracleServer, ServeError, Turn};
use tribunal_preimage::{ChannelError, OracleError};

use crate::local::LocalHost;
use crate::pipe::{self, Pipes, Still};
use crate::store::PreimageStore;

/// The four pipe ends of a server.
#[derive(Debug)]
pub struct ServerPipes {
    hints: Pipes,
    preimages: Pipes,
}

impl ServerPipes {
    /// The pipes over which a parent has started this process.
    ///
    /// They are opened anew by their number, so the inherited descriptors stay open beside them. The
    /// program therefore learns that its server has given up only when this process ends: end it soon
    /// after [`serve`] returns.
    ///
    /// # Errors
    /// If this process was not started with them.
    pub fn inherited() -> Result<Self, ServeFailure> {
        let open = |fd: u8, options: &mut OpenOptions| {
            let opened = options.open(format!("/dev/fd/{fd}"));
            opened.map_err(|source| ServeFailure::Inherited { fd, source })
        };
        let read = |fd| open(fd, File::options().read(true)).map(OwnedFd::from);
        let write = |fd| open(fd, File::options().write(true)).map(OwnedFd::from);
        let hints = (read(3)?, write(4)?);
        let preimages = (read(5)?, write(6)?);
        Self::new(hints, preimages).map_err(|source| ServeFailure::Inherited { fd: 3, source })
    }

    /// Pipes from elsewhere; of each pair, the first is read and the second written.
    ///
    /// # Errors
    /// If the descriptors cannot be switched to not block.
    pub fn new(hints: (OwnedFd, OwnedFd), preimages: (OwnedFd, OwnedFd)) -> io::Result<Self> {
        Ok(Self {
            hints: Pipes::new(hints.0, hints.1)?,
            preimages: Pipes::new(preimages.0, preimages.1)?,
        })
    }
}

/// Answers until the program has closed both channels.
///
/// Hints and preimages are served at the same time. The program may close one channel and go on with
/// the other.
///
/// # Errors
/// What ended it early, [cancelling](crate::Patience::cancel) too. A preimage that is missing ends it
/// as well, since the wire has no way to say so: the pipes are let go of, and the program's side
/// notices.
pub fn serve<S: PreimageStore>(
    host: &LocalHost<S>,
    pipes: ServerPipes,
) -> Result<(), ServeFailure> {
    let ServerPipes { mut hints, mut preimages } = pipes;
    let listener = preimages.writer();
    let failed = AtomicBool::new(false);
    // When one side fails, the other must not wait for a program that waits for us.
    let is_over = || failed.load(Ordering::Relaxed) || host.router().is_cancelled();
    let still = || match is_over() {
        true => Err(ChannelError::Cancelled),
        false => Ok(Still::There),
    };
    let (hints, preimages) = thread::scope(|scope| {
        let hints = scope.spawn(|| {
            let mut reader = HintReader::new(hints.channel(still));
            let follow = |hint: &[u8]| {
                host.hear(hint);
                Ok::<_, ServeFailure>(())
            };
            let mut alarm = Alarm { flag: &failed, armed: true };
            let served = until_end(|| reader.next(follow), ServeFailure::Hints);
            alarm.armed = served.is_err();
            served
        });
        // A search may take minutes: it ends when the program leaves or the hints fail.
        let has_left = || listener.as_ref().is_some_and(pipe::is_abandoned);
        let waits = || !is_over() && !has_left();
        let mut server = OracleServer::new(preimages.channel(still));
        let find = |key| {
            host.find_while(key, &waits).map_err(|error| match error {
                OracleError::Channel(ChannelError::Cancelled) if has_left() => {
                    let field = Field::PreimageLength;
                    ServeFailure::Preimages(ChannelError::Ended { field, done: 0, expected: 8 })
                }
                OracleError::Channel(error) => ServeFailure::Preimages(error),
                other => ServeFailure::Oracle(other),
            })
        };
        let mut alarm = Alarm { flag: &failed, armed: true };
        let served = until_end(|| server.next(find), ServeFailure::Preimages);
        alarm.armed = served.is_err();
        drop(alarm);
        (hints.join(), served)
    });
    // A handler that panics is a bug, and it is told as one.
    let hints = hints.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    match (hints, preimages) {
        // The side that was only told to stop is not the reason.
        (hints @ Err(_), Err(ServeFailure::Preimages(ChannelError::Cancelled))) => hints,
        (hints, preimages) => preimages.and(hints),
    }
}

/// Sets its flag when it goes out of scope, unless disarmed: also when its thread panics.
struct Alarm<'a> {
    flag: &'a AtomicBool,
    armed: bool,
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.flag.fetch_or(self.armed, Ordering::Relaxed);
    }
}

fn until_end(
    mut turn: impl FnMut() -> Result<Turn, ServeError<ServeFailure>>,
    broken: impl Fn(ChannelError) -> ServeFailure,
) -> Result<(), ServeFailure> {
    loop {
        match turn() {
            Ok(Turn::Ended) => return Ok(()),
            Ok(Turn::Served) => {}
            Err(ServeError::Channel(error)) => return Err(broken(error)),
            Err(ServeError::Handler(failure)) => return Err(failure),
            Err(other) => return Err(ServeFailure::Oracle(OracleError::Host(other.to_string()))),
        }
    }
}

/// Why serving ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeFailure {
    /// The hint channel broke.
    #[error("the program's hint channel failed: {0}")]
    Hints(#[source] ChannelError),
    /// There is nobody to serve.
    #[error(
        "file descriptor {fd} cannot be used: {source}; a server is started by a fault-proof VM, which \
         passes its channels as descriptors 3 to 6"
    )]
    Inherited {
        /// The descriptor.
        fd: u8,
        /// What the operating system said.
        source: io::Error,
    },
    /// The program asked for something that cannot be had.
    #[error(transparent)]
    Oracle(OracleError),
    /// The preimage channel broke.
    #[error("the program's preimage channel failed: {0}")]
    Preimages(#[source] ChannelError),
    /// The program cannot be started, or not be waited for.
    #[error("cannot run the program {name}: {source}")]
    Program {
        /// Its name.
        name: String,
        /// What the operating system said.
        source: io::Error,
    },
}
