//! Containers: made, inspected, found and removed.

use std::collections::BTreeMap;
use std::time::Duration;

use farrier::definition::KEYS;
use farrier::engine::EngineErrorKind::{Conflict, NotFound};
use farrier::engine::docker::api::{Listed, Mounted, Process, Status};

use super::setup::{Recipe, TestEngine, contract, kind, words};

contract! {
    what_is_made_is_what_was_asked_for,
    the_command_is_the_requests_or_else_the_images_unless_the_entrypoint_is_replaced,
    a_variable_replaces_the_images_of_that_name,
    a_name_that_is_taken_is_a_conflict,
    a_container_is_found_by_its_name_its_id_and_its_short_id,
    settings_are_taken_and_shown_as_they_stand,
    settings_that_a_host_may_refuse_to_start_are_taken_too,
    an_absent_container_is_none_to_look_at_and_an_error_to_use,
    containers_are_listed_by_a_label_or_its_value_whatever_their_state,
    a_listing_tells_what_the_image_was_called_as_long_as_that_names_it,
    a_listing_tells_what_an_inspection_tells_of_a_run,
    a_running_container_can_be_removed_and_removing_it_again_does_nothing,
}

async fn a_listing_tells_what_the_image_was_called_as_long_as_that_names_it(test_engine: &dyn TestEngine) {
    let (engine, (name, value)) = (test_engine.engine(), test_engine.label());
    let recipe = |word: &str| Recipe { command: words(&["wait", word]), ..Recipe::default() };
    let mut spec = test_engine.spec("db", &["wait"]);
    spec.image = test_engine.image("moving", &recipe("1"));
    let id = engine.create(&spec).await.expect("a container");
    let image_id = test_engine.inspect(&id).await.image_id;
    let label = format!("{name}={value}");
    let listed = engine.labelled(&label).await.expect("a list");
    let [listed] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((&listed.id, &listed.name), (&id, &spec.name));
    assert_eq!((&listed.image, &listed.image_id), (&spec.image, &image_id));
    let listed = listed.clone();
    let other = test_engine.image("other", &recipe("2"));
    test_engine.tag(&other, &spec.image);
    assert_ne!(engine.image(&spec.image).await.expect("an answer").expect("the image").id, image_id);
    let moved = Listed { image: image_id, ..listed };
    assert_eq!(engine.labelled(&label).await.expect("a list"), [moved]);
}

async fn a_listing_tells_what_an_inspection_tells_of_a_run(test_engine: &dyn TestEngine) {
    test_engine.network("net").await;
    let (engine, (name, value)) = (test_engine.engine(), test_engine.label());
    let id = test_engine.started("db", &["wait"]).await;
    let label = format!("{name}={value}");
    for _ in 0..2 {
        let listed = engine.labelled(&label).await.expect("a list");
        let [told] = listed.as_slice() else { panic!("{listed:?}") };
        let seen = test_engine.inspect(&id).await;
        assert_eq!((&told.id, told.status, told.is_unhealthy), (&seen.id, Some(Status::Running), false));
        let places = seen.networks.into_iter().map(|(name, place)| (name, (place.id, place.address)));
        assert_eq!(told.places, places.collect());
        assert!(told.places.values().all(|(id, address)| !id.is_empty() && address.is_some()), "{told:?}");
        test_engine.restart(&id).await;
    }
    test_engine.pause(&id);
    let listed = engine.labelled(&label).await.expect("a list");
    assert_eq!(listed.first().and_then(|told| told.status), Some(Status::Paused));
}

/// Whatever their names, as long as docker's API has them.
async fn settings_are_taken_and_shown_as_they_stand(test_engine: &dyn TestEngine) {
    test_engine.network("net").await;
    let mut spec = test_engine.spec("db", &["wait"]);
    let settings = [
        ("HostConfig.CapDrop", serde_json::json!(["CAP_CHOWN"])),
        ("HostConfig.Memory", (64 << 20).into()),
        ("HostConfig.ReadonlyRootfs", true.into()),
        ("Domainname", "test".into()),
        ("StopSignal", "SIGINT".into()),
        ("StopTimeout", 3.into()),
        ("User", "7:7".into()),
        ("WorkingDir", "/tmp".into()),
    ];
    spec.settings = settings.map(|(name, value)| (name.to_owned(), value)).into();
    let id = test_engine.engine().create(&spec).await.expect("a container");
    let made = test_engine.inspect(&id).await;
    for (name, value) in &spec.settings {
        assert_eq!(made.settings.get(name), Some(value), "{name}");
    }
    assert_eq!((made.memory, made.stop_timeout), (64 << 20, Some(Duration::from_secs(3))));
    let Process { user, directory, stop_signal, .. } = &made.process;
    assert_eq!([user, directory, stop_signal], ["7:7", "/tmp", "SIGINT"]);
    assert_eq!(made.privileges.keys().collect::<Vec<_>>(), ["CapDrop", "ReadonlyRootfs"]);
}

/// Whether a host lets a container do everything, or has graphics processors, is seen when it starts.
async fn settings_that_a_host_may_refuse_to_start_are_taken_too(test_engine: &dyn TestEngine) {
    test_engine.network("net").await;
    let mut spec = test_engine.spec("db", &["wait"]);
    let gpus = serde_json::json!([{
        "Driver": "", "Count": -1, "DeviceIDs": null, "Capabilities": [["gpu"]], "Options": {},
    }]);
    let settings = [
        ("HostConfig.Privileged", true.into()),
        ("HostConfig.SecurityOpt", serde_json::json!(["no-new-privileges"])),
        ("HostConfig.DeviceRequests", gpus),
    ];
    spec.settings = settings.map(|(name, value)| (name.to_owned(), value)).into();
    let id = test_engine.engine().create(&spec).await.expect("a container");
    let made = test_engine.inspect(&id).await;
    for (name, value) in &spec.settings {
        let key = KEYS.iter().find(|key| key.setting == Some(name.as_str())).expect("a key");
        let shown = made.settings.get(name);
        assert!(key.holds(value, shown), "{name}: {shown:?}");
    }
    assert_eq!(made.privileges.keys().collect::<Vec<_>>(), ["DeviceRequests", "Privileged", "SecurityOpt"]);
}

async fn what_is_made_is_what_was_asked_for(test_engine: &dyn TestEngine) {
    test_engine.network("net").await;
    let labels = vec![("kept".to_owned(), "image".to_owned()), ("both".to_owned(), "image".to_owned())];
    let mut spec = test_engine.spec("db", &["wait"]);
    spec.image =
        test_engine.image("labelled", &Recipe { labels, user: "7:7".to_owned(), ..Recipe::default() });
    spec.labels.insert("both".to_owned(), "request".to_owned());
    spec.settings.insert("HostConfig.Memory".to_owned(), (64 << 20).into());
    spec.aliases = words(&["database"]);
    let bind = |target: &str, writable| Mounted {
        kind: "bind".to_owned(),
        source: "/tmp".to_owned(),
        target: target.to_owned(),
        writable,
    };
    spec.mounts = vec![bind("/inside", false), bind("/writable", true)];
    let id = test_engine.engine().create(&spec).await.expect("a container");
    let mut made = test_engine.inspect(&id).await;
    made.mounts.sort();
    assert_eq!((&made.id, &made.name), (&id, &spec.name));
    let label = |name: &str| made.labels.get(name).map(String::as_str);
    assert_eq!((label("kept"), label("both")), (Some("image"), Some("request")));
    assert_eq!(made.labels.get(&test_engine.label().0), Some(&test_engine.label().1));
    let image = test_engine.engine().image(&spec.image).await.expect("an answer").expect("the image");
    assert_eq!(made.image_id, image.id);
    assert_eq!(made.process.user, "7:7");
    assert_eq!(made.status, Status::Created);
    assert_eq!((made.exit_code, made.oom_killed, made.error.as_str()), (0, false, ""));
    assert_eq!((made.started_at.as_str(), made.restarts), ("0001-01-01T00:00:00Z", 0));
    assert_eq!(made.health, None);
    assert_eq!(made.mounts, spec.mounts);
    assert_eq!(made.privileges, BTreeMap::new());
    assert_eq!(made.memory, 64 << 20);
    assert_eq!(made.network_mode, spec.network);
    assert_eq!(made.networks.keys().collect::<Vec<_>>(), [&spec.network]);
    let endpoint = &made.networks[&spec.network];
    assert_eq!((endpoint.network_id.as_str(), endpoint.address, endpoint.gateway), ("", None, None));
    assert_eq!(endpoint.aliases, ["database"]);
    test_engine.engine().start(&id).await.expect("it starts");
    assert_eq!(test_engine.inspect(&id).await.privileges, BTreeMap::new());
}

async fn the_command_is_the_requests_or_else_the_images_unless_the_entrypoint_is_replaced(
    test_engine: &dyn TestEngine,
) {
    let image =
        test_engine.image("commanded", &Recipe { command: words(&["exit", "3"]), ..Recipe::default() });
    let cases: [[&[&str]; 4]; 4] = [
        [&[], &[], &["/fixture"], &["exit", "3"]],
        [&[], &["wait"], &["/fixture"], &["wait"]],
        [&["/fixture", "wait"], &[], &["/fixture", "wait"], &[]],
        [&["/fixture"], &["wait"], &["/fixture"], &["wait"]],
    ];
    for (index, [entrypoint, command, expected_entrypoint, expected_command]) in cases.into_iter().enumerate()
    {
        let mut spec = test_engine.spec(&format!("db{index}"), command);
        spec.image.clone_from(&image);
        spec.entrypoint = words(entrypoint);
        let id = test_engine.engine().create(&spec).await.expect("a container");
        let process = test_engine.inspect(&id).await.process;
        assert_eq!(process.entrypoint, expected_entrypoint, "{spec:?}");
        assert_eq!(process.command, expected_command, "{spec:?}");
    }
}

async fn a_variable_replaces_the_images_of_that_name(test_engine: &dyn TestEngine) {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let env = vec![pair("FIRST", "image"), pair("BOTH", "image"), pair("LAST", "image")];
    let mut spec = test_engine.spec("db", &["wait"]);
    spec.image = test_engine.image("variables", &Recipe { env, ..Recipe::default() });
    spec.env = BTreeMap::from([pair("BOTH", "request"), pair("OWN", "a=b"), pair("EMPTY", "")]);
    let id = test_engine.engine().create(&spec).await.expect("a container");
    assert_eq!(
        test_engine.inspect(&id).await.process.env,
        ["BOTH=request", "EMPTY=", "OWN=a=b", "FIRST=image", "LAST=image"]
    );
}

async fn a_name_that_is_taken_is_a_conflict(test_engine: &dyn TestEngine) {
    let spec = test_engine.spec("db", &["wait"]);
    let id = test_engine.engine().create(&spec).await.expect("a container");
    assert_eq!(kind(test_engine.engine().create(&spec).await), Conflict);
    test_engine.engine().remove(&id, true).await.expect("it goes");
    let other = test_engine.engine().create(&spec).await.expect("the name is free again");
    assert_ne!(other, id);
}

async fn a_container_is_found_by_its_name_its_id_and_its_short_id(test_engine: &dyn TestEngine) {
    let spec = test_engine.spec("db", &["wait"]);
    let id = test_engine.engine().create(&spec).await.expect("a container");
    let found = test_engine.inspect(&spec.name).await;
    assert_eq!(found.id, id);
    for other in [id.as_str(), &id[..12]] {
        assert_eq!(test_engine.inspect(other).await, found);
    }
    let part = &spec.name[..spec.name.len() - 1];
    assert_eq!(test_engine.engine().container(part).await.expect("an answer"), None);
}

async fn an_absent_container_is_none_to_look_at_and_an_error_to_use(test_engine: &dyn TestEngine) {
    let (engine, absent, net) =
        (test_engine.engine(), test_engine.name("absent"), test_engine.network("net").await);
    assert_eq!(engine.container(&absent).await.expect("an answer"), None);
    let request =
        farrier::engine::ExecRequest { arguments: words(&["/fixture", "exit", "0"]), output_limit: 10 };
    assert_eq!(kind(engine.start(&absent).await), NotFound);
    assert_eq!(kind(engine.resume(&absent).await), NotFound);
    assert_eq!(kind(engine.exec(&absent, &request).await), NotFound);
    assert_eq!(kind(engine.exec_attached(&absent, &request.arguments).await.map(drop)), NotFound);
    assert_eq!(kind(engine.logs(&absent, "", 10).await), NotFound);
    assert_eq!(kind(engine.attach(&absent).await.map(drop)), NotFound);
    assert_eq!(kind(engine.connect(&net, &absent, &[]).await), NotFound);
    engine.remove(&absent, true).await.expect("nothing is to be done");
}

async fn containers_are_listed_by_a_label_or_its_value_whatever_their_state(test_engine: &dyn TestEngine) {
    let (engine, (name, value)) = (test_engine.engine(), test_engine.label());
    let running = test_engine.started("running", &["wait"]).await;
    let exited = test_engine.started("exited", &["exit", "0"]).await;
    test_engine.exited(&exited).await;
    let mut spec = test_engine.spec("created", &["wait"]);
    let own = format!("{name}.{value}");
    spec.labels.insert(own.clone(), String::new());
    engine.create(&spec).await.expect("a container");
    let sorted = |listed: Vec<Listed>| {
        let mut names: Vec<String> = listed.into_iter().map(|listed| listed.name).collect();
        names.sort();
        names
    };
    let all = ["created", "exited", "running"].map(|stem| test_engine.name(stem));
    assert_eq!(sorted(engine.labelled(&format!("{name}={value}")).await.expect("names")), all);
    assert_eq!(sorted(engine.labelled(&own).await.expect("names")), all[..1]);
    assert_eq!(engine.labelled(&format!("{name}={value}0")).await.expect("names"), []);
    assert_eq!(sorted(engine.listed(&[&running, &exited]).await.expect("names")), all[1..]);
    let absent = "0".repeat(64);
    assert_eq!(sorted(engine.listed(&[&absent, &exited]).await.expect("names")), all[1..2]);
    assert_eq!(engine.listed(&[]).await.expect("names"), []);
    assert_eq!(engine.listed(&[&absent]).await.expect("names"), []);
    engine.remove(&running, true).await.expect("it goes");
    assert_eq!(sorted(engine.labelled(&format!("{name}={value}")).await.expect("names")), all[..2]);
}

async fn a_running_container_can_be_removed_and_removing_it_again_does_nothing(test_engine: &dyn TestEngine) {
    let id = test_engine.started("db", &["wait"]).await;
    test_engine.engine().remove(&id, true).await.expect("it goes");
    assert_eq!(test_engine.engine().container(&id).await.expect("an answer"), None);
    test_engine.engine().remove(&id, true).await.expect("nothing is to be done");
    assert_eq!(
        test_engine.engine().members(&test_engine.name("net")).await.expect("members"),
        Vec::<String>::new()
    );
}
