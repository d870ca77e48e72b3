// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice A proof leads to another root than that of the memory.
error InvalidMemoryProof();

/// @title MemoryProofs
/// @notice Words of the machine's memory, read and written through Merkle proofs.
///         Part of a contract that behaves as the published MIPS64 1.10.1. No audit has been made.
/// @dev Leaves are 32 raw bytes of memory, their index is the address divided by 32. A proof is the
///      leaf, then its siblings from the bottom up.
library MemoryProofs {
    /// @notice Of the word that holds the instruction.
    uint256 internal constant INSTRUCTION = 0;
    /// @notice Of the word that the instruction reads or writes.
    uint256 internal constant ACCESS = 1;
    /// @notice Of a second word, in the memory that the first one was written to.
    uint256 internal constant SECOND_ACCESS = 2;

    uint256 private constant LEVELS = 59;
    uint256 private constant PROOF_BYTES = 32 * (1 + LEVELS);

    /// @notice Where proof 0 begins, behind the thread and the root of its stack without it.
    uint256 private constant FIRST_PROOF = 298 + 32;

    uint256 private constant WORD_MASK = 0xffff_ffff_ffff_ffff;

    /// @notice The 8 bytes that hold `addr`, from a memory with this root.
    function read(bytes calldata proof, uint256 which, uint64 addr, bytes32 root)
        internal
        pure
        returns (uint64 word)
    {
        bytes32 leaf = leafOf(proof, which);
        if (_climb(proof, which, addr, leaf) != root) revert InvalidMemoryProof();
        word = uint64(uint256(leaf) >> _shift(addr));
    }

    /// @notice The root of the memory once the 8 bytes that hold `addr` are `word`.
    /// @dev What was there before must have been read through the same proof.
    function write(bytes calldata proof, uint256 which, uint64 addr, uint64 word)
        internal
        pure
        returns (bytes32 root)
    {
        uint256 shift = _shift(addr);
        uint256 leaf = uint256(leafOf(proof, which)) & ~(WORD_MASK << shift) | uint256(word) << shift;
        root = _climb(proof, which, addr, bytes32(leaf));
    }

    /// @notice Whether a memory with this root has the proof's leaf at `addr`.
    function isOf(bytes calldata proof, uint256 which, uint64 addr, bytes32 root) internal pure returns (bool) {
        return _climb(proof, which, addr, leafOf(proof, which)) == root;
    }

    function leafOf(bytes calldata proof, uint256 which) internal pure returns (bytes32 leaf) {
        unchecked {
            uint256 start = FIRST_PROOF + which * PROOF_BYTES;
            require(proof.length >= start + PROOF_BYTES, "MIPS64Memory: check that there is enough calldata");
            leaf = bytes32(proof[start:start + 32]);
        }
    }

    /// @notice The root above `leaf`, of which `leafOf` has checked that its proof is there.
    function _climb(bytes calldata proof, uint256 which, uint64 addr, bytes32 leaf)
        private
        pure
        returns (bytes32 node)
    {
        uint256 siblings;
        unchecked {
            siblings = FIRST_PROOF + which * PROOF_BYTES + 32;
        }
        // Bit 5 is the lowest bit of the leaf's index: set if the node is a right child. A bit above
        // the address comes down to it once all levels are climbed.
        uint256 path = uint256(addr) | 1 << 64;
        // Assembly, because this loop is most of a step's gas: no bounds checks, no branch for the
        // side, and the two nodes meet in scratch memory.
        assembly ("memory-safe") {
            node := leaf
            let sibling := add(proof.offset, siblings)
            for {} gt(path, 63) {} {
                // Where a right child stands in scratch memory is what its bit is worth.
                let place := and(path, 32)
                mstore(xor(place, 32), calldataload(sibling))
                mstore(place, node)
                node := keccak256(0, 64)
                path := shr(1, path)
                sibling := add(sibling, 32)
            }
        }
    }

    /// @notice Bits below the word that holds `addr` within its leaf.
    function _shift(uint64 addr) private pure returns (uint256) {
        unchecked {
            return 8 * (24 - (addr & 24));
        }
    }
}
