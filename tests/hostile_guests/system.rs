//! What WASI has: folders, variables, output, processes.

use std::sync::Arc;

use farrier::definition::{LayerDirectories, ReadingBudget};
use farrier::probe::context::ProbeContext;
use farrier::probe::directories::DirectoryCopy;
use farrier::probe::private_copies::PrivateCopies;
use serde_json::{Value, json};

use super::attempt::Expected::{self, Crashed, Pending};
use super::attempt::{Attempt, Guest};

/// A private copy of a folder with one file.
fn folders() -> Arc<PrivateCopies> {
    let layer = tempfile::tempdir().expect("a folder");
    let user = layer.path().join("sidecars");
    std::fs::create_dir_all(user.join("certs")).expect("folders");
    std::fs::write(user.join("certs/ca.pem"), "a certificate").expect("a file");
    std::fs::write(user.join("secret"), "beside").expect("a file");
    let text = "lifecycle = \"shared\"\nimage = \"x\"\n[interface]\nkind = \"none\"\n[readiness]\nprobe = \"./mine.wasm\"\n\
                grants = { dirs = [{ host = \"certs\", guest = \"/certs\" }] }\n";
    std::fs::write(user.join("db.toml"), text).expect("a definition");
    let directories = LayerDirectories { user: Some(user), ..LayerDirectories::default() };
    let loaded = farrier::definition::load(&directories);
    let definition = loaded.definitions.first().unwrap_or_else(|| panic!("{:?}", loaded.problems));
    let grant = definition.readiness[0].grants.dirs.first().expect("a grant");
    let copy = DirectoryCopy::read(definition, grant, &ReadingBudget::default()).expect("a copy");
    Arc::new(PrivateCopies::write(&[copy]).expect("written").expect("a folder"))
}

pub fn attempts() -> Vec<Attempt> {
    let inert = Guest::standard(ProbeContext::default());
    let granted = Guest::standard(ProbeContext { folders: Some(folders()), ..ProbeContext::default() });
    let hostile = Guest::hostile(ProbeContext::default(), None);
    let no = Pending("error: ");
    let file = |name: &str, what: Value, expected: Expected| granted.tries(name, &what, expected);
    let read = |path: &str| {
        granted.tries(format!("reads {path}"), &json!({"try": "read-file", "with": path}), Pending("error: "))
    };
    let mut attempts = vec![
        file(
            "reads what is granted",
            json!({"try": "read-file", "with": "/certs/ca.pem"}),
            Pending("a certificate"),
        ),
        file("writes into a granted folder", json!({"try": "write-file", "with": "/certs/new"}), no.clone()),
        file("writes over a granted file", json!({"try": "write-file", "with": "/certs/ca.pem"}), no.clone()),
        file("removes a granted file", json!({"try": "remove-file", "with": "/certs/ca.pem"}), no.clone()),
        file(
            "links a granted file",
            json!({"try": "link", "with": ["/certs/ca.pem", "/certs/x"]}),
            no.clone(),
        ),
        file("lists the root", json!({"try": "list-folder", "with": "/"}), no.clone()),
        file("lists what is above", json!({"try": "list-folder", "with": "/certs/.."}), no.clone()),
        inert.tries("starts a thread", &json!({"try": "thread"}), no.clone()),
        inert.tries("starts a process", &json!({"try": "process"}), no.clone()),
        inert.tries("reads its environment", &json!({"try": "variables"}), Pending("variables:")),
        inert.tries("reads its arguments", &json!({"try": "arguments"}), Pending("arguments: []")),
        inert.tries("reads its standard input", &json!({"try": "input"}), Pending("input: \"\"")),
        inert.tries("panics", &json!({"try": "panic"}), Crashed("on purpose")),
        inert.tries(
            "exits with success",
            &json!({"try": "exit", "with": 0}),
            Crashed("it exited with code 0"),
        ),
        inert.tries("aborts", &json!({"try": "abort"}), Crashed("it trapped")),
        hostile.tries("floods the trace", &json!({"try": "trace", "with": [20_000, 100]}), Pending("traced")),
        hostile.tries(
            "long lines in the trace",
            &json!({"try": "trace", "with": [200, 500_000]}),
            Pending("traced"),
        ),
        hostile.tries(
            "a line of 8 MB in the trace",
            &json!({"try": "trace", "with": [1, 8_000_000]}),
            // The SDK hands over no more than the host keeps.
            Pending("traced"),
        ),
        hostile.tries(
            "prints 4 MB that are no text",
            &json!({"try": "print-bytes", "with": 4_000_000}),
            Pending("printed"),
        ),
    ];
    attempts.extend(
        [
            "/certs/../secret",
            "/certs/../../../etc/passwd",
            "/etc/passwd",
            "/proc/self/environ",
            "/dev/zero",
            "certs/../../secret",
            "/certs/./../secret",
            "/certs//../secret",
            "/proc/self/cwd/Cargo.toml",
            "/certs/ca.pem/../../secret",
            "",
            "/certs/\0/ca.pem",
        ]
        .map(read),
    );
    attempts
}
