// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice A part that begins past the end of its preimage, or is not there as a whole.
error PartOffsetOOB();

/// @title PreimageParts
/// @notice The 32 bytes from any offset of a preimage behind its length as 8 bytes. What would lie
///         past its end is zero.
///         Part of a contract that behaves as the published PreimageOracle 1.1.5. No audit has been
///         made.
library PreimageParts {
    /// @notice Bytes of the length in front of a preimage.
    uint256 internal constant PREFIX = 8;

    /// @notice A part of a preimage that is there as a whole.
    function part(bytes calldata preimage, uint256 offset) internal pure returns (bytes32) {
        checkOffset(preimage.length, offset);
        return offset < PREFIX
            ? withPrefix(preimage.length, bytes32(preimage), offset)
            : bytes32(preimage[offset - PREFIX:]);
    }

    /// @notice A part of a preimage that is the first `size` bytes of a word.
    function part(uint256 size, bytes32 word, uint256 offset) internal pure returns (bytes32) {
        checkOffset(size, offset);
        return offset < PREFIX ? withPrefix(size, word, offset) : word << (8 * (offset - PREFIX));
    }

    /// @notice Refuses a part that begins past the end of a preimage of `size` bytes.
    function checkOffset(uint256 size, uint256 offset) internal pure {
        if (offset >= size + PREFIX) revert PartOffsetOOB();
    }

    /// @notice A part that begins within the length.
    /// @param start The first bytes of the preimage.
    function withPrefix(uint256 size, bytes32 start, uint256 offset) internal pure returns (bytes32) {
        unchecked {
            return bytes32(size << (192 + 8 * offset)) | start >> (64 - 8 * offset);
        }
    }
}
