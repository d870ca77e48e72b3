//! One program, one verdict: as a process of this computer and in the machine, with what it needs
//! fetched, kept or recorded, from every store there is, and with the hints of both dialects.
//!
//! The program is built here, so the component rust-src has to be installed, as `rust-toolchain.toml`
//! asks for: `rustup component add rust-src`.

mod common;

#[path = "../../optimism-host/tests/support/mod.rs"]
mod support;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use support::{Node, Reply, hash, read_packed_json, testdata};
use tribunal_host::{LocalHost, serve_program, store};
use tribunal_keccak::keccak256;

use common::*;

/// What its account had after the block before the one that the fixture is of.
const BALANCE: u64 = 2_372_506_176_560_088;
const NONCE: u64 = 0x16cf;

/// The nodes that lead to the account, by their hashes.
const WAY: [&str; 8] = [
    "0x48917789bcc24d19f0b8827ce46c72f9c9cabacfda0122780b8f1b3ebb6bdf71",
    "0x4df024172f3b99e2ab93ea26c44a8ddf1318c060317f6e521d03782798eebedd",
    "0x8436bd0d525f199863a47d089d9aa166a0865a032b81f48da0124d058d2460a9",
    "0x1cca3d7142883585fafddfbdd6fd369043c7603dd122f496610217527920cb05",
    "0x606d8752734097a9be50207c5279d12ee918d210ac40fa50d3883c4e68e9daab",
    "0x330e7bb20ac69e68c5c2ffc6d71334fb2ec8da45a61ee7e56dd8f7d49d853195",
    "0xebd5605ebafa55bb0ddbbdfb66a1acaf36e9f1b7f6bb05fd7379b0a782f67bed",
    "0x2c59b50954b015e07748b73948be767470b3e9fc46342096253d27cdd9fa977f",
];

/// The block whose output is agreed on.
struct Agreed {
    hash: Value,
    output_root: String,
}

/// A node that has that block, as others show it: without `debug_` methods.
fn node() -> (Node, Agreed) {
    let path = testdata().join("op-stack/base-sepolia-37312300-jovian.json.gz");
    let chain = read_packed_json(&path);
    let (header, name) =
        (chain["witness"]["Headers"][0].clone(), &chain["blockHeader"]["parentHash"]);
    let parts = [[0; 32], hash(&header["stateRoot"]), hash(&header["withdrawalsRoot"]), hash(name)];
    let output_root = format!("0x{}", hex::encode(keccak256(&parts.concat())));
    let way: Vec<Value> = WAY.map(|node| chain["witness"]["State"][node].clone()).into();
    let nothing = |of: &[u8]| format!("0x{}", hex::encode(keccak256(of)));
    let account = json!({
        "accountProof": way,
        "balance": format!("{BALANCE:#x}"),
        "nonce": format!("{NONCE:#x}"),
        "codeHash": nothing(&[]),
        "storageHash": nothing(&[0x80]),
        "storageProof": [{ "key": "0x0", "value": "0x0", "proof": [] }],
    });
    let agreed = Agreed { hash: name.clone(), output_root };
    let name = name.clone();
    let node = Node::start(move |asked| match asked.method.as_str() {
        "eth_getBlockByHash" if asked.params == json!([name, false]) => {
            Reply::result(header.clone())
        }
        "eth_getProof" => Reply::result(account.clone()),
        other => Reply::lacks(other),
    });
    (node, agreed)
}

/// The program, for this computer and for the machine.
struct Program {
    native: PathBuf,
    elf: PathBuf,
}

fn build(directory: &Path) -> Program {
    share_builds(directory);
    let clean = |command: &mut Command| {
        for name in ["CARGO_TARGET_DIR", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
            command.env_remove(name);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    };
    clean(tribunal().args(["new", "signer"]).current_dir(directory));
    let signer = directory.join("signer");
    fs::write(signer.join("src/lib.rs"), include_str!("programs/signer.rs")).unwrap();
    clean(tribunal().args(["build", "--quiet"]).current_dir(&signer));
    clean(Command::new(env!("CARGO")).args(["build", "--quiet"]).current_dir(&signer));
    Program {
        native: signer.join("target/debug/signer"),
        elf: signer.join("target/fpvm/mips64/signer.elf"),
    }
}

/// The arguments of a host for this claim, all but where it keeps what it fetches.
fn host(agreed: &Agreed, claim: u64, dialect: &Path) -> Arguments {
    let zero = format!("0x{}", "00".repeat(32));
    let hash = agreed.hash.as_str().unwrap();
    let arguments = arguments![
        "host",
        "single",
        "--quiet",
        "--l1-head",
        zero,
        "--agreed-l2-head-hash",
        hash,
        "--agreed-l2-output-root",
        agreed.output_root,
        "--claimed-l2-output-root",
        zero,
        "--claimed-l2-block-number",
        claim.to_string(),
        "--rollup-config-path",
        dialect,
    ];
    arguments.to_vec()
}

/// How often the program was run, and what the machine came to.
struct Runs<'a> {
    dir: &'a Path,
    program: &'a Program,
    verdict: i32,
    says: String,
    count: usize,
    states: Vec<String>,
}

impl Runs<'_> {
    /// With a host as its parent, and then as its child.
    fn hosted(&mut self, host: &[OsString]) {
        let native = arguments!["--native", "--", self.program.native];
        self.run([host, &native].concat());
        for engine in ["fast", "reference"] {
            let mut line = arguments!["exec", self.program.elf, "--engine", engine, "--"].to_vec();
            line.push(env!("CARGO_BIN_EXE_tribunal").into());
            self.machine([&line[..], host, &arguments!["--server"]].concat());
        }
    }

    /// From a store in which there is all of it.
    fn stored(&mut self, path: &Path) {
        let mut native = Command::new("sh");
        native.args(["-c", "exec \"$0\" > \"$1\""]).arg(&self.program.native);
        native.arg(self.dir.join("said"));
        let host = LocalHost::new(store::open(path).unwrap());
        let status = serve_program(&host, native).unwrap();
        assert_eq!(status.code(), Some(self.verdict), "natively from {}", path.display());
        assert_eq!(fs::read_to_string(self.dir.join("said")).unwrap(), self.says);
        self.count += 1;
        self.machine(arguments!["exec", self.program.elf, "--preimages", path].to_vec());
    }

    fn machine(&mut self, line: Arguments) {
        let said = self.run(line);
        self.states.push(line_with(&said, "  state  ").to_owned());
    }

    /// Runs a command line that must come to the verdict. Returns what it says of the run.
    fn run(&mut self, line: Arguments) -> String {
        let mut command = tribunal();
        for proxy in ["http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(proxy).env_remove(proxy.to_uppercase());
        }
        let output = command.current_dir(self.dir).args(&line).output().unwrap();
        assert_eq!(output.status.code(), Some(self.verdict), "{line:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), self.says, "{line:?}");
        self.count += 1;
        stderr(&output)
    }
}

#[test]
fn the_same_program_gives_the_same_verdict_however_it_is_run() {
    let directory = tempfile::tempdir().unwrap();
    let program = build(directory.path());
    let (node, agreed) = node();
    let nodes = ["--l1-node-address", "--l1-beacon-address", "--l2-node-address"];
    let nodes: Arguments = nodes.iter().flat_map(|flag| arguments![flag, node.url]).collect();
    for dialect in ["kona", "op-program"] {
        for (claim, verdict) in [(BALANCE, 0), (BALANCE + 1, 1)] {
            let dir = directory.path().join(format!("{dialect}-{verdict}"));
            fs::create_dir(&dir).unwrap();
            let config = dir.join("dialect.json");
            fs::write(&config, format!("\"{dialect}\"")).unwrap();
            let address = "0x4c4216323b57643946f028165f6e9f180b80fbee";
            let says = format!(
                "{address} had {BALANCE} wei at block 37312299, {claim} claimed at least\n"
            );
            let host = host(&agreed, claim, &config);
            let (dir, states, program) = (&dir, Vec::new(), &program);
            let mut runs = Runs { dir, program, verdict, says, count: 0, states };

            // Fetched, and kept nowhere.
            let online = [&host[..], &nodes].concat();
            let asked = node.count();
            runs.hosted(&online);
            assert!(node.count() >= asked + 6, "a header and a proof, three times");

            // Fetched by the process, and kept; from there, without any node, and by the machine.
            for format in ["directory", "file", "redb"] {
                let keep = arguments!["--data-dir", format, "--data-format", format];
                let native = arguments!["--native", "--", program.native];
                runs.run([&online[..], &keep, &native].concat());
                let asked = node.count();
                runs.hosted(&[&host[..], &keep].concat());
                assert_eq!(node.count(), asked);
            }

            // Recorded, and run again from the recording alone.
            let mut line = arguments!["record", program.elf, "--out", "run.rec", "--"].to_vec();
            line.push(env!("CARGO_BIN_EXE_tribunal").into());
            runs.machine([&line[..], &online, &arguments!["--server"]].concat());
            runs.machine(arguments!["exec", "run.rec"].to_vec());

            // From every kind of store, filled from the recording.
            for (to, format) in [
                ("all.json", "redb"),
                ("all.json.gz", "redb"),
                ("all-directory", "directory"),
                ("all-file", "file"),
                ("all-redb", "redb"),
            ] {
                succeed_in(dir, ["convert", "-q", "run.rec", to, "--format", format]);
                runs.stored(&dir.join(to));
            }
            runs.stored(&dir.join("run.rec"));

            assert_eq!(runs.count, 29);
            let first = &runs.states[0];
            assert!(runs.states.iter().all(|state| state == first), "{:#?}", runs.states);
        }
    }

    // And without what it needs, none, either way.
    let config = directory.path().join("kona-0/dialect.json");
    let offline = host(&agreed, BALANCE, &config);
    fs::create_dir(directory.path().join("nothing")).unwrap();
    let offline = [&offline[..], &arguments!["--data-dir", "nothing"]].concat();
    let native = arguments!["--native", "--", program.native];
    let mut machine = arguments!["exec", program.elf, "--"].to_vec();
    machine.push(env!("CARGO_BIN_EXE_tribunal").into());
    for line in [
        [&offline[..], &native].concat(),
        [&machine[..], &offline, &arguments!["--server"]].concat(),
    ] {
        let output = run_in(directory.path(), &line);
        assert_eq!(output.status.code(), Some(3), "{line:?}: {}", stderr(&output));
        let key = format!("0x02{}", &agreed.output_root[4..]);
        assert!(stderr(&output).contains(&key), "{}", stderr(&output));
        assert_eq!(stdout(&output), "");
    }
}
