// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Keccak
/// @notice keccak256 block by block, for preimages too large to be hashed in one transaction.
///         Part of a contract that behaves as the published PreimageOracle 1.1.5. No audit has been
///         made.
library Keccak {
    /// @notice Bytes absorbed with each permutation.
    uint256 internal constant BLOCK = 136;

    /// @notice The sponge: lane x + 5·y, as the number its 8 little-endian bytes are.
    struct StateMatrix {
        uint64[25] state;
    }

    /// @notice What commits to a sponge.
    function commitment(StateMatrix memory matrix) internal pure returns (bytes32) {
        return keccak256(abi.encode(matrix));
    }

    /// @notice Writes the first block of `input` to the start of `target`, or the rest with padding if
    ///         it is shorter than a block.
    function copyBlock(bytes memory target, bytes calldata input) internal pure {
        uint256 size = input.length < BLOCK ? input.length : BLOCK;
        // Assembly, because Solidity copies calldata to new memory only. Past the end of calldata
        // there are zeroes, but past the end of the input there may be anything.
        assembly ("memory-safe") {
            let start := add(target, 32)
            calldatacopy(start, input.offset, size)
            if lt(size, BLOCK) { calldatacopy(add(start, size), calldatasize(), sub(BLOCK, size)) }
        }
        if (size < BLOCK) {
            target[size] = 0x01;
            target[BLOCK - 1] |= 0x80;
        }
    }

    /// @notice Absorbs one block: the first 136 bytes of `input`, of which there are as many in every
    ///         leaf of a proposal.
    function absorb(StateMatrix memory matrix, bytes calldata input) internal pure {
        for (uint256 lane = 0; lane < BLOCK / 8; lane++) {
            matrix.state[lane] ^= _reversed(uint64(bytes8(input[8 * lane:8 * lane + 8])));
        }
        permute(matrix.state);
    }

    /// @notice The digest of what was absorbed.
    function squeeze(StateMatrix memory matrix) internal pure returns (bytes32) {
        uint64[25] memory a = matrix.state;
        return bytes32(abi.encodePacked(_reversed(a[0]), _reversed(a[1]), _reversed(a[2]), _reversed(a[3])));
    }

    /// @notice keccak-f[1600].
    /// @dev A lane is named by its column and row: a20 is in column 2 of row 0.
    function permute(uint64[25] memory lanes) internal pure {
        uint256[24] memory constants = [
            uint256(0x0000000000000001), 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
            0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
            0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
            0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
            0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
            0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008
        ];
        uint256 a00 = lanes[0];
        uint256 a10 = lanes[1];
        uint256 a20 = lanes[2];
        uint256 a30 = lanes[3];
        uint256 a40 = lanes[4];
        uint256 a01 = lanes[5];
        uint256 a11 = lanes[6];
        uint256 a21 = lanes[7];
        uint256 a31 = lanes[8];
        uint256 a41 = lanes[9];
        uint256 a02 = lanes[10];
        uint256 a12 = lanes[11];
        uint256 a22 = lanes[12];
        uint256 a32 = lanes[13];
        uint256 a42 = lanes[14];
        uint256 a03 = lanes[15];
        uint256 a13 = lanes[16];
        uint256 a23 = lanes[17];
        uint256 a33 = lanes[18];
        uint256 a43 = lanes[19];
        uint256 a04 = lanes[20];
        uint256 a14 = lanes[21];
        uint256 a24 = lanes[22];
        uint256 a34 = lanes[23];
        uint256 a44 = lanes[24];
        for (uint256 round = 0; round < 24; round++) {
            uint256 c0 = a00 ^ a01 ^ a02 ^ a03 ^ a04;
            uint256 c1 = a10 ^ a11 ^ a12 ^ a13 ^ a14;
            uint256 c2 = a20 ^ a21 ^ a22 ^ a23 ^ a24;
            uint256 c3 = a30 ^ a31 ^ a32 ^ a33 ^ a34;
            uint256 c4 = a40 ^ a41 ^ a42 ^ a43 ^ a44;
            uint256 d0 = c4 ^ _rotated(c1, 1);
            uint256 d1 = c0 ^ _rotated(c2, 1);
            uint256 d2 = c1 ^ _rotated(c3, 1);
            uint256 d3 = c2 ^ _rotated(c4, 1);
            uint256 d4 = c3 ^ _rotated(c0, 1);
            uint256 b00 = a00 ^ d0;
            uint256 b10 = _rotated(a11 ^ d1, 44);
            uint256 b20 = _rotated(a22 ^ d2, 43);
            uint256 b30 = _rotated(a33 ^ d3, 21);
            uint256 b40 = _rotated(a44 ^ d4, 14);
            uint256 b01 = _rotated(a30 ^ d3, 28);
            uint256 b11 = _rotated(a41 ^ d4, 20);
            uint256 b21 = _rotated(a02 ^ d0, 3);
            uint256 b31 = _rotated(a13 ^ d1, 45);
            uint256 b41 = _rotated(a24 ^ d2, 61);
            uint256 b02 = _rotated(a10 ^ d1, 1);
            uint256 b12 = _rotated(a21 ^ d2, 6);
            uint256 b22 = _rotated(a32 ^ d3, 25);
            uint256 b32 = _rotated(a43 ^ d4, 8);
            uint256 b42 = _rotated(a04 ^ d0, 18);
            uint256 b03 = _rotated(a40 ^ d4, 27);
            uint256 b13 = _rotated(a01 ^ d0, 36);
            uint256 b23 = _rotated(a12 ^ d1, 10);
            uint256 b33 = _rotated(a23 ^ d2, 15);
            uint256 b43 = _rotated(a34 ^ d3, 56);
            uint256 b04 = _rotated(a20 ^ d2, 62);
            uint256 b14 = _rotated(a31 ^ d3, 55);
            uint256 b24 = _rotated(a42 ^ d4, 39);
            uint256 b34 = _rotated(a03 ^ d0, 41);
            uint256 b44 = _rotated(a14 ^ d1, 2);
            a00 = b00 ^ (~b10 & b20) ^ constants[round];
            a10 = b10 ^ (~b20 & b30);
            a20 = b20 ^ (~b30 & b40);
            a30 = b30 ^ (~b40 & b00);
            a40 = b40 ^ (~b00 & b10);
            a01 = b01 ^ (~b11 & b21);
            a11 = b11 ^ (~b21 & b31);
            a21 = b21 ^ (~b31 & b41);
            a31 = b31 ^ (~b41 & b01);
            a41 = b41 ^ (~b01 & b11);
            a02 = b02 ^ (~b12 & b22);
            a12 = b12 ^ (~b22 & b32);
            a22 = b22 ^ (~b32 & b42);
            a32 = b32 ^ (~b42 & b02);
            a42 = b42 ^ (~b02 & b12);
            a03 = b03 ^ (~b13 & b23);
            a13 = b13 ^ (~b23 & b33);
            a23 = b23 ^ (~b33 & b43);
            a33 = b33 ^ (~b43 & b03);
            a43 = b43 ^ (~b03 & b13);
            a04 = b04 ^ (~b14 & b24);
            a14 = b14 ^ (~b24 & b34);
            a24 = b24 ^ (~b34 & b44);
            a34 = b34 ^ (~b44 & b04);
            a44 = b44 ^ (~b04 & b14);
        }
        lanes[0] = uint64(a00);
        lanes[1] = uint64(a10);
        lanes[2] = uint64(a20);
        lanes[3] = uint64(a30);
        lanes[4] = uint64(a40);
        lanes[5] = uint64(a01);
        lanes[6] = uint64(a11);
        lanes[7] = uint64(a21);
        lanes[8] = uint64(a31);
        lanes[9] = uint64(a41);
        lanes[10] = uint64(a02);
        lanes[11] = uint64(a12);
        lanes[12] = uint64(a22);
        lanes[13] = uint64(a32);
        lanes[14] = uint64(a42);
        lanes[15] = uint64(a03);
        lanes[16] = uint64(a13);
        lanes[17] = uint64(a23);
        lanes[18] = uint64(a33);
        lanes[19] = uint64(a43);
        lanes[20] = uint64(a04);
        lanes[21] = uint64(a14);
        lanes[22] = uint64(a24);
        lanes[23] = uint64(a34);
        lanes[24] = uint64(a44);
    }

    function _rotated(uint256 lane, uint256 by) private pure returns (uint256) {
        return (lane << by | lane >> (64 - by)) & type(uint64).max;
    }

    /// @notice The same 8 bytes in the other order.
    function _reversed(uint64 value) private pure returns (uint64) {
        value = value << 8 & 0xff00_ff00_ff00_ff00 | value >> 8 & 0x00ff_00ff_00ff_00ff;
        value = value << 16 & 0xffff_0000_ffff_0000 | value >> 16 & 0x0000_ffff_0000_ffff;
        return value << 32 | value >> 32;
    }
}
