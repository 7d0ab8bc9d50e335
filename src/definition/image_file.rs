//! Images that lie in files beside a definition, in the words of skopeo: `oci:FOLDER[:NAME]` is a layout of the Open
//! Container Initiative, `docker-archive:FILE[:NAME]` what `docker save` writes.

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::model::Definition;
use super::read::Access;
use crate::report::error::{Code, Problem};

/// The form in which an image lies on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFormat {
    /// A folder with an index and blobs.
    OciLayout,
    /// A tar archive with `manifest.json`.
    DockerArchive,
}

/// A file or folder that holds an image, as a definition names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile<'a> {
    /// Its form.
    pub format: ImageFormat,
    /// The path as written.
    pub path: &'a str,
    /// Which of several images; `None` if it is the only one.
    pub name: Option<&'a str>,
}

impl ImageFormat {
    const ALL: [Self; 2] = [Self::OciLayout, Self::DockerArchive];

    /// The word before the colon.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::OciLayout => "oci",
            Self::DockerArchive => "docker-archive",
        }
    }
}

impl<'a> ImageFile<'a> {
    /// Reads the value of `image`; `None` if it is a reference, which an engine resolves.
    #[must_use]
    pub fn parse(image: &'a str) -> Option<Self> {
        let (word, rest) = image.split_once(':')?;
        let format = ImageFormat::ALL.into_iter().find(|format| format.word() == word)?;
        // `oci:5` is a repository's name with a tag, and `oci:5/x` a registry's with a port.
        let is_path = rest.starts_with(['.', '/', '~']);
        if format == ImageFormat::OciLayout && !is_path {
            return None;
        }
        let (path, name) = match rest.split_once(':') {
            Some((path, name)) => (path, Some(name)),
            None => (rest, None),
        };
        Some(Self { format, path, name })
    }

    /// Whether the path and name can be used.
    ///
    /// # Errors
    /// One clause that says why not.
    pub fn check(&self) -> Result<(), String> {
        if self.path.is_empty() {
            return Err(format!("`{}:` names no file", self.format.word()));
        }
        if self.name.is_some_and(str::is_empty) {
            return Err("the name behind the path is empty".to_owned());
        }
        let odd = self.path.chars().chain(self.name.unwrap_or_default().chars()).find(|c| c.is_control());
        odd.map_or(Ok(()), |odd| Err(format!("it contains the character {odd:?}")))
    }
}

impl Definition {
    /// The file that holds its image; `None` if it names an image by a reference, or runs a program.
    #[must_use]
    pub fn image_file(&self) -> Option<ImageFile<'_>> {
        ImageFile::parse(self.image.as_deref()?)
    }

    /// Whether only this host has what it runs: a program, or an image in a file.
    #[must_use]
    pub fn needs_this_host(&self) -> bool {
        self.container.program.is_some() || self.image_file().is_some()
    }

    /// The path of the file that holds its image, for messages and to know it again.
    #[must_use]
    pub fn image_path(&self, file: &ImageFile<'_>) -> PathBuf {
        let path = self.beside(file.path);
        std::path::absolute(&path).unwrap_or(path)
    }

    /// Opens the file that holds its image, or a part of the folder that does. In the workspace the path stays inside of it.
    ///
    /// # Errors
    /// As the operating system has it, or that the path leads out of the workspace.
    pub fn open_image(&self, file: &ImageFile<'_>, part: &Path) -> io::Result<File> {
        let whole = |path: PathBuf| if part.as_os_str().is_empty() { path } else { path.join(part) };
        let opened = match &self.access {
            Access::Trusted => self.open_beside(&whole(self.image_path(file)))?,
            Access::Beneath { .. } => self.open_beside(&whole(PathBuf::from(file.path)))?,
        };
        if opened.metadata()?.is_file() { Ok(opened) } else { Err(io::Error::other("it is not a file")) }
    }

    /// Why the workspace may not name this path; `None` if it may.
    pub(crate) fn image_outside(&self, file: &ImageFile<'_>) -> Option<Problem> {
        let is_inside = |path: &Path| {
            let is_relative =
                |part: Component<'_>| !matches!(part, Component::RootDir | Component::Prefix(_));
            path.components().all(is_relative) && !path.starts_with("~")
        };
        if matches!(self.access, Access::Trusted) || is_inside(Path::new(file.path)) {
            return None;
        }
        let message = format!(
            "the image `{}` is named by a path outside of the workspace, which a workspace definition may not run",
            self.image.as_deref().unwrap_or_default()
        );
        Some(
            Problem::error(Code::OutsideWorkspace, message)
                .of(&self.name)
                .at(self.place("image"))
                .hint("Write a path that starts at the definition's folder, such as \"oci:../../layout\"."),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_from_references() {
        use ImageFormat::{DockerArchive, OciLayout};
        for (image, file) in [
            ("oci:./layout", Some((OciLayout, "./layout", None))),
            ("oci:/var/layout:web:1.0", Some((OciLayout, "/var/layout", Some("web:1.0")))),
            ("oci:~/layout", Some((OciLayout, "~/layout", None))),
            ("docker-archive:x.tar", Some((DockerArchive, "x.tar", None))),
            ("docker-archive:../x.tar:team/x:1", Some((DockerArchive, "../x.tar", Some("team/x:1")))),
            ("oci:5", None),
            ("oci:5000/x", None),
            ("oci", None),
            ("postgres:16", None),
            ("docker:27", None),
        ] {
            let found = ImageFile::parse(image).map(|found| (found.format, found.path, found.name));
            assert_eq!(found, file, "{image}");
        }
    }

    #[test]
    fn a_path_is_needed() {
        for image in ["docker-archive:", "oci:./x:", "docker-archive::x", "oci:./a\nb"] {
            assert!(ImageFile::parse(image).expect(image).check().is_err(), "{image}");
        }
        assert_eq!(ImageFile::parse("oci:./x").expect("a file").check(), Ok(()));
    }
}
