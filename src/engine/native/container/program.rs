//! Becomes a container's program: changes the root, becomes the image's user, gives up everything that it may not have, and
//! executes it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::SigSet;
use rustix::fs::{Mode, fchown};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Gid, Uid, chroot, set_dumpable_behavior, umask};

use super::confinement::become_user;
use super::filesystem::{copy_layers, furnish_copy, root_of};
use super::process_one::{Report, container_of};
use super::specification::ContainerSpecification;
use super::user::User;
use crate::engine::native::control_group::ControlGroup;
use crate::engine::native::instance_folder::InstanceFolder;
use crate::engine::native::namespaces;
use crate::engine::native::roles::Failure;
use crate::system::job_control::begin_session;

/// As a shell has it.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Becomes the program of the container in this folder. It comes back only if it cannot.
pub fn run(folder: &Path, limits: &ControlGroup) -> u8 {
    let Ok(mut report) = Report::take() else { return NOT_EXECUTABLE };
    let Err(error) = limits.join().and_then(|()| become_program(&InstanceFolder(folder.to_owned())));
    let code = exit_code(&error);
    report.fail(&error);
    code
}

/// What the exit code is of what cannot be executed.
pub fn exit_code(error: &io::Error) -> u8 {
    if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE }
}

fn become_program(folder: &InstanceFolder) -> io::Result<std::convert::Infallible> {
    // Whoever may look at processes of this user must not find this program's memory and file.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // The supervisor, or process 1, means it and its group.
    begin_session();
    let (container, specification) = container_of(folder)?;
    if container.isolation.is_isolated() {
        std::env::set_current_dir(root_of(folder))?;
        namespaces::change_root()?;
    } else {
        umask(Mode::empty());
        copy_layers(folder, &container)?;
        furnish_copy(folder)?;
        chroot(root_of(folder)).map_err(|error| Failure::doing("change the root")(error.into()))?;
    }
    std::env::set_current_dir("/")?;
    execute(&container, &specification.env, &container.arguments)
}

/// Executes a command in the root of this process, as the container's user.
pub fn execute(
    container: &ContainerSpecification,
    env: &BTreeMap<String, String>,
    arguments: &[String],
) -> io::Result<std::convert::Infallible> {
    umask(Mode::from_raw_mode(0o022));
    // Those that started this wait for signals, which they keep blocked. An execution does not change that.
    SigSet::empty().thread_set_mask()?;
    let user = User::find(&container.user)?;
    let (name, rest) = arguments.split_first().ok_or_else(|| {
        io::Error::other("the image names no program: set `entrypoint` or `command` in the definition")
    })?;
    let mut env = env.clone();
    env.entry("HOME".to_owned()).or_insert_with(|| user.home.clone().unwrap_or_else(|| "/".to_owned()));
    let directory = Path::new(&container.directory);
    // As Docker does, and as root: it may be missing in the image.
    fs::create_dir_all(directory)
        .map_err(Failure::doing(format!("make the folder {}", directory.display())))?;
    for stream in [io::stdout().as_fd(), io::stderr().as_fd()] {
        // A server opens `/dev/stdout` by its name. Where there is one user only, it is that user's already.
        let _ = fchown(stream, Some(Uid::from_raw(user.id)), Some(Gid::from_raw(user.group)));
    }
    container.surroundings.apply_limits()?;
    become_user(&user, &container.surroundings, container.isolation)?;
    std::env::set_current_dir(directory)
        .map_err(Failure::doing(format!("enter the folder {}", directory.display())))?;
    let file = find(name, env.get("PATH").map(String::as_str).unwrap_or_default())?;
    Err(Command::new(file).arg0(name).args(rest).env_clear().envs(&env).exec())
}

/// The file that a word means.
fn find(name: &str, path: &str) -> io::Result<PathBuf> {
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let is_executable = |file: &Path| {
        fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let folders = path.split(':').map(|folder| if folder.is_empty() { "." } else { folder });
    let mut files = folders.map(|folder| Path::new(OsStr::from_bytes(folder.as_bytes())).join(name));
    let missing = || Failure {
        errno: Some(Errno::NOENT.raw_os_error()),
        is_of_step: false,
        message: "it is not on the image's PATH".to_owned(),
    };
    files.find(|file| is_executable(file)).ok_or_else(|| missing().into())
}
