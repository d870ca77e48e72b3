//! keccak256, of one message or of many 64-byte Merkle nodes at once.
//!
//! Knows the permutation and how to pad. Knows nothing of memory layout or of trees: callers hand
//! over nodes, and how many are hashed at a time is this crate's business.
//!
//! With the feature `std` the instructions are those that the processor turns out to have: on x86-64
//! and aarch64 for many nodes, on x86-64 for one message too.
#![no_std]

#[cfg(feature = "std")]
extern crate std;

#[cfg(all(feature = "std", target_arch = "aarch64"))]
mod aarch64;
mod nodes;
mod permutation;
#[cfg(any(target_os = "none", test))]
mod rows;
#[cfg(all(feature = "std", any(target_arch = "aarch64", target_arch = "x86_64")))]
mod vectors;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod x86;

pub use nodes::NodeHasher;
use permutation::State;
#[cfg(all(not(target_os = "none"), not(all(feature = "std", target_arch = "x86_64"))))]
use permutation::permute;
#[cfg(target_os = "none")]
use rows::permute;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
use x86::permute;

/// A keccak256 digest.
pub type Hash = [u8; 32];

/// An inner node of a binary Merkle tree: left child, then right child.
pub type Node = [u8; 64];

/// Bytes absorbed per permutation.
const RATE: usize = 136;

/// keccak256 of `message`, with the original Keccak padding that Ethereum uses.
pub fn keccak256(message: &[u8]) -> Hash {
    let mut state = [0; 25];
    let (blocks, tail) = message.as_chunks();
    for block in blocks {
        absorb(&mut state, block);
    }
    let (words, tail) = tail.as_chunks();
    for (lane, word) in state.iter_mut().zip(words) {
        *lane ^= u64::from_le_bytes(*word);
    }
    // Behind the message comes a one, and one more at the end of the block.
    let last = tail.iter().rev().fold(1, |last, byte| last << 8 | u64::from(*byte));
    state[words.len()] ^= last;
    state[RATE / 8 - 1] ^= 1 << 63;
    permute(&mut state);
    digest(&state)
}

/// keccak256 of two 32-byte children: one node of a Merkle tree, one link of a hash chain.
pub fn hash_pair(left: &Hash, right: &Hash) -> Hash {
    let mut state = [0u64; 25];
    for (lane, bytes) in left.as_chunks().0.iter().chain(right.as_chunks().0).enumerate() {
        state[lane] = u64::from_le_bytes(*bytes);
    }
    finish_node(state)
}

/// Hashes every node of `nodes` into the same place of `hashes`.
///
/// # Panics
/// If the slices differ in length.
pub fn hash_nodes(nodes: &[Node], hashes: &mut [Hash]) {
    assert_eq!(nodes.len(), hashes.len(), "one hash for each node");
    let done = nodes::hash_front(nodes, hashes);
    for (node, hash) in nodes[done..].iter().zip(&mut hashes[done..]) {
        let children = node.as_chunks().0;
        *hash = hash_pair(&children[0], &children[1]);
    }
}

/// Pads and permutes a state that holds exactly 64 bytes.
fn finish_node(mut state: State) -> Hash {
    state[8] ^= 0x01;
    state[RATE / 8 - 1] ^= 1 << 63;
    permute(&mut state);
    digest(&state)
}

/// Takes a whole block.
fn absorb(state: &mut State, block: &[u8; RATE]) {
    for (lane, word) in state.iter_mut().zip(block.as_chunks().0) {
        *lane ^= u64::from_le_bytes(*word);
    }
    permute(state);
}

fn digest(state: &State) -> Hash {
    let mut hash = [0; 32];
    for (bytes, lane) in hash.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = lane.to_le_bytes();
    }
    hash
}

/// keccak256 of a message that arrives in pieces.
#[derive(Clone)]
pub struct Keccak256 {
    state: State,
    /// Bytes of the current block that are already absorbed, below [`RATE`].
    filled: usize,
}

impl Keccak256 {
    /// A hasher that has seen nothing.
    pub const fn new() -> Self {
        Self { state: [0; 25], filled: 0 }
    }

    /// Absorbs `bytes`.
    pub fn update(&mut self, mut bytes: &[u8]) {
        if self.filled > 0 {
            let (head, rest) = bytes.split_at(bytes.len().min(RATE - self.filled));
            self.absorb_bytes(head);
            bytes = rest;
        }
        let (blocks, tail) = bytes.as_chunks::<RATE>();
        for block in blocks {
            absorb(&mut self.state, block);
        }
        self.absorb_bytes(tail);
    }

    /// The sponge as it stands, lane (x, y) at `x + 5 * y`: what a proposal of a large preimage commits
    /// to after every block of 136 bytes.
    pub const fn lanes(&self) -> &[u64; 25] {
        &self.state
    }

    /// Absorbs bytes that do not go past the end of the current block.
    fn absorb_bytes(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(self.filled.wrapping_neg() % 8));
        let (words, tail) = rest.as_chunks();
        self.absorb_singly(head);
        for word in words {
            self.state[self.filled / 8] ^= u64::from_le_bytes(*word);
            self.filled += 8;
        }
        self.absorb_singly(tail);
        if self.filled == RATE {
            permute(&mut self.state);
            self.filled = 0;
        }
    }

    fn absorb_singly(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.state[self.filled / 8] ^= u64::from(byte) << (self.filled % 8 * 8);
            self.filled += 1;
        }
    }

    /// The digest of everything absorbed.
    pub fn finish(mut self) -> Hash {
        self.state[self.filled / 8] ^= 1 << (self.filled % 8 * 8);
        self.state[RATE / 8 - 1] ^= 1 << 63;
        permute(&mut self.state);
        digest(&self.state)
    }
}

impl Default for Keccak256 {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use tiny_keccak::Hasher as _;

    use super::*;

    fn expected(message: &[u8]) -> Hash {
        let mut hasher = tiny_keccak::Keccak::v256();
        hasher.update(message);
        let mut hash = [0; 32];
        hasher.finalize(&mut hash);
        hash
    }

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i * 167 + i / 251) as u8).collect()
    }

    #[test]
    fn every_length_around_the_block_size_agrees_with_another_implementation() {
        for length in (0..600).chain([136 * 100 - 1, 136 * 100, 136 * 100 + 1, 1 << 20]) {
            let message = bytes(length);
            assert_eq!(keccak256(&message), expected(&message), "{length} bytes");
        }
    }

    #[test]
    fn pieces_make_the_same_digest_as_the_whole() {
        let message = bytes(1000);
        for piece in [1, 5, 7, 8, 9, 20, 135, 136, 137, 500] {
            let mut hasher = Keccak256::new();
            for part in message.chunks(piece) {
                hasher.update(part);
            }
            assert_eq!(hasher.finish(), expected(&message), "pieces of {piece}");
        }
    }

    #[test]
    fn nodes_and_pairs_are_plain_keccak256_however_many_there_are() {
        let nodes: Vec<Node> = (0..37u8).map(|i| core::array::from_fn(|j| i ^ j as u8)).collect();
        for count in 0..=nodes.len() {
            let mut hashes = std::vec![[0; 32]; count];
            hash_nodes(&nodes[..count], &mut hashes);
            for (node, hash) in nodes.iter().zip(&hashes) {
                assert_eq!(*hash, expected(node), "{count} nodes");
                let (left, right) = node.split_at(32);
                assert_eq!(*hash, hash_pair(left.try_into().unwrap(), right.try_into().unwrap()));
            }
        }
    }
}
