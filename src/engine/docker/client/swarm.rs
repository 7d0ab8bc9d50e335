//! A real Swarm, through one of its managers. `bollard` knows no addresses of tasks, so requests and answers are JSON here.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bollard::body_full;
use bollard::errors::Error as BollardError;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use http_body_util::BodyExt;
use hyper::header::{CONTENT_TYPE, DATE};
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::errors::{convert_error, convert_stream_error, metered};
use super::{ANSWER_TIMEOUT_SECONDS, Client, output, transport};
use crate::engine::docker::api::{Api, Credentials};
use crate::engine::limited::within;
use crate::engine::swarm::answers;
use crate::engine::swarm::api::{Config, Mark, Node, Overlay, Service, SwarmApi, SwarmInfo, Task, Want};
use crate::engine::{EngineError, EngineErrorKind, EngineResult, OutputRequest, Written};
use crate::report::elapsed::limit;

/// What an engine says of an update that names a state in which the service is no more.
const OUT_OF_SEQUENCE: &str = "update out of sequence";
/// What an engine says, as of a wrong request, if a service is to mount configs that are gone.
const CONFIGS_GONE: [&str; 2] = ["config not found: ", "configs not found: "];
/// By this an engine gives nodes the credentials for the image.
const REGISTRY_AUTHORIZATION: &str = "X-Registry-Auth";

/// How long a node may take to send the next part of what a task wrote, if nothing more is to come but the end.
const IDLE: Duration = Duration::from_secs(8);

/// Ends a stream with an error where nothing comes for so long: a manager waits for a node that is lost without an end.
fn unless_idle<T: Send + 'static>(
    stream: BoxStream<'static, EngineResult<T>>,
    idle: Duration,
) -> BoxStream<'static, EngineResult<T>> {
    let next = move |stream: Option<BoxStream<'static, EngineResult<T>>>| async move {
        let mut stream = stream?;
        if let Ok(item) = tokio::time::timeout(idle, stream.next()).await {
            return item.map(|item| (item, Some(stream)));
        }
        let message = format!("the task's node did not answer within {}", limit(idle));
        Some((Err(EngineError::new(EngineErrorKind::TimedOut, message)), None))
    };
    futures_util::stream::unfold(Some(stream), next).boxed()
}

/// A request to a manager.
struct Ask<'a> {
    method: Method,
    path: String,
    body: Option<&'a Value>,
    credentials: Option<&'a Credentials>,
}

fn get(path: impl Into<String>) -> Ask<'static> {
    Ask { method: Method::GET, path: path.into(), body: None, credentials: None }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn authorization(credentials: &Credentials) -> String {
    let identity = credentials.token.as_deref().unwrap_or_default();
    let json = json!({ "username": credentials.username, "password": credentials.password,
                       "identitytoken": identity });
    URL_SAFE.encode(json.to_string())
}

impl Client {
    /// The answer; null where there is none.
    async fn ask(&self, ask: Ask<'_>) -> EngineResult<Value> {
        self.ask_dated(ask).await.map(|(answer, _)| answer)
    }

    /// The answer, and its moment by the engine's clock.
    async fn ask_dated(&self, ask: Ask<'_>) -> EngineResult<(Value, Option<Timestamp>)> {
        within(Duration::from_secs(ANSWER_TIMEOUT_SECONDS), self.answer(ask)).await
    }

    async fn answer(&self, ask: Ask<'_>) -> EngineResult<(Value, Option<Timestamp>)> {
        let mut request = hyper::Request::builder().method(ask.method).uri(ask.path);
        if let Some(credentials) = ask.credentials {
            request = request.header(REGISTRY_AUTHORIZATION, authorization(credentials));
        }
        let body = ask.body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = request.header(CONTENT_TYPE, "application/json").body(body_full(body.into()));
        let failed = |error| convert_error(BollardError::from(io::Error::other(error)));
        let response = self.transport.send(request.map_err(failed)?).await.map_err(convert_error)?;
        let status = response.status();
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| rfc2822::parse(date).ok()).map(|date| date.timestamp());
        let read = response.into_body().collect().await;
        let bytes =
            read.map_err(|error| convert_error(BollardError::from(io::Error::other(error))))?.to_bytes();
        if !status.is_success() {
            return Err(refusal(status, &bytes));
        }
        if bytes.is_empty() {
            return Ok((Value::Null, date));
        }
        let understood = serde_json::from_slice(&bytes);
        understood.map(|answer| (answer, date)).map_err(|error| {
            let message = format!("the engine's answer is no JSON: {error}");
            EngineError::new(EngineErrorKind::Refused, message)
        })
    }

    async fn create_configuration(&self, body: &Value) -> EngineResult<String> {
        let path = "/configs/create".to_owned();
        let told = self.ask(Ask { method: Method::POST, path, body: Some(body), credentials: None }).await?;
        let id = told["ID"].as_str().map(str::to_owned);
        id.ok_or_else(|| EngineError::new(EngineErrorKind::Refused, "the engine tells no id of the config"))
    }

    async fn list<T>(&self, path: &str, of: impl Fn(&Value) -> Option<T>) -> EngineResult<Vec<T>> {
        let answer = self.ask(get(path)).await?;
        Ok(answer.as_array().into_iter().flatten().filter_map(of).collect())
    }
}

/// A refusal in the engine's words.
fn refusal(status: StatusCode, body: &[u8]) -> EngineError {
    let told: Option<Value> = serde_json::from_slice(body).ok();
    let message = told
        .as_ref()
        .and_then(|told| told["message"].as_str())
        .map_or_else(|| format!("the engine answers with {status}"), str::to_owned);
    if let Some(error) = answers::no_manager(&message) {
        return error;
    }
    let kind = match status {
        StatusCode::NOT_FOUND => EngineErrorKind::NotFound,
        StatusCode::CONFLICT => EngineErrorKind::Conflict,
        _ if message.contains(OUT_OF_SEQUENCE) => EngineErrorKind::Conflict,
        _ if CONFIGS_GONE.iter().any(|words| message.contains(words)) => EngineErrorKind::NotFound,
        _ => EngineErrorKind::Refused,
    };
    EngineError::new(kind, message)
}

#[async_trait]
impl SwarmApi for Client {
    async fn swarm(&self) -> EngineResult<SwarmInfo> {
        let engine = self.info().await?;
        let told = self.ask(get("/info")).await?;
        answers::swarm_info(engine, &told["Swarm"])
    }

    async fn services(&self) -> EngineResult<Vec<Service>> {
        self.list("/services", answers::service).await
    }

    async fn service(&self, name: &str) -> EngineResult<Option<Service>> {
        match self.ask(get(format!("/services/{}", encoded(name)))).await {
            Ok(told) => Ok(answers::service(&told)),
            Err(error) if error.kind == EngineErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn create_service(&self, spec: &Value, credentials: Option<&Credentials>) -> EngineResult<String> {
        let path = "/services/create".to_owned();
        let told = self.ask(Ask { method: Method::POST, path, body: Some(spec), credentials }).await?;
        // Docker 25 and later write `ID` as earlier ones do.
        let id = told["ID"].as_str().map(str::to_owned);
        id.ok_or_else(|| EngineError::new(EngineErrorKind::Refused, "the engine tells no id of the service"))
    }

    async fn update_service(
        &self,
        service: &Service,
        spec: &Value,
        credentials: Option<&Credentials>,
    ) -> EngineResult<()> {
        let path = format!("/services/{}/update?version={}", encoded(&service.id), service.version);
        self.ask(Ask { method: Method::POST, path, body: Some(spec), credentials }).await.map(drop)
    }

    async fn remove_service(&self, id: &str) -> EngineResult<()> {
        let path = format!("/services/{}", encoded(id));
        match self.ask(Ask { method: Method::DELETE, path, body: None, credentials: None }).await {
            Err(error) if error.kind == EngineErrorKind::NotFound => Ok(()),
            result => result.map(drop),
        }
    }

    async fn tasks(&self, label: &str) -> EngineResult<Vec<Task>> {
        let filters = json!({ "label": [label] }).to_string();
        self.list(&format!("/tasks?filters={}", encoded(&filters)), answers::task).await
    }

    async fn nodes(&self) -> EngineResult<Vec<Node>> {
        self.list("/nodes", answers::node).await
    }

    async fn overlays(&self) -> EngineResult<Vec<Overlay>> {
        self.list("/networks", answers::overlay).await
    }

    async fn create_overlay(&self, name: &str, labels: &BTreeMap<String, String>) -> EngineResult<()> {
        let body = json!({ "Name": name, "Driver": "overlay", "Attachable": true, "Labels": labels,
                           "CheckDuplicate": true });
        let path = "/networks/create".to_owned();
        self.ask(Ask { method: Method::POST, path, body: Some(&body), credentials: None }).await.map(drop)
    }

    async fn marks(&self) -> EngineResult<(Timestamp, Vec<Mark>)> {
        let filters = json!({ "label": [answers::LABEL_USE] }).to_string();
        let (told, date) = self.ask_dated(get(format!("/configs?filters={}", encoded(&filters)))).await?;
        let marks = told.as_array().into_iter().flatten().filter_map(answers::mark).collect();
        Ok((date.unwrap_or_else(Timestamp::now), marks))
    }

    async fn create_mark(&self, mark: &Mark) -> EngineResult<String> {
        let mut random = [0_u8; 8];
        let _ = getrandom::fill(&mut random);
        let name = format!("farrier-use-{:016x}", u64::from_ne_bytes(random));
        self.create_configuration(&answers::mark_body(mark, &name)).await
    }

    async fn renew_mark(&self, id: &str, wants: &BTreeMap<String, Want>) -> EngineResult<()> {
        let path = format!("/configs/{}", encoded(id));
        let told = self.ask(get(path.clone())).await?;
        let version = told["Version"]["Index"].as_u64().unwrap_or_default();
        let (path, body) = (format!("{path}/update?version={version}"), answers::renewed(&told, wants));
        self.ask(Ask { method: Method::POST, path, body: Some(&body), credentials: None }).await.map(drop)
    }

    async fn configs(&self, label: &str) -> EngineResult<Vec<Config>> {
        let filters = json!({ "label": [label] }).to_string();
        self.list(&format!("/configs?filters={}", encoded(&filters)), answers::config).await
    }

    async fn create_config(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
        content: &[u8],
    ) -> EngineResult<String> {
        let body = json!({ "Name": name, "Labels": labels, "Data": STANDARD.encode(content) });
        self.create_configuration(&body).await
    }

    async fn remove_config(&self, id: &str) -> EngineResult<()> {
        let path = format!("/configs/{}", encoded(id));
        match self.ask(Ask { method: Method::DELETE, path, body: None, credentials: None }).await {
            Err(error) if error.kind == EngineErrorKind::NotFound => Ok(()),
            result => result.map(drop),
        }
    }

    async fn lines(&self, task: &str, since: &str, lines: usize) -> EngineResult<Vec<String>> {
        let (client, meter) = transport::collecting_client(&self.transport).map_err(convert_error)?;
        let request = OutputRequest { since: since.to_owned(), lines: Some(lines), follow: false };
        let written = client.task_logs(task, Some(output::options(&request)));
        let all =
            output::stamped(written, &request).map_err(move |error| convert_stream_error(error, &meter));
        let mut all: Vec<_> = unless_idle(all.boxed(), IDLE).try_collect().await?;
        all.sort_by_key(|(stamp, _)| *stamp);
        let surplus = all.len().saturating_sub(lines);
        Ok(all.into_iter().skip(surplus).map(|(_, written)| output::text(&written)).collect())
    }

    async fn output(
        &self,
        task: &str,
        request: &OutputRequest,
    ) -> EngineResult<BoxStream<'static, EngineResult<Written>>> {
        let (client, meter) = self.stream_client()?;
        // A clone, because the stream outlives this borrow.
        let parts = client.clone().task_logs(task, Some(output::options(request)));
        let written = output::stamped(metered(parts, meter), request).map_ok(|(_, written)| written).boxed();
        Ok(if request.follow { written } else { unless_idle(written, IDLE) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_that_says_nothing_ends_the_output() {
        let written = futures_util::stream::iter([Ok(1), Ok(2)]).chain(futures_util::stream::pending());
        let read: Vec<EngineResult<i32>> = unless_idle(written.boxed(), IDLE).collect().await;
        assert_eq!(read.len(), 3);
        let error = read.into_iter().find_map(Result::err).expect("it says why");
        assert_eq!(error.message, "the task's node did not answer within 8s");
        let whole = futures_util::stream::iter([Ok(1)]).boxed();
        assert_eq!(unless_idle(whole, IDLE).count().await, 1);
    }

    #[test]
    fn what_an_engine_refuses() {
        for (status, body, kind, message) in [
            (404, r#"{"message":"service a not found"}"#, EngineErrorKind::NotFound, "service a not found"),
            (409, r#"{"message":"name conflicts"}"#, EngineErrorKind::Conflict, "name conflicts"),
            (
                500,
                r#"{"message":"rpc error: code = Unknown desc = update out of sequence"}"#,
                EngineErrorKind::Conflict,
                "rpc error: code = Unknown desc = update out of sequence",
            ),
            (
                503,
                r#"{"message":"This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\""}"#,
                EngineErrorKind::Unreachable,
                "the engine is not part of a Swarm",
            ),
            (
                400,
                r#"{"message":"rpc error: code = InvalidArgument desc = config not found: farrier-file-1"}"#,
                EngineErrorKind::NotFound,
                "rpc error: code = InvalidArgument desc = config not found: farrier-file-1",
            ),
            (
                400,
                r#"{"message":"configs not found: farrier-file-1, farrier-file-2"}"#,
                EngineErrorKind::NotFound,
                "configs not found: farrier-file-1, farrier-file-2",
            ),
            (503, "", EngineErrorKind::Refused, "the engine answers with 503 Service Unavailable"),
        ] {
            let error = refusal(StatusCode::from_u16(status).expect("a status"), body.as_bytes());
            assert_eq!((error.kind, error.message.as_str()), (kind, message));
        }
    }
}
