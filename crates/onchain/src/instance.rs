//! A local EVM with the two contracts in it.

use revm::bytecode::Bytecode;
use revm::context::result::{ExecutionResult, HaltReason, Output};
use revm::context::{CfgEnv, TxEnv};
use revm::database::{CacheDB, EmptyDB};
use revm::handler::MainnetContext;
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, B256, TxKind, U256, address};
use revm::state::AccountInfo;
use revm::{
    Context, ExecuteCommitEvm as _, ExecuteEvm as _, MainBuilder as _, MainContext as _, MainnetEvm,
};
use tribunal_keccak::{Hash, keccak256};

use crate::abi::{self, Value};
use crate::artifact::{Artifact, Code, Contract};
use crate::calldata::{self, StepCall};
use crate::refusal::Refusal;

/// The rules of Ethereum that calls are executed and priced by.
const FORK: SpecId = SpecId::OSAKA;

/// Gas for a call: more than any needs. A chain allows far less in a transaction, so a call that
/// succeeds here may have to be split there; what it used is always told.
const GAS_LIMIT: u64 = 1 << 40;

/// Gas that every transaction costs.
const TRANSACTION_GAS: u64 = 21_000;

/// Gas for a byte of calldata that is zero, and for any other.
const ZERO_BYTE_GAS: u64 = 4;
const BYTE_GAS: u64 = 16;

/// The state version of the machine.
const STATE_VERSION: u64 = 8;

/// The oracle's parameters on Ethereum: bytes, and seconds.
const MIN_PROPOSAL_SIZE: u64 = 126_000;
const CHALLENGE_PERIOD: u64 = 86_400;

/// Where code is put that comes from a chain, and its constructor with it.
const MACHINE: Address = address!("0000000000000000000000000000000000006d64");
const ORACLE: Address = address!("0000000000000000000000000000000000007069");

/// A time of the first block, in seconds: long after any fork's.
const GENESIS_TIME: u64 = 2_000_000_000;

/// A local EVM in which both contracts are deployed.
///
/// It is meant to be reused: a step leaves nothing behind, and [`Instance::reset`] takes back all that
/// was loaded into the oracle.
pub struct Instance {
    evm: MainnetEvm<MainnetContext<CacheDB<EmptyDB>>>,
    deployed: CacheDB<EmptyDB>,
    machine: Address,
    oracle: Address,
}

/// What a call that was not refused did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What it returned.
    pub output: Vec<u8>,
    /// The data of what it logged.
    pub logs: Vec<Vec<u8>>,
    /// What it cost.
    pub gas: Gas,
}

/// What a call costs, in gas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gas {
    /// The execution alone: what it adds to a transaction that calls it among other things.
    pub execution: u64,
    /// A transaction that does nothing else, with its calldata, which has a floor price (EIP-7623).
    pub transaction: u64,
}

/// A step that the machine took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The state hash after it.
    pub post: Hash,
    /// The witness after it, if the contract logged it; its hash is `post` but for the first byte.
    pub post_state: Option<Vec<u8>>,
    /// What it cost.
    pub gas: Gas,
}

/// A call that a contract refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refused {
    /// Why.
    pub why: Refusal,
    /// What it cost all the same.
    pub gas: Gas,
}

impl Instance {
    /// Who sends every call but those of [`Instance::transact`] with another sender: on a chain, the
    /// contract of a dispute.
    pub const SENDER: Address = address!("00000000000000000000000000000000d15b07e5");

    /// Deploys our contracts.
    pub fn new() -> Self {
        let ours = [Contract::Mips64, Contract::PreimageOracle].map(Artifact::ours);
        Self::with(&ours[0], &ours[1]).expect("our contracts deploy")
    }

    /// Deploys these contracts. Code that comes from a chain is put in place as it is, and an oracle
    /// where such a machine looks for it.
    ///
    /// # Errors
    /// If one is the other, or cannot be deployed, or if the machine does not ask the oracle.
    pub fn with(machine: &Artifact, oracle: &Artifact) -> Result<Self, InstanceError> {
        for (artifact, wanted) in [(machine, Contract::Mips64), (oracle, Contract::PreimageOracle)]
        {
            if artifact.contract() != wanted {
                return Err(InstanceError::WrongContract { wanted, given: artifact.contract() });
            }
        }
        let mut instance = Self::empty();
        let parameters =
            abi::arguments(&[Value::number(MIN_PROPOSAL_SIZE), Value::number(CHALLENGE_PERIOD)]);
        instance.oracle = instance.deploy(oracle, ORACLE, &parameters)?;
        let parameters =
            abi::arguments(&[Value::address(&instance.oracle.0), Value::number(STATE_VERSION)]);
        instance.machine = instance.deploy(machine, MACHINE, &parameters)?;

        let asked = instance.oracle_of_machine()?;
        if asked != instance.oracle {
            // The machine came from a chain and looks where its oracle was there.
            instance.move_oracle(asked);
        }
        instance.deployed = instance.database().clone();
        Ok(instance)
    }

    fn empty() -> Self {
        let mut database = CacheDB::new(EmptyDB::new());
        let rich = AccountInfo { balance: U256::MAX >> 1, ..AccountInfo::default() };
        database.insert_account_info(Self::SENDER, rich);
        let context = Context::mainnet()
            .with_db(database.clone())
            .with_cfg(CfgEnv::new_with_spec(FORK))
            .modify_cfg_chained(|cfg| {
                cfg.disable_nonce_check = true;
                cfg.tx_gas_limit_cap = Some(u64::MAX);
            })
            .modify_block_chained(|block| {
                block.gas_limit = u64::MAX;
                block.timestamp = U256::from(GENESIS_TIME);
            });
        Self {
            evm: context.build_mainnet(),
            deployed: database,
            machine: Address::ZERO,
            oracle: Address::ZERO,
        }
    }

    /// The address of the machine.
    pub fn machine(&self) -> Address {
        self.machine
    }

    /// The address of its oracle.
    pub fn oracle(&self) -> Address {
        self.oracle
    }

    /// Lets the machine take a step. Nothing of it remains.
    ///
    /// # Errors
    /// If it refuses to.
    pub fn step(&mut self, call: &StepCall<'_>) -> Result<Step, Refused> {
        let receipt = self.call(self.machine, call.encode())?;
        let post = receipt.output.as_slice().try_into().map_err(|_| Refused {
            why: Refusal::Unknown(receipt.output.clone()),
            gas: receipt.gas,
        })?;
        let is_logged_state = |log: &Vec<u8>| keccak256(log)[1..] == Hash::from(post)[1..];
        let post_state = receipt.logs.into_iter().find(is_logged_state);
        Ok(Step { post, post_state, gas: receipt.gas })
    }

    /// As much of the proof data as this step needs: proofs at its end may be left out if the step
    /// does not look at them. All of it, if the step is refused anyway.
    pub fn needed_proof_data<'a>(&mut self, call: &StepCall<'a>) -> &'a [u8] {
        let Ok(whole) = self.step(call) else { return call.proof_data };
        let shorter = (1..=3).filter_map(|proofs| call.proof_data.get(..330 + 1920 * proofs));
        let lengths =
            std::iter::once(&call.proof_data[..0]).chain(call.proof_data.get(..330)).chain(shorter);
        for proof_data in lengths {
            let same = self.step(&StepCall { proof_data, ..*call });
            if same.is_ok_and(|step| step.post == whole.post) {
                return proof_data;
            }
        }
        call.proof_data
    }

    /// Calls a contract and keeps nothing of what it did.
    ///
    /// # Errors
    /// If it refuses.
    pub fn call(&mut self, to: Address, calldata: Vec<u8>) -> Result<Receipt, Refused> {
        let transaction = transaction(Self::SENDER, to, U256::ZERO, calldata, GAS_LIMIT);
        self.execute(transaction, false)
    }

    /// Calls a contract from an account that is none, with what may not suffice, and keeps what it
    /// did.
    ///
    /// # Errors
    /// If it refuses.
    pub fn transact(&mut self, call: Transaction) -> Result<Receipt, Refused> {
        let Transaction { from, to, value, calldata, gas_limit } = call;
        let gas_limit = gas_limit.unwrap_or(GAS_LIMIT);
        self.execute(transaction(from, to, value, calldata, gas_limit), true)
    }

    /// Lets time pass, and a block with it.
    pub fn advance_time(&mut self, seconds: u64) {
        self.evm.ctx.modify_block(|block| {
            block.timestamp += U256::from(seconds);
            block.number += U256::from(1);
        });
    }

    /// The balance of an account.
    pub fn balance(&self, account: Address) -> U256 {
        self.database().cache.accounts.get(&account).map_or(U256::ZERO, |it| it.info.balance)
    }

    /// The code of an account.
    pub fn code(&self, account: Address) -> Vec<u8> {
        let account = self.database().cache.accounts.get(&account);
        let code = account.and_then(|account| account.info.code.as_ref());
        code.map_or_else(Vec::new, |code| code.original_bytes().to_vec())
    }

    /// Takes back whatever happened since the contracts were deployed, but for the time.
    pub fn reset(&mut self) {
        self.evm.ctx.journaled_state.database = self.deployed.clone();
    }

    /// Writes into the storage of the oracle, as nobody can on a chain.
    pub fn write_oracle_storage(&mut self, slot: Hash, value: [u8; 32]) {
        let (slot, value) = (U256::from_be_bytes(slot), U256::from_be_bytes(value));
        let oracle = self.oracle;
        // The database makes accounts of any address, and asks nothing that could fail.
        let Ok(()) = self.database_mut().insert_account_storage(oracle, slot, value);
    }

    fn oracle_of_machine(&mut self) -> Result<Address, InstanceError> {
        let answer = self.call(self.machine, calldata::oracle());
        let output = answer.map_err(|refused| InstanceError::NoOracle(refused.why))?.output;
        let word = B256::try_from(output.as_slice());
        word.map(Address::from_word).map_err(|_| InstanceError::NoOracle(Refusal::Unknown(output)))
    }

    fn move_oracle(&mut self, to: Address) {
        let from = self.oracle;
        let accounts = &mut self.database_mut().cache.accounts;
        if let Some(account) = accounts.remove(&from) {
            accounts.insert(to, account);
        }
        self.oracle = to;
    }

    /// Puts a contract on the chain and says where.
    fn deploy(
        &mut self,
        artifact: &Artifact,
        place: Address,
        parameters: &[u8],
    ) -> Result<Address, InstanceError> {
        let creation = match artifact.code() {
            Code::Creation(code) => [code, parameters].concat(),
            Code::Runtime(code) => {
                let code = Bytecode::new_raw(code.clone().into());
                let account = AccountInfo::default().with_code(code);
                self.database_mut().insert_account_info(place, account);
                return Ok(place);
            }
        };
        let transaction = TxEnv {
            kind: TxKind::Create,
            ..transaction(Self::SENDER, Address::ZERO, U256::ZERO, creation, GAS_LIMIT)
        };
        let error = |why| InstanceError::Deploy { contract: artifact.contract(), why };
        let result = self.evm.transact_commit(transaction);
        match result.map_err(|invalid| error(Refusal::Halt(invalid.to_string())))? {
            ExecutionResult::Success { output: Output::Create(_, Some(address)), .. } => {
                Ok(address)
            }
            ExecutionResult::Revert { output, .. } => Err(error(Refusal::decode(&output))),
            ExecutionResult::Halt { reason, .. } => {
                Err(error(Refusal::Halt(format!("{reason:?}"))))
            }
            ExecutionResult::Success { .. } => Err(error(Refusal::Silent)),
        }
    }

    fn execute(&mut self, transaction: TxEnv, commit: bool) -> Result<Receipt, Refused> {
        let intrinsic = intrinsic_gas(&transaction.data);
        let result = if commit {
            self.evm.transact_commit(transaction)
        } else {
            self.evm.transact(transaction).map(|outcome| outcome.result)
        };
        let result: ExecutionResult<HaltReason> = result.map_err(|invalid| Refused {
            why: Refusal::Halt(invalid.to_string()),
            gas: Gas::default(),
        })?;
        let spent = result.gas();
        let gas = Gas {
            execution: spent.spent_sub_refunded().saturating_sub(intrinsic),
            transaction: spent.tx_gas_used(),
        };
        let refused = |why| Refused { why, gas };
        match result {
            ExecutionResult::Success { output, logs, .. } => Ok(Receipt {
                output: output.into_data().to_vec(),
                logs: logs.into_iter().map(|log| log.data.data.to_vec()).collect(),
                gas,
            }),
            ExecutionResult::Revert { output, .. } => Err(refused(Refusal::decode(&output))),
            ExecutionResult::Halt { reason, .. } => {
                Err(refused(Refusal::Halt(format!("{reason:?}"))))
            }
        }
    }

    fn database(&self) -> &CacheDB<EmptyDB> {
        &self.evm.ctx.journaled_state.database
    }

    fn database_mut(&mut self) -> &mut CacheDB<EmptyDB> {
        &mut self.evm.ctx.journaled_state.database
    }
}

impl Default for Instance {
    fn default() -> Self {
        Self::new()
    }
}

/// A call with all that a sender decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Who sends it.
    pub from: Address,
    /// Who receives it.
    pub to: Address,
    /// What goes with it, in wei.
    pub value: U256,
    /// What is called.
    pub calldata: Vec<u8>,
    /// Gas it may use, its own price included; as much as it needs if `None`.
    pub gas_limit: Option<u64>,
}

fn transaction(
    from: Address,
    to: Address,
    value: U256,
    calldata: Vec<u8>,
    gas_limit: u64,
) -> TxEnv {
    TxEnv {
        caller: from,
        kind: TxKind::Call(to),
        value,
        data: calldata.into(),
        gas_limit,
        gas_price: 0,
        ..TxEnv::default()
    }
}

/// Gas of a transaction before anything is executed.
fn intrinsic_gas(calldata: &[u8]) -> u64 {
    let zeroes = calldata.iter().filter(|&&byte| byte == 0).count() as u64;
    let others = calldata.len() as u64 - zeroes;
    TRANSACTION_GAS + ZERO_BYTE_GAS * zeroes + BYTE_GAS * others
}

/// Contracts that cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstanceError {
    /// One contract in the place of the other.
    #[error("this is {given}, where {wanted} is needed")]
    WrongContract {
        /// What is needed.
        wanted: Contract,
        /// What was given.
        given: Contract,
    },
    /// A constructor that fails.
    #[error("{contract} cannot be deployed: {why}")]
    Deploy {
        /// Which contract.
        contract: Contract,
        /// Why not.
        why: Refusal,
    },
    /// A machine that does not say where its oracle is.
    #[error("the machine does not say where its oracle is: {0}")]
    NoOracle(Refusal),
}
