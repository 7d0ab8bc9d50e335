//! A real Docker engine. Only this module names `bollard`.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bollard::auth::DockerCredentials;
use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{
    EndpointSettings, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
};
use bollard::query_parameters as query;
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker, body_full};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use tokio_util::io::StreamReader;

use super::address::EngineAddress;
use super::{
    Attached, Container, ContainerSpec, Credentials, Engine, EngineError, EngineErrorKind, EngineEvent,
    EngineInfo, EngineResult, ExecOutput, ExecRequest, Image, Network, OutputRequest, PullProgress, Written,
};
use convert::{convert_container, convert_process};
use create::create_body;

mod convert;
mod create;
mod output;

/// How long the engine may take to begin an answer; creating a container on a busy disk takes tens of seconds.
const ANSWER_TIMEOUT_SECONDS: u64 = 120;
/// The pause before a container whose removal is under way is looked at again.
const REMOVAL_PAUSE: Duration = Duration::from_millis(20);

/// A connection to an engine.
pub struct DockerEngine {
    client: Docker,
    local: bool,
}

impl DockerEngine {
    /// Connects and agrees on the version of the API.
    ///
    /// # Errors
    /// When nothing answers there, or the address is of a kind that is not supported.
    pub async fn connect(address: &EngineAddress) -> EngineResult<Self> {
        let host = address.host.as_str();
        let client = if host.starts_with("unix://") {
            Docker::connect_with_unix(host, ANSWER_TIMEOUT_SECONDS, API_DEFAULT_VERSION)
        } else {
            Docker::connect_with_http(host, ANSWER_TIMEOUT_SECONDS, API_DEFAULT_VERSION)
        };
        let client = client.map_err(convert_error)?;
        Ok(Self { client: negotiate(client).await?, local: address.is_local() })
    }
}

/// Asks for the engine's API version, and uses the lower of both.
async fn negotiate(client: Docker) -> EngineResult<Docker> {
    let oldest = ClientVersion { major_version: 1, minor_version: 41 };
    let client = client.negotiate_version().await.map_err(convert_error)?;
    if client.client_version() < oldest {
        return Err(EngineError::new(
            EngineErrorKind::Refused,
            format!(
                "the engine speaks API {}, farrier needs {oldest} (Docker 20.10)",
                client.client_version()
            ),
        ));
    }
    Ok(client)
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to `map_err` everywhere")]
fn convert_error(error: BollardError) -> EngineError {
    let kind = match &error {
        BollardError::DockerResponseServerError { status_code, .. } => match status_code {
            404 => EngineErrorKind::NotFound,
            409 => EngineErrorKind::Conflict,
            _ => EngineErrorKind::Refused,
        },
        BollardError::DockerStreamError { .. } => EngineErrorKind::Refused,
        BollardError::RequestTimeoutError => EngineErrorKind::TimedOut,
        _ if is_permission_denied(&error) => EngineErrorKind::PermissionDenied,
        _ => EngineErrorKind::Unreachable,
    };
    let message = match &error {
        BollardError::DockerResponseServerError { message, .. } => message.clone(),
        BollardError::DockerStreamError { error } => error.clone(),
        other => anyhow::Error::msg(innermost(other)).to_string(),
    };
    EngineError { kind, message }
}

fn chain(error: &BollardError) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |current| current.source())
}

fn is_permission_denied(error: &BollardError) -> bool {
    chain(error).any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|cause| cause.kind() == std::io::ErrorKind::PermissionDenied)
    })
}

fn innermost(error: &BollardError) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

fn absent<T>(result: Result<T, BollardError>) -> EngineResult<Option<T>> {
    match result.map_err(convert_error) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == EngineErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn filters(pairs: &[(&str, &[&str])]) -> HashMap<String, Vec<String>> {
    pairs
        .iter()
        .map(|(key, values)| ((*key).to_owned(), values.iter().map(|value| (*value).to_owned()).collect()))
        .collect()
}

#[async_trait]
impl Engine for DockerEngine {
    async fn info(&self) -> EngineResult<EngineInfo> {
        let info = self.client.info().await.map_err(convert_error)?;
        let time = info
            .system_time
            .as_deref()
            .and_then(|text| text.parse::<jiff::Timestamp>().ok())
            .unwrap_or_else(jiff::Timestamp::now);
        Ok(EngineInfo {
            id: info.id.unwrap_or_default(),
            time: format!("{}.{:09}", time.as_second(), time.subsec_nanosecond()),
            version: info.server_version.unwrap_or_default(),
            architecture: info.architecture.unwrap_or_default(),
            local: self.local,
        })
    }

    async fn networks(&self, name: &str) -> EngineResult<Vec<Network>> {
        // The engine's name filter matches substrings, and its id filter prefixes.
        let options = query::ListNetworksOptionsBuilder::default()
            .filters(&filters(&[("name", &[name]), ("type", &["custom", "builtin"])]))
            .build();
        let listed = self.client.list_networks(Some(options)).await.map_err(convert_error)?;
        let mut found: Vec<Network> = listed
            .into_iter()
            .filter(|network| network.name.as_deref() == Some(name))
            .map(|network| Network {
                id: network.id.unwrap_or_default(),
                name: network.name.unwrap_or_default(),
                driver: network.driver.unwrap_or_default(),
                labels: network.labels.unwrap_or_default().into_iter().collect(),
            })
            .collect();
        if found.is_empty() && name.len() >= 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let options = None::<query::InspectNetworkOptions>;
            if let Some(network) = absent(self.client.inspect_network(name, options).await)? {
                found.push(Network {
                    id: network.id.unwrap_or_default(),
                    name: network.name.unwrap_or_default(),
                    driver: network.driver.unwrap_or_default(),
                    labels: network.labels.unwrap_or_default().into_iter().collect(),
                });
            }
        }
        found.sort_by(|left, right| left.id.cmp(&right.id));
        Ok(found)
    }

    async fn create_network(&self, name: &str, labels: &BTreeMap<String, String>) -> EngineResult<String> {
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            labels: Some(labels.clone().into_iter().collect()),
            ..Default::default()
        };
        Ok(self.client.create_network(request).await.map_err(convert_error)?.id)
    }

    async fn remove_network(&self, id: &str) -> EngineResult<()> {
        self.client.remove_network(id).await.map_err(convert_error)
    }

    async fn connect(&self, network: &str, container: &str, aliases: &[String]) -> EngineResult<()> {
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(EndpointSettings { aliases: Some(aliases.to_vec()), ..Default::default() }),
        };
        self.client.connect_network(network, request).await.map_err(convert_error)
    }

    async fn disconnect(&self, network: &str, container: &str) -> EngineResult<()> {
        let request = NetworkDisconnectRequest { container: container.to_owned(), force: Some(true) };
        self.client.disconnect_network(network, request).await.map_err(convert_error)
    }

    async fn members(&self, network: &str) -> EngineResult<Vec<String>> {
        let options = None::<query::InspectNetworkOptions>;
        let inspected = self.client.inspect_network(network, options).await.map_err(convert_error)?;
        Ok(inspected.containers.unwrap_or_default().into_keys().collect())
    }

    async fn image(&self, reference: &str) -> EngineResult<Option<Image>> {
        let Some(image) = absent(self.client.inspect_image(reference).await)? else {
            return Ok(None);
        };
        let config = image.config.unwrap_or_default();
        let mut volumes = config.volumes.clone().unwrap_or_default();
        volumes.sort();
        let labels = config.labels.clone().unwrap_or_default().into_iter().collect();
        Ok(Some(Image {
            id: image.id.unwrap_or_default(),
            process: convert_process(config),
            volumes,
            architecture: image.architecture.unwrap_or_default(),
            labels,
        }))
    }

    async fn pull(
        &self,
        reference: &str,
        credentials: Option<Credentials>,
        progress: &(dyn Fn(PullProgress) + Send + Sync),
    ) -> EngineResult<()> {
        let options = query::CreateImageOptionsBuilder::default().from_image(&with_tag(reference)).build();
        let credentials = credentials.map(|credentials| DockerCredentials {
            username: Some(credentials.username),
            password: Some(credentials.password),
            identitytoken: credentials.token,
            ..Default::default()
        });
        let mut layers: HashMap<String, (u64, u64)> = HashMap::new();
        let mut stream = Box::pin(self.client.create_image(Some(options), None, credentials));
        while let Some(message) = stream.try_next().await.map_err(convert_error)? {
            let (Some(layer), Some(detail)) = (message.id, message.progress_detail) else {
                continue;
            };
            let count = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
            if message.status.as_deref() == Some("Downloading") {
                layers.insert(layer, (count(detail.current), count(detail.total)));
                let (current, total) =
                    layers.values().fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1));
                progress(PullProgress { current, total });
            }
        }
        Ok(())
    }

    async fn container(&self, name: &str) -> EngineResult<Option<Container>> {
        let options = None::<query::InspectContainerOptions>;
        Ok(absent(self.client.inspect_container(name, options).await)?.map(convert_container))
    }

    async fn labelled(&self, label: &str) -> EngineResult<Vec<String>> {
        let options = query::ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters(&[("label", &[label])]))
            .build();
        let listed = self.client.list_containers(Some(options)).await.map_err(convert_error)?;
        let names = listed.into_iter().filter_map(|container| container.names?.into_iter().next());
        Ok(names.map(|name| name.trim_start_matches('/').to_owned()).collect())
    }

    async fn create(&self, spec: &ContainerSpec) -> EngineResult<String> {
        let options = query::CreateContainerOptionsBuilder::default().name(&spec.name).build();
        let created = self.client.create_container(Some(options), create_body(spec)).await;
        Ok(created.map_err(convert_error)?.id)
    }

    async fn rename(&self, id: &str, name: &str) -> EngineResult<()> {
        let options = query::RenameContainerOptionsBuilder::default().name(name).build();
        self.client.rename_container(id, options).await.map_err(convert_error)
    }

    async fn start(&self, id: &str) -> EngineResult<()> {
        let options = None::<query::StartContainerOptions>;
        self.client.start_container(id, options).await.map_err(convert_error)
    }

    async fn resume(&self, id: &str) -> EngineResult<()> {
        self.client.unpause_container(id).await.map_err(convert_error)
    }

    async fn remove(&self, id: &str, volumes: bool) -> EngineResult<()> {
        let options = query::RemoveContainerOptionsBuilder::default().force(true).v(volumes).build();
        let deadline = Instant::now() + Duration::from_secs(ANSWER_TIMEOUT_SECONDS);
        loop {
            match absent(self.client.remove_container(id, Some(options.clone())).await) {
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
        let wanted = ["start", "kill", "die", "oom", "health_status", "destroy", "pause"];
        let options = query::EventsOptionsBuilder::default()
            .since(since)
            .filters(&filters(&[("type", &["container"]), ("label", &[label]), ("event", &wanted)]))
            .build();
        // A clone, because the stream outlives this borrow; clones share one connection pool.
        let client = self.client.clone();
        let stream = client.events(Some(options)).map(|message| {
            let message = message.map_err(convert_error)?;
            Ok(EngineEvent {
                container: message.actor.and_then(|actor| actor.id).unwrap_or_default(),
                action: message.action.unwrap_or_default(),
                time: message.time_nano.unwrap_or_default(),
            })
        });
        Ok(stream.boxed())
    }

    async fn exec(&self, container: &str, request: &ExecRequest) -> EngineResult<ExecOutput> {
        let (exec, mut attached) = self.start_exec(container, &request.arguments, false).await?;
        let mut output = ExecOutput::default();
        while let Some(part) = attached.0.try_next().await.map_err(convert_error)? {
            let kept = if matches!(part, LogOutput::StdErr { .. }) {
                &mut output.stderr
            } else {
                &mut output.stdout
            };
            let bytes = part.into_bytes();
            let room = request.output_limit.saturating_sub(kept.len());
            output.truncated |= bytes.len() > room;
            kept.extend(bytes.into_iter().take(room));
        }
        let ended = self.client.inspect_exec(&exec).await.map_err(convert_error)?;
        output.exit_code = ended.exit_code.unwrap_or(-1);
        Ok(output)
    }

    async fn exec_attached(&self, container: &str, arguments: &[String]) -> EngineResult<Attached> {
        let (_, (output, input)) = self.start_exec(container, arguments, true).await?;
        Ok(Attached { input, output: standard_output(output) })
    }

    async fn logs(&self, container: &str, since: &str, lines: usize) -> EngineResult<Vec<String>> {
        output::newest_lines(&self.client, container, since, lines).await
    }

    async fn output(
        &self,
        container: &str,
        request: &OutputRequest,
    ) -> EngineResult<BoxStream<'static, EngineResult<Written>>> {
        Ok(output::stream(&self.client, container, request))
    }

    async fn remove_volume(&self, name: &str) -> EngineResult<()> {
        let options = None::<query::RemoveVolumeOptions>;
        absent(self.client.remove_volume(name, options).await).map(drop)
    }

    async fn upload(&self, container: &str, archive: Vec<u8>) -> EngineResult<()> {
        let options = query::UploadToContainerOptionsBuilder::default().path("/").build();
        self.client
            .upload_to_container(container, Some(options), body_full(archive.into()))
            .await
            .map_err(convert_error)
    }

    async fn attach(&self, container: &str) -> EngineResult<Attached> {
        let options =
            query::AttachContainerOptionsBuilder::default().stdin(true).stdout(true).stream(true).build();
        let attached = self.client.attach_container(container, Some(options)).await.map_err(convert_error)?;
        Ok(Attached { input: attached.input, output: standard_output(attached.output) })
    }
}

type OutputStream = BoxStream<'static, Result<LogOutput, BollardError>>;
type InputStream = std::pin::Pin<Box<dyn tokio::io::AsyncWrite + Send>>;

impl DockerEngine {
    async fn start_exec(
        &self,
        container: &str,
        arguments: &[String],
        input: bool,
    ) -> EngineResult<(String, (OutputStream, InputStream))> {
        let options = CreateExecOptions {
            attach_stdin: Some(input),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(arguments.to_vec()),
            ..Default::default()
        };
        let exec = self.client.create_exec(container, options).await.map_err(convert_error)?.id;
        match self.client.start_exec(&exec, None).await.map_err(convert_error)? {
            StartExecResults::Attached { output, input } => Ok((exec, (output, input))),
            StartExecResults::Detached => {
                Err(EngineError::new(EngineErrorKind::Refused, "the engine detached an attached command"))
            }
        }
    }
}

fn standard_output(
    stream: BoxStream<'static, Result<LogOutput, BollardError>>,
) -> std::pin::Pin<Box<dyn tokio::io::AsyncRead + Send>> {
    let bytes = stream.try_filter_map(|part| {
        std::future::ready(Ok(match part {
            LogOutput::StdOut { message } | LogOutput::Console { message } => Some(message),
            LogOutput::StdErr { .. } | LogOutput::StdIn { .. } => None,
        }))
    });
    Box::pin(StreamReader::new(bytes.map_err(std::io::Error::other)))
}

/// A reference without tag or digest would pull every tag.
fn with_tag(reference: &str) -> String {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    if last.contains(':') || last.contains('@') {
        reference.to_owned()
    } else {
        format!("{reference}:latest")
    }
}
