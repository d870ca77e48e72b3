//! The OP Stack program.
#![no_std]

extern crate alloc;

pub mod trie;
