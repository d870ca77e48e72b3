// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice Where a large preimage proposal stands, in one word, from its highest bits on:
///         when it was finalized (64 bits, in seconds, 0 before), the offset of the part it is for
///         (32), the size that was claimed (32), keccak256 blocks added, padding counted (32), bytes
///         added (32), whether a challenge has succeeded (64).
/// @dev Part of a contract that behaves as the published PreimageOracle 1.1.5. No audit has been made.
type Proposal is bytes32;

using {
    finalizedAt,
    partOffset,
    claimedSize,
    blocksProcessed,
    bytesProcessed,
    countered,
    withAdded,
    withFinalizedAt,
    withCountered
} for Proposal global;

function newProposal(uint32 offset, uint32 size) pure returns (Proposal) {
    return Proposal.wrap(bytes32(uint256(offset) << 160 | uint256(size) << 128));
}

function finalizedAt(Proposal self) pure returns (uint64) {
    return uint64(uint256(Proposal.unwrap(self)) >> 192);
}

function partOffset(Proposal self) pure returns (uint32) {
    return uint32(uint256(Proposal.unwrap(self)) >> 160);
}

function claimedSize(Proposal self) pure returns (uint32) {
    return uint32(uint256(Proposal.unwrap(self)) >> 128);
}

function blocksProcessed(Proposal self) pure returns (uint32) {
    return uint32(uint256(Proposal.unwrap(self)) >> 96);
}

function bytesProcessed(Proposal self) pure returns (uint32) {
    return uint32(uint256(Proposal.unwrap(self)) >> 64);
}

function countered(Proposal self) pure returns (bool) {
    return uint64(uint256(Proposal.unwrap(self))) != 0;
}

/// @notice With what was added so far, in all.
function withAdded(Proposal self, uint32 blocks, uint32 size) pure returns (Proposal) {
    uint256 kept = uint256(Proposal.unwrap(self)) & ~(uint256(type(uint64).max) << 64);
    return Proposal.wrap(bytes32(kept | uint256(blocks) << 96 | uint256(size) << 64));
}

/// @notice Of a proposal that was not finalized before.
function withFinalizedAt(Proposal self, uint64 time) pure returns (Proposal) {
    return Proposal.wrap(Proposal.unwrap(self) | bytes32(uint256(time) << 192));
}

function withCountered(Proposal self) pure returns (Proposal) {
    return Proposal.wrap(Proposal.unwrap(self) | bytes32(uint256(1)));
}
