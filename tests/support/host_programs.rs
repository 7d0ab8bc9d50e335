//! Images with programs of this host, which need neither a registry nor a container.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Image;

/// The image with programs of this host, and the libraries that they need.
pub fn with_programs(mut image: Image, programs: &[&str]) -> Image {
    let mut files = BTreeSet::new();
    for program in programs {
        files.insert(PathBuf::from(program));
        let told = Command::new("ldd").arg(program).output().expect("ldd");
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let paths = told.split_whitespace().filter(|word| word.starts_with('/'));
        files.extend(paths.map(PathBuf::from));
    }
    for file in files {
        let content = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        image = image.file(&file.display().to_string(), content, 0o755);
    }
    image
}

/// An image with a shell and some tools.
pub fn with_shell() -> Image {
    let tools =
        ["cat", "env", "id", "ls", "mkdir", "sleep", "sort", "touch", "chown", "mknod", "mount", "unshare"];
    let paths: Vec<String> = tools.iter().map(|tool| found(tool)).chain(["/bin/sh".to_owned()]).collect();
    let users = "root:x:0:0:root:/root:/bin/sh\nsvc:x:999:998::/home/svc:/bin/sh\n";
    let groups = "root:x:0:\nsvc:x:998:\nextra:x:70:svc\n";
    with_programs(Image::new(), &paths.iter().map(String::as_str).collect::<Vec<_>>())
        .file("/etc/passwd", users, 0o644)
        .file("/etc/group", groups, 0o644)
}

fn found(tool: &str) -> String {
    let folders = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];
    let mut paths = folders.iter().map(|folder| Path::new(folder).join(tool));
    let path = paths.find(|path| path.exists()).unwrap_or_else(|| panic!("this host has no {tool}"));
    path.display().to_string()
}
