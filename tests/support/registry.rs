//! A real image registry on this host, from Debian's package.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::docker::{self, Trouble};
use super::engine::{PATIENT, build_directory, skip, wait_until};
use super::fixture;
use super::http::request;
use super::ports::free_port;
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

/// Starts one that asks for a password. None, and a loud message, where the program cannot be had; a failure where Docker is
/// required.
pub fn start(scene: &Scene) -> Option<Registry> {
    let folder = scene.path("registry");
    let authentication =
        format!("auth:\n  htpasswd:\n    realm: test\n    path: {}/passwords\n", folder.display());
    begin(scene, &folder.join("storage"), &authentication)
}

/// Starts one that asks for no password and keeps its images in this folder. None as for [`start`].
pub fn open(scene: &Scene, storage: &Path) -> Option<Registry> {
    begin(scene, storage, "")
}

fn begin(scene: &Scene, storage: &Path, authentication: &str) -> Option<Registry> {
    match program() {
        Ok(program) => Some(Registry::start(&program, scene, storage, authentication)),
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
    fn start(program: &Path, scene: &Scene, storage: &Path, authentication: &str) -> Self {
        let port = free_port();
        let folder = scene.path("registry");
        std::fs::create_dir_all(folder.join("client")).expect("a folder");
        std::fs::write(folder.join("passwords"), format!("{USER}:{PASSWORD_HASH}\n")).expect("passwords");
        let configuration = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n\
             {authentication}",
            storage.display()
        );
        let file = folder.join("config.yml");
        std::fs::write(&file, configuration).expect("configuration");
        let mut process = serving(program, &file);
        let address = format!("127.0.0.1:{port}");
        wait_until("the registry accepts", PATIENT, || {
            let ended = process.try_wait().expect("a child");
            assert!(ended.is_none(), "the registry has ended: {ended:?}");
            TcpStream::connect(&address).is_ok()
        });
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

    /// Serves the same over TLS from now on, with this certificate and key, at the same address.
    pub fn with_tls(mut self, certificate: &Path, key: &Path) -> Self {
        drop(self.process.kill());
        drop(self.process.wait());
        let file = self.folder.join("config.yml");
        let text = std::fs::read_to_string(&file).expect("the configuration");
        let tls =
            format!("  tls:\n    certificate: {}\n    key: {}\nauth:", certificate.display(), key.display());
        std::fs::write(&file, text.replace("auth:", &tls)).expect("the configuration");
        self.process = serving(&self.program, &file);
        let address = self.address.clone();
        wait_until("the registry accepts", PATIENT, || TcpStream::connect(&address).is_ok());
        self
    }

    /// Puts the image of a layout under this name into the registry; gives its reference, and the one by its digest.
    pub fn push(&self, layout: &Path, name: &str, tag: &str) -> (String, String) {
        let authorization = "authorization: Basic ZmFycmllcjpVKlU=\r\n";
        let blobs = layout.join("blobs/sha256");
        let index: Value = read_json(&layout.join("index.json"));
        let digest = index["manifests"][0]["digest"].as_str().expect("a digest");
        let manifest = std::fs::read(blobs.join(digest.trim_start_matches("sha256:"))).expect("a manifest");
        let parts: Value = serde_json::from_slice(&manifest).expect("a manifest");
        let layers = parts["layers"].as_array().expect("layers").iter();
        for part in layers.chain([&parts["config"]]) {
            let digest = part["digest"].as_str().expect("a digest");
            let blob = std::fs::read(blobs.join(digest.trim_start_matches("sha256:"))).expect("a blob");
            let begun =
                request(&self.address, &format!("POST /v2/{name}/blobs/uploads/"), authorization, b"");
            let location = begun.header("location");
            let path = location.split_once(&self.address).expect("a place here").1;
            let headers = format!("{authorization}content-type: application/octet-stream\r\n");
            let put = request(&self.address, &format!("PUT {path}&digest={digest}"), &headers, &blob);
            assert_eq!(put.status(), 201, "{put:?}");
        }
        let headers = format!("{authorization}content-type: application/vnd.oci.image.manifest.v1+json\r\n");
        let put = request(&self.address, &format!("PUT /v2/{name}/manifests/{tag}"), &headers, &manifest);
        assert_eq!(put.status(), 201, "{put:?}");
        let repository = format!("{}/{name}", self.address);
        (format!("{repository}:{tag}"), format!("{repository}@{digest}"))
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

fn serving(program: &Path, configuration: &Path) -> Child {
    Command::new(program)
        .arg("serve")
        .arg(configuration)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the registry starts")
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
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
