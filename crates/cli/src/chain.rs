//! A live chain, asked through the JSON-RPC of a node: what its MIPS64 contract makes of a step.
//!
//! Nothing is sent to the chain: `eth_call` executes a call and forgets it. What the step reads of a
//! preimage is put into the storage of the oracle for the length of that call. Knows one method of
//! the RPC, and tells a contract that refuses from a node that fails. The URL may hold a key, so it is
//! never shown whole.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tribunal_keccak::Hash;
use tribunal_onchain::{Address, Instance, Refusal, calldata};
use tribunal_rpc::{Endpoint, Question, Trouble, What};

use crate::failure::{Failure, Result};

/// The most bytes of an answer.
const ANSWER_LIMIT: u64 = 1 << 20;

/// The MIPS64 contract of a chain.
pub(crate) struct Chain {
    node: Endpoint,
    /// The longest that an answer may take.
    patience: Duration,
    machine: Address,
    oracle: Address,
}

impl Chain {
    /// Asks the contract at this address where its oracle is.
    pub(crate) fn connect(url: &str, machine: Address, patience: Duration) -> Result<Self> {
        let node = Endpoint::new(url, ANSWER_LIMIT).map_err(|error| {
            Failure::input(format!("the URL of --rpc {error}"))
                .hint("for instance http://127.0.0.1:8545")
        })?;
        let mut chain = Self { node, patience, machine, oracle: Address::ZERO };
        let no_machine = |what: String| {
            Failure::input(format!("{machine} on this chain {what}"))
                .hint("give the address of the MIPS64 contract: FaultDisputeGame's vm()")
        };
        let answer = chain.call(&calldata::oracle(), &[])?;
        let answer =
            answer.map_err(|why| no_machine(format!("does not say where its oracle is: {why}")))?;
        if answer.is_empty() {
            return Err(no_machine("is no contract".into()));
        }
        match answer.strip_prefix(&[0; 12]).and_then(|address| address.try_into().ok()) {
            Some(oracle) => chain.oracle = Address::new(oracle),
            None => return Err(no_machine("does not say where its oracle is".into())),
        }
        Ok(chain)
    }

    /// The state hash after a step, or why the contract refuses it. The oracle has these values in
    /// these storage slots.
    pub(crate) fn step(
        &self,
        calldata: &[u8],
        slots: &[(Hash, Hash)],
    ) -> Result<std::result::Result<Hash, Refusal>> {
        Ok(match self.call(calldata, slots)? {
            Ok(answer) => match answer.as_slice().try_into() {
                Ok(post) => Ok(post),
                Err(_) => Err(Refusal::Unknown(answer)),
            },
            Err(why) => Err(why),
        })
    }

    /// The output of a call, or why the contract refused it.
    fn call(
        &self,
        calldata: &[u8],
        slots: &[(Hash, Hash)],
    ) -> Result<std::result::Result<Vec<u8>, Refusal>> {
        let call = json!({
            "from": digits(Instance::SENDER.as_slice()),
            "to": digits(self.machine.as_slice()),
            "data": digits(calldata),
        });
        let mut params = vec![call, json!("latest")];
        if !slots.is_empty() {
            let slots: Map<String, Value> =
                slots.iter().map(|(slot, value)| (digits(slot), json!(digits(value)))).collect();
            let oracle = digits(self.oracle.as_slice());
            params.push(json!({ oracle: { "stateDiff": slots } }));
        }
        let answer = match self.node.ask(&Question::new("eth_call", params.into()), self.patience) {
            Ok(answer) => answer,
            Err(trouble) => {
                return match &*trouble.what {
                    What::Refused { message, data, .. } => match refusal(message, data) {
                        Some(why) => Ok(Err(why)),
                        None => Err(failed(&trouble)),
                    },
                    _ => Err(failed(&trouble)),
                };
            }
        };
        let no_node = |what: &str| {
            let place = self.node.place();
            Failure::environment(format!("{place} is no node of a chain: {what}"))
                .detail(format!("it says: {answer}"))
        };
        let text = answer.as_str().ok_or_else(|| no_node("its answer is no JSON-RPC"))?;
        match text.strip_prefix("0x").map(hex::decode) {
            Some(Ok(output)) => Ok(Ok(output)),
            _ => Err(no_node("its answer is no hexadecimal digits")),
        }
    }
}

fn failed(trouble: &Trouble) -> Failure {
    let failure = Failure::environment(trouble.to_string());
    match trouble.words() {
        Some(words) => failure.detail(words),
        None => failure.hint(trouble.advice().unwrap_or("is it an execution node?")),
    }
}

/// Why a contract refused, if this is what an error says. Nodes word it in many ways.
fn refusal(message: &str, data: &Value) -> Option<Refusal> {
    let data = match data {
        Value::Object(inner) => inner.get("data").and_then(Value::as_str),
        data => data.as_str(),
    };
    let output = data.and_then(|data| hex::decode(data.split_once("0x")?.1).ok());
    let lower = message.to_ascii_lowercase();
    let reverted = lower.contains("revert") || data.is_some_and(|data| data.starts_with("Revert"));
    if reverted {
        return Some(match output {
            Some(output) => Refusal::decode(&output),
            None => match message.split_once("reverted: ") {
                Some((_, message)) => Refusal::Message(message.to_owned()),
                None => Refusal::Silent,
            },
        });
    }
    let halted = ["invalid opcode", "invalid jump", "stack underflow", "stack limit"];
    halted.iter().any(|halt| lower.contains(halt)).then(|| Refusal::Halt(message.to_owned()))
}

fn digits(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_from_failures_of_the_node() {
        let said = |error: Value| {
            let message = error["message"].as_str().unwrap_or_default();
            refusal(message, &error["data"]).map(|why| why.to_string())
        };
        let invalid_pc = "0x3f8200bc";
        for error in [
            json!({ "code": 3, "message": "execution reverted", "data": invalid_pc }),
            json!({ "code": -32015, "message": "VM execution error.", "data": "Reverted 0x3f8200bc" }),
            json!({ "code": 3, "message": "execution reverted", "data": { "data": invalid_pc } }),
        ] {
            assert_eq!(said(error).unwrap(), "InvalidPC()");
        }
        let silent = json!({ "code": -32000, "message": "execution reverted" });
        assert_eq!(said(silent).unwrap(), "a revert without a reason");
        let worded = json!({ "code": -32000, "message": "execution reverted: division by zero" });
        assert_eq!(said(worded).unwrap(), "division by zero");
        let halted = json!({ "code": -32000, "message": "invalid opcode: INVALID" });
        assert!(said(halted).unwrap().contains("halted"));
        for error in [
            json!({ "code": -32000, "message": "out of gas" }),
            json!({ "code": -32601, "message": "the method eth_call does not exist" }),
            json!({ "code": -32005, "message": "rate limited", "data": "0x3f8200bc" }),
            json!({}),
        ] {
            assert_eq!(said(error), None);
        }
    }
}
