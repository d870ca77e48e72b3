//! The executable: for a machine it begins at `_start`, elsewhere it is a process.
#![cfg_attr(target_os = "none", no_std, no_main)]

tribunal_guest::entry!({{crate}}::run);
