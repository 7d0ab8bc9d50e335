//! The calls of the distribution API that a push takes.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use hyper::{Method, StatusCode};

use super::error::RegistryError;
use super::http::{is_redirection, redirected};
use super::source::{Source, refusal};
use crate::engine::image_file::digest_of;

impl Source {
    /// Pushes a part, unless the repository has it.
    ///
    /// # Errors
    /// If the registry does not take it.
    pub async fn push_blob(&self, content: Bytes) -> Result<(), RegistryError> {
        let (digest, none) = (digest_of(&content), HeaderMap::new());
        let there = self.address(&format!("blobs/{digest}"));
        let there = self.request(&Method::HEAD, &there, &none, Bytes::new()).await?.status();
        if there.is_success() || is_redirection(there) {
            return Ok(());
        }
        let uploads = self.address("blobs/uploads/");
        let begun = self.request(&Method::POST, &uploads, &none, Bytes::new()).await?;
        if begun.status() != StatusCode::ACCEPTED {
            return Err(refusal(self.host(), begun).await);
        }
        let location = begun.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let uploads = uploads.parse().ok();
        let address = uploads.zip(location).and_then(|(from, location)| redirected(&from, location));
        let address = address.map(|address| address.to_string()).ok_or_else(|| {
            let message = format!("the registry at {} names no usable place for an upload", self.host());
            RegistryError::invalid(message)
        })?;
        let separator = if address.contains('?') { '&' } else { '?' };
        let address = format!("{address}{separator}digest={digest}");
        self.put(&address, "application/octet-stream", content).await
    }

    /// Pushes a manifest under a tag or its digest.
    ///
    /// # Errors
    /// If the registry does not take it.
    pub async fn push_manifest(
        &self,
        version: &str,
        media_type: &'static str,
        content: Bytes,
    ) -> Result<(), RegistryError> {
        self.put(&self.address(&format!("manifests/{version}")), media_type, content).await
    }

    async fn put(
        &self,
        address: &str,
        media_type: &'static str,
        content: Bytes,
    ) -> Result<(), RegistryError> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))]);
        let answer = self.request(&Method::PUT, address, &headers, content).await?;
        if answer.status() == StatusCode::CREATED { Ok(()) } else { Err(refusal(self.host(), answer).await) }
    }
}
