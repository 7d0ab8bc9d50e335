//! Becomes a program of this host that its definition limits: with the kernel's limits for each process, as another
//! user, or confined. This is a process of its own, because all of it holds for whoever executes the program.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::fchown;
use rustix::process::{Gid, Resource, Rlimit, Uid, geteuid, getrlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::confining;
use super::container::process_one::Report;
use super::container::program::exit_code;
use super::container::user::User;
use super::control_group::ControlGroup;
use super::instance_folder::InstanceFolder;
use super::roles::Failure;
use super::specification::{ProgramSpecification, Runs, Specification};
use crate::plan::sidecar::Sidecar;
use crate::report::error::{Code, Problem};

/// What definitions call no limit.
const UNLIMITED: i64 = -1;
/// As a shell has it.
const NOT_EXECUTABLE: u8 = 126;

/// Becomes the program of the instance in this folder. It comes back only if it cannot.
pub fn run(folder: &Path, limits: &ControlGroup) -> u8 {
    let Ok(mut report) = Report::take() else { return NOT_EXECUTABLE };
    let Err(error) = become_program(&InstanceFolder(folder.to_owned()), limits, None);
    let code = exit_code(&error);
    report.fail(&error);
    code
}

/// Becomes a command beside the program of the instance in this folder. It comes back only if it cannot.
pub fn run_command(folder: &Path, words: &[OsString]) -> u8 {
    let folder = InstanceFolder(folder.to_owned());
    let Err(error) = become_program(&folder, &folder.control_group(), Some(words));
    // Nobody may be left who wants to know.
    let _ = writeln!(io::stderr(), "{}", Failure::of(&error));
    exit_code(&error)
}

fn become_program(
    folder: &InstanceFolder,
    group: &ControlGroup,
    instead: Option<&[OsString]>,
) -> io::Result<std::convert::Infallible> {
    let specification = folder.specification();
    let Some(Specification { runs: Runs::Program(program), env, .. }) = specification else {
        return Err(Failure::said("its specification cannot be read").into());
    };
    let user = program.user.as_deref().map(user_of_this_host).transpose().map_err(Failure::said)?;
    let own = folder.file("work");
    if let Some(user) = &user {
        // Else it could not write to it.
        std::os::unix::fs::chown(&own, Some(user.id), Some(user.group))
            .map_err(Failure::doing("give its folder to the user"))?;
    }
    // Before it is another user's, who may not join it, and before its files are read-only.
    group.join()?;
    let rules = match &program.confinement {
        Some(confinement) => {
            let own = own.canonicalize()?;
            match instead {
                Some(_) => confinement.enter(folder)?,
                None => confinement.separate_mounts(&own)?,
            }
            Some((confinement, confinement.rules(&program.file, &own)?))
        }
        None => None,
    };
    // Before it is another user's, to whom this one's folders are closed.
    std::env::set_current_dir(program.directory.as_ref().unwrap_or(&own))?;
    limit(&program, group)?;
    if let Some((confinement, _)) = &rules {
        confinement.become_starter()?;
        confining::drop_capabilities()?;
    }
    if let Some(user) = &user {
        become_user(user)?;
    }
    if let Some((_, rules)) = rules {
        rules.apply()?;
    }
    let words: Vec<OsString> = match instead {
        Some(words) => words.to_vec(),
        None => program.arguments.iter().map(OsString::from).collect(),
    };
    let (name, arguments) = words.split_first().ok_or_else(|| io::Error::other("there is no program"))?;
    let file = if instead.is_some() { PathBuf::from(name) } else { program.file };
    Err(Command::new(file).arg0(name).args(arguments).env_clear().envs(&env).exec())
}

fn limit(program: &ProgramSpecification, group: &ControlGroup) -> io::Result<()> {
    if let Some(memory) = program.limits.memory.filter(|_| group.folders().is_empty()) {
        let limits = Rlimit { current: Some(memory), maximum: Some(memory) };
        let doing = Failure::doing("limit the memory of each process");
        setrlimit(Resource::Data, limits).map_err(|error| doing(error.into()))?;
    }
    for (name, (soft, hard)) in &program.ulimits {
        let doing = || Failure::doing(format!("set the limit `{name}` to {hard}"));
        let resource = resource(name).ok_or_else(|| doing()(io::ErrorKind::Unsupported.into()))?;
        let limits = Rlimit { current: bound(*soft), maximum: bound(*hard) };
        setrlimit(resource, limits).map_err(|error| doing()(error.into()))?;
    }
    Ok(())
}

/// Becomes the user, for good.
fn become_user(user: &User) -> io::Result<()> {
    let step = |what: &'static str| move |error: rustix::io::Errno| Failure::doing(what)(error.into());
    let (id, group) = (Uid::from_raw(user.id), Gid::from_raw(user.group));
    if id == geteuid() && !id.is_root() {
        return Ok(());
    }
    for stream in [io::stdout().as_fd(), io::stderr().as_fd()] {
        // A server opens `/dev/stdout` by its name.
        let _ = fchown(stream, Some(id), Some(group));
    }
    let groups: Vec<Gid> = user.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    set_thread_groups(&groups).map_err(step("set groups"))?;
    set_thread_res_gid(group, group, group).map_err(step("become the group"))?;
    set_thread_res_uid(id, id, id).map_err(step("become the user"))
}

/// The user with this name or number.
///
/// # Errors
/// One sentence if this host has none.
pub fn user_of_this_host(name: &str) -> Result<User, String> {
    User::find(name).map_err(|_| format!("this host has no user or group `{name}`"))
}

/// What of a program's limits this user cannot set, found before anything is changed.
pub fn refusals(sidecar: &Sidecar) -> Vec<Problem> {
    let definition = &sidecar.definition;
    let keys = &definition.container;
    let mut problems = Vec::new();
    let mut refuse = |field: &str, code: Code, message: String, hint: &str| {
        let problem = Problem::error(code, message).of(sidecar.name());
        problems.push(problem.at(definition.place(field)).hint(hint));
    };
    if keys.program.is_none() {
        return problems;
    }
    let is_root = geteuid().is_root();
    match keys.user.as_deref().map(user_of_this_host) {
        Some(Err(message)) => {
            refuse("user", Code::InvalidValue, message, "Name a user of this host, or a number.");
        }
        Some(Ok(user)) if !is_root && user.id != geteuid().as_raw() => {
            let name = keys.user.as_deref().unwrap_or_default();
            let message = format!("only root can start a program as another user, such as `{name}`");
            refuse("user", Code::EngineLacks, message, "Remove `user`, or run farrier as root.");
        }
        _ => {}
    }
    let may_raise = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_RESOURCE));
    for (name, (_, hard)) in &keys.ulimits {
        let most = resource(name).and_then(|resource| getrlimit(resource).maximum);
        let Some(most) = most.filter(|most| !may_raise && bound(*hard).is_none_or(|hard| hard > *most))
        else {
            continue;
        };
        let message = format!("this user cannot raise the limit `{name}` above {most}");
        let hint = "Lower it, or raise the limit of the user who runs farrier.";
        refuse(&format!("ulimits.{name}"), Code::EngineLacks, message, hint);
    }
    problems
}

pub fn bound(limit: i64) -> Option<u64> {
    u64::try_from(limit).ok().filter(|_| limit != UNLIMITED)
}

/// As docker names them.
pub fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return None,
    })
}
