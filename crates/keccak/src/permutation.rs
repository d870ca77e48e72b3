//! Keccak-f\[1600\], once: 24 rounds over 25 lanes, as a macro over what a lane can do.
//!
//! A lane is a `u64`, or a vector that holds the same lane of several states. Whoever expands the
//! macro has these functions in scope: `xor`, `xor5`, `xor_rolled(a, b)`, which is `a ^ rol(b, 1)`,
//! `xor_rol::<N, M>(a, b)`, which is `rol(a ^ b, N)`, or to the right by `M`, which is `64 - N`,
//! `chi(a, b, c)`, which is `a ^ (!b & c)`, and `splat(constant)`.

/// 25 lanes, lane (x, y) at `x + 5 * y`.
pub(crate) type State = [u64; 25];

pub(crate) const ROUND_CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// The permutation of `$state`, an array of 25 lanes.
#[cfg(any(not(target_os = "none"), test))]
macro_rules! permuted {
    ($state:expr) => {{
        let mut a = $state;
        for constant in $crate::permutation::ROUND_CONSTANTS {
            // θ
            let c = [
                xor5(a[0], a[5], a[10], a[15], a[20]),
                xor5(a[1], a[6], a[11], a[16], a[21]),
                xor5(a[2], a[7], a[12], a[17], a[22]),
                xor5(a[3], a[8], a[13], a[18], a[23]),
                xor5(a[4], a[9], a[14], a[19], a[24]),
            ];
            let d = [
                xor_rolled(c[4], c[1]),
                xor_rolled(c[0], c[2]),
                xor_rolled(c[1], c[3]),
                xor_rolled(c[2], c[4]),
                xor_rolled(c[3], c[0]),
            ];

            // ρ and π: the lane at (x, y) moves to (y, 2x + 3y); `b` is the state after them.
            let b = [
                xor(a[0], d[0]),
                xor_rol::<44, 20>(a[6], d[1]),
                xor_rol::<43, 21>(a[12], d[2]),
                xor_rol::<21, 43>(a[18], d[3]),
                xor_rol::<14, 50>(a[24], d[4]),
                xor_rol::<28, 36>(a[3], d[3]),
                xor_rol::<20, 44>(a[9], d[4]),
                xor_rol::<3, 61>(a[10], d[0]),
                xor_rol::<45, 19>(a[16], d[1]),
                xor_rol::<61, 3>(a[22], d[2]),
                xor_rol::<1, 63>(a[1], d[1]),
                xor_rol::<6, 58>(a[7], d[2]),
                xor_rol::<25, 39>(a[13], d[3]),
                xor_rol::<8, 56>(a[19], d[4]),
                xor_rol::<18, 46>(a[20], d[0]),
                xor_rol::<27, 37>(a[4], d[4]),
                xor_rol::<36, 28>(a[5], d[0]),
                xor_rol::<10, 54>(a[11], d[1]),
                xor_rol::<15, 49>(a[17], d[2]),
                xor_rol::<56, 8>(a[23], d[3]),
                xor_rol::<62, 2>(a[2], d[2]),
                xor_rol::<55, 9>(a[8], d[3]),
                xor_rol::<39, 25>(a[14], d[4]),
                xor_rol::<41, 23>(a[15], d[0]),
                xor_rol::<2, 62>(a[21], d[1]),
            ];

            // χ, row by row, and ι
            a = [
                xor(chi(b[0], b[1], b[2]), splat(constant)),
                chi(b[1], b[2], b[3]),
                chi(b[2], b[3], b[4]),
                chi(b[3], b[4], b[0]),
                chi(b[4], b[0], b[1]),
                chi(b[5], b[6], b[7]),
                chi(b[6], b[7], b[8]),
                chi(b[7], b[8], b[9]),
                chi(b[8], b[9], b[5]),
                chi(b[9], b[5], b[6]),
                chi(b[10], b[11], b[12]),
                chi(b[11], b[12], b[13]),
                chi(b[12], b[13], b[14]),
                chi(b[13], b[14], b[10]),
                chi(b[14], b[10], b[11]),
                chi(b[15], b[16], b[17]),
                chi(b[16], b[17], b[18]),
                chi(b[17], b[18], b[19]),
                chi(b[18], b[19], b[15]),
                chi(b[19], b[15], b[16]),
                chi(b[20], b[21], b[22]),
                chi(b[21], b[22], b[23]),
                chi(b[22], b[23], b[24]),
                chi(b[23], b[24], b[20]),
                chi(b[24], b[20], b[21]),
            ];
        }
        a
    }};
}

#[cfg(all(feature = "std", any(target_arch = "aarch64", target_arch = "x86_64")))]
pub(crate) use permuted;

/// The permutation of one state, on any processor, and with what the caller was compiled for.
#[cfg(any(not(target_os = "none"), test))]
#[inline(always)]
pub(crate) fn permute(state: &mut State) {
    fn xor(a: u64, b: u64) -> u64 {
        a ^ b
    }

    fn xor5(a: u64, b: u64, c: u64, d: u64, e: u64) -> u64 {
        a ^ b ^ c ^ d ^ e
    }

    fn xor_rolled(a: u64, b: u64) -> u64 {
        a ^ b.rotate_left(1)
    }

    fn xor_rol<const N: u32, const M: u32>(a: u64, b: u64) -> u64 {
        const { assert!(N + M == 64, "to the left by one is to the right by the other") }
        (a ^ b).rotate_left(N)
    }

    fn chi(a: u64, b: u64, c: u64) -> u64 {
        a ^ (!b & c)
    }

    fn splat(constant: u64) -> u64 {
        constant
    }

    *state = permuted!(*state);
}

/// Asserts that another permutation does what the one of any processor does.
#[cfg(test)]
pub(crate) fn check(other: impl Fn(&mut State)) {
    let mut state: State = core::array::from_fn(|i| i as u64);
    for _ in 0..1000 {
        let mut expected = state;
        permute(&mut expected);
        other(&mut state);
        assert_eq!(state, expected);
    }
}
