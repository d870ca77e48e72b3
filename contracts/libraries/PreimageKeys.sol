// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title PreimageKeys
/// @notice The 32-byte names of preimages: a kind in the first byte, then 31 bytes of a hash.
///         Part of contracts that behave as the published MIPS64 1.10.1 and PreimageOracle 1.1.5.
///         No audit has been made.
library PreimageKeys {
    uint8 internal constant LOCAL = 1;
    uint8 internal constant KECCAK256 = 2;
    uint8 internal constant SHA256 = 4;
    uint8 internal constant BLOB = 5;
    uint8 internal constant PRECOMPILE = 6;

    /// @notice `digest` with its first byte replaced.
    function ofKind(uint8 kind, bytes32 digest) internal pure returns (bytes32) {
        return bytes32(uint256(kind) << 248 | uint256(digest) & type(uint256).max >> 8);
    }

    function isLocal(bytes32 key) internal pure returns (bool) {
        return uint8(key[0]) == LOCAL;
    }

    /// @notice The key under which a local input of the caller is kept: other callers, and other
    ///         contexts of the same one, have their own.
    function localized(bytes32 key, bytes32 localContext) internal view returns (bytes32) {
        return ofKind(LOCAL, keccak256(abi.encode(key, msg.sender, localContext)));
    }
}
