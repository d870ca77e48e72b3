//! Has contracts judge one proof: loads the preimage it reads, lets them take the step, and compares
//! what comes out with what the proof says.
//!
//! What a contract never looks at cannot make it refuse, so that is held against what a prover writes
//! there. Shared by all commands that judge proofs; says nothing itself.

use serde::Serialize;
use tribunal_host::PreimageStore;
use tribunal_keccak::Hash;
use tribunal_machine::{PreimageRead, ProofFile};
use tribunal_memory::{PROOF_BYTES, Proof};
use tribunal_mips64::{
    FieldDifference, MEMORY_PROOFS_OFFSET, Op, PROOF_DATA_BYTES, QUANTUM, STATE_WITNESS_BYTES,
    StateWitness, Syscall, SyscallKind, THREAD_WITNESS_BYTES, Thread, decode, disassemble,
};
use tribunal_onchain::{
    Gas, Instance, LoadError, LoadedHow, PartSlots, Refusal, Step, StepCall, calldata,
};
use tribunal_preimage::{Key, KeyKind};

use crate::chain::Chain;
use crate::evidence::{Known, evidence};
use crate::failure::{Failure, Result};

/// The file descriptor that preimages are read from.
const PREIMAGE_FD: u64 = 5;

/// Tells the local inputs of one dispute from those of another. Here there is one.
const LOCAL_CONTEXT: Hash = [0; 32];

/// The contracts that judge.
pub(crate) struct Judge {
    local: Instance,
    /// Where the step is taken, if not here.
    chain: Option<Chain>,
    /// Ours, once they are needed beside others.
    ours: Option<Instance>,
    others: bool,
    /// Where the calls behind keys may be found.
    store: Option<Box<dyn PreimageStore>>,
}

/// What became of a proof.
pub(crate) struct Judgement {
    pub(crate) place: Option<Place>,
    pub(crate) preimage: Option<Preimage>,
    pub(crate) answer: std::result::Result<Answer, Refusal>,
    /// What it costs with as much of the proof as the step needs; nobody says what it would on a
    /// chain.
    pub(crate) gas: Option<Gas>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) notes: Vec<String>,
}

/// What a contract made of a step that it took.
pub(crate) struct Answer {
    pub(crate) post: Hash,
    /// The witness after it, if the contract told.
    pub(crate) state: Option<[u8; STATE_WITNESS_BYTES]>,
}

/// Something that is wrong with a proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The field of the proof file, or `contract` for what the contract refuses.
    pub(crate) field: &'static str,
    /// What is wrong.
    pub(crate) what: String,
}

/// Which instruction a step is.
pub(crate) struct Place {
    pub(crate) thread: u64,
    pub(crate) pc: u64,
    pub(crate) instruction: String,
    /// What the step is not told by its instruction alone.
    pub(crate) remark: Option<String>,
    /// Which of the two memory proofs behind the instruction's the step looks at.
    looks_at: [bool; 2],
    reads_preimage: bool,
}

/// The preimage of a step.
pub(crate) struct Preimage {
    pub(crate) key: Key,
    pub(crate) bytes: usize,
    pub(crate) offset: u64,
    pub(crate) how: std::result::Result<LoadedHow, LoadError>,
    /// Why what is known besides does not suffice to prove it.
    lacks: Option<String>,
    /// What the oracle has of it where the step reads, if it has anything.
    part: Option<Part>,
    /// Whether the store has other bytes behind the key.
    unlike_store: bool,
}

/// What an oracle has of a preimage: the part, and how many of its bytes count.
type Part = (Hash, usize);

impl Judgement {
    /// Whether the proof holds.
    pub(crate) fn holds(&self) -> bool {
        self.findings.is_empty()
    }

    /// In a word.
    pub(crate) fn verdict(&self) -> &'static str {
        match (&self.answer, self.holds()) {
            (_, true) => "holds",
            (Err(_), _) => "refused",
            (Ok(_), _) => "different",
        }
    }

    fn find(&mut self, field: &'static str, what: impl Into<String>) {
        self.findings.push(Finding { field, what: what.into() });
    }
}

impl Judge {
    /// Contracts in a local EVM; `others` if they are not ours.
    pub(crate) fn new(local: Instance, others: bool) -> Self {
        Self { local, chain: None, ours: None, others, store: None }
    }

    /// Has a chain take the steps. The local contracts still prove the preimages.
    pub(crate) fn on(mut self, chain: Chain) -> Self {
        self.chain = Some(chain);
        self
    }

    /// Looks up there what is behind a key.
    pub(crate) fn with_store(mut self, store: Option<Box<dyn PreimageStore>>) -> Self {
        self.store = store;
        self
    }

    /// Judges a proof.
    ///
    /// # Errors
    /// If the file cannot be a proof at all, the store is damaged, or the chain does not answer.
    pub(crate) fn judge(&mut self, proof: &ProofFile) -> Result<Judgement> {
        let read = preimage_read(proof)?;
        let witness = proof.state_data.0.as_slice().try_into().ok();
        let before = witness.map(StateWitness::decode);
        let place = before.and_then(|before| Place::of(&before, &proof.proof_data.0));
        let preimage = match &read {
            None => None,
            Some(read) => Some(self.load(read)?),
        };
        let call = StepCall {
            state_data: &proof.state_data.0,
            proof_data: &proof.proof_data.0,
            local_context: LOCAL_CONTEXT,
        };
        let (answer, gas) = self.take(&call, preimage.as_ref())?;
        let mut judgement =
            Judgement { place, preimage, answer, gas, findings: Vec::new(), notes: Vec::new() };
        let lacks = judgement.preimage.as_ref().and_then(|preimage| preimage.lacks.clone());
        judgement.notes.extend(lacks);
        self.compare(&mut judgement, proof, before.as_ref(), read.as_ref());
        if read.is_some() {
            self.local.reset();
        }
        Ok(judgement)
    }

    fn evidence(&self, read: &PreimageRead) -> Result<Known> {
        self.store.as_deref().map_or(Ok(None), |store| evidence(store, &read.key))
    }

    /// Loads the preimage into the local oracle.
    fn load(&mut self, read: &PreimageRead) -> Result<Preimage> {
        let (evidence, lacks) = match self.evidence(read)? {
            Some(Err(lacks)) => (None, Some(lacks.to_string())),
            known => (known.and_then(std::result::Result::ok), None),
        };
        let loaded = self.local.load_preimage(read, evidence.as_ref(), &LOCAL_CONTEXT);
        let question = calldata::read_preimage(&kept_under(&read.key), read.offset);
        let answer = self.local.call(self.local.oracle(), question).ok();
        let part = answer.and_then(|answer| {
            let (part, length) = answer.output.split_first_chunk()?;
            Some((*part, usize::from(*length.last()?)))
        });
        let stored = self.store.as_deref().map_or(Ok(None), |store| store.get(read.key))?;
        Ok(Preimage {
            key: read.key,
            bytes: read.value.len().saturating_sub(8),
            offset: read.offset,
            how: loaded.map(|loaded| loaded.how),
            lacks,
            part,
            unlike_store: stored.is_some_and(|stored| read.value.get(8..) != Some(&stored[..])),
        })
    }

    /// Takes the step, here or on the chain.
    fn take(
        &mut self,
        call: &StepCall<'_>,
        preimage: Option<&Preimage>,
    ) -> Result<(std::result::Result<Answer, Refusal>, Option<Gas>)> {
        if let Some(chain) = &self.chain {
            let slots = preimage.and_then(Preimage::slots);
            let answer = chain.step(&call.encode(), slots.as_ref().map_or(&[], |slots| slots))?;
            return Ok((answer.map(|post| Answer { post, state: None }), None));
        }
        Ok(match self.local.step(call) {
            Err(refused) => (Err(refused.why), None),
            Ok(step) => {
                let proof_data = self.local.needed_proof_data(call);
                let lean = self.local.step(&StepCall { proof_data, ..*call });
                let gas = lean.map_or(step.gas, |lean| lean.gas);
                (Ok(Answer::of(step)), Some(gas))
            }
        })
    }

    /// Holds everything that the proof says against what came out.
    fn compare(
        &mut self,
        judgement: &mut Judgement,
        proof: &ProofFile,
        before: Option<&StateWitness>,
        read: Option<&PreimageRead>,
    ) {
        match before {
            None => judgement.find(
                "state-data",
                format!("{} bytes, a state has {STATE_WITNESS_BYTES}", proof.state_data.0.len()),
            ),
            Some(before) => {
                let witness = proof.state_data.0.as_slice().try_into();
                let hash = witness.map(StateWitness::state_hash).unwrap_or_default();
                if hash != proof.pre.0 {
                    let (file, is) = (shown(&proof.pre.0), shown(&hash));
                    judgement
                        .find("pre", format!("the file says {file}, state-data hashes to {is}"));
                }
                // Past its end a program's state no longer changes, its step number included.
                let right = match before.exited {
                    0 => proof.step == before.step,
                    _ => proof.step >= before.step,
                };
                if !right {
                    let (file, is) = (proof.step, before.step);
                    judgement.find("step", format!("the file says {file}, state-data is at {is}"));
                }
            }
        }
        if let Some(Preimage { how: Err(error), .. }) = &judgement.preimage {
            let what = error.to_string();
            judgement.find(load_error_field(error), what);
        }
        match &judgement.answer {
            Err(why) => {
                let what = format!("refuses the step: {why}");
                judgement.find("contract", what);
            }
            Ok(answer) if answer.post != proof.post.0 => {
                let what = self.explain_post(answer, proof, before, read);
                judgement.find("post", what);
            }
            Ok(_) => {}
        }
        if judgement.answer.is_ok()
            && let Some(before) = before
        {
            unread(judgement, proof, before, read);
        }
    }

    /// Why a contract comes to another state than the proof.
    fn explain_post(
        &mut self,
        answer: &Answer,
        proof: &ProofFile,
        before: Option<&StateWitness>,
        read: Option<&PreimageRead>,
    ) -> String {
        let (file, is) = (shown(&proof.post.0), shown(&answer.post));
        let mut what = format!("the file says {file}, the contract comes to {is}");
        if answer.post[1..] == proof.post.0[1..] {
            what.push_str("\nonly the first byte differs, which says how the program ended");
            return what;
        }
        let (others, theirs) = (self.others || self.chain.is_some(), answer.state);
        let ours = others.then(|| self.our_state(proof, read)).flatten();
        match (ours, theirs) {
            // The file says what ours say: then its state is known.
            (Some(ours), Some(theirs)) => {
                let (ours, theirs) = (StateWitness::decode(&ours), StateWitness::decode(&theirs));
                for FieldDifference { field, one, other } in ours.differences(&theirs) {
                    what.push_str(&format!(
                        "\n{field}: {one} in the file, {other} for the contract"
                    ));
                }
            }
            (Some(ours), None) => {
                what.push_str("\nthe file says what our contract says");
                what.push_str(&changes(before, &ours, "our contract"));
            }
            (None, Some(theirs)) => what.push_str(&changes(before, &theirs, "the contract")),
            (None, None) => {}
        }
        what
    }

    /// The state after the step as our contract has it, if it is the one that the file names.
    fn our_state(
        &mut self,
        proof: &ProofFile,
        read: Option<&PreimageRead>,
    ) -> Option<[u8; STATE_WITNESS_BYTES]> {
        let evidence = read.and_then(|read| self.evidence(read).ok()??.ok());
        let ours = self.ours.get_or_insert_with(Instance::new);
        ours.reset();
        if let Some(read) = read {
            ours.load_preimage(read, evidence.as_ref(), &LOCAL_CONTEXT).ok()?;
        }
        let step = ours.step(&StepCall {
            state_data: &proof.state_data.0,
            proof_data: &proof.proof_data.0,
            local_context: LOCAL_CONTEXT,
        });
        let step = step.ok().filter(|step| step.post == proof.post.0)?;
        Answer::of(step).state
    }
}

impl Answer {
    fn of(step: Step) -> Self {
        let state = step.post_state.and_then(|state| state.try_into().ok());
        Self { post: step.post, state }
    }
}

impl Preimage {
    /// What the oracle of a chain must hold to know what the local one was just proven. Nothing if
    /// that does not know the part that the proof names either.
    fn slots(&self) -> Option<[(Hash, Hash); 3]> {
        let (part, _) = self.part?;
        let slots = PartSlots::of(&kept_under(&self.key), self.offset);
        let length = number(self.bytes as u64);
        Some([(slots.length, length), (slots.part, part), (slots.part_ok, number(1))])
    }
}

impl Place {
    /// The place of a step, if the proof has a thread and an instruction.
    fn of(before: &StateWitness, proof_data: &[u8]) -> Option<Self> {
        let thread = Thread::from_witness(proof_data.first_chunk::<THREAD_WITNESS_BYTES>()?);
        let code = Proof::from_bytes(proof_data.get(MEMORY_PROOFS_OFFSET..)?.first_chunk()?);
        let words = code.leaf().as_chunks::<4>().0;
        let instruction = u32::from_be_bytes(words[(thread.pc as usize & 31) / 4]);
        let scheduled = thread.exited != 0 || before.steps_since_switch >= QUANTUM;
        let syscall = match decode(instruction) {
            Some(Op::Syscall) if !scheduled => Syscall::by_number(thread.registers[2]),
            _ => None,
        };
        let kind = syscall.map(|syscall| syscall.kind);
        let touched = before.touched(&thread, instruction).is_some();
        let remark = match (before.exited, thread.exited, scheduled) {
            (1.., _, _) => Some("the program has exited: nothing changes".to_owned()),
            (_, 1.., _) => Some("not taken: the thread has exited and is removed".to_owned()),
            (_, _, true) => Some("not taken: another thread's turn".to_owned()),
            _ => syscall.map(|syscall| syscall.name.to_owned()),
        };
        Some(Self {
            thread: thread.id,
            pc: thread.pc,
            instruction: disassemble(instruction, thread.pc),
            remark,
            looks_at: [touched, touched && kind == Some(SyscallKind::ClockGettime)],
            reads_preimage: kind == Some(SyscallKind::Read) && thread.registers[4] == PREIMAGE_FD,
        })
    }
}

/// The preimage that the file says is read.
pub(crate) fn preimage_read(proof: &ProofFile) -> Result<Option<PreimageRead>> {
    let key = proof.oracle_key.0.as_slice();
    if key.is_empty() {
        return match proof.oracle_value.0.is_empty() && proof.oracle_offset == 0 {
            true => Ok(None),
            false => {
                Err(Failure::input("it has an oracle-value or oracle-offset without oracle-key"))
            }
        };
    }
    let key = key.try_into().map_err(|_| {
        Failure::input(format!("its oracle-key is {} bytes, a key has 32", key.len()))
    })?;
    Ok(Some(PreimageRead {
        key: Key::from_bytes(key),
        value: proof.oracle_value.0.as_slice().into(),
        offset: proof.oracle_offset,
    }))
}

/// The key under which an oracle keeps what our sender loads.
fn kept_under(key: &Key) -> Key {
    match key.kind() {
        Some(KeyKind::Local) => key.localized(&Instance::SENDER.0, &LOCAL_CONTEXT),
        _ => *key,
    }
}

/// What the contract never looked at, held against what a prover writes there.
fn unread(
    judgement: &mut Judgement,
    proof: &ProofFile,
    before: &StateWitness,
    read: Option<&PreimageRead>,
) {
    let data = proof.proof_data.0.as_slice();
    if before.exited != 0 {
        if data.iter().any(|&byte| byte != 0) {
            judgement.find("proof-data", "the program has exited, so nothing is to be proven");
        }
        if read.is_some() {
            judgement.find("oracle-key", "the program has exited and reads no preimage");
        }
        return;
    }
    if data.len() > PROOF_DATA_BYTES {
        let what = format!("{} bytes, a step has {PROOF_DATA_BYTES} at most", data.len());
        judgement.find("proof-data", what);
        return;
    }
    let Some(place) = &judgement.place else { return };
    if let Some(read) = read {
        let (key, offset) = (Key::from_bytes(before.preimage_key), before.preimage_offset);
        if !place.reads_preimage {
            return judgement.find("oracle-key", "the step reads no preimage");
        }
        if (read.key, read.offset) != (key, offset) {
            return judgement.find("oracle-key", format!("the step reads {key} at {offset}"));
        }
        if let Err(wrong) = key.check(read.value.get(8..).unwrap_or_default()) {
            return judgement.find("oracle-value", wrong.to_string());
        }
        // Nothing else binds a local input to its key.
        if judgement.preimage.as_ref().is_some_and(|preimage| preimage.unlike_store) {
            return judgement.find("oracle-value", "among the preimages of the run it is another");
        }
        let rest = usize::try_from(read.offset).ok().and_then(|offset| read.value.get(offset..));
        if let Some(Preimage { part: Some((part, length)), .. }) = &judgement.preimage
            && !rest.is_some_and(|rest| rest.starts_with(&part[..(*length).min(32)]))
        {
            let what =
                format!("the oracle comes to 0x{} there", hex::encode(&part[..(*length).min(32)]));
            return judgement.find("oracle-value", what);
        }
    }
    let looks_at = place.looks_at;
    let (pc, slots) = (place.pc, data.get(MEMORY_PROOFS_OFFSET..).unwrap_or_default());
    let mut slots = slots.chunks(PROOF_BYTES);
    // Of a step that only switches threads, the contract does not look at the instruction.
    if let Some(Ok(code)) = slots.next().map(TryInto::try_into)
        && Proof::from_bytes(code).root(pc) != before.memory_root
    {
        judgement.find("proof-data", "memory proof 0 does not prove the instruction");
    }
    for (number, (slot, looked_at)) in (1..).zip(slots.zip(looks_at)) {
        if looked_at || slot.iter().all(|&byte| byte == 0) {
            continue;
        }
        if is_left_over(slot) {
            judgement.notes.push(format!(
                "memory proof {number} is of an earlier step: Cannon leaves it there, no contract \
                 looks at it"
            ));
        } else {
            let what = format!(
                "memory proof {number} is neither empty nor a proof, and the step does not need it"
            );
            judgement.find("proof-data", what);
        }
    }
}

/// Whether bytes that no contract looks at are a proof all the same: whole, and with the sibling
/// that the top of every proof has but for addresses beyond those of programs.
fn is_left_over(slot: &[u8]) -> bool {
    let (nodes, rest) = slot.as_chunks::<32>();
    slot.len() == PROOF_BYTES && rest.is_empty() && nodes[2..].iter().all(|node| *node != [0; 32])
}

fn load_error_field(error: &LoadError) -> &'static str {
    match error {
        LoadError::PastEnd { .. } => "oracle-offset",
        _ => "oracle-value",
    }
}

/// What a step made of a state.
fn changes(
    before: Option<&StateWitness>,
    after: &[u8; STATE_WITNESS_BYTES],
    whose: &str,
) -> String {
    let Some(before) = before else { return String::new() };
    let mut text = format!("\nwhat the step changes, as {whose} has it:");
    for FieldDifference { field, one, other } in before.differences(&StateWitness::decode(after)) {
        text.push_str(&format!("\n{field}: from {one} to {other}"));
    }
    text
}

fn shown(hash: &Hash) -> String {
    format!("0x{}", hex::encode(hash))
}

fn number(number: u64) -> Hash {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&number.to_be_bytes());
    word
}
