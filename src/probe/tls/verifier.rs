//! Verifying a server's certificate, and noting what explains a refusal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use webpki::EndEntityCert;

use super::authorities::Authorities;

/// The most certificates beside the server's own. Chains of the web's authorities have one to three. Verifying tries each order
/// of certificates that name each other, for as long as webpki lets it: 120 of them took 1.9 s, these take some milliseconds.
const MOST_INTERMEDIATES: usize = 8;
/// How the reason for that begins.
pub(super) const TOO_MANY: &str = "the server sends";

/// What one handshake showed, for whoever explains its failure.
#[derive(Debug, Default)]
pub struct Seen {
    /// The server's certificate is its own issuer.
    self_signed: AtomicBool,
    /// The server sent a certificate: it speaks TLS.
    certificate: AtomicBool,
    /// The server asked for a client certificate, and there is none.
    wants_client: AtomicBool,
    /// The server asked for a client certificate, and got one.
    got_client: AtomicBool,
}

impl Seen {
    pub fn is_self_signed(&self) -> bool {
        self.self_signed.load(Ordering::Relaxed)
    }

    pub fn has_certificate(&self) -> bool {
        self.certificate.load(Ordering::Relaxed)
    }

    pub fn lacks_client_certificate(&self) -> bool {
        self.wants_client.load(Ordering::Relaxed)
    }

    pub fn sent_client_certificate(&self) -> bool {
        self.got_client.load(Ordering::Relaxed)
    }
}

/// Verifies with authorities, or, without any, only that the server has its certificate's key.
#[derive(Debug)]
pub struct Verifier {
    authorities: Option<Arc<Authorities>>,
    provider: Arc<CryptoProvider>,
    seen: Arc<Seen>,
}

impl Verifier {
    pub fn new(
        authorities: Option<Arc<Authorities>>,
        provider: Arc<CryptoProvider>,
        seen: Arc<Seen>,
    ) -> Self {
        Self { authorities, provider, seen }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.seen.certificate.store(true, Ordering::Relaxed);
        let Some(authorities) = &self.authorities else { return Ok(ServerCertVerified::assertion()) };
        if intermediates.len() > MOST_INTERMEDIATES {
            let count = intermediates.len() + 1;
            return Err(Error::General(format!(
                "{TOO_MANY} {count} certificates, and farrier verifies at most {}: let it send its own and those that \
                 vouch for it, without the authority's",
                MOST_INTERMEDIATES + 1
            )));
        }
        let verified = authorities.verify(end_entity, intermediates, server_name, ocsp_response, now);
        if verified.is_err() {
            let is_own =
                EndEntityCert::try_from(end_entity).is_ok_and(|found| found.issuer() == found.subject());
            self.seen.self_signed.store(is_own, Ordering::Relaxed);
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The client certificate, if there is one, for servers that ask for it.
#[derive(Debug)]
pub struct Client {
    certificate: Option<Arc<CertifiedKey>>,
    seen: Arc<Seen>,
}

impl Client {
    pub fn new(certificate: Option<Arc<CertifiedKey>>, seen: Arc<Seen>) -> Self {
        Self { certificate, seen }
    }
}

impl ResolvesClientCert for Client {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let noted = if self.certificate.is_some() { &self.seen.got_client } else { &self.seen.wants_client };
        noted.store(true, Ordering::Relaxed);
        self.certificate.clone()
    }

    fn has_certs(&self) -> bool {
        // Else rustls does not ask, and a server that asks would go unnoticed.
        true
    }
}
