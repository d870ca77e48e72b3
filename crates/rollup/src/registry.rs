//! The configurations of known chains: those of the superchain registry, and the L1 chains that they
//! stand on, as of June 2026. Knows the table `registry.bin` and its form; `tests/registry.rs` holds
//! it against the JSON that it was made from, and writes it.
//!
//! ```text
//! table   count u8 │ L1 chain … │ count u8 │ rollup …
//! L1      chain id u64 │ name │ count u8 │ (time u64 │ update fraction u64) …
//! rollup  chain id u64 │ name │ the rest, in the order of `write_rollup`
//! name    length u8 │ text
//! ```
//!
//! Integers are big-endian; a time that never comes is 2^64 - 1.

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, U256};

use crate::config::{
    BlockId, ChainOpConfig, Eip1559Params, Genesis, OperatorFee, RollupConfig, SystemConfig,
};
use crate::fork::{Fork, ForkTimes};
use crate::l1::{BlobParams, BlobSchedule, L1Config};

static TABLE: &[u8] = include_bytes!("registry.bin");

/// The configuration of the L2 chain with this id, if it is known. Celo's and two rehearsals
/// of 2025 do not pass [`RollupConfig::check`].
pub fn rollup(chain_id: u64) -> Option<RollupConfig> {
    rollups().map(|(_, config)| config).find(|config| config.l2_chain_id == chain_id)
}

/// The configuration of the L1 chain with this id, if it is known.
pub fn l1(chain_id: u64) -> Option<L1Config> {
    l1s().map(|(_, config)| config).find(|config| config.chain_id == chain_id)
}

/// All known L2 chains with their names, in the order of their ids.
pub fn rollups() -> impl Iterator<Item = (&'static str, RollupConfig)> {
    let mut table = Reader(TABLE);
    for _ in 0..table.byte() {
        table.l1();
    }
    let count = table.byte();
    (0..count).map(move |_| table.rollup())
}

/// All known L1 chains with their names, in the order of their ids.
pub fn l1s() -> impl Iterator<Item = (&'static str, L1Config)> {
    let mut table = Reader(TABLE);
    let count = table.byte();
    (0..count).map(move |_| table.l1())
}

/// The table of these chains.
pub fn write(l1s: &[(&str, L1Config)], rollups: &[(&str, RollupConfig)]) -> Vec<u8> {
    let mut table = Vec::new();
    table.push(short(l1s.len()));
    for (name, config) in l1s {
        write_l1(&mut table, name, config);
    }
    table.push(short(rollups.len()));
    for (name, config) in rollups {
        write_rollup(&mut table, name, config);
    }
    table
}

fn short(len: usize) -> u8 {
    u8::try_from(len).unwrap_or(u8::MAX)
}

fn write_name(table: &mut Vec<u8>, name: &str) {
    table.push(short(name.len()));
    table.extend(name.bytes().take(u8::MAX.into()));
}

fn write_l1(table: &mut Vec<u8>, name: &str, config: &L1Config) {
    table.extend(config.chain_id.to_be_bytes());
    write_name(table, name);
    let params = &config.blob_schedule.params;
    table.push(short(params.len()));
    for params in params {
        table.extend(params.time.to_be_bytes());
        table.extend(params.update_fraction.to_be_bytes());
    }
}

fn write_rollup(table: &mut Vec<u8>, name: &str, config: &RollupConfig) {
    table.extend(config.l2_chain_id.to_be_bytes());
    write_name(table, name);
    let Genesis { l1, l2, l2_time, system_config } = &config.genesis;
    for block in [l1, l2] {
        table.extend(block.hash);
        table.extend(block.number.to_be_bytes());
    }
    table.extend(l2_time.to_be_bytes());
    table.extend(system_config.batcher);
    table.extend(system_config.overhead.to_be_bytes::<32>());
    table.extend(system_config.scalar.to_be_bytes::<32>());
    table.extend(system_config.gas_limit.to_be_bytes());
    table.extend(system_config.eip1559.denominator.to_be_bytes());
    table.extend(system_config.eip1559.elasticity.to_be_bytes());
    table.extend(system_config.operator_fee.scalar.to_be_bytes());
    table.extend(system_config.operator_fee.constant.to_be_bytes());
    table.extend(system_config.min_base_fee.to_be_bytes());
    table.extend(system_config.da_footprint_gas_scalar.to_be_bytes());
    for number in [
        config.block_time,
        config.max_sequencer_drift,
        config.seq_window_size,
        config.channel_timeout,
        config.l1_chain_id,
        config.chain_op_config.elasticity,
        config.chain_op_config.denominator,
        config.chain_op_config.denominator_canyon,
    ] {
        table.extend(number.to_be_bytes());
    }
    let times = Fork::ALL.into_iter().skip(1).map(|fork| config.forks.time(fork));
    for time in times.chain([config.pectra_blob_schedule_time]) {
        table.extend(time.unwrap_or(u64::MAX).to_be_bytes());
    }
    for address in [config.batch_inbox, config.deposit_contract, config.l1_system_config] {
        table.extend(address);
    }
    table.push(config.alt_da.into());
}

/// Reads the table. The table is this crate's own, so past its end there are zeroes, not an error.
struct Reader(&'static [u8]);

impl Reader {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((bytes, rest)) = self.0.split_first_chunk::<N>() else {
            self.0 = &[];
            return [0; N];
        };
        self.0 = rest;
        *bytes
    }

    fn byte(&mut self) -> u8 {
        let [byte] = self.take();
        byte
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take())
    }

    fn u256(&mut self) -> U256 {
        U256::from_be_bytes(self.take::<32>())
    }

    fn address(&mut self) -> Address {
        Address::new(self.take())
    }

    fn time(&mut self) -> Option<u64> {
        Some(self.u64()).filter(|time| *time != u64::MAX)
    }

    fn block(&mut self) -> BlockId {
        BlockId { hash: B256::new(self.take()), number: self.u64() }
    }

    fn name(&mut self) -> &'static str {
        let len = usize::from(self.byte()).min(self.0.len());
        let (name, rest) = self.0.split_at(len);
        self.0 = rest;
        str::from_utf8(name).unwrap_or_default()
    }

    fn l1(&mut self) -> (&'static str, L1Config) {
        let chain_id = self.u64();
        let name = self.name();
        let count = self.byte();
        let params = (0..count)
            .map(|_| BlobParams { time: self.u64(), update_fraction: self.u64() })
            .collect();
        (name, L1Config { chain_id, blob_schedule: BlobSchedule { params } })
    }

    fn rollup(&mut self) -> (&'static str, RollupConfig) {
        let l2_chain_id = self.u64();
        let name = self.name();
        // Fields of a structure are read in the order in which they are written here.
        let genesis = Genesis {
            l1: self.block(),
            l2: self.block(),
            l2_time: self.u64(),
            system_config: SystemConfig {
                batcher: self.address(),
                overhead: self.u256(),
                scalar: self.u256(),
                gas_limit: self.u64(),
                eip1559: Eip1559Params { denominator: self.u32(), elasticity: self.u32() },
                operator_fee: OperatorFee { scalar: self.u32(), constant: self.u64() },
                min_base_fee: self.u64(),
                da_footprint_gas_scalar: self.u16(),
            },
        };
        let config = RollupConfig {
            genesis,
            block_time: self.u64(),
            max_sequencer_drift: self.u64(),
            seq_window_size: self.u64(),
            channel_timeout: self.u64(),
            l1_chain_id: self.u64(),
            l2_chain_id,
            chain_op_config: ChainOpConfig {
                elasticity: self.u64(),
                denominator: self.u64(),
                denominator_canyon: self.u64(),
            },
            forks: {
                let mut forks = ForkTimes::NONE;
                for fork in Fork::ALL.into_iter().skip(1) {
                    forks.set(fork, self.time());
                }
                forks
            },
            pectra_blob_schedule_time: self.time(),
            batch_inbox: self.address(),
            deposit_contract: self.address(),
            l1_system_config: self.address(),
            alt_da: self.byte() != 0,
        };
        (name, config)
    }
}
