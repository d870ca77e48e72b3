//! Many nodes at once on x86-64: four with AVX2, eight with AVX-512.
//!
//! A function compiled for instructions that the processor lacks must not be called; each is called
//! in one place, where the processor was found to have them. That, and taking a vector
//! for the array of integers it is, is all that is unsafe in this crate.

#![allow(unsafe_code, reason = "vector instructions; see above")]

use crate::{Hash, Node, NodeHasher, RATE};

/// Fewer nodes than this are hashed one by one: a vector of any number costs about two of them.
const WORTH_A_VECTOR: usize = 2;

/// Hashes nodes from the front, as far as vectors are worth it; returns how many those were.
pub(crate) fn hash_front(nodes: &[Node], hashes: &mut [Hash]) -> usize {
    if nodes.len() < WORTH_A_VECTOR {
        return 0;
    }
    match node_hasher() {
        NodeHasher::Avx512 => {
            // SAFETY: the processor has AVX-512F.
            hash_groups(nodes, hashes, |nodes, hashes| unsafe { avx512::hash_8(nodes, hashes) })
        }
        NodeHasher::Avx2 => {
            // SAFETY: the processor has AVX2.
            hash_groups(nodes, hashes, |nodes, hashes| unsafe { avx2::hash_4(nodes, hashes) })
        }
        NodeHasher::Portable => 0,
    }
}

/// The best that the processor has.
pub(crate) fn node_hasher() -> NodeHasher {
    if std::is_x86_feature_detected!("avx512f") {
        NodeHasher::Avx512
    } else if std::is_x86_feature_detected!("avx2") {
        NodeHasher::Avx2
    } else {
        NodeHasher::Portable
    }
}

/// Applies `hash` to groups of `N`, the last one filled up with zeroes if it is worth that.
fn hash_groups<const N: usize>(
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
fn lane(node: &Node, lane: usize) -> i64 {
    i64::from_le_bytes(node.as_chunks().0[lane])
}

/// The padding of a 64-byte message: lane 8, and the last lane of the block.
const PADDING: [(usize, u64); 2] = [(8, 0x01), (RATE / 8 - 1, 1 << 63)];

/// Defines `hash_N` for vectors of N lanes, from the operations in scope.
macro_rules! hash_function {
    ($name:ident, $feature:literal, $width:literal, $vector:ty) => {
        /// Hashes one node in each lane.
        #[target_feature(enable = $feature)]
        pub(super) fn $name(nodes: &[Node; $width], hashes: &mut [Hash; $width]) {
            let mut state = [splat(0); 25];
            for place in 0..8 {
                state[place] = gather(std::array::from_fn(|i| lane(&nodes[i], place)));
            }
            for (place, bits) in PADDING {
                state[place] = splat(bits);
            }
            let state = permuted!(state);
            for (place, vector) in state[..4].iter().enumerate() {
                // SAFETY: the vector is that many 64-bit integers, all bits of which mean something.
                let lanes: [u64; $width] = unsafe { std::mem::transmute::<$vector, _>(*vector) };
                for (hash, lane) in hashes.iter_mut().zip(lanes) {
                    hash.as_chunks_mut().0[place] = lane.to_le_bytes();
                }
            }
        }
    };
}

mod avx512 {
    use std::arch::x86_64::{
        __m512i, _mm512_rol_epi64, _mm512_set_epi64, _mm512_set1_epi64, _mm512_ternarylogic_epi64,
        _mm512_xor_si512,
    };

    use super::*;
    use crate::permutation::permuted;

    hash_function!(hash_8, "avx512f", 8, __m512i);

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn gather(lanes: [i64; 8]) -> __m512i {
        let [a, b, c, d, e, f, g, h] = lanes;
        _mm512_set_epi64(h, g, f, e, d, c, b, a)
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn splat(constant: u64) -> __m512i {
        _mm512_set1_epi64(constant.cast_signed())
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn xor(a: __m512i, b: __m512i) -> __m512i {
        _mm512_xor_si512(a, b)
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn xor5(a: __m512i, b: __m512i, c: __m512i, d: __m512i, e: __m512i) -> __m512i {
        /// The truth table of `a ^ b ^ c`.
        const XOR: i32 = 0x96;
        _mm512_ternarylogic_epi64::<XOR>(_mm512_ternarylogic_epi64::<XOR>(a, b, c), d, e)
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn rol<const N: i32>(a: __m512i) -> __m512i {
        _mm512_rol_epi64::<N>(a)
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn chi(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        /// The truth table of `a ^ (!b & c)`.
        const CHI: i32 = 0xd2;
        _mm512_ternarylogic_epi64::<CHI>(a, b, c)
    }
}

mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm256_andnot_si256, _mm256_or_si256, _mm256_set_epi64x, _mm256_set1_epi64x,
        _mm256_sllv_epi64, _mm256_srlv_epi64, _mm256_xor_si256,
    };

    use super::*;
    use crate::permutation::permuted;

    hash_function!(hash_4, "avx2", 4, __m256i);

    #[target_feature(enable = "avx2")]
    #[inline]
    fn gather(lanes: [i64; 4]) -> __m256i {
        let [a, b, c, d] = lanes;
        _mm256_set_epi64x(d, c, b, a)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn splat(constant: u64) -> __m256i {
        _mm256_set1_epi64x(constant.cast_signed())
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn xor(a: __m256i, b: __m256i) -> __m256i {
        _mm256_xor_si256(a, b)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn xor5(a: __m256i, b: __m256i, c: __m256i, d: __m256i, e: __m256i) -> __m256i {
        xor(xor(xor(a, b), xor(c, d)), e)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn rol<const N: i64>(a: __m256i) -> __m256i {
        // The compiler makes immediate shifts of these, since the amounts are constants.
        let left = _mm256_sllv_epi64(a, _mm256_set1_epi64x(N));
        _mm256_or_si256(left, _mm256_srlv_epi64(a, _mm256_set1_epi64x(64 - N)))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn chi(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        xor(a, _mm256_andnot_si256(b, c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keccak256;

    fn check<const N: usize>(hash: impl Fn(&[Node; N], &mut [Hash; N])) {
        for seed in 0..50u8 {
            let nodes: [Node; N] =
                std::array::from_fn(|i| std::array::from_fn(|j| seed ^ (i * 37 + j * 11) as u8));
            let mut hashes = [[0; 32]; N];
            hash(&nodes, &mut hashes);
            assert_eq!(hashes, nodes.map(|node| keccak256(&node)), "seed {seed}");
        }
    }

    #[test]
    fn avx512_agrees_with_the_portable_permutation() {
        if std::is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512F.
            check(|nodes, hashes| unsafe { avx512::hash_8(nodes, hashes) });
        }
    }

    #[test]
    fn avx2_agrees_with_the_portable_permutation() {
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            check(|nodes, hashes| unsafe { avx2::hash_4(nodes, hashes) });
        }
    }
}
