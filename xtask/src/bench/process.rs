//! One process: how long it took, what memory it had, what it said.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context as _, Error, Result, bail};
use wait4::Wait4 as _;

/// What a process took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    /// From before it was started to after its end.
    pub(crate) seconds: f64,
    /// On all cores together, in the kernel too.
    pub(crate) cpu_seconds: f64,
    /// The most that was resident at a time. What started the process counts until it runs, so a
    /// few megabytes cannot be told from none.
    pub(crate) peak_bytes: u64,
}

impl Cost {
    pub(crate) fn by(&self, clock: Clock) -> f64 {
        match clock {
            Clock::Wall => self.seconds,
            Clock::Cpu => self.cpu_seconds,
        }
    }
}

/// Which time ratios are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    Wall,
    /// What a machine shared with others leaves comparable.
    Cpu,
}

impl FromStr for Clock {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "wall" => Ok(Self::Wall),
            "cpu" => Ok(Self::Cpu),
            _ => bail!("there are: wall, cpu"),
        }
    }
}

/// A process that has ended well.
pub(crate) struct Done {
    pub(crate) cost: Cost,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// What stands behind `check=` in the output.
    pub(crate) fn check(&self) -> Result<String> {
        let outputs = [&self.stdout, &self.stderr];
        let rest = outputs.iter().find_map(|output| output.split_once("check="));
        let (_, rest) = rest.context("a workload ended without a check value")?;
        let digits: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
        Ok(digits)
    }
}

/// Runs a command to its end, which must be a good one. What it says goes to files in `folder`, so
/// that nobody has to read while it runs.
pub(crate) fn measure(command: &mut Command, folder: &Path) -> Result<Done> {
    let name = format!("{command:?}");
    let (stdout, stderr) = (folder.join("stdout"), folder.join("stderr"));
    let file = |path| File::create(path).with_context(|| format!("cannot write {path:?}"));
    command.stdin(Stdio::null()).stdout(file(&stdout)?).stderr(file(&stderr)?);
    let start = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot run {name}"))?;
    let used = child.wait4().with_context(|| format!("cannot wait for {name}"))?;
    let seconds = start.elapsed().as_secs_f64();
    let read =
        |path| -> Result<String> { Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned()) };
    let (stdout, stderr) = (read(&stdout)?, read(&stderr)?);
    if !used.status.success() {
        bail!("{name} failed ({})\n{stderr}", used.status);
    }
    let cpu = used.rusage.utime + used.rusage.stime;
    let cost = Cost { seconds, cpu_seconds: cpu.as_secs_f64(), peak_bytes: used.rusage.maxrss };
    Ok(Done { cost, stdout, stderr })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_is_found_in_the_middle_of_a_line() {
        let cost = Cost { seconds: 0.0, cpu_seconds: 0.0, peak_bytes: 0 };
        let line = "t=1 lvl=info msg=\"check=12ab keccak=3ms\"".to_owned();
        let done = Done { cost, stdout: String::new(), stderr: line };
        assert_eq!(done.check().unwrap(), "12ab");
        let silent = Done { stderr: String::new(), ..done };
        assert!(silent.check().is_err());
    }
}
