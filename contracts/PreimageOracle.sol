// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IPreimageOracle} from "./interfaces/IPreimageOracle.sol";
import {Keccak} from "./libraries/Keccak.sol";
import {Merkle} from "./libraries/Merkle.sol";
import {PackedBytes} from "./libraries/PackedBytes.sol";
import {PartOffsetOOB, PreimageParts} from "./libraries/PreimageParts.sol";
import {PreimageKeys} from "./libraries/PreimageKeys.sol";
import {Proposal, newProposal} from "./libraries/Proposal.sol";

/// @title PreimageOracle
/// @notice Keeps parts of preimages that were proven to belong to their keys.
///
///         Behaves as the published PreimageOracle 1.1.5, which `version` therefore names, down to the
///         storage slots. It is another implementation, and no audit of it has been made.
/// @dev A part is the 32 bytes from any offset of a preimage behind its length as 8 bytes. Past the
///      end of a preimage a part is zero.
///
///      A keccak256 preimage too large for one transaction is proposed: its blocks are added over
///      many transactions, each with a commitment to the sponge after it, into a Merkle tree. Once
///      all are there, anyone may show during a challenge period that one block does not lead from
///      one commitment to the next. Otherwise its part is taken as proven.
contract PreimageOracle is IPreimageOracle {
    using Keccak for Keccak.StateMatrix;
    using Keccak for bytes;
    using PackedBytes for bytes;
    using PreimageParts for bytes;

    /// @notice A call that needs more gas than is left.
    error NotEnoughGas();
    /// @notice A bond below `MIN_BOND_SIZE`.
    error InsufficientBond();
    /// @notice The bond could not be sent.
    error BondTransferFailed();
    /// @notice The caller is a contract. What is added must stand in a transaction, for all to see.
    error NotEOA();
    /// @notice There is no such proposal.
    error NotInitialized();
    /// @notice There is such a proposal already.
    error AlreadyInitialized();
    /// @notice The proposal is complete.
    error AlreadyFinalized();
    /// @notice A size that no proposal has, no whole blocks, or another number of commitments.
    error InvalidInputSize();
    /// @notice Blocks that are not the next ones.
    error WrongStartingBlock();
    /// @notice More blocks than the tree has leaves.
    error TreeSizeOverflow();
    /// @notice A proof that fails.
    error InvalidProof();
    /// @notice A sponge that is not the one committed to.
    error InvalidPreimage();
    /// @notice Blocks that do not follow each other.
    error StatesNotContiguous();
    /// @notice A challenge to a block that is right.
    error PostStateMatches();
    /// @notice A proposal that can still be challenged, or added to.
    error ActiveProposal();
    /// @notice A proposal that was challenged with success.
    error BadProposal();

    /// @notice A block of a proposal.
    struct Leaf {
        /// The 136 bytes that were absorbed.
        bytes input;
        /// Its number, from 0.
        uint256 index;
        /// The commitment to the sponge after it.
        bytes32 stateCommitment;
    }

    /// @notice Whose proposal, and which of theirs.
    struct LargePreimageProposalKeys {
        address claimant;
        uint256 uuid;
    }

    string public constant version = "1.1.5";

    uint256 public constant MIN_BOND_SIZE = 0.25 ether;
    uint256 public constant KECCAK_TREE_DEPTH = 16;
    /// @notice One less than the tree has: its last leaf stays empty.
    uint256 public constant MAX_LEAF_COUNT = 2 ** KECCAK_TREE_DEPTH - 1;
    /// @notice Gas that a precompile call takes besides what the precompile gets, and more.
    uint256 public constant PRECOMPILE_CALL_RESERVED_GAS = 100_000;

    uint256 private immutable MIN_PROPOSAL_SIZE;
    uint256 private immutable CHALLENGE_PERIOD;

    // Who proves things about this storage, or overrides it, relies on the order.

    /// @notice The length of a preimage, by key.
    mapping(bytes32 => uint256) public preimageLengths;
    /// @notice The parts of a preimage, by key and offset.
    mapping(bytes32 => mapping(uint256 => bytes32)) public preimageParts;
    /// @notice Whether a part is there, by key and offset.
    mapping(bytes32 => mapping(uint256 => bool)) public preimagePartOk;

    /// @notice The roots of empty trees of each height.
    bytes32[KECCAK_TREE_DEPTH] public zeroHashes;
    /// @notice All proposals there have ever been.
    LargePreimageProposalKeys[] public proposals;
    /// @notice The nodes that new leaves are hashed with.
    mapping(address => mapping(uint256 => bytes32[KECCAK_TREE_DEPTH])) public proposalBranches;
    mapping(address => mapping(uint256 => Proposal)) public proposalMetadata;
    mapping(address => mapping(uint256 => uint256)) public proposalBonds;
    /// @notice The part that a proposal is for, once it was added.
    mapping(address => mapping(uint256 => bytes32)) public proposalParts;
    /// @notice The blocks of the chain in which a proposal was added to.
    mapping(address => mapping(uint256 => uint64[])) public proposalBlocks;

    /// @param _minProposalSize The least bytes of a preimage that may be proposed.
    /// @param _challengePeriod Seconds for challenges after a proposal is complete.
    constructor(uint256 _minProposalSize, uint256 _challengePeriod) {
        require(_challengePeriod <= type(uint64).max, "challenge period too large");
        MIN_PROPOSAL_SIZE = _minProposalSize;
        CHALLENGE_PERIOD = _challengePeriod;
        for (uint256 height = 1; height < KECCAK_TREE_DEPTH; height++) {
            zeroHashes[height] = Merkle.hashPair(zeroHashes[height - 1], zeroHashes[height - 1]);
        }
    }

    function minProposalSize() external view returns (uint256 minProposalSize_) {
        minProposalSize_ = MIN_PROPOSAL_SIZE;
    }

    function challengePeriod() external view returns (uint256 challengePeriod_) {
        challengePeriod_ = CHALLENGE_PERIOD;
    }

    function proposalCount() external view returns (uint256 count_) {
        count_ = proposals.length;
    }

    /// @notice In how many transactions a proposal was added to.
    function proposalBlocksLen(address _claimant, uint256 _uuid) external view returns (uint256 len_) {
        len_ = proposalBlocks[_claimant][_uuid].length;
    }

    /// @inheritdoc IPreimageOracle
    function readPreimage(bytes32 _key, uint256 _offset) external view returns (bytes32 dat_, uint256 datLen_) {
        require(preimagePartOk[_key][_offset], "pre-image must exist");
        uint256 rest = preimageLengths[_key] + PreimageParts.PREFIX - _offset;
        datLen_ = rest < 32 ? rest : 32;
        dat_ = preimageParts[_key][_offset];
    }

    /// @notice Loads a part of a local input: the first `_size` bytes of `_word`. It is the caller's,
    ///         and says nothing to anyone else.
    /// @return key_ The key that the input has for the caller in this context.
    function loadLocalData(uint256 _ident, bytes32 _localContext, bytes32 _word, uint256 _size, uint256 _partOffset)
        external
        returns (bytes32 key_)
    {
        if (_size > 32) revert PartOffsetOOB();
        bytes32 key = PreimageKeys.ofKind(PreimageKeys.LOCAL, bytes32(_ident));
        key_ = PreimageKeys.localized(key, _localContext);
        _store(key_, _partOffset, _size, PreimageParts.part(_size, _word, _partOffset));
    }

    /// @notice Loads a part of a preimage that is named by its keccak256.
    function loadKeccak256PreimagePart(uint256 _partOffset, bytes calldata _preimage) external {
        bytes32 key = PreimageKeys.ofKind(PreimageKeys.KECCAK256, keccak256(_preimage));
        _store(key, _partOffset, _preimage.length, _preimage.part(_partOffset));
    }

    /// @notice Loads a part of a preimage that is named by its sha256.
    function loadSha256PreimagePart(uint256 _partOffset, bytes calldata _preimage) external {
        bytes32 key = PreimageKeys.ofKind(PreimageKeys.SHA256, sha256(_preimage));
        _store(key, _partOffset, _preimage.length, _preimage.part(_partOffset));
    }

    /// @notice Loads a part of a field element of a blob.
    /// @param _z The point that the element is the value at: a root of unity.
    /// @param _y The element.
    /// @param _commitment The KZG commitment of the blob.
    /// @param _proof The KZG proof that the value at `_z` is `_y`.
    function loadBlobPreimagePart(
        uint256 _z,
        uint256 _y,
        bytes calldata _commitment,
        bytes calldata _proof,
        uint256 _partOffset
    ) external {
        bytes calldata commitment = _commitment[:48];
        bytes32 versionedHash = PreimageKeys.ofKind(1, sha256(commitment));
        // The point evaluation precompile.
        (bool proven,) = address(0x0a).staticcall(abi.encodePacked(versionedHash, _z, _y, commitment, _proof[:48]));
        if (!proven) revert InvalidProof();

        bytes32 key = PreimageKeys.ofKind(PreimageKeys.BLOB, keccak256(abi.encodePacked(commitment, _z)));
        _store(key, _partOffset, 32, PreimageParts.part(32, bytes32(_y), _partOffset));
    }

    /// @notice Loads a part of the result of a call: 1 if it succeeds and 0 if it fails, then what it
    ///         returns.
    /// @dev Any address can be called: a program must know itself which ones it believes.
    /// @param _requiredGas What the call gets at least. With less, the failure of a good call could be
    ///        loaded in place of its result.
    function loadPrecompilePreimagePart(
        uint256 _partOffset,
        address _precompile,
        uint64 _requiredGas,
        bytes calldata _input
    ) external {
        bytes memory request = abi.encodePacked(_precompile, _requiredGas, _input);
        bytes32 key = PreimageKeys.ofKind(PreimageKeys.PRECOMPILE, keccak256(request));

        // A call gets 63/64 of what is left.
        if (gasleft() * 63 < uint256(_requiredGas) * 64 + PRECOMPILE_CALL_RESERVED_GAS * 63) revert NotEnoughGas();
        uint256 size;
        bool success;
        // Assembly, because Solidity would copy the input once more, for gas that was just promised
        // to the call.
        assembly ("memory-safe") {
            success := staticcall(gas(), _precompile, add(request, 60), _input.length, 0, 0)
            size := add(1, returndatasize())
        }
        PreimageParts.checkOffset(size, _partOffset);

        bytes32 part;
        // Assembly, to build the result where memory is free: behind its length, before zeroes.
        assembly ("memory-safe") {
            let result := mload(0x40)
            mstore(result, shl(192, size))
            mstore8(add(result, 8), success)
            returndatacopy(add(result, 9), 0, returndatasize())
            mstore(add(add(result, 8), size), 0)
            part := mload(add(result, _partOffset))
        }
        _store(key, _partOffset, size, part);
    }

    function _store(bytes32 key, uint256 offset, uint256 size, bytes32 part) private {
        preimagePartOk[key][offset] = true;
        preimageParts[key][offset] = part;
        preimageLengths[key] = size;
    }

    /// @notice Begins a large preimage proposal of the caller, with a bond.
    /// @param _partOffset The offset of the part it is for.
    /// @param _claimedSize The bytes of the preimage.
    function initLPP(uint256 _uuid, uint32 _partOffset, uint32 _claimedSize) external payable {
        if (msg.value < MIN_BOND_SIZE) revert InsufficientBond();
        if (msg.sender != tx.origin) revert NotEOA();
        PreimageParts.checkOffset(_claimedSize, _partOffset);
        if (_claimedSize < MIN_PROPOSAL_SIZE) revert InvalidInputSize();
        if (proposalMetadata[msg.sender][_uuid].claimedSize() != 0) revert AlreadyInitialized();

        proposalMetadata[msg.sender][_uuid] = newProposal(_partOffset, _claimedSize);
        proposalBonds[msg.sender][_uuid] = msg.value;
        proposals.push(LargePreimageProposalKeys(msg.sender, _uuid));
    }

    /// @notice Adds blocks to a proposal of the caller.
    /// @param _inputStartBlock How many blocks there are before.
    /// @param _input Whole blocks. The last time it may be anything, and padding is added.
    /// @param _stateCommitments What commits to the sponge after each block, padding included.
    /// @param _finalize Whether this is the last time.
    function addLeavesLPP(
        uint256 _uuid,
        uint256 _inputStartBlock,
        bytes calldata _input,
        bytes32[] calldata _stateCommitments,
        bool _finalize
    ) external {
        if (msg.sender != tx.origin) revert NotEOA();
        Proposal proposal = proposalMetadata[msg.sender][_uuid];
        if (proposal.claimedSize() == 0) revert NotInitialized();
        if (proposal.finalizedAt() != 0) revert AlreadyFinalized();
        if (proposal.blocksProcessed() != _inputStartBlock) revert WrongStartingBlock();
        _pickPart(_uuid, proposal, _input, _finalize);

        if (!_finalize && _input.length % Keccak.BLOCK != 0) revert InvalidInputSize();
        if (_stateCommitments.length != _input.length / Keccak.BLOCK + (_finalize ? 1 : 0)) revert InvalidInputSize();
        uint256 blocks = _inputStartBlock + _stateCommitments.length;
        if (blocks > MAX_LEAF_COUNT) revert TreeSizeOverflow();
        _addLeaves(_uuid, _inputStartBlock, _input, _stateCommitments);

        proposal = proposal.withAdded(uint32(blocks), uint32(proposal.bytesProcessed() + _input.length));
        if (_finalize) {
            if (proposal.bytesProcessed() != proposal.claimedSize()) revert InvalidInputSize();
            proposal = proposal.withFinalizedAt(uint64(block.timestamp));
        }
        proposalMetadata[msg.sender][_uuid] = proposal;
        proposalBlocks[msg.sender][_uuid].push(uint64(block.number));

        // Whoever watches finds the input in the log. Assembly, because an event without topics would
        // still be ABI-encoded.
        assembly ("memory-safe") {
            let entry := mload(0x40)
            mstore(entry, shl(96, caller()))
            calldatacopy(add(entry, 20), 0, calldatasize())
            log0(entry, add(20, calldatasize()))
        }
    }

    /// @notice Keeps the part that the proposal is for, if it begins in `input`.
    function _pickPart(uint256 uuid, Proposal proposal, bytes calldata input, bool last) private {
        uint256 offset = proposal.partOffset();
        uint256 before = proposal.bytesProcessed();
        if (offset < PreimageParts.PREFIX) {
            if (before != 0) return;
            proposalParts[msg.sender][uuid] =
                PreimageParts.withPrefix(proposal.claimedSize(), bytes32(input), offset);
        } else {
            uint256 start = offset - PreimageParts.PREFIX;
            if (start < before || start >= before + input.length) return;
            start -= before;
            // It must be here as a whole, with a byte to spare, unless there is no more to come.
            if (!last && start + 32 >= input.length) revert PartOffsetOOB();
            proposalParts[msg.sender][uuid] = bytes32(input[start:]);
        }
    }

    /// @notice Adds a leaf for each commitment. The block of the last one is padded if it is not whole.
    function _addLeaves(uint256 uuid, uint256 index, bytes calldata input, bytes32[] calldata commitments) private {
        bytes32[KECCAK_TREE_DEPTH] memory branch = proposalBranches[msg.sender][uuid];
        bytes memory leaf = new bytes(Keccak.BLOCK + 64);
        // Unchecked, because there are less than 2^16 leaves by now.
        unchecked {
            for (uint256 i = 0; i < commitments.length; i++) {
                leaf.copyBlock(input[i * Keccak.BLOCK:]);
                leaf.setHashAt(Keccak.BLOCK, bytes32(index + i));
                leaf.setHashAt(Keccak.BLOCK + 32, commitments[i]);
                bytes32 node = keccak256(leaf);

                // The new leaf completes as many trees as its number, from 1, can be halved.
                uint256 height = 0;
                for (uint256 size = index + i + 1; size & 1 == 0; size >>= 1) {
                    node = Merkle.hashPair(branch[height++], node);
                }
                branch[height] = node;
            }
        }
        proposalBranches[msg.sender][uuid] = branch;
    }

    /// @notice Shows that a block of a proposal does not lead from the commitment before it to its own.
    ///         The bond goes to the caller.
    /// @param _stateMatrix The sponge before the block.
    /// @param _preState The block before it.
    /// @param _postState The block.
    function challengeLPP(
        address _claimant,
        uint256 _uuid,
        Keccak.StateMatrix memory _stateMatrix,
        Leaf calldata _preState,
        bytes32[] calldata _preStateProof,
        Leaf calldata _postState,
        bytes32[] calldata _postStateProof
    ) external {
        _checkLeaves(_claimant, _uuid, _stateMatrix, _preState, _preStateProof, _postState, _postStateProof);
        _challenge(_claimant, _uuid, _stateMatrix, _postState);
    }

    /// @notice Shows that the first block of a proposal does not lead from nothing to its commitment.
    ///         The bond goes to the caller.
    function challengeFirstLPP(
        address _claimant,
        uint256 _uuid,
        Leaf calldata _postState,
        bytes32[] calldata _postStateProof
    ) external {
        if (_treeRoot(_postState, _postStateProof) != getTreeRootLPP(_claimant, _uuid)) revert InvalidProof();
        if (_postState.index != 0) revert StatesNotContiguous();
        Keccak.StateMatrix memory empty;
        _challenge(_claimant, _uuid, empty, _postState);
    }

    function _challenge(address claimant, uint256 uuid, Keccak.StateMatrix memory matrix, Leaf calldata post) private {
        matrix.absorb(post.input);
        if (matrix.commitment() == post.stateCommitment) revert PostStateMatches();
        proposalMetadata[claimant][uuid] = proposalMetadata[claimant][uuid].withCountered();
        _payBond(claimant, uuid, msg.sender);
    }

    /// @notice Stores the part of a proposal that nobody has challenged. The bond goes back.
    /// @param _stateMatrix The sponge before the last block.
    /// @param _preState The last block but one.
    /// @param _postState The last block.
    function squeezeLPP(
        address _claimant,
        uint256 _uuid,
        Keccak.StateMatrix memory _stateMatrix,
        Leaf calldata _preState,
        bytes32[] calldata _preStateProof,
        Leaf calldata _postState,
        bytes32[] calldata _postStateProof
    ) external {
        Proposal proposal = proposalMetadata[_claimant][_uuid];
        if (proposal.countered()) revert BadProposal();
        // A proposal that was never finalized would seem to be very old.
        if (proposal.finalizedAt() == 0) revert ActiveProposal();
        if (block.timestamp - proposal.finalizedAt() <= CHALLENGE_PERIOD) revert ActiveProposal();
        _checkLeaves(_claimant, _uuid, _stateMatrix, _preState, _preStateProof, _postState, _postStateProof);
        if (_postState.index != proposal.blocksProcessed() - 1) revert StatesNotContiguous();

        _stateMatrix.absorb(_postState.input);
        bytes32 key = PreimageKeys.ofKind(PreimageKeys.KECCAK256, _stateMatrix.squeeze());
        _store(key, proposal.partOffset(), proposal.claimedSize(), proposalParts[_claimant][_uuid]);
        _payBond(_claimant, _uuid, _claimant);
    }

    /// @notice The root of the tree of all blocks that were added so far.
    function getTreeRootLPP(address _owner, uint256 _uuid) public view returns (bytes32 treeRoot_) {
        uint256 size = proposalMetadata[_owner][_uuid].blocksProcessed();
        bytes32[KECCAK_TREE_DEPTH] storage branch = proposalBranches[_owner][_uuid];
        // Hashed anew, because that costs less than a look into storage.
        bytes32 zero;
        for (uint256 height = 0; height < KECCAK_TREE_DEPTH; height++) {
            treeRoot_ = size >> height & 1 == 1
                ? Merkle.hashPair(branch[height], treeRoot_)
                : Merkle.hashPair(treeRoot_, zero);
            zero = Merkle.hashPair(zero, zero);
        }
    }

    /// @notice Checks that both blocks are in the tree, that the one follows the other, and that the
    ///         sponge is the one between them.
    function _checkLeaves(
        address claimant,
        uint256 uuid,
        Keccak.StateMatrix memory matrix,
        Leaf calldata pre,
        bytes32[] calldata preProof,
        Leaf calldata post,
        bytes32[] calldata postProof
    ) private view {
        bytes32 root = getTreeRootLPP(claimant, uuid);
        if (_treeRoot(pre, preProof) != root || _treeRoot(post, postProof) != root) revert InvalidProof();
        if (matrix.commitment() != pre.stateCommitment) revert InvalidPreimage();
        if (pre.index + 1 != post.index) revert StatesNotContiguous();
    }

    /// @notice The root of a tree in which the leaf has these siblings, bottom-up.
    function _treeRoot(Leaf calldata leaf, bytes32[] calldata proof) private pure returns (bytes32 node) {
        node = keccak256(abi.encodePacked(leaf.input, leaf.index, leaf.stateCommitment));
        for (uint256 height = 0; height < KECCAK_TREE_DEPTH; height++) {
            node = leaf.index >> height & 1 == 1
                ? Merkle.hashPair(proof[height], node)
                : Merkle.hashPair(node, proof[height]);
        }
    }

    function _payBond(address claimant, uint256 uuid, address to) private {
        uint256 bond = proposalBonds[claimant][uuid];
        proposalBonds[claimant][uuid] = 0;
        (bool paid,) = to.call{value: bond}("");
        if (!paid) revert BondTransferFailed();
    }
}
