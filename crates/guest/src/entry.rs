//! How an executable begins: [`entry!`](crate::entry!) and what it calls.

use core::error::Error;

#[cfg(target_os = "none")]
use crate::sys;
use crate::{ExitStatus, HostOracle, Verdict};

/// Makes the crate an executable that runs a program function.
///
/// The function takes `&mut` [`HostOracle`], or is generic over [`Oracle`](crate::Oracle), and
/// returns a [`Verdict`] or an error. The crate begins with
/// `#![cfg_attr(target_os = "none", no_std, no_main)]`.
#[macro_export]
macro_rules! entry {
    ($program:path) => {
        #[cfg(target_os = "none")]
        #[unsafe(no_mangle)]
        extern "C" fn _start() -> ! {
            $crate::entry::start($program)
        }

        #[cfg(not(target_os = "none"))]
        fn main() -> ::std::process::ExitCode {
            $crate::entry::main($program)
        }
    };
}

/// Runs `program` over the file descriptors 3 to 6 and ends the machine.
#[cfg(target_os = "none")]
pub fn start<E: Error + 'static>(program: impl FnOnce(&mut HostOracle) -> Result<Verdict, E>) -> ! {
    sys::exit(run(program).code())
}

/// Runs `program` over the file descriptors 3 to 6 as a process.
#[cfg(not(target_os = "none"))]
pub fn main<E: Error + 'static>(
    program: impl FnOnce(&mut HostOracle) -> Result<Verdict, E>,
) -> std::process::ExitCode {
    // As in a machine, a panic is not the status that Rust has for it.
    let end = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(program)));
    end.unwrap_or(ExitStatus::PANICKED).code().into()
}

fn run<E: Error + 'static>(
    program: impl FnOnce(&mut HostOracle) -> Result<Verdict, E>,
) -> ExitStatus {
    ExitStatus::of(program(&mut HostOracle::new()))
}

#[cfg(not(target_os = "none"))]
extern crate std;
