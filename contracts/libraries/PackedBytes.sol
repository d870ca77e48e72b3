// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title PackedBytes
/// @notice Reads and writes the packed, big-endian fields of a witness where they lie in memory.
///         Part of a contract that behaves as the published MIPS64 1.10.1. No audit has been made.
/// @dev A witness is never unpacked: it is copied from calldata once, changed in place, and hashed.
///      This needs assembly, because Solidity reaches single bytes of `bytes memory`, but no words.
///      There are no bounds checks: offsets are constants of the layout, or a register below 32.
library PackedBytes {
    uint256 private constant WORD_MASK = 0xffff_ffff_ffff_ffff;

    function byteAt(bytes memory self, uint256 offset) internal pure returns (uint8 value) {
        assembly ("memory-safe") {
            value := byte(0, mload(add(add(self, 32), offset)))
        }
    }

    function setByteAt(bytes memory self, uint256 offset, uint8 value) internal pure {
        assembly ("memory-safe") {
            mstore8(add(add(self, 32), offset), value)
        }
    }

    /// @notice The 8 bytes at `offset`.
    /// @dev Looks at the 32 bytes that end with them: those before the first field are the length.
    function wordAt(bytes memory self, uint256 offset) internal pure returns (uint64 value) {
        assembly ("memory-safe") {
            value := and(mload(add(add(self, 8), offset)), WORD_MASK)
        }
    }

    function setWordAt(bytes memory self, uint256 offset, uint64 value) internal pure {
        assembly ("memory-safe") {
            let place := add(add(self, 8), offset)
            mstore(place, or(and(mload(place), not(WORD_MASK)), and(value, WORD_MASK)))
        }
    }

    /// @notice The 32 bytes at `offset`.
    function hashAt(bytes memory self, uint256 offset) internal pure returns (bytes32 value) {
        assembly ("memory-safe") {
            value := mload(add(add(self, 32), offset))
        }
    }

    function setHashAt(bytes memory self, uint256 offset, bytes32 value) internal pure {
        assembly ("memory-safe") {
            mstore(add(add(self, 32), offset), value)
        }
    }
}
