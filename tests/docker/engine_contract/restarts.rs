//! Programs that end and are started again.

use farrier::plan::instance::Status;

use super::setup::{Ground, contract, sidecar};

contract! { on real engines:
    what_fails_is_started_again_as_often_as_its_definition_says,
    what_ends_is_started_again_until_it_is_removed,
}

/// The lines of a definition that runs the fixture program with these arguments.
fn lines(ground: &dyn Ground, arguments: &[&str], restart: &str) -> String {
    format!("{}\nrestart = \"{restart}\"\n[interface]\nkind = \"none\"", ground.runs_with(arguments))
}

async fn what_fails_is_started_again_as_often_as_its_definition_says(ground: &dyn Ground) {
    let since = ground.engine().info().await.expect("an answer").time;
    let declared = |stem: &str, arguments: &[&str]| {
        super::setup::declared(ground, stem, &lines(ground, arguments, "on-failure:2"))
    };
    let [failing, done] = [declared("failing", &["crash", "down", "7"]), declared("done", &["exit", "0"])];
    ground.launch(&[failing.clone(), done.clone()]).await;
    let ended = ground.until(&failing, |instance| instance.status == Status::Exited).await;
    assert_eq!((ended.exit_code, ended.restarts), (7, 2));
    let logs = ground.engine().logs().expect("it keeps logs");
    let said = logs.logs(&ended.id, &since, 10).await.expect("an answer");
    assert_eq!(said, ["down"; 3], "each run adds to it");
    let ended = ground.until(&done, |instance| instance.status == Status::Exited).await;
    assert_eq!((ended.exit_code, ended.restarts), (0, 0));
}

async fn what_ends_is_started_again_until_it_is_removed(ground: &dyn Ground) {
    let always = super::setup::declared(ground, "always", &lines(ground, &["exit", "0"], "always"));
    ground.launch(std::slice::from_ref(&always)).await;
    let first = ground.until(&always, |instance| instance.restarts >= 1).await;
    // An engine may count a restart before it tells of the next run.
    let later = ground.until(&always, |instance| instance.restarts > first.restarts + 1).await;
    assert_eq!(first.id, later.id);
    assert_ne!(first.started_at, later.started_at, "what was proven for one run holds for that run");
    assert!(ground.engine().remove(always.name(), &later, &|_| ()).await.expect("an answer"));
    assert!(ground.inspect(&always).await.is_none());
    // Its name is free, and whoever has it next is left alone.
    let other = sidecar(ground, "always", "");
    ground.launch(std::slice::from_ref(&other)).await;
    let other = ground.until(&other, |instance| instance.status == Status::Running).await;
    assert_eq!((other.restarts, other.id != later.id), (0, true));
}
