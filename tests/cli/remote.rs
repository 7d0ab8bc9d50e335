//! Engines that are elsewhere: what is said if one is not the engine that it should be, or the way to it is not there.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::skipping::say_skipped;
use crate::support::{Outcome, Scene};

/// Two authorities; of the first one: certificates for this host, for another one, one that is expired, and a user's.
const CERTIFICATES: &str = "set -e
for who in ca other; do
  openssl req -x509 -newkey rsa:2048 -nodes -keyout $who.key -out $who.pem -days 2 -subj /CN=$who
done
mkdir -p right wrong none && cp ca.pem right/ && cp other.pem wrong/ca.pem
openssl req -newkey rsa:2048 -nodes -keyout host.key -out host.csr -subj /CN=host
printf '%s\\n' '[ca]' 'default_ca=d' '[d]' 'database=index' 'new_certs_dir=.' 'serial=serial' 'default_md=sha256' \\
  'policy=p' 'unique_subject=no' 'x509_extensions=e' '[p]' 'commonName=supplied' '[e]' 'subjectAltName=IP:127.0.0.1' >config
sed 's/127.0.0.1/127.0.0.2/' config >config-other
: >index; echo 01 >serial
sign() { openssl ca -batch -notext -cert ca.pem -keyfile ca.key -in host.csr \"$@\"; }
sign -config config -out host.pem -days 2
sign -config config-other -out other-host.pem -days 2
sign -config config -out expired.pem -startdate 20200101000000Z -enddate 20210101000000Z";

/// A server with this certificate, which ends with the test.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(folder: &Path, certificate: &str, more: &[&str]) -> Self {
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-key", "host.key", "-cert", certificate])
            .args(more)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        let address = lines.find_map(|line| line.strip_prefix("ACCEPT ").map(str::to_owned));
        // Whoever does not read on would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: format!("tcp://{}", address.expect("it listens")) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn certificates(scene: &Scene) -> Option<std::path::PathBuf> {
    let folder = scene.path("certificates");
    std::fs::create_dir_all(&folder).expect("a folder");
    let made = Command::new("sh").args(["-c", CERTIFICATES]).current_dir(&folder).output();
    match made {
        Ok(made) if made.status.success() => Some(folder),
        made => {
            say_skipped(&format!("certificates need `openssl`: {made:?}"));
            None
        }
    }
}

fn up(scene: &Scene, host: &str, variables: &[(&str, &str)]) -> Outcome {
    let run =
        scene.up().env("DOCKER_HOST", host).env_remove("DOCKER_TLS_VERIFY").env_remove("DOCKER_CERT_PATH");
    variables.iter().fold(run, |run, (name, value)| run.env(*name, *value)).output()
}

fn scene() -> Scene {
    let scene = Scene::new();
    scene.define(
        "db",
        "lifecycle = \"shared\"\nimage = \"x:1\"\n[interface]\nkind = \"port\"\nport = 1\n[readiness]\nprobe = \"tcp\"\n",
    );
    scene
}

#[test]
fn an_engine_that_cannot_prove_who_it_is_is_refused_with_the_reason() {
    let scene = scene();
    let Some(folder) = certificates(&scene) else { return };
    let path = |name: &str| folder.join(name).display().to_string();
    let demanding: &[&str] = &["-Verify", "1", "-CAfile", "ca.pem"];
    for (authorities, certificate, more, expected) in [
        ("wrong", "host.pem", &[][..], ["UnknownIssuer", "Check `ca.pem`"]),
        ("right", "expired.pem", &[], ["certificate expired", "Renew the engine's certificate"]),
        ("right", "other-host.pem", &[], ["not valid for name", "a name or an address"]),
        ("right", "host.pem", demanding, ["fatal alert", "Check `cert.pem` and `key.pem`"]),
    ] {
        let server = Server::start(&folder, certificate, more);
        let given = path(authorities);
        for switch in ["DOCKER_TLS_VERIFY", "DOCKER_TLS"] {
            let outcome = up(&scene, &server.address, &[(switch, "1"), ("DOCKER_CERT_PATH", &given)]);
            let said = outcome.assert_code(125).stderr();
            assert!(expected.iter().all(|words| said.contains(words)), "{certificate} {switch}: {said}");
            assert_eq!(scene.take_codes(), ["engine-unreachable"], "{certificate}");
        }
    }
    let none = path("none");
    let outcome = up(&scene, "tcp://127.0.0.1:1", &[("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", &none)]);
    assert!(outcome.assert_code(125).stderr().contains("has no ca.pem"));
    assert_eq!(scene.take_codes(), ["engine-context"]);
}

#[test]
fn what_ssh_says_is_told_with_what_to_do() {
    let scene = scene();
    let folder = scene.path("bin");
    std::fs::create_dir_all(&folder).expect("a folder");
    let paths = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    for (words, hint) in [
        ("Host key verification failed.", "Run `ssh HOST` once"),
        ("me@h: Permission denied (publickey).", "ssh-add"),
        ("ssh: connect to host h port 22: No route to host", "Check that `ssh HOST docker info` works"),
    ] {
        let script = format!(
            "#!/bin/sh\necho \"$*\" >{}\necho '{words}' >&2\nexit 255\n",
            scene.path("words").display()
        );
        let program = folder.join("ssh");
        std::fs::write(&program, script).expect("a script");
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("a mode");
        let outcome = up(&scene, "ssh://me@h:2222", &[("PATH", &paths)]);
        let said = outcome.assert_code(125).stderr();
        assert!(said.contains(words) && said.contains(hint), "{said}");
        assert_eq!(scene.take_codes(), ["engine-unreachable"], "{words}");
        let asked = std::fs::read_to_string(scene.path("words")).expect("it was run");
        assert!(asked.contains("BatchMode=yes") && asked.contains("-p 2222 -l me -- h "), "{asked}");
    }
    let outcome = up(&scene, "ssh://me:secret@h", &[("PATH", &paths)]);
    assert!(outcome.assert_code(125).stderr().contains("has a password"));
}
