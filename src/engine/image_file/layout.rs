//! A layout of the Open Container Initiative: `index.json` names manifests, which name blobs by their digests.

use std::io;
use std::path::{Path, PathBuf};

use super::config::own_architecture;
use super::digest::{Digesting, hex_digits, of_bytes};
use super::manifest::{DEEPEST, Descriptor, Index, Manifest, parse};
use super::{LayerSink, Open, damaged, read_small, take_layer};

/// An image in a layout.
pub struct Layout {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// The path of a blob in the layout.
fn blob(descriptor: &Descriptor) -> io::Result<PathBuf> {
    Ok(Path::new("blobs/sha256").join(hex_digits(&descriptor.digest)?))
}

fn read_blob(open: &Open<'_>, descriptor: &Descriptor) -> io::Result<Vec<u8>> {
    let bytes = read_small(open(&blob(descriptor)?)?)?;
    let found = of_bytes(&bytes);
    if found == descriptor.digest {
        return Ok(bytes);
    }
    Err(damaged(format!("the digest of the blob {} is {found}", descriptor.digest)))
}

impl Layout {
    /// Reads what a layout says of the image with this name, or of its only one.
    pub fn read(open: &Open<'_>, name: Option<&str>) -> io::Result<Self> {
        let index: Index = parse("index.json", &read_small(open(Path::new("index.json"))?)?)?;
        let named = index
            .manifests
            .into_iter()
            .filter(|manifest| name.is_none_or(|name| manifest.names().any(|found| found == name)));
        let manifest = choose(open, named.collect(), name, 0)?;
        let Manifest { config, layers, .. } = Manifest::parse(&read_blob(open, &manifest)?)?;
        Ok(Self { config, layers })
    }

    /// The digest of its configuration.
    pub fn id(&self) -> &str {
        &self.config.digest
    }

    pub const fn layer_count(&self) -> usize {
        self.layers.len()
    }

    /// Its configuration.
    pub fn config(&self, open: &Open<'_>) -> io::Result<Vec<u8>> {
        read_blob(open, &self.config)
    }

    /// Lets the layers be taken in that are wanted.
    pub fn layers(
        &self,
        open: &Open<'_>,
        ids: &[String],
        wanted: &dyn Fn(&str) -> bool,
        sink: &mut dyn LayerSink,
    ) -> io::Result<()> {
        for (layer, id) in self.layers.iter().zip(ids).filter(|(_, id)| wanted(id)) {
            let mut content = Digesting::of(open(&blob(layer)?)?);
            take_layer(id, &mut content, sink)?;
            io::copy(&mut content, &mut io::sink())?;
            let found = content.digest();
            if found != layer.digest {
                return Err(damaged(format!("the digest of the blob {} is {found}", layer.digest)));
            }
        }
        Ok(())
    }
}

/// The manifest that is meant.
fn choose(
    open: &Open<'_>,
    mut found: Vec<Descriptor>,
    name: Option<&str>,
    depth: usize,
) -> io::Result<Descriptor> {
    if found.len() > 1 {
        found.retain(Descriptor::is_for_this_machine);
    }
    let mut found = found.into_iter();
    let (first, second) = (found.next(), found.next());
    match (first, second) {
        (Some(only), None) if only.is_index() => {
            if depth == DEEPEST {
                return Err(damaged("its indexes refer to each other in a circle"));
            }
            let index: Index = parse("an index", &read_blob(open, &only)?)?;
            choose(open, index.manifests, name, depth + 1)
        }
        (Some(only), None) => Ok(only),
        (None, _) => Err(damaged(match name {
            Some(name) => format!("the layout has no image named `{name}` for linux/{}", own_architecture()),
            None => format!("the layout has no image for linux/{}", own_architecture()),
        })),
        (Some(first), Some(second)) => {
            let names: Vec<String> =
                [first, second].iter().flat_map(Descriptor::names).map(|name| format!("`{name}`")).collect();
            let names =
                if names.is_empty() { "none of them has a name".to_owned() } else { names.join(", ") };
            Err(damaged(format!(
                "the layout has several images ({names}), and `image` does not say which: add `:NAME`"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(index: &str, blobs: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("blobs/sha256");
        std::fs::create_dir_all(&path).expect("a folder");
        std::fs::write(folder.path().join("index.json"), index).expect("written");
        for blob in blobs {
            let digest = of_bytes(blob.as_bytes());
            std::fs::write(path.join(&digest["sha256:".len()..]), blob).expect("written");
        }
        folder
    }

    fn read(folder: &tempfile::TempDir, name: Option<&str>) -> Result<String, String> {
        let open = |part: &Path| std::fs::File::open(folder.path().join(part));
        Layout::read(&open, name).map(|layout| layout.id().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_image_is_found_by_name_machine_and_through_indices() {
        let id = |digit: &str| format!("sha256:{}", digit.repeat(64));
        let manifest = |digit: &str| format!(r#"{{"config":{{"digest":"{}"}},"layers":[]}}"#, id(digit));
        let (one, two, other) = (manifest("1"), manifest("2"), manifest("3"));
        let name = |name: &str| format!(r#","annotations":{{"org.opencontainers.image.ref.name":"{name}"}}"#);
        let entry = |blob: &str, rest: &str| format!(r#"{{"digest":"{}"{rest}}}"#, of_bytes(blob.as_bytes()));
        let own = format!(r#","platform":{{"os":"linux","architecture":"{}"}}"#, own_architecture());
        let strange = r#","platform":{"os":"unknown","architecture":"unknown"}"#;
        let nested = format!(r#"{{"manifests":[{},{}]}}"#, entry(&one, &own), entry(&other, strange));
        let nested_entry = entry(&nested, r#","mediaType":"application/vnd.oci.image.index.v1+json""#);
        let index = |entries: &[String]| format!(r#"{{"manifests":[{}]}}"#, entries.join(","));
        let blobs = [one.as_str(), &two, &other, &nested];
        for (index, wanted, found) in [
            (index(&[entry(&one, "")]), None, Ok(id("1"))),
            (index(&[entry(&one, &name("a")), entry(&two, &name("b"))]), Some("b"), Ok(id("2"))),
            (index(&[entry(&one, &own), entry(&other, strange)]), None, Ok(id("1"))),
            (index(&[nested_entry]), None, Ok(id("1"))),
            (
                index(&[entry(&one, &name("a")), entry(&two, &name("b"))]),
                None,
                Err("several images (`a`, `b`)"),
            ),
            (index(&[entry(&one, &name("a"))]), Some("c"), Err("no image named `c`")),
            (index(&[]), None, Err("no image")),
            (index(&[entry("absent", "")]), None, Err("No such file")),
            ("{".to_owned(), None, Err("index.json cannot be read")),
            (r#"{"manifests":[{"digest":"sha256:../x"}]}"#.to_owned(), None, Err("is not a digest")),
        ] {
            let folder = layout(&index, &blobs);
            match (read(&folder, wanted), found) {
                (Ok(read), Ok(found)) => assert_eq!(read, found, "{index}"),
                (Err(read), Err(found)) => assert!(read.contains(found), "{index}: {read}"),
                (read, found) => panic!("{index}: {read:?} {found:?}"),
            }
        }
    }

    #[test]
    fn an_index_that_names_itself_ends() {
        // Its digest cannot be its own: it is damaged, or one of a chain that is too long.
        let mut blob = r#"{"manifests":[]}"#.to_owned();
        let mut blobs = Vec::new();
        for _ in 0..=DEEPEST {
            let media = "application/vnd.oci.image.index.v1+json";
            let next = format!(
                r#"{{"manifests":[{{"mediaType":"{media}","digest":"{}"}}]}}"#,
                of_bytes(blob.as_bytes())
            );
            blobs.push(std::mem::replace(&mut blob, next));
        }
        let blobs: Vec<&str> = blobs.iter().map(String::as_str).collect();
        let folder = layout(&blob, &blobs);
        assert!(read(&folder, None).expect_err("refused").contains("refer to each other"));
    }
}
