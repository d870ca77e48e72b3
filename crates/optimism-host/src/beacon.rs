//! Blobs from a beacon node.

use std::sync::Mutex;
use std::sync::PoisonError;

use serde_json::Value;
use tribunal_keccak::Hash;
use tribunal_rpc::{Bounds, Client, Trouble};

use crate::blob::{CheckedBlob, hash_of};
use crate::failure::Failure;
use crate::rebuild::bytes;

/// A beacon node, and its clock.
#[derive(Debug)]
pub(crate) struct Beacon {
    pub(crate) client: Client,
    clock: Mutex<Option<Clock>>,
}

/// How the chain counts time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Seconds since 1970.
    pub(crate) genesis: u64,
    /// Milliseconds.
    pub(crate) slot_duration: u64,
}

impl Clock {
    /// The slot of a block that was made then.
    fn slot(self, timestamp: u64) -> Option<u64> {
        let since = timestamp.checked_sub(self.genesis)?;
        since.checked_mul(1000)?.checked_div(self.slot_duration)
    }
}

impl Beacon {
    pub(crate) const fn new(client: Client) -> Self {
        Self { client, clock: Mutex::new(None) }
    }

    /// The blob with this versioned hash, of a block that was made then.
    pub(crate) fn blob(
        &self,
        versioned_hash: &Hash,
        index: Option<u64>,
        timestamp: u64,
        bounds: Bounds<'_>,
    ) -> Result<CheckedBlob, Failure> {
        let clock = self.clock(bounds)?;
        let slot = clock.slot(timestamp).ok_or_else(|| {
            Failure::of_question(format!(
                "no block was made at {timestamp}: the chain began at {}",
                clock.genesis
            ))
        })?;
        let mut failure = Failure::new();
        let hash = hex::encode(versioned_hash);
        let path = format!("/eth/v1/beacon/blobs/{slot}?versioned_hashes=0x{hash}");
        let all = format!("/eth/v1/beacon/blob_sidecars/{slot}");
        let one = index.map(|index| format!("{all}?indices={index}"));
        let ways = [(Some(path), false), (one, true), (Some(all), true)];
        for (path, sidecars) in ways {
            let Some(path) = path else { continue };
            let find = |answer: &[u8]| find(answer, versioned_hash, sidecars);
            match failure.way(self.client.get(&path, bounds, find)) {
                Some(blob) => return Ok(blob),
                None if failure.is_hopeless() => break,
                None => {}
            }
        }
        Err(failure)
    }

    /// What the node says of time, asked once.
    pub(crate) fn clock(&self, bounds: Bounds<'_>) -> Result<Clock, Trouble> {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(clock) = *clock {
            return Ok(clock);
        }
        let field = |path, names: &[(&str, u64)]| {
            self.client.get(path, bounds, |answer| {
                let answer = json(answer)?;
                let fields = names.iter().filter_map(|(name, unit)| {
                    answer["data"][name].as_str()?.parse::<u64>().ok()?.checked_mul(*unit)
                });
                let field = fields.into_iter().find(|field| *field != 0);
                field.ok_or_else(|| format!("it says no {}", names[0].0))
            })
        };
        let genesis = field("/eth/v1/beacon/genesis", &[("genesis_time", 1)])?;
        let durations = [("SECONDS_PER_SLOT", 1000), ("SLOT_DURATION_MS", 1)];
        let slot_duration = field("/eth/v1/config/spec", &durations)?;
        Ok(*clock.insert(Clock { genesis, slot_duration }))
    }
}

/// The blob in an answer that has the hash.
fn find(answer: &[u8], versioned_hash: &Hash, sidecars: bool) -> Result<CheckedBlob, String> {
    let answer = json(answer)?;
    let list = answer["data"].as_array().ok_or("there is no list of blobs")?;
    let mut why = format!("none of {} blobs is the one", list.len());
    for entry in list {
        let blob = if sidecars { &entry["blob"] } else { entry };
        // To compute it takes a while, so what a sidecar says is looked at first.
        let said = bytes(&entry["kzg_commitment"]).map(|commitment| hash_of(&commitment));
        if said.is_some_and(|said| said != *versioned_hash) {
            continue;
        }
        match bytes(blob).ok_or_else(|| "a blob is no bytes".to_owned()) {
            Ok(bytes) => match CheckedBlob::new(&bytes, versioned_hash) {
                Ok(blob) => return Ok(blob),
                Err(wrong) => why = wrong,
            },
            Err(wrong) => why = wrong,
        }
    }
    Err(why)
}

fn json(answer: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(answer).map_err(|error| format!("the answer is no JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_counted_from_genesis() {
        let main = Clock { genesis: 1_606_824_023, slot_duration: 12_000 };
        // The first block with blobs.
        assert_eq!(main.slot(1_710_338_135), Some(8_626_176));
        assert_eq!(main.slot(1_606_824_022), None);
        assert_eq!(main.slot(u64::MAX), None);
        assert_eq!(Clock { slot_duration: 0, ..main }.slot(1_710_338_135), None);
    }
}
