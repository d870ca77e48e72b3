//! Precompiled contracts: the chain's set, and which calls are answered by the preimage oracle
//! instead of being computed.
//!
//! A call goes that way if computing it is dear, and if its key can be proven: the contract on L1
//! makes the same call, so what it needs there is in the key, and the input has to fit into a
//! transaction. All else is computed here, by the same code as without acceleration.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};

use alloy_primitives::{Address, Bytes};
use op_revm::precompiles::OpPrecompiles;
use op_revm::{L1BlockInfo, OpSpecId, OpTransaction};
use revm::context::{BlockEnv, CfgEnv, Journal, JournalTr as _, TxEnv};
use revm::handler::PrecompileProvider;
use revm::interpreter::{CallInputs, Gas, InstructionResult, InterpreterResult};
use revm::precompile::bls12_381_const as bls;
use tribunal_preimage::Oracle;

use crate::signature::ECRECOVER_GAS;
use crate::state::State;

/// What the interpreter runs in.
pub(crate) type Context<'a, O> = revm::Context<
    BlockEnv,
    OpTransaction<TxEnv>,
    CfgEnv<OpSpecId>,
    &'a mut State<O>,
    Journal<&'a mut State<O>>,
    L1BlockInfo,
>;

/// Bytes of the longest input that a pairing ever took by rule and that can be proven.
const PROVABLE_PAIRING: usize = 112_687;

/// The precompiled contracts of a fork.
#[derive(Debug)]
pub(crate) struct Precompiles {
    computed: OpPrecompiles,
    spec: OpSpecId,
    accelerated: bool,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It is computed, or fails when it is tried.
    Compute,
    /// It is asked for, with this gas.
    Ask(u64),
    /// Its input is too long.
    Refuse,
}

impl Precompiles {
    pub(crate) fn new(spec: OpSpecId, accelerated: bool) -> Self {
        Self { computed: OpPrecompiles::new_with_spec(spec), spec, accelerated }
    }

    fn way(&self, address: &Address, length: usize) -> Way {
        let [zeros @ .., number] = address.0.0;
        if zeros != [0; 19] {
            return Way::Compute;
        }
        // `op-revm` 20 does not know this limit of Karst yet.
        if number == 0x08 && self.spec >= OpSpecId::KARST && length > 57_600 {
            return Way::Refuse;
        }
        match if self.accelerated { gas(self.spec, number, length) } else { None } {
            None => Way::Compute,
            Some(gas) => Way::Ask(gas),
        }
    }
}

/// What the call of a precompiled contract needs on L1, if it is one that is asked for.
///
/// A malformed length fails at once wherever it is tried, and so does one above the limit of the
/// fork; neither is worth a question.
fn gas(spec: OpSpecId, number: u8, length: usize) -> Option<u64> {
    let count = |size: usize| (length > 0 && length.is_multiple_of(size)).then(|| length / size);
    let exactly = |size: usize, gas: u64| (length == size).then_some(gas);
    let limit = |isthmus: usize, jovian: usize| {
        length <= if spec >= OpSpecId::JOVIAN { jovian } else { isthmus }
    };
    let msm = |size: usize, table: &[u16; 128], base: u64| {
        let count = count(size)?;
        let discount = u64::from(table[count.min(table.len()) - 1]);
        Some(count as u64 * base * discount / bls::MSM_MULTIPLIER)
    };
    match number {
        0x01 => Some(ECRECOVER_GAS),
        0x08 if length.is_multiple_of(192) && limit(PROVABLE_PAIRING, 81_984) => {
            Some(45_000 + 34_000 * (length / 192) as u64)
        }
        0x0a if spec >= OpSpecId::ECOTONE => exactly(192, 50_000),
        0x0b..=0x11 if spec < OpSpecId::ISTHMUS => None,
        0x0b => exactly(256, bls::G1_ADD_BASE_GAS_FEE),
        0x0c if limit(513_760, 288_960) => {
            msm(160, &bls::DISCOUNT_TABLE_G1_MSM, bls::G1_MSM_BASE_GAS_FEE)
        }
        0x0d => exactly(512, bls::G2_ADD_BASE_GAS_FEE),
        0x0e if limit(488_448, 278_784) => {
            msm(288, &bls::DISCOUNT_TABLE_G2_MSM, bls::G2_MSM_BASE_GAS_FEE)
        }
        0x0f if limit(235_008, 156_672) => {
            count(384).map(|k| bls::PAIRING_OFFSET_BASE + bls::PAIRING_MULTIPLIER_BASE * k as u64)
        }
        0x10 => exactly(64, bls::MAP_FP_TO_G1_BASE_GAS_FEE),
        0x11 => exactly(128, bls::MAP_FP2_TO_G2_BASE_GAS_FEE),
        _ => None,
    }
}

impl<'a, O: Oracle> PrecompileProvider<Context<'a, O>> for Precompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: OpSpecId) -> bool {
        let changed = spec != self.spec;
        if changed {
            *self = Self::new(spec, self.accelerated);
        }
        changed
    }

    fn run(
        &mut self,
        context: &mut Context<'a, O>,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        let address = &inputs.bytecode_address;
        let way = self.way(address, inputs.input.len());
        if way == Way::Compute {
            return PrecompileProvider::<Context<'a, O>>::run(&mut self.computed, context, inputs);
        }
        let mut result = InterpreterResult {
            result: InstructionResult::PrecompileError,
            gas: Gas::new(inputs.gas_limit),
            output: Bytes::new(),
        };
        if let Way::Ask(needed) = way {
            if !result.gas.record_regular_cost(needed) {
                result.result = InstructionResult::PrecompileOOG;
            } else {
                let input = inputs.input.bytes(context);
                let state = context.journaled_state.db_mut();
                match state.preimages.precompile(address, needed, &input) {
                    Ok(None) => {}
                    Ok(Some(output)) => {
                        result.result = InstructionResult::Return;
                        result.output = output.into();
                    }
                    Err(undecided) => {
                        let said = undecided.to_string();
                        state.fail(undecided);
                        return Err(said);
                    }
                }
            }
        }
        if result.result != InstructionResult::Return {
            // A contract that fails takes all that it was given.
            result.gas.spend_all();
        }
        Ok(Some(result))
    }

    fn warm_addresses(&self) -> Box<impl Iterator<Item = Address>> {
        PrecompileProvider::<Context<'a, O>>::warm_addresses(&self.computed)
    }

    fn contains(&self, address: &Address) -> bool {
        PrecompileProvider::<Context<'a, O>>::contains(&self.computed, address)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use alloc::vec::Vec;
    use std::fs::File;
    use std::path::Path;

    use super::*;

    fn way(spec: OpSpecId, number: u8, length: usize) -> Way {
        Precompiles::new(spec, true).way(&Address::with_last_byte(number), length)
    }

    #[test]
    fn calls_are_asked_for_with_what_they_need_on_l1() {
        use OpSpecId::{BEDROCK, CANYON, ECOTONE, GRANITE, HOLOCENE, ISTHMUS, JOVIAN, KARST};
        assert_eq!(way(BEDROCK, 0x01, 5), Way::Ask(3_000));
        assert_eq!(way(BEDROCK, 0x08, 0), Way::Ask(45_000));
        assert_eq!(way(JOVIAN, 0x08, 2 * 192), Way::Ask(113_000));
        assert_eq!(way(CANYON, 0x0a, 192), Way::Compute);
        assert_eq!(way(ECOTONE, 0x0a, 192), Way::Ask(50_000));
        assert_eq!(way(ECOTONE, 0x0a, 191), Way::Compute);
        for number in 0x0b..=0x11 {
            assert_eq!(way(HOLOCENE, number, 256), Way::Compute);
        }
        assert_eq!(way(ISTHMUS, 0x0b, 256), Way::Ask(375));
        assert_eq!(way(ISTHMUS, 0x0c, 160), Way::Ask(12_000));
        assert_eq!(way(ISTHMUS, 0x0c, 160 * 3), Way::Ask(3 * 12_000 * 848 / 1000));
        assert_eq!(way(ISTHMUS, 0x0c, 160 * 200), Way::Ask(200 * 12_000 * 519 / 1000));
        assert_eq!(way(ISTHMUS, 0x0d, 512), Way::Ask(600));
        assert_eq!(way(ISTHMUS, 0x0e, 288 * 2), Way::Ask(2 * 22_500));
        assert_eq!(way(ISTHMUS, 0x0f, 384 * 2), Way::Ask(37_700 + 2 * 32_600));
        assert_eq!(way(ISTHMUS, 0x10, 64), Way::Ask(5_500));
        assert_eq!(way(ISTHMUS, 0x11, 128), Way::Ask(23_800));
        // Cheap ones are computed, and so are all that have a rule of their own on L2.
        for number in [0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x09] {
            assert_eq!(way(KARST, number, 192), Way::Compute);
        }
        assert_eq!(way(GRANITE, 0x08, 192 * 600), Way::Compute);
        let far = Address::repeat_byte(1);
        assert_eq!(Precompiles::new(KARST, true).way(&far, 192), Way::Compute);
        let off = Precompiles::new(KARST, false);
        assert_eq!(off.way(&Address::with_last_byte(1), 128), Way::Compute);
    }

    /// The key of a call has the gas that the contract takes on L1, and what is computed in place of
    /// an answer is what the contract returns there.
    #[test]
    fn the_vectors_of_go_ethereum_have_our_gas_and_our_results() {
        let path = "../../testdata/precompiles/go-ethereum.json.gz";
        let file = File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
        let vectors: Vec<serde_json::Value> =
            serde_json::from_reader(flate2::read::GzDecoder::new(file)).unwrap();
        let precompiles = Precompiles::new(OpSpecId::ISTHMUS, true);
        let mut asked = 0;
        for vector in &vectors {
            let bytes = |name: &str| hex::decode(vector[name].as_str().unwrap()).unwrap();
            let (name, input) = (vector["Name"].as_str().unwrap(), bytes("Input"));
            let address = Address::with_last_byte(vector["address"].as_u64().unwrap() as u8);
            let contract = precompiles.computed.precompiles().get(&address).unwrap();
            let result = contract.execute(&input, u64::MAX, 0);
            let output = result.ok().filter(|output| output.is_success());
            if vector["Expected"].is_null() {
                assert!(output.is_none(), "{name}");
                continue;
            }
            let output = output.unwrap_or_else(|| panic!("{name} fails"));
            assert_eq!(output.bytes[..], bytes("Expected"), "{name}");
            let gas = vector["Gas"].as_u64().unwrap();
            assert_eq!(precompiles.way(&address, input.len()), Way::Ask(gas), "{name}");
            asked += 1;
        }
        assert_eq!((vectors.len(), asked), (671, 626));
    }

    #[test]
    fn karst_takes_300_pairs_with_and_without_acceleration() {
        assert_eq!(way(OpSpecId::JOVIAN, 0x08, 57_792), Way::Ask(45_000 + 34_000 * 301));
        for accelerated in [false, true] {
            let karst = Precompiles::new(OpSpecId::KARST, accelerated);
            assert_eq!(karst.way(&Address::with_last_byte(8), 57_792), Way::Refuse);
            assert_ne!(karst.way(&Address::with_last_byte(8), 57_600), Way::Refuse);
        }
    }
}
