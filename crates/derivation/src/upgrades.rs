//! The transactions that a fork inserts into its activation block. Knows the table `upgrades.bin`,
//! which `tests/upgrades.rs` holds against the JSON that it was made from, and writes.
//!
//! ```text
//! table   Ecotone │ Fjord │ Isthmus │ Jovian │ Karst
//! fork    count u8 │ (length u32 big-endian │ EIP-2718 bytes) …
//! ```

use alloc::vec::Vec;

use alloy_primitives::Bytes;
use tribunal_rollup::{Fork, RollupConfig};

static TABLE: &[u8] = include_bytes!("upgrades.bin");

/// The forks with transactions, in the order in which they are inserted if several activate at once.
pub const FORKS: [Fork; 5] = [Fork::Ecotone, Fork::Fjord, Fork::Isthmus, Fork::Jovian, Fork::Karst];

/// What Karst's transactions may use beside the block's gas limit: the sum of their limits. Those of
/// earlier forks are given nothing.
pub const KARST_GAS: u64 = 55_370_657;

/// The transactions of a fork, in order.
pub fn transactions(fork: Fork) -> impl Iterator<Item = Bytes> {
    let mut table = TABLE;
    let mut found: &'static [u8] = &[];
    for known in FORKS {
        let start = table;
        let count = take::<1>(&mut table)[0];
        for _ in 0..count {
            next(&mut table);
        }
        if known == fork {
            found = &start[1..start.len() - table.len()];
        }
    }
    core::iter::from_fn(move || (!found.is_empty()).then(|| Bytes::from_static(next(&mut found))))
}

/// What the L2 block at `time` gets of its forks: transactions, and gas on top of its limit.
pub(crate) fn upgrade(config: &RollupConfig, time: u64) -> (Vec<Bytes>, u64) {
    let mut found = Vec::new();
    let mut gas = 0;
    for fork in FORKS.into_iter().filter(|fork| config.activates_at(*fork, time)) {
        found.extend(transactions(fork));
        if fork == Fork::Karst {
            gas = KARST_GAS;
        }
    }
    (found, gas)
}

/// The next transaction of the table. The table is this crate's own: past its end there is nothing.
fn next(table: &mut &'static [u8]) -> &'static [u8] {
    let len = u32::from_be_bytes(take(table)) as usize;
    let (transaction, rest) = table.split_at(len.min(table.len()));
    *table = rest;
    transaction
}

fn take<const N: usize>(table: &mut &'static [u8]) -> [u8; N] {
    let Some((bytes, rest)) = table.split_first_chunk::<N>() else {
        *table = &[];
        return [0; N];
    };
    *table = rest;
    *bytes
}
