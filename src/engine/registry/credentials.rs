//! The user's docker credentials for a registry.

use std::path::Path;

use docker_credential::{CredentialRetrievalError, DockerCredential};

use crate::system::blocking::blocking;
use crate::system::bounded_file;

/// Credentials for one registry.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user, empty with an identity token.
    pub username: String,
    /// The password.
    pub password: String,
    /// An identity token in place of both.
    pub token: Option<String>,
}

/// Docker's own registry under the name that its configuration uses.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// The largest configuration that is read, in bytes.
const MOST_BYTES: u64 = 8 << 20;

/// The registry that an image comes from, as docker's configuration names it: the part before the first slash
/// where that looks like a host.
#[must_use]
pub fn registry_of(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host == "localhost" || host.contains(['.', ':']) => match host {
            "docker.io" | "index.docker.io" => DOCKER_HUB,
            host => host,
        },
        _ => DOCKER_HUB,
    }
}

/// The credentials for the registry that an image comes from, from docker's configuration folder or the helper that it
/// names; `None` if there are none.
pub async fn credentials(config: &Path, image: &str) -> Option<Credentials> {
    credentials_for(config, registry_of(image)).await
}

/// The credentials for a registry, as docker's configuration names it; `None` if there are none.
pub async fn credentials_for(config: &Path, registry: &str) -> Option<Credentials> {
    let registry = registry.to_owned();
    let path = config.join("config.json");
    let named = registry.clone();
    let lookup = move || {
        let read = bounded_file::read(&path, MOST_BYTES);
        let bytes = read.map_err(|_| CredentialRetrievalError::ConfigNotFound)?;
        docker_credential::get_credential_from_reader(bytes.as_slice(), &named)
    };
    // A credential helper is another process, which may ask its user something.
    match blocking("credentials", lookup).await {
        Ok(Ok(DockerCredential::UsernamePassword(username, password))) => {
            Some(Credentials { username, password, token: None })
        }
        Ok(Ok(DockerCredential::IdentityToken(token))) => {
            Some(Credentials { username: String::new(), password: String::new(), token: Some(token) })
        }
        Ok(Err(error)) => {
            tracing::debug!("no credentials for {registry}: {error}");
            None
        }
        Err(error) => {
            tracing::debug!("no credentials for {registry}: {error}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries() {
        for (image, expected) in [
            ("postgres:16", DOCKER_HUB),
            ("library/postgres", DOCKER_HUB),
            ("docker.io/library/postgres", DOCKER_HUB),
            ("ghcr.io/owner/image:tag", "ghcr.io"),
            ("localhost:5000/image", "localhost:5000"),
            ("localhost/image", "localhost"),
        ] {
            assert_eq!(registry_of(image), expected, "{image}");
        }
    }
}
