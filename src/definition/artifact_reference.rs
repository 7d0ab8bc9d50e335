//! References to probes in registries: `oci://registry/repository:tag`, `oci://registry/repository@sha256:…`, or both.

use std::fmt;
use std::net::IpAddr;

use super::image::{self, is_registry};
use super::image_file::ImageFile;

/// What such a reference begins with.
pub const SCHEME: &str = "oci://";

/// The form of a reference, for hints.
pub const FORM: &str = "Write `oci://REGISTRY/REPOSITORY:TAG`, or `@sha256:…` in place of the tag.";

/// A probe in a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArtifactReference {
    /// As written, with the scheme.
    text: String,
    /// Bytes of the text before `@`.
    named: usize,
}

impl ArtifactReference {
    /// Reads a reference. It names its registry and a version, because neither has a default that everybody expects.
    ///
    /// # Errors
    /// One clause that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let reference =
            text.strip_prefix(SCHEME).ok_or_else(|| format!("it does not begin with `{SCHEME}`"))?;
        if ImageFile::parse(reference).is_some() {
            return Err("it names a file".to_owned());
        }
        let named = reference.find('@').unwrap_or(reference.len());
        let (path, digest) = reference.split_at(named);
        let registry = path.split_once('/').map(|(registry, _)| registry).filter(|first| is_registry(first));
        let registry = registry.ok_or_else(|| "it names no registry, such as `ghcr.io`".to_owned())?;
        image::check(reference)?;
        if is_link_local(registry) {
            return Err(format!("`{registry}` is a link-local or unspecified address, where no registry is"));
        }
        match digest.strip_prefix('@') {
            Some(digest) if !digest.starts_with("sha256:") => {
                return Err("farrier checks only digests of the form `sha256:`".to_owned());
            }
            None if tag_of(path).is_none() => return Err("it names neither a tag nor a digest".to_owned()),
            _ => {}
        }
        Ok(Self { text: text.to_owned(), named: SCHEME.len() + named })
    }

    /// The reference without the scheme, as other tools write it.
    #[must_use]
    pub fn image(&self) -> &str {
        self.text.get(SCHEME.len()..).unwrap_or_default()
    }

    /// The registry, with its port.
    #[must_use]
    pub fn registry(&self) -> &str {
        self.image().split('/').next().unwrap_or_default()
    }

    /// The digest of the manifest (`sha256:…`), if the reference names it.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.text.get(self.named..)?.strip_prefix('@')
    }

    /// The tag, if the reference names one.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        tag_of(self.before_digest())
    }

    /// The reference by its tag alone; `None` if it names none.
    #[must_use]
    pub fn by_tag(&self) -> Option<Self> {
        self.tag()?;
        Some(Self { text: self.before_digest().to_owned(), named: self.named })
    }

    /// This reference with its tag, if any, and this digest of the manifest.
    #[must_use]
    pub fn at(&self, digest: &str) -> Self {
        Self { text: format!("{}@{digest}", self.before_digest()), named: self.named }
    }

    /// The last part of the repository's name, for a file.
    #[must_use]
    pub fn name(&self) -> &str {
        let last = self.before_digest().rsplit('/').next().unwrap_or_default();
        last.split(':').next().unwrap_or_default()
    }

    fn before_digest(&self) -> &str {
        self.text.get(..self.named).unwrap_or_default()
    }
}

impl fmt::Display for ArtifactReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// The tag behind the last slash: a colon before it belongs to the registry's port.
fn tag_of(path: &str) -> Option<&str> {
    path.rsplit_once('/')?.1.split_once(':').map(|(_, tag)| tag)
}

/// Whether a registry is an address of this host's own link, such as that of a cloud's metadata, or of no host.
fn is_link_local(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    };
    match host.trim_matches(['[', ']']).parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.is_link_local() || address.is_unspecified(),
        Ok(IpAddr::V6(address)) => address.is_unicast_link_local() || address.is_unspecified(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, registry, tag, has_digest, name) in [
            ("oci://ghcr.io/acme/orders-ready:1.2", "ghcr.io", Some("1.2"), false, "orders-ready"),
            ("oci://localhost:5000/x:1", "localhost:5000", Some("1"), false, "x"),
            ("oci://127.0.0.1:5000/a/b:1", "127.0.0.1:5000", Some("1"), false, "b"),
            ("oci://[::1]:5000/a/b:1", "[::1]:5000", Some("1"), false, "b"),
            ("oci://docker.io/x:1", "docker.io", Some("1"), false, "x"),
            (&format!("oci://ghcr.io/a/b@{digest}"), "ghcr.io", None, true, "b"),
            (&format!("oci://ghcr.io:443/a/b:1@{digest}"), "ghcr.io:443", Some("1"), true, "b"),
        ] {
            let found = ArtifactReference::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((found.registry(), found.tag(), found.name()), (registry, tag, name), "{text}");
            assert_eq!(found.digest(), has_digest.then_some(digest.as_str()), "{text}");
            assert_eq!(found.to_string(), text);
            let pinned = found.at(&digest);
            assert_eq!(ArtifactReference::parse(&pinned.to_string()).as_ref(), Ok(&pinned), "{text}");
            let by_tag = found.by_tag().map(|found| found.to_string());
            assert_eq!(by_tag.is_some(), tag.is_some(), "{text}");
            assert!(by_tag.is_none_or(|by_tag| ArtifactReference::parse(&by_tag).is_ok()), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let sha512 = format!("oci://ghcr.io/x@sha512:{}", "a".repeat(128));
        for (text, why) in [
            ("ghcr.io/x:1", "does not begin"),
            ("oci://", "names no registry"),
            ("oci://orders-ready:1", "names no registry"),
            ("oci://acme/orders-ready:1", "names no registry"),
            ("oci://ghcr.io/", "is empty"),
            ("oci://ghcr.io/x", "neither a tag nor a digest"),
            ("oci://localhost:5000/x", "neither a tag nor a digest"),
            ("oci://ghcr.io/../../etc/passwd:1", "separator"),
            ("oci://ghcr.io/x:../y", "cannot contain"),
            ("oci://ghcr.io/X:1", "lower case"),
            ("oci://ghcr.io/x:1 2", "space"),
            ("oci://ghcr.io/x:1?y", "tag"),
            ("oci://user:secret@ghcr.io/x:1", "names no registry"),
            ("oci://ghcr.io/x@sha256:abc", "digest"),
            (&sha512, "only digests"),
            ("oci://169.254.169.254/x:1", "link-local"),
            ("oci://169.254.169.254:80/x:1", "link-local"),
            ("oci://[fe80::1]/x:1", "link-local"),
            ("oci://[::ffff:169.254.169.254]/x:1", "registry"),
            ("oci://0.0.0.0:5000/x:1", "link-local"),
            ("oci://oci:./x", "names a file"),
            ("oci://\u{202e}ghcr.io/x:1", "character"),
        ] {
            let error = ArtifactReference::parse(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_can_stand_in_addresses_files_and_locks(text in "oci://[ -~]{0,40}") {
            let Ok(found) = ArtifactReference::parse(&text) else { return Ok(()) };
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/@[]".contains(&byte);
            prop_assert!(text.bytes().all(is_plain), "{}", text);
            prop_assert!(!found.name().is_empty() && !found.name().starts_with('.'), "{}", text);
            prop_assert!(found.tag().is_some() || found.digest().is_some());
            prop_assert!(!found.image().split('/').any(|part| part == ".."));
        }
    }
}
