//! Leaves the engine as it was before a scene.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use super::docker;

/// Removes what carries the token in its name, or the label, or uses one of these networks or images, or was defined
/// below this folder: a sidecar that left the networks of its harness is found by nothing else. Failures are dropped: it runs while a test may be failing for a reason of its own.
pub fn clean(token: &str, label: &str, root: &Path, networks: &BTreeSet<String>, images: &[String]) {
    let (label, name) = (format!("label={label}"), format!("name={token}"));
    let mut filters = vec![name.clone(), label.clone()];
    filters.extend(networks.iter().map(|network| format!("network={network}")));
    filters.extend(images.iter().map(|image| format!("ancestor={image}")));
    let containers: HashSet<String> = filters
        .iter()
        .flat_map(|filter| list(&["container", "ls", "--all", "--quiet", "--filter", filter]))
        .chain(defined_below(root))
        .collect();
    let mut networks: HashSet<String> = [&name, &label]
        .into_iter()
        .flat_map(|filter| list(&["network", "ls", "--quiet", "--filter", filter]))
        .collect();
    let mut volumes = HashSet::new();
    for container in &containers {
        volumes.extend(anonymous_volumes(container));
        networks.extend(workspace_networks(container));
    }
    remove(&["container", "rm", "--force", "--volumes"], containers);
    remove(&["volume", "rm", "--force"], volumes);
    remove(&["network", "rm"], networks);
    remove(&["image", "rm", "--force"], images.to_vec());
    // Those that lost their tag to a newer image.
    remove(&["image", "rm", "--force"], list(&["image", "ls", "--quiet", "--filter", &label]));
    remove_locks(token);
}

/// A launch that was killed leaves its lock files to the next launch of the sidecar, which a scene may never make.
fn remove_locks(token: &str) {
    for entry in std::fs::read_dir(farrier::system::lock::folder()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("farrier-") && name.contains(token) {
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

/// The containers whose definitions lie below a folder.
fn defined_below(root: &Path) -> Vec<String> {
    let format = "{{.ID}} {{.Label \"farrier.definition\"}}";
    let filter = "label=farrier.definition";
    let all = docker::run(["container", "ls", "--all", "--filter", filter, "--format", format]);
    let all = all.unwrap_or_default();
    let lines = all.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(_, file)| Path::new(file).starts_with(root)).map(|(id, _)| id.to_owned()).collect()
}

/// Once carried over a recreation, they are no longer anonymous to `docker rm --volumes`; their names tell.
fn anonymous_volumes(container: &str) -> Vec<String> {
    let format = "{{range .Mounts}}{{if eq .Type \"volume\"}}{{.Name}} {{end}}{{end}}";
    let mut names = list(&["container", "inspect", "--format", format, container]);
    names.retain(|name| is_hexadecimal(name, 64));
    names
}

/// The networks that farrier makes for one workspace. The one for everybody is not ours to remove.
fn workspace_networks(container: &str) -> Vec<String> {
    let format = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
    let mut names = list(&["container", "inspect", "--format", format, container]);
    names.retain(|name| name.strip_prefix("farrier-").is_some_and(|suffix| is_hexadecimal(suffix, 32)));
    names
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
