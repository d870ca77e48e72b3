//! How a fault-proof program is begun and compiled.
//!
//! Knows cargo, the compiler, the targets, the template, and the sources of the kit. The bytes of a program depend on its
//! sources, its `Cargo.lock` and the toolchain, and on nothing else: not on the machine, the
//! directory, `CARGO_HOME`, where the toolchain is, how the kit is depended on, or what the
//! environment says about flags. Knows no machine that runs a program, and prints nothing: what
//! cargo says, it says itself.

mod compile;
mod compiler;
mod kit;
mod new;
mod target;
mod toolchain;

pub use compile::{BuildError, Built, Compile, Package, Workspace};
pub use compiler::stand_in;
pub use new::{Guest, NameError, NewError, Template, check_name};
pub use target::Target;
pub use toolchain::{Toolchain, ToolchainError, check_linker};
