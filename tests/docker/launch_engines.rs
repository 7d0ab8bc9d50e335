//! One launch whose sidecars live on two engines: a container, and a program of this host.

use serde_json::Value;

use crate::support::engine::is_running;
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
