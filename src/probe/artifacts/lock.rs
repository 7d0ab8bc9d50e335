//! `probes.lock`: which bytes the tags in a folder of definitions mean. It lies beside the definitions, and pins digests only:
//! where a probe comes from is the definition's to say.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, OpenOptions};
use serde::Deserialize;

use crate::definition::{ArtifactReference, Definition, Exceeded, ReadingBudget};
use crate::engine::image_file::hex_digits;
use crate::report::error::{Code, Problem};

/// The file's name.
pub const FILE: &str = "probes.lock";
/// The form of the file; another one is not read.
const VERSION: u32 = 1;
/// No honest file is larger.
const MOST_BYTES: u64 = 1 << 20;
/// Write permission for everybody.
const OTHERS_WRITE: u32 = 0o002;
/// What stands in the file before the pins.
const HEAD: &str = "# Pins the probes that the definitions in this folder name by tags. Commit this file.\n\
                    # `farrier probe pin` adds pins, and `farrier probe update` changes them.\n";

/// What a tag means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedProbe {
    /// The digest of the manifest: `sha256:…`.
    pub digest: String,
    /// The SHA-256 of the component.
    pub sha256: String,
}

/// The pins of one folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeLock {
    pins: BTreeMap<ArtifactReference, LockedProbe>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(default)]
    probe: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    reference: String,
    digest: String,
    sha256: String,
}

impl ProbeLock {
    /// Reads the file beside a definition, as that definition may read files; empty if there is none.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn beside(definition: &Definition, budget: &ReadingBudget) -> Result<Self, Problem> {
        let path = definition.folder().join(FILE);
        let text = match read(definition, budget) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            read => read.map_err(|error| match Exceeded::of(&error) {
                Some(exceeded) => exceeded.into(),
                None => unusable(&path, &error.to_string()).hint("Check the file, and who may write to it."),
            })?,
        };
        Self::parse(&text).map_err(|reason| {
            unusable(&path, &reason)
                .hint("Restore the file, or remove it and write it again with `farrier probe pin`.")
        })
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// One clause that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let document: Document =
            toml::from_str(text).map_err(|error: toml::de::Error| error.message().replace('\n', ", "))?;
        if document.version != VERSION {
            return Err(format!(
                "it has version {}, but this version of farrier reads version {VERSION}",
                document.version
            ));
        }
        let mut pins = BTreeMap::new();
        for Entry { reference: text, digest, sha256 } in document.probe {
            let reference = ArtifactReference::parse(&text).map_err(|error| format!("{text:?}: {error}"))?;
            if reference.digest().is_some() {
                return Err(format!("`{reference}` names a digest, so it needs no pin"));
            }
            for digest in [&digest, &format!("sha256:{sha256}")] {
                hex_digits(digest).map_err(|error| format!("`{reference}`: {error}"))?;
            }
            if pins.insert(reference, LockedProbe { digest, sha256 }).is_some() {
                return Err(format!("it pins {text:?} twice"));
            }
        }
        Ok(Self { pins })
    }

    /// What the tag of a reference means; `None` if it is not pinned.
    #[must_use]
    pub fn get(&self, reference: &ArtifactReference) -> Option<&LockedProbe> {
        self.pins.get(reference)
    }

    /// Pins what a tag means.
    pub fn pin(&mut self, reference: ArtifactReference, locked: LockedProbe) {
        self.pins.insert(reference, locked);
    }

    /// The file's text, in the order of the references.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{HEAD}version = {VERSION}\n");
        for (reference, LockedProbe { digest, sha256 }) in &self.pins {
            // None of them can contain what a string would have to escape.
            text.push_str(&format!(
                "\n[[probe]]\nreference = \"{reference}\"\ndigest = \"{digest}\"\nsha256 = \"{sha256}\"\n"
            ));
        }
        text
    }

    /// Writes the file into the folder that these definitions are in, all at once, and gives its path. The folder is the one that
    /// was opened, whatever has its name by now.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, folder: &Dir, path: &Path) -> Result<PathBuf, Problem> {
        let path = path.join(FILE);
        match self.replace(folder) {
            Ok(()) => Ok(path),
            Err(error) => {
                let message = format!("the lock {} cannot be written: {error}", path.display());
                let hint = "Check who may write to the folder.";
                Err(Problem::error(Code::ProbeLockUnusable, message).hint(hint))
            }
        }
    }

    /// What is at the final name is replaced, and not followed if it is a link.
    fn replace(&self, folder: &Dir) -> io::Result<()> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let unfinished = format!(".{FILE}.{}", hex::encode(random));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let mut file = folder.open_with(&unfinished, &options)?;
        let written = file.write_all(self.text().as_bytes());
        let written = written.and_then(|()| folder.rename(&unfinished, folder, FILE));
        if written.is_err() {
            drop(folder.remove_file(&unfinished));
        }
        written
    }
}

fn read(definition: &Definition, budget: &ReadingBudget) -> io::Result<String> {
    let file = definition.open_beside(Path::new(FILE))?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if definition.layer.is_trusted() && found.mode() & OTHERS_WRITE != 0 {
        return Err(io::Error::other("it is in a trusted layer, but anyone on this machine can write to it"));
    }
    if found.len() > MOST_BYTES {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    budget.take_file(found.len()).map_err(io::Error::other)?;
    let mut text = String::new();
    budget.timed(file).take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn unusable(path: &Path, reason: &str) -> Problem {
    Problem::error(Code::ProbeLockUnusable, format!("the lock {} cannot be used: {reason}", path.display()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pinned(text: &str, byte: char) -> (ArtifactReference, LockedProbe) {
        let hex = byte.to_string().repeat(64);
        let locked = LockedProbe { digest: format!("sha256:{hex}"), sha256: hex };
        (ArtifactReference::parse(text).expect("a reference"), locked)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut lock = ProbeLock::default();
        assert_eq!(ProbeLock::parse(&lock.text()), Ok(lock.clone()));
        for (text, byte) in [("oci://ghcr.io/b/b:1", 'b'), ("oci://ghcr.io/a/a:1", 'a')] {
            let (reference, locked) = pinned(text, byte);
            lock.pin(reference, locked);
        }
        assert_eq!(ProbeLock::parse(&lock.text()), Ok(lock.clone()));
        insta::assert_snapshot!(lock.text(), @r#"
        # Pins the probes that the definitions in this folder name by tags. Commit this file.
        # `farrier probe pin` adds pins, and `farrier probe update` changes them.
        version = 1

        [[probe]]
        reference = "oci://ghcr.io/a/a:1"
        digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

        [[probe]]
        reference = "oci://ghcr.io/b/b:1"
        digest = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
        sha256 = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
        "#);
    }

    #[test]
    fn says_what_is_wrong() {
        let (hex, upper) = ("a".repeat(64), "A".repeat(64));
        let entry = |reference: &str, digest: &str, sha256: &str| {
            format!(
                "version = 1\n[[probe]]\nreference = \"{reference}\"\ndigest = \"{digest}\"\nsha256 = \"{sha256}\"\n"
            )
        };
        let (tagged, digest) = ("oci://ghcr.io/a/a:1", format!("sha256:{hex}"));
        let honest = entry(tagged, &digest, &hex);
        assert!(ProbeLock::parse(&honest).is_ok());
        for (text, why) in [
            (String::new(), "missing field `version`"),
            ("version = 2\n".to_owned(), "has version 2"),
            ("version = 1\nregistry = \"evil.test\"\n".to_owned(), "unknown field `registry`"),
            (format!("{honest}registry = \"evil.test\"\n"), "unknown field `registry`"),
            (format!("{honest}{}", honest.trim_start_matches("version = 1\n")), "twice"),
            (entry("./orders.wasm", &digest, &hex), "does not begin"),
            (entry("oci://169.254.169.254/x:1", &digest, &hex), "link-local"),
            (entry(&format!("{tagged}@{digest}"), &digest, &hex), "needs no pin"),
            (entry(tagged, "sha256:../../../etc/passwd", &hex), "is not a digest"),
            (entry(tagged, &digest, "../../../etc/passwd"), "is not a digest"),
            (entry(tagged, &digest, &upper), "is not a digest"),
            (entry(tagged, &digest, ""), "is not a digest"),
            (entry(tagged, &hex, &hex), "is not a digest"),
        ] {
            let error = ProbeLock::parse(&text).expect_err(&text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(?s)version = 1\n.{0,200}") {
            if let Ok(lock) = ProbeLock::parse(&text) {
                prop_assert_eq!(ProbeLock::parse(&lock.text()), Ok(lock));
            }
        }
    }
}
