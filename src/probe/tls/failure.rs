//! Why a handshake failed, in words that say what to do.

use std::io;

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::verifier::{Seen, TOO_MANY};

/// Names of a certificate that are told.
const MOST_NAMES: usize = 3;
/// Characters of a name that are told.
const NAME_CHARACTERS: usize = 40;

/// Why there is no TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server ended the connection.
    Closed,
    /// The server's answer is not TLS.
    NotTls(String),
    /// Nobody vouches for its certificate.
    Untrusted(String),
    /// Its certificate is not valid now.
    Expired(String),
    /// Its certificate is for other names.
    WrongName(String),
    /// They do not agree.
    Handshake(String),
    /// Anything else, which may pass.
    Other(String),
}

impl Failure {
    /// This machine trusts nobody.
    pub fn untrusted_machine(reason: &str) -> Self {
        Self::Untrusted(format!(
            "{reason}: install them (`ca-certificates`), or name a file in `grants.tls`: `tls = {{ ca = \"ca.pem\" }}`"
        ))
    }

    /// What a failed handshake with a server of this name means.
    pub fn of(error: &io::Error, seen: &Seen, name: &str) -> Self {
        let Some(tls) = inner(error) else {
            return match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => Self::Closed,
                _ => Self::Other(error.to_string()),
            };
        };
        match tls {
            Error::InvalidCertificate(error) => of_certificate(error, seen, name),
            Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion) => {
                Self::Handshake(versions().to_owned())
            }
            // rustls reads chains of at most 64 KiB.
            Error::InvalidMessage(
                InvalidMessage::HandshakePayloadTooLarge | InvalidMessage::CertificatePayloadTooLarge,
            ) => Self::Handshake(
                "the server's TLS has a message of more than 64 KiB, such as too many certificates"
                    .to_owned(),
            ),
            Error::General(reason) if reason.starts_with(TOO_MANY) => Self::Handshake(reason.clone()),
            Error::InvalidMessage(_) if !seen.has_certificate() => Self::NotTls(
                "the port does not speak TLS: remove TLS from the settings, or name the port for TLS"
                    .to_owned(),
            ),
            Error::AlertReceived(AlertDescription::UnrecognisedName) => Self::WrongName(format!(
                "the server has no certificate for the name `{}`: set `server_name` to one of its names",
                shortened(name)
            )),
            // A server that has trouble with itself may get over it.
            Error::AlertReceived(alert @ AlertDescription::InternalError) => {
                Self::Other(format!("the server ended the TLS handshake: {alert:?}"))
            }
            Error::AlertReceived(alert) => Self::Handshake(of_alert(*alert, seen)),
            Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ) => Self::Handshake(versions().to_owned()),
            Error::NoApplicationProtocol => Self::Handshake(
                "the server speaks none of the protocols that the probe offers (ALPN)".to_owned(),
            ),
            other => Self::Handshake(format!("the TLS handshake failed: {other}")),
        }
    }
}

/// What a connection that broke inside TLS says, if TLS itself is the reason.
pub fn broken(error: &io::Error) -> Option<String> {
    match inner(error)? {
        Error::AlertReceived(alert) => Some(of_alert(*alert, &Seen::default())),
        other => Some(format!("TLS failed: {other}")),
    }
}

/// No certificate can be for this name.
pub fn no_name(name: &str) -> String {
    format!("no certificate can be for `{}`: set `server_name` to a host name or an address", shortened(name))
}

fn inner(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

const fn versions() -> &'static str {
    "the server speaks no version of TLS that farrier does, which are 1.2 and 1.3: turn one of them on in the server"
}

fn of_alert(alert: AlertDescription, seen: &Seen) -> String {
    let lacks = "the server asks for a client certificate: name its files in `grants.tls`, \
                 `tls = { cert = \"client.pem\", key = \"client-key.pem\" }`";
    match alert {
        AlertDescription::CertificateRequired => lacks.to_owned(),
        _ if seen.lacks_client_certificate() => lacks.to_owned(),
        AlertDescription::ProtocolVersion => versions().to_owned(),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => format!(
            "the server refuses the client certificate ({alert:?}): name one in `grants.tls.cert` that the server trusts"
        ),
        _ if seen.sent_client_certificate() => {
            format!(
                "the server ended the TLS handshake ({alert:?}), perhaps because of the client certificate"
            )
        }
        _ => format!(
            "the server refuses the TLS handshake ({alert:?}): compare its versions and ciphers with TLS 1.2 and 1.3"
        ),
    }
}

fn of_certificate(error: &CertificateError, seen: &Seen, name: &str) -> Failure {
    match error {
        CertificateError::UnknownIssuer if seen.is_self_signed() => Failure::Untrusted(
            "the server's certificate is self-signed, and not trusted: name its file in `grants.tls`, \
             `tls = { ca = \"server.pem\" }`"
                .to_owned(),
        ),
        CertificateError::UnknownIssuer => Failure::Untrusted(
            "the server's certificate comes from an authority that is not trusted: name the authority's file in \
             `grants.tls`, `tls = { ca = \"ca.pem\" }`"
                .to_owned(),
        ),
        CertificateError::BadSignature => Failure::Untrusted(
            "the server's certificate is not signed by the authority that it names: name the right file in \
             `grants.tls.ca`"
                .to_owned(),
        ),
        CertificateError::Revoked => {
            Failure::Untrusted("the server's certificate is revoked: have a new one issued".to_owned())
        }
        CertificateError::ExpiredContext { not_after, .. } => Failure::Expired(format!(
            "the server's certificate expired{}: renew it, or check this machine's clock",
            at(*not_after)
        )),
        CertificateError::Expired => Failure::Expired(
            "the server's certificate has expired: renew it, or check this machine's clock".to_owned(),
        ),
        CertificateError::NotValidYetContext { not_before, .. } => Failure::Expired(format!(
            "the server's certificate is not valid before{}: check the clocks of this machine and of its issuer",
            at(*not_before)
        )),
        CertificateError::NotValidYet => Failure::Expired(
            "the server's certificate is not valid yet: check the clocks of this machine and of its issuer"
                .to_owned(),
        ),
        CertificateError::NotValidForNameContext { presented, .. } => {
            Failure::WrongName(wrong_name(presented, name))
        }
        CertificateError::NotValidForName => Failure::WrongName(wrong_name(&[], name)),
        other => Failure::Untrusted(format!(
            "the server's certificate cannot be verified: {}",
            Error::InvalidCertificate(other.clone())
        )),
    }
}

fn wrong_name(presented: &[String], wanted: &str) -> String {
    let wanted = shortened(wanted);
    if presented.is_empty() {
        return format!(
            "the server's certificate names no host (subjectAltName), so that it is not for `{wanted}`: issue one with \
             that name"
        );
    }
    // As webpki writes them: `DnsName("db.test")`, `IpAddress(127.0.0.1)`.
    let plain = |name: &String| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
        format!("`{}`", shortened(inner.trim_matches('"')))
    };
    let mut names: Vec<String> = presented.iter().take(MOST_NAMES).map(plain).collect();
    if presented.len() > MOST_NAMES {
        names.push(format!("{} more", presented.len() - MOST_NAMES));
    }
    format!(
        "the server's certificate is for {}, not for `{wanted}`: set `server_name` to one of its names, or issue one for \
         `{wanted}`",
        names.join(", ")
    )
}

fn at(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).ok();
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map(|time| format!(" {time}")).unwrap_or_default()
}

fn shortened(name: &str) -> String {
    let mut shown: String = name.chars().take(NAME_CHARACTERS).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::OtherError;

    use super::*;

    /// What the SDK for probes keeps of a line.
    const KEPT: usize = 200;

    #[test]
    fn each_reason_fits_into_the_line_of_a_probe() {
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_577_923_200));
        let certificate = [
            CertificateError::UnknownIssuer,
            CertificateError::BadSignature,
            CertificateError::Revoked,
            CertificateError::Expired,
            CertificateError::NotValidYet,
            CertificateError::NotValidForName,
            CertificateError::ExpiredContext { time, not_after: time },
            CertificateError::NotValidYetContext { time, not_before: time },
            CertificateError::BadEncoding,
            CertificateError::Other(OtherError(Arc::new(io::Error::other("odd")))),
        ];
        let alerts = [
            AlertDescription::CertificateRequired,
            AlertDescription::ProtocolVersion,
            AlertDescription::UnknownCA,
            AlertDescription::HandshakeFailure,
            AlertDescription::InternalError,
            AlertDescription::UnrecognisedName,
        ];
        let certificate = certificate.map(Error::InvalidCertificate).into_iter();
        let errors = certificate.chain(alerts.map(Error::AlertReceived)).chain([
            Error::InvalidMessage(InvalidMessage::InvalidContentType),
            Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
            Error::NoApplicationProtocol,
            Error::DecryptError,
        ]);
        for error in errors {
            let told = error.to_string();
            let failure = Failure::of(&io::Error::other(error), &Seen::default(), "db.test");
            let (Failure::NotTls(text)
            | Failure::Untrusted(text)
            | Failure::Expired(text)
            | Failure::WrongName(text)
            | Failure::Handshake(text)
            | Failure::Other(text)) = failure
            else {
                panic!("{told}")
            };
            assert!(text.chars().count() <= KEPT, "{text}");
        }
        let names = ["DnsName(\"a.test\")", "IpAddress(10.0.0.1)", "odd"].map(str::to_owned);
        assert!(wrong_name(&names, "db.test").contains("for `a.test`, `10.0.0.1`, `odd`, not for `db.test`"));
    }
}
