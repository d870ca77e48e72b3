//! Gas of a step by class of instruction, over the conformance vectors: of our contract, and of any
//! other artifact beside it.
//!
//! `cargo run --release -p tribunal-onchain --example gas [ARTIFACT…]`
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool that people run speaks")]

#[path = "../tests/engine/mod.rs"]
mod engine;

use std::path::PathBuf;
use std::process::ExitCode;

use engine::Contract;
use tribunal_conformance::{Vector, deployed_vectors};
use tribunal_onchain::{
    Artifact, Contract as Kind, Gas, Instance, LargePreimage, Transaction, U256, calldata,
};
use tribunal_preimage::Key;

/// A row of the table, and the median gas of execution of the deployed contract, if it is known.
const CLASSES: [(&str, Option<u64>); 9] = [
    ("arithmetic", Some(33_400)),
    ("branch", Some(32_000)),
    ("load", Some(45_000)),
    ("ll, sc", Some(43_500)),
    ("store", Some(56_600)),
    ("syscall", Some(32_100)),
    ("clock_gettime", Some(79_200)),
    ("scheduler", None),
    ("exited", None),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let vectors = deployed_vectors();
    print_table("MIPS64, ours", &mut Contract::new(), &vectors);
    print_oracle_table()?;
    for path in std::env::args_os().skip(1).map(PathBuf::from) {
        let artifact = Artifact::from_file(&std::fs::read(&path)?)?;
        let oracle = Artifact::ours(Kind::PreimageOracle);
        let mut contract = Contract { instance: Instance::with(&artifact, &oracle)? };
        print_table(&format!("MIPS64, {}", path.display()), &mut contract, &vectors);
    }
    Ok(())
}

fn print_table(name: &str, contract: &mut Contract, vectors: &[Vector]) {
    let mut costs = CLASSES.map(|(class, _)| (class, Vec::new()));
    for vector in vectors {
        if let Some(gas) = contract.gas(vector) {
            let row = costs.iter_mut().find(|(class, _)| *class == class_of(vector));
            row.expect("a class of the table").1.push(gas);
        }
    }
    println!("{name}");
    println!("                 execution                           transaction");
    println!("  class            steps   median    worst  deployed    median    worst");
    for ((class, costs), (_, deployed)) in costs.iter().zip(CLASSES) {
        let execution = Spread::of(costs, |gas| gas.execution);
        let transaction = Spread::of(costs, |gas| gas.transaction);
        let deployed = deployed.map_or_else(String::new, |median| {
            format!("{:>4.0} %", 100.0 * execution.median as f64 / median as f64)
        });
        println!(
            "  {class:<15} {:>6} {:>8} {:>8} {deployed:>9} {:>9} {:>8}",
            costs.len(),
            execution.median,
            execution.worst,
            transaction.median,
            transaction.worst,
        );
    }
}

/// What loading preimages costs, a proposal of a large one among them.
fn print_oracle_table() -> Result<(), Box<dyn std::error::Error>> {
    let mut instance = Instance::new();
    let data = |length: usize| -> Vec<u8> { (0..length).map(|i| (i % 251) as u8).collect() };
    let proposal = LargePreimage::new(data(1 << 18), 8)?;
    let mut forged = proposal.clone();
    forged.commitments[500][0] ^= 1;
    let (claimant, bond) = (Instance::SENDER, U256::from(250_000_000_000_000_000u64));
    let blocks = 0..300;
    let finish =
        |proposal: &LargePreimage, uuid| proposal.addition(uuid, 300..proposal.block_count());
    let local = calldata::load_local_data(&Key::local(1), &[0; 32], [7; 32], 32, 0);
    let keccak = |length| calldata::load_keccak256_preimage_part(8, &data(length));
    let calls: [(&str, U256, Vec<u8>); 10] = [
        ("a local input", U256::ZERO, local),
        ("keccak256 of 100 bytes", U256::ZERO, keccak(100)),
        ("keccak256 of 100,000 bytes", U256::ZERO, keccak(100_000)),
        ("a proposal", bond, proposal.init(1)),
        ("  300 blocks of it", U256::ZERO, proposal.addition(1, blocks.clone())),
        ("  its other 1,628 blocks", U256::ZERO, finish(&proposal, 1)),
        ("(another, with a mistake)", bond, forged.init(2)),
        ("(300 blocks of it)", U256::ZERO, forged.addition(2, blocks)),
        ("(its other blocks)", U256::ZERO, finish(&forged, 2)),
        ("  a challenge", U256::ZERO, forged.challenge(claimant, 2, 500)),
    ];
    println!("PreimageOracle, ours");
    println!("                              execution  transaction");
    for (name, value, calldata) in calls {
        print_call(&mut instance, name, value, calldata)?;
    }
    instance.advance_time(86_401);
    print_call(&mut instance, "  squeezing it", U256::ZERO, proposal.squeeze(claimant, 1))
}

fn print_call(
    instance: &mut Instance,
    name: &str,
    value: U256,
    calldata: Vec<u8>,
) -> Result<(), Box<dyn std::error::Error>> {
    let (from, to) = (Instance::SENDER, instance.oracle());
    let gas = instance.transact(Transaction { from, to, value, calldata, gas_limit: None })?.gas;
    if !name.starts_with('(') {
        println!("  {name:<28} {:>8} {:>12}", gas.execution, gas.transaction);
    }
    Ok(())
}

/// Half of the steps cost no more than the median.
struct Spread {
    median: u64,
    worst: u64,
}

impl Spread {
    fn of(costs: &[Gas], which: impl Fn(&Gas) -> u64) -> Self {
        let mut costs: Vec<u64> = costs.iter().map(which).collect();
        costs.sort_unstable();
        let at = |index: usize| costs.get(index).copied().unwrap_or_default();
        Self { median: at(costs.len() / 2), worst: at(costs.len().saturating_sub(1)) }
    }
}

fn class_of(vector: &Vector) -> &'static str {
    match vector.name.split('/').collect::<Vec<_>>()[..] {
        ["alu" | "imm" | "muldiv" | "shift", ..] => "arithmetic",
        ["branch", ..] => "branch",
        ["load", ..] => "load",
        ["llsc", ..] => "ll, sc",
        ["store", ..] => "store",
        ["syscall", call, ..] if call.starts_with("clock") => "clock_gettime",
        ["syscall", ..] => "syscall",
        ["exited", ..] => "exited",
        _ => "scheduler",
    }
}
