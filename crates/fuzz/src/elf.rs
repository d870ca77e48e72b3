//! ELF files: those that linkers made, those that nobody would, and their ruins.

use std::io::Read;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use tribunal_conformance::elf_file::{
    ElfFile, PT_LOAD, PT_MIPS_ABIFLAGS, PT_NOTE, PT_TLS, Segment,
};
use tribunal_conformance::{Random, Start, assemble};
use tribunal_mips64::{HEAP_START, INITIAL_SP, Program, load_elf};

use crate::mutate::{mutate, noise};
use crate::{Verdict, ensure, state_file, step};

/// A program that Go's linker made.
static LINKED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let compressed = include_bytes!("../../../testdata/guests/preimages.elf.gz").as_slice();
    let mut file = Vec::new();
    let read = GzDecoder::new(compressed).read_to_end(&mut file);
    assert!(read.is_ok(), "the program in testdata/guests is whole");
    file
});

/// Where the headers of that program end.
const LINKED_HEADERS: usize = 0x560;

pub(crate) fn check(random: &mut Random) -> Result<Verdict, String> {
    let limit = random.pick(&[4096, 1 << 16, 1 << 20, 1 << 20, 16 << 20, 16 << 20]);
    let file = file(random);
    let program = match load_elf(&file, limit) {
        Ok(program) => program,
        Err(error) => {
            ensure(!error.to_string().is_empty(), || "an error without words".into())?;
            return Ok(Verdict::Refused);
        }
    };
    check_program(program, limit)?;
    Ok(Verdict::Taken)
}

fn file(random: &mut Random) -> Vec<u8> {
    match random.below(64) {
        0 => {
            let mut file = LINKED.clone();
            mutate(&mut file, LINKED_HEADERS, random);
            file
        }
        1 => noise(random, 400),
        2..6 => {
            // The right beginning, then anything.
            let mut file = ElfFile::new(Vec::new()).to_bytes();
            file.truncate(random.index(64));
            file.extend(noise(random, 400));
            file
        }
        6..20 => made_up(random).to_bytes(),
        _ => {
            let mut file = made_up(random).to_bytes();
            mutate(&mut file, 64 + 3 * 56, random);
            file
        }
    }
}

fn made_up(random: &mut Random) -> ElfFile {
    let code = [assemble::call(5205, &[7]), vec![random.number() as u32]].concat();
    let code: Vec<u8> = code.iter().flat_map(|word| word.to_be_bytes()).collect();
    let mut segments = vec![Segment::load(0x1000, code)];
    for _ in 0..random.below(4) {
        let address = match random.below(6) {
            0 => HEAP_START - random.below(9000),
            1 => u64::MAX - random.below(9000),
            2 => (1 << 48) - random.below(9000),
            3 => random.number(),
            _ => random.below(0x4000),
        };
        let kind = random.pick(&[PT_LOAD, PT_LOAD, PT_LOAD, PT_NOTE, PT_TLS, PT_MIPS_ABIFLAGS, 0]);
        let length = random.pick(&[0, 1, 100, 4096, 5000]);
        let mut segment = Segment::new(kind, address, random.bytes(length));
        if random.once_in(2) {
            let sizes = [0, length as u64 + 1, 20_000, 1 << 30, 1 << 40, u64::MAX];
            segment.memory_size = Some(random.pick(&sizes));
        }
        segments.push(segment);
    }
    let mut file = ElfFile::new(segments);
    if random.once_in(2) {
        let symbol = |place: u64| (format!("symbol {place}"), random.number(), random.below(99));
        file.symbols = Some((0..8).map(symbol).collect());
    }
    if random.once_in(8) {
        file.entry = random.pick(&[0, 0x1001, 0x1004, u64::MAX, HEAP_START]);
    }
    file
}

fn check_program(program: Program, limit: u64) -> Result<(), String> {
    let Program { state, symbols } = program;
    let bytes = state.bytes();
    ensure(bytes <= limit, || format!("a state of {bytes} bytes, the limit is {limit}"))?;
    let thread = state.active_stack().top().ok_or("no thread")?;
    ensure(thread.pc.is_multiple_of(4) && thread.next_pc == thread.pc.wrapping_add(4), || {
        format!("the program begins at {:#x}, then {:#x}", thread.pc, thread.next_pc)
    })?;
    ensure(state.memory.has_page(thread.pc >> 12), || "it begins where nothing is".into())?;
    ensure(state.memory.peek(INITIAL_SP) == 1, || "its stack does not say one argument".into())?;
    if let Some(symbols) = symbols {
        let sorted = symbols.as_slice().is_sorted_by_key(|symbol| symbol.start);
        ensure(sorted, || "symbols out of order".into())?;
        for address in [0, thread.pc, u64::MAX] {
            symbols.name(address);
        }
    }
    let mut start = Start { name: "elf", state, preimage: None };
    state_file::check_round_trip(&start.state)?;
    for _ in 0..8 {
        if step::take_a_step(&mut start, &mut Random::new(0))?.is_none() {
            break;
        }
    }
    Ok(())
}
