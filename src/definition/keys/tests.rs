//! Every key takes part everywhere. A key without a row here fails, and so does a part that was forgotten.

use serde_json::Value as Json;

use super::KEYS;
use super::page::{PAGE, page};
use crate::approval::statement::{Held, Statement};
use crate::definition::{LayerDirectories, json_schema, load, schema};
use crate::engine::docker::api::Image;
use crate::engine::docker::double::{Double, DoubleImage};
use crate::engine::docker::testing::{compare, container_spec};
use crate::plan::Cause;
use crate::plan::reconcile::staleness;
use crate::plan::sidecar::{FirstValues, LABEL_CONFIGURATION, Scopes, Sidecar};
use crate::preparation::{Approval, ResolvedSidecar};
use crate::probe::catalogue::find;
use crate::probe::folders::ProbeFolders;

/// What a definition says of one key.
struct Row {
    path: &'static str,
    /// The line of the question that tells its value begins with this.
    line: &'static str,
    /// Two values, as a definition has them.
    values: [&'static str; 2],
}

const fn row(path: &'static str, line: &'static str, values: [&'static str; 2]) -> Row {
    Row { path, line, values }
}

const ROWS: &[Row] = &[
    row("entrypoint", "entrypoint", ["entrypoint = ['a', 'b']", "entrypoint = ['a b']"]),
    row("command", "command", ["command = ['a']", "command = ['b']"]),
    row("env", "env A", ["env = { A = '1' }", "env = { A = '2' }"]),
    row("mounts", "mounts", ["mounts = ['tmpfs:/a']", "mounts = ['tmpfs:/a', 'volume:v:/b']"]),
    row("networks", "networks", ["networks = ['one']", "networks = ['one', 'two']"]),
    row("resources.memory", "memory", ["resources.memory = '64m'", "resources.memory = '1g'"]),
    row("stop_signal", "stop signal", ["stop_signal = 'INT'", "stop_signal = 'KILL'"]),
    row("stop_timeout", "stop timeout", ["stop_timeout = '1s'", "stop_timeout = '1500ms'"]),
    row("program", "program", ["program = ['a']", "program = ['a', 'b']"]),
    row("working_dir", "working dir", ["working_dir = '/one'", "working_dir = '/two'"]),
    row("user", "user", ["user = 1000", "user = '1000:1000'"]),
    row("hostname", "hostname", ["hostname = 'one'", "hostname = 'two'"]),
    row("init", "init", ["init = true", "init = false"]),
    row("read_only", "read only", ["read_only = true", "read_only = false"]),
    row("privileged", "privileged", ["privileged = true", "privileged = false"]),
    row("cap_add", "cap add", ["cap_add = ['NET_ADMIN']", "cap_add = ['ALL']"]),
    row("cap_drop", "cap drop", ["cap_drop = ['CAP_CHOWN']", "cap_drop = ['ALL']"]),
    row(
        "security_opt",
        "security opt",
        ["security_opt = ['no-new-privileges']", "security_opt = ['seccomp=unconfined']"],
    ),
    row("shm_size", "shm size", ["shm_size = '64m'", "shm_size = '1g'"]),
    row(
        "ulimits",
        "ulimits",
        ["ulimits = { nofile = 1024 }", "ulimits = { nofile = { soft = 1024, hard = 2048 } }"],
    ),
    row("devices", "devices", ["devices = ['/dev/null']", "devices = ['/dev/null:/dev/zero:r']"]),
    row(
        "sysctls",
        "sysctls",
        ["sysctls = { 'net.core.somaxconn' = 1 }", "sysctls = { 'net.core.somaxconn' = 2 }"],
    ),
    row(
        "extra_hosts",
        "extra hosts",
        ["extra_hosts = { a = '::1' }", "extra_hosts = { a = 'host-gateway' }"],
    ),
    row("labels", "labels", ["labels = { a = 'b' }", "labels = { a = 'c' }"]),
    row("platform", "platform", ["platform = 'linux/amd64'", "platform = 'linux/arm64'"]),
    row("env_file", "env file", ["env_file = 'one.env'", "env_file = ['one.env', 'two.env']"]),
    row("restart", "restart", ["restart = 'always'", "restart = 'on-failure:3'"]),
    row(
        "interface.publish",
        "publish",
        [
            "interface = { kind = 'port', port = 80, publish = ['8080:80'] }",
            "interface = { kind = 'port', port = 80, publish = ['80', '0.0.0.0:53:53/udp'] }",
        ],
    ),
    row("job", "job", ["job = 'once'", "job = 'every-launch'"]),
    row("resources.cpus", "cpus", ["resources.cpus = 1.5", "resources.cpus = 2"]),
    row("resources.pids", "pids", ["resources.pids = 10", "resources.pids = 20"]),
    row(
        "placement",
        "placement",
        ["placement = ['node.role == worker']", "placement = ['node.labels.gpu == true']"],
    ),
    row("engine", "engine", ["engine = 'native'", "engine = 'swarm'"]),
    row("resources.gpus", "gpus", ["resources.gpus = 'all'", "resources.gpus = 'device=0,1'"]),
    row("confine", "confine", ["confine = { read = ['/usr'] }", "confine = { network = 'loopback' }"]),
    // These two are parts of every definition, and not of the table.
    row("image", "image", ["image = 'one'", "image = 'two'"]),
    row(
        "interface.aliases",
        "reached",
        [
            "interface = { kind = 'port', port = 80, aliases = ['one'] }",
            "interface = { kind = 'port', port = 80, aliases = ['two'] }",
        ],
    ),
];

/// The line of a definition that is like one with this key, but for the key: jobs have neither port nor probe, and only programs
/// are confined.
fn without(path: &str) -> &'static str {
    match path {
        "job" => "# job = ",
        "confine" => "program = ['a']",
        _ => "",
    }
}

/// The sidecar of a definition with this line, and what a question about it says.
fn declared(line: &str) -> (Sidecar, Statement) {
    let (readiness, interface) = if line.starts_with("job = ") {
        ("", "interface = { kind = 'none' }")
    } else if line.contains("job = ") {
        ("readiness.probe = 'skip'\n", "interface = { kind = 'none' }")
    } else {
        ("readiness.probe = 'skip'\n", "interface = { kind = 'port', port = 80 }")
    };
    let mut text = format!("lifecycle = 'shared'\n{readiness}");
    let runs = match line {
        line if line.contains("program = ") => "program",
        line if line.contains("confine = ") => "program = ['a']",
        _ => "image = 'x'",
    };
    for required in [runs, interface] {
        if required != "program" && required.split(' ').next() != line.split(' ').next() {
            text = format!("{text}{required}\n");
        }
    }
    text = format!("{text}{line}\n");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("db.toml"), &text).expect("a definition");
    for file in ["one.env", "two.env"] {
        std::fs::write(folder.path().join(file), "# nothing\n").expect("a file of variables");
    }
    let user = Some(folder.path().to_owned());
    let mut loaded = load(&LayerDirectories { user, ..LayerDirectories::default() });
    assert_eq!(loaded.problems, [], "{text}");
    let definition = loaded.definitions.remove(0);
    let found = definition
        .readiness
        .iter()
        .map(|readiness| find(&definition, readiness, &ProbeFolders::default()).expect("a probe"));
    let probes = found.collect();
    let sidecar = Sidecar::new(definition, &Scopes::default());
    let prepared = ResolvedSidecar {
        sidecar: sidecar.clone(),
        program: None,
        image_id: None,
        probes,
        approval: Approval::Missing,
    };
    (sidecar, Statement::of(&prepared, &Held::default()))
}

fn label(sidecar: &Sidecar) -> String {
    let spec = container_spec(sidecar, "db", "net", (&[], &FirstValues::new()), "salt");
    spec.labels[LABEL_CONFIGURATION].clone()
}

#[test]
fn every_key_has_a_row() {
    for key in KEYS {
        assert!(ROWS.iter().any(|row| row.path == key.path), "{} has no row", key.path);
    }
    assert_eq!(ROWS.len(), KEYS.len() + 2, "no key has two rows");
}

#[test]
fn a_changed_value_changes_the_hash_and_is_a_named_cause() {
    for Row { path, values, .. } in ROWS {
        let [before, after] = values.map(|value| declared(value).0);
        let (absent, _) = declared(without(path));
        assert!(absent.hash != before.hash && before.hash != after.hash, "{path} is not hashed");
        let to_compare = [(&before, &after), (&absent, &after), (&before, &absent)];
        // The second value of a switch is what holds without it.
        for (before, after) in to_compare.into_iter().filter(|(before, after)| before.hash != after.hash) {
            let named = after.configuration().differences(&label(before)).expect("a readable label");
            let is_own = |name: &String| name == path || name.starts_with(&format!("{path}."));
            assert!(named.len() == 1 && named.iter().all(is_own), "{path}: {named:?}");
        }
        assert_eq!(after.configuration().differences(&label(&after)), Some(Vec::new()), "{path}");
    }
}

#[test]
fn a_question_for_an_approval_tells_every_value() {
    for Row { path, line, values } in ROWS {
        let [absent, one, two] = [without(path), values[0], values[1]].map(|value| {
            let (sidecar, statement) = declared(value);
            let found = statement.lines.into_iter().filter(|found| found.label == *line);
            (sidecar.hash, found.map(|found| found.text).collect::<Vec<_>>())
        });
        assert!(absent.1 != one.1 && one.1 != two.1 && one.1.len() == 1, "{path}: {one:?} {two:?}");
        let says_nothing = absent.0 == two.0;
        assert!(if says_nothing { absent.1 == two.1 } else { two.1.len() == 1 }, "{path}: {two:?}");
    }
}

#[test]
fn the_engine_is_told_and_a_container_that_has_another_value_has_drifted() {
    for key in KEYS {
        let (Some(setting), Some(row)) = (key.setting, ROWS.iter().find(|row| row.path == key.path)) else {
            continue;
        };
        let sidecar = declared(row.values[0]).0;
        let engine = Double::new();
        let (mut container, id) = engine.change(|world| {
            let id = world.add_image("x", DoubleImage::default());
            let spec = container_spec(&sidecar, "db", "net", (&[], &FirstValues::new()), "salt");
            world.create(&spec).expect("a container");
            (world.container("db").expect("a container"), id)
        });
        let image = Image { id, ..Image::default() };
        let images = [("x".to_owned(), image)].into();
        let mut drift = |change: Option<Json>| {
            if let Some(value) = change {
                container.settings.insert(setting.to_owned(), value);
            }
            let causes = staleness(&sidecar, &compare(&sidecar, &container, &images), false);
            causes.into_iter().find_map(|cause| match cause {
                Cause::Drifted(what) => Some(what),
                _ => None,
            })
        };
        assert_eq!(drift(None), None, "{}", key.path);
        assert_eq!(drift(Some("other".into())), Some(vec![key.label()]), "{}", key.path);
        let absent = declared("").0.definition.container.settings();
        assert!(!absent.contains_key(setting), "{} is told where it is absent", key.path);
    }
}

#[test]
fn what_is_absent_changes_no_hash() {
    let nothing = declared("").0;
    let label = label(&nothing);
    for key in KEYS.iter().filter(|key| !super::ALWAYS_WRITTEN.contains(&key.name)) {
        assert!(!label.contains(key.name), "{} is written where it is absent: {label}", key.path);
    }
}

#[test]
fn editors_and_readers_know_every_key() {
    let root = json_schema();
    for Row { path, .. } in ROWS {
        let (table, name) = path.rsplit_once('.').unwrap_or(("", path));
        let known = schema::known_keys(table);
        assert!(table == "interface" || known.contains(&name), "{path} is unknown");
        let properties = root.pointer(&schema::properties_of(table)).expect("a table");
        assert!(properties[name]["description"].is_string(), "{path} is not in the schema");
    }
}

#[test]
fn the_page_of_keys() {
    let now = page();
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(PAGE, &now).expect("written");
    }
    for Row { path, .. } in ROWS {
        let name = path.rsplit('.').next().unwrap_or(path);
        let recreates =
            now.lines().any(|line| line.starts_with(&format!("| `{name}` | ")) && line.contains("| yes |"));
        assert!(recreates, "{path} is not on the page");
    }
    let committed = std::fs::read_to_string(PAGE).unwrap_or_default();
    let how = "make it anew with `UPDATE_DOCS=1 cargo test --lib the_page_of_keys`";
    assert!(committed == now, "docs/definitions.md is out of date: {how}");
}

#[test]
fn values_that_mean_the_same_are_the_same() {
    for (one, other) in [
        ("command = ['a', 'b c']", "command = 'a \"b c\"'"),
        ("command = 'a # b'", "command = ['a', '#', 'b']"),
        ("entrypoint = 'a'", "entrypoint = ['a']"),
        ("user = 1000", "user = '1000'"),
        ("working_dir = '/a/b'", "working_dir = '/a//c/../b/'"),
        ("cap_add = ['NET_ADMIN', 'CAP_CHOWN']", "cap_add = ['chown', 'cap_net_admin', 'CHOWN']"),
        ("security_opt = ['no-new-privileges']", "security_opt = ['no-new-privileges:true']"),
        ("shm_size = '64MiB'", "shm_size = 67108864"),
        ("ulimits = { nofile = 5 }", "ulimits = ['nofile=5:5']"),
        ("ulimits = { nofile = 5 }", "ulimits = { nofile = { hard = 5, soft = 5 } }"),
        ("devices = ['/dev/a', '/dev/b']", "devices = ['/dev/b:/dev/b:mwr', '/dev/a:/dev/a']"),
        ("sysctls = { 'net.core.somaxconn' = 1 }", "sysctls = ['net.core.somaxconn=1']"),
        ("extra_hosts = { a = '::1' }", "extra_hosts = ['a=[::1]']"),
        ("extra_hosts = { a = ['::1', '10.0.0.1'] }", "extra_hosts = ['a:::1', 'a:10.0.0.1']"),
        ("labels = { a = 'b', c = '' }", "labels = ['c', 'a=b']"),
        ("platform = 'linux/arm64/v8'", "platform = 'aarch64'"),
        ("env_file = 'one.env'", "env_file = [{ path = 'one.env' }]"),
        ("resources.cpus = 1.5", "resources.cpus = '1.50'"),
        ("resources.gpus = 2", "resources.gpus = '2'"),
        (
            "mounts = ['tmpfs:/a:1k', 'bind:./one.env:/b:ro']",
            "mounts = ['tmpfs:/a/:size=1024', 'bind:one.env:/b:ro']",
        ),
        (
            "interface = { kind = 'port', port = 80, publish = ['1-2:1-2', 5] }",
            "interface = { kind = 'port', port = 80, publish = ['0:5', '127.0.0.1:2:2', { target = 1, published = 1 }] }",
        ),
        (
            "confine = { read = ['/usr', '/etc'] }",
            "confine = { read = ['/etc', '/usr', '/etc'], write = [] }",
        ),
        ("restart = 'no'", ""),
        ("privileged = false\nread_only = false", ""),
        ("cap_add = []\nlabels = {}", ""),
    ] {
        assert_eq!(declared(one).0.hash, declared(other).0.hash, "{one} {other}");
    }
}

#[test]
fn what_weakens_isolation_is_shown_before_everything_else() {
    for path in [
        "privileged",
        "devices",
        "cap_add",
        "security_opt",
        "sysctls",
        "mounts",
        "resources.gpus",
        "program",
        "confine",
    ] {
        let key = KEYS.iter().find(|key| key.path == path).expect("a key");
        assert_eq!(key.rank, crate::definition::Rank::Machine, "{path}");
    }
}

#[test]
fn only_an_engine_with_nodes_is_told_where_to_run() {
    use crate::engine::kinds::EngineKind;
    let (sidecar, _) = declared("placement = ['node.role == worker']");
    for kind in EngineKind::ALL {
        let refused = kind.capabilities().refusals(&sidecar.definition, &[]);
        assert_eq!(refused.is_empty(), kind == EngineKind::Swarm, "{}: {refused:?}", kind.name());
        assert!(refused.len() <= 1, "{refused:?}");
    }
}

/// What a node keeps to itself, a service does not get.
#[test]
fn a_service_gets_nothing_of_this_host_or_of_one_launch() {
    use crate::engine::capabilities::EngineFeature;
    let swarm = crate::engine::kinds::EngineKind::Swarm.capabilities();
    for (line, words) in [
        ("mounts = ['volume:v:/v']", "keeps a volume on one node"),
        ("mounts = ['docker-socket']", "has no socket"),
        ("privileged = true", "does not support `privileged`"),
        ("resources.gpus = 'all'", "does not support `resources.gpus`"),
        (
            "interface = { kind = 'port', port = 80, publish = ['80'] }",
            "does not support `interface.publish`",
        ),
    ] {
        let (sidecar, _) = declared(line);
        let refused = swarm.refusals(&sidecar.definition, &[]);
        assert!(refused.iter().any(|problem| problem.message.contains(words)), "{line}: {refused:?}");
    }
    let (sidecar, _) = declared("command = ['a']");
    for feature in [EngineFeature::Exec, EngineFeature::Health] {
        let refused = swarm.refusals(&sidecar.definition, &[("mine".to_owned(), vec![feature])]);
        assert_eq!(refused.len(), 1, "{feature:?}: {refused:?}");
    }
    assert!(
        swarm.refusals(&sidecar.definition, &[("mine".to_owned(), vec![EngineFeature::Logs])]).is_empty()
    );
}

/// A service gets copies of small files, and a volume where its definition names the node.
#[test]
fn a_service_gets_what_a_node_can_have_of_its_own() {
    use crate::definition::model::{Bound, BoundKind, Mount};
    use crate::engine::swarm::CAPABILITIES;
    let file = |size| BoundKind::File { size, is_executable: false };
    for (kind, writable, reason) in [
        (file(500 << 10), false, None),
        (file((500 << 10) + 1), false, Some("has 512001 bytes")),
        (file(1), false, None),
        (file(0), false, Some("is empty")),
        (file(1), true, Some("is mounted writable")),
        (BoundKind::Folder, false, Some("is a folder")),
        (BoundKind::Other, false, Some("is no file")),
    ] {
        let (mut sidecar, _) = declared("command = ['a']");
        let bound = Bound { path: "/f".into(), digest: None, copy: None, kind };
        let (source, target) = ("f".to_owned(), "/f".to_owned());
        let bound = Some(std::sync::Arc::new(bound));
        sidecar.definition.container.mounts = vec![Mount::Bind { source, target, writable, bound }];
        let refused = CAPABILITIES.refusals(&sidecar.definition, &[]);
        let told = refused.first().map(|problem| problem.message.as_str());
        assert_eq!(told.is_some(), reason.is_some(), "{kind:?} {writable}: {told:?}");
        assert!(told.is_none_or(|told| reason.is_some_and(|reason| told.ends_with(reason))), "{told:?}");
    }
    for (placement, is_refused) in [
        ("node.id == a", false),
        ("node.hostname == a", false),
        ("node.id != a", true),
        ("node.role == worker", true),
    ] {
        let (mut sidecar, _) = declared("mounts = ['volume:v:/v']");
        sidecar.definition.container.placement = vec![placement.to_owned()];
        let refused = CAPABILITIES.refusals(&sidecar.definition, &[]);
        assert_eq!(!refused.is_empty(), is_refused, "{placement}: {refused:?}");
    }
}

#[test]
fn programs_have_no_key_that_their_engine_does_not_carry_out() {
    let engine = crate::engine::kinds::EngineKind::Native.capabilities();
    let known = engine.keys.map(|known| known.of_programs).unwrap_or_default();
    // The decoder refuses these beside a program, or reads them otherwise.
    let others = ["entrypoint", "command", "mounts", "networks", "placement", "working_dir", "program"];
    for key in KEYS.iter().filter(|key| !others.contains(&key.path)) {
        let row = ROWS.iter().find(|row| row.path == key.path).expect("a row");
        let (sidecar, _) = declared(&format!("{}\nprogram = ['a']", row.values[0]));
        let refused = engine.refusals(&sidecar.definition, &[]);
        let told: Vec<_> =
            refused.iter().map(|problem| problem.message.contains(&format!("`{}`", key.path))).collect();
        let expected = if known.contains(&key.name) { vec![] } else { vec![true] };
        assert_eq!(told, expected, "{}: {refused:?}", key.path);
    }
}
