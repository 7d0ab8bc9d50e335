//! One set of definitions of four real servers on both engines, as root, as an ordinary user and in containers: started, used
//! as they are by the next launch, and ended by SIGTERM, with their data in volumes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::registry::Registry;
use crate::support::servers::{image_of_four, registry_with};
use crate::support::skipping::say_skipped;
use crate::support::{Layer, Outcome, Run, Scene, assert_output};

/// A server: its name, its port, and how it runs.
struct Server {
    stem: &'static str,
    port: u16,
    runs: &'static str,
    volume: &'static str,
    readiness: &'static str,
}

const SERVERS: [Server; 4] = [
    Server {
        stem: "db",
        port: 5432,
        runs: "command = ['postgres-entrypoint']\nuser = 'postgres'",
        volume: "/var/lib/postgresql",
        readiness: "probe = 'postgres'",
    },
    Server {
        stem: "cache",
        port: 6379,
        // It writes its data when SIGTERM ends it, and before only once an hour.
        runs: "command = ['redis-server', '--protected-mode', 'no', '--save', '3600 1', '--dir', '/data']\nuser = 'redis'",
        volume: "/data",
        readiness: "probe = 'redis'",
    },
    Server {
        stem: "web",
        port: 8080,
        runs: "command = ['nginx']\nuser = 'nginx'",
        volume: "/data",
        readiness: "probe = 'http'\nsettings = { path = '/health', status = 204 }",
    },
    Server {
        stem: "app",
        port: 8000,
        runs: "command = ['counting-server']\nuser = '1000:1000'",
        volume: "/data",
        readiness: "probe = 'http'",
    },
];
/// What the servers remember of launches and of ends.
const FIRST: &str = "postgres 1\nredis 1\nnginx 1, 0\npython 1, 0\n";
const REUSED: &str = "postgres 2\nredis 2\nnginx 3, 0\npython 2, 0\n";
const AFTER_THE_END: &str = "postgres 3\nredis 3\nnginx 5, 1\npython 3, 1\n";
/// What `PostgreSQL` says when it starts after it was ended as it should be.
const WAS_SHUT_DOWN: &str = "database system was shut down at";

/// Runs farrier as somebody.
type Farrier<'a> = Box<dyn Fn(&[&str]) -> Run + 'a>;

/// The four servers, and a job that asks them, in a scene of their own.
struct Stack<'a> {
    scene: &'a Scene,
    farrier: Farrier<'a>,
}

impl<'a> Stack<'a> {
    fn new(scene: &'a Scene, image: &str, farrier: impl Fn(&[&str]) -> Run + 'a) -> Self {
        for server in SERVERS {
            let mounts = format!("mounts = ['volume:data:{}']", server.volume);
            scene.define(server.stem, &definition(image, &server, &mounts));
        }
        let names = SERVERS.map(|server| scene.name(server.stem));
        let addresses: Vec<String> =
            SERVERS.iter().zip(&names).map(|(server, name)| format!("{name}:{}", server.port)).collect();
        let text = format!(
            "image = '{image}'\njob = 'every-launch'\nafter = {names:?}\ncommand = {:?}\n[interface]\nkind = 'none'\n",
            [&["ask-servers".to_owned()], &addresses[..]].concat()
        );
        scene.define("ask", &format!("lifecycle = 'shared'\n{text}"));
        Self { scene, farrier: Box::new(farrier) }
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        (self.farrier)(arguments).output().assert_code(0)
    }

    /// Launches, and says what the job found.
    fn launch(&self) -> String {
        self.run(&["launch", "--", "env"]);
        let log = self.run(&["logs", &self.scene.name("ask")]).stdout();
        let lines: Vec<&str> = log.lines().collect();
        let newest = lines.get(lines.len().saturating_sub(SERVERS.len())..).unwrap_or_default();
        newest.iter().map(|line| format!("{line}\n")).collect()
    }

    /// The servers' instances by name.
    fn instances(&self) -> BTreeMap<String, Value> {
        let told = self.run(&["ps", "--format", "json"]).stdout();
        let told: Value = serde_json::from_str(&told).expect("JSON");
        let all = told["sidecars"].as_array().cloned().unwrap_or_default();
        let servers = SERVERS.map(|server| self.scene.name(server.stem));
        let named = all.into_iter().map(|one| (one["name"].as_str().unwrap_or_default().to_owned(), one));
        named
            .filter(|(name, _)| servers.contains(name))
            .map(|(name, one)| (name, one["id"].clone()))
            .collect()
    }

    /// Everything that is expected of four servers, whatever runs them.
    fn lives_and_ends(&self) {
        assert_eq!(self.launch(), FIRST);
        let first = self.instances();
        assert_eq!(first.len(), SERVERS.len(), "{first:?}");
        assert_eq!(self.launch(), REUSED);
        assert_eq!(self.instances(), first, "they are used as they are");
        self.run(&["down", "--yes"]);
        assert_eq!(self.instances(), BTreeMap::new());
        assert_eq!(self.launch(), AFTER_THE_END);
        assert!(self.instances().values().all(|id| first.values().all(|before| before != id)));
        let log = self.run(&["logs", &self.scene.name("db")]);
        assert!(log.to_string().contains(WAS_SHUT_DOWN), "{log}");
        self.run(&["down", "--yes", "--volumes"]);
        let left = self.run(&["ps", "--format", "json"]).stdout();
        let left: Value = serde_json::from_str(&left).expect("JSON");
        assert_eq!(left["sidecars"].as_array().map(Vec::len), Some(0), "{left:#}");
    }
}

/// Ends whatever a failed test has left of the engine `native`, of which Docker does not know.
struct Cleared<'a>(Farrier<'a>);

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        let down = ["down", "--all", "--yes", "--force", "--volumes", "--engine", "native"];
        drop((self.0)(&down).output());
    }
}

fn definition(image: &str, Server { port, runs, readiness, .. }: &Server, mounts: &str) -> String {
    format!(
        "lifecycle = 'shared'\nimage = '{image}'\n{runs}\n{mounts}\n[interface]\nkind = 'port'\nport = {port}\n\
         [readiness]\n{readiness}\ntimeout = '90s'\n"
    )
}

/// A scene without Docker whose engine pulls from a registry that has the image, by the image's own name.
fn with_registry() -> Option<(Scene, String, Registry)> {
    let scene = Scene::with_docker().map(Scene::isolated)?;
    let image = image_of_four()?;
    let registry = registry_with(&image, &scene)?;
    let folder = scene.config_home().join("docker");
    std::fs::create_dir_all(&folder).expect("a folder");
    let text = format!(r#"{{"registry-mirrors": ["http://{}"]}}"#, registry.address);
    std::fs::write(folder.join("daemon.json"), text).expect("a file");
    Some((scene, image, registry))
}

fn without_docker(run: Run) -> Run {
    run.env("DOCKER_HOST", "unix:///nowhere.sock").env("FARRIER_ENGINE", "native")
}

#[test]
fn on_docker() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    let Some(image) = image_of_four() else { return };
    Stack::new(&scene, &image, |arguments| scene.farrier(arguments)).lives_and_ends();
}

#[test]
fn as_the_user_of_the_tests_and_in_containers() {
    let Some((scene, image, _registry)) = with_registry() else { return };
    let farrier = |arguments: &[&str]| without_docker(scene.farrier(arguments));
    let _cleared = Cleared(Box::new(farrier));
    Stack::new(&scene, &image, farrier).lives_and_ends();
    if !rustix::process::geteuid().is_root() {
        return say_skipped("the servers in containers, where root cannot read the images of another user");
    }
    in_a_container_that_may_make_namespaces(&scene, &image);
    in_an_ordinary_container(&scene, &image);
}

/// Runs farrier in a container that has the scene's images and definitions.
fn inside<'a>(scene: &'a Scene, image: &str, options: &[&str]) -> impl Fn(&[&str]) -> Run + 'a {
    let mount = |from: &Path, to: &str| ["--volume".to_owned(), format!("{}:{to}", from.display())];
    let farrier = Path::new(env!("CARGO_BIN_EXE_farrier"));
    let layer = scene.layer(Layer::User);
    let mounts =
        [mount(farrier, "/usr/bin/farrier"), mount(scene.state_home(), "/state"), mount(&layer, "/layer")];
    let options = options.iter().map(|option| (*option).to_owned()).chain(mounts.into_iter().flatten());
    let container = scene.docker_run(options.chain([image, "sleep", "100000"].map(str::to_owned)));
    move |arguments| {
        let [program, arguments @ ..] = arguments else { panic!("nothing to run") };
        let words = [
            "exec",
            "--env",
            "HOME=/tmp",
            "--env",
            "XDG_STATE_HOME=/state",
            "--env",
            "FARRIER_USER_DIR=/layer",
        ];
        let run =
            Run::program(scene, "docker").args(words).args(["--env", "FARRIER_ENGINE=native", &container]);
        run.arg(program).args(arguments)
    }
}

fn in_a_container_that_may_make_namespaces(scene: &Scene, image: &str) {
    let run = inside(scene, image, &["--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN"]);
    let farrier = |arguments: &[&str]| run(&[&["farrier"], arguments].concat());
    Stack::new(scene, image, farrier).lives_and_ends();
}

/// Where nothing can be mounted, containers have no volumes, and reach each other by no name: the harness asks.
fn in_an_ordinary_container(scene: &Scene, image: &str) {
    let run = inside(scene, image, &[]);
    let farrier = |arguments: &[&str]| run(&[&["farrier"], arguments].concat());
    let refused = farrier(&["up"]).output().assert_code(125);
    assert_output!(refused, @"
    exit code 125
    --- stdout
    --- stderr
    error[engine-lacks]: without isolation, nothing can be mounted, but the sidecar mounts `/data`
     --> /layer/app-[TOKEN].toml:5:1
      |
    5 | mounts = ['volume:data:/data']
      | ^^^^^^
      |
      = help: Run `farrier doctor` to see what would allow namespaces, or run the sidecar on Docker.
    error[engine-lacks]: without isolation, nothing can be mounted, but the sidecar mounts `/data`
     --> /layer/cache-[TOKEN].toml:5:1
      |
    5 | mounts = ['volume:data:/data']
      | ^^^^^^
      |
      = help: Run `farrier doctor` to see what would allow namespaces, or run the sidecar on Docker.
    error[engine-lacks]: without isolation, nothing can be mounted, but the sidecar mounts `/var/lib/postgresql`
     --> /layer/db-[TOKEN].toml:5:1
      |
    5 | mounts = ['volume:data:/var/lib/postgresql']
      | ^^^^^^
      |
      = help: Run `farrier doctor` to see what would allow namespaces, or run the sidecar on Docker.
    error[engine-lacks]: without isolation, nothing can be mounted, but the sidecar mounts `/data`
     --> /layer/web-[TOKEN].toml:5:1
      |
    5 | mounts = ['volume:data:/data']
      | ^^^^^^
      |
      = help: Run `farrier doctor` to see what would allow namespaces, or run the sidecar on Docker.
    ");
    std::fs::remove_file(scene.layer(Layer::User).join(format!("{}.toml", scene.name("ask"))))
        .expect("removed");
    for server in SERVERS {
        scene.define(server.stem, &definition(image, &server, ""));
    }
    let variables = SERVERS.map(|server| format!("SWARMFORGE_TONG_{}", scene.variable(server.stem)));
    let addresses = variables.map(|name| format!("\"${name}_HOST:${name}_PORT\"")).join(" ");
    let ask = || {
        farrier(&["launch", "--", "sh", "-c", &format!("ask-servers {addresses}")]).output().assert_code(0)
    };
    let first = ask();
    assert!(first.stdout() == FIRST && first.stderr().contains("[no-isolation]"), "{first}");
    assert_eq!(ask().stdout(), REUSED);
    let database = scene.name("db");
    let told = farrier(&["logs", "--follow", &database]).spawn();
    told.wait_for_stderr("ready to accept connections");
    farrier(&["down", "--yes"]).output().assert_code(0);
    let told = told.wait().assert_code(0);
    assert!(told.to_string().contains("database system is shut down"), "{told}");
}

/// A user of this machine for as long as a mount namespace: nothing else knows it, or its subordinate IDs.
const SOMEBODY: u32 = 54_322;
const BECOME_SOMEBODY: &str = "\
    set -eu; folder=$1; shift
    for file in passwd subuid subgid; do mount --bind \"$folder/$file\" /etc/$file; done
    exec setpriv --reuid 54322 --regid 54322 --clear-groups \"$@\"";

#[test]
fn as_an_ordinary_user_with_subordinate_ids() {
    if !rustix::process::geteuid().is_root() {
        return say_skipped("another user than that of the tests, whom only root can become");
    }
    if Command::new("newuidmap").output().is_err() {
        return say_skipped("subordinate IDs, which need `newuidmap` (Debian: uidmap)");
    }
    let Some((scene, image, _registry)) = with_registry() else { return };
    let users = scene.path("users");
    std::fs::create_dir_all(&users).expect("a folder");
    let host = std::fs::read_to_string("/etc/passwd").expect("users");
    let passwd = format!("{host}farrier-test:x:{SOMEBODY}:{SOMEBODY}::/:/bin/sh\n");
    for (file, text) in [
        ("passwd", passwd.as_str()),
        ("subuid", "farrier-test:2000000:65536\n"),
        ("subgid", "farrier-test:2000000:65536\n"),
    ] {
        std::fs::write(users.join(file), text).expect("a file");
    }
    let farrier = |arguments: &[&str]| {
        let run = without_docker(Run::program(&scene, "unshare")).args([
            "--mount",
            "sh",
            "-c",
            BECOME_SOMEBODY,
            "sh",
        ]);
        run.arg(&users).arg(env!("CARGO_BIN_EXE_farrier")).args(arguments)
    };
    let _cleared = Cleared(Box::new(farrier));
    let stack = Stack::new(&scene, &image, farrier);
    scene.give_to(SOMEBODY);
    let listed = stack.run(&["engine", "list"]).stdout();
    assert!(listed.contains("run without Docker: namespaces, with subordinate user IDs"), "{listed}");
    stack.lives_and_ends();
}
