//! The engines that pass the contract.

#![expect(clippy::unnecessary_wraps, reason = "the grounds have one form, and one of them may be absent")]

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use farrier::engine::Engine;
use farrier::engine::docker::Docker;
use farrier::engine::docker::double::{Double, DoubleImage, End};
use farrier::engine::kinds::{Choice, EngineKind, Environment, Folders};
use farrier::engine::memory::Memory;
use farrier::engine::native::Native;
use farrier::plan::instance::Instance;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::setup::Ground;
use crate::support::swarm::Nodes;
use crate::support::{Image, Scene, docker, fixture_program};

struct RealDocker {
    /// Dropped before the scene, which then leaves nothing of it.
    image: String,
    engine: Arc<dyn Engine>,
    scene: Scene,
}

/// Docker on this machine; `None`, which it then says, if there is none.
pub fn on_docker() -> Option<Box<dyn Ground>> {
    let scene = Scene::with_docker()?;
    let home = std::env::var_os("HOME").map(Into::into);
    let environment = Environment::new(|name| std::env::var_os(name), home);
    let opened = EngineKind::of_images().open(&Choice::default(), &environment, &Folders::default());
    let opened = opened.unwrap_or_else(|problem| panic!("{problem}"));
    let image = Image::new().change("CMD [\"wait\"]".to_owned());
    let image = scene.image(&image);
    Some(Box::new(RealDocker { image, engine: opened.engine, scene }))
}

impl Ground for RealDocker {
    fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    fn folder(&self) -> PathBuf {
        self.scene.path("layer")
    }

    fn name(&self, stem: &str) -> String {
        self.scene.name(stem)
    }

    fn image(&self) -> String {
        self.image.clone()
    }

    fn end(&self, instance: &Instance, _: i64) {
        docker(["kill", &instance.id]);
    }
}

struct DockerDouble {
    double: Double,
    engine: Docker,
    folder: TempDir,
}

/// Docker's double.
pub fn on_the_double() -> Option<Box<dyn Ground>> {
    let double = Double::new();
    double.change(|world| world.add_image("image:1", DoubleImage::default()));
    let engine = Docker::over(Arc::new(double.clone()), true);
    Some(Box::new(DockerDouble { double, engine, folder: tempfile::tempdir().expect("a folder") }))
}

impl Ground for DockerDouble {
    fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    fn name(&self, stem: &str) -> String {
        format!("{stem}-double")
    }

    fn image(&self) -> String {
        "image:1".to_owned()
    }

    fn end(&self, instance: &Instance, exit_code: i64) {
        self.double.change(|world| world.end(&instance.name, &End::Exit(exit_code)));
    }
}

/// The engine of another kind.
pub fn in_memory() -> Option<Box<dyn Ground>> {
    Some(Box::new(InMemory { engine: Memory::new(), folder: tempfile::tempdir().expect("a folder") }))
}

struct InMemory {
    engine: Memory,
    folder: TempDir,
}

impl Ground for InMemory {
    fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    fn name(&self, stem: &str) -> String {
        format!("{stem}-memory")
    }

    fn image(&self) -> String {
        "image:1".to_owned()
    }

    fn end(&self, instance: &Instance, exit_code: i64) {
        self.engine.end(&instance.name, exit_code);
    }
}

/// Programs of this host.
pub fn on_this_host() -> Option<Box<dyn Ground>> {
    Some(Box::new(ThisHost::new(format!("program = [\"{}\", \"wait\"]", fixture_program().display()))))
}

/// Containers that this host runs without Docker.
pub fn in_containers_of_this_host() -> Option<Box<dyn Ground>> {
    let ground = ThisHost::new("image = \"oci:./image\"\ncommand = [\"wait\"]".to_owned());
    let layout = ground.folder().join("definitions/image");
    Image::new().layout(&fixture_program(), &layout).unwrap_or_else(|trouble| panic!("{trouble}"));
    Some(Box::new(ground))
}

struct ThisHost {
    runs: String,
    engine: Native,
    folder: TempDir,
}

impl ThisHost {
    fn new(runs: String) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let farrier = PathBuf::from(env!("CARGO_BIN_EXE_farrier"));
        let engine = Native::at(folder.path().join("native")).supervised_by(farrier);
        Self { runs, engine, folder }
    }
}

impl Ground for ThisHost {
    fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    fn name(&self, stem: &str) -> String {
        format!("{stem}-host")
    }

    fn image(&self) -> String {
        unreachable!("it names no image by a reference")
    }

    fn runs(&self) -> String {
        self.runs.clone()
    }

    fn runs_with(&self, arguments: &[&str]) -> String {
        let words: Vec<String> = arguments.iter().map(|word| format!("{word:?}")).collect();
        self.runs.replace("\"wait\"", &words.join(", "))
    }

    fn end(&self, instance: &Instance, exit_code: i64) {
        assert_eq!(exit_code, 137, "it is killed");
        let process = i32::try_from(instance.process_id).ok().and_then(Pid::from_raw).expect("it runs");
        kill_process(process, Signal::KILL).expect("it is this user's");
    }
}

impl Drop for ThisHost {
    fn drop(&mut self) {
        remove_all(&self.engine, |_| true);
    }
}

/// A Swarm of two nodes, both of which have the image.
pub fn on_swarm() -> Option<Box<dyn Ground>> {
    let nodes = Nodes::find()?;
    let scene = Scene::with_docker()?;
    let home = std::env::var_os("HOME").map(Into::into);
    let environment = Environment::new(|name| std::env::var_os(name), home);
    let opened = EngineKind::Swarm.open(&Choice::default(), &environment, &Folders::default());
    let opened = opened.unwrap_or_else(|problem| panic!("{problem}"));
    let tag = scene.image(&Image::new().change("CMD [\"wait\"]".to_owned()));
    let image = nodes.share(&tag);
    Some(Box::new(RealSwarm { nodes, image, engine: opened.engine, scene }))
}

struct RealSwarm {
    nodes: Nodes,
    image: String,
    engine: Arc<dyn Engine>,
    /// Dropped last: it removes the image, and networks that no service uses.
    scene: Scene,
}

impl Ground for RealSwarm {
    fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    fn folder(&self) -> PathBuf {
        self.scene.path("layer")
    }

    fn name(&self, stem: &str) -> String {
        self.scene.name(stem)
    }

    fn image(&self) -> String {
        self.image.clone()
    }

    fn end(&self, instance: &Instance, exit_code: i64) {
        assert_eq!(exit_code, 137, "it is killed");
        self.nodes.kill(&instance.name);
    }

    fn execute(&self, instance: &Instance, arguments: &[&str]) -> Option<(i64, String)> {
        let (host, container) = self.nodes.container(&instance.name).expect("its task runs");
        let mut command = Command::new("docker");
        command.args(["--host", host, "exec", &container]).args(arguments);
        let output = command.output().expect("docker runs");
        let code = output.status.code().expect("an exit code");
        Some((code.into(), String::from_utf8_lossy(&output.stdout).into_owned()))
    }
}

impl Drop for RealSwarm {
    fn drop(&mut self) {
        remove_all(self.engine(), |instance| instance.name.contains(self.scene.token()));
        remove_network(self.engine(), &self.name("net"));
        self.nodes.take_back(&self.scene.label());
    }
}

/// Removes a network of an engine's, if it is there.
fn remove_network(engine: &dyn Engine, name: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _ = runtime.block_on(engine.remove_network(name));
}

/// Removes these of an engine's instances.
fn remove_all(engine: &dyn Engine, is_meant: impl Fn(&Instance) -> bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for (found, _) in engine.inventory(&[]).await.into_iter().flatten() {
            if is_meant(&found.instance) {
                let _ = engine.remove("", &found.instance, &|_| ()).await;
            }
        }
    });
}
