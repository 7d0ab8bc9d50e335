//! A terminal's screen, and a launch on one.

use crate::support::{Layer, PATIENT, Running, Scene, docker, fixture_image, wait_until};

/// What a terminal of this width shows after these bytes: its lines, without blanks at their ends.
pub fn shown(bytes: &str, columns: u16) -> String {
    let mut terminal = vt100::Parser::new(50, columns, 0);
    terminal.process(bytes.as_bytes());
    let lines: Vec<String> =
        terminal.screen().rows(0, columns).map(|row| row.trim_end().to_owned()).collect();
    lines.join("\n").trim_end().to_owned()
}

/// Waits until the screen satisfies the condition, and gives it.
pub fn wait_for_screen(
    running: &Running,
    columns: u16,
    what: &str,
    condition: impl Fn(&str) -> bool,
) -> String {
    let mut found = String::new();
    wait_until(what, PATIENT, || {
        found = shown(&running.stdout(), columns);
        condition(&found)
    });
    found
}

/// The definition of a server that opens after so many milliseconds, with these lines about its readiness.
pub fn server(after: &str, more: &str, readiness: &str) -> String {
    format!(
        "lifecycle = \"shared\"\nimage = \"{}\"\ncommand = [\"serve\", \"--port\", \"7000\", \"--reply\", \
         \"pong\", \"--after\", \"{after}\"]\n{more}\n[interface]\nkind = \"port\"\nport = 7000\n[readiness]\n{readiness}\n",
        fixture_image()
    )
}

/// The definition of a server that does not open before [`listen`].
pub fn silent(more: &str, readiness: &str) -> String {
    let text = server("0", more, readiness);
    let begin = text.find("command = ").expect("a command");
    let end = begin + text[begin..].find('\n').expect("a line");
    format!("{}command = [\"wait\"]{}", &text[..begin], &text[end..])
}

/// Lets the sidecars that do nothing listen after all.
pub fn listen(scene: &Scene) {
    let all = docker(["ps", "--quiet", "--filter", &format!("network={}", scene.network("net"))]);
    for container in all.lines() {
        docker(["exec", "--detach", container, "/fixture", "serve", "--port", "7000", "--reply", "pong"]);
    }
}

/// Sidecars with plain names, whose containers are nobody else's all the same: those of an organisation's layer
/// carry its path.
pub fn define(scene: &Scene, name: &str, definition: &str) {
    scene.define_in(Layer::Org, &format!("{name}.toml"), definition);
}

/// `farrier launch` on a terminal, of a harness in a container of the scene's network.
pub fn launch(
    scene: &Scene,
    options: &[&str],
    harness: &[&str],
    columns: u16,
    environment: &[(&str, &str)],
) -> Running {
    let network = scene.network("net");
    let org = scene.layer(Layer::Org);
    let run = scene.farrier(["launch", "--no-workspace", "--org-dir"]).arg(org).args(options).arg("--");
    let run = run.args(scene.in_container(&network, harness));
    let run = environment.iter().fold(run, |run, (name, value)| run.env(*name, *value));
    run.spawn_on_terminal(columns, 24)
}
