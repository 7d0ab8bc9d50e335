//! TLS by the host: names and handles that are none, too many handshakes, and servers that abuse them.

use std::net::SocketAddr;
use std::sync::Arc;

use farrier::definition::grants::TlsGrant;
use farrier::probe::context::ProbeContext;
use farrier::probe::tls::Tls;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::attempt::Expected::{Crashed, Failed, Pending, Told};
use super::attempt::{Attempt, Guest};
use super::connections::{Server, granting};
use super::support::certificates::Certificates;

/// A server that shakes hands with everybody, and then says nothing, or sends zeroes without end.
async fn secured(certificates: &Certificates, is_flooding: bool) -> SocketAddr {
    let certificate = CertificateDer::from_pem_file(certificates.path("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(certificates.path("server.key")).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate with its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                while is_flooding && stream.write_all(&[0; 16 << 10]).await.is_ok() {}
                // Held until the guest closes it.
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            });
        }
    });
    address
}

/// May connect to this place, and speak any TLS there.
fn speaking(place: SocketAddr) -> ProbeContext {
    let grant = TlsGrant { insecure: true, ..TlsGrant::default() };
    let tls = Tls::of(&grant, |path| std::fs::read(path)).expect("no files");
    ProbeContext { tls: Some(Arc::new(tls)), ..granting(&[("db", place)]) }
}

pub async fn attempts() -> Vec<Attempt> {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(certificates) = Certificates::in_folder(folder.path()) else { return Vec::new() };
    let (silent, held) = (Server::silent().await, secured(&certificates, false).await);
    let flooding = secured(&certificates, true).await;
    let guest =
        |probe_context: ProbeContext, place: SocketAddr| Guest::shaking_hands(probe_context, place.port());
    let (mute, held, flooded) =
        (guest(speaking(silent), silent), guest(speaking(held), held), guest(speaking(flooding), flooding));
    let ungranted = guest(granting(&[("db", silent)]), silent);
    vec![
        ungranted.tries("TLS without a grant", &json!({"try": "many", "with": 1}), Failed("not granted")),
        mute.tries("TLS with a silent server", &json!({"try": "many", "with": 1}), Told),
        held.tries("fifty handshakes", &json!({"try": "many", "with": 50}), Pending("shook hands 50 times")),
        held.tries(
            "thousands of handshakes",
            &json!({"try": "many", "with": 5000}),
            Pending("too many handshakes"),
        ),
        held.tries("TLS inside TLS", &json!({"try": "twice"}), Pending("inside TLS already")),
        held.tries(
            "a connection given to TLS",
            &json!({"try": "use-after-start"}),
            Crashed("unknown handle"),
        ),
        held.tries(
            "the protocol of nothing",
            &json!({"try": "forged-handle", "with": 9}),
            Crashed("unknown handle"),
        ),
        held.tries(
            "a server's name of 300 KB",
            &json!({"try": "long-name", "with": 300_000}),
            Pending("too long"),
        ),
        held.tries(
            "a server's name of 2 MiB",
            &json!({"try": "long-name", "with": 2 << 20}),
            Crashed("too much data"),
        ),
        held.tries(
            "a thousand protocols",
            &json!({"try": "many-protocols", "with": 1000}),
            Pending("too long"),
        ),
        held.tries(
            "a protocol of 10 KB",
            &json!({"try": "long-protocol", "with": 10_000}),
            Pending("too long"),
        ),
        held.tries(
            "a protocol without a name",
            &json!({"try": "long-protocol", "with": 0}),
            Pending("too long"),
        ),
        held.tries(
            "a server without a name",
            &json!({"try": "name", "with": ""}),
            Pending("no certificate can be for"),
        ),
        held.tries(
            "a name with NUL",
            &json!({"try": "name", "with": "a\0b"}),
            Pending("no certificate can be for"),
        ),
        held.tries(
            "a name of a port",
            &json!({"try": "name", "with": "db:443"}),
            Pending("no certificate can be for"),
        ),
        flooded.tries("a flood inside TLS", &json!({"try": "read", "with": 200}), Pending("read")),
    ]
}
