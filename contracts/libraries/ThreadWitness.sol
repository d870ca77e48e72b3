// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {PackedBytes} from "./PackedBytes.sol";

/// @title ThreadWitness
/// @notice The 298 bytes of a thread.
///         Part of a contract that behaves as the published MIPS64 1.10.1. No audit has been made.
library ThreadWitness {
    using PackedBytes for bytes;

    uint256 internal constant SIZE = 298;

    // Where the fields begin.
    uint256 internal constant ID = 0;
    uint256 internal constant EXIT_CODE = 8;
    uint256 internal constant EXITED = 9;
    uint256 internal constant PC = 10;
    uint256 internal constant NEXT_PC = 18;
    uint256 internal constant LO = 26;
    uint256 internal constant HI = 34;
    uint256 internal constant REGISTERS = 42;

    /// @notice The register of return addresses.
    uint256 internal constant RA = 31;

    function register(bytes memory thread, uint256 number) internal pure returns (uint64) {
        unchecked {
            return thread.wordAt(REGISTERS + 8 * number);
        }
    }

    /// @notice Whatever its number: see `setResult`.
    function setRegister(bytes memory thread, uint256 number, uint64 value) internal pure {
        unchecked {
            thread.setWordAt(REGISTERS + 8 * number, value);
        }
    }

    /// @notice Nothing writes register 0. A thread in which it is not 0 keeps that.
    function setResult(bytes memory thread, uint256 number, uint64 value) internal pure {
        if (number != 0) setRegister(thread, number, value);
    }

    /// @notice Moves on to the next instruction.
    function advance(bytes memory thread) internal pure {
        unchecked {
            uint64 next = thread.wordAt(NEXT_PC);
            thread.setWordAt(PC, next);
            thread.setWordAt(NEXT_PC, next + 4);
        }
    }

    /// @notice Moves on into the delay slot, and from there to `target`.
    function advanceTo(bytes memory thread, uint64 target) internal pure {
        thread.setWordAt(PC, thread.wordAt(NEXT_PC));
        thread.setWordAt(NEXT_PC, target);
    }

    /// @notice Whether the instruction is the one behind a branch.
    function inDelaySlot(bytes memory thread) internal pure returns (bool) {
        unchecked {
            return thread.wordAt(NEXT_PC) != thread.wordAt(PC) + 4;
        }
    }
}
