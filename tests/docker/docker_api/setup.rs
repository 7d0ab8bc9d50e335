//! What a case may use beside the engine itself, whichever engine that is.

use crate::support::PATIENT;
use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use farrier::engine::docker::api::{Api, Container, ContainerSpec, Endpoint, Status};
use farrier::engine::{EngineErrorKind, EngineResult};

/// The pause before a state is looked at again.
const LOOK: Duration = Duration::from_millis(10);

/// What a case's image has beside the fixture program, its entrypoint.
#[derive(Clone, Debug, Default)]
pub struct Recipe {
    pub command: Vec<String>,
    pub env: Vec<(String, String)>,
    pub labels: Vec<(String, String)>,
    pub volumes: Vec<String>,
    pub user: String,
    pub directory: String,
    /// The arguments of a health test, run every 100 ms.
    pub health: Vec<String>,
}

/// An engine, names of the case's own, and what other tools can do to the engine.
#[async_trait(?Send)]
pub trait TestEngine {
    fn engine(&self) -> &dyn Api;
    /// A name that nobody else uses.
    fn name(&self, stem: &str) -> String;
    /// A label that is only on what this case made.
    fn label(&self) -> (String, String);
    /// Makes an image under the reference `name(stem)`.
    fn image(&self, stem: &str, recipe: &Recipe) -> String;
    /// Gives an image one more reference, away from the image that has it.
    fn tag(&self, image: &str, reference: &str);
    /// Removes an image, by its reference, once the case has ended.
    fn leave_no_image(&self, reference: &str);
    fn pause(&self, container: &str);
    /// Restarts a container as another tool would.
    async fn restart(&self, container: &str);
    fn has_volume(&self, name: &str) -> bool;
    /// Makes the health test `healthy-when-file /tmp/healthy` pass from now on.
    async fn heal(&self, container: &str);
}

/// Two tests of each case.
macro_rules! contract {
    ($($case:ident,)*) => {
        mod on_docker {
            $(#[test]
            fn $case() {
                super::super::setup::run(async {
                    let Some(test_engine) = super::super::docker::RealEngine::open() else { return };
                    super::$case(&test_engine).await;
                });
            })*
        }

        mod on_the_double {
            $(#[test]
            fn $case() {
                super::super::setup::run(super::$case(&super::super::double::EngineDouble::open()));
            })*
        }
    };
}
pub(super) use contract;

/// Runs a case to its end, which must come.
pub fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let limited = runtime.block_on(async { tokio::time::timeout(2 * PATIENT, case).await });
    limited.expect("the case ends");
}

/// `["a", "b"]` as owned words.
pub fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// The names of a container on a network, but for the container's own, which newer engines tell there, too.
pub fn given_names(endpoint: &Endpoint, container: &str) -> Vec<String> {
    endpoint.aliases.iter().filter(|name| *name != container).cloned().collect()
}

/// Why a call failed.
pub fn kind<T: std::fmt::Debug>(result: EngineResult<T>) -> EngineErrorKind {
    result.expect_err("a failure").kind
}

impl dyn TestEngine + '_ {
    /// A network of the case's own; gives its name.
    pub async fn network(&self, stem: &str) -> String {
        let name = self.name(stem);
        let labels = BTreeMap::from([self.label()]);
        self.engine().create_network(&name, &labels).await.expect("a network");
        name
    }

    /// A container of the plain image with this command, on the network `net`, which must exist.
    pub fn spec(&self, stem: &str, command: &[&str]) -> ContainerSpec {
        ContainerSpec {
            name: self.name(stem),
            image: self.image("plain", &Recipe::default()),
            command: words(command),
            labels: BTreeMap::from([self.label()]),
            network: self.name("net"),
            ..ContainerSpec::default()
        }
    }

    /// Makes and starts a container of the plain image; gives its id.
    pub async fn started(&self, stem: &str, command: &[&str]) -> String {
        if self.engine().networks(&self.name("net")).await.expect("networks").is_empty() {
            self.network("net").await;
        }
        let id = self.engine().create(&self.spec(stem, command)).await.expect("a container");
        self.engine().start(&id).await.expect("it starts");
        id
    }

    pub async fn inspect(&self, container: &str) -> Container {
        self.engine().container(container).await.expect("an answer").expect("the container")
    }

    /// Waits until a container is in such a state.
    pub async fn until(&self, container: &str, reached: impl Fn(&Container) -> bool) -> Container {
        let waiting = async {
            loop {
                let found = self.inspect(container).await;
                if reached(&found) {
                    return found;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENT, waiting).await.expect("the state is reached")
    }

    pub async fn exited(&self, container: &str) -> Container {
        self.until(container, |container| container.status == Status::Exited).await
    }

    /// Waits until there is no such container.
    pub async fn gone(&self, container: &str) {
        let waiting = async {
            while self.engine().container(container).await.expect("an answer").is_some() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENT, waiting).await.expect("it goes");
    }
}
