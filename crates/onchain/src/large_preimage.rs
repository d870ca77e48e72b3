//! Large preimage proposals: a keccak256 preimage that does not fit into a transaction, proven to the
//! oracle in many (spec: preimage oracle, LPP).
//!
//! Its blocks are added in order, each with a commitment to the sponge after it, into a Merkle tree.
//! After a time in which anyone may challenge a commitment, the last block is squeezed.

use tribunal_keccak::{Hash, Keccak256, hash_pair, keccak256};
use tribunal_preimage::Key;

use crate::{Address, calldata};

/// Bytes absorbed with each permutation.
pub const BLOCK_BYTES: usize = 136;

/// Levels of the Merkle tree.
pub const TREE_DEPTH: usize = 16;

/// The most blocks of a proposal, padding counted: one less than the tree has leaves.
pub const MAX_LEAVES: usize = (1 << TREE_DEPTH) - 1;

/// Bytes of the length in front of a preimage.
const PREFIX_BYTES: usize = 8;

/// Bytes of a part.
const PART_BYTES: usize = 32;

/// The state of keccak256 between two blocks: lane (x, y) at `x + 5 * y`.
pub type Sponge = [u64; 25];

/// A proposal to be made, or one that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LargePreimage {
    data: Vec<u8>,
    part_offset: u32,
    /// What commits to the sponge after each block. A proposal with a wrong one can be challenged.
    pub commitments: Vec<Hash>,
}

/// A block of a proposal, the one before it, and the sponge between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The sponge before the block.
    pub sponge: Sponge,
    /// The block before it.
    pub pre: Leaf,
    /// The siblings of that, bottom-up.
    pub pre_proof: [Hash; TREE_DEPTH],
    /// The block.
    pub post: Leaf,
    /// The siblings of that, bottom-up.
    pub post_proof: [Hash; TREE_DEPTH],
}

/// A block of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// What was absorbed.
    pub input: [u8; BLOCK_BYTES],
    /// Its number, from 0.
    pub index: usize,
    /// What commits to the sponge after it.
    pub commitment: Hash,
}

impl LargePreimage {
    /// A proposal for the part of `data` at `part_offset`, the 8 bytes of the length counted.
    ///
    /// # Errors
    /// If there is no such part, or too much data.
    pub fn new(data: Vec<u8>, part_offset: u32) -> Result<Self, LargePreimageError> {
        let blocks = data.len() / BLOCK_BYTES + 1;
        if blocks > MAX_LEAVES {
            return Err(LargePreimageError::TooLarge { length: data.len() });
        }
        if part_offset as usize >= data.len() + PREFIX_BYTES {
            return Err(LargePreimageError::NoSuchPart { part_offset, length: data.len() });
        }
        let commitments = commitments(&data);
        Ok(Self { data, part_offset, commitments })
    }

    /// The key that the part will be under.
    pub fn key(&self) -> Key {
        Key::keccak256_of(&self.data)
    }

    /// How many blocks there are, padding counted.
    pub fn block_count(&self) -> usize {
        self.commitments.len()
    }

    /// Begins the proposal. A bond goes with it.
    pub fn init(&self, uuid: u128) -> Vec<u8> {
        calldata::init_lpp(uuid, self.part_offset, self.data.len() as u32)
    }

    /// Adds all blocks, about `blocks` in each call; the last call finalizes.
    ///
    /// A call has more blocks if the part would lie across its end otherwise, which the oracle
    /// refuses.
    pub fn additions(&self, uuid: u128, blocks: usize) -> impl Iterator<Item = Vec<u8>> {
        let mut start = 0;
        std::iter::from_fn(move || {
            let count = self.block_count();
            if start >= count {
                return None;
            }
            let mut end = start.saturating_add(blocks.max(1)).min(count);
            while end < count && self.part_crosses(start, end) {
                end += 1;
            }
            let addition = self.addition(uuid, start..end);
            start = end;
            Some(addition)
        })
    }

    /// Adds these blocks; finalizes if the last one is among them.
    pub fn addition(&self, uuid: u128, blocks: std::ops::Range<usize>) -> Vec<u8> {
        let last = blocks.end == self.block_count();
        let end = if last { self.data.len() } else { blocks.end * BLOCK_BYTES };
        let input = &self.data[blocks.start * BLOCK_BYTES..end];
        calldata::add_leaves_lpp(uuid, blocks.start, input, &self.commitments[blocks.clone()], last)
    }

    /// Stores the part, once the time for challenges is over.
    ///
    /// # Panics
    /// If there is only one block: no oracle takes a proposal so small.
    pub fn squeeze(&self, claimant: Address, uuid: u128) -> Vec<u8> {
        calldata::squeeze_lpp(claimant, uuid, &self.transition(self.block_count() - 1))
    }

    /// Challenges the commitment of a block.
    ///
    /// # Panics
    /// If there are fewer blocks.
    pub fn challenge(&self, claimant: Address, uuid: u128, block: usize) -> Vec<u8> {
        match block {
            0 => {
                let (leaf, proof) = (self.leaf(0), self.proof(0));
                calldata::challenge_first_lpp(claimant, uuid, &leaf, &proof)
            }
            _ => calldata::challenge_lpp(claimant, uuid, &self.transition(block)),
        }
    }

    /// What a block makes of the sponge.
    ///
    /// # Panics
    /// If it is the first block, or there are fewer.
    pub fn transition(&self, block: usize) -> Transition {
        Transition {
            sponge: self.sponge_before(block),
            pre: self.leaf(block - 1),
            pre_proof: self.proof(block - 1),
            post: self.leaf(block),
            post_proof: self.proof(block),
        }
    }

    /// The first block whose commitment does not follow from the one before it.
    pub fn first_wrong_block(&self) -> Option<usize> {
        commitments(&self.data).iter().zip(&self.commitments).position(|(right, is)| right != is)
    }

    /// A block.
    ///
    /// # Panics
    /// If there are fewer blocks.
    pub fn leaf(&self, index: usize) -> Leaf {
        let input = block(&self.data, index);
        Leaf { input, index, commitment: self.commitments[index] }
    }

    /// The siblings of a leaf, bottom-up.
    pub fn proof(&self, index: usize) -> [Hash; TREE_DEPTH] {
        let mut level: Vec<Hash> = (0..self.block_count()).map(|i| self.leaf(i).hash()).collect();
        let (mut zero, mut index) = ([0; 32], index);
        std::array::from_fn(|_| {
            let sibling = level.get(index ^ 1).copied().unwrap_or(zero);
            let pair = |pair: &[Hash]| hash_pair(&pair[0], pair.get(1).unwrap_or(&zero));
            level = level.chunks(2).map(pair).collect();
            zero = hash_pair(&zero, &zero);
            index >>= 1;
            sibling
        })
    }

    /// The sponge before a block.
    pub fn sponge_before(&self, index: usize) -> Sponge {
        let mut keccak = Keccak256::new();
        (0..index).for_each(|index| keccak.update(&block(&self.data, index)));
        *keccak.lanes()
    }

    /// Whether the part begins in these blocks and does not end in them with a byte to spare.
    fn part_crosses(&self, start: usize, end: usize) -> bool {
        let Some(part) = (self.part_offset as usize).checked_sub(PREFIX_BYTES) else {
            return false;
        };
        let (start, end) = (start * BLOCK_BYTES, end * BLOCK_BYTES);
        (start..end).contains(&part) && part + PART_BYTES >= end
    }
}

impl Leaf {
    fn hash(&self) -> Hash {
        let mut index = [0; 32];
        index[24..].copy_from_slice(&(self.index as u64).to_be_bytes());
        keccak256(&[&self.input[..], &index, &self.commitment].concat())
    }
}

/// Block `index` of the padded data.
fn block(data: &[u8], index: usize) -> [u8; BLOCK_BYTES] {
    let rest = &data[index * BLOCK_BYTES..];
    let mut block = [0; BLOCK_BYTES];
    let taken = rest.len().min(BLOCK_BYTES);
    block[..taken].copy_from_slice(&rest[..taken]);
    if taken < BLOCK_BYTES {
        block[taken] ^= 0x01;
        block[BLOCK_BYTES - 1] ^= 0x80;
    }
    block
}

/// What commits to the sponge after each block.
fn commitments(data: &[u8]) -> Vec<Hash> {
    let mut keccak = Keccak256::new();
    let commitment = |index| {
        keccak.update(&block(data, index));
        let mut words = [0; 25 * 32];
        for (word, lane) in words.as_chunks_mut::<32>().0.iter_mut().zip(keccak.lanes()) {
            word[24..].copy_from_slice(&lane.to_be_bytes());
        }
        keccak256(&words)
    };
    (0..=data.len() / BLOCK_BYTES).map(commitment).collect()
}

/// Data that cannot be proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LargePreimageError {
    /// More blocks than the tree has leaves.
    #[error(
        "{length} bytes are too many for a proposal, which takes {MAX_LEAVES} blocks of 136 bytes: \
         no oracle can have this preimage"
    )]
    TooLarge {
        /// Bytes.
        length: usize,
    },
    /// A part behind the end.
    #[error("there is no part at {part_offset} of a preimage of {length} bytes behind its length")]
    NoSuchPart {
        /// Where it would begin.
        part_offset: u32,
        /// Bytes.
        length: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i * 31 + i / 136) as u8).collect()
    }

    #[test]
    fn the_sponge_after_the_last_block_holds_the_hash() {
        for length in [0, 1, 134, 135, 136, 137, 271, 272, 1000] {
            let proposal = LargePreimage::new(data(length), 0).unwrap();
            assert_eq!(proposal.block_count(), length / 136 + 1);
            let lanes = proposal.sponge_before(proposal.block_count() - 1);
            let mut keccak = Keccak256::new();
            (0..proposal.block_count()).for_each(|i| keccak.update(&proposal.leaf(i).input));
            let digest: Vec<u8> =
                keccak.lanes()[..4].iter().flat_map(|l| l.to_le_bytes()).collect();
            assert_eq!(digest, keccak256(&data(length)), "{length}");
            assert_eq!(lanes == [0; 25], proposal.block_count() == 1);
        }
    }

    #[test]
    fn proofs_of_all_leaves_lead_to_one_root() {
        let proposal = LargePreimage::new(data(136 * 37), 0).unwrap();
        let root = |index: usize| {
            let proof = proposal.proof(index);
            proof.iter().enumerate().fold(proposal.leaf(index).hash(), |node, (height, sibling)| {
                match index >> height & 1 {
                    0 => hash_pair(&node, sibling),
                    _ => hash_pair(sibling, &node),
                }
            })
        };
        assert!((1..proposal.block_count()).all(|index| root(index) == root(0)));
    }

    #[test]
    fn no_call_ends_within_the_part() {
        for part_offset in 0..500 {
            let proposal = LargePreimage::new(data(136 * 9 + 5), part_offset).unwrap();
            let mut blocks = 0;
            for addition in proposal.additions(1, 1) {
                let word =
                    |at: usize| u64::from_be_bytes(*addition[at..at + 32].last_chunk().unwrap());
                assert_eq!(word(4 + 32), blocks, "the next block");
                let input = word(4 + 5 * 32) as usize;
                let start = blocks as usize * 136;
                let part = part_offset as usize;
                if part >= 8 && (start..start + input).contains(&(part - 8)) {
                    let is_last = start + input == proposal.data.len();
                    assert!(is_last || part - 8 + 32 < start + input, "{part_offset}");
                }
                blocks += (input / 136) as u64 + word(4 + 4 * 32);
            }
            assert_eq!(blocks as usize, proposal.block_count());
        }
    }

    #[test]
    fn what_no_oracle_can_have_is_refused() {
        let most = 65_535 * 136 - 1;
        assert!(LargePreimage::new(data(most), 0).is_ok());
        let error = LargePreimageError::TooLarge { length: most + 1 };
        assert_eq!(LargePreimage::new(data(most + 1), 0), Err(error));
        assert!(LargePreimage::new(data(10), 17).is_ok());
        let error = LargePreimageError::NoSuchPart { part_offset: 18, length: 10 };
        assert_eq!(LargePreimage::new(data(10), 18), Err(error));
    }
}
