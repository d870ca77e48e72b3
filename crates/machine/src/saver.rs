//! State files that are written while the machine runs on.

use std::path::Path;
use std::thread::{self, JoinHandle};

use crate::{FileError, Machine, check_state_path, save_state, write_atomically};

/// A state of more bytes than these is not copied, but written where it is.
const MOST_COPIED: u64 = 256 << 20;

/// Writes states one after the other, on another thread where they are not too large.
#[derive(Debug, Default)]
pub struct Saver {
    writing: Option<JoinHandle<Result<(), FileError>>>,
}

impl Saver {
    /// Writes the state of `machine` as it is now, as [`save_state`] does, once the one before is
    /// written.
    ///
    /// # Errors
    /// Those of [`save_state`]; they may come from the one before.
    pub fn save<M: Machine>(&mut self, machine: &M, path: &Path) -> Result<(), FileError> {
        self.finish()?;
        check_state_path(path)?;
        if machine.state_bytes() > MOST_COPIED {
            return save_state(machine, path);
        }
        let mut state = Vec::with_capacity(machine.state_bytes() as usize);
        let path = path.to_owned();
        machine
            .write_state(&mut state)
            .map_err(|error| FileError::Write { path: path.clone(), error })?;
        self.writing =
            Some(thread::spawn(move || write_atomically(&path, |sink| sink.write_all(&state))));
        Ok(())
    }

    /// Waits until all is written.
    ///
    /// # Errors
    /// Those of [`save_state`].
    pub fn finish(&mut self) -> Result<(), FileError> {
        match self.writing.take() {
            Some(writing) => {
                writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }
            None => Ok(()),
        }
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        // What was begun is worth having, and no temporary file is to be left.
        let _ = self.finish();
    }
}
