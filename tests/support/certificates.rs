//! Certificates of each kind, made by OpenSSL, and servers that use them.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::ports::free_port;
use super::scene::Scene;
use super::skipping::{REQUIRE_DOCKER, skip_unless_required};
use super::{PATIENT, wait_until};

const SCRIPT: &str = include_str!("../servers/certificates.sh");

/// A folder of certificates: `NAME.pem` and `NAME.key`.
pub struct Certificates(PathBuf);

impl Certificates {
    /// Makes them in the scene's folder of this name. None, and a loud message, if this machine has no OpenSSL.
    pub fn in_folder(folder: &Path) -> Option<Self> {
        std::fs::create_dir_all(folder).expect("a folder");
        let made = Command::new("bash").args(["-c", SCRIPT, "certificates.sh"]).arg(folder).output();
        let why = match made {
            Ok(output) if output.status.success() => return Some(Self(folder.to_owned())),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        skip_unless_required(REQUIRE_DOCKER, &format!("`openssl` makes no certificates: {why}"));
        None
    }

    /// For a test without a definition's folder.
    pub fn of(scene: &Scene) -> Option<Self> {
        Self::in_folder(&scene.path("certificates"))
    }

    pub fn path(&self, file: &str) -> String {
        self.0.join(file).display().to_string()
    }

    pub fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.0.join(file)).expect("a certificate")
    }

    /// An HTTPS server with this certificate and these options of `openssl s_server`, as long as the value lives.
    pub fn serve(&self, name: &str, options: &[&str]) -> Server {
        let port = free_port();
        let mut command = Command::new("openssl");
        command.args(self.server(name, port)).args(options);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let server = Server { child: child.expect("openssl runs"), port };
        wait_until("the server listens", PATIENT, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        server
    }

    /// The arguments of `openssl` for a server that answers each request with a page.
    pub fn server(&self, name: &str, port: u16) -> Vec<String> {
        let file = |ending: &str| self.path(&format!("{name}.{ending}"));
        let words = ["s_server", "-www", "-accept"].map(str::to_owned).into_iter();
        let at = [port.to_string(), "-cert".to_owned(), file("pem"), "-key".to_owned(), file("key")];
        words.chain(at).collect()
    }
}

/// A server that ends with this value.
pub struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Where it listens, by a name that its certificate may be for.
    pub fn at(&self, host: &str) -> String {
        format!("{host}:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
