//! Copies of files of the workspace, which containers mount in place of the files themselves: an engine looks for a path
//! at each start of a container, when somebody may have put a link there.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::definition::model::Mount;
use crate::plan::sidecar::Sidecar;
use crate::report::error::{Code, Problem};
use crate::system::private_files::{private_folder, private_temporary_file};

/// Whoever runs in the container reads it; on this host, its folder keeps others out.
const READABLE: u32 = 0o444;

/// Writes the copies that a sidecar's container mounts, as far as they are not there.
///
/// # Errors
/// If one cannot be written.
pub(super) fn write(sidecar: &Sidecar) -> Result<(), Problem> {
    for mount in &sidecar.definition.container.mounts {
        let Mount::Bind { source, bound: Some(bound), .. } = mount else { continue };
        let Some(content) = &bound.copy else { continue };
        written(&bound.path, content).map_err(|error| {
            let message =
                format!("the copy of `{source}` that the container mounts cannot be written: {error}");
            Problem::error(Code::StateUnusable, message)
                .hint(format!("Check the folder {}.", bound.path.parent().unwrap_or(&bound.path).display()))
        })?;
    }
    Ok(())
}

/// The name is the content's digest: what is there is what would be written.
fn written(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    private_folder(folder)?;
    if std::fs::symlink_metadata(path)
        .is_ok_and(|found| found.is_file() && found.len() == content.len() as u64)
    {
        return Ok(());
    }
    let mut file = private_temporary_file(folder)?;
    file.write_all(content)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(READABLE))?;
    file.persist(path)?;
    Ok(())
}
