// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Merkle
/// @notice Binary trees of keccak256 nodes.
///         Part of contracts that behave as the published MIPS64 1.10.1 and PreimageOracle 1.1.5.
///         No audit has been made.
library Merkle {
    /// @notice keccak256(left ‖ right).
    function hashPair(bytes32 left, bytes32 right) internal pure returns (bytes32 node) {
        // Assembly, because `abi.encodePacked` would take new memory for each node of a proof.
        assembly ("memory-safe") {
            mstore(0, left)
            mstore(32, right)
            node := keccak256(0, 64)
        }
    }
}
