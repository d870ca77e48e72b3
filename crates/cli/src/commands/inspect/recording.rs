//! A recording: what it begins with, what was told and asked, and how it ended.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::Serialize;
use tribunal_host::Recording;
use tribunal_host::recording::{Beginning, End};
use tribunal_keccak::Hash;
use tribunal_machine::Hex;

use super::preimages::Preimages;
use super::{field, hex_of};
use crate::units::{Bytes, Count};

/// What there is to see of a recording.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecordingView {
    kind: &'static str,
    machine: String,
    prestate: Hex<Hash>,
    first_step: u64,
    /// Of the state file of the program, if it is there.
    program_bytes: Option<u64>,
    /// How many of each name.
    hints: BTreeMap<String, u64>,
    #[serde(flatten)]
    preimages: Preimages,
    /// Absent if the run was kept from its end.
    exit_code: Option<u8>,
    last_step: u64,
    state_hash: Hex<Hash>,
}

impl RecordingView {
    pub(super) fn of(recording: &Recording) -> Self {
        let Beginning { machine, prestate, step } = &recording.beginning;
        let End { exit_code, state_hash, step: last_step } = recording.end;
        let mut hints = BTreeMap::new();
        for hint in recording.hints() {
            *hints.entry(name_of(hint)).or_default() += 1;
        }
        let mut preimages = Preimages::default();
        recording.preimages().for_each(|(key, data)| preimages.add(key, data));
        Self {
            kind: "recording",
            machine: machine.clone(),
            prestate: Hex(*prestate),
            first_step: *step,
            program_bytes: recording.program.as_ref().map(|state| state.len() as u64),
            hints,
            preimages,
            exit_code,
            last_step,
            state_hash: Hex(state_hash),
        }
    }

    pub(super) fn write(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "recording of a run of {}", self.machine)?;
        field(text, "prestate", hex_of(&self.prestate.0))?;
        field(text, "", format_args!("at step {}", Count(self.first_step)))?;
        match self.program_bytes {
            Some(bytes) => field(text, "program", format_args!("a state of {}", Bytes(bytes)))?,
            None => field(text, "program", "not in the recording")?,
        }
        field(text, "end", hex_of(&self.state_hash.0))?;
        let how = match self.exit_code {
            Some(code) => format!("with exit code {code}"),
            None => "where something kept the program from its end".into(),
        };
        field(text, "", format_args!("at step {}, {how}", Count(self.last_step)))?;
        field(text, "hints", Count(self.hints.values().sum()))?;
        for (name, count) in &self.hints {
            field(text, "", format_args!("{name:<26} {}", Count(*count)))?;
        }
        self.preimages.write(text)
    }
}

/// The first word of a hint, as a terminal may show it.
fn name_of(hint: &[u8]) -> String {
    /// Names in use are shorter.
    const LONGEST: usize = 40;

    let name = hint.split(|byte| *byte == b' ').next().unwrap_or_default();
    let name = String::from_utf8_lossy(&name[..name.len().min(LONGEST)]);
    name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
