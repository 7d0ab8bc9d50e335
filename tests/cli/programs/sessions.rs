//! Programs that belong to a session: they end with the harness, whatever ends it.

use super::setup::{Programs, processes_with};
use crate::support::{PATIENT, Signal, fixture_program, free_port, wait_until};

#[test]
fn a_program_of_a_session_ends_with_the_harness() {
    let programs = Programs::new();
    let (port, token) = (free_port(), programs.scene.token().to_owned());
    let text = format!(
        "lifecycle = 'session'\nprogram = ['{}', 'serve', '--port', '{port}', '--reply', 'hello']\n\
         env = {{ TOKEN = '{token}' }}\n[interface]\nkind = 'port'\nport = {port}\n[readiness]\nprobe = 'tcp'\n",
        fixture_program().display()
    );
    programs.scene.define("api", &text);
    let harness = fixture_program().display().to_string();
    let name = programs.scene.variable("api");
    for _ in 0..2 {
        let asked = programs.farrier(["launch", "--", &harness, "ask-env", &name]).output().assert_code(0);
        assert_eq!(asked.stdout(), "hello\n", "{asked}");
        assert!(processes_with("TOKEN", &token).is_empty(), "it has ended");
    }
    programs.farrier(["up"]).output().assert_code(125);
    // The launch is killed with its harness, and nobody runs another command.
    let script = format!("echo running; exec '{harness}' wait");
    let launch = programs.farrier(["launch", "--", "sh", "-c", &script]).spawn();
    launch.wait_for_stdout("running");
    assert!(!processes_with("TOKEN", &token).is_empty(), "its program runs");
    launch.signal_group(Signal::KILL);
    let _ = launch.wait();
    wait_until("the program has ended", PATIENT, || processes_with("TOKEN", &token).is_empty());
    assert!(programs.all().is_empty(), "nothing is left");
}
