//! What the command line of the bench says.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, Error, Result, bail, ensure};

use super::process::Clock;

pub(crate) const USAGE: &str = "\
--size full|tenth|hundredth, --rounds N, --workloads NAME,…, --runners NAME[:ROUNDS],…, --cannon PATH, \
--cannon-steps N, --clock wall|cpu, --json FILE";

/// What is run, and how often.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) size: Size,
    /// How often each runner runs that does not say otherwise.
    pub(crate) rounds: usize,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) runners: Vec<(Runner, Option<usize>)>,
    pub(crate) cannon: Option<PathBuf>,
    /// How far Cannon goes: to an end it would take minutes.
    pub(crate) cannon_steps: u64,
    pub(crate) clock: Clock,
    pub(crate) json: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(options: &[&str]) -> Result<Self> {
        let mut parsed = Self {
            size: Size::Tenth,
            rounds: 5,
            workloads: Workload::ALL.to_vec(),
            runners: Runner::ALL.map(|runner| (runner, None)).to_vec(),
            cannon: None,
            cannon_steps: 200_000_000,
            clock: Clock::Wall,
            json: None,
        };
        for option in options.chunks(2) {
            let &[name, value] = option else { bail!("{} needs a value", option[0]) };
            let wrong = || format!("{name} {value}");
            match name {
                "--size" => parsed.size = value.parse().with_context(wrong)?,
                "--rounds" => parsed.rounds = rounds(value).with_context(wrong)?,
                "--workloads" => {
                    parsed.workloads = value
                        .split(',')
                        .map(str::parse)
                        .collect::<Result<_>>()
                        .with_context(wrong)?;
                }
                "--runners" => {
                    parsed.runners =
                        value.split(',').map(runner).collect::<Result<_>>().with_context(wrong)?;
                }
                "--cannon" => parsed.cannon = Some(std::path::absolute(value)?),
                "--cannon-steps" => parsed.cannon_steps = value.parse().with_context(wrong)?,
                "--clock" => parsed.clock = value.parse().with_context(wrong)?,
                "--json" => parsed.json = Some(std::path::absolute(value)?),
                _ => bail!("there is no option {name}: use {USAGE}"),
            }
        }
        Ok(parsed)
    }

    /// How often a runner runs; 0 if it was not asked for.
    pub(crate) fn rounds_of(&self, runner: Runner) -> usize {
        let asked = self.runners.iter().find(|(asked, _)| *asked == runner);
        asked.map_or(0, |(_, rounds)| rounds.unwrap_or(self.rounds))
    }
}

fn rounds(text: &str) -> Result<usize> {
    let rounds = text.parse()?;
    ensure!(rounds > 0, "at least one round");
    Ok(rounds)
}

fn runner(text: &str) -> Result<(Runner, Option<usize>)> {
    match text.split_once(':') {
        Some((name, count)) => Ok((name.parse()?, Some(rounds(count)?))),
        None => Ok((text.parse()?, None)),
    }
}

/// How much of each workload is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Full,
    Tenth,
    Hundredth,
}

impl Size {
    pub(crate) fn divisor(self) -> &'static str {
        match self {
            Self::Full => "1",
            Self::Tenth => "10",
            Self::Hundredth => "100",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Tenth => "tenth",
            Self::Hundredth => "hundredth",
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Full => "all of the work",
            Self::Tenth => "a tenth of the work",
            Self::Hundredth => "a hundredth of the work",
        }
    }
}

impl FromStr for Size {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let sizes = [Self::Full, Self::Tenth, Self::Hundredth];
        let found = sizes.into_iter().find(|size| size.name() == name);
        found.context("there are: full, tenth, hundredth")
    }
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    Go,
    C,
    Rust,
}

impl Workload {
    const ALL: [Self; 3] = [Self::Go, Self::C, Self::Rust];

    /// The source it is made of.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Go => "main.go",
            Self::C => "guest.c",
            Self::Rust => "guests/bench",
        }
    }
}

impl FromStr for Workload {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|workload| workload.name() == name);
        found.context("there are: main.go, guest.c, guests/bench")
    }
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runner {
    /// A process of this machine.
    Native,
    /// `qemu-mips64`, which translates user programs.
    Qemu,
    Cannon,
    /// `tribunal exec` on the engine that is the meaning of the machine.
    Reference,
    /// `tribunal exec` on the engine that is quick.
    Fast,
    /// `tribunal sample` on the quickest engine there is.
    Sample,
}

impl Runner {
    /// In the order of a round.
    pub(crate) const ALL: [Self; 6] =
        [Self::Native, Self::Qemu, Self::Cannon, Self::Reference, Self::Fast, Self::Sample];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Qemu => "qemu",
            Self::Cannon => "cannon",
            Self::Reference => "reference",
            Self::Fast => "fast",
            Self::Sample => "sample",
        }
    }
}

impl FromStr for Runner {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|runner| runner.name() == name);
        found.context("there are: native, qemu, cannon, reference, fast, sample")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runners_may_have_rounds_of_their_own() {
        let options =
            Options::parse(&["--rounds", "7", "--runners", "native,reference:1"]).unwrap();
        assert_eq!(options.rounds_of(Runner::Native), 7);
        assert_eq!(options.rounds_of(Runner::Reference), 1);
        assert_eq!(options.rounds_of(Runner::Qemu), 0);
        assert_eq!(Options::parse(&[]).unwrap().rounds_of(Runner::Sample), 5);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for options in [
            &["--rounds"][..],
            &["--rounds", "0"],
            &["--runners", "native:0"],
            &["--runners", "native,"],
            &["--size", "third"],
            &["--workloads", "guest.d"],
            &["--loud", "1"],
        ] {
            assert!(Options::parse(options).is_err(), "{options:?}");
        }
    }
}
