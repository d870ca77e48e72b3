//! host: what op-challenger starts, against nodes that are in the test; and doctor, which looks at
//! the same nodes.

mod common;

#[path = "../../optimism-host/tests/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use support::{Asked, BlobApi, Node, Reply, beacon, bytes, read_packed_json, testdata};
use tribunal_host::PreimageStore as _;
use tribunal_host::store::{self, StoreFormat};
use tribunal_preimage::Key;

use common::*;

/// The block that `transactions` judges.
const BLOCK: &str = "op-sepolia-26207961";

/// The facts of the block: its hash, what is claimed of its transactions, its header, its bytes.
struct Block {
    hash: String,
    claim: String,
    header: Vec<u8>,
    encoded: Vec<u8>,
}

impl Block {
    fn read() -> Self {
        let preimages = read_packed_json(&testdata().join(format!("transactions/{BLOCK}.json.gz")));
        let local = |ident: u8| preimages[format!("0x01{}{ident:02x}", "00".repeat(30))].clone();
        let hash = local(1).as_str().unwrap().to_owned();
        let header = bytes(&preimages[format!("0x02{}", &hash[4..])]);
        let chain = testdata().join(format!("op-stack/{BLOCK}-holocene.json.gz"));
        let chain = read_packed_json(&chain);
        let transactions = chain["executing_payload"]["transactions"].as_array().unwrap();
        let transactions = transactions.iter().map(bytes).map(|transaction| {
            // Whatever has a type is a string within the list.
            if transaction[0] >= 0xc0 { transaction } else { rlp(0x80, &transaction) }
        });
        let transactions = rlp(0xc0, &transactions.collect::<Vec<_>>().concat());
        let encoded = rlp(0xc0, &[header.clone(), transactions, rlp(0xc0, &[])].concat());
        Self { hash, claim: local(3).as_str().unwrap().to_owned(), header, encoded }
    }

    /// A node that has it.
    fn node(self) -> Node {
        Node::start(move |asked: &Asked| {
            let digits = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
            assert_eq!(asked.params, json!([self.hash]), "{}", asked.method);
            match asked.method.as_str() {
                "debug_getRawHeader" => Reply::result(digits(&self.header)),
                "debug_getRawBlock" => Reply::result(digits(&self.encoded)),
                other => Reply::lacks(other),
            }
        })
    }
}

/// An RLP string or list, both longer than one byte or empty.
fn rlp(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len().to_be_bytes();
    let length = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let head = match payload.len() {
        short @ 0..=55 => vec![kind + short as u8],
        _ => [&[kind + 55 + length.len() as u8][..], length].concat(),
    };
    [&head, payload].concat()
}

fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/elf/mips64/transactions.elf.gz")
}

/// The arguments that op-challenger passes to kona-host, in its order.
fn challenger(block: &Block, node: &str, data: &Path) -> Vec<String> {
    let zero = format!("0x{}", "00".repeat(32));
    let mut arguments: Vec<String> = ["single"].map(str::to_owned).into();
    for (flag, value) in [
        ("--l1-node-address", node),
        ("--l1-beacon-address", node),
        ("--l2-node-address", node),
        ("--l1-head", &block.hash),
        ("--agreed-l2-head-hash", &zero),
        ("--agreed-l2-output-root", &zero),
        ("--claimed-l2-output-root", &block.claim),
        ("--claimed-l2-block-number", "26207961"),
    ] {
        arguments.extend([flag.to_owned(), value.to_owned()]);
    }
    arguments.push("--server".into());
    arguments.extend(["--data-dir".into(), data.to_str().unwrap().into()]);
    arguments.extend(["--l2-chain-id".into(), "11155420".into()]);
    arguments
}

/// Runs the program in the machine, with a host that has these arguments.
fn exec(host: &[String]) -> Output {
    let mut command = tribunal();
    without_proxy(&mut command);
    command.args(["exec", "--quiet"]).arg(program()).arg("--");
    command.arg(env!("CARGO_BIN_EXE_tribunal")).args(host).output().unwrap()
}

fn without_proxy(command: &mut Command) {
    for proxy in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(proxy).env_remove(proxy.to_uppercase());
    }
}

#[test]
fn a_program_is_answered_as_op_challenger_asks_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("preimages");
    let block = Block::read();
    let hash = block.hash.clone();
    let node = Block::read().node();
    let arguments = challenger(&block, &node.url, &data);

    // As op-challenger runs a trace.
    let state = directory.path().join("state.bin.gz");
    let mut load = tribunal();
    load.args(["load-elf", "--type", "multithreaded64-5", "--meta", "", "--path"]);
    let elf = directory.path().join("transactions.elf");
    std::fs::write(&elf, read(&program())).unwrap();
    assert!(load.arg(&elf).arg("--out").arg(&state).status().unwrap().success());
    let last = directory.path().join("final.bin.gz");
    let mut run = tribunal();
    without_proxy(&mut run);
    run.arg("run").arg("--input").arg(&state).arg("--output").arg(&last).args(["--meta", ""]);
    run.args(["--info-at", "%10000000", "--proof-at", "never", "--"]);
    let output = run.arg(env!("CARGO_BIN_EXE_tribunal")).args(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let witness = succeed_in(directory.path(), ["witness", "--input", "final.bin.gz"]);
    let witness: Value = serde_json::from_str(&witness).unwrap();
    assert_eq!((&witness["exited"], &witness["exitCode"]), (&json!(true), &json!(0)));
    assert_eq!(node.count(), 2, "a header and a block are all that was missing");

    // What op-challenger reads: the marker, and digits under the rest of the key.
    assert_eq!(std::fs::read_to_string(data.join("kvformat")).unwrap(), "directory");
    let file = data.join(format!("02{}", &hash[4..6])).join(format!("{}.txt", &hash[6..]));
    assert_eq!(std::fs::read_to_string(file).unwrap(), hex::encode(&block.header));

    // Offline, from what was kept; kona-host's older names for the flags.
    let offline: Vec<String> = arguments[7..]
        .iter()
        .map(|argument| match argument.as_str() {
            "--agreed-l2-head-hash" => "--l2-head".into(),
            "--agreed-l2-output-root" => "--l2-output-root".into(),
            "--claimed-l2-output-root" => "--l2-claim".into(),
            "--claimed-l2-block-number" => "--l2-block-number".into(),
            "--data-dir" => "--db".into(),
            other => other.to_owned(),
        })
        .collect();
    let offline = [vec!["host".into(), "single".into()], offline].concat();
    let output = exec(&offline);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(node.count(), 2);

    // Another claim: a verdict, and no failure of the host. kona-host may be told to talk first.
    let wrong = offline.iter().map(|argument| match argument.as_str() {
        "host" => "-vvv".into(),
        claim if claim == block.claim => format!("0x{}", "11".repeat(32)),
        other => other.to_owned(),
    });
    let output = exec(&wrong.collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

#[test]
fn a_node_that_fails_is_an_error_and_no_verdict() {
    let directory = tempfile::tempdir().unwrap();
    let block = Block::read();
    let node = Node::start(|_| Reply::Http("500 Internal Server Error", "", "out of order"));
    let url = node.url.replacen("//", "//user:secret@", 1);
    let mut arguments = challenger(&block, &url, directory.path());
    arguments.extend(["--deadline".into(), "1".into()]);
    let output = exec(&arguments);
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains(&format!("l2-block-header {}", block.hash)), "{error}");
    assert!(error.contains(&format!("{} answers with HTTP status 500", node.url)), "{error}");
    assert!(error.contains("it says: out of order"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}

/// kona-host's own table of what belongs together, and ours.
#[test]
fn flags_belong_together_as_kona_hosts_do() {
    let zero = "0".repeat(64);
    let single = |arguments: &[&str]| {
        // Without descriptors: whatever is right fails at the first of them.
        let closed = "exec \"$0\" \"$@\" 3<&- 4>&- 5<&- 6>&-";
        let mut command = Command::new("sh");
        command.args(["-c", closed, env!("CARGO_BIN_EXE_tribunal"), "host", "single"]);
        for variable in ["L1_HEAD", "DATA_DIR", "L2_CHAIN_ID", "L1_NODE_ADDRESS"] {
            command.env_remove(variable);
        }
        let directory = tempfile::tempdir().unwrap();
        for data in ["dummy", "x"] {
            std::fs::create_dir(directory.path().join(data)).unwrap();
        }
        command.current_dir(&directory);
        command.args(["--l1-head", &zero, "--l2-head", &zero, "--l2-output-root", &zero]);
        command.args(["--l2-claim", &zero, "--l2-block-number", "0"]).args(arguments);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        stderr(&output)
    };
    let url = "http://127.0.0.1:1";
    let online = ["--l1-node-address", url, "--l2-node-address", url, "--l1-beacon-address", url];
    for arguments in [
        &["--server", "--l2-chain-id", "0", "--data-dir", "dummy"][..],
        &["--server", "--l2-chain-id", "0", "--data-dir", "dummy", "--data-format", "file"],
        &[&online[..], &["--server", "--l2-chain-id", "0"]].concat(),
        &["--server", "--l2-chain-id", "0", "--l1", url, "--l2", url, "--beacon", url],
    ] {
        let error = single(arguments);
        assert!(error.contains("file descriptor 3 cannot be used"), "{arguments:?}: {error}");
        assert!(error.contains("tribunal exec PROGRAM -- tribunal host single"), "{error}");
    }
    for (arguments, says) in [
        (&["--server", "--native", "--l2-chain-id", "0"][..], "cannot be used with"),
        (&["--l2-chain-id", "0", "--rollup-config-path", "x", "--server"], "cannot be used with"),
        (&["--server", "--data-dir", "dummy"], "--l2-chain-id"),
        (&["--l2-chain-id", "0", "--data-dir", "dummy"], "<--native|--server>"),
        (&["--server", "--l2-chain-id", "0"], "neither a data directory nor all the nodes"),
        (
            &["--l1", url, "--server", "--l2-chain-id", "0", "--db", "x"],
            "not all: --l1-beacon-address, --l2-node-address",
        ),
        (&["--server", "--l2-chain-id", "0", "--db", "x", "--data-format", "rocksdb"], "rocksdb"),
        (&["--server", "--rollup-cfg", "nowhere", "--db", "x"], "cannot read nowhere"),
        (&["--server", "--l2-chain-id", "0", "--db", "x", "--", "program"], "cannot be used with"),
        (
            &["--server", "--l2-chain-id", "0", "--l1", "x", "--l2", url, "--beacon", url],
            "URL of --l1-node-address begins neither with http:// nor with https://",
        ),
    ] {
        let error = single(arguments);
        assert!(error.contains(says), "{arguments:?}: {error}");
    }
}

/// A program of this machine, started with the flags in the environment. It asks for the number of
/// the claimed block, and its verdict is the status.
#[cfg(unix)]
#[test]
fn a_native_program_is_run_and_its_verdict_is_the_status() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("data")).unwrap();
    let config = directory.path().join("rollup.json");
    std::fs::write(&config, r#"{"l2_chain_id":77}"#).unwrap();
    let zeroes = "\\000".repeat(30);
    let script = format!(
        "printf '\\001{zeroes}\\004' >&6; \
         got=$(head -c 16 <&5 | od -An -tx1 | tr -d ' \\n'); \
         [ $got = 00000000000000080000000000000102 ] || exit 9; \
         printf '\\001{zeroes}\\005' >&6; \
         got=$(head -c 16 <&5 | od -An -tx1 | tr -d ' \\n'); \
         [ $got = 00000000000000080000000000000000 ] || exit 8; \
         printf '\\001{zeroes}\\006' >&6; \
         got=$(head -c 26 <&5 | tail -c 18); [ \"$got\" = '{{\"l2_chain_id\":77}}' ] || exit 7; \
         printf '\\000\\000\\000\\003a b' >&4; head -c 1 <&3 >/dev/null; exit "
    );
    let hash = format!("0x{}", "22".repeat(32));
    for (status, ends) in [("0", 0), ("1", 1), ("2", 2)] {
        let mut command = tribunal();
        for name in
            ["L1_HEAD", "AGREED_L2_HEAD_HASH", "AGREED_L2_OUTPUT_ROOT", "CLAIMED_L2_OUTPUT_ROOT"]
        {
            command.env(name, &hash);
        }
        command.env("CLAIMED_L2_BLOCK_NUMBER", "258").env("ROLLUP_CONFIG_PATH", &config);
        command.env("DATA_DIR", directory.path().join("data"));
        command.args(["host", "single", "--native", "--quiet", "--", "sh", "-c"]);
        let output = command.arg(format!("{script}{status}")).output().unwrap();
        assert_eq!(output.status.code(), Some(ends), "{}", stderr(&output));
    }
}

/// A script that hints at a header, and asks for it once the hint is acknowledged.
fn asks_for_a_header([hints, acknowledged, preimages]: [u8; 3]) -> String {
    let key = format!("\\002{}", "\\042".repeat(31));
    let hint = format!("\\000\\000\\000\\122l1-block-header 0x{}", "22".repeat(32));
    format!(
        "printf '{hint}' >&{hints}; head -c 1 <&{acknowledged} >/dev/null; \
         printf '{key}' >&{preimages}; "
    )
}

/// A host of a chain with a configuration of its own, whose nodes are all one.
fn of_own_chain(mode: &str, node: &Node, directory: &Path) -> Vec<String> {
    std::fs::write(directory.join("rollup.json"), r#"{"l2_chain_id":77}"#).unwrap();
    let hash = "22".repeat(32);
    let mut arguments: Vec<String> = ["host", "single", mode].map(str::to_owned).into();
    for (flag, value) in [
        ("--l1", &*node.url),
        ("--beacon", &node.url),
        ("--l2", &node.url),
        ("--l1-head", &hash),
        ("--l2-head", &hash),
        ("--l2-output-root", &hash),
        ("--l2-claim", &hash),
        ("--l2-block-number", "258"),
        ("--deadline", "3600"),
    ] {
        arguments.extend([flag.to_owned(), value.to_owned()]);
    }
    arguments
}

/// While a node stalls, which may take as long as it likes.
#[cfg(unix)]
#[test]
fn a_search_ends_with_the_first_signal() {
    let directory = tempfile::tempdir().unwrap();
    let asks = asks_for_a_header([3, 4, 5]);
    let pipes = "mkfifo a b c; exec 3<>a 4<>b 5<>c 6>/dev/null";
    let served = format!("{pipes}; ( {asks} ) >/dev/null 2>&1 & exec \"$0\" \"$@\"");
    let program = format!("{}head -c 9 <&5; sleep 3600", asks_for_a_header([4, 3, 6]));
    let alone = "exec \"$0\" \"$@\"";
    let hash = format!("0x{}", "22".repeat(32));
    for (mode, script, more) in [
        (Some("--native"), alone, &["--l2-chain-id", "10"][..]),
        (Some("--native"), alone, &["--rollup-cfg", "rollup.json", "--", "sh", "-c", &program]),
        (Some("--server"), &served, &["--rollup-cfg", "rollup.json"]),
        // Before there is a host these ask what to ask it for.
        (
            None,
            alone,
            &[
                "claim",
                "--chain=10",
                "--block=258",
                "--root",
                &hash,
                "--l1=U",
                "--beacon=U",
                "--l2=U",
            ],
        ),
        (None, alone, &["record", "--block=258", "--out=block.rec", "--l2=U"]),
    ] {
        for signal in ["TERM", "INT"] {
            let node = Node::start(|_| Reply::Silence);
            let own = tempfile::tempdir_in(&directory).unwrap();
            let mut arguments =
                mode.map_or_else(Vec::new, |mode| of_own_chain(mode, &node, own.path()));
            arguments.extend(more.iter().map(|word| word.replace("=U", &format!("={}", node.url))));
            let mut command = Command::new("sh");
            without_proxy(&mut command);
            command.current_dir(&own).args(["-c", script, env!("CARGO_BIN_EXE_tribunal")]);
            command.args(&arguments);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            while node.count() == 0 && child.try_wait().unwrap().is_none() {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            let kill = format!("kill -{signal} {}", child.id());
            let _ = Command::new("sh").args(["-c", &kill]).status().unwrap();
            let output = child.wait_with_output().unwrap();
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(130), "{arguments:?} {signal}: {said}");
            line_with(&said, "command interrupted");
            assert_eq!(stdout(&output), "", "{arguments:?} {signal}");
            assert!(!own.path().join("block.rec").exists());
        }
    }
}

/// The configuration says which chain it is.
#[cfg(unix)]
#[test]
fn hints_for_another_chain_than_that_of_the_configuration_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(|asked| panic!("{asked:?}"));
    let key = format!("\\002{}", "\\042".repeat(31));
    let hint = format!("\\000\\000\\000\\142l2-block-header 0x{}{:016x}", "22".repeat(32), 10);
    let told = format!("printf '{hint}' >&4; head -c 1 <&3 >/dev/null");
    let program = format!("{told}; printf '{key}' >&6; head -c 9 <&5");
    let mut command = tribunal();
    without_proxy(&mut command);
    command.current_dir(&directory).args(of_own_chain("--native", &node, directory.path()));
    command.args(["--rollup-cfg", "rollup.json", "--", "sh", "-c", &program]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    line_with(&stderr(&output), "it is for chain 10, and this host serves chain 77");
    assert_eq!(node.count(), 0);
}

#[test]
fn doctor_tells_what_is_amiss() {
    let doctor = |arguments: &[&str]| {
        let mut command = tribunal();
        without_proxy(&mut command);
        command.arg("doctor").args(arguments).output().unwrap()
    };
    let plain = doctor(&[]);
    assert_eq!(plain.status.code(), Some(0), "{}{}", stdout(&plain), stderr(&plain));
    assert!(stdout(&plain).starts_with("this machine\n  "), "{}", stdout(&plain));
    line_with(&stdout(&plain), "good  rustc ");
    let mut command = tribunal();
    let bare = command.arg("doctor").env("RUSTC", "nothing").env("PATH", "").output().unwrap();
    assert_eq!(bare.status.code(), Some(0), "whoever only runs programs needs no compiler");
    line_with(&stdout(&bare), "poor  cannot run nothing: ");
    line_with(&stdout(&bare), "poor  there is no linker");

    let directory = tempfile::tempdir().unwrap();
    let good = Node::start(beacon(BlobApi::Blobs));
    let bad = Node::start(|_| Reply::Http("401 Unauthorized", "", "who are you?"));
    let program = program();
    let output = doctor(&[
        "--json",
        "--l1-beacon-address",
        &good.url,
        "--l1-node-address",
        &bad.url,
        "--data-dir",
        directory.path().join("new").to_str().unwrap(),
        "--program",
        program.to_str().unwrap(),
        "--prestate",
        &"0".repeat(64),
    ]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let lines: Vec<Value> = serde_json::from_str(&stdout(&output)).unwrap();
    let of = |subject: &str| {
        let found = lines.iter().find(|line| line["subject"].as_str().unwrap().contains(subject));
        found.unwrap_or_else(|| panic!("nothing on {subject}: {lines:?}")).clone()
    };
    assert_eq!(of(&format!("l1-beacon {}", good.url))["grade"], "good");
    let node = of(&format!("l1-node {}", bad.url));
    assert_eq!(node["grade"], "bad");
    assert!(node["text"].as_str().unwrap().contains("who are you?"), "{node}");
    assert!(node["advice"].is_string());
    let prestate = of("transactions.elf.gz");
    assert_eq!(prestate["grade"], "bad");
    assert!(prestate["text"].as_str().unwrap().contains("its state hash is 0x03"), "{prestate}");
    assert_eq!(of("data directory")["grade"], "good");
    assert!(!directory.path().join("new").exists(), "doctor makes nothing");

    let cut = directory.path().join("cut");
    let kept = store::create(&cut, StoreFormat::Database).unwrap();
    kept.put(Key::keccak256_of(b"kept"), b"kept".to_vec()).unwrap();
    drop(kept);
    let cut = cut.to_str().unwrap();
    let whole = doctor(&["--data-dir", cut]);
    assert_eq!(whole.status.code(), Some(0), "{}", stdout(&whole));
    line_with(&stdout(&whole), "good  1 preimage, whole");
    let file = std::fs::OpenOptions::new().write(true).open(format!("{cut}/preimages.redb"));
    file.unwrap().set_len(5000).unwrap();
    for output in [doctor(&["--data-dir", cut]), run_in(directory.path(), ["inspect", cut])] {
        assert_ne!(output.status.code(), Some(0));
        let said = stdout(&output) + &stderr(&output);
        line_with(&said, "preimages.redb is damaged: ");
        line_with(&said, "move it away, so that it can be made anew");
    }
    let program = program.to_str().unwrap();
    let output = run_in(directory.path(), ["exec", "--quiet", program, "--preimages", cut]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    line_with(&stderr(&output), "preimages.redb is damaged: it ends too early");
    line_with(&stderr(&output), "move it away, so that it can be made anew");

    let output = doctor(&["--l2-node-address", "ftp://x"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
