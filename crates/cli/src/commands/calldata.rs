//! `calldata`: the transactions that have one step judged on a chain.

use std::fmt::{self, Write as _};
use std::io::{Write as _, stderr};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tribunal_keccak::Hash;
use tribunal_machine::{Hex, PreimageRead};
use tribunal_onchain::{
    Address, Contract, Dispute, Instance, LoadError, NoEvidence, PlanError, Planned, StepCall,
};
use tribunal_preimage::KeyKind;

use super::inspect::hex_of;
use crate::cli::{ProofArgs, parse_address};
use crate::evidence::evidence;
use crate::failure::{Failure, Kind, Result};
use crate::input::read_proofs;
use crate::judge::preimage_read;
use crate::output::{print, print_line};
use crate::style::Style;
use crate::units::{Bytes, Count, Seconds};

/// The most bytes of a transaction that nodes pass on to each other.
const TRANSACTION_LIMIT: usize = 128 << 10;

/// Print the transactions that have the step of a proof judged on a chain, in order.
///
/// First the preimage, if the step reads one: in one call, or as a large preimage proposal. Then the
/// step, without memory proofs that it does not need. Each was executed in an EVM in this process,
/// which is where the gas is from. Nothing is sent. Leaves with 1 if the contract comes to another
/// state than the proof.
#[derive(Args, Debug)]
pub(crate) struct Calldata {
    /// A proof, as run --proof-at or Cannon write it; .gz is fine, - is standard input.
    #[arg(value_name = "PROOF")]
    proof: PathBuf,

    /// The MIPS64 contract, to be named as the receiver.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    address: Option<Address>,

    /// Its PreimageOracle, to be named as the receiver.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    oracle: Option<Address>,

    /// Who sends the transactions. A large preimage proposal belongs to its sender.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    sender: Option<Address>,

    /// The number of a large preimage proposal, if the one that is made from the preimage part is
    /// taken.
    #[arg(long, value_name = "NUMBER")]
    uuid: Option<u128>,

    /// What tells the local inputs of a dispute from those of others: 32 bytes, in hexadecimal
    /// digits.
    #[arg(long, value_name = "HASH", value_parser = parse_hash,
          default_value = "0x0000000000000000000000000000000000000000000000000000000000000000",
          hide_default_value = true)]
    context: Hash,

    #[command(flatten)]
    known: ProofArgs,
}

/// What a machine is told of a transaction.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    contract: String,
    to: Option<String>,
    function: &'a str,
    /// In wei.
    value: String,
    /// More seconds than this must pass after the transaction before it.
    wait: u64,
    execution_gas: u64,
    transaction_gas: u64,
    data: Hex<&'a [u8]>,
}

impl Calldata {
    pub(crate) fn execute(&self) -> Result<u8> {
        let file = self.proof.display().to_string();
        let proof = match &read_proofs(&self.proof)?[..] {
            [proof] => proof.clone(),
            proofs => {
                return Err(Failure::input(format!(
                    "{file} holds {} proofs; one step is disputed at a time",
                    proofs.len()
                )));
            }
        };
        let read = preimage_read(&proof).map_err(|failure| failure.within(&file))?;
        let known = match (&read, self.known.store()?) {
            (Some(read), Some(store)) => evidence(&store, &read.key)?,
            _ => None,
        };
        let (known, lacks) = match known {
            Some(Err(lacks)) => (None, Some(lacks)),
            known => (known.and_then(std::result::Result::ok), None),
        };
        let dispute = Dispute {
            step: StepCall {
                state_data: &proof.state_data.0,
                proof_data: &proof.proof_data.0,
                local_context: self.context,
            },
            read: read.as_ref(),
            evidence: known.as_ref(),
            sender: self.sender.unwrap_or(Instance::SENDER),
            uuid: self.uuid,
        };
        let plan = match Instance::new().plan(&dispute) {
            Ok(plan) => plan,
            Err(error) => return self.refuse(error, lacks),
        };
        if plan.post != proof.post.0 {
            return self.deny(&format!(
                "the contract comes to {}, not to the post of the proof, {}",
                hex_of(&plan.post),
                hex_of(&proof.post.0)
            ));
        }
        let large = plan.transactions.iter().any(|planned| planned.function == "squeezeLPP");
        if large && self.sender.is_none() {
            return Err(Failure::input(
                "the preimage is too large for one transaction, and a proposal belongs to its sender",
            )
            .hint("name the account that sends the transactions with --sender"));
        }
        for (number, planned) in (1..).zip(&plan.transactions) {
            match self.known.json {
                true => self.print_line(planned)?,
                false => {
                    let mut text = String::new();
                    self.write(&mut text, number, planned).expect("a String takes any text");
                    print(&text)?;
                }
            }
        }
        if !self.known.quiet() {
            let _ = stderr().write_all(advice(&plan.transactions, read.as_ref()).as_bytes());
        }
        Ok(0)
    }

    fn write(&self, text: &mut String, number: u64, planned: &Planned) -> fmt::Result {
        let Planned { to, function, calldata, value, wait, gas } = planned;
        let name = Style::of_stdout().strong(&format!("{number}. {to}.{function}"));
        writeln!(text, "{name}")?;
        if let Some(address) = self.receiver(*to) {
            writeln!(text, "  to     {address}")?;
        }
        if *wait > 0 {
            let period = Seconds(std::time::Duration::from_secs(*wait));
            writeln!(text, "  when   more than {wait} seconds ({period}) after the one before")?;
        }
        if !value.is_zero() {
            writeln!(text, "  value  {value} wei, which comes back unless it is challenged")?;
        }
        writeln!(
            text,
            "  gas    {}; {} as a transaction, with its calldata",
            Count(gas.execution),
            Count(gas.transaction)
        )?;
        writeln!(text, "  data   {}", hex_of(calldata))
    }

    fn print_line(&self, planned: &Planned) -> Result<()> {
        let Planned { to, function, calldata, value, wait, gas } = planned;
        print_line(&Line {
            contract: to.to_string(),
            to: self.receiver(*to).map(|address| address.to_string()),
            function,
            value: value.to_string(),
            wait: *wait,
            execution_gas: gas.execution,
            transaction_gas: gas.transaction,
            data: Hex(calldata),
        })
    }

    fn receiver(&self, contract: Contract) -> Option<Address> {
        match contract {
            Contract::Mips64 => self.address,
            Contract::PreimageOracle => self.oracle,
        }
    }

    /// A proof that a contract does not take is an answer, one that lacks something is not.
    fn refuse(&self, error: PlanError, lacks: Option<NoEvidence>) -> Result<u8> {
        match (&error, lacks) {
            (PlanError::Unproven { .. }, Some(lacks)) => {
                Err(Failure::input(error.to_string()).detail(lacks.to_string()))
            }
            (PlanError::Unproven { .. }, None) => Err(Failure::input(error.to_string())
                .hint("name the preimages of the run with --preimages")),
            (
                PlanError::Load(LoadError::Refused { .. } | LoadError::PastEnd { .. })
                | PlanError::Refused { .. },
                _,
            ) => self.deny(&error.to_string()),
            _ => Err(Failure::input(error.to_string())),
        }
    }

    fn deny(&self, why: &str) -> Result<u8> {
        let failure = Failure::new(Kind::Input, why.to_owned())
            .hint(format!("to see all of it: tribunal verify {}", self.proof.display()));
        let _ = stderr().write_all(failure.report().as_bytes());
        Ok(1)
    }
}

/// What a person should know of how these are sent.
fn advice(transactions: &[Planned], read: Option<&PreimageRead>) -> String {
    let mut text = String::new();
    let mut say =
        |line: &str| text.push_str(&format!("{} {line}\n", Style::of_stderr().hint("note:")));
    if read.is_some_and(|read| read.key.kind() == Some(KeyKind::Local)) {
        say("a local input is the dispute game's: on a chain its addLocalData calls loadLocalData");
    }
    for Planned { function, calldata, .. } in transactions {
        if calldata.len() > TRANSACTION_LIMIT {
            say(&format!(
                "{function} takes {}, and nodes pass on no more than {}: give it to a block builder",
                Bytes(calldata.len() as u64),
                Bytes(TRANSACTION_LIMIT as u64)
            ));
        }
    }
    say(
        "in a dispute the game calls step: send the state data and the proof of it to the game's step",
    );
    text
}

fn parse_hash(text: &str) -> std::result::Result<Hash, String> {
    let mut hash = [0; 32];
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode_to_slice(digits, &mut hash)
        .map_err(|_| "32 bytes are wanted, in hexadecimal digits".to_owned())?;
    Ok(hash)
}
