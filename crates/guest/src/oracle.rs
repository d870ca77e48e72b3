//! The oracle behind the file descriptors 3 to 6.

#[cfg(target_os = "none")]
mod bare;
mod descriptors;

use alloc::vec::Vec;

use crate::{Key, Oracle, OracleError};

/// The host as a program sees it: hints over the descriptors 4 and 3, preimages over 6 and 5.
///
/// Inside a machine a preimage is what its key says: the machine, or the contract, has checked.
/// Elsewhere this type checks.
#[derive(Debug)]
pub struct HostOracle(HostClient);

#[cfg(target_os = "none")]
type HostClient = bare::MachineClient;
#[cfg(not(target_os = "none"))]
type HostClient = tribunal_preimage::Checked<descriptors::WireClient>;

impl HostOracle {
    /// The host of this process. There is one, so this is for [`entry!`](crate::entry!) alone.
    pub(crate) fn new() -> Self {
        #[cfg(target_os = "none")]
        let client = bare::MachineClient::new();
        #[cfg(not(target_os = "none"))]
        let client = tribunal_preimage::Checked(descriptors::client());
        Self(client)
    }
}

impl Oracle for HostOracle {
    fn hint(&mut self, hint: &[u8]) -> Result<(), OracleError> {
        self.0.hint(hint)
    }

    fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
        self.0.preimage(key)
    }

    fn beginning(&mut self, key: Key, buffer: &mut [u8]) -> Result<u64, OracleError> {
        self.0.beginning(key, buffer)
    }
}
