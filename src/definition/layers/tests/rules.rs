//! Rules between definitions, and what is valid but refused.

use super::{GOOD, World, port};
use crate::definition::refusals;
use crate::report::error::{Code, Place};

#[test]
fn rules_between_definitions() {
    let aliases = |names: &str| port("").replace("port = 80", &format!("port = 80\naliases = [{names}]"));
    let variable = |value: &str| format!("{}[harness.env]\nURL = '{value}'\n", port(""));
    let published = |ports: &str| port("").replace("port = 80", &format!("port = 80\npublish = [{ports}]"));
    let probe = |dial: &str| {
        format!(
            "{}[readiness]\nprobe = 'mine'\nsha256 = '{}'\ngrants.dial = ['{dial}']\n",
            port(""),
            "0".repeat(64)
        )
    };
    let none = "lifecycle = 'shared'\nimage = 'x'\ninterface = { kind = 'none' }\nreadiness.probe = 'skip'\n";
    let plain = port("");
    type Case<'a> = (&'a [(&'a str, &'a str)], Code, &'a str, &'a str);
    let cases: &[Case] = &[
        (&[("user/a b.toml", none), ("user/a!b.toml", none)], Code::NameCollision, "a-b", "Rename"),
        (
            &[("user/pg-main.toml", &plain), ("user/pg.main.toml", &plain)],
            Code::NameCollision,
            "PG_MAIN",
            "Rename",
        ),
        (
            &[
                ("user/a.toml", &published("'5432:80'")),
                ("org/b.toml", &published("'127.0.0.1:5430-5432:1-3'")),
            ],
            Code::ConflictingFields,
            "port 5432 on this host",
            "free port",
        ),
        (
            &[("user/a.toml", &variable("{host}")), ("org/b.toml", &variable("elsewhere"))],
            Code::ConflictingFields,
            "set the harness's variable `URL` to different values",
            "",
        ),
        (&[("user/---.toml", none)], Code::InvalidValue, "container", "Rename"),
        (&[("user/a b.toml", &plain)], Code::InvalidValue, "host name", "Rename"),
        (&[("user/größe.toml", &plain)], Code::InvalidValue, "host name", "Rename"),
        (
            &[("user/a.toml", &aliases("'x'")), ("org/b.toml", &aliases("'X'"))],
            Code::NameCollision,
            "answer",
            "alias",
        ),
        (&[("user/a.toml", &aliases("'b'")), ("org/b.toml", &plain)], Code::NameCollision, "answer", "alias"),
        (&[("user/a.toml", &probe("nobody:80"))], Code::InvalidValue, "not a sidecar", "`a`"),
        (&[("user/a.toml", &probe("localhost:80"))], Code::InvalidValue, "not a sidecar", "`a`"),
        (
            &[("ws/.farrier/sidecars/a.toml", &probe("b:80")), ("user/b.toml", &plain)],
            Code::InvalidValue,
            "of the workspace",
            "workspace sidecars only",
        ),
        (
            &[("ws/.farrier/sidecars/a.toml", &aliases("'pypi.org'"))],
            Code::InvalidValue,
            "pypi.org",
            ".internal",
        ),
        (&[("ws/.farrier/sidecars/pypi.org.toml", &plain)], Code::InvalidValue, "pypi.org", ".internal"),
        (
            &[("ws/.farrier/sidecars/a.toml", &aliases("'Metadata.Google.Internal'"))],
            Code::InvalidValue,
            "by itself",
            ".test",
        ),
        (&[("ws/.farrier/sidecars/wpad.toml", &plain)], Code::InvalidValue, "by itself", "Rename the file"),
        (&[("ws/.farrier/sidecars/Proxy.toml", &plain)], Code::InvalidValue, "by itself", "Rename the file"),
    ];
    for (files, code, message, hint) in cases {
        let problems = World::new(files).load().problems;
        let found = problems.iter().any(|problem| {
            problem.code == *code
                && problem.message.contains(message)
                && problem.hints.iter().any(|one| one.contains(hint))
        });
        assert!(found, "{files:?}\n{problems:#?}");
    }
    let fine = World::new(&[
        ("user/a.toml", &aliases("'x', 'x', 'a', 'pypi.org', 'host.docker.internal'")),
        ("user/my_db.toml", &probe("a:80")),
        ("user/a-b.toml", none),
        ("user/a.b.toml", none),
        ("ws/.farrier/sidecars/metadata.toml", none),
        ("ws/.farrier/sidecars/c.toml", &aliases("'c.test', 'C.internal', 'label'")),
    ]);
    assert_eq!(fine.load().problems, []);
}

#[test]
fn refusals_of_what_is_valid() {
    let session = "lifecycle: session\nimage: a\nmounts: [workspace:rw]\nenv:\n  T: \"x ${secret:op:v/i:f}\"\n\
                   interface:\n  kind: mcp\n  name: gh\n  port: 80\n";
    let socket = |image: &str| {
        format!(
            "lifecycle: shared\nimage: {image}\nmounts: [docker-socket]\ninterface: {{kind: port, port: 80}}\n"
        )
    };
    let world = World::new(&[
        ("user/session.yaml", session),
        (
            "user/volume.yaml",
            "lifecycle: shared\nimage: a\ninterface: {kind: volume, volume: v, mountpoint: /v}\n\
                              readiness: {mode: none}\n",
        ),
        (
            "user/mounts.yaml",
            "lifecycle: shared\nimage: a\nmounts: [docker-socket, workspace:/w, 'volume:v:/v', \
                              tmux-socket]\nresources: {gpus: all}\ninterface: {kind: port, port: 80}\n",
        ),
        (
            "user/secret.yaml",
            "lifecycle: shared\nimage: \"${secret:op:image}\"\ninterface: {kind: port, port: 80}\n\
                              zzzzz: ['${secret:a:b}']\n",
        ),
        ("ws/.farrier/sidecars/mine.toml", GOOD),
        ("ws/.farrier/sidecars/pinned.yaml", &socket(&format!("a@sha256:{}", "a".repeat(64)))),
        ("ws/.farrier/sidecars/unpinned.yaml", &socket("a:1")),
    ]);
    let loaded = world.load();
    assert!(loaded.problems.iter().all(|problem| !problem.is_error()), "{:#?}", loaded.problems);
    let refused = refusals(&loaded.definitions);
    let found: Vec<_> = refused
        .iter()
        .map(|problem| {
            let at = problem.place.as_ref().and_then(Place::line_column);
            (problem.sidecar.as_deref().unwrap_or_default(), problem.code, at)
        })
        .collect();
    assert_eq!(
        found,
        [
            ("mounts", Code::UnsupportedMount, Some((3, 25))),
            ("mounts", Code::UnsupportedMount, Some((3, 54))),
            ("secret", Code::UnsupportedSecret, Some((2, 8))),
            ("secret", Code::UnsupportedSecret, Some((4, 9))),
            ("session", Code::UnsupportedInterface, Some((7, 9))),
            ("session", Code::UnsupportedSecret, Some((5, 6))),
            ("unpinned", Code::UnsupportedMount, Some((2, 8))),
            ("volume", Code::UnsupportedInterface, Some((3, 19))),
        ]
    );
    assert!(refused.iter().all(|problem| problem.is_error() && !problem.hints.is_empty()));
}
