//! Scopes, owners, and what is hashed.

use super::*;
use crate::definition::{LayerDirectories, load};

const GOOD: &str = "lifecycle = 'shared'\nimage = 'x'\ninterface.kind = 'none'\nreadiness.probe = 'skip'\n";

/// The sidecar `db` of this layer, declared in a folder that is there as long as the guard.
fn sidecar(layer: Layer, scopes: &Scopes) -> (tempfile::TempDir, Sidecar) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("db.toml"), GOOD).expect("a definition");
    let user = Some(folder.path().to_owned());
    let mut loaded = load(&LayerDirectories { user, ..LayerDirectories::default() });
    let mut definition = loaded.definitions.pop().unwrap_or_else(|| panic!("{:?}", loaded.problems));
    definition.layer = layer;
    (folder, Sidecar::new(definition, scopes))
}

#[test]
fn what_is_not_trusted_always_has_a_scope() {
    let scopes = Scopes { org: Some("/org".into()), workspace: Some("/work".into()), ..Scopes::default() };
    for (layer, scopes, scope) in [
        (Layer::User, &scopes, None),
        (Layer::Repo, &scopes, None),
        (Layer::Org, &scopes, Some(scope_of(Path::new("/org")))),
        (Layer::Workspace, &scopes, Some(scope_of(Path::new("/work")))),
    ] {
        let (_folder, sidecar) = sidecar(layer, scopes);
        assert_eq!(sidecar.scope, scope, "{layer}");
    }
    let (folder, sidecar) = sidecar(Layer::Workspace, &Scopes::default());
    let resolved = folder.path().canonicalize().expect("a path");
    assert_eq!(sidecar.scope, Some(scope_of(&resolved)), "of its own folder, where nothing else is known");
    let scope = sidecar.scope.unwrap_or_default();
    assert_eq!((scope.len(), sidecar.container), (32, format!("farrier-db-{}", &scope[..8])));
}

#[test]
fn a_label_decides_whose_a_container_is() {
    let scopes = Scopes { org: None, workspace: Some("/work".into()), ..Scopes::default() };
    let (_first, owned) = sidecar(Layer::Workspace, &scopes);
    let (_second, trusted) = sidecar(Layer::User, &scopes);
    let own = |sidecar: &Sidecar| sidecar.labels(&FirstValues::new(), "salt");
    let with = |sidecar: &Sidecar, label: &str, value: Option<&str>| {
        let mut labels = own(sidecar);
        match value {
            Some(value) => drop(labels.insert(label.to_owned(), value.to_owned())),
            None => drop(labels.remove(label)),
        }
        labels
    };
    // As versions before the scope's label made them.
    let earlier = |sidecar: &Sidecar| {
        let mut labels = own(sidecar);
        labels.retain(|label, _| ![LABEL_SCOPE, LABEL_FOLDER].contains(&label.as_str()));
        labels
    };
    // The same first eight digits, as the name has.
    let colliding = format!("{}{}", &scope_of(Path::new("/work"))[..8], "0".repeat(24));
    for (owner, labels, expected) in [
        (&owned, own(&owned), true),
        (&trusted, own(&trusted), true),
        (&trusted, own(&owned), false),
        (&owned, own(&trusted), false),
        (&owned, with(&owned, LABEL_SCOPE, Some(&colliding)), false),
        (&owned, with(&owned, LABEL_SIDECAR, Some("other")), false),
        (&owned, with(&owned, LABEL_SCOPE, None), true),
        (&owned, earlier(&owned), true),
        (&trusted, earlier(&trusted), true),
        (&trusted, earlier(&owned), false),
        (&owned, earlier(&trusted), false),
        (&trusted, with(&trusted, LABEL_DEFINITION, Some("/moved/db.toml")), true),
        (&owned, BTreeMap::new(), false),
    ] {
        assert_eq!(owner.owns(&labels), expected, "{labels:?}");
    }
    let mut before = with(&owned, LABEL_SCOPE, None);
    before.insert(LABEL_DEFINITION.to_owned(), "/elsewhere/db.toml".to_owned());
    assert!(!owned.owns(&before), "it was made for another folder before scopes were labelled");
}

/// The sidecar that a definition with these lines declares.
fn declared(text: &str) -> Sidecar {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("db.toml"), text).expect("a definition");
    let user = Some(folder.path().to_owned());
    let mut loaded = load(&LayerDirectories { user, ..LayerDirectories::default() });
    let definition = loaded.definitions.pop().unwrap_or_else(|| panic!("{text}: {:?}", loaded.problems));
    Sidecar::new(definition, &Scopes::default())
}

/// Definitions with the hash and the label that version 0.1.0 gave their containers, with the salt `salt`.
const RECORDED: &[(&str, &str, &str)] = &[
    (
        GOOD,
        "50cf10d08d6a8292d28ea8a1517bb85e0621ccca95d004de6773a9175369e0d2",
        r#"{"salt":"salt","configuration":{"image":"x","entrypoint":[],"command":[],"env":{},"mounts":[],"networks":[],"memory":null,"aliases":[]}}"#,
    ),
    (
        "lifecycle = 'shared'\nimage = 'docker.io/library/postgres:16'\nentrypoint = []\ncommand = ['a', 'b \"c\"', 'ü']\n\
         env = { B = 'two', A = 1.0 }\n[interface]\nkind = 'port'\nport = 5432\naliases = ['pg.test', 'db']\n",
        "bb9161154b0b91c2565b86fd52999cab5ad4eea6779dc8b800fed6c2fc25a9cd",
        r#"{"salt":"salt","configuration":{"image":"postgres:16","entrypoint":[],"command":["a","b \"c\"","ü"],"env":{"A":"9bfa9f4a7dd7ce437a8529c7cc0eb9a7cabbf7349dd5502b2d8f6beea644004d","B":"29fe78f418de4e47143ca9df59c44d40221ac4ed46359c19f308d355a99eebac"},"mounts":[],"networks":[],"memory":null,"aliases":["db","pg.test"]}}"#,
    ),
    (
        "lifecycle = 'shared'\nimage = 'registry.test:5000/a/b@sha256:\
         0000000000000000000000000000000000000000000000000000000000000000'\nentrypoint = ['/bin/sh', '-c']\n\
         mounts = ['docker-socket:ro', 'workspace:/src']\nnetworks = ['one', 'two']\nresources.memory = '64MiB'\n\
         stop_signal = 'int'\nstop_timeout = '1500ms'\ninterface.kind = 'none'\nreadiness.probe = 'skip'\n",
        "eb292ca913e335780dcd99b863ec6823b0d176f8a62c115ada7f167dc7421b40",
        r#"{"salt":"salt","configuration":{"image":"registry.test:5000/a/b@sha256:0000000000000000000000000000000000000000000000000000000000000000","entrypoint":["/bin/sh","-c"],"command":[],"env":{},"mounts":["DockerSocket { writable: false }","Workspace { target: \"/src\", writable: true }"],"networks":["one","two"],"memory":67108864,"stop_signal":"SIGINT","stop_timeout":{"secs":1,"nanos":500000000},"aliases":[]}}"#,
    ),
    (
        "lifecycle = 'session'\nimage = 'x'\nstop_timeout = 90\n[interface]\nkind = 'mcp'\nport = 80\nname = 'm'\n\
         aliases = ['other']\n",
        "d5d48498012edc9081fcffe681b115e5cb176126a035ec78bc77363bb1d32bb8",
        r#"{"salt":"salt","configuration":{"image":"x","entrypoint":[],"command":[],"env":{},"mounts":[],"networks":[],"memory":null,"stop_timeout":{"secs":90,"nanos":0},"aliases":[]}}"#,
    ),
];

#[test]
fn hashes_and_labels_of_containers_that_run_stay_as_they_are() {
    for (text, hash, label) in RECORDED {
        let sidecar = declared(text);
        assert_eq!(sidecar.hash, *hash, "{text}");
        assert_eq!(sidecar.configuration().record("salt"), *label, "{text}");
        assert_eq!(sidecar.configuration().differences(label), Some(Vec::new()), "{text}");
    }
    let (now, before) = (declared(RECORDED[2].0), RECORDED[1].2);
    let names = [
        "image",
        "entrypoint",
        "command",
        "env.A",
        "env.B",
        "mounts",
        "networks",
        "resources.memory",
        "stop_signal",
        "stop_timeout",
        "interface.aliases",
    ];
    assert_eq!(now.configuration().differences(before), Some(names.map(str::to_owned).to_vec()));
    assert_eq!(now.configuration().differences("{"), None);
}

#[test]
fn each_set_of_sidecars_has_scopes_and_names_of_its_own() {
    let scopes =
        |instance: Option<&str>| Scopes { instance: instance.map(str::to_owned), ..Scopes::default() };
    let text = "image = 'x'\ninterface.kind = 'none'\nreadiness.probe = 'skip'\nlifecycle = 'shared'";
    let definition = crate::definition::fuzzing::definition("db", text).expect("a definition");
    let of = |instance: Option<&str>| Sidecar::new(definition.clone(), &scopes(instance));
    let [first, one, other] = [None, Some("one"), Some("other")].map(of);
    assert_eq!(
        (first.scope.as_ref(), first.container.as_str(), first.reference()),
        (None, "farrier-db", "db")
    );
    assert!(
        one.container != other.container && one.container.starts_with("farrier-db-"),
        "{}",
        one.container
    );
    assert_eq!((one.hash.as_str(), one.reference()), (first.hash.as_str(), one.container.as_str()));
    assert_eq!(one.labels(&FirstValues::new(), "")[LABEL_INSTANCE], "one");
    for (index, sidecar) in [&first, &one, &other].into_iter().enumerate() {
        let owned = [&first, &one, &other].map(|other| sidecar.owns(&other.labels(&FirstValues::new(), "")));
        assert_eq!(owned, [index == 0, index == 1, index == 2]);
    }
    // As earlier versions made them.
    let mut before = first.labels(&FirstValues::new(), "");
    before.remove(LABEL_FOLDER);
    assert!(first.owns(&before) && !one.owns(&before));
}
