//! The facets that the engine has: images, commands in containers, and what containers wrote.

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use super::Docker;
use crate::engine::{
    EngineResult, Exec, ExecOutput, ExecRequest, Images, Logs, OutputRequest, PresentImage, Written,
};

#[async_trait]
impl Images for Docker {
    async fn present(&self, reference: &str) -> EngineResult<Option<PresentImage>> {
        let found = self.api.image(reference).await?;
        Ok(found.map(|image| {
            let has_health_test = image.process.health_command().is_some();
            PresentImage { id: image.id, ports: image.ports, has_health_test }
        }))
    }
}

#[async_trait]
impl Exec for Docker {
    async fn exec(&self, instance: &str, request: &ExecRequest) -> EngineResult<ExecOutput> {
        self.api.exec(instance, request).await
    }
}

#[async_trait]
impl Logs for Docker {
    async fn logs(&self, instance: &str, since: &str, lines: usize) -> EngineResult<Vec<String>> {
        self.api.logs(instance, since, lines).await
    }

    async fn output(
        &self,
        instance: &str,
        request: &OutputRequest,
    ) -> EngineResult<BoxStream<'static, EngineResult<Written>>> {
        self.api.output(instance, request).await
    }
}
