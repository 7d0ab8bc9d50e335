//! A stack whose parts belong to each launch alone, but for one: a shared `db`, a job that comes after it, and `web`
//! after that.

use std::cell::Cell;
use std::path::Path;

use crate::images::setup::Images;
use crate::programs::setup::processes_with;
use crate::support::{Image, PATIENT, Run, fixture_program, free_port, wait_until};

/// What its sidecars are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Programs,
    Containers,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Programs, Self::Containers];
}

pub struct Stack {
    pub images: Images,
    pub kind: Kind,
    /// Where `db` and `web` listen.
    ports: [u16; 2],
    /// How many harnesses were waited for.
    ran: Cell<usize>,
}

impl Stack {
    pub fn new(kind: Kind) -> Self {
        let images = Images::new();
        images.layout("box", &Image::new());
        let ports = if kind == Kind::Programs { [free_port(), free_port()] } else { [7000, 7001] };
        let stack = Self { images, kind, ports, ran: Cell::default() };
        stack.define();
        stack
    }

    pub fn token(&self) -> &str {
        self.images.programs.scene.token()
    }

    fn define(&self) {
        let [db, web] = self.ports.map(|port| port.to_string());
        let (scene, ready) = (&self.images.programs.scene, "[readiness]\nprobe = 'tcp'\n");
        let server = |port: &str| format!("[interface]\nkind = 'port'\nport = {port}\n{ready}");
        self.sidecar("db", "shared", "", &["serve", "--port", &db, "--reply", "data"], &server(&db));
        let host = if self.kind == Kind::Programs { "127.0.0.1".to_owned() } else { scene.name("db") };
        let job = format!("job = 'once'\nafter = ['{}']", scene.name("db"));
        self.sidecar("migrate", "session", &job, &["ask", &host, &db], "[interface]\nkind = 'none'\n");
        let after = format!("after = [{{ sidecar = '{}', until = 'succeeded' }}]", scene.name("migrate"));
        self.sidecar("web", "session", &after, &["serve", "--port", &web, "--reply", "pong"], &server(&web));
    }

    /// A further job of the session's asks its `web` by name, which notes what it hears.
    pub fn asked_by_name(&self) {
        let (scene, port) = (&self.images.programs.scene, self.ports[1].to_string());
        let interface = format!("[interface]\nkind = 'port'\nport = {port}\n[readiness]\nprobe = 'tcp'\n");
        self.sidecar(
            "web",
            "session",
            "",
            &["serve", "--port", &port, "--reply", "pong", "--trace"],
            &interface,
        );
        let job = format!("job = 'once'\nafter = ['{}']", scene.name("web"));
        self.sidecar(
            "asker",
            "session",
            &job,
            &["ask", &scene.name("web"), &port, "by name"],
            "[interface]\nkind = 'none'\n",
        );
    }

    /// Its `web` never listens.
    pub fn never_ready(&self) {
        let web = self.ports[1];
        let interface = format!(
            "[interface]\nkind = 'port'\nport = {web}\n[readiness]\nprobe = 'tcp'\ntimeout = '10m'\n"
        );
        self.sidecar("web", "session", "", &["wait"], &interface);
    }

    /// Its `web` ignores its stop signal, and has longer than any test to end.
    pub fn stubborn(&self) {
        let interface = "[interface]\nkind = 'none'\n[readiness]\nprobe = 'skip'\n";
        // Whoever has no handler for this one goes on.
        let lines = "stop_timeout = 600\nstop_signal = 'SIGWINCH'";
        self.sidecar("web", "session", lines, &["sleep", "3600000"], interface);
    }

    fn sidecar(&self, stem: &str, lifecycle: &str, lines: &str, words: &[&str], tables: &str) {
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let words = quoted.join(", ");
        let what = match self.kind {
            Kind::Programs => format!("program = ['{}', {words}]", fixture_program().display()),
            Kind::Containers => format!("image = 'oci:./box'\ncommand = [{words}]"),
        };
        // What is of a session can be told from what stays, and has data.
        let own = if lifecycle == "session" {
            format!("env = {{ TOKEN = '{}' }}", self.token())
        } else {
            String::new()
        };
        let has_volume = self.kind == Kind::Containers && stem == "web";
        let mounts = if has_volume { "mounts = ['volume:data:/data']" } else { "" };
        let text = format!("lifecycle = '{lifecycle}'\n{what}\n{lines}\n{own}\n{mounts}\n{tables}");
        self.images.programs.scene.define(stem, &text);
    }

    /// A launch whose harness is the fixture with these arguments.
    pub fn launch(&self, arguments: &[&str]) -> Run {
        let program = fixture_program().display().to_string();
        let events = self.images.programs.scene.path("events.jsonl");
        let run = self.images.farrier(["launch", "--events"]).arg(events);
        run.arg("--").arg(program).args(arguments)
    }

    /// One whose harness asks a sidecar.
    pub fn asking(&self, stem: &str) -> Run {
        self.launch(&["ask-env", &self.images.programs.scene.variable(stem)])
    }

    /// Whether one of its sidecars was started.
    pub fn is_started(&self, stem: &str) -> bool {
        let (scene, name) = (&self.images.programs.scene, self.images.programs.scene.name(stem));
        scene.events().iter().any(|event| event["event"] == "started" && event["sidecar"] == name)
    }

    /// Waits until one more harness runs.
    pub fn wait_until_it_runs(&self) {
        let scene = &self.images.programs.scene;
        self.ran.set(self.ran.get() + 1);
        let started = || scene.events().iter().filter(|event| event["event"] == "harness-starting").count();
        wait_until("the harness starts", PATIENT, || started() >= self.ran.get());
    }

    /// The guardian of the only session.
    pub fn guardian(&self) -> Option<i32> {
        let session = self.images.sidecar("web")["session"].as_str().expect("a session").to_owned();
        std::fs::read_dir("/proc").expect("processes").flatten().find_map(|entry| {
            let process = entry.file_name().to_str()?.parse().ok()?;
            let arguments = std::fs::read(entry.path().join("cmdline")).ok()?;
            let arguments = String::from_utf8_lossy(&arguments).into_owned();
            (arguments.contains("--guard-session") && arguments.contains(&session)).then_some(process)
        })
    }

    /// Processes, instances and volumes of sessions, without asking farrier, which would clear up.
    pub fn left(&self) -> Vec<String> {
        let store = self.images.store();
        let entries = |folder: &str| entries(&store.join(folder));
        let processes =
            processes_with("TOKEN", self.token()).into_iter().map(|process| format!("process {process}"));
        let is_its = |name: &String| {
            ["web", "migrate", "asker"]
                .iter()
                .any(|stem| name.contains(&self.images.programs.scene.name(stem)))
        };
        let named = entries("names").into_iter().chain(entries("volumes")).filter(is_its);
        // One without a name was being made or removed. What is left of the shared one is not the session's.
        let ids: Vec<String> =
            entries("names").iter().map(|name| text(&store.join("names").join(name))).collect();
        let is_nameless = |entry: &String| {
            let specification = text(&store.join("instances").join(entry).join("specification.json"));
            let is_shared = specification.contains(&self.images.programs.scene.container("db"));
            let is_temporary = entry.starts_with('.') && entry.ends_with('.');
            !(ids.contains(entry) || is_shared || is_temporary)
        };
        let nameless = entries("instances").into_iter().filter(is_nameless);
        processes.chain(named).chain(nameless).collect()
    }

    /// Files of locks with this scene's names.
    pub fn locks(&self) -> Vec<String> {
        let folder = farrier::system::lock::folder();
        entries(folder)
            .into_iter()
            .filter(|name| name.starts_with("farrier") && name.contains(self.token()))
            .collect()
    }

    pub fn is_gone(&self, what: &str) {
        assert_eq!(self.left(), Vec::<String>::new(), "{what}");
    }

    /// Nobody runs another command.
    pub fn is_gone_soon(&self, what: &str) {
        wait_until(&format!("{what}: nothing is left of the session"), PATIENT, || self.left().is_empty());
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
