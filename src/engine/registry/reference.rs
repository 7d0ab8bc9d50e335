//! What an image reference names: a registry, a repository there, and a tag or digest.

use crate::definition::qualified_image;

/// Docker's own registry, as references name it, and the host that answers for it.
pub const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// An image at a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The whole reference, by which the image is known.
    pub name: String,
    /// The host that answers for the registry, maybe with a port.
    pub host: String,
    /// The repository's path.
    pub repository: String,
    /// The tag, or the digest if there is one.
    pub version: String,
}

impl Reference {
    /// Takes a reference apart; `None` if it is the id of an image, which no registry is asked for.
    #[must_use]
    pub fn parse(image: &str) -> Option<Self> {
        let name = qualified_image(image);
        let (registry, rest) = name.split_once('/')?;
        let (path, digest) = match rest.split_once('@') {
            Some((path, digest)) => (path, Some(digest)),
            None => (rest, None),
        };
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        let version = digest.or(tag)?.to_owned();
        let (hub, answering) = DOCKER_HUB;
        let host = if registry == hub { answering } else { registry };
        let (host, repository) = (host.to_owned(), repository.to_owned());
        Some(Self { name, host, repository, version })
    }

    /// The digest, if the reference names one.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.version.contains(':').then_some(self.version.as_str())
    }

    /// Whether it is at Docker's own registry.
    #[must_use]
    pub fn is_of_docker_hub(&self) -> bool {
        self.host == DOCKER_HUB.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (image, host, repository, version) in [
            ("postgres", "registry-1.docker.io", "library/postgres", "latest"),
            ("team/x:1", "registry-1.docker.io", "team/x", "1"),
            ("localhost:5000/x:1", "localhost:5000", "x", "1"),
            ("[::1]:5000/a/b", "[::1]:5000", "a/b", "latest"),
            (&format!("ghcr.io/a/b:1@{digest}"), "ghcr.io", "a/b", &digest),
            (&format!("ghcr.io/a/b@{digest}"), "ghcr.io", "a/b", &digest),
        ] {
            let found = Reference::parse(image).expect("a reference");
            let parts = (found.host.as_str(), found.repository.as_str(), found.version.as_str());
            assert_eq!(parts, (host, repository, version), "{image}");
            assert_eq!(found.digest().is_some(), image.contains('@'), "{image}");
        }
        assert_eq!(Reference::parse(&digest), None);
    }
}
