//! Commands executed in containers: one in flight per sidecar, two overall.
//!
//! One execution costs the engine 60 to 85 ms, ten at once 400 ms, and Docker cannot end one: whoever stops
//! waiting leaves it running, and it counts as in flight until it has ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::engine::{Engine, EngineError, EngineErrorKind, ExecOutput, ExecRequest};
use crate::probe::limits::EXEC_OUTPUT;

/// How many run at once on one engine.
const OVERALL: usize = 2;

/// How an execution ended.
#[derive(Debug)]
pub enum Outcome {
    /// With an exit code.
    Ended(ExecOutput),
    /// The engine could not run it: it is not in the image, or may not be executed.
    CannotRun(String),
    /// The engine failed.
    Failed(EngineError),
    /// The time was up; it goes on.
    StillRunning,
    /// The time was up before its turn came.
    NoTurn,
}

/// The gate that all executions of a launch pass.
#[derive(Debug)]
pub struct Executions {
    overall: Arc<Semaphore>,
    each: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Default for Executions {
    fn default() -> Self {
        Self { overall: Arc::new(Semaphore::new(OVERALL)), each: Mutex::default() }
    }
}

impl Executions {
    /// Runs a command when its turn has come, and waits for its end as long as told, waiting for the turn
    /// included.
    pub async fn run(
        &self,
        engine: &Arc<dyn Engine>,
        container: &str,
        arguments: Vec<String>,
        limit: Duration,
    ) -> Outcome {
        let own = {
            let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(each.entry(container.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(1))))
        };
        let overall = Arc::clone(&self.overall);
        let turn = async move {
            let own = own.acquire_owned().await.ok()?;
            Some((own, overall.acquire_owned().await.ok()?))
        };
        let begun = tokio::time::Instant::now();
        let Ok(Some(turn)) = tokio::time::timeout(limit, turn).await else {
            return Outcome::NoTurn;
        };
        let engine = Arc::clone(engine);
        let container = container.to_owned();
        let running = tokio::spawn(async move {
            let request = ExecRequest { arguments, output_limit: EXEC_OUTPUT };
            let ended = match engine.exec() {
                Some(exec) => exec.exec(&container, &request).await,
                None => Err(EngineError::new(EngineErrorKind::Refused, "the engine executes no commands")),
            };
            drop(turn);
            ended
        });
        match tokio::time::timeout(limit.saturating_sub(begun.elapsed()), running).await {
            Ok(Ok(ended)) => classify(ended),
            Ok(Err(error)) => Outcome::Failed(EngineError::new(EngineErrorKind::Refused, error.to_string())),
            Err(_) => Outcome::StillRunning,
        }
    }
}

/// Tells "the command said no" from "there is no such command": Docker reports the latter either as an error
/// or as the runtime's message with exit code 126 or 127.
fn classify(ended: Result<ExecOutput, EngineError>) -> Outcome {
    match ended {
        Ok(output) if matches!(output.exit_code, 126 | 127) => {
            let text = String::from_utf8_lossy(if output.stdout.is_empty() {
                &output.stderr
            } else {
                &output.stdout
            });
            match why_not(&text) {
                Some(why) => Outcome::CannotRun(why),
                None => Outcome::Ended(output),
            }
        }
        Ok(output) => Outcome::Ended(output),
        Err(error) => match why_not(&error.message) {
            Some(why) if error.kind == EngineErrorKind::Refused => Outcome::CannotRun(why),
            _ => Outcome::Failed(error),
        },
    }
}

/// Why the runtime cannot run a command, without what it begins each such message with; `None` for other texts.
fn why_not(text: &str) -> Option<String> {
    let (_, why) = text.split_once("OCI runtime exec failed: ")?;
    Some(why.strip_prefix("exec failed: ").unwrap_or(why).trim().to_owned())
}
