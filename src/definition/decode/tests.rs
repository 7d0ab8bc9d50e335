//! What one file may say and what it means; beside it, what is refused.

mod container;
mod hostile;
mod interface;
mod readiness;
mod syntax;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Declaration, decode};
use crate::definition::grants::DialGrant;
use crate::definition::model::{Definition, Interface, Layer, Lifecycle, Mount, ProbeReference};
use crate::definition::{toml, yaml};
use crate::report::error::{Code, Place, Problem, Source};

fn read(file: &str, text: &str, layer: Layer) -> (Declaration, Vec<Problem>) {
    let source = Arc::new(Source { path: PathBuf::from(file), text: text.to_owned() });
    let parsed =
        if file.ends_with("toml") { toml::parse(text) } else { yaml::parse(text).map_err(|e| vec![e]) };
    match parsed {
        Ok(root) => decode(&root, &source, "db", layer),
        Err(errors) => {
            let problems = errors.into_iter().map(|error| {
                let place = Place { source: Arc::clone(&source), span: error.span };
                Problem::error(Code::DefinitionSyntax, error.message).at(place).hint(error.hint)
            });
            (Declaration::Broken, problems.collect())
        }
    }
}

fn whole(file: &str, text: &str) -> Definition {
    match read(file, text, Layer::User) {
        (Declaration::Sidecar(definition), problems) if problems.is_empty() => *definition,
        (declaration, problems) => panic!("{declaration:?} {problems:#?}\n{text}"),
    }
}

/// The first lines of a definition, so that cases name only what they are about: their line is 4 in TOML.
const TOML: &str = "lifecycle = \"shared\"\nimage = \"x\"\n";
const YAML: &str = "lifecycle: shared\nimage: x\ninterface:\n  kind: port\n  port: 80\n";

/// What is expected: code, line, column, and a part of a hint.
type Case = (&'static str, Code, usize, usize, &'static str);

fn check(file: &str, before: &str, layer: Layer, cases: &[Case]) {
    let mut failures = String::new();
    for (text, code, line, column, hint) in cases {
        let full = format!("{before}{text}");
        let (_, problems) = read(file, &full, layer);
        let found = problems.iter().any(|problem| {
            problem.code == *code
                && problem.place.as_ref().and_then(Place::line_column) == Some((*line, *column))
                && problem.hints.iter().any(|one| one.contains(hint))
        });
        if !found {
            failures
                .push_str(&format!("\n{text}\n  expected {code} at {line}:{column} with {hint:?}, found\n"));
            for problem in &problems {
                let at = problem.place.as_ref().and_then(Place::line_column);
                failures.push_str(&format!("    {problem} {at:?} {:?}\n", problem.hints));
            }
        }
        assert!(problems.iter().all(|problem| !problem.hints.is_empty() && !problem.message.ends_with('.')));
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn what_contradicts_itself_is_refused_with_a_way_out() {
    let (job, skip) = ("job = 'once'", "readiness.probe = 'skip'");
    for (lines, told) in [
        (format!("{job}\nrestart = 'always'"), "`restart` would start it again each time"),
        (format!("{job}\nrestart = 'unless-stopped'"), "`restart` would start it again each time"),
        (format!("{job}\non_exit = 'stop'"), "`on_exit` has no effect"),
        (format!("{job}\nreadiness.probe = 'exec'"), "has no meaning for a job"),
        (format!("job = 'twice'\n{skip}"), "`job` must be"),
        (format!("on_exit = 'stop'\nrestart = 'always'\n{skip}"), "lets the engine start the sidecar again"),
        (
            format!("on_exit = 'restart'\nrestart = 'on-failure:3'\n{skip}"),
            "lets the engine start the sidecar again",
        ),
        (format!("on_exit = 'explode'\n{skip}"), "`on_exit` must be"),
        (format!("after = 5\n{skip}"), "`after` must be a list"),
        (format!("after = [{{}}]\n{skip}"), "`after[0].sidecar` is missing"),
        (format!("after = [{{ sidecar = 'a', until = 'done' }}]\n{skip}"), "`after[0].until` must be"),
        (format!("after = [5]\n{skip}"), "`after[0]` must be"),
        (format!("mounts = ['volume:a:/a', 'volume:a:/b']\n{skip}"), "the volume is mounted already"),
        (format!("mounts = ['volume:a:/a', 'tmpfs:/a/b']\n{skip}"), "overlaps another mount's"),
        (format!("lifecycle = 'forever'\n{skip}"), "`lifecycle` must be"),
    ] {
        let text = format!("image = 'x'\ninterface.kind = 'none'\n{lines}\n");
        let (_, problems) = read("x.toml", &text, Layer::User);
        let found = problems.iter().find(|problem| problem.message.contains(told));
        assert!(found.is_some_and(|problem| !problem.hints.is_empty()), "{lines}: {problems:?}");
    }
}

#[test]
fn a_lifecycle_is_shared_unless_the_file_is_the_python_launchers() {
    const TOML: &str = "image = \"x\"\ninterface.kind = \"none\"\nreadiness.probe = \"skip\"\n";
    assert_eq!(whole("x.toml", TOML).lifecycle, Lifecycle::Shared);
    let (declaration, problems) =
        read("x.yaml", "image: x\ninterface: {kind: none}\nreadiness: {probe: skip}\n", Layer::User);
    assert!(matches!(declaration, Declaration::Broken), "{declaration:?}");
    assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), [Code::MissingField]);
    let (_, problems) = read("x.toml", &format!("lifecycle = 5\n{TOML}"), Layer::User);
    assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), [Code::InvalidValue]);
}

#[test]
fn yaml_of_the_python_launcher_keeps_its_meaning() {
    let text = "\
# A shared database.
description: PostgreSQL for tests   # with a comment
lifecycle: shared
image: 'postgres:16'
entrypoint: [\"docker-entrypoint.sh\"]
command:
  - postgres
  - -c
  - \"max_connections=20\"
env:
  FLAG: \"false\"
  NUMBER: 8080
  OCTAL: 010
  YES: yes
  FLOAT: 1.50
  UNDERSCORE: 1_000
  TRUE: True
  NOTHING:
  TILDE: ~
  URL: http://x:80/a#b
mounts: [docker-socket:ro]
networks: [extra]
resources:
  memory: 512m
interface:
  kind: port
  port: 05432
  aliases: [db.test, postgres]
readiness:
  mode: healthcheck
  command: [pg_isready, -q]
  timeout: 1e1
disable: false
";
    let definition = whole("db.yaml", text);
    let env: Vec<_> =
        definition.container.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        env,
        [
            ("FLAG", "false"),
            ("FLOAT", "1.50"),
            ("NOTHING", ""),
            ("NUMBER", "8080"),
            ("OCTAL", "010"),
            ("TILDE", "~"),
            ("TRUE", "True"),
            ("UNDERSCORE", "1_000"),
            ("URL", "http://x:80/a#b"),
            ("YES", "yes"),
        ]
    );
    assert_eq!(definition.lifecycle, Lifecycle::Shared);
    assert_eq!(definition.container.memory, Some(512 << 20));
    assert_eq!(definition.container.mounts, [Mount::DockerSocket { writable: false }]);
    assert_eq!(definition.aliases(), ["db", "db.test", "postgres"]);
    assert_eq!(definition.port(), Some(5432));
    let readiness = &definition.readiness[0];
    assert_eq!(readiness.probe, ProbeReference::Named("exec".to_owned()));
    assert_eq!(readiness.timeout, Duration::from_secs(10));
    assert_eq!(readiness.max_timeout, Duration::from_secs(20));
    assert_eq!(readiness.command.as_deref(), Some(&["pg_isready".to_owned(), "-q".to_owned()][..]));
    assert_eq!(definition.place("env.OCTAL").line_column(), Some((13, 10)));
    assert_eq!(definition.place("interface").line_column(), Some((25, 1)));
    assert_eq!(definition.place("interface.aliases[1]").line_column(), Some((28, 22)));
}

#[test]
fn synonyms_and_defaults() {
    let of = |readiness: &str| {
        let text = format!(
            "lifecycle = 'shared'\nimage = 'x'\ninterface = {{ kind = 'port', port = 80 }}\n{readiness}"
        );
        whole("db.toml", &text).readiness
    };
    for (text, probe) in [
        ("", "tcp"),
        ("readiness = {}", "tcp"),
        ("readiness.mode = 'none'", "skip"),
        ("readiness.probe = 'none'", "skip"),
        ("readiness.mode = 'healthcheck'", "healthcheck"),
        ("readiness = { mode = 'healthcheck', command = ['x'] }", "exec"),
        ("readiness = { probe = 'exec', command = ['x', ''] }", "exec"),
        ("readiness.probe = 'mine'", "mine"),
    ] {
        let readiness = of(text);
        assert_eq!(readiness.len(), 1);
        assert_eq!(readiness[0].probe, ProbeReference::Named(probe.to_owned()), "{text}");
        assert_eq!(readiness[0].timeout, Duration::from_secs(30));
        assert_eq!(readiness[0].max_timeout, Duration::from_secs(60));
    }
    for (text, successes, interval) in [
        ("", 1, 0),
        ("readiness.successes = 1000", 1000, 0),
        ("readiness = { successes = 2, interval = 1 }", 2, 1_000),
        ("readiness = { successes = 5, interval = '7s' }", 5, 7_000),
        ("readiness = { successes = 3, interval = '250ms', timeout = '501ms' }", 3, 250),
        ("readiness = { successes = 1, interval = '0s' }", 1, 0),
        ("readiness = { successes = 2, interval = 0 }", 2, 0),
        ("readiness.interval = '0 ms'", 1, 0),
    ] {
        let readiness = &of(text)[0];
        let found = (readiness.successes, readiness.interval);
        assert_eq!(found, (successes, Duration::from_millis(interval)), "{text}");
    }
    let several = of("[[readiness]]\nprobe = 'tcp'\n[[readiness]]\nprobe = './x.wasm'\n");
    assert_eq!(several[1].probe, ProbeReference::File(PathBuf::from("./x.wasm")));
    assert_eq!(several[1].field, "readiness[1]");
}

/// One file with every property of the schema. What the decoder knows and what the schema offers cannot drift.
#[test]
fn a_file_with_every_property_is_understood() {
    let text = format!(
        "{TOML}description = 'd'\nentrypoint = ['a']\ncommand = ['sh', '-c', 'echo ${{HOME}}']\nnetworks = ['n']\n\
         mounts = ['docker-socket', 'workspace:/w:ro', 'volume:v:/v']\nrequired = true\ndisable = false\n\
         env = {{ A = 1, B = true, C = 2020-01-01, D = 0x1f }}\nresources = {{ memory = '64MiB', gpus = 'all', cpus = 1.5, pids = 9 }}\n\
         stop_signal = 'int'\nstop_timeout = '1m'\nworking_dir = '/w'\nuser = 1000\nhostname = 'h'\ninit = true\n\
         read_only = true\nprivileged = true\ncap_add = ['cap_net_admin']\ncap_drop = ['ALL']\n\
         security_opt = ['no-new-privileges:true']\nshm_size = '64m'\nulimits = {{ nofile = {{ soft = 1, hard = 2 }} }}\n\
         placement = ['node.role == worker']\nengine = 'swarm'\ndevices = ['/dev/null']\nsysctls = {{ 'net.core.somaxconn' = 1 }}\nextra_hosts = ['a:::1']\n\
         harness = {{ env = {{ URL = 'http://{{host}}:{{port}}/{{env.A}}' }} }}\n\
         on_exit = 'warn'\nafter = ['a', {{ sidecar = 'b', until = 'started' }}]\nrestart = 'on-failure:3'\nprofiles = ['debug']\nlabels = {{ a = 'b' }}\nplatform = 'amd64'\nenv_file = 'a.env'\n\
         [interface]\nkind = 'mcp'\nport = 80\nname = 'm'\ntransport = 'http'\npath = 'x'\nprotocol = 'p'\naliases = ['a']\n\
         [[readiness]]\nprobe = 'mine'\ntimeout = '1m 30s'\nmax_timeout = '2m'\nsuccesses = 3\ninterval = '5s'\nsha256 = '{}'\n\
         settings = {{ a = [1, 2.5, {{ b = true }}], 'd' = 'x' }}\nlimits = {{ memory = '1MiB', poll = '60s' }}\n\
         [readiness.grants]\ndial = ['self', 'self:81', 'other:82']\ntls = {{ ca = 'ca', cert = 'c', key = 'k' }}\nexec = [['a', 'b']]\nhealth = true\nlogs = true\n\
         dirs = [{{ host = 'certs/x', guest = '/certs' }}]\nenv = ['A']\n\
         [[readiness]]\nmode = 'exec'\ncommand = ['x']\n\
         [[readiness]]\nprobe = 'other'\ngrants = {{ tls = {{ insecure = true }} }}\n",
        "AB".repeat(32)
    );
    let definition = whole("db.toml", &text);
    let places = &definition.places;
    let schema = crate::definition::json_schema();
    let keys = |pointer: &str| {
        schema.pointer(pointer).and_then(|found| found.as_object()).cloned().unwrap_or_default()
    };
    let tables = [
        ("/properties", &[""][..]),
        ("/definitions/Resources/properties", &["resources."]),
        ("/definitions/Interface/properties", &["interface."]),
        ("/definitions/Harness/properties", &["harness."]),
        ("/definitions/After/properties", &["after[1]."]),
        ("/definitions/Readiness/properties", &["readiness[0].", "readiness[1]."]),
        ("/definitions/Grants/properties", &["readiness[0].grants."]),
        ("/definitions/Tls/properties", &["readiness[0].grants.tls.", "readiness[2].grants.tls."]),
        ("/definitions/Directory/properties", &["readiness[0].grants.dirs[0]."]),
        ("/definitions/Limits/properties", &["readiness[0].limits."]),
    ];
    for (pointer, prefixes) in tables {
        // Of another kind of interface, and in place of an image.
        let others = ["volume", "mountpoint", "program", "confine", "ports", "publish", "job"];
        for key in keys(pointer).keys().filter(|key| !others.contains(&key.as_str())) {
            let set = prefixes.iter().any(|prefix| places.contains_key(&format!("{prefix}{key}")));
            assert!(set, "{pointer}/{key} is in the schema but not in this test's file");
        }
    }
    let port = whole(
        "db.toml",
        "lifecycle = 'shared'\nimage = 'x'\n[interface]\nkind = 'port'\nport = 80\nports = { admin = 81 }\n\
         publish = ['8080:80', '81']\n",
    );
    assert_eq!(port.more_ports(), [("admin", 81)]);
    let published: Vec<_> = port.container.publish.iter().map(ToString::to_string).collect();
    assert_eq!(published, ["127.0.0.1:0:81/tcp", "127.0.0.1:8080:80/tcp"]);
    let program = whole(
        "db.toml",
        "lifecycle = 'shared'\nprogram = ['a', 'b']\nworking_dir = 'w'\nconfine = { read = ['./a'], network = 'loopback' }\ninterface.kind = 'none'\nreadiness.probe = 'skip'\n",
    );
    assert_eq!(
        (program.image, program.container.program),
        (None, Some(vec!["a".to_owned(), "b".to_owned()]))
    );
    assert_eq!(program.container.working_dir.as_deref(), Some("w"));
    assert_eq!(program.container.confine.expect("confined").read, ["./a"]);
    let env: Vec<_> = definition.container.env.values().map(String::as_str).collect();
    assert_eq!(env, ["1", "true", "2020-01-01", "0x1f"]);
    let stop = (definition.container.stop_signal.as_deref(), definition.container.stop_timeout);
    assert_eq!(stop, (Some("SIGINT"), Some(Duration::from_mins(1))));
    let Interface::Mcp { path, .. } = &definition.interface else { panic!("{:?}", definition.interface) };
    assert_eq!(path, "/x");
    let readiness = &definition.readiness[0];
    assert_eq!(readiness.sha256, Some("ab".repeat(32)));
    assert_eq!(
        serde_json::to_string(&readiness.settings).ok().as_deref(),
        Some(r#"{"a":[1,2.5,{"b":true}],"d":"x"}"#)
    );
    assert_eq!(
        readiness.grants.dial,
        [
            DialGrant::This(None),
            DialGrant::This(Some(81)),
            DialGrant::Sidecar { name: "other".to_owned(), port: 82 },
        ]
    );
    assert_eq!(definition.place("readiness[0].settings.a[2].b").line_column().map(|at| at.0), Some(53));
}

#[test]
fn disabled_definitions_need_nothing_else() {
    for (file, text) in [("db.toml", "disable = true\nport = 5"), ("db.yaml", "disable: TRUE\n")] {
        let (declaration, problems) = read(file, text, Layer::User);
        assert!(matches!(declaration, Declaration::Disabled { .. }), "{declaration:?}");
        assert!(problems.iter().all(|problem| !problem.is_error()));
    }
}

#[test]
fn words_of_compose_and_docker_are_errors_wherever_they_stand() {
    let toml = |top: &str, interface: &str, rest: &str| {
        format!("{TOML}{top}\n[interface]\nkind = 'port'\nport = 80\n{interface}\n{rest}\n")
    };
    for (text, key, hint) in [
        (toml("readOnly = true", "", ""), "readOnly", "read_only = "),
        (toml("cap-drop = ['ALL']", "", ""), "cap-drop", "cap_drop = "),
        (toml("run_as_non_root = true", "", ""), "run_as_non_root", "user = "),
        (toml("allowPrivilegeEscalation = false", "", ""), "allowPrivilegeEscalation", "no-new-privileges"),
        (toml("network = false", "", ""), "network", "networks"),
        (toml("", "privileged = true", ""), "interface.privileged", "top of the file"),
        (toml("", "", "[readiness]\ncap_drop = ['ALL']"), "readiness.cap_drop", "top of the file"),
        (toml("name = 'other'", "", ""), "name", "Rename"),
        (toml("volumes = ['/a:/b']", "", ""), "volumes", "mounts"),
        (toml("ports = ['1:1']", "", ""), "ports", "interface.port"),
        (toml("environment = { A = '1' }", "", ""), "environment", "env = "),
        (toml("depends_on = ['a']", "", ""), "depends_on", "after = "),
        (toml("env_files = ['a']", "", ""), "env_files", "env_file = "),
        (toml("restart_policy = 'always'", "", ""), "restart_policy", "restart = "),
        (toml("initContainers = ['a']", "", ""), "initContainers", "job = "),
        (toml("", "published = 9001", ""), "interface.published", "interface.publish"),
        (toml("", "", "[resources]\ncpu = 1"), "resources.cpu", "cpus = "),
        (toml("", "", "[resources]\nulimits = 1"), "resources.ulimits", "top of the file"),
        (toml("", "", "[readiness]\nretries = 3"), "readiness.retries", "timeout"),
        (toml("", "", "[[readiness]]\nhttpGet = {}"), "readiness[0].httpGet", "http"),
    ] {
        let (declaration, problems) = read("db.toml", &text, Layer::User);
        let found = problems.iter().any(|problem| {
            problem.is_error()
                && problem.code == Code::UnknownKey
                && problem.message.contains(&format!("`{key}` is not a key"))
                && problem.hints.iter().any(|one| one.contains(hint))
        });
        assert!(found && matches!(declaration, Declaration::Broken), "{text}\n{problems:#?}");
    }
}

#[test]
fn quiet_passes_over_no_key_that_may_limit_the_container() {
    for (key, is_told_always) in [
        ("x-note", false),
        ("annotations", false),
        ("usr", true),
        ("capdrop", true),
        ("must_run_unprivileged", true),
        ("resources.anything", true),
        ("interface.only_local", true),
    ] {
        let text = format!("{TOML}interface = {{ kind = 'port', port = 80 }}\n{key} = '1'\n");
        let text = if let Some(key) = key.strip_prefix("interface.") {
            format!("{TOML}[interface]\nkind = 'port'\nport = 80\n{key} = '1'\n")
        } else {
            text
        };
        let (declaration, problems) = read("db.toml", &text, Layer::User);
        assert!(matches!(declaration, Declaration::Sidecar(_)), "{key}: {problems:#?}");
        let told: Vec<_> = problems.iter().map(|problem| problem.is_told_always).collect();
        assert_eq!(told, [is_told_always], "{key}");
    }
}

#[test]
fn a_foreign_word_with_the_value_of_what_runs_anyway_is_ignored() {
    for line in [
        "name: db",
        "tty: false",
        "tty: no",
        "readOnly: false",
        "allowPrivilegeEscalation: true",
        "volumes: []",
        "environment: {}",
        "restart_policy: no",
        "replicas: 1",
        "readiness: {disable: false}",
    ] {
        let (declaration, problems) = read("db.yaml", &format!("{YAML}{line}\n"), Layer::User);
        assert!(matches!(declaration, Declaration::Sidecar(_)), "{line}: {problems:#?}");
        let codes: Vec<_> = problems.iter().map(|problem| (problem.code, problem.is_told_always)).collect();
        assert_eq!(codes, [(Code::UnknownKey, false)], "{line}");
    }
    for line in ["privileged:", "user: ''", "labels:", "gpus:"] {
        let line = line.replace("gpus:", "resources: {gpus: }");
        let (declaration, problems) = read("db.yaml", &format!("{YAML}{line}\n"), Layer::User);
        assert!(matches!(declaration, Declaration::Sidecar(_)), "{line}: {problems:#?}");
        assert_eq!(
            problems.iter().map(|problem| problem.code).collect::<Vec<_>>(),
            [Code::InvalidValue],
            "{line}"
        );
    }
    for line in
        ["args: []", "capabilities: []", "network:", "readiness: {httpGet: {}}", "name: Db", "replicas: 2"]
    {
        let (declaration, _) = read("db.yaml", &format!("{YAML}{line}\n"), Layer::User);
        assert!(matches!(declaration, Declaration::Broken), "{line}");
    }
}
