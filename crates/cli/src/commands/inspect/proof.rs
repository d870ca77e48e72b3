//! A proof of one step: what it says, and whether it holds together.
//!
//! Whether the step leads to `post` only an EVM, or the machine, can tell. Everything else is
//! arithmetic on the proof itself and is done here.

use std::fmt::{self, Write as _};

use serde::Serialize;
use tribunal_keccak::{Hash, hash_pair, keccak256};
use tribunal_machine::{Hex, ProofFile, Symbols};
use tribunal_memory::{PROOF_BYTES, Proof};
use tribunal_mips64::{
    MEMORY_PROOFS_OFFSET, PROOF_DATA_BYTES, STATE_WITNESS_BYTES, StateWitness,
    THREAD_WITNESS_BYTES, Thread, disassemble,
};
use tribunal_preimage::Key;

use super::{field, hex_of, hex_word, key_kind};
use crate::symbol::name_at;
use crate::units::Count;

/// What there is to see of a proof.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProofView {
    kind: &'static str,
    /// Whether all checks hold.
    pub(super) holds: bool,
    step: u64,
    pre: Hex<Hash>,
    post: Hex<Hash>,
    state: Option<WitnessView>,
    thread: Option<ThreadView>,
    oracle: Option<OracleView>,
    checks: Vec<Check>,
}

/// The witness, field by field.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WitnessView {
    memory_root: Hex<Hash>,
    preimage_key: Hex<Hash>,
    preimage_offset: u64,
    heap: String,
    reservation_status: u8,
    reserved_address: String,
    reservation_owner: u64,
    exit_code: u8,
    exited: u8,
    step: u64,
    steps_since_switch: u64,
    traverse_right: u8,
    left_root: Hex<Hash>,
    right_root: Hex<Hash>,
    next_thread_id: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ThreadView {
    id: u64,
    exited: bool,
    pc: String,
    symbol: Option<String>,
    instruction: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OracleView {
    key: Hex<Vec<u8>>,
    key_kind: &'static str,
    bytes: usize,
    offset: u64,
}

/// Something that must hold.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    what: &'static str,
    holds: bool,
    finding: String,
}

impl ProofView {
    pub(super) fn of(proof: ProofFile, symbols: &Symbols) -> Self {
        let mut checks = Checks(Vec::new());
        let witness = proof.state_data.0.as_slice().try_into().ok();
        let fields = witness.map(StateWitness::decode);
        checks.add(
            "state data is a witness",
            witness.is_some(),
            format!("{} bytes of {STATE_WITNESS_BYTES}", proof.state_data.0.len()),
        );
        if let (Some(witness), Some(fields)) = (witness, &fields) {
            let hash = StateWitness::state_hash(witness);
            checks.add("pre is its hash", hash == proof.pre.0, hex_of(&hash));
            checks.add(
                "its step is the proof's",
                fields.step == proof.step || proof.proof_data.0.is_empty(),
                Count(fields.step).to_string(),
            );
        }
        let thread = match &fields {
            None => None,
            Some(fields) if proof.proof_data.0.is_empty() => {
                checks.past_the_end(fields, &proof);
                None
            }
            Some(fields) => checks.proof_data(fields, &proof.proof_data.0, symbols),
        };
        let oracle = oracle(&proof);
        if let Some(fields) = &fields
            && oracle.is_some()
        {
            checks.preimage(fields, &proof);
        }
        Self {
            kind: "proof",
            holds: checks.0.iter().all(|check| check.holds),
            step: proof.step,
            pre: proof.pre,
            post: proof.post,
            state: fields.map(WitnessView::of),
            thread,
            oracle,
            checks: checks.0,
        }
    }

    pub(super) fn write(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "proof of step {}", Count(self.step))?;
        field(text, "pre", hex_of(&self.pre.0))?;
        field(text, "post", hex_of(&self.post.0))?;
        if let Some(ThreadView { id, exited, pc, symbol, instruction }) = &self.thread {
            let exited = if *exited { ", exited" } else { "" };
            let symbol = match symbol {
                None => String::new(),
                Some(name) => format!(" in `{name}`"),
            };
            field(text, "thread", format_args!("{id}{exited}, pc {pc}{symbol}"))?;
            field(text, "instruction", instruction)?;
        }
        if let Some(OracleView { key, key_kind, bytes, offset }) = &self.oracle {
            field(text, "preimage", format_args!("{} ({key_kind})", hex_of(&key.0)))?;
            field(text, "", format_args!("{bytes} bytes behind their length, read at {offset}"))?;
        }
        if let Some(state) = &self.state {
            writeln!(text, "\nstate before")?;
            state.write(text)?;
        }
        writeln!(text, "\nchecks")?;
        for Check { what, holds, finding } in &self.checks {
            let mark = if *holds { "ok  " } else { "FAIL" };
            writeln!(text, "  {mark} {what}: {finding}")?;
        }
        let verdict = match self.holds {
            true => "the proof holds together; only an EVM can tell whether post is right",
            false => "the proof does not hold together: an EVM would refuse it",
        };
        writeln!(text, "\n{}", verdict)
    }
}

impl WitnessView {
    fn of(fields: StateWitness) -> Self {
        Self {
            memory_root: Hex(fields.memory_root),
            preimage_key: Hex(fields.preimage_key),
            preimage_offset: fields.preimage_offset,
            heap: hex_word(fields.heap),
            reservation_status: fields.reservation.status,
            reserved_address: hex_word(fields.reservation.address),
            reservation_owner: fields.reservation.owner,
            exit_code: fields.exit_code,
            exited: fields.exited,
            step: fields.step,
            steps_since_switch: fields.steps_since_switch,
            traverse_right: fields.traverse_right,
            left_root: Hex(fields.left_root),
            right_root: Hex(fields.right_root),
            next_thread_id: fields.next_thread_id,
        }
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        field(text, "step", Count(self.step))?;
        match self.exited {
            0 => field(text, "exited", "no")?,
            1 => field(text, "exited", format_args!("with code {}", self.exit_code))?,
            other => field(text, "exited", format_args!("{other}, which no state may have"))?,
        }
        field(text, "memory root", hex_of(&self.memory_root.0))?;
        let key = Key::from_bytes(self.preimage_key.0);
        field(text, "preimage", format_args!("{key} ({})", key_kind(&key)))?;
        field(text, "", format_args!("next read at offset {}", self.preimage_offset))?;
        field(text, "heap", format_args!("next at {}", self.heap))?;
        let reservation = match self.reservation_status {
            0 => "none".to_owned(),
            status => format!(
                "of {}, made by {} of thread {}",
                self.reserved_address,
                if status == 1 { "ll" } else { "lld" },
                self.reservation_owner
            ),
        };
        field(text, "reservation", reservation)?;
        let active = if self.traverse_right == 0 { "left" } else { "right" };
        field(
            text,
            "threads",
            format_args!(
                "the {active} stack is active, for {} steps; the next is number {}",
                Count(self.steps_since_switch),
                self.next_thread_id
            ),
        )?;
        field(text, "left root", hex_of(&self.left_root.0))?;
        field(text, "right root", hex_of(&self.right_root.0))
    }
}

struct Checks(Vec<Check>);

impl Checks {
    fn add(&mut self, what: &'static str, holds: bool, finding: impl Into<String>) {
        self.0.push(Check { what, holds, finding: finding.into() });
    }

    /// Past its end a program's state no longer changes, and nothing is to be proven.
    fn past_the_end(&mut self, fields: &StateWitness, proof: &ProofFile) {
        self.add(
            "without proof data the program has exited",
            fields.exited == 1,
            if fields.exited == 1 { "it has" } else { "it has not" },
        );
        self.add(
            "and nothing changes",
            proof.pre == proof.post,
            if proof.pre == proof.post { "pre is post" } else { "pre is not post" },
        );
    }

    fn proof_data(
        &mut self,
        fields: &StateWitness,
        data: &[u8],
        symbols: &Symbols,
    ) -> Option<ThreadView> {
        let complete = data.len() == PROOF_DATA_BYTES;
        self.add(
            "proof data is complete",
            complete,
            format!("{} bytes of {PROOF_DATA_BYTES}", data.len()),
        );
        let thread_data: &[u8; THREAD_WITNESS_BYTES] = data.first_chunk()?;
        let thread = Thread::from_witness(thread_data);
        let below: &Hash = data.get(THREAD_WITNESS_BYTES..)?.first_chunk()?;
        let root = hash_pair(below, &keccak256(thread_data));
        let active = if fields.traverse_right == 0 { fields.left_root } else { fields.right_root };
        self.add("the thread tops the active stack", root == active, hex_of(&root));

        let proofs: Vec<Proof> = data
            .get(MEMORY_PROOFS_OFFSET..)?
            .as_chunks::<PROOF_BYTES>()
            .0
            .iter()
            .map(Proof::from_bytes)
            .collect();
        let code = proofs.first()?;
        let root = code.root(thread.pc);
        let proven = root == fields.memory_root;
        self.add("memory holds the instruction", proven, hex_of(&root));
        let leaf = code.leaf().as_chunks::<4>().0;
        let instruction = u32::from_be_bytes(leaf[(thread.pc as usize & 31) / 4]);
        if let Some(address) = fields.touched(&thread, instruction) {
            let root = proofs.get(1)?.root(address);
            let finding = format!("at {:#x}", address & !7);
            self.add("memory holds the word it touches", root == fields.memory_root, finding);
        }
        Some(ThreadView {
            id: thread.id,
            exited: thread.exited != 0,
            pc: hex_word(thread.pc),
            symbol: name_at(symbols, thread.pc),
            instruction: disassemble(instruction, thread.pc),
        })
    }

    fn preimage(&mut self, fields: &StateWitness, proof: &ProofFile) {
        let key = proof.oracle_key.0.as_slice();
        self.add(
            "the preimage is the state's",
            key == fields.preimage_key && proof.oracle_offset == fields.preimage_offset,
            format!("{} at {}", hex_of(&fields.preimage_key), fields.preimage_offset),
        );
        let Some((length, data)) = proof.oracle_value.0.split_first_chunk() else {
            self.add("the preimage has a length in front", false, "it is shorter than 8 bytes");
            return;
        };
        let length = u64::from_be_bytes(*length);
        self.add(
            "the length in front is the preimage's",
            length == data.len() as u64,
            format!("{length}, with {} bytes behind it", data.len()),
        );
        let checked = Key::from_bytes(fields.preimage_key).check(data);
        let finding = match &checked {
            Ok(()) => "it does, as far as the key tells".to_owned(),
            Err(error) => error.to_string(),
        };
        self.add("the preimage belongs to the key", checked.is_ok(), finding);
    }
}

fn oracle(proof: &ProofFile) -> Option<OracleView> {
    let key: [u8; 32] = proof.oracle_key.0.as_slice().try_into().ok()?;
    Some(OracleView {
        key_kind: key_kind(&Key::from_bytes(key)),
        key: proof.oracle_key.clone(),
        bytes: proof.oracle_value.0.len().saturating_sub(8),
        offset: proof.oracle_offset,
    })
}
