// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bits} from "./Bits.sol";
import {LoadStore} from "./LoadStore.sol";
import {PackedBytes} from "./PackedBytes.sol";
import {ThreadWitness} from "./ThreadWitness.sol";

/// @title Instructions
/// @notice What each instruction does to its thread, syscalls aside.
///         Part of a contract that behaves as the published MIPS64 1.10.1. No audit has been made.
/// @dev Where that contract differs from a MIPS processor, it is right: nothing traps on overflow,
///      and whatever has no result of its own writes 0 to the register it names.
library Instructions {
    using Bits for uint64;
    using PackedBytes for bytes;
    using ThreadWitness for bytes;

    // Opcodes: bits 31-26.
    uint256 internal constant SPECIAL = 0x00;
    uint256 private constant REGIMM = 0x01;
    uint256 private constant J = 0x02;
    uint256 private constant JAL = 0x03;
    uint256 private constant BEQ = 0x04;
    uint256 private constant BNE = 0x05;
    uint256 private constant BLEZ = 0x06;
    uint256 private constant BGTZ = 0x07;
    uint256 private constant ADDI = 0x08;
    uint256 private constant ADDIU = 0x09;
    uint256 private constant SLTI = 0x0a;
    uint256 private constant SLTIU = 0x0b;
    uint256 private constant ANDI = 0x0c;
    uint256 private constant ORI = 0x0d;
    uint256 private constant XORI = 0x0e;
    uint256 private constant LUI = 0x0f;
    uint256 private constant DADDI = 0x18;
    uint256 private constant DADDIU = 0x19;
    uint256 private constant SPECIAL2 = 0x1c;

    // Functions of SPECIAL: bits 5-0.
    uint256 private constant SLL = 0x00;
    uint256 private constant SRL = 0x02;
    uint256 private constant SRA = 0x03;
    uint256 private constant SLLV = 0x04;
    uint256 private constant SRLV = 0x06;
    uint256 private constant SRAV = 0x07;
    uint256 private constant JR = 0x08;
    uint256 private constant JALR = 0x09;
    uint256 private constant MOVZ = 0x0a;
    uint256 private constant MOVN = 0x0b;
    uint256 internal constant SYSCALL = 0x0c;
    uint256 private constant SYNC = 0x0f;
    uint256 private constant MFHI = 0x10;
    uint256 private constant MTHI = 0x11;
    uint256 private constant MFLO = 0x12;
    uint256 private constant MTLO = 0x13;
    uint256 private constant DSLLV = 0x14;
    uint256 private constant DSRLV = 0x16;
    uint256 private constant DSRAV = 0x17;
    uint256 private constant MULT = 0x18;
    uint256 private constant MULTU = 0x19;
    uint256 private constant DIV = 0x1a;
    uint256 private constant DIVU = 0x1b;
    uint256 private constant DMULT = 0x1c;
    uint256 private constant DMULTU = 0x1d;
    uint256 private constant DDIV = 0x1e;
    uint256 private constant DDIVU = 0x1f;
    uint256 private constant ADD = 0x20;
    uint256 private constant ADDU = 0x21;
    uint256 private constant SUB = 0x22;
    uint256 private constant SUBU = 0x23;
    uint256 private constant AND = 0x24;
    uint256 private constant OR = 0x25;
    uint256 private constant XOR = 0x26;
    uint256 private constant NOR = 0x27;
    uint256 private constant SLT = 0x2a;
    uint256 private constant SLTU = 0x2b;
    uint256 private constant DADD = 0x2c;
    uint256 private constant DADDU = 0x2d;
    uint256 private constant DSUB = 0x2e;
    uint256 private constant DSUBU = 0x2f;
    uint256 private constant DSLL = 0x38;
    uint256 private constant DSRL = 0x3a;
    uint256 private constant DSRA = 0x3b;
    uint256 private constant DSLL32 = 0x3c;
    uint256 private constant DSRL32 = 0x3e;
    uint256 private constant DSRA32 = 0x3f;

    // Functions of SPECIAL2: bits 5-0.
    uint256 private constant MUL = 0x02;
    uint256 private constant CLZ = 0x20;
    uint256 private constant CLO = 0x21;
    uint256 private constant DCLZ = 0x24;
    uint256 private constant DCLO = 0x25;

    // Codes of REGIMM: bits 20-16.
    uint256 private constant BLTZ = 0x00;
    uint256 private constant BGEZ = 0x01;
    uint256 private constant BLTZAL = 0x10;
    uint256 private constant BGEZAL = 0x11;

    string private constant INVALID = "MIPS64: invalid instruction";
    string private constant DIVISION_BY_ZERO = "MIPS64: division by zero";

    /// @notice Executes any instruction but a syscall.
    function execute(bytes memory state, bytes memory thread, uint32 instruction, bytes calldata proof)
        internal
        pure
    {
        uint256 opcode = instruction >> 26;
        if (opcode == SPECIAL) {
            _special(thread, instruction);
        } else if (LoadStore.isOpcode(opcode)) {
            LoadStore.execute(state, thread, instruction, proof);
        } else if (opcode <= BGTZ) {
            if (opcode == J || opcode == JAL) _jump(thread, opcode, instruction);
            else _branch(thread, opcode, instruction);
        } else {
            uint256 rt = (instruction >> 16) & 0x1f;
            uint256 rd = (instruction >> 11) & 0x1f;
            uint64 rs = thread.register((instruction >> 21) & 0x1f);
            if (opcode == SPECIAL2) thread.setResult(rd, _special2(instruction & 0x3f, rs, thread.register(rt)));
            else thread.setResult(rt, _immediate(opcode, rs, instruction));
            thread.advance();
        }
    }

    function _special(bytes memory thread, uint32 instruction) private pure {
        uint256 fun = instruction & 0x3f;
        uint256 rd = (instruction >> 11) & 0x1f;
        uint64 rt = thread.register((instruction >> 16) & 0x1f);
        uint64 rs = thread.register((instruction >> 21) & 0x1f);
        if (fun >= ADD) {
            uint64 result =
                fun < DSLL ? _arithmetic(fun, rs, rt) : _doublewordShift(fun, rt, (instruction >> 6) & 0x1f);
            thread.setResult(rd, result);
        } else if (fun >= MFHI) {
            thread.setResult(rd, _hiLo(thread, fun, rs, rt));
        } else if (fun < JR) {
            thread.setResult(rd, _wordShift(fun, rs, rt, (instruction >> 6) & 0x1f));
        } else if (fun == JR || fun == JALR) {
            return _jumpTo(thread, fun == JR ? 0 : rd, rs);
        } else if (fun == MOVZ) {
            if (rt == 0) thread.setResult(rd, rs);
        } else if (fun == MOVN) {
            if (rt != 0) thread.setResult(rd, rs);
        } else {
            require(fun == SYNC, INVALID);
            thread.setResult(rd, rs);
        }
        thread.advance();
    }

    function _arithmetic(uint256 fun, uint64 rs, uint64 rt) private pure returns (uint64) {
        unchecked {
            if (fun == DADD || fun == DADDU) return rs + rt;
            if (fun == ADD || fun == ADDU) return (rs + rt).signExtend32();
            if (fun == OR) return rs | rt;
            if (fun == AND) return rs & rt;
            if (fun == XOR) return rs ^ rt;
            if (fun == NOR) return ~(rs | rt);
            if (fun == SLT) return int64(rs) < int64(rt) ? 1 : 0;
            if (fun == SLTU) return rs < rt ? 1 : 0;
            if (fun == DSUB || fun == DSUBU) return rs - rt;
            if (fun == SUB || fun == SUBU) return (rs - rt).signExtend32();
            revert(INVALID);
        }
    }

    /// @notice Shifts of 32 bits, whose result is extended by its sign.
    function _wordShift(uint256 fun, uint64 rs, uint64 rt, uint64 amount) private pure returns (uint64) {
        if (fun >= SLLV) amount = rs & 0x1f;
        if (fun == SLL || fun == SLLV) return (rt << amount).signExtend32();
        if (fun == SRL || fun == SRLV) return (rt.low32() >> amount).signExtend32();
        require(fun == SRA || fun == SRAV, INVALID);
        return uint64(int64(rt.signExtend32()) >> amount);
    }

    function _doublewordShift(uint256 fun, uint64 rt, uint64 amount) private pure returns (uint64) {
        unchecked {
            if (fun >= DSLL32) amount += 32;
            if (fun == DSLL || fun == DSLL32) return rt << amount;
            if (fun == DSRL || fun == DSRL32) return rt >> amount;
            require(fun == DSRA || fun == DSRA32, INVALID);
            return uint64(int64(rt) >> amount);
        }
    }

    /// @notice Moves from and to HI and LO, products and quotients, and shifts by a register.
    /// @return result What goes to rd.
    function _hiLo(bytes memory thread, uint256 fun, uint64 rs, uint64 rt) private pure returns (uint64 result) {
        if (fun == MFLO) return thread.wordAt(ThreadWitness.LO);
        if (fun == MFHI) return thread.wordAt(ThreadWitness.HI);
        if (fun == DSLLV) return rt << (rs & 0x3f);
        if (fun == DSRLV) return rt >> (rs & 0x3f);
        if (fun == DSRAV) return uint64(int64(rt) >> (rs & 0x3f));
        require(fun != 0x15, INVALID);

        if (fun == MTLO) {
            thread.setWordAt(ThreadWitness.LO, rs);
        } else if (fun == MTHI) {
            thread.setWordAt(ThreadWitness.HI, rs);
        } else {
            (uint64 hi, uint64 lo) = fun < DIV || fun == DMULT || fun == DMULTU
                ? _product(fun, rs, rt)
                : _quotient(fun, rs, rt);
            thread.setWordAt(ThreadWitness.HI, hi);
            thread.setWordAt(ThreadWitness.LO, lo);
        }
    }

    function _product(uint256 fun, uint64 rs, uint64 rt) private pure returns (uint64 hi, uint64 lo) {
        unchecked {
            if (fun == DMULTU) {
                uint256 wide = uint256(rs) * rt;
                return (uint64(wide >> 64), uint64(wide));
            }
            if (fun == DMULT) {
                int256 wide = int256(int64(rs)) * int64(rt);
                return (uint64(uint256(wide >> 64)), uint64(uint256(wide)));
            }
            uint64 product =
                fun == MULT ? uint64(int64(int32(uint32(rs))) * int32(uint32(rt))) : rs.low32() * rt.low32();
            return ((product >> 32).signExtend32(), product.signExtend32());
        }
    }

    /// @return hi The remainder.
    /// @return lo The quotient. The smallest number divided by -1 is itself.
    function _quotient(uint256 fun, uint64 rs, uint64 rt) private pure returns (uint64 hi, uint64 lo) {
        unchecked {
            if (fun == DIV || fun == DIVU) {
                (rs, rt) = fun == DIV ? (rs.signExtend32(), rt.signExtend32()) : (rs.low32(), rt.low32());
            }
            require(rt != 0, DIVISION_BY_ZERO);
            if (fun == DIVU || fun == DDIVU) (hi, lo) = (rs % rt, rs / rt);
            else (hi, lo) = (uint64(int64(rs) % int64(rt)), uint64(int64(rs) / int64(rt)));
            if (fun == DIV || fun == DIVU) (hi, lo) = (hi.signExtend32(), lo.signExtend32());
        }
    }

    function _special2(uint256 fun, uint64 rs, uint64 rt) private pure returns (uint64) {
        unchecked {
            if (fun == MUL) return (rs * rt).signExtend32();
            if (fun == CLZ) return (rs << 32 | 0x8000_0000).leadingZeros();
            if (fun == CLO) return (~rs << 32 | 0x8000_0000).leadingZeros();
            if (fun == DCLZ) return rs.leadingZeros();
            require(fun == DCLO, INVALID);
            return (~rs).leadingZeros();
        }
    }

    function _immediate(uint256 opcode, uint64 rs, uint32 instruction) private pure returns (uint64) {
        unchecked {
            uint64 signed = uint64(instruction).signExtend16();
            if (opcode == DADDIU || opcode == DADDI) return rs + signed;
            if (opcode == ADDIU || opcode == ADDI) return (rs + signed).signExtend32();
            if (opcode == SLTI) return int64(rs) < int64(signed) ? 1 : 0;
            if (opcode == SLTIU) return rs < signed ? 1 : 0;

            uint64 unsigned = instruction & 0xffff;
            if (opcode == ORI) return rs | unsigned;
            if (opcode == ANDI) return rs & unsigned;
            if (opcode == XORI) return rs ^ unsigned;
            require(opcode == LUI, INVALID);
            return (unsigned << 16).signExtend32();
        }
    }

    function _branch(bytes memory thread, uint256 opcode, uint32 instruction) private pure {
        require(!thread.inDelaySlot(), "MIPS64: branch in delay slot");
        int64 rs = int64(thread.register((instruction >> 21) & 0x1f));
        uint256 rt = (instruction >> 16) & 0x1f;
        bool taken;
        if (opcode == BEQ) {
            taken = rs == int64(thread.register(rt));
        } else if (opcode == BNE) {
            taken = rs != int64(thread.register(rt));
        } else if (opcode == BLEZ) {
            taken = rs <= 0;
        } else if (opcode == BGTZ) {
            taken = rs > 0;
        } else {
            // Every other code of REGIMM is a branch that is never taken.
            if (rt == BLTZ || rt == BLTZAL) taken = rs < 0;
            if (rt == BGEZ || rt == BGEZAL) taken = rs >= 0;
            if (rt == BLTZAL || rt == BGEZAL) _link(thread, ThreadWitness.RA);
        }
        if (taken) {
            unchecked {
                thread.advanceTo(thread.wordAt(ThreadWitness.NEXT_PC) + (uint64(instruction).signExtend16() << 2));
            }
        } else {
            thread.advance();
        }
    }

    /// @notice To a target in the 256 MiB that the delay slot lies in.
    function _jump(bytes memory thread, uint256 opcode, uint32 instruction) private pure {
        uint64 region = thread.wordAt(ThreadWitness.NEXT_PC) & 0xffff_ffff_f000_0000;
        _jumpTo(thread, opcode == J ? 0 : ThreadWitness.RA, region | uint64(instruction & 0x03ff_ffff) << 2);
    }

    function _jumpTo(bytes memory thread, uint256 link, uint64 target) private pure {
        require(!thread.inDelaySlot(), "MIPS64: jump in delay slot");
        _link(thread, link);
        thread.advanceTo(target);
    }

    /// @notice Leaves the address behind the delay slot in a register.
    function _link(bytes memory thread, uint256 number) private pure {
        unchecked {
            thread.setResult(number, thread.wordAt(ThreadWitness.PC) + 8);
        }
    }
}
