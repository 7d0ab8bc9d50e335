//! What a registry asks of whoever makes a request: a user's name and password, or a token that another host gives for
//! them, or to anybody.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_auth::parse_challenges;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::credentials::Credentials;
use super::error::{RegistryError, RegistryErrorKind};
use super::http::Http;
use super::source::{refusal, small_body};

/// The largest token that is read.
const MOST_BYTES: u64 = 256 << 10;

/// What a registry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// Name and password.
    Basic,
    /// A token.
    Bearer {
        /// Who gives it.
        realm: String,
        /// For what.
        service: Option<String>,
        /// To do what.
        scope: Option<String>,
    },
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

impl Challenge {
    /// What these headers ask for; a token if there is a choice.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let texts = headers.get_all(WWW_AUTHENTICATE).into_iter().filter_map(|header| header.to_str().ok());
        let mut basic = None;
        for text in texts {
            for challenge in parse_challenges(text).unwrap_or_default() {
                let value = |name: &str| {
                    let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| value.to_unescaped())
                };
                if challenge.scheme.eq_ignore_ascii_case("bearer")
                    && let Some(realm) = value("realm")
                {
                    return Some(Self::Bearer { realm, service: value("service"), scope: value("scope") });
                }
                if challenge.scheme.eq_ignore_ascii_case("basic") {
                    basic = Some(Self::Basic);
                }
            }
        }
        basic
    }

    /// The header that answers it, for this scope if the registry names none. `is_plain` tells that the registry itself is asked
    /// without TLS.
    ///
    /// # Errors
    /// If there are no credentials that it takes.
    pub async fn answer(
        &self,
        http: &Http,
        (host, is_plain): (&str, bool),
        (needed, credentials): (&str, Option<&Credentials>),
    ) -> Result<HeaderValue, RegistryError> {
        match self {
            Self::Basic => {
                let known = credentials.filter(|credentials| credentials.token.is_none());
                basic(known.ok_or_else(|| denied(host, credentials))?)
            }
            Self::Bearer { realm, service, scope } => {
                let is_safe = realm.starts_with("https://") || (is_plain && realm.starts_with("http://"));
                if !is_safe {
                    let message = format!(
                        "the registry at {host} names the token server {realm:?}, which does not use TLS"
                    );
                    return Err(RegistryError::invalid(message));
                }
                let scope = scope.as_deref().unwrap_or(needed);
                let token = token(http, host, (realm, service.as_deref(), scope), credentials).await?;
                header(&format!("Bearer {token}"))
            }
        }
    }
}

async fn token(
    http: &Http,
    host: &str,
    (realm, service, scope): (&str, Option<&str>, &str),
    credentials: Option<&Credentials>,
) -> Result<String, RegistryError> {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let service = service.map(|service| format!("service={}&", encoded(service))).unwrap_or_default();
    let query = format!("{service}scope={}", encoded(scope));
    let mut headers = HeaderMap::new();
    let identity = credentials.and_then(|credentials| credentials.token.as_deref());
    let answer = if let Some(identity) = identity {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form);
        let grant = format!("grant_type=refresh_token&client_id=farrier&refresh_token={}", encoded(identity));
        http.send(&Method::POST, realm, &headers, Bytes::from(format!("{grant}&{query}"))).await?
    } else {
        if let Some(credentials) = credentials {
            headers.insert(AUTHORIZATION, basic(credentials)?);
        }
        let separator = if realm.contains('?') { '&' } else { '?' };
        http.get(&format!("{realm}{separator}{query}"), &headers).await?
    };
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(denied(host, credentials)),
        _ => return Err(refusal(host, answer).await),
    }
    let body = small_body(host, answer.into_body(), MOST_BYTES).await?;
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|error| RegistryError::invalid(format!("the token for {host} cannot be read: {error}")))?;
    let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
    token.ok_or_else(|| {
        RegistryError::invalid(format!("the token server's answer contains no token for {host}"))
    })
}

/// A registry that does not accept who asks.
pub fn denied(host: &str, credentials: Option<&Credentials>) -> RegistryError {
    let message = match credentials {
        None => format!("the registry at {host} requires a login, but there are no credentials for it"),
        Some(found) if found.username.is_empty() => {
            format!("the registry at {host} does not accept the login, which is a token")
        }
        Some(found) => format!("the registry at {host} does not accept the login of `{}`", found.username),
    };
    RegistryError::new(RegistryErrorKind::Denied, message)
}

fn basic(credentials: &Credentials) -> Result<HeaderValue, RegistryError> {
    let pair = format!("{}:{}", credentials.username, credentials.password);
    header(&format!("Basic {}", BASE64_STANDARD.encode(pair)))
}

fn header(text: &str) -> Result<HeaderValue, RegistryError> {
    let mut header = HeaderValue::from_str(text)
        .map_err(|_| RegistryError::invalid("a token contains characters that no HTTP header may contain"))?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn challenge(texts: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for text in texts {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(text).ok()?);
        }
        Challenge::of(&headers)
    }

    #[test]
    fn challenges_as_registries_write_them() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            Some(Challenge::Bearer {
                realm: realm.to_owned(),
                service: service.map(str::to_owned),
                scope: scope.map(str::to_owned),
            })
        };
        for (texts, expected) in [
            (&["Basic realm=\"test\""][..], Some(Challenge::Basic)),
            (
                &[
                    "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:library/x:pull\"",
                ],
                bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:library/x:pull"),
                ),
            ),
            (&["bearer realm=\"https://a\""], bearer("https://a", None, None)),
            (&["Basic realm=\"x\"", "Bearer realm=\"https://a\""], bearer("https://a", None, None)),
            (&["Bearer service=\"x\""], None),
            (&["Negotiate"], None),
            (&[], None),
        ] {
            assert_eq!(challenge(texts), expected, "{texts:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[ -~]{0,60}") {
            let _ = challenge(&[&text]);
        }
    }
}
