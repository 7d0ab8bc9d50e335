//! The real engine.

use std::cell::RefCell;
use std::collections::BTreeMap;

use async_trait::async_trait;
use farrier::engine::docker::address::{Choice, Environment, resolve};
use farrier::engine::docker::api::Api;
use farrier::engine::docker::client::Client;

use super::setup::{Recipe, TestEngine, words};
use crate::support::{Image, Scene, docker, fixture_image};

pub struct RealEngine {
    /// Dropped before the scene, which then leaves nothing of these.
    volumes: RefCell<Vec<String>>,
    loaded: RefCell<Vec<String>>,
    images: RefCell<BTreeMap<String, String>>,
    engine: Client,
    scene: Scene,
}

impl RealEngine {
    /// None where there is no engine, which it then says.
    pub fn open() -> Option<Self> {
        let scene = Scene::with_docker()?;
        let home = std::env::var_os("HOME").map(Into::into);
        let environment = Environment::new(|name| std::env::var_os(name), home);
        let address = resolve(&Choice::default(), &environment).expect("the address of the engine");
        let engine = Client::open(&address).expect("the engine");
        Some(Self {
            volumes: RefCell::default(),
            loaded: RefCell::default(),
            images: RefCell::default(),
            engine,
            scene,
        })
    }
}

#[async_trait(?Send)]
impl TestEngine for RealEngine {
    fn engine(&self) -> &dyn Api {
        &self.engine
    }

    fn name(&self, stem: &str) -> String {
        self.scene.name(stem)
    }

    fn label(&self) -> (String, String) {
        let label = self.scene.label();
        let (name, value) = label.split_once('=').expect("NAME=VALUE");
        (name.to_owned(), value.to_owned())
    }

    fn image(&self, stem: &str, recipe: &Recipe) -> String {
        if stem == "plain" {
            return fixture_image();
        }
        let mut image = Image::new();
        if !recipe.command.is_empty() {
            image = image.change(format!("CMD {:?}", recipe.command));
        }
        for (name, value) in &recipe.env {
            image = image.change(format!("ENV {name}={value}"));
        }
        for (name, value) in &recipe.labels {
            image = image.change(format!("LABEL {name}={value}"));
        }
        for path in &recipe.volumes {
            image = image.change(format!("VOLUME {path}"));
        }
        for (instruction, value) in [("USER", &recipe.user), ("WORKDIR", &recipe.directory)] {
            if !value.is_empty() {
                image = image.change(format!("{instruction} {value}"));
            }
        }
        if !recipe.health.is_empty() {
            let test = format!(
                "HEALTHCHECK --interval=100ms --timeout=7s --start-period=60s CMD {:?}",
                recipe.health
            );
            image = image.change(test);
        }
        self.images.borrow_mut().entry(stem.to_owned()).or_insert_with(|| self.scene.image(&image)).clone()
    }

    fn tag(&self, image: &str, reference: &str) {
        // So that the image that had it goes with the scene.
        self.scene.tag(reference);
        docker(["tag", image, reference]);
    }

    fn leave_no_image(&self, reference: &str) {
        self.loaded.borrow_mut().push(reference.to_owned());
    }

    fn pause(&self, container: &str) {
        docker(["pause", container]);
    }

    async fn restart(&self, container: &str) {
        docker(["restart", "--time", "0", container]);
    }

    fn has_volume(&self, name: &str) -> bool {
        self.volumes.borrow_mut().push(name.to_owned());
        docker(["volume", "ls", "--quiet", "--filter", &format!("name={name}")])
            .lines()
            .any(|line| line == name)
    }

    async fn heal(&self, container: &str) {
        let arguments = words(&["/fixture", "touch", "/tmp/healthy"]);
        let request = farrier::engine::ExecRequest { arguments, output_limit: 1000 };
        assert_eq!(self.engine.exec(container, &request).await.expect("a file").exit_code, 0);
    }
}

impl Drop for RealEngine {
    /// The volumes that a case let outlive their containers, and the images that it loaded.
    fn drop(&mut self) {
        for reference in self.loaded.borrow().iter() {
            drop(crate::support::docker::run(["image", "rm", "--force", reference]));
        }
        let volumes = self.volumes.borrow();
        for volume in volumes.iter() {
            let using = crate::support::docker::run(["ps", "-aq", "--filter", &format!("volume={volume}")]);
            for container in using.unwrap_or_default().lines() {
                drop(crate::support::docker::run(["rm", "--force", container]));
            }
            drop(crate::support::docker::run(["volume", "rm", "--force", volume]));
        }
    }
}
