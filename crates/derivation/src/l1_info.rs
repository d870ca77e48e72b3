//! The first transaction of every L2 block, which tells it of L1: its four layouts, which one a block
//! has, what it says. Knows bytes and forks.

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, U256, address};
use tribunal_keccak::{Keccak256, keccak256};
use tribunal_rollup::{BlockId, Fork, OperatorFee, RollupConfig, SystemConfig};

use crate::deposit::Deposit;
use crate::header::Header;

/// Who sends it.
pub const DEPOSITOR: Address = address!("deaddeaddeaddeaddeaddeaddeaddeaddead0001");

/// The contract that it goes to.
pub const L1_BLOCK: Address = address!("4200000000000000000000000000000000000015");

/// The DA footprint scalar that 0 stands for.
pub const DEFAULT_DA_FOOTPRINT_GAS_SCALAR: u16 = 400;

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `setL1BlockValues`, in words.
    Bedrock,
    /// Packed.
    Ecotone,
    /// With the operator fee.
    Isthmus,
    /// With the DA footprint scalar.
    Jovian,
}

impl Layout {
    /// That of the L2 block at `time`: the activation block of a fork still has the one before.
    pub fn at(config: &RollupConfig, time: u64) -> Self {
        let is_settled = |fork| config.is_active(fork, time) && !config.activates_at(fork, time);
        if !is_settled(Fork::Ecotone) {
            Self::Bedrock
        } else if is_settled(Fork::Jovian) {
            Self::Jovian
        } else if is_settled(Fork::Isthmus) {
            Self::Isthmus
        } else {
            Self::Ecotone
        }
    }

    const fn selector(self) -> [u8; 4] {
        match self {
            Self::Bedrock => [0x01, 0x5d, 0x8e, 0xb9],
            Self::Ecotone => [0x44, 0x0a, 0x5e, 0x20],
            Self::Isthmus => [0x09, 0x89, 0x99, 0xbe],
            Self::Jovian => [0x3d, 0xb6, 0xbe, 0x2b],
        }
    }

    /// How many bytes the call has.
    pub const fn call_len(self) -> usize {
        match self {
            Self::Bedrock => 4 + 8 * 32,
            Self::Ecotone => 164,
            Self::Isthmus => 176,
            Self::Jovian => 178,
        }
    }
}

/// What it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct L1Info {
    /// The L1 origin.
    pub origin: BlockId,
    /// Its time, in seconds.
    pub time: u64,
    /// Its base fee, in wei.
    pub base_fee: U256,
    /// Its blob base fee, in wei; not in Bedrock's layout.
    pub blob_base_fee: U256,
    /// How many L2 blocks of this origin came before.
    pub sequence_number: u64,
    /// Who may send batches.
    pub batcher: Address,
    /// The overhead; in Bedrock's layout only.
    pub overhead: U256,
    /// The scalar or scalars, as the system configuration has them.
    pub scalar: U256,
    /// Since Isthmus.
    pub operator_fee: OperatorFee,
    /// Since Jovian.
    pub da_footprint_gas_scalar: u16,
}

/// The two scalars that the word of a system configuration stands for: base fee, blob base fee.
/// `None` for a version that there is not.
pub fn scalars(word: U256) -> Option<(u32, u32)> {
    let bytes: [u8; 32] = word.to_be_bytes();
    let part =
        |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    match bytes[0] {
        // What does not fit into 32 bits is the largest number that does.
        0 if bytes[1..28].iter().any(|byte| *byte != 0) => Some((u32::MAX, 0)),
        0 => Some((part(28), 0)),
        1 => Some((part(28), part(24))),
        _ => None,
    }
}

/// The word that says these scalars.
fn scalar_word(base: u32, blob: u32) -> U256 {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes[24..28].copy_from_slice(&blob.to_be_bytes());
    bytes[28..].copy_from_slice(&base.to_be_bytes());
    U256::from_be_bytes(bytes)
}

impl L1Info {
    /// Of an L2 block whose L1 origin is `origin`.
    pub fn new(
        origin: &Header,
        blob_base_fee: U256,
        sequence_number: u64,
        system_config: &SystemConfig,
    ) -> Self {
        Self {
            origin: origin.id(),
            time: origin.timestamp,
            base_fee: origin.base_fee,
            blob_base_fee,
            sequence_number,
            batcher: system_config.batcher,
            overhead: system_config.overhead,
            scalar: system_config.scalar,
            operator_fee: system_config.operator_fee,
            da_footprint_gas_scalar: match system_config.da_footprint_gas_scalar {
                0 => DEFAULT_DA_FOOTPRINT_GAS_SCALAR,
                scalar => scalar,
            },
        }
    }

    /// The call. `None` if the scalar is of a version that there is not.
    pub fn encode(&self, layout: Layout) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(layout.call_len());
        out.extend_from_slice(&layout.selector());
        if layout == Layout::Bedrock {
            for word in [
                U256::from(self.origin.number),
                U256::from(self.time),
                self.base_fee,
                U256::from_be_bytes(self.origin.hash.0),
                U256::from(self.sequence_number),
                U256::from_be_bytes(self.batcher.into_word().0),
                self.overhead,
                self.scalar,
            ] {
                out.extend_from_slice(&word.to_be_bytes::<32>());
            }
            return Some(out);
        }
        let (base, blob) = scalars(self.scalar)?;
        out.extend_from_slice(&base.to_be_bytes());
        out.extend_from_slice(&blob.to_be_bytes());
        out.extend_from_slice(&self.sequence_number.to_be_bytes());
        out.extend_from_slice(&self.time.to_be_bytes());
        out.extend_from_slice(&self.origin.number.to_be_bytes());
        out.extend_from_slice(&self.base_fee.to_be_bytes::<32>());
        out.extend_from_slice(&self.blob_base_fee.to_be_bytes::<32>());
        out.extend_from_slice(self.origin.hash.as_slice());
        out.extend_from_slice(self.batcher.into_word().as_slice());
        if matches!(layout, Layout::Isthmus | Layout::Jovian) {
            out.extend_from_slice(&self.operator_fee.scalar.to_be_bytes());
            out.extend_from_slice(&self.operator_fee.constant.to_be_bytes());
        }
        if layout == Layout::Jovian {
            out.extend_from_slice(&self.da_footprint_gas_scalar.to_be_bytes());
        }
        Some(out)
    }

    /// Reads the call of a block that has this layout.
    pub fn decode(layout: Layout, call: &[u8]) -> Option<Self> {
        let mut rest = call.strip_prefix(&layout.selector())?;
        if call.len() != layout.call_len() {
            return None;
        }
        let mut info = Self::default();
        if layout == Layout::Bedrock {
            info.origin.number = word(&mut rest)?.try_into().ok()?;
            info.time = word(&mut rest)?.try_into().ok()?;
            info.base_fee = word(&mut rest)?;
            info.origin.hash = B256::new(take(&mut rest)?);
            info.sequence_number = word(&mut rest)?.try_into().ok()?;
            info.batcher = address_word(&mut rest)?;
            info.overhead = word(&mut rest)?;
            info.scalar = word(&mut rest)?;
            return Some(info);
        }
        let base = u32::from_be_bytes(take(&mut rest)?);
        let blob = u32::from_be_bytes(take(&mut rest)?);
        info.scalar = scalar_word(base, blob);
        info.sequence_number = u64::from_be_bytes(take(&mut rest)?);
        info.time = u64::from_be_bytes(take(&mut rest)?);
        info.origin.number = u64::from_be_bytes(take(&mut rest)?);
        info.base_fee = word(&mut rest)?;
        info.blob_base_fee = word(&mut rest)?;
        info.origin.hash = B256::new(take(&mut rest)?);
        info.batcher = address_word(&mut rest)?;
        if matches!(layout, Layout::Isthmus | Layout::Jovian) {
            info.operator_fee.scalar = u32::from_be_bytes(take(&mut rest)?);
            info.operator_fee.constant = u64::from_be_bytes(take(&mut rest)?);
        }
        if layout == Layout::Jovian {
            info.da_footprint_gas_scalar = u16::from_be_bytes(take(&mut rest)?);
        }
        Some(info)
    }

    /// The deposit that carries it in the L2 block at `time`. `None` if the scalar is of a version that
    /// there is not.
    pub fn deposit(&self, config: &RollupConfig, time: u64) -> Option<Deposit> {
        let regolith = config.is_active(Fork::Regolith, time);
        let mut hasher = Keccak256::new();
        hasher.update(self.origin.hash.as_slice());
        hasher.update(&U256::from(self.sequence_number).to_be_bytes::<32>());
        Some(Deposit {
            source_hash: source_hash(1, hasher.finish()),
            from: DEPOSITOR,
            to: Some(L1_BLOCK),
            mint: U256::ZERO,
            value: U256::ZERO,
            gas_limit: if regolith { 1_000_000 } else { 150_000_000 },
            is_system: !regolith,
            data: self.encode(Layout::at(config, time))?.into(),
        })
    }
}

/// The source hash of a deposit: a domain, and what names it there.
pub(crate) fn source_hash(domain: u64, inner: [u8; 32]) -> B256 {
    let mut bytes = [0; 64];
    bytes[24..32].copy_from_slice(&domain.to_be_bytes());
    bytes[32..].copy_from_slice(&inner);
    B256::new(keccak256(&bytes))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*bytes)
}

fn word(rest: &mut &[u8]) -> Option<U256> {
    take(rest).map(|bytes: [u8; 32]| U256::from_be_bytes(bytes))
}

fn address_word(rest: &mut &[u8]) -> Option<Address> {
    let bytes: [u8; 32] = take(rest)?;
    let (zeroes, address) = bytes.split_at(12);
    zeroes.iter().all(|byte| *byte == 0).then(|| Address::from_slice(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config;

    const LAYOUTS: [Layout; 4] =
        [Layout::Bedrock, Layout::Ecotone, Layout::Isthmus, Layout::Jovian];

    fn info(layout: Layout) -> L1Info {
        let packed = layout != Layout::Bedrock;
        L1Info {
            origin: BlockId { hash: B256::repeat_byte(3), number: 0x1122_3344_5566 },
            time: 1_700_000_000,
            base_fee: U256::from(7_000_000_000_u64),
            blob_base_fee: if packed { U256::from(99) } else { U256::ZERO },
            sequence_number: 5,
            batcher: Address::repeat_byte(9),
            overhead: if packed { U256::ZERO } else { U256::from(2100) },
            scalar: if packed { scalar_word(1368, 810_949) } else { U256::MAX },
            operator_fee: match layout {
                Layout::Isthmus | Layout::Jovian => OperatorFee { scalar: 8, constant: 1 << 40 },
                _ => OperatorFee::default(),
            },
            da_footprint_gas_scalar: if layout == Layout::Jovian { 400 } else { 0 },
        }
    }

    #[test]
    fn every_layout_comes_back_and_has_its_length() {
        for layout in LAYOUTS {
            let info = info(layout);
            let call = info.encode(layout).expect("a known scalar");
            assert_eq!(call.len(), layout.call_len());
            assert_eq!(L1Info::decode(layout, &call), Some(info));
            assert_eq!(L1Info::decode(layout, &call[..call.len() - 1]), None);
            assert_eq!(L1Info::decode(layout, &[&call[..], &[0]].concat()), None);
            for other in LAYOUTS.into_iter().filter(|other| *other != layout) {
                assert_eq!(L1Info::decode(other, &call), None);
            }
            let selector = match layout {
                Layout::Bedrock => {
                    "setL1BlockValues(uint64,uint64,uint256,bytes32,uint64,bytes32,uint256,uint256)"
                }
                Layout::Ecotone => "setL1BlockValuesEcotone()",
                Layout::Isthmus => "setL1BlockValuesIsthmus()",
                Layout::Jovian => "setL1BlockValuesJovian()",
            };
            assert_eq!(call[..4], keccak256(selector.as_bytes())[..4]);
        }
    }

    #[test]
    fn an_activation_block_has_the_layout_before() {
        let mut config = config(Fork::Canyon);
        for (fork, time) in [
            (Fork::Delta, 1010),
            (Fork::Ecotone, 1010),
            (Fork::Fjord, 1010),
            (Fork::Granite, 1010),
            (Fork::Holocene, 1010),
            (Fork::Isthmus, 1020),
            (Fork::Jovian, 1031),
        ] {
            config.forks.set(fork, Some(time));
        }
        let layouts =
            [1008, 1010, 1012, 1020, 1022, 1030, 1032, 1034].map(|t| Layout::at(&config, t));
        use Layout::{Bedrock, Ecotone, Isthmus, Jovian};
        assert_eq!(
            layouts,
            [Bedrock, Bedrock, Ecotone, Ecotone, Isthmus, Isthmus, Isthmus, Jovian]
        );
        config.forks.set(Fork::Jovian, Some(1020));
        assert_eq!([1020, 1022].map(|t| Layout::at(&config, t)), [Ecotone, Jovian], "both at once");
        let genesis = crate::testing::config(Fork::Jovian);
        assert_eq!(Layout::at(&genesis, 1000), Jovian, "active at genesis");
    }

    #[test]
    fn scalars_have_versions() {
        assert_eq!(scalars(U256::from(684_000)), Some((684_000, 0)));
        assert_eq!(scalars(U256::from(1_u64 << 32)), Some((u32::MAX, 0)));
        assert_eq!(scalars(scalar_word(1368, 810_949)), Some((1368, 810_949)));
        assert_eq!(scalars(U256::from(2) << 248), None);
    }

    #[test]
    fn the_deposit_is_named_by_origin_and_place() {
        let origin = BlockId { hash: B256::new(keccak256(b"epoch 7")), number: 7 };
        let info = L1Info { origin, sequence_number: 3, ..info(Layout::Ecotone) };
        let deposit = info.deposit(&config(Fork::Fjord), 1004).expect("a known scalar");
        assert_eq!(
            deposit.source_hash,
            alloy_primitives::b256!(
                "2d10f4d2d803cf2785267b3200ab74feaa0f23942774f83c89861cd922dd6d15"
            )
        );
        assert_eq!((deposit.gas_limit, deposit.is_system), (1_000_000, false));
        let bedrock = info.deposit(&config(Fork::Bedrock), 1004).expect("a known scalar");
        assert_eq!((bedrock.gas_limit, bedrock.is_system), (150_000_000, true));
    }
}
