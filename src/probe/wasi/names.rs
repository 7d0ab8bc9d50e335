//! `wasi:sockets/ip-name-lookup`: names of granted sidecars, and no others. Nothing is ever asked of DNS.

use std::net::IpAddr;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::vec;

use async_trait::async_trait;
use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{
    Host, HostResolveAddressStream, ResolveAddressStream,
};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, HostNetwork, IpAddress, Network};
use wasmtime_wasi::p2::{DynPollable, IoError, Pollable, SocketError, subscribe};

use super::Traces;
use super::denied::DeniedSocket;
use crate::probe::context::Targets;
use crate::probe::store::{HostState, shown_host};

/// Our resolver, as the linker knows it.
pub struct Resolver;

impl HasData for Resolver {
    type Data<'a> = Lookup<'a>;
}

/// What a lookup needs of a store.
pub struct Lookup<'a> {
    table: &'a mut ResourceTable,
    targets: &'a Targets,
    has_no_sockets: bool,
    traces: &'a Traces,
}

impl Lookup<'_> {
    /// The part of a store that lookups see.
    pub fn of(state: &mut HostState) -> Lookup<'_> {
        Lookup {
            table: &mut state.table,
            targets: &state.probe_context.targets,
            has_no_sockets: state.probe_context.has_no_sockets(),
            traces: &state.traces,
        }
    }

    /// Notes what was denied, for whoever explains a failure.
    pub fn note(&self, what: DeniedSocket) {
        *self.traces.socket_denied.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    /// The addresses of a granted sidecar. A literal is an address already, and of use only where it is one of
    /// these: connecting is checked anyway.
    fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let literal = name.parse::<IpAddr>().ok();
        let mut found: Vec<IpAddr> = self
            .targets
            .0
            .iter()
            .filter_map(|((host, _), place)| place.map(|place| (host, place.ip())))
            .filter(|(host, address)| *host == name || Some(*address) == literal)
            .map(|(_, address)| address)
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// The answers of one lookup, in the table under the name that the bindings have for them.
struct Answers(vec::IntoIter<IpAddr>);

#[async_trait]
impl Pollable for Answers {
    async fn ready(&mut self) {}
}

/// Both name the same entry of the table: the type of the bindings cannot be made outside its crate.
fn ours(stream: &Resource<ResolveAddressStream>) -> Resource<Answers> {
    Resource::new_own(stream.rep())
}

/// What the bindings convert a lookup's errors with.
impl network::Host for Lookup<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(&mut self, _: Resource<IoError>) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(None)
    }
}

impl HostNetwork for Lookup<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}

impl Host for Lookup<'_> {
    fn resolve_addresses(
        &mut self,
        _: Resource<Network>,
        name: String,
    ) -> Result<Resource<ResolveAddressStream>, SocketError> {
        if self.has_no_sockets {
            self.traces.socket_refused.store(true, Ordering::Relaxed);
            return Err(ErrorCode::NameUnresolvable.into());
        }
        let addresses = self.addresses(&name);
        if addresses.is_empty() {
            // A granted sidecar may have no address yet.
            if !self.targets.0.keys().any(|(host, _)| *host == name) {
                self.note(DeniedSocket::Lookup(shown_host(&name)));
            }
            return Err(ErrorCode::NameUnresolvable.into());
        }
        let answers = self.table.push(Answers(addresses.into_iter()))?;
        Ok(Resource::new_own(answers.rep()))
    }
}

impl HostResolveAddressStream for Lookup<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        Ok(self.table.get_mut(&ours(&stream))?.0.next().map(IpAddress::from))
    }

    fn subscribe(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, ours(&stream))
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.table.delete(ours(&stream))?;
        Ok(())
    }
}
