//! Commands in containers, and what is attached to.

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use tokio_util::io::StreamReader;

use super::Client;
use super::errors::{convert_error, metered};
use super::standard_output::StandardOutput;
use super::transport::upgraded;
use crate::engine::{Attached, EngineError, EngineErrorKind, EngineResult, ExecOutput, ExecRequest};

type OutputStream = BoxStream<'static, EngineResult<LogOutput>>;
type InputStream = std::pin::Pin<Box<dyn tokio::io::AsyncWrite + Send>>;

impl Client {
    pub(super) async fn execution(&self, container: &str, request: &ExecRequest) -> EngineResult<ExecOutput> {
        let (exec, mut attached) = self.start_exec(container, &request.arguments, false).await?;
        let mut output = ExecOutput::default();
        while let Some(part) = attached.0.try_next().await? {
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
        let ended = self.connection.inspect_exec(&exec).await.map_err(convert_error)?;
        output.exit_code = ended.exit_code.unwrap_or(-1);
        Ok(output)
    }

    pub(super) async fn attached_execution(
        &self,
        container: &str,
        arguments: &[String],
    ) -> EngineResult<Attached> {
        let (_, (output, input)) = self.start_exec(container, arguments, true).await?;
        Ok(Attached { input, output: standard_output(output) })
    }

    pub(super) async fn attached(&self, container: &str) -> EngineResult<Attached> {
        let path = format!("/containers/{container}/attach?stdin=true&stdout=true&stream=true");
        let (attached, meter) = upgraded(&self.transport, &path).await.map_err(convert_error)?;
        let (output, input) = tokio::io::split(attached);
        Ok(Attached { input: Box::pin(input), output: Box::pin(StandardOutput::new(output, meter)) })
    }

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
        let exec = self.connection.create_exec(container, options).await.map_err(convert_error)?.id;
        let (client, meter) = self.stream_client()?;
        match client.start_exec(&exec, None).await.map_err(convert_error)? {
            StartExecResults::Attached { output, input } => Ok((exec, (metered(output, meter), input))),
            StartExecResults::Detached => {
                Err(EngineError::new(EngineErrorKind::Refused, "the engine detached an attached command"))
            }
        }
    }
}

fn standard_output(stream: OutputStream) -> std::pin::Pin<Box<dyn tokio::io::AsyncRead + Send>> {
    let bytes = stream.try_filter_map(|part| {
        std::future::ready(Ok(match part {
            LogOutput::StdOut { message } | LogOutput::Console { message } => Some(message),
            LogOutput::StdErr { .. } | LogOutput::StdIn { .. } => None,
        }))
    });
    Box::pin(StreamReader::new(bytes.map_err(std::io::Error::other)))
}
