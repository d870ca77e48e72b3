//! The hints of OP Stack programs as typed values, in the wire forms of both dialects.
//!
//! Knows names and bytes of the hints that kona's and op-program's clients send, old forms included,
//! so a host reads and a program writes them from one table. Knows nothing of wires, stores, networks
//! or what a hint is good for; it works where there is no operating system.
#![no_std]

extern crate alloc;

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// 32 bytes that name a block, a trie node, code or an output.
pub type Hash = [u8; 32];

/// The 20 bytes of an account.
pub type Address = [u8; 20];

/// Whose words a hint is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// The client in Rust. It is what `tribunal` understands by itself.
    #[default]
    Kona,
    /// The client in Go.
    OpProgram,
}

/// A block, as hints name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockId {
    /// By its hash.
    Hash(Hash),
    /// By its number on the canonical chain.
    Number(u64),
}

/// What a program says it will ask for.
///
/// `chain` is the L2 chain id that programs over several chains add; without, it is the only one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint<'a> {
    /// What an interop program was started from, by its hash.
    AgreedPreState(Hash),
    /// A blob of an L1 block.
    L1Blob {
        /// Of its commitment.
        versioned_hash: Hash,
        /// Its place among the blobs of the block; newer clients leave it out.
        index: Option<u64>,
        /// When the block was made, in seconds since 1970.
        timestamp: u64,
    },
    /// The header of an L1 block.
    L1BlockHeader(Hash),
    /// The result of a precompiled contract.
    L1Precompile {
        /// Which.
        address: Address,
        /// The gas that its key names; the oldest form of op-program has none.
        required_gas: Option<u64>,
        /// With what it is called.
        input: Cow<'a, [u8]>,
    },
    /// The receipts of an L1 block.
    L1Receipts(Hash),
    /// The transactions of an L1 block.
    L1Transactions(Hash),
    /// The way to an account in the state after a block.
    L2AccountProof {
        /// After which block.
        block: BlockId,
        /// Which account.
        address: Address,
        /// On which chain.
        chain: Option<u64>,
    },
    /// The way to an account and to one of its storage slots.
    L2AccountStorageProof {
        /// After which block.
        block: BlockId,
        /// Which account.
        address: Address,
        /// Which slot.
        slot: Hash,
        /// On which chain.
        chain: Option<u64>,
    },
    /// All that a block is executed with. The host may execute it.
    L2BlockData {
        /// The block it is executed on.
        agreed: Hash,
        /// The block.
        block: Hash,
        /// On which chain.
        chain: u64,
    },
    /// The header of an L2 block.
    L2BlockHeader {
        /// Its hash.
        hash: Hash,
        /// On which chain.
        chain: Option<u64>,
    },
    /// The code of a contract, by its hash.
    L2Code {
        /// Its hash.
        hash: Hash,
        /// On which chain.
        chain: Option<u64>,
    },
    /// All that the execution of a canonical block reads.
    L2ExecutionWitness {
        /// Its number.
        block: u64,
    },
    /// What an output root is made of.
    L2Output {
        /// The root.
        root: Hash,
        /// On which chain.
        chain: Option<u64>,
    },
    /// All that the execution of a payload reads.
    L2PayloadWitness(PayloadWitness<'a>),
    /// The receipts of an L2 block.
    L2Receipts {
        /// The hash of the block.
        hash: Hash,
        /// On which chain.
        chain: Option<u64>,
    },
    /// A node of a state trie, by its hash.
    L2StateNode {
        /// Its hash.
        hash: Hash,
        /// On which chain.
        chain: Option<u64>,
    },
    /// The transactions of an L2 block.
    L2Transactions {
        /// The hash of the block.
        hash: Hash,
        /// On which chain.
        chain: Option<u64>,
    },
}

/// The payload of [`Hint::L2PayloadWitness`]; its JSON is not looked into here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadWitness<'a> {
    /// op-program's: an object of `parentBlockHash`, `payloadAttributes` and perhaps `chainID`.
    Object(Cow<'a, [u8]>),
    /// kona's.
    Parts {
        /// The hash of the block it is executed on.
        parent: Hash,
        /// The payload attributes, as JSON.
        attributes: Cow<'a, [u8]>,
        /// On which chain.
        chain: Option<u64>,
    },
}

/// The name of a hint, and how it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// The first word of the hint.
    pub text: &'static str,
    /// Whether it asks for much at once, of which a program may need any part later.
    pub bulk: bool,
}

const fn single(text: &'static str) -> Name {
    Name { text, bulk: false }
}

const fn bulk(text: &'static str) -> Name {
    Name { text, bulk: true }
}

/// Every name that [`Hint::parse`] knows.
pub const NAMES: [Name; 19] = [
    single("agreed-pre-state"),
    single("l1-blob"),
    single("l1-block-header"),
    single("l1-precompile"),
    single("l1-precompile-v2"),
    single("l1-receipts"),
    single("l1-transactions"),
    bulk("l2-account-proof"),
    bulk("l2-account-storage-proof"),
    bulk("l2-block-data"),
    single("l2-block-header"),
    single("l2-code"),
    bulk("l2-execution-witness"),
    single("l2-output"),
    single("l2-output-root"),
    bulk("l2-payload-witness"),
    single("l2-receipts"),
    single("l2-state-node"),
    single("l2-transactions"),
];

/// kona's word for the output that a run starts from.
pub const STARTING_L2_OUTPUT: Name = single("starting-l2-output");

/// Why bytes are no [`Hint`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// What follows the name is not hexadecimal.
    #[error("{name}: what follows is no hexadecimal digits: {why}")]
    Digits {
        /// The name.
        name: String,
        /// What is wrong.
        why: hex::FromHexError,
    },
    /// There are not as many bytes as the hint has in any form.
    #[error("{name}: {found} bytes follow, not {wanted}")]
    Length {
        /// The name.
        name: String,
        /// How many there are.
        found: usize,
        /// How many there may be, in words.
        wanted: &'static str,
    },
    /// Nobody sends such a hint.
    #[error("{name}: no such hint")]
    Name {
        /// The name.
        name: String,
    },
}

impl Hint<'_> {
    /// Reads a hint: its first word, and what follows the space.
    ///
    /// Digits may have `0x` in front or not, and may come in several words: one version of op-program
    /// sent them so. kona's `l1-precompile` has the required gas in front of the input and op-program's
    /// oldest has not; they are told apart by what the gas would be, for nothing costs none and nothing
    /// costs 2³² or more, while inputs begin with a hash or with a field element.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(name: &str, argument: &str) -> Result<Hint<'static>, ParseError> {
        let data = digits(name, argument)?;
        let mut rest = Rest { name, data: &data, found: data.len() };
        let hint = match name {
            "agreed-pre-state" => Hint::AgreedPreState(rest.all("32")?),
            "l1-block-header" => Hint::L1BlockHeader(rest.all("32")?),
            "l1-receipts" => Hint::L1Receipts(rest.all("32")?),
            "l1-transactions" => Hint::L1Transactions(rest.all("32")?),
            "l1-blob" => {
                let wanted = "40 or 48";
                let versioned_hash = rest.take(wanted)?;
                let index = match rest.data.len() {
                    8 => None,
                    _ => Some(rest.number(wanted)?),
                };
                let timestamp = u64::from_be_bytes(rest.all(wanted)?);
                Hint::L1Blob { versioned_hash, index, timestamp }
            }
            "l1-precompile" | "l1-precompile-v2" => {
                let old = name == "l1-precompile";
                let wanted = if old { "20 or more" } else { "28 or more" };
                let address = rest.take(wanted)?;
                let gas = rest.data.first_chunk().map(|gas| u64::from_be_bytes(*gas));
                let has_gas = gas.is_some_and(|gas| !old || (1..1 << 32).contains(&gas));
                let required_gas = match has_gas || !old {
                    true => Some(rest.number(wanted)?),
                    false => None,
                };
                Hint::L1Precompile { address, required_gas, input: rest.data.to_vec().into() }
            }
            "l2-account-proof" => {
                let wanted = "28, 36 or 60";
                // op-program names the block by its hash, and always the chain.
                let by_hash = data.len() == 60;
                let block = rest.block(by_hash, wanted)?;
                let address = rest.take(wanted)?;
                Hint::L2AccountProof { block, address, chain: rest.chain(wanted)? }
            }
            "l2-account-storage-proof" => {
                let wanted = "60 or 68";
                let block = rest.block(false, wanted)?;
                let address = rest.take(wanted)?;
                let slot = rest.take(wanted)?;
                Hint::L2AccountStorageProof { block, address, slot, chain: rest.chain(wanted)? }
            }
            "l2-block-data" => {
                let agreed = rest.take("72")?;
                let block = rest.take("72")?;
                Hint::L2BlockData { agreed, block, chain: u64::from_be_bytes(rest.all("72")?) }
            }
            "l2-execution-witness" => {
                Hint::L2ExecutionWitness { block: u64::from_be_bytes(rest.all("8")?) }
            }
            "l2-payload-witness" => Hint::L2PayloadWitness(PayloadWitness::parse(&mut rest)?),
            "l2-block-header" => rest.hash(|hash, chain| Hint::L2BlockHeader { hash, chain })?,
            "l2-code" => rest.hash(|hash, chain| Hint::L2Code { hash, chain })?,
            "l2-receipts" => rest.hash(|hash, chain| Hint::L2Receipts { hash, chain })?,
            "l2-state-node" => rest.hash(|hash, chain| Hint::L2StateNode { hash, chain })?,
            "l2-transactions" => rest.hash(|hash, chain| Hint::L2Transactions { hash, chain })?,
            "l2-output" | "l2-output-root" | "starting-l2-output" => {
                rest.hash(|root, chain| Hint::L2Output { root, chain })?
            }
            _ => return Err(ParseError::Name { name: name.into() }),
        };
        Ok(hint)
    }

    /// The first word of the hint in this dialect; `None` if the dialect has no such hint.
    pub const fn name(&self, dialect: Dialect) -> Option<&'static str> {
        use Dialect::{Kona, OpProgram};
        Some(match (self, dialect) {
            (Self::AgreedPreState(_), _) => "agreed-pre-state",
            (Self::L1Blob { .. }, _) => "l1-blob",
            (Self::L1BlockHeader(_), _) => "l1-block-header",
            (Self::L1Precompile { required_gas: Some(_), .. }, Kona)
            | (Self::L1Precompile { required_gas: None, .. }, OpProgram) => "l1-precompile",
            (Self::L1Precompile { required_gas: Some(_), .. }, OpProgram) => "l1-precompile-v2",
            (Self::L1Receipts(_), _) => "l1-receipts",
            (Self::L1Transactions(_), _) => "l1-transactions",
            (Self::L2AccountProof { block: BlockId::Number(_), .. }, Kona)
            | (Self::L2AccountProof { block: BlockId::Hash(_), chain: Some(_), .. }, OpProgram)
            | (Self::L2AccountProof { block: BlockId::Number(_), chain: None, .. }, OpProgram) => {
                "l2-account-proof"
            }
            (Self::L2AccountStorageProof { block: BlockId::Number(_), .. }, Kona) => {
                "l2-account-storage-proof"
            }
            (Self::L2BlockData { .. }, _) => "l2-block-data",
            (Self::L2BlockHeader { .. }, _) => "l2-block-header",
            (Self::L2Code { .. }, _) => "l2-code",
            (Self::L2ExecutionWitness { .. }, OpProgram) => "l2-execution-witness",
            (Self::L2Output { .. }, OpProgram) => "l2-output",
            (Self::L2Output { chain: None, .. }, Kona) => STARTING_L2_OUTPUT.text,
            (Self::L2Output { chain: Some(_), .. }, Kona) => "l2-output-root",
            (Self::L2PayloadWitness(PayloadWitness::Object(_)), OpProgram)
            | (Self::L2PayloadWitness(PayloadWitness::Parts { .. }), Kona) => "l2-payload-witness",
            (Self::L2Receipts { .. }, _) => "l2-receipts",
            (Self::L2StateNode { .. }, _) => "l2-state-node",
            (Self::L2Transactions { .. }, _) => "l2-transactions",
            (
                Self::L1Precompile { .. }
                | Self::L2AccountProof { .. }
                | Self::L2AccountStorageProof { .. }
                | Self::L2ExecutionWitness { .. }
                | Self::L2PayloadWitness(_),
                _,
            ) => return None,
        })
    }

    /// The hint as a program of this dialect writes it; `None` if the dialect has no such hint.
    pub fn encode(&self, dialect: Dialect) -> Option<String> {
        String::from_utf8(self.bytes(dialect)?).ok()
    }

    /// The bytes of [`Hint::encode`], for a wire.
    pub fn bytes(&self, dialect: Dialect) -> Option<Vec<u8>> {
        let name = self.name(dialect)?;
        // Where there is a chain, it comes last.
        let chain = self.chain().map(u64::to_be_bytes);
        let chain = chain.as_ref().map_or(&[][..], |chain| chain);
        Some(match self {
            Self::AgreedPreState(hash)
            | Self::L1BlockHeader(hash)
            | Self::L1Receipts(hash)
            | Self::L1Transactions(hash)
            | Self::L2BlockHeader { hash, .. }
            | Self::L2Code { hash, .. }
            | Self::L2Output { root: hash, .. }
            | Self::L2Receipts { hash, .. }
            | Self::L2StateNode { hash, .. }
            | Self::L2Transactions { hash, .. } => line(name, &[hash, chain]),
            Self::L1Blob { versioned_hash, index, timestamp } => {
                let index = index.map(u64::to_be_bytes);
                let index = index.as_ref().map_or(&[][..], |index| index);
                line(name, &[versioned_hash, index, &timestamp.to_be_bytes()])
            }
            Self::L1Precompile { address, required_gas, input } => {
                let gas = required_gas.map(u64::to_be_bytes);
                let gas = gas.as_ref().map_or(&[][..], |gas| gas);
                line(name, &[address, gas, input])
            }
            Self::L2AccountProof { block: BlockId::Hash(block), address, .. } => {
                line(name, &[block, address, chain])
            }
            Self::L2AccountProof { block: BlockId::Number(block), address, .. } => {
                match dialect {
                    Dialect::Kona => line(name, &[&block.to_be_bytes(), address, chain]),
                    // Two words.
                    Dialect::OpProgram => {
                        let mut line = line(name, &[&block.to_be_bytes()]);
                        line.extend_from_slice(b" 0x");
                        write_digits(&mut line, address);
                        line
                    }
                }
            }
            Self::L2AccountStorageProof { block, address, slot, .. } => {
                let number = match block {
                    BlockId::Hash(_) => return None,
                    BlockId::Number(number) => number.to_be_bytes(),
                };
                line(name, &[&number, address, slot, chain])
            }
            Self::L2BlockData { agreed, block, .. } => line(name, &[agreed, block, chain]),
            Self::L2ExecutionWitness { block } => line(name, &[&block.to_be_bytes()]),
            Self::L2PayloadWitness(PayloadWitness::Object(object)) => line(name, &[object]),
            Self::L2PayloadWitness(PayloadWitness::Parts { parent, attributes, .. }) => {
                line(name, &[parent, attributes, chain])
            }
        })
    }

    /// The chain that the hint names, if it does.
    pub const fn chain(&self) -> Option<u64> {
        match self {
            Self::L2AccountProof { chain, .. }
            | Self::L2AccountStorageProof { chain, .. }
            | Self::L2BlockHeader { chain, .. }
            | Self::L2Code { chain, .. }
            | Self::L2Output { chain, .. }
            | Self::L2PayloadWitness(PayloadWitness::Parts { chain, .. })
            | Self::L2Receipts { chain, .. }
            | Self::L2StateNode { chain, .. }
            | Self::L2Transactions { chain, .. } => *chain,
            Self::L2BlockData { chain, .. } => Some(*chain),
            Self::AgreedPreState(_)
            | Self::L1Blob { .. }
            | Self::L1BlockHeader(_)
            | Self::L1Precompile { .. }
            | Self::L1Receipts(_)
            | Self::L1Transactions(_)
            | Self::L2ExecutionWitness { .. }
            | Self::L2PayloadWitness(PayloadWitness::Object(_)) => None,
        }
    }
}

impl PayloadWitness<'static> {
    fn parse(rest: &mut Rest<'_>) -> Result<Self, ParseError> {
        let wanted = "a hash and an object, or an object";
        if let ([b'{', .., b'}'], false) = (rest.data, rest.data.get(32) == Some(&b'{')) {
            return Ok(Self::Object(rest.data.to_vec().into()));
        }
        let parent = rest.take(wanted)?;
        // No JSON has a zero byte, and every chain id begins with one.
        let (attributes, chain) = match rest.data.split_last_chunk::<8>() {
            Some((attributes, chain @ [0, ..])) => (attributes, Some(u64::from_be_bytes(*chain))),
            _ => (rest.data, None),
        };
        match attributes {
            [b'{', .., b'}'] => {
                Ok(Self::Parts { parent, attributes: attributes.to_vec().into(), chain })
            }
            _ => Err(rest.wrong(wanted)),
        }
    }
}

/// A hint as it goes over the wire: its name, and the parts of its data in hexadecimal digits.
pub fn line(name: &str, data: &[&[u8]]) -> Vec<u8> {
    let length: usize = data.iter().map(|part| part.len()).sum();
    let mut line = Vec::with_capacity(name.len() + 3 + 2 * length);
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b" 0x");
    data.iter().for_each(|part| write_digits(&mut line, part));
    line
}

/// Appends the hexadecimal digits of `bytes`, in small letters.
///
/// Four bytes at a time in one word: a machine counts every step, and payloads are long.
pub fn write_digits(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    let digits = &mut out[start..];
    let (words, rest) = bytes.as_chunks();
    let (pairs, last) = digits.split_at_mut(8 * words.len());
    for (digits, word) in pairs.as_chunks_mut().0.iter_mut().zip(words) {
        *digits = eight_digits(u32::from_be_bytes(*word)).to_be_bytes();
    }
    for (digits, byte) in last.as_chunks_mut().0.iter_mut().zip(rest) {
        let [.., high, low] = eight_digits(u32::from(*byte)).to_be_bytes();
        *digits = [high, low];
    }
}

/// The digits of a word as characters, the first one highest.
const fn eight_digits(word: u32) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // A digit in each byte.
    let mut digits = word as u64;
    digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff;
    digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff;
    digits = (digits | digits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // Those from ten on go up by what lies between '9' and 'a'. No byte overflows: 15 + 0x30 + 39 = 'f'.
    let letters = (digits + 6 * EACH) >> 4 & EACH;
    digits + 0x30 * EACH + letters * 39
}

/// The bytes behind a name.
fn digits(name: &str, argument: &str) -> Result<Vec<u8>, ParseError> {
    let mut data = Vec::new();
    for word in argument.split_ascii_whitespace() {
        let bytes = hex::decode(word.strip_prefix("0x").unwrap_or(word));
        data.extend(bytes.map_err(|why| ParseError::Digits { name: name.into(), why })?);
    }
    Ok(data)
}

/// What of a hint has not been read yet.
struct Rest<'a> {
    name: &'a str,
    data: &'a [u8],
    /// How many bytes there were.
    found: usize,
}

impl Rest<'_> {
    fn wrong(&self, wanted: &'static str) -> ParseError {
        ParseError::Length { name: self.name.into(), found: self.found, wanted }
    }

    fn take<const N: usize>(&mut self, wanted: &'static str) -> Result<[u8; N], ParseError> {
        let (taken, rest) = self.data.split_first_chunk().ok_or_else(|| self.wrong(wanted))?;
        self.data = rest;
        Ok(*taken)
    }

    /// All that is left.
    fn all<const N: usize>(&mut self, wanted: &'static str) -> Result<[u8; N], ParseError> {
        self.data.try_into().map_err(|_| self.wrong(wanted))
    }

    fn number(&mut self, wanted: &'static str) -> Result<u64, ParseError> {
        self.take(wanted).map(u64::from_be_bytes)
    }

    fn block(&mut self, by_hash: bool, wanted: &'static str) -> Result<BlockId, ParseError> {
        Ok(match by_hash {
            true => BlockId::Hash(self.take(wanted)?),
            false => BlockId::Number(self.number(wanted)?),
        })
    }

    /// The chain at the end, if there is one.
    fn chain(&mut self, wanted: &'static str) -> Result<Option<u64>, ParseError> {
        match self.data.len() {
            0 => Ok(None),
            _ => Ok(Some(u64::from_be_bytes(self.all(wanted)?))),
        }
    }

    /// A hash, and the chain if there is one.
    fn hash(
        &mut self,
        hint: impl FnOnce(Hash, Option<u64>) -> Hint<'static>,
    ) -> Result<Hint<'static>, ParseError> {
        let hash = self.take("32 or 40")?;
        Ok(hint(hash, self.chain("32 or 40")?))
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString as _;
    use alloc::vec;

    use super::*;

    #[test]
    fn digits_are_those_of_every_byte_wherever_it_stands() {
        let bytes: Vec<u8> = (0..=255).collect();
        for start in 0..4 {
            for end in [start, start + 1, 38, 39, 253, 256] {
                let mut written = b"0x".to_vec();
                write_digits(&mut written, &bytes[start..end]);
                assert_eq!(written, format!("0x{}", hex::encode(&bytes[start..end])).as_bytes());
            }
        }
    }

    const H: Hash = [0xab; 32];
    const A: Address = [0xcd; 20];
    const AB: &str = "abababababababababababababababababababababababababababababababab";
    const CD: &str = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";

    fn parse(text: &str) -> Result<Hint<'static>, ParseError> {
        let (name, argument) = text.split_once(' ').unwrap_or((text, ""));
        Hint::parse(name, argument)
    }

    /// Each hint, as kona and as op-program write it.
    fn table() -> Vec<(Hint<'static>, Option<String>, Option<String>)> {
        use Hint::*;
        let both = |hint: Hint<'static>, text: String| (hint, Some(text.clone()), Some(text));
        let object = br#"{"parentBlockHash":"0x00"}"#.to_vec();
        let attributes = br#"{"timestamp":"0x1"}"#.to_vec();
        let (object_hex, attributes_hex) = (hex::encode(&object), hex::encode(&attributes));
        let payload = |chain| {
            L2PayloadWitness(PayloadWitness::Parts {
                parent: H,
                attributes: attributes.clone().into(),
                chain,
            })
        };
        let by_number = BlockId::Number(258);
        vec![
            both(AgreedPreState(H), format!("agreed-pre-state 0x{AB}")),
            both(L1BlockHeader(H), format!("l1-block-header 0x{AB}")),
            both(L1Transactions(H), format!("l1-transactions 0x{AB}")),
            both(L1Receipts(H), format!("l1-receipts 0x{AB}")),
            both(
                L1Blob { versioned_hash: H, index: Some(3), timestamp: 258 },
                format!("l1-blob 0x{AB}00000000000000030000000000000102"),
            ),
            both(
                L1Blob { versioned_hash: H, index: None, timestamp: 258 },
                format!("l1-blob 0x{AB}0000000000000102"),
            ),
            (
                L1Precompile { address: A, required_gas: Some(3000), input: vec![1, 2].into() },
                Some(format!("l1-precompile 0x{CD}0000000000000bb80102")),
                Some(format!("l1-precompile-v2 0x{CD}0000000000000bb80102")),
            ),
            (
                L1Precompile { address: A, required_gas: None, input: vec![9; 12].into() },
                None,
                Some(format!("l1-precompile 0x{CD}090909090909090909090909")),
            ),
            (
                L1Precompile { address: A, required_gas: None, input: vec![].into() },
                None,
                Some(format!("l1-precompile 0x{CD}")),
            ),
            both(L2BlockHeader { hash: H, chain: None }, format!("l2-block-header 0x{AB}")),
            both(
                L2BlockHeader { hash: H, chain: Some(10) },
                format!("l2-block-header 0x{AB}000000000000000a"),
            ),
            both(L2Transactions { hash: H, chain: None }, format!("l2-transactions 0x{AB}")),
            both(
                L2Receipts { hash: H, chain: Some(10) },
                format!("l2-receipts 0x{AB}000000000000000a"),
            ),
            both(L2Code { hash: H, chain: None }, format!("l2-code 0x{AB}")),
            both(L2StateNode { hash: H, chain: None }, format!("l2-state-node 0x{AB}")),
            (
                L2Output { root: H, chain: None },
                Some(format!("starting-l2-output 0x{AB}")),
                Some(format!("l2-output 0x{AB}")),
            ),
            (
                L2Output { root: H, chain: Some(10) },
                Some(format!("l2-output-root 0x{AB}000000000000000a")),
                Some(format!("l2-output 0x{AB}000000000000000a")),
            ),
            (
                L2AccountProof { block: by_number, address: A, chain: None },
                Some(format!("l2-account-proof 0x0000000000000102{CD}")),
                Some(format!("l2-account-proof 0x0000000000000102 0x{CD}")),
            ),
            (
                L2AccountProof { block: by_number, address: A, chain: Some(10) },
                Some(format!("l2-account-proof 0x0000000000000102{CD}000000000000000a")),
                None,
            ),
            (
                L2AccountProof { block: BlockId::Hash(H), address: A, chain: Some(10) },
                None,
                Some(format!("l2-account-proof 0x{AB}{CD}000000000000000a")),
            ),
            (
                L2AccountStorageProof { block: by_number, address: A, slot: H, chain: None },
                Some(format!("l2-account-storage-proof 0x0000000000000102{CD}{AB}")),
                None,
            ),
            (payload(None), Some(format!("l2-payload-witness 0x{AB}{attributes_hex}")), None),
            (
                payload(Some(10)),
                Some(format!("l2-payload-witness 0x{AB}{attributes_hex}000000000000000a")),
                None,
            ),
            (
                L2PayloadWitness(PayloadWitness::Object(object.into())),
                None,
                Some(format!("l2-payload-witness 0x{object_hex}")),
            ),
            both(
                L2BlockData { agreed: H, block: [1; 32], chain: 10 },
                format!("l2-block-data 0x{AB}{}000000000000000a", "01".repeat(32)),
            ),
            (
                L2ExecutionWitness { block: 258 },
                None,
                Some("l2-execution-witness 0x0000000000000102".into()),
            ),
        ]
    }

    #[test]
    fn each_hint_is_written_and_read_in_both_dialects() {
        for (hint, kona, op_program) in table() {
            assert_eq!(hint.encode(Dialect::Kona), kona);
            assert_eq!(hint.encode(Dialect::OpProgram), op_program);
            for text in [kona, op_program].into_iter().flatten() {
                assert_eq!(parse(&text).as_ref(), Ok(&hint), "{text}");
                // Digits of either case, with or without the prefix.
                let (name, digits) = text.split_once(' ').unwrap();
                let plain = format!("{name} {}", digits.replace("0x", "").to_uppercase());
                assert_eq!(parse(&plain).as_ref(), Ok(&hint), "{plain}");
            }
        }
    }

    #[test]
    fn every_name_is_known_and_no_other() {
        for name in NAMES.iter().chain([&STARTING_L2_OUTPUT]) {
            let error = parse(name.text).unwrap_err();
            assert!(matches!(error, ParseError::Length { .. }), "{error}");
        }
        for (hint, kona, op_program) in table() {
            for text in [kona, op_program].into_iter().flatten() {
                let known = NAMES.iter().chain([&STARTING_L2_OUTPUT]);
                let name = text.split(' ').next().unwrap();
                assert!(known.clone().any(|known| known.text == name), "{hint:?}");
            }
        }
        assert_eq!(
            parse("l3-block-header 0x00").unwrap_err().to_string(),
            "l3-block-header: no such hint"
        );
    }

    #[test]
    fn hints_of_other_lengths_are_refused() {
        for (_, kona, op_program) in table() {
            for text in [kona, op_program].into_iter().flatten() {
                let name = text.split(' ').next().unwrap();
                if name == "l1-precompile" || name == "l1-precompile-v2" {
                    continue;
                }
                for changed in [format!("{text}00"), text[..text.len() - 2].into()] {
                    let error = parse(&changed);
                    assert!(
                        matches!(error, Err(ParseError::Length { .. })),
                        "{changed}: {error:?}"
                    );
                }
            }
        }
        for short in ["l1-precompile 0x01", "l1-precompile-v2 0x", "l1-blob 0x00"] {
            assert!(matches!(parse(short), Err(ParseError::Length { .. })), "{short}");
        }
        let odd = parse("l2-code 0x0").unwrap_err();
        assert!(matches!(odd, ParseError::Digits { .. }), "{odd}");
    }

    #[test]
    fn the_oldest_precompile_form_is_told_by_the_gas_it_has_not() {
        // ecrecover: 3,000 gas, then a hash.
        let input: Cow<'_, [u8]> = [[0x77; 32], [0; 32], [1; 32], [2; 32]].concat().into();
        let mut address = A;
        address[19] = 1;
        let new = Hint::L1Precompile { address, required_gas: Some(3000), input: input.clone() };
        let old = Hint::L1Precompile { address, required_gas: None, input };
        for (hint, dialect) in [(&new, Dialect::Kona), (&old, Dialect::OpProgram)] {
            let text = hint.encode(dialect).unwrap();
            assert!(text.starts_with("l1-precompile 0x"));
            assert_eq!(parse(&text).as_ref(), Ok(hint));
        }
        // A pairing of the generator begins with zeroes, which is no gas.
        let pairing =
            Hint::L1Precompile { address, required_gas: None, input: vec![0; 192].into() };
        assert_eq!(parse(&pairing.encode(Dialect::OpProgram).unwrap()), Ok(pairing));
    }
}
