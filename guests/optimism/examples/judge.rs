//! `judge ELF [--profile] FILE…`: what the program costs over the claims of `testdata/derivation`,
//! natively and in the machine; what one more of this and that costs, over chains made for it; or,
//! with `--profile`, where the steps go.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool that people run speaks")]

#[path = "../../../bench/measure.rs"]
mod measure;
#[allow(dead_code, reason = "shared with the tests")]
#[path = "../tests/support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::time::Instant;

use alloy_primitives::B256;
use anyhow::{Context as _, Result, bail, ensure};
use measure::{in_machine, load, print_profile};
use optimism::decide;
use support::World;
use support::devnet::{Account, Devnet, whole};
use tribunal_derivation::blob::MAX_BLOB_DATA;
use tribunal_derivation::frame::{Frame, write_frames};
use tribunal_guest::Verdict;
use tribunal_mips64::Program;
use tribunal_optimism::Preimages;
use tribunal_optimism_host::Fixture;
use tribunal_preimage::Checked;

/// L2 blocks of a span that nobody calls short.
const MANY: usize = 600;

/// What kona's client of June 2026 takes, where somebody counted, in steps.
const KONA: [(&str, u64); 6] = [
    ("01", 106_353_983),
    ("03", 14_915_820),
    ("36", 101_656_870),
    ("43", 275_188_428),
    ("80", 466_591_171),
    ("84", 1_271_784_681),
];

fn main() -> Result<()> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [elf, files @ ..] = &paths[..] else { bail!("usage: judge ELF [--profile] FILE...") };
    let (with_profile, files) = match files {
        [flag, files @ ..] if flag.as_os_str() == "--profile" => (true, files),
        files => (false, files),
    };
    ensure!(!files.is_empty(), "name a file of a claim");
    let program = load(elf)?;
    if with_profile {
        for file in files {
            println!("\n{}:\n", name_of(file)?);
            print_profile(&program, &mut World::new(&Fixture::read(file)?), (1.0, ""))?;
        }
        let chains = Chains::new()?;
        println!("\na full blob:\n");
        print_profile(&program, &mut world_of(&chains.blob(MAX_BLOB_DATA)), (1.0, ""))?;
        println!("\n{MANY} empty L2 blocks:\n");
        return print_profile(&program, &mut world_of(&chains.l2_blocks(MANY)), (1.0, ""));
    }
    println!(
        "| claim | L1 blocks | L2 blocks | blobs | steps | kona's | share | steps per L2 block | \
         native | machine | memory | preimages |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for file in files {
        judge(&program, &name_of(file)?, &Fixture::read(file)?)?;
    }
    println!("\n| one more | steps |\n|---|--:|");
    for (what, cost) in Chains::new()?.costs(&program)? {
        println!("| {what} | {cost} |");
    }
    Ok(())
}

fn name_of(file: &std::path::Path) -> Result<String> {
    let name = file.file_name().context("no file")?.to_string_lossy();
    Ok(name.trim_end_matches(".json.gz").to_owned())
}

/// Judges a claim natively and in the machine, and prints what it took.
fn judge(program: &Program, name: &str, fixture: &Fixture) -> Result<()> {
    let mut world = World::new(fixture);
    let start = Instant::now();
    let decision = decide(Preimages::new(Checked(&mut world)), &mut |_| {})?;
    let native = start.elapsed().as_secs_f64();
    let expected = Verdict::from_claim(fixture.holds);
    ensure!(decision.verdict() == expected, "{name}: {decision}");
    let mut world = World::new(fixture);
    let run = in_machine(program, &mut world)?;
    ensure!(run.exit_code == Some(u8::from(!fixture.holds)), "{name}: {}", world.output);
    let blocks = fixture.blocks.len();
    let kona = KONA.iter().find(|(number, _)| name.starts_with(number));
    let (kona, share) = kona.map_or_else(Default::default, |(_, kona)| {
        (kona.to_string(), format!("{:.1} %", 100.0 * run.steps as f64 / *kona as f64))
    });
    println!(
        "| {name} | {} | {blocks} | {} | {} | {kona} | {share} | {} | {:.0} ms | {:.2} s | {:.1} MB \
         | {} |",
        fixture.l1_blocks,
        fixture.blobs.len(),
        run.steps,
        run.steps / (blocks as u64).max(1),
        native * 1e3,
        run.seconds,
        run.bytes as f64 / 1e6,
        world.log.len(),
    );
    Ok(())
}

/// Chains made to have one thing more than another.
struct Chains {
    genesis: Fixture,
}

/// A host for a claim that is wrong, so that nobody has to know what is right.
fn world_of((devnet, number): &(Devnet, u64)) -> World {
    devnet.world(*number, B256::ZERO)
}

impl Chains {
    fn new() -> Result<Self> {
        let file = support::at_root("testdata/derivation/01-jovian-simple-blob-valid.json.gz");
        Ok(Self { genesis: Fixture::read(&file)? })
    }

    fn devnet(&self) -> Devnet {
        Devnet::new(&self.genesis, |_| {})
    }

    /// So many L1 blocks with nothing in them, then one L2 block.
    fn l1_blocks(&self, count: u64) -> (Devnet, u64) {
        let mut devnet = self.devnet();
        (0..count).for_each(|_| devnet.mine(&[]));
        let batch = devnet.singular(devnet.config.genesis.l2, &[]);
        let data = devnet.calldata(whole(1, &[batch]));
        devnet.mine(&[data]);
        (devnet, 1)
    }

    /// So many empty L2 blocks, in a span.
    fn l2_blocks(&self, count: usize) -> (Devnet, u64) {
        let mut devnet = self.devnet();
        let batch = devnet.span(devnet.config.genesis.l2, &vec![vec![]; count]);
        let data = devnet.calldata(whole(1, &[batch]));
        devnet.mine(&[data]);
        (devnet, count as u64)
    }

    /// The batch of one L2 block, and a frame of no use behind it, up to `len` bytes.
    fn with_noise(&self, len: usize) -> (Devnet, Vec<u8>) {
        let devnet = self.devnet();
        let mut data = whole(1, &[devnet.singular(devnet.config.genesis.l2, &[])]);
        let empty = Frame { id: [2; 16], number: 7, data: Vec::new(), is_last: false };
        let room =
            len.checked_sub(data.len() + write_frames(std::slice::from_ref(&empty)).len() - 1);
        if let Some(room) = room {
            let noise = (0..room).map(|place| ((place * place) >> 3) as u8).collect();
            data.extend(&write_frames(&[Frame { data: noise, ..empty }])[1..]);
        }
        (devnet, data)
    }

    /// That in a blob.
    fn blob(&self, len: usize) -> (Devnet, u64) {
        let (mut devnet, data) = self.with_noise(len);
        let transaction = devnet.blobs(&[data]);
        devnet.mine(&[transaction]);
        (devnet, 1)
    }

    /// That as calldata.
    fn calldata(&self, len: usize) -> (Devnet, u64) {
        let (mut devnet, data) = self.with_noise(len);
        let transaction = devnet.calldata(data);
        devnet.mine(&[transaction]);
        (devnet, 1)
    }

    /// A channel with so many payments in a span that does not fit the chain, so that it is unpacked,
    /// read and dropped; and how many bytes it has.
    fn payments(&self, count: u64) -> ((Devnet, u64), usize) {
        let mut devnet = self.devnet();
        let payer = Account::new(B256::repeat_byte(9));
        let payments = (0..count).map(|nonce| payer.pay(nonce, 7 * nonce)).collect();
        let parent = devnet.config.genesis.l2;
        let elsewhere = tribunal_rollup::BlockId { hash: B256::repeat_byte(3), ..parent };
        let channel = whole(1, &[devnet.span(elsewhere, &[payments])]);
        let len = channel.len();
        let data = devnet.calldata(channel);
        devnet.mine(&[data]);
        ((devnet, 1), len)
    }

    fn costs(&self, program: &Program) -> Result<Vec<(String, u64)>> {
        let steps = |chain: (Devnet, u64)| -> Result<u64> {
            let mut world = world_of(&chain);
            let run = in_machine(program, &mut world)?;
            ensure!(run.exit_code == Some(1), "{}", world.output);
            Ok(run.steps)
        };
        let l1 = (steps(self.l1_blocks(100))? - steps(self.l1_blocks(0))?) / 100;
        let l2 = (steps(self.l2_blocks(31))? - steps(self.l2_blocks(1))?) / 30;
        let late = (steps(self.l2_blocks(MANY + 30))? - steps(self.l2_blocks(MANY))?) / 30;
        let blob = steps(self.blob(MAX_BLOB_DATA))? - steps(self.calldata(0))?;
        let partly = steps(self.blob(16_000))? - steps(self.calldata(0))?;
        let calldata = steps(self.calldata(MAX_BLOB_DATA))? - steps(self.calldata(0))?;
        let ((few, number), short) = self.payments(10);
        let ((many, _), long) = self.payments(1000);
        let per_byte =
            (steps((many, number))? - steps((few, number))?) as f64 / (long - short) as f64;
        let per_mb = |steps: u64| (steps as f64 / MAX_BLOB_DATA as f64 * 1e6) as u64;
        Ok(vec![
            ("L1 block without anything".into(), l1),
            ("empty L2 block of a span".into(), l2),
            (format!("the same, {MANY} blocks later"), late),
            (format!("blob of {MAX_BLOB_DATA} bytes"), blob),
            ("MB in such blobs".into(), per_mb(blob)),
            ("blob of 16000 bytes, 504 elements".into(), partly),
            (format!("{MAX_BLOB_DATA} bytes of calldata"), calldata),
            ("MB of calldata".into(), per_mb(calldata)),
            ("MB of channels with payments, unpacked and read".into(), (per_byte * 1e6) as u64),
        ])
    }
}
