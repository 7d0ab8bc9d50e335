//! What a policy refuses of a definition: one problem for each rule and each place in the definition, with both places and both
//! ways out.

use std::path::Path;

use super::Policy;
use super::host_paths::{EngineSockets, HostPath, host_paths};
use super::rules::{Bound, GPUS, HOST, Programs, Published};
use crate::definition::grants::TlsSetting;
use crate::definition::model::{Definition, Mount, ProbeReference, Readiness};
use crate::definition::{BUILT_IN, ConfinedNetwork, Repository, qualified_image};
use crate::engine::kinds::Environment;
use crate::report::error::Problem;
use crate::report::quoted::bytes;

/// What a definition is judged with.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The root of the workspace; `None` if there is none.
    pub workspace: Option<&'a Path>,
    /// What names the engines of this host.
    pub environment: &'a Environment,
}

/// One policy against one definition.
pub(super) struct Judgement<'a> {
    pub policy: &'a Policy,
    pub definition: &'a Definition,
    pub problems: Vec<Problem>,
}

impl Judgement<'_> {
    /// Refuses what a field says. The sentence says what the sidecar does; the first way out is an edit of the definition, the
    /// second one of the policy.
    fn refuse<T>(&mut self, bound: &Bound<T>, rule: &str, field: &str, sentence: &str, way_out: &str) {
        let name = &self.definition.name;
        let place = self.definition.place(field);
        let refusal = self.policy.refusal(&bound.place, rule, &format!("`{name}` {sentence}"));
        let refusal = refusal.at(place).of(name).hint(way_out);
        self.problems.push(self.policy.with_other_way_out(refusal, &bound.place, rule));
    }

    /// Everything that the policy refuses of the sidecar and its probes.
    pub fn sidecar(&mut self, surroundings: Surroundings<'_>) {
        let host_paths = host_paths(self.definition, surroundings.workspace);
        self.engine_socket(&host_paths, surroundings.environment);
        self.networks();
        self.image();
        self.memory();
        self.privileges();
        self.binds(&host_paths);
        self.program();
        self.publish();
        for readiness in &self.definition.readiness {
            self.probe(readiness);
        }
    }

    /// Everything that the policy refuses of one probe.
    pub fn probe(&mut self, readiness: &Readiness) {
        self.probe_origin(readiness);
        self.probe_digest(readiness);
        self.probe_memory(readiness);
        self.insecure_tls(readiness);
    }

    fn engine_socket(&mut self, host_paths: &[HostPath], environment: &Environment) {
        let policy = self.policy;
        let Some(bound) = policy.rules.engine_socket.as_ref().filter(|bound| !bound.value) else { return };
        let rule = "engine_socket";
        let container = &self.definition.container;
        let socket = container.mounts.iter().position(Mount::is_engine_socket);
        if let Some(index) = socket {
            let field = format!("mounts[{index}]");
            self.refuse(bound, rule, &field, "mounts the engine's socket", "Remove the mount.");
        }
        if container.program.is_some() && container.confine.is_none() {
            let sentence = "runs a program that nothing confines, which can use the engine's socket";
            let way_out = "Confine the program: `confine = { read = [], write = [] }`.";
            self.refuse(bound, rule, "program", sentence, way_out);
        }
        if host_paths.is_empty() {
            return;
        }
        let sockets = EngineSockets::of(environment);
        for host_path in host_paths.iter().filter(|host_path| sockets.are_reached_by(&host_path.path)) {
            let sentence =
                format!("gets `{}`, which leads to a container engine's socket", host_path.written);
            let way_out = "Name only the files or folders that the sidecar needs.";
            self.refuse(bound, rule, &host_path.field, &sentence, way_out);
        }
    }

    fn networks(&mut self) {
        let policy = self.policy;
        let Some(bound) = &policy.rules.networks else { return };
        let container = &self.definition.container;
        let permits = |name: &str| bound.value.iter().any(|permitted| permitted == name);
        for (index, name) in container.networks.iter().enumerate().filter(|(_, name)| !permits(name)) {
            let way_out = "Remove it: a sidecar is on the harness's network already.";
            let sentence = format!("joins the network `{name}`");
            self.refuse(bound, "networks", &format!("networks[{index}]"), &sentence, way_out);
        }
        if container.extra_hosts.iter().any(|line| line.ends_with(GATEWAY_ADDRESS)) && !permits(HOST) {
            let way_out = "Remove `host-gateway`.";
            let sentence = "gets the address of this host (`host-gateway`)";
            self.refuse(bound, "networks", "extra_hosts", sentence, way_out);
        }
        let network = container.confine.as_ref().map(|confinement| confinement.network);
        let uses_host = container.program.is_some() && network != Some(ConfinedNetwork::Loopback);
        if uses_host && !permits(HOST) {
            let field = if container.confine.is_some() { "confine" } else { "program" };
            let way_out = "Write `confine = { network = \"loopback\" }`.";
            self.refuse(bound, "networks", field, "uses this host's own network", way_out);
        }
    }

    fn image(&mut self) {
        if let Some(image) = &self.definition.image {
            let is_file = self.definition.image_file().is_some();
            self.image_origin(image, is_file);
            self.image_digest(image, is_file);
        }
    }

    fn image_origin(&mut self, image: &str, is_file: bool) {
        let policy = self.policy;
        let Some(bound) = &policy.rules.registries else { return };
        let sentence = match Repository::of(image) {
            Some(repository) if bound.value.permit(&repository) => return,
            Some(repository) => format!("uses an image of `{repository}`"),
            None if is_file && bound.value.files => return,
            None if is_file => "uses an image in a file".to_owned(),
            None => "names its image by an ID, which belongs to no registry".to_owned(),
        };
        self.refuse(bound, "registries", "image", &sentence, &bound.value.way_out());
    }

    fn image_digest(&mut self, image: &str, is_file: bool) {
        let policy = self.policy;
        let Some(bound) = policy.rules.digests_only.as_ref().filter(|bound| bound.value) else { return };
        // An image that is in no repository and in no file is named by its ID, which is a digest. A file's path may
        // contain any sign.
        if !is_file && (image.contains('@') || Repository::of(image).is_none()) {
            return;
        }
        let (sentence, way_out) = if is_file {
            let way_out = "Push it to a registry, and name it by its digest.".to_owned();
            ("uses an image in a file, which anybody who can write the file can change", way_out)
        } else {
            let named = qualified_image(image);
            let way_out = format!("Write the digest behind the name: `image = \"{named}@sha256:…\"`.");
            ("names its image without a digest", way_out)
        };
        self.refuse(bound, "digests_only", "image", sentence, &way_out);
    }

    fn memory(&mut self) {
        let policy = self.policy;
        let Some(bound) = &policy.rules.memory else { return };
        let most = bytes(bound.value);
        let sentence = match self.definition.container.memory {
            Some(memory) if memory <= bound.value => return,
            Some(memory) => format!("may use {} of memory, more than {most}", bytes(memory)),
            None => format!("has no memory limit, and may use more than {most}"),
        };
        let way_out = format!("Write `resources.memory = {}`, or less.", written(bound.value));
        self.refuse(bound, "memory", "resources.memory", &sentence, &way_out);
    }

    fn privileges(&mut self) {
        let policy = self.policy;
        let container = &self.definition.container;
        if let Some(bound) = policy.rules.privileged.as_ref().filter(|bound| !bound.value)
            && container.privileged
        {
            self.refuse(bound, "privileged", "privileged", "is privileged", "Remove `privileged`.");
        }
        if let Some(bound) = &policy.rules.capabilities {
            let is_permitted =
                |name: &String| bound.value.iter().any(|known| known == name || known == "ALL");
            for name in container.cap_add.iter().filter(|name| !is_permitted(name)) {
                let sentence = format!("adds the capability {name}");
                self.refuse(bound, "capabilities", "cap_add", &sentence, "Remove it from `cap_add`.");
            }
        }
        if let Some(bound) = &policy.rules.devices {
            let permits = |path: &str| bound.value.iter().any(|permitted| permitted == path);
            for device in container.devices.iter().filter(|device| !permits(device.on_host())) {
                let sentence = format!("gets the device {}", device.on_host());
                self.refuse(bound, "devices", "devices", &sentence, "Remove it from `devices`.");
            }
            if container.gpus.is_some() && !permits(GPUS) {
                let way_out = "Remove `resources.gpus`.";
                self.refuse(bound, "devices", "resources.gpus", "gets graphics processors", way_out);
            }
        }
        if let Some(bound) = &policy.rules.security_options {
            let is_permitted =
                |option: &String| HARMLESS_OPTIONS.contains(&option.as_str()) || bound.value.contains(option);
            for option in container.security_opt.iter().filter(|option| !is_permitted(option)) {
                let (sentence, way_out) =
                    (format!("has the security option `{option}`"), "Remove it from `security_opt`.");
                self.refuse(bound, "security_options", "security_opt", &sentence, way_out);
            }
        }
    }

    fn binds(&mut self, host_paths: &[HostPath]) {
        let policy = self.policy;
        let Some(bound) = &policy.rules.binds else { return };
        for host_path in host_paths.iter().filter(|host_path| !bound.value.permit(host_path)) {
            let sentence = format!("gets `{}` of this host", host_path.written);
            let way_out = "Keep data in a named volume: `mounts = [\"volume:data:/data\"]`.";
            self.refuse(bound, "binds", &host_path.field, &sentence, way_out);
        }
    }

    fn program(&mut self) {
        let policy = self.policy;
        let Some(bound) = &policy.rules.programs else { return };
        let container = &self.definition.container;
        let (sentence, way_out) = match (bound.value, &container.program, &container.confine) {
            (Programs::Any, ..) | (_, None, _) | (Programs::Confined, _, Some(_)) => return,
            (Programs::None, ..) => {
                ("runs a program of this host", "Use an `image` in place of the `program`.")
            }
            (Programs::Confined, _, None) => (
                "runs a program of this host that nothing confines",
                "Confine the program: `confine = { read = [], write = [] }`.",
            ),
        };
        self.refuse(bound, "programs", "program", sentence, way_out);
    }

    fn publish(&mut self) {
        let policy = self.policy;
        let Some(bound) = &policy.rules.publish else { return };
        let is_permitted = |address: &std::net::IpAddr| match bound.value {
            Published::Anywhere => true,
            Published::Loopback => address.is_loopback(),
            Published::Nowhere => false,
        };
        let ports = self.definition.container.publish.iter().filter(|port| !is_permitted(&port.address));
        for port in ports {
            let sentence = format!("publishes its port {} at {}", port.container, port.address);
            let way_out = match bound.value {
                Published::Loopback => "Leave out the address: farrier then publishes the port on 127.0.0.1.",
                _ => "Remove `interface.publish`: the harness reaches the sidecar without it.",
            };
            self.refuse(bound, "publish", "interface.publish", &sentence, way_out);
        }
    }

    /// The registry of a probe.
    pub fn probe_origin(&mut self, readiness: &Readiness) {
        let policy = self.policy;
        let (Some(bound), ProbeReference::Artifact(reference)) = (&policy.rules.registries, &readiness.probe)
        else {
            return;
        };
        if Repository::of(reference.image()).is_none_or(|repository| !bound.value.permit(&repository)) {
            let field = format!("{}.probe", readiness.field);
            let sentence = format!("uses the probe `{reference}`");
            let way_out = "Use a probe of a permitted registry, or a file beside the definition.";
            self.refuse(bound, "registries", &field, &sentence, way_out);
        }
    }

    /// A probe in a registry is never used without a pin.
    fn probe_digest(&mut self, readiness: &Readiness) {
        let policy = self.policy;
        let Some(bound) = policy.rules.digests_only.as_ref().filter(|bound| bound.value) else { return };
        let is_pinned = match &readiness.probe {
            ProbeReference::Named(name) if BUILT_IN.contains(&name.as_str()) => true,
            ProbeReference::Artifact(_) => true,
            ProbeReference::Named(_) | ProbeReference::File(_) => readiness.sha256.is_some(),
        };
        if !is_pinned {
            let field = format!("{}.probe", readiness.field);
            let sentence = format!("uses the probe `{}` without a digest", readiness.probe);
            let way_out = "Write its digest as `sha256`, which `farrier probe inspect` prints.";
            self.refuse(bound, "digests_only", &field, &sentence, way_out);
        }
    }

    fn probe_memory(&mut self, readiness: &Readiness) {
        let policy = self.policy;
        let Some(bound) = &policy.rules.probe_memory else { return };
        if readiness.limits.memory > bound.value {
            let (may, most) = (bytes(readiness.limits.memory), bytes(bound.value));
            let sentence = format!("lets its probe use {may} of memory, more than {most}");
            let way_out =
                format!("Write `{}.limits.memory = {}`, or less.", readiness.field, written(bound.value));
            let field = format!("{}.limits.memory", readiness.field);
            self.refuse(bound, "probe_memory", &field, &sentence, &way_out);
        }
    }

    fn insecure_tls(&mut self, readiness: &Readiness) {
        let policy = self.policy;
        let Some(bound) = policy.rules.insecure_tls.as_ref().filter(|bound| !bound.value) else { return };
        let sentence = "lets its probe accept any certificate";
        if readiness.grants.tls.as_ref().is_some_and(|tls| tls.insecure) {
            let field = format!("{}.grants.tls", readiness.field);
            let way_out = "Write `tls = true`, or name the authority's file: `tls = { ca = \"ca.pem\" }`.";
            self.refuse(bound, "insecure_tls", &field, sentence, way_out);
        }
        let ProbeReference::Named(name) = &readiness.probe else { return };
        if TlsSetting::of(name, &readiness.settings) == Some(TlsSetting::Insecure) {
            let field = format!("{}.settings", readiness.field);
            let way_out = "Change the settings so that farrier verifies the certificate, and name the authority's file \
                           with `grants.tls.ca` if the system does not know it.";
            self.refuse(bound, "insecure_tls", &field, sentence, way_out);
        }
    }
}

/// How a line of `extra_hosts` ends that stands for this host.
const GATEWAY_ADDRESS: &str = ":host-gateway";
/// Options that only take power away.
const HARMLESS_OPTIONS: [&str; 2] = ["no-new-privileges", "seccomp=builtin"];

/// An amount of memory as a definition writes it.
fn written(amount: u64) -> String {
    if amount != 0 && amount.is_multiple_of(1 << 20) {
        format!("\"{}MiB\"", amount >> 20)
    } else {
        amount.to_string()
    }
}
