//! The built-in probes on real servers: each tells an open port from a server that serves.

mod brokers;
mod databases;
pub(crate) mod grpc;
mod http;
mod mail;
pub(crate) mod mcp;
mod setup;
mod tls;
