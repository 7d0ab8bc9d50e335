//! Docker's calls, answered by what is in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::containers;
use super::faults::Call;
use super::image::End;
use super::{Double, copy, output};
use crate::engine::docker::api::{
    Api, Container, ContainerPort, ContainerSpec, CreatedContainer, Credentials, EngineEvent, Image, Listed,
    Member, Network, Volume,
};
use crate::engine::{
    Attached, EngineInfo, EngineResult, ExecOutput, ExecRequest, OutputRequest, PullProgress, Written,
};

#[async_trait]
impl Api for Double {
    async fn info(&self) -> EngineResult<EngineInfo> {
        let id = self.shared.id.clone();
        self.call(Call::Info, "", |world| Ok(world.info(id))).await
    }

    async fn networks(&self, name: &str) -> EngineResult<Vec<Network>> {
        self.call(Call::Networks, name, |world| Ok(world.networks(name))).await
    }

    async fn labelled_networks(&self, label: &str) -> EngineResult<Vec<Network>> {
        self.call(Call::LabelledNetworks, label, |world| Ok(world.labelled_networks(label))).await
    }

    async fn create_network(&self, name: &str, labels: &BTreeMap<String, String>) -> EngineResult<String> {
        self.call(Call::CreateNetwork, name, |world| Ok(world.create_network(name, labels))).await
    }

    async fn remove_network(&self, id: &str) -> EngineResult<()> {
        self.call(Call::RemoveNetwork, id, |world| world.remove_network(id)).await
    }

    async fn connect(&self, network: &str, container: &str, aliases: &[String]) -> EngineResult<()> {
        self.call(Call::Connect, container, |world| world.connect(network, container, aliases)).await
    }

    async fn disconnect(&self, network: &str, container: &str) -> EngineResult<()> {
        self.call(Call::Disconnect, container, |world| world.disconnect(network, container)).await
    }

    async fn members(&self, network: &str) -> EngineResult<Vec<String>> {
        self.call(Call::Members, network, |world| world.members(network)).await
    }

    async fn inhabited(&self, name: &str) -> EngineResult<(Vec<Network>, Vec<Member>)> {
        self.call(Call::Inhabited, name, |world| Ok(world.inhabited(name))).await
    }

    async fn image(&self, reference: &str) -> EngineResult<Option<Image>> {
        self.call(Call::Image, reference, |world| Ok(world.image(reference))).await
    }

    async fn pull(
        &self,
        reference: &str,
        _: Option<&str>,
        _: Option<Credentials>,
        progress: &(dyn Fn(PullProgress) + Send + Sync),
    ) -> EngineResult<()> {
        for step in self.change_quietly(|world| world.pull_progress(reference)) {
            progress(step);
        }
        self.call(Call::Pull, reference, |world| world.pull(reference)).await
    }

    async fn container(&self, name: &str) -> EngineResult<Option<Container>> {
        self.call(Call::Container, name, |world| Ok(world.container(name))).await
    }

    async fn labelled(&self, label: &str) -> EngineResult<Vec<Listed>> {
        self.call(Call::Labelled, label, |world| Ok(world.labelled(label))).await
    }

    async fn listed(&self, ids: &[&str]) -> EngineResult<Vec<Listed>> {
        self.call(Call::Listed, &ids.join(" "), |world| Ok(world.listed(ids))).await
    }

    async fn create(&self, spec: &ContainerSpec) -> EngineResult<String> {
        self.call(Call::Create, &spec.name, |world| world.create(spec)).await
    }

    async fn rename(&self, id: &str, name: &str) -> EngineResult<()> {
        self.call(Call::Rename, id, |world| world.rename(id, name)).await
    }

    async fn start(&self, id: &str) -> EngineResult<()> {
        let begun = self.clone();
        self.call(Call::Start, id, |world| {
            if let Some(run) = world.start(id)? {
                begun.let_run(run);
            }
            Ok(())
        })
        .await
    }

    async fn resume(&self, id: &str) -> EngineResult<()> {
        self.call(Call::Resume, id, |world| world.resume(id)).await
    }

    async fn stop(&self, id: &str, _: Duration) -> EngineResult<()> {
        self.call(Call::Stop, id, |world| world.stop(id)).await
    }

    async fn remove(&self, id: &str, volumes: bool) -> EngineResult<()> {
        self.call(Call::Remove, id, |world| {
            world.remove(id, volumes);
            Ok(())
        })
        .await
    }

    async fn events(
        &self,
        label: &str,
        since: &str,
    ) -> EngineResult<BoxStream<'static, EngineResult<EngineEvent>>> {
        let receiver = self.call(Call::Events, label, |world| Ok(world.subscribe(label, since))).await?;
        let next = |mut receiver: mpsc::UnboundedReceiver<_>| async move {
            receiver.recv().await.map(|event| (event, receiver))
        };
        Ok(stream::unfold(receiver, next).boxed())
    }

    async fn created(&self, since: &str, until: &str) -> EngineResult<Vec<CreatedContainer>> {
        self.call(Call::Created, since, |world| Ok(world.created(since, until))).await
    }

    async fn exec(&self, container: &str, request: &ExecRequest) -> EngineResult<ExecOutput> {
        let run = self.executed(Call::Exec, container, &request.arguments).await?;
        let (run, exit_code) = self.ran(container, run).await;
        Ok(run.output(exit_code, request.output_limit))
    }

    async fn exec_attached(&self, container: &str, arguments: &[String]) -> EngineResult<Attached> {
        let run = self.executed(Call::ExecAttached, container, arguments).await?;
        let (attached, (input, mut output)) = containers::wires();
        let copies = matches!(run.end, End::Copies);
        tokio::spawn(async move {
            if output.write_all(&run.stdout).await.is_ok() && copies {
                copy((input, output)).await;
            }
        });
        Ok(attached)
    }

    async fn logs(&self, container: &str, since: &str, lines: usize) -> EngineResult<Vec<String>> {
        self.call(Call::Logs, container, |world| world.logs(container, since, lines)).await
    }

    async fn output(
        &self,
        container: &str,
        request: &OutputRequest,
    ) -> EngineResult<BoxStream<'static, EngineResult<Written>>> {
        let reader = self.call(Call::Output, container, |world| world.reader(container, request)).await?;
        Ok(output::stream(self.clone(), reader).boxed())
    }

    async fn published(&self) -> EngineResult<Vec<ContainerPort>> {
        self.call(Call::Published, "", |world| Ok(world.published())).await
    }

    async fn volume(&self, name: &str) -> EngineResult<Option<Volume>> {
        self.call(Call::Volume, name, |world| Ok(world.volume(name))).await
    }

    async fn volumes(&self, label: &str) -> EngineResult<Vec<Volume>> {
        self.call(Call::Volumes, label, |world| Ok(world.labelled_volumes(label))).await
    }

    async fn remove_volume(&self, name: &str) -> EngineResult<()> {
        self.call(Call::RemoveVolume, name, |world| world.remove_volume(name)).await
    }

    async fn has_socket(&self) -> EngineResult<bool> {
        self.call(Call::HasSocket, "", |world| Ok(world.has_socket)).await
    }

    async fn load(&self, archive: &'static [u8]) -> EngineResult<()> {
        self.call(Call::Load, "", |world| world.load(archive)).await
    }

    async fn attach(&self, container: &str) -> EngineResult<Attached> {
        let (attached, wires) = containers::wires();
        self.call(Call::Attach, container, |world| world.attach(container, wires)).await?;
        Ok(attached)
    }
}
