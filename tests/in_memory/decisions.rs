//! What is done with the containers there are, and that nothing else is.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use farrier::engine::docker::api::{ContainerSpec, HealthTest, Mounted, Status};
use farrier::engine::docker::double::World;
use farrier::engine::docker::double::{At, Call, DoubleImage, End};
use farrier::engine::{EngineError, EngineErrorKind, PullProgress};
use farrier::preparation::Approval;

use super::setup::{Fixture, IMAGE, NETWORK, dialled, listener, plain};

#[tokio::test]
async fn what_runs_and_matches_is_not_touched() {
    let fixture = Fixture::new();
    let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    fixture.dialled("db", port, "probe = \"tcp\"\ntimeout = \"5s\"").plain("cache");
    assert_eq!(fixture.up().await, ["create cache: it does not exist", "create db: it does not exist"]);
    let before = fixture.container("db");
    fixture.engine.calm();
    fixture.dialled("db", port, "probe = \"tcp\"\ntimeout = \"9s\"");
    assert_eq!(
        fixture.up().await,
        [
            "reuse cache: it is running and matches its definition",
            "reuse db: it is running and matches its definition"
        ]
    );
    assert_eq!(fixture.engine.changes(), []);
    assert_eq!(fixture.container("db"), before);
}

#[tokio::test]
async fn what_nobody_approved_is_not_brought_up_whoever_asks() {
    let fixture = Fixture::new();
    fixture.plain("cache").plain("db");
    let (mut launch, _) = fixture.launch_of();
    let folder = tempfile::tempdir().expect("a folder");
    launch.settings.approvals = Some(folder.path().join("approvals.json"));
    launch.sidecars[1].approval = Approval::Missing;
    let failure = fixture.bring_up(&launch).await.err().expect("refused");
    let codes: Vec<&str> = failure.problems.iter().map(|problem| problem.code.as_str()).collect();
    assert_eq!((failure.exit, codes), (125, vec!["approval-required"]));
    assert_eq!(fixture.engine.changes(), []);
}

/// What stands in the way of reuse, and the cause that is told.
type Row = (&'static str, &'static str, fn(&mut World));

#[tokio::test]
async fn every_difference_is_seen_and_told() {
    fn found(world: &mut World) -> &mut farrier::engine::docker::api::Container {
        world.container_mut("farrier-db").expect("it was made")
    }
    let rows: &[Row] = &[
        ("absent", "create db: it does not exist", |world| world.remove("farrier-db", true)),
        ("stopped", "recreate db: it is not running: exited (exit code 3)", |world| {
            world.end("farrier-db", &End::Exit(3));
        }),
        ("half-made", "recreate db: it was created but never started", |world| {
            found(world).status = Status::Created;
        }),
        ("misnamed", "recreate db: it still has its temporary name", |world| {
            let id = found(world).id.clone();
            world.rename(&id, "farrier-db_").expect("the name is free");
        }),
        ("paused", "resume db: it matches but is paused", |world| world.pause("farrier-db")),
        ("entrypoint", "recreate db: it no longer matches its labels: entrypoint", |world| {
            found(world).process.entrypoint.push("x".to_owned());
        }),
        ("command", "recreate db: it no longer matches its labels: command", |world| {
            found(world).process.command.push("x".to_owned());
        }),
        ("env", "recreate db: it no longer matches its labels: env", |world| {
            found(world).process.env.push("X=hidden".to_owned());
        }),
        ("user", "recreate db: it no longer matches its labels: user", |world| {
            found(world).process.user = "x".to_owned();
        }),
        ("directory", "recreate db: it no longer matches its labels: working dir", |world| {
            found(world).process.directory = "/x".to_owned();
        }),
        ("health", "recreate db: it no longer matches its labels: health test", |world| {
            found(world).process.health = Some(HealthTest::default());
        }),
        ("mounts", "recreate db: it no longer matches its labels: mounts", |world| {
            found(world).mounts.push(Mounted {
                kind: "bind".to_owned(),
                source: "/".to_owned(),
                target: "/host".to_owned(),
                writable: true,
            });
        }),
        ("memory", "recreate db: it no longer matches its labels: memory", |world| {
            found(world).memory = 1 << 20;
        }),
        ("stop signal", "recreate db: it no longer matches its labels: stop signal", |world| {
            found(world).process.stop_signal = "SIGINT".to_owned();
        }),
        ("the same stop signal", "reuse db: it is running and matches its definition", |world| {
            found(world).process.stop_signal = "15".to_owned();
        }),
        ("stop timeout", "recreate db: it no longer matches its labels: stop timeout", |world| {
            found(world).stop_timeout = Some(std::time::Duration::from_hours(1));
        }),
        ("network mode", "recreate db: it no longer matches its labels: network mode", |world| {
            found(world).network_mode = "host".to_owned();
        }),
        ("privileged", "recreate db: it no longer matches its labels: Privileged", |world| {
            found(world).privileges.insert("Privileged".to_owned(), "true".to_owned());
        }),
        ("no record", "recreate db: its configuration changed", |world| {
            found(world).labels.remove("farrier.config-hash");
            found(world).labels.remove("farrier.configuration");
        }),
        ("an absent tag", "reuse db: it is running and matches its definition", |world| world.untag(IMAGE)),
    ];
    for (name, expected, change) in rows {
        let fixture = Fixture::new();
        fixture.plain("db").up().await;
        fixture.engine.change(change);
        assert_eq!(fixture.up().await, [*expected], "{name}");
        assert_eq!(fixture.container("db").map(|found| found.status), Some(Status::Running), "{name}");
        assert_eq!(fixture.up().await, ["reuse db: it is running and matches its definition"], "{name}");
    }
}

#[tokio::test]
async fn a_changed_definition_is_told_by_its_fields_never_by_a_value() {
    let fixture = Fixture::new();
    fixture.define("db", &plain("env = { PASSWORD = \"verysecret\", LEVEL = \"1\" }")).up().await;
    fixture.define(
        "db",
        &plain("env = { PASSWORD = \"othersecret\" }\ncommand = [\"x\"]\nresources.memory = \"64MiB\""),
    );
    let ended = fixture.launch().await.ready();
    assert_eq!(ended.planned(), ["recreate db: command, env.LEVEL, env.PASSWORD, resources.memory changed"]);
    assert!(!format!("{:?}", ended.told).contains("secret"));
}

#[tokio::test]
async fn a_retagged_image_and_the_wish_recreate_and_volumes_are_carried_over() {
    let mut fixture = Fixture::new();
    let with_volume = || {
        let mut image = DoubleImage::default();
        image.image.volumes = vec!["/data/".to_owned()];
        image
    };
    fixture.engine.change(|world| world.add_image(IMAGE, with_volume()));
    fixture.plain("db").up().await;
    let data = fixture.container("db").expect("it runs").volumes;
    fixture.engine.change(|world| world.add_image(IMAGE, with_volume()));
    let planned = fixture.up().await;
    assert!(planned[0].starts_with("recreate db: its image changed from "), "{planned:?}");
    assert_eq!(fixture.container("db").expect("it runs").volumes, data);
    fixture.recreate = true;
    assert_eq!(fixture.up().await, ["recreate db: --recreate was given"]);
    assert_eq!(fixture.container("db").expect("it runs").volumes, data);
}

#[tokio::test]
async fn a_container_on_another_network_is_connected_under_its_aliases() {
    let mut fixture = Fixture::new();
    let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    fixture.engine.change(|world| world.create_network("second", &BTreeMap::new()));
    fixture.define(
        "db",
        &dialled(port, "probe = \"tcp\"").replace("image =", "networks = [\"second\"]\nimage ="),
    );
    fixture.up().await;
    fixture.engine.change(|world| world.create_network("third", &BTreeMap::new()));
    fixture.target.network.name = "third".to_owned();
    assert_eq!(fixture.up().await, ["reuse db: it is running and matches its definition"]);
    let container = fixture.container("db").expect("it runs");
    let aliases = |network: &str| container.networks.get(network).map(|found| found.aliases[0].clone());
    assert_eq!(aliases("third").as_deref(), Some("db"));
    fixture.engine.change(|world| {
        let found = world.container_mut("farrier-db").expect("it runs");
        found.networks.get_mut("third").expect("connected").aliases.clear();
    });
    fixture.engine.calm();
    fixture.up().await;
    let calls: Vec<Call> = fixture.engine.changes().into_iter().map(|logged| logged.call).collect();
    assert_eq!(calls, [Call::Disconnect, Call::Connect]);
}

#[tokio::test]
async fn a_network_that_is_named_twice_is_connected_once() {
    let mut fixture = Fixture::new();
    fixture.engine.change(|world| {
        for name in ["second", "third"] {
            world.create_network(name, &BTreeMap::new());
        }
    });
    fixture.define("db", &plain("networks = [\"second\", \"third\"]")).up().await;
    fixture.engine.change(|world| world.disconnect("third", "farrier-db").expect("it was on it"));
    fixture.target.network.name = "third".to_owned();
    assert_eq!(fixture.up().await, ["reuse db: it is running and matches its definition"]);
}

/// What is refused, by code, before anything is changed.
#[tokio::test]
async fn refusals_change_nothing() {
    type Row = (&'static str, &'static str, fn(&mut World));
    fn taker(world: &mut World, network: &str, alias: &str) {
        let spec = ContainerSpec {
            name: "other".to_owned(),
            image: IMAGE.to_owned(),
            network: network.to_owned(),
            aliases: vec![alias.to_owned()],
            ..ContainerSpec::default()
        };
        world.create(&spec).expect("made");
        world.start_now("other").expect("started");
    }
    let rows: [Row; 6] = [
        ("a container without our labels", "name-taken", |world| {
            let name = "farrier-db".to_owned();
            let spec = ContainerSpec { name, image: IMAGE.to_owned(), ..ContainerSpec::default() };
            world.create(&spec).expect("made");
        }),
        ("another container with our alias", "alias-taken", |world| taker(world, NETWORK, "db")),
        ("the same in other letters", "alias-taken", |world| taker(world, NETWORK, "Db")),
        ("the same on a network that the definition names", "alias-taken", |world| {
            taker(world, "second", "DB");
        }),
        ("no network", "network-unusable", |world| {
            let id = world.networks(NETWORK)[0].id.clone();
            world.remove_network(&id).expect("removed");
        }),
        ("two networks of one name", "network-unusable", |world| {
            world.create_network(NETWORK, &BTreeMap::new());
        }),
    ];
    for (name, code, change) in rows {
        let fixture = Fixture::new();
        fixture.engine.change(|world| world.create_network("second", &BTreeMap::new()));
        fixture.define(
            "db",
            &dialled(1, "probe = \"skip\"").replace("image =", "networks = [\"second\"]\nimage ="),
        );
        fixture.engine.change(change);
        let ended = fixture.launch().await;
        assert_eq!(ended.codes(), [code], "{name}");
        assert_eq!(fixture.engine.changes(), [], "{name}");
    }
}

#[tokio::test]
async fn an_image_is_pulled_with_progress_or_named_when_it_cannot_be() {
    let fixture = Fixture::new();
    fixture.define("db", &plain("").replace(IMAGE, "far:1"));
    let refused = || EngineError::new(EngineErrorKind::NotFound, "pull access denied");
    fixture.engine.change(|world| world.publish("far:1", Err(refused()), Vec::new()));
    let ended = fixture.launch().await;
    assert_eq!(ended.codes(), ["image-denied"]);
    assert_eq!(ended.message(), "image `far:1` is unavailable: pull access denied");
    assert!(fixture.names().is_empty());
    let steps = vec![PullProgress { current: 1, total: 2 }, PullProgress { current: 2, total: 2 }];
    fixture.engine.change(|world| world.publish("far:1", Ok(DoubleImage::default()), steps));
    let ended = fixture.launch().await.ready();
    let progress: Vec<_> =
        ended.events("pull-progress").iter().map(|event| event["current"].clone()).collect();
    assert_eq!(progress, [1, 2]);
    assert_eq!(ended.events("pulling").len(), 1);
}

#[tokio::test]
async fn another_tool_between_two_steps_is_told_and_survived() {
    let fixture = Fixture::new();
    fixture.plain("db");
    fixture.engine.before(At::Nth(Call::Create, 1), |world| {
        let spec = ContainerSpec {
            name: "farrier-db".to_owned(),
            image: IMAGE.to_owned(),
            ..ContainerSpec::default()
        };
        world.create(&spec).expect("made");
    });
    assert_eq!(fixture.launch().await.codes(), ["name-taken"]);
    fixture.engine.change(|world| world.remove("farrier-db", true));
    fixture.engine.calm();
    fixture.engine.before(At::Nth(Call::Start, 1), |world| world.remove("farrier-db", true));
    assert_eq!(fixture.launch().await.codes(), ["start-failed"]);
    fixture.up().await;
}

#[tokio::test]
async fn what_the_engine_refuses_to_start_leaves_nothing_half_made() {
    let fixture = Fixture::new();
    fixture.plain("db");
    let image = DoubleImage::new(|_| {
        farrier::engine::docker::double::Run::ending(End::CannotRun("exec: \"x\": not found".to_owned()))
    });
    fixture.engine.change(|world| world.add_image(IMAGE, image));
    let ended = fixture.launch().await;
    assert_eq!(ended.codes(), ["start-failed"]);
    assert!(ended.message().contains("not found"), "{}", ended.message());
    assert!(fixture.names().is_empty());
}

#[tokio::test]
async fn an_engine_elsewhere_binds_nothing_of_this_host_and_says_so_before_anything_is_made() {
    let fixture = Fixture::new();
    fixture.define("db", &plain("mounts = [\"bind:/etc:/host:ro\"]"));
    fixture.engine.change(|world| world.local = false);
    let refused = fixture.launch().await;
    assert_eq!(refused.codes(), ["engine-lacks"]);
    assert!(refused.message().contains("`/etc`"), "{}", refused.message());
    assert_eq!(fixture.engine.changes(), []);
    fixture.engine.change(|world| world.local = true);
    assert_eq!(fixture.up().await, ["create db: it does not exist"]);
}

#[tokio::test]
async fn an_engine_without_a_socket_of_its_own_says_so_before_anything_is_made() {
    let fixture = Fixture::new();
    fixture.define("db", &plain("mounts = [\"docker-socket:ro\"]")).define("other", &plain(""));
    fixture.engine.change(|world| world.has_socket = false);
    let refused = fixture.launch().await;
    assert_eq!(refused.codes(), ["engine-lacks"]);
    assert!(refused.message().contains("`docker-socket`"), "{}", refused.message());
    assert_eq!(fixture.engine.changes(), []);
    fixture.engine.change(|world| world.has_socket = true);
    assert_eq!(fixture.up().await, ["create db: it does not exist", "create other: it does not exist"]);
    // Who wants none does not ask for it.
    fixture.engine.calm();
    fixture.define("db", "disable = true");
    fixture.up().await;
    assert_eq!(fixture.engine.count(Call::HasSocket), 0);
}

#[tokio::test]
async fn a_volume_or_a_port_of_somebody_else_is_told_before_anything_is_made() {
    let fixture = Fixture::new();
    fixture.define("db", &plain("mounts = [\"volume:data:/data\"]"));
    fixture.engine.change(|world| world.add_volume("farrier-db_data"));
    let refused = fixture.launch().await;
    assert_eq!(refused.codes(), ["name-taken"]);
    assert_eq!(fixture.engine.changes(), []);
    fixture.engine.change(|world| world.remove_volume("farrier-db_data")).expect("it goes");
    assert_eq!(fixture.up().await, ["create db: it does not exist"]);
    assert_eq!(fixture.up().await, ["reuse db: it is running and matches its definition"]);

    let published = plain("").replace("kind = \"none\"", "kind = \"none\"\npublish = [\"61234:80\"]");
    fixture.define("one", &published);
    fixture.engine.change(|world| world.local = false);
    assert_eq!(
        fixture.up().await,
        ["reuse db: it is running and matches its definition", "create one: it does not exist"]
    );
    fixture.define("one", "disable = true").define("two", &published);
    let refused = fixture.launch().await;
    assert_eq!(refused.codes(), ["port-taken"]);
    assert!(refused.message().contains("the container `farrier-one`"), "{}", refused.message());
}

#[tokio::test]
async fn an_anonymous_volume_gives_way_to_a_named_one_at_its_place() {
    let fixture = Fixture::new();
    fixture.engine.change(|world| {
        let mut image = DoubleImage::default();
        image.image.volumes = vec!["/data".to_owned()];
        world.add_image("data:1", image);
    });
    let definition = |more: &str| plain(more).replace(IMAGE, "data:1");
    fixture.define("db", &definition(""));
    fixture.up().await;
    fixture.define("db", &definition("mounts = [\"volume:data:/data\"]"));
    assert_eq!(fixture.up().await, ["recreate db: mounts changed"]);
    let mounts = fixture.engine.change(|world| world.container("farrier-db").expect("it runs").mounts);
    let sources: Vec<&str> = mounts.iter().map(|mount| mount.source.as_str()).collect();
    assert_eq!(sources, ["farrier-db_data"]);
}
