//! A transaction of a block, decoded, with its sender, as the interpreter takes it.

use alloc::vec::Vec;

use alloy_consensus::transaction::RlpEcdsaDecodableTx;
use alloy_consensus::{Signed, Transaction as _, TxEip1559, TxEip2930, TxEip7702};
use alloy_eips::eip2718::{Decodable2718 as _, Eip2718Error, Typed2718 as _};
use alloy_eips::eip7702::{RecoveredAuthority, RecoveredAuthorization, SignedAuthorization};
use alloy_primitives::{Address, Bytes};
use op_alloy_consensus::{DEPOSIT_TX_TYPE_ID, OpTxEnvelope, TxDeposit};
use op_revm::OpTransaction;
use op_revm::transaction::deposit::DepositTransactionParts;
use revm::context::TxEnv;
use revm::context_interface::either::Either;
use tribunal_preimage::Oracle;

use crate::block::InvalidTransaction;
use crate::preimages::{Preimages, Undecided};
use crate::signature::recover;

/// A decoded transaction.
#[derive(Debug)]
pub(crate) enum Transaction {
    Deposit(TxDeposit),
    Signed(OpTxEnvelope),
}

impl Transaction {
    pub(crate) fn decode(encoded: &[u8]) -> Result<Self, InvalidTransaction> {
        let malformed = |error| InvalidTransaction::Encoding(error);
        if let [DEPOSIT_TX_TYPE_ID, rest @ ..] = encoded {
            let deposit = alloy_rlp::decode_exact(rest).map_err(|error| malformed(error.into()))?;
            return Ok(Self::Deposit(deposit));
        }
        let signed = match encoded {
            [TxEip2930::DEFAULT_TX_TYPE, list @ ..] => {
                signed_list::<TxEip2930>(list).map(Into::into)
            }
            [TxEip1559::DEFAULT_TX_TYPE, list @ ..] => {
                signed_list::<TxEip1559>(list).map(Into::into)
            }
            [TxEip7702::DEFAULT_TX_TYPE, list @ ..] => {
                signed_list::<TxEip7702>(list).map(Into::into)
            }
            _ => OpTxEnvelope::decode_2718_exact(encoded),
        };
        match signed.map_err(malformed)? {
            OpTxEnvelope::Deposit(_) | OpTxEnvelope::PostExec(_) => {
                Err(InvalidTransaction::Kind { kind: encoded.first().copied().unwrap_or_default() })
            }
            signed => Ok(Self::Signed(signed)),
        }
    }
}

/// Decodes what follows the type of a signed transaction. The decoder of the envelope would hash it
/// all, for a transaction hash that nobody asks for.
fn signed_list<T: RlpEcdsaDecodableTx>(mut list: &[u8]) -> Result<Signed<T>, Eip2718Error> {
    let signed = T::rlp_decode_signed(&mut list)?;
    match list {
        [] => Ok(signed),
        _ => Err(alloy_rlp::Error::UnexpectedLength.into()),
    }
}

/// A deposit as the interpreter takes it.
pub(crate) fn deposit(deposit: TxDeposit) -> OpTransaction<TxEnv> {
    OpTransaction {
        base: TxEnv {
            tx_type: DEPOSIT_TX_TYPE_ID,
            caller: deposit.from,
            gas_limit: deposit.gas_limit,
            gas_price: 0,
            kind: deposit.to,
            value: deposit.value,
            data: deposit.input,
            chain_id: None,
            ..TxEnv::default()
        },
        enveloped_tx: None,
        deposit: DepositTransactionParts {
            source_hash: deposit.source_hash,
            mint: Some(deposit.mint),
            is_system_transaction: deposit.is_system_transaction,
        },
    }
}

/// A signed transaction as the interpreter takes it; `encoded` is how the block has it.
pub(crate) fn signed<O: Oracle>(
    preimages: &mut Preimages<O>,
    chain_id: u64,
    transaction: &OpTxEnvelope,
    encoded: &Bytes,
) -> Result<Result<OpTransaction<TxEnv>, InvalidTransaction>, Undecided> {
    let (hash, signature) = match transaction {
        OpTxEnvelope::Legacy(signed) => (signed.signature_hash(), signed.signature()),
        OpTxEnvelope::Eip2930(signed) => (signed.signature_hash(), signed.signature()),
        OpTxEnvelope::Eip1559(signed) => (signed.signature_hash(), signed.signature()),
        OpTxEnvelope::Eip7702(signed) => (signed.signature_hash(), signed.signature()),
        OpTxEnvelope::Deposit(_) | OpTxEnvelope::PostExec(_) => {
            return Ok(Err(InvalidTransaction::Kind { kind: transaction.ty() }));
        }
    };
    let (r, s, odd) = (signature.r(), signature.s(), signature.v());
    let Some(caller) = recover(preimages, hash, r, s, odd)? else {
        return Ok(Err(InvalidTransaction::Signature));
    };
    let mut authorization_list = Vec::new();
    for authorization in transaction.authorization_list().unwrap_or_default() {
        let authority = authority(preimages, chain_id, authorization)?;
        let authority = authority.map_or(RecoveredAuthority::Invalid, RecoveredAuthority::Valid);
        let inner = authorization.inner().clone();
        let recovered = RecoveredAuthorization::new_unchecked(inner, authority);
        authorization_list.push(Either::Right(recovered));
    }
    Ok(Ok(OpTransaction {
        base: TxEnv {
            tx_type: transaction.ty(),
            caller,
            gas_limit: transaction.gas_limit(),
            gas_price: transaction.max_fee_per_gas(),
            kind: transaction.kind(),
            value: transaction.value(),
            data: transaction.input().clone(),
            nonce: transaction.nonce(),
            chain_id: transaction.chain_id(),
            access_list: transaction.access_list().cloned().unwrap_or_default(),
            gas_priority_fee: transaction.max_priority_fee_per_gas(),
            authorization_list,
            ..TxEnv::default()
        },
        enveloped_tx: Some(encoded.clone()),
        deposit: DepositTransactionParts::default(),
    }))
}

/// Who signed an authorization, if it can be of use on this chain at all.
fn authority<O: Oracle>(
    preimages: &mut Preimages<O>,
    chain_id: u64,
    authorization: &SignedAuthorization,
) -> Result<Option<Address>, Undecided> {
    let of_chain = authorization.chain_id.is_zero()
        || authorization.chain_id == alloy_primitives::U256::from(chain_id);
    if !of_chain || authorization.nonce == u64::MAX || authorization.y_parity() > 1 {
        return Ok(None);
    }
    let odd = authorization.y_parity() == 1;
    let hash = authorization.signature_hash();
    recover(preimages, hash, authorization.r(), authorization.s(), odd)
}
