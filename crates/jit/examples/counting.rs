//! What it costs to count every step: `counting ROUNDS PROGRAM` runs a program in compiled code that
//! counts and in the same code that does not, in turns.
//!
//! Prints a JSON object, which `cargo xtask bench` reads: the seconds of the processor for the last
//! seven eighths of each run. During the first eighth both count, and learn which registers are worth
//! having at hand.
#![allow(clippy::print_stdout, reason = "a tool that people run speaks")]

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn main() {
    linux::main();
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
fn main() {
    println!("null");
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod linux {
    use std::time::Duration;

    use tribunal_jit::{Compiler, Options};
    use tribunal_machine::{Host, Machine as _, StopOn, Stream};
    use tribunal_mips64::{Mips64, load_elf};
    use tribunal_preimage::{Key, Oracle, OracleError};

    pub(super) fn main() {
        let mut arguments = std::env::args().skip(1);
        let rounds: usize = arguments.next().expect("rounds").parse().expect("a number of rounds");
        let elf = std::fs::read(arguments.next().expect("a program")).expect("a file");
        let Some(whole) = start(&elf, u64::MAX) else {
            // Nothing can be compiled here.
            return println!("null");
        };
        let steps = whole.step();
        let (mut counted, mut uncounted) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            for (counts, seconds) in [(true, &mut counted), (false, &mut uncounted)] {
                let mut machine = start(&elf, steps / 8).expect("compiled code, as before");
                machine.recompile(counts);
                let before = processor_time();
                finish(&mut machine, u64::MAX);
                seconds.push(format!("{:.4}", (processor_time() - before).as_secs_f64()));
            }
        }
        println!(
            r#"{{"steps":{},"counted":[{}],"uncounted":[{}]}}"#,
            steps - steps / 8,
            counted.join(","),
            uncounted.join(",")
        );
    }

    fn start(elf: &[u8], until: u64) -> Option<Compiler> {
        let program = load_elf(elf, 1 << 30).expect("a program for this machine");
        let mut compiler = Compiler::new(Mips64::new(program.state), Options::default()).ok()?;
        finish(&mut compiler, until);
        Some(compiler)
    }

    fn finish(machine: &mut Compiler, until: u64) {
        machine.run(until, StopOn::Nothing, &mut Nobody).expect("a program that ends");
        assert!(machine.exit_code().is_none_or(|code| code == 0), "the program failed");
    }

    /// What the scheduler says this process ran, to the nanosecond.
    fn processor_time() -> Duration {
        let text = std::fs::read_to_string("/proc/self/schedstat").expect("statistics of Linux");
        let nanoseconds = text.split(' ').next().and_then(|text| text.parse().ok());
        Duration::from_nanos(nanoseconds.expect("nanoseconds"))
    }

    /// Answers nothing, and does not listen.
    struct Nobody;

    impl Oracle for Nobody {
        fn hint(&mut self, _hint: &[u8]) -> Result<(), OracleError> {
            Ok(())
        }

        fn preimage(&mut self, key: Key) -> Result<Vec<u8>, OracleError> {
            Err(OracleError::Missing { key, why: String::new() })
        }
    }

    impl Host for Nobody {
        fn output(&mut self, _stream: Stream, _bytes: &[u8]) {}

        fn warn(&mut self, _message: &str) {}
    }
}
