//! Calls of the contracts, as they stand in transactions.

use tribunal_keccak::Hash;
use tribunal_preimage::Key;

use crate::Address;
use crate::abi::{Value, call};
use crate::large_preimage::{Leaf, Transition};

/// A call of `step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepCall<'a> {
    /// The witness before the step.
    pub state_data: &'a [u8],
    /// The thread and the memory proofs. Proofs at its end that the step does not need may be left
    /// out.
    pub proof_data: &'a [u8],
    /// Tells the local inputs of one dispute from those of another.
    pub local_context: Hash,
}

impl StepCall<'_> {
    /// The calldata.
    pub fn encode(&self) -> Vec<u8> {
        call(
            "step(bytes,bytes,bytes32)",
            &[
                Value::Bytes(self.state_data),
                Value::Bytes(self.proof_data),
                Value::Word(self.local_context),
            ],
        )
    }
}

/// Asks the machine for its oracle.
pub fn oracle() -> Vec<u8> {
    call("oracle()", &[])
}

/// Asks the oracle how many bytes a large preimage proposal must have at least.
pub fn min_proposal_size() -> Vec<u8> {
    call("minProposalSize()", &[])
}

/// Asks the oracle for how many seconds a large preimage proposal can be challenged.
pub fn challenge_period() -> Vec<u8> {
    call("challengePeriod()", &[])
}

/// Asks the oracle how many wei must go with a large preimage proposal at least.
pub fn min_bond_size() -> Vec<u8> {
    call("MIN_BOND_SIZE()", &[])
}

/// Asks the oracle for what it keeps of a preimage at an offset.
pub fn read_preimage(key: &Key, offset: u64) -> Vec<u8> {
    call("readPreimage(bytes32,uint256)", &[Value::Word(key.into_bytes()), Value::number(offset)])
}

/// Loads a part of a local input of the sender. Only the first `size` bytes of `word` are the input.
pub fn load_local_data(
    key: &Key,
    local_context: &Hash,
    word: [u8; 32],
    size: u64,
    part_offset: u64,
) -> Vec<u8> {
    call(
        "loadLocalData(uint256,bytes32,bytes32,uint256,uint256)",
        &[
            Value::Word(key.into_bytes()),
            Value::Word(*local_context),
            Value::Word(word),
            Value::number(size),
            Value::number(part_offset),
        ],
    )
}

/// Loads a part of a preimage named by its keccak256.
pub fn load_keccak256_preimage_part(part_offset: u64, preimage: &[u8]) -> Vec<u8> {
    call(
        "loadKeccak256PreimagePart(uint256,bytes)",
        &[Value::number(part_offset), Value::Bytes(preimage)],
    )
}

/// Loads a part of a preimage named by its sha256.
pub fn load_sha256_preimage_part(part_offset: u64, preimage: &[u8]) -> Vec<u8> {
    call(
        "loadSha256PreimagePart(uint256,bytes)",
        &[Value::number(part_offset), Value::Bytes(preimage)],
    )
}

/// Loads a part of a field element of a blob: `y`, the value at `z`.
pub fn load_blob_preimage_part(
    z: [u8; 32],
    y: [u8; 32],
    commitment: &[u8; 48],
    proof: &[u8; 48],
    part_offset: u64,
) -> Vec<u8> {
    call(
        "loadBlobPreimagePart(uint256,uint256,bytes,bytes,uint256)",
        &[
            Value::Word(z),
            Value::Word(y),
            Value::Bytes(commitment),
            Value::Bytes(proof),
            Value::number(part_offset),
        ],
    )
}

/// Loads a part of the result of a call.
pub fn load_precompile_preimage_part(
    part_offset: u64,
    precompile: &[u8; 20],
    required_gas: u64,
    input: &[u8],
) -> Vec<u8> {
    call(
        "loadPrecompilePreimagePart(uint256,address,uint64,bytes)",
        &[
            Value::number(part_offset),
            Value::address(precompile),
            Value::number(required_gas),
            Value::Bytes(input),
        ],
    )
}

/// Begins a large preimage proposal of the sender. A bond goes with it.
pub fn init_lpp(uuid: u128, part_offset: u32, claimed_size: u32) -> Vec<u8> {
    call(
        "initLPP(uint256,uint32,uint32)",
        &[Value::number(uuid), Value::number(part_offset), Value::number(claimed_size)],
    )
}

/// Adds blocks to a proposal of the sender; finalizes it if asked to.
pub fn add_leaves_lpp(
    uuid: u128,
    start_block: usize,
    input: &[u8],
    commitments: &[Hash],
    finalize: bool,
) -> Vec<u8> {
    call(
        "addLeavesLPP(uint256,uint256,bytes,bytes32[],bool)",
        &[
            Value::number(uuid),
            Value::number(start_block as u64),
            Value::Bytes(input),
            words(commitments),
            Value::number(u8::from(finalize)),
        ],
    )
}

/// Challenges a block of a proposal.
pub fn challenge_lpp(claimant: Address, uuid: u128, transition: &Transition) -> Vec<u8> {
    with_transition("challengeLPP", claimant, uuid, transition)
}

/// Challenges the first block of a proposal.
pub fn challenge_first_lpp(
    claimant: Address,
    uuid: u128,
    post: &Leaf,
    post_proof: &[Hash],
) -> Vec<u8> {
    call(
        "challengeFirstLPP(address,uint256,(bytes,uint256,bytes32),bytes32[])",
        &[Value::address(&claimant.0), Value::number(uuid), leaf(post), words(post_proof)],
    )
}

/// Stores the part that a proposal is for.
pub fn squeeze_lpp(claimant: Address, uuid: u128, transition: &Transition) -> Vec<u8> {
    with_transition("squeezeLPP", claimant, uuid, transition)
}

fn with_transition(
    function: &str,
    claimant: Address,
    uuid: u128,
    transition: &Transition,
) -> Vec<u8> {
    let leaves = "(bytes,uint256,bytes32),bytes32[],(bytes,uint256,bytes32),bytes32[]";
    call(
        &format!("{function}(address,uint256,(uint64[25]),{leaves})"),
        &[
            Value::address(&claimant.0),
            Value::number(uuid),
            Value::Tuple(transition.sponge.iter().copied().map(Value::number).collect()),
            leaf(&transition.pre),
            words(&transition.pre_proof),
            leaf(&transition.post),
            words(&transition.post_proof),
        ],
    )
}

fn leaf(leaf: &Leaf) -> Value<'_> {
    Value::Tuple(vec![
        Value::Bytes(&leaf.input),
        Value::number(leaf.index as u64),
        Value::Word(leaf.commitment),
    ])
}

fn words(hashes: &[Hash]) -> Value<'static> {
    Value::Array(hashes.iter().copied().map(Value::Word).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_lies_where_the_contract_looks_for_it() {
        let (state_data, proof_data) = ([1; 188], [2; 6090]);
        let call =
            StepCall { state_data: &state_data, proof_data: &proof_data, local_context: [3; 32] };
        let calldata = call.encode();
        assert_eq!(calldata[..4], [0xe1, 0x4c, 0xed, 0x32]);
        assert_eq!(calldata[68..100], [3; 32]);
        assert_eq!(calldata[132..320], state_data);
        assert_eq!(calldata[320..324], [0; 4]);
        assert_eq!(calldata[356..356 + 6090], proof_data);
        assert_eq!(calldata.len(), 356 + 6112);
    }

    #[test]
    fn selectors_are_the_published_ones() {
        let hash = [0; 32];
        let key = Key::from_bytes(hash);
        for (calldata, selector) in [
            (oracle(), "7dc0d1d0"),
            (min_proposal_size(), "dd24f9bf"),
            (challenge_period(), "f3f480d9"),
            (min_bond_size(), "7051472e"),
            (load_local_data(&key, &hash, hash, 0, 0), "52f0f3ad"),
            (load_keccak256_preimage_part(0, b""), "e1592611"),
            (load_sha256_preimage_part(0, b""), "8dc4be11"),
            (load_blob_preimage_part(hash, hash, &[0; 48], &[0; 48], 0), "9d7e8769"),
            (load_precompile_preimage_part(0, &[0; 20], 0, b""), "ea713950"),
        ] {
            assert_eq!(hex::encode(&calldata[..4]), selector);
        }
    }
}
