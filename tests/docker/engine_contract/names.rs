//! Names: how sidecars of one network find each other.

use std::sync::Arc;

use farrier::engine::ExecRequest;
use farrier::plan::instance::Status;
use farrier::plan::sidecar::Sidecar;

use super::setup::{Ground, LOOK, contract, declared};
use crate::support::PATIENT;

contract! { in containers:
    sidecars_reach_each_other_by_name_at_declared_ports,
}

/// What a sidecar gets for an answer when it asks another one.
async fn ask(ground: &dyn Ground, from: &Sidecar, host: &str, port: &str) -> Option<String> {
    let arguments = ["/fixture", "ask", host, port];
    let instance = ground.inspect(from).await.expect("it runs");
    if let Some((exit_code, output)) = ground.execute(&instance, &arguments) {
        return (exit_code == 0).then(|| output.trim().to_owned());
    }
    let exec = ground.engine().exec().expect("it executes commands");
    let arguments = arguments.map(str::to_owned).to_vec();
    let asked = exec.exec(&from.container, &ExecRequest { arguments, output_limit: 1000 }).await;
    let asked = asked.expect("it is executed");
    (asked.exit_code == 0).then(|| String::from_utf8_lossy(&asked.stdout).trim().to_owned())
}

async fn until_asked(ground: &dyn Ground, from: &Sidecar, host: &str, answer: Option<&str>) {
    let asking = async {
        while ask(ground, from, host, "7000").await.as_deref() != answer {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENT, asking).await.unwrap_or_else(|_| panic!("{host} answers {answer:?}"));
}

async fn sidecars_reach_each_other_by_name_at_declared_ports(ground: &dyn Ground) {
    // Both listen at one port of all their addresses, as two servers of a kind do.
    let serving = |stem: &str, lines: &str| {
        let runs = ground.runs_with(&["serve", "--port", "7000", "--reply", stem]);
        let alias = format!("{}.test", ground.name(stem));
        let interface = format!("[interface]\nkind = \"port\"\nport = 7000\naliases = [\"{alias}\"]");
        declared(ground, stem, &format!("{runs}\n{lines}\n{interface}"))
    };
    let [one, two] = ["one", "two"].map(|stem| serving(stem, ""));
    let both = [Arc::clone(&one), Arc::clone(&two)];
    ground.launch(&both).await;
    let alias = format!("{}.test", two.name());
    for host in [two.name(), &alias, &alias.to_uppercase(), &two.container] {
        until_asked(ground, &one, host, Some("two")).await;
    }
    until_asked(ground, &two, one.name(), Some("one")).await;
    until_asked(ground, &one, one.name(), Some("one")).await;
    assert_eq!(ask(ground, &one, &ground.name("nobody"), "7000").await, None);
    assert_eq!(ask(ground, &one, two.name(), "7001").await, None);
    let instance = ground.inspect(&two).await.expect("it runs");
    ground.end(&instance, 137);
    ground.until(&two, |instance| instance.status == Status::Exited).await;
    assert_eq!(ask(ground, &one, two.name(), "7000").await, None);
    // Another run of the name, which has another image of its own address, is found as the one before.
    ground.launch(&[one.clone(), serving("two", "env = { AGAIN = \"yes\" }")]).await;
    until_asked(ground, &one, two.name(), Some("two")).await;
}
