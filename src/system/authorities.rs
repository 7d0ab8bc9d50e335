//! The authorities that this machine trusts to vouch for servers, or the files that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.

use std::ffi::OsString;

use rustls::RootCertStore;

/// Reads them. Blocks.
///
/// # Errors
/// If there are none, with the reason if the system tells one.
pub fn of_this_machine() -> Result<RootCertStore, String> {
    let named = std::env::var_os("SSL_CERT_FILE");
    let is_endless = |file: &OsString| std::fs::metadata(file).is_ok_and(|found| !found.is_file());
    if let Some(file) = named.filter(is_endless) {
        // Reading a device or a pipe may never end.
        return Err(format!(
            "the variable `SSL_CERT_FILE` names {}, which is not a regular file",
            file.display()
        ));
    }
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    // Files of many authorities have some that nobody can use any more.
    roots.add_parsable_certificates(system.certs);
    if roots.is_empty() {
        let reason = system.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(format!("this machine has no certificates of trusted authorities{reason}"));
    }
    Ok(roots)
}
