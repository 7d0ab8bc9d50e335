//! Leaves the engine as it was before a scene.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use farrier::system::leases::Leases;

use super::docker;

/// How long a network is tried to be removed.
const LEAVING: Duration = Duration::from_secs(20);

/// Removes what carries the token in its name, or the label, or uses one of these networks or images, or was defined
/// below this folder: a sidecar that left the networks of its harness is found by nothing else. Failures are dropped: it
/// runs while a test may be failing for a reason of its own. Each call of the client costs, and each test makes these.
pub fn clean(token: &str, label: &str, root: &Path, networks: &BTreeSet<String>, images: &[String]) {
    let filter = format!("label={label}");
    let mut containers: BTreeSet<String> = all_containers()
        .into_iter()
        .filter(|container| container.belongs_to(token, root, networks))
        .map(|container| container.id)
        .collect();
    for image in images {
        let ancestor = format!("ancestor={image}");
        containers.extend(list(&[
            "container",
            "ls",
            "--all",
            "--quiet",
            "--no-trunc",
            "--filter",
            &ancestor,
        ]));
    }
    let (mut volumes, mut removed) = used_by(&containers);
    volumes.extend(list(&["volume", "ls", "--quiet", "--filter", &format!("name={token}")]));
    removed.extend(networks_of(token));
    remove(&["container", "rm", "--force", "--volumes"], containers);
    remove(&["volume", "rm", "--force"], volumes);
    // On a Swarm, what was on a network leaves it in the manager's own time.
    let begun = Instant::now();
    while !removed.is_empty() && begun.elapsed() < LEAVING {
        remove(&["network", "rm"], removed);
        removed = networks_of(token).into_iter().collect();
    }
    if !images.is_empty() {
        remove(&["image", "rm", "--force"], images.to_vec());
        // Those that lost their tag to a newer image.
        remove(&["image", "rm", "--force"], list(&["image", "ls", "--quiet", "--filter", &filter]));
    }
    remove_locks(token);
}

/// A container, with what tells whose it is.
struct Found {
    id: String,
    name: String,
    networks: String,
    token: String,
    definition: String,
}

impl Found {
    fn belongs_to(&self, token: &str, root: &Path, networks: &BTreeSet<String>) -> bool {
        self.name.contains(token)
            || self.token == token
            || self.networks.split(',').any(|network| networks.contains(network))
            || (!self.definition.is_empty() && Path::new(&self.definition).starts_with(root))
    }
}

fn all_containers() -> Vec<Found> {
    let format =
        "{{.ID}}\t{{.Names}}\t{{.Networks}}\t{{.Label \"farrier.test\"}}\t{{.Label \"farrier.definition\"}}";
    let all = docker::run(["container", "ls", "--all", "--no-trunc", "--format", format]).unwrap_or_default();
    let found = |line: &str| {
        let mut parts = line.split('\t').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Found { id: next(), name: next(), networks: next(), token: next(), definition: next() }
    };
    all.lines().map(found).collect()
}

/// The anonymous volumes of these containers, and the networks that farrier makes for one workspace; the one for everybody
/// is not ours to remove. Once carried over a recreation, volumes are no longer anonymous to `docker rm --volumes`; their
/// names tell.
fn used_by(containers: &BTreeSet<String>) -> (BTreeSet<String>, BTreeSet<String>) {
    if containers.is_empty() {
        return (BTreeSet::new(), BTreeSet::new());
    }
    let format = "{{range .Mounts}}{{if eq .Type \"volume\"}}{{.Name}} {{end}}{{end}}\
                  {{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
    // One that is gone meanwhile makes the client fail, after it told of the others.
    let inspected = Command::new("docker")
        .args(["container", "inspect", "--format", format])
        .args(containers)
        .stdin(Stdio::null())
        .output();
    let text =
        inspected.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let names = || text.split_whitespace().map(str::to_owned);
    let of_a_workspace =
        |name: &String| name.strip_prefix("farrier-").is_some_and(|suffix| is_hexadecimal(suffix, 32));
    (names().filter(|name| is_hexadecimal(name, 64)).collect(), names().filter(of_a_workspace).collect())
}

/// The networks that carry the token in their name or a label, by their ids: there may be two of one name.
fn networks_of(token: &str) -> Vec<String> {
    let format = "{{.ID}} {{.Name}} {{.Labels}}";
    let all = docker::run(["network", "ls", "--no-trunc", "--format", format]).unwrap_or_default();
    let ours = all.lines().filter(|line| line.contains(token));
    ours.filter_map(|line| line.split_once(' ')).map(|(id, _)| id.to_owned()).collect()
}

/// A launch that was killed leaves its lock files to the next launch of the sidecar, which a scene may never make, and its
/// marks to whoever asks next about any container.
fn remove_locks(token: &str) {
    if let Ok(leases) = Leases::open("a test") {
        drop(leases.holders(token));
    }
    for entry in std::fs::read_dir(farrier::system::lock::folder()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("farrier-") && name.contains(token) {
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

fn list(arguments: &[&str]) -> Vec<String> {
    let found = docker::run(arguments).unwrap_or_default();
    found.split_whitespace().map(str::to_owned).collect()
}

fn remove(command: &[&str], which: impl IntoIterator<Item = String>) {
    let mut arguments: Vec<String> = command.iter().map(|&part| part.to_owned()).collect();
    arguments.extend(which);
    if arguments.len() > command.len() {
        drop(docker::run(arguments));
    }
}

fn is_hexadecimal(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
