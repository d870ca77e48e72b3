//! The witness: the bytes that a state hash commits to. The only definition of them.

use tribunal_keccak::{Hash, keccak256};
use tribunal_memory::{Answers, Storage};

use crate::state::{LlReservation, State, Thread};
use crate::status;

/// Bytes in the witness of a state.
pub const STATE_WITNESS_BYTES: usize = 188;

/// Bytes in the witness of a thread.
pub const THREAD_WITNESS_BYTES: usize = 298;

/// The root of a stack without threads: keccak256 of 64 zero bytes.
pub const EMPTY_STACK_ROOT: Hash = [
    0xad, 0x32, 0x28, 0xb6, 0x76, 0xf7, 0xd3, 0xcd, 0x42, 0x84, 0xa5, 0x44, 0x3f, 0x17, 0xf1, 0x96,
    0x2b, 0x36, 0xe4, 0x91, 0xb3, 0x0a, 0x40, 0xb2, 0x40, 0x58, 0x49, 0xe5, 0x97, 0xba, 0x5f, 0xb5,
];

impl<S: Storage> State<S> {
    /// The witness (spec: MIPS64 FPVM §1.2). Brings all cached hashes up to date.
    pub fn witness(&mut self) -> [u8; STATE_WITNESS_BYTES] {
        let root = self.memory.root();
        self.witness_with(&root)
    }

    /// The witness without the root of memory, which that is asked for: [`complete_witness`].
    pub(crate) fn ask_witness(&mut self) -> [u8; STATE_WITNESS_BYTES] {
        self.memory.ask_root();
        self.witness_with(&[0; 32])
    }

    fn witness_with(&mut self, memory_root: &Hash) -> [u8; STATE_WITNESS_BYTES] {
        let mut bytes = Writer::<STATE_WITNESS_BYTES>::new();
        bytes.put(memory_root);
        bytes.put(&self.preimage_key);
        bytes.put_word(self.preimage_offset);
        bytes.put_word(self.heap);
        bytes.put(&[self.reservation.status]);
        bytes.put_word(self.reservation.address);
        bytes.put_word(self.reservation.owner);
        bytes.put(&[self.exit_code, self.exited]);
        bytes.put_word(self.step);
        bytes.put_word(self.steps_since_switch);
        bytes.put(&[self.traverse_right]);
        bytes.put(&self.left.root());
        bytes.put(&self.right.root());
        bytes.put_word(self.next_thread_id);
        bytes.finish()
    }

    /// The state hash: keccak256 of the witness, its first byte replaced by the status.
    pub fn hash(&mut self) -> Hash {
        StateWitness::state_hash(&self.witness())
    }

    /// Takes every field of `witness` that is not a root; memory and stacks stay as they are.
    ///
    /// # Errors
    /// If the roots of memory and stacks are not those of `witness`.
    pub fn set_scalars(&mut self, witness: &[u8; STATE_WITNESS_BYTES]) -> Result<(), WitnessError> {
        let fields = StateWitness::decode(witness);
        for (root, actual, of) in [
            (fields.memory_root, self.memory.root(), "memory"),
            (fields.left_root, self.left.root(), "the left thread stack"),
            (fields.right_root, self.right.root(), "the right thread stack"),
        ] {
            if root != actual {
                return Err(WitnessError { of });
            }
        }
        self.preimage_key = fields.preimage_key;
        self.preimage_offset = fields.preimage_offset;
        self.heap = fields.heap;
        self.reservation = fields.reservation;
        self.exit_code = fields.exit_code;
        self.exited = fields.exited;
        self.step = fields.step;
        self.steps_since_switch = fields.steps_since_switch;
        self.traverse_right = fields.traverse_right;
        self.next_thread_id = fields.next_thread_id;
        Ok(())
    }
}

/// Puts the root of memory into a witness that was made without, and returns the state hash.
pub(crate) fn complete_witness(
    witness: &mut [u8; STATE_WITNESS_BYTES],
    answers: &mut Answers,
) -> Hash {
    witness[..32].copy_from_slice(&answers.root());
    StateWitness::state_hash(witness)
}

/// What a witness says, field by field (spec: MIPS64 FPVM §1.2). Says nothing of whether it is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateWitness {
    /// The root of memory.
    pub memory_root: Hash,
    /// The preimage that reads of fd 5 read.
    pub preimage_key: [u8; 32],
    /// Where the next read begins, the 8 bytes of the length prefix counted.
    pub preimage_offset: u64,
    /// Where the next `mmap` begins.
    pub heap: u64,
    /// Who may store conditionally where.
    pub reservation: LlReservation,
    /// The program's exit code, meaningless before `exited`.
    pub exit_code: u8,
    /// Whether the program has exited.
    pub exited: u8,
    /// Steps taken.
    pub step: u64,
    /// Steps since a thread was last put on or taken off a stack.
    pub steps_since_switch: u64,
    /// Which stack the active thread is on top of: 0 is the left one.
    pub traverse_right: u8,
    /// The root of the left thread stack.
    pub left_root: Hash,
    /// The root of the right thread stack.
    pub right_root: Hash,
    /// The id of the next thread that is made.
    pub next_thread_id: u64,
}

impl StateWitness {
    /// Takes a witness apart.
    pub fn decode(witness: &[u8; STATE_WITNESS_BYTES]) -> Self {
        let mut bytes = Reader(witness);
        Self {
            memory_root: bytes.take(),
            preimage_key: bytes.take(),
            preimage_offset: bytes.take_word(),
            heap: bytes.take_word(),
            reservation: LlReservation {
                status: bytes.take_byte(),
                address: bytes.take_word(),
                owner: bytes.take_word(),
            },
            exit_code: bytes.take_byte(),
            exited: bytes.take_byte(),
            step: bytes.take_word(),
            steps_since_switch: bytes.take_word(),
            traverse_right: bytes.take_byte(),
            left_root: bytes.take(),
            right_root: bytes.take(),
            next_thread_id: bytes.take_word(),
        }
    }

    /// The state hash that `witness` has.
    pub fn state_hash(witness: &[u8; STATE_WITNESS_BYTES]) -> Hash {
        let Self { exited, exit_code, .. } = Self::decode(witness);
        let mut hash = keccak256(witness);
        hash[0] = status(exited, exit_code) as u8;
        hash
    }

    /// The fields of which `other` says something else, in the order of the witness.
    pub fn differences(&self, other: &Self) -> Vec<FieldDifference> {
        let pairs = self.fields().into_iter().zip(other.fields()).filter(|(one, two)| one != two);
        pairs.map(|((field, one), (_, other))| FieldDifference { field, one, other }).collect()
    }

    /// Every field: its name, and what it says.
    fn fields(&self) -> [(&'static str, String); 15] {
        let hash = |hash: &Hash| format!("0x{}", hex::encode(hash));
        let address = |address: u64| format!("{address:#x}");
        [
            ("memory root", hash(&self.memory_root)),
            ("preimage key", hash(&self.preimage_key)),
            ("preimage offset", self.preimage_offset.to_string()),
            ("heap", address(self.heap)),
            ("reservation status", self.reservation.status.to_string()),
            ("reserved address", address(self.reservation.address)),
            ("reservation owner", self.reservation.owner.to_string()),
            ("exit code", self.exit_code.to_string()),
            ("exited", self.exited.to_string()),
            ("step", self.step.to_string()),
            ("steps since switch", self.steps_since_switch.to_string()),
            ("traverse right", self.traverse_right.to_string()),
            ("left thread stack", hash(&self.left_root)),
            ("right thread stack", hash(&self.right_root)),
            ("next thread id", self.next_thread_id.to_string()),
        ]
    }
}

/// A field of which two witnesses say different things, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDifference {
    /// Its name.
    pub field: &'static str,
    /// What the one says.
    pub one: String,
    /// What the other says.
    pub other: String,
}

/// A witness that does not belong to the memory and the threads it came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the witness has another root for {of} than what came with it")]
pub struct WitnessError {
    of: &'static str,
}

impl Thread {
    /// The witness (spec: MIPS64 FPVM §1.3).
    pub fn witness(&self) -> [u8; THREAD_WITNESS_BYTES] {
        let mut bytes = Writer::<THREAD_WITNESS_BYTES>::new();
        bytes.put_word(self.id);
        bytes.put(&[self.exit_code, self.exited]);
        for word in [self.pc, self.next_pc, self.lo, self.hi].iter().chain(&self.registers) {
            bytes.put_word(*word);
        }
        bytes.finish()
    }

    /// The thread that these bytes are the witness of.
    pub fn from_witness(witness: &[u8; THREAD_WITNESS_BYTES]) -> Self {
        let mut bytes = Reader(witness);
        Self {
            id: bytes.take_word(),
            exit_code: bytes.take_byte(),
            exited: bytes.take_byte(),
            pc: bytes.take_word(),
            next_pc: bytes.take_word(),
            lo: bytes.take_word(),
            hi: bytes.take_word(),
            registers: std::array::from_fn(|_| bytes.take_word()),
        }
    }
}

/// Fills bytes of a fixed number from front to back.
struct Writer<const N: usize> {
    bytes: [u8; N],
    filled: usize,
}

impl<const N: usize> Writer<N> {
    fn new() -> Self {
        Self { bytes: [0; N], filled: 0 }
    }

    fn put(&mut self, field: &[u8]) {
        let end = self.filled + field.len();
        self.bytes[self.filled..end].copy_from_slice(field);
        self.filled = end;
    }

    fn put_word(&mut self, word: u64) {
        self.put(&word.to_be_bytes());
    }

    fn finish(self) -> [u8; N] {
        debug_assert_eq!(self.filled, N, "every field is there");
        self.bytes
    }
}

/// Takes fields off bytes of a known number, which therefore never run out.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("a witness holds all its fields");
        self.0 = rest;
        *field
    }

    fn take_word(&mut self) -> u64 {
        u64::from_be_bytes(self.take())
    }

    fn take_byte(&mut self) -> u8 {
        let [byte] = self.take();
        byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_witness_is_in_one_field_and_a_difference_names_it() {
        let bytes = [7; STATE_WITNESS_BYTES];
        let witness = StateWitness::decode(&bytes);
        assert_eq!(witness.differences(&witness), []);
        for place in 0..STATE_WITNESS_BYTES {
            let mut changed = bytes;
            changed[place] ^= 1;
            let told = witness.differences(&StateWitness::decode(&changed));
            assert_eq!(told.len(), 1, "byte {place}: {told:?}");
            assert_ne!(told[0].one, told[0].other, "byte {place}");
        }
        let mut changed = bytes;
        (changed[97], changed[98]) = (0, 1);
        let told = witness.differences(&StateWitness::decode(&changed));
        let told: Vec<_> = told.iter().map(|it| (it.field, &*it.one, &*it.other)).collect();
        assert_eq!(told, [("exit code", "7", "0"), ("exited", "7", "1")]);
    }
}
