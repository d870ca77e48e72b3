//! `cargo xtask bench`: the same work natively, under qemu, in Cannon and on our engines, side by
//! side in one run.
//!
//! Knows how to build the workloads, whom to run, and that all must come to the same result. Knows
//! nothing of what happens inside of a runner: all of them are processes.

mod contest;
mod extras;
mod kit;
mod options;
mod platform;
mod process;
mod programs;
mod report;
mod runners;

use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::bench::contest::Contest;
use crate::bench::extras::Extras;
use crate::bench::options::{Options, Runner, Workload};
use crate::bench::platform::{Platform, Tools};
use crate::bench::programs::{Program, build_memory};
use crate::bench::report::Report;
use crate::bench::runners::{Cannon, Runners, Tribunal};
use crate::guests::write;
use crate::{build_cargo, cargo, root};

pub(crate) use kit::kit;

pub(crate) fn run(options: &[&str]) -> Result<()> {
    let options = Options::parse(options)?;
    let (platform, tools) = (Platform::here(), Tools::here());
    let folder = root().join("target/bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {folder:?}"))?;

    eprintln!("building");
    let tribunal = build_cargo(&mut cargo(), &["--release", "--package", "tribunal"])?;
    let tribunal = Tribunal::new(tribunal, folder.clone(), &build_memory(&folder)?)?;
    let cannon = options
        .cannon
        .as_ref()
        .map(|program| Cannon::new(program.clone(), options.cannon_steps, folder.clone()));
    let programs = options.workloads.iter();
    let programs: Vec<Program> = programs
        .map(|&workload| Program::build(workload, options.size, &tools, &folder))
        .collect::<Result<_>>()?;

    let mut left_out = tools.missing();
    if cannon.is_none() && options.rounds_of(Runner::Cannon) > 0 {
        left_out.push("no Cannon was named: --cannon PATH (docs/speed.md)".to_owned());
    }
    if !tribunal.has_fast() {
        left_out.push("there is no fast engine in this build of tribunal".to_owned());
    }
    for sentence in &left_out {
        eprintln!("{sentence}");
    }

    let has_qemu = tools.qemu.is_here();
    let runners = Runners { tribunal, cannon, has_qemu, folder };
    let mut contests = Vec::new();
    for program in &programs {
        contests.extend(Contest::hold(&runners, program, &options)?);
    }
    check_twins(&contests)?;
    let (rounds, folder) = (options.rounds, &runners.folder);
    let extras = Extras::measure(&runners.tribunal, &tools, &programs, rounds, folder)?;
    let quickest = runners.tribunal.quickest();
    let report =
        Report { options: &options, platform, tools, left_out, contests, extras, quickest };
    print!("{}", report.text());
    if let Some(path) = &options.json {
        write(path, format!("{:#}\n", report.json()).as_bytes())?;
    }
    Ok(())
}

/// Two workloads do the same in two languages.
fn check_twins(contests: &[Contest]) -> Result<()> {
    let of = |workload| contests.iter().find(|contest| contest.workload == workload);
    if let (Some(c), Some(rust)) = (of(Workload::C), of(Workload::Rust)) {
        let (c, rust) = (&c.check, &rust.check);
        ensure!(
            c == rust,
            "guest.c comes to {c}, guests/bench to {rust}: they are not the same work"
        );
    }
    Ok(())
}
