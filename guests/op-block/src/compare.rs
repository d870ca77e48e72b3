//! Two headers, field by field.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use alloy_consensus::Header;

/// A field in which two headers differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What the field is called.
    pub field: &'static str,
    /// What the claimed block has there.
    pub claimed: String,
    /// What it should have.
    pub computed: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, claimed {}", self.field, self.computed, self.claimed)
    }
}

/// All fields in which a claimed header differs from the computed one.
pub fn compare(claimed: &Header, computed: &Header) -> Vec<Difference> {
    let mut differences = Vec::new();
    macro_rules! fields {
        ($($field:ident $name:literal),* $(,)?) => {$(
            if claimed.$field != computed.$field {
                differences.push(Difference {
                    field: $name,
                    claimed: format!("{:?}", claimed.$field),
                    computed: format!("{:?}", computed.$field),
                });
            }
        )*};
    }
    fields! {
        parent_hash "parent hash",
        ommers_hash "ommers hash",
        beneficiary "beneficiary",
        state_root "state root",
        transactions_root "transactions root",
        receipts_root "receipts root",
        logs_bloom "logs bloom",
        difficulty "difficulty",
        number "number",
        gas_limit "gas limit",
        gas_used "gas used",
        timestamp "timestamp",
        extra_data "extra data",
        mix_hash "mix hash",
        nonce "nonce",
        base_fee_per_gas "base fee",
        withdrawals_root "withdrawals root",
        blob_gas_used "blob gas used",
        excess_blob_gas "excess blob gas",
        parent_beacon_block_root "parent beacon block root",
        requests_hash "requests hash",
    }
    if differences.is_empty() && claimed != computed {
        // What these fields do not show is something that no block of the chain has.
        differences.push(Difference {
            field: "further fields",
            claimed: "there".into(),
            computed: "none".into(),
        });
    }
    differences
}
