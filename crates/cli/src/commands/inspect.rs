//! `inspect`: show what is in a file of ours.

mod elf;
mod index;
mod preimages;
mod proof;
mod recording;
mod state;

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;

use crate::cli::MemoryArg;
use crate::failure::Result;
use crate::input::{Artefact, holds_preimages, parse_proof, read_symbols};
use crate::output::{print, print_json};
use crate::stores;

use elf::ElfView;
use index::IndexView;
use preimages::StoreView;
use proof::ProofView;
use recording::RecordingView;
use state::StateView;

/// Show what is in a state, a program, a proof, an index, a recording or a store of preimages.
///
/// Leaves with 1 if a proof does not hold together, or a preimage does not belong to its key.
#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// A state, a program (an ELF file), a proof or a recording; .gz is fine, - is standard input. Or the
    /// directory of an index, or a store: a directory, or a .json(.gz) file of keys and data.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Symbols for a state or a proof, as load-elf wrote them.
    #[arg(long, value_name = "FILE")]
    meta: Option<PathBuf>,

    /// Answer in JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    memory: MemoryArg,
}

impl Inspect {
    pub(crate) fn execute(&self) -> Result<u8> {
        if self.file.is_dir() && self.file.join("index").is_file() {
            let view = IndexView::of(&self.file)?;
            self.show(&view, |view, text| view.write(text))?;
            return Ok(0);
        }
        let is_stdin = self.file.as_os_str() == "-";
        if self.file.is_dir() || !is_stdin && holds_preimages(&self.file)? {
            let view = StoreView::of(&*stores::open(&self.file)?)?;
            self.show(&view, |view, text| view.write(text))?;
            return Ok(if view.is_whole() { 0 } else { 1 });
        }
        let symbols = self.meta.as_deref().map(read_symbols).transpose()?.unwrap_or_default();
        let limit = self.memory.limit();
        match Artefact::open(&self.file, limit)? {
            Artefact::State(machine) => {
                let view = StateView::of(*machine, &symbols);
                self.show(&view, |view, text| view.write(text))?;
                Ok(0)
            }
            Artefact::Elf(bytes) => {
                let view = ElfView::of(&self.file, &bytes, limit)?;
                self.show(&view, |view, text| view.write(text))?;
                Ok(0)
            }
            Artefact::Json(text) => {
                let view = ProofView::of(parse_proof(&self.file, &text)?, &symbols);
                self.show(&view, |view, text| view.write(text))?;
                Ok(if view.holds { 0 } else { 1 })
            }
            Artefact::Recording(recording) => {
                let view = RecordingView::of(&recording);
                self.show(&view, |view, text| view.write(text))?;
                Ok(0)
            }
        }
    }

    fn show<V: serde::Serialize>(
        &self,
        view: &V,
        write: impl FnOnce(&V, &mut String) -> std::fmt::Result,
    ) -> Result<()> {
        if self.json {
            return print_json(view);
        }
        let mut text = String::new();
        write(view, &mut text).expect("a String takes any text");
        print(&text)
    }
}

/// A line `  name   value` below a headline.
pub(super) fn field(
    text: &mut String,
    name: &str,
    value: impl std::fmt::Display,
) -> std::fmt::Result {
    writeln!(text, "  {name:<12} {value}")
}

pub(super) fn hex_of(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// An address in JSON, where numbers are not to be trusted with 64 bits.
pub(super) fn hex_word(word: u64) -> String {
    format!("{word:#x}")
}

/// What a preimage key is called: its kind.
pub(super) fn key_kind(key: &tribunal_preimage::Key) -> &'static str {
    match key.kind() {
        Some(kind) => kind.name(),
        None if *key.as_bytes() == [0; 32] => "none",
        None => "of no kind",
    }
}
