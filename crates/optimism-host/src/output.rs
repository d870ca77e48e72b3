//! Output roots of version 0: what a claim about an L2 block commits to.

use tribunal_keccak::Hash;

/// The account whose storage holds the messages to L1: the message passer.
pub(crate) const MESSAGE_PASSER: [u8; 20] =
    [0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16];

/// What an output root is the keccak256 of: the version, which is 0, the state root, the storage root
/// of the message passer, the block hash.
pub fn output_preimage(state_root: &Hash, storage_root: &Hash, block_hash: &Hash) -> Vec<u8> {
    [&[0; 32][..], state_root, storage_root, block_hash].concat()
}
