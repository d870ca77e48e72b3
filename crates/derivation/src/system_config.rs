//! Updates of the system configuration: logs of a contract on L1. Knows what each may say; a log that
//! says anything else changes nothing.

use alloy_primitives::{Address, B256, Bytes, U256, b256};
use tribunal_rollup::{Eip1559Params, Fork, OperatorFee, RollupConfig, SystemConfig};

use crate::receipts::{Log, abi_bytes, logs_of};

/// `ConfigUpdate(uint256,uint8,bytes)`.
const EVENT: B256 = b256!("1d2b0bda21d56b8bd12d4f94ebacffdfb35f5e226f84b461103bb8beab6353be");

/// Applies the updates in the receipts of an L1 block at `l1_time`. `None` if what is read are no
/// receipts.
pub fn update(
    system_config: &mut SystemConfig,
    receipts: &[Bytes],
    config: &RollupConfig,
    l1_time: u64,
) -> Option<()> {
    let ecotone = config.is_active(Fork::Ecotone, l1_time);
    for log in logs_of(receipts, config.l1_system_config)? {
        if let Some(updated) = apply(system_config, &log, ecotone) {
            *system_config = updated;
        }
    }
    Some(())
}

/// The configuration after a log; `None` if it changes nothing.
fn apply(before: &SystemConfig, log: &Log<'_>, ecotone: bool) -> Option<SystemConfig> {
    let [event, version, kind] = log.topics()?;
    if event != EVENT || version != B256::ZERO {
        return None;
    }
    let payload = abi_bytes(log.data)?;
    // Each type has a payload of whole words, of which most have one.
    let (words, rest) = payload.as_chunks::<32>();
    let word = |index: usize| words.get(index).filter(|_| rest.is_empty());
    let single = word(0).filter(|_| words.len() == 1);
    let number = single.map(|word| U256::from_be_bytes(*word));
    let mut config = *before;
    match u64::try_from(U256::from_be_bytes(kind.0)).ok()? {
        0 => {
            let (zeroes, address) = single?.split_at(12);
            if zeroes.iter().any(|byte| *byte != 0) {
                return None;
            }
            config.batcher = Address::from_slice(address);
        }
        1 => {
            let (first, second) = (word(0)?, word(1).filter(|_| words.len() == 2)?);
            config.scalar = U256::from_be_bytes(*second);
            if ecotone {
                let zeroes = match second[0] {
                    0 => &second[1..28],
                    1 => &second[1..24],
                    _ => return None,
                };
                if zeroes.iter().any(|byte| *byte != 0) {
                    return None;
                }
                config.overhead = U256::ZERO;
            } else {
                config.overhead = U256::from_be_bytes(*first);
            }
        }
        2 => config.gas_limit = number?.try_into().ok()?,
        4 => {
            let &[.., d0, d1, d2, d3, e0, e1, e2, e3] = single?;
            let params = Eip1559Params {
                denominator: u32::from_be_bytes([d0, d1, d2, d3]),
                elasticity: u32::from_be_bytes([e0, e1, e2, e3]),
            };
            // Both or none: by one of them alone a base fee would be divided by zero.
            if (params.denominator == 0) != (params.elasticity == 0) {
                return None;
            }
            config.eip1559 = params;
        }
        5 => {
            let number = number?;
            config.operator_fee = OperatorFee {
                scalar: (number >> 64_usize).wrapping_to(),
                constant: number.wrapping_to(),
            };
        }
        6 => config.min_base_fee = number?.try_into().ok()?,
        7 => config.da_footprint_gas_scalar = number?.try_into().ok()?,
        // The signer of unsafe blocks is nothing to a proof; other types are unknown.
        _ => return None,
    }
    Some(config)
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::receipts::tests::{abi, receipt};
    use crate::testing::config;

    fn after(kind: u64, payload: &[u8], fork: Fork) -> Option<SystemConfig> {
        let config = config(fork);
        let topics = vec![EVENT, B256::ZERO, B256::new(U256::from(kind).to_be_bytes())];
        let receipts = [receipt(true, &[(config.l1_system_config, topics, abi(payload))])];
        let before = config.genesis.system_config;
        let mut updated = before;
        update(&mut updated, &receipts, &config, 2000).expect("receipts");
        (updated != before).then_some(updated)
    }

    fn word(number: u128) -> Vec<u8> {
        U256::from(number).to_be_bytes::<32>().to_vec()
    }

    fn high(number: u8) -> Vec<u8> {
        let mut word = word(9);
        word[0] = number;
        word
    }

    #[test]
    fn each_type_changes_its_field() {
        let before = config(Fork::Jovian).genesis.system_config;
        let change = |kind, payload: &[u8]| after(kind, payload, Fork::Jovian);
        let batcher = Address::repeat_byte(7);
        assert_eq!(
            change(0, batcher.into_word().as_slice()),
            Some(SystemConfig { batcher, ..before })
        );
        assert_eq!(change(2, &word(60)), Some(SystemConfig { gas_limit: 60, ..before }));
        let eip1559 = Eip1559Params { denominator: 250, elasticity: 6 };
        let packed = word(250 << 32 | 6);
        assert_eq!(change(4, &packed), Some(SystemConfig { eip1559, ..before }));
        let dirty = [&[1][..], &packed[1..]].concat();
        assert_eq!(change(4, &dirty), Some(SystemConfig { eip1559, ..before }), "not looked at");
        let operator_fee = OperatorFee { scalar: 3, constant: 1 << 50 };
        assert_eq!(
            change(5, &word(3 << 64 | 1 << 50)),
            Some(SystemConfig { operator_fee, ..before })
        );
        assert_eq!(change(6, &word(5)), Some(SystemConfig { min_base_fee: 5, ..before }));
        assert_eq!(
            change(7, &word(800)),
            Some(SystemConfig { da_footprint_gas_scalar: 800, ..before })
        );
    }

    #[test]
    fn scalars_change_their_form_with_ecotone() {
        let before = config(Fork::Delta).genesis.system_config;
        let payload = [word(188), word(684_000)].concat();
        assert_eq!(
            after(1, &payload, Fork::Delta),
            Some(SystemConfig { overhead: U256::from(188), scalar: U256::from(684_000), ..before })
        );
        assert_eq!(
            after(1, &payload, Fork::Ecotone),
            Some(SystemConfig { overhead: U256::ZERO, scalar: U256::from(684_000), ..before })
        );
        let mut version_1 = word(1 << 32 | 5);
        version_1[0] = 1;
        let scalar = U256::try_from_be_slice(&version_1).expect("a word");
        assert_eq!(
            after(1, &[word(188), version_1.clone()].concat(), Fork::Ecotone),
            Some(SystemConfig { overhead: U256::ZERO, scalar, ..before })
        );
        version_1[23] = 1;
        let bedrock_form = [word(188), word(1 << 40)].concat();
        for bad in [[word(188), version_1].concat(), [word(188), high(2)].concat(), bedrock_form] {
            assert_eq!(after(1, &bad, Fork::Ecotone), None);
            assert!(after(1, &bad, Fork::Delta).is_some(), "any word, before");
        }
    }

    #[test]
    fn what_says_anything_else_changes_nothing() {
        let none = |kind, payload: &[u8]| {
            assert_eq!(after(kind, payload, Fork::Jovian), None, "type {kind}");
        };
        none(3, &word(1));
        none(8, &word(1));
        for kind in [0, 2, 6, 7] {
            none(kind, &high(1));
            none(kind, &word(9)[1..]);
            none(kind, &[word(9), word(9)].concat());
        }
        none(1, &word(9));
        none(1, &[word(9), word(9), word(9)].concat());
        none(4, &word(250 << 32));
        none(4, &word(6));
        none(7, &word(1 << 16));
        none(0, &[]);
    }

    #[test]
    fn a_bad_log_does_not_spoil_those_after() {
        let config = config(Fork::Jovian);
        let topics = |kind: u8| vec![EVENT, B256::ZERO, B256::with_last_byte(kind)];
        let log = |kind, data| (config.l1_system_config, topics(kind), data);
        let receipts = [
            receipt(true, &[log(2, vec![1, 2, 3]), log(2, abi(&word(1)))]),
            receipt(false, &[log(2, abi(&word(2)))]),
            receipt(true, &[(Address::ZERO, topics(2), abi(&word(3)))]),
            receipt(true, &[(config.l1_system_config, topics(2)[..2].to_vec(), abi(&word(4)))]),
        ];
        let mut system_config = config.genesis.system_config;
        update(&mut system_config, &receipts, &config, 2000).expect("receipts");
        assert_eq!(system_config.gas_limit, 1);
    }
}
