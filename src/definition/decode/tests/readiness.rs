//! What is refused in `readiness`.

use super::{check, whole};
use crate::definition::model::Layer;
use crate::report::error::Code::{
    ConflictingFields as Conflict, InvalidValue as Invalid, MissingField as Missing, UnknownKey,
};

const PORT: &str =
    "lifecycle = 'shared'\nimage = 'x'\ninterface = { kind = 'port', port = 80 }\n[readiness]\n";

#[test]
fn fields_of_readiness() {
    check(
        "db.toml",
        PORT,
        Layer::User,
        &[
            ("timeout = nan", Invalid, 5, 11, "24 hours"),
            ("timeout = inf", Invalid, 5, 11, "24 hours"),
            ("timeout = -inf", Invalid, 5, 11, "24 hours"),
            ("timeout = -1", Invalid, 5, 11, "24 hours"),
            ("timeout = 0", Invalid, 5, 11, "24 hours"),
            ("timeout = 1e400", Invalid, 5, 11, "24 hours"),
            ("timeout = 100000", Invalid, 5, 11, "24 hours"),
            ("timeout = '1e3s'", Invalid, 5, 11, "24 hours"),
            ("timeout = 'soon'", Invalid, 5, 11, "24 hours"),
            ("timeout = '25h'", Invalid, 5, 11, "24 hours"),
            ("timeout = true", Invalid, 5, 11, "24 hours"),
            ("timeout = [1]", Invalid, 5, 11, "24 hours"),
            ("timeout = '10s'\nmax_timeout = '5s'", Conflict, 6, 15, "at least as long"),
            ("successes = 0", Invalid, 5, 13, "in this range"),
            ("successes = 1001", Invalid, 5, 13, "in this range"),
            ("successes = -1", Invalid, 5, 13, "in this range"),
            ("successes = 2.5", Invalid, 5, 13, "in this range"),
            ("successes = '2'", Invalid, 5, 13, "in this range"),
            ("successes = [2]", Invalid, 5, 13, "in this range"),
            ("successes = 2\ninterval = -1", Invalid, 6, 12, "24 hours"),
            ("successes = 2\ninterval = '0x'", Invalid, 6, 12, "24 hours"),
            ("successes = 2\ninterval = 'often'", Invalid, 6, 12, "24 hours"),
            ("successes = 2\ninterval = true", Invalid, 6, 12, "24 hours"),
            ("interval = '1s'", Conflict, 5, 1, "successes = 2"),
            ("timeout = '4s'\nsuccesses = 5\ninterval = '1s'", Conflict, 7, 1, "Raise `timeout`"),
            ("probe = 'tcp'\nmode = 'tcp'", Conflict, 6, 1, "Keep `probe`"),
            ("probe = 5", Invalid, 5, 9, "quotes"),
            ("probe = 'a probe'", Invalid, 5, 9, "custom probe"),
            ("probe = 'exec'", Missing, 4, 2, "pg_isready"),
            ("probe = 'exec'\ncommand = []", Invalid, 6, 11, "arguments"),
            ("probe = 'exec'\ncommand = ''", Invalid, 6, 11, "words as a shell"),
            ("probe = 'exec'\ncommand = 5", Invalid, 6, 11, "brackets"),
            ("probe = 'tcp'\ncommand = ['x']", Conflict, 6, 1, "\"exec\""),
            ("probe = 'skip'\ncommand = ['x']", Conflict, 6, 1, "\"exec\""),
            ("probe = 'mine'\ncommand = ['x']", Conflict, 6, 1, "grants.exec"),
            ("probe = 'tcp'\ngrants = { logs = true }", Conflict, 6, 1, "custom probe"),
            ("probe = 'skip'\nsettings = { a = 1 }", Conflict, 6, 1, "custom probe"),
            ("probe = 'http'\ngrants = { dial = ['self'] }", Conflict, 6, 1, "custom probe"),
            ("probe = 'redis'\ncommand = ['x']", Conflict, 6, 1, "\"exec\""),
            ("probe = 'healthcheck'\nsha256 = '00'", Conflict, 6, 1, "custom probe"),
            ("probe = 'mine'\nsha256 = '00'", Invalid, 6, 10, "sha256sum"),
            ("probe = 'mine'\nsettings = 5", Invalid, 6, 12, "keys with values"),
            ("probe = 'mine'\nsettings = { a = nan }", Invalid, 6, 18, "JSON"),
            ("timout = 5", UnknownKey, 5, 1, "`timeout`"),
            ("limits = { memory = '1k' }", Invalid, 5, 21, "range"),
            ("limits = { memory = '2g' }", Invalid, 5, 21, "range"),
            ("limits = { poll = '2m' }", Invalid, 5, 19, "range"),
            ("limits = { poll = 0.0001 }", Invalid, 5, 19, "range"),
        ],
    );
}

#[test]
fn grants() {
    check(
        "db.toml",
        PORT,
        Layer::User,
        &[
            ("probe = 'mine'\ngrants = { dial = ['127.0.0.1:80'] }", Invalid, 6, 20, "NAME:PORT"),
            ("probe = 'mine'\ngrants = { dial = ['10.0.0.1'] }", Invalid, 6, 20, "NAME:PORT"),
            ("probe = 'mine'\ngrants = { dial = ['[::1]:80'] }", Invalid, 6, 20, "NAME:PORT"),
            ("probe = 'mine'\ngrants = { dial = ['::1'] }", Invalid, 6, 20, "NAME:PORT"),
            ("probe = 'mine'\ngrants = { dial = ['db'] }", Invalid, 6, 20, "NAME:PORT"),
            ("probe = 'mine'\ngrants = { dial = ['db:0'] }", Invalid, 6, 20, "NAME:PORT"),
            ("probe = 'mine'\ngrants = { dial = ['db:+80'] }", Invalid, 6, 20, "NAME:PORT"),
            ("probe = 'mine'\ngrants = { exec = ['x'] }", Invalid, 6, 20, "[["),
            ("probe = 'mine'\ngrants = { exec = [[]] }", Invalid, 6, 20, "arguments"),
            ("probe = 'mine'\ngrants = { exec = [['x', '']] }", Invalid, 6, 20, "Remove it"),
            ("probe = 'mine'\ngrants = { env = ['HOME'] }", Invalid, 6, 19, "cannot read farrier's own"),
            (
                "probe = 'mine'\ngrants = { dirs = [{ host = '../x', guest = '/x' }] }",
                Invalid,
                6,
                29,
                "beside",
            ),
            ("probe = 'mine'\ngrants = { dirs = [{ host = '/x', guest = '/x' }] }", Invalid, 6, 29, "beside"),
            ("probe = 'mine'\ngrants = { dirs = [{ host = 'x', guest = 'x' }] }", Invalid, 6, 42, "in full"),
            ("probe = 'mine'\ngrants = { dirs = [{ host = 'x' }] }", Missing, 6, 20, "absolute path"),
            ("probe = 'mine'\ngrants = { health = 'yes' }", Invalid, 6, 21, "without quotes"),
            ("probe = 'mine'\ngrants = { dail = ['self'] }", UnknownKey, 6, 12, "`dial`"),
        ],
    );
}

#[test]
fn readiness_without_a_port_or_in_a_workspace() {
    const NONE: &str = "lifecycle = 'shared'\nimage = 'x'\ninterface.kind = 'none'\n";
    check(
        "db.toml",
        NONE,
        Layer::User,
        &[
            ("readiness.probe = 'tcp'", Conflict, 4, 19, "healthcheck"),
            ("[readiness]\ntimeout = 5", Missing, 4, 2, "skip"),
            ("readiness = []", Invalid, 4, 13, "probe"),
            ("[[readiness]]\nprobe = 'skip'\n[[readiness]]\nprobe = 'exec'", Missing, 6, 1, "pg_isready"),
            ("[readiness]\nprobe = 'mine'\ngrants.dial = ['self']", Invalid, 6, 16, "PORT"),
        ],
    );
    check(
        "db.toml",
        PORT,
        Layer::Workspace,
        &[
            ("probe = 'mine'", Missing, 5, 9, "sha256sum"),
            ("probe = 'tpc'", Missing, 5, 9, "`tcp`"),
            ("probe = '/x.wasm'", Invalid, 5, 9, "beside"),
        ],
    );
}

/// Built-in probes that run commands have more time, but not if the definition says 2 s, which is the default of the others.
#[test]
fn a_poll_limit_that_is_declared_is_told_from_the_default() {
    for (limits, expected) in
        [("", false), ("limits = { poll = '2s' }", true), ("limits = { memory = '8m' }", false)]
    {
        let definition = whole("db.toml", &format!("{PORT}{limits}"));
        assert_eq!(definition.readiness[0].has_poll_limit, expected, "{limits}");
    }
}
