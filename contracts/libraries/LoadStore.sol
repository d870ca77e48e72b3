// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bits} from "./Bits.sol";
import {MemoryProofs} from "./MemoryProofs.sol";
import {PackedBytes} from "./PackedBytes.sol";
import {StateWitness} from "./StateWitness.sol";
import {ThreadWitness} from "./ThreadWitness.sol";

/// @title LoadStore
/// @notice The instructions that reach memory.
///         Part of a contract that behaves as the published MIPS64 1.10.1. No audit has been made.
/// @dev Memory is read and written in aligned words of 8 bytes. Which part of the word is meant
///      follows from the address, silently rounded down to the size of the part.
library LoadStore {
    using Bits for uint64;
    using PackedBytes for bytes;
    using StateWitness for bytes;
    using ThreadWitness for bytes;

    uint256 private constant LDL = 0x1a;
    uint256 private constant LDR = 0x1b;
    uint256 private constant LB = 0x20;
    uint256 private constant LH = 0x21;
    uint256 private constant LWL = 0x22;
    uint256 private constant LW = 0x23;
    uint256 private constant LBU = 0x24;
    uint256 private constant LHU = 0x25;
    uint256 private constant LWR = 0x26;
    uint256 private constant LWU = 0x27;
    uint256 private constant SB = 0x28;
    uint256 private constant SH = 0x29;
    uint256 private constant SWL = 0x2a;
    uint256 private constant SW = 0x2b;
    uint256 private constant SDL = 0x2c;
    uint256 private constant SDR = 0x2d;
    uint256 private constant SWR = 0x2e;
    uint256 private constant LL = 0x30;
    uint256 private constant LLD = 0x34;
    uint256 private constant LD = 0x37;
    uint256 private constant SC = 0x38;
    uint256 private constant SCD = 0x3c;
    uint256 private constant SD = 0x3f;

    /// @notice What a reservation made by LL, and by LLD, is marked with.
    uint8 private constant RESERVED_32 = 1;
    uint8 private constant RESERVED_64 = 2;

    /// @notice A bit for each opcode above. LB to LWU and SB to SWR have no gaps.
    uint256 private constant OPCODES = 1 << LDL | 1 << LDR | 0xff << LB | 0x7f << SB | 1 << LL | 1 << LLD | 1 << LD
        | 1 << SC | 1 << SCD | 1 << SD;

    /// @notice Whether instructions with this opcode reach memory.
    function isOpcode(uint256 opcode) internal pure returns (bool) {
        return OPCODES >> opcode & 1 == 1;
    }

    function execute(bytes memory state, bytes memory thread, uint32 instruction, bytes calldata proof)
        internal
        pure
    {
        uint256 opcode = instruction >> 26;
        uint256 rt = (instruction >> 16) & 0x1f;
        uint64 addr;
        unchecked {
            addr = thread.register((instruction >> 21) & 0x1f) + uint64(instruction).signExtend16();
        }
        uint64 value = thread.register(rt);
        if (opcode < SB || opcode == LD) {
            value = _loaded(opcode, _read(state, proof, addr), addr, value);
        } else if (opcode == LL || opcode == LLD) {
            value = _loaded(opcode == LL ? LW : LD, _read(state, proof, addr), addr, value);
            state.setByteAt(StateWitness.RESERVATION_STATUS, opcode == LL ? RESERVED_32 : RESERVED_64);
            state.setWordAt(StateWitness.RESERVATION_ADDRESS, addr);
            state.setWordAt(StateWitness.RESERVATION_OWNER, thread.wordAt(ThreadWitness.ID));
        } else if (opcode == SC || opcode == SCD) {
            value = _storeConditionally(state, thread, opcode, addr, value, proof);
        } else {
            uint64 word = _stored(opcode, _read(state, proof, addr), addr, value);
            _write(state, proof, addr, word);
            return thread.advance();
        }
        thread.setResult(rt, value);
        thread.advance();
    }

    /// @notice Stores if the thread holds a reservation of this size for this very address.
    /// @return Whether it stored.
    function _storeConditionally(
        bytes memory state,
        bytes memory thread,
        uint256 opcode,
        uint64 addr,
        uint64 value,
        bytes calldata proof
    ) private pure returns (uint64) {
        if (
            state.byteAt(StateWitness.RESERVATION_STATUS) != (opcode == SC ? RESERVED_32 : RESERVED_64)
                || state.wordAt(StateWitness.RESERVATION_ADDRESS) != addr
                || state.wordAt(StateWitness.RESERVATION_OWNER) != thread.wordAt(ThreadWitness.ID)
        ) return 0;
        // The store clears the reservation, as any store to its address does.
        _write(state, proof, addr, _stored(opcode == SC ? SW : SD, _read(state, proof, addr), addr, value));
        return 1;
    }

    function _read(bytes memory state, bytes calldata proof, uint64 addr) private pure returns (uint64) {
        return MemoryProofs.read(proof, MemoryProofs.ACCESS, addr, state.memoryRoot());
    }

    function _write(bytes memory state, bytes calldata proof, uint64 addr, uint64 word) private pure {
        state.setMemoryRoot(MemoryProofs.write(proof, MemoryProofs.ACCESS, addr, word));
        state.clearReservationAt(addr);
    }

    /// @notice What rt becomes.
    function _loaded(uint256 opcode, uint64 word, uint64 addr, uint64 rt) private pure returns (uint64) {
        unchecked {
            if (opcode == LD) return word;
            if (opcode == LW) return _part32(word, addr).signExtend32();
            if (opcode == LWU) return _part32(word, addr);
            if (opcode == LBU) return _part8(word, addr);
            if (opcode == LB) return _part8(word, addr).signExtend8();
            if (opcode == LHU) return _part16(word, addr);
            if (opcode == LH) return _part16(word, addr).signExtend16();
            if (opcode == LDL) {
                uint64 shift = 8 * (addr & 7);
                return word << shift | rt & ~(type(uint64).max << shift);
            }
            if (opcode == LDR) {
                uint64 shift = 56 - 8 * (addr & 7);
                return word >> shift | rt & ~(type(uint64).max >> shift);
            }
            if (opcode == LWL) {
                uint64 shift = 8 * (addr & 3);
                return (_part32(word, addr) << shift | rt & ~(type(uint64).max << shift)).signExtend32();
            }
            // LWR. Only a load of the whole part extends its sign; otherwise rt keeps its upper half.
            uint64 missing = 24 - 8 * (addr & 3);
            uint64 loaded = _part32(word, addr) >> missing;
            return missing == 0 ? loaded.signExtend32() : loaded | rt & ~uint64(type(uint32).max >> missing);
        }
    }

    /// @notice What the word becomes.
    function _stored(uint256 opcode, uint64 word, uint64 addr, uint64 rt) private pure returns (uint64) {
        unchecked {
            if (opcode == SD) return rt;
            if (opcode == SW) return _replaced(word, 32 - 8 * (addr & 4), type(uint32).max, rt);
            if (opcode == SB) return _replaced(word, 56 - 8 * (addr & 7), type(uint8).max, rt);
            if (opcode == SH) return _replaced(word, 48 - 8 * (addr & 6), type(uint16).max, rt);
            if (opcode == SDL) {
                uint64 shift = 8 * (addr & 7);
                return word & ~(type(uint64).max >> shift) | rt >> shift;
            }
            if (opcode == SDR) {
                uint64 shift = 56 - 8 * (addr & 7);
                return word & ~(type(uint64).max << shift) | rt << shift;
            }
            if (opcode == SWL) {
                uint64 missing = 8 * (addr & 3);
                return _replaced(word, 32 - 8 * (addr & 4), type(uint32).max >> missing, rt.low32() >> missing);
            }
            // SWR
            uint64 above = 24 - 8 * (addr & 3);
            return _replaced(word, 32 - 8 * (addr & 4) + above, type(uint32).max >> above, rt);
        }
    }

    /// @notice `word` with the bits of `mask`, moved up by `shift`, taken from `value`.
    function _replaced(uint64 word, uint64 shift, uint64 mask, uint64 value) private pure returns (uint64) {
        return word & ~(mask << shift) | (value & mask) << shift;
    }

    function _part8(uint64 word, uint64 addr) private pure returns (uint64) {
        unchecked {
            return word >> (56 - 8 * (addr & 7)) & 0xff;
        }
    }

    function _part16(uint64 word, uint64 addr) private pure returns (uint64) {
        unchecked {
            return word >> (48 - 8 * (addr & 6)) & 0xffff;
        }
    }

    function _part32(uint64 word, uint64 addr) private pure returns (uint64) {
        unchecked {
            return word >> (32 - 8 * (addr & 4)) & 0xffff_ffff;
        }
    }
}
