//! Images in files, made of the fixture program and of files of this host, and sidecars of them.

use std::ffi::OsStr;
use std::path::PathBuf;

use serde_json::Value;

use crate::programs::setup::Programs;
use crate::support::{Image, Run, fixture_program};

/// A scene whose sidecars are containers of the built-in engine. They are removed with it.
pub struct Images {
    pub programs: Programs,
}

impl Images {
    pub fn new() -> Self {
        Self { programs: Programs::new() }
    }

    /// Writes an image beside the definitions of the user's layer, and gives its id.
    pub fn layout(&self, stem: &str, image: &Image) -> String {
        let folder = self.programs.scene.layer(crate::support::Layer::User).join(stem);
        image.layout(&fixture_program(), &folder).unwrap_or_else(|trouble| panic!("{trouble}"))
    }

    /// A sidecar of the image `stem` that is ready when it runs.
    pub fn plain(&self, stem: &str, lines: &str) {
        self.programs.plain(stem, &format!("image = 'oci:./{stem}'\n{lines}"));
    }

    /// One that serves at a port, ready when the port accepts.
    pub fn serving(&self, stem: &str, image: &str, port: u16, arguments: &str, lines: &str) {
        let text = format!(
            "image = 'oci:./{image}'\ncommand = ['serve', '--port', '{port}', {arguments}]\n{lines}\n\
             [interface]\nkind = 'port'\nport = {port}\n[readiness]\nprobe = 'tcp'\n"
        );
        self.programs.define(stem, &text);
    }

    pub fn farrier<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        self.programs.farrier(arguments)
    }

    pub fn sidecar(&self, stem: &str) -> Value {
        let name = self.programs.scene.name(stem);
        let all = self.programs.all();
        let found = all.iter().find(|sidecar| sidecar["name"] == name.as_str());
        found.cloned().unwrap_or_else(|| panic!("{all:#?}"))
    }

    /// What a sidecar answers to a harness on this host.
    pub fn ask(&self, stem: &str) -> String {
        let harness = fixture_program().display().to_string();
        let variable = self.programs.scene.variable(stem);
        self.farrier(["launch", "--", &harness, "ask-env", &variable]).output().assert_code(0).stdout()
    }

    /// What a shell script writes in a container of the image that has a shell.
    pub fn script(&self, stem: &str, script: &str) -> String {
        let script = format!("{script}\necho whole\nexec sleep 1000\n");
        self.plain(stem, &format!("entrypoint = ['/bin/sh', '-c', '''{script}''']"));
        self.farrier(["up"]).output().assert_code(0);
        self.programs.wait_for_log(stem, "whole\n");
        self.programs.log(stem)
    }

    /// The folder of the engine.
    pub fn store(&self) -> PathBuf {
        self.programs.scene.state_home().join("farrier/native")
    }
}
