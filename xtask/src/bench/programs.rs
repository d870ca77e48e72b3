//! The workloads as executables: for this machine, and for the one that proves its steps.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::options::{Size, Workload};
use super::platform::Tools;
use crate::guests::build_for_mips64;
use crate::{build_cargo, cargo, root, run};

/// For guests/bench: by what the work is divided.
const DIVISOR: &str = "TRIBUNAL_BENCH_DIVISOR";

/// A freestanding program, in which the compiler finds no library calls to make of its loops.
const C_FLAGS: [&str; 7] = [
    "-O2",
    "-static",
    "-nostdlib",
    "-ffreestanding",
    "-fno-stack-protector",
    "-fno-builtin",
    "-fno-tree-loop-distribute-patterns",
];

/// What the machine takes: no floating point, no traps, every address below 2 GiB.
const C_FLAGS_MIPS64: [&str; 9] = [
    "-mabi=64",
    "-march=mips64",
    "-msoft-float",
    "-mno-abicalls",
    "-fno-pic",
    "-mno-check-zero-division",
    "-G0",
    "-msym32",
    "-Wl,-Ttext-segment=0x400000",
];

const GO_MIPS64: [(&str, &str); 4] =
    [("CGO_ENABLED", "0"), ("GOOS", "linux"), ("GOARCH", "mips64"), ("GOMIPS64", "softfloat")];

/// A workload that was built, as far as the tools were there.
pub(crate) struct Program {
    pub(crate) workload: Workload,
    pub(crate) native: Option<PathBuf>,
    pub(crate) elf: Option<PathBuf>,
}

impl Program {
    pub(crate) fn build(
        workload: Workload,
        size: Size,
        tools: &Tools,
        folder: &Path,
    ) -> Result<Self> {
        let folder = folder.join(size.name());
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {folder:?}"))?;
        let divisor = size.divisor();
        let (mut native, mut elf) = (None, None);
        match workload {
            Workload::Go if tools.go.is_here() => {
                let variable = format!("-X main.divisor={divisor}");
                native = Some(build_go("main.go", &variable, &[], folder.join("main-go"))?);
                elf = Some(build_go("main.go", &variable, &GO_MIPS64, folder.join("main-go.elf"))?);
            }
            Workload::Go => {}
            Workload::C => {
                if tools.gcc.is_here() && cfg!(target_arch = "x86_64") {
                    let path = folder.join("guest-c");
                    native = Some(build_c(tools.gcc.program, divisor, &[], path)?);
                }
                if tools.cross_gcc.is_here() {
                    let path = folder.join("guest-c.elf");
                    let compiler = tools.cross_gcc.program;
                    elf = Some(build_c(compiler, divisor, &C_FLAGS_MIPS64, path)?);
                }
            }
            Workload::Rust => {
                let arguments = ["--profile", "guest", "--package", "bench", "--bin", "bench"];
                let built = build_cargo(cargo().env(DIVISOR, divisor), &arguments)?;
                native = Some(copy(&built, folder.join("bench"))?);
                let built = build_for_mips64("bench", &[(DIVISOR, divisor)])?;
                elf = Some(copy(&built.join("bench"), folder.join("bench.elf"))?);
            }
        }
        Ok(Self { workload, native, elf })
    }
}

/// A large program that does nothing.
pub(crate) fn build_start(tools: &Tools, folder: &Path) -> Result<Option<PathBuf>> {
    match tools.go.is_here() {
        true => build_go("start/main.go", "", &GO_MIPS64, folder.join("start.elf")).map(Some),
        false => Ok(None),
    }
}

/// A program that fills memory.
pub(crate) fn build_memory(folder: &Path) -> Result<PathBuf> {
    copy(&build_for_mips64("bench", &[])?.join("bench-memory"), folder.join("bench-memory.elf"))
}

fn build_go(
    source: &str,
    linker_flags: &str,
    environment: &[(&str, &str)],
    path: PathBuf,
) -> Result<PathBuf> {
    let mut go = Command::new("go");
    go.args(["build", "-ldflags", &format!("-w {linker_flags}"), "-o"]).arg(&path).arg(source);
    run(go.envs(environment.iter().copied()).current_dir(root().join("bench")))?;
    Ok(path)
}

fn build_c(compiler: &str, divisor: &str, flags: &[&str], path: PathBuf) -> Result<PathBuf> {
    let mut gcc = Command::new(compiler);
    gcc.args(C_FLAGS).args(flags).arg(format!("-DDIVISOR={divisor}UL"));
    run(gcc.arg("guest.c").arg("-o").arg(&path).current_dir(root().join("bench")))?;
    Ok(path)
}

fn copy(from: &Path, to: PathBuf) -> Result<PathBuf> {
    fs::copy(from, &to).with_context(|| format!("cannot copy {from:?} to {to:?}"))?;
    Ok(to)
}
