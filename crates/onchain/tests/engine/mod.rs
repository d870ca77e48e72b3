//! The contract as an engine of the conformance suite. Shared by tests and examples.
#![allow(dead_code, reason = "each test and example uses what it needs of it")]

use serde_json::json;
use tribunal_conformance::{
    Engine, Expected, Outcome, Start, Vector, VectorHost, generate, reference,
};
use tribunal_machine::{Machine as _, PreimageRead};
use tribunal_memory::{Memory, PAGE_ADDRESS_BITS};
use tribunal_mips64::{Mips64, ThreadStack};
use tribunal_onchain::{Gas, Instance, Refused, Step, StepCall};
use tribunal_preimage::Key;

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
            StepCall { state_data: &state_data, proof_data: &proof_data, local_context: [0; 32] };
        let result = then(&mut self.instance, &call);
        if vector.preimage.is_some() {
            self.instance.reset();
        }
        result
    }

    /// Loads the part that a step may read. There is none at or past the end.
    fn load(&mut self, key: Key, data: &[u8], offset: u64) {
        let value: Vec<u8> =
            (data.len() as u64).to_be_bytes().iter().chain(data).copied().collect();
        if offset < value.len() as u64 {
            let read = PreimageRead { key, value: value.into(), offset };
            self.instance.load_preimage(&read, None, &[0; 32]).expect("the oracle takes it");
        }
    }
}

impl Engine for Contract {
    fn take(&mut self, vector: &Vector) -> Outcome {
        match self.step(vector) {
            Ok(step) => {
                let state = step.post_state.expect("our contract logs the state");
                Outcome::Post(Box::new(state.try_into().expect("a witness has its length")))
            }
            Err(refused) => Outcome::Refused(refused.to_string()),
        }
    }
}

/// What the reference makes of a random state, as a vector.
pub(crate) fn random_vector(seed: u64) -> Vector {
    let Start { name, state, preimage } = generate(seed);
    let refused = Expected::Refused(String::new());
    let mut vector =
        Vector { name: format!("{name}/seed {seed}"), state, preimage, expected: refused };
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
