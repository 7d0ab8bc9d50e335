//! What is mounted where, so that a part of a file system is known in each place that it is mounted at.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Where Linux tells it; elsewhere nothing is known.
const MOUNTS: &str = "/proc/self/mountinfo";
/// More than any machine has.
const MOST_BYTES: u64 = 16 << 20;

/// One mount.
#[derive(Clone, Debug)]
struct Mount {
    /// The file system, as `major:minor`.
    device: String,
    /// What of it is mounted.
    root: PathBuf,
    /// Where.
    point: PathBuf,
}

/// All mounts that this process sees, from the first to the last.
#[derive(Clone, Debug, Default)]
pub struct Mounts(Vec<Mount>);

/// A place in a file system, wherever that is mounted.
#[derive(Debug)]
pub struct Place<'a> {
    device: &'a str,
    path: PathBuf,
}

impl Mounts {
    /// Reads the mounts of this process; the list is empty if the system tells of none.
    pub fn read() -> Self {
        let mut bytes = Vec::new();
        let read = std::fs::File::open(MOUNTS).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes));
        if read.is_ok() { Self::parse(&bytes) } else { Self::default() }
    }

    fn parse(bytes: &[u8]) -> Self {
        Self(bytes.split(|byte| *byte == b'\n').filter_map(mount).collect())
    }

    /// Whether something is mounted at just this path.
    pub fn has_point(&self, resolved: &Path) -> bool {
        self.0.iter().any(|mount| mount.point == resolved)
    }

    /// The places beneath a resolved folder at which something is mounted.
    pub fn points_beneath(&self, folder: &Path) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|mount| mount.point.as_path()).filter(move |point| point.starts_with(folder))
    }

    /// Where a resolved path lies; `None` if that is not known.
    pub fn place(&self, resolved: &Path) -> Option<Place<'_>> {
        let depth = |mount: &&Mount| mount.point.components().count();
        // Of several at one point, the last one counts.
        let mount = self.0.iter().filter(|mount| resolved.starts_with(&mount.point)).max_by_key(depth)?;
        let path = mount.root.join(resolved.strip_prefix(&mount.point).ok()?);
        Some(Place { device: &mount.device, path })
    }
}

impl Place<'_> {
    /// The path from another place to this one; `None` if this one does not lie in it.
    pub fn within(&self, other: &Self) -> Option<PathBuf> {
        let relative = self.path.strip_prefix(&other.path).ok()?;
        (self.device == other.device).then(|| relative.components().collect())
    }
}

/// `36 35 98:0 /root /point options…`
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ').skip(2);
    let device = String::from_utf8(fields.next()?.to_vec()).ok()?;
    Some(Mount { device, root: unescaped(fields.next()?), point: unescaped(fields.next()?) })
}

/// Spaces, tabs, line ends and backslashes are written as `\` and three octal digits.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| first == b'\\');
        let code = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_file_system_is_known_wherever_it_is_mounted() {
        let mounts = Mounts::parse(
            b"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
              2 1 8:1 /srv/my\\040shop/tongs /mnt/tongs rw - ext4 /dev/sda1 rw\n\
              3 1 8:2 / /srv/other rw - ext4 /dev/sdb1 rw\n\
              4 1 8:2 /a /mnt/twice rw - ext4 /dev/sdb1 rw\n\
              5 1 8:1 /srv /mnt/twice rw - ext4 /dev/sda1 rw\n\
              nonsense\n",
        );
        let within = |path: &str, root: &str| {
            let (path, root) = (mounts.place(Path::new(path)), mounts.place(Path::new(root)));
            path.zip(root).and_then(|(path, root)| path.within(&root))
        };
        for (path, root, expected) in [
            ("/mnt/tongs", "/srv/my shop", Some("tongs")),
            ("/mnt/tongs/deep", "/srv/my shop", Some("tongs/deep")),
            ("/mnt/tongs", "/srv/my", None),
            ("/mnt/twice/my shop", "/srv/my shop", Some("")),
            ("/srv/other", "/srv", None),
            ("/srv/my shop", "/srv", Some("my shop")),
        ] {
            assert_eq!(within(path, root), expected.map(PathBuf::from), "{path} in {root}");
        }
    }
}
