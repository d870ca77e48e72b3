//! `convert`: copy preimages from one store into another.

use std::collections::BTreeSet;
use std::io::{self, Write as _, stderr};
use std::path::{Path, PathBuf};

use clap::Args;
use tribunal_host::store::{self, StoreFormat, write_json};
use tribunal_host::{PreimageStore, StoreError};
use tribunal_machine::write_atomically;
use tribunal_preimage::Key;

use crate::cli::QuietArg;
use crate::failure::{Failure, Result};
use crate::stores;
use crate::units::{Bytes, Count};

/// Copy preimages from one store into another.
///
/// FROM is a directory that a host wrote, a database, a recording, or a .json(.gz) file. Each preimage
/// is held against its key. Those that do not belong to theirs are named and left out, and the exit
/// status is 1.
#[derive(Args, Debug)]
pub(crate) struct Convert {
    /// Where the preimages are.
    #[arg(value_name = "FROM")]
    from: PathBuf,

    /// Where to put them: a directory, which may be a store already and then stays of its kind; or a
    /// new file whose name ends in .json or .json.gz.
    #[arg(value_name = "TO")]
    to: PathBuf,

    /// What to make of a directory that is no store yet: redb, our database; or directory or file,
    /// which op-program, kona-host and op-challenger read.
    #[arg(long, value_name = "FORMAT", default_value_t, value_parser = parse_format)]
    format: StoreFormat,

    #[command(flatten)]
    quiet: QuietArg,
}

fn parse_format(name: &str) -> std::result::Result<StoreFormat, String> {
    name.parse().map_err(|_| "choose redb, directory or file".into())
}

/// How a copy went.
#[derive(Default)]
struct Copied {
    count: u64,
    bytes: u64,
    /// How many were left out.
    left_out: u64,
    /// What is wrong with them; of several for the same reason, once.
    damaged: BTreeSet<String>,
}

impl Convert {
    pub(crate) fn execute(&self) -> Result<u8> {
        let from = stores::open(&self.from)?;
        let keys = from.keys()?;
        let name = self.to.to_string_lossy();
        let copied = match name.ends_with(".json") || name.ends_with(".json.gz") {
            true => copy_to_file(&*from, keys, &self.to)?,
            false => copy(&*from, keys, &*store::create(&self.to, self.format)?)?,
        };
        let to = self.to.display();
        let mut said = String::new();
        for damage in &copied.damaged {
            said.push_str(&format!("{damage}\n"));
        }
        let what = format!("{} preimages, {}", Count(copied.count), Bytes(copied.bytes));
        let left_out = match copied.left_out {
            0 => String::new(),
            count => format!("; {} that are damaged were left out", Count(count)),
        };
        said.push_str(&format!("copied {what}, to {to}{left_out}\n"));
        if !self.quiet.quiet || !copied.damaged.is_empty() {
            // Without standard error, the exit status still tells.
            let _ = stderr().write_all(said.as_bytes());
        }
        Ok(if copied.damaged.is_empty() { 0 } else { 1 })
    }
}

/// Copies into a store, many at once.
fn copy(from: &dyn PreimageStore, keys: Vec<Key>, to: &dyn PreimageStore) -> Result<Copied> {
    /// How much is put at once, in preimages and in bytes.
    const BATCH: usize = 4096;
    const BATCH_BYTES: usize = 16 << 20;

    let mut copied = Copied::default();
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for key in keys {
        let Some(data) = copied.take(from, key)? else { continue };
        bytes += data.len();
        batch.push((key, data));
        if batch.len() >= BATCH || bytes >= BATCH_BYTES {
            to.put_all(std::mem::take(&mut batch))?;
            bytes = 0;
        }
    }
    to.put_all(batch)?;
    Ok(copied)
}

/// Writes a file of JSON.
fn copy_to_file(from: &dyn PreimageStore, keys: Vec<Key>, to: &Path) -> Result<Copied> {
    if to.exists() {
        return Err(Failure::input(format!("{} is there already", to.display()))
            .hint("name a file that is not, or remove this one first"));
    }
    let mut copied = Copied::default();
    let mut failure = None;
    let written = write_atomically(to, |sink| {
        let preimages = keys.into_iter().map_while(|key| match copied.take(from, key) {
            Ok(data) => Some(data.map(|data| (key, data))),
            Err(error) => {
                failure = Some(error);
                None
            }
        });
        write_json(preimages.flatten(), sink)?;
        match &failure {
            None => Ok(()),
            // Nothing is left of the file then.
            Some(_) => Err(io::Error::other("the other store cannot be read")),
        }
    });
    match failure {
        Some(failure) => Err(failure),
        None => Ok(written.map(|()| copied)?),
    }
}

impl Copied {
    /// The preimage of `key`, if it is whole.
    fn take(&mut self, from: &dyn PreimageStore, key: Key) -> Result<Option<Vec<u8>>> {
        match from.get(key) {
            Ok(Some(data)) => {
                self.count += 1;
                self.bytes += data.len() as u64;
                Ok(Some(data))
            }
            // Somebody has taken it away since the keys were listed.
            Ok(None) => Ok(None),
            Err(error @ StoreError::Rejected { .. }) => Err(error.into()),
            Err(error) if error.is_damage() => {
                self.left_out += 1;
                self.damaged.insert(error.to_string());
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}
