//! Arguments of harnesses, each ended by a NUL byte as in `/proc/self/cmdline`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::argv::{Additions, DockerRun, Harness, parse};
use super::network_mode::NetworkMode;
use crate::fuzzing::assert_told;

/// What farrier adds, in the order in which it comes.
const ADDED: [&str; 4] = ["-e", "A_HOST=a b=c", "-e", "B_PORT=5432"];

/// Whatever is behind `--` is answered, and rewriting it moves nothing.
pub fn harness_argv(data: &[u8]) {
    let command: Vec<OsString> =
        data.split(|byte| *byte == 0).map(|word| OsStr::from_bytes(word).to_owned()).collect();
    match parse(&command) {
        Ok(Harness::Docker(run)) => rewritten(&command, &run),
        Ok(Harness::Host(_)) => {}
        Err(problem) => assert_told(&problem),
    }
}

fn rewritten(command: &[OsString], run: &DockerRun) {
    assert!(run.verb_index() < run.image_index());
    assert_eq!(command.get(run.image_index()).map(OsString::as_os_str), Some(run.image()));
    assert!(!run.image().is_empty());
    assert_eq!(run.inject(&Additions::default()), command, "nothing to add changes nothing");
    if let Some(problem) = run.network().refusal() {
        assert_told(&problem);
    }

    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.to_owned(), value.to_owned())
    };
    let additions = Additions {
        env: vec![pair(ADDED[3]), pair(ADDED[1])],
        network: Some("farrier".to_owned()),
        label: None,
        hosts: Vec::new(),
    };
    let injected = run.inject(&additions);
    let mut added: Vec<&str> = ADDED.to_vec();
    if *run.network() == NetworkMode::Unset {
        added.extend(["--network", "farrier"]);
    }
    let words: Vec<OsString> = added.iter().map(OsString::from).collect();
    let behind = run.verb_index() + 1;
    assert_eq!(injected.get(..behind), command.get(..behind));
    assert_eq!(injected.get(behind..behind + added.len()), Some(words.as_slice()));
    assert_eq!(injected.get(behind + added.len()..), command.get(behind..));
    read_again(run, &injected, added.len());
}

/// Docker, which reads as we do, sees the same container with what was added.
fn read_again(run: &DockerRun, injected: &[OsString], added: usize) {
    let Ok(Harness::Docker(again)) = parse(injected) else {
        unreachable!("no container harness any more: {injected:?}");
    };
    assert_eq!(again.image_index(), run.image_index() + added);
    assert_eq!(again.image(), run.image());
    assert_eq!((again.verb(), again.connection()), (run.verb(), run.connection()));
    let flags =
        |run: &DockerRun| [run.is_detached(), run.is_interactive(), run.has_terminal(), run.is_removed()];
    assert_eq!(flags(&again), flags(run));
    assert_eq!((again.name(), again.platform(), again.pull()), (run.name(), run.platform(), run.pull()));
    let names: Vec<&OsStr> =
        ["A_HOST", "B_PORT"].into_iter().map(OsStr::new).chain(run.env_names()).collect();
    assert_eq!(again.env_names().collect::<Vec<_>>(), names);
    match run.network() {
        NetworkMode::Unset => assert_eq!(*again.network(), NetworkMode::Named(vec!["farrier".to_owned()])),
        declared => assert_eq!(again.network(), declared),
    }
}
