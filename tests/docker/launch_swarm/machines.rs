//! Launches and other commands of several machines on one Swarm, at once.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Instant;

use super::OnSwarm;
use crate::support::engine::docker;
use crate::support::launching::{server, server_ready};
use crate::support::running::{Running, Signal};
use crate::support::tables::is_whole;
use crate::support::{PATIENT, Run, fixture_program, wait_until};

/// What makes a process see no other one's locks and marks, as one of another machine.
const APART: [&str; 6] =
    ["unshare", "--mount", "sh", "-c", "mount -t tmpfs -o mode=1777 none /run/lock && exec \"$@\"", "sh"];

impl OnSwarm {
    /// A command on another machine, which has a state and locks of its own.
    pub(super) fn apart(&self, run: Run) -> Run {
        run.env("XDG_STATE_HOME", self.scene.path("apart")).started_by(APART)
    }

    /// Definitions of another machine: the value of `XDG_CONFIG_HOME` there.
    fn define_apart(&self, stem: &str, toml: &str) -> PathBuf {
        let config = self.scene.path("config-apart");
        let folder = config.join("farrier/sidecars");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("{}.toml", self.scene.name(stem))), toml).expect("written");
        config
    }

    /// A launch that waits for `db` until somebody ends it: nothing listens there.
    fn waiting(&self) -> Running {
        let top = "command = [\"serve\", \"--port\", \"7001\"]\n";
        let readiness = "probe = \"tcp\"\ntimeout = \"5m\"";
        self.scene.define("db", &server_ready(&self.image, top, readiness));
        let waiting = self.ask("db").spawn();
        let is_told = || self.apart(self.farrier(&["ps"])).output().stdout().contains("fixture");
        wait_until("the other machine is told of the use", PATIENT, is_told);
        waiting
    }

    /// How many marks of use of this scene's sidecars there are.
    pub(super) fn marks(&self) -> usize {
        let format = "{{.Labels}}";
        let all = docker(["config", "ls", "--filter", "label=farrier.use", "--format", format]);
        all.lines().filter(|labels| labels.contains(self.scene.token())).count()
    }
}

#[test]
fn what_another_machine_uses_is_not_pulled_away() {
    let Some(on) = OnSwarm::new() else { return };
    on.define("db", "");
    let (program, name) = (fixture_program().display().to_string(), on.scene.name("db"));
    let using = on.launch(&[&program, "wait"]).spawn();
    let is_told = || on.apart(on.farrier(&["ps"])).output().stdout().contains("fixture");
    wait_until("the other machine is told of the use", PATIENT, is_told);
    let said = on.apart(on.farrier(&["down", "--yes", &name])).output().stderr();
    assert!(said.contains(", on "), "{said}");
    on.define("db", "env = { LEVEL = \"debug\" }");
    let said = on.apart(on.ask("db")).output().assert_code(125).stderr();
    assert!(said.contains("would be recreated") && said.contains(", on "), "{said}");
    using.signal(Signal::TERM);
    using.wait();
    assert!(!is_told(), "the mark is gone with its launch");
    on.apart(on.ask("db")).output().assert_code(0);
}

#[test]
fn a_machine_that_only_reuses_a_service_finds_it_again() {
    let Some(on) = OnSwarm::new() else { return };
    on.define("db", "");
    on.ask("db").output().assert_code(0);
    on.apart(on.ask("db")).output().assert_code(0);
    let decisions = on.scene.take_decisions();
    assert!(decisions.iter().any(|decision| decision.starts_with("reuse: ")), "{decisions:?}");
    let listed = on.apart(on.scene.farrier(["ps"])).output().assert_code(0).stdout();
    assert!(listed.contains(&on.scene.name("db")), "{listed}");
}

#[test]
fn what_another_machine_waits_for_is_not_pulled_away() {
    let Some(on) = OnSwarm::new() else { return };
    let name = on.scene.name("db");
    let waiting = on.waiting();
    let said = on.apart(on.farrier(&["down", "--yes", &name])).output().assert_code(125).stderr();
    assert!(said.contains("uses the sidecar") && said.contains(", on "), "{said}");
    let config = on.define_apart("db", &server(&on.image, "env = { LEVEL = \"debug\" }"));
    let other = || on.apart(on.ask("db")).env("XDG_CONFIG_HOME", &config);
    let said = other().output().assert_code(125).stderr();
    assert!(said.contains("would be recreated") && said.contains(", on "), "{said}");
    assert_eq!(on.marks(), 1, "a launch that is refused leaves no mark");
    waiting.signal(Signal::TERM);
    waiting.wait().assert_code(143);
    assert_eq!(on.marks(), 0, "nor does one that a signal ends");
    assert_eq!(other().output().assert_code(0).stdout().trim(), "pong");
}

#[test]
fn a_removal_looks_again_after_its_question() {
    let Some(on) = OnSwarm::new() else { return };
    on.define("db", "");
    on.ask("db").output().assert_code(0);
    let (program, name) = (fixture_program().display().to_string(), on.scene.name("db"));
    let mut asking = on.apart(on.farrier(&["down", &name])).spawn_on_terminal(80, 24);
    asking.wait_for_stdout("Remove 1 sidecar? [y/N]");
    let using = on.launch(&[&program, "wait"]).spawn();
    let is_told = || on.apart(on.farrier(&["ps"])).output().stdout().contains("fixture");
    wait_until("the other machine is told of the use", PATIENT, is_told);
    asking.type_text("y\n");
    let said = asking.wait().assert_code(125).stdout();
    assert!(said.contains("sidecar-in-use"), "{said}");
    assert_eq!(on.services(), [on.scene.container("db")]);
    using.signal(Signal::TERM);
    using.wait();
}

#[test]
fn a_job_that_another_machine_waits_for_runs_once() {
    let Some(on) = OnSwarm::new() else { return };
    let job = |top: &str| {
        let image = &on.image;
        format!("lifecycle = \"shared\"\nimage = \"{image}\"\n{top}\n[interface]\nkind = \"none\"\n")
    };
    on.scene.define("fill", &job("job = \"every-launch\"\ncommand = [\"exit\", \"0\"]"));
    let waiting = on.waiting();
    let service = on.scene.container("fill");
    let tasks = || docker(["service", "ps", "--quiet", "--no-trunc", &service]);
    wait_until("the job has succeeded", PATIENT, || {
        let state = docker(["service", "ps", "--format", "{{.CurrentState}}", &service]);
        state.starts_with("Complete")
    });
    let before = tasks();
    // It waits for the same job, and for nothing else.
    let config = on.define_apart("fill", &job("job = \"every-launch\"\ncommand = [\"exit\", \"0\"]"));
    let only = || on.apart(on.launch(&["true"])).env("XDG_CONFIG_HOME", &config);
    only().output().assert_code(0);
    assert_eq!(tasks(), before, "it is the other launch's run, too");
    waiting.signal(Signal::TERM);
    waiting.wait();
    only().output().assert_code(0);
    assert_ne!(tasks(), before, "the next launch runs it again");
}

/// What makes a process use the locks and marks in the folder that follows: all that use one folder are on one machine.
const ON_ONE: [&str; 5] = ["unshare", "--mount", "sh", "-c", "mount --bind \"$0\" /run/lock && exec \"$@\""];

impl OnSwarm {
    /// The folders of a machine of this name: its state and its locks.
    fn machine(&self, name: &str) -> (PathBuf, PathBuf) {
        let (state, locks) =
            (self.scene.path(format!("{name}-state")), self.scene.path(format!("{name}-locks")));
        std::fs::create_dir(&locks).expect("a folder");
        // For all users, as the system's own.
        std::fs::set_permissions(&locks, Permissions::from_mode(0o1777)).expect("it is ours");
        (state, locks)
    }
}

#[test]
fn launches_of_two_machines_at_once_make_one_service() {
    let Some(on) = OnSwarm::new() else { return };
    on.define("db", "");
    let machines = ["one", "other"].map(|name| on.machine(name));
    let launches_of_each = if is_whole() { 10 } else { 3 };
    let begun = Instant::now();
    let launches: Vec<Running> = (0..launches_of_each)
        .flat_map(|_| &machines)
        .map(|(state, locks)| {
            let locks = locks.display().to_string();
            let words = ON_ONE.into_iter().chain([locks.as_str()]);
            on.ask("db").env("XDG_STATE_HOME", state).started_by(words).spawn()
        })
        .collect();
    let count = launches.len();
    for launch in launches {
        assert_eq!(launch.wait().assert_code(0).stdout().trim(), "pong");
    }
    println!("{count} launches of two machines took {:.1?}", begun.elapsed());
    let service = on.scene.container("db");
    assert_eq!(on.services(), [service.as_str()]);
    let tasks = docker(["service", "ps", "--quiet", &service]);
    assert_eq!(tasks.lines().count(), 1, "none was made again: {tasks}");
    assert_eq!(on.marks(), 0, "each launch takes its mark away");
}

#[test]
fn of_machines_with_different_definitions_one_gets_its_own() {
    let Some(on) = OnSwarm::new() else { return };
    on.define("db", "");
    let config = on.define_apart("db", &server(&on.image, "env = { LEVEL = \"debug\" }"));
    let program = fixture_program().display().to_string();
    // Both harnesses would go on for as long as the test, so neither may change what the other one uses.
    let mut one = on.launch(&[&program, "wait"]).spawn();
    let mut other = on.apart(on.launch(&[&program, "wait"])).env("XDG_CONFIG_HOME", &config).spawn();
    wait_until("one is refused", PATIENT, || one.has_ended() || other.has_ended());
    assert!(!one.has_ended() || !other.has_ended(), "not both are");
    let (lost, won) = if one.has_ended() { (one, other) } else { (other, one) };
    let said = lost.wait().assert_code(125).stderr();
    let is_told = ["uses another definition of the sidecar", "would be recreated"];
    assert!(is_told.iter().any(|words| said.contains(words)) && said.contains(", on "), "{said}");
    won.signal(Signal::TERM);
    won.wait();
}

impl OnSwarm {
    /// Makes the mark of a launch on another machine that wants what this mark of a launch here wanted, on another network.
    pub(super) fn mark_elsewhere(&self, mark: &str, network: &str) -> String {
        let mut wants: serde_json::Value = serde_json::from_str(mark).expect("JSON");
        for (_, want) in wants.as_object_mut().expect("by service") {
            want["use"]["networks"] = serde_json::json!([network]);
        }
        let name = format!("farrier-use-{}", self.scene.token());
        let labels = [
            format!("farrier.use={wants}"),
            "farrier.use.machine=elsewhere".to_owned(),
            "farrier.use.host=there".to_owned(),
            "farrier.use.process=7".to_owned(),
            "farrier.use.command=docker run image".to_owned(),
        ];
        let mut words = vec!["config", "create"];
        words.extend(labels.iter().flat_map(|label| ["--label", label.as_str()]));
        let file = self.scene.path("mark");
        std::fs::write(&file, "use").expect("written");
        let file = file.display().to_string();
        docker(words.into_iter().chain([name.as_str(), file.as_str()]));
        name
    }

    fn wants(&self) -> String {
        // In one call: marks of other tests' launches may go between two.
        let format = "{{.Label \"farrier.use\"}}";
        let all = docker(["config", "ls", "--filter", "label=farrier.use", "--format", format]);
        let wants = all.lines().find(|wants| wants.contains(self.scene.token()));
        wants.expect("a mark of this scene").to_owned()
    }
}

#[test]
fn a_service_is_made_for_the_networks_of_earlier_launches_too() {
    let Some(on) = OnSwarm::new() else { return };
    let name = on.scene.name("db");
    let network = format!("farrier-test-{}", on.scene.token());
    docker(["network", "create", "--driver", "overlay", "--attachable", &network]);
    on.define("db", "");
    let program = fixture_program().display().to_string();
    let using = on.launch(&[&program, "wait"]).spawn();
    let is_told = || on.apart(on.farrier(&["ps"])).output().stdout().contains("fixture");
    wait_until("the other machine is told of the use", PATIENT, is_told);
    let wants = on.wants();
    using.signal(Signal::TERM);
    using.wait();
    let mark = on.mark_elsewhere(&wants, &network);
    let on_networks = || {
        let format = "{{len .Spec.TaskTemplate.Networks}}";
        docker(["service", "inspect", "--format", format, &on.scene.container("db")])
    };
    assert_eq!(on_networks(), "1");
    // The earlier launch is about to make it again, and so does this one.
    assert_eq!(on.ask("db").output().assert_code(0).stdout().trim(), "pong");
    assert_eq!(on_networks(), "2");
    // It has what it wants, and nobody pulls that away.
    on.define("db", "env = { LEVEL = \"debug\" }");
    let said = on.ask("db").output().assert_code(125).stderr();
    assert!(said.contains("process 7 uses it: docker run image, on there"), "{said}");
    let said = on.farrier(&["down", "--yes", &name]).output().assert_code(125).stderr();
    assert!(said.contains("process 7 uses the sidecar"), "{said}");
    docker(["config", "rm", &mark]);
    on.farrier(&["down", "--yes", &name]).output().assert_code(0);
    docker(["network", "rm", &network]);
}

#[test]
fn launches_at_once_on_different_networks_share_a_service_or_say_who_uses_it() {
    let Some(on) = OnSwarm::new() else { return };
    on.define("db", "");
    let networks = ["one", "two"].map(|name| format!("farrier-test-{}-{name}", on.scene.token()));
    let (label, variable) = (on.scene.label(), on.scene.variable("db"));
    let run = |network: &String| {
        docker(["network", "create", "--driver", "overlay", "--attachable", network]);
        let words = ["docker", "run", "--rm", "--init", "--network", network, "--label", &label];
        let words: Vec<&str> = words.into_iter().chain([on.image.as_str(), "ask-env", &variable]).collect();
        let state = on.scene.path(network);
        on.launch(&words).env("XDG_STATE_HOME", state).started_by(APART)
    };
    let running = networks.each_ref().map(run).map(Run::spawn);
    let mut ready = 0;
    for run in running {
        let outcome = run.wait();
        if outcome.code() == Some(0) {
            assert_eq!(outcome.stdout().trim(), "pong");
            ready += 1;
        } else {
            // It began when the service was made already, and is used.
            let said = outcome.assert_code(125).stderr();
            assert!(said.contains("not on network") && said.contains("uses it"), "{said}");
        }
    }
    assert!(ready > 0, "one gets its own");
    on.farrier(&["down", "--yes", &on.scene.name("db")]).output().assert_code(0);
    for network in &networks {
        // The manager removes what harnesses left in its own time.
        wait_until("it can be removed", PATIENT, || {
            crate::support::docker::run(["network", "rm", network]).is_ok()
        });
    }
}

#[test]
fn a_service_joins_no_network_of_a_session() {
    let Some(on) = OnSwarm::new() else { return };
    on.define("db", "engine = \"swarm\"");
    // The manager's bridges may be on another host, so the harness has nothing to reach there.
    let image = &on.image;
    let of_session = format!(
        "lifecycle = \"session\"\nimage = \"{image}\"\ncommand = [\"serve\", \"--port\", \"7000\"]\n\
         [interface]\nkind = \"none\"\n[readiness]\nprobe = \"skip\"\n"
    );
    on.scene.define("web", &of_session);
    let harness = on.asking("db");
    for expected in ["create: ", "reuse: "] {
        let outcome = on.scene.launch(&harness).output().assert_code(0);
        assert_eq!(outcome.stdout().trim(), "pong", "{outcome}");
        let decisions = on.scene.take_decisions();
        assert!(decisions.iter().any(|decision| decision.starts_with(expected)), "{decisions:?}");
    }
    on.farrier(&["down", "--yes", &on.scene.name("db")]).output().assert_code(0);
}
