//! What an approval is for: a hash over everything that a workspace definition brings along.

use sha2::{Digest, Sha256};

use crate::definition::Declared;
use crate::preparation::Prepared;
use crate::probe::component::CONTRACT;

/// Names what is hashed; another form of hashing gets another name.
const FORM: &str = "farrier-approval-1";

/// Something beside the definition file that takes part: a component, or the content of a granted folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// What it is: `component`, `directory`.
    pub kind: &'static str,
    /// The field that names it.
    pub field: String,
    /// SHA-256 of its content.
    pub digest: String,
}

/// SHA-256 as lower-case hex over the contract's version, all that the file says (keys that no field has too), and
/// the content of what it names.
#[must_use]
pub fn fingerprint(declared: &Declared, attachments: &[Attachment]) -> String {
    let mut hasher = Sha256::new();
    let mut part = |bytes: &[u8]| {
        // Each with its length, so that no two inputs run together into one.
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(FORM.as_bytes());
    part(CONTRACT.as_bytes());
    part(&declared.canonical());
    for attachment in attachments {
        part(attachment.kind.as_bytes());
        part(attachment.field.as_bytes());
        part(attachment.digest.as_bytes());
    }
    hex::encode(hasher.finalize())
}

/// The hash of a sidecar. Components that ship with farrier are its own, and do not take part.
#[must_use]
pub fn fingerprint_of(prepared: &Prepared) -> String {
    let definition = &prepared.sidecar.definition;
    let mut attachments = Vec::new();
    for (readiness, found) in definition.readiness.iter().zip(&prepared.probes) {
        let mut attach = |kind, field, digest: &str| {
            attachments.push(Attachment { kind, field, digest: digest.to_owned() });
        };
        if !found.built_in {
            attach("component", format!("{}.probe", readiness.field), &found.component.digest);
        }
        for (index, copy) in found.directories.iter().enumerate() {
            attach("directory", format!("{}.grants.dirs[{index}]", readiness.field), &copy.digest);
        }
    }
    fingerprint(&definition.declared, &attachments)
}
