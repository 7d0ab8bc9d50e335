//! The compiler of components ends in a process of its own, and with the command that wants it.

use rustix::process::{Pid, test_kill_process};

use super::{beside, farrier};
use crate::support::{Layer, PATIENT, Running, Scene, Signal, guest, wait_until};

/// `probe check` of a component that takes seconds to compile, and the process that compiles it.
fn compiling(scene: &Scene) -> (Running, Pid) {
    let slow = beside(scene, Layer::User, "slow.wasm", guest::slow_to_compile(1_000));
    // Which is not dialled before the component is compiled.
    let target = ["--target", "127.0.0.1:1"];
    let check = farrier(scene, &["probe", "check", &slow.to_string_lossy()]).args(target).spawn();
    let mut compiler = None;
    wait_until("it is compiled", PATIENT, || {
        compiler = child(check.id(), "--compile-component");
        compiler.is_some()
    });
    (check, compiler.expect("a process"))
}

/// A child of this process with this argument.
fn child(parent: u32, argument: &str) -> Option<Pid> {
    let threads = std::fs::read_dir(format!("/proc/{parent}/task")).ok()?.flatten();
    let children = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<String> =
        children.flat_map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
    let is_it = |id: &&String| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
    };
    Pid::from_raw(children.iter().find(is_it)?.parse().ok()?)
}

#[test]
fn a_compiler_that_crashes_is_told_and_leaves_nothing() {
    let scene = Scene::new().isolated();
    let (check, compiler) = compiling(&scene);
    // The standard library handles the signals of faults, and passes over one that somebody sends.
    rustix::process::kill_process(compiler, Signal::ABORT).expect("it runs");
    let said = check.wait().assert_code(2).stderr();
    assert!(said.contains("the compiler ended with signal: 6 (SIGABRT)"), "{said}");
    let kept = std::fs::read_dir(scene.cache_home().join("farrier/components"));
    assert_eq!(kept.map_or(0, Iterator::count), 0, "half a component is kept");
}

#[test]
fn a_compiler_does_not_outlive_the_command_that_wants_it() {
    let scene = Scene::new().isolated();
    let (check, compiler) = compiling(&scene);
    check.signal(Signal::KILL);
    check.wait();
    wait_until("the compiler is gone", PATIENT, || test_kill_process(compiler).is_err());
}
