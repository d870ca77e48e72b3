//! What many nodes are hashed with.
//!
//! Knows the names, and asks whoever knows this processor. Knows no instruction.

#[cfg(all(feature = "std", target_arch = "aarch64"))]
pub(crate) use crate::aarch64::{hash_front, node_hasher};
#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub(crate) use crate::x86::{hash_front, node_hasher};

/// What [`hash_nodes`](crate::hash_nodes) hashes many nodes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeHasher {
    /// Eight at once.
    Avx512,
    /// Four at once.
    Avx2,
    /// Two at once, in fewer instructions than [`NodeHasher::Neon`].
    NeonSha3,
    /// Two at once.
    Neon,
    /// One by one.
    Portable,
}

impl NodeHasher {
    /// The one that is used here.
    pub fn here() -> Self {
        node_hasher()
    }

    /// As its makers write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "AVX-512",
            Self::Avx2 => "AVX2",
            Self::NeonSha3 => "NEON with SHA-3",
            Self::Neon => "NEON",
            Self::Portable => "portable",
        }
    }
}

/// No vectors: nothing of `nodes` is hashed by them.
#[cfg(not(all(feature = "std", any(target_arch = "aarch64", target_arch = "x86_64"))))]
pub(crate) fn hash_front(_nodes: &[crate::Node], _hashes: &mut [crate::Hash]) -> usize {
    0
}

#[cfg(not(all(feature = "std", any(target_arch = "aarch64", target_arch = "x86_64"))))]
fn node_hasher() -> NodeHasher {
    NodeHasher::Portable
}
