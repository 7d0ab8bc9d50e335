//! What the real engine says: tests assert its state, through the `docker` client, not farrier's words.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::docker::Trouble;
use super::fixture::{self, Image};
use super::skipping::{REQUIRE_DOCKER, skip_unless_required};

/// How long a test waits for what comes within seconds, and on a busy machine later.
pub const PATIENT: Duration = Duration::from_mins(10);
/// How long `wait_until` waits before it looks again.
const LOOK: Duration = Duration::from_millis(10);

/// Whether an engine answers. Where none does, it says so loudly, or panics under `FARRIER_REQUIRE_DOCKER=1`.
pub fn docker_available() -> bool {
    static AVAILABLE: LazyLock<Result<(), Trouble>> = LazyLock::new(super::docker::available);
    AVAILABLE.as_ref().map_err(skip).is_ok()
}

/// Says why the current test is skipped, or fails it under `FARRIER_REQUIRE_DOCKER=1`.
pub fn skip(trouble: &Trouble) {
    skip_unless_required(REQUIRE_DOCKER, &trouble.to_string());
}

/// Where the things are kept that every test of this checkout shares.
pub fn build_directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// The fixture program on the host, for harnesses that are not containers.
pub fn fixture_program() -> PathBuf {
    static PROGRAM: LazyLock<Result<PathBuf, Trouble>> =
        LazyLock::new(|| fixture::compile(build_directory()));
    PROGRAM.clone().unwrap_or_else(|trouble| panic!("{trouble}"))
}

/// What the plain image of the fixture program is called, whether or not there is an engine; its tag names its content.
pub fn fixture_image_name() -> String {
    format!("farrier-fixture:{}", fixture::digest())
}

/// The plain image of the fixture program, made once and shared by all tests.
pub fn fixture_image() -> String {
    static IMAGE: LazyLock<Result<String, Trouble>> = LazyLock::new(|| {
        let tag = fixture_image_name();
        fixture::ensure(build_directory(), &tag, &Image::new()).map(|()| tag)
    });
    IMAGE.clone().unwrap_or_else(|trouble| panic!("{trouble}"))
}

/// Runs `docker` with these arguments and gives its stdout; a failure fails the test.
pub fn docker<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> String {
    super::docker::run(arguments).unwrap_or_else(|trouble| panic!("{trouble}"))
}

/// One value of a container by its Go template; none where there is no such container.
pub fn inspect(container: &str, format: &str) -> Option<String> {
    super::docker::run(["container", "inspect", "--format", format, container]).ok()
}

/// The full id of the container of exactly this name.
pub fn container_id(name: &str) -> Option<String> {
    inspect(name, "{{.Id}}")
}

/// Whether the container of this name runs.
pub fn is_running(name: &str) -> bool {
    inspect(name, "{{.State.Running}}").as_deref() == Some("true")
}

/// The names of all containers, stopped ones too, that begin with `prefix`, sorted.
pub fn containers_named(prefix: &str) -> Vec<String> {
    let names = docker(["container", "ls", "--all", "--format", "{{.Names}}"]);
    let mut names: Vec<String> =
        names.lines().filter(|name| name.starts_with(prefix)).map(str::to_owned).collect();
    names.sort();
    names
}

/// Everything that the container wrote, stdout before stderr.
pub fn container_logs(name: &str) -> String {
    let output = std::process::Command::new("docker").args(["logs", name]).output();
    let output = output.unwrap_or_else(|error| panic!("docker logs {name}: {error}"));
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Looks every 10 ms until the condition holds; fails the test after `limit`.
pub fn wait_until(description: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    loop {
        let looked = Instant::now();
        if condition() {
            return;
        }
        assert!(started.elapsed() < limit, "waited {limit:?} in vain until {description}");
        // A look that costs, such as a call of Docker's client, must not keep the processor from what is waited for.
        std::thread::sleep(LOOK.max(3 * looked.elapsed()));
    }
}
