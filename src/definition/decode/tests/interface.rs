//! What is refused in `interface`.

use super::{TOML, check};
use crate::definition::model::Layer;
use crate::report::error::Code::{
    ConflictingFields as Conflict, InvalidValue as Invalid, MissingField as Missing, UnknownKey,
};

#[test]
fn fields_of_the_interface() {
    check(
        "db.toml",
        TOML,
        Layer::User,
        &[
            ("", Missing, 1, 1, "kind"),
            ("interface = 5", Invalid, 3, 13, "`kind`"),
            ("[interface]\nport = 80", Missing, 3, 2, "kind"),
            ("[interface]\nkind = 'tcp'", Invalid, 4, 8, "port"),
            ("[interface]\nkind = 'port'", Missing, 3, 2, "listens on"),
            ("[interface]\nkind = 'port'\nport = 0", Invalid, 5, 8, "listens on"),
            ("[interface]\nkind = 'port'\nport = 70000", Invalid, 5, 8, "listens on"),
            ("[interface]\nkind = 'port'\nport = -1", Invalid, 5, 8, "listens on"),
            ("[interface]\nkind = 'port'\nport = '8080'", Invalid, 5, 8, "without quotes: 8080"),
            ("[interface]\nkind = 'port'\nport = 80.5", Invalid, 5, 8, "listens on"),
            ("[interface]\nkind = 'port'\nport = true", Invalid, 5, 8, "listens on"),
            (
                "[interface]\nkind = 'port'\nport = 99999999999999999999999999999999999999999",
                Invalid,
                5,
                8,
                "listens",
            ),
            ("[interface]\nkind = 'port'\nport = 80\naliases = ['a_b']", Invalid, 6, 12, "labels"),
            ("[interface]\nkind = 'port'\nport = 80\naliases = ['ok', '-a']", Invalid, 6, 18, "labels"),
            ("[interface]\nkind = 'port'\nport = 80\naliases = 'db'", Invalid, 6, 11, "brackets"),
            ("[interface]\nkind = 'port'\nport = 80\naliases = ['']", Invalid, 6, 12, "labels"),
            ("[interface]\nkind = 'none'\naliases = ['x']", Conflict, 5, 1, "Remove it"),
            ("[interface]\nkind = 'none'\nport = 80", Conflict, 5, 1, "kind = \"port\""),
            ("[interface]\nkind = 'mcp'\nport = 80", Missing, 3, 2, "farrier starts no sidecar of this kind"),
            (
                "[interface]\nkind = 'mcp'\nport = 80\nname = 'a b'",
                Invalid,
                6,
                8,
                "farrier starts no sidecar of this kind",
            ),
            (
                "[interface]\nkind = 'mcp'\nport = 80\nname = 'a'\ntransport = 'sse'",
                Invalid,
                7,
                13,
                "farrier starts no sidecar of this kind",
            ),
            (
                "[interface]\nkind = 'volume'\nvolume = 'x'",
                Missing,
                3,
                2,
                "farrier starts no sidecar of this kind",
            ),
            ("[interface]\nkind = 'none'", Missing, 3, 2, "\"skip\", \"log\""),
            ("[interface]\nkind = 'port'\nport = 80\nprot = 1", UnknownKey, 6, 1, "`port`"),
        ],
    );
}
