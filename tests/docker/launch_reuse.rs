//! What a launch does with sidecars that are there already: reused, resumed, or recreated with the reason.

mod stopping;

use crate::support::engine::{container_id, inspect, is_running};
use crate::support::launching::{assert_answered, identity, idler, planned, server, server_ready};
use crate::support::{Image, PATIENT, Scene, assert_output, docker, fixture_image, wait_until};

/// A scene with a server `db` on a network, launched once. Gives the network.
fn launched(scene: &Scene, top: &str) -> String {
    let network = scene.network("net");
    scene.define("db", &server(&fixture_image(), top));
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    assert_eq!(scene.take_decisions(), ["create: it does not exist"]);
    network
}

#[test]
fn the_second_launch_leaves_a_running_sidecar_untouched() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = launched(&scene, "");
    let first = identity(&scene.container("db"));
    let again = scene.launch(scene.asking(&network, "db")).output();
    assert!(!again.stderr().contains("recreate"), "{again}");
    assert_answered(again);
    assert_eq!(scene.take_decisions(), ["reuse: it is running and matches its definition"]);
    assert_eq!(identity(&scene.container("db")), first);
}

#[test]
fn another_spelling_of_the_image_or_of_line_ends_changes_nothing() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    let image = fixture_image();
    let top = "env.A = \"\"\"\none\ntwo\"\"\"\n";
    scene.define("db", &server(&image, top));
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    assert_eq!(scene.take_decisions(), ["create: it does not exist"]);
    let first = identity(&scene.container("db"));
    for (image, ends) in [
        (format!("docker.io/library/{image}"), "\n"),
        (format!("library/{image}"), "\n"),
        (format!("index.docker.io/{image}"), "\r\n"),
        (image.clone(), "\r\n"),
    ] {
        scene.define("db", &server(&image, top).replace('\n', ends));
        assert_answered(scene.launch(scene.asking(&network, "db")).output());
        assert_eq!(scene.take_decisions(), ["reuse: it is running and matches its definition"], "{image}");
        assert_eq!(identity(&scene.container("db")), first);
    }
    let env = inspect(&scene.container("db"), "{{json .Config.Env}}").expect("an environment");
    assert!(env.contains("\"A=one\\ntwo\""), "{env}");
}

#[test]
fn an_edit_recreates_with_the_field_as_the_cause_and_the_plan_says_so_before() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    let backend = scene.network("backend");
    let image = fixture_image();
    let backend_line = format!("networks = [\"{backend}\"]");
    let cases = [
        ("env = { SECRET = \"hunter2\" }", "create: it does not exist"),
        ("env = { SECRET = \"hunter3\" }", "recreate: env.SECRET changed"),
        ("env = { OTHER = \"hunter3\" }", "recreate: env.OTHER, env.SECRET changed"),
        ("", "recreate: env.OTHER changed"),
        (
            "command = [\"serve\", \"--port\", \"7000\", \"--reply\", \"pong\", \"--trace\"]",
            "recreate: command changed",
        ),
        (
            "entrypoint = [\"/fixture\", \"serve\"]\ncommand = [\"--port\", \"7000\", \"--reply\", \"pong\"]",
            "recreate: entrypoint, command changed",
        ),
        ("resources = { memory = \"64m\" }", "recreate: entrypoint, command, resources.memory changed"),
        ("mounts = [\"docker-socket\"]", "recreate: mounts, resources.memory changed"),
        (&backend_line, "recreate: mounts, networks changed"),
        ("stop_signal = \"kill\"\nstop_timeout = 5", "recreate: networks, stop_signal, stop_timeout changed"),
    ];
    let container = scene.container("db");
    for (top, expected) in cases {
        scene.define("db", &server(&image, top));
        let plan = scene.plan(scene.asking(&network, "db"));
        assert_eq!(planned(&plan), [expected], "{top}");
        let plan_text = scene.farrier(["plan", "--"]).args(scene.asking(&network, "db")).output();
        let before = container_id(&container);
        let launch = scene.launch(scene.asking(&network, "db")).output();
        for text in [plan.to_string(), plan_text.to_string(), launch.to_string()] {
            assert!(!text.contains("hunter"), "a value is shown: {text}");
        }
        assert_answered(launch);
        assert_eq!(scene.take_decisions(), [expected], "{top}");
        assert_ne!(container_id(&container), before, "{top}");
        assert_answered(scene.launch(scene.asking(&network, "db")).output());
        assert_eq!(scene.take_decisions(), ["reuse: it is running and matches its definition"], "{top}");
    }
    let labels = inspect(&container, "{{json .Config.Labels}}").expect("labels");
    assert!(!labels.contains("hunter"), "{labels}");
}

#[test]
fn what_only_concerns_readiness_or_readers_does_not_recreate() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = launched(&scene, "");
    let first = identity(&scene.container("db"));
    let image = fixture_image();
    for definition in [
        server_ready(&image, "", "probe = \"tcp\"\ntimeout = \"61s\""),
        server_ready(&image, "", "probe = \"skip\""),
        server_ready(
            &image,
            "",
            "probe = \"exec\"\ncommand = [\"/fixture\", \"healthy-when-port\", \"7000\"]",
        ),
        server(&image, "description = \"what it is for\"\nrequired = true"),
    ] {
        scene.define("db", &definition);
        assert_answered(scene.launch(scene.asking(&network, "db")).output());
        assert_eq!(
            scene.take_decisions(),
            ["reuse: it is running and matches its definition"],
            "{definition}"
        );
        assert_eq!(identity(&scene.container("db")), first, "{definition}");
    }
}

#[test]
fn a_stopped_sidecar_is_recreated_and_its_exit_code_told() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = launched(&scene, "");
    docker(["kill", &scene.container("db")]);
    wait_until("it is stopped", PATIENT, || !is_running(&scene.container("db")));
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    assert_eq!(scene.take_decisions(), ["recreate: it is not running: exited (exit code 137)"]);
}

#[test]
fn a_paused_sidecar_is_resumed_and_a_half_made_one_recreated() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = launched(&scene, "");
    let container = scene.container("db");
    let first = identity(&container);
    docker(["pause", &container]);
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    assert_eq!(scene.take_decisions(), ["resume: it matches but is paused"]);
    assert_eq!(identity(&container), first);

    let labels = inspect(&container, "{{json .Config.Labels}}").expect("labels");
    docker(["rm", "--force", &container]);
    let mut create: Vec<String> =
        ["create", "--name", &container, "--network", &network].map(str::to_owned).into();
    create.extend(label_options(&labels));
    create.extend([fixture_image(), "wait".to_owned()]);
    docker(create);
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    let decided = scene.take_decisions();
    assert!(decided[0].starts_with("recreate: it was created but never started"), "{decided:?}");
}

#[test]
fn a_tag_that_names_another_image_recreates_and_one_that_is_gone_does_not() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    let container = scene.container("db");
    let tag = scene.image(&Image::new().change("ENV VERSION=1"));
    scene.define("db", &server(&tag, ""));
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    scene.take_events();

    let newer = scene.image(&Image::new().change("ENV VERSION=2"));
    docker(["tag", &newer, &tag]);
    let plan = scene.plan(scene.asking(&network, "db"));
    assert_eq!(plan["sidecars"][0]["causes"][0]["kind"], "image");
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    assert_eq!(scene.take_decisions(), planned(&plan));
    assert_eq!(
        inspect(&container, "{{.Image}}"),
        Some(docker(["image", "inspect", "--format", "{{.Id}}", &newer]))
    );

    let running = identity(&container);
    docker(["image", "rm", "--no-prune", &tag]);
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    assert_eq!(scene.take_decisions(), ["reuse: it is running and matches its definition"]);
    assert_eq!(identity(&container), running);
}

const SERVE: &[&str] = &["serve", "--port", "7000", "--reply", "pong"];

/// What a hand-made container differs in, as options before and words behind the image, and how it is told.
const DRIFT: &[(&[&str], &[&str], &str)] = &[
    (&["--entrypoint", "/fixture"], SERVE, ""),
    (&[], &["serve", "--port", "7000"], "command"),
    (&["--entrypoint", "/other"], SERVE, "entrypoint"),
    (&["--env", "EXTRA=1"], SERVE, "env"),
    (&["--user", "1000"], SERVE, "user"),
    (&["--workdir", "/tmp"], SERVE, "working dir"),
    (&["--health-cmd", "true"], SERVE, "health test"),
    (&["--volume", "/tmp:/host"], SERVE, "mounts"),
    (&["--volume", "/data"], SERVE, ""),
    (&["--volume", "/var/run/docker.sock:/var/run/docker.sock"], SERVE, "mounts"),
    (&["--tmpfs", "/scratch"], SERVE, "Tmpfs"),
    (&["--memory", "64m"], SERVE, "memory"),
    (&["--stop-signal", "INT"], SERVE, "stop signal"),
    (&["--stop-signal", "15"], SERVE, ""),
    (&["--stop-timeout", "77"], SERVE, "stop timeout"),
    (&["--privileged"], SERVE, "Privileged"),
    (&["--cap-add", "SYS_ADMIN"], SERVE, "CapAdd"),
    (&["--device", "/dev/null"], SERVE, "Devices"),
    (&["--pid", "host"], SERVE, "PidMode"),
    (&["--ipc", "host"], SERVE, "IpcMode"),
    (&["--uts", "host"], SERVE, "UTSMode"),
    (&["--security-opt", "seccomp=unconfined"], SERVE, "SecurityOpt"),
    (&["--publish", "127.0.0.1::7000"], SERVE, "PortBindings"),
    (&["--add-host", "example.test:127.0.0.1"], SERVE, "ExtraHosts"),
    (&["--dns", "192.0.2.1"], SERVE, "Dns"),
    (&["--group-add", "999"], SERVE, "GroupAdd"),
    (&["--sysctl", "net.ipv4.ip_forward=1"], SERVE, "Sysctls"),
    (&["--restart", "always"], SERVE, "RestartPolicy"),
    (&["--rm"], SERVE, "AutoRemove"),
    (&["--read-only"], SERVE, "ReadonlyRootfs"),
    (&["--network", "host"], SERVE, "network mode"),
    (&["--network", "none"], SERVE, "network mode"),
    (&["--network", "bridge"], SERVE, "network mode"),
];

/// `docker create` of a container that carries these labels and differs in this.
fn forge(scene: &Scene, network: &str, labels: &[String], options: &[&str], words: &[&str]) -> String {
    let (container, label) = (scene.container("db"), scene.label());
    drop(crate::support::docker::run(["rm", "--force", "--volumes", &container]));
    let mut arguments = vec!["create", "--name", &container, "--label", &label];
    if !options.contains(&"--network") {
        arguments.extend(["--network", network]);
    }
    let image = fixture_image();
    arguments.extend(options.iter().copied().chain(labels.iter().map(String::as_str)));
    arguments.push(&image);
    arguments.extend(words);
    docker(arguments)
}

#[test]
fn a_container_that_only_claims_by_its_labels_to_be_the_sidecar_is_found_out() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = launched(&scene, "");
    let labels = label_options(&inspect(&scene.container("db"), "{{json .Config.Labels}}").expect("labels"));
    for &(options, words, told) in DRIFT {
        // Not every engine may start each of these, but every one makes them.
        forge(&scene, &network, &labels, options, words);
        let expected = match told {
            "" => "recreate: it was created but never started".to_owned(),
            told => {
                format!("recreate: it was created but never started; it no longer matches its labels: {told}")
            }
        };
        // Some options make some engines set others too: sharing the host's processes drops a security label.
        let found = planned(&scene.plan(scene.asking(&network, "db")));
        assert!(
            matches!(found.as_slice(), [one] if one.starts_with(&expected)),
            "{options:?} {words:?}: {found:?}"
        );
    }
}

#[test]
fn a_running_container_that_drifted_is_recreated() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = launched(&scene, "");
    let container = scene.container("db");
    let labels = label_options(&inspect(&container, "{{json .Config.Labels}}").expect("labels"));
    for (options, words, told) in [
        (&[] as &[&str], &["serve", "--port", "7000", "--reply", "forged"] as &[&str], "command"),
        (&["--env", "EXTRA=1"], SERVE, "env"),
        (&["--volume", "/tmp:/host"], SERVE, "mounts"),
        (&["--hostname", "other"], SERVE, "hostname"),
        (&["--tty", "--domainname", "other.test"], SERVE, "Domainname, Tty"),
        (&["--network", "host"], &["wait"], "command, network mode"),
    ] {
        let forged = forge(&scene, &network, &labels, options, words);
        docker(["start", &forged]);
        assert_answered(scene.launch(scene.asking(&network, "db")).output());
        assert_eq!(
            scene.take_decisions().last().map(String::as_str),
            Some(format!("recreate: it no longer matches its labels: {told}").as_str())
        );
        assert_ne!(container_id(&container), Some(forged), "{told}");
    }
}

/// `--label NAME=VALUE` for each of these labels in JSON, farrier's own only.
fn label_options(labels: &str) -> Vec<String> {
    let labels: serde_json::Map<String, serde_json::Value> = serde_json::from_str(labels).expect("labels");
    let own = labels.into_iter().filter(|(name, _)| name.starts_with("farrier.") && !name.contains("test"));
    own.flat_map(|(name, value)| {
        ["--label".to_owned(), format!("{name}={}", value.as_str().unwrap_or_default())]
    })
    .collect()
}

#[test]
fn an_image_that_carries_farriers_labels_gains_nothing_by_them() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    let name = scene.name("db");
    let image = scene.image(
        &Image::new()
            .change(format!("LABEL farrier.sidecar={name}"))
            .change("LABEL farrier.config-hash=0000")
            .change("LABEL farrier.configuration={}"),
    );
    scene.define("db", &server(&image, ""));
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    assert_eq!(scene.take_decisions(), ["create: it does not exist"]);
    let first = identity(&scene.container("db"));
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    assert_eq!(scene.take_decisions(), ["reuse: it is running and matches its definition"]);
    assert_eq!(identity(&scene.container("db")), first);

    docker(["rm", "--force", &scene.container("db")]);
    let container = scene.container("db");
    scene.docker_run(["--name", &container, "--network", &network, &image, "wait"]);
    let stranger = identity(&container);
    scene.launch(scene.asking(&network, "db")).output().assert_code(125);
    assert_eq!(scene.take_codes(), ["name-taken"]);
    assert_eq!(identity(&container), stranger);
}

#[test]
fn a_container_of_our_name_without_our_labels_is_never_touched() {
    let Some(scene) = Scene::with_docker() else { return };
    let (network, container) = (scene.network("net"), scene.container("db"));
    scene.define("db", &server(&fixture_image(), ""));
    scene.docker_run(["--name", &container, "--network", &network, &fixture_image(), "wait"]);
    let first = identity(&container);
    for option in [&[] as &[&str], &["--recreate"]] {
        scene.launch_with(option, scene.asking(&network, "db")).output().assert_code(125);
        assert_eq!(scene.take_codes(), ["name-taken"]);
        assert_eq!(identity(&container), first);
    }
    scene.farrier(["plan", "--"]).args(scene.asking(&network, "db")).output().assert_code(125);
}

#[test]
fn an_unhealthy_sidecar_is_reused_and_its_readiness_decides() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    let image = scene.image(&Image::new().change(
        "HEALTHCHECK --interval=100ms --retries=1 CMD [\"/fixture\", \"healthy-when-file\", \"/no\"]",
    ));
    scene.define("db", &server(&image, ""));
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    let container = scene.container("db");
    let health = || inspect(&container, "{{.State.Health.Status}}").unwrap_or_default();
    wait_until("it is unhealthy", PATIENT, || health() == "unhealthy");
    let first = identity(&container);
    scene.take_events();
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    assert_eq!(scene.take_decisions(), ["reuse: it is running and matches its definition"]);

    scene.define("db", &server_ready(&image, "", "probe = \"healthcheck\"\ntimeout = \"60s\""));
    let refused = scene.launch(scene.asking(&network, "db")).output().assert_code(125);
    assert!(refused.stderr().contains("sidecar-unhealthy"), "{refused}");
    assert!(!refused.stderr().contains("--recreate"), "a new container has the same test: {refused}");
    assert_eq!(identity(&container), first);
}

#[test]
fn recreate_is_done_where_it_is_asked_for() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = launched(&scene, "");
    let first = identity(&scene.container("db"));
    assert_answered(scene.launch_with(["--recreate"], scene.asking(&network, "db")).output());
    assert_eq!(scene.take_decisions(), ["recreate: --recreate was given"]);
    assert_ne!(identity(&scene.container("db")), first);
}

#[test]
fn what_a_sidecar_wrote_to_an_anonymous_volume_survives_its_recreation() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    let container = scene.container("db");
    let image = scene.image(&Image::new().change("VOLUME [\"/data\"]"));
    let volume = || inspect(&container, "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}}{{end}}");
    scene.define("db", &server(&image, ""));
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    docker(["exec", &container, "/fixture", "write", "/data/file", "kept"]);
    let first = volume();
    // Twice: the second time it is no longer anonymous to the engine itself.
    for round in ["1", "2"] {
        scene.define("db", &server(&image, &format!("env = {{ ROUND = \"{round}\" }}")));
        let plan = scene.plan(scene.asking(&network, "db"));
        assert_eq!(plan["sidecars"][0]["carried_volumes"], serde_json::json!(["/data"]));
        let launch = scene.launch(scene.asking(&network, "db")).output();
        assert!(launch.stderr().contains("the anonymous volume at /data is carried over"), "{launch}");
        assert_answered(launch);
        assert_eq!(docker(["exec", &container, "/fixture", "read", "/data/file"]), "kept");
        assert_eq!(volume(), first);
    }
    scene.take_events();
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    assert_eq!(scene.take_decisions(), ["reuse: it is running and matches its definition"]);
}

#[test]
fn memory_the_docker_socket_and_additional_networks_reach_the_container() {
    let Some(scene) = Scene::with_docker() else { return };
    let (network, backend) = (scene.network("net"), scene.network("backend"));
    let top = format!(
        "networks = [\"{backend}\"]\nmounts = [\"docker-socket:ro\"]\nresources = {{ memory = \"64MiB\" }}"
    );
    scene.define("db", &server(&fixture_image(), &top));
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    let container = scene.container("db");
    assert_eq!(inspect(&container, "{{.HostConfig.Memory}}").as_deref(), Some("67108864"));
    let mounts = "{{range .Mounts}}{{.Type}} {{.Source}} {{.Destination}} {{.RW}}{{end}}";
    assert_eq!(
        inspect(&container, mounts).as_deref(),
        Some("bind /var/run/docker.sock /var/run/docker.sock false")
    );
    let name = scene.name("db");
    let answer = docker(["run", "--rm", "--network", &backend, &fixture_image(), "ask", &name, "7000"]);
    assert_eq!(answer, "pong");
    scene.take_events();
    docker(["network", "disconnect", &backend, &container]);
    let first = identity(&container);
    let plan = scene.plan(scene.asking(&network, "db"));
    assert_eq!(plan["sidecars"][0]["connect"], serde_json::json!([network, backend]));
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    assert_eq!(scene.take_decisions(), ["reuse: it is running and matches its definition"]);
    assert_eq!(identity(&container), first);
    assert_eq!(
        docker(["run", "--rm", "--network", &backend, &fixture_image(), "ask", &name, "7000"]),
        "pong"
    );
}

#[test]
fn a_missing_additional_network_is_refused_before_anything_is_made() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    let top = format!("networks = [\"{}\"]", scene.name("missing"));
    scene.define("db", &server(&fixture_image(), &top));
    scene.launch(scene.asking(&network, "db")).output().assert_code(125);
    assert_eq!(scene.take_codes(), ["network-unusable"]);
    assert_eq!(container_id(&scene.container("db")), None);
}

#[test]
fn entrypoint_and_command_combine_with_the_images_as_in_docker_run() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = scene
        .image(&Image::new().change("CMD [\"serve\", \"--port\", \"7000\", \"--log\", \"from the image\"]"));
    let cases = [
        ("", "[/fixture] [serve --port 7000 --log from the image]"),
        ("command = []", "[/fixture] [serve --port 7000 --log from the image]"),
        ("command = [\"wait\"]", "[/fixture] [wait]"),
        ("entrypoint = [\"/fixture\", \"wait\"]", "[/fixture wait] []"),
        ("entrypoint = [\"/fixture\"]\ncommand = [\"sleep\", \"9999999\"]", "[/fixture] [sleep 9999999]"),
    ];
    for (top, expected) in cases {
        scene.define("db", &idler(&image, top));
        scene.launch(["true"]).output().assert_code(0);
        scene.take_events();
        scene.launch(["true"]).output().assert_code(0);
        assert_eq!(scene.take_decisions(), ["reuse: it is running and matches its definition"], "{top}");
        let found = inspect(&scene.container("db"), "{{.Config.Entrypoint}} {{.Config.Cmd}}");
        assert_eq!(found.as_deref(), Some(expected), "{top}");
        assert!(is_running(&scene.container("db")), "{top}");
    }
}

#[test]
fn what_a_label_says_reaches_the_terminal_escaped() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = launched(&scene, "");
    let labels = label_options(&inspect(&scene.container("db"), "{{json .Config.Labels}}").expect("labels"));
    let forged: Vec<String> = labels
        .into_iter()
        .map(|label| match label.strip_prefix("farrier.config-hash=") {
            Some(_) => "farrier.config-hash=other".to_owned(),
            None => label.replace("\"env\":{}", "\"env\":{\"A\\u001b[31mB\":\"x\"}"),
        })
        .collect();
    forge(&scene, &network, &forged, &[], SERVE);
    let plan = scene.farrier(["plan", "--"]).args(scene.asking(&network, "db")).output().assert_code(0);
    assert_output!(plan, @r"
    exit code 0
    --- stdout
    layer user      [SCENE]/config/farrier/sidecars (1 file)
    layer workspace [SCENE]/workspace/.farrier/sidecars (no such folder)
    network net-[TOKEN]: use
    db-[TOKEN]: recreate, because it was created but never started; env.A\x1b[31mB changed
    --- stderr
    ");
    assert!(!plan.stdout().contains('\u{1b}'), "{plan}");
}

#[test]
fn proxies_of_dockers_client_configuration_reach_a_sidecar_as_with_docker_run() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    let folder = scene.home().join(".docker");
    std::fs::create_dir_all(&folder).expect("a folder");
    let configure = |proxy: &str| {
        let text = format!(
            "{{\"proxies\": {{\"default\": {{\"httpProxy\": \"{proxy}\", \"noProxy\": \"localhost\"}}}}}}"
        );
        std::fs::write(folder.join("config.json"), text).expect("a configuration");
    };
    configure("http://user:hunter2@proxy:3128");
    scene.define("db", &server(&fixture_image(), "env = { no_proxy = \"own\" }"));
    let mut said = scene.launch(scene.asking(&network, "db")).output().to_string();
    let env = inspect(&scene.container("db"), "{{json .Config.Env}}").expect("an environment");
    for expected in [
        "\"HTTP_PROXY=http://user:hunter2@proxy:3128\"",
        "\"http_proxy=http://user:hunter2@proxy:3128\"",
        "\"NO_PROXY=localhost\"",
        "\"no_proxy=own\"",
    ] {
        assert!(env.contains(expected), "{expected}: {env}");
    }
    scene.take_events();
    said += &scene.launch(scene.asking(&network, "db")).output().to_string();
    assert_eq!(scene.take_decisions(), ["reuse: it is running and matches its definition"]);
    let listed = scene.farrier(["ps", "--format", "json"]).output().assert_code(0);
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout()).expect("JSON");
    let own = listed["sidecars"].as_array().expect("a list").iter();
    let own: Vec<_> = own.filter(|sidecar| sidecar["name"] == scene.name("db").as_str()).collect();
    assert_eq!(own[0]["match"], "fresh");
    // Another user, or cron, may have others: the sidecar is shared, and stays.
    configure("http://user:hunter3@proxy:3128");
    said += &scene.launch(scene.asking(&network, "db")).output().to_string();
    std::fs::remove_file(folder.join("config.json")).expect("it is removed");
    said += &scene.launch(scene.asking(&network, "db")).output().to_string();
    let decided = scene.events();
    assert_eq!(
        scene.take_decisions(),
        [
            "reuse: it is running and matches its definition",
            "reuse: it is running and matches its definition"
        ]
    );
    let labels = inspect(&scene.container("db"), "{{json .Config.Labels}}").expect("labels");
    for text in [said, format!("{decided:?}"), labels] {
        assert!(!text.contains("hunter"), "{text}");
    }
    // What the definition declares counts, under these names too.
    scene.define("db", &server(&fixture_image(), "env = { no_proxy = \"other\" }"));
    scene.launch(scene.asking(&network, "db")).output().assert_code(0);
    assert_eq!(scene.take_decisions(), ["recreate: env.no_proxy changed"]);
}
