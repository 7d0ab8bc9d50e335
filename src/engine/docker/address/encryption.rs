//! What encrypts the connection to an engine: the certificates that docker's own client would use. farrier checks the engine's
//! certificate in any case.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Environment;
use crate::report::error::{Code, Problem};

/// The files of certificates in a folder of docker's.
const AUTHORITIES: &str = "ca.pem";
const CERTIFICATE: &str = "cert.pem";
const KEY: &str = "key.pem";

/// Certificates, as files of PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authorities that may vouch for the engine; `None` for those that this machine trusts.
    pub authorities: Option<PathBuf>,
    /// This user's certificate; `None` to show none.
    pub certificate: Option<PathBuf>,
    /// The certificate's private key.
    pub key: Option<PathBuf>,
}

/// The options of docker's client about encryption, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Whether the connection is encrypted: `--tls`, or `--tlsverify` with any value, as for docker.
    pub is_on: bool,
    /// `--tlscacert`.
    pub authorities: Option<OsString>,
    /// `--tlscert`.
    pub certificate: Option<OsString>,
    /// `--tlskey`.
    pub key: Option<OsString>,
}

/// Whether connections to this address can be encrypted by TLS.
fn can_be_encrypted(host: &str) -> bool {
    ["tcp://", "http://", "https://"].iter().any(|scheme| host.starts_with(scheme))
}

/// As options and variables say.
///
/// # Errors
/// If a file that is needed does not exist.
pub(super) fn of_client(
    host: &str,
    options: &TlsOptions,
    environment: &Environment,
    config: &Path,
) -> Result<Option<TlsFiles>, Problem> {
    let is_on = options.is_on || environment.tls || host.starts_with("https://");
    if !is_on || !can_be_encrypted(host) {
        return Ok(None);
    }
    let folder = environment.certificates.as_deref().unwrap_or(config);
    let file = |given: &Option<OsString>, usual: &str| match given.as_ref().filter(|given| !given.is_empty())
    {
        Some(given) => Some(PathBuf::from(given)),
        None => Some(folder.join(usual)).filter(|usual| usual.is_file()),
    };
    let files = TlsFiles {
        authorities: file(&options.authorities, AUTHORITIES),
        certificate: file(&options.certificate, CERTIFICATE),
        key: file(&options.key, KEY),
    };
    if let (None, Some(folder)) = (&files.authorities, &environment.certificates) {
        let message = format!("DOCKER_CERT_PATH names {}, which has no {AUTHORITIES}", folder.display());
        return Err(Problem::error(Code::EngineContext, message).hint(format!(
            "Put the certificate of the authority that signed the engine's there, as {AUTHORITIES}."
        )));
    }
    Ok(Some(files))
}

/// As a context says, whose certificates are in this folder.
pub(super) fn of_context(host: &str, folder: &Path) -> Option<TlsFiles> {
    let file = |name: &str| Some(folder.join(name)).filter(|file| file.is_file());
    let files = TlsFiles { authorities: file(AUTHORITIES), certificate: file(CERTIFICATE), key: file(KEY) };
    let is_on = files != TlsFiles::default() || host.starts_with("https://");
    (is_on && can_be_encrypted(host)).then_some(files)
}

#[cfg(test)]
mod tests {
    use super::super::{Choice, resolve};
    use super::*;
    use crate::system::digest::sha256_hex;

    fn write(path: &Path) {
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, "").expect("a file");
    }

    #[test]
    fn options_come_before_the_folder_and_both_before_docker_s_own() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |name: &str| home.path().join(name);
        for name in [".docker/ca.pem", ".docker/cert.pem", ".docker/key.pem", "certs/ca.pem"] {
            write(&at(name));
        }
        let mut given = Environment {
            home: Some(home.path().to_owned()),
            host: Some("tcp://engine:2376".to_owned()),
            ..Environment::default()
        };
        let tls = |choice: &Choice, given: &Environment| {
            resolve(choice, given).map(|found| found.tls).map_err(|problem| problem.code)
        };
        assert_eq!(tls(&Choice::default(), &given), Ok(None));
        given.tls = true;
        let own = TlsFiles {
            authorities: Some(at(".docker/ca.pem")),
            certificate: Some(at(".docker/cert.pem")),
            key: Some(at(".docker/key.pem")),
        };
        assert_eq!(tls(&Choice::default(), &given), Ok(Some(own.clone())));
        given.certificates = Some(at("certs"));
        let in_folder = TlsFiles { authorities: Some(at("certs/ca.pem")), ..TlsFiles::default() };
        assert_eq!(tls(&Choice::default(), &given), Ok(Some(in_folder)));
        let written = TlsOptions { authorities: Some("mine.pem".into()), ..TlsOptions::default() };
        let choice = Choice { tls: written, ..Choice::default() };
        let mine = TlsFiles { authorities: Some("mine.pem".into()), ..TlsFiles::default() };
        assert_eq!(tls(&choice, &given), Ok(Some(mine)));
        given.certificates = Some(at("nothing"));
        assert_eq!(tls(&Choice::default(), &given), Err(Code::EngineContext));
        given.host = Some("unix:///run/docker.sock".to_owned());
        assert_eq!(tls(&Choice::default(), &given), Ok(None));
    }

    #[test]
    fn a_context_has_certificates_of_its_own_and_never_skips_their_check() {
        let home = tempfile::tempdir().expect("a folder");
        let contexts = home.path().join(".docker/contexts");
        let context = |name: &str, endpoint: serde_json::Value| {
            let folder = contexts.join("meta").join(sha256_hex(name));
            std::fs::create_dir_all(&folder).expect("a folder");
            let meta = serde_json::json!({"Name": name, "Endpoints": {"docker": endpoint}});
            std::fs::write(folder.join("meta.json"), meta.to_string()).expect("a file");
        };
        let certificates = contexts.join("tls").join(sha256_hex("far")).join("docker");
        write(&certificates.join("ca.pem"));
        context("far", serde_json::json!({"Host": "tcp://far:2376", "SkipTLSVerify": false}));
        context("plain", serde_json::json!({"Host": "tcp://far:2375"}));
        context("careless", serde_json::json!({"Host": "tcp://far:2376", "SkipTLSVerify": true}));
        let given = Environment { home: Some(home.path().to_owned()), tls: true, ..Environment::default() };
        let resolved =
            |name: &str| resolve(&Choice { context: Some(name.into()), ..Choice::default() }, &given);
        let authorities = Some(certificates.join("ca.pem"));
        assert_eq!(
            resolved("far").map(|found| found.tls),
            Ok(Some(TlsFiles { authorities, ..TlsFiles::default() }))
        );
        assert_eq!(resolved("plain").map(|found| found.tls), Ok(None));
        let refused = resolved("careless").expect_err("it is refused");
        assert_eq!(refused.code, Code::EngineContext);
        assert!(refused.message.contains("skips the check"), "{}", refused.message);
    }
}
