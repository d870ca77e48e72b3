//! The commands, one module each: its flags, and what it does.

pub(crate) mod build;
pub(crate) mod calldata;
pub(crate) mod claim;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod exec;
pub(crate) mod host;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod load_elf;
pub(crate) mod new;
pub(crate) mod prove;
pub(crate) mod record;
pub(crate) mod run;
pub(crate) mod sample;
pub(crate) mod test;
pub(crate) mod verify;
pub(crate) mod witness;
