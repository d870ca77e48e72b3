//! `bench ELF [--profile] FILE…`: what the program costs over the claims of `testdata/derivation`,
//! natively and in the machine, and where its steps go.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool that people run speaks")]

#[path = "../../../bench/measure.rs"]
mod measure;
#[allow(dead_code, reason = "shared with the tests")]
#[path = "../tests/support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use measure::{in_machine, load, print_profile};
use optimism::decide;
use support::World;
use tribunal_guest::Verdict;
use tribunal_optimism::Preimages;
use tribunal_optimism_host::Fixture;
use tribunal_preimage::Checked;

fn main() -> Result<()> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [elf, files @ ..] = &paths[..] else { bail!("usage: bench ELF [--profile] FILE...") };
    let (with_profile, files) = match files {
        [flag, files @ ..] if flag.as_os_str() == "--profile" => (true, files),
        files => (false, files),
    };
    ensure!(!files.is_empty(), "name a file of a claim");
    let program = load(elf)?;
    if !with_profile {
        println!(
            "| claim | L1 blocks | L2 blocks | blobs | steps | native | machine | memory | \
             preimages |"
        );
        println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    }
    for file in files {
        let fixture = Fixture::read(file)?;
        let name = file.file_name().context("no file")?.to_string_lossy();
        let name = name.trim_end_matches(".json.gz");
        if with_profile {
            println!("\n{name}:\n");
            print_profile(&program, &mut World::new(&fixture), (1.0, ""))?;
            continue;
        }
        let mut world = World::new(&fixture);
        let start = Instant::now();
        let decision = decide(Preimages::new(Checked(&mut world)), &mut |_| {})?;
        let native = start.elapsed().as_secs_f64();
        let expected = Verdict::from_claim(fixture.holds);
        ensure!(decision.verdict() == expected, "{name}: {decision}");
        let mut world = World::new(&fixture);
        let run = in_machine(&program, &mut world)?;
        ensure!(run.exit_code == Some(u8::from(!fixture.holds)), "{name}: {}", world.output);
        println!(
            "| {name} | {} | {} | {} | {} | {:.0} ms | {:.2} s | {:.1} MB | {} |",
            fixture.l1_blocks,
            fixture.blocks.len(),
            fixture.blobs.len(),
            run.steps,
            native * 1e3,
            run.seconds,
            run.bytes as f64 / 1e6,
            world.log.len(),
        );
    }
    Ok(())
}
