//! Where harness and sidecars meet: the harness's network, farrier's own, and what is refused.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::support::engine::{container_id, inspect};
use crate::support::launching::{assert_answered, identity, server};
use crate::support::{Image, PATIENT, Scene, docker, fixture_image, fixture_program, wait_until};

/// A scene whose user layer defines the server `db`.
fn with_server() -> Option<Scene> {
    let scene = Scene::with_docker()?;
    scene.define("db", &server(&fixture_image(), ""));
    Some(scene)
}

/// A harness with these options of `docker run` that asks `db`.
fn asking_with(scene: &Scene, options: &[&str]) -> Vec<String> {
    let own = ["docker", "run", "--rm", "--init", "--label"].map(str::to_owned);
    own.into_iter()
        .chain([scene.label()])
        .chain(options.iter().map(|&option| option.to_owned()))
        .chain([fixture_image(), "ask-env".to_owned(), scene.variable("db")])
        .collect()
}

#[test]
fn a_harness_that_names_no_network_is_put_on_farriers_own() {
    let Some(scene) = with_server() else { return };
    assert_answered(scene.launch(asking_with(&scene, &[])).output());
    let networks = inspect(&scene.container("db"), "{{json .NetworkSettings.Networks}}").expect("networks");
    let networks: serde_json::Value = serde_json::from_str(&networks).expect("JSON");
    let names: Vec<&String> = networks.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["farrier"]);
    assert!(networks["farrier"]["Aliases"].to_string().contains(&scene.name("db")), "{networks}");
    let resolved =
        scene.launch(["docker", "run", "--rm", &fixture_image(), "resolve", &scene.name("db")]).output();
    let address = networks["farrier"]["IPAddress"].as_str().expect("an address");
    assert_eq!(resolved.assert_code(0).stdout().trim_end(), address);
    assert_eq!(docker(["network", "inspect", "--format", "{{.Driver}}", "farrier"]), "bridge");
}

#[test]
fn the_harness_s_own_network_is_used_in_every_spelling() {
    let Some(scene) = with_server() else { return };
    let network = scene.network("net");
    let with = |prefix: &str| format!("{prefix}{network}");
    let mut first = None;
    for options in [
        vec!["--network".to_owned(), network.clone()],
        vec![with("--network=")],
        vec!["--net".to_owned(), network.clone()],
        vec![with("--net=")],
        vec!["--network".to_owned(), with("name=")],
        vec![format!("--network=name={network},alias=harness.test")],
        vec![docker(["network", "inspect", "--format", "--network={{.Id}}", &network])],
    ] {
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        assert_answered(scene.launch(asking_with(&scene, &options)).output());
        let container = scene.container("db");
        let networks =
            inspect(&container, "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}");
        assert_eq!(networks.as_deref().map(str::trim), Some("farrier"), "it left: {options:?}");
        let now = identity(&container);
        assert_eq!(*first.get_or_insert_with(|| now.clone()), now, "{options:?}");
    }
}

#[test]
fn a_network_that_does_not_exist_is_an_error_before_anything_is_made() {
    let Some(scene) = with_server() else { return };
    let missing = scene.name("missing");
    let outcome = scene.launch(asking_with(&scene, &["--network", &missing])).output().assert_code(125);
    assert!(outcome.stderr().contains(&format!("docker network create {missing}")), "{outcome}");
    assert_eq!(scene.take_codes(), ["network-unusable"]);
    assert_eq!(container_id(&scene.container("db")), None);
}

#[test]
fn a_running_sidecar_is_connected_to_another_harness_s_network_and_not_recreated() {
    let Some(scene) = with_server() else { return };
    let (one, other) = (scene.network("one"), scene.network("other"));
    assert_answered(scene.launch(scene.asking(&one, "db")).output());
    let first = identity(&scene.container("db"));
    scene.take_events();
    let plan = scene.plan(scene.asking(&other, "db"));
    assert_eq!(plan["sidecars"][0]["action"], "reuse");
    assert_eq!(plan["sidecars"][0]["connect"], serde_json::json!([other]));
    assert_answered(scene.launch(scene.asking(&other, "db")).output());
    assert_eq!(scene.take_decisions(), ["reuse: it is running and matches its definition"]);
    assert_eq!(identity(&scene.container("db")), first);
    assert_answered(scene.launch(scene.asking(&one, "db")).output());

    // Somebody connected it by hand, without its name: it is connected once more, with it.
    docker(["network", "connect", &other, &scene.container("db")]);
    assert_answered(scene.launch(scene.asking(&other, "db")).output());
    assert_eq!(identity(&scene.container("db")), first);
}

#[test]
fn a_name_that_another_container_holds_on_the_network_stops_the_launch_before_it_starts() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    scene.define("db", &server(&fixture_image(), ""));
    scene.define("cache", &server(&fixture_image(), ""));
    let (name, taker) = (scene.name("db"), scene.name("taker"));
    scene.docker_run([
        "--name",
        &taker,
        "--network",
        &network,
        "--network-alias",
        &name,
        &fixture_image(),
        "wait",
    ]);
    let outcome = scene.launch(scene.asking(&network, "db")).output().assert_code(125);
    assert!(outcome.stderr().contains(&taker), "{outcome}");
    assert_eq!(scene.take_codes(), ["alias-taken"]);
    assert_eq!(container_id(&scene.container("db")), None);
    assert_eq!(container_id(&scene.container("cache")), None, "nothing else was started either");

    // Another network is as good as any.
    let other = scene.network("other");
    assert_answered(scene.launch(scene.asking(&other, "db")).output());
    docker(["rm", "--force", &taker]);
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
}

#[test]
fn additional_names_of_a_sidecar_resolve_and_collide_like_its_own() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    let alias = format!("{}.test", scene.name("alias"));
    let definition = server(&fixture_image(), "");
    let definition =
        definition.replace("kind = \"port\"\n", &format!("kind = \"port\"\naliases = [\"{alias}\"]\n"));
    scene.define("db", &definition);
    let harness = scene.in_container(&network, &["ask", &alias, "7000"]);
    assert_answered(scene.launch(&harness).output());
    docker(["rm", "--force", &scene.container("db")]);
    scene.docker_run(["--network", &network, "--network-alias", &alias, &fixture_image(), "wait"]);
    scene.take_events();
    scene.launch(&harness).output().assert_code(125);
    assert_eq!(scene.take_codes(), ["alias-taken"]);
}

#[test]
fn names_are_taken_as_the_engine_resolves_them_on_every_network_that_is_joined() {
    let Some(scene) = Scene::with_docker() else { return };
    let (network, more) = (scene.network("net"), scene.network("more"));
    scene.define("book", &server(&fixture_image(), &format!("networks = [\"{more}\"]")));
    let name = scene.name("book");
    // Docker's name server folds the case of letters that are not ASCII, too: the Kelvin sign is a k.
    let kelvin = name.replacen('k', "\u{212a}", 1);
    for (on, alias) in [(&network, name.to_uppercase()), (&network, kelvin), (&more, name.clone())] {
        let taker = scene.docker_run(["--network", on, "--network-alias", &alias, &fixture_image(), "wait"]);
        let resolved =
            ["run", "--rm", "--label", &scene.label(), "--network", on, &fixture_image(), "resolve", &name]
                .map(str::to_owned);
        let address =
            inspect(&taker, &format!("{{{{(index .NetworkSettings.Networks \"{on}\").IPAddress}}}}"));
        assert_eq!(Some(docker(resolved)), address, "the engine finds it by {alias}");
        scene.launch(scene.asking(&network, "book")).output().assert_code(125);
        assert_eq!(scene.take_codes(), ["alias-taken"], "{alias}");
        docker(["rm", "--force", &taker]);
    }
    assert_answered(scene.launch(scene.asking(&network, "book")).output());
}

#[test]
fn a_harness_on_the_host_s_network_gets_addresses_that_work() {
    let Some(scene) = with_server() else { return };
    for spelling in [&["--network", "host"] as &[&str], &["--net=host"]] {
        assert_answered(scene.launch(asking_with(&scene, spelling)).output());
    }
    let harness = ["docker", "run", "--rm", "--network", "host", &fixture_image(), "env"].map(str::to_owned);
    let environment = scene.launch(harness).output().assert_code(0).stdout();
    let address = inspect(&scene.container("db"), "{{.NetworkSettings.Networks.farrier.IPAddress}}");
    let line = format!("SWARMFORGE_TONG_{}_HOST={}", scene.variable("db"), address.expect("an address"));
    assert!(environment.lines().any(|found| found == line), "{line}\n{environment}");
}

#[test]
fn networks_on_which_sidecars_cannot_be_reached_are_refused_with_the_way_out() {
    let Some(scene) = with_server() else { return };
    for network in ["none", "bridge", "default", "container:other"] {
        let outcome = scene.launch(asking_with(&scene, &["--network", network])).output().assert_code(125);
        assert!(outcome.stderr().contains("Leave `--network` out"), "{outcome}");
        assert_eq!(scene.take_codes(), ["network-unusable"], "{network}");
    }
    assert_eq!(container_id(&scene.container("db")), None);
}

/// Makes a network over the engine's API, which the docker client cannot be told to do. Whether it was made.
fn create_network_unchecked(body: &serde_json::Value) -> bool {
    let host = docker(["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]);
    let host = std::env::var("DOCKER_HOST").unwrap_or(host);
    let Some(path) = host.strip_prefix("unix://") else { return false };
    let mut stream = UnixStream::connect(path).expect("the engine's socket");
    let body = body.to_string();
    let request = format!(
        "POST /v1.41/networks/create HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("the engine reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the engine answers");
    answer.starts_with("HTTP/1.1 201")
}

#[test]
fn two_networks_of_the_harness_s_name_are_refused_as_ambiguous() {
    let Some(scene) = with_server() else { return };
    let network = scene.network("twin");
    // `docker network create` asks the engine to refuse a second one; a program that does not ask gets it.
    let body = serde_json::json!({"Name": network, "CheckDuplicate": false, "Labels": {"farrier.test": scene.token()}});
    if !create_network_unchecked(&body) {
        eprintln!("SKIPPED: this engine does not make a second network of one name");
        return;
    }
    scene.launch(scene.asking(&network, "db")).output().assert_code(125);
    assert_eq!(scene.take_codes(), ["network-unusable"]);
    assert_eq!(container_id(&scene.container("db")), None);
}

#[test]
fn several_networks_of_the_harness_s_meet_the_sidecar_on_the_first() {
    let Some(scene) = with_server() else { return };
    let (one, other) = (scene.network("one"), scene.network("other"));
    let options = ["--network", &one, "--network", &other];
    // An engine that cannot put a container on two networks at once says so itself.
    let label = scene.label();
    let supported =
        crate::support::docker::run(["run", "--rm", "--label", &label].into_iter().chain(options).chain([
            fixture_image().as_str(),
            "exit",
            "0",
        ]));
    let outcome = scene.launch(asking_with(&scene, &options)).output();
    if supported.is_ok() {
        assert_answered(outcome);
    }
    let networks = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
    assert_eq!(inspect(&scene.container("db"), networks).as_deref().map(str::trim), Some("farrier"));
}

#[test]
fn a_command_on_this_host_reaches_the_sidecar_by_its_address() {
    let Some(scene) = with_server() else { return };
    let program = fixture_program();
    let program = program.to_str().expect("text");
    assert_answered(scene.launch([program, "ask-env", &scene.variable("db")]).output());
}

#[test]
fn a_sidecar_whose_address_changed_by_a_restart_is_reached_at_the_new_one() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = scene.image(&Image::new().change("ENV ADDRESS=moves"));
    let network = scene.network("net");
    // So that it stays there.
    scene.define("db", &server(&image, &format!("networks = [\"{network}\"]")));
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    let container = scene.container("db");
    let address = || {
        inspect(&container, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}").unwrap_or_default()
    };
    let before = address();
    docker(["stop", "--time", "0", &container]);
    // Takes the address that the sidecar had.
    let squatter = scene.name("squatter");
    scene.docker_run([
        "--name",
        &squatter,
        "--network",
        &network,
        &fixture_image(),
        "serve",
        "--port",
        "7000",
        "--reply",
        "wrong",
    ]);
    docker(["start", &container]);
    wait_until("it runs", PATIENT, || !address().is_empty());
    assert_ne!(address(), before);
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    assert_eq!(
        docker(["run", "--rm", "--network", &network, &fixture_image(), "ask", &address(), "7000"]),
        "pong"
    );
}

#[test]
fn the_network_of_a_killed_launch_can_be_removed_after_the_next_one_on_farriers_own() {
    let Some(scene) = with_server() else { return };
    let network = scene.network("net");
    let holder = scene.name("holder");
    let (label, image) = (scene.label(), fixture_image());
    let own = ["docker", "run", "--rm", "-i", "--label", &label, "--name", &holder, "--network", &network];
    let killed = scene.launch(own.into_iter().chain([image.as_str(), "cat"])).open_stdin().spawn();
    wait_until("the harness runs", PATIENT, || crate::support::engine::is_running(&holder));
    killed.signal(crate::support::Signal::KILL);
    killed.wait();
    docker(["rm", "--force", &holder]);
    scene.launch(["true"]).output().assert_code(0);
    docker(["network", "rm", &network]);
    docker(["network", "create", "--label", &scene.label(), &network]);
}

#[test]
fn a_network_that_only_the_harness_named_can_be_removed_after_it() {
    let Some(scene) = with_server() else { return };
    let network = scene.network("net");
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    docker(["network", "rm", &network]);
    docker(["network", "create", "--label", &scene.label(), &network]);
    // Another launch that uses it there keeps it there.
    let holder = scene.name("holder");
    let (label, image) = (scene.label(), fixture_image());
    let own = ["docker", "run", "--rm", "-i", "--label", &label, "--name", &holder, "--network", &network];
    let holding = scene.launch(own.into_iter().chain([image.as_str(), "cat"])).open_stdin().spawn();
    wait_until("the harness runs", PATIENT, || crate::support::engine::is_running(&holder));
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    let name = scene.name("db");
    docker(["exec", &holder, "/fixture", "ask", &name, "7000"]);
    holding.wait().assert_code(0);
    docker(["network", "rm", &network]);
    docker(["network", "create", "--label", &scene.label(), &network]);
}

/// A network of the scene's own that has IPv4 and IPv6.
fn network_of_both_families(scene: &Scene) -> String {
    let network = scene.name("both");
    let digest = farrier::system::digest::sha256_hex(&network);
    let subnet = format!("fd{}:{}:{}::/64", &digest[..2], &digest[2..6], &digest[6..10]);
    docker(["network", "create", "--label", &scene.label(), "--ipv6", "--subnet", &subnet, &network]);
    network
}

#[test]
fn a_server_that_listens_for_ipv6_only_is_ready_where_the_network_has_it() {
    let Some(scene) = Scene::with_docker() else { return };
    let both = network_of_both_families(&scene);
    let of_ipv6 = "sysctls = { \"net.ipv6.bindv6only\" = 1, \"net.ipv6.conf.all.disable_ipv6\" = 0 }\n";
    let image = fixture_image();
    let define = |port: u16| {
        let text = format!(
            "image = \"{image}\"\ncommand = [\"serve\", \"--port\", \"7000\", \"--bind\", \"::\", \"--reply\", \"pong\"]\n{of_ipv6}\
             [interface]\nkind = \"port\"\nport = {port}\n[readiness]\nprobe = \"tcp\"\ntimeout = \"3s\"\n"
        );
        scene.define("db", &text);
    };
    define(7000);
    for dialling in ["auto", "relay"] {
        scene.take_events();
        let harness = asking_with(&scene, &["--network", &both]);
        assert_answered(scene.launch_with(["--dial", dialling], harness).output());
        assert_eq!(scene.told().of("ready").len(), 1, "{dialling}");
    }
    // Where neither address accepts, it is refused as ever.
    define(7001);
    let outcome = scene.launch(asking_with(&scene, &["--network", &both])).output().assert_code(125);
    assert!(outcome.stderr().contains("connection refused"), "{outcome}");
    // A network of IPv4 alone has no way to it.
    define(7000);
    let net = scene.network("net");
    let outcome = scene.launch(asking_with(&scene, &["--network", &net])).output().assert_code(125);
    assert!(outcome.stderr().contains("for IPv6 only"), "{outcome}");
}
