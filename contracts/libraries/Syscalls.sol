// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IPreimageOracle} from "../interfaces/IPreimageOracle.sol";
import {InvalidMemoryProof, MemoryProofs} from "./MemoryProofs.sol";
import {PackedBytes} from "./PackedBytes.sol";
import {PreimageKeys} from "./PreimageKeys.sol";
import {StateWitness} from "./StateWitness.sol";
import {ThreadWitness} from "./ThreadWitness.sol";

/// @notice The second memory proof does not belong to the memory that the first word was written to.
error InvalidSecondMemoryProof();

/// @title Syscalls
/// @notice The part of Linux (n64 ABI) that the machine has.
///         Part of a contract that behaves as the published MIPS64 1.10.1. No audit has been made.
/// @dev A result goes to $2 and 0 to $7; an error number goes to $2 and all ones to $7.
library Syscalls {
    using PackedBytes for bytes;
    using StateWitness for bytes;
    using ThreadWitness for bytes;

    uint64 private constant READ = 5000;
    uint64 private constant WRITE = 5001;
    uint64 private constant OPEN = 5002;
    uint64 private constant MMAP = 5009;
    uint64 private constant BRK = 5012;
    uint64 private constant SCHED_YIELD = 5023;
    uint64 private constant NANOSLEEP = 5034;
    uint64 private constant GETPID = 5038;
    uint64 private constant CLONE = 5055;
    uint64 private constant EXIT = 5058;
    uint64 private constant FCNTL = 5070;
    uint64 private constant GETTID = 5178;
    uint64 private constant FUTEX = 5194;
    uint64 private constant EXIT_GROUP = 5205;
    uint64 private constant CLOCK_GETTIME = 5222;
    uint64 private constant EVENTFD2 = 5284;
    uint64 private constant GETRANDOM = 5313;

    /// @notice Numbers from 5000 on that succeed and do nothing, a bit for each: close, stat, fstat,
    ///         lseek, mprotect, munmap, rt_sigaction, rt_sigprocmask, ioctl, pread64, mincore, madvise,
    ///         setitimer, uname, readlink, getrlimit, getuid, getgid, sigaltstack, sched_getaffinity,
    ///         epoll_ctl, timer_create, timer_settime, timer_delete, tgkill, openat.
    uint256 private constant NO_OPS_FROM_5000 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 10 | 1 << 11 | 1 << 13
        | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 26 | 1 << 27 | 1 << 36 | 1 << 61 | 1 << 87 | 1 << 95 | 1 << 100 | 1 << 102
        | 1 << 129 | 1 << 196 | 1 << 208 | 1 << 216 | 1 << 217 | 1 << 220 | 1 << 225 | 1 << 247;
    /// @notice Numbers from 5256 on: readlinkat, epoll_pwait, epoll_create1, pipe2, prlimit64.
    uint256 private constant NO_OPS_FROM_5256 = 1 << 1 | 1 << 16 | 1 << 29 | 1 << 31 | 1 << 41;

    // Registers.
    uint256 private constant V0 = 2;
    uint256 private constant A0 = 4;
    uint256 private constant A1 = 5;
    uint256 private constant A2 = 6;
    uint256 private constant A3 = 7;
    uint256 private constant SP = 29;

    // File descriptors.
    uint64 private constant STDIN = 0;
    uint64 private constant STDOUT = 1;
    uint64 private constant STDERR = 2;
    uint64 private constant HINT_READ = 3;
    uint64 private constant HINT_WRITE = 4;
    uint64 private constant PREIMAGE_READ = 5;
    uint64 private constant PREIMAGE_WRITE = 6;
    uint64 private constant EVENT = 100;

    // Error numbers, and what $7 holds then.
    uint64 private constant EBADF = 0x9;
    uint64 private constant EAGAIN = 0xb;
    uint64 private constant EINVAL = 0x16;
    uint64 private constant ERROR_SIGNAL = type(uint64).max;

    uint64 private constant PROGRAM_BREAK = 0x0000_4000_0000_0000;
    uint64 private constant HEAP_END = 0x0000_6000_0000_0000;
    uint64 private constant PAGE_SIZE = 4096;

    /// @notice Steps per second of the monotonic clock.
    uint64 private constant HZ = 10_000_000;

    /// @notice VM | FS | FILES | SIGHAND | SYSVSEM | THREAD: the only flags a clone may have.
    uint64 private constant CLONE_FLAGS = 0x0005_0f00;
    uint64 private constant FUTEX_WAIT_PRIVATE = 128;
    uint64 private constant FUTEX_WAKE_PRIVATE = 129;
    uint64 private constant CLOCK_REALTIME = 0;
    uint64 private constant CLOCK_MONOTONIC = 1;
    uint64 private constant EFD_NONBLOCK = 0x80;
    uint64 private constant F_GETFD = 1;
    uint64 private constant F_GETFL = 3;

    /// @notice Handles the syscall that `thread` stands at.
    /// @param below The root of the active stack without the thread.
    /// @param localContext Tells the local inputs of one dispute from those of another.
    function handle(
        bytes memory state,
        bytes memory thread,
        bytes32 below,
        bytes calldata proof,
        bytes32 localContext,
        IPreimageOracle oracle
    ) internal view {
        uint64 number = thread.register(V0);
        uint64 a0 = thread.register(A0);
        if (number == CLONE) return _clone(state, thread, below, a0);
        if (number == EXIT) return _exit(state, thread, below, uint8(a0));
        if (number == EXIT_GROUP) return state.exit(uint8(a0));
        if (_isYield(state, thread, proof, number, a0)) {
            _answer(thread, 0, false);
            return state.preempt(thread, below);
        }
        (uint64 value, bool failed) = number == READ
            ? _read(state, thread, proof, localContext, oracle)
            : _call(state, thread, proof, number, a0);
        _answer(thread, value, failed);
        state.updateThread(thread, below);
    }

    function _answer(bytes memory thread, uint64 value, bool failed) private pure {
        thread.setRegister(V0, value);
        thread.setRegister(A3, failed ? ERROR_SIGNAL : 0);
        thread.advance();
    }

    function _clone(bytes memory state, bytes memory thread, bytes32 below, uint64 flags) private pure {
        if (flags != CLONE_FLAGS) return state.exit(StateWitness.PANIC);

        uint64 id = state.wordAt(StateWitness.NEXT_THREAD_ID);
        uint64 stackPointer = thread.register(A1);
        unchecked {
            state.setWordAt(StateWitness.NEXT_THREAD_ID, id + 1);
        }
        _answer(thread, id, false);
        state.updateThread(thread, below);

        // The parent is hashed by now: the child is made of it in place.
        thread.setWordAt(ThreadWitness.ID, id);
        thread.setByteAt(ThreadWitness.EXIT_CODE, 0);
        thread.setByteAt(ThreadWitness.EXITED, 0);
        thread.setRegister(V0, 0);
        thread.setRegister(SP, stackPointer);
        state.push(thread);
    }

    function _exit(bytes memory state, bytes memory thread, bytes32 below, uint8 exitCode) private pure {
        thread.setByteAt(ThreadWitness.EXITED, 1);
        thread.setByteAt(ThreadWitness.EXIT_CODE, exitCode);
        if (below == StateWitness.EMPTY_STACK && state.hashAt(state.otherStack()) == StateWitness.EMPTY_STACK) {
            state.exit(exitCode);
        }
        state.updateThread(thread, below);
    }

    /// @notice Whether it is another thread's turn. No thread sleeps: who waits asks again.
    function _isYield(bytes memory state, bytes memory thread, bytes calldata proof, uint64 number, uint64 a0)
        private
        pure
        returns (bool)
    {
        if (number != FUTEX) return number == SCHED_YIELD || number == NANOSLEEP;
        uint64 operation = thread.register(A1);
        if (operation != FUTEX_WAIT_PRIVATE) return operation == FUTEX_WAKE_PRIVATE;
        uint64 word = MemoryProofs.read(proof, MemoryProofs.ACCESS, a0, state.memoryRoot());
        unchecked {
            return uint32(word >> (32 - 8 * (a0 & 4))) == uint32(thread.register(A2));
        }
    }

    /// @notice A syscall that has nothing to do with other threads or the oracle.
    function _call(bytes memory state, bytes memory thread, bytes calldata proof, uint64 number, uint64 a0)
        private
        pure
        returns (uint64 value, bool failed)
    {
        uint64 a1 = thread.register(A1);
        if (number == WRITE) return _write(state, proof, a0, a1, thread.register(A2));
        if (number == MMAP) return _mmap(state, a0, a1);
        if (number == CLOCK_GETTIME) return _clockGettime(state, proof, a0, a1);
        if (number == GETRANDOM) return (_getrandom(state, proof, a0, a1), false);
        if (number == GETTID) return (thread.wordAt(ThreadWitness.ID), false);
        if (number == FCNTL) return _fcntl(a0, a1);
        if (number == BRK) return (PROGRAM_BREAK, false);
        if (number == OPEN) return (EBADF, true);
        if (number == EVENTFD2) return a1 & EFD_NONBLOCK == 0 ? (EINVAL, true) : (EVENT, false);
        // What it waits for or does not know how to do was told from the rest in _isYield.
        if (number == FUTEX) return thread.register(A1) == FUTEX_WAIT_PRIVATE ? (EAGAIN, true) : (EINVAL, true);
        require(number == GETPID || _isNoOp(number), "MIPS64: unimplemented syscall");
    }

    function _isNoOp(uint64 number) private pure returns (bool) {
        unchecked {
            // Below 5000, or far above, nothing is left of the shifts.
            uint256 distance = uint256(number) - 5000;
            return (NO_OPS_FROM_5000 >> distance | (distance < 256 ? 0 : NO_OPS_FROM_5256 >> (distance - 256))) & 1 == 1;
        }
    }

    function _mmap(bytes memory state, uint64 hint, uint64 length) private pure returns (uint64 value, bool failed) {
        if (hint != 0) return (hint, false);
        uint64 heap = state.wordAt(StateWitness.HEAP);
        // In 256 bits: neither rounding up nor the sum can wrap.
        uint256 end = uint256(heap) + (uint256(length) + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
        if (end > HEAP_END) return (EINVAL, true);
        state.setWordAt(StateWitness.HEAP, uint64(end));
        return (heap, false);
    }

    function _fcntl(uint64 fd, uint64 command) private pure returns (uint64 value, bool failed) {
        if (command != F_GETFD && command != F_GETFL) return (EINVAL, true);
        if (fd > PREIMAGE_WRITE) return (EBADF, true);
        bool readOnly = fd == STDIN || fd == HINT_READ || fd == PREIMAGE_READ;
        return (command == F_GETFD || readOnly ? 0 : 1, false);
    }

    /// @notice Writes seconds to the word at `to`, and nanoseconds to the one behind it.
    function _clockGettime(bytes memory state, bytes calldata proof, uint64 clock, uint64 to)
        private
        pure
        returns (uint64 value, bool failed)
    {
        if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC) return (EINVAL, true);
        unchecked {
            uint64 time = clock == CLOCK_REALTIME ? 0 : state.wordAt(StateWitness.STEP);
            uint64 second = to + 8;
            if (!MemoryProofs.isOf(proof, MemoryProofs.ACCESS, to, state.memoryRoot())) revert InvalidMemoryProof();
            _store(state, proof, MemoryProofs.ACCESS, to, time / HZ);
            if (!MemoryProofs.isOf(proof, MemoryProofs.SECOND_ACCESS, second, state.memoryRoot())) {
                revert InvalidSecondMemoryProof();
            }
            _store(state, proof, MemoryProofs.SECOND_ACCESS, second, time % HZ * (1_000_000_000 / HZ));
        }
    }

    /// @notice Fills up to the end of a word with a hash of the step counter (splitmix64).
    function _getrandom(bytes memory state, bytes calldata proof, uint64 to, uint64 length)
        private
        pure
        returns (uint64)
    {
        uint64 word = MemoryProofs.read(proof, MemoryProofs.ACCESS, to, state.memoryRoot());
        unchecked {
            uint64 random = state.wordAt(StateWitness.STEP) + 0x9e37_79b9_7f4a_7c15;
            random = (random ^ random >> 30) * 0xbf58_476d_1ce4_e5b9;
            random = (random ^ random >> 27) * 0x94d0_49bb_1331_11eb;
            random ^= random >> 31;

            length = _upToWordEnd(to, length);
            uint64 mask = _mask(to, length);
            _store(state, proof, MemoryProofs.ACCESS, to, word & ~mask | random & mask);
        }
        return length;
    }

    function _read(
        bytes memory state,
        bytes memory thread,
        bytes calldata proof,
        bytes32 localContext,
        IPreimageOracle oracle
    ) private view returns (uint64 value, bool failed) {
        uint64 fd = thread.register(A0);
        uint64 length = thread.register(A2);
        if (fd == PREIMAGE_READ) {
            return (_readPreimage(state, proof, thread.register(A1), length, localContext, oracle), false);
        }
        if (fd == HINT_READ) return (length, false);
        if (fd == STDIN) return (0, false);
        return (fd == EVENT ? EAGAIN : EBADF, true);
    }

    /// @notice Reads up to the end of a word, of the preimage, or of what was asked for. Even a read
    ///         of nothing writes the word back.
    function _readPreimage(
        bytes memory state,
        bytes calldata proof,
        uint64 to,
        uint64 length,
        bytes32 localContext,
        IPreimageOracle oracle
    ) private view returns (uint64) {
        uint64 word = MemoryProofs.read(proof, MemoryProofs.ACCESS, to, state.memoryRoot());
        bytes32 key = state.hashAt(StateWitness.PREIMAGE_KEY);
        uint64 offset = state.wordAt(StateWitness.PREIMAGE_OFFSET);
        if (PreimageKeys.isLocal(key)) key = PreimageKeys.localized(key, localContext);
        (bytes32 part, uint256 available) = oracle.readPreimage(key, offset);
        unchecked {
            length = _upToWordEnd(to, length);
            if (available < length) length = uint64(available);
            uint64 mask = _mask(to, length);
            uint64 bytesInPlace = uint64(uint256(part) >> 192) >> (8 * (to & 7));
            _store(state, proof, MemoryProofs.ACCESS, to, word & ~mask | bytesInPlace & mask);
            state.setWordAt(StateWitness.PREIMAGE_OFFSET, offset + length);
        }
        return length;
    }

    function _write(bytes memory state, bytes calldata proof, uint64 fd, uint64 from, uint64 length)
        private
        pure
        returns (uint64 value, bool failed)
    {
        if (fd == PREIMAGE_WRITE) return (_writePreimageKey(state, proof, from, length), false);
        // Nobody on chain reads what the program writes, or needs its hints.
        if (fd == STDOUT || fd == STDERR || fd == HINT_WRITE) return (length, false);
        return (fd == EVENT ? EAGAIN : EBADF, true);
    }

    /// @notice Appends bytes to the key, which has room for the last 32, and begins at its start.
    function _writePreimageKey(bytes memory state, bytes calldata proof, uint64 from, uint64 length)
        private
        pure
        returns (uint64)
    {
        uint256 word = MemoryProofs.read(proof, MemoryProofs.ACCESS, from, state.memoryRoot());
        unchecked {
            length = _upToWordEnd(from, length);
            uint256 key = uint256(state.hashAt(StateWitness.PREIMAGE_KEY)) << (8 * length);
            uint256 written = (word & _mask(from, length)) >> (64 - 8 * ((from & 7) + length));
            state.setHashAt(StateWitness.PREIMAGE_KEY, bytes32(key | written));
        }
        state.setWordAt(StateWitness.PREIMAGE_OFFSET, 0);
        return length;
    }

    /// @notice Stores a word, of which it was proven what it was before.
    function _store(bytes memory state, bytes calldata proof, uint256 which, uint64 addr, uint64 word) private pure {
        state.setMemoryRoot(MemoryProofs.write(proof, which, addr, word));
        state.clearReservationAt(addr);
    }

    /// @notice How many of `length` bytes there are from `addr` to the end of its word.
    function _upToWordEnd(uint64 addr, uint64 length) private pure returns (uint64) {
        unchecked {
            uint64 space = 8 - (addr & 7);
            return length < space ? length : space;
        }
    }

    /// @notice The bits of `length` bytes from `addr` on, within a word.
    function _mask(uint64 addr, uint64 length) private pure returns (uint64) {
        unchecked {
            return uint64(((1 << (8 * length)) - 1) << (64 - 8 * ((addr & 7) + length)));
        }
    }
}
