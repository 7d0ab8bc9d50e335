//! farrier's main job, on a machine with Rust and nothing else, with Docker or without:
//!
//! ```text
//! cargo quickstart            # again and again: the sidecar is reused
//! cargo quickstart --clean    # removes everything that it made
//! ```
//!
//! The example builds a tiny local image (no registry), writes a definition that you can edit, and runs
//! `farrier launch` with a harness that talks to its sidecar, on the engine that `DOCKER_HOST` names, Podman too; with
//! `FARRIER_ENGINE=swarm`, on the Swarm whose manager that is. Where no Docker engine answers, the image is a folder, and
//! farrier runs it itself. With `farrier` as its first argument, the example acts as farrier itself, so that no second build
//! is needed.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

#[allow(dead_code, reason = "the integration tests use the rest")]
#[path = "../../tests/support/docker.rs"]
mod docker;
#[allow(dead_code, reason = "the integration tests use the rest")]
#[path = "../../tests/support/fixture.rs"]
mod fixture;

use docker::Trouble;

const IMAGE: &str = "farrier-quickstart:local";
const CONTAINER: &str = "farrier-greeter";
const NETWORK: &str = "farrier";
/// How the line begins that names a Swarm's node.
const PLACEMENT: &str = "placement = [\"node.id == ";
const DEFINITION: &str = r#"# Edit this and run the quickstart again: a changed GREETING recreates the sidecar,
# a changed readiness timeout does not.
lifecycle = "shared"
image = "@IMAGE@"
command = ["serve", "--port", "7000", "--reply-env", "GREETING", "--trace"]
env = { GREETING = "Hello from the sidecar! You sent: {}" }

[interface]
kind = "port"
port = 7000

[readiness]
probe = "tcp"
timeout = "30s"
"#;

/// What the example runs on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    /// Docker: sidecar and harness are containers of its image.
    Docker,
    /// farrier itself: the sidecar is a container of an image in a folder, the harness a program of this host.
    BuiltIn,
}

impl Engine {
    /// As the definition names the image.
    const fn image(self) -> &'static str {
        match self {
            Self::Docker => IMAGE,
            Self::BuiltIn => "oci:../image",
        }
    }
}

fn main() -> ExitCode {
    let all: Vec<OsString> = std::env::args_os().collect();
    // farrier executes itself to compile, and for what it runs without Docker; here it is this program.
    if let Some(code) = farrier::run_role(&all) {
        return code;
    }
    let arguments: Vec<OsString> = all.into_iter().skip(1).collect();
    let first = arguments.first().map(|argument| argument.to_string_lossy().into_owned());
    let done = match first.as_deref() {
        Some("farrier") => return farrier::run(arguments),
        None => start(),
        Some("--clean") if arguments.len() == 1 => clean(),
        Some(_) => {
            Err(Trouble::new("the quickstart accepts no argument except --clean", "Run `cargo quickstart`."))
        }
    };
    match done {
        Ok(code) => code,
        Err(trouble) => {
            tell(io::stderr(), &format!("error: {}\n  {}\n", trouble.message, trouble.next_step));
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<ExitCode, Trouble> {
    let directory = directory()?;
    say("farrier is compiled. The quickstart has four steps and takes a few seconds.\n");
    let engine = match docker::available() {
        Ok(()) => Engine::Docker,
        Err(trouble) => {
            say(&format!(
                "No Docker engine answers, so farrier runs the sidecar itself.\n   {}\n",
                trouble.message
            ));
            Engine::BuiltIn
        }
    };
    say("1. The image. rustc compiles one small static program, which is all that the image contains.");
    say("   This takes a few seconds the first time, and pulls nothing from a registry.");
    let image = fixture::Image::new();
    let program = fixture::compile(&directory)?;
    match engine {
        Engine::Docker => {
            fixture::ensure(&directory, IMAGE, &image)?;
            say(&format!("   {IMAGE}\n"));
        }
        Engine::BuiltIn => {
            let folder = directory.join("image");
            image.layout(&program, &folder)?;
            say(&format!("   {}\n", shown(&folder)));
        }
    }

    let sidecars = directory.join("sidecars");
    let definition = sidecars.join("greeter.toml");
    let kept = define(&sidecars, &definition, engine)?;
    say(&format!("2. The definition, {kept}: {}\n", shown(&definition)));

    let program = program.display().to_string();
    let words = match engine {
        Engine::Docker => vec!["docker", "run", "--rm", IMAGE, "ask-env", "GREETER", "hello"],
        Engine::BuiltIn => vec![program.as_str(), "ask-env", "GREETER", "hello"],
    };
    say("3. The launch. farrier starts the sidecar, waits until it is ready, and runs the harness.");
    say("   farrier writes to stderr, the harness to stdout. Definitions inside a checkout are not trusted;");
    say("   --no-workspace tells farrier that you are not working on this checkout.");
    let options = format!("--no-workspace --user-dir {}", shown(&sidecars));
    say(&format!("   $ farrier launch {options} -- {}\n", words.join(" ")));
    let output = Command::new(own_path()?)
        .args(["farrier", "launch", "--no-workspace", "--user-dir"])
        .arg(shown(&sidecars))
        .arg("--")
        .args(&words)
        .stdout(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .map_err(|error| Trouble::new(format!("cannot run farrier: {error}"), "Build this example again."))?;
    if !output.status.success() {
        let code = output.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
        tell(
            io::stderr(),
            &format!("\nerror: farrier launch ended with {}\n  Its messages are above.\n", output.status),
        );
        return Ok(ExitCode::from(code));
    }
    say(&report(&output.stdout, &definition, engine));
    Ok(ExitCode::SUCCESS)
}

/// Writes the definition, or lets one that is there name the image and the node of this engine; says which. One with another
/// image stays as it is.
fn define(sidecars: &Path, definition: &Path, engine: Engine) -> Result<&'static str, Trouble> {
    let mut own = format!("image = \"{}\"\n", engine.image());
    if engine == Engine::Docker && std::env::var_os("FARRIER_ENGINE").is_some_and(|name| name == "swarm") {
        // No other node has the image.
        let node = docker::run(["info", "--format", "{{.Swarm.NodeID}}"])?;
        let _ = writeln!(own, "{PLACEMENT}{node}\"]");
    }
    let found = fs::read_to_string(definition).ok();
    let before = found.clone().unwrap_or_else(|| DEFINITION.replace("@IMAGE@", engine.image()));
    let (mut text, mut lines) = (String::new(), before.lines().peekable());
    while let Some(line) = lines.next() {
        let is_own = |engine: Engine| line == format!("image = \"{}\"", engine.image());
        if is_own(Engine::Docker) || is_own(Engine::BuiltIn) {
            text.push_str(&own);
            let _ = lines.next_if(|line| line.starts_with(PLACEMENT) && line.ends_with("\"]"));
        } else {
            text.extend([line, "\n"]);
        }
    }
    let kept = match &found {
        None => "new",
        Some(found) if *found == text => return Ok("unchanged"),
        Some(_) => "as this engine needs it",
    };
    fs::create_dir_all(sidecars)
        .and_then(|()| fs::write(definition, text))
        .map_err(|error| unusable(definition, &error))?;
    Ok(kept)
}

/// farrier with these words and the quickstart's definitions.
fn farrier(words: &[&str]) -> Result<Command, Trouble> {
    let mut command = Command::new(own_path()?);
    command.arg("farrier").args(words);
    command.args(["--no-workspace", "--user-dir"]).arg(directory()?.join("sidecars"));
    Ok(command)
}

/// The last line that the sidecar wrote.
fn last_line() -> Result<String, Trouble> {
    let output = farrier(&["logs", "greeter"])?
        .output()
        .map_err(|error| Trouble::new(format!("cannot run farrier: {error}"), "Build this example again."))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned())
}

/// Describes the conversation as the harness and the sidecar report it.
fn report(answer: &[u8], definition: &Path, engine: Engine) -> String {
    let place = match engine {
        Engine::Docker => "in a container of its own",
        Engine::BuiltIn => "a program of this host",
    };
    let mut text = format!("\n4. The result. The harness, {place}, wrote to stdout:\n");
    for line in String::from_utf8_lossy(answer).lines() {
        let _ = writeln!(text, "   {line}");
    }
    text.push_str("   The sidecar logged its side of the conversation:\n");
    let _ = writeln!(text, "   {}", last_line().unwrap_or_else(|trouble| trouble.message));
    let _ = write!(
        text,
        "\nThe sidecar keeps running. Next:\n\
         - run this again: farrier reuses the sidecar, and the harness starts at once;\n\
         - edit GREETING in {0} and run this again: farrier recreates the sidecar and says why;\n\
         - edit the readiness timeout there instead: farrier does not recreate the sidecar;\n\
         - remove everything: cargo quickstart --clean\n\
         In this checkout, type `cargo farrier` in place of `farrier` in the command above.\n",
        shown(definition)
    );
    if engine == Engine::BuiltIn {
        text.push_str("With Docker, the same command runs sidecar and harness as Docker's containers.\n");
    }
    text
}

/// Removes the container, the network unless it is in use, the image and the folder.
fn clean() -> Result<ExitCode, Trouble> {
    let definition = directory()?.join("sidecars/greeter.toml");
    let image = format!("image = \"{}\"", Engine::BuiltIn.image());
    if let Ok(text) = fs::read_to_string(&definition) {
        // On whichever engine it is: a container, or a service of a Swarm.
        let down = farrier(&["down", "greeter", "--yes"])?.status();
        if !down.is_ok_and(|status| status.success()) {
            let message = "farrier could not remove the sidecar; its messages are above";
            return Err(Trouble::new(
                message,
                "Run `cargo quickstart --clean` again, on the engine of the quickstart.",
            ));
        }
        if text.contains(&image) {
            let _ = farrier(&["engine", "prune"])?.status();
        }
    }
    if docker::available().is_ok() {
        clean_docker()?;
    }
    let directory = directory()?;
    if directory.exists() {
        fs::remove_dir_all(&directory).map_err(|error| unusable(&directory, &error))?;
        say(&format!("removed {}", shown(&directory)));
    }
    Ok(ExitCode::SUCCESS)
}

/// Removes what the quickstart has made on Docker.
fn clean_docker() -> Result<(), Trouble> {
    let label = "label=farrier.sidecar";
    let name = format!("name=^/?{CONTAINER}$");
    let found = docker::run(["container", "ls", "--all", "--quiet", "--filter", &name, "--filter", label])?;
    if !found.is_empty() {
        docker::run(["container", "rm", "--force", "--volumes", CONTAINER])?;
        say(&format!("removed the container {CONTAINER}"));
    }
    let filter = format!("network={NETWORK}");
    let used = docker::run(["container", "ls", "--all", "--quiet", "--filter", &filter])?;
    if docker::run(["network", "inspect", "--format", "{{.Id}}", NETWORK]).is_ok() {
        if used.is_empty() {
            // Docker 20.10 may keep the endpoint of a removed container until it is restarted.
            say(&match docker::run(["network", "rm", NETWORK]) {
                Ok(_) => format!("removed the network {NETWORK}"),
                Err(_) => format!(
                    "kept the network {NETWORK}: restart the engine, and run `docker network rm {NETWORK}`"
                ),
            });
        } else {
            say(&format!("kept the network {NETWORK}, because other containers use it"));
        }
    }
    if docker::run(["image", "inspect", "--format", "{{.Id}}", IMAGE]).is_ok() {
        remove_image()?;
        say(&format!("removed the image {IMAGE}"));
    }
    Ok(())
}

/// Removes the image. A node of a Swarm removes the container of a service in its own time.
fn remove_image() -> Result<String, Trouble> {
    let given_up = Instant::now() + Duration::from_secs(10);
    loop {
        match docker::run(["image", "rm", IMAGE]) {
            Err(trouble) if trouble.message.contains("is using") && Instant::now() < given_up => {
                std::thread::sleep(Duration::from_millis(200));
            }
            removed => return removed,
        }
    }
}

/// Returns `quickstart` in cargo's target directory.
fn directory() -> Result<PathBuf, Trouble> {
    let program = own_path()?;
    // The program is `<target>/<profile>/quickstart`.
    let target = program.ancestors().nth(2).unwrap_or(&program);
    Ok(target.join("quickstart"))
}

fn own_path() -> Result<PathBuf, Trouble> {
    std::env::current_exe().map_err(|error| {
        Trouble::new(format!("cannot find this program: {error}"), "Run `cargo quickstart`.")
    })
}

/// Shortens a path below the current directory to the relative path that a user would type.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

fn unusable(path: &Path, error: &io::Error) -> Trouble {
    Trouble::new(
        format!("cannot use {}: {error}", path.display()),
        "Check that you can write there and that the disk is not full.",
    )
}

fn say(text: &str) {
    tell(io::stdout(), &format!("{text}\n"));
}

/// Writes text, and ignores a closed stream.
fn tell(mut stream: impl Write, text: &str) {
    drop(stream.write_all(text.as_bytes()).and_then(|()| stream.flush()));
}
