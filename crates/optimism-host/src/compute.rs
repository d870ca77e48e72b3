//! What hints ask for that no node has to be asked for: it is computed here, out of the hint and of
//! what is in the store.

use tribunal_host::{Errand, HintError, Router};
use tribunal_optimism_hints::Hint;

use crate::chain::digits;
use crate::precompile::Call;

/// Has a router follow the hints that take no node: for a program whose other preimages are all in the
/// store.
pub fn register_computed(router: &mut Router) {
    for name in ["l1-precompile", "l1-precompile-v2"] {
        router.on(name, |hint, errand| {
            let malformed = |error| HintError::new(format!("{error}")).for_good();
            match Hint::parse(hint.name(), hint.argument()).map_err(malformed)? {
                Hint::L1Precompile { address, required_gas, input } => {
                    precompile(&address, required_gas, &input, errand)
                }
                _ => Ok(()),
            }
        });
    }
}

/// Runs a precompiled contract.
pub(crate) fn precompile(
    address: &[u8; 20],
    required_gas: Option<u64>,
    input: &[u8],
    errand: &Errand<'_>,
) -> Result<(), HintError> {
    let call = Call::run(address, required_gas, input).ok_or_else(|| {
        let address = digits(address);
        HintError::new(format!("no host runs the precompile {address}")).for_good()
    })?;
    let (call_key, result_key) = (call.call_key(), call.result_key());
    Ok(errand.store().put_all(vec![(call_key, call.call), (result_key, call.result)])?)
}

#[cfg(test)]
mod tests {
    use tribunal_host::store::MemoryStore;
    use tribunal_host::{LocalHost, Patience};
    use tribunal_optimism_hints::Dialect;
    use tribunal_preimage::Key;

    use super::*;

    fn host() -> LocalHost<MemoryStore> {
        let patience = Patience { deadline: std::time::Duration::ZERO, ..Patience::default() };
        let mut router = Router::new().with_patience(patience);
        register_computed(&mut router);
        LocalHost::with_router(MemoryStore::new(), router)
    }

    fn hear(host: &LocalHost<MemoryStore>, hint: &Hint<'_>) {
        host.hear(hint.encode(Dialect::Kona).unwrap().as_bytes());
    }

    #[test]
    fn a_precompiled_contract_is_run_for_whoever_hints_it() {
        // sha256 is not among those that oracles know; ecrecover of nothing recovers nobody.
        let mut address = [0; 20];
        address[19] = 1;
        let host = host();
        let hint =
            Hint::L1Precompile { address, required_gas: Some(3000), input: vec![0; 128].into() };
        hear(&host, &hint);
        let key = Key::precompile(&address, 3000, &[0; 128]);
        assert_eq!(host.find(key).unwrap(), [1]);
        address[19] = 2;
        hear(&host, &Hint::L1Precompile { address, required_gas: Some(60), input: vec![].into() });
        let error = host.find(Key::precompile(&address, 60, &[])).unwrap_err().to_string();
        assert!(error.contains("no host runs the precompile"), "{error}");
    }
}
