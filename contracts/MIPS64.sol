// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IPreimageOracle} from "./interfaces/IPreimageOracle.sol";
import {Instructions} from "./libraries/Instructions.sol";
import {MemoryProofs} from "./libraries/MemoryProofs.sol";
import {PackedBytes} from "./libraries/PackedBytes.sol";
import {StateWitness} from "./libraries/StateWitness.sol";
import {Syscalls} from "./libraries/Syscalls.sol";
import {ThreadWitness} from "./libraries/ThreadWitness.sol";

/// @title MIPS64
/// @notice Takes one step of a fault proof program, over a witness of the machine's state.
///
///         Behaves as the published MIPS64 1.10.1 with state version 8, which `version` therefore
///         names. It is another implementation, and no audit of it has been made.
/// @dev The parts: `StateWitness` and `ThreadWitness` have the layouts, `MemoryProofs` the memory,
///      `Instructions`, `LoadStore` and `Syscalls` what a step does.
contract MIPS64 {
    using PackedBytes for bytes;
    using StateWitness for bytes;
    using ThreadWitness for bytes;

    /// @notice Any state version but 8 was asked for.
    error UnsupportedStateVersion();
    /// @notice The exited byte of the state is neither 0 nor 1.
    error InvalidExitedValue();
    /// @notice pc is not divisible by 4.
    error InvalidPC();

    string public constant version = "1.10.1";

    uint256 private constant SUPPORTED_STATE_VERSION = 8;

    /// @notice Where canonical encoding of the arguments puts the state and the proof in calldata.
    uint256 private constant STATE_OFFSET = 4 + 3 * 32 + 32;
    uint256 private constant PROOF_OFFSET = STATE_OFFSET + 192 + 32;

    /// @notice Steps a thread may take before another one's turn.
    uint64 private constant QUANTUM = 100_000;

    IPreimageOracle private immutable ORACLE;
    uint256 private immutable STATE_VERSION;

    constructor(IPreimageOracle _oracle, uint256 _stateVersion) {
        if (_stateVersion != SUPPORTED_STATE_VERSION) revert UnsupportedStateVersion();
        ORACLE = _oracle;
        STATE_VERSION = _stateVersion;
    }

    /// @notice Where preimages are read from.
    function oracle() external view returns (IPreimageOracle oracle_) {
        oracle_ = ORACLE;
    }

    /// @notice The version of the states it takes.
    function stateVersion() external view returns (uint256 stateVersion_) {
        stateVersion_ = STATE_VERSION;
    }

    /// @notice Takes one step. Reverts if the program can take none, or if it is not proven.
    /// @param _stateData The witness of the state before.
    /// @param _proof The active thread (298 bytes), the root of its stack without it (32), then as
    ///        many memory proofs (1,920 each) as the step looks at: of the instruction, of the word
    ///        it reads or writes, of a second word that it writes.
    /// @param _localContext Tells the local inputs of one dispute from those of another.
    /// @return postState_ The hash of the state after. Its witness is logged, without a topic.
    function step(bytes calldata _stateData, bytes calldata _proof, bytes32 _localContext)
        external
        returns (bytes32 postState_)
    {
        _checkLayout(_stateData, _proof);
        bytes memory state = _stateData;
        uint8 exited = state.byteAt(StateWitness.EXITED);
        if (exited > 1) revert InvalidExitedValue();
        if (exited == 0) _step(state, _proof, _localContext);
        require(
            state.hashAt(state.activeStack()) != StateWitness.EMPTY_STACK,
            "MIPS64: post-state active thread stack is empty"
        );
        // Assembly, because an event without topics would still be ABI-encoded.
        assembly ("memory-safe") {
            log0(add(state, 32), mload(state))
        }
        return state.stateHash();
    }

    /// @notice There is one encoding of a step only: offsets and the size of the state are fixed.
    function _checkLayout(bytes calldata stateData, bytes calldata proof) private pure {
        uint256 stateOffset;
        uint256 proofOffset;
        // Assembly, because Solidity does not say where in calldata an argument lies.
        assembly ("memory-safe") {
            stateOffset := stateData.offset
            proofOffset := proof.offset
        }
        if (stateOffset != STATE_OFFSET || proofOffset != PROOF_OFFSET || stateData.length != StateWitness.SIZE) {
            revert();
        }
    }

    /// @notice The step of a program that has not exited: of the scheduler, or an instruction.
    function _step(bytes memory state, bytes calldata proof, bytes32 localContext) private view {
        bytes32 active = state.hashAt(state.activeStack());
        require(active != StateWitness.EMPTY_STACK, "MIPS64: active thread stack is empty");
        _increment(state, StateWitness.STEP);

        require(proof.length >= ThreadWitness.SIZE + 32, "MIPS64: insufficient calldata for thread witness");
        bytes memory thread = proof[:ThreadWitness.SIZE];
        bytes32 below = bytes32(proof[ThreadWitness.SIZE:]);
        require(active == StateWitness.pushed(below, thread), "MIPS64: invalid thread witness");

        if (thread.byteAt(ThreadWitness.EXITED) != 0) return state.pop(below);
        if (state.wordAt(StateWitness.STEPS_SINCE_SWITCH) >= QUANTUM) return state.preempt(thread, below);
        _increment(state, StateWitness.STEPS_SINCE_SWITCH);

        uint32 instruction = _fetch(state, thread, proof);
        if (instruction >> 26 == Instructions.SPECIAL && instruction & 0x3f == Instructions.SYSCALL) {
            Syscalls.handle(state, thread, below, proof, localContext, ORACLE);
        } else {
            Instructions.execute(state, thread, instruction, proof);
            state.updateThread(thread, below);
        }
    }

    function _fetch(bytes memory state, bytes memory thread, bytes calldata proof) private pure returns (uint32) {
        uint64 pc = thread.wordAt(ThreadWitness.PC);
        if (pc & 3 != 0) revert InvalidPC();
        uint64 word = MemoryProofs.read(proof, MemoryProofs.INSTRUCTION, pc, state.memoryRoot());
        return pc & 4 == 0 ? uint32(word >> 32) : uint32(word);
    }

    function _increment(bytes memory state, uint256 field) private pure {
        unchecked {
            state.setWordAt(field, state.wordAt(field) + 1);
        }
    }
}
