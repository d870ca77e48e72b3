//! Rules of blocks that `op-revm` leaves out, or has otherwise than the chain: each by itself, with the
//! numbers that the chain comes to.

#[allow(dead_code, reason = "shared with the other tests of blocks")]
mod support;

use alloy_consensus::{Header, TxEip2930, TxEnvelope, TxLegacy};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address};
use op_alloy_consensus::TxDeposit;
use op_revm::estimate_tx_compressed_size;
use revm::Database as _;
use revm::context::TxEnv;
use revm::context_interface::cfg::gas::calculate_initial_tx_gas_for_tx;
use revm::primitives::hardfork::SpecId;
use revm::state::AccountInfo;
use tribunal_derivation::span;
use tribunal_optimism::{
    Attributes, Error, Executed, Hints, InvalidBlock, InvalidTransaction, Preimages, State, execute,
};
use tribunal_rollup::{Fork, ForkTimes, RollupConfig, registry};

use support::{
    Account, DEPOSITOR, L1_BLOCK, Store, WRITER, attributes, contract, extra_data, signed,
    store_state,
};

const GENESIS_TIME: u64 = 1_000_000;
const GAS_PRICE: u64 = 1_000;
const FUNDS: u64 = 10u64.pow(18);
const L1_FEE_VAULT: Address = address!("0x420000000000000000000000000000000000001A");
const POOR: Address = Address::repeat_byte(0x50);

/// A chain at its genesis, with somebody who has funds.
struct Chain {
    config: RollupConfig,
    state: State<Store>,
    rich: Account,
}

impl Chain {
    /// With the forks up to `active` from genesis on, and those up to `next` from the first block on.
    fn new(active: Fork, next: Fork) -> Self {
        let mut config = registry::rollup(10).unwrap();
        config.block_time = 2;
        config.forks = ForkTimes::NONE;
        for fork in Fork::ALL.into_iter().filter(|fork| *fork > Fork::Bedrock && *fork <= next) {
            config.forks.set(fork, Some(GENESIS_TIME + if fork <= active { 0 } else { 2 }));
        }
        let rich = Account::new(1);
        let funds = AccountInfo { balance: U256::from(FUNDS), ..AccountInfo::default() };
        let l1_block = contract(Bytes::from_static(WRITER));
        let (store, state_root) = store_state([(&rich.address, &funds), (&L1_BLOCK, &l1_block)]);
        let header = Header {
            state_root,
            gas_limit: 30_000_000,
            timestamp: GENESIS_TIME,
            base_fee_per_gas: Some(GAS_PRICE),
            extra_data: extra_data(active),
            blob_gas_used: (active >= Fork::Ecotone).then_some(0),
            ..Header::default()
        };
        let hash = header.hash_slow();
        let preimages = Preimages::new(store).with_hints(Hints::None).without_acceleration();
        Self { config, state: State::new(preimages, header, hash), rich }
    }

    fn execute(&mut self, gas_limit: u64, transactions: &[Bytes]) -> Result<Executed, Error> {
        let time = self.state.head().timestamp + 2;
        let fork = self.config.forks.newest(time);
        let attributes =
            Attributes { transactions: transactions.to_vec(), ..attributes(fork, time, gas_limit) };
        execute(&mut self.state, &self.config, &attributes, &mut |_, _| {})
    }

    /// A payment with this data, for a price that every block takes.
    fn payment(&mut self, gas_limit: u64, input: Bytes) -> Bytes {
        let nonce = self.rich.nonce;
        self.rich.nonce += 1;
        let transaction = TxLegacy {
            chain_id: Some(self.config.l2_chain_id),
            nonce,
            gas_price: u128::from(GAS_PRICE),
            gas_limit,
            to: TxKind::Call(Address::repeat_byte(0x60)),
            value: U256::from(1),
            input,
        };
        TxEnvelope::from(signed(transaction, &self.rich)).encoded_2718().into()
    }

    fn account(&mut self, address: Address) -> AccountInfo {
        self.state.basic(address).unwrap().unwrap_or_default()
    }
}

/// The first transaction of a block, which fills in slots of `L1Block`.
fn l1_info(slots: &[(u64, U256)]) -> TxDeposit {
    let words = slots.iter().flat_map(|(slot, value)| [U256::from(*slot), *value]);
    TxDeposit {
        from: DEPOSITOR,
        to: TxKind::Call(L1_BLOCK),
        gas_limit: 1_000_000,
        input: words.flat_map(|word| word.to_be_bytes::<32>()).collect(),
        ..TxDeposit::default()
    }
}

fn encoded(deposit: TxDeposit) -> Bytes {
    deposit.encoded_2718().into()
}

#[track_caller]
fn reason(result: Result<Executed, Error>, at: usize) -> InvalidTransaction {
    match result {
        Err(Error::Invalid(InvalidBlock::Transaction { index, reason })) if index == at => reason,
        other => panic!("transaction {at} should be invalid: {other:?}"),
    }
}

/// The status and the cumulative gas of an untyped or deposit receipt.
fn status_and_gas(receipt: &[u8]) -> (bool, u64) {
    let mut rest = if receipt[0] < 0xc0 { &receipt[1..] } else { receipt };
    alloy_rlp::Header::decode(&mut rest).unwrap();
    let mut next = || alloy_rlp::Decodable::decode(&mut rest).unwrap();
    let status: u64 = next();
    (status == 1, next())
}

/// A deposit that creates with more value than its sender has fails, and counts: before Regolith too,
/// where `op-revm` forgets it.
#[test]
fn a_creation_without_funds_raises_the_nonce() {
    for (fork, gas_used) in [(Fork::Bedrock, 100_000), (Fork::Regolith, 100_000)] {
        for (mint, succeeds) in [(0, false), (5, true)] {
            let mut chain = Chain::new(fork, fork);
            let creation = TxDeposit {
                from: POOR,
                to: TxKind::Create,
                mint,
                value: U256::from(5),
                gas_limit: 100_000,
                ..TxDeposit::default()
            };
            let executed = chain.execute(30_000_000, &[encoded(creation)]).unwrap();
            let (status, gas) = status_and_gas(&executed.receipts[0]);
            assert_eq!(status, succeeds, "{fork}, mint {mint}");
            assert_eq!(chain.account(POOR).nonce, 1, "{fork}, mint {mint}");
            // What is left of the gas is given back by nobody before Regolith.
            if fork == Fork::Bedrock || !succeeds {
                assert_eq!(gas, gas_used, "{fork}, mint {mint}");
            } else {
                assert!(gas < gas_used, "{fork}, mint {mint}: {gas}");
            }
        }
    }
}

/// The deposit of the protocol is free and beyond the block's gas, until Regolith forbids such deposits.
#[test]
fn system_deposits_are_free_before_regolith_and_invalid_after() {
    let system = || TxDeposit { is_system_transaction: true, ..l1_info(&[(1, U256::from(7))]) };
    let mut chain = Chain::new(Fork::Bedrock, Fork::Bedrock);
    let executed = chain.execute(30_000, &[encoded(system())]).unwrap();
    assert_eq!(status_and_gas(&executed.receipts[0]), (true, 0));
    assert_eq!(executed.header.gas_used, 0);
    assert_eq!(chain.state.storage(L1_BLOCK, U256::from(1)).unwrap(), U256::from(7));

    let mut chain = Chain::new(Fork::Bedrock, Fork::Regolith);
    let result = chain.execute(30_000_000, &[encoded(system())]);
    assert!(matches!(reason(result, 0), InvalidTransaction::SystemDeposit));
    let ordinary = TxDeposit { is_system_transaction: false, ..system() };
    let result = chain.execute(30_000, &[encoded(ordinary.clone())]);
    assert!(matches!(reason(result, 0), InvalidTransaction::BlockGas));
    let executed = chain.execute(30_000_000, &[encoded(ordinary)]).unwrap();
    assert!(executed.header.gas_used > 21_000);
}

/// In the block that activates Ecotone data costs what it cost before, because the new parameters are
/// not there yet; `op-revm` has it for nothing. So it stays until they are there.
#[test]
fn data_costs_what_it_cost_until_ecotones_parameters_are_there() {
    let base_fee = U256::from(1_000_000);
    let (overhead, scalar) = (U256::from(188), U256::from(684_000));
    let old = [(1, base_fee), (5, overhead), (6, scalar)];
    for (next, paid_by) in [(Fork::Ecotone, "Ecotone"), (Fork::Fjord, "Ecotone with Fjord")] {
        let mut chain = Chain::new(Fork::Delta, next);
        let mut vault = U256::ZERO;
        for parameters_are_there in [false, false, true] {
            let mut slots = old.to_vec();
            if parameters_are_there {
                // 1368 per byte of calldata, 810949 per byte of blobs, at a price of 3.
                slots.push((3, U256::from(1_368) << 96 | U256::from(810_949) << 64));
                slots.push((7, U256::from(3)));
            }
            let before = chain.account(chain.rich.address).balance;
            let payment = chain.payment(21_000, Bytes::new());
            let info = encoded(l1_info(&slots));
            let executed = chain.execute(30_000_000, &[info, payment.clone()]).unwrap();

            let zeros = payment.iter().filter(|byte| **byte == 0).count();
            let gas = U256::from(16 * (payment.len() - zeros) + 4 * zeros);
            let expected = if parameters_are_there {
                let per_byte = U256::from(16 * 1_368) * base_fee + U256::from(3 * 810_949);
                match next {
                    Fork::Ecotone => gas * per_byte / U256::from(16_000_000),
                    _ => {
                        U256::from(estimate_tx_compressed_size(&payment)) * per_byte
                            / U256::from(10u64.pow(12))
                    }
                }
            } else {
                (gas + overhead) * base_fee * scalar / U256::from(1_000_000)
            };
            assert!(!expected.is_zero());
            vault += expected;
            assert_eq!(chain.account(L1_FEE_VAULT).balance, vault, "{paid_by}");
            let (status, _) = status_and_gas(&executed.receipts[1]);
            let price = U256::from(21_000) * U256::from(GAS_PRICE);
            assert!(status, "{paid_by}");
            let rich = chain.rich.address;
            let left = before - price - U256::from(1) - expected;
            assert_eq!(chain.account(rich).balance, left, "{paid_by}");
        }
    }
}

/// A block has room for data as it has for gas, from Jovian on. In the block that activates Jovian nobody
/// knows yet how much, and no transaction may be in it.
#[test]
fn data_is_limited_as_gas_is() {
    let scalar = 4_000;
    let info = encoded(l1_info(&[(8, U256::from(scalar) << 96)]));
    let mut chain = Chain::new(Fork::Jovian, Fork::Jovian);
    // What compresses to nothing less: an odd multiple, byte by byte.
    let data: Bytes = (0..3_000u32).map(|k| (k.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let payment = chain.payment(500_000, data);
    let footprint = estimate_tx_compressed_size(&payment) / 1_000_000 * scalar;
    assert!(footprint > 2_000_000, "{footprint}");
    let block = [info.clone(), payment.clone()];
    let result = chain.execute(footprint - 1, &block);
    assert!(matches!(reason(result, 1), InvalidTransaction::Footprint));
    let executed = chain.execute(footprint, &block).unwrap();
    assert_eq!(executed.header.blob_gas_used, Some(footprint));

    let mut chain = Chain::new(Fork::Isthmus, Fork::Jovian);
    let payment = chain.payment(21_000, Bytes::new());
    let result = chain.execute(30_000_000, &[info.clone(), payment.clone()]);
    assert!(matches!(reason(result, 1), InvalidTransaction::Footprint));
    let executed = chain.execute(30_000_000, std::slice::from_ref(&info)).unwrap();
    assert_eq!(executed.header.blob_gas_used, Some(0));
    chain.execute(30_000_000, &[info, payment]).unwrap();
}

/// Derivation keeps so much of a block's transactions and no more: whatever they are made of, more of
/// them use more gas than the block has, and that with every refund.
#[test]
fn no_block_has_room_for_more_than_derivation_keeps() {
    let config = registry::rollup(10).unwrap();
    for (spec, isthmus_time, cheapest) in
        [(SpecId::MERGE, None, 3.2..3.3), (SpecId::PRAGUE, Some(0), 8.7..8.8)]
    {
        let mut least = f64::MAX;
        for (bytes, slots, accounts) in (0..=100).flat_map(|part| {
            let data = 10_000 * part;
            [(data, 0, 0), (data, 3000, 1), (data, 3000, 1000), (data, 0, 1000)]
        }) {
            let mut items: Vec<_> = vec![AccessListItem::default(); accounts];
            for index in 0..slots {
                items[index % accounts].storage_keys.push(B256::ZERO);
            }
            let transaction = TxEip2930 {
                gas_limit: u64::MAX,
                to: TxKind::Call(Address::repeat_byte(0x60)),
                access_list: AccessList(items),
                input: vec![0; bytes].into(),
                ..TxEip2930::default()
            };
            let length = TxEnvelope::from(signed(transaction.clone(), &Account::new(1)));
            let length = length.encode_2718_len();
            let tx = TxEnv::builder()
                .tx_type(Some(1))
                .kind(transaction.to)
                .access_list(transaction.access_list)
                .data(transaction.input)
                .build_fill();
            let gas = calculate_initial_tx_gas_for_tx(tx, spec);
            let used = gas.initial_total_gas - gas.initial_total_gas / 5;
            let used = used.max(gas.floor_gas);
            let chain = span::Chain { isthmus_time, gas_limit: used, ..span::Chain::from(&config) };
            assert!(length <= chain.most_bytes(7), "{bytes} bytes and {slots} slots in {used} gas");
            least = least.min(used as f64 / length as f64);
        }
        assert!(cheapest.contains(&least), "{least} gas for a byte of the cheapest");
    }
}
