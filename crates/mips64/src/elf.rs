//! Loading a program: from an ELF file to the state before its first step (spec: MIPS64 FPVM §1.7).

use object::BigEndian;
use object::elf::{self, FileHeader64, ProgramHeader64};
use object::read::elf::{FileHeader, ProgramHeader, Sym};
use tribunal_machine::{Symbol, Symbols};
use tribunal_memory::PAGE_SIZE;

use crate::state::{HEAP_START, INITIAL_SP, State, USER_ADDRESS_LIMIT};

/// How much longer than the file all names of symbols together may be, which share bytes in it.
const NAME_SHARING: usize = 4;

/// A program that was loaded.
#[derive(Clone, Debug)]
pub struct Program {
    /// The state before its first step.
    pub state: State,
    /// Its symbols; `None` if it was stripped.
    pub symbols: Option<Symbols>,
}

/// Loads an ELF file into a state of at most `max_bytes` bytes.
///
/// # Errors
/// If it is no ELF file for this machine, or one whose headers cannot be followed.
pub fn load_elf(file: &[u8], max_bytes: u64) -> Result<Program, ElfError> {
    let header = parse_header(file)?;
    let segments = header.program_headers(BigEndian, file).map_err(|error| {
        ElfError::Malformed { what: "program headers", reason: error.to_string() }
    })?;
    let entry = header.e_entry.get(BigEndian);
    let mut state = State::new(entry);
    set_up_stack(&mut state);
    // Segments come on top of what every state has.
    let no_room = ElfError::NoRoomForStack { limit: max_bytes };
    let mut bytes_left = max_bytes.checked_sub(state.bytes()).ok_or(no_room)?;
    let mut entry_is_loaded = false;
    for (number, segment) in segments.iter().enumerate() {
        entry_is_loaded |= load_segment(&mut state, file, number, segment, &mut bytes_left)?
            .is_some_and(|range| range.contains(&entry));
    }
    if !entry_is_loaded {
        return Err(ElfError::Entry { entry, reason: "lies in no segment" });
    }
    if !entry.is_multiple_of(4) {
        return Err(ElfError::Entry { entry, reason: "is not divisible by 4" });
    }
    Ok(Program { state, symbols: read_symbols(header, file)? })
}

fn parse_header(file: &[u8]) -> Result<&FileHeader64<BigEndian>, ElfError> {
    let malformed = |reason: object::Error| ElfError::Malformed {
        what: "file header",
        reason: reason.to_string(),
    };
    let Some(identification) = file.first_chunk::<16>() else { return Err(ElfError::NotElf) };
    if identification[..4] != elf::ELFMAG {
        return Err(ElfError::NotElf);
    }
    if identification[4] != elf::ELFCLASS64.0 {
        return Err(ElfError::OtherTarget { found: "a 32-bit program".into() });
    }
    if identification[5] != elf::ELFDATA2MSB.0 {
        return Err(ElfError::OtherTarget { found: "a little-endian program".into() });
    }
    let header = FileHeader64::<BigEndian>::parse(file).map_err(malformed)?;
    let machine = header.e_machine.get(BigEndian);
    if machine != elf::EM_MIPS {
        return Err(ElfError::OtherTarget {
            found: format!("a program for ELF machine {machine}"),
        });
    }
    Ok(header)
}

/// Copies one segment, and says where it stands.
fn load_segment(
    state: &mut State,
    file: &[u8],
    number: usize,
    segment: &ProgramHeader64<BigEndian>,
    bytes_left: &mut u64,
) -> Result<Option<std::ops::Range<u64>>, ElfError> {
    let kind = segment.p_type(BigEndian);
    let start = segment.p_vaddr(BigEndian);
    let in_memory = segment.p_memsz(BigEndian);
    let in_file = segment.p_filesz(BigEndian);
    if kind == elf::PT_MIPS_ABIFLAGS || in_memory == 0 {
        return Ok(None);
    }
    let error = |reason| ElfError::Segment { number, start, reason };
    if in_file > in_memory {
        return Err(error("has more bytes in the file than in memory"));
    }
    if in_file != in_memory && kind != elf::PT_LOAD {
        return Err(error(
            "is not a PT_LOAD segment, but has fewer bytes in the file than in memory",
        ));
    }
    let Some(end) = start.checked_add(in_memory) else {
        return Err(error("goes past the end of the address space"));
    };
    if end - 1 > USER_ADDRESS_LIMIT {
        return Err(error("goes past the last address of a program, 2^48 - 1"));
    }
    if end > HEAP_START {
        return Err(error("reaches into the heap, which begins at 0x100000000000"));
    }
    let data = segment
        .data(BigEndian, file)
        .map_err(|()| error("lies outside of the file: the file is truncated"))?;

    let first_page = start / PAGE_SIZE as u64;
    let last_page = (end - 1) / PAGE_SIZE as u64;
    let bytes = (last_page - first_page + 1) * PAGE_SIZE as u64;
    match bytes_left.checked_sub(bytes) {
        Some(left) => *bytes_left = left,
        None => return Err(error("needs more memory than a state may hold")),
    }
    state.memory.write(start, data);
    // Zeroes make pages too; and where segments overlap the later one counts, its zeroes too.
    let mut zeroes_from = start + in_file;
    while zeroes_from < end {
        let length = (end - zeroes_from).min(PAGE_SIZE as u64 - zeroes_from % PAGE_SIZE as u64);
        state.memory.write(zeroes_from, &[0; PAGE_SIZE][..length as usize]);
        zeroes_from += length;
    }
    Ok(Some(start..end))
}

/// What a program finds on its stack: one argument, one environment variable, two auxiliary values.
fn set_up_stack(state: &mut State) {
    let sp = INITIAL_SP;
    let memory = &mut state.memory;
    for page in 0..5 {
        memory.touch((sp - 0x4000) / PAGE_SIZE as u64 + page);
    }
    const RANDOM: u64 = 80;
    const ENVIRONMENT: u64 = RANDOM + 16;
    const ARGUMENT: u64 = ENVIRONMENT + 32;
    const AT_NULL: u64 = 0;
    const AT_PAGESZ: u64 = 6;
    const AT_RANDOM: u64 = 25;
    let words = [
        1,
        sp + ARGUMENT,
        0,
        sp + ENVIRONMENT,
        0,
        AT_PAGESZ,
        PAGE_SIZE as u64,
        AT_RANDOM,
        sp + RANDOM,
        AT_NULL,
    ];
    for (place, word) in words.into_iter().enumerate() {
        memory.set_word(sp + 8 * place as u64, word);
    }
    memory.write(sp + RANDOM, b"4;byfairdiceroll");
    memory.write(sp + ENVIRONMENT, b"GODEBUG=memprofilerate=0");
    memory.write(sp + ARGUMENT, b"op-program");
    if let Some(thread) = state.left.top_mut() {
        thread.registers[29] = sp;
    }
}

fn read_symbols(
    header: &FileHeader64<BigEndian>,
    file: &[u8],
) -> Result<Option<Symbols>, ElfError> {
    let malformed = |what| {
        move |reason: object::Error| ElfError::Malformed { what, reason: reason.to_string() }
    };
    let sections = header.sections(BigEndian, file).map_err(malformed("section headers"))?;
    let table =
        sections.symbols(BigEndian, file, elf::SHT_SYMTAB).map_err(malformed("symbol table"))?;
    if table.is_empty() {
        return Ok(None);
    }
    let mut symbols = Vec::with_capacity(table.len());
    // Names may share their ends. Were that all they do, a small file would have huge copies.
    let mut bytes_left = file.len().saturating_mul(NAME_SHARING);
    // The first one is no symbol.
    for symbol in table.iter().skip(1) {
        let name = table.symbol_name(BigEndian, symbol).map_err(malformed("name of a symbol"))?;
        bytes_left = bytes_left.checked_sub(name.len()).ok_or_else(|| ElfError::Malformed {
            what: "symbol table",
            reason: format!("its names are {NAME_SHARING} times longer than the whole file"),
        })?;
        symbols.push(Symbol {
            name: String::from_utf8_lossy(name).into_owned(),
            start: symbol.st_value(BigEndian),
            size: symbol.st_size(BigEndian),
        });
    }
    Ok(Some(Symbols::new(symbols)))
}

/// A file that cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// It does not begin as an ELF file does.
    #[error("this is no ELF file")]
    NotElf,
    /// It is a program for something else.
    #[error(
        "this is {found}; the machine runs 64-bit big-endian MIPS programs \
         (mips64-unknown-none, or GOARCH=mips64 with GOMIPS64=softfloat)"
    )]
    OtherTarget {
        /// What it is.
        found: String,
    },
    /// A part of it cannot be understood.
    #[error("the {what} of the ELF file cannot be read: {reason}")]
    Malformed {
        /// Which part.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The limit leaves no room for the stack that every program gets.
    #[error("the stack of a program needs more memory than a state may hold: {limit} bytes")]
    NoRoomForStack {
        /// The limit in bytes.
        limit: u64,
    },
    /// A program header that cannot be followed.
    #[error("program header {number} (a segment at {start:#x}) {reason}")]
    Segment {
        /// Its place in the table, from 0.
        number: usize,
        /// Its address.
        start: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An entry point that is none.
    #[error("the entry point {entry:#x} {reason}: link with an entry symbol such as _start")]
    Entry {
        /// The address.
        entry: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
}
