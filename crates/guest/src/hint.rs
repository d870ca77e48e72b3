//! Hints as values, in the words of the hosts in use.
//!
//! On the wire a hint is a name, a space, and `0x` with hex digits. Hosts speak two dialects that
//! differ in a few names and in what the data of some is.

use alloc::string::String;
use alloc::vec::Vec;

use crate::Hash;

/// Whose hints a host understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// kona's. It is what `tribunal` understands by itself.
    #[default]
    Kona,
    /// op-program's.
    OpProgram,
}

/// What a program will ask for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint<'a> {
    /// A blob of L1, by its versioned hash.
    L1Blob {
        /// The versioned hash.
        hash: &'a Hash,
        /// Its place among the blobs of the block.
        index: u64,
        /// The timestamp of the block, in seconds.
        timestamp: u64,
    },
    /// The header of an L1 block.
    L1BlockHeader(&'a Hash),
    /// The result of a precompiled contract.
    L1Precompile {
        /// The contract.
        address: &'a [u8; 20],
        /// What it is given, in gas.
        gas: u64,
        /// Its input.
        input: &'a [u8],
    },
    /// All nodes of the receipts of an L1 block.
    L1Receipts(&'a Hash),
    /// All nodes of the transactions of an L1 block.
    L1Transactions(&'a Hash),
    /// The nodes that lead to an account of L2.
    L2AccountProof {
        /// The number of the block in whose state it is.
        block: u64,
        /// The account.
        address: &'a [u8; 20],
    },
    /// The nodes that lead to an account of L2 and to a slot of its storage.
    L2AccountStorageProof {
        /// The number of the block in whose state it is.
        block: u64,
        /// The account.
        address: &'a [u8; 20],
        /// The slot.
        slot: &'a Hash,
    },
    /// The header of an L2 block.
    L2BlockHeader(&'a Hash),
    /// Code of an L2 account, by its hash.
    L2Code(&'a Hash),
    /// What an output root is made of.
    L2Output(&'a Hash),
    /// All that is needed to execute a block with these attributes.
    L2PayloadWitness {
        /// The hash of the parent.
        parent: &'a Hash,
        /// The attributes as JSON.
        attributes: &'a [u8],
    },
    /// A node of L2's state or storage.
    L2StateNode(&'a Hash),
    /// All nodes of the transactions of an L2 block.
    L2Transactions(&'a Hash),
}

impl Hint<'_> {
    /// The name.
    pub const fn name(&self, dialect: Dialect) -> &'static str {
        match (self, dialect) {
            (Self::L1Blob { .. }, _) => "l1-blob",
            (Self::L1BlockHeader(_), _) => "l1-block-header",
            (Self::L1Precompile { .. }, Dialect::Kona) => "l1-precompile",
            // Its l1-precompile is older and knows no gas.
            (Self::L1Precompile { .. }, Dialect::OpProgram) => "l1-precompile-v2",
            (Self::L1Receipts(_), _) => "l1-receipts",
            (Self::L1Transactions(_), _) => "l1-transactions",
            (Self::L2AccountProof { .. }, _) => "l2-account-proof",
            (Self::L2AccountStorageProof { .. }, _) => "l2-account-storage-proof",
            (Self::L2BlockHeader(_), _) => "l2-block-header",
            (Self::L2Code(_), _) => "l2-code",
            (Self::L2Output(_), Dialect::Kona) => "starting-l2-output",
            (Self::L2Output(_), Dialect::OpProgram) => "l2-output",
            (Self::L2PayloadWitness { .. }, _) => "l2-payload-witness",
            (Self::L2StateNode(_), _) => "l2-state-node",
            (Self::L2Transactions(_), _) => "l2-transactions",
        }
    }

    /// The text of the hint.
    pub fn encode(&self, dialect: Dialect) -> String {
        let mut data = Vec::new();
        match *self {
            Self::L1BlockHeader(hash)
            | Self::L1Receipts(hash)
            | Self::L1Transactions(hash)
            | Self::L2BlockHeader(hash)
            | Self::L2Code(hash)
            | Self::L2Output(hash)
            | Self::L2StateNode(hash)
            | Self::L2Transactions(hash) => data.extend(hash),
            Self::L1Blob { hash, index, timestamp } => {
                data.extend(hash);
                data.extend(index.to_be_bytes());
                data.extend(timestamp.to_be_bytes());
            }
            Self::L1Precompile { address, gas, input } => {
                data.extend(address);
                data.extend(gas.to_be_bytes());
                data.extend(input);
            }
            Self::L2AccountProof { block, address } => {
                data.extend(block.to_be_bytes());
                data.extend(address);
            }
            Self::L2AccountStorageProof { block, address, slot } => {
                data.extend(block.to_be_bytes());
                data.extend(address);
                data.extend(slot);
            }
            Self::L2PayloadWitness { parent, attributes } => {
                data.extend(parent);
                data.extend(attributes);
            }
        }
        let name = self.name(dialect);
        let mut text = String::with_capacity(name.len() + 3 + 2 * data.len());
        text.push_str(name);
        text.push_str(" 0x");
        for byte in data {
            text.push(digit(byte >> 4));
            text.push(digit(byte & 0x0f));
        }
        text
    }
}

fn digit(nibble: u8) -> char {
    char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_dialects_are_those_of_the_hosts() {
        let (hash, address) = ([0x11; 32], [0x22; 20]);
        let (one, two) = ("11".repeat(32), "22".repeat(20));
        let number = "0000000000000007";
        let both = |hint: Hint<'_>, expected: &str| {
            for dialect in [Dialect::Kona, Dialect::OpProgram] {
                assert_eq!(hint.encode(dialect), expected);
            }
        };
        both(Hint::L1BlockHeader(&hash), &alloc::format!("l1-block-header 0x{one}"));
        both(Hint::L2Transactions(&hash), &alloc::format!("l2-transactions 0x{one}"));
        let blob = Hint::L1Blob { hash: &hash, index: 7, timestamp: 255 };
        both(blob, &alloc::format!("l1-blob 0x{one}{number}00000000000000ff"));
        let proof = Hint::L2AccountProof { block: 7, address: &address };
        both(proof, &alloc::format!("l2-account-proof 0x{number}{two}"));
        let slot = Hint::L2AccountStorageProof { block: 7, address: &address, slot: &hash };
        both(slot, &alloc::format!("l2-account-storage-proof 0x{number}{two}{one}"));
        let witness = Hint::L2PayloadWitness { parent: &hash, attributes: b"{}" };
        both(witness, &alloc::format!("l2-payload-witness 0x{one}7b7d"));

        let call = Hint::L1Precompile { address: &address, gas: 7, input: b"ab" };
        let data = alloc::format!("0x{two}{number}6162");
        assert_eq!(call.encode(Dialect::Kona), alloc::format!("l1-precompile {data}"));
        assert_eq!(call.encode(Dialect::OpProgram), alloc::format!("l1-precompile-v2 {data}"));
        let output = Hint::L2Output(&hash);
        assert_eq!(output.encode(Dialect::Kona), alloc::format!("starting-l2-output 0x{one}"));
        assert_eq!(output.encode(Dialect::OpProgram), alloc::format!("l2-output 0x{one}"));
    }
}
