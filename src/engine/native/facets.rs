//! The facets that the engine has: images, commands in instances, and what instances wrote.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::log::{self, Follower};
use super::{Native, executing};
use crate::definition::ImageFile;
use crate::engine::{
    EngineError, EngineErrorKind, EngineResult, Exec, ExecOutput, ExecRequest, Images, Logs, OutputRequest,
    PresentImage, Written,
};

/// The pause between two looks at a log that is followed.
const LOOK: Duration = Duration::from_millis(50);
/// Most lines, where somebody wants all of them.
const ALL_LINES: usize = usize::MAX;

#[async_trait]
impl Images for Native {
    async fn present(&self, reference: &str) -> EngineResult<Option<PresentImage>> {
        // An image in a file is what the file says, whatever the store has.
        if ImageFile::parse(reference).is_some() {
            return Ok(None);
        }
        let images = self.store.images();
        let found = images.named(reference).and_then(|id| Some((images.config(&id)?, id)));
        Ok(found.map(|(config, id)| PresentImage {
            id,
            ports: config.config.ports(),
            has_health_test: config.config.health_command().is_some(),
        }))
    }
}

#[async_trait]
impl Exec for Native {
    async fn exec(&self, instance: &str, request: &ExecRequest) -> EngineResult<ExecOutput> {
        let stored = self.stored(instance)?;
        if !stored.instance().is_up() {
            let message = format!("`{}` is not running", stored.specification.name);
            return Err(EngineError::new(EngineErrorKind::Conflict, message));
        }
        let folder = self.store.instance(&stored.id);
        executing::execute(&folder, self.store.helper(), &stored, request).await
    }
}

#[async_trait]
impl Logs for Native {
    async fn logs(&self, instance: &str, since: &str, lines: usize) -> EngineResult<Vec<String>> {
        let id = self.stored(instance)?.id;
        let since = log::parse_since(since);
        let found = log::newest(&self.store.instance(&id).file("log"), since.as_deref(), lines, None);
        let text = |line: &log::Line| String::from_utf8_lossy(&line.text).trim_end_matches('\r').to_owned();
        Ok(found.iter().map(text).collect())
    }

    async fn output(
        &self,
        instance: &str,
        request: &OutputRequest,
    ) -> EngineResult<BoxStream<'static, EngineResult<Written>>> {
        let id = self.stored(instance)?.id;
        let path = self.store.instance(&id).file("log");
        let mut follower = request.follow.then(|| Follower::new(&path));
        let end = follower.as_mut().map(Follower::position);
        let since = log::parse_since(&request.since);
        let found = log::newest(&path, since.as_deref(), request.lines.unwrap_or(ALL_LINES), end);
        let before = stream::iter(found.into_iter().map(|line| Ok(written(line))));
        let Some(follower) = follower else { return Ok(before.boxed()) };
        let store = self.store.clone();
        let after = stream::unfold((store, id, follower), |(store, id, mut follower)| async move {
            loop {
                // In this order: what ended has written all that it wrote.
                let goes_on =
                    store.read(&id).is_some_and(|stored| stored.is_supervised || stored.is_between_runs());
                let added = match follower.added() {
                    Ok(added) if added.is_empty() && goes_on => {
                        tokio::time::sleep(LOOK).await;
                        continue;
                    }
                    Ok(added) if added.is_empty() => return None,
                    Ok(added) => added.into_iter().map(|line| Ok(written(line))).collect(),
                    Err(_) => return None,
                };
                let added: Vec<EngineResult<Written>> = added;
                return Some((stream::iter(added), (store, id, follower)));
            }
        });
        Ok(before.chain(after.flatten()).boxed())
    }
}

fn written(line: log::Line) -> Written {
    let mut bytes = line.text;
    if line.is_whole {
        bytes.push(b'\n');
    }
    Written { is_error: line.is_error, at: line.time.parse().unwrap_or_default(), bytes }
}
