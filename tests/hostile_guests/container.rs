//! Commands and logs of the container.

use std::collections::BTreeMap;
use std::sync::Arc;

use farrier::engine::docker::Docker;
use farrier::engine::docker::api::ContainerSpec;
use farrier::engine::docker::double::{Double, DoubleImage, Run};
use farrier::probe::context::{ProbeContext, Subject};
use farrier::probe::executions::Executions;
use serde_json::json;

use super::attempt::Expected::{Crashed, Failed, Pending, Told};
use super::attempt::{Attempt, Guest};

/// A container of an engine in memory, whose commands never end or never stop to write.
fn subject() -> Subject {
    let engine = Double::new();
    let found = engine.change(|world| {
        world.add_image(
            "image",
            DoubleImage::new(|arguments| match arguments {
                [one] if one == "floods" => Run { stdout: vec![b'x'; 8 << 20], ..Run::exit(0) },
                _ => Run::forever(),
            }),
        );
        world.create_network("net", &BTreeMap::new());
        for name in ["other", "own"] {
            let own = || name.to_owned();
            let spec = ContainerSpec {
                name: own(),
                image: "image".to_owned(),
                network: "net".to_owned(),
                ..ContainerSpec::default()
            };
            let created = world.create(&spec).and_then(|_| world.start_now(name));
            created.expect("it starts");
            world.log(name, &format!("a secret of {name}, before"));
        }
        world.restart("own");
        for _ in 0..3_000 {
            world.log("own", &"a line ".repeat(20));
        }
        world.container("own").expect("it is there").instance()
    });
    Subject {
        engine: Arc::new(Docker::over(Arc::new(engine), true)),
        log_start: found.log_start(),
        instance: found.id,
        log: Arc::default(),
        executions: Arc::new(Executions::default()),
    }
}

pub fn attempts() -> Vec<Attempt> {
    let commands = [["floods", ""], ["sleep", "1"]]
        .map(|words| words.iter().filter(|word| !word.is_empty()).map(|word| (*word).to_owned()).collect());
    let probe_context =
        || ProbeContext { subject: Some(subject()), commands: commands.to_vec(), ..ProbeContext::default() };
    let guest = Guest::hostile(probe_context(), None);
    let refused = |name: &str, argv: &[&str]| {
        guest.tries(name, &json!({"try": "exec", "with": argv}), Failed("not granted"))
    };
    let bare = Guest::hostile(ProbeContext { subject: Some(subject()), ..ProbeContext::default() }, None);
    vec![
        refused("another command", &["sh", "-c", "id"]),
        refused("a granted command with one argument more", &["sleep", "1", "2"]),
        refused("a granted command with one less", &["sleep"]),
        refused("a granted command in one word", &["sleep 1"]),
        refused("a granted command in other case", &["SLEEP", "1"]),
        refused("a granted command by a path", &["/bin/sleep", "1"]),
        refused("a granted command with a zero byte", &["sleep\0", "1"]),
        refused("a granted argument with a zero byte", &["sleep", "1\0-f"]),
        refused("no words at all", &[]),
        refused("empty words", &["", ""]),
        refused("control characters", &["\u{1b}[2J\u{202e}"]),
        bare.tries(
            "any command without a grant",
            &json!({"try": "exec", "with": ["floods"]}),
            Failed("not granted"),
        ),
        guest.tries("a word of 500 KB", &json!({"try": "exec-long", "with": 500_000}), Failed("not granted")),
        guest
            .tries(
                "a word of 10 MB",
                &json!({"try": "exec-long", "with": 10_000_000}),
                Crashed("too much data"),
            )
            .memory(64 << 20),
        guest.tries("a million words", &json!({"try": "exec-many", "with": 1_000_000}), Crashed("")),
        guest.tries(
            "a command that floods",
            &json!({"try": "exec", "with": ["floods"]}),
            Pending("65536 + 0 bytes, truncated: true"),
        ),
        Guest::hostile(probe_context(), None).tries(
            "a command that never ends",
            &json!({"try": "exec", "with": ["sleep", "1"]}),
            Told,
        ),
        guest.tries("all of the log", &json!({"try": "logs", "with": u32::MAX}), Pending("1000 lines")),
        guest.tries(
            "a page of the log",
            &json!({"try": "log-from", "with": 0}),
            Pending("1873 lines, 262220 bytes"),
        ),
        guest.tries(
            "a line beyond the log",
            &json!({"try": "log-from", "with": u64::MAX}),
            Pending("0 lines"),
        ),
        guest.tries(
            "all of the log, again and again",
            &json!({"try": "log-all", "with": 3}),
            Pending("9000 lines"),
        ),
        bare.tries(
            "what may be kept",
            &json!({"try": "keep", "with": 64 << 10}),
            Pending("kept 65536 bytes"),
        ),
        bare.tries("a byte more", &json!({"try": "keep", "with": (64 << 10) + 1}), Pending("64 KiB")),
        bare.tries("far more", &json!({"try": "keep", "with": 2 << 20}), Crashed("too much data")),
        guest.tries("a log of no lines", &json!({"try": "logs", "with": 0}), Pending("0 lines")),
    ]
}
