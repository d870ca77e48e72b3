//! Keccak on x86-64: many nodes at once, four with AVX2 and eight with AVX-512, and one state with
//! AVX-512VL or BMI.
//!
//! One state has no use for the width of a vector. But there are 32 vectors, so that its 25 lanes stay
//! in registers, and χ is one instruction a lane.
//!
//! A function compiled for instructions that the processor lacks must not be called; each is called
//! in one place, where the processor was found to have them. That, and taking a vector
//! for the array of integers it is, is all that is unsafe here.

#![allow(unsafe_code, reason = "vector instructions; see above")]

use crate::permutation::{self, State};
use crate::vectors::{WORTH_A_VECTOR, hash_groups};
use crate::{Hash, Node, NodeHasher};

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
        NodeHasher::NeonSha3 | NodeHasher::Neon | NodeHasher::Portable => 0,
    }
}

/// The permutation of one state.
pub(crate) fn permute(state: &mut State) {
    if std::is_x86_feature_detected!("avx512vl") {
        // SAFETY: the processor has AVX-512VL, and with it AVX-512F.
        unsafe { avx512vl::permute(state) }
    } else if std::is_x86_feature_detected!("bmi1") && std::is_x86_feature_detected!("bmi2") {
        // SAFETY: the processor has BMI1 and BMI2.
        unsafe { bmi::permute(state) }
    } else {
        permutation::permute(state);
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

mod avx512vl {
    use std::arch::x86_64::{
        __m128i, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_rol_epi64, _mm_ternarylogic_epi64,
        _mm_xor_si128,
    };

    use super::avx512::{CHI, XOR};
    use crate::permutation::{State, permuted};

    /// The permutation, each lane in the lower half of a vector of its own.
    #[target_feature(enable = "avx512vl")]
    pub(super) fn permute(state: &mut State) {
        let vectors = permuted!(state.map(|lane| splat(lane)));
        for (lane, vector) in state.iter_mut().zip(vectors) {
            *lane = _mm_cvtsi128_si64(vector).cast_unsigned();
        }
    }

    #[target_feature(enable = "avx512vl")]
    #[inline]
    fn splat(lane: u64) -> __m128i {
        _mm_cvtsi64_si128(lane.cast_signed())
    }

    #[target_feature(enable = "avx512vl")]
    #[inline]
    fn xor(a: __m128i, b: __m128i) -> __m128i {
        _mm_xor_si128(a, b)
    }

    #[target_feature(enable = "avx512vl")]
    #[inline]
    fn xor5(a: __m128i, b: __m128i, c: __m128i, d: __m128i, e: __m128i) -> __m128i {
        _mm_ternarylogic_epi64::<XOR>(_mm_ternarylogic_epi64::<XOR>(a, b, c), d, e)
    }

    #[target_feature(enable = "avx512vl")]
    #[inline]
    fn xor_rolled(a: __m128i, b: __m128i) -> __m128i {
        xor(a, _mm_rol_epi64::<1>(b))
    }

    #[target_feature(enable = "avx512vl")]
    #[inline]
    fn xor_rol<const N: i32, const M: i32>(a: __m128i, b: __m128i) -> __m128i {
        _mm_rol_epi64::<N>(xor(a, b))
    }

    #[target_feature(enable = "avx512vl")]
    #[inline]
    fn chi(a: __m128i, b: __m128i, c: __m128i) -> __m128i {
        _mm_ternarylogic_epi64::<CHI>(a, b, c)
    }
}

mod bmi {
    use crate::permutation::{self, State};

    /// The portable permutation: with these instructions a rotation does not overwrite what it
    /// rotates, and `!b & c` is one of them.
    #[target_feature(enable = "bmi1,bmi2")]
    pub(super) fn permute(state: &mut State) {
        permutation::permute(state);
    }
}

mod avx512 {
    use std::arch::x86_64::{
        __m512i, _mm512_rol_epi64, _mm512_set_epi64, _mm512_set1_epi64, _mm512_ternarylogic_epi64,
        _mm512_xor_si512,
    };

    use crate::vectors::hash_function;

    /// The truth table of `a ^ b ^ c`.
    pub(super) const XOR: i32 = 0x96;

    /// The truth table of `a ^ (!b & c)`.
    pub(super) const CHI: i32 = 0xd2;

    hash_function!(hash_8, "avx512f", 8);

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn gather(lanes: [i64; 8]) -> __m512i {
        let [a, b, c, d, e, f, g, h] = lanes;
        _mm512_set_epi64(h, g, f, e, d, c, b, a)
    }

    fn lanes(vector: __m512i) -> [u64; 8] {
        // SAFETY: the vector is that many 64-bit integers, all bits of which mean something.
        unsafe { std::mem::transmute(vector) }
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
        _mm512_ternarylogic_epi64::<XOR>(_mm512_ternarylogic_epi64::<XOR>(a, b, c), d, e)
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn xor_rolled(a: __m512i, b: __m512i) -> __m512i {
        xor(a, _mm512_rol_epi64::<1>(b))
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn xor_rol<const N: i32, const M: i32>(a: __m512i, b: __m512i) -> __m512i {
        _mm512_rol_epi64::<N>(xor(a, b))
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn chi(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        _mm512_ternarylogic_epi64::<CHI>(a, b, c)
    }
}

mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm256_andnot_si256, _mm256_or_si256, _mm256_set_epi64x, _mm256_set1_epi64x,
        _mm256_slli_epi64, _mm256_srli_epi64, _mm256_xor_si256,
    };

    use crate::vectors::hash_function;

    hash_function!(hash_4, "avx2", 4);

    #[target_feature(enable = "avx2")]
    #[inline]
    fn gather(lanes: [i64; 4]) -> __m256i {
        let [a, b, c, d] = lanes;
        _mm256_set_epi64x(d, c, b, a)
    }

    fn lanes(vector: __m256i) -> [u64; 4] {
        // SAFETY: the vector is that many 64-bit integers, all bits of which mean something.
        unsafe { std::mem::transmute(vector) }
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
    fn rol<const N: i32, const M: i32>(a: __m256i) -> __m256i {
        _mm256_or_si256(_mm256_slli_epi64::<N>(a), _mm256_srli_epi64::<M>(a))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn xor_rolled(a: __m256i, b: __m256i) -> __m256i {
        xor(a, rol::<1, 63>(b))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn xor_rol<const N: i32, const M: i32>(a: __m256i, b: __m256i) -> __m256i {
        rol::<N, M>(xor(a, b))
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
    use crate::vectors::check;

    #[test]
    fn one_state_with_avx512vl_agrees_with_the_portable_permutation() {
        if std::is_x86_feature_detected!("avx512vl") {
            // SAFETY: the processor has AVX-512VL.
            permutation::check(|state| unsafe { avx512vl::permute(state) });
        }
    }

    #[test]
    fn one_state_with_bmi_agrees_with_the_portable_permutation() {
        if std::is_x86_feature_detected!("bmi1") && std::is_x86_feature_detected!("bmi2") {
            // SAFETY: the processor has BMI1 and BMI2.
            permutation::check(|state| unsafe { bmi::permute(state) });
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
