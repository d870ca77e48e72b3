//! The executable of [`bench::kit()`].
#![cfg_attr(target_os = "none", no_std, no_main)]

tribunal_guest::entry!(bench::kit);
