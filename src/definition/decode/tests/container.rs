//! What is refused at the top of a file.

use super::{check, read};
use crate::definition::model::Layer;
use crate::report::error::Code::{
    DefinitionSyntax as Syntax, InvalidValue as Invalid, MissingField as Missing, NotInterpolated, UnknownKey,
};

#[test]
fn fields_of_the_top() {
    check(
        "db.toml",
        "",
        Layer::User,
        &[
            ("# nothing\n", Missing, 1, 1, "shared"),
            ("image = 'x'\ninterface.kind = 'none'\nreadiness.probe = 'skip'\n", Missing, 1, 1, "\"shared\""),
            ("lifecycle = 'forever'", Invalid, 1, 13, "lifecycle = \"shared\""),
            ("lifecycle = ['shared']", Invalid, 1, 13, "lifecycle = \"shared\""),
            ("image = 5", Invalid, 1, 9, "quotes"),
            ("image = ''", Invalid, 1, 9, "value"),
            ("image = 'Postgres:16'", Invalid, 1, 9, "postgres:16"),
            ("image = 'a b'", Invalid, 1, 9, "[:tag]"),
            ("entrypoint = 'sh'", Invalid, 1, 14, "brackets"),
            ("command = ['sleep', 60]", Invalid, 1, 21, "quotes"),
            ("command = ['sleep', ['x']]", Invalid, 1, 21, "one string"),
            ("command = [\"a\\u0000b\"]", Invalid, 1, 12, "Remove it"),
            ("env = ['A=1']", Invalid, 1, 7, "names with their values"),
            ("env = { 'A=B' = 'x' }", Invalid, 1, 9, "letters"),
            ("env = { '' = 'x' }", Invalid, 1, 9, "letters"),
            ("env = { \"A\\u0000\" = 'x' }", Invalid, 1, 9, "letters"),
            ("env = { A = ['x'] }", Invalid, 1, 13, "one text value"),
            ("env = { A = \"x\\u0000\" }", Invalid, 1, 13, "neither arguments"),
            ("networks = ['host']", Invalid, 1, 13, "Remove it"),
            ("networks = ['a', 'none']", Invalid, 1, 18, "Remove it"),
            ("networks = ['container:x']", Invalid, 1, 13, "Remove it"),
            ("networks = ['-x']", Invalid, 1, 13, "docker network ls"),
            ("networks = 'x'", Invalid, 1, 12, "brackets"),
            ("mounts = ['/etc:/etc']", Invalid, 1, 11, "docker-socket"),
            ("mounts = ['docker-socket', 'workspace:/var/run']", Invalid, 1, 28, "docker-socket"),
            ("mounts = [5]", Invalid, 1, 11, "quotes"),
            ("mounts = [{ type = 'bind' }]", Invalid, 1, 11, "docker-socket"),
            ("resources = 5", Invalid, 1, 13, "memory"),
            ("resources.memory = '1x'", Invalid, 1, 20, "512MiB"),
            ("resources.memory = true", Invalid, 1, 20, "512MiB"),
            ("resources.memory = -1", Invalid, 1, 20, "512MiB"),
            ("resources.memory = '5m'", Invalid, 1, 20, "range"),
            ("resources.memori = '64m'", UnknownKey, 1, 11, "`memory`"),
            ("program = []", Invalid, 1, 11, "program and its arguments"),
            ("program = 'x'", Invalid, 1, 11, "brackets"),
            ("program = ['x']\nimage = 'y'", Invalid, 1, 1, "Keep `image`"),
            ("program = ['x']\ncommand = ['y']", Invalid, 2, 1, "list the arguments in `program`"),
            ("program = ['x']\nmounts = ['docker-socket']", Invalid, 2, 1, "Remove it"),
            ("image = 'x'\nworking_dir = 'y'", Invalid, 2, 1, "sets its own working directory"),
            ("workdir = '/'", UnknownKey, 1, 1, "working_dir = "),
            ("required = 'yes'", Invalid, 1, 12, "without quotes"),
            ("disable = 'yes'", Invalid, 1, 11, "without quotes"),
            ("disable = 1", Invalid, 1, 11, "without quotes"),
            ("imagee = 'x'", UnknownKey, 1, 1, "`image`"),
            ("Mount = ['a']", UnknownKey, 1, 1, "mounts = "),
            ("zzzzzzzz = 1", UnknownKey, 1, 1, "lifecycle"),
            ("description = ['x']", Invalid, 1, 15, "one line"),
            ("env = { A = '${HOME}' }", NotInterpolated, 1, 13, "itself"),
            ("env = { A = '${secret:op}' }", NotInterpolated, 1, 13, "${secret:provider:reference}"),
            ("image = 'x'\nimage = 'y'", Syntax, 2, 1, "Keep one"),
            ("image = ", Syntax, 1, 9, "toml.io"),
            ("port = 010", Syntax, 1, 8, "toml.io"),
        ],
    );
}

#[test]
fn all_problems_of_a_file_are_reported() {
    let text =
        "lifecycle = 'x'\nimage = 5\n[interface]\nkind = 'port'\nport = 0\n[readiness]\ntimeout = nan\n";
    let (_, problems) = read("db.toml", text, Layer::User);
    assert_eq!(problems.len(), 4, "{problems:#?}");
}
