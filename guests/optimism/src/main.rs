//! The executable: for the bare targets it starts in a machine, elsewhere it is a process.
#![cfg_attr(target_os = "none", no_std, no_main)]

tribunal_guest::entry!(optimism::run);
