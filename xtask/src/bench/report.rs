//! What was measured: as Markdown tables for people, as JSON to keep.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::contest::{Contest, Entry, median};
use super::extras::Extras;
use super::options::{Options, Runner};
use super::platform::{Platform, Tools};
use super::process::Clock;

/// All that there is to say.
pub(crate) struct Report<'a> {
    pub(crate) options: &'a Options,
    pub(crate) platform: Platform,
    pub(crate) tools: Tools,
    /// What was left out, and why: a sentence each.
    pub(crate) left_out: Vec<String>,
    pub(crate) contests: Vec<Contest>,
    pub(crate) extras: Extras,
    /// The engine that samples.
    pub(crate) quickest: &'static str,
}

impl Report<'_> {
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n", self.platform.text());
        for version in self.tools.versions() {
            let _ = writeln!(text, "{version}");
        }
        let clock = match self.options.clock {
            Clock::Wall => "time",
            Clock::Cpu => "CPU time",
        };
        let _ = writeln!(
            text,
            "Medians of {} rounds, {}; ratios are of {clock}.",
            self.options.rounds,
            self.options.size.words(),
        );
        for sentence in &self.left_out {
            let _ = writeln!(text, "Left out: {sentence}.");
        }
        for contest in &self.contests {
            let _ = write!(text, "\n{}", self.contest(contest));
        }
        let _ = write!(text, "\n{}", self.extras());
        text
    }

    fn contest(&self, contest: &Contest) -> String {
        let mut text = contest.workload.name().to_owned();
        if let Some(end) = &contest.end {
            let _ = write!(text, ": {} M steps, {} pages", end.steps / 1_000_000, end.pages);
            let _ = write!(text, ", state {}", end.state_hash);
        }
        let _ = write!(
            text,
            ", check {}\n\n\
             | | time | CPU | time ÷ native | speed ÷ qemu | speed ÷ Cannon | steps/s | peak memory |\n\
             |---|---|---|---|---|---|---|---|\n",
            contest.check
        );
        for entry in &contest.entries {
            let cells = self.cells(contest, entry);
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text
    }

    fn cells(&self, contest: &Contest, entry: &Entry) -> [String; 8] {
        let clock = self.options.clock;
        let seconds = contest.seconds(entry, clock);
        let other = |runner| contest.entry(runner).map(|other| contest.seconds(other, clock));
        let ratio = |ratio: Option<f64>| ratio.map_or("–".to_owned(), number);
        let native = other(Runner::Native).map(|native| seconds / native);
        let qemu = other(Runner::Qemu).map(|qemu| qemu / seconds);
        let cannon = other(Runner::Cannon).map(|cannon| cannon / seconds);
        let steps = contest.end.as_ref().map(|end| end.steps as f64 / seconds);
        // What counts no steps did the work of as many.
        let speed = steps.map_or("–".to_owned(), |speed| format!("{} M", number(speed / 1e6)));
        [
            self.name(contest, entry),
            time(entry.median(|cost| cost.seconds)),
            time(entry.median(|cost| cost.cpu_seconds)),
            ratio(native),
            ratio(qemu),
            ratio(cannon),
            speed,
            mebibytes(entry.median(|cost| cost.peak_bytes as f64)),
        ]
    }

    fn name(&self, contest: &Contest, entry: &Entry) -> String {
        let all = contest.end.as_ref().map(|end| end.steps);
        let name = match entry.runner {
            Runner::Sample => format!("{}, 43 hashes and proofs", self.quickest),
            Runner::Qemu => "qemu-mips64".to_owned(),
            Runner::Cannon => match entry.steps {
                steps if steps == all => "Cannon".to_owned(),
                steps => format!("Cannon, {} M steps", steps.unwrap_or_default() / 1_000_000),
            },
            runner => runner.name().to_owned(),
        };
        match entry.costs.len() {
            rounds if rounds == self.options.rounds => name,
            1 => format!("{name} (1 round)"),
            rounds => format!("{name} ({rounds} rounds)"),
        }
    }

    fn extras(&self) -> String {
        let clock = self.options.clock;
        let Extras { start, memory, root, counting } = &self.extras;
        let mut rows: Vec<[String; 3]> = Vec::new();
        for contest in &self.contests {
            let plain = match self.quickest {
                "fast" => contest.entry(Runner::Fast),
                _ => contest.entry(Runner::Reference),
            };
            if let (Some(sample), Some(plain)) = (contest.entry(Runner::Sample), plain) {
                let ratio = contest.seconds(sample, clock) / contest.seconds(plain, clock);
                let name = contest.workload.name();
                let what = format!("43 random hashes and proofs of {name} ÷ a plain run");
                rows.push([what, self.quickest.to_owned(), number(ratio)]);
            }
        }
        for of in counting {
            let ratio = median(of.counted.clone()) / median(of.uncounted.clone());
            let what = format!("{}: exact step counting ÷ the same engine without", of.workload);
            rows.push([what, "fast".to_owned(), format!("{ratio:.3}")]);
        }
        if let Some(start) = start {
            let size = mebibytes(start.elf_bytes as f64);
            for of in &start.engines {
                let engine = of.engine.to_owned();
                let what = format!("start to first step, ELF of {size}, from its state file");
                rows.push([what, engine.clone(), time(of.first_step_seconds(clock))]);
                let what = format!("start to first state hash, ELF of {size}");
                rows.push([what, engine, time(of.first_hash_seconds(clock))]);
            }
        }
        for (engine, costs) in &memory.engines {
            let size = mebibytes(memory.touched_bytes() as f64);
            let what = format!("peak memory ÷ memory touched, {size}");
            rows.push([what, (*engine).to_owned(), number(memory.ratio(costs))]);
        }
        for (threads, seconds) in &root.threads {
            let size = mebibytes(root.bytes as f64);
            let what = format!("root of {size} of dirty memory, {}", root.keccak);
            let threads = format!("{threads} thread{}", if *threads == 1 { "" } else { "s" });
            rows.push([what, threads, time(median(seconds.clone()))]);
        }
        let mut text = "| | by | |\n|---|---|---|\n".to_owned();
        for row in rows {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let contests = self.contests.iter().map(|contest| {
            let runners = contest.entries.iter().map(|entry| {
                let list = |of: &dyn Fn(&super::process::Cost) -> Value| -> Vec<Value> {
                    entry.costs.iter().map(of).collect()
                };
                json!({
                    "runner": entry.runner.name(),
                    "steps": entry.steps,
                    "seconds": list(&|cost| cost.seconds.into()),
                    "cpuSeconds": list(&|cost| cost.cpu_seconds.into()),
                    "peakBytes": list(&|cost| cost.peak_bytes.into()),
                })
            });
            let end = contest.end.as_ref();
            json!({
                "workload": contest.workload.name(),
                "check": contest.check,
                "steps": end.map(|end| end.steps),
                "pages": end.map(|end| end.pages),
                "stateHash": end.map(|end| &end.state_hash),
                "runners": runners.collect::<Vec<_>>(),
            })
        });
        json!({
            "platform": self.platform.json(),
            "tools": self.tools.versions(),
            "leftOut": self.left_out,
            "size": self.options.size.name(),
            "sampledBy": self.quickest,
            "workloads": contests.collect::<Vec<_>>(),
            "extras": self.extras.json(),
        })
    }
}

/// With about three digits.
fn number(value: f64) -> String {
    match value {
        value if value >= 99.5 => format!("{value:.0}"),
        value if value >= 9.95 => format!("{value:.1}"),
        value if value >= 0.995 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 0.1 => format!("{} ms", number(seconds * 1e3)),
        seconds => format!("{} s", number(seconds)),
    }
}

fn mebibytes(bytes: f64) -> String {
    format!("{} MiB", number(bytes / f64::from(1 << 20)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_about_three_digits() {
        let numbers = [0.0312, 0.994, 9.949, 9.96, 99.4, 99.6, 1234.5].map(number);
        assert_eq!(numbers, ["0.031", "0.994", "9.95", "10.0", "99.4", "100", "1234"]);
        assert_eq!([time(0.0123), time(1.5)], ["12.3 ms", "1.50 s"]);
    }
}
