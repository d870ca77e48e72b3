//! Decoded blocks against the deployed contract's vectors and against the reference.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use tribunal_conformance::{
    RecordingHost, Vector, assert_as_deployed, lockstep, read_trail, run_vector,
};
use tribunal_jit::{Portable, PortableOptions};
use tribunal_machine::{Machine as _, StopOn};
use tribunal_mips64::{Mips64, State, load_elf};

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata")
}

fn portable(state: State, options: PortableOptions) -> Portable {
    Portable::new(Mips64::new(state), options)
}

#[test]
fn every_vector_of_the_deployed_contract_passes() {
    // Decoded at once, one instruction at a time: otherwise nothing but the reference would run.
    let options = PortableOptions { warm: 0, max_block: 1 };
    assert_as_deployed(&mut |vector: &Vector| {
        run_vector(portable(vector.state.clone(), options), vector)
    });
}

#[test]
fn random_programs_run_as_on_the_reference() {
    let mut steps = 0;
    for seed in 0..800 {
        // Short blocks are entered where only few steps are left, too.
        let max_block = [usize::MAX, 2, 5][(seed / 3 % 3) as usize];
        let options = PortableOptions { warm: (seed % 3) as u8, max_block };
        let result = lockstep(seed, |state| portable(state, options));
        let (taken, _) = result.unwrap_or_else(|difference| panic!("seed {seed}: {difference}"));
        steps += taken;
    }
    assert!(steps > 100_000, "{steps}");
}

#[test]
fn a_whole_program_goes_along_the_trail_of_cannon() {
    let mut elf = Vec::new();
    let file = std::fs::File::open(testdata().join("guests/threads.elf.gz")).unwrap();
    GzDecoder::new(file).read_to_end(&mut elf).unwrap();
    let state = load_elf(&elf, 1 << 30).unwrap().state;
    let mut machine = portable(state, PortableOptions::default());
    let mut host = RecordingHost::default();
    let trail = read_trail(&testdata().join("guests/threads.trail.jsonl.gz")).unwrap();
    for point in &trail {
        machine.run(point.step, StopOn::Nothing, &mut host).unwrap();
        assert_eq!(machine.step(), point.step);
        assert_eq!(machine.state_hash(), point.hash.0, "step {}", point.step);
    }
    assert!(trail.len() > 50 && machine.exit_code() == Some(0));
}

/// Where the small programs below begin.
const BASE: u64 = 0x1_0000;

/// Runs a program with these registers on the reference and on decoded blocks, with stops now and
/// then, and compares what can be seen there.
fn runs_as_on_the_reference(words: &[u32], registers: &[(usize, u64)]) {
    runs_from(BASE, words, registers);
}

fn runs_from(base: u64, words: &[u32], registers: &[(usize, u64)]) {
    let mut state = State::new(base);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    state.memory.write(base, &bytes);
    for &(register, value) in registers {
        state.left.top_mut().unwrap().registers[register] = value;
    }
    for (warm, stride) in [(0, 1), (0, 7), (0, 100), (2, 100), (8, 1000)] {
        let options = PortableOptions { warm, ..PortableOptions::default() };
        let (mut engine, mut reference) =
            (portable(state.clone(), options), Mips64::new(state.clone()));
        let mut hosts = [RecordingHost::default(), RecordingHost::default()];
        for until in (stride..1500).step_by(stride) {
            let until = until as u64;
            reference.run(until, StopOn::Nothing, &mut hosts[0]).unwrap();
            engine.run(until, StopOn::Nothing, &mut hosts[1]).unwrap();
            let at = format!("warm {warm}, step {until}");
            assert_eq!(engine.statistics(), reference.statistics(), "{at}");
            assert_eq!(engine.witness(), reference.witness(), "{at}");
        }
    }
}

/// Addresses that no instruction has are none of the program either, however odd.
#[test]
fn a_jump_to_no_instruction_is_a_fault_where_the_reference_has_it() {
    for target in [0, 1, 2, 3, 4, 5, 0x4001, 0x4004, u64::MAX] {
        let words = [
            0x6529_ffff, // daddiu r9, r9, -1
            0x00a9_200a, // movz r4, r5, r9
            0x0080_0008, // jr r4
            0x0000_0000, // nop
        ];
        // Where others do not come by in the tables of an engine.
        let base = BASE + 0x40;
        let mut state = State::new(base);
        let bytes: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_be_bytes()).collect();
        state.memory.write(base, &bytes);
        let registers = &mut state.left.top_mut().unwrap().registers;
        (registers[4], registers[5], registers[9]) = (base, target, 200);
        let mut engine = portable(state.clone(), PortableOptions::default());
        let mut reference = Mips64::new(state);
        let mut host = RecordingHost::default();
        let expected = reference.run(5000, StopOn::Nothing, &mut host);
        let fault = engine.run(5000, StopOn::Nothing, &mut host);
        let text = |outcome: Result<_, tribunal_machine::Fault>| {
            outcome.map_err(|fault| fault.to_string()).map(|_| ())
        };
        assert_eq!(text(fault), text(expected), "{target:#x}");
        assert_eq!(engine.witness(), reference.witness(), "{target:#x}");
    }
}

#[test]
fn code_that_a_store_changes_is_decoded_anew() {
    // Each turn adds 1 to what the instruction at 0x14 adds to r10, and r10 to r11.
    let words = [
        0x8c88_0014, // lw r8, 0x14(r4)
        0x2508_0001, // addiu r8, r8, 1
        0xac88_0014, // sw r8, 0x14(r4)
        0x0000_0000, // nop
        0x016a_5821, // addu r11, r11, r10
        0x254a_0000, // addiu r10, r10, 0
        0x1000_fff9, // b 0
        0x0000_0000, // nop
    ];
    runs_as_on_the_reference(&words, &[(4, BASE)]);
    // The same, with the store in the delay slot.
    let words = [
        0x8c88_000c, // lw r8, 0xc(r4)
        0x2508_0001, // addiu r8, r8, 1
        0x016a_5821, // addu r11, r11, r10
        0x254a_0000, // addiu r10, r10, 0
        0x1000_fffb, // b 0
        0xac88_000c, // sw r8, 0xc(r4)
    ];
    runs_as_on_the_reference(&words, &[(4, BASE)]);
}

#[test]
fn code_that_a_step_of_the_reference_changes_is_decoded_anew() {
    let words = [
        0xc088_0014, // ll r8, 0x14(r4)
        0x2508_0001, // addiu r8, r8, 1
        0xe088_0014, // sc r8, 0x14(r4)
        0x0000_0000, // nop
        0x016a_5821, // addu r11, r11, r10
        0x254a_0000, // addiu r10, r10, 0
        0x1000_fff9, // b 0
        0x0000_0000, // nop
    ];
    runs_as_on_the_reference(&words, &[(4, BASE)]);
}

#[test]
fn a_store_ends_a_reservation_on_a_page_that_came_to_be_after_it() {
    let words = [
        0xc088_0000, // ll r8, 0(r4)
        0xfc85_0008, // sd r5, 8(r4)
        0xfc85_0010, // sd r5, 16(r4)
        0xfc85_0000, // sd r5, 0(r4)
        0xfc85_0000, // sd r5, 0(r4)
        0x1000_fffa, // b 0
        0x6484_1000, // daddiu r4, r4, 0x1000
    ];
    runs_as_on_the_reference(&words, &[(4, 0x100_0000), (5, 7)]);
}

#[test]
fn a_store_to_address_0_counts_while_nothing_is_reserved() {
    let words = [
        0xfc05_0008, // sd r5, 8(r0)
        0xfc05_0000, // sd r5, 0(r0)
        0x1000_fffd, // b 0
        0x64a5_0001, // daddiu r5, r5, 1
    ];
    runs_as_on_the_reference(&words, &[]);
}

#[test]
fn code_among_data_keeps_its_reservation() {
    // The page is watched for its code, and for the reservation after that changed.
    let words = [
        0xc088_0100, // ll r8, 0x100(r4)
        0x8c88_0018, // lw r8, 0x18(r4)
        0x2508_0001, // addiu r8, r8, 1
        0xac88_0018, // sw r8, 0x18(r4)
        0xfc85_0108, // sd r5, 0x108(r4)
        0xfc85_0100, // sd r5, 0x100(r4)
        0x254a_0000, // addiu r10, r10, 0
        0x1000_fff8, // b 0
        0x0000_0000, // nop
    ];
    runs_as_on_the_reference(&words, &[(4, BASE)]);
}

#[test]
fn a_reservation_outlives_code_of_its_page_and_code_outlives_a_reservation() {
    let mut words = vec![
        0x0c00_4400, // jal 0x11000
        0x0000_0000, // nop
        0xc088_0100, // ll r8, 0x100(r4)
        0xac89_0000, // sw r9, 0(r4), which is where the subroutine begins
        0xfc85_0108, // sd r5, 0x108(r4)
        0xfc85_0100, // sd r5, 0x100(r4)
        0x1000_fff9, // b 0
        0x0000_0000, // nop
    ];
    words.resize(0x400, 0);
    words.extend([0x03e0_0008, 0]); // jr ra
    runs_as_on_the_reference(&words, &[(4, BASE + 0x1000), (9, 0x03e0_0008)]);
    let words = [
        0xc088_0100, // ll r8, 0x100(r4)
        0xc0c8_0100, // ll r8, 0x100(r6)
        0xfc85_0108, // sd r5, 0x108(r4)
        0x8c88_001c, // lw r8, 0x1c(r4)
        0x2508_0001, // addiu r8, r8, 1
        0xac88_001c, // sw r8, 0x1c(r4)
        0x0000_0000, // nop
        0x254a_0000, // addiu r10, r10, 0
        0x1000_fff7, // b 0
        0x0000_0000, // nop
    ];
    runs_as_on_the_reference(&words, &[(4, BASE), (6, BASE + 0x1000)]);
}

#[test]
fn what_blocks_do_in_another_way_comes_to_the_same() {
    // Two shifts are a zero extension only if both are by 32.
    let words = [
        0x0009_423c, // dsll32 r8, r9, 8
        0x0008_423e, // dsrl32 r8, r8, 8
        0x0168_582d, // daddu r11, r11, r8
        0x1000_fffc, // b 0
        0x6529_ffff, // daddiu r9, r9, -1
    ];
    runs_as_on_the_reference(&words, &[(9, 0x1234_5678_9abc_def0)]);
    // A jump leads within the region of its delay slot.
    let words = [
        0x6529_0001, // daddiu r9, r9, 1
        0x0800_0002, // j 0x10000008
        0x6529_0002, // daddiu r9, r9, 2
        0x0000_0000, // nop
        0x0080_0008, // jr r4
        0x0000_0000, // nop
    ];
    runs_from(0x0fff_fff8, &words, &[(4, 0x0fff_fff8)]);
    // A delay slot that the reference has to take, behind a jump that overwrites its own target.
    let words = [
        0x64df_0000, // daddiu r31, r6, 0
        0x03e0_f809, // jalr r31, r31
        0xfc85_0000, // sd r5, 0(r4)
        0x0000_0000, // nop
        0x1000_fffb, // b 0
        0x6484_1000, // daddiu r4, r4, 0x1000
    ];
    runs_as_on_the_reference(&words, &[(4, 0x100_0000), (6, BASE + 0x10)]);
}
