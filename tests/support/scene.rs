//! One test's own corner of the machine: names that nobody else uses, folders, and an engine left as it was.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::cleanup;
use super::engine::{build_directory, docker, docker_available};
use super::fixture::Image;
use super::run::Run;

/// The label of everything that a test creates itself; its value is the token.
const LABEL: &str = "farrier.test";

/// Whose definitions a directory holds, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    User,
    Org,
    Repo,
    Workspace,
}

/// Folders, names, networks and images of one test. All of it is removed when it is dropped, also by a panic.
pub struct Scene {
    token: String,
    root: TempDir,
    cache: PathBuf,
    state: PathBuf,
    with_docker: bool,
    networks: RefCell<BTreeSet<String>>,
    images: RefCell<Vec<String>>,
}

impl Scene {
    /// A scene for a test that needs no engine.
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("farrier-test-").tempdir().expect("a temporary folder");
        let scene = Self {
            token: token(),
            cache: private(build_directory().join("cache")),
            state: private(build_directory().join("state")),
            with_docker: false,
            networks: RefCell::default(),
            images: RefCell::default(),
            root,
        };
        private(scene.home());
        scene
    }

    /// A scene for a test that needs an engine; none where there is no engine, which it then says.
    pub fn with_docker() -> Option<Self> {
        docker_available().then(|| {
            let mut scene = Self::new();
            scene.with_docker = true;
            scene
        })
    }

    /// The same with a cache and a state folder of its own. Otherwise all tests of a run share theirs, so
    /// that a probe is compiled once: the two belong together, since a key in the state folder seals the
    /// cache.
    pub fn isolated(mut self) -> Self {
        self.cache = private(self.path("cache"));
        self.state = private(self.path("state"));
        self
    }

    /// What makes the names of this scene unique: `t` and 12 hexadecimal digits.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The scene's own name for a sidecar: `db` becomes `db-<token>`.
    pub fn name(&self, stem: &str) -> String {
        format!("{stem}-{}", self.token)
    }

    /// The name of the container that a trusted layer's `stem` becomes.
    pub fn container(&self, stem: &str) -> String {
        format!("farrier-{}", self.name(stem))
    }

    /// The `<NAME>` in the variables `SWARMFORGE_TONG_<NAME>_HOST` and `_PORT` of `stem`.
    pub fn variable(&self, stem: &str) -> String {
        self.name(stem).to_uppercase().replace('-', "_")
    }

    /// A path in the scene's folder, which need not exist.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(relative)
    }

    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    pub fn config_home(&self) -> PathBuf {
        self.path("config")
    }

    pub fn cache_home(&self) -> &Path {
        &self.cache
    }

    pub fn state_home(&self) -> &Path {
        &self.state
    }

    /// The workspace: where farrier is started, and a checkout as far as farrier looks.
    pub fn workspace(&self) -> PathBuf {
        let workspace = self.path("workspace");
        create(&workspace.join(".git"));
        workspace
    }

    /// The directory of a layer; user and workspace stand at their default places.
    pub fn layer(&self, layer: Layer) -> PathBuf {
        let directory = match layer {
            Layer::User => self.config_home().join("farrier/sidecars"),
            Layer::Org => self.path("org"),
            Layer::Repo => self.path("repo"),
            Layer::Workspace => self.workspace().join(".farrier/sidecars"),
        };
        create(&directory);
        directory
    }

    /// Writes a TOML definition of `stem` to the user layer, under its unique name.
    pub fn define(&self, stem: &str, toml: &str) -> PathBuf {
        self.define_in(Layer::User, &format!("{}.toml", self.name(stem)), toml)
    }

    /// Writes a file of this name to a layer.
    pub fn define_in(&self, layer: Layer, file: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.layer(layer).join(file);
        fs::write(&path, content).expect("a definition can be written");
        path
    }

    /// farrier with these arguments, in this scene's workspace and environment.
    pub fn farrier<A: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        Run::farrier(self).args(arguments)
    }

    /// A bridge network of the scene's own, made at the first call with this stem.
    pub fn network(&self, stem: &str) -> String {
        let network = self.name(stem);
        if self.networks.borrow_mut().insert(network.clone()) {
            docker(["network", "create", "--label", &self.label(), &network]);
        }
        network
    }

    /// An image of the fixture program with these options, of the scene's own.
    pub fn image(&self, image: &Image) -> String {
        let program = super::engine::fixture_program();
        let tag = format!("farrier-fixture-{}:{}", self.token, self.images.borrow().len());
        self.images.borrow_mut().push(tag.clone());
        let own = image.clone().change(format!("LABEL {}", self.label()));
        // Podman fails if another test removes an image of the same layer meanwhile.
        let made = own.import(&program, &tag).or_else(|_| own.import(&program, &tag));
        made.unwrap_or_else(|trouble| panic!("{trouble}"));
        tag
    }

    /// Another name for an image, which goes with the scene.
    pub fn tag(&self, image: &str) -> String {
        let tag = format!("farrier-fixture-{}:{}", self.token, self.images.borrow().len());
        self.images.borrow_mut().push(tag.clone());
        docker(["tag", image, &tag]);
        tag
    }

    /// Starts a container without farrier: `docker run --detach` with these arguments. Gives its id.
    pub fn docker_run<A: AsRef<str>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        let own = ["run", "--detach", "--label", &self.label()].map(str::to_owned);
        docker(own.into_iter().chain(arguments.into_iter().map(|part| part.as_ref().to_owned())))
    }

    /// Makes everything that is in the scene's folder now another user's. Only root can.
    pub fn give_to(&self, user: u32) {
        give(self.root.path(), user);
    }

    /// `NAME=VALUE` of the label that lets the scene find what a test made by itself.
    pub fn label(&self) -> String {
        format!("{LABEL}={}", self.token)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if self.with_docker {
            cleanup::clean(
                &self.token,
                &self.label(),
                self.root.path(),
                &self.networks.borrow(),
                &self.images.borrow(),
            );
        }
    }
}

/// Of one length, so that no token is a part of another.
fn token() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed) & 0xfff;
    let random = RandomState::new().hash_one(count) & 0xfff;
    format!("t{:06x}{count:03x}{random:03x}", std::process::id() & 0x00ff_ffff)
}

fn create(directory: &Path) {
    fs::create_dir_all(directory).expect("a folder can be made");
}

fn give(path: &Path, user: u32) {
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).expect("a folder").flatten() {
            give(&entry.path(), user);
        }
    }
    std::os::unix::fs::lchown(path, Some(user), Some(user)).expect("it is given away");
}

/// A folder that only this user may use.
fn private(directory: PathBuf) -> PathBuf {
    DirBuilder::new().recursive(true).mode(0o700).create(&directory).expect("a folder can be made");
    directory
}
