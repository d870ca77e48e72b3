//! A program: what it is made of, and what it becomes.

use std::fmt::{self, Write as _};
use std::path::Path;

use object::BigEndian;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use serde::Serialize;
use tribunal_keccak::Hash;
use tribunal_machine::Hex;
use tribunal_memory::PAGE_SIZE;
use tribunal_mips64::VERSION_NAME;

use super::{field, hex_of, hex_word};
use crate::failure::{Failure, Result};
use crate::input::load_program;
use crate::symbol::name_at;
use crate::units::{Bytes, Count};

/// What there is to see of a program.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ElfView {
    kind: &'static str,
    version: &'static str,
    entry: String,
    entry_symbol: Option<String>,
    segments: Vec<Segment>,
    symbols: Option<usize>,
    pages: u64,
    memory_bytes: u64,
    prestate_hash: Hex<Hash>,
}

/// A program header.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Segment {
    kind: &'static str,
    flags: String,
    address: String,
    file_bytes: u64,
    memory_bytes: u64,
}

impl ElfView {
    pub(super) fn of(path: &Path, bytes: &[u8], limit: u64) -> Result<Self> {
        let mut program = load_program(path, bytes, limit)?;
        let entry = program.state.active_stack().top().map_or(0, |thread| thread.pc);
        let symbols = program.symbols.unwrap_or_default();
        let pages = program.state.memory.page_count() as u64;
        Ok(Self {
            kind: "program",
            version: VERSION_NAME,
            entry: hex_word(entry),
            entry_symbol: name_at(&symbols, entry),
            segments: segments(bytes).map_err(|error| {
                Failure::input(format!("cannot read {}: {error}", path.display()))
            })?,
            symbols: Some(symbols.as_slice().len()).filter(|&count| count != 0),
            pages,
            memory_bytes: pages * PAGE_SIZE as u64,
            prestate_hash: Hex(program.state.hash()),
        })
    }

    pub(super) fn write(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "program for {}", self.version)?;
        let symbol = match &self.entry_symbol {
            None => String::new(),
            Some(name) => format!(" in `{name}`"),
        };
        field(text, "entry", format_args!("{}{symbol}", self.entry))?;
        for (number, segment) in self.segments.iter().enumerate() {
            let name = if number == 0 { "segments" } else { "" };
            let Segment { kind, flags, address, file_bytes, memory_bytes } = segment;
            let (file, memory) = (Bytes(*file_bytes), Bytes(*memory_bytes));
            let shown = format!(
                "{kind:<9} {flags} at {address:<12} {file} in the file, {memory} in memory"
            );
            field(text, name, shown)?;
        }
        match self.symbols {
            None => field(text, "symbols", "none: it was stripped")?,
            Some(count) => field(text, "symbols", Count(count as u64))?,
        }
        let memory = format!("{} in {} pages, loaded", Bytes(self.memory_bytes), Count(self.pages));
        field(text, "memory", memory)?;
        field(text, "prestate", hex_of(&self.prestate_hash.0))
    }
}

/// The program headers. The file was loaded, so they are well-formed.
fn segments(bytes: &[u8]) -> object::Result<Vec<Segment>> {
    let header = FileHeader64::<BigEndian>::parse(bytes)?;
    let headers = header.program_headers(BigEndian, bytes)?;
    Ok(headers
        .iter()
        .map(|segment| {
            let flags = segment.p_flags(BigEndian).0;
            let flag = |bit, letter| if flags & bit == 0 { '-' } else { letter };
            Segment {
                kind: match segment.p_type(BigEndian).0 {
                    0 => "NULL",
                    1 => "LOAD",
                    2 => "DYNAMIC",
                    3 => "INTERP",
                    4 => "NOTE",
                    6 => "PHDR",
                    7 => "TLS",
                    0x6474_e551 => "GNU_STACK",
                    0x6474_e552 => "GNU_RELRO",
                    0x7000_0003 => "ABIFLAGS",
                    _ => "OTHER",
                },
                flags: [flag(4, 'r'), flag(2, 'w'), flag(1, 'x')].iter().collect(),
                address: hex_word(segment.p_vaddr(BigEndian)),
                file_bytes: segment.p_filesz(BigEndian),
                memory_bytes: segment.p_memsz(BigEndian),
            }
        })
        .collect())
}
