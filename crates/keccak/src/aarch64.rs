//! Two nodes at once on aarch64, with NEON: in fewer instructions where those for SHA-3 are there.
//!
//! A function compiled for instructions that the processor lacks must not be called; each is called
//! in one place, where the processor was found to have them. That is all that is unsafe here.

#![allow(unsafe_code, reason = "vector instructions; see above")]

use std::arch::is_aarch64_feature_detected;

use crate::vectors::{WORTH_A_VECTOR, hash_groups};
use crate::{Hash, Node, NodeHasher};

/// Hashes nodes from the front, as far as vectors are worth it; returns how many those were.
pub(crate) fn hash_front(nodes: &[Node], hashes: &mut [Hash]) -> usize {
    if nodes.len() < WORTH_A_VECTOR {
        return 0;
    }
    match node_hasher() {
        NodeHasher::NeonSha3 => {
            // SAFETY: the processor has NEON and the SHA-3 instructions.
            hash_groups(nodes, hashes, |nodes, hashes| unsafe { sha3::hash_2(nodes, hashes) })
        }
        NodeHasher::Neon => {
            // SAFETY: the processor has NEON.
            hash_groups(nodes, hashes, |nodes, hashes| unsafe { neon::hash_2(nodes, hashes) })
        }
        NodeHasher::Avx512 | NodeHasher::Avx2 | NodeHasher::Portable => 0,
    }
}

/// The best that the processor has.
pub(crate) fn node_hasher() -> NodeHasher {
    if !is_aarch64_feature_detected!("neon") {
        NodeHasher::Portable
    } else if is_aarch64_feature_detected!("sha3") {
        NodeHasher::NeonSha3
    } else {
        NodeHasher::Neon
    }
}

/// What both have.
mod common {
    use std::arch::aarch64::{
        uint64x2_t, vcombine_u64, vcreate_u64, vdupq_n_u64, veorq_u64, vgetq_lane_u64,
    };

    #[target_feature(enable = "neon")]
    #[inline]
    pub(super) fn gather(lanes: [i64; 2]) -> uint64x2_t {
        let [a, b] = lanes.map(i64::cast_unsigned);
        vcombine_u64(vcreate_u64(a), vcreate_u64(b))
    }

    #[target_feature(enable = "neon")]
    #[inline]
    pub(super) fn lanes(vector: uint64x2_t) -> [u64; 2] {
        [vgetq_lane_u64::<0>(vector), vgetq_lane_u64::<1>(vector)]
    }

    #[target_feature(enable = "neon")]
    #[inline]
    pub(super) fn splat(constant: u64) -> uint64x2_t {
        vdupq_n_u64(constant)
    }

    #[target_feature(enable = "neon")]
    #[inline]
    pub(super) fn xor(a: uint64x2_t, b: uint64x2_t) -> uint64x2_t {
        veorq_u64(a, b)
    }
}

mod sha3 {
    use std::arch::aarch64::{uint64x2_t, vbcaxq_u64, veor3q_u64, vrax1q_u64, vxarq_u64};

    use super::common::{gather, lanes, splat, xor};
    use crate::vectors::hash_function;

    hash_function!(hash_2, "neon,sha3", 2);

    #[target_feature(enable = "neon,sha3")]
    #[inline]
    fn xor5(
        a: uint64x2_t,
        b: uint64x2_t,
        c: uint64x2_t,
        d: uint64x2_t,
        e: uint64x2_t,
    ) -> uint64x2_t {
        veor3q_u64(veor3q_u64(a, b, c), d, e)
    }

    #[target_feature(enable = "neon,sha3")]
    #[inline]
    fn xor_rolled(a: uint64x2_t, b: uint64x2_t) -> uint64x2_t {
        vrax1q_u64(a, b)
    }

    #[target_feature(enable = "neon,sha3")]
    #[inline]
    fn xor_rol<const N: i32, const M: i32>(a: uint64x2_t, b: uint64x2_t) -> uint64x2_t {
        // It turns to the right.
        vxarq_u64::<M>(a, b)
    }

    #[target_feature(enable = "neon,sha3")]
    #[inline]
    fn chi(a: uint64x2_t, b: uint64x2_t, c: uint64x2_t) -> uint64x2_t {
        // It negates its last operand.
        vbcaxq_u64(a, c, b)
    }
}

mod neon {
    use std::arch::aarch64::{uint64x2_t, vbicq_u64, vshlq_n_u64, vsriq_n_u64};

    use super::common::{gather, lanes, splat, xor};
    use crate::vectors::hash_function;

    hash_function!(hash_2, "neon", 2);

    #[target_feature(enable = "neon")]
    #[inline]
    fn xor5(
        a: uint64x2_t,
        b: uint64x2_t,
        c: uint64x2_t,
        d: uint64x2_t,
        e: uint64x2_t,
    ) -> uint64x2_t {
        xor(xor(xor(a, b), xor(c, d)), e)
    }

    #[target_feature(enable = "neon")]
    #[inline]
    fn rol<const N: i32, const M: i32>(a: uint64x2_t) -> uint64x2_t {
        vsriq_n_u64::<M>(vshlq_n_u64::<N>(a), a)
    }

    #[target_feature(enable = "neon")]
    #[inline]
    fn xor_rolled(a: uint64x2_t, b: uint64x2_t) -> uint64x2_t {
        xor(a, rol::<1, 63>(b))
    }

    #[target_feature(enable = "neon")]
    #[inline]
    fn xor_rol<const N: i32, const M: i32>(a: uint64x2_t, b: uint64x2_t) -> uint64x2_t {
        rol::<N, M>(xor(a, b))
    }

    #[target_feature(enable = "neon")]
    #[inline]
    fn chi(a: uint64x2_t, b: uint64x2_t, c: uint64x2_t) -> uint64x2_t {
        xor(a, vbicq_u64(c, b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::check;

    #[test]
    fn sha3_agrees_with_the_portable_permutation() {
        if is_aarch64_feature_detected!("sha3") {
            // SAFETY: the processor has NEON and the SHA-3 instructions.
            check(|nodes, hashes| unsafe { sha3::hash_2(nodes, hashes) });
        }
    }

    #[test]
    fn neon_agrees_with_the_portable_permutation() {
        if is_aarch64_feature_detected!("neon") {
            // SAFETY: the processor has NEON.
            check(|nodes, hashes| unsafe { neon::hash_2(nodes, hashes) });
        }
    }
}
