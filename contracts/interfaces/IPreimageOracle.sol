// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title IPreimageOracle
/// @notice What the MIPS64 machine asks of a preimage oracle, as the published PreimageOracle 1.1.5
///         answers it. No audit has been made of this file or of the contracts around it.
interface IPreimageOracle {
    /// @notice Up to 32 bytes of a preimage behind its length as 8 bytes, from `_offset` on.
    /// @return dat_ The bytes, left-aligned. What follows after `datLen_` bytes means nothing.
    /// @return datLen_ How many of them there are, 32 at most.
    function readPreimage(bytes32 _key, uint256 _offset) external view returns (bytes32 dat_, uint256 datLen_);
}
