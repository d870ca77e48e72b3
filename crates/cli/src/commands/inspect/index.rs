//! An index: whose it is, how far it reaches, what it takes.

use std::fmt::{self, Write as _};
use std::path::Path;

use serde::Serialize;
use tribunal_index::{Index, IndexError, Summary};
use tribunal_keccak::Hash;
use tribunal_machine::Hex;

use super::{field, hex_of};
use crate::failure::{Failure, Result};
use crate::units::{Bytes, Count};

/// What there is to see of an index.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IndexView {
    kind: &'static str,
    machine: String,
    prestate: Hex<Hash>,
    first_step: u64,
    /// Of the snapshots.
    steps: Vec<u64>,
    exit_code: Option<u8>,
    state_pages: u64,
    inputs: u64,
    page_bytes: u64,
    bytes: u64,
}

impl IndexView {
    pub(super) fn of(directory: &Path) -> Result<Self> {
        let index = Index::open(directory).map_err(|error| match error {
            IndexError::NoIndex { .. } => {
                Failure::input(format!("{} is a directory, but not an index", directory.display()))
            }
            error => error.into(),
        })?;
        let summary = index.summary()?;
        let Summary { identity, steps, exit_code, state_pages, inputs, page_bytes, bytes } =
            summary;
        Ok(Self {
            kind: "index",
            machine: identity.machine,
            prestate: Hex(identity.prestate),
            first_step: identity.step,
            steps,
            exit_code,
            state_pages,
            inputs,
            page_bytes,
            bytes,
        })
    }

    pub(super) fn write(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "index of a run of {}", self.machine)?;
        field(text, "prestate", hex_of(&self.prestate.0))?;
        field(text, "", format_args!("at step {}", Count(self.first_step)))?;
        field(text, "snapshots", Count(self.steps.len() as u64))?;
        if let Some(&last) = self.steps.last() {
            let how = match self.exit_code {
                Some(code) => format!("where the program exited with code {code}"),
                None => "where the run goes on when more is asked".into(),
            };
            field(text, "", format_args!("the last one at step {}, {how}", Count(last)))?;
            let before = std::iter::once(&self.first_step).chain(&self.steps);
            let widest = before.zip(&self.steps).map(|(one, next)| next - one).max().unwrap_or(0);
            field(text, "", format_args!("at most {} steps apart", Count(widest)))?;
        }
        let inputs = format_args!("{} that nothing binds to their keys", Count(self.inputs));
        field(text, "preimages", inputs)?;
        let (all, pages) = (Bytes(self.bytes), Bytes(self.page_bytes));
        field(text, "on disk", format_args!("{all}, of which pages {pages}"))?;
        let state = format_args!("{} pages in the last snapshot", Count(self.state_pages));
        field(text, "state", state)
    }
}
