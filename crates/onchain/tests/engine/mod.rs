//! The contract as an engine of the conformance suite, and as the judge of the reference. Shared by
//! tests and examples.
#![allow(dead_code, reason = "each test and example uses what it needs of it")]

use serde_json::json;
use tribunal_conformance::{
    Engine, Expected, Outcome, Random, Start, Vector, VectorHost, generate, reference,
};
use tribunal_machine::{Fault, Host, Machine as _, PreimageRead, StopOn};
use tribunal_memory::{Memory, PAGE_ADDRESS_BITS};
use tribunal_mips64::{GuestFault, Mips64, STATE_WITNESS_BYTES, State, StateWitness, ThreadStack};
use tribunal_onchain::{Gas, Instance, Refused, Step, StepCall};
use tribunal_preimage::{Key, OracleError};

/// As many steps as asked for, the same ones for the same seed, out of a run that is `length` long,
/// in order; the last one may be that after the end. None stands there twice, so they can be fewer.
pub(crate) fn random_steps(seed: u64, count: u64, length: u64) -> Vec<u64> {
    let mut random = Random::new(seed);
    let mut steps: Vec<u64> = (0..count).map(|_| random.below(length + 1)).collect();
    steps.sort_unstable();
    steps.dedup();
    steps
}

/// Tells the local inputs of these steps from others.
const CONTEXT: [u8; 32] = [0; 32];

/// The contract, in an EVM that is set up once.
pub(crate) struct Contract {
    pub(crate) instance: Instance,
}

impl Contract {
    pub(crate) fn new() -> Self {
        Self { instance: Instance::new() }
    }

    /// Lets the contract take the step of a vector, with proofs of what the reference looks at.
    pub(crate) fn step(&mut self, vector: &Vector) -> Result<Step, Refused> {
        self.with_call(vector, |instance, call| instance.step(call))
    }

    /// What the step of a vector costs, with as much of the proof as it needs.
    pub(crate) fn gas(&mut self, vector: &Vector) -> Option<Gas> {
        self.with_call(vector, |instance, call| {
            let proof_data = instance.needed_proof_data(call);
            instance.step(&StepCall { proof_data, ..*call }).ok().map(|step| step.gas)
        })
    }

    fn with_call<T>(
        &mut self,
        vector: &Vector,
        then: impl FnOnce(&mut Instance, &StepCall<'_>) -> T,
    ) -> T {
        let mut machine = Mips64::new(vector.state.clone());
        let state_data = machine.witness();
        if let Some((key, data)) = &vector.preimage {
            self.load(*key, data, vector.state.preimage_offset);
        }
        let (proof_data, _) = machine.attempt_step(&mut VectorHost(vector.preimage.as_ref()));
        let call =
            StepCall { state_data: &state_data, proof_data: &proof_data, local_context: CONTEXT };
        let result = then(&mut self.instance, &call);
        if vector.preimage.is_some() {
            self.instance.reset();
        }
        result
    }

    /// Lets both take steps of a run: the reference goes from `start` to each of `steps`, in order,
    /// and is judged there, until a step is refused or after the end.
    ///
    /// Returns how many steps were judged.
    pub(crate) fn judge_run<H: Host + Clone>(
        &mut self,
        name: &str,
        start: &Mips64,
        host: &H,
        steps: impl IntoIterator<Item = u64>,
    ) -> Result<u64, Box<Difference>> {
        let (mut machine, mut answering) = (start.clone(), host.clone());
        let mut judged = 0;
        for step in steps {
            let arrived = machine.run(step, StopOn::Nothing, &mut answering);
            let (step, ended) = (machine.step(), machine.exit_code().is_some());
            let taken = arrived
                .map_err(|fault| format!("no contract was asked: {fault}"))
                .and_then(|_| self.judge(&mut machine, &mut answering))
                .map_err(|what| Box::new(Difference::at(step, what, name, start, host.clone())))?;
            judged += 1;
            if ended || !taken {
                break;
            }
        }
        Ok(judged)
    }

    /// Lets both take the step that the machine stands before, and says whether they took it: they
    /// lead to the same state, or refuse it for the same reason.
    fn judge(&mut self, machine: &mut Mips64, host: &mut dyn Host) -> Result<bool, String> {
        let state_data = machine.witness();
        let (proof_data, taken) = machine.attempt_step(host);
        let read = taken.is_ok().then(|| machine.last_preimage_read()).flatten();
        if let Some(read) = &read {
            let loaded = self.instance.load_preimage(read, None, &CONTEXT);
            loaded.map_err(|error| error.to_string())?;
        }
        let call =
            StepCall { state_data: &state_data, proof_data: &proof_data, local_context: CONTEXT };
        let outcome = outcome(self.instance.step(&call));
        if read.is_some() {
            self.instance.reset();
        }
        let expected = match &taken {
            Ok(()) => Expected::Post(Box::new(witness(machine.witness()))),
            Err(fault) => Expected::Refused(fault.to_string()),
        };
        expected.check(&outcome)?;
        match (&taken, &outcome) {
            (Err(fault), Outcome::Refused(reason)) if !is_reason(fault, reason) => {
                Err(format!("refused because of \"{reason}\", not of this: {fault}"))
            }
            _ => Ok(taken.is_ok()),
        }
    }

    /// Loads the part that a step may read. There is none at or past the end.
    fn load(&mut self, key: Key, data: &[u8], offset: u64) {
        let value: Vec<u8> =
            (data.len() as u64).to_be_bytes().iter().chain(data).copied().collect();
        if offset < value.len() as u64 {
            let read = PreimageRead { key, value: value.into(), offset };
            self.instance.load_preimage(&read, None, &CONTEXT).expect("the oracle takes it");
        }
    }
}

impl Engine for Contract {
    fn take(&mut self, vector: &Vector) -> Outcome {
        outcome(self.step(vector))
    }
}

/// What became of a step. A state that is not the one of the hash is none.
fn outcome(step: Result<Step, Refused>) -> Outcome {
    let step = match step {
        Ok(step) => step,
        Err(refused) => return Outcome::Refused(refused.to_string()),
    };
    let state = witness(step.post_state.expect("our contract logs the state"));
    if StateWitness::state_hash(&state) != step.post {
        return Outcome::Refused("the hash has another status than the state".into());
    }
    Outcome::Post(Box::new(state))
}

fn witness(bytes: Vec<u8>) -> [u8; STATE_WITNESS_BYTES] {
    bytes.try_into().expect("a witness has its length")
}

/// Whether these are the contract's words for a fault of the reference.
fn is_reason(fault: &Fault, words: &str) -> bool {
    if fault.reason.is::<OracleError>() {
        return words == "pre-image must exist";
    }
    let expected: &[&str] = match fault.reason.downcast_ref() {
        Some(GuestFault::InvalidInstruction { .. }) => &["MIPS64: invalid instruction"],
        Some(GuestFault::InvalidPc) => &["InvalidPC()"],
        Some(GuestFault::DivisionByZero) => &["MIPS64: division by zero"],
        Some(GuestFault::BranchInDelaySlot) => {
            &["MIPS64: branch in delay slot", "MIPS64: jump in delay slot"]
        }
        Some(GuestFault::UnknownSyscall { .. }) => &["MIPS64: unimplemented syscall"],
        Some(GuestFault::PreimageOffset { .. } | GuestFault::Oracle(_)) => {
            &["pre-image must exist"]
        }
        // A state that no run leads to.
        _ => &[
            "InvalidExitedValue()",
            "MIPS64: active thread stack is empty",
            "MIPS64: post-state active thread stack is empty",
        ],
    };
    expected.contains(&words)
}

/// A step about which reference and contract differ.
pub(crate) struct Difference {
    /// How.
    pub(crate) what: String,
    /// The step, and what the reference makes of it.
    pub(crate) vector: Vector,
}

impl Difference {
    /// Runs to the step again: the machine that was judged has taken it.
    fn at(step: u64, what: String, name: &str, start: &Mips64, mut host: impl Host) -> Self {
        let mut machine = start.clone();
        let what = match machine.run(step, StopOn::Nothing, &mut host) {
            Ok(_) => what,
            Err(fault) => format!("{what}; and a second run gets no further than this: {fault}"),
        };
        let state = machine.into_state();
        let key = Key::from_bytes(state.preimage_key);
        let preimage = host.preimage(key).ok().map(|data| (key, data));
        Self { what, vector: vector_of(format!("{name}/step {step}"), state, preimage) }
    }
}

impl std::fmt::Debug for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.vector.name, self.what)
    }
}

/// What the reference makes of a random state, as a vector.
pub(crate) fn random_vector(seed: u64) -> Vector {
    let Start { name, state, preimage } = generate(seed);
    vector_of(format!("{name}/seed {seed}"), state, preimage)
}

/// A vector of which the reference says what becomes.
fn vector_of(name: String, state: State, preimage: Option<(Key, Vec<u8>)>) -> Vector {
    let refused = Expected::Refused(String::new());
    let mut vector = Vector { name, state, preimage, expected: refused };
    vector.expected = match reference(&vector) {
        Outcome::Post(post) => Expected::Post(post),
        Outcome::Refused(reason) => Expected::Refused(reason),
    };
    vector
}

/// A vector as it stands in a file of vectors, on one line.
pub(crate) fn to_line(vector: &Vector) -> String {
    let mut state = vector.state.clone();
    let stack = |stack: &ThreadStack| -> Vec<String> {
        stack.as_slice().iter().map(|thread| digits(&thread.witness())).collect()
    };
    let mut line = json!({
        "name": vector.name,
        "state": digits(&state.witness()),
        "left": stack(&state.left),
        "right": stack(&state.right),
        "memory": words(&state.memory),
    });
    if let Some((key, data)) = &vector.preimage {
        line["preimage"] = json!([key.to_string(), digits(data)]);
    }
    match &vector.expected {
        Expected::Post(post) => line["post"] = json!(digits(&post[..])),
        Expected::Refused(reason) => line["revert"] = json!(reason),
    }
    line.to_string()
}

/// Every word that is not zero, behind its address.
fn words(memory: &Memory) -> Vec<[String; 2]> {
    let mut found = Vec::new();
    for (page, data) in memory.pages() {
        for (offset, word) in (0..).step_by(8).zip(data.chunks(8)) {
            if word.iter().any(|&byte| byte != 0) {
                let address: u64 = page << PAGE_ADDRESS_BITS | offset;
                found.push([digits(&address.to_be_bytes()), digits(word)]);
            }
        }
    }
    found
}

fn digits(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}
