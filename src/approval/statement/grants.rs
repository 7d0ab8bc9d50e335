//! What a probe may do, in words.

use crate::definition::grants::{DialGrant, SWITCHES, Switch, TlsGrant};
use crate::definition::model::Definition;
use crate::probe::catalogue::FoundProbe;
use crate::report::quoted::{listed, quoted, word};

/// Whether a question shows what a probe may do: of a probe that ships with farrier, only what its sidecar does not imply.
#[must_use]
pub fn shows_grants(found: &FoundProbe, definition: &Definition) -> bool {
    !found.built_in || found.declared.grants.tls.is_some() || dials_elsewhere(found, definition)
}

/// Whether it dials a port of its sidecar that its settings name, and the interface does not. A built-in probe is granted
/// that without a word in the definition.
fn dials_elsewhere(found: &FoundProbe, definition: &Definition) -> bool {
    found.declared.grants.dial.iter().any(|grant| match grant {
        DialGrant::This(port) => port.is_some_and(|port| definition.port() != Some(port)),
        DialGrant::Sidecar { .. } => false,
    })
}

/// Whom the probe's TLS trusts, and as whom it speaks.
fn tls_text(grant: &TlsGrant, found: &FoundProbe) -> String {
    let files: Vec<_> = found.declared.tls.iter().flat_map(|tls| tls.files()).collect();
    let file = |wanted: &str| {
        let read = files.iter().find(|(key, ..)| *key == wanted);
        read.map(|(_, path, digest)| format!("{}, sha256 {digest}", quoted(&path.to_string_lossy())))
    };
    let trust = match (grant.insecure, file("ca")) {
        (true, _) => "INSECURELY: with any server, because no certificate is verified".to_owned(),
        (false, Some(ca)) => format!("with servers that the authorities in {ca} vouch for"),
        (false, None) => "with servers that this machine's authorities vouch for".to_owned(),
    };
    match (file("cert"), file("key")) {
        (Some(cert), Some(key)) => format!("{trust}; as the client of {cert}, with the key {key}"),
        _ => trust,
    }
}

/// Each granted capability: what the probe may, and how far.
pub(super) fn grants(found: &FoundProbe, definition: &Definition) -> Vec<(&'static str, String)> {
    let grants = &found.declared.grants;
    let own = |port: Option<u16>| match port.or(definition.port()) {
        Some(port) => format!("this sidecar at port {port}"),
        None => "this sidecar".to_owned(),
    };
    let dial = grants.dial.iter().map(|grant| match grant {
        DialGrant::This(port) => own(*port),
        DialGrant::Sidecar { name, port } => format!("the sidecar {} at port {port}", word(name)),
    });
    let exec = grants.exec.iter().map(quoted);
    let directories = grants.dirs.iter().zip(&found.declared.directories).map(|(grant, copy)| {
        let (host, guest) = (quoted(&grant.host.to_string_lossy()), quoted(&grant.guest));
        format!("the folder {host} as {guest}, sha256 {}", copy.digest)
    });
    let env = grants.env.iter().map(|name| word(name));
    let mut all: Vec<(&'static str, Vec<String>)> = vec![("connect to", dial.collect())];
    all.push(("speak TLS", grants.tls.iter().map(|tls| tls_text(tls, found)).collect()));
    all.push(("run in the container", exec.collect()));
    let switches = SWITCHES.iter().filter(|switch| grants.allows(switch.name));
    all.extend(switches.map(|Switch { question: (may, extent), .. }| (*may, vec![(*extent).to_owned()])));
    all.push(("read", directories.collect()));
    all.push(("read from env", env.collect()));
    all.into_iter().filter(|(_, what)| !what.is_empty()).map(|(may, what)| (may, listed(&what))).collect()
}
