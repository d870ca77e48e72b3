//! What another thread is still working on.

use std::sync::mpsc::{Receiver, TryRecvError};

/// A result that may be still to come.
#[derive(Debug)]
pub struct Later<T>(State<T>);

#[derive(Debug)]
enum State<T> {
    Here(T),
    Coming(Receiver<T>),
}

impl<T> Later<T> {
    /// A result that is there.
    pub fn ready(result: T) -> Self {
        Self(State::Here(result))
    }

    /// Whether it is there, so that nobody has to wait for it.
    pub fn is_ready(&mut self) -> bool {
        if let State::Coming(receiver) = &self.0 {
            match receiver.try_recv() {
                Ok(result) => self.0 = State::Here(result),
                // Nothing will come, as whoever waits will find out.
                Err(TryRecvError::Disconnected) => return true,
                Err(TryRecvError::Empty) => return false,
            }
        }
        true
    }

    /// The result, as soon as it is there.
    ///
    /// # Panics
    /// If the thread that was to bring it has panicked.
    pub fn wait(self) -> T {
        match self.0 {
            State::Here(result) => result,
            State::Coming(receiver) => receiver.recv().expect("whoever was asked answers"),
        }
    }
}

impl<T> From<Receiver<T>> for Later<T> {
    /// What will be received: exactly one result.
    fn from(receiver: Receiver<T>) -> Self {
        Self(State::Coming(receiver))
    }
}
