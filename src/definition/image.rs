//! Image references, by the grammar of `github.com/distribution/reference`, which every engine uses.

use super::image_file::ImageFile;

/// Whether an engine would take a text as an image.
///
/// # Errors
/// One clause that says why not.
pub fn check(image: &str) -> Result<(), String> {
    if let Some(file) = ImageFile::parse(image) {
        return file.check();
    }
    if image.is_empty() {
        return Err("it is empty".to_owned());
    }
    if let Some(odd) = image.chars().find(|c| !c.is_ascii_graphic()) {
        return Err(if odd.is_whitespace() {
            "it contains a space".to_owned()
        } else {
            format!("it contains the character {odd:?}")
        });
    }
    let (named, digest) = match image.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (image, None),
    };
    if let Some(digest) = digest {
        check_digest(digest)?;
    }
    // A colon behind the last slash begins the tag; one before it belongs to the registry's port.
    let last = named.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match named.get(last..).and_then(|rest| rest.find(':')) {
        Some(colon) => named.split_at(last + colon),
        None => (named, ""),
    };
    if let Some(tag) = tag.strip_prefix(':') {
        check_tag(tag)?;
    }
    check_name(name)
}

/// The whole reference of an image, as an engine completes a short one: registry, repository, and tag or digest.
/// What an engine takes for the id of an image is left as it is.
#[must_use]
pub fn qualified(image: &str) -> String {
    if ImageFile::parse(image).is_some() {
        return image.to_owned();
    }
    let is_hex =
        |text: &str| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_hex(image) || image.strip_prefix("sha256:").is_some_and(is_hex) {
        return image.to_owned();
    }
    let path = image.split_once('/').filter(|(first, _)| is_registry(first)).map_or(image, |(_, path)| path);
    let tag = if path.contains([':', '@']) { "" } else { ":latest" };
    format!("{}{tag}", completed(image))
}

/// The shortest form of a reference, as docker shows it: equal for all spellings of one reference.
#[must_use]
pub fn familiar(image: &str) -> String {
    let whole = qualified(image);
    if ImageFile::parse(image).is_some() {
        return whole;
    }
    let short = whole.strip_prefix("docker.io/").map(|path| path.strip_prefix("library/").unwrap_or(path));
    // Without its registry, the rest must not look like one with another registry.
    let short = short.filter(|short| qualified(short) == whole).unwrap_or(&whole);
    match short.strip_suffix(":latest") {
        Some(untagged) if qualified(untagged) == whole => untagged.to_owned(),
        _ => short.to_owned(),
    }
}

/// The place of images in a registry: a repository, or all repositories whose path begins with these components.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// The registry's host in lower case, with its port if one is written.
    pub registry: String,
    /// The path; empty for the whole registry.
    pub path: String,
}

impl Repository {
    /// The repository of an image; `None` for an image in a file, and for what an engine takes for the id of an image.
    #[must_use]
    pub fn of(image: &str) -> Option<Self> {
        if ImageFile::parse(image).is_some() {
            return None;
        }
        let whole = qualified(image);
        let named = whole.split('@').next().unwrap_or_default();
        let (registry, path) = named.split_once('/')?;
        let last = path.rfind('/').map_or(0, |slash| slash + 1);
        let tag = path.get(last..).and_then(|name| name.find(':'));
        let path = tag.and_then(|colon| path.get(..last + colon)).unwrap_or(path);
        Some(Self { registry: registry.to_ascii_lowercase(), path: path.to_owned() })
    }

    /// Reads a registry, or a part of one: `docker.io`, `ghcr.io/acme`.
    ///
    /// # Errors
    /// One clause that says why it is neither.
    pub fn prefix(text: &str) -> Result<Self, String> {
        let (registry, path) = text.split_once('/').unwrap_or((text, ""));
        if !is_registry(registry) {
            return Err(format!("`{registry}` is not a registry, such as `docker.io`"));
        }
        check_registry(registry)?;
        if !path.is_empty() {
            path.split('/').try_for_each(check_component)?;
        } else if text.ends_with('/') {
            return Err("a part between slashes is empty".to_owned());
        }
        let registry = registry.to_ascii_lowercase();
        // As for images, this is another name of Docker Hub.
        let registry = if registry == "index.docker.io" { "docker.io".to_owned() } else { registry };
        Ok(Self { registry, path: path.to_owned() })
    }

    /// Whether another one is in it. Components of a path count as a whole.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let rest = other.path.strip_prefix(&self.path);
        let is_inside =
            self.path.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.registry == other.registry && is_inside
    }
}

impl std::fmt::Display for Repository {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let slash = if self.path.is_empty() { "" } else { "/" };
        write!(formatter, "{}{slash}{}", self.registry, self.path)
    }
}

/// The reference with its registry, whatever stands behind its name.
fn completed(image: &str) -> String {
    const REGISTRY: &str = "docker.io";
    let (registry, path) = match image.split_once('/') {
        Some(("index.docker.io", path)) => (REGISTRY, path),
        Some((first, path)) if is_registry(first) => (first, path),
        _ => (REGISTRY, image),
    };
    let library = if registry == REGISTRY && !path.contains('/') { "library/" } else { "" };
    format!("{registry}/{library}{path}")
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("the repository's name is missing".to_owned());
    }
    // Engines count what they complete it with.
    if completed(name).len() > 255 {
        return Err("the repository's name and its registry are longer than 255 characters".to_owned());
    }
    let path = match name.split_once('/') {
        Some((first, rest)) if is_registry(first) => {
            check_registry(first)?;
            rest
        }
        _ => name,
    };
    path.split('/').try_for_each(check_component)
}

/// As docker decides: the first component is a registry where it looks like a host.
pub(super) fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn check_registry(registry: &str) -> Result<(), String> {
    let wrong = || format!("the registry `{registry}` is not a host with an optional port");
    let (host, port) = if let Some(rest) = registry.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or_else(wrong)?;
        if address.is_empty() || !address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':') {
            return Err(wrong());
        }
        ("ipv6", port.strip_prefix(':'))
    } else {
        match registry.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registry, None),
        }
    };
    let port_is_right =
        port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    if super::names::is_dns_name(host) && port_is_right { Ok(()) } else { Err(wrong()) }
}

fn check_component(component: &str) -> Result<(), String> {
    if component.is_empty() {
        return Err("a part between slashes is empty".to_owned());
    }
    if component.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("a repository's name must be lower case".to_owned());
    }
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if let Some(odd) = component.bytes().find(|byte| !alphanumeric(*byte) && !b"._-".contains(byte)) {
        return Err(format!("a repository's name cannot contain `{}`", char::from(odd)));
    }
    let ends_right = component.bytes().next().is_some_and(alphanumeric)
        && component.bytes().next_back().is_some_and(alphanumeric);
    let separators_right = component
        .split(|c: char| c.is_ascii_alphanumeric())
        .all(|run| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|byte| byte == b'-'));
    if ends_right && separators_right {
        Ok(())
    } else {
        Err(format!("`{component}` has a separator at its end, or two in a row"))
    }
}

fn check_tag(tag: &str) -> Result<(), String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let right = tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-');
    if right {
        return Ok(());
    }
    Err("the tag must be 1 to 128 letters, digits, `_`, `.` or `-`, and not begin with `.` or `-`".to_owned())
}

fn check_digest(digest: &str) -> Result<(), String> {
    let lengths = [("sha256", 64), ("sha384", 96), ("sha512", 128)];
    let right = digest.split_once(':').is_some_and(|(algorithm, hex)| {
        lengths.contains(&(algorithm, hex.len()))
            && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    });
    if right { Ok(()) } else { Err("the digest must be `sha256:` and 64 lower-case hex digits".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_what_docker_takes() {
        let digest = "a".repeat(64);
        for image in [
            "postgres",
            "postgres:16",
            "library/postgres:16-alpine",
            "localhost/x",
            "localhost:5000/team/x:latest",
            "ghcr.io/acme/some_tool/x__y/z---w:V1.2_3-rc",
            "[::1]:5000/x",
            "HOST/x:1",
            "swarmforge-tong-git-signing:latest",
            &digest,
            &format!("sha256:{digest}"),
            &format!("postgres@sha256:{digest}"),
            &format!("postgres:16@sha256:{digest}"),
            // With `docker.io/library/`.
            &"a".repeat(237),
        ] {
            assert_eq!(check(image), Ok(()), "{image}");
        }
    }

    #[test]
    fn completes_as_an_engine_does() {
        let (id, digest) = ("a".repeat(64), format!("@sha256:{}", "a".repeat(64)));
        for (image, whole) in [
            ("postgres", "docker.io/library/postgres:latest"),
            ("postgres:16", "docker.io/library/postgres:16"),
            ("team/x", "docker.io/team/x:latest"),
            ("docker.io/x", "docker.io/library/x:latest"),
            ("index.docker.io/x:1", "docker.io/library/x:1"),
            ("localhost/x", "localhost/x:latest"),
            ("localhost:5000/x", "localhost:5000/x:latest"),
            ("ghcr.io/a/b:1", "ghcr.io/a/b:1"),
            (&format!("x{digest}"), &format!("docker.io/library/x{digest}")),
            (&format!("x:1{digest}"), &format!("docker.io/library/x:1{digest}")),
            (&id, &id),
            (&format!("sha256:{id}"), &format!("sha256:{id}")),
        ] {
            assert_eq!(qualified(image), whole);
        }
    }

    #[test]
    fn an_image_is_in_one_repository_however_it_is_spelled() {
        let digest = format!("@sha256:{}", "a".repeat(64));
        for (image, repository) in [
            ("postgres", Some("docker.io/library/postgres")),
            ("postgres:16", Some("docker.io/library/postgres")),
            ("index.docker.io/postgres", Some("docker.io/library/postgres")),
            ("registry-1.docker.io/library/x", Some("registry-1.docker.io/library/x")),
            ("GHCR.IO/acme/x:1", Some("ghcr.io/acme/x")),
            (&format!("ghcr.io:443/a/b:1{digest}"), Some("ghcr.io:443/a/b")),
            ("docker.io.evil.example/x", Some("docker.io.evil.example/x")),
            ("localhost:5000/x", Some("localhost:5000/x")),
            (&"a".repeat(64), None),
            (&format!("sha256:{}", "a".repeat(64)), None),
            ("oci:./layout", None),
            ("docker-archive:./x.tar", None),
        ] {
            let found = Repository::of(image).map(|repository| repository.to_string());
            assert_eq!(found.as_deref(), repository, "{image}");
        }
    }

    #[test]
    fn a_part_of_a_registry_contains_whole_components() {
        let prefix = |text: &str| Repository::prefix(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        for (part, image, expected) in [
            ("docker.io", "postgres", true),
            ("index.docker.io", "docker.io/team/x", true),
            ("docker.io/library", "postgres:16", true),
            ("docker.io/library", "team/x", false),
            ("ghcr.io/acme", "ghcr.io/acme/x:1", true),
            ("ghcr.io/acme", "ghcr.io/acme", true),
            ("ghcr.io/acme", "ghcr.io/acme-evil/x", false),
            ("ghcr.io", "ghcr.io.evil.example/x", false),
            ("ghcr.io", "ghcr.io:8443/x", false),
        ] {
            let repository = Repository::of(image).expect(image);
            assert_eq!(prefix(part).contains(&repository), expected, "{part} {image}");
        }
        for text in
            ["", "acme", "postgres", "https://ghcr.io", "ghcr.io/", "ghcr.io//x", "ghcr.io/x:1", "ghcr.io/X"]
        {
            assert!(Repository::prefix(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spellings_of_one_image_have_one_familiar_form() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (images, short) in [
            (&["x", "x:latest", "docker.io/x", "library/x", "docker.io/library/x:latest"][..], "x"),
            (&["x:1", "docker.io/library/x:1", "index.docker.io/x:1", "library/x:1"], "x:1"),
            (&["team/x", "docker.io/team/x:latest"], "team/x"),
            (&["localhost:5000/x", "localhost:5000/x:latest"], "localhost:5000/x"),
            (&["ghcr.io/a/b:1"], "ghcr.io/a/b:1"),
            (&[&digest], &digest),
            (&[&format!("x@{digest}"), &format!("docker.io/library/x@{digest}")], &format!("x@{digest}")),
        ] {
            for image in images {
                assert_eq!(familiar(image), short, "{image}");
            }
        }
    }

    #[test]
    fn says_why_not() {
        let long = "a".repeat(255);
        for (image, why) in [
            ("", "empty"),
            ("Postgres", "lower case"),
            ("team/Postgres:16", "lower case"),
            ("postgres 16", "space"),
            ("postgres:", "tag"),
            ("postgres:-x", "tag"),
            ("postgres:a/b", "registry"),
            (":16", "missing"),
            ("/x", "empty"),
            ("x//y", "empty"),
            ("x/", "empty"),
            ("-x", "separator"),
            ("x___y", "separator"),
            ("x..y", "separator"),
            ("x@sha256:abc", "digest"),
            ("x@", "digest"),
            ("x@sha256:", "digest"),
            ("host:port/x", "registry"),
            ("ho_st.com/x", "registry"),
            ("x$y", "cannot contain"),
            ("https://ghcr.io/x", "registry"),
            ("pöstgres", "character"),
            ("x\0", "character"),
            (long.as_str(), "255"),
            ("a".repeat(238).as_str(), "255"),
        ] {
            let reason = check(image).expect_err(image);
            assert!(reason.contains(why), "{image}: {reason}");
        }
        assert!(check(&format!("x:{}", "a".repeat(129))).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(image in "\\PC*") {
            let _ = check(&image);
        }

        #[test]
        fn the_familiar_form_names_the_same_image(image in "(docker.io/|localhost/)?(library/)?[a-c]{1,3}(:latest|:1)?") {
            prop_assert_eq!(qualified(&familiar(&image)), qualified(&image));
            prop_assert_eq!(familiar(&familiar(&image)), familiar(&image));
        }

        #[test]
        fn never_panics_near_the_grammar(image in "[a-zA-Z0-9@:/._\\[\\]-]{0,80}") {
            let _ = check(&image);
        }
    }
}
