//! `cargo xtask bench guest`: the steps that a program takes for what it does with the kit.
//!
//! The program (`guests/bench`, `kit`) gives a hint before and after each thing. The first time a
//! hint comes the host refuses it, which leaves the machine as it was before that step: then the step
//! is known, and the hint comes again.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use tribunal_guest::testing::Store;
use tribunal_machine::{Host, Machine as _, Pause, StopOn, Stream};
use tribunal_mips64::{Mips64, load_elf};
use tribunal_preimage::{ChannelError, Key, Oracle, OracleError};

use crate::guests::build_for_mips64;
use crate::root;

/// The most memory the program may take.
const MEMORY: u64 = 1 << 30;

/// The block and the account that the program reads.
const STATE: &str = "testdata/balance/op-sepolia-26207961.json";

pub(crate) fn kit() -> Result<()> {
    let elf = build_for_mips64("bench", &[])?.join("bench-kit");
    let bytes = fs::read(&elf).with_context(|| format!("cannot read {elf:?}"))?;
    let mut machine = Mips64::new(load_elf(&bytes, MEMORY)?.state);
    let store = Store::from_file(root().join(STATE))
        .with_local(10, [7; 1 << 10])
        .with_local(11, [7; 64 << 10]);
    let mut host = Marked { store, marker: None, passes: false };

    let mut begun: Option<(u64, u64, String)> = None;
    let mut nothing = None;
    println!("| | steps each | of |\n|---|---:|---:|");
    loop {
        match machine.run(u64::MAX, StopOn::Nothing, &mut host) {
            Ok(Pause::Exited) => break,
            Ok(_) => {}
            Err(fault) => {
                let Some(marker) = host.marker.take() else {
                    bail!("the program faulted at step {}: {}", fault.step, fault.reason);
                };
                host.passes = true;
                let mut words = marker.splitn(3, ' ');
                match (words.next(), words.next(), words.next()) {
                    (Some("begin"), Some(count), Some(name)) => {
                        begun = Some((machine.step(), count.parse()?, name.to_owned()));
                    }
                    _ => {
                        let (start, count, name) = begun.take().context("an end without begin")?;
                        let steps = machine.step() - start;
                        // What the hints themselves take, measured first.
                        let own = *nothing.get_or_insert(steps);
                        if name != "nothing" {
                            let each = steps.saturating_sub(own) as f64 / count as f64;
                            println!("| {name} | {each:.0} | {count} |");
                        }
                    }
                }
            }
        }
    }
    ensure!(machine.exit_code() == Some(0), "the program ended with {:?}", machine.exit_code());
    Ok(())
}

/// Stops at hints.
struct Marked {
    store: Store,
    marker: Option<String>,
    /// Whether the hint that comes was seen before.
    passes: bool,
}

impl Oracle for Marked {
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        if std::mem::take(&mut self.passes) {
            return Ok(());
        }
        self.marker = Some(String::from_utf8_lossy(hint).into_owned());
        Err(ChannelError::Cancelled.into())
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        self.store.preimage(key)
    }
}

impl Host for Marked {
    fn output(&mut self, _: Stream, bytes: &[u8]) {
        eprint!("{}", String::from_utf8_lossy(bytes));
    }

    fn warn(&mut self, message: &str) {
        eprintln!("{message}");
    }
}
