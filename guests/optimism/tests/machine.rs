//! The program as it is stored, in the machine, and steps of it on the contract.

#[allow(dead_code, reason = "shared with the other tests")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;

use flate2::read::GzDecoder;
use optimism::decide;
use support::{World, at_root, fixture, fixtures};
use tribunal_guest::Key;
use tribunal_jit::{Engine, EngineKind};
use tribunal_machine::{Machine as _, Pause, StopOn};
use tribunal_mips64::{Mips64, load_elf};
use tribunal_onchain::{Evidence, Instance, LoadedHow, StepCall};
use tribunal_optimism::Preimages;
use tribunal_optimism_host::Fixture;
use tribunal_preimage::KeyKind;

/// Bytes that the state may hold, at most. The largest fixture takes a quarter of it.
const MEMORY: u64 = 64 << 20;

/// Of the program as it is loaded, its symbols left out.
const PROGRAM_BYTES: u64 = 3 << 20;

/// Shorter runs are taken by the reference too, and again without hints.
const SHORT: u64 = 5_000_000;

/// Tells the local inputs of these steps from others.
const CONTEXT: [u8; 32] = [0; 32];

fn program() -> Mips64 {
    let path = at_root("guests/elf/mips64/optimism.elf.gz");
    let mut elf = Vec::new();
    GzDecoder::new(File::open(path).unwrap()).read_to_end(&mut elf).unwrap();
    Mips64::new(load_elf(&elf, MEMORY).unwrap().state)
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
struct End {
    code: Option<u8>,
    output: String,
    steps: u64,
    state_hash: [u8; 32],
}

fn run(kind: EngineKind, world: &mut World) -> Result<End, String> {
    let (mut engine, _) = Engine::new(kind, program());
    world.output.clear();
    let done = engine.run(u64::MAX, StopOn::Nothing, world);
    assert!(engine.state_bytes() < MEMORY);
    done.map_err(|fault| fault.to_string())?;
    let (code, steps) = (engine.exit_code(), engine.step());
    Ok(End { code, output: world.output.clone(), steps, state_hash: engine.state_hash() })
}

/// Whoever runs the program for a chain has its prestate hash written down there. So it changes only
/// with a reason, and the reason stands beside it.
#[test]
fn the_prestate_is_the_one_that_is_written_down() {
    let mut program = program();
    let found = alloy_primitives::B256::new(program.state_hash()).to_string();
    let table = std::fs::read_to_string(at_root("guests/optimism/PRESTATE.md")).unwrap();
    let newest = table.lines().find_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(
        Some(&found[..]),
        newest,
        "the stored program begins with {found}: if it was meant to change, put that hash and the \
         reason into a new first row of guests/optimism/PRESTATE.md"
    );
    let bytes = 4096 * program.page_count();
    assert!(bytes < PROGRAM_BYTES, "{bytes} bytes");
}

#[test]
fn every_claim_is_judged_as_natively_and_again_from_what_was_read() {
    let mut by_reference = 0;
    for (name, fixture) in fixtures() {
        let mut world = World::new(&fixture);
        let native = decide(Preimages::new(&mut world), &mut |_| {}).unwrap();
        let read = |world: &mut World| std::mem::take(&mut world.log).into_iter().collect();
        let natively: BTreeSet<Key> = read(&mut world);
        let end = run(EngineKind::Fast, &mut world).unwrap();
        assert_eq!(end.code, Some(u8::from(!fixture.holds)), "{name}: {}", end.output);
        assert_eq!(end.output, format!("{native}\n"), "{name}");
        // In another order where a map without one is walked, which a machine always does alike.
        assert!(world.log.iter().copied().collect::<BTreeSet<_>>() == natively, "{name}");

        if end.steps < SHORT || name.starts_with("36-") {
            // On a chain hints do nothing, and whatever a step reads must be there.
            let again = run(EngineKind::Fast, &mut world.without_hints()).unwrap();
            assert_eq!(again, end, "{name}");
            let reference = run(EngineKind::Reference, &mut world.without_hints()).unwrap();
            assert_eq!(reference, end, "{name}");
            by_reference += 1;
        }
    }
    assert!(by_reference > 10, "{by_reference} short ones");
}

#[test]
fn what_cannot_be_decided_is_neither_0_nor_1() {
    let fixture = fixture("03-");
    let with = |ident, data: &[u8]| {
        let mut world = World::new(&fixture);
        world.put(Key::local(ident), data.to_vec());
        run(EngineKind::Fast, &mut world)
    };
    let wrong = with(optimism::inputs::CLAIM, &[7; 32]).unwrap();
    assert_eq!(wrong.code, Some(1));
    for (ident, data) in [
        (optimism::inputs::CLAIM, &[7; 31][..]),
        (optimism::inputs::CLAIMED_NUMBER, &[0; 7]),
        (optimism::inputs::CHAIN_ID, &[]),
        (optimism::inputs::CHAIN_ID, &10_u64.to_be_bytes()),
        (optimism::inputs::ROLLUP_CONFIG, b"{}"),
        (optimism::inputs::L1_CONFIG, b"[]"),
    ] {
        let end = with(ident, data).unwrap();
        assert!(end.code.unwrap() >= 2, "{ident}: {end:?}");
        assert!(end.output.contains("error: "), "{ident}: {end:?}");
    }
    // Nobody can take the step that reads what is not there.
    let why = with(optimism::inputs::L1_HEAD, &[7; 32]).unwrap_err();
    assert!(why.contains("no preimage"), "{why}");
}

/// What is behind a key that is a hash of a question.
fn evidence(world: &World, key: Key) -> Option<Evidence> {
    match key.kind() {
        Some(KeyKind::Blob) => Some(Evidence::of_blob_key(key, |key| world.get(key)).unwrap()),
        Some(KeyKind::Precompile) => {
            let call = world.get(Key::keccak256(key.into_bytes())).unwrap();
            let (address, rest) = call.split_first_chunk().unwrap();
            let (gas, input) = rest.split_first_chunk().unwrap();
            let required_gas = u64::from_be_bytes(*gas);
            Some(Evidence::Precompile { address: *address, required_gas, input: input.to_vec() })
        }
        _ => None,
    }
}

/// The steps of a run that read a preimage, and which.
fn reads(fixture: &Fixture) -> (Vec<(u64, Key)>, u64) {
    let mut world = World::new(fixture);
    let (mut engine, _) = Engine::new(EngineKind::Fast, program());
    let mut reads = Vec::new();
    while engine.run(u64::MAX, StopOn::PreimageRead, &mut world).unwrap() == Pause::PreimageRead {
        let read = engine.last_preimage_read().unwrap();
        reads.push((engine.step() - 1, read.key));
    }
    (reads, engine.step())
}

#[test]
fn the_contract_takes_the_steps_of_a_run_with_preimages_that_it_has_checked() {
    let mut instance = Instance::new();
    let (mut judged, mut functions) = (0, BTreeSet::new());
    for (seed, name) in ["01-", "03-", "15-", "60-", "62-"].into_iter().enumerate() {
        let fixture = fixture(name);
        let mut world = World::new(&fixture);
        let (reads, length) = reads(&fixture);

        // Random ones, both ends, and of each kind of preimage the first reads, one in the middle and
        // the last.
        let mut random = seed as u64;
        let mut next = || {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 32) % length
        };
        let mut steps: BTreeSet<u64> = (0..220).map(|_| next()).collect();
        steps.extend([0, length - 1, length]);
        let mut by_kind: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for (step, key) in &reads {
            by_kind.entry(key.as_bytes()[0]).or_default().push(*step);
        }
        for of_kind in by_kind.values() {
            let last = of_kind.len() - 1;
            steps.extend([0, 1, last / 2, last].map(|place| of_kind[place.min(last)]));
        }

        let (mut engine, _) = Engine::new(EngineKind::Fast, program());
        for step in steps {
            engine.run(step, StopOn::Nothing, &mut world).unwrap();
            let proof = engine.prove_step(&mut world).unwrap();
            if let Some(read) = &proof.preimage {
                let known = evidence(&world, read.key);
                let loaded = instance.load_preimage(read, known.as_ref(), &CONTEXT).unwrap();
                match loaded.how {
                    LoadedHow::Proven { function, .. } => {
                        functions.insert(function);
                    }
                    // Configurations, which no contract has, because chains have known ones.
                    LoadedHow::Given { why } => {
                        assert!(why.contains("more than 32 bytes"), "{why}")
                    }
                }
            }
            let call = StepCall {
                state_data: &proof.state_data,
                proof_data: &proof.proof_data,
                local_context: CONTEXT,
            };
            let taken = instance.step(&call).unwrap_or_else(|why| panic!("{name} {step}: {why}"));
            assert_eq!(taken.post, proof.post, "{name}, step {step}");
            if proof.preimage.is_some() {
                instance.reset();
            }
            judged += 1;
        }
    }
    assert!(judged > 1000, "{judged} steps");
    let proven: Vec<&str> = functions.into_iter().collect();
    let expected = [
        "loadBlobPreimagePart",
        "loadKeccak256PreimagePart",
        "loadLocalData",
        "loadPrecompilePreimagePart",
        "loadSha256PreimagePart",
    ];
    assert_eq!(proven, expected);
}
