//! `bench ELF ELF-COMPUTED FILE…`: what the program costs over recorded blocks, natively and in the
//! machine, with and without asking for the results of precompiled contracts, and where its steps go.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool that people run speaks")]

#[allow(dead_code, reason = "shared with the tests")]
#[path = "../tests/fixture/mod.rs"]
mod fixture;
#[path = "../../../bench/measure.rs"]
mod measure;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use fixture::{Fixture, Store};
use measure::{in_machine, load, print_profile};
use op_block::{Finding, decide};
use tribunal_optimism::Preimages;
use tribunal_preimage::Checked;

fn main() -> Result<()> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [asking, computing, files @ ..] = &paths[..] else {
        bail!("usage: bench ELF ELF-COMPUTED FILE...")
    };
    ensure!(!files.is_empty(), "name a file of a recorded block");
    let programs = [("asked for", load(asking)?), ("computed", load(computing)?)];
    println!(
        "| block | transactions | gas | precompiled contracts | steps | steps per gas | native | \
         machine | memory | preimages | bytes read | hints |"
    );
    println!("|---|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    let mut heaviest: Option<(u64, Fixture, u64)> = None;
    for file in files {
        let fixture = Fixture::read(file)?;
        let executed = fixture.execute()?;
        fixture.judge(&executed)?;
        let (gas, number) = (executed.header.gas_used, executed.header.number);
        let host = fixture.host(&executed);
        for (how, program) in &programs {
            let native = natively(host.clone(), *how == "computed")?;
            let mut host = host.clone();
            let run = in_machine(program, &mut host)?;
            ensure!(run.exit_code == Some(0), "it failed: {}", host.output.trim_end());
            println!(
                "| {number} | {} | {gas} | {how} | {} | {:.2} | {:.0} ms | {:.2} s | {:.1} MB | {} \
                 | {} | {} |",
                fixture.attributes.transactions.len(),
                run.steps,
                run.steps as f64 / gas as f64,
                native * 1e3,
                run.seconds,
                run.bytes as f64 / 1e6,
                host.log.len(),
                host.bytes_read(),
                host.hints,
            );
        }
        if heaviest.as_ref().is_none_or(|(most, ..)| gas > *most) {
            heaviest = Some((gas, fixture, number));
        }
    }
    let Some((gas, fixture, number)) = heaviest else { return Ok(()) };
    let executed = fixture.execute()?;
    for (how, program) in &programs {
        println!("\nSteps by function, block {number}, precompiled contracts {how}:\n");
        print_profile(program, &mut fixture.host(&executed), (gas as f64, "per gas"))?;
    }
    Ok(())
}

fn natively(mut host: Store, computed: bool) -> Result<f64> {
    let start = Instant::now();
    let mut preimages = Preimages::new(Checked(&mut host));
    if computed {
        preimages = preimages.without_acceleration();
    }
    let decision = decide(preimages)?;
    ensure!(matches!(decision.finding, Finding::Same { .. }), "{decision}");
    Ok(start.elapsed().as_secs_f64())
}
