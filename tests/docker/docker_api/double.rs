//! The engine in memory.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use farrier::engine::docker::api::{Api, HealthStatus, HealthTest, Image, Process};
use farrier::engine::docker::double::{Double, DoubleImage, End, Run};

use super::setup::{Recipe, TestEngine, words};

#[derive(Default)]
pub struct EngineDouble {
    engine: Double,
    images: RefCell<BTreeMap<String, String>>,
}

impl EngineDouble {
    pub fn open() -> Self {
        Self::default()
    }
}

#[async_trait(?Send)]
impl TestEngine for EngineDouble {
    fn engine(&self) -> &dyn Api {
        &self.engine
    }

    fn name(&self, stem: &str) -> String {
        format!("{stem}-tab")
    }

    fn label(&self) -> (String, String) {
        ("farrier.test".to_owned(), "tab".to_owned())
    }

    fn image(&self, stem: &str, recipe: &Recipe) -> String {
        let reference = format!("{}:0", self.name(stem));
        let added = self.images.borrow().contains_key(stem);
        if !added {
            let mut image = DoubleImage::new(fixture);
            image.labels = recipe.labels.iter().cloned().collect();
            image.image = Image { process: process(recipe), volumes: recipe.volumes.clone(), ..image.image };
            self.engine.change(|world| world.add_image(&reference, image));
            self.images.borrow_mut().insert(stem.to_owned(), reference.clone());
        }
        reference
    }

    fn tag(&self, image: &str, reference: &str) {
        self.engine.change(|world| {
            let id = world.image(image).expect("the image").id;
            world.tag(&id, reference);
        });
    }

    fn leave_no_image(&self, _: &str) {}

    fn pause(&self, container: &str) {
        self.engine.change(|world| world.pause(container));
    }

    async fn restart(&self, container: &str) {
        self.engine.change(|world| world.restart(container));
    }

    fn has_volume(&self, name: &str) -> bool {
        self.engine.change(|world| world.volumes().iter().any(|volume| volume == name))
    }

    async fn heal(&self, container: &str) {
        self.engine.change(|world| world.health(container, HealthStatus::Healthy, 0, ""));
    }
}

fn process(recipe: &Recipe) -> Process {
    let test = ["CMD".to_owned()].into_iter().chain(recipe.health.clone()).collect();
    Process {
        entrypoint: words(&["/fixture"]),
        command: recipe.command.clone(),
        env: recipe.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        user: recipe.user.clone(),
        directory: recipe.directory.clone(),
        shell: Vec::new(),
        health: (!recipe.health.is_empty()).then(|| HealthTest {
            test,
            timeout: Duration::from_secs(7),
            start_period: Duration::from_secs(60),
        }),
        stop_signal: String::new(),
    }
}

/// The fixture program, as far as the cases use it.
fn fixture(arguments: &[String]) -> Run {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["/fixture", "wait"] => Run::forever(),
        ["/fixture", "cat"] => Run::ending(End::Copies),
        ["/fixture", "exit", code] => Run::exit(code.parse().expect("a number")),
        ["/fixture", "print", text] => Run::exit(0).says(&format!("{text}\n")),
        ["/fixture", "read", "/tmp/greeting"] => Run::exit(0).says("hello\n"),
        ["/fixture", "crash", message, code] => {
            Run { stderr: format!("{message}\n").into_bytes(), ..Run::exit(code.parse().expect("a number")) }
        }
        ["/fixture", "serve", "--port", _, options @ ..] => {
            let lines = options.chunks(2).map(|option| format!("{}\n", option[1]));
            Run::forever().says(&lines.collect::<String>())
        }
        ["/fixture", ..] => panic!("{arguments:?} is not scripted"),
        [program, ..] => Run::ending(End::CannotRun(format!(
            "exec: \"{program}\": stat {program}: no such file or directory: unknown"
        ))),
        [] => Run::ending(End::CannotRun("no command".to_owned())),
    }
}
