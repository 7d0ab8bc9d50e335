//! What policies refuse, what they let pass, and which files are no policy.

mod attempts;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use self::attempts::{attempts, image};
use super::rules::Rules;
use super::{Policies, PolicyFiles, Surroundings};
use crate::definition::working_trees::WorkingTrees;
use crate::definition::{Definition, LayerDirectories, load};
use crate::engine::kinds::Environment;
use crate::report::error::{Code, Problem, Source};

/// A folder with a policy, definitions and what these name.
struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().expect("the folder").join(name)
    }

    fn files(&self) -> PolicyFiles {
        PolicyFiles { machine: Some(self.path("machine.toml")), user: Some(self.path("policy.toml")) }
    }

    fn policies(&self) -> Result<Policies, Vec<Problem>> {
        Policies::read(&self.files(), &WorkingTrees::default)
    }

    /// The only definition of these lines. `HERE` in them is this folder.
    fn definition(&self, lines: &str) -> Definition {
        let user = self.path("sidecars");
        std::fs::create_dir_all(&user).expect("a folder");
        let text = lines.replace("HERE", &self.path("").to_string_lossy());
        std::fs::write(user.join("db.toml"), &text).expect("a definition");
        let loaded = load(&LayerDirectories { user: Some(user), ..LayerDirectories::default() });
        let errors: Vec<_> = loaded.problems.iter().filter(|problem| problem.is_error()).collect();
        assert!(errors.is_empty(), "{text}: {errors:?}");
        loaded.definitions.into_iter().next().expect("a definition")
    }

    /// What this policy refuses of this definition.
    fn refusals(&self, policy: &str, lines: &str) -> Vec<Problem> {
        std::fs::write(self.path("policy.toml"), policy.replace("HERE", &self.path("").to_string_lossy()))
            .expect("a policy");
        let policies = self.policies().unwrap_or_else(|problems| panic!("{policy}: {problems:?}"));
        // A test says where the engine's socket is, as a variable does.
        let environment = Environment {
            host: Some(format!("unix://{}", self.path("engine/other-name").display())),
            ..Environment::default()
        };
        policies
            .refusals(&self.definition(lines), Surroundings { workspace: None, environment: &environment })
    }
}

#[test]
fn nothing_gets_past_a_rule_and_what_it_permits_passes() {
    let world = World::new();
    for folder in ["engine", "data/deep", "data2", "holds"] {
        std::fs::create_dir_all(world.path(folder)).expect("a folder");
    }
    let _engine = UnixListener::bind(world.path("engine/other-name")).expect("a socket");
    let _proxy = UnixListener::bind(world.path("proxy.socket")).expect("a socket");
    std::fs::hard_link(world.path("engine/other-name"), world.path("hard")).expect("a second name");
    std::fs::write(world.path("holds/podman.sock"), "").expect("a file");
    for (target, link) in [
        ("engine/other-name", "link"),
        ("engine", "link-to-folder"),
        ("data", "link-to-data"),
        ("engine", "data/out"),
    ] {
        symlink(world.path(target), world.path(link)).expect("a link");
    }
    let mut wrong = Vec::new();
    for (policy, lines, is_refused) in attempts() {
        let refusals = world.refusals(&format!("# A comment.\n{policy}\n"), &lines);
        if refusals.is_empty() == is_refused {
            wrong.push(format!("{policy}: {lines}: {refusals:?}"));
        }
        let rule = policy.split(' ').next().expect("a rule");
        let of_policy = format!("({}:2:1, `{rule}`)", world.path("policy.toml").display());
        let is_told = |refusal: &Problem| {
            let has_line = refusal.place.as_ref().is_some_and(|place| place.line_column().is_some());
            let is_named = refusal.message.contains(&of_policy) && refusal.hints.len() == 2;
            refusal.code == Code::PolicyRefused && has_line && is_named && refusal.hints[1].contains("line 2")
        };
        wrong.extend(
            refusals.iter().filter(|refusal| !is_told(refusal)).map(|refusal| format!("{refusal:?}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let refused = attempts().iter().filter(|(.., is_refused)| *is_refused).count();
    println!(
        "attempts against the policy: {refused}, all refused; permitted: {}",
        attempts().len() - refused
    );
}

#[test]
fn every_rule_is_attempted() {
    let attempted: std::collections::BTreeSet<&str> =
        attempts().iter().map(|(policy, ..)| policy.split(' ').next().expect("a rule")).collect();
    let all: std::collections::BTreeSet<&str> = super::rules::names().into_iter().collect();
    assert_eq!(attempted, all);
}

#[test]
fn both_policies_bound_and_the_stricter_one_wins() {
    let world = World::new();
    for (machine, user, refused) in [
        ("memory = '1g'", "memory = '2g'", vec!["machine.toml"]),
        ("memory = '2g'", "memory = '1g'", vec!["policy.toml"]),
        ("memory = '1g'", "memory = '1g'", vec!["machine.toml", "policy.toml"]),
        ("memory = '2g'", "", vec![]),
    ] {
        std::fs::write(world.path("machine.toml"), machine).expect("a policy");
        let refusals = world.refusals(user, &image("resources.memory = '1.5g'"));
        let files: Vec<bool> = refused
            .iter()
            .zip(&refusals)
            .map(|(file, refusal)| refusal.message.contains(&world.path(file).display().to_string()))
            .collect();
        assert_eq!((refusals.len(), files.iter().all(|is_named| *is_named)), (refused.len(), true));
        if let [refusal, ..] = refusals.as_slice() {
            assert_eq!(refusal.hints[1].contains("whoever administers"), refused[0] == "machine.toml");
        }
    }
}

/// The message of the only problem with a text as a policy, and the hints.
fn mistake(text: &str) -> (String, String) {
    let world = World::new();
    std::fs::write(world.path("policy.toml"), text).expect("a policy");
    let problems = world.policies().expect_err(text);
    let problem = &problems[0];
    assert_eq!((problems.len(), problem.code), (1, Code::PolicyUnusable), "{problems:?}");
    assert!(problem.hints.last().is_some_and(|hint| hint.contains("starts nothing")), "{problem:?}");
    assert!(
        problem.place.as_ref().and_then(crate::report::error::Place::line_column).is_some(),
        "{problem:?}"
    );
    (problem.message.clone(), problem.hints.concat())
}

#[test]
fn a_policy_is_read_strictly() {
    for (text, message, hint) in [
        ("engine_sockt = false", "`engine_sockt` is not a rule", "Did you mean `engine_socket`?"),
        ("network = []", "`network` is not a rule", "Did you mean `networks`?"),
        ("[memory]", "`memory` is a table", "Write a number"),
        ("xyz = 1", "`xyz` is not a rule", "The rules are engine_socket, "),
        ("memory = '2 gigs'", "`memory` is", "number with a unit"),
        ("memory = -1", "`memory` is", "number with a unit"),
        ("privileged = 'false'", "`privileged` must be true or false", "without quotes"),
        ("registries = 'docker.io'", "`registries` must be a list", "in brackets"),
        ("registries = ['acme']", "`acme` is not a registry", "\"ghcr.io/acme\""),
        ("registries = ['https://ghcr.io']", "`registries[0]`", "\"ghcr.io/acme\""),
        ("capabilities = ['NET_ADMN']", "not a capability", "man 7"),
        ("devices = ['fuse']", "not an absolute path", "/dev/fuse"),
        ("binds = ['data']", "not an absolute path", "~/fixtures"),
        ("binds = ['../data']", "not an absolute path", "~/fixtures"),
        ("networks = ['']", "it is empty", "Write a name"),
        (
            "programs = 'confine'",
            "must be one of \"none\", \"confined\", \"any\"",
            "Did you mean \"confined\"?",
        ),
        ("publish = 'lo'", "must be one of", "Write one of"),
        ("memory = '1g'\nmemory = '2g'", "duplicate key", "Keep one"),
        ("memory = ", "not valid TOML", "Correct the TOML"),
    ] {
        let (told, hints) = mistake(text);
        assert!(told.contains(message), "{text}: {told}");
        assert!(hints.contains(hint), "{text}: {hints}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let world = World::new();
    std::fs::write(world.path("policy.toml"), "a = 1\nmemory = true\n").expect("a policy");
    std::fs::write(world.path("machine.toml"), "b = 1\n").expect("a policy");
    assert_eq!(world.policies().expect_err("mistakes").len(), 3);
}

#[test]
fn a_file_that_somebody_else_may_have_written_permits_nothing() {
    let policy = |world: &World| world.path("policy.toml");
    let write = |path: &Path, text: &[u8]| std::fs::write(path, text).expect("a file");
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
    };
    type Arrange<'a> = (&'a dyn Fn(&World), &'a str);
    let cases: [Arrange<'_>; 7] = [
        (&|world| std::fs::create_dir(policy(world)).expect("a folder"), "is not a regular file"),
        (
            &|world| {
                write(&world.path("real"), b"");
                symlink(world.path("real"), policy(world)).expect("a link");
            },
            "is a symlink",
        ),
        (&|world| write(&policy(world), b"\xff"), "is not UTF-8 text"),
        (&|world| write(&policy(world), &vec![b'#'; (1 << 20) + 1]), "is larger than 1 MiB"),
        (
            &|world| {
                write(&policy(world), b"");
                mode(&policy(world), 0o666);
            },
            "can be written by other users",
        ),
        (
            &|world| {
                write(&policy(world), b"");
                mode(&policy(world), 0o620);
            },
            "can be written by other users",
        ),
        (
            &|world| {
                write(&policy(world), b"");
                mode(&world.path(""), 0o777);
            },
            "can be replaced by anyone on this machine",
        ),
    ];
    for (arrange, reason) in cases {
        let world = World::new();
        arrange(&world);
        let problems = world.policies().expect_err(reason);
        let problem = &problems[0];
        assert_eq!((problems.len(), problem.code), (1, Code::PolicyUnusable), "{problems:?}");
        assert!(problem.message.contains(reason) && !problem.hints.is_empty(), "{reason}: {problem:?}");
    }
}

#[test]
fn a_workspace_does_not_bound_itself() {
    let world = World::new();
    std::fs::write(world.path("policy.toml"), "").expect("a policy");
    let trees = || WorkingTrees::of([world.path("")]);
    let problems = Policies::read(&world.files(), &trees).expect_err("it is in the workspace");
    assert!(problems[0].message.contains("is in the workspace"), "{problems:?}");
}

#[test]
fn no_file_bounds_nothing() {
    let world = World::new();
    assert!(world.policies().expect("no file").reports().is_empty());
    let missing = PolicyFiles { machine: None, user: Some("/dev/null/farrier/policy.toml".into()) };
    let none = Policies::read(&missing, &WorkingTrees::default).expect("no folder");
    assert!(none.reports().is_empty());
}

/// The documented policy has every rule, and the page describes each.
#[test]
fn the_page_has_every_rule() {
    let page = include_str!("../../../docs/policy.md");
    let (_, rest) = page.split_once("```toml\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let world = World::new();
    std::fs::write(world.path("policy.toml"), example).expect("a policy");
    let policies = world.policies().unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(policies.reports()[0].rules, super::rules::names());
    for name in super::rules::names() {
        assert!(page.contains(&format!("| `{name}` |")), "{name}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_policy_or_is_told_with_its_place(text in "\\PC{0,60}") {
        assert_told(&text);
    }

    #[test]
    fn so_is_any_value_of_a_rule(
        rule in proptest::sample::select(super::rules::names()),
        value in "(true|false|-?[0-9]{1,20}|'[a-z~/:.*]{0,12}'|\\[('[a-zA-Z~/:._-]{0,12}',? ?){0,3}\\]|\\{ ?\\}|1e9|2026-01-01)",
    ) {
        assert_told(&format!("{rule} = {value}"));
    }
}

/// A text is read, or each of its mistakes has a place in it and a next step.
fn assert_told(text: &str) {
    let source = Arc::new(Source { path: "policy.toml".into(), text: text.to_owned() });
    for problem in Rules::parse(&source).err().unwrap_or_default() {
        assert_eq!((problem.code, problem.sidecar.as_ref()), (Code::PolicyUnusable, None));
        let place = problem.place.as_ref().expect("a place");
        assert!(text.get(place.span.clone()).is_some() && !problem.hints.is_empty(), "{problem:?}");
    }
}
