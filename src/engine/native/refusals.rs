//! What of a sidecar cannot be carried out here, found before anything is changed.

use std::path::Path;

use super::container::surroundings::beyond;
use super::isolation::Isolation;
use super::store::Store;
use crate::definition::model::Mount;
use crate::engine::problem::volume_taken;
use crate::plan::sidecar::Sidecar;
use crate::report::error::{Code, Problem};
use crate::report::quoted::listed;
use crate::report::shell::command_line;

/// What a host's address is called in definitions.
const GATEWAY: &str = ":host-gateway";

/// What this engine cannot do for a container of the sidecar, however it is kept apart.
pub fn never(sidecar: &Sidecar) -> Vec<Problem> {
    let definition = &sidecar.definition;
    if definition.image.is_none() {
        return Vec::new();
    }
    let keys = &definition.container;
    let mut problems = Vec::new();
    let mut refuse = |field: &str, message: String, hint: &str| {
        let problem = Problem::error(Code::EngineLacks, message).of(sidecar.name());
        problems.push(problem.at(definition.place(field)).hint(hint));
    };
    let is_of_kernel = |target: &&str| Path::new(target).starts_with("/proc");
    if let Some(target) = keys.mounts.iter().filter_map(Mount::target).find(is_of_kernel) {
        let message = format!("nothing can be mounted at `{target}`, because `/proc` belongs to the kernel");
        refuse("mounts", message, "Choose another path in `mounts`.");
    }
    let beyond = beyond(keys);
    if !beyond.is_empty() {
        let names: Vec<String> = beyond.iter().map(|name| format!("`{name}`")).collect();
        let message =
            format!("containers of the engine `native` cannot have the capability {}", names.join(", "));
        refuse("cap_add", message, "Remove it from `cap_add`, or run the sidecar on Docker.");
    }
    if keys.extra_hosts.iter().any(|line| line.ends_with(GATEWAY)) {
        let message =
            "containers of the engine `native` cannot reach this host, so `host-gateway` has no address";
        refuse(
            "extra_hosts",
            message.to_owned(),
            "Remove it from `extra_hosts`, or run the sidecar on Docker.",
        );
    }
    if keys.init == Some(false) {
        let message = "containers of the engine `native` always have an init process that forwards signals";
        refuse("init", message.to_owned(), "Remove `init`, or run the sidecar on Docker.");
    }
    problems
}

/// What cannot be done for a container that is kept apart like this.
pub fn without_isolation(sidecar: &Sidecar, isolation: Isolation) -> Option<Problem> {
    let definition = &sidecar.definition;
    definition.image.as_ref().filter(|_| !isolation.is_isolated())?;
    let keys = &definition.container;
    let targets: Vec<String> =
        keys.mounts.iter().filter_map(Mount::target).map(|target| format!("`{target}`")).collect();
    let hint = "Run `farrier doctor` to see what would allow namespaces, or run the sidecar on Docker.";
    let problem = |field: &str, message: String| {
        Some(
            Problem::error(Code::EngineLacks, message)
                .of(sidecar.name())
                .at(definition.place(field))
                .hint(hint),
        )
    };
    if !targets.is_empty() {
        let message = format!(
            "without isolation, nothing can be mounted, but the sidecar mounts {}",
            targets.join(", ")
        );
        return problem("mounts", message);
    }
    let set = [
        ("interface.aliases", definition.aliases().len() > 1),
        ("hostname", keys.hostname.is_some()),
        ("read_only", keys.read_only),
        ("shm_size", keys.shm_size.is_some()),
        ("sysctls", !keys.sysctls.is_empty()),
    ];
    let set: Vec<&str> = set.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect();
    let first = set.first()?;
    let names: Vec<String> = set.iter().map(|name| format!("`{name}`")).collect();
    problem(first, format!("without isolation, a container cannot have {}", listed(&names)))
}

/// Says which of a sidecar's volumes are another one's.
pub fn volumes_taken<'a>(store: &'a Store, sidecar: &'a Sidecar) -> impl Iterator<Item = Problem> + 'a {
    sidecar.volumes().filter_map(move |name| {
        let remove = command_line(&["farrier", "down", "--volumes"], &[&sidecar.container], &[]);
        let labels = store.volumes().labels(&name)?;
        volume_taken(sidecar, &labels, &format!("the volume `{name}`"), &remove)
    })
}
