//! The same executable, which computes all precompiled contracts instead of asking for their results.
#![cfg_attr(target_os = "none", no_std, no_main)]

tribunal_guest::entry!(op_block::run_computed);
