//! `cargo xtask fuzz`: throws hostile inputs at whatever reads what others wrote.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tribunal_fuzz::{Limit, Target, run as throw};

/// How long it takes, all targets together, unless told otherwise.
const SECONDS: u64 = 60;

pub(crate) fn run(options: &[&str]) -> Result<()> {
    let mut targets = Target::ALL.to_vec();
    let (mut seconds, mut inputs, mut seed) = (SECONDS, None, 0);
    for option in options.chunks(2) {
        let &[name, value] = option else { bail!("{} needs a value", option[0]) };
        let number = || value.parse::<u64>().with_context(|| format!("{name} {value}"));
        match name {
            "--iterations" => inputs = Some(number()?),
            "--seconds" => seconds = number()?,
            "--seed" => seed = number()?,
            "--target" => targets = vec![value.parse()?],
            _ => bail!("there is no option {name}: use --target, --seconds, --seed, --iterations"),
        }
    }
    let each = Duration::from_secs(seconds) / targets.len() as u32;
    let limit = inputs.map_or(Limit::Time(each), Limit::Inputs);
    for target in targets {
        let progress = throw(target, limit, seed, |_| {})?;
        println!(
            "{}: {} inputs from seed {seed} on, {} of them taken, the others refused",
            target.name(),
            progress.inputs,
            progress.taken
        );
    }
    Ok(())
}
