//! `demo`: the two-minute tour, on a program and a claim inside this binary.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use clap::Args;
use tribunal_host::{PreimageStore, store};
use tribunal_jit::Engine;
use tribunal_machine::{
    Machine as _, Outcome, PreimageStop, ProofFile, RunPlan, Sample, SamplePoints, StepPattern,
    Symbols, run, sample, save_state,
};
use tribunal_mips64::Mips64;
use tribunal_onchain::Instance;
use tribunal_preimage::{Key, KeyKind};

use crate::cli::MachineArgs;
use crate::commands::verify::{describe, show_gas};
use crate::engines::Engines;
use crate::failure::{Failure, Result, of_run};
use crate::input::{load_program, read_proofs};
use crate::interrupt::Interrupt;
use crate::judge::Judge;
use crate::output::{Destination, print};
use crate::programs;
use crate::progress::Progress;
use crate::running::Summary;
use crate::speaker::{Mute, Speaker};
use crate::style::Style;
use crate::units::{Bytes, Count};
use crate::watch::{Watch, run_to_end};
use crate::world::{Listener as _, Source, World};

/// A true claim about a small chain, with all that it is judged by: `testdata/derivation/10-…`.
static CLAIM: &[u8] = include_bytes!("../../../../testdata/demo/claim.json.gz");

/// The local input that holds the claimed output root.
const CLAIMED: Key = Key::local(3);

/// How many state hashes are shown besides the last.
const SAMPLES: u64 = 4;

/// Watch a claim about an OP Stack chain be judged in the VM, and a step of that be proven.
///
/// Everything it needs is inside this binary.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// Where to write the files: a directory, made if it is not there; else a new one among the
    /// temporary files.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    #[command(flatten)]
    machine: MachineArgs,
}

/// What the tour is made of.
struct Tour {
    dir: PathBuf,
    prestate: Mips64,
    symbols: Symbols,
    interrupt: Interrupt,
    limit: u64,
    engines: RefCell<Engines>,
}

impl Demo {
    pub(crate) fn execute(&self) -> Result<u8> {
        let tour = Tour::prepare(self)?;
        print(&format!(
            "{}\n\n\
             A program decides. It is given the hash of an L1 block, an output root that is agreed\n\
             on and one that somebody claims. It finds what the batcher wrote into blobs on L1,\n\
             derives the L2 blocks from that and from what the rules add, executes them, and\n\
             compares. Here it runs in the machine that a contract on Ethereum can take any single\n\
             step of.\n\n",
            Style::of_stdout()
                .strong("Is this the output root of block 3 of a small OP Stack chain?"),
        ))?;
        let summary = tour.check_claims()?;
        let last = summary.step;
        tour.sample(last)?;
        let step = tour.prove(last / 10)?;
        let holds = tour.verify(step)?;
        tour.suggest(step)?;
        Ok(if holds { summary.exit_code } else { 1 })
    }
}

impl Tour {
    /// Writes the files that the tour, and whoever goes on from it, needs.
    fn prepare(demo: &Demo) -> Result<Self> {
        let dir = match &demo.dir {
            Some(dir) if dir.exists() && !dir.is_dir() => {
                return Err(Failure::input(format!("{} is not a directory", dir.display())));
            }
            Some(dir) => std::fs::create_dir_all(dir).map(|()| dir.clone()),
            None => tempfile::Builder::new()
                .prefix("tribunal-demo-")
                .tempdir()
                .map(tempfile::TempDir::keep),
        }
        .map_err(|error| {
            Failure::environment(format!("cannot make a directory for the files: {error}"))
                .hint("name one that may be written to with --dir")
        })?;
        let write = |name: &str, bytes: &[u8]| {
            Destination::File(dir.join(name)).write(|sink| sink.write_all(bytes))
        };
        let elf = programs::optimism()?;
        write("optimism.elf", &elf)?;
        write("claim.json", &programs::unpack(CLAIM)?)?;
        let limit = demo.machine.memory_limit();
        let program = load_program(Path::new("optimism.elf"), &elf, limit)?;
        let symbols = program.symbols.unwrap_or_default();
        Destination::File(dir.join("meta.json")).write_json(&symbols)?;
        let prestate = Mips64::new(program.state);
        save_state(&prestate, &dir.join("prestate.bin.gz"))?;
        let engines = RefCell::new(demo.machine.engines());
        Ok(Self { dir, prestate, symbols, interrupt: Interrupt::listen()?, limit, engines })
    }

    /// Runs the program on the true claim, and on one that is a bit beside it.
    fn check_claims(&self) -> Result<Summary> {
        headline("1. Run the program to its end")?;
        let true_claim = self.verdict(self.store()?)?;
        headline("2. The same, with one bit of the claim turned over")?;
        let store = self.store()?;
        let mut claim = store.get(CLAIMED)?.unwrap_or_default();
        if let Some(byte) = claim.last_mut() {
            *byte ^= 1;
        }
        store.put(CLAIMED, claim)?;
        self.verdict(store)?;
        Ok(true_claim)
    }

    fn verdict(&self, store: Box<dyn PreimageStore>) -> Result<Summary> {
        let mut machine = self.start();
        let mut source = Source::local(store);
        let mut progress = Progress::new(false, 0);
        let mut speaker = Speaker::new(progress.bar(), false);
        let outcome = {
            let mut world = World { source: &mut source, listener: &mut speaker };
            let mut watch = Watch { interrupt: &self.interrupt, progress: &mut progress };
            run_to_end(&mut machine, self.limit, &mut world, &mut watch)
        };
        let time = progress.finish();
        speaker.finish();
        let code = outcome.map_err(|error| of_run(error, &machine, &self.symbols))?;
        let summary = Summary::of(&mut machine, code, 0, time);
        print(&format!("{}\n", summary.text(Style::of_stdout())))?;
        Ok(summary)
    }

    /// Shows state hashes on the way: what two parties who disagree compare, to find the first step
    /// at which they do.
    fn sample(&self, last: u64) -> Result<()> {
        headline(
            "3. Take state hashes on the way: comparing them, two parties find where they part",
        )?;
        let steps: Vec<u64> =
            (0..SAMPLES).map(|part| last / SAMPLES * part).chain([last]).collect();
        self.samples(&steps, false, |point| {
            print(&format!("  {:>14}  0x{}\n", Count(point.step), hex::encode(point.hash)))
        })?;
        print("\n")
    }

    /// Proves the first step from `from` on that reads what is behind a hash. Returns which that is.
    fn prove(&self, from: u64) -> Result<u64> {
        headline("4. Prove one step: all that the contract needs to take it too")?;
        let step = self.next_preimage_read(from)?;
        let path = self.proof_path(step);
        self.samples(&[step], true, |point| {
            let Some(proof) = point.proof else { return Ok(()) };
            let reads = match &proof.preimage {
                Some(read) => format!(", which reads from the preimage\n  {}", read.key),
                None => String::new(),
            };
            Destination::File(path.clone()).write_json(&ProofFile::from(proof))?;
            let size = path.metadata().map_or(0, |metadata| metadata.len());
            print(&format!(
                "  step {}{reads}\n  {} of JSON in {}\n",
                Count(step),
                Bytes(size),
                path.display()
            ))
        })?;
        Ok(step)
    }

    /// Has the contract take the step that was proven. Returns whether it comes to the same state.
    fn verify(&self, step: u64) -> Result<bool> {
        let path = self.proof_path(step);
        let mut judge = Judge::new(Instance::new(), false).with_store(Some(self.store()?));
        let mut holds = true;
        for proof in read_proofs(&path)? {
            let judgement = judge.judge(&proof)?;
            holds &= judgement.holds();
            let text = match judgement.gas.filter(|_| holds) {
                Some(gas) => format!(
                    "  {} and comes to the same state: gas {}\n\n",
                    Style::of_stdout().good("the contract takes it too"),
                    show_gas(gas)
                ),
                None => describe(&path.display().to_string(), &proof, &judgement, &self.symbols),
            };
            print(&text)?;
        }
        Ok(holds)
    }

    /// A machine before the first step.
    fn start(&self) -> Engine {
        let warn = |message: &str| Speaker::new(None, false).warn(message);
        self.engines.borrow_mut().start(self.prestate.clone(), warn)
    }

    fn proof_path(&self, step: u64) -> PathBuf {
        self.dir.join(format!("proof-{step}.json"))
    }

    fn next_preimage_read(&self, from: u64) -> Result<u64> {
        let mut machine = self.start();
        let plan = RunPlan {
            info_at: StepPattern::Never,
            stop_at: StepPattern::Never,
            snapshot_at: StepPattern::Never,
            proof_at: StepPattern::Never,
            // Of a kind that an oracle can prove by itself.
            stop_at_preimage: PreimageStop {
                key_prefix: vec![KeyKind::Keccak256 as u8],
                min_step: from,
                ..PreimageStop::default()
            },
            max_bytes: self.limit,
        };
        let outcome = self.with_world(|world, watch| {
            run(&mut machine, &plan, world, watch)
                .map_err(|error| of_run(error, &machine, &self.symbols))
        })?;
        Ok(match outcome {
            Outcome::StoppedAtPreimage(_) => machine.step() - 1,
            // It reads no more.
            Outcome::Exited(_) | Outcome::Stopped => from,
        })
    }

    fn samples(
        &self,
        steps: &[u64],
        prove: bool,
        found: impl FnMut(Sample) -> Result<()>,
    ) -> Result<()> {
        let list: Vec<String> = steps.iter().map(u64::to_string).collect();
        let points: SamplePoints =
            list.join(",").parse().map_err(|error| Failure::input(format!("{error}")))?;
        let mut machine = self.start();
        self.with_world(|world, watch| {
            sample(&mut machine, &points, prove, self.limit, world, watch, found)
                .map_err(|error| of_run(error, &machine, &self.symbols))
        })
    }

    /// Does something in a world in which nobody listens to the program.
    fn with_world<T>(
        &self,
        work: impl FnOnce(&mut World<'_, Mute<'_>>, &mut Watch<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut source = Source::local(self.store()?);
        let mut progress = Progress::new(true, 0);
        let mut speaker = Speaker::new(None, false);
        let mut world = World { source: &mut source, listener: Mute(&mut speaker) };
        let mut watch = Watch { interrupt: &self.interrupt, progress: &mut progress };
        work(&mut world, &mut watch)
    }

    fn store(&self) -> Result<Box<dyn PreimageStore>> {
        Ok(store::open(&self.dir.join("claim.json"))?)
    }

    /// Commands that go on from here.
    fn suggest(&self, step: u64) -> Result<()> {
        headline("Next, try")?;
        let dir = std::path::absolute(&self.dir).unwrap_or_else(|_| self.dir.clone());
        let me = std::env::current_exe().unwrap_or_else(|_| "tribunal".into());
        let (dir, me) = (quoted(&dir), quoted(&me));
        print(&format!(
            "  cd {dir}\n  \
             {me} inspect proof-{step}.json --meta meta.json\n  \
             {me} calldata proof-{step}.json --preimages claim.json\n  \
             {me} claim claim.json\n  \
             {me} sample --input optimism.elf --check 20 --preimages claim.json\n  \
             {me} exec optimism.elf --preimages claim.json\n  \
             {me} sample --input optimism.elf --at 0,%1000000 --preimages claim.json\n  \
             {me} run --input prestate.bin.gz --info-at %1000000 --preimages claim.json\n",
        ))
    }
}

fn headline(text: &str) -> Result<()> {
    print(&format!("{}\n", Style::of_stdout().strong(text)))
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%=,".contains(c);
    match text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}
