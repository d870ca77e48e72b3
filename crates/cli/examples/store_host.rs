//! A host for tests and first steps: serves the preimages of a store over descriptors 3 to 6, and
//! acknowledges every hint.
//!
//! `store_host --store PATH [--misbehave HOW] [ANYTHING…]`: what a real host takes besides is ignored.
//! HOW is `die` (at once, with status 3), `fail` (serve, then leave with status 4), or `stall`
//! (never answer).
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a host speaks")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tribunal_host::serve::{ServerPipes, serve};
use tribunal_host::{LocalHost, store};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |flag: &str| {
        let place = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(place + 1).cloned()
    };
    println!("serving");
    eprintln!("arguments: {}", arguments[1..].join(" "));
    let misbehave = value("--misbehave");
    match misbehave.as_deref() {
        Some("die") => {
            eprintln!("this host has had enough");
            return ExitCode::from(3);
        }
        Some("stall") => std::thread::sleep(Duration::from_secs(3600)),
        _ => {}
    }
    let path = PathBuf::from(value("--store").expect("--store PATH"));
    let host = LocalHost::new(store::open(&path).expect("a store"));
    match serve(&host, ServerPipes::inherited().expect("descriptors 3 to 6")) {
        Ok(()) if misbehave.as_deref() == Some("fail") => ExitCode::from(4),
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
