//! Generated argument lists: every option of the tables, in every spelling.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::docker_flags::{CONTAINER, Flag};
use super::super::flag_scan::Given;
use super::{Additions, DockerRun, Harness, NetworkMode, parse};

/// One option as written, and what it means.
#[derive(Clone, Debug)]
struct Written {
    arguments: Vec<OsString>,
    meaning: Vec<(&'static str, Given)>,
}

fn os(bytes: &[u8]) -> OsString {
    OsStr::from_bytes(bytes).to_owned()
}

/// Values that look like options, are empty, hold an equals sign or are not text.
fn any_value() -> impl Strategy<Value = Vec<u8>> {
    let words =
        ["", "-", "--", "run", "--rm", "-e", "K=V", "=", "=x", "img", "a b", "\u{e9}", "--network=host"];
    prop_oneof![select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()), vec(1_u8.., 0..6),]
}

fn value_of(flag: &'static Flag) -> BoxedStrategy<Vec<u8>> {
    match flag.canonical {
        "network" => select(vec!["mine", "name=mine,alias=a", "alias=a,name=mine"])
            .prop_map(|name| name.as_bytes().to_vec())
            .boxed(),
        _ => any_value().boxed(),
    }
}

fn join(parts: &[&[u8]]) -> OsString {
    os(&parts.concat())
}

fn value_option(flag: &'static Flag) -> BoxedStrategy<Written> {
    let clusters = CONTAINER.iter().filter(|flag| !flag.takes_value && !flag.only_run);
    let switches: Vec<_> = clusters.filter_map(|flag| flag.short.map(|letter| (flag.long, letter))).collect();
    let leading = switches;
    (value_of(flag), 0..5_u8, vec(select(leading), 0..3))
        .prop_map(move |(value, spelling, leading)| {
            let mut meaning = Vec::new();
            let given = (flag.canonical, Given::Value(os(&value)));
            let long = [b"--", flag.long.as_bytes()].concat();
            let arguments = match (flag.short, spelling) {
                (Some(letter), 2..) => {
                    meaning.extend(leading.iter().map(|(name, _)| (*name, Given::Switch(true))));
                    let letters: Vec<u8> =
                        leading.iter().map(|(_, letter)| *letter).chain([letter]).collect();
                    // Attached without an equals sign, a value must not begin with one, and must not be
                    // empty.
                    let is_plain = !value.is_empty() && !value.starts_with(b"=");
                    match spelling {
                        2 if is_plain => vec![join(&[b"-", &letters, &value])],
                        3 if !value.is_empty() => vec![join(&[b"-", &letters, b"=", &value])],
                        _ => vec![join(&[b"-", &letters]), os(&value)],
                    }
                }
                (_, 1) => vec![join(&[&long, b"=", &value])],
                _ => vec![os(&long), os(&value)],
            };
            meaning.push(given);
            Written { arguments, meaning }
        })
        .boxed()
}

fn switch_option(flag: &'static Flag) -> BoxedStrategy<Written> {
    let values = vec![("", true), ("=true", true), ("=1", true), ("=false", false), ("=F", false)];
    (select(values), any::<bool>())
        .prop_map(move |((text, on), wants_short)| {
            let spelled = match flag.short.filter(|_| wants_short) {
                Some(letter) => join(&[b"-", &[letter], text.as_bytes()]),
                None => join(&[b"--", flag.long.as_bytes(), text.as_bytes()]),
            };
            Written { arguments: vec![spelled], meaning: vec![(flag.canonical, Given::Switch(on))] }
        })
        .boxed()
}

fn option(is_create: bool) -> impl Strategy<Value = Written> {
    let usable = CONTAINER.iter().filter(|flag| flag.long != "help" && !(is_create && flag.only_run));
    select(usable.collect::<Vec<_>>())
        .prop_flat_map(|flag| if flag.takes_value { value_option(flag) } else { switch_option(flag) })
}

/// A valid container harness: the command, where its verb and image stand, and its options.
#[derive(Clone, Debug)]
struct Valid {
    command: Vec<OsString>,
    verb_index: usize,
    image_index: usize,
    meaning: Vec<(&'static str, Given)>,
}

fn valid() -> impl Strategy<Value = Valid> {
    let globals: Vec<&[&str]> = vec![
        &[],
        &["-D"],
        &["-H", "tcp://h:1"],
        &["-Htcp://h:1"],
        &["--host=run"],
        &["--context", "run"],
        &["-Dc", "create", "--tls"],
        &["--config=/c", "-l", "warn"],
        &["--"],
    ];
    let programs = vec!["docker", "/usr/bin/docker", "./docker"];
    (select(programs), select(globals), any::<[bool; 3]>())
        .prop_flat_map(|(program, global, [is_create, is_long, ends])| {
            let options = vec(option(is_create), 0..8);
            let image = prop_oneof![Just(b"img".to_vec()), Just(b"run".to_vec()), vec(b'a'.., 1..5)];
            let rest = vec(any_value(), 0..4);
            (Just((program, global, is_create, is_long, ends)), options, image, rest)
        })
        .prop_map(|((program, global, is_create, is_long, ends), options, image, rest)| {
            let mut command = vec![OsString::from(program)];
            command.extend(global.iter().map(OsString::from));
            command.extend(is_long.then(|| OsString::from("container")));
            let verb_index = command.len();
            command.push(OsString::from(if is_create { "create" } else { "run" }));
            let mut meaning = Vec::new();
            let mut has_network = false;
            for written in options {
                // The same network twice is an error, which the tables cover.
                let names_one = written.meaning.iter().any(|(name, _)| *name == "network");
                if names_one && has_network {
                    continue;
                }
                has_network |= names_one;
                command.extend(written.arguments);
                meaning.extend(written.meaning);
            }
            command.extend(ends.then(|| OsString::from("--")));
            let image_index = command.len();
            command.push(os(&image));
            command.extend(rest.iter().map(|word| os(word)));
            Valid { command, verb_index, image_index, meaning }
        })
}

fn additions() -> impl Strategy<Value = Additions> {
    let pair = ("[A-Z_]{1,8}", "[ -~]{0,8}");
    (vec(pair, 0..4), proptest::option::of("[a-z][a-z0-9-]{1,8}")).prop_map(|(env, network)| Additions {
        env,
        network,
        label: None,
        hosts: Vec::new(),
    })
}

fn container(command: &[OsString]) -> Result<DockerRun, TestCaseError> {
    match parse(command) {
        Ok(Harness::Docker(run)) => Ok(*run),
        other => Err(TestCaseError::fail(format!("not a container harness: {other:?}"))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn every_spelling_is_read(valid in valid()) {
        let run = container(&valid.command)?;
        prop_assert_eq!(run.verb_index(), valid.verb_index);
        prop_assert_eq!(run.image_index(), valid.image_index);
        prop_assert_eq!(Some(run.image()), valid.command.get(valid.image_index).map(OsString::as_os_str));
        prop_assert_eq!(run.options.given, valid.meaning);
    }

    #[test]
    fn removing_what_was_added_gives_the_input_back(valid in valid(), additions in additions()) {
        let run = container(&valid.command)?;
        let injected = run.inject(&additions);
        let names_network = *run.network() != NetworkMode::Unset;
        let adds_network = additions.network.is_some() && !names_network;
        let added = 2 * additions.env.len() + if adds_network { 2 } else { 0 };
        let mut restored = injected.clone();
        let removed: Vec<_> = restored.drain(valid.verb_index + 1..valid.verb_index + 1 + added).collect();
        prop_assert_eq!(&restored, &valid.command);

        // What was added is exactly what was asked for, and is read back as such.
        let mut env: Vec<_> = additions.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut found: Vec<_> = removed.iter().filter_map(|word| word.to_str()).map(str::to_owned).collect();
        for word in env.drain(..) {
            let at = found.iter().position(|other| *other == word);
            prop_assert!(at.is_some(), "{} was not added", word);
            found.remove(at.unwrap_or_default());
        }
        let again = container(&injected)?;
        prop_assert_eq!(again.image_index(), valid.image_index + added);
        prop_assert_eq!(injected.get(again.image_index()..), valid.command.get(valid.image_index..));
        let network = if adds_network {
            NetworkMode::Named(additions.network.into_iter().collect())
        } else {
            run.network().clone()
        };
        prop_assert_eq!(again.network(), &network);
    }

    #[test]
    fn nothing_to_add_changes_nothing(valid in valid()) {
        prop_assert_eq!(container(&valid.command)?.inject(&Additions::default()), valid.command);
    }

    #[test]
    fn any_bytes_are_answered(words in vec(vec(any::<u8>(), 0..8), 0..8)) {
        let command: Vec<_> = words.iter().map(|word| os(word)).collect();
        let _ = parse(&command);
    }

    #[test]
    fn any_words_behind_docker_are_answered(words in vec(any_word(), 0..10)) {
        let command: Vec<_> = words.iter().map(|word| os(word)).collect();
        if let Ok(Harness::Docker(run)) = parse(&command) {
            prop_assert!(run.verb_index() < run.image_index());
            prop_assert_eq!(command.get(run.image_index()).map(OsString::as_os_str), Some(run.image()));
            prop_assert_eq!(run.inject(&Additions::default()), command);
        }
    }
}

fn any_word() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "docker",
        "run",
        "create",
        "container",
        "compose",
        "sudo",
        "env",
        "timeout",
        "podman",
        "--pod=p",
        "-H",
        "-it",
        "-e",
        "--",
        "-",
        "--rm",
        "--network",
        "--network=name=\"a",
        "--name=",
        "A=1",
        "img",
        "--help",
        "-i=",
        "=",
    ];
    prop_oneof![select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()), vec(any::<u8>(), 0..5)]
}
