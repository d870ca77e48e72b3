//! Preimages: how many of which kind, what is damaged, and the inputs of the run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use serde::Serialize;
use tribunal_host::PreimageStore;
use tribunal_preimage::{Key, KeyKind};

use super::{field, hex_of, key_kind};
use crate::failure::Result;
use crate::units::{Bytes, Count};

/// What there is to see of a store.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StoreView {
    kind: &'static str,
    name: String,
    #[serde(flatten)]
    preimages: Preimages,
    /// What is wrong with those that do not belong to their keys; of several for the same reason, once.
    damaged: BTreeSet<String>,
}

/// Preimages that belong to their keys.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Preimages {
    count: u64,
    bytes: u64,
    kinds: BTreeMap<&'static str, Amount>,
    /// The inputs of the run, by number.
    locals: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Amount {
    count: u64,
    bytes: u64,
}

impl StoreView {
    pub(super) fn of(store: &dyn PreimageStore) -> Result<Self> {
        let mut preimages = Preimages::default();
        let mut damaged = BTreeSet::new();
        for key in store.keys()? {
            match store.get(key) {
                Ok(Some(data)) => preimages.add(key, &data),
                Ok(None) => {}
                Err(error) if error.is_damage() => {
                    damaged.insert(error.to_string());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self { kind: "store", name: store.name(), preimages, damaged })
    }

    /// Whether every preimage belongs to its key.
    pub(super) fn is_whole(&self) -> bool {
        self.damaged.is_empty()
    }

    pub(super) fn write(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "preimages in {}", self.name)?;
        self.preimages.write(text)?;
        for (number, damage) in self.damaged.iter().enumerate() {
            field(text, if number == 0 { "damaged" } else { "" }, damage)?;
        }
        Ok(())
    }
}

impl Preimages {
    pub(super) fn add(&mut self, key: Key, data: &[u8]) {
        let bytes = data.len() as u64;
        self.count += 1;
        self.bytes += bytes;
        let amount = self.kinds.entry(key_kind(&key)).or_default();
        *amount = Amount { count: amount.count + 1, bytes: amount.bytes + bytes };
        if key.kind() == Some(KeyKind::Local) {
            self.locals.insert(number_of(key), hex_of(data));
        }
    }

    pub(super) fn write(&self, text: &mut String) -> fmt::Result {
        /// Configurations are long.
        const SHOWN: usize = 2 + 2 * 40;

        let total = format_args!("{}, {}", Count(self.count), Bytes(self.bytes));
        field(text, "preimages", total)?;
        for (kind, Amount { count, bytes }) in &self.kinds {
            let amount = format!("{}, {}", Count(*count), Bytes(*bytes));
            field(text, "", format_args!("{kind:<14} {amount}"))?;
        }
        for (at, (number, data)) in self.locals.iter().enumerate() {
            let data = match data.get(..SHOWN) {
                Some(start) if data.len() > SHOWN => {
                    format!("{start}… ({})", Bytes((data.len() as u64 - 2) / 2))
                }
                _ => data.clone(),
            };
            field(text, if at == 0 { "inputs" } else { "" }, format_args!("{number:>3}  {data}"))?;
        }
        Ok(())
    }
}

/// The number of an input, or all of its key if that is no number.
fn number_of(key: Key) -> String {
    let (_, number) = key.as_bytes().split_at(24);
    let number = u64::from_be_bytes(number.try_into().expect("eight bytes"));
    match Key::local(number) == key {
        true => number.to_string(),
        false => key.to_string(),
    }
}
