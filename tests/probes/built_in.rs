//! The built-in probes on real servers: each tells an open port from a server that serves.

mod databases;
mod grpc;
mod http;
mod mcp;
mod tls;
