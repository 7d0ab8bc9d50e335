//! `tls`: TLS over connections that `dial` opened; farrier verifies the server, and keeps the keys.

use wasmtime::component::{HasData, Resource, ResourceTable};

use super::bindings::farrier::probe::tls::{self, Failure, Host};
use super::dial::{Connection, Stream};
use super::types::Denial;
use crate::definition::grants::{Grants, TlsGrant};
use crate::probe::capabilities::{Capability, Grant};
use crate::probe::grants::{adding_tls, quoted};
use crate::probe::limits::HANDSHAKES;
use crate::probe::store::{DENIED, HostState, Poll};
use crate::probe::tls::{Failure as Seen, Handshakes as Handshaker};

pub const CAPABILITY: Capability = Capability {
    name: "tls",
    sentence: "speaks TLS where it connects, as its definition grants",
    grant: Some(Grant::Choice { example: "tls = true", written }),
    needs: None,
    link: |linker| tls::add_to_linker::<HostState, Handshakes<'static>>(linker, Handshakes::of),
};

/// The most protocols that one handshake may offer, and the most bytes of a name.
const MOST_PROTOCOLS: usize = 16;
const MOST_BYTES: usize = 255;

fn written(grants: &Grants) -> Option<String> {
    let TlsGrant { insecure, ca, client } = grants.tls.as_ref()?;
    let path = |path: &std::path::Path| quoted(&path.to_string_lossy());
    let mut parts: Vec<String> = ca.iter().map(|ca| format!("ca = {}", path(ca))).collect();
    parts.extend(
        client.iter().map(|client| format!("cert = {}, key = {}", path(&client.cert), path(&client.key))),
    );
    Some(match (insecure, parts.is_empty()) {
        (false, true) => "tls = true".to_owned(),
        (true, true) => "tls = \"insecure\"".to_owned(),
        (false, false) => format!("tls = {{ {} }}", parts.join(", ")),
        (true, false) => format!("tls = {{ {}, insecure = true }}", parts.join(", ")),
    })
}

/// What it sees of the store: the connections, how TLS is spoken over them, and the poll.
struct Handshakes<'a> {
    table: &'a mut ResourceTable,
    tls: Option<&'a dyn Handshaker>,
    poll: &'a mut Poll,
}

impl HasData for Handshakes<'static> {
    type Data<'a> = Handshakes<'a>;
}

impl Handshakes<'_> {
    fn of(state: &mut HostState) -> Handshakes<'_> {
        let tls = state.probe_context.tls.as_deref();
        Handshakes { table: &mut state.table, tls, poll: &mut state.poll }
    }
}

type Answer<T> = wasmtime::Result<T>;

impl Host for Handshakes<'_> {
    async fn start(
        &mut self,
        connection: Resource<Connection>,
        server_name: String,
        protocols: Vec<String>,
    ) -> Answer<Result<Resource<Connection>, Failure>> {
        let denied = |denial| Ok(Err(Failure::Denied(denial)));
        let Connection(stream) = self.table.delete(connection)?;
        let Some(tls) = self.tls else {
            let what = if self.poll.grants.tls.is_some() {
                format!("TLS is not granted: {DENIED}")
            } else {
                let line = adding_tls(&self.poll.grants);
                format!("TLS is not granted: write `{line}` under [readiness]")
            };
            return denied(Denial::NotGranted(self.poll.note_not_granted(&what)));
        };
        let Stream::Plain(stream) = stream else {
            return denied(Denial::Other("the connection is inside TLS already".to_owned()));
        };
        let is_long = |text: &String| text.is_empty() || text.len() > MOST_BYTES;
        if server_name.len() > MOST_BYTES || protocols.len() > MOST_PROTOCOLS || protocols.iter().any(is_long)
        {
            return denied(Denial::Limit("the server's name or the protocols are too long".to_owned()));
        }
        if self.poll.handshakes >= HANDSHAKES {
            return denied(Denial::Limit(format!("too many handshakes: a poll may begin {HANDSHAKES}")));
        }
        self.poll.handshakes += 1;
        self.poll.used.handshakes += 1;
        let protocols = protocols.into_iter().map(String::into_bytes).collect();
        let limit = self.poll.left();
        let shaken = tokio::time::timeout(limit, tls.shake_hands(stream, &server_name, protocols));
        let Ok(shaken) = shaken.await else {
            self.poll.note_unanswered();
            return denied(Denial::TimedOut);
        };
        let secured = match shaken {
            Ok(secured) => Stream::Secured(secured),
            Err(failure) => return Ok(Err(told(failure))),
        };
        match self.table.push(Connection(secured)) {
            Ok(handle) => Ok(Ok(handle)),
            Err(_) => denied(Denial::Limit("too many connections are open".to_owned())),
        }
    }

    async fn protocol(&mut self, connection: Resource<Connection>) -> Answer<Option<String>> {
        let Connection(Stream::Secured(secured)) = self.table.get(&connection)? else { return Ok(None) };
        Ok(secured.protocol.clone())
    }
}

fn told(failure: Seen) -> Failure {
    match failure {
        Seen::Closed => Failure::Denied(Denial::Closed),
        Seen::Other(text) => Failure::Denied(Denial::Other(text)),
        Seen::NotTls(text) => Failure::NotTls(text),
        Seen::Untrusted(text) => Failure::Untrusted(text),
        Seen::Expired(text) => Failure::Expired(text),
        Seen::WrongName(text) => Failure::WrongName(text),
        Seen::Handshake(text) => Failure::Handshake(text),
    }
}
