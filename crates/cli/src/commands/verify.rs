//! `verify`: have contracts judge proofs.

use std::fmt::{self, Write as _};
use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tribunal_keccak::Hash;
use tribunal_machine::{Hex, ProofFile, Symbols};
use tribunal_onchain::{Address, Gas, LoadedHow};
use tribunal_preimage::KeyKind;

use super::inspect::{field, hex_of, hex_word, key_kind};
use crate::chain::Chain;
use crate::cli::{ContractArgs, ProofArgs, parse_address};
use crate::failure::{Failure, Kind, Result, Statuses};
use crate::input::{read_proofs, read_symbols};
use crate::judge::{Finding, Judge, Judgement, Place, Preimage};
use crate::output::{print, print_line};
use crate::style::Style;
use crate::symbol::in_function;
use crate::units::Count;

/// Have the contract take the steps of proofs, and say whether it comes to the same states.
///
/// Ours does in an EVM in this process, unless others are named. Leaves with 1 if a proof does not
/// hold, 2 if a file is no proof, 3 if a chain does not answer.
///
/// What a contract does not look at is held against what belongs there. Nobody can tell of bytes that
/// the step does not read in a local input or a blob that no --preimages hold, or in a memory proof
/// that Cannon left there from an earlier step.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// Proofs, as run --proof-at or sample --proof write them, or Cannon; .gz is fine, - is standard
    /// input.
    #[arg(value_name = "PROOF", required = true)]
    proofs: Vec<PathBuf>,

    #[command(flatten)]
    contracts: ContractArgs,

    /// A node of the chain that the steps are taken on, by eth_call: nothing is sent.
    #[arg(long, value_name = "URL", requires = "address")]
    rpc: Option<String>,

    /// The MIPS64 contract on that chain.
    #[arg(long, value_name = "ADDRESS", requires = "rpc", value_parser = parse_address)]
    address: Option<Address>,

    /// How long the node may take for an answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    rpc_timeout: u64,

    /// Symbols, as load-elf wrote them.
    #[arg(long, value_name = "FILE")]
    meta: Option<PathBuf>,

    #[command(flatten)]
    known: ProofArgs,
}

/// What a machine is told of a proof.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    file: String,
    step: u64,
    verdict: &'static str,
    findings: &'a [Finding],
    notes: &'a [String],
    thread: Option<u64>,
    pc: Option<String>,
    instruction: Option<&'a str>,
    remark: Option<&'a str>,
    pre: Hex<Hash>,
    post: Hex<Hash>,
    /// The state hash that the contract comes to.
    contract_post: Option<Hex<Hash>>,
    /// Why the contract refuses.
    refusal: Option<String>,
    gas: Option<GasLine>,
    preimage: Option<PreimageLine>,
}

#[derive(Serialize)]
struct GasLine {
    execution: u64,
    transaction: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PreimageLine {
    key: Hex<[u8; 32]>,
    kind: &'static str,
    bytes: usize,
    offset: u64,
    /// Whether an oracle checked it.
    proven: bool,
    /// The function that did.
    function: Option<&'static str>,
    gas: Option<GasLine>,
    /// Why none did.
    why: Option<String>,
}

/// How many proofs came out how.
#[derive(Default)]
struct Tally {
    hold: u64,
    fail: u64,
    no_proof: u64,
}

impl Verify {
    pub(crate) fn execute(&self) -> Result<u8> {
        let symbols = self.meta.as_deref().map(read_symbols).transpose()?.unwrap_or_default();
        let mut judge = self.contracts.judge()?.with_store(self.known.store()?);
        if let (Some(url), Some(address)) = (&self.rpc, self.address) {
            judge = judge.on(Chain::connect(url, address, Duration::from_secs(self.rpc_timeout))?);
        }
        let mut tally = Tally::default();
        for path in &self.proofs {
            match self.verify_file(path, &mut judge, &symbols, &mut tally) {
                Err(failure) if failure.kind() == Kind::Input && self.proofs.len() > 1 => {
                    // The others may be proofs all the same.
                    let _ = stderr().write_all(failure.report().as_bytes());
                    tally.no_proof += 1;
                }
                outcome => outcome?,
            }
        }
        if !self.known.quiet() && tally.hold + tally.fail > 1 {
            let _ = stderr().write_all(tally.text().as_bytes());
        }
        Ok(match tally {
            Tally { no_proof: 1.., .. } => Failure::input("no proof").status(Statuses::Tribunal),
            Tally { fail: 1.., .. } => 1,
            Tally { .. } => 0,
        })
    }

    fn verify_file(
        &self,
        path: &Path,
        judge: &mut Judge,
        symbols: &Symbols,
        tally: &mut Tally,
    ) -> Result<()> {
        let proofs = read_proofs(path)?;
        let file = path.display().to_string();
        for proof in &proofs {
            let judgement = judge.judge(proof).map_err(|failure| failure.within(&file))?;
            match judgement.holds() {
                true => tally.hold += 1,
                false => tally.fail += 1,
            }
            self.show(&file, proof, &judgement, symbols)?;
        }
        Ok(())
    }

    fn show(
        &self,
        file: &str,
        proof: &ProofFile,
        judgement: &Judgement,
        symbols: &Symbols,
    ) -> Result<()> {
        if self.known.json {
            return print_line(&Line::of(file, proof, judgement));
        }
        print(&describe(file, proof, judgement, symbols))
    }
}

impl Tally {
    fn text(&self) -> String {
        let Self { hold, fail, no_proof } = self;
        let no_proof = match no_proof {
            0 => String::new(),
            count => format!(", {} files are no proofs", Count(*count)),
        };
        format!("{} proofs hold, {} do not{no_proof}\n", Count(*hold), Count(*fail))
    }
}

/// Tells people what became of a proof.
pub(crate) fn describe(
    name: &str,
    proof: &ProofFile,
    judgement: &Judgement,
    symbols: &Symbols,
) -> String {
    let mut text = String::new();
    write(&mut text, name, proof, judgement, symbols).expect("a String takes any text");
    text
}

fn write(
    text: &mut String,
    file: &str,
    proof: &ProofFile,
    judgement: &Judgement,
    symbols: &Symbols,
) -> fmt::Result {
    let style = Style::of_stdout();
    let verdict = match judgement.verdict() {
        "holds" => style.good("holds"),
        "refused" => style.bad("does not hold: the contract refuses it"),
        _ => style.bad("does not hold"),
    };
    writeln!(text, "{file}: step {} {verdict}", Count(proof.step))?;
    for Finding { field: name, what } in &judgement.findings {
        let mut lines = what.lines();
        writeln!(text, "  {} {name}: {}", style.bad("FAIL"), lines.next().unwrap_or(""))?;
        lines.try_for_each(|line| writeln!(text, "         {line}"))?;
    }
    if let Some(Place { thread, pc, instruction, remark, .. }) = &judgement.place {
        let remark = remark.as_ref().map_or_else(String::new, |remark| format!(" ({remark})"));
        let function = in_function(symbols, *pc);
        field(text, "instruction", format_args!("{instruction}{remark}"))?;
        field(text, "", format_args!("at {pc:#x}{function}, thread {thread}"))?;
    }
    if let Some(preimage) = &judgement.preimage {
        let Preimage { key, bytes, offset, .. } = preimage;
        field(text, "preimage", format_args!("{key} ({})", key_kind(key)))?;
        let bytes = Count(*bytes as u64);
        field(text, "", format_args!("{bytes} bytes behind their length, read at {offset}"))?;
        field(text, "", how(preimage))?;
    }
    if let Some(gas) = judgement.gas {
        field(text, "gas", show_gas(gas))?;
    }
    if let Ok(answer) = &judgement.answer {
        field(text, "post", hex_of(&answer.post))?;
    }
    judgement.notes.iter().try_for_each(|note| field(text, "note", note))
}

/// How a preimage got into the oracle.
pub(crate) fn how(preimage: &Preimage) -> String {
    match &preimage.how {
        Ok(LoadedHow::Proven { function, gas, .. }) => {
            let vouched = match preimage.key.kind() {
                Some(KeyKind::Local) => ", for which the dispute game vouches",
                _ => ", which proves it",
            };
            format!("loaded by {function}{vouched}: gas {}", show_gas(*gas))
        }
        Ok(LoadedHow::Given { why }) => format!("taken as given: {why}"),
        Err(_) => "not loaded".to_owned(),
    }
}

/// What a call costs.
pub(crate) fn show_gas(gas: Gas) -> String {
    let (execution, transaction) = (Count(gas.execution), Count(gas.transaction));
    format!("{execution}; {transaction} as a transaction, with its calldata")
}

impl<'a> Line<'a> {
    fn of(file: &str, proof: &ProofFile, judgement: &'a Judgement) -> Self {
        let Judgement { findings, notes, place, answer, gas, preimage, .. } = judgement;
        let place = place.as_ref();
        Self {
            file: file.to_owned(),
            step: proof.step,
            verdict: judgement.verdict(),
            findings,
            notes,
            thread: place.map(|place| place.thread),
            pc: place.map(|place| hex_word(place.pc)),
            instruction: place.map(|place| place.instruction.as_str()),
            remark: place.and_then(|place| place.remark.as_deref()),
            pre: proof.pre.clone(),
            post: proof.post.clone(),
            contract_post: answer.as_ref().ok().map(|answer| Hex(answer.post)),
            refusal: answer.as_ref().err().map(ToString::to_string),
            gas: gas.map(GasLine::of),
            preimage: preimage.as_ref().map(PreimageLine::of),
        }
    }
}

impl GasLine {
    fn of(gas: Gas) -> Self {
        let Gas { execution, transaction } = gas;
        Self { execution, transaction }
    }
}

impl PreimageLine {
    fn of(preimage: &Preimage) -> Self {
        let Preimage { key, bytes, offset, how, .. } = preimage;
        let (function, gas, why) = match how {
            Ok(LoadedHow::Proven { function, gas, .. }) => {
                (Some(*function), Some(GasLine::of(*gas)), None)
            }
            Ok(LoadedHow::Given { why }) => (None, None, Some((*why).to_owned())),
            Err(error) => (None, None, Some(error.to_string())),
        };
        Self {
            key: Hex(key.into_bytes()),
            kind: key_kind(key),
            bytes: *bytes,
            offset: *offset,
            proven: function.is_some(),
            function,
            gas,
            why,
        }
    }
}
