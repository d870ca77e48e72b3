//! ELF files that tell the truth, that lie, and that end too early.

use tribunal_conformance::elf_file::{
    ElfFile, PT_LOAD, PT_MIPS_ABIFLAGS, PT_NOTE, PT_TLS, Segment,
};
use tribunal_mips64::{ElfError, HEAP_START, INITIAL_SP, Program, State, load_elf};

const LIMIT: u64 = 64 << 20;

/// The pages of the stack that a loader makes, below and at the first stack pointer.
const STACK_PAGES: [u64; 5] =
    [0x7_ffff_fffb, 0x7_ffff_fffc, 0x7_ffff_fffd, 0x7_ffff_fffe, 0x7_ffff_ffff];

/// A program of four nops at 0x1000, from where it begins, and whatever else.
fn file(others: impl IntoIterator<Item = Segment>) -> ElfFile {
    let code = Segment::load(0x1000, [0; 16]);
    ElfFile::new([code].into_iter().chain(others).collect())
}

#[track_caller]
fn load(file: &ElfFile) -> Program {
    load_elf(&file.to_bytes(), LIMIT).unwrap()
}

#[track_caller]
fn refusal(file: &ElfFile) -> ElfError {
    load_elf(&file.to_bytes(), LIMIT).unwrap_err()
}

#[track_caller]
fn assert_refused(file: &ElfFile, words: &str) {
    let message = refusal(file).to_string();
    assert!(message.contains(words), "{message}");
}

fn bytes_at<const N: usize>(state: &State, address: u64) -> [u8; N] {
    let mut bytes = [0; N];
    state.memory.read(address, &mut bytes);
    bytes
}

/// The pages that exist besides those of the stack.
fn program_pages(state: &State) -> Vec<u64> {
    let pages = state.memory.pages().map(|(index, _)| index);
    pages.filter(|index| !STACK_PAGES.contains(index)).collect()
}

#[test]
fn the_state_before_the_first_step_is_cannons() {
    let mut program = load(&file([]));
    let state = &mut program.state;
    let [thread] = state.left.as_slice() else { panic!("one thread") };
    assert_eq!((thread.id, thread.pc, thread.next_pc), (0, 0x1000, 0x1004));
    assert_eq!((thread.lo, thread.hi, thread.exited, thread.exit_code), (0, 0, 0, 0));
    let registers: [u64; 32] = std::array::from_fn(|i| if i == 29 { INITIAL_SP } else { 0 });
    assert_eq!(thread.registers, registers);
    assert!(state.right.is_empty());
    assert_eq!((state.heap, state.next_thread_id), (HEAP_START, 1));
    assert_eq!((state.step, state.steps_since_switch, state.traverse_right), (0, 0, 0));
    assert_eq!((state.exited, state.exit_code), (0, 0));
    assert_eq!((state.preimage_key, state.preimage_offset), ([0; 32], 0));
    assert!(state.last_hint.is_empty());
    assert_eq!(state.reservation, Default::default());
}

#[test]
fn the_stack_holds_one_argument_one_variable_and_two_auxiliary_values() {
    let program = load(&file([]));
    let memory = &program.state.memory;
    for page in STACK_PAGES {
        assert!(memory.has_page(page), "{page:#x}");
    }
    assert_eq!(memory.page_count(), 1 + STACK_PAGES.len());

    let sp = 0x7fff_ffff_f000u64;
    let mut expected = Vec::new();
    for word in [1, sp + 128, 0, sp + 96, 0, 6, 4096, 25, sp + 80, 0] {
        expected.extend(word.to_be_bytes());
    }
    expected.extend(b"4;byfairdiceroll");
    expected.extend(b"GODEBUG=memprofilerate=0\0\0\0\0\0\0\0\0");
    expected.extend(b"op-program\0\0\0\0\0\0");
    expected.resize(4096, 0);
    assert_eq!(bytes_at::<4096>(&program.state, sp).as_slice(), expected);
    for page in &STACK_PAGES[..4] {
        assert_eq!(bytes_at::<4096>(&program.state, page << 12), [0; 4096]);
    }
}

#[test]
fn a_program_for_something_else_is_named_as_what_it_is() {
    let with = |change: fn(&mut ElfFile)| {
        let mut file = file([]);
        change(&mut file);
        file
    };
    assert_refused(&with(|file| file.class = 1), "this is a 32-bit program");
    assert_refused(&with(|file| file.endianness = 1), "this is a little-endian program");
    assert_refused(&with(|file| file.machine = 62), "this is a program for ELF machine 62");
    assert_refused(&with(|file| file.machine = 243), "this is a program for ELF machine 243");
    // What can be done about it.
    assert_refused(&with(|file| file.machine = 62), "mips64-unknown-none");
    // Neither one nor the other.
    for change in [|file: &mut ElfFile| file.class = 3, |file: &mut ElfFile| file.endianness = 0] {
        refusal(&with(change));
    }
}

#[test]
fn what_is_no_elf_file_is_called_so() {
    for bytes in [&b""[..], b"\x7fEL", b"#!/bin/sh\necho this is no ELF file\n", &[0; 4096]] {
        assert_eq!(load_elf(bytes, LIMIT).unwrap_err(), ElfError::NotElf);
    }
}

#[test]
fn where_segments_overlap_the_later_one_counts() {
    let program = load(&file([
        Segment::load(0x2000, [1; 16]),
        Segment::load(0x2004, [2; 4]),
        // Its zeroes too.
        Segment::load(0x200c, [3]).with_memory_size(3),
    ]));
    let expected = [1, 1, 1, 1, 2, 2, 2, 2, 1, 1, 1, 1, 3, 0, 0, 1];
    assert_eq!(bytes_at::<16>(&program.state, 0x2000), expected);
    assert_eq!(program_pages(&program.state), [1, 2]);
}

#[test]
fn a_segment_may_not_wrap_or_reach_into_the_heap() {
    let end = |address, size| file([Segment::load(address, []).with_memory_size(size)]);
    assert_refused(&end(u64::MAX - 0xfff, 0x1001), "past the end of the address space");
    assert_refused(&end(0x2000, u64::MAX), "past the end of the address space");
    // Exactly 2^64: the end is an address that does not exist.
    assert_refused(&end(u64::MAX - 0xfff, 0x1000), "past the end of the address space");
    assert_refused(&end(u64::MAX - 0xfff, 0xfff), "past the last address of a program");
    assert_refused(&end(1 << 48, 1), "past the last address of a program");
    assert_refused(&end((1 << 48) - 1, 2), "past the last address of a program");
    assert_refused(&end((1 << 48) - 1, 1), "reaches into the heap");
    assert_refused(&end(HEAP_START, 1), "reaches into the heap");
    assert_refused(&end(HEAP_START - 1, 2), "reaches into the heap");
    // The error says which one it is.
    assert_refused(&end(HEAP_START, 1), "program header 1 (a segment at 0x100000000000)");

    let last = load(&end(HEAP_START - 1, 1));
    assert_eq!(program_pages(&last.state), [1, HEAP_START / 4096 - 1]);
}

#[test]
fn a_segment_has_at_most_as_many_bytes_in_the_file_as_in_memory() {
    let file = file([Segment::load(0x2000, [1; 16]).with_memory_size(15)]);
    assert_refused(&file, "more bytes in the file than in memory");
}

#[test]
fn only_segments_to_be_loaded_may_end_in_zeroes() {
    for kind in [PT_NOTE, PT_TLS, 0x6474_e552] {
        let short = Segment::new(kind, 0x2000, [1; 16]).with_memory_size(17);
        assert_refused(&file([short]), "not a PT_LOAD segment");
    }
    let program = load(&file([Segment::new(PT_LOAD, 0x2ffe, [1; 1]).with_memory_size(8)]));
    assert_eq!(bytes_at::<8>(&program.state, 0x2ffe), [1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(program_pages(&program.state), [1, 2, 3], "zeroes make pages too");
}

#[test]
fn other_segments_are_copied_too_but_for_the_floating_point_flags() {
    let program = load(&file([
        Segment::new(PT_NOTE, 0x2000, *b"note"),
        Segment::new(PT_TLS, 0x2004, *b"tls"),
        Segment::new(PT_MIPS_ABIFLAGS, 0x3000, *b"flags"),
        // As linkers write it when there is nothing to say; it is not even looked at.
        Segment::new(PT_MIPS_ABIFLAGS, u64::MAX, *b"flags").with_memory_size(u64::MAX),
    ]));
    assert_eq!(&bytes_at::<8>(&program.state, 0x2000), b"notetls\0");
    assert_eq!(program_pages(&program.state), [1, 2]);
}

#[test]
fn a_segment_without_size_does_nothing_wherever_it_is() {
    let program = load(&file([
        Segment::load(u64::MAX, []),
        Segment::load(HEAP_START, []),
        Segment::new(PT_NOTE, 0x5000, []),
    ]));
    assert_eq!(program_pages(&program.state), [1]);
}

#[test]
fn a_segment_of_zeroes_may_claim_to_be_behind_the_end_of_the_file() {
    let mut zeroes = Segment::load(0x2000, []).with_memory_size(8);
    zeroes.offset = Some(1 << 40);
    assert_eq!(program_pages(&load(&file([zeroes])).state), [1, 2]);
}

#[test]
fn a_segment_outside_of_the_file_is_a_truncated_file() {
    for (offset, size) in [(None, Some(100)), (Some(1 << 40), None), (Some(u64::MAX), Some(4))] {
        let mut segment = Segment::load(0x2000, [1; 16]).with_memory_size(4096);
        (segment.offset, segment.file_size) = (offset, size);
        assert_refused(&file([segment]), "the file is truncated");
    }
}

#[test]
fn the_entry_must_be_an_instruction_that_is_there() {
    for (entry, words) in [
        (0, "lies in no segment"),
        (0xfff, "lies in no segment"),
        (0x1010, "lies in no segment"),
        (u64::MAX, "lies in no segment"),
        (0x1001, "is not divisible by 4"),
        (0x100e, "is not divisible by 4"),
    ] {
        let mut file = file([]);
        file.entry = entry;
        assert_refused(&file, words);
        assert_refused(&file, &format!("the entry point {entry:#x}"));
    }
    let mut last = file([]);
    last.entry = 0x100c;
    assert_eq!(load(&last).state.left.top().map(|thread| thread.pc), Some(0x100c));
    assert_refused(&ElfFile::new(Vec::new()), "lies in no segment");
}

#[test]
fn a_program_larger_than_the_limit_is_refused_before_memory_is_made() {
    for size in [LIMIT, 1 << 30, 1 << 43] {
        let bss = file([Segment::load(0x2000, []).with_memory_size(size)]);
        assert_refused(&bss, "more memory than a state may hold");
    }
    // Overlapping does not make it smaller: each segment is written.
    let many = file((0..5).map(|_| Segment::load(0x2000, []).with_memory_size(LIMIT / 4)));
    assert_refused(&many, "more memory than a state may hold");
}

#[test]
fn the_limit_holds_for_the_whole_state() {
    let bytes = file([]).to_bytes();
    let size = load_elf(&bytes, LIMIT).unwrap().state.bytes();
    assert_eq!(size, 6 * 4096 + 298);
    assert_eq!(load_elf(&bytes, size).unwrap().state.bytes(), size);
    for limit in [size - 1, 4096, 0] {
        let error = load_elf(&bytes, limit).err().map(|error| error.to_string());
        let error = error.unwrap_or_default();
        assert!(error.contains("more memory than a state may hold"), "{limit}: {error}");
    }
}

#[test]
fn a_program_may_have_symbols_or_none() {
    assert_eq!(load(&file([])).symbols, None);
    let mut named = file([]);
    named.symbols = Some(Vec::new());
    assert!(load(&named).symbols.is_some_and(|symbols| symbols.as_slice().is_empty()));

    named.symbols = Some(vec![("late".into(), 0x1008, 8), ("early".into(), 0x1000, 8)]);
    let symbols = load(&named).symbols.unwrap();
    let names: Vec<&str> = symbols.as_slice().iter().map(|symbol| &*symbol.name).collect();
    assert_eq!(names, ["early", "late"], "by address");
    assert_eq!(symbols.name(0x100c), "late");
}

#[test]
fn names_that_share_their_bytes_do_not_cost_them_again_for_each_symbol() {
    // 4,000 symbols, each with the whole tail of one name of 100,000 bytes: 400 MB if copied.
    let mut named = file([]);
    let mut symbols = vec![("x".repeat(100_000), 0x1000, 4)];
    symbols.extend((0..4_000).map(|_| (String::new(), 0x1000, 4)));
    named.symbols = Some(symbols);
    let mut bytes = named.to_bytes();
    let table =
        bytes.windows(9).position(|window| window == b"\0\0\0\x01\x12\0\xff\xf1\0").unwrap();
    for symbol in 0..4_001 {
        bytes[table + symbol * 24..][..4].copy_from_slice(&(symbol as u32 + 1).to_be_bytes());
    }
    let error = load_elf(&bytes, LIMIT).err().map(|error| error.to_string());
    assert!(error.as_ref().is_some_and(|error| error.contains("symbol")), "{error:?}");
}

#[test]
fn a_file_that_was_cut_anywhere_is_refused_and_never_half_read() {
    let mut file = file([Segment::load(0x2000, [7; 300])]);
    file.symbols = Some(vec![("start".into(), 0x1000, 16), ("data".into(), 0x2000, 300)]);
    let bytes = file.to_bytes();
    load_elf(&bytes, LIMIT).unwrap();
    for length in 0..bytes.len() {
        let error = load_elf(&bytes[..length], LIMIT).unwrap_err();
        assert_eq!(error == ElfError::NotElf, length < 16, "{length}: {error}");
    }
    // Without sections nothing behind the last segment is missed, and before it everything is.
    file.symbols = None;
    let bytes = file.to_bytes();
    for length in 0..bytes.len() {
        assert!(load_elf(&bytes[..length], LIMIT).is_err(), "{length}");
    }
}

#[test]
fn header_fields_that_lie_are_refused() {
    let mut honest = file([]);
    honest.symbols = Some(vec![("start".into(), 0x1000, 16)]);
    let honest = honest.to_bytes();
    let sections = u64::from_be_bytes(honest[40..48].try_into().unwrap()) as usize;
    let lie = |place: usize, field: &[u8]| {
        let mut bytes = honest.clone();
        bytes[place..place + field.len()].copy_from_slice(field);
        load_elf(&bytes, LIMIT).unwrap_err().to_string()
    };
    for (what, place, field) in [
        ("where program headers are", 32, &u64::MAX.to_be_bytes()[..]),
        ("where section headers are", 40, &[0x7f; 8]),
        ("bytes of a program header", 54, &[0, 1]),
        ("how many program headers", 56, &[0xff, 0xfe]),
        ("how many program headers, elsewhere", 56, &[0xff, 0xff]),
        ("bytes of a section header", 58, &[0, 1]),
        ("how many section headers", 60, &[0xff, 0xfe]),
        ("where symbols are", sections + 64 + 24, &[0x7f; 8]),
        ("how many symbols", sections + 64 + 32, &[0x7f; 8]),
        ("where the names of symbols are", sections + 128 + 24, &[0x7f; 8]),
        ("how many bytes of names", sections + 128 + 32, &[0x7f; 8]),
        ("which section has the names", sections + 64 + 40, &[0x7f; 4]),
    ] {
        let error = lie(place, field);
        assert!(!error.is_empty(), "{what}");
    }
}
