//! The system calls a program needs, the same four on every machine: read, write, map memory, exit.
//!
//! On the bare targets they are one instruction each; elsewhere the standard library makes them.

#[cfg(all(target_os = "none", target_arch = "mips64"))]
mod mips64;
#[cfg(all(target_os = "none", target_arch = "mips64"))]
pub(crate) use mips64::{exit, map, read, read_into, read_words, write};

#[cfg(all(target_os = "none", target_arch = "riscv64"))]
mod riscv64;
#[cfg(all(target_os = "none", target_arch = "riscv64"))]
pub(crate) use riscv64::{exit, map, read, read_into, read_words, write};

#[cfg(not(target_os = "none"))]
mod native;
#[cfg(not(target_os = "none"))]
pub(crate) use native::{read, write};
