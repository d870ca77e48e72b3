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
    errand.store().put(call_key, call.call)?;
    Ok(errand.store().put(result_key, call.result)?)
}
