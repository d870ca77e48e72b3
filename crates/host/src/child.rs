//! A host in a child process, driven as Cannon drives it.
//!
//! The child finds hint requests on descriptor 3, writes acknowledgements to 4, finds preimage
//! requests on 5 and writes preimages to 6. Nothing it does is trusted: every preimage is held
//! against its key, every length is bounded, and it may die, stall or talk out of turn at any time.

mod output;

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt as _, FdMapping};
use rustix::process::{Pid, Signal, kill_process};
use tribunal_preimage::client::{Client, DEFAULT_PREIMAGE_LIMIT, HintWriter, OracleReader};
use tribunal_preimage::{ChannelError, Checked, Key, Oracle, OracleError};

use crate::history::{Heard, History};
use crate::pipe::{Pipes, Still};

use output::Output;

/// Takes one line of a child's output, without the line end; bytes that are not UTF-8 are replaced.
///
/// Lines longer than 64 KiB come in pieces. Called from another thread.
pub type LineSink = Box<dyn FnMut(&str) + Send>;

/// What a [`ChildHost`] may do and where its words go.
pub struct Options {
    /// Set by anyone, for instance on Ctrl-C, to end a request that waits; see
    /// [`ChannelError::Cancelled`].
    pub cancel: Option<Arc<AtomicBool>>,
    /// The longest preimage that is taken, in bytes.
    pub preimage_limit: u64,
    /// How long one request may take; without, as long as it needs: fetching a block from a slow
    /// node takes minutes.
    pub request_timeout: Option<Duration>,
    /// Takes what the host prints.
    pub stdout: LineSink,
    /// Takes what the host complains about. The last lines also go into the error when it dies.
    pub stderr: LineSink,
}

impl Default for Options {
    /// No timeout, no cancelling, output thrown away.
    fn default() -> Self {
        Self {
            cancel: None,
            preimage_limit: DEFAULT_PREIMAGE_LIMIT,
            request_timeout: None,
            stdout: Box::new(|_| {}),
            stderr: Box::new(|_| {}),
        }
    }
}

/// How long each stage of ending a host may take. Each ends as soon as the host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownWaits {
    /// With its pipes still open.
    pub before_close: Duration,
    /// With its pipes closed, which is how hosts learn that the program has ended.
    pub after_close: Duration,
    /// After SIGINT; then comes SIGKILL.
    pub after_interrupt: Duration,
}

impl ShutdownWaits {
    /// What Cannon waits: 1 s, 30 s, 30 s.
    pub const CANNON: Self = Self {
        before_close: Duration::from_secs(1),
        after_close: Duration::from_secs(30),
        after_interrupt: Duration::from_secs(30),
    };

    /// For when nobody asked the host to end and nobody waits for it.
    const SHORT: Self = Self {
        before_close: Duration::ZERO,
        after_close: Duration::from_secs(1),
        after_interrupt: Duration::from_secs(1),
    };
}

impl Default for ShutdownWaits {
    /// Cannon's, but for the first: a host cannot know that its program has ended before its pipes
    /// close, so that second is always lost. Closing at once looks the same to the host.
    fn default() -> Self {
        Self { before_close: Duration::ZERO, ..Self::CANNON }
    }
}

/// How a host ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostEnd {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it took.
    pub by: EndedBy,
}

/// What it took to end a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// Nothing, or the end of its pipes.
    Itself,
    /// SIGINT.
    Interrupt,
    /// SIGKILL.
    Kill,
}

/// Why a host could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the host {program:?}: {source}{}", start_advice(.source))]
pub struct StartError {
    /// The program.
    pub program: OsString,
    /// What the operating system said.
    pub source: io::Error,
}

fn start_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; check its path, or whether it is installed",
        io::ErrorKind::PermissionDenied => "; is it executable?",
        _ => "",
    }
}

/// A host in a child process.
///
/// Dropping it ends the child within about two seconds; [`ChildHost::shutdown`] gives it more time
/// and tells how it went. If this process is killed, the pipes close, which is how every host in use
/// learns to end.
#[derive(Debug)]
pub struct ChildHost {
    program: OsString,
    child: Child,
    /// Taken when the pipes are closed.
    pipes: Option<HostPipes>,
    stdout: Output,
    stderr: Output,
    cancel: Option<Arc<AtomicBool>>,
    request_timeout: Option<Duration>,
    preimage_limit: u64,
    history: History,
    /// Why no further request can be made: requests and answers are out of step, or nobody is there.
    broken: Option<OracleError>,
    ended: bool,
}

#[derive(Debug)]
struct HostPipes {
    hints: Pipes,
    preimages: Pipes,
}

impl ChildHost {
    /// Starts `command` with the four descriptors; what it says about standard streams is replaced.
    ///
    /// `NO_COLOR=1` is added to its environment unless that says something about it already.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(mut command: Command, options: Options) -> Result<Self, StartError> {
        let program = command.get_program().to_owned();
        let no_color = "NO_COLOR";
        let told = command.get_envs().any(|(name, _)| name == no_color);
        if !told && std::env::var_os(no_color).is_none() {
            command.env(no_color, "1");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = start_with_pipes(&mut command);
        // The command holds our copies of the child's pipe ends. While they are open, the death of the
        // child would not close the pipes.
        drop(command);
        let (mut child, pipes) =
            started.map_err(|source| StartError { program: program.clone(), source })?;
        Ok(Self {
            stdout: Output::collect(child.stdout.take(), options.stdout),
            stderr: Output::collect(child.stderr.take(), options.stderr),
            program,
            child,
            pipes: Some(pipes),
            cancel: options.cancel,
            request_timeout: options.request_timeout,
            preimage_limit: options.preimage_limit,
            history: History::default(),
            broken: None,
            ended: false,
        })
    }

    /// The process id of the child.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the host: waits, closes its pipes, waits, interrupts it, waits, kills it. Returns as soon
    /// as it has ended and what it printed has been passed on.
    ///
    /// # Errors
    /// If the operating system does not let us watch or end it.
    pub fn shutdown(mut self, waits: ShutdownWaits) -> io::Result<HostEnd> {
        self.end(waits)
    }

    fn end(&mut self, waits: ShutdownWaits) -> io::Result<HostEnd> {
        let end = self.end_process(waits)?;
        self.ended = true;
        // A grandchild may still hold these open: then not everything is waited for.
        self.stdout.finish(OUTPUT_WAIT);
        self.stderr.finish(OUTPUT_WAIT);
        Ok(end)
    }

    fn end_process(&mut self, waits: ShutdownWaits) -> io::Result<HostEnd> {
        let ended = |status, by| Ok(HostEnd { status, by });
        if self.pipes.is_some()
            && let Some(status) = wait(&mut self.child, waits.before_close)?
        {
            return ended(status, EndedBy::Itself);
        }
        self.pipes = None;
        if let Some(status) = wait(&mut self.child, waits.after_close)? {
            return ended(status, EndedBy::Itself);
        }
        kill_process(Pid::from_child(&self.child), Signal::INT)?;
        if let Some(status) = wait(&mut self.child, waits.after_interrupt)? {
            return ended(status, EndedBy::Interrupt);
        }
        self.child.kill()?;
        ended(self.child.wait()?, EndedBy::Kill)
    }

    /// Makes one request; after a failure of the channel there are no others.
    fn request<T>(
        &mut self,
        what: impl Fn() -> String,
        request: impl FnOnce(&mut dyn Oracle) -> Result<T, OracleError>,
    ) -> Result<T, OracleError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let Some(HostPipes { hints, preimages }) = &mut self.pipes else {
            return Err(OracleError::Host("it has been told to end".into()));
        };
        let watch = RefCell::new(Watch {
            child: &mut self.child,
            cancel: self.cancel.as_deref(),
            timeout: self.request_timeout.map(|timeout| (Instant::now(), timeout)),
        });
        let still = || watch.borrow_mut().still();
        let result = match refuse_surplus([hints, preimages]) {
            Ok(()) => request(&mut Checked(Client::new(
                HintWriter::new(hints.channel(still)),
                OracleReader::new(preimages.channel(still)).with_limit(self.preimage_limit),
            ))),
            Err(error) => Err(OracleError::Channel(error)),
        };
        result.map_err(|error| match error {
            OracleError::Channel(error) => {
                let error = self.explain(&what(), error);
                self.broken = Some(error.clone());
                error
            }
            other => other,
        })
    }

    /// What a failure of the channel means: usually that the host has died.
    fn explain(&mut self, what: &str, error: ChannelError) -> OracleError {
        let program = self.program.display();
        let mut story = match &error {
            ChannelError::Cancelled => return OracleError::Channel(error),
            ChannelError::Ended { .. } => match wait(&mut self.child, DEATH_WAIT) {
                // Ctrl-C reaches both processes, and the host may be faster.
                Ok(Some(_)) if is_set(self.cancel.as_deref()) => {
                    return OracleError::Channel(ChannelError::Cancelled);
                }
                Ok(Some(status)) => {
                    self.stderr.finish(OUTPUT_WAIT);
                    format!("{program} ended ({status}) before it had answered {what}")
                }
                _ => format!("{program} closed its pipes before it had answered {what}: {error}"),
            },
            other => format!("{program} did not answer {what} as it should: {other}"),
        };
        story.push_str("; ");
        story.push_str(&self.history.summary());
        let words = self.stderr.last_lines();
        if !words.is_empty() {
            story.push_str("; the last it said:");
        }
        for line in words {
            story.push_str("\n    ");
            story.push_str(&line);
        }
        OracleError::Host(story)
    }
}

impl Oracle for ChildHost {
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        self.history.add(Heard::new(hint, None));
        self.request(|| "a hint".into(), |host| host.hint(hint))
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        let what = || match key.kind() {
            Some(kind) => format!("the request for {key} ({kind})"),
            None => format!("the request for {key}"),
        };
        self.request(what, |host| host.preimage(key))
    }
}

impl Drop for ChildHost {
    fn drop(&mut self) {
        if !self.ended {
            // An error has nobody to go to here.
            let _ = self.end(ShutdownWaits::SHORT);
        }
    }
}

/// How long the exit status of a host that closed its pipes is waited for.
const DEATH_WAIT: Duration = Duration::from_secs(1);

/// How long the rest of a dead host's output is waited for.
const OUTPUT_WAIT: Duration = Duration::from_secs(1);

/// Decides how long a request goes on waiting.
struct Watch<'a> {
    child: &'a mut Child,
    cancel: Option<&'a AtomicBool>,
    /// When the request began and how long it may take.
    timeout: Option<(Instant, Duration)>,
}

impl Watch<'_> {
    fn still(&mut self) -> Result<Still, ChannelError> {
        if is_set(self.cancel) {
            return Err(ChannelError::Cancelled);
        }
        if let Some((start, after)) = self.timeout
            && start.elapsed() >= after
        {
            return Err(ChannelError::TimedOut { after });
        }
        // Its pipes would tell, were it not that its own children may hold them open.
        match self.child.try_wait()? {
            Some(_) => Ok(Still::Gone),
            None => Ok(Still::There),
        }
    }
}

fn is_set(cancel: Option<&AtomicBool>) -> bool {
    cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed))
}

/// Bytes that nobody asked for would be taken for the next answer.
fn refuse_surplus<const N: usize>(pipes: [&Pipes; N]) -> Result<(), ChannelError> {
    for pipes in pipes {
        if pipes.is_readable()? {
            return Err(ChannelError::Failed("it sent more than it was asked for".into()));
        }
    }
    Ok(())
}

fn start_with_pipes(command: &mut Command) -> io::Result<(Child, HostPipes)> {
    let mut mappings = Vec::new();
    let mut give = |parent_fd: OwnedFd, child_fd| mappings.push(FdMapping { parent_fd, child_fd });
    let mut pair = |child_reads, child_writes| {
        let (request, requests) = io::pipe()?;
        let (answers, answer) = io::pipe()?;
        give(request.into(), child_reads);
        give(answer.into(), child_writes);
        Pipes::new(answers.into(), requests.into())
    };
    // These take the lowest free descriptors, so 3 to 6 are in use when the child is started, and
    // the standard library's own pipe to it cannot be among those that are replaced there.
    let pipes = HostPipes { hints: pair(3, 4)?, preimages: pair(5, 6)? };
    command.fd_mappings(mappings).map_err(io::Error::other)?;
    Ok((command.spawn()?, pipes))
}

/// Waits until `child` has ended, at most for `limit`.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    let mut pause = Duration::from_micros(100);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = limit.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Ok(None);
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
