//! Takes snapshots while a run goes forward, no more often than is worth it.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tribunal_machine::{Host, Machine};
use tribunal_mips64::Splitter;

use crate::IndexError;
use crate::inputs::{Inputs, Notes, Observed};
use crate::store::{Changed, Shell, Store};

/// How much to keep of a run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The most bytes of all files together. While snapshots are dropped, half as much again may be
    /// needed. If one snapshot needs more, there is none.
    pub max_bytes: u64,
    /// Steps between two snapshots, as long as none had to be dropped.
    pub spacing: u64,
    /// Of the time that a run takes, the part that may go into looking for pages that changed: one
    /// in so many. 0 if that does not matter: then no snapshot is left out because another is still
    /// being written.
    pub share: u32,
}

impl Default for Options {
    /// Such that any step is some hundredths of a second away from a snapshot.
    fn default() -> Self {
        Self { max_bytes: 4 << 30, spacing: 1 << 26, share: 16 }
    }
}

/// Pages that are kept in memory until they are written, at most.
const PENDING_PAGES: usize = 1 << 14;

/// Records a run. What it needs for that is done on a thread of its own, as far as it can be.
pub struct Recorder {
    work: Work,
    notes: Notes,
    options: Options,
    /// Steps between two snapshots.
    spacing: u64,
    /// The first step that is worth a snapshot.
    due: u64,
    /// When the last one was taken, and how long the run stood still for it.
    last: (Instant, Duration),
}

enum Work {
    Idle(Box<Store>),
    Writing(JoinHandle<(Box<Store>, Result<bool, IndexError>)>),
    /// Nothing is written any more: something failed.
    Over,
    /// Nothing is written any more: there is no room for a single snapshot.
    Full,
}

impl Recorder {
    pub(crate) fn new(store: Store, inputs: Inputs, start: u64, options: Options) -> Self {
        let spacing = options.spacing.max(1);
        // What is there already has been paid for.
        let after = store.last_step().map_or(start, |last| last.max(start));
        Self {
            work: Work::Idle(Box::new(store)),
            notes: Notes::new(inputs),
            options,
            spacing,
            due: after.saturating_add(spacing),
            last: (Instant::now(), Duration::ZERO),
        }
    }

    /// The host that the run is to ask: what nothing binds to its key is noted.
    pub fn observe<'a>(&self, host: &'a mut dyn Host) -> Observed<'a> {
        Observed { host, notes: self.notes.clone() }
    }

    /// Takes a snapshot of `machine` if it is time for one. Asked often, it costs nothing.
    ///
    /// # Errors
    /// If something cannot be written.
    #[inline]
    pub fn offer<M: Machine>(&mut self, machine: &M) -> Result<(), IndexError> {
        if machine.step() < self.due {
            return Ok(());
        }
        let busy = matches!(&self.work, Work::Writing(thread) if !thread.is_finished());
        let (taken, cost) = self.last;
        if self.options.share != 0 && busy
            || taken.elapsed() < cost.saturating_mul(self.options.share)
        {
            return Ok(());
        }
        self.take(machine)
    }

    /// Takes a last snapshot where `machine` stands, and waits until all is written. False if there was
    /// no room for any.
    ///
    /// # Errors
    /// If something cannot be written.
    pub fn finish<M: Machine>(mut self, machine: &M) -> Result<bool, IndexError> {
        self.wait()?;
        if let Work::Idle(store) = &self.work
            && store.last_step().is_none_or(|last| last < machine.step())
        {
            self.take(machine)?;
        }
        self.wait()?;
        Ok(!matches!(self.work, Work::Full))
    }

    fn take<M: Machine>(&mut self, machine: &M) -> Result<(), IndexError> {
        self.wait()?;
        if matches!(self.work, Work::Full) {
            return Ok(());
        }
        let Work::Idle(mut store) = std::mem::replace(&mut self.work, Work::Over) else {
            return Ok(());
        };
        let started = Instant::now();
        let mut changed = Changed::new();
        let (mut failed, mut full) = (None, false);
        let mut splitter = Splitter::new(|index, data| {
            let mut visit = || {
                if !store.holds(index, data)? {
                    changed.push((index, Box::new(*data)));
                }
                if changed.len() == PENDING_PAGES {
                    full = full || !store.put(&changed)?;
                    changed.clear();
                }
                Ok(())
            };
            visit().map_err(|error| {
                failed = Some(error);
                std::io::Error::other("the index failed")
            })
        });
        let written = machine.write_state(&mut splitter);
        let rest = splitter.into_rest();
        match (failed, written) {
            (Some(error), _) => return Err(error),
            (None, Err(error)) => {
                return Err(IndexError::Io { action: "take", path: "a snapshot".into(), error });
            }
            (None, Ok(())) => {}
        }
        self.last = (Instant::now(), started.elapsed());
        self.due = machine.step().saturating_add(self.spacing);
        if full {
            self.work = Work::Full;
            return Ok(());
        }
        let shell = Shell {
            step: machine.step(),
            exit_code: machine.exit_code(),
            rest,
            inputs: self.notes.get().clone(),
        };
        self.work = Work::Writing(std::thread::spawn(move || {
            let added = store.put(&changed).and_then(|fits| Ok(fits && store.add(shell)?));
            (store, added)
        }));
        Ok(())
    }

    /// Waits for what is being written.
    fn wait(&mut self) -> Result<(), IndexError> {
        match std::mem::replace(&mut self.work, Work::Over) {
            Work::Writing(thread) => {
                let (mut store, added) =
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                let added = added?;
                for _ in 0..store.take_halvings() {
                    self.spacing = self.spacing.saturating_mul(2);
                }
                self.work = if added { Work::Idle(store) } else { Work::Full };
            }
            other => self.work = other,
        }
        Ok(())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // A snapshot that is being written is worth having, whatever ended the run.
        if let Work::Writing(thread) = std::mem::replace(&mut self.work, Work::Over) {
            let _ = thread.join();
        }
    }
}
