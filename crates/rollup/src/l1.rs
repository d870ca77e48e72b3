//! What has to be known of L1 beforehand: its chain id and, by time, the price of blobs. Other rules
//! of L1 are its own business.

use alloc::vec::Vec;

use alloy_primitives::U256;

/// How blobs are priced from a time on (EIP-4844, EIP-7892).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobParams {
    /// From this L1 time on, in seconds.
    pub time: u64,
    /// `baseFeeUpdateFraction`, not 0.
    pub update_fraction: u64,
}

/// The blob prices of an L1 chain, by time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlobSchedule {
    /// In the order of forks: of those whose time has come, the last counts.
    pub params: Vec<BlobParams>,
}

impl BlobSchedule {
    /// The fraction of Cancun, which also holds where a schedule says nothing.
    pub const CANCUN_FRACTION: u64 = 3_338_477;

    /// The update fraction at an L1 time.
    pub fn update_fraction(&self, time: u64) -> u64 {
        let mut active = self.params.iter().rev().filter(|params| params.time <= time);
        active.next().map_or(Self::CANCUN_FRACTION, |params| params.update_fraction)
    }
}

/// What is agreed about an L1 chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L1Config {
    /// The chain id.
    pub chain_id: u64,
    /// What blobs cost when.
    pub blob_schedule: BlobSchedule,
}

impl L1Config {
    /// The blob base fee of an L1 block, in wei.
    ///
    /// `pectra_time` is the rollup's `pectra_blob_schedule_time`: before it Cancun's prices are kept,
    /// which is what chains on Sepolia once did by mistake.
    pub fn blob_base_fee(
        &self,
        time: u64,
        excess_blob_gas: Option<u64>,
        pectra_time: Option<u64>,
    ) -> U256 {
        let Some(excess) = excess_blob_gas else { return U256::ONE };
        let fraction = match pectra_time {
            Some(pectra) if time < pectra => BlobSchedule::CANCUN_FRACTION,
            _ => self.blob_schedule.update_fraction(time),
        };
        fake_exponential(excess, fraction)
    }
}

/// The integer approximation of `e^(numerator / denominator)` of EIP-4844. What does not fit into
/// 256 bits on the way is the largest number there is: no chain comes near it.
pub fn fake_exponential(numerator: u64, denominator: u64) -> U256 {
    let denominator = denominator.max(1);
    // e^128 wei are more than there will ever be, and it takes a few hundred rounds at most.
    if numerator / denominator >= 128 {
        return U256::MAX;
    }
    let (numerator, denominator) = (U256::from(numerator), U256::from(denominator));
    let mut term = denominator;
    let mut sum = U256::ZERO;
    let mut round = U256::ONE;
    while !term.is_zero() {
        let next = term.checked_mul(numerator);
        let (Some(total), Some(product)) = (sum.checked_add(term), next) else { return U256::MAX };
        sum = total;
        term = product / (denominator * round);
        round += U256::ONE;
    }
    sum / denominator
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn fees_are_those_of_the_proposal() {
        // The vectors of go-ethereum's test of the same function, whose factor is 1 here.
        for (numerator, denominator, expected) in
            [(0, 1, 1), (2, 1, 6), (4, 2, 6), (3, 1, 16), (6, 2, 18), (4, 1, 49), (8, 2, 50)]
        {
            assert_eq!(fake_exponential(numerator, denominator), U256::from(expected));
        }
        assert_eq!(fake_exponential(2_314_057, 3_338_477), U256::ONE);
        assert_eq!(fake_exponential(2_314_058, 3_338_477), U256::from(2));
        assert_eq!(fake_exponential(10 << 20, 3_338_477), U256::from(23));
        for (numerator, denominator) in [(u64::MAX, 1), (u64::MAX, u64::MAX / 127), (7, 0)] {
            fake_exponential(numerator, denominator);
        }
    }

    #[test]
    fn the_last_fork_whose_time_has_come_sets_the_price() {
        let param = |time, update_fraction| BlobParams { time, update_fraction };
        let blob_schedule =
            BlobSchedule { params: vec![param(10, 100), param(20, 200), param(20, 300)] };
        let l1 = L1Config { chain_id: 1, blob_schedule };
        let fractions = [9, 10, 19, 20].map(|time| l1.blob_schedule.update_fraction(time));
        assert_eq!(fractions, [3_338_477, 100, 100, 300]);
        assert_eq!(l1.blob_base_fee(10, None, None), U256::ONE);
        assert_eq!(l1.blob_base_fee(10, Some(200), None), U256::from(7));
        assert_eq!(l1.blob_base_fee(10, Some(200), Some(10)), U256::from(7));
        assert_eq!(l1.blob_base_fee(10, Some(200), Some(11)), U256::ONE);
    }
}
