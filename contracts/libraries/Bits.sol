// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Bits
/// @notice Parts of 64-bit words.
///         Part of a contract that behaves as the published MIPS64 1.10.1. No audit has been made.
library Bits {
    function low32(uint64 value) internal pure returns (uint64) {
        return uint32(value);
    }

    function signExtend8(uint64 value) internal pure returns (uint64) {
        return uint64(int64(int8(uint8(value))));
    }

    function signExtend16(uint64 value) internal pure returns (uint64) {
        return uint64(int64(int16(uint16(value))));
    }

    function signExtend32(uint64 value) internal pure returns (uint64) {
        return uint64(int64(int32(uint32(value))));
    }

    /// @notice How many zero bits stand above the highest bit that is set; 64 if none is.
    function leadingZeros(uint64 value) internal pure returns (uint64 count) {
        unchecked {
            if (value == 0) return 64;
            for (uint64 half = 32; half != 0; half >>= 1) {
                if (value >> (64 - half) == 0) {
                    value <<= half;
                    count += half;
                }
            }
        }
    }
}
