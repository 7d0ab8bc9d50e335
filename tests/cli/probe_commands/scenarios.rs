//! `farrier probe test`, and `farrier probe check --record`, which writes what it plays.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, mkfifoat};

use super::*;
use crate::support::{PATIENT, Signal, wait_until};

/// No test waits as long as the scenarios that it plays.
const REAL: Duration = Duration::from_mins(1);

fn write(scene: &Scene, name: &str, text: &str) -> PathBuf {
    let path = scene.workspace().join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(&path, text).expect("a scenario");
    path
}

/// Plays one scenario for a probe.
fn play(scene: &Scene, probe: &str, text: &str) -> Outcome {
    write(scene, "it.toml", text);
    farrier(scene, &["probe", "test", probe, "it.toml"]).output()
}

const LOADING: &str = r#"
sidecar = "cache"
port = 6379

[readiness]
timeout = "15m"

[[poll]]
expect = "pending"
reason = "connection refused"

[[poll.dial]]
result = "refused"

[[poll]]
at = "1s"
times = 600
every = "1s"
expect = "pending"
reason = "LOADING Redis is loading the dataset in memory"

[[poll.dial]]
steps = [
  { expects = "*1\r\n$4\r\nPING\r\n" },
  { waits = "100ms" },
  { sends = "-LOADING Redis is loading the dataset in memory\r\n" },
]

[[poll]]
at = "10m 1s"
expect = "ready"

[[poll.dial]]
steps = [
  { expects = "*1\r\n$4\r\nPING\r\n" },
  { sends = "+PO" },
  { sends = "NG\r\n" },
  { expects = "*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n" },
  { sends = "$13\r\nrole:master\r\n\r\n" },
]
"#;

#[test]
fn ten_minutes_pass_without_waiting() {
    let scene = Scene::new();
    let begun = Instant::now();
    let outcome = play(&scene, "redis", LOADING).assert_code(0);
    assert!(begun.elapsed() < REAL, "{outcome}");
    assert!(outcome.stdout().starts_with("it.toml: passed, 602 polls, 10m 1s by its clock\n"), "{outcome}");
    assert!(outcome.stdout().contains("1 scenario, 0 failed, in "), "{outcome}");
    let report = farrier(&scene, &["probe", "test", "redis", "it.toml", "--format", "json"]);
    let report = json(&report.output().assert_code(0));
    assert_eq!(report["passed"], true);
    assert_eq!(report["scenarios"][0]["polls"].as_array().map(Vec::len), Some(602));
    assert_eq!(report["scenarios"][0]["polls"][601]["at_ms"], 601_000.0);
}

#[test]
fn a_probe_that_does_something_else_is_told_with_poll_expected_and_seen() {
    let scene = Scene::new();
    for (from, to, poll, words) in [
        (
            "reason = \"connection refused\"",
            "reason = \"nobody\"",
            "poll 1",
            "expected `pending: nobody`, but the probe answered `pending: connection refused`",
        ),
        (
            "expect = \"ready\"",
            "expect = \"failed\"",
            "poll 602",
            "expected `failed`, but the probe answered `ready`",
        ),
        (
            "{ expects = \"*2\\r\\n$4\\r\\nINFO",
            "{ expects = \"*2\\r\\n$4\\r\\nINFX",
            "poll 602",
            "connection 1 to cache:6379: expected `*2\\r\\n$4\\r\\nINFX\\r\\n$11\\r\\nreplication\\r\\n`, but the probe sent \
             `*2\\r\\n$4\\r\\nINFO\\r\\n$11\\r\\nreplication\\r\\n`",
        ),
        (
            "  { sends = \"+PO\" },",
            "  { sends = \"+PONG\\r\\n\" }, { expects = \"QUIT\" },",
            "poll 602",
            "expected `QUIT`, but the probe sent",
        ),
        ("result = \"refused\"", "result = \"timed-out\"", "poll 1", "but the probe answered `pending: "),
        (
            "reason = \"connection refused\"",
            "retry_after = \"1s\"",
            "poll 1",
            "(`retry_after`): 1s, but it asked for nothing",
        ),
        (
            "reason = \"connection refused\"",
            "took = \"1s\"",
            "poll 1",
            "expected the poll to take 1s, but it took 0s",
        ),
        (
            "timeout = \"15m\"",
            "timeout = \"5m\"",
            "poll 301",
            "a launch would not poll again: the wait was over at 5m",
        ),
        ("every = \"1s\"", "every = \"20ms\"", "poll 3", "the one before ended at 1s 100ms"),
        ("times = 600", "times = 2", "", ""),
        (
            "[[poll.dial]]\nresult = \"refused\"\n",
            "",
            "poll 1",
            "the probe dialled cache:6379 once more than the scenario says",
        ),
        (
            "[[poll.dial]]\nresult = \"refused\"\n",
            "[[poll.dial]]\nresult = \"refused\"\n[[poll.dial]]\nresult = \"refused\"\n",
            "poll 1",
            "expected the probe to dial cache:6379 2 times, but it dialled it once",
        ),
    ] {
        let text = LOADING.replacen(from, to, 1);
        assert_ne!(text, LOADING, "{from}");
        let outcome = play(&scene, "redis", &text);
        if words.is_empty() {
            outcome.assert_code(0);
            continue;
        }
        let outcome = outcome.assert_code(1);
        let told = outcome.stderr();
        assert!(told.contains("[scenario-failed]") && told.contains(words), "{to}: {outcome}");
        assert!(told.contains(&format!("[scenario-failed]: {poll}: ")), "{to}: {outcome}");
        assert!(told.contains("help: Correct the probe, or the scenario"), "{to}: {outcome}");
        assert!(outcome.stdout().contains("1 scenario, 1 failed"), "{to}: {outcome}");
    }
}

#[test]
fn a_report_reads_like_this() {
    let scene = Scene::new();
    let text = "port = 80\n\n[[poll]]\nexpect = \"ready\"\n\n[[poll.dial]]\nresult = \"refused\"\n";
    let outcome = play(&scene, "tcp", text);
    insta::with_settings!({filters => vec![(r"\d+\.\d+ ms", "[TIME]")]}, {
        insta::assert_snapshot!(outcome.to_string(), @r"
        exit code 1
        --- stdout
        it.toml: FAILED, 1 poll, 0s by its clock
          poll 1 at 0s, after 0s: `pending: connection refused`
        1 scenario, 1 failed, in [TIME]
        --- stderr
        error[scenario-failed]: poll 1: expected `ready`, but the probe answered `pending: connection refused`
         --> it.toml:3:1
          |
        3 | [[poll]]
          | ^^^^^^^^
          |
          = help: Correct the probe, or the scenario if the probe does what you want.
        ");
    });
}

#[test]
fn a_launch_would_not_poll_after_the_end() {
    let scene = Scene::new();
    for (verdict, guest) in [("ready", guest::READY), ("crashed", guest::TRAP)] {
        fs::write(scene.workspace().join("mine.wasm"), component(&guest_of(guest))).expect("a file");
        let poll = format!("[[poll]]\nexpect = \"{verdict}\"\n");
        play(&scene, "./mine.wasm", &poll).assert_code(0);
        let outcome = play(&scene, "./mine.wasm", &poll.repeat(2)).assert_code(1);
        assert!(outcome.stderr().contains("poll 2: a launch would not poll again: the probe "), "{outcome}");
    }
    // As often in a row as the scenario says, and as far apart.
    fs::write(scene.workspace().join("mine.wasm"), component(&guest_of(guest::READY))).expect("a file");
    let twice = "[readiness]\nsuccesses = 2\ninterval = \"3s\"\n[[poll]]\nexpect = \"ready\"\n[[poll]]\nexpect = \"ready\"\n";
    let outcome = play(&scene, "./mine.wasm", twice).assert_code(0);
    assert!(outcome.stdout().contains("passed, 2 polls, 3s by its clock"), "{outcome}");
    // A probe that asks for time gets it, up to `max_timeout`.
    fs::write(scene.workspace().join("mine.wasm"), component(&guest_of(guest::MORE_TIME))).expect("a file");
    let poll = |at: &str| format!("[[poll]]\nat = \"{at}\"\nexpect = \"pending\"\nextend = \"1m\"\n");
    let text = |at: &str| {
        format!("[readiness]\ntimeout = \"10s\"\nmax_timeout = \"90s\"\n{}{}", poll("9s"), poll(at))
    };
    play(&scene, "./mine.wasm", &text("68s")).assert_code(0);
    let outcome = play(&scene, "./mine.wasm", &text("70s")).assert_code(1);
    assert!(outcome.stderr().contains("the wait was over at 1m 9s"), "{outcome}");
}

fn guest_of(check: &str) -> String {
    guest::guest(check)
}

#[test]
fn health_commands_and_logs_are_played() {
    let scene = Scene::new();
    let health = "[[poll]]\nhealth = \"starting\"\nhealth_test = { exit_code = 1, output = \"not yet\" }\n\
                  expect = \"pending\"\n[[poll]]\nhealth = \"healthy\"\nexpect = \"ready\"\n";
    play(&scene, "healthcheck", health).assert_code(0);
    let exec = |second: &str| {
        format!(
            "[readiness]\ncommand = [\"pg_isready\"]\n[[poll]]\nexpect = \"pending\"\n[[poll.exec]]\n\
             argv = [\"pg_isready\"]\nexit_code = 2\nstdout = \"no response\"\ntakes = \"3s\"\ntook = \"3s\"\n\
             [[poll]]\nexpect = \"ready\"\n[[poll.exec]]\nargv = [\"{second}\"]\n"
        )
        .replace("takes = \"3s\"\ntook = \"3s\"\n", "takes = \"3s\"\n")
    };
    play(&scene, "exec", &exec("pg_isready")).assert_code(0);
    let outcome = play(&scene, "exec", &exec("psql")).assert_code(1);
    assert!(
        outcome.stderr().contains("the probe ran [\"pg_isready\"] once more than the scenario says"),
        "{outcome}"
    );
    let log = "[readiness]\nsettings = { pattern = \"ready to accept\" }\n[[poll]]\nlog = [\"starting\"]\nexpect = \"pending\"\n\
               [[poll]]\nlog = [\"database is ready to accept connections\"]\nexpect = \"ready\"\n";
    play(&scene, "log", log).assert_code(0);
}

#[test]
fn mistakes_are_told_all_at_once_before_anything_is_played() {
    let scene = Scene::new();
    write(&scene, "scenarios/a.toml", "prot = 80\n[[poll]]\nexpect = \"ready\"\n");
    write(
        &scene,
        "scenarios/b.toml",
        "[readiness]\nsettings = { passwort = \"x\" }\n[[poll]]\nexpect = \"ready\"\n",
    );
    write(&scene, "scenarios/notes.txt", "not a scenario");
    let outcome =
        farrier(&scene, &["probe", "test", "redis", "scenarios", "absent.toml"]).output().assert_code(2);
    for words in [
        "`prot` is not a key of a scenario",
        "Did you mean `port`?",
        "a.toml:1:1",
        "settings.passwort: unknown field `passwort`",
        "the scenario cannot be read: No such file",
    ] {
        assert!(outcome.stderr().contains(words), "{words}: {outcome}");
    }
    assert_eq!(outcome.stdout(), "");
    let outcome = farrier(&scene, &["probe", "test", "redis"]).output().assert_code(2);
    assert!(outcome.stderr().contains("the command names no scenario"), "{outcome}");
    fs::write(scene.workspace().join("logs.wasm"), component(&with_imports(guest::LOGS, guest::READY, "")))
        .expect("a file");
    let outcome = play(&scene, "./logs.wasm", "[[poll]]\nexpect = \"ready\"\n").assert_code(2);
    assert!(outcome.stderr().contains("[probe-not-granted]"), "{outcome}");
    play(&scene, "./logs.wasm", "[readiness]\ngrants = { logs = true }\n[[poll]]\nexpect = \"ready\"\n")
        .assert_code(0);
    // Those beside a component are found.
    fs::remove_dir_all(scene.workspace().join("scenarios")).expect("the folder");
    let outcome = farrier(&scene, &["probe", "test", "./logs.wasm"]).output().assert_code(2);
    assert!(outcome.stderr().contains("there is no scenario in `./scenarios`"), "{outcome}");
    write(
        &scene,
        "scenarios/ready.toml",
        "[readiness]\ngrants = { logs = true }\n[[poll]]\nexpect = \"ready\"\n",
    );
    farrier(&scene, &["probe", "test", "./logs.wasm"]).output().assert_code(0);
}

#[test]
fn what_is_recorded_plays_without_the_server() {
    let scene = Scene::new();
    let address = server(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nwait");
    let file = scene.workspace().join("recorded.toml");
    let words = ["probe", "check", "http", "--target", &address, "--settings", "{\"path\":\"/health\"}"];
    let outcome = farrier(&scene, &words).args(["--record", "recorded.toml"]).output().assert_code(1);
    assert!(outcome.stdout().contains("recorded in recorded.toml, which contains everything"), "{outcome}");
    assert!(outcome.stdout().contains("passwords included"), "{outcome}");
    let mode = fs::metadata(&file).expect("the recording").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&file).expect("the recording");
    for words in
        ["GET /health HTTP/1.1", "503 Service Unavailable", "expect = \"pending\"", "passwords included"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let played = farrier(&scene, &["probe", "test", "http", "recorded.toml"]).output().assert_code(0);
    assert!(played.stdout().contains("passed, 1 poll"), "{played}");
    // Another probe, or the same with other settings, does something else.
    let other = text.replace("/health", "/other").replacen("/other HTTP", "/health HTTP", 1);
    let outcome = play(&scene, "http", &other).assert_code(1);
    assert!(outcome.stderr().contains("GET /other HTTP"), "{outcome}");
    // Watched, with the wait's own terms; an existing file is replaced.
    let closed = ClosedPort::new();
    let target = format!("127.0.0.1:{}", closed.number());
    let words = ["probe", "check", "tcp", "--watch", "--timeout", "600ms", "--target", &target];
    farrier(&scene, &words).args(["--record", "recorded.toml"]).output().assert_code(1);
    let text = fs::read_to_string(&file).expect("the recording");
    assert!(text.contains("timeout = \"600ms\"") && text.contains("result = \"refused\""), "{text}");
    farrier(&scene, &["probe", "test", "tcp", "recorded.toml"]).output().assert_code(0);
    let outcome = farrier(&scene, &words).args(["--record", "absent/recorded.toml"]).output().assert_code(2);
    assert!(outcome.stderr().contains("cannot write `absent/recorded.toml`"), "{outcome}");
}

#[test]
fn commands_run_on_this_host_only_if_asked() {
    let scene = Scene::new();
    let grant = "exec=[\"sh\",\"-c\",\"echo no; exit 3\"]";
    let words = ["probe", "check", "exec", "--target", "localhost:1", "--grant", grant];
    let outcome = farrier(&scene, &words).output().assert_code(1);
    assert!(outcome.stdout().contains("on this host with `--run-commands`"), "{outcome}");
    let outcome =
        farrier(&scene, &words).args(["--run-commands", "--record", "recorded.toml"]).output().assert_code(1);
    assert!(outcome.stdout().contains("exited with code 3") || outcome.stdout().contains('3'), "{outcome}");
    let text = fs::read_to_string(scene.workspace().join("recorded.toml")).expect("the recording");
    assert!(text.contains("exit_code = 3") && text.contains("stdout = \"no\\n\""), "{text}");
    farrier(&scene, &["probe", "test", "exec", "recorded.toml"]).output().assert_code(0);
}

#[test]
fn traces_are_kept_of_the_newest_polls_only() {
    let scene = Scene::new();
    let scenario = "port = 80\n[[poll]]\ntimes = 150\nevery = '100ms'\nexpect = 'pending'\n[[poll.dial]]\nresult = 'refused'\n";
    write(&scene, "it.toml", scenario);
    let words = ["probe", "test", "tcp", "it.toml", "--format", "json"];
    let played = farrier(&scene, &words).output().assert_code(0);
    let played: serde_json::Value = serde_json::from_str(&played.stdout()).expect("JSON");
    let polls = played["scenarios"][0]["polls"].as_array().expect("polls");
    let kept: Vec<bool> = polls.iter().map(|poll| poll["trace"].is_array()).collect();
    assert_eq!(kept, [vec![false; 50], vec![true; 100]].concat());
}

#[test]
fn links_in_a_folder_of_scenarios_show_nothing() {
    let scene = Scene::new();
    let here = scene.workspace();
    write(&scene, "elsewhere/secret.toml", "hunter2 = [");
    fs::create_dir(here.join("found")).expect("a folder");
    symlink(here.join("elsewhere/secret.toml"), here.join("found/it.toml")).expect("a link");
    symlink(here.join("elsewhere"), here.join("linked")).expect("a link");
    for (folder, text) in [
        ("found", "it is a link"),
        ("linked", "it is a link"),
        ("linked/", "it is a link"),
        ("linked/.", "it is a link"),
    ] {
        let outcome = farrier(&scene, &["probe", "test", "tcp", folder]).output().assert_code(2);
        assert!(outcome.stderr().contains(text) && !outcome.stderr().contains("hunter2"), "{outcome}");
    }
    // Who names a file, means it.
    let outcome = farrier(&scene, &["probe", "test", "tcp", "found/it.toml"]).output().assert_code(2);
    assert!(outcome.stderr().contains("hunter2"), "{outcome}");
}

#[test]
fn files_of_grants_are_regular_and_bounded() {
    let scene = Scene::new();
    fs::write(scene.workspace().join("large.pem"), vec![b'x'; (1 << 20) + 1]).expect("a file");
    mkfifoat(CWD, scene.workspace().join("pipe.pem"), Mode::RUSR).expect("a pipe");
    for (file, why) in [
        ("/dev/zero", "it is not a regular file"),
        ("pipe.pem", "it is not a regular file"),
        ("large.pem", "it is larger than 1 MiB"),
    ] {
        let grant = format!("tls={file}");
        let words = ["probe", "check", "http", "--target", "localhost:1", "--grant", &grant];
        let outcome = farrier(&scene, &words).output().assert_code(2);
        assert!(outcome.stderr().contains(why), "{outcome}");
    }
}

#[test]
fn what_a_scenario_cannot_contain_is_not_recorded() {
    let scene = Scene::new();
    let words = ["probe", "check", "tcp", "--target", "localhost:1", "--record", "recorded.toml"];
    for grant in ["dial=127.0.0.1:6380", "exec=[\"sh\",\"\"]"] {
        let outcome = farrier(&scene, &words).args(["--grant", grant]).output().assert_code(2);
        assert!(
            outcome.stderr().contains("error[scenario-unreadable]: this cannot be recorded"),
            "{outcome}"
        );
        assert!(!outcome.stdout().contains("poll 1"), "it says so at once: {outcome}");
        assert!(!scene.workspace().join("recorded.toml").exists());
    }
}

#[test]
fn a_signal_ends_a_command_that_a_probe_runs_on_this_host() {
    let scene = Scene::new();
    let begun = scene.workspace().join("begun");
    let script = format!("echo $$ > {}; exec sleep 1000", begun.display());
    let grant = format!("exec={}", serde_json::json!(["sh", "-c", script]));
    let words = ["probe", "check", "exec", "--target", "localhost:1", "--run-commands", "--poll", "10m"];
    let checking = farrier(&scene, &words).args(["--grant", &grant]).spawn();
    let process = || fs::read_to_string(&begun).ok().and_then(|text| text.trim().parse::<u32>().ok());
    wait_until("the command runs", PATIENT, || process().is_some());
    checking.signal(Signal::INT);
    let outcome = checking.wait().assert_code(130);
    assert!(outcome.stderr().contains("stopped by SIGINT"), "{outcome}");
    let command = PathBuf::from(format!("/proc/{}/cmdline", process().expect("a process")));
    let runs = || fs::read(&command).is_ok_and(|words| words.starts_with(b"sleep"));
    wait_until("the command has ended", PATIENT, || !runs());
}

#[test]
fn the_scenarios_of_the_built_in_probes_pass() {
    let scene = Scene::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("probes");
    for probe in farrier::definition::BUILT_IN.iter().filter(|probe| **probe != "skip") {
        let folder = root.join(probe).join("scenarios");
        let outcome = farrier(&scene, &["probe", "test", probe]).arg(&folder).output().assert_code(0);
        assert!(outcome.stdout().contains(" 0 failed"), "{probe}: {outcome}");
    }
}

#[test]
fn a_hostile_scenario_or_guest_is_ended() {
    let scene = Scene::new();
    let here = scene.workspace();
    let ends = |probe: &str, text: &str, code: u8, words: &str| {
        let begun = Instant::now();
        let outcome = play(&scene, probe, text).assert_code(code.into());
        assert!(begun.elapsed() < REAL, "{outcome}");
        assert!(outcome.stderr().contains(words), "{words}: {outcome}");
    };
    let polls = "[[poll]]\nexpect = \"ready\"\n";
    ends("tcp", &polls.repeat(50_000), 2, "larger than 1 MiB");
    ends("tcp", &polls.repeat(20_000), 2, "the scenario has 20000 polls, and may have 10000");
    ends(
        "tcp",
        &format!("seed = {}{}\n{polls}", "[".repeat(400_000), "]".repeat(400_000)),
        2,
        "not valid TOML",
    );
    ends("tcp", &format!("{polls}times = 10000000000\n"), 2, "from 1 to 10000");
    // Ten thousand polls, each of which waits for its whole limit.
    let waits = "port = 1\n[readiness]\ntimeout = \"24h\"\n[[poll]]\ntimes = 10000\nexpect = \"pending\"\n[[poll.dial]]\n\
                 steps = [{ expects = \"*1\\r\\n$4\\r\\nPING\\r\\n\" }, { stalls = true }]\n";
    ends("redis", waits, 0, "");
    rustix::fs::mkfifoat(rustix::fs::CWD, here.join("pipe.toml"), rustix::fs::Mode::RUSR).expect("a pipe");
    let outcome = farrier(&scene, &["probe", "test", "tcp", "pipe.toml"]).output().assert_code(2);
    assert!(outcome.stderr().contains("not a regular file"), "{outcome}");
    let outcome = farrier(&scene, &["probe", "test", "tcp", "/dev/zero"]).output().assert_code(2);
    assert!(outcome.stderr().contains("not a regular file"), "{outcome}");
    // On a clock that stands still, a guest that never answers is ended by the real one.
    fs::write(here.join("mine.wasm"), component(&guest_of(guest::SPIN))).expect("a file");
    ends("./mine.wasm", polls, 1, "but the probe answered `timed-out`");
}
