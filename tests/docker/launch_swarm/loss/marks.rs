//! The mark of a launch whose machine is lost: nobody renews it or takes it away.

use super::OnSwarm;
use crate::support::running::Signal;
use crate::support::{PATIENT, fixture_program, wait_until};

#[test]
fn the_mark_of_a_launch_that_was_killed_on_another_machine_expires() {
    let Some(on) = OnSwarm::new() else { return };
    on.define("db", "");
    let (program, name) = (fixture_program().display().to_string(), on.scene.name("db"));
    let using = on.apart(on.launch(&[&program, "wait"])).spawn();
    let is_told = || on.farrier(&["ps"]).output().stdout().contains("fixture");
    wait_until("this machine is told of the use", PATIENT, is_told);
    // With its harness: a machine that is lost leaves neither.
    using.signal_group(Signal::KILL);
    using.wait();
    let down = || on.farrier(&["down", "--yes", &name]).output();
    let said = down().assert_code(125).stderr();
    assert!(said.contains("uses the sidecar") && said.contains(", on "), "{said}");
    assert_eq!(on.services(), [on.scene.container("db")]);
    wait_until("the mark has expired", PATIENT, || down().code() == Some(0));
    assert_eq!(on.services(), [""; 0]);
    assert_eq!(on.marks(), 1, "it is left for hours, because its launch may come back");
}
