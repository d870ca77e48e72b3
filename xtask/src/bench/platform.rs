//! What the bench runs on: the machine, and the tools that are there or are missing.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

/// The machine.
pub(crate) struct Platform {
    cpu: String,
    cores: usize,
    memory_gib: u64,
    kernel: String,
}

impl Platform {
    pub(crate) fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let value = line.and_then(|line| line.split_once(':'));
            value.map(|(_, value)| value.trim().to_owned())
        };
        let unknown = || "unknown".to_owned();
        let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let kib = memory.split(' ').next().and_then(|kib| kib.parse::<u64>().ok());
        let kernel = read("/proc/sys/kernel/osrelease");
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: (kib.unwrap_or_default() + (1 << 19)) >> 20,
            kernel: if kernel.is_empty() { unknown() } else { kernel.trim().to_owned() },
        }
    }

    pub(crate) fn text(&self) -> String {
        let Self { cpu, cores, memory_gib, kernel } = self;
        format!("{cpu}, {cores} cores, {memory_gib} GiB, Linux {kernel}")
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "cpu": self.cpu,
            "cores": self.cores,
            "memoryGiB": self.memory_gib,
            "kernel": self.kernel,
        })
    }
}

/// A program that some of the bench needs.
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    version: Option<String>,
    /// What is left out without it, and where it comes from.
    needed: &'static str,
}

impl Tool {
    fn look_for(program: &'static str, version: &str, needed: &'static str) -> Self {
        let output = Command::new(program).arg(version).output();
        let output = output.ok().filter(|output| output.status.success());
        let first_line = |output: std::process::Output| {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.lines().next().unwrap_or_default().to_owned()
        };
        Self { program, version: output.map(first_line), needed }
    }

    pub(crate) fn is_here(&self) -> bool {
        self.version.is_some()
    }
}

/// All of them.
pub(crate) struct Tools {
    pub(crate) go: Tool,
    pub(crate) gcc: Tool,
    pub(crate) cross_gcc: Tool,
    pub(crate) qemu: Tool,
}

impl Tools {
    pub(crate) fn here() -> Self {
        Self {
            go: Tool::look_for(
                "go",
                "version",
                "main.go and the start of a large program are left out (https://go.dev/dl)",
            ),
            gcc: Tool::look_for(
                "gcc",
                "--version",
                "guest.c does not run natively (Debian: apt install gcc)",
            ),
            cross_gcc: Tool::look_for(
                "mips64-linux-gnuabi64-gcc",
                "--version",
                "guest.c runs only natively (Debian: apt install gcc-mips64-linux-gnuabi64)",
            ),
            qemu: Tool::look_for(
                "qemu-mips64",
                "--version",
                "nothing runs under qemu (Debian: apt install qemu-user)",
            ),
        }
    }

    fn all(&self) -> [&Tool; 4] {
        [&self.go, &self.gcc, &self.cross_gcc, &self.qemu]
    }

    /// A sentence for each that is missing.
    pub(crate) fn missing(&self) -> Vec<String> {
        let missing = self.all().into_iter().filter(|tool| !tool.is_here());
        missing.map(|tool| format!("there is no {}: {}", tool.program, tool.needed)).collect()
    }

    pub(crate) fn versions(&self) -> Vec<&str> {
        self.all().into_iter().filter_map(|tool| tool.version.as_deref()).collect()
    }
}
