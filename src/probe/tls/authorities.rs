//! Who may vouch for servers: authorities, and the certificates of servers that are trusted themselves.

use std::sync::Arc;

use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};
use webpki::{EndEntityCert, KeyUsage};

use super::provider;

/// Whom a grant of TLS trusts.
#[derive(Debug)]
pub struct Authorities {
    /// None if there is no authority.
    verifier: Option<Arc<WebPkiServerVerifier>>,
    /// The certificates of the file that the grant names.
    named: Vec<Named>,
}

#[derive(Debug)]
struct Named {
    certificate: CertificateDer<'static>,
    /// Vouches for this certificate alone, if it is a server's and no authority's.
    own: Option<Arc<WebPkiServerVerifier>>,
}

impl Authorities {
    /// Those of this machine.
    pub fn of_machine(roots: RootCertStore) -> Result<Self, String> {
        Ok(Self { verifier: Some(verifying(roots)?), named: Vec::new() })
    }

    /// Those of a file.
    pub fn of_file(certificates: Vec<CertificateDer<'static>>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        let mut named = Vec::new();
        for certificate in certificates {
            let mut alone = RootCertStore::empty();
            let store = if is_servers(&certificate) { &mut alone } else { &mut roots };
            store.add(certificate.clone()).map_err(|error| error.to_string())?;
            let own = (!alone.is_empty()).then(|| verifying(alone)).transpose()?;
            named.push(Named { certificate, own });
        }
        let verifier = (!roots.is_empty()).then(|| verifying(roots)).transpose()?;
        Ok(Self { verifier, named })
    }

    /// Verifies a server's certificate.
    pub fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let unknown = || Error::from(CertificateError::UnknownIssuer);
        let named = self.named.iter().find(|named| named.certificate == *end_entity);
        let verifier = named.and_then(|named| named.own.as_ref()).or(self.verifier.as_ref());
        let verifier = verifier.ok_or_else(unknown)?;
        match verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // webpki accepts no authority as a server. `openssl req -x509` makes both at once, and OpenSSL accepts such a
            // certificate where it is trusted itself. That it is valid now was checked before this.
            Err(error) if is_authority(&error) => {
                named.ok_or_else(unknown)?;
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }
}

/// Verifies with these authorities.
fn verifying(roots: RootCertStore) -> Result<Arc<WebPkiServerVerifier>, String> {
    let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    built.map_err(|error| error.to_string())
}

/// Whether a certificate is for a server, and no authority's. As an authority, whoever has its key could vouch for
/// every name. Of one that is not valid now, webpki tells only that; it counts as an authority's.
fn is_servers(certificate: &CertificateDer<'_>) -> bool {
    let Ok(found) = EndEntityCert::try_from(certificate) else { return false };
    let algorithms = provider().signature_verification_algorithms.all;
    let usage = KeyUsage::server_auth();
    let verified = found.verify_for_usage(algorithms, &[], &[], UnixTime::now(), usage, None, None);
    matches!(verified.err(), Some(webpki::Error::UnknownIssuer))
}

/// Whether a certificate was refused because it is an authority's.
fn is_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}
