//! What a service mounts: files of this host as configs, and volumes on the node that its definition names.

use super::OnSwarm;
use crate::support::docker::run;
use crate::support::engine::docker;
use crate::support::launching::server;
use crate::support::{Image, PATIENT, wait_until};

impl OnSwarm {
    /// A job that does this with the fixture's program.
    fn job(&self, stem: &str, command: &str, top: &str) {
        let image = &self.image;
        let text = format!(
            "lifecycle = \"shared\"\nimage = \"{image}\"\njob = \"once\"\ncommand = {command}\n{top}\n[interface]\nkind = \"none\"\n"
        );
        self.scene.define(stem, &text);
    }

    /// A file beside the definitions.
    fn beside(&self, name: &str, content: impl AsRef<[u8]>) {
        let folder = self.scene.config_home().join("farrier/sidecars");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(name), content).expect("written");
    }

    /// The configs that are this scene's bound files.
    fn files(&self, stem: &str) -> Vec<String> {
        let label = format!("label=farrier.file={}", self.scene.container(stem));
        let names = docker(["config", "ls", "--filter", &label, "--format", "{{.Name}}"]);
        names.lines().map(str::to_owned).collect()
    }

    fn volumes_on(&self, engine: &str) -> Vec<String> {
        let names = docker(["--host", engine, "volume", "ls", "--quiet"]);
        names.lines().filter(|name| name.contains(self.scene.token())).map(str::to_owned).collect()
    }
}

#[test]
fn a_bound_file_is_a_config_which_changes_with_its_content_and_goes_with_the_service() {
    let Some(on) = OnSwarm::new() else { return };
    let read = || {
        let outcome = on.launch(&["true"]).output().assert_code(0);
        let logs = on.farrier(&["logs", &on.scene.name("db")]).output().assert_code(0);
        (on.scene.take_decisions(), logs.stdout().trim().to_owned(), outcome.stderr())
    };
    on.beside("greeting", "hello");
    on.job("db", "[\"read\", \"/greeting\"]", "mounts = [\"bind:./greeting:/greeting:ro\"]");
    assert_eq!(read().1, "hello");
    let before = on.files("db");
    assert_eq!(before.len(), 1, "{before:?}");
    on.beside("greeting", "good morning");
    let (decisions, content, said) = read();
    assert_eq!(content, "good morning", "{said}");
    assert!(decisions.iter().any(|decision| decision.contains("greeting changed")), "{decisions:?}");
    let after = on.files("db");
    assert!(after.len() == 1 && after != before, "the former one is removed: {before:?} {after:?}");
    let (decisions, ..) = read();
    assert!(decisions.iter().all(|decision| decision.starts_with("reuse: ")), "{decisions:?}");
    on.farrier(&["down", "--yes", &on.scene.name("db")]).output().assert_code(0);
    assert_eq!(on.files("db"), [""; 0]);
}

#[test]
fn no_files_stay_if_somebody_removes_the_service_while_it_starts() {
    let Some(on) = OnSwarm::new() else { return };
    let test = "HEALTHCHECK --interval=20s CMD [\"/fixture\", \"healthy-when-port\", \"7000\"]";
    let image = on.nodes.share(&on.scene.image(&Image::new().change(test)));
    on.beside("greeting", "hello");
    on.scene.define("db", &server(&image, "mounts = [\"bind:./greeting:/greeting:ro\"]"));
    let launch = on.ask("db").spawn();
    wait_until("there is a service", PATIENT, || !on.services().is_empty());
    docker(["service", "rm", &on.scene.container("db")]);
    let said = launch.wait().assert_code(125).stderr();
    assert!(said.contains("was changed or removed during the launch"), "{said}");
    assert_eq!(on.files("db"), [""; 0]);
}

#[test]
fn what_is_no_small_file_is_refused_before_any_call() {
    let Some(on) = OnSwarm::new() else { return };
    on.beside("large", vec![b'x'; (500 << 10) + 1]);
    on.beside("small", "x");
    on.beside("empty", "");
    for (mount, reason) in [
        ("bind:./large:/x:ro", "`large` has 512001 bytes"),
        ("bind:./empty:/x:ro", "`empty` is empty"),
        ("bind:./small:/x", "`small` is mounted writable"),
        ("bind:.:/x:ro", "`.` is a folder"),
        ("volume:data:/x", "keeps a volume on one node"),
    ] {
        on.scene.define("db", &server(&on.image, &format!("mounts = [\"{mount}\"]")));
        let run = on.ask("db").env("DOCKER_HOST", "unix:///nowhere");
        let said = run.output().assert_code(125).stderr();
        assert!(said.contains(reason) && !said.contains("nowhere"), "{mount}: {said}");
    }
}

#[test]
fn a_volume_stays_on_its_node_until_it_is_named() {
    let Some(on) = OnSwarm::new() else { return };
    for engine in [&on.nodes.manager, &on.nodes.worker] {
        let node = OnSwarm::node_of(engine);
        let top = format!("placement = [\"node.id == {node}\"]\nmounts = [\"volume:data:/data\"]");
        on.job("db", "[\"touch\", \"/data/mark\"]", &top);
        on.launch(&["true"]).output().assert_code(0);
        on.job("db", "[\"read\", \"/data/mark\"]", &top);
        on.launch(&["true"]).output().assert_code(0);
        let volume = format!("{}_swarm_data", on.scene.container("db"));
        assert_eq!(on.volumes_on(engine), [volume.as_str()]);
        on.farrier(&["down", "--yes"]).output().assert_code(0);
        assert_eq!(on.volumes_on(engine), [volume.as_str()], "data stay");
        on.launch(&["true"]).output().assert_code(0);
        let said = on.farrier(&["down", "--yes", "--volumes"]).output().assert_code(0).stdout();
        if *engine == on.nodes.manager {
            assert!(said.contains(&format!("removed the volume {volume}")), "{said}");
            assert_eq!(on.volumes_on(engine), [""; 0]);
        } else {
            assert!(said.contains(&format!("docker volume rm {volume}")), "{said}");
            // The node removes the containers of a service that is gone in its own time.
            let words = ["--host", engine.as_str(), "volume", "rm", volume.as_str()];
            wait_until("the node lets it go", PATIENT, || run(words).is_ok());
        }
    }
}

#[test]
fn a_host_name_of_several_nodes_names_none() {
    let Some(on) = OnSwarm::new() else { return };
    let host = |engine: &str| docker(["--host", engine, "info", "--format", "{{.Name}}"]);
    let name = host(&on.nodes.manager);
    if name != host(&on.nodes.worker) {
        // Only on nodes of one machine.
        return;
    }
    let top = format!("placement = [\"node.hostname == {name}\"]\nmounts = [\"volume:data:/data\"]");
    on.define("db", &top);
    let said = on.ask("db").output().assert_code(125).stderr();
    assert!(said.contains("2 nodes have the host name"), "{said}");
}

#[test]
fn a_volume_that_another_machine_awaits_stays() {
    let Some(on) = OnSwarm::new() else { return };
    let (engine, service) = (&on.nodes.manager, on.scene.container("db"));
    let node = OnSwarm::node_of(engine);
    let top = format!("placement = [\"node.id == {node}\"]\nmounts = [\"volume:data:/data\"]");
    on.job("db", "[\"touch\", \"/data/mark\"]", &top);
    on.launch(&["true"]).output().assert_code(0);
    on.farrier(&["down", "--yes"]).output().assert_code(0);
    let wants = format!("{{\"{service}\":{{\"use\":{{\"of\":\"x\",\"networks\":[]}}}}}}");
    let mark = on.mark_elsewhere(&wants, "elsewhere");
    let said = on.farrier(&["down", "--yes", "--volumes"]).output().assert_code(125).stderr();
    assert!(said.contains("process 7 uses the sidecar"), "{said}");
    let volume = format!("{service}_swarm_data");
    assert_eq!(on.volumes_on(engine), [volume.as_str()]);
    docker(["config", "rm", &mark]);
    on.farrier(&["down", "--yes", "--volumes"]).output().assert_code(0);
    assert_eq!(on.volumes_on(engine), [""; 0]);
}

#[test]
fn a_reset_changes_nothing_if_a_volume_lies_on_another_node() {
    let Some(on) = OnSwarm::new() else { return };
    let (engine, volume) = (&on.nodes.worker, format!("{}_swarm_data", on.scene.container("db")));
    let node = OnSwarm::node_of(engine);
    on.job(
        "db",
        "[\"touch\", \"/data/mark\"]",
        &format!("placement = [\"node.id == {node}\"]\nmounts = [\"volume:data:/data\"]"),
    );
    on.launch(&["true"]).output().assert_code(0);
    let said = on.farrier(&["reset", "--yes", &on.scene.name("db")]).output().assert_code(125).stderr();
    assert!(said.contains(&format!("docker volume rm {volume}")), "{said}");
    assert_eq!(on.services(), [on.scene.container("db")], "nothing was removed");
    on.farrier(&["down", "--yes"]).output().assert_code(0);
    let words = ["--host", engine.as_str(), "volume", "rm", volume.as_str()];
    wait_until("the node lets it go", PATIENT, || run(words).is_ok());
}

#[test]
fn a_volume_on_the_managers_node_that_is_not_the_sidecars_is_not_mounted() {
    let Some(on) = OnSwarm::new() else { return };
    let (engine, volume) = (&on.nodes.manager, format!("{}_swarm_data", on.scene.container("db")));
    docker(["volume", "create", &volume]);
    let node = OnSwarm::node_of(engine);
    on.define("db", &format!("placement = [\"node.id == {node}\"]\nmounts = [\"volume:data:/data\"]"));
    let said = on.ask("db").output().assert_code(125).stderr();
    assert!(said.contains("[name-taken]") && said.contains(&volume), "{said}");
    assert_eq!(on.services(), [""; 0]);
    docker(["volume", "rm", &volume]);
}
