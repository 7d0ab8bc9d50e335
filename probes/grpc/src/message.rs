//! The messages of `grpc.health.v1`, and the five bytes before each message of a gRPC stream.

use prost::Message;

/// Not compressed, which is all that a server may send to whoever accepts no compression.
const PLAIN: u8 = 0;

#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(enumeration = "Status", tag = "1")]
    status: i32,
}

/// How a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Status {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    /// Only from `Watch`, as it is specified.
    ServiceUnknown = 3,
}

/// The question about a service, ready to be sent.
pub fn request(service: &str) -> Vec<u8> {
    let message = HealthCheckRequest { service: service.to_owned() }.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut bytes = vec![PLAIN];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&message);
    bytes
}

/// Reads the one message that answers it; none where this is something else.
pub fn response(body: &[u8]) -> Option<Status> {
    let (prefix, message) = body.split_first_chunk::<5>()?;
    let [PLAIN, length @ ..] = *prefix else { return None };
    let whole = usize::try_from(u32::from_be_bytes(length)).ok()? == message.len();
    let response = whole.then(|| HealthCheckResponse::decode(message).ok())??;
    Status::try_from(response.status).ok()
}
