//! Images of the real `PostgreSQL`, Redis, `MariaDB`, nginx, Python and message brokers, made from Debian's packages by
//! `tests/servers/build.sh`.

use std::path::Path;
use std::process::{Command, Stdio};

use super::docker::{self, Trouble};
use super::engine::{build_directory, skip};
use super::fixture;
use super::registry::{self, Registry};
use super::scene::Scene;

const SCRIPT: &str = include_str!("../servers/build.sh");
const FILES: [&str; 6] = [
    include_str!("../servers/postgres-entrypoint.sh"),
    include_str!("../servers/mariadb-entrypoint.sh"),
    include_str!("../servers/nginx.conf"),
    include_str!("../servers/nginx-counting.conf"),
    include_str!("../servers/counting_server.py"),
    include_str!("../servers/ask-servers.sh"),
];
/// Images with several servers, which have no variant.
const FOUR: &str = "four";
const BROKERS: &str = "brokers";

/// `PostgreSQL` on port 5432, user `postgres` without a password, `pg_isready` and `psql` on the PATH. None,
/// and a loud message, where it cannot be had; a failure under `FARRIER_REQUIRE_DOCKER=1`.
pub fn postgres_image() -> Option<String> {
    image("postgres", "")
}

/// The same with a HEALTHCHECK of `pg_isready` every 30 s.
pub fn postgres_image_with_healthcheck() -> Option<String> {
    image("postgres", "-healthcheck")
}

/// Redis on port 6379, with `redis-cli` on the PATH. None as for `PostgreSQL`.
pub fn redis_image() -> Option<String> {
    image("redis", "")
}

/// The same with a HEALTHCHECK of `redis-cli ping` every 30 s.
pub fn redis_image_with_healthcheck() -> Option<String> {
    image("redis", "-healthcheck")
}

/// `MariaDB` on port 3306: `root` without a password, `app` with `secret`; `mariadb` on the PATH. None as for
/// `PostgreSQL`.
pub fn mariadb_image() -> Option<String> {
    image("mariadb", "")
}

/// nginx on port 8080, which serves what `nginx.conf` says once `/tmp/ready` exists. None as for `PostgreSQL`.
pub fn nginx_image() -> Option<String> {
    image("nginx", "")
}

/// `PostgreSQL`, Redis, nginx and Python in one image, with `counting-server` in Python, and `ask-servers`, which changes
/// the data of all four. None as for `PostgreSQL`.
pub fn image_of_four() -> Option<String> {
    image(FOUR, "")
}

/// `rabbitmq-server`, `nats-server`, `memcached`, `mosquitto`, `dnsmasq` and `beanstalkd` on the PATH of one image, which
/// runs none of them by itself, as a user without rights. None as for `PostgreSQL`.
pub fn image_of_brokers() -> Option<String> {
    image(BROKERS, "")
}

/// A registry that has this image, which was put there once. None as for `PostgreSQL`.
pub fn registry_with(image: &str, scene: &Scene) -> Option<Registry> {
    let folder = build_directory().join("servers");
    let storage = folder.join("registry");
    let registry = registry::open(scene, &storage)?;
    let _lock = fixture::lock(&folder, "registry").unwrap_or_else(|trouble| panic!("{trouble}"));
    let is_there = storage.join(image.replace(':', "-"));
    if !is_there.exists() {
        registry.publish(image, &format!("library/{image}"));
        std::fs::write(is_there, "").expect("a file");
    }
    Some(registry)
}

fn image(server: &str, variant: &str) -> Option<String> {
    let digest = fixture::digest_of(&[&[SCRIPT], &FILES[..]].concat());
    let repository = format!("farrier-test-{server}");
    match ensure(server, &repository, &digest) {
        Ok(()) => Some(format!("{repository}{variant}:{digest}")),
        Err(trouble) => {
            skip(&trouble);
            None
        }
    }
}

fn ensure(server: &str, repository: &str, digest: &str) -> Result<(), Trouble> {
    let directory = build_directory().join("servers");
    let _lock = fixture::lock(&directory, server)?;
    let exists = |variant: &str| {
        docker::run(["image", "inspect", "--format", "{{.Id}}", &format!("{repository}{variant}:{digest}")])
    };
    if exists("").is_ok() && ([FOUR, BROKERS].contains(&server) || exists("-healthcheck").is_ok()) {
        return Ok(());
    }
    let next_step = "The image is made from Debian's packages, which apt-get fetches without installing \
                     them: run that command by hand on a Debian or Ubuntu machine whose package mirror \
                     is in reach.";
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/build.sh");
    let mut command = Command::new("bash");
    command.arg(&script).args([server, repository, digest]).arg(directory.join(server)).stdin(Stdio::null());
    let output = command
        .output()
        .map_err(|error| Trouble::new(format!("cannot run bash {}: {error}", script.display()), next_step))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(Trouble::new(format!("`{command:?}` failed ({}): {}", output.status, words.trim()), next_step))
}
