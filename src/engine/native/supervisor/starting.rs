//! Starts what an instance runs: a program of this host as a child, or process 1 of a container in namespaces that the
//! supervisor enters itself.

use std::io::{self, PipeReader, PipeWriter, Read};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::engine::native::container::specification::ContainerSpecification;
use crate::engine::native::control_group::ControlGroup;
use crate::engine::native::forwarding::{Reserved, reserve};
use crate::engine::native::instance_folder::InstanceFolder;
use crate::engine::native::namespaces;
use crate::engine::native::neighbours::Neighbours;
use crate::engine::native::roles::{Failure, LIMITED, PROCESS_ONE, PROGRAM};
use crate::engine::native::specification::{MARK, ProgramSpecification, Runs, Specification};
use crate::system::own_program::OWN_PROGRAM;
use crate::system::process_limits::raise_open_files;

/// The longest word about a failure.
const MOST_BYTES: u64 = 64 << 10;

/// What was started.
pub struct Started {
    /// The process that leads its group.
    pub program: u32,
    /// What it writes to.
    pub streams: [Stream; 2],
    /// The ports that are forwarded to it.
    pub ports: Vec<Reserved>,
    /// What limits it.
    pub limits: ControlGroup,
}

/// What a program writes to; `None` once nobody can write to it any more.
pub struct Stream(Option<pipe::Receiver>);

impl Stream {
    /// What comes out of this end of a pipe.
    pub fn of(reader: PipeReader) -> io::Result<Self> {
        pipe::Receiver::from_owned_fd(OwnedFd::from(reader)).map(|found| Self(Some(found)))
    }

    /// What is written next; empty, and for ever nothing more, at its end.
    pub async fn read(&mut self, chunk: &mut [u8]) -> usize {
        let Some(receiver) = &mut self.0 else { return std::future::pending().await };
        let read = receiver.read(chunk).await.unwrap_or(0);
        if read == 0 {
            self.0 = None;
        }
        read
    }

    /// What is there already. The kernel is asked: the runtime may not have heard of it yet.
    pub fn rest(&self, chunk: &mut [u8]) -> usize {
        let read = |receiver| rustix::io::retry_on_intr(|| rustix::io::read(receiver, &mut *chunk)).ok();
        self.0.as_ref().and_then(read).unwrap_or(0)
    }
}

/// Starts it.
pub fn start(folder: &InstanceFolder, specification: &Specification) -> io::Result<Started> {
    let (output, its_output) = io::pipe()?;
    let (error, its_error) = io::pipe()?;
    let streams = [Stream::of(output)?, Stream::of(error)?];
    let id = folder.id();
    let limits = match ControlGroup::make(&id, specification.limits()) {
        // The kernel counts a program's own memory without a group, too.
        Err(_) if specification.has_own_memory_limit() => ControlGroup::none(),
        made => made?,
    };
    let its = [its_output, its_error];
    let started = match &specification.runs {
        Runs::Program(program) => start_program(folder, (program, &limits), specification, its),
        Runs::Container(container) => start_container(folder, (container, &limits), specification, its),
    };
    let (program, ports) = started.inspect_err(|_| limits.remove())?;
    Ok(Started { program, streams, ports, limits })
}

fn start_program(
    folder: &InstanceFolder,
    (program, limits): (&ProgramSpecification, &ControlGroup),
    specification: &Specification,
    [output, error]: [PipeWriter; 2],
) -> io::Result<(u32, Vec<Reserved>)> {
    let own = folder.file("work");
    let directory = program.directory.as_deref().unwrap_or(&own);
    // The system's own word would be taken for one about the program.
    if !directory.is_dir() {
        return Err(io::Error::other(format!("there is no folder {}", directory.display())));
    }
    if program.is_limited() {
        let mut ports = Vec::new();
        if let Some(confinement) = &program.confinement {
            if confinement.has_own_network {
                ports = reserved(Ipv4Addr::LOCALHOST, &program.ports)?;
            }
            confinement.separate()?;
        }
        let mut command = itself(LIMITED, folder);
        command.args(limits.folders()).process_group(0);
        return Ok((started(command, [output, error])?, ports));
    }
    let (name, arguments) =
        program.arguments.split_first().map_or(("", &[][..]), |(name, rest)| (name, rest));
    let child = Command::new(&program.file)
        .arg0(name)
        .args(arguments)
        .env_clear()
        .envs(&specification.env)
        .current_dir(directory)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(error)
        .spawn()?;
    Ok((child.id(), Vec::new()))
}

fn reserved(address: Ipv4Addr, ports: &[u16]) -> io::Result<Vec<Reserved>> {
    reserve(address, ports).map_err(Failure::doing(format!("listen at {address}, ports {ports:?}")))
}

/// In this order: the ports are this host's, and what is dialled afterwards is inside; a namespace of processes takes no
/// thread of this process any more.
fn start_container(
    folder: &InstanceFolder,
    (container, limits): (&ContainerSpecification, &ControlGroup),
    specification: &Specification,
    [output, error]: [PipeWriter; 2],
) -> io::Result<(u32, Vec<Reserved>)> {
    let is_isolated = container.isolation.is_isolated();
    let mut ports = Vec::new();
    raise_open_files();
    if is_isolated {
        ports = reserved(container.address, &container.ports)?;
        namespaces::separate(container.isolation)?;
        // Before its program may ask for a neighbour. It runs without them, too: whoever needs one says so.
        let _ = Neighbours::serve(&folder.0, specification);
    }
    let mut command = itself(if is_isolated { PROCESS_ONE } else { PROGRAM }, folder);
    command.args(limits.folders());
    Ok((started(command, [output, error])?, ports))
}

/// farrier itself, in a role for this instance.
fn itself(role: &str, folder: &InstanceFolder) -> Command {
    let mut command = Command::new(OWN_PROGRAM);
    command.arg0("farrier").arg(role).arg(&folder.0).env_clear();
    command.env(MARK, &*folder.id());
    command
}

/// Starts farrier in a role in which it becomes something else, or says why it cannot.
fn started(mut command: Command, [output, error]: [PipeWriter; 2]) -> io::Result<u32> {
    // Its end comes when the program is executed, or with a word why it is not.
    let (mut said, report) = io::pipe()?;
    let child = command
        .stdin(report)
        .stdout(output)
        .stderr(error)
        .spawn()
        .map_err(Failure::doing("start a process"))?;
    // The command holds the other ends, too.
    drop(command);
    let mut word = Vec::new();
    Read::by_ref(&mut said).take(MOST_BYTES).read_to_end(&mut word)?;
    if word.is_empty() {
        return Ok(child.id());
    }
    let failure = serde_json::from_slice::<Failure>(&word);
    Err(failure.unwrap_or_else(|error| Failure::said(error.to_string())).into())
}
