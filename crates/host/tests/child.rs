//! A host as a child process: a well-behaved one, and every kind of bad one.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};
use tribunal_host::child::{ChildHost, EndedBy, Options, ShutdownWaits};
use tribunal_host::serve::{ServerPipes, serve};
use tribunal_host::{LocalHost, PreimageStore as _, store};
use tribunal_preimage::{ChannelError, Fault, Key, Oracle as _, OracleError, WrongPreimage};

/// Nobody waits long for a host in a test.
const SHORT: ShutdownWaits = ShutdownWaits {
    before_close: Duration::ZERO,
    after_close: Duration::from_millis(50),
    after_interrupt: Duration::from_millis(50),
};

/// For hosts that end when their pipes close.
const PATIENT: ShutdownWaits = ShutdownWaits { after_close: Duration::from_secs(60), ..SHORT };

/// Ends a host that does not end with its pipes, but when it is interrupted.
fn interrupt(host: ChildHost) -> i32 {
    let waits = ShutdownWaits { after_interrupt: Duration::from_secs(60), ..SHORT };
    let end = host.shutdown(waits).unwrap();
    assert_eq!(end.by, EndedBy::Interrupt);
    end.status.code().or(end.status.signal()).unwrap()
}

/// Whether this process, and so its children, ignore SIGINT, as a shell's background jobs do.
///
/// Children of such a process can only be killed, and a shell cannot even trap the signal.
fn ignores_interrupts() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 0b10 != 0)
}

/// A host that is a shell script.
fn sh(script: &str) -> ChildHost {
    sh_with(script, Options::default())
}

fn sh_with(script: &str, options: Options) -> ChildHost {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    ChildHost::start(command, options).unwrap()
}

/// Shell words that take one preimage request.
const TAKE_KEY: &str = "head -c 32 <&5 >/dev/null";

fn preimages_json() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/guests/preimages.json")
}

/// Plays the host that [`real`] starts: this test's own executable, serving its descriptors 3 to 6.
#[test]
fn role_host() {
    let Some(path) = env::var_os("TEST_HOST_STORE") else { return };
    let host = LocalHost::new(store::open(Path::new(&path)).unwrap());
    let served = ServerPipes::inherited().and_then(|pipes| serve(&host, pipes));
    if let Err(failure) = served {
        writeln!(std::io::stderr(), "error: {failure}").unwrap();
        process::exit(3);
    }
}

fn real(options: Options) -> ChildHost {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "role_host", "--nocapture"]);
    command.env("TEST_HOST_STORE", preimages_json());
    ChildHost::start(command, options).unwrap()
}

fn host_error<T: std::fmt::Debug>(result: Result<T, OracleError>) -> String {
    match result {
        Err(OracleError::Host(story)) => story,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_real_host_serves_every_kind_and_ends_with_its_pipes() {
    let mut host = real(Options::default());
    let store = store::open(&preimages_json()).unwrap();
    let keys = host.preimage(Key::local(1)).unwrap();
    for key in keys.as_chunks::<32>().0 {
        let key = Key::from_bytes(*key);
        host.hint(format!("fetch {key}").as_bytes()).unwrap();
        assert_eq!(Some(host.preimage(key).unwrap()), store.get(key).unwrap());
    }
    host.hint(b"").unwrap();
    host.hint(&[b'x'; 1_000_000]).unwrap();
    let end = host.shutdown(ShutdownWaits::default()).unwrap();
    assert_eq!((end.status.code(), end.by), (Some(0), EndedBy::Itself));
}

#[test]
fn a_real_host_without_the_preimage_says_so_before_it_ends() {
    let mut host = real(Options::default());
    host.hint(b"l2-code 0x77").unwrap();
    let key = Key::keccak256_of(b"nobody has this");
    let story = host_error(host.preimage(key));
    assert!(story.contains("ended (exit status: 3)"), "{story}");
    assert!(story.contains(&format!("the request for {key} (keccak256)")), "{story}");
    assert!(story.contains("last hint: l2-code 0x77"), "{story}");
    assert!(story.contains("error: the host has no preimage for"), "{story}");
}

/// What the first one answered counts, and the second one is asked for the rest.
#[test]
fn a_run_goes_on_with_a_host_that_was_started_again() {
    let mut host = real(Options::default());
    let keys = host.preimage(Key::local(1)).unwrap();
    let keys: Vec<Key> = keys.as_chunks::<32>().0.iter().map(|key| Key::from_bytes(*key)).collect();
    let first = host.preimage(keys[0]).unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(host.id() as i32).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    let story = host_error(host.preimage(keys[1]));
    assert!(story.contains("ended (signal: 9"), "{story}");
    // It does not come back by itself, and its pipes are not used again.
    assert_eq!(host_error(host.preimage(keys[1])), story);
    assert_eq!(host_error(host.hint(b"hint")), story);

    let mut host = real(Options::default());
    assert_eq!(host.preimage(keys[0]).unwrap(), first);
    host.preimage(keys[1]).unwrap();
}

/// On a terminal and elsewhere: a server that nobody serves explains what it is for.
#[test]
fn a_server_without_its_descriptors_says_what_they_are() {
    let output = Command::new("sh")
        .args(["-c", "exec \"$0\" --exact role_host --nocapture 3<&- 4<&- 5<&- 6<&-"])
        .arg(env::current_exe().unwrap())
        .env("TEST_HOST_STORE", preimages_json())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3));
    assert!(said.contains("file descriptor "), "{said}");
    assert!(said.contains("as descriptors 3 to 6"), "{said}");
}

#[test]
fn a_host_that_dies_is_noticed_with_its_status_and_last_words() {
    for script in [
        "echo disk full >&2; exit 7",
        &format!("{TAKE_KEY}; echo disk full >&2; exit 7"),
        // In the middle of the length, after it, in the middle of the data.
        &format!("{TAKE_KEY}; printf '\\0\\0\\0' >&6; echo disk full >&2; exit 7"),
        &format!("{TAKE_KEY}; printf '\\0\\0\\0\\0\\0\\0\\0\\5' >&6; echo disk full >&2; exit 7"),
        &format!(
            "{TAKE_KEY}; printf '\\0\\0\\0\\0\\0\\0\\0\\5abc' >&6; echo disk full >&2; exit 7"
        ),
    ] {
        let mut host = sh(script);
        let error = host.preimage(Key::local(1)).unwrap_err();
        assert_eq!(error.fault(), Fault::Host);
        let story = host_error(Err::<(), _>(error));
        assert!(story.contains("sh ended (exit status: 7)"), "{script}: {story}");
        assert!(story.ends_with("the last it said:\n    disk full"), "{script}: {story}");
        // There is nobody to ask any more, and the reason stays.
        assert_eq!(host_error(host.preimage(Key::local(2))), story);
        assert_eq!(host_error(host.hint(b"x")), story);
        let end = host.shutdown(SHORT).unwrap();
        assert_eq!((end.status.code(), end.by), (Some(7), EndedBy::Itself));
    }
}

#[test]
fn a_host_that_dies_before_it_acknowledges_is_noticed() {
    let mut host = sh("head -c 9 <&3 >/dev/null; kill -9 $$");
    let story = host_error(host.hint(b"hello"));
    assert!(story.contains("signal: 9"), "{story}");
    assert!(story.contains("last hint: hello"), "{story}");
}

/// More than a pipe holds, to nobody: this process gets an error and no signal.
#[test]
fn writing_to_a_dead_host_is_an_error() {
    let mut host = sh("exit 0");
    let story = host_error(host.hint(&[b'x'; 1_000_000]));
    assert!(story.contains("sh ended (exit status: 0)"), "{story}");
}

/// The child of the host still has the pipes, and keeps them until we close ours.
#[test]
fn a_host_that_dies_is_noticed_even_if_its_own_child_lives() {
    let mut host = sh("cat <&3 >/dev/null & exit 6");
    let story = host_error(host.preimage(Key::local(1)));
    assert!(story.contains("sh ended (exit status: 6)"), "{story}");
}

#[test]
fn what_a_dead_host_still_said_is_heard() {
    let mut host = sh(&format!("{TAKE_KEY}; printf '\\0\\0\\0\\0\\0\\0\\0\\5hello' >&6; exit 0"));
    assert_eq!(host.preimage(Key::sha256_of(b"hello")).unwrap(), b"hello");
    host_error(host.preimage(Key::sha256_of(b"hello")));
}

#[test]
fn a_host_that_hangs_up_but_lives_is_noticed() {
    let mut host = sh("exec 3<&- 4>&- 5<&- 6>&-; exec sleep 1000");
    let story = host_error(host.preimage(Key::local(1)));
    assert!(story.contains("sh closed its pipes"), "{story}");
    host.shutdown(SHORT).unwrap();
}

#[test]
fn a_lying_host_is_caught_and_can_still_be_asked() {
    let lie = format!("{TAKE_KEY}; printf '\\0\\0\\0\\0\\0\\0\\0\\5hellO' >&6");
    let truth = format!("{TAKE_KEY}; printf '\\0\\0\\0\\0\\0\\0\\0\\5hello' >&6");
    for key in [Key::keccak256_of(b"hello"), Key::sha256_of(b"hello")] {
        let mut host = sh(&format!("{lie}; {truth}; {lie}; {lie}; cat <&5"));
        let error = host.preimage(key).unwrap_err();
        assert_eq!(error.fault(), Fault::Host);
        assert!(matches!(error, OracleError::Wrong(WrongPreimage::Hash { .. })), "{error}");
        // The value changes from one request to the next: only the right one passes.
        assert_eq!(host.preimage(key).unwrap(), b"hello");
        host.preimage(key).unwrap_err();
        let error = host.preimage(Key::blob(&[0; 48], &[0; 32])).unwrap_err();
        assert!(matches!(error, OracleError::Wrong(WrongPreimage::BlobLength { .. })), "{error}");
    }
}

#[test]
fn absurd_lengths_are_refused() {
    for (length, limit, words) in [
        ("\\200\\0\\0\\0\\0\\0\\0\\0", 256 << 20, "9223372036854775808 bytes is announced"),
        ("\\377\\377\\377\\377\\377\\377\\377\\377", 256 << 20, "the limit is 268435456"),
        ("\\0\\0\\0\\1\\0\\0\\0\\0", 256 << 20, "4294967296 bytes is announced"),
        ("\\0\\0\\0\\0\\0\\0\\0\\5", 4, "5 bytes is announced, the limit is 4"),
    ] {
        let options = Options { preimage_limit: limit, ..Options::default() };
        let mut host =
            sh_with(&format!("{TAKE_KEY}; printf '{length}hello' >&6; cat <&5"), options);
        let story = host_error(host.preimage(Key::local(1)));
        assert!(story.contains(words), "{story}");
        // What it goes on sending is no answer to anything.
        assert_eq!(host_error(host.preimage(Key::local(2))), story);
    }
}

/// With any limit, memory is only used for what arrives.
#[test]
fn a_length_that_lies_costs_no_memory() {
    let options = Options { preimage_limit: u64::MAX, ..Options::default() };
    let script = format!("{TAKE_KEY}; printf '\\200\\0\\0\\0\\0\\0\\0\\0hello' >&6; exit 0");
    let mut host = sh_with(&script, options);
    let story = host_error(host.preimage(Key::local(1)));
    assert!(story.contains("sh ended"), "{story}");
}

/// Waits until the host has said `ready`, which scripts do after what they must not do in between.
fn ready_options() -> (Options, impl Fn()) {
    let ready = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&ready);
    let stdout = Box::new(move |line: &str| {
        if line == "ready" {
            seen.store(true, Ordering::SeqCst);
        }
    });
    let wait = move || {
        while !ready.load(Ordering::SeqCst) {
            thread::yield_now();
        }
    };
    (Options { stdout, ..Options::default() }, wait)
}

#[test]
fn a_host_that_says_too_much_is_caught_before_it_is_believed() {
    for surplus in
        ["printf 'x' >&6", "printf '\\0' >&4", "printf '\\0\\0\\0\\0\\0\\0\\0\\5hello' >&6"]
    {
        let (options, wait) = ready_options();
        let mut host = sh_with(&format!("{surplus}; echo ready; cat <&5"), options);
        wait();
        let story = host_error(host.preimage(Key::local(1)));
        assert!(story.contains("sent more than it was asked for"), "{surplus}: {story}");
    }
}

#[test]
fn any_byte_acknowledges_a_hint() {
    let mut host = sh("head -c 5 <&3 >/dev/null; printf '\\007' >&4; cat <&3 >/dev/null");
    host.hint(b"x").unwrap();
}

#[test]
fn a_stalled_host_can_be_given_up() {
    // One that never answers, and one that does not even read.
    for request in [
        |host: &mut ChildHost| host.preimage(Key::local(1)).map(drop),
        |host: &mut ChildHost| host.hint(b"x"),
        |host: &mut ChildHost| host.hint(&[b'x'; 1_000_000]),
    ] {
        let cancel = Arc::new(AtomicBool::new(false));
        let options = Options { cancel: Some(Arc::clone(&cancel)), ..Options::default() };
        let mut host = sh_with("exec sleep 1000", options);
        let error = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(20));
                cancel.store(true, Ordering::Relaxed);
            });
            request(&mut host).unwrap_err()
        });
        assert_eq!(error, OracleError::Channel(ChannelError::Cancelled));
        assert_eq!(error.fault(), Fault::Caller);
        host.shutdown(SHORT).unwrap();
    }
}

/// Ctrl-C on a terminal ends the host too; that is not the host's fault.
#[test]
fn a_host_that_dies_of_the_same_interrupt_is_not_blamed() {
    let cancel = Arc::new(AtomicBool::new(true));
    let (options, wait) = ready_options();
    let options = Options { cancel: Some(cancel), ..options };
    // Its pipes are closed before we wait for anything, so its death is what we see first.
    let mut host = sh_with("exec 3<&- 4>&- 5<&- 6>&-; echo ready; exit 1", options);
    wait();
    let error = host.preimage(Key::local(1)).unwrap_err();
    assert_eq!(error, OracleError::Channel(ChannelError::Cancelled));
}

#[test]
fn a_request_may_have_a_time_limit() {
    let after = Duration::from_millis(60);
    let options = Options { request_timeout: Some(after), ..Options::default() };
    // A byte now and then does not help it.
    let script = format!("{TAKE_KEY}; while sleep 0.01; do printf '\\0' >&6 || exit; done");
    for script in ["exec sleep 1000", &script] {
        let options = Options { request_timeout: options.request_timeout, ..Options::default() };
        let mut host = sh_with(script, options);
        let story = host_error(host.preimage(Key::local(1)));
        assert!(story.contains("no answer within 60ms"), "{story}");
    }
}

#[test]
fn a_key_of_no_kind_never_reaches_the_host() {
    let mut host = real(Options::default());
    for byte in [0, 7, 129, 255] {
        let key = Key::from_bytes([byte; 32]);
        assert_eq!(host.preimage(key), Err(OracleError::InvalidKey { key }));
    }
    host.preimage(Key::local(1)).unwrap();
}

#[test]
fn a_host_ends_by_the_gentlest_means_that_work() {
    let (options, wait) = ready_options();
    let host = sh_with("trap 'exit 9' INT; echo ready; cat <&3 >/dev/null; exit 4", options);
    wait();
    let end = host.shutdown(PATIENT).unwrap();
    assert_eq!((end.status.code(), end.by), (Some(4), EndedBy::Itself));

    // This one ends before its pipes close.
    let waits = ShutdownWaits { before_close: Duration::from_secs(60), ..SHORT };
    let end = sh("exit 5").shutdown(waits).unwrap();
    assert_eq!((end.status.code(), end.by), (Some(5), EndedBy::Itself));

    if !ignores_interrupts() {
        let (options, wait) = ready_options();
        let host = sh_with("trap 'exit 9' INT; echo ready; while :; do sleep 0.01; done", options);
        wait();
        assert_eq!(interrupt(host), 9);
        assert_eq!(interrupt(sh("exec sleep 1000")), 2);
    }

    let (options, wait) = ready_options();
    let host = sh_with("trap '' INT; echo ready; exec sleep 1000", options);
    wait();
    let end = host.shutdown(SHORT).unwrap();
    assert_eq!((end.status.code(), end.by), (None, EndedBy::Kill));
}

#[test]
fn a_dropped_host_does_not_outlive_us() {
    let (options, wait) = ready_options();
    let host = sh_with("trap '' INT; echo ready; exec sleep 1000", options);
    wait();
    let pid = Pid::from_raw(host.id().try_into().unwrap()).unwrap();
    test_kill_process(pid).unwrap();
    let unwound = thread::spawn(move || {
        let _host = host;
        panic!("a bug elsewhere");
    });
    assert!(unwound.join().is_err());
    assert_eq!(test_kill_process(pid), Err(rustix::io::Errno::SRCH));
}

/// If the second child had the first one's pipes, the first would not see them close.
#[test]
fn hosts_do_not_hold_each_others_pipes() {
    let first = real(Options::default());
    let second = sh("exec sleep 1000");
    assert_eq!(first.shutdown(PATIENT).unwrap().by, EndedBy::Itself);
    drop(second);
}

type Lines = Arc<Mutex<BTreeMap<&'static str, Vec<String>>>>;

fn collect_lines() -> (Options, Lines) {
    let lines = Lines::default();
    let sink = |name| {
        let lines = Arc::clone(&lines);
        Box::new(move |line: &str| {
            lines.lock().unwrap().entry(name).or_insert_with(Vec::new).push(line.to_owned());
        })
    };
    (Options { stdout: sink("out"), stderr: sink("err"), ..Options::default() }, lines)
}

#[test]
fn output_comes_line_by_line_and_apart() {
    let (options, lines) = collect_lines();
    let host = sh_with("echo one; printf 'two\\r\\n\\nthree'; printf 'bad \\377\\n' >&2", options);
    host.shutdown(PATIENT).unwrap();
    let lines = lines.lock().unwrap();
    assert_eq!(lines["out"], ["one", "two", "", "three"]);
    assert_eq!(lines["err"], ["bad \u{fffd}"]);
}

#[test]
fn a_line_without_an_end_comes_in_pieces() {
    for (bytes, pieces) in [
        (65_536, vec![65_536]),
        (65_537, vec![65_536, 1]),
        (200_000, vec![65_536, 65_536, 65_536, 3392]),
    ] {
        let (options, lines) = collect_lines();
        let script = format!("head -c {bytes} /dev/zero; echo; echo next");
        sh_with(&script, options).shutdown(PATIENT).unwrap();
        let lines = &lines.lock().unwrap()["out"];
        let lengths: Vec<usize> = lines.iter().map(String::len).collect();
        assert_eq!(lengths[..lengths.len() - 1], pieces);
        assert_eq!(lines.last().unwrap(), "next");
    }
}

/// A host that prints more than a pipe holds is not held up by it.
#[test]
fn a_talkative_host_is_served_meanwhile() {
    let mut host = sh(&format!(
        "head -c 1000000 /dev/zero >&2; {TAKE_KEY}; printf '\\0\\0\\0\\0\\0\\0\\0\\1x' >&6; cat <&5"
    ));
    assert_eq!(host.preimage(Key::local(1)).unwrap(), b"x");
}

#[test]
fn only_the_last_words_are_repeated() {
    let mut host = sh("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i >&2; done; exit 1");
    let story = host_error(host.preimage(Key::local(1)));
    assert!(!story.contains("line 2\n"), "{story}");
    assert!(story.contains("\n    line 3\n"), "{story}");
    assert!(story.ends_with("\n    line 12"), "{story}");
}

/// Whoever takes the lines may be slower than the host is at dying.
#[test]
fn all_of_the_last_words_are_waited_for() {
    let stderr = Box::new(|_: &str| thread::sleep(Duration::from_millis(20)));
    let options = Options { stderr, ..Options::default() };
    let mut host = sh_with("for i in 1 2 3 4 5; do echo line $i >&2; done; exit 1", options);
    let story = host_error(host.preimage(Key::local(1)));
    assert!(story.ends_with("\n    line 5"), "{story}");
}

#[test]
fn a_host_is_asked_not_to_use_colours_unless_told_otherwise() {
    let environment = |set: Option<&str>| {
        let (options, lines) = collect_lines();
        let mut command = Command::new("sh");
        command.args(["-c", "echo \"$NO_COLOR\"; cat"]);
        match set {
            Some(value) => command.env("NO_COLOR", value),
            None => &mut command,
        };
        let host = ChildHost::start(command, options).unwrap();
        host.shutdown(PATIENT).unwrap();
        // `cat` has ended too: there is nothing on its standard input.
        lines.lock().unwrap()["out"].clone()
    };
    assert_eq!(environment(None), [env::var("NO_COLOR").unwrap_or("1".into())]);
    assert_eq!(environment(Some("")), [""]);
}

#[test]
fn a_host_that_cannot_be_started_is_named() {
    let start = |program: &Path| {
        ChildHost::start(Command::new(program), Options::default()).unwrap_err().to_string()
    };
    let error = start(Path::new("/nonexistent/kona-host"));
    assert!(error.contains("\"/nonexistent/kona-host\": No such file"), "{error}");
    assert!(error.contains("is installed"), "{error}");
    let error = start(&preimages_json());
    assert!(error.contains("is it executable?"), "{error}");
}
