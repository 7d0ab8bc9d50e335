//! Files of this host that a service's container gets: small ones that nothing writes to, as configs of the Swarm. A
//! config never changes, so its name has the content's digest, and other content is another config. Those that a
//! service does not mount any more are removed with its next change, and with the service.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;

use jiff::{SignedDuration, Timestamp};
use rustix::fs::OFlags;
use serde_json::{Value, json};

use super::api::{Config, Service, SwarmApi};
use crate::definition::model::{Bound, BoundKind, Mount};
use crate::engine::problem::{RUN_AGAIN, engine_problem};
use crate::engine::{EngineErrorKind, EngineResult};
use crate::plan::sidecar::Sidecar;
use crate::report::error::{Code, Problem};
use crate::system::digest::sha256_hex;

/// The largest file that the Swarm takes, in bytes.
pub(super) const MOST_BYTES: u64 = 500 << 10;
/// How old a config is that no launch is about to mount any more.
const LEFT: SignedDuration = SignedDuration::from_mins(10);
/// The label on configs that are bound files: the service that mounts them.
pub(super) const LABEL_FILE: &str = "farrier.file";

/// A bound file, and the config that it is.
struct BoundFile<'a> {
    bound: &'a Bound,
    digest: &'a str,
    target: &'a str,
    source: &'a str,
}

impl BoundFile<'_> {
    /// Of one service and content. The Swarm takes at most 64 characters.
    fn name(&self, sidecar: &Sidecar) -> String {
        let scope = sidecar.scope.as_deref().unwrap_or_default();
        let whose = sha256_hex(format!("{}\n{scope}", sidecar.container).as_bytes());
        format!("farrier-file-{}-{}", &whose[..12], self.digest.get(..32).unwrap_or(self.digest))
    }

    /// All of it, if it is still what the plan was made for.
    fn content(&self) -> io::Result<Vec<u8>> {
        let bytes = match &self.bound.copy {
            Some(copy) => copy.clone(),
            None => read(&self.bound.path)?,
        };
        if sha256_hex(&bytes) == self.digest { Ok(bytes) } else { Err(io::Error::other("it was changed")) }
    }

    /// Whoever runs in the container may read it, as nobody knows who that is, and execute it if somebody may here.
    fn mode(&self) -> u32 {
        let is_executable = matches!(self.bound.kind, BoundKind::File { is_executable: true, .. });
        if is_executable { 0o555 } else { 0o444 }
    }
}

fn read(path: &std::path::Path) -> io::Result<Vec<u8>> {
    // Without O_NONBLOCK opening a FIFO waits for somebody to write to it, and the path had no link when it was resolved.
    let flags = OFlags::NONBLOCK.union(OFlags::NOFOLLOW).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn files(sidecar: &Sidecar) -> impl Iterator<Item = BoundFile<'_>> {
    sidecar.definition.container.mounts.iter().filter_map(|mount| match mount {
        Mount::Bind { source, target, bound: Some(bound), .. } => {
            Some(BoundFile { bound, digest: bound.digest.as_deref()?, target, source })
        }
        _ => None,
    })
}

/// What a service's container mounts, as the API takes it, with the ids of those configs that are there. Pure.
pub(super) fn mounted(sidecar: &Sidecar, configs: &[Config]) -> Vec<Value> {
    let of = |file: BoundFile<'_>| {
        let name = file.name(sidecar);
        let id = configs.iter().find(|config| config.name == name).map(|config| config.id.as_str());
        json!({
            "File": { "Name": file.target, "UID": "0", "GID": "0", "Mode": file.mode() },
            "ConfigID": id.unwrap_or_default(),
            "ConfigName": name,
        })
    };
    files(sidecar).map(of).collect()
}

/// Makes the configs that a sidecar's service mounts, and gives all of the service's.
///
/// # Errors
/// If a file cannot be read any more or was changed, or the Swarm does not take it.
pub(super) async fn make(api: &dyn SwarmApi, sidecar: &Sidecar) -> Result<Vec<Config>, Problem> {
    let wanted: Vec<BoundFile<'_>> = files(sidecar).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |error| engine_problem("give the Swarm the bound files", &error);
    let label = format!("{LABEL_FILE}={}", sidecar.container);
    let mut configs = api.configs(&label).await.map_err(failed)?;
    let mut labels = sidecar.owner_labels();
    labels.insert(LABEL_FILE.to_owned(), sidecar.container.clone());
    let mut is_taken = false;
    for file in wanted {
        let name = file.name(sidecar);
        if configs.iter().any(|config| config.name == name) {
            continue;
        }
        let content = file.content().map_err(|error| changed(sidecar, file.source, &error))?;
        match api.create_config(&name, &labels, &content).await {
            Ok(id) => configs.push(Config { id, name, ..Config::default() }),
            // Another launch was faster.
            Err(error) if error.kind == EngineErrorKind::Conflict => is_taken = true,
            Err(error) => return Err(failed(error)),
        }
    }
    if is_taken { api.configs(&label).await.map_err(failed) } else { Ok(configs) }
}

fn changed(sidecar: &Sidecar, source: &str, error: &io::Error) -> Problem {
    let message = format!("the bound file `{source}` cannot be used any more: {error}");
    Problem::error(Code::FileUnusable, message).at(sidecar.definition.place("mounts")).hint(RUN_AGAIN)
}

/// The ids of the configs that a service mounts. Pure.
fn used(service: &Service) -> Vec<&str> {
    let configs = service.spec["TaskTemplate"]["ContainerSpec"]["Configs"].as_array();
    configs.into_iter().flatten().filter_map(|config| config["ConfigID"].as_str()).collect()
}

/// Removes a service's configs that it does not mount, or all of them if there is no service any more.
///
/// # Errors
/// If the Swarm does not answer.
pub(super) async fn sweep(api: &dyn SwarmApi, service: &str) -> EngineResult<()> {
    let configs = api.configs(&format!("{LABEL_FILE}={service}")).await?;
    if configs.is_empty() {
        return Ok(());
    }
    let now = api.service(service).await?;
    let used = now.as_ref().map(used).unwrap_or_default();
    let unused = configs.iter().filter(|config| !used.contains(&config.id.as_str()));
    remove(api, unused).await
}

/// Removes the configs that launches left which were killed between a config and its service, or whose service somebody
/// removed with Docker's client.
///
/// # Errors
/// If the Swarm does not answer.
pub(super) async fn sweep_left(api: &dyn SwarmApi, now: Timestamp) -> EngineResult<()> {
    let configs = api.configs(LABEL_FILE).await?;
    if !configs.iter().any(|config| is_old(config, now)) {
        return Ok(());
    }
    remove(api, left(&configs, &api.services().await?, now).into_iter()).await
}

fn is_old(config: &Config, now: Timestamp) -> bool {
    now.duration_since(config.created_at) > LEFT
}

/// Those that no launch is about to mount, and whose service does not exist. Pure.
fn left<'a>(configs: &'a [Config], services: &[Service], now: Timestamp) -> Vec<&'a Config> {
    let exists = |name: &String| services.iter().any(|service| service.name == *name);
    let is_left =
        |config: &&Config| is_old(config, now) && config.labels.get(LABEL_FILE).is_some_and(|of| !exists(of));
    configs.iter().filter(is_left).collect()
}

async fn remove<'a>(api: &dyn SwarmApi, configs: impl Iterator<Item = &'a Config>) -> EngineResult<()> {
    for config in configs {
        match api.remove_config(&config.id).await {
            // Another launch has just begun to use it.
            Err(error) if !error.kind.is_of_the_connection() => {
                tracing::debug!("the config {} stays: {error}", config.name);
            }
            result => result?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::definition::fuzzing::definition;
    use crate::engine::swarm::fake::Fake;
    use crate::plan::sidecar::Scopes;

    const TEXT: &str =
        "image = 'x:1'\ninterface.kind = 'none'\nreadiness.probe = 'skip'\nlifecycle = 'shared'";

    fn sidecar(content: &str, kind: BoundKind) -> Sidecar {
        let mut definition = definition("db", TEXT).expect("a definition");
        let digest = Some(sha256_hex(content.as_bytes()));
        let bound = Bound { path: "/nowhere".into(), digest, copy: Some(content.into()), kind };
        definition.container.mounts = vec![Mount::Bind {
            source: "init.sql".to_owned(),
            target: "/init.sql".to_owned(),
            writable: false,
            bound: Some(Arc::new(bound)),
        }];
        Sidecar::new(definition, &Scopes::default())
    }

    #[test]
    fn other_content_is_another_config() {
        let kind = BoundKind::File { size: 1, is_executable: false };
        let name = |content: &str| mounted(&sidecar(content, kind), &[])[0]["ConfigName"].clone();
        assert_eq!(name("a"), name("a"));
        assert_ne!(name("a"), name("b"));
        assert!(name("a").as_str().is_some_and(|name| name.len() <= 64), "the Swarm takes it");
    }

    #[test]
    fn a_file_is_mounted_from_its_config() {
        for (is_executable, mode) in [(false, 0o444), (true, 0o555)] {
            let sidecar = sidecar("a", BoundKind::File { size: 1, is_executable });
            let name = mounted(&sidecar, &[])[0]["ConfigName"].as_str().expect("a name").to_owned();
            let mounted = mounted(&sidecar, &[Config { id: "c".to_owned(), name, ..Config::default() }]);
            assert_eq!((&mounted[0]["ConfigID"], &mounted[0]["File"]["Mode"]), (&json!("c"), &json!(mode)));
            assert_eq!(mounted[0]["File"]["Name"], "/init.sql");
        }
    }

    #[test]
    fn only_old_files_of_no_service_are_left() {
        let at = |second: i64| Timestamp::from_second(1_000_000 + second).expect("a moment");
        let service = Service { name: "farrier-db".to_owned(), ..Service::default() };
        for (of, now, expected) in [
            (Some("farrier-cache"), 601, 1),
            (Some("farrier-cache"), 600, 0),
            (Some("farrier-db"), 601, 0),
            (None, 601, 0),
        ] {
            let labels = of.map(|of| (LABEL_FILE.to_owned(), of.to_owned()));
            let config =
                Config { labels: labels.into_iter().collect(), created_at: at(0), ..Config::default() };
            let found = left(std::slice::from_ref(&config), std::slice::from_ref(&service), at(now)).len();
            assert_eq!(found, expected, "{of:?} {now}");
        }
    }

    #[tokio::test]
    async fn what_a_killed_launch_left_is_removed() {
        let config = |id: &str, of: &str, created_at| Config {
            id: id.to_owned(),
            labels: BTreeMap::from([(LABEL_FILE.to_owned(), of.to_owned())]),
            created_at,
            ..Config::default()
        };
        let (now, old) = (Timestamp::now(), Timestamp::UNIX_EPOCH);
        let configs = [
            config("gone", "farrier-cache", old),
            config("new", "farrier-cache", now),
            config("used", "farrier-db", old),
        ];
        let service = Service { name: "farrier-db".to_owned(), ..Service::default() };
        let fake = Fake {
            services: Mutex::new(vec![service]),
            configs: Mutex::new(configs.into()),
            ..Fake::default()
        };
        sweep_left(&fake, now).await.expect("the Swarm answers");
        let left = fake.configs.lock().expect("no panic").clone();
        assert_eq!(left.iter().map(|config| config.id.as_str()).collect::<Vec<_>>(), ["new", "used"]);
    }

    #[test]
    fn what_was_changed_since_it_was_read_is_not_given_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "other").expect("written");
        let kind = BoundKind::File { size: 1, is_executable: false };
        let bound = Bound { path, digest: None, copy: None, kind };
        let digest = sha256_hex(b"content");
        let file = BoundFile { bound: &bound, digest: &digest, target: "/f", source: "file" };
        assert_eq!(file.content().expect_err("changed").to_string(), "it was changed");
        std::fs::write(&bound.path, "content").expect("written");
        assert_eq!(file.content().expect("as it was"), b"content");
    }
}
