//! A Swarm in memory that answers what the tests of this folder ask, and refuses the rest.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use serde_json::Value;

use super::api::{Config, Mark, Node, Overlay, Service, SwarmApi, SwarmInfo, Task, Want};
use crate::engine::registry::Credentials;
use crate::engine::{EngineError, EngineErrorKind, EngineResult, OutputRequest, Written};

/// How the Swarm takes the renewal of a mark.
pub(super) enum Renewal {
    Taken,
    Fails(EngineErrorKind),
    /// It never answers.
    Hangs,
}

#[derive(Default)]
pub(super) struct Fake {
    pub services: Mutex<Vec<Service>>,
    pub configs: Mutex<Vec<Config>>,
    /// Whether it tells tasks.
    pub tells_tasks: bool,
    /// What comes of the next renewals, in this order; then all are taken.
    pub renewals: Mutex<VecDeque<Renewal>>,
    /// When renewals began.
    pub renewed: Mutex<Vec<tokio::time::Instant>>,
}

fn refused<T>() -> EngineResult<T> {
    Err(EngineError::new(EngineErrorKind::Refused, "the fake does not do that"))
}

#[async_trait]
impl SwarmApi for Fake {
    async fn swarm(&self) -> EngineResult<SwarmInfo> {
        refused()
    }

    async fn services(&self) -> EngineResult<Vec<Service>> {
        Ok(self.services.lock().expect("no panic").clone())
    }

    async fn service(&self, name: &str) -> EngineResult<Option<Service>> {
        let services = self.services.lock().expect("no panic");
        Ok(services.iter().find(|service| service.name == name).cloned())
    }

    async fn create_service(&self, _: &Value, _: Option<&Credentials>) -> EngineResult<String> {
        refused()
    }

    async fn update_service(&self, _: &Service, _: &Value, _: Option<&Credentials>) -> EngineResult<()> {
        refused()
    }

    async fn remove_service(&self, id: &str) -> EngineResult<()> {
        self.services.lock().expect("no panic").retain(|service| service.id != id);
        Ok(())
    }

    async fn tasks(&self, _: &str) -> EngineResult<Vec<Task>> {
        if self.tells_tasks { Ok(Vec::new()) } else { refused() }
    }

    async fn nodes(&self) -> EngineResult<Vec<Node>> {
        Ok(Vec::new())
    }

    async fn overlays(&self) -> EngineResult<Vec<Overlay>> {
        Ok(Vec::new())
    }

    async fn create_overlay(&self, _: &str, _: &BTreeMap<String, String>) -> EngineResult<()> {
        refused()
    }

    async fn marks(&self) -> EngineResult<(Timestamp, Vec<Mark>)> {
        Ok((Timestamp::now(), Vec::new()))
    }

    async fn create_mark(&self, _: &Mark) -> EngineResult<String> {
        Ok("mark".to_owned())
    }

    async fn renew_mark(&self, _: &str, _: &BTreeMap<String, Want>) -> EngineResult<()> {
        self.renewed.lock().expect("no panic").push(tokio::time::Instant::now());
        let renewal = self.renewals.lock().expect("no panic").pop_front();
        match renewal.unwrap_or(Renewal::Taken) {
            Renewal::Taken => Ok(()),
            Renewal::Fails(kind) => Err(EngineError::new(kind, "it fails")),
            Renewal::Hangs => std::future::pending().await,
        }
    }

    async fn configs(&self, _: &str) -> EngineResult<Vec<Config>> {
        Ok(self.configs.lock().expect("no panic").clone())
    }

    async fn create_config(&self, _: &str, _: &BTreeMap<String, String>, _: &[u8]) -> EngineResult<String> {
        refused()
    }

    async fn remove_config(&self, id: &str) -> EngineResult<()> {
        self.configs.lock().expect("no panic").retain(|config| config.id != id);
        Ok(())
    }

    async fn lines(&self, _: &str, _: &str, _: usize) -> EngineResult<Vec<String>> {
        refused()
    }

    async fn output(
        &self,
        _: &str,
        _: &OutputRequest,
    ) -> EngineResult<BoxStream<'static, EngineResult<Written>>> {
        refused()
    }
}
