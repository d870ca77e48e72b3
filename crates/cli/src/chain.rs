//! A live chain, asked through the JSON-RPC of a node: what its MIPS64 contract makes of a step.
//!
//! Nothing is sent to the chain: `eth_call` executes a call and forgets it. What the step reads of a
//! preimage is put into the storage of the oracle for the length of that call. Knows one method of
//! the RPC, and tells a contract that refuses from a node that fails. The URL may hold a key, so it is
//! never shown whole.

use std::cell::Cell;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tribunal_keccak::Hash;
use tribunal_onchain::{Address, Instance, Refusal, calldata};
use ureq::Agent;
use ureq::http::Uri;

use crate::failure::{Failure, Result};

/// The most bytes of an answer.
const ANSWER_LIMIT: u64 = 1 << 20;

/// The most characters that are shown of what a node says.
const SHOWN: usize = 200;

/// The MIPS64 contract of a chain.
pub(crate) struct Chain {
    agent: Agent,
    /// The longest that an answer may take.
    patience: Duration,
    url: String,
    /// The URL without what may be secret.
    place: String,
    machine: Address,
    oracle: Address,
    next_id: Cell<u64>,
}

impl Chain {
    /// Asks the contract at this address where its oracle is.
    pub(crate) fn connect(url: &str, machine: Address, patience: Duration) -> Result<Self> {
        let place = place(url)?;
        let agent = Agent::config_builder()
            .timeout_global(Some(patience))
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .new_agent();
        let oracle = Address::ZERO;
        let next_id = Cell::new(1);
        let mut chain =
            Self { agent, patience, url: url.to_owned(), place, machine, oracle, next_id };
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
        let id = self.next_id.replace(self.next_id.get() + 1);
        let question =
            json!({ "jsonrpc": "2.0", "id": id, "method": "eth_call", "params": params });
        self.read(&self.post(&question.to_string())?, id)
    }

    /// Sends a request. Returns the status line and the text of the answer.
    fn post(&self, question: &str) -> Result<(String, String)> {
        let failed = |error: ureq::Error| self.failed(&error);
        let mut response = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .send(question)
            .map_err(failed)?;
        let status = response.status().to_string();
        let body = response.body_mut().with_config().limit(ANSWER_LIMIT).lossy_utf8(true);
        Ok((status, body.read_to_string().map_err(failed)?))
    }

    /// What an answer says: the output of the call, or why the contract refused it.
    fn read(
        &self,
        (status, text): &(String, String),
        id: u64,
    ) -> Result<std::result::Result<Vec<u8>, Refusal>> {
        let answer = serde_json::from_str::<Value>(text).ok();
        let answer =
            answer.filter(|answer| answer["result"].is_string() || answer["error"].is_object());
        let Some(answer) = answer else {
            return Err(match status.starts_with('2') {
                true => self.malformed("its answer is no JSON-RPC", text),
                false => Failure::environment(format!(
                    "{} answers with HTTP status {status}",
                    self.place
                ))
                .detail(excerpt(text)),
            });
        };
        if let Some(error) = answer["error"].as_object() {
            return match refusal(error) {
                Some(why) => Ok(Err(why)),
                None => {
                    let code =
                        error.get("code").map_or_else(String::new, |code| format!(" {code}"));
                    let message = error.get("message").and_then(Value::as_str).unwrap_or("");
                    Err(Failure::environment(format!("{} answers with error{code}", self.place))
                        .detail(excerpt(message)))
                }
            };
        }
        if answer["id"] != id {
            return Err(self.malformed("its answer is to another question", text));
        }
        let output = answer["result"].as_str().and_then(|result| result.strip_prefix("0x"));
        match output.map(hex::decode) {
            Some(Ok(output)) => Ok(Ok(output)),
            _ => Err(self.malformed("its answer is no hexadecimal digits", text)),
        }
    }

    fn malformed(&self, what: &str, text: &str) -> Failure {
        Failure::environment(format!("{} is no node of a chain: {what}", self.place))
            .detail(excerpt(text))
    }

    fn failed(&self, error: &ureq::Error) -> Failure {
        let place = &self.place;
        let message = match error {
            ureq::Error::Timeout(_) => {
                format!("{place} does not answer within {} s", self.patience.as_secs())
            }
            ureq::Error::HostNotFound => format!("cannot find {place}: no such host"),
            ureq::Error::Io(error) => format!("cannot reach {place}: {error}"),
            error => {
                format!("cannot ask {place}: {}", error.to_string().replace(&self.url, place))
            }
        };
        Failure::environment(message).hint("is the node running, and the URL right?")
    }
}

/// Scheme, host and port of a URL: a path, a query or a password may be secret.
fn place(url: &str) -> Result<String> {
    let bad = |what: &str| {
        Failure::input(format!("the URL of --rpc {what}"))
            .hint("for instance http://127.0.0.1:8545")
    };
    let uri: Uri = url.parse().map_err(|_| bad("is none"))?;
    match (uri.scheme_str(), uri.host(), uri.port_u16()) {
        (Some(scheme @ ("http" | "https")), Some(host), port) => {
            let port = port.map_or_else(String::new, |port| format!(":{port}"));
            Ok(format!("{scheme}://{host}{port}"))
        }
        _ => Err(bad("begins neither with http:// nor with https://")),
    }
}

/// Why a contract refused, if this is what an error says. Nodes word it in many ways.
fn refusal(error: &Map<String, Value>) -> Option<Refusal> {
    let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
    let data = match error.get("data") {
        Some(Value::Object(inner)) => inner.get("data").and_then(Value::as_str),
        data => data.and_then(Value::as_str),
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

fn excerpt(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match clean.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("it says: {}…", &clean[..end]),
        None if clean.trim().is_empty() => "it says nothing".to_owned(),
        None => format!("it says: {}", clean.trim()),
    }
}

fn digits(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        for (url, shown) in [
            ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
            ("https://me:secret@node.example/v3/key?token=1", "https://node.example"),
            ("https://[::1]:1/", "https://[::1]:1"),
        ] {
            assert_eq!(place(url).unwrap(), shown);
        }
        for url in ["", "ftp://a", "node.example", "http://", "/path", "ws://a", "http://a b"] {
            assert!(place(url).is_err(), "{url}");
        }
    }

    #[test]
    fn refusals_are_told_from_failures_of_the_node() {
        let said = |error: Value| refusal(error.as_object().unwrap()).map(|why| why.to_string());
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
