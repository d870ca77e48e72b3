//! The compiler as cargo sees it while a program is built: this executable, which calls the real
//! one with names in the place of places.
//!
//! Two things of a crate reach the bytes of a program besides its code: the paths that its panics
//! name, and a number that cargo makes of where the crate came from, which is in every symbol and
//! decides their order. Both are made of the crate's name and version here. So a program is the same
//! whether its crates are in a registry, a mirror of it, a clone or a folder, and wherever those are.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Says that this process was started by cargo in the place of the compiler.
pub(crate) const STANDS_IN: &str = "TRIBUNAL_STANDS_IN_FOR_RUSTC";

/// Calls the compiler if this process was started in its place, and returns how it ended.
///
/// Every executable that uses [`Compile`](crate::Compile) begins with this.
pub fn stand_in() -> Option<ExitCode> {
    std::env::var_os(STANDS_IN)?;
    let mut arguments = std::env::args_os().skip(1);
    let rustc = arguments.next()?;
    let arguments: Vec<OsString> = arguments.collect();
    let krate = Crate::of_environment();
    let arguments = match krate {
        Some(krate) if is_for_machine(&arguments) => krate.rewrite(arguments),
        _ => arguments,
    };
    let status = Command::new(&rustc).args(arguments).env_remove(STANDS_IN).status();
    Some(match status {
        Ok(status) => status.code().map_or(ExitCode::FAILURE, |code| ExitCode::from(code as u8)),
        // There is no compiler to say it.
        Err(_) => ExitCode::from(127),
    })
}

/// Whether these arguments compile for one of our targets; build scripts and macros are not.
fn is_for_machine(arguments: &[OsString]) -> bool {
    let targets = crate::Target::ALL.map(|target| format!("{}.json", target.folder()));
    arguments.windows(2).any(|pair| {
        let file = Path::new(&pair[1]).file_name().unwrap_or_default();
        pair[0] == "--target" && targets.iter().any(|target| file == OsStr::new(target))
    })
}

/// What cargo says of the crate that is compiled.
struct Crate {
    name: String,
    version: String,
    /// The folder of its manifest.
    folder: PathBuf,
    /// Where its build script writes, if it has one.
    generated: Option<PathBuf>,
    /// Where the compiler is started.
    here: PathBuf,
}

impl Crate {
    fn of_environment() -> Option<Self> {
        let text = |name| std::env::var(name).ok();
        Some(Self {
            name: text("CARGO_PKG_NAME")?,
            version: text("CARGO_PKG_VERSION")?,
            folder: std::env::var_os("CARGO_MANIFEST_DIR")?.into(),
            generated: std::env::var_os("OUT_DIR").map(PathBuf::from),
            here: std::env::current_dir().ok()?,
        })
    }

    /// The same command with nothing in it that says where the crate is.
    fn rewrite(&self, arguments: Vec<OsString>) -> Vec<OsString> {
        let identity = self.identity(&arguments);
        let mut rewritten = Vec::with_capacity(arguments.len() + 4);
        let mut rest = arguments.into_iter().peekable();
        while let Some(argument) = rest.next() {
            let is_metadata = |next: &OsString| next.to_string_lossy().starts_with("metadata=");
            if argument == "-C" && rest.peek().is_some_and(is_metadata) {
                rest.next();
                rewritten.extend(["-C".into(), format!("metadata={identity}").into()]);
            } else if is_source(&argument) {
                // Relative paths are not renamed by the compiler.
                rewritten.push(self.here.join(&argument).into_os_string());
            } else {
                rewritten.push(argument);
            }
        }
        // What the compiler has to say of the code names it by its place.
        rewritten.push("--remap-path-scope=object".into());
        // Of several names for a path the last one counts.
        let place = format!("/{}-{}", self.name, self.version);
        rewritten.push(renamed(&self.here, "/workspace"));
        rewritten.push(renamed(&self.folder, &place));
        if let Some(generated) = &self.generated {
            rewritten.push(renamed(generated, &format!("{place}/generated")));
        }
        rewritten
    }

    /// What tells this crate from the others in a program.
    fn identity(&self, arguments: &[OsString]) -> String {
        let mut of_compiler = BTreeSet::new();
        for pair in arguments.windows(2) {
            let (flag, value) = (&pair[0], pair[1].to_string_lossy());
            if (flag == "--cfg" && value.starts_with("feature="))
                || flag == "--crate-type"
                || flag == "--crate-name"
            {
                of_compiler.insert(value.into_owned());
            }
        }
        let of_compiler: Vec<String> = of_compiler.into_iter().collect();
        format!("{} {} {}", self.name, self.version, of_compiler.join(" "))
    }
}

fn is_source(argument: &OsStr) -> bool {
    let text = argument.to_string_lossy();
    text.ends_with(".rs") && !text.starts_with('-') && !text.contains('=')
}

fn renamed(from: &Path, to: &str) -> OsString {
    let mut flag = OsString::from("--remap-path-prefix=");
    flag.push(from);
    flag.push("=");
    flag.push(to);
    flag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(folder: &str, line: &str) -> Vec<String> {
        let krate = Crate {
            name: "k".into(),
            version: "1.2.3".into(),
            folder: folder.into(),
            generated: None,
            here: "/ws".into(),
        };
        let arguments = line.split(' ').map(OsString::from).collect();
        krate.rewrite(arguments).into_iter().map(|text| text.into_string().unwrap()).collect()
    }

    #[test]
    fn where_a_crate_is_does_not_reach_the_compiler_but_as_a_path_to_forget() {
        let line = "--crate-name k src/lib.rs --cfg feature=\"a\" -C metadata=77 -C opt-level=3";
        let here = rewritten("/ws/k", line);
        let there = rewritten("/elsewhere", &line.replace("77", "88"));
        assert!(here.contains(&"metadata=k 1.2.3 feature=\"a\" k".to_owned()), "{here:?}");
        assert!(here.contains(&"/ws/src/lib.rs".to_owned()), "{here:?}");
        assert!(here.contains(&"--remap-path-prefix=/ws/k=/k-1.2.3".to_owned()), "{here:?}");
        let differing = here.iter().zip(&there).filter(|(a, b)| a != b).count();
        assert_eq!((here.len(), differing), (there.len(), 1), "{here:?} {there:?}");
    }

    #[test]
    fn features_and_kinds_are_told_apart() {
        let metadata = |line: &str| {
            let found = rewritten("/k", line).into_iter().find(|text| text.starts_with("metadata"));
            found.unwrap()
        };
        let lines = [
            "--crate-name k --crate-type lib -C metadata=1",
            "--crate-name k --crate-type bin -C metadata=1",
            "--crate-name k --crate-type lib --cfg feature=\"x\" -C metadata=1",
            "--crate-name j --crate-type lib -C metadata=1",
        ];
        let names: BTreeSet<String> = lines.map(metadata).into();
        assert_eq!(names.len(), lines.len());
    }

    #[test]
    fn only_programs_are_rewritten() {
        let of =
            |line: &str| is_for_machine(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(of("--crate-name k --target /x/mips64-fpvm.json"));
        assert!(!of("--crate-name build_script_build --crate-type bin"));
        assert!(!of("--crate-name k --target x86_64-unknown-linux-gnu"));
    }
}
