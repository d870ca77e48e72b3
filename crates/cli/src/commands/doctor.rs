//! `doctor`: what a machine and its nodes lack, and how to mend it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tribunal_build::{Toolchain, check_linker};
use tribunal_host::PreimageStore;
use tribunal_jit::EngineKind;
use tribunal_keccak::Hash;
use tribunal_machine::Machine as _;
use tribunal_optimism_host::{Finding, Grade, survey_beacon, survey_l1, survey_l2};
use tribunal_rpc::{Bounds, Policy};

use crate::engines::Engines;
use crate::failure::Result;
use crate::input::{Loaded, load};
use crate::nodes::{NodeArgs, client, parse_hash};
use crate::output::{print, print_json};
use crate::stores;
use crate::style::Style;
use crate::units::{Bytes, Count};

/// Less memory than this is little for a program with its state.
const LITTLE_MEMORY: u64 = 4 << 30;

/// Less space than this is little for preimages and snapshots.
const LITTLE_SPACE: u64 = 5 << 30;

/// How long all questions to one node may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Check what runs here and what it is fed from, and say how to mend what is amiss.
///
/// Without flags, only the machine, and what writing programs takes. With nodes, each of them: its chain, the methods it has, how far
/// back its states go. With a data directory and programs, those too. Leaves with 1 if something
/// does not work.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    #[command(flatten)]
    nodes: NodeArgs,

    /// The id that the L2 chain should have.
    #[arg(long, env, hide_env_values = true, value_name = "ID")]
    l2_chain_id: Option<u64>,

    /// An L1 block that the L1 nodes should have.
    #[arg(long, env, hide_env_values = true, value_name = "HASH", value_parser = parse_hash)]
    l1_head: Option<Hash>,

    /// An L2 block that the L2 nodes should have.
    #[arg(long, visible_alias = "l2-head", env, hide_env_values = true, value_name = "HASH",
          value_parser = parse_hash)]
    agreed_l2_head_hash: Option<Hash>,

    /// A directory of preimages, there already or still to be made.
    #[arg(long, visible_alias = "db", env, hide_env_values = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// A program (ELF) or a prestate that should run here.
    #[arg(long = "program", value_name = "FILE")]
    programs: Vec<PathBuf>,

    /// The hash that the prestate of every one of them should have.
    #[arg(long, value_name = "HASH", value_parser = parse_hash, requires = "programs")]
    prestate: Option<Hash>,

    /// Say it as JSON.
    #[arg(long)]
    json: bool,
}

/// A finding about one thing.
#[derive(Serialize)]
struct Line {
    subject: String,
    grade: &'static str,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

#[derive(Default)]
struct Report(Vec<Line>);

impl Doctor {
    pub(crate) fn execute(&self) -> Result<u8> {
        let mut report = Report::default();
        machine(&mut report);
        kit(&mut report);
        for program in &self.programs {
            self.program(program, &mut report);
        }
        if let Some(directory) = &self.data_dir {
            data_dir(directory, &mut report);
        }
        self.nodes(&mut report)?;
        match self.json {
            true => print_json(&report.0)?,
            false => print(&report.text(Style::of_stdout()))?,
        }
        Ok(u8::from(report.0.iter().any(|line| line.grade == name(Grade::Bad))))
    }

    fn program(&self, path: &Path, report: &mut Report) {
        let subject = path.display().to_string();
        match load(path, None, u64::MAX) {
            Err(error) => report.bad(&subject, error.to_string(), "give an ELF file or a state"),
            Ok(Loaded { mut machine, .. }) => {
                let hash = machine.state_hash();
                let text = format!("it loads; its state hash is 0x{}", hex::encode(hash));
                match self.prestate {
                    Some(wanted) if wanted != hash => report.bad(
                        &subject,
                        format!("{text}, not 0x{}", hex::encode(wanted)),
                        "take the release that the prestate is of, or build it anew",
                    ),
                    _ => report.good(&subject, text),
                }
            }
        }
    }

    /// Each node by itself: one that is well would hide another that is not.
    fn nodes(&self, report: &mut Report) -> Result<()> {
        let policy = Policy { timeout: Duration::from_secs(15), rounds: 1, ..Policy::default() };
        for (flag, urls) in self.nodes.all() {
            // All of them first: a URL that is none is an error of the command line.
            client(flag, urls, policy)?;
        }
        for (flag, urls) in self.nodes.all() {
            for url in urls {
                let node = client(flag, std::slice::from_ref(url), policy)?;
                let place = node.endpoints().first().map_or("", |endpoint| endpoint.place());
                let (kind, place) = (&flag[2..flag.len() - "-address".len()], place.to_owned());
                let bounds = Bounds::within(PATIENCE);
                let findings = match kind {
                    "l1-node" => survey_l1(&node, self.l1_head.as_ref(), bounds),
                    "l2-node" => {
                        let head = self.agreed_l2_head_hash.as_ref();
                        survey_l2(&node, self.l2_chain_id, head, bounds)
                    }
                    _ => survey_beacon(node, bounds),
                };
                for finding in findings {
                    report.add(&format!("{kind} {place}"), finding);
                }
            }
        }
        Ok(())
    }
}

/// The processor, the memory, and whether code can be compiled.
fn machine(report: &mut Report) {
    let subject = "this machine";
    match thread::available_parallelism().map_or(1, std::num::NonZero::get) {
        1 => report.poor(
            subject,
            "one processor core",
            "a host in a process of its own shares it with the machine: give it a second one",
        ),
        cores => report.good(subject, format!("{cores} processor cores")),
    }
    let mut problem = None;
    match Engines::new(EngineKind::Fast).available(|text| problem = Some(text.to_owned())) {
        EngineKind::Fast => report.good(subject, "code can be compiled: the fast engine runs"),
        _ => report.poor(
            subject,
            problem.unwrap_or_else(|| "the fast engine does not run".into()),
            "allow executable memory (seccomp, SELinux execmem), and run on x86-64: it is many \
             times faster",
        ),
    }
    if let Some(available) = available_memory() {
        let text = format!("{} of memory are available", Bytes(available));
        match available < LITTLE_MEMORY {
            true => report.poor(subject, text, "4 GiB or more let large programs run"),
            false => report.good(subject, text),
        }
    }
    space(subject, &std::env::temp_dir(), report);
}

/// What programs are written with: nobody needs it who only runs them.
fn kit(report: &mut Report) {
    let subject = "writing programs";
    let toolchain = match Toolchain::of(Path::new(".")) {
        Ok(toolchain) => Ok(format!("{}, with the source of its library", toolchain.version())),
        Err(lacking) => Err(lacking),
    };
    for found in [toolchain, check_linker().map(|()| "there is a linker".to_owned())] {
        match found {
            Ok(text) => report.good(subject, text),
            Err(lacking) => report.poor(subject, lacking.to_string(), lacking.remedy()),
        }
    }
}

/// What the kernel says of memory that is free or can be made so.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

fn space(subject: &str, directory: &Path, report: &mut Report) {
    let place = directory.display();
    match rustix::fs::statvfs(directory) {
        Err(error) => report.bad(subject, format!("{place}: {error}"), "choose another directory"),
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let text = format!("{} are free in {place}", Bytes(free));
            match free < LITTLE_SPACE {
                true => report.poor(subject, text, "make some room: preimages may take gigabytes"),
                false => report.good(subject, text),
            }
        }
    }
}

fn data_dir(directory: &Path, report: &mut Report) {
    let subject = format!("data directory {}", directory.display());
    if !directory.exists() {
        let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
        report.good(&subject, "it is not there yet; a host with nodes makes it");
        return space(&subject, parent.unwrap_or(Path::new(".")), report);
    }
    match stores::open(directory) {
        Ok(store) => {
            report.good(&subject, format!("it is a store: {}", store.name()));
            preimages(&*store, &subject, report);
        }
        Err(error) => report.bad(&subject, error.to_string(), "choose another directory"),
    }
    match tempfile::NamedTempFile::new_in(directory) {
        Ok(_) => report.good(&subject, "it can be written to"),
        Err(error) => report.bad(
            &subject,
            format!("it cannot be written to: {error}"),
            "change its permissions, or choose another",
        ),
    }
    space(&subject, directory, report);
}

/// Reads all that a store has, as far as patience goes.
fn preimages(store: &dyn PreimageStore, subject: &str, report: &mut Report) {
    let keys = match store.keys() {
        Ok(keys) => keys,
        Err(error) => return report.bad(subject, error.to_string(), "choose another directory"),
    };
    let until = Instant::now() + PATIENCE;
    let (mut whole, mut damaged) = (0, Vec::new());
    for key in &keys {
        match store.get(*key) {
            Ok(_) => whole += 1,
            Err(error) if error.is_damage() => damaged.push(error.to_string()),
            Err(error) => {
                return report.bad(subject, error.to_string(), "choose another directory");
            }
        }
        if Instant::now() >= until {
            break;
        }
    }
    let looked = whole + damaged.len() as u64;
    match damaged.first() {
        Some(first) => report.bad(
            subject,
            format!(
                "{} of {} preimages are damaged: {first}",
                Count(looked - whole),
                Count(looked)
            ),
            "inspect names each; a host with nodes fetches them anew when they are asked for",
        ),
        None if looked < keys.len() as u64 => report.poor(
            subject,
            format!("{} of {} preimages are whole", Count(whole), Count(keys.len() as u64)),
            "there was no time for the others: inspect looks at all",
        ),
        None if whole == 1 => report.good(subject, "1 preimage, whole"),
        None => report.good(subject, format!("{} preimages, all whole", Count(whole))),
    }
}

const fn name(grade: Grade) -> &'static str {
    match grade {
        Grade::Good => "good",
        Grade::Poor => "poor",
        Grade::Bad => "bad",
    }
}

impl Report {
    fn add(&mut self, subject: &str, finding: Finding) {
        let Finding { grade, text, advice } = finding;
        let advice = advice.map(str::to_owned);
        self.0.push(Line { subject: subject.to_owned(), grade: name(grade), text, advice });
    }

    fn good(&mut self, subject: &str, text: impl Into<String>) {
        self.add(subject, Finding { grade: Grade::Good, text: text.into(), advice: None });
    }

    fn poor(&mut self, subject: &str, text: impl Into<String>, advice: &'static str) {
        let text = text.into();
        self.add(subject, Finding { grade: Grade::Poor, text, advice: Some(advice) });
    }

    fn bad(&mut self, subject: &str, text: impl Into<String>, advice: &'static str) {
        let text = text.into();
        self.add(subject, Finding { grade: Grade::Bad, text, advice: Some(advice) });
    }

    /// Grouped by what it is about.
    fn text(&self, style: Style) -> String {
        let mut text = String::new();
        let mut subject = "";
        for line in &self.0 {
            if line.subject != subject {
                subject = &line.subject;
                let _ = writeln!(text, "{}", style.strong(subject));
            }
            let grade = match line.grade {
                "good" => style.good("good"),
                "poor" => style.hint("poor"),
                _ => style.bad("bad "),
            };
            let _ = writeln!(text, "  {grade}  {}", line.text);
            if let Some(advice) = &line.advice {
                let _ = writeln!(text, "        {advice}");
            }
        }
        text
    }
}
