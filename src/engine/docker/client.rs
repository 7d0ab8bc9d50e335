//! A real Docker engine. Only this module names `bollard`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bollard::models::{
    EndpointSettings, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest, NetworkInspect,
};
use bollard::query_parameters as query;
use bollard::{Docker, body_full};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::OnceCell;

use super::address::EngineAddress;
use crate::engine::docker::api::{
    Api, Container, ContainerPort, ContainerSpec, CreatedContainer, Credentials, EngineEvent, Image, Listed,
    Member, Network, Volume, whole_seconds,
};
use crate::engine::{
    Attached, EngineError, EngineErrorKind, EngineInfo, EngineResult, ExecOutput, ExecRequest, OutputRequest,
    PullProgress, Written,
};
use convert::{
    convert_container, convert_created, convert_event, convert_image, convert_info, convert_listed,
    convert_listed_network, convert_network, convert_ports, convert_volume,
};
use create::{PLATFORM, create_body};
use errors::{absent, convert_error, is_removed_meanwhile, metered};
use meter::Meter;
use socket::{OwnSocket, Reached, wants_socket};
use transport::{MOST_ATTEMPTS, Transport};

mod convert;
mod create;
mod errors;
mod executions;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod meter;
mod output;
mod podman;
mod pull;
mod socket;
mod ssh;
mod standard_output;
mod swarm;
mod tls;
mod transport;

/// How the names of settings begin that stand in the host part of a container.
const HOST_PART: &str = "HostConfig.";

/// How long the engine may take to begin an answer; creating a container on a busy disk takes tens of seconds.
const ANSWER_TIMEOUT_SECONDS: u64 = 120;
/// So many events of creations and connections are read; engines keep fewer.
const MOST_EVENTS: usize = 10_000;
/// The pause before a container whose removal is under way is looked at again.
const REMOVAL_PAUSE: Duration = Duration::from_millis(20);

/// A connection to an engine. Clones are the same one.
#[derive(Clone)]
pub struct Client {
    connection: Docker,
    transport: Arc<Transport>,
    local: bool,
    reached: Reached,
    /// Where its own socket is, once that was asked.
    own_socket: Arc<OnceCell<OwnSocket>>,
    /// Known from its first answer on.
    is_podman: Arc<AtomicBool>,
}

impl Client {
    /// Makes ready to ask; nothing is asked yet.
    ///
    /// # Errors
    /// If the address or its certificates cannot be used.
    pub fn open(address: &EngineAddress) -> EngineResult<Self> {
        let transport = Transport::of(address)?;
        // Requests name no version, so that each engine answers in its own newest one.
        let (connection, is_podman) = transport::client(&transport).map_err(convert_error)?;
        Ok(Self {
            connection,
            transport,
            local: address.is_local(),
            reached: Reached::by(address),
            own_socket: Arc::default(),
            is_podman,
        })
    }

    /// Whether Podman has given one of the answers so far.
    #[must_use]
    pub fn is_podman(&self) -> bool {
        self.is_podman.load(Ordering::Relaxed)
    }

    /// Where the engine's own socket is. Nothing is asked of a Docker at its usual place.
    async fn own_socket(&self) -> EngineResult<&OwnSocket> {
        let ask = async || {
            if !self.is_podman() {
                if self.reached == Reached::Usual {
                    return Ok(OwnSocket::Usual);
                }
                let info = self.connection.info().await.map_err(convert_error)?;
                // Known from its first answer on.
                if !self.is_podman() {
                    return Ok(OwnSocket::of_docker(&self.reached, &info).await);
                }
            }
            let about_itself = transport::ask_podman(&self.transport, podman::ABOUT_ITSELF).await;
            Ok(OwnSocket::of_podman(&about_itself.map_err(convert_error)?))
        };
        self.own_socket.get_or_try_init(ask).await
    }

    /// The containers that these filters let through, whatever their state.
    async fn containers(&self, filters: &HashMap<String, Vec<String>>) -> EngineResult<Vec<Listed>> {
        let options = query::ListContainersOptionsBuilder::default().all(true).filters(filters).build();
        let listed = self.connection.list_containers(Some(options)).await.map_err(convert_error)?;
        Ok(listed.into_iter().filter_map(convert_listed).collect())
    }
}

/// Docker went from 1.13 by years and months to 20.10. Other engines count otherwise, and are let try.
fn is_too_old(version: &str) -> bool {
    matches!(version.split('.').next().and_then(|major| major.parse::<u32>().ok()), Some(1 | 17..=19))
}

fn filters(pairs: &[(&str, &[&str])]) -> HashMap<String, Vec<String>> {
    pairs
        .iter()
        .map(|(key, values)| ((*key).to_owned(), values.iter().map(|value| (*value).to_owned()).collect()))
        .collect()
}

#[async_trait]
impl Api for Client {
    async fn info(&self) -> EngineResult<EngineInfo> {
        let info = convert_info(self.connection.info().await.map_err(convert_error)?, self.local);
        if !self.is_podman() && is_too_old(&info.version) {
            return Err(EngineError::new(
                EngineErrorKind::Refused,
                format!("the engine is Docker {}, but farrier needs Docker 20.10 or later", info.version),
            ));
        }
        Ok(info)
    }

    async fn networks(&self, name: &str) -> EngineResult<Vec<Network>> {
        // The engine's name filter matches substrings, and its id filter prefixes.
        let options =
            query::ListNetworksOptionsBuilder::default().filters(&filters(&[("name", &[name])])).build();
        let listed = self.connection.list_networks(Some(options)).await.map_err(convert_error)?;
        let listed = listed.into_iter().filter(|network| network.name.as_deref() == Some(name));
        let mut found: Vec<Network> = listed.map(convert_listed_network).collect();
        if found.is_empty()
            && is_id(name)
            && let Some(network) = self.inspect_network(name).await?
        {
            found.push(convert_network(network).0);
        }
        found.sort_by(|left, right| left.id.cmp(&right.id));
        Ok(found)
    }

    async fn inhabited(&self, name: &str) -> EngineResult<(Vec<Network>, Vec<Member>)> {
        if !is_name(name) {
            return Ok((self.networks(name).await?, Vec::new()));
        }
        match self.inspect_network(name).await {
            Ok(None) => Ok(Default::default()),
            Ok(Some(network)) => {
                let (network, members) = convert_network(network);
                // The engine also takes the beginning of an id for a name.
                let meant = network.name == name || (is_id(name) && network.id.starts_with(name));
                Ok(if meant { (vec![network], members) } else { Default::default() })
            }
            // It refuses a name that several have.
            Err(error) if error.kind == EngineErrorKind::Refused => {
                Ok((self.networks(name).await?, Vec::new()))
            }
            Err(error) => Err(error),
        }
    }

    async fn labelled_networks(&self, label: &str) -> EngineResult<Vec<Network>> {
        let options =
            query::ListNetworksOptionsBuilder::default().filters(&filters(&[("label", &[label])])).build();
        let listed = self.connection.list_networks(Some(options)).await.map_err(convert_error)?;
        Ok(listed.into_iter().map(convert_listed_network).collect())
    }

    async fn create_network(&self, name: &str, labels: &BTreeMap<String, String>) -> EngineResult<String> {
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            labels: Some(labels.clone().into_iter().collect()),
            ..Default::default()
        };
        let mut created = self.connection.create_network(request.clone()).await;
        // Podman goes through this host's interfaces, and fails if one goes meanwhile.
        for _ in 1..MOST_ATTEMPTS {
            let is_meanwhile =
                |error: &bollard::errors::Error| error.to_string().contains("no such network interface");
            if !created.as_ref().is_err_and(is_meanwhile) {
                break;
            }
            created = self.connection.create_network(request.clone()).await;
        }
        Ok(created.map_err(convert_error)?.id)
    }

    async fn remove_network(&self, id: &str) -> EngineResult<()> {
        self.connection.remove_network(id).await.map_err(convert_error)
    }

    async fn connect(&self, network: &str, container: &str, aliases: &[String]) -> EngineResult<()> {
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(EndpointSettings { aliases: Some(aliases.to_vec()), ..Default::default() }),
        };
        self.connection.connect_network(network, request).await.map_err(convert_error)
    }

    async fn disconnect(&self, network: &str, container: &str) -> EngineResult<()> {
        let request = NetworkDisconnectRequest { container: container.to_owned(), force: Some(true) };
        self.connection.disconnect_network(network, request).await.map_err(convert_error)
    }

    async fn members(&self, network: &str) -> EngineResult<Vec<String>> {
        let options = None::<query::InspectNetworkOptions>;
        let inspected = self.connection.inspect_network(network, options).await.map_err(convert_error)?;
        Ok(convert_network(inspected).1.into_iter().map(|member| member.container).collect())
    }

    async fn image(&self, reference: &str) -> EngineResult<Option<Image>> {
        let inspected = match self.connection.inspect_image(reference).await {
            // The image is there or is not, which Podman says to whoever asks again.
            Err(error) if is_removed_meanwhile(&error) => self.connection.inspect_image(reference).await,
            inspected => inspected,
        };
        Ok(absent(inspected)?.map(convert_image))
    }

    async fn pull(
        &self,
        reference: &str,
        platform: Option<&str>,
        credentials: Option<Credentials>,
        progress: &(dyn Fn(PullProgress) + Send + Sync),
    ) -> EngineResult<()> {
        let (client, meter) = self.stream_client()?;
        pull::pull(&client, meter, reference, platform, credentials, progress).await
    }

    async fn container(&self, name: &str) -> EngineResult<Option<Container>> {
        let options = None::<query::InspectContainerOptions>;
        let found = absent(self.connection.inspect_container(name, options).await)?.map(convert_container);
        let Some(mut container) = found else { return Ok(None) };
        if self.is_podman() {
            container.own_variables = podman::own_variables(&container.process.env, &container.id);
        }
        if socket::has_socket(&container.mounts) && wants_socket(&container.labels) {
            self.own_socket().await?.show_as_usual(&mut container.mounts);
        }
        Ok(Some(container))
    }

    async fn labelled(&self, label: &str) -> EngineResult<Vec<Listed>> {
        self.containers(&filters(&[("label", &[label])])).await
    }

    async fn listed(&self, ids: &[&str]) -> EngineResult<Vec<Listed>> {
        // Without a filter, the engine lists all.
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.containers(&filters(&[("id", ids)])).await
    }

    async fn create(&self, spec: &ContainerSpec) -> EngineResult<String> {
        let options = query::CreateContainerOptionsBuilder::default().name(&spec.name);
        let platform = spec.settings.get(PLATFORM).and_then(serde_json::Value::as_str);
        let options = options.platform(platform.unwrap_or_default()).build();
        let mut spec = Cow::Borrowed(spec);
        if wants_socket(&spec.labels) {
            self.own_socket().await?.mount(&mut spec.to_mut().mounts)?;
        }
        let created = self.connection.create_container(Some(options), create_body(&spec)?).await;
        Ok(created.map_err(convert_error)?.id)
    }

    async fn rename(&self, id: &str, name: &str) -> EngineResult<()> {
        let options = query::RenameContainerOptionsBuilder::default().name(name).build();
        self.connection.rename_container(id, options).await.map_err(convert_error)
    }

    async fn start(&self, id: &str) -> EngineResult<()> {
        let options = None::<query::StartContainerOptions>;
        self.connection.start_container(id, options).await.map_err(convert_error)
    }

    async fn resume(&self, id: &str) -> EngineResult<()> {
        self.connection.unpause_container(id).await.map_err(convert_error)
    }

    async fn stop(&self, id: &str, grace: Duration) -> EngineResult<()> {
        let seconds = i32::try_from(whole_seconds(grace)).unwrap_or(i32::MAX);
        let options = query::StopContainerOptionsBuilder::default().t(seconds).build();
        let answered = Duration::from_secs(ANSWER_TIMEOUT_SECONDS).saturating_add(grace);
        let client = self.connection.clone().with_timeout(answered);
        client.stop_container(id, Some(options)).await.map_err(convert_error)
    }

    async fn remove(&self, id: &str, volumes: bool) -> EngineResult<()> {
        let options = query::RemoveContainerOptionsBuilder::default().force(true).v(volumes).build();
        let deadline = Instant::now() + Duration::from_secs(ANSWER_TIMEOUT_SECONDS);
        loop {
            match absent(self.connection.remove_container(id, Some(options.clone())).await) {
                // Somebody's removal is under way, maybe that of a launch that was killed; the name is taken
                // until it is done.
                Err(error) if error.kind == EngineErrorKind::Conflict && Instant::now() < deadline => {
                    tokio::time::sleep(REMOVAL_PAUSE).await;
                }
                result => return result.map(|_| ()),
            }
        }
    }

    async fn events(
        &self,
        label: &str,
        since: &str,
    ) -> EngineResult<BoxStream<'static, EngineResult<EngineEvent>>> {
        // The last two are Podman's words for `die` and `destroy`.
        let wanted = ["start", "kill", "die", "oom", "health_status", "destroy", "pause", "died", "remove"];
        let mut filters = filters(&[("type", &["container"]), ("label", &[label]), ("event", &wanted)]);
        if self.is_podman() {
            // It knows labels with their values only. Who listens looks at the containers anyway.
            filters.remove("label");
        }
        let options = query::EventsOptionsBuilder::default().since(since).filters(&filters).build();
        let (client, meter) = self.stream_client()?;
        Ok(metered(client.events(Some(options)), meter).map_ok(convert_event).boxed())
    }

    async fn created(&self, since: &str, until: &str) -> EngineResult<Vec<CreatedContainer>> {
        let options = query::EventsOptionsBuilder::default()
            .since(since)
            .until(until)
            .filters(&filters(&[("type", &["container", "network"]), ("event", &["create", "connect"])]))
            .build();
        let (client, meter) = self.stream_client()?;
        let messages = metered(client.events(Some(options)), meter).take(MOST_EVENTS);
        Ok(convert_created(messages.try_collect().await?))
    }

    async fn exec(&self, container: &str, request: &ExecRequest) -> EngineResult<ExecOutput> {
        self.execution(container, request).await
    }

    async fn exec_attached(&self, container: &str, arguments: &[String]) -> EngineResult<Attached> {
        self.attached_execution(container, arguments).await
    }

    async fn logs(&self, container: &str, since: &str, lines: usize) -> EngineResult<Vec<String>> {
        let moment = since.parse().unwrap_or_default();
        let (client, meter) = transport::log_client(&self.transport, moment, true).map_err(convert_error)?;
        output::newest_lines(&client, &meter, container, since, lines).await
    }

    async fn output(
        &self,
        container: &str,
        request: &OutputRequest,
    ) -> EngineResult<BoxStream<'static, EngineResult<Written>>> {
        let (client, meter) =
            transport::log_client(&self.transport, output::moment(request), false).map_err(convert_error)?;
        Ok(output::stream(&client, meter, container, request))
    }

    async fn published(&self) -> EngineResult<Vec<ContainerPort>> {
        let options = query::ListContainersOptionsBuilder::default().build();
        let listed = self.connection.list_containers(Some(options)).await.map_err(convert_error)?;
        Ok(listed.into_iter().flat_map(convert_ports).collect())
    }

    async fn volume(&self, name: &str) -> EngineResult<Option<Volume>> {
        Ok(absent(self.connection.inspect_volume(name).await)?.map(convert_volume))
    }

    async fn volumes(&self, label: &str) -> EngineResult<Vec<Volume>> {
        let options =
            query::ListVolumesOptionsBuilder::default().filters(&filters(&[("label", &[label])])).build();
        let listed = self.connection.list_volumes(Some(options)).await.map_err(convert_error)?;
        Ok(listed.volumes.unwrap_or_default().into_iter().map(convert_volume).collect())
    }

    async fn remove_volume(&self, name: &str) -> EngineResult<()> {
        let options = None::<query::RemoveVolumeOptions>;
        absent(self.connection.remove_volume(name, options).await).map(drop)
    }

    async fn has_socket(&self) -> EngineResult<bool> {
        Ok(*self.own_socket().await? != OwnSocket::Unknown)
    }

    async fn load(&self, archive: &'static [u8]) -> EngineResult<()> {
        let options = query::ImportImageOptionsBuilder::default().quiet(true).build();
        let told = self.connection.import_image(options, body_full(Bytes::from_static(archive)), None);
        told.try_for_each(async |_| Ok(())).await.map_err(convert_error)
    }

    async fn attach(&self, container: &str) -> EngineResult<Attached> {
        self.attached(container).await
    }
}

impl Client {
    fn stream_client(&self) -> EngineResult<(Docker, Arc<Meter>)> {
        transport::stream_client(&self.transport).map_err(convert_error)
    }

    async fn inspect_network(&self, name: &str) -> EngineResult<Option<NetworkInspect>> {
        let options = None::<query::InspectNetworkOptions>;
        absent(self.connection.inspect_network(name, options).await)
    }
}

/// Whether a network can have this name: others would make another request of the path that they stand in.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(plain)
}

/// Whether a name may also be the id of a network, or its beginning as tools show it.
fn is_id(name: &str) -> bool {
    name.len() >= 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    #[test]
    fn dockers_before_20_10_are_too_old() {
        for (version, expected) in [
            ("1.13.1", true),
            ("19.03.15", true),
            ("20.10.0", false),
            ("29.1.3", false),
            ("5.4.0", false),
            ("dev", false),
        ] {
            assert_eq!(super::is_too_old(version), expected, "{version}");
        }
    }
}
