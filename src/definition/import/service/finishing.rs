//! The parts of a definition that several keys of a service determine together: its ports, its readiness and its tables.

use super::Writing;
use crate::definition::import::writing::{string, strings};
use crate::definition::import::{Outcome, health, ports};
use crate::definition::known_images;

impl Writing<'_> {
    /// What stands at the end of a job's definition: it has neither a port nor a probe.
    fn finished_job(&mut self) -> String {
        for key in ["ports", "expose"] {
            if self.service.contains_key(key) {
                self.note(key, Outcome::NotNeeded("a job has ended before anybody could reach it"));
            }
        }
        if self.service.contains_key("healthcheck") {
            self.note("healthcheck", Outcome::NotNeeded("a job is ready when it has succeeded"));
        }
        let mut toml = self.head();
        toml.push_str("\n[interface]\nkind = \"none\"\n");
        toml
    }

    /// The definition without its interface and readiness.
    fn head(&mut self) -> String {
        let mut toml = std::mem::take(&mut self.top);
        if !self.mounts.is_empty() {
            let lines: Vec<String> =
                self.mounts.iter().map(|mount| format!("    {},\n", string(mount))).collect();
            toml.push_str(&format!("mounts = [\n{}]\n", lines.concat()));
        }
        if !self.resources.is_empty() {
            let lines: Vec<String> =
                self.resources.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
            toml.push_str(&format!("\n[resources]\n{}", lines.concat()));
        }
        toml
    }

    /// The port at which others say that they reach this service.
    fn port_of_others(&mut self, name: &str, container: &mut Vec<u16>) -> Option<u16> {
        let (ports, is_named) = match self.around.reached.get(name) {
            Some(reached) => (reached.ports.as_slice(), reached.is_named),
            None => return None,
        };
        container.extend(ports);
        match ports.first() {
            Some(port) => self.translated("what others say of it", &format!("interface.port = {port}")),
            None if is_named => {
                let hint =
                    "others name it, but no port is known: write `interface.kind = \"port\"` with its `port`";
                self.note("what others say of it", Outcome::Lost(hint.to_owned()));
            }
            None => {}
        }
        ports.first().copied()
    }

    /// Everything that several keys say together.
    pub(super) fn finished(&mut self, name: &str, image: &str) -> String {
        if self.is_job {
            return self.finished_job();
        }
        let known = known_images::find(image.split('$').next().unwrap_or(image).trim_end_matches([':', '@']));
        let (mut publish, mut container) = (Vec::new(), Vec::new());
        if let Some(value) = self.service.get("ports") {
            for item in value.as_array().into_iter().flatten() {
                let Some((text, port)) = ports::published(item) else { continue };
                publish.push(text);
                container.extend(port);
            }
            self.translated("ports", "interface.publish");
        }
        if let Some(value) = self.service.get("expose") {
            container.extend(value.as_array().into_iter().flatten().filter_map(ports::exposed));
            self.translated("expose", "interface.port");
        }
        let known_port = known.map(|known| known.port);
        let port = known_port.filter(|port| container.is_empty() || container.contains(port));
        // A test that asks at a port tells that there is one.
        let asked = health::well_known(self.service, name);
        let port = port.or(container.first().copied()).or(asked.as_ref().map(|asked| asked.port));
        let port = port.or_else(|| self.port_of_others(name, &mut container));
        let known = known.filter(|known| Some(known.port) == port);
        let (readiness, told) = health::readiness(self.service, known, asked.as_ref(), port);
        if self.service.contains_key("healthcheck") {
            self.translated("healthcheck", &told);
        }
        let mut toml = self.head();
        toml.push_str("\n[interface]\n");
        match port {
            Some(port) => {
                toml.push_str(&format!("kind = \"port\"\nport = {port}\n"));
                container.sort_unstable();
                container.dedup();
                let more: Vec<String> = container
                    .iter()
                    .filter(|other| **other != port)
                    .map(|other| format!("p{other} = {other}"))
                    .collect();
                if !more.is_empty() {
                    toml.push_str(&format!("ports = {{ {} }}\n", more.join(", ")));
                }
                self.aliases.retain(|alias| alias != name);
                self.aliases.sort();
                self.aliases.dedup();
                if !self.aliases.is_empty() {
                    toml.push_str(&format!("aliases = {}\n", strings(&self.aliases)));
                }
            }
            None => toml.push_str("kind = \"none\"\n"),
        }
        if !publish.is_empty() {
            toml.push_str(&format!("publish = {}\n", strings(&publish)));
        }
        toml.push_str(&format!("\n[readiness]\n{readiness}"));
        toml
    }
}
