//! Many nodes at once, in vectors of any width.
//!
//! Knows how nodes are grouped, padded, and laid out in vectors: lane i of a vector belongs to node
//! i. Knows no instruction: those stand in the module of each processor.

use crate::{Hash, Node, RATE};

/// Fewer nodes than this are hashed one by one: a vector of any number costs about two of them.
pub(crate) const WORTH_A_VECTOR: usize = 2;

/// Applies `hash` to groups of `N`, the last one filled up with zeroes if it is worth that.
pub(crate) fn hash_groups<const N: usize>(
    nodes: &[Node],
    hashes: &mut [Hash],
    hash: impl Fn(&[Node; N], &mut [Hash; N]),
) -> usize {
    let (groups, rest) = nodes.as_chunks::<N>();
    let (hash_groups, rest_hashes) = hashes.as_chunks_mut::<N>();
    for (nodes, hashes) in groups.iter().zip(hash_groups) {
        hash(nodes, hashes);
    }
    if rest.len() < WORTH_A_VECTOR {
        return nodes.len() - rest.len();
    }
    let (mut last, mut last_hashes) = ([[0; 64]; N], [[0; 32]; N]);
    last[..rest.len()].copy_from_slice(rest);
    hash(&last, &mut last_hashes);
    rest_hashes.copy_from_slice(&last_hashes[..rest.len()]);
    nodes.len()
}

/// The bytes `8 * lane..` of a node.
pub(crate) fn lane(node: &Node, lane: usize) -> i64 {
    i64::from_le_bytes(node.as_chunks().0[lane])
}

/// The padding of a 64-byte message: lane 8, and the last lane of the block.
pub(crate) const PADDING: [(usize, u64); 2] = [(8, 0x01), (RATE / 8 - 1, 1 << 63)];

/// Defines `hash_N` for vectors of N lanes, from the operations in scope: those that the permutation
/// asks for, `gather` of one lane of each node, and its inverse `lanes`.
macro_rules! hash_function {
    ($name:ident, $feature:literal, $width:literal) => {
        /// Hashes one node in each lane.
        #[target_feature(enable = $feature)]
        pub(super) fn $name(nodes: &[$crate::Node; $width], hashes: &mut [$crate::Hash; $width]) {
            let mut state = [splat(0); 25];
            for place in 0..8 {
                state[place] =
                    gather(std::array::from_fn(|i| $crate::vectors::lane(&nodes[i], place)));
            }
            for (place, bits) in $crate::vectors::PADDING {
                state[place] = splat(bits);
            }
            let state = $crate::permutation::permuted!(state);
            for (place, vector) in state[..4].iter().enumerate() {
                for (hash, lane) in hashes.iter_mut().zip(lanes(*vector)) {
                    hash.as_chunks_mut().0[place] = lane.to_le_bytes();
                }
            }
        }
    };
}

pub(crate) use hash_function;

/// Asserts that `hash` makes of nodes what the portable permutation does.
#[cfg(test)]
pub(crate) fn check<const N: usize>(hash: impl Fn(&[Node; N], &mut [Hash; N])) {
    for seed in 0..50u8 {
        let nodes: [Node; N] =
            std::array::from_fn(|i| std::array::from_fn(|j| seed ^ (i * 37 + j * 11) as u8));
        let mut hashes = [[0; 32]; N];
        hash(&nodes, &mut hashes);
        assert_eq!(hashes, nodes.map(|node| crate::keccak256(&node)), "seed {seed}");
    }
}
