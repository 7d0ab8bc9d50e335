//! One launch whose sidecars live on two engines: a container, and a program of this host.

use serde_json::Value;

use crate::support::engine::is_running;
use crate::support::launching::{idler, server};
use crate::support::{Scene, fixture_image, fixture_program};

/// Removes the programs of the scene, which Docker does not know of.
struct Programs<'a>(&'a Scene);

impl Drop for Programs<'_> {
    fn drop(&mut self) {
        let _ = self.0.farrier(["down", "--all", "--yes", "--force", "--engine", "native"]).output();
    }
}

#[test]
fn a_container_and_a_program_are_started_listed_and_removed_together() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    let _programs = Programs(&scene);
    let rest = "[interface]\nkind = 'none'\n[readiness]\nprobe = 'skip'\n";
    let image = fixture_image();
    scene.define("box", &format!("lifecycle = 'shared'\nimage = '{image}'\ncommand = ['wait']\n{rest}"));
    let program = fixture_program().display().to_string();
    scene.define("own", &format!("lifecycle = 'shared'\nprogram = ['{program}', 'wait']\n{rest}"));
    scene.farrier(["up"]).output().assert_code(0);
    assert!(is_running(&scene.container("box")));
    let plan = scene.farrier(["plan", "--format", "json"]).output().assert_code(0).stdout();
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    let parts: Vec<[&str; 2]> = plan["sidecars"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|part| ["engine", "action"].map(|key| part[key].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(parts, [["docker", "reuse"], ["native", "reuse"]], "{plan:#}");
    let told = scene.farrier(["ps", "--format", "json"]).output().assert_code(0).stdout();
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let on = |name: &str| {
        let mut all = told["sidecars"].as_array().into_iter().flatten();
        all.find(|sidecar| sidecar["name"] == name).map(|sidecar| sidecar["engine"].clone())
    };
    assert_eq!(
        (on(&scene.name("box")), on(&scene.name("own"))),
        (Some("docker".into()), Some("native".into()))
    );
    let names = [scene.name("box"), scene.name("own")];
    let down = ["down", "--yes", &names[0], &names[1]];
    let removed = scene.farrier(down).output().assert_code(0).stdout();
    assert!(names.iter().all(|name| removed.contains(&format!("removed farrier-{name}\n"))), "{removed}");
}

#[test]
fn what_comes_after_what_is_on_another_engine_waits_for_it() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    let _programs = Programs(&scene);
    let (image, program) = (fixture_image(), fixture_program().display().to_string());
    scene.define("db", &server(&image, ""));
    let job = |code: u8| {
        let after = format!("job = 'once'\nafter = ['{}']", scene.name("db"));
        scene.define(
            "job",
            &format!("program = ['{program}', 'exit', '{code}']\n{after}\ninterface.kind = 'none'\n"),
        );
    };
    let after =
        format!("command = ['wait']\nafter = [{{ sidecar = '{}', until = 'succeeded' }}]", scene.name("job"));
    scene.define("web", &idler(&image, &after));
    job(3);
    let failed = scene.up().output().assert_code(125);
    let never = format!("never started, because they come after it: {}", scene.name("web"));
    assert!(failed.stderr().contains("error[job-failed]") && failed.stderr().contains(&never), "{failed}");
    assert!(is_running(&scene.container("db")) && !is_running(&scene.container("web")));
    job(0);
    scene.take_events();
    scene.up().output().assert_code(0);
    let ready = |stem: &str| {
        let (name, events) = (scene.name(stem), scene.events());
        let is_done =
            |event: &Value| ["ready", "succeeded", "started"].iter().any(|kind| event["event"] == *kind);
        events
            .iter()
            .rposition(|event| is_done(event) && event["sidecar"] == name.as_str())
            .expect("it is told")
    };
    assert!(ready("db") < ready("job") && ready("job") < ready("web"), "{:#?}", scene.events());
}
