//! What is refused as YAML, and in YAML.

use super::{YAML, check};
use crate::definition::model::Layer;
use crate::report::error::Code::{
    DefinitionSyntax as Syntax, InvalidValue as Invalid, MissingField as Missing, UnknownKey,
};

#[test]
fn yaml_of_every_broken_kind() {
    check(
        "db.yaml",
        "",
        Layer::User,
        &[
            ("# nothing\n", Missing, 1, 1, "shared"),
            ("a: 1\na: 2\n", Syntax, 2, 1, "Keep one"),
            ("env:\n  A: 1\n  A: 2\n", Syntax, 3, 3, "Keep one"),
            ("a: 1\n---\nb: 2\n", Syntax, 2, 1, "one definition in each file"),
            ("base: &base\n  a: 1\nother:\n  <<: *base\n", Syntax, 4, 3, "merged keys"),
            ("a: *nowhere\n", Syntax, 1, 4, "Correct the YAML"),
            ("a: &a [*a]\n", Syntax, 1, 8, "itself"),
            ("a: !ruby/object x\n", Syntax, 1, 4, "Remove the tag"),
            ("a: !!int x\n", Syntax, 1, 4, "Remove the tag"),
            ("? [a, b]\n: c\n", Syntax, 1, 3, "plain text"),
            ("a: [1, 2\n", Syntax, 1, 4, "Correct the YAML"),
            ("a: b: c\n", Syntax, 1, 5, "quotes"),
            // The tab's own line, also where more lines with tabs follow.
            ("a:\n\tb: 1\n\tc: 2\n", Syntax, 2, 1, "spaces"),
            ("a: 1\n\tb: 2\n\tc: 3\n", Syntax, 2, 1, "spaces"),
            ("a:\n  b: 1 # a\ttab\n\tc: 2\n\td: 3\n", Syntax, 3, 1, "spaces"),
            ("a: |\n\tx\n", Syntax, 2, 1, "spaces"),
            (
                "lifecycle: shared\nimage: x\ninterface:\n\t\tkind: port\n\t\tport: 80\n",
                Syntax,
                4,
                1,
                "spaces",
            ),
            ("just text\n", Invalid, 1, 1, "lifecycle"),
            ("- a\n- b\n", Invalid, 1, 1, "lifecycle"),
            ("lifecycle: [shared]\n", Invalid, 1, 12, "shared"),
            ("image:\n", Invalid, 1, 6, "one text value"),
            ("description: ok\nimage: 16\n", Invalid, 2, 8, "quotes"),
        ],
    );
    check(
        "db.yaml",
        YAML,
        Layer::User,
        &[
            ("command: [sleep, 60]\n", Invalid, 6, 18, "quotes"),
            ("readiness:\n  timeout: nan\n", Invalid, 7, 12, "24 hours"),
            ("readiness:\n  timeout: .inf\n", Invalid, 7, 12, "24 hours"),
            ("readiness:\n  timeout: -1\n", Invalid, 7, 12, "24 hours"),
            ("readiness:\n  timeout: 1e400\n", Invalid, 7, 12, "24 hours"),
            ("readiness:\n  timeout: .5s\n", Invalid, 7, 12, "24 hours"),
            ("readiness:\n  timeout: 5 x\n", Invalid, 7, 12, "24 hours"),
            ("readiness:\n", Invalid, 6, 10, "`probe`"),
            ("readiness:\n  mode: exec\n", Missing, 6, 1, "pg_isready"),
            ("env:\n  A: \"x\\0y\"\n", Invalid, 7, 6, "Remove it"),
            ("env:\n  A=B: x\n", Invalid, 7, 3, "letters"),
            ("ports: 5\n", UnknownKey, 6, 1, "interface.port = 5432"),
            ("zzzzzz: 5\n", UnknownKey, 6, 1, "the keys here"),
            ("lifecycl: 5\n", UnknownKey, 6, 1, "`lifecycle`"),
        ],
    );
}
