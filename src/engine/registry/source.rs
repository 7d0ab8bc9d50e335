//! One place from which an image may be had, and the calls of the distribution API that it takes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use hyper::{Method, Response, StatusCode};
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::authorization::{Challenge, denied};
use super::configuration::{Endpoint, RegistryConfiguration};
use super::credentials::{Credentials, credentials, credentials_for};
use super::error::{RegistryError, RegistryErrorKind};
use super::http::{FinalUri, Http, is_of};
use super::reference::Reference;
use crate::engine::image_file::manifest::{DEEPEST, Descriptor, Document, Index, Manifest};
use crate::engine::image_file::{MOST_BYTES, digest_of, hex_digits};

/// How long an answer may stand still.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a registry may take for its first answer where it is not known how it is asked.
const GUESSING: Duration = Duration::from_secs(5);
/// The most of an error's text that is told.
const MOST_TOLD: usize = 200;
/// The documents that can be read.
const DOCUMENTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json, \
                         application/vnd.docker.distribution.manifest.v2+json";

/// A place from which an image may be had.
pub struct Source {
    http: Arc<Http>,
    configuration: RegistryConfiguration,
    endpoint: Endpoint,
    reference: Reference,
    credentials: OnceCell<Option<Credentials>>,
    /// What the last challenge was answered with.
    authorization: Mutex<Option<HeaderValue>>,
}

/// An image that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The digest that the tag names now.
    pub digest: String,
    /// The parts of the image for this machine.
    pub manifest: Manifest,
    /// Its configuration.
    pub config: Vec<u8>,
}

/// The content of a part, which may begin in the middle.
pub struct Content {
    /// How many bytes stand before it.
    pub from: u64,
    host: String,
    body: Incoming,
}

/// The places from which an image may be had, in the order in which they are asked.
#[must_use]
pub fn sources(reference: &Reference, configuration: &RegistryConfiguration) -> Vec<Source> {
    let endpoints = configuration.endpoints(reference);
    let homes = endpoints.iter().map(|endpoint| endpoint.host.clone()).collect();
    let http = Arc::new(Http::new(configuration.clone(), homes));
    let source = |endpoint| Source {
        http: Arc::clone(&http),
        configuration: configuration.clone(),
        endpoint,
        reference: reference.clone(),
        credentials: OnceCell::new(),
        authorization: Mutex::default(),
    };
    endpoints.into_iter().map(source).collect()
}

impl Source {
    /// Finds the image for this machine.
    ///
    /// # Errors
    /// If it is not there, or is not what its digests say.
    pub async fn find(&self) -> Result<Found, RegistryError> {
        self.prepare().await?;
        let (bytes, digest) = self.manifest(&self.reference.version, None).await?;
        let mut document = Document::parse(&bytes)?;
        for _ in 0..=DEEPEST {
            match document {
                Document::Manifest(manifest) => {
                    let config = self.part(&manifest.config).await?;
                    return Ok(Found { digest, manifest, config });
                }
                Document::Index(index) => {
                    let named = of_this_machine(index)?;
                    let (bytes, _) = self.manifest(&named.digest, named.size).await?;
                    document = Document::parse(&bytes)?;
                }
            }
        }
        Err(RegistryError::invalid("its indexes refer to each other in a circle"))
    }

    /// The manifest or index that the reference names, as it is. Its digest is the one that the reference names, if it names one.
    ///
    /// # Errors
    /// If it is not there, or is not what its digest says.
    pub async fn raw_manifest(&self) -> Result<Vec<u8>, RegistryError> {
        self.prepare().await?;
        Ok(self.manifest(&self.reference.version, None).await?.0)
    }

    /// Finds out whether the registry answers at all if that is not known, before anything is asked of it.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn prepare(&self) -> Result<(), RegistryError> {
        if self.endpoint.is_guess { self.greet().await } else { Ok(()) }
    }

    /// Asks for any answer: who speaks no TLS may wait for ever for what it takes for the rest of a request.
    async fn greet(&self) -> Result<(), RegistryError> {
        let address = format!("{}/v2/", self.endpoint.origin);
        let headers = HeaderMap::new();
        if let Ok(answer) = tokio::time::timeout(GUESSING, self.http.get(&address, &headers)).await {
            return answer.map(drop);
        }
        let message =
            format!("the registry at {} does not answer within {} s", self.host(), GUESSING.as_secs());
        Err(RegistryError::new(RegistryErrorKind::Unreachable, message))
    }

    /// The content of a part from this byte on, or from an earlier one.
    ///
    /// # Errors
    /// If the registry does not give it.
    pub async fn content(&self, part: &Descriptor, from: u64) -> Result<Content, RegistryError> {
        let mut headers = HeaderMap::new();
        if from > 0 {
            let range = HeaderValue::from_str(&format!("bytes={from}-"));
            headers.insert(RANGE, range.map_err(|_| RegistryError::invalid("a range is no header"))?);
        }
        let answer = self.get(&format!("blobs/{}", part.digest), &headers).await?;
        let from = match answer.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if begins_at(answer.headers()) == Some(from) => from,
            StatusCode::PARTIAL_CONTENT => {
                let message = format!("the registry at {} answers with another range", self.host());
                return Err(RegistryError::invalid(message));
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                let message = format!("the part {} ends after {from} bytes", part.digest);
                return Err(RegistryError::invalid(message));
            }
            _ => return Err(refusal(self.host(), answer).await),
        };
        let (host, body) = (self.host().to_owned(), answer.into_body());
        Ok(Content { from, host, body })
    }

    /// The registry that is asked.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.endpoint.host
    }

    /// A manifest or index by tag or digest, and its digest.
    async fn manifest(&self, version: &str, size: Option<u64>) -> Result<(Vec<u8>, String), RegistryError> {
        let is_digest = version.contains(':');
        if is_digest {
            hex_digits(version)?;
        }
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(DOCUMENTS))]);
        let answer = self.get(&format!("manifests/{version}"), &headers).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            let message = format!("the registry at {} has no image `{}`", self.host(), self.reference.name);
            return Err(RegistryError::new(RegistryErrorKind::NotFound, message));
        }
        if answer.status() != StatusCode::OK {
            return Err(refusal(self.host(), answer).await);
        }
        let told = answer.headers().get("docker-content-digest").and_then(|told| told.to_str().ok());
        let told = told.filter(|told| told.starts_with("sha256:")).map(str::to_owned);
        let expected = if is_digest { Some(version.to_owned()) } else { told };
        let bytes = small_body(self.host(), answer.into_body(), MOST_BYTES).await?;
        check("the manifest", &bytes, expected.as_deref(), size)?;
        let digest = digest_of(&bytes);
        Ok((bytes, digest))
    }

    /// A small part.
    async fn part(&self, part: &Descriptor) -> Result<Vec<u8>, RegistryError> {
        hex_digits(&part.digest)?;
        let content = self.content(part, 0).await?;
        let bytes = small_body(self.host(), content.body, MOST_BYTES).await?;
        check("the configuration", &bytes, Some(&part.digest), part.size)?;
        Ok(bytes)
    }

    /// Gets something of the repository.
    async fn get(&self, path: &str, headers: &HeaderMap) -> Result<Response<Incoming>, RegistryError> {
        self.request(&Method::GET, &self.address(path), headers, Bytes::new()).await
    }

    /// The address of something of the repository.
    pub(super) fn address(&self, path: &str) -> String {
        format!("{}/v2/{}/{path}", self.endpoint.origin, self.reference.repository)
    }

    /// Makes a request, and answers the registry's question about who asks. Nobody else gets an answer to that.
    pub(super) async fn request(
        &self,
        method: &Method,
        address: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, RegistryError> {
        let mut headers = headers.clone();
        let is_own = address.parse().is_ok_and(|address| is_of(&address, &self.endpoint.origin));
        let known = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone();
        headers.extend(known.filter(|_| is_own).map(|known| (AUTHORIZATION, known)));
        let answer = self.http.send(method, address, &headers, body.clone()).await?;
        // Whoever the registry sends farrier to may ask, and gets no answer.
        let last = answer.extensions().get::<FinalUri>().map(|last| last.0.clone());
        if answer.status() != StatusCode::UNAUTHORIZED || !is_own {
            return Ok(answer);
        }
        if let Some(other) = last.filter(|last| !is_of(last, &self.endpoint.origin)) {
            let other = other.authority().map(ToString::to_string).unwrap_or_default();
            let message = format!(
                "the registry at {} redirects to {other}, which requires a login of its own",
                self.host()
            );
            return Err(RegistryError::invalid(message));
        }
        let Some(challenge) = Challenge::of(answer.headers()) else {
            let message =
                format!("the registry at {} requires a login, but in no way that farrier knows", self.host());
            return Err(RegistryError::new(RegistryErrorKind::Denied, message));
        };
        let credentials = self.credentials().await;
        let is_plain = self.endpoint.origin.starts_with("http://");
        let actions = if [Method::GET, Method::HEAD].contains(method) { "pull" } else { "pull,push" };
        let scope = format!("repository:{}:{actions}", self.reference.repository);
        let (registry, asker) = ((self.host(), is_plain), (scope.as_str(), credentials));
        let authorization = challenge.answer(&self.http, registry, asker).await?;
        headers.insert(AUTHORIZATION, authorization.clone());
        *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(authorization);
        let answer = self.http.send(method, address, &headers, body).await?;
        match answer.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(denied(self.host(), credentials)),
            _ => Ok(answer),
        }
    }

    async fn credentials(&self) -> Option<&Credentials> {
        let (client, host) = (&self.configuration.client, &self.endpoint.host);
        let look_up = || async {
            if *host == self.reference.host {
                credentials(client, &self.reference.name).await
            } else {
                credentials_for(client, host).await
            }
        };
        self.credentials.get_or_init(look_up).await.as_ref()
    }
}

impl Content {
    /// What comes next; `None` at the end.
    ///
    /// # Errors
    /// If the connection breaks or stands still.
    pub async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        next(&self.host, &mut self.body).await
    }
}

async fn next(host: &str, body: &mut Incoming) -> Result<Option<Bytes>, RegistryError> {
    loop {
        let Ok(frame) = tokio::time::timeout(SILENCE, body.frame()).await else {
            let message = format!("the registry at {host} sent nothing for {} s", SILENCE.as_secs());
            return Err(RegistryError::new(RegistryErrorKind::Unreachable, message));
        };
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(RegistryError::of_connection(host, &error)),
            // What is no data is headers behind it.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Reads a small answer whole.
pub(super) async fn small_body(host: &str, mut body: Incoming, most: u64) -> Result<Vec<u8>, RegistryError> {
    let mut bytes = Vec::new();
    while let Some(data) = next(host, &mut body).await? {
        bytes.extend_from_slice(&data);
        if bytes.len() as u64 > most {
            let message = format!("the registry at {host} sent more than {} KiB", most >> 10);
            return Err(RegistryError::invalid(message));
        }
    }
    Ok(bytes)
}

/// Why a registry does not give what it was asked for.
pub(super) async fn refusal(host: &str, answer: Response<Incoming>) -> RegistryError {
    let status = answer.status();
    let kind = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RegistryErrorKind::Denied,
        StatusCode::NOT_FOUND => RegistryErrorKind::NotFound,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => RegistryErrorKind::Busy,
        _ if status.is_server_error() => RegistryErrorKind::Busy,
        _ => RegistryErrorKind::Invalid,
    };
    let said = small_body(host, answer.into_body(), 64 << 10).await.ok().and_then(|body| told(&body));
    let said = said.map(|said| format!(": {said}")).unwrap_or_default();
    RegistryError::new(kind, format!("the registry at {host} answers {status}{said}"))
}

/// The first message of a registry's error.
fn told(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<Told>,
    }
    #[derive(Deserialize)]
    struct Told {
        #[serde(default)]
        message: String,
    }
    let first = serde_json::from_slice::<Errors>(body).ok()?.errors.into_iter().next()?;
    Some(first.message.chars().take(MOST_TOLD).collect()).filter(|told: &String| !told.is_empty())
}

/// Checks that something is what its digest and size say.
fn check(what: &str, bytes: &[u8], digest: Option<&str>, size: Option<u64>) -> Result<(), RegistryError> {
    let (length, found) = (bytes.len() as u64, digest_of(bytes));
    if let Some(size) = size.filter(|size| *size != length) {
        let message = format!("{what} has {length} bytes instead of {size}");
        return Err(RegistryError::invalid(message));
    }
    if let Some(digest) = digest.filter(|digest| *digest != found) {
        return Err(RegistryError::invalid(format!("the digest of {what} is {found}, not {digest}")));
    }
    Ok(())
}

/// The first entry of an index that is for this machine.
fn of_this_machine(index: Index) -> Result<Descriptor, RegistryError> {
    let machines: Vec<String> = index.manifests.iter().filter_map(Descriptor::machine).collect();
    let found = index.manifests.into_iter().find(Descriptor::is_for_this_machine);
    found.ok_or_else(|| {
        let message = if machines.is_empty() {
            "its index names no image".to_owned()
        } else {
            format!("it is built only for {}", machines.join(", "))
        };
        RegistryError::new(RegistryErrorKind::OtherMachine, message)
    })
}

/// Where the range of an answer begins.
fn begins_at(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// A server without TLS that waits for the rest of what it takes for a request.
    fn plain_server() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        std::thread::spawn(move || {
            let mut waiting = Vec::new();
            for mut stream in listener.incoming().flatten() {
                let mut begun = [0];
                let is_request = stream.read(&mut begun).is_ok() && begun == *b"G";
                let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                if !is_request || stream.write_all(answer).is_err() {
                    waiting.push(stream);
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn a_registry_that_waits_for_more_is_soon_asked_without_tls() {
        let reference = Reference::parse(&format!("{}/box:1", plain_server())).expect("a reference");
        let sources = sources(&reference, &RegistryConfiguration::default());
        let mut kinds = Vec::new();
        for source in &sources {
            let error = source.find().await.expect_err("it has nothing");
            kinds.push((error.kind, error.message.contains("within 5 s")));
        }
        let expected = [(RegistryErrorKind::Unreachable, true), (RegistryErrorKind::NotFound, false)];
        assert_eq!(kinds, expected);
    }
}
