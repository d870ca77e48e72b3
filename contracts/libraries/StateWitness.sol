// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Merkle} from "./Merkle.sol";
import {PackedBytes} from "./PackedBytes.sol";

/// @title StateWitness
/// @notice The 188 bytes that a state hash commits to, and the thread stacks behind two of them.
///         Part of a contract that behaves as the published MIPS64 1.10.1. No audit has been made.
/// @dev Bytes that stand for booleans are kept as they are unless a step writes them: a direction
///      of 2 means right, and stays 2 until the direction turns.
library StateWitness {
    using PackedBytes for bytes;

    uint256 internal constant SIZE = 188;

    // Where the fields begin.
    uint256 internal constant MEMORY_ROOT = 0;
    uint256 internal constant PREIMAGE_KEY = 32;
    uint256 internal constant PREIMAGE_OFFSET = 64;
    uint256 internal constant HEAP = 72;
    uint256 internal constant RESERVATION_STATUS = 80;
    uint256 internal constant RESERVATION_ADDRESS = 81;
    uint256 internal constant RESERVATION_OWNER = 89;
    uint256 internal constant EXIT_CODE = 97;
    uint256 internal constant EXITED = 98;
    uint256 internal constant STEP = 99;
    uint256 internal constant STEPS_SINCE_SWITCH = 107;
    uint256 internal constant TRAVERSE_RIGHT = 115;
    uint256 internal constant LEFT_STACK = 116;
    uint256 internal constant RIGHT_STACK = 148;
    uint256 internal constant NEXT_THREAD_ID = 180;

    /// @notice The root of a stack without threads: keccak256 of 64 zero bytes.
    bytes32 internal constant EMPTY_STACK = 0xad3228b676f7d3cd4284a5443f17f1962b36e491b30a40b2405849e597ba5fb5;

    /// @notice What a state says of its program: the first byte of its hash.
    uint8 internal constant VALID = 0;
    uint8 internal constant INVALID = 1;
    uint8 internal constant PANIC = 2;
    uint8 internal constant UNFINISHED = 3;

    function memoryRoot(bytes memory state) internal pure returns (bytes32) {
        return state.hashAt(MEMORY_ROOT);
    }

    function setMemoryRoot(bytes memory state, bytes32 root) internal pure {
        state.setHashAt(MEMORY_ROOT, root);
    }

    /// @notice keccak256 of the witness, its first byte replaced by the status.
    function stateHash(bytes memory state) internal pure returns (bytes32) {
        uint8 status = UNFINISHED;
        if (state.byteAt(EXITED) == 1) {
            uint8 exitCode = state.byteAt(EXIT_CODE);
            status = exitCode == 0 ? VALID : exitCode == 1 ? INVALID : PANIC;
        }
        return bytes32(uint256(status) << 248 | uint256(keccak256(state)) & type(uint256).max >> 8);
    }

    /// @notice Ends the program.
    function exit(bytes memory state, uint8 exitCode) internal pure {
        state.setByteAt(EXITED, 1);
        state.setByteAt(EXIT_CODE, exitCode);
    }

    /// @notice Forgets a reservation of the word that holds `addr`, whoever made it: every store does.
    function clearReservationAt(bytes memory state, uint64 addr) internal pure {
        if ((state.wordAt(RESERVATION_ADDRESS) ^ addr) >> 3 == 0) clearReservation(state);
    }

    function clearReservation(bytes memory state) internal pure {
        state.setByteAt(RESERVATION_STATUS, 0);
        state.setWordAt(RESERVATION_ADDRESS, 0);
        state.setWordAt(RESERVATION_OWNER, 0);
    }

    /// @notice The place of the root of the stack whose top is the active thread.
    function activeStack(bytes memory state) internal pure returns (uint256) {
        return state.byteAt(TRAVERSE_RIGHT) == 0 ? LEFT_STACK : RIGHT_STACK;
    }

    function otherStack(bytes memory state) internal pure returns (uint256) {
        return state.byteAt(TRAVERSE_RIGHT) == 0 ? RIGHT_STACK : LEFT_STACK;
    }

    /// @notice The root of a stack once `thread` is on top of it.
    function pushed(bytes32 stack, bytes memory thread) internal pure returns (bytes32) {
        return Merkle.hashPair(stack, keccak256(thread));
    }

    /// @notice The active thread has changed, and is on top of its stack still.
    function updateThread(bytes memory state, bytes memory thread, bytes32 below) internal pure {
        state.setHashAt(activeStack(state), pushed(below, thread));
    }

    /// @notice Puts a thread on top of the active stack.
    function push(bytes memory state, bytes memory thread) internal pure {
        uint256 active = activeStack(state);
        state.setHashAt(active, pushed(state.hashAt(active), thread));
        state.setWordAt(STEPS_SINCE_SWITCH, 0);
    }

    /// @notice Takes the active thread off its stack, which is `below` without it.
    function pop(bytes memory state, bytes32 below) internal pure {
        state.setHashAt(activeStack(state), below);
        if (below == EMPTY_STACK) {
            state.setByteAt(TRAVERSE_RIGHT, state.byteAt(TRAVERSE_RIGHT) == 0 ? 1 : 0);
        }
        state.setWordAt(STEPS_SINCE_SWITCH, 0);
    }

    /// @notice Moves the active thread to the other stack.
    function preempt(bytes memory state, bytes memory thread, bytes32 below) internal pure {
        uint256 other = otherStack(state);
        state.setHashAt(other, pushed(state.hashAt(other), thread));
        pop(state, below);
    }
}
