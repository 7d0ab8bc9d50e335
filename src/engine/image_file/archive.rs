//! An archive as `docker save` writes it, in both of its forms, and other tools with it: a tar file in which
//! `manifest.json` names configuration and layers. It is read from its beginning to its end, so it may be compressed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Component, Path};

use serde::Deserialize;

use super::digest::of_bytes;
use super::{LayerSink, MOST_LAYERS, Open, damaged, decompression, read_small, take_layer};
use crate::definition::familiar_image;

/// The file that names everything.
const MANIFEST: &str = "manifest.json";
/// How many entries are looked at: an image has a few for each layer.
const MOST_ENTRIES: usize = 20_000;
/// How many links may lead to one another.
const MOST_LINKS: usize = 8;

/// An image in an archive.
pub struct Archive {
    id: String,
    config: Vec<u8>,
    /// The names of the layers' entries, links followed.
    layers: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// An entry of the archive.
struct Entry<'a> {
    name: String,
    /// The name of the entry that it stands for.
    link: Option<String>,
    content: &'a mut dyn Read,
}

impl Archive {
    /// Reads what an archive says of the image with this name, or of its only one.
    pub fn read(open: &Open<'_>, name: Option<&str>) -> io::Result<Self> {
        let mut saved = None;
        walk(open, &mut |entry| {
            if entry.name == MANIFEST {
                saved = Some(read_small(entry.content)?);
            }
            Ok(saved.is_none())
        })?;
        let saved = saved.ok_or_else(|| {
            damaged("it has no manifest.json: write it with `docker save`, `skopeo copy` or another tool for images")
        })?;
        let saved: Vec<Saved> = serde_json::from_slice(&saved)
            .map_err(|error| damaged(format!("its manifest.json cannot be read: {error}")))?;
        let saved = choose(saved, name)?;
        let layers = saved.layers.unwrap_or_default();
        if layers.len() > MOST_LAYERS {
            return Err(damaged(format!(
                "it has {} layers, but farrier accepts at most {MOST_LAYERS}",
                layers.len()
            )));
        }
        let (mut config, mut links, wanted) = (None, BTreeMap::new(), normal(Path::new(&saved.config)));
        walk(open, &mut |entry| {
            if entry.name == wanted && config.is_none() {
                config = Some(read_small(entry.content)?);
            } else if let Some(link) = entry.link {
                links.insert(entry.name, link);
            }
            Ok(true)
        })?;
        let config =
            config.ok_or_else(|| damaged(format!("its configuration {:?} is missing", saved.config)))?;
        let followed = |name: &String| {
            let mut name = normal(Path::new(name));
            for _ in 0..MOST_LINKS {
                match links.get(&name) {
                    Some(next) => name.clone_from(next),
                    None => break,
                }
            }
            name
        };
        Ok(Self { id: of_bytes(&config), config, layers: layers.iter().map(followed).collect() })
    }

    /// The digest of its configuration.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn config(&self) -> &[u8] {
        &self.config
    }

    pub const fn layer_count(&self) -> usize {
        self.layers.len()
    }

    /// Lets the layers be taken in that are wanted, in the order in which they lie in the archive.
    pub fn layers(
        &self,
        open: &Open<'_>,
        ids: &[String],
        wanted: &dyn Fn(&str) -> bool,
        sink: &mut dyn LayerSink,
    ) -> io::Result<()> {
        let named = self.layers.iter().zip(ids).filter(|(_, id)| wanted(id));
        let mut left: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, id) in named {
            left.entry(name).or_default().insert(id);
        }
        walk(open, &mut |entry| {
            // Two layers of one entry are one layer, or one of them is damaged.
            for id in left.remove(entry.name.as_str()).into_iter().flatten() {
                take_layer(id, &mut *entry.content, sink)?;
            }
            Ok(!left.is_empty())
        })?;
        match left.first_key_value() {
            Some((name, _)) => Err(damaged(format!("its layer {name:?} is missing"))),
            None => Ok(()),
        }
    }
}

fn choose(saved: Vec<Saved>, name: Option<&str>) -> io::Result<Saved> {
    let tags = |image: &Saved| image.repo_tags.clone().unwrap_or_default();
    let is_named = |image: &Saved| {
        name.is_none_or(|name| tags(image).iter().any(|tag| familiar_image(tag) == familiar_image(name)))
    };
    let all: Vec<String> = saved.iter().flat_map(tags).map(|tag| format!("`{tag}`")).collect();
    let mut found = saved.into_iter().filter(is_named);
    match (found.next(), found.next(), name) {
        (Some(only), None, _) => Ok(only),
        (None, _, Some(name)) => Err(damaged(format!(
            "the archive has no image named `{name}`; it has {}",
            if all.is_empty() { "none with a name".to_owned() } else { all.join(", ") }
        ))),
        (None, ..) => Err(damaged("the archive has no image")),
        (Some(_), Some(_), _) => Err(damaged(format!(
            "the archive has several images ({}), and `image` does not say which: add `:NAME`",
            all.join(", ")
        ))),
    }
}

/// Looks at each entry until there is no need of more. What is not read of an entry is skipped, without reading it if the
/// archive is not compressed.
fn walk(open: &Open<'_>, visit: &mut dyn FnMut(Entry<'_>) -> io::Result<bool>) -> io::Result<()> {
    let mut file = open(Path::new(""))?;
    let mut beginning = [0; 4];
    let read = file.read(&mut beginning)?;
    file.rewind()?;
    if decompression::is_compressed(beginning.get(..read).unwrap_or_default()) {
        let mut archive = tar::Archive::new(decompression::decompressed(file)?);
        return each(archive.entries()?, visit);
    }
    let mut archive = tar::Archive::<File>::new(file);
    each(archive.entries_with_seek()?, visit)
}

fn each<R: Read>(
    entries: tar::Entries<'_, R>,
    visit: &mut dyn FnMut(Entry<'_>) -> io::Result<bool>,
) -> io::Result<()> {
    for (index, entry) in entries.enumerate() {
        let mut entry = entry.map_err(|error| damaged(format!("it is not a tar archive: {error}")))?;
        if index >= MOST_ENTRIES {
            return Err(damaged(format!("it has more than {MOST_ENTRIES} entries")));
        }
        let path = entry.path()?.into_owned();
        let kind = entry.header().entry_type();
        let target = entry.link_name()?.map(std::borrow::Cow::into_owned);
        let link = target.and_then(|target| {
            if kind.is_symlink() {
                Some(normal(&path.parent().unwrap_or(Path::new("")).join(target)))
            } else {
                kind.is_hard_link().then(|| normal(&target))
            }
        });
        if !visit(Entry { name: normal(&path), link, content: &mut entry })? {
            break;
        }
    }
    Ok(())
}

/// A path within the archive, in one spelling. Nothing is opened by it.
fn normal(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::ParentDir => {
                parts.pop();
            }
            _ => {}
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[derive(Default)]
    struct Taken {
        last: Vec<u8>,
        kept: BTreeMap<String, Vec<u8>>,
    }

    impl LayerSink for Taken {
        fn take(&mut self, _: &str, content: &mut dyn Read) -> io::Result<()> {
            self.last.clear();
            content.read_to_end(&mut self.last).map(drop)
        }

        fn keep(&mut self, id: &str) -> io::Result<()> {
            assert!(self.kept.insert(id.to_owned(), std::mem::take(&mut self.last)).is_none(), "each once");
            Ok(())
        }
    }

    enum Put<'a> {
        File(&'a str, &'a [u8]),
        Link(&'a str, &'a str),
    }

    fn archive(entries: &[Put<'_>]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for entry in entries {
            let mut header = tar::Header::new_gnu();
            match entry {
                Put::File(name, content) => {
                    header.set_size(content.len() as u64);
                    archive.append_data(&mut header, name, *content).expect("written");
                }
                Put::Link(name, target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_size(0);
                    archive.append_link(&mut header, name, target).expect("written");
                }
            }
        }
        archive.into_inner().expect("an archive")
    }

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(bytes).expect("written");
        file
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).expect("compressed");
        encoder.finish().expect("compressed")
    }

    #[test]
    fn both_forms_of_docker_save_are_read_compressed_or_not() {
        let (one, two) = (b"layer one".as_slice(), b"layer two".as_slice());
        let ids = [of_bytes(one), of_bytes(two)];
        let config = b"{}".as_slice();
        let old = archive(&[
            Put::File("1/layer.tar", one),
            Put::Link("2/layer.tar", "../1/layer.tar"),
            Put::File("3/layer.tar", two),
            Put::File("abc.json", config),
            Put::File(
                "manifest.json",
                br#"[{"Config":"abc.json","RepoTags":["x:1"],"Layers":["1/layer.tar","2/layer.tar","3/layer.tar"]}]"#,
            ),
        ]);
        let packed = gzip(two);
        let new = archive(&[
            Put::File("manifest.json", br#"[{"Config":"blobs/sha256/c","Layers":["blobs/sha256/1","blobs/sha256/1","blobs/sha256/2"]}]"#),
            Put::File("blobs/sha256/2", &packed),
            Put::File("./blobs/sha256/1", one),
            Put::File("blobs/sha256/c", config),
        ]);
        for bytes in [old.clone(), new, gzip(&old)] {
            let file = file(&bytes);
            let open = |_: &Path| File::open(file.path());
            let found = Archive::read(&open, None).expect("an image");
            assert_eq!(found.id(), of_bytes(config));
            let diff_ids = [ids[0].clone(), ids[0].clone(), ids[1].clone()];
            let mut taken = Taken::default();
            found.layers(&open, &diff_ids, &|_| true, &mut taken).expect("layers");
            assert_eq!(
                taken.kept.into_values().collect::<BTreeSet<_>>(),
                [one.to_vec(), two.to_vec()].into()
            );
            let wrong = [ids[1].clone(), ids[1].clone(), ids[0].clone()];
            let mut taken = Taken::default();
            let error = found.layers(&open, &wrong, &|_| true, &mut taken).expect_err("damaged");
            assert!(taken.kept.is_empty());
            assert!(error.to_string().contains("a layer is damaged"), "{error}");
        }
    }

    #[test]
    fn what_is_no_such_image_says_so() {
        let two =
            br#"[{"Config":"a","RepoTags":["x:1"],"Layers":[]},{"Config":"b","RepoTags":["y"],"Layers":[]}]"#;
        let missing = br#"[{"Config":"../../etc/passwd","Layers":["l"]}]"#;
        let layer = br#"[{"Config":"a","Layers":["l"]}]"#;
        for (entries, name, reason) in [
            (&[][..], None, "no manifest.json"),
            (&[Put::File("manifest.json", b"{")], None, "cannot be read"),
            (&[Put::File("manifest.json", b"[]")], None, "no image"),
            (&[Put::File("manifest.json", two)], None, "several images (`x:1`, `y`)"),
            (&[Put::File("manifest.json", two)], Some("z"), "no image named `z`"),
            (&[Put::File("manifest.json", missing)], None, "is missing"),
        ] {
            let file = file(&archive(entries));
            let found = Archive::read(&|_| File::open(file.path()), name).map(|_| ());
            let error = found.expect_err(reason).to_string();
            assert!(error.contains(reason), "{error}");
        }
        let file = file(&archive(&[Put::File("manifest.json", layer), Put::File("a", b"{}")]));
        let open = |_: &Path| File::open(file.path());
        let found = Archive::read(&open, None).expect("an image");
        let error = found.layers(&open, &["sha256:x".to_owned()], &|_| true, &mut Taken::default());
        assert!(error.expect_err("missing").to_string().contains("is missing"));
    }

    #[test]
    fn an_image_of_several_is_found_by_any_spelling_of_its_name() {
        let two = br#"[{"Config":"a","RepoTags":["x:1"],"Layers":[]},{"Config":"b","RepoTags":["y:latest"],"Layers":[]}]"#;
        let file =
            file(&archive(&[Put::File("manifest.json", two), Put::File("a", b"{}"), Put::File("b", b"[]")]));
        for (name, config) in [("x:1", &b"{}"[..]), ("docker.io/library/y", b"[]")] {
            let found = Archive::read(&|_| File::open(file.path()), Some(name)).expect("an image");
            assert_eq!(found.id(), of_bytes(config));
        }
    }
}
