//! Discovery and merge, on real folders.

mod fixtures;
mod rules;
mod trust;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tempfile::TempDir;

use super::{LayerDirectories, Loaded, load};
use crate::definition::model::Layer;
use crate::definition::working_trees::WorkingTrees;
use crate::plan::sidecar::{Scopes, Sidecar};
use crate::report::error::{Code, Place, Problem};
use crate::report::snippet::render;

const GOOD: &str =
    "lifecycle = 'shared'\nimage = 'x'\ninterface = { kind = 'none' }\nreadiness.probe = 'skip'\n";

fn port(more: &str) -> String {
    format!("lifecycle = 'shared'\nimage = 'x'\n{more}\n[interface]\nkind = 'port'\nport = 80\n")
}

/// A folder for each layer, and a workspace.
struct World {
    root: TempDir,
}

impl World {
    fn new(files: &[(&str, &str)]) -> Self {
        let world = Self { root: tempfile::tempdir().expect("a temporary folder") };
        for (path, text) in files {
            world.write(path, text.as_bytes());
        }
        world
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().canonicalize().expect("the folder").join(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }

    fn directories(&self) -> LayerDirectories {
        LayerDirectories {
            user: Some(self.path("user")),
            org: Some(self.path("org")),
            repo: Some(self.path("repo")),
            workspace: Some(self.path("ws/.farrier/sidecars")),
            workspace_root: Some(self.path("ws")),
            working_trees: WorkingTrees::of([self.path("ws")]),
            ..LayerDirectories::default()
        }
    }

    fn load(&self) -> Loaded {
        load(&self.directories())
    }
}

fn codes(problems: &[Problem]) -> Vec<Code> {
    problems.iter().map(|problem| problem.code).collect()
}

fn names(loaded: &Loaded) -> Vec<(&str, Layer)> {
    loaded.definitions.iter().map(|definition| (definition.name.as_str(), definition.layer)).collect()
}

#[test]
fn absent_and_empty_layers_are_empty() {
    let world = World::new(&[]);
    fs::create_dir_all(world.path("org")).expect("a folder");
    let loaded = world.load();
    assert!(loaded.definitions.is_empty() && loaded.problems.is_empty());
    let present: Vec<_> =
        loaded.layers.iter().map(|layer| (layer.layer, layer.present, layer.files)).collect();
    assert_eq!(
        present,
        [
            (Layer::User, false, 0),
            (Layer::Org, true, 0),
            (Layer::Repo, false, 0),
            (Layer::Workspace, false, 0),
        ]
    );
    assert!(
        load(&LayerDirectories { user: Some(PathBuf::new()), ..LayerDirectories::default() })
            .problems
            .is_empty()
    );
}

#[test]
fn later_layers_replace_whole_definitions() {
    let world = World::new(&[
        ("user/db.toml", &port("description = 'from the user'\nenv = { A = '1' }")),
        ("org/db.yaml", "lifecycle: shared\nimage: y\ninterface:\n  kind: port\n  port: 81\n"),
        ("user/other.toml", GOOD),
        ("repo/third.toml", GOOD),
        ("repo/v1.2.yaml", "lifecycle: shared\nimage: y\ninterface: {kind: port, port: 81}\n"),
        ("ws/.farrier/sidecars/mine.toml", GOOD),
    ]);
    let loaded = world.load();
    assert_eq!(loaded.problems, []);
    assert_eq!(
        names(&loaded),
        [
            ("db", Layer::Org),
            ("mine", Layer::Workspace),
            ("other", Layer::User),
            ("third", Layer::Repo),
            ("v1.2", Layer::Repo),
        ]
    );
    assert_eq!(loaded.definitions[0].description, None);
    assert!(loaded.definitions[0].container.env.is_empty());
    assert_eq!(loaded.layers.iter().map(|layer| layer.files).collect::<Vec<_>>(), [2, 1, 2, 1]);
}

#[test]
fn disabling_and_defining_again() {
    let world = World::new(&[
        ("user/a.toml", GOOD),
        ("org/a.toml", "disable = true"),
        ("repo/a.yaml", "lifecycle: shared\nimage: z\ninterface: {kind: port, port: 81}\n"),
        ("user/b.toml", GOOD),
        ("ws/.farrier/sidecars/b.toml", "disable = true"),
        ("user/c.toml", GOOD),
        ("org/c.toml", "disable = true"),
        ("ws/.farrier/sidecars/c.toml", GOOD),
        ("org/nothing.toml", "disable = true"),
    ]);
    let loaded = world.load();
    assert_eq!(names(&loaded), [("a", Layer::Repo), ("c", Layer::Workspace)]);
    // What the workspace disables is said, and is there to be approved.
    let [told] = loaded.problems.as_slice() else { panic!("{:?}", loaded.problems) };
    assert!(!told.is_error() && told.code == Code::WorkspaceOverride, "{told}");
    assert!(told.message.contains("disables `b`") && told.message.contains("user/b.toml"), "{told}");
    let disabled: Vec<_> = loaded.disabled.iter().map(|gone| (gone.name.as_str(), gone.layer)).collect();
    assert_eq!(disabled, [("b", Layer::User)]);
}

#[test]
fn another_spelling_of_a_disabled_name_is_the_same_name() {
    let aliases = |names: &str| port("").replace("port = 80", &format!("port = 80\naliases = [{names}]"));
    let disabled = ("ws/.farrier/sidecars/my-db.toml", "disable = true");
    let trusted = aliases("'main'");
    let trusted = ("user/my-db.toml", trusted.as_str());
    for (file, text, hint) in [
        ("MY-DB.toml", port(""), "more than case"),
        ("my_db.toml", port(""), "more than case"),
        ("My.Db.toml", GOOD.to_owned(), "more than case"),
        ("other.toml", aliases("'my-db'"), "Remove the alias"),
        ("aaa.toml", aliases("'x', 'MAIN'"), "Remove the alias"),
        ("main.toml", port(""), "alias of the disabled"),
    ] {
        let path = format!("ws/.farrier/sidecars/{file}");
        let world = World::new(&[trusted, disabled, (&path, &text)]);
        let problems = world.load().problems;
        let found = problems.iter().any(|problem| {
            problem.is_error()
                && problem.code == Code::WorkspaceOverride
                && problem.hints.iter().any(|one| one.contains(hint))
                && problem.place.as_ref().is_some_and(|place| place.source.path.ends_with(file))
        });
        assert!(found, "{file}: {problems:#?}");
    }
    let world = World::new(&[trusted, disabled, ("ws/.farrier/sidecars/my-db2.toml", &aliases("'x'"))]);
    let loaded = world.load();
    assert!(loaded.problems.iter().all(|problem| !problem.is_error()), "{:#?}", loaded.problems);
    // What a trusted layer disables is free.
    let world = World::new(&[
        trusted,
        ("org/my-db.toml", "disable = true"),
        ("ws/.farrier/sidecars/MY-DB.toml", GOOD),
    ]);
    assert_eq!(world.load().problems, []);
}

#[test]
fn the_workspace_cannot_take_over_trusted_names() {
    let world = World::new(&[
        ("user/a.toml", GOOD),
        ("ws/.farrier/sidecars/a.toml", GOOD),
        ("user/b.toml", &format!("required = true\n{GOOD}")),
        ("ws/.farrier/sidecars/b.yaml", "disable: true"),
    ]);
    let loaded = world.load();
    assert_eq!(names(&loaded), [("a", Layer::User), ("b", Layer::User)]);
    assert_eq!(codes(&loaded.problems), [Code::WorkspaceOverride, Code::WorkspaceOverride]);
    let [redefined, disabled] = loaded.problems.as_slice() else { panic!("{:?}", loaded.problems) };
    assert!(!redefined.is_error() && redefined.message.contains("user/a.toml"), "{redefined}");
    assert!(render(redefined, false, 200).contains("sidecars/a.toml"));
    assert!(disabled.is_error() && disabled.message.contains("user/b.toml"), "{disabled}");
    assert_eq!(disabled.place.as_ref().and_then(Place::line_column), Some((1, 10)));
}

#[test]
fn replaced_and_unparsable_files_are_reported_too() {
    let world = World::new(&[
        ("user/a.toml", "image = 5"),
        ("org/a.toml", GOOD),
        ("repo/b.toml", "image = "),
        ("repo/c.yaml", "a: 1\na: 2"),
    ]);
    let problems = world.load().problems;
    assert_eq!(
        codes(&problems),
        [Code::DefinitionSyntax, Code::DefinitionSyntax, Code::MissingField, Code::InvalidValue,]
            .into_iter()
            .collect::<Vec<_>>()
    );
    let sorted: Vec<_> = problems.iter().filter_map(|problem| problem.place.as_ref()).collect();
    assert!(sorted.is_sorted_by_key(|place| (place.source.path.clone(), place.span.start)));
}

#[test]
fn one_name_has_one_file_in_a_directory() {
    let world = World::new(&[
        ("user/a.yaml", "image: 5"),
        ("user/a.yml", "lifecycle: shared\nimage: z\ninterface: {kind: port, port: 81}\n"),
        ("org/b.toml", GOOD),
        ("org/b.yaml", "disable: true"),
    ]);
    let loaded = world.load();
    let duplicates: Vec<_> =
        loaded.problems.iter().filter(|problem| problem.code == Code::DuplicateDefinition).collect();
    let [error, warning] = duplicates.as_slice() else { panic!("{duplicates:?}") };
    assert!(error.is_error() && error.message.contains("b.toml"), "{error}");
    assert!(!warning.is_error() && warning.message.contains("a.yaml"), "{warning}");
    assert_eq!(names(&loaded), [("a", Layer::User)]);
}

#[test]
fn files_that_cannot_be_definitions() {
    let world = World::new(&[
        ("user/.hidden.toml", "x ="),
        ("user/.#lock.toml", "x ="),
        ("user/db.toml~", "x ="),
        ("user/README.md", "x ="),
        ("user/DB.TOML", "x ="),
        ("user/sub/db.toml", "x ="),
    ]);
    assert_eq!(world.load().problems, []);

    fs::create_dir(world.path("user/directory.toml")).expect("a folder");
    symlink("loop.toml", world.path("user/loop.toml")).expect("a symlink");
    symlink("nowhere", world.path("user/dangling.toml")).expect("a symlink");
    world.write("user/latin1.yaml", b"lifecycle: shared\nimage: caf\xe9\n");
    world.write("user/nul.toml", b"image = 'a\0b'\n");
    world.write("user/large.toml", &vec![b'#'; 10 * 1024 * 1024]);
    let fifo = world.path("user/fifo.yaml");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).expect("a named pipe");
    let odd =
        world.path("user").join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff.toml"));
    fs::write(odd, GOOD).expect("a file");

    for user in ["user", "ws/.farrier/sidecars"] {
        if user != "user" {
            fs::create_dir_all(world.path("ws/.farrier")).expect("a folder");
            fs::rename(world.path("user"), world.path(user)).expect("a move");
        }
        let problems = world.load().problems;
        let found: Vec<_> = problems
            .iter()
            .map(|problem| {
                let place = problem.place.as_ref().expect("a place");
                let name = place.source.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                (name, problem.message.split(' ').take(6).collect::<Vec<_>>().join(" "), place.line_column())
            })
            .collect();
        let expected = [
            ("dangling.toml", "the file is a symlink to", None),
            ("directory.toml", "this is a folder, and a", None),
            ("fifo.yaml", "this is a named pipe, and", None),
            ("large.toml", "the file is larger than 1", None),
            ("latin1.yaml", "the file is not UTF-8 text", Some((2, 11))),
            ("loop.toml", "the file is a symlink that", None),
            ("nul.toml", "the file contains a NUL byte", Some((1, 11))),
            ("\u{fffd}.toml", "the file's name is not UTF-8", None),
        ];
        let expected: Vec<_> =
            expected.iter().map(|(name, text, at)| ((*name).to_owned(), (*text).to_owned(), *at)).collect();
        assert_eq!(found, expected);
        assert!(problems.iter().all(|problem| problem.is_error() && !problem.hints.is_empty()));
    }
}

#[test]
fn a_byte_order_mark_does_not_shift_places() {
    let world = World::new(&[("user/a.toml", "\u{feff}image = 5\n"), ("user/b.yaml", "\u{feff}image: 5\n")]);
    let problems = world.load().problems;
    let at: Vec<_> = problems
        .iter()
        .filter(|problem| problem.code == Code::InvalidValue)
        .map(|problem| problem.place.as_ref().and_then(Place::line_column))
        .collect();
    assert_eq!(at, [Some((1, 9)), Some((1, 8))]);
}

#[test]
fn layers_that_are_no_directories() {
    let world = World::new(&[("user", GOOD), ("org/x", "")]);
    let directories = LayerDirectories { org: Some(world.path("org/x/y")), ..world.directories() };
    assert_eq!(codes(&load(&directories).problems), [Code::LayerUnusable, Code::LayerUnusable]);
}

#[test]
fn what_is_shown_of_one_file_is_bounded() {
    let world = World::new(&[("user/a.toml", &"mounts = []\n".repeat(50_000)), ("user/b.toml", GOOD)]);
    let many: String = (0..20_000).map(|line| format!("key{line} = '${{A}} ${{secret:a:b}}'\n")).collect();
    world.write("user/d.toml", many.as_bytes());
    let problems = world.load().problems;
    assert!(problems.len() < 120, "{}", problems.len());
    let last = problems.last().expect("a summary");
    assert!(last.message.contains("more problems"), "{last}");
    assert!(problems.iter().any(Problem::is_error));
}

#[test]
fn a_file_means_the_same_with_line_ends_of_windows() {
    let toml = "lifecycle = 'shared'\nimage = 'x'\nentrypoint = ['sh', '-c', '''\nset -e\nserve\n''']\n\
                command = [\"\"\"\none\n\n  two \\\n  three\"\"\"]\nenv = { A = \"a\\r\\nb\" }\n\
                interface = { kind = 'none' }\nreadiness.probe = 'log'\nreadiness.settings.text = '''\na\nb'''\n";
    let yaml = "lifecycle: shared\nimage: x\nentrypoint: [sh, -c]\ncommand:\n- |\n  set -e\n  serve\n- >-\n  folded\n  \
                text\n\n  more\n- \"quoted\n  text\n\n  more\"\ninterface: {kind: none}\nreadiness: {probe: skip}\n";
    for (file, text) in [("user/a.toml", toml), ("user/a.yaml", yaml)] {
        let read = |text: &str| {
            let loaded = World::new(&[(file, text)]).load();
            assert_eq!(loaded.problems, [], "{text:?}");
            loaded.definitions.into_iter().next().expect("a definition")
        };
        let (unix, windows) = (read(text), read(&text.replace('\n', "\r\n")));
        assert_eq!(unix.declared, windows.declared);
        let hash = |definition| Sidecar::new(definition, &Scopes::default()).hash;
        assert_eq!(unix.container, windows.container);
        assert_eq!(unix.readiness, windows.readiness);
        let told = format!("{:?}{:?}", windows.container.entrypoint, windows.container.command);
        assert!(!told.contains("\\r"), "{told}");
        assert_eq!(hash(unix), hash(windows));
    }
    // What is written as an escape stays, and a wrong line is still where an editor shows it.
    let world = World::new(&[("user/a.toml", "lifecycle = 'shared'\r\nimage = 5\r\n")]);
    let problems = world.load().problems;
    assert!(
        problems.iter().any(|one| one.place.as_ref().and_then(Place::line_column) == Some((2, 9))),
        "{problems:?}"
    );
}
