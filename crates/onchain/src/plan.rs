//! What has to be sent to have one step judged on chain: the preimage it reads, then the step.
//!
//! Each transaction is executed here before the next is made, so a plan is known to work and what it
//! costs is measured. Knows nothing of who disputes what with whom.

use tribunal_keccak::{Hash, keccak256};
use tribunal_machine::PreimageRead;
use tribunal_preimage::KeyKind;

use crate::large_preimage::{LargePreimage, LargePreimageError};
use crate::preimage::{Evidence, LoadError, Loaded, LoadedHow};
use crate::{Address, Contract, Gas, Instance, Refused, StepCall, Transaction, U256, calldata};

/// Blocks of a large preimage that go into one transaction: 40,800 bytes, far from what nodes pass on
/// (128 KiB) and what a transaction may cost (2^24 gas, EIP-7825).
const BLOCKS_PER_CALL: usize = 300;

/// Bytes of the length in front of a preimage.
const PREFIX_BYTES: usize = 8;

/// A step to be judged.
#[derive(Clone, Copy, Debug)]
pub struct Dispute<'a> {
    /// The step.
    pub step: StepCall<'a>,
    /// The preimage that it reads.
    pub read: Option<&'a PreimageRead>,
    /// What is known of that besides.
    pub evidence: Option<&'a Evidence>,
    /// Who sends the transactions: a large preimage proposal belongs to its sender.
    pub sender: Address,
    /// What tells a large preimage proposal from others of the sender; made from the part if `None`.
    pub uuid: Option<u128>,
}

/// Transactions, in the order in which they are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The transactions; the last one is the step.
    pub transactions: Vec<Planned>,
    /// The state hash after the step.
    pub post: Hash,
}

/// A transaction to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// To whom.
    pub to: Contract,
    /// What is called.
    pub function: &'static str,
    /// The call.
    pub calldata: Vec<u8>,
    /// What goes with it, in wei.
    pub value: U256,
    /// More seconds than this must have passed since the transaction before it.
    pub wait: u64,
    /// What it costs.
    pub gas: Gas,
}

/// A step that cannot be had judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The preimage cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The preimage cannot be proven to an oracle.
    #[error("the preimage cannot be loaded: {why}")]
    Unproven {
        /// Why.
        why: &'static str,
    },
    /// The preimage is too large for one call, and cannot be proposed.
    #[error(transparent)]
    Large(#[from] LargePreimageError),
    /// A contract refuses.
    #[error("{function} is refused: {refused}")]
    Refused {
        /// What is called.
        function: &'static str,
        /// Why.
        refused: Refused,
    },
    /// The oracle does not say what proposals it takes.
    #[error("the oracle does not say what large preimage proposals it takes")]
    Silent,
}

impl Instance {
    /// Plans the transactions, and executes them here. Takes back whatever happened before.
    ///
    /// # Errors
    /// If one is refused, or the preimage cannot be proven.
    pub fn plan(&mut self, dispute: &Dispute<'_>) -> Result<Plan, PlanError> {
        self.reset();
        let mut transactions = Vec::new();
        if let Some(read) = dispute.read {
            if self.is_large(read)? {
                self.propose(read, dispute, &mut transactions)?;
            } else {
                let context = &dispute.step.local_context;
                let Loaded { how, .. } = self.load_preimage(read, dispute.evidence, context)?;
                let (function, calldata, gas) = match how {
                    LoadedHow::Proven { function, calldata, gas } => (function, calldata, gas),
                    LoadedHow::Given { why } => return Err(PlanError::Unproven { why }),
                };
                let (to, value, wait) = (Contract::PreimageOracle, U256::ZERO, 0);
                transactions.push(Planned { to, function, calldata, value, wait, gas });
            }
        }
        let proof_data = self.needed_proof_data(&dispute.step);
        let step = StepCall { proof_data, ..dispute.step };
        let taken =
            self.step(&step).map_err(|refused| PlanError::Refused { function: "step", refused })?;
        transactions.push(Planned {
            to: Contract::Mips64,
            function: "step",
            calldata: step.encode(),
            value: U256::ZERO,
            wait: 0,
            gas: taken.gas,
        });
        Ok(Plan { transactions, post: taken.post })
    }

    /// Whether the oracle takes the preimage as a proposal: what is smaller fits into a transaction.
    fn is_large(&mut self, read: &PreimageRead) -> Result<bool, PlanError> {
        let least = self.ask_oracle(calldata::min_proposal_size())?;
        let length = read.value.len().saturating_sub(PREFIX_BYTES);
        Ok(read.key.kind() == Some(KeyKind::Keccak256) && U256::from(length) >= least)
    }

    /// A large preimage proposal, from its bond to its part in the oracle.
    fn propose(
        &mut self,
        read: &PreimageRead,
        dispute: &Dispute<'_>,
        transactions: &mut Vec<Planned>,
    ) -> Result<(), PlanError> {
        let &Dispute { sender, .. } = dispute;
        let too_far =
            LoadError::PastEnd { key: read.key, offset: read.offset, end: read.value.len() as u64 };
        let part_offset = u32::try_from(read.offset).map_err(|_| too_far)?;
        let data = read.value.get(PREFIX_BYTES..).unwrap_or_default().to_vec();
        let proposal = LargePreimage::new(data, part_offset)?;
        let uuid = dispute.uuid.unwrap_or_else(|| uuid_of(read));
        let period = self.ask_oracle(calldata::challenge_period())?;
        let period = u64::try_from(period).map_err(|_| PlanError::Silent)?;
        let bond = self.ask_oracle(calldata::min_bond_size())?;
        if sender != Self::SENDER {
            // An account without money could not send the bond here, whatever it has on the chain.
            let gift = Transaction {
                from: Self::SENDER,
                to: sender,
                value: bond,
                calldata: Vec::new(),
                gas_limit: None,
            };
            self.transact(gift)
                .map_err(|refused| PlanError::Refused { function: "initLPP", refused })?;
        }
        let mut send = |function, value, wait, calldata: Vec<u8>| {
            // Each in a block of its own: the number of the block is stored, and 0 is cheaper.
            self.advance_time(if wait == 0 { 0 } else { wait + 1 });
            let transaction = Transaction {
                from: sender,
                to: self.oracle(),
                value,
                calldata: calldata.clone(),
                gas_limit: None,
            };
            let gas = self
                .transact(transaction)
                .map_err(|refused| PlanError::Refused { function, refused })?
                .gas;
            let to = Contract::PreimageOracle;
            transactions.push(Planned { to, function, calldata, value, wait, gas });
            Ok::<_, PlanError>(())
        };
        send("initLPP", bond, 0, proposal.init(uuid))?;
        for addition in proposal.additions(uuid, BLOCKS_PER_CALL) {
            send("addLeavesLPP", U256::ZERO, 0, addition)?;
        }
        send("squeezeLPP", U256::ZERO, period, proposal.squeeze(sender, uuid))
    }

    fn ask_oracle(&mut self, question: Vec<u8>) -> Result<U256, PlanError> {
        let answer = self.call(self.oracle(), question).map_err(|_| PlanError::Silent)?.output;
        let word: [u8; 32] = answer.try_into().map_err(|_| PlanError::Silent)?;
        Ok(U256::from_be_bytes(word))
    }
}

/// The same for the same part, so that a plan can be made again halfway through.
fn uuid_of(read: &PreimageRead) -> u128 {
    let part = [&read.key.as_bytes()[..], &read.offset.to_be_bytes()].concat();
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&keccak256(&part)[..16]);
    u128::from_be_bytes(uuid)
}
