//! Stores that the command line names, opened so that nothing damaged leaves them.
//!
//! Knows when a store is only read. Knows nothing of what is in one.

use std::path::Path;

use tribunal_host::PreimageStore;
use tribunal_host::store::{self, MemoryStore, Overlay, StoreFormat};
use tribunal_optimism_host::Verified;

use crate::failure::{Failure, Result};

/// Opens the store at `path` for reading.
pub(crate) fn open(path: &Path) -> Result<Box<dyn PreimageStore>> {
    Ok(Box::new(Verified::new(store::open(path)?)))
}

/// Opens the data directory of a host. What nodes say is kept there; without nodes it is only read, by as
/// many as like to, and what is computed stays in memory.
pub(crate) fn open_data_dir(
    path: &Path,
    wanted: StoreFormat,
    online: bool,
) -> Result<Box<dyn PreimageStore>> {
    if online {
        return Ok(store::create(path, wanted)?);
    }
    if !path.exists() {
        let path = path.display();
        return Err(Failure::input(format!("there is no data directory {path}")).hint(
            "check the path; or name nodes (--l1-node-address, --l1-beacon-address, \
             --l2-node-address), and it is made",
        ));
    }
    Ok(Box::new(Overlay { put: MemoryStore::new(), there: store::open(path)? }))
}
