//! Argument lists and what is read from them, as tables.

mod networks;
mod refusals;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::{Additions, Client, Connection, Harness, NetworkMode, Verb, parse};
use crate::report::error::Problem;

/// Words at spaces; `''` is an empty one.
fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(|word| OsString::from(if word == "''" { "" } else { word })).collect()
}

fn parse_line(line: &str) -> Result<Harness, Problem> {
    parse(&words(line))
}

fn text(value: &OsStr) -> String {
    value.to_string_lossy().into_owned()
}

fn describe_connection(connection: &Connection, parts: &mut Vec<String>) {
    let Connection { client, host, context, config, tls } = connection;
    parts.extend(match client {
        Client::Docker => None,
        Client::Podman { is_remote } => Some(if *is_remote { "podman-remote" } else { "podman" }.to_owned()),
    });
    for (name, value) in [("engine", host), ("context", context), ("config", config)] {
        parts.extend(value.as_ref().map(|value| format!("{name}={}", text(value))));
    }
    parts.extend(tls.is_on.then(|| "tls".to_owned()));
    for (name, value) in [("ca", &tls.authorities), ("cert", &tls.certificate), ("key", &tls.key)] {
        parts.extend(value.as_ref().map(|value| format!("{name}={}", text(value))));
    }
}

/// One line with everything that was read, without what is as usual.
fn describe(parsed: &Result<Harness, Problem>) -> String {
    let mut parts = Vec::new();
    match parsed {
        Err(problem) => return format!("error: {}", problem.message),
        Ok(Harness::Host(command)) => {
            parts.push("host".to_owned());
            describe_connection(&command.connection, &mut parts);
        }
        Ok(Harness::Docker(run)) => {
            let verb = if run.verb() == Verb::Run { "run" } else { "create" };
            parts.push(format!("{verb}@{} {}@{}", run.verb_index(), text(run.image()), run.image_index()));
            parts.extend(match run.network() {
                NetworkMode::Unset => None,
                NetworkMode::Named(names) => Some(format!("net={}", names.join("+"))),
                NetworkMode::Host => Some("net:host".to_owned()),
                NetworkMode::None => Some("net:none".to_owned()),
                NetworkMode::Container(name) => Some(format!("net:of={name}")),
                NetworkMode::DefaultBridge => Some("net:bridge".to_owned()),
                NetworkMode::Alone(mode) => Some(format!("net:alone={mode}")),
                NetworkMode::Pod(pod) => Some(format!("net:pod={pod}")),
            });
            let switches = [
                (run.is_detached(), "d"),
                (run.is_interactive(), "i"),
                (run.has_terminal(), "t"),
                (run.is_removed(), "rm"),
            ];
            parts.extend(switches.iter().filter(|(on, _)| *on).map(|(_, name)| (*name).to_owned()));
            for (name, value) in [("name", run.name()), ("platform", run.platform()), ("pull", run.pull())] {
                parts.extend(value.map(|value| format!("{name}={}", text(value))));
            }
            for name in ["env-file", "publish", "volume", "dns-option"] {
                parts.extend(run.values(name).map(|value| format!("{name}={}", text(value))));
            }
            parts.extend(run.env_names().map(|name| format!("env:{}", text(name))));
            describe_connection(run.connection(), &mut parts);
        }
    }
    parts.join(" ")
}

fn check(table: &[(&str, &str)]) {
    let differences: Vec<_> = table
        .iter()
        .map(|(line, expected)| (line, expected, describe(&parse_line(line))))
        .filter(|(_, expected, actual)| *expected != actual)
        .map(|(line, expected, actual)| format!("{line}\n  expected {expected}\n  but was  {actual}"))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn verbs_and_docker_options() {
    check(&[
        ("docker run img", "run@1 img@2"),
        ("docker create img", "create@1 img@2"),
        ("docker container run img", "run@2 img@3"),
        ("docker container create img sh", "create@2 img@3"),
        ("/usr/local/bin/docker run img", "run@1 img@2"),
        ("./docker run img", "run@1 img@2"),
        ("docker -- run img", "run@2 img@3"),
        ("docker -D run img", "run@2 img@3"),
        ("docker --debug run img", "run@2 img@3"),
        ("docker -H tcp://h:1 run img", "run@3 img@4 engine=tcp://h:1"),
        ("docker -Htcp://h:1 run img", "run@2 img@3 engine=tcp://h:1"),
        ("docker -H=tcp://h:1 run img", "run@2 img@3 engine=tcp://h:1"),
        ("docker --host tcp://h:1 run img", "run@3 img@4 engine=tcp://h:1"),
        ("docker --host=tcp://h:1 run img", "run@2 img@3 engine=tcp://h:1"),
        ("docker --host= run img", "run@2 img@3 engine="),
        ("docker -c far run img", "run@3 img@4 context=far"),
        ("docker -cfar run img", "run@2 img@3 context=far"),
        ("docker --context far run img", "run@3 img@4 context=far"),
        ("docker --context=far container run img", "run@3 img@4 context=far"),
        ("docker --config /c run img", "run@3 img@4 config=/c"),
        ("docker --config=/c -Dlwarn -c far run img", "run@5 img@6 context=far config=/c"),
        ("docker -DH tcp://h:1 run img", "run@3 img@4 engine=tcp://h:1"),
        ("docker -l run run img", "run@3 img@4"),
        ("docker --log-level run run img", "run@3 img@4"),
        ("docker --tls run img", "run@2 img@3 tls"),
        ("docker --tls=false run img", "run@2 img@3"),
        ("docker --tlsverify=false run img", "run@2 img@3 tls"),
        ("docker --tlscacert a --tlscert b --tlskey=c run img", "run@6 img@7 ca=a cert=b key=c"),
        ("docker -c one -c two run img", "run@5 img@6 context=two"),
        ("docker --new-option=run run img", "run@2 img@3"),
    ]);
}

#[test]
fn verbs_and_podman_options() {
    check(&[
        ("podman create img", "create@1 img@2 podman"),
        ("/usr/bin/podman container run img", "run@2 img@3 podman"),
        ("podman-remote run img", "run@1 img@2 podman-remote"),
        ("podman -r run img", "run@2 img@3 podman-remote"),
        ("podman --remote=false run img", "run@2 img@3 podman"),
        ("podman --url unix:///s run img", "run@3 img@4 podman engine=unix:///s"),
        ("podman -H=unix:///s run img", "run@2 img@3 podman engine=unix:///s"),
        ("podman -c far run img", "run@3 img@4 podman context=far"),
        ("podman --context far run img", "run@3 img@4 podman context=far"),
        ("podman --root /r --log-level=debug run img", "run@4 img@5 podman"),
        ("podman run --replace --tz UTC --name c -it --rmi img run", "run@1 img@9 i t name=c podman"),
        ("podman run -d --sdnotify=conmon --userns keep-id img", "run@1 img@6 d podman"),
        ("podman create --init-ctr once --pod p img", "create@1 img@6 net:pod=p podman"),
        ("podman ps", "host podman"),
        ("podman --url tcp://h:1 exec c sh", "host podman engine=tcp://h:1"),
        ("podman run --help", "host podman"),
        ("podman volume create run", "host podman"),
        ("podman run", "error: `podman run` of the harness has no image"),
        ("podman create -d img", "error: `podman create` has no option `-d` that farrier knows"),
        (
            "podman run --domainname x img",
            "error: `podman run` has no option `--domainname` that farrier knows",
        ),
    ]);
}

#[test]
fn container_options_and_clusters() {
    check(&[
        ("docker run -it img sh -d", "run@1 img@3 i t"),
        ("docker run -itd img", "run@1 img@3 d i t"),
        ("docker run -i -t --rm img", "run@1 img@5 i t rm"),
        ("docker run --interactive --tty --detach img", "run@1 img@5 d i t"),
        ("docker run --rm=false img", "run@1 img@3"),
        ("docker run --rm --rm=0 img", "run@1 img@4"),
        ("docker run --rm=0 --rm=T img", "run@1 img@4 rm"),
        ("docker run -i=false img", "run@1 img@3"),
        ("docker run -it=false img", "run@1 img@3 i"),
        ("docker run --init=true img", "run@1 img@3"),
        ("docker run -v /a:/b img", "run@1 img@4 volume=/a:/b"),
        ("docker run -v/a:/b img", "run@1 img@3 volume=/a:/b"),
        ("docker run -v=/a:/b img", "run@1 img@3 volume=/a:/b"),
        ("docker run -itv /a:/b img", "run@1 img@4 i t volume=/a:/b"),
        ("docker run -itv=/a:/b img", "run@1 img@3 i t volume=/a:/b"),
        ("docker run -itv/a:/b img", "run@1 img@3 i t volume=/a:/b"),
        ("docker run --volume /a:/b --volume=/c img", "run@1 img@5 volume=/a:/b volume=/c"),
        ("docker run -e K=V img", "run@1 img@4 env:K"),
        ("docker run -eK=V img", "run@1 img@3 env:K"),
        ("docker run -e=K=V img", "run@1 img@3 env:K"),
        ("docker run -ite K=V img", "run@1 img@4 i t env:K"),
        ("docker run -iteK=V img", "run@1 img@3 i t env:K"),
        ("docker run --env K=V=W --env=PASSED img", "run@1 img@5 env:K env:PASSED"),
        ("docker run -e --rm img", "run@1 img@4 env:--rm"),
        ("docker run -e -- img", "run@1 img@4 env:--"),
        ("docker run --env-file f --env-file=g img", "run@1 img@5 env-file=f env-file=g"),
        (
            "docker run -P -p 80:80 -p8080:80 --publish=1 img",
            "run@1 img@7 publish=80:80 publish=8080:80 publish=1",
        ),
        ("docker run --name box img", "run@1 img@4 name=box"),
        ("docker run --name=box --name=crate img", "run@1 img@4 name=crate"),
        ("docker run --name=box --name= img", "run@1 img@4"),
        (
            "docker run --platform linux/arm64 --pull=always img",
            "run@1 img@5 platform=linux/arm64 pull=always",
        ),
        ("docker run --pull '' img", "run@1 img@4"),
        ("docker run -u 5:5 -h host -w /w -m 5m -c 2 -l a=b -a stdin -q img", "run@1 img@17"),
        ("docker run -u5:5 -hhost -w/w -m5m -c2 -la=b -astdin img", "run@1 img@9"),
        ("docker run --dns-opt a --dns-option=b img", "run@1 img@5 dns-option=a dns-option=b"),
        ("docker run --entrypoint run img", "run@1 img@4"),
        ("docker run --annotation a=b --health-start-interval 1s --gpus all img", "run@1 img@8"),
        ("docker run --cpu-count 1 --cpu-percent 5 --io-maxbandwidth 5 --io-maxiops 6 img", "run@1 img@10"),
        ("docker run --sig-proxy=false --detach-keys ctrl-a img", "run@1 img@5"),
        (
            "docker run --use-api-socket --privileged --read-only --no-healthcheck --oom-kill-disable img",
            "run@1 img@7",
        ),
        ("docker run --disable-content-trust=false --kernel-memory 4m img", "run@1 img@5"),
        ("docker run --rm -- img", "run@1 img@4 rm"),
        ("docker run -- -img", "run@1 -img@3"),
        ("docker run - x", "run@1 -@2"),
        ("docker run img --network n -e K=V --name x", "run@1 img@2"),
        ("docker run --novel=img img", "run@1 img@3"),
        ("docker run -Z=5 img", "run@1 img@3"),
        ("docker run -iZ=5 img", "run@1 img@3 i"),
        ("docker create --name c --tmpfs /t img", "create@1 img@6 name=c"),
    ]);
}

#[test]
fn injection() {
    let env = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    };
    let both = Additions {
        env: env(&[("B", "2 2"), ("A", "1")]),
        network: Some("farrier".to_owned()),
        label: None,
        hosts: Vec::new(),
    };
    let only_env = Additions { network: None, ..both.clone() };
    for (line, additions, expected) in [
        ("docker run img", Additions::default(), vec!["docker", "run", "img"]),
        (
            "docker -H h container run -it img sh",
            both.clone(),
            vec![
                "docker",
                "-H",
                "h",
                "container",
                "run",
                "-e",
                "A=1",
                "-e",
                "B=2 2",
                "--network",
                "farrier",
                "-it",
                "img",
                "sh",
            ],
        ),
        (
            "docker create --net=mine -e A=own img",
            both.clone(),
            vec!["docker", "create", "-e", "A=1", "-e", "B=2 2", "--net=mine", "-e", "A=own", "img"],
        ),
        ("docker run -- img", only_env, vec!["docker", "run", "-e", "A=1", "-e", "B=2 2", "--", "img"]),
    ] {
        let Ok(Harness::Docker(run)) = parse_line(line) else {
            panic!("`{line}` is a container harness");
        };
        assert_eq!(run.inject(&additions), expected, "{line}");
    }
}

#[test]
fn bytes_that_are_not_text_pass_through() {
    let raw = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
    let command = [
        raw(b"/o\xffpt/docker"),
        raw(b"run"),
        raw(b"-eK\xfe=\xff"),
        raw(b"--name=\xff"),
        raw(b"i\xffmg"),
        raw(b"\x80"),
    ];
    let Ok(Harness::Docker(run)) = parse(&command) else {
        panic!("it is a container harness");
    };
    assert_eq!(run.image(), raw(b"i\xffmg"));
    assert_eq!(run.name(), Some(raw(b"\xff").as_os_str()));
    assert_eq!(run.env_names().collect::<Vec<_>>(), [raw(b"K\xfe")]);
    assert_eq!(run.inject(&Additions::default()), command);
    let network = [raw(b"docker"), raw(b"run"), raw(b"--network=\xff"), raw(b"img")];
    assert!(describe(&parse(&network)).starts_with("error: `--network \u{fffd}` of the harness is not text"));
}
