//! Local EVMs: with our contracts, with those of others, with code from a chain; used again and again.

use tribunal_conformance::VectorHost;
use tribunal_conformance::assemble::{NOP, before};
use tribunal_machine::{Machine as _, StepProof};
use tribunal_mips64::Mips64;
use tribunal_onchain::{
    Artifact, Contract, Instance, InstanceError, Refusal, StepCall, Transaction, U256, calldata,
};
use tribunal_preimage::Key;

fn nop() -> StepProof {
    Mips64::new(before(0x1000, &[NOP])).prove_step(&mut VectorHost(None)).unwrap()
}

fn call(proof: &StepProof) -> StepCall<'_> {
    let (state_data, proof_data) = (&proof.state_data[..], &proof.proof_data[..]);
    StepCall { state_data, proof_data, local_context: [0; 32] }
}

fn ask(instance: &mut Instance, to: tribunal_onchain::Address, selector: &str) -> Vec<u8> {
    instance.call(to, hex::decode(selector).unwrap()).unwrap().output
}

#[test]
fn our_contracts_introduce_themselves_as_what_they_behave_as() {
    let mut instance = Instance::new();
    let (machine, oracle) = (instance.machine(), instance.oracle());
    let text = |output: Vec<u8>| {
        String::from_utf8(output[64..64 + usize::from(output[63])].into()).unwrap()
    };
    assert_eq!(text(ask(&mut instance, machine, "54fd4d50")), "1.10.1");
    assert_eq!(text(ask(&mut instance, oracle, "54fd4d50")), "1.1.5");
    assert_eq!(ask(&mut instance, machine, "7dc0d1d0")[12..], oracle.0[..]);
    assert_eq!(ask(&mut instance, machine, "1219a4e4")[31], 8);
    assert_eq!(ask(&mut instance, machine, "1219a4e4")[..31], [0; 31]);
}

#[test]
fn a_step_leaves_nothing_behind_and_costs_the_same_each_time() {
    let mut instance = Instance::new();
    let proof = nop();
    let first = instance.step(&call(&proof)).unwrap();
    assert_eq!(first.post, proof.post);
    for _ in 0..100 {
        assert_eq!(instance.step(&call(&proof)).unwrap(), first);
    }
}

#[test]
fn gas_is_that_of_ethereum() {
    let mut instance = Instance::new();
    let proof = nop();
    let step = instance.step(&call(&proof)).unwrap();
    let calldata = call(&proof).encode();
    let zeroes = calldata.iter().filter(|&&byte| byte == 0).count() as u64;
    let tokens = zeroes + 4 * (calldata.len() as u64 - zeroes);
    // The floor of EIP-7623: the calldata is most of it.
    assert_eq!(step.gas.transaction, 21_000 + 10 * tokens);
    assert!(step.gas.execution < 21_000, "{}", step.gas.execution);

    // Where execution is the larger part, both add up.
    let oracle = instance.oracle();
    let data = calldata::load_keccak256_preimage_part(0, b"abc");
    let zeroes = data.iter().filter(|&&byte| byte == 0).count() as u64;
    let price = 21_000 + 4 * zeroes + 16 * (data.len() as u64 - zeroes);
    let receipt = instance.call(oracle, data).unwrap();
    assert_eq!(receipt.gas.transaction, receipt.gas.execution + price);
    assert!(receipt.gas.execution > 66_300, "three new slots, the length and the part among them");
}

/// The runtime code of a contract as it is on a chain: its constructor has run.
fn code_of(instance: &mut Instance, contract: Contract) -> Artifact {
    let address = match contract {
        Contract::Mips64 => instance.machine(),
        Contract::PreimageOracle => instance.oracle(),
    };
    let digits = hex::encode(instance.code(address));
    Artifact::from_file(format!("0x{digits}\n").as_bytes()).unwrap()
}

#[test]
fn code_from_a_chain_takes_the_place_of_ours() {
    let mut chain = Instance::new();
    let machine = code_of(&mut chain, Contract::Mips64);
    let oracle = code_of(&mut chain, Contract::PreimageOracle);
    assert_ne!(machine, Artifact::ours(Contract::Mips64));
    let ours = Contract::PreimageOracle;
    for (machine, oracle) in [
        (&machine, &oracle),
        (&machine, &Artifact::ours(ours)),
        (&Artifact::ours(Contract::Mips64), &oracle),
    ] {
        let mut instance = Instance::with(machine, oracle).unwrap();
        let proof = nop();
        assert_eq!(instance.step(&call(&proof)).unwrap().post, proof.post);
        // The machine asks the oracle that preimages are loaded into.
        let at = instance.machine();
        let asked = ask(&mut instance, at, "7dc0d1d0");
        assert_eq!(asked[12..], instance.oracle().0[..]);
        let (from, to) = (Instance::SENDER, instance.oracle());
        let calldata = calldata::load_keccak256_preimage_part(0, b"abc");
        let load = Transaction { from, to, value: U256::ZERO, calldata, gas_limit: None };
        instance.transact(load).unwrap();
        let read = calldata::read_preimage(&Key::keccak256_of(b"abc"), 0);
        assert_eq!(
            instance.call(to, read.clone()).unwrap().output[..11],
            *b"\0\0\0\0\0\0\0\x03abc"
        );
        instance.reset();
        let gone = instance.call(to, read).unwrap_err();
        assert_eq!(gone.why, Refusal::Message("pre-image must exist".into()));
    }
}

#[test]
fn contracts_in_the_wrong_place_are_told() {
    let ours = [Contract::Mips64, Contract::PreimageOracle].map(Artifact::ours);
    let error = Instance::with(&ours[1], &ours[0]).err().unwrap();
    assert!(
        matches!(error, InstanceError::WrongContract { wanted: Contract::Mips64, .. }),
        "{error}"
    );
    let error = Instance::with(&ours[0], &ours[0]).err().unwrap();
    assert_eq!(error.to_string(), "this is MIPS64, where PreimageOracle is needed");
    // Creation code as if it were what a chain has: its constructor finds no arguments.
    let creation = hex::encode(ours[0].bytes());
    let broken = Artifact::from_file(creation.as_bytes()).unwrap();
    let error = Instance::with(&broken, &ours[1]).err().unwrap();
    assert!(matches!(error, InstanceError::NoOracle(_)), "{error}");
}

#[test]
fn a_call_that_cannot_pay_for_its_calldata_is_told_so() {
    let mut instance = Instance::new();
    let (from, to) = (Instance::SENDER, instance.oracle());
    let calldata = calldata::load_keccak256_preimage_part(0, b"abc");
    let load = Transaction { from, to, value: U256::ZERO, calldata, gas_limit: Some(21_000) };
    let refused = instance.transact(load).unwrap_err();
    assert!(matches!(refused.why, Refusal::Halt(_)), "{refused}");
}
