//! An end to every wait for an answer, and words on every failure: an engine that hangs costs a clear error, not a launch
//! that hangs too. Everything else stays as the engine inside has it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::time::Instant;

use super::api::{
    Api, Container, ContainerPort, ContainerSpec, CreatedContainer, Credentials, EngineEvent, Image, Listed,
    Member, Network, Volume,
};
use super::classification::explained;
use crate::engine::limited::within;
use crate::engine::{
    Attached, EngineError, EngineErrorKind, EngineInfo, EngineResult, ExecOutput, ExecRequest, OutputRequest,
    PullProgress, Written,
};
use crate::report::elapsed::limit;

/// How long an engine may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a whole answer.
    pub answer: Duration,
    /// For the next word about a pull, which may go on for hours as long as it says something.
    pub silence: Duration,
}

impl Default for Timeouts {
    /// Creating a container on a busy disk takes tens of seconds; a pull says something with each part of a layer
    /// that was downloaded or unpacked.
    fn default() -> Self {
        Self { answer: Duration::from_mins(2), silence: Duration::from_mins(5) }
    }
}

/// An engine whose answers are not waited for without end.
pub struct Bounded<E> {
    engine: E,
    timeouts: Timeouts,
}

impl<E: Api> Bounded<E> {
    /// Puts an end to the waits for this engine.
    #[must_use]
    pub const fn new(engine: E, timeouts: Timeouts) -> Self {
        Self { engine, timeouts }
    }

    async fn answer<T>(&self, answer: impl Future<Output = EngineResult<T>>) -> EngineResult<T> {
        within(self.timeouts.answer, answer).await.map_err(explained)
    }
}

/// A stream whose failures are explained as they come.
fn each_explained<T: 'static>(
    stream: BoxStream<'static, EngineResult<T>>,
) -> BoxStream<'static, EngineResult<T>> {
    stream.map(|item| item.map_err(explained)).boxed()
}

#[async_trait]
impl<E: Api> Api for Bounded<E> {
    async fn info(&self) -> EngineResult<EngineInfo> {
        self.answer(self.engine.info()).await
    }

    async fn networks(&self, name: &str) -> EngineResult<Vec<Network>> {
        self.answer(self.engine.networks(name)).await
    }

    async fn labelled_networks(&self, label: &str) -> EngineResult<Vec<Network>> {
        self.answer(self.engine.labelled_networks(label)).await
    }

    async fn create_network(&self, name: &str, labels: &BTreeMap<String, String>) -> EngineResult<String> {
        self.answer(self.engine.create_network(name, labels)).await
    }

    async fn remove_network(&self, id: &str) -> EngineResult<()> {
        self.answer(self.engine.remove_network(id)).await
    }

    async fn connect(&self, network: &str, container: &str, aliases: &[String]) -> EngineResult<()> {
        self.answer(self.engine.connect(network, container, aliases)).await
    }

    async fn disconnect(&self, network: &str, container: &str) -> EngineResult<()> {
        self.answer(self.engine.disconnect(network, container)).await
    }

    async fn members(&self, network: &str) -> EngineResult<Vec<String>> {
        self.answer(self.engine.members(network)).await
    }

    async fn image(&self, reference: &str) -> EngineResult<Option<Image>> {
        self.answer(self.engine.image(reference)).await
    }

    async fn pull(
        &self,
        reference: &str,
        platform: Option<&str>,
        credentials: Option<Credentials>,
        progress: &(dyn Fn(PullProgress) + Send + Sync),
    ) -> EngineResult<()> {
        let silence = self.timeouts.silence;
        let heard = Mutex::new(Instant::now());
        let hear = |told| {
            *heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            progress(told);
        };
        let silent = async {
            loop {
                let until = *heard.lock().unwrap_or_else(PoisonError::into_inner) + silence;
                if until <= Instant::now() {
                    return;
                }
                tokio::time::sleep_until(until).await;
            }
        };
        tokio::select! {
            result = self.engine.pull(reference, platform, credentials, &hear) => result.map_err(explained),
            () = silent => {
                let message = format!("the engine reported no progress of the pull for {}", limit(silence));
                Err(EngineError::new(EngineErrorKind::TimedOut, message))
            }
        }
    }

    async fn container(&self, name: &str) -> EngineResult<Option<Container>> {
        self.answer(self.engine.container(name)).await
    }

    async fn inhabited(&self, name: &str) -> EngineResult<(Vec<Network>, Vec<Member>)> {
        self.answer(self.engine.inhabited(name)).await
    }

    async fn labelled(&self, label: &str) -> EngineResult<Vec<Listed>> {
        self.answer(self.engine.labelled(label)).await
    }

    async fn listed(&self, ids: &[&str]) -> EngineResult<Vec<Listed>> {
        self.answer(self.engine.listed(ids)).await
    }

    async fn create(&self, spec: &ContainerSpec) -> EngineResult<String> {
        self.answer(self.engine.create(spec)).await
    }

    async fn rename(&self, id: &str, name: &str) -> EngineResult<()> {
        self.answer(self.engine.rename(id, name)).await
    }

    async fn start(&self, id: &str) -> EngineResult<()> {
        self.answer(self.engine.start(id)).await
    }

    async fn resume(&self, id: &str) -> EngineResult<()> {
        self.answer(self.engine.resume(id)).await
    }

    /// The grace period is the container's own time.
    async fn stop(&self, id: &str, grace: Duration) -> EngineResult<()> {
        let time = self.timeouts.answer.saturating_add(grace);
        within(time, self.engine.stop(id, grace)).await.map_err(explained)
    }

    async fn remove(&self, id: &str, volumes: bool) -> EngineResult<()> {
        self.answer(self.engine.remove(id, volumes)).await
    }

    /// The stream itself may be silent for ever: that nothing happens is no failure.
    async fn events(
        &self,
        label: &str,
        since: &str,
    ) -> EngineResult<BoxStream<'static, EngineResult<EngineEvent>>> {
        Ok(each_explained(self.answer(self.engine.events(label, since)).await?))
    }

    async fn created(&self, since: &str, until: &str) -> EngineResult<Vec<CreatedContainer>> {
        self.answer(self.engine.created(since, until)).await
    }

    /// How long a command may take is its caller's business.
    async fn exec(&self, container: &str, request: &ExecRequest) -> EngineResult<ExecOutput> {
        self.engine.exec(container, request).await.map_err(explained)
    }

    async fn exec_attached(&self, container: &str, arguments: &[String]) -> EngineResult<Attached> {
        self.answer(self.engine.exec_attached(container, arguments)).await
    }

    async fn logs(&self, container: &str, since: &str, lines: usize) -> EngineResult<Vec<String>> {
        self.answer(self.engine.logs(container, since, lines)).await
    }

    /// As long as the container writes, where it is followed.
    async fn output(
        &self,
        container: &str,
        request: &OutputRequest,
    ) -> EngineResult<BoxStream<'static, EngineResult<Written>>> {
        Ok(each_explained(self.answer(self.engine.output(container, request)).await?))
    }

    async fn published(&self) -> EngineResult<Vec<ContainerPort>> {
        self.answer(self.engine.published()).await
    }

    async fn volume(&self, name: &str) -> EngineResult<Option<Volume>> {
        self.answer(self.engine.volume(name)).await
    }

    async fn volumes(&self, label: &str) -> EngineResult<Vec<Volume>> {
        self.answer(self.engine.volumes(label)).await
    }

    async fn remove_volume(&self, name: &str) -> EngineResult<()> {
        self.answer(self.engine.remove_volume(name)).await
    }

    async fn has_socket(&self) -> EngineResult<bool> {
        self.answer(self.engine.has_socket()).await
    }

    async fn load(&self, archive: &'static [u8]) -> EngineResult<()> {
        self.answer(self.engine.load(archive)).await
    }

    async fn attach(&self, container: &str) -> EngineResult<Attached> {
        self.answer(self.engine.attach(container)).await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;
    use crate::engine::Meaning;

    #[tokio::test]
    async fn a_failure_in_the_middle_of_a_stream_says_what_to_do_as_one_at_its_beginning_does() {
        let full = EngineError::new(EngineErrorKind::Refused, "write /x: no space left on device");
        let items = vec![Ok(1), Err(full)];
        let told: Vec<EngineResult<u8>> = each_explained(stream::iter(items).boxed()).collect().await;
        let error = told.into_iter().find_map(Result::err).expect("the failure");
        assert_eq!(error.meaning, Some(Meaning::DiskFull));
        assert!(error.hints.iter().any(|hint| hint.contains("docker system prune")), "{error:?}");
    }
}
