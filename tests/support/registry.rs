//! A real image registry on this host, from Debian's package, that asks for a password.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::docker::{self, Trouble};
use super::engine::{build_directory, skip, wait_until};
use super::fixture;
use super::scene::Scene;

/// The user that the registry knows.
const USER: &str = "farrier";
/// A test vector of bcrypt's reference implementation: this password's hash.
const PASSWORD: &str = "U*U";
const PASSWORD_HASH: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

/// A running registry; ended when dropped.
pub struct Registry {
    process: Child,
    /// Its address as it stands in image references.
    pub address: String,
    folder: PathBuf,
    program: PathBuf,
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Starts one. None, and a loud message, where the program cannot be had; a failure where Docker is required.
pub fn start(scene: &Scene) -> Option<Registry> {
    match program() {
        Ok(program) => Some(Registry::start(&program, scene)),
        Err(trouble) => {
            skip(&trouble);
            None
        }
    }
}

/// Docker's client configuration with the registry's password, or without it.
pub fn client_configuration(address: &str, with_password: bool) -> String {
    // base64 of `farrier:U*U`.
    debug_assert_eq!((USER, PASSWORD), ("farrier", "U*U"));
    let auth = if with_password { "ZmFycmllcjpVKlU=" } else { "ZmFycmllcjp3cm9uZw==" };
    format!(r#"{{"auths":{{"{address}":{{"auth":"{auth}"}}}}}}"#)
}

impl Registry {
    fn start(program: &Path, scene: &Scene) -> Self {
        let port = {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            free.local_addr().expect("its address").port()
        };
        let folder = scene.path("registry");
        std::fs::create_dir_all(folder.join("client")).expect("a folder");
        std::fs::write(folder.join("passwords"), format!("{USER}:{PASSWORD_HASH}\n")).expect("passwords");
        let configuration = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {0}/storage\nhttp:\n  addr: 127.0.0.1:{port}\n\
             auth:\n  htpasswd:\n    realm: test\n    path: {0}/passwords\n",
            folder.display()
        );
        let file = folder.join("config.yml");
        std::fs::write(&file, configuration).expect("configuration");
        let process = Command::new(program)
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the registry starts");
        let address = format!("127.0.0.1:{port}");
        wait_until("the registry accepts", Duration::from_secs(30), || TcpStream::connect(&address).is_ok());
        let client = client_configuration(&address, true);
        std::fs::write(folder.join("client/config.json"), client).expect("client configuration");
        Self { process, address, folder, program: program.to_owned() }
    }

    /// Ends it, and gives the command that serves the same again, for where this host's loopback is another one.
    pub fn moved(mut self) -> [PathBuf; 3] {
        drop(self.process.kill());
        drop(self.process.wait());
        [self.program.clone(), "serve".into(), self.folder.join("config.yml")]
    }

    /// Puts a copy of a local image under this name into the registry, and leaves none on the engine.
    pub fn publish(&self, image: &str, name: &str) -> String {
        let reference = format!("{}/{name}", self.address);
        let client = self.folder.join("client").display().to_string();
        for arguments in [
            vec!["tag", image, &reference],
            vec!["--config", &client, "push", "--quiet", &reference],
            vec!["rmi", &reference],
        ] {
            docker::run(arguments).unwrap_or_else(|trouble| panic!("{trouble}"));
        }
        reference
    }
}

/// Debian's `docker-registry`, downloaded and unpacked once, not installed.
fn program() -> Result<PathBuf, Trouble> {
    let folder = build_directory().join("registry");
    let program = folder.join("root/usr/bin/docker-registry");
    std::fs::create_dir_all(&folder).map_err(|error| Trouble::new(error.to_string(), "Check the disk."))?;
    let _lock = fixture::lock(&folder, "registry")?;
    if program.exists() {
        return Ok(program);
    }
    let script = "apt-get --quiet --quiet -o APT::Sandbox::User=\"$(id -un)\" download docker-registry \
                  && dpkg-deb -x docker-registry_*.deb unpacked && mv unpacked root";
    let output = Command::new("bash").args(["-c", script]).current_dir(&folder).output();
    match output {
        Ok(output) if output.status.success() => Ok(program),
        Ok(output) => Err(Trouble::new(
            format!("docker-registry cannot be had: {}", String::from_utf8_lossy(&output.stderr).trim()),
            "Run `apt-get update` on a Debian or Ubuntu machine whose package mirror is in reach.",
        )),
        Err(error) => Err(Trouble::new(format!("cannot run bash: {error}"), "Install bash.")),
    }
}
