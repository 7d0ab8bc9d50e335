//! Files that are made to break a parser.

use proptest::prelude::*;

use super::read;
use crate::definition::decode::Declaration;
use crate::definition::model::Layer;

#[test]
fn aliases_cannot_exhaust_memory() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let inner = [format!("*a{}", level - 1).as_str(); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    let (_, problems) = read("db.yaml", &text, Layer::User);
    assert!(
        problems.iter().any(|problem| problem.hints.iter().any(|hint| hint.contains("as often"))),
        "{problems:?}"
    );
    let mut text = format!("a0: &a0 {}\n", "x".repeat(1000));
    text.push_str(&format!("b: [{}]\n", vec!["*a0"; 5000].join(", ")));
    let (_, problems) = read("db.yaml", &text, Layer::User);
    assert!(problems.iter().any(|problem| problem.message.contains("bytes")), "{problems:?}");
    for deep in ["[".repeat(100_000), format!("a: {}", "{a: ".repeat(5000)), "- ".repeat(5000)] {
        let (_, problems) = read("db.yaml", &deep, Layer::User);
        assert!(!problems.is_empty());
    }
    for deep in
        [format!("a = {}", "[".repeat(100_000)), format!("a = {}", "{a = ".repeat(5000)), "a.".repeat(50_000)]
    {
        let (_, problems) = read("db.toml", &deep, Layer::User);
        assert!(!problems.is_empty());
    }
    let (declaration, _) = read("db.toml", &format!("{} = 1", vec!["a"; 20_000].join(".")), Layer::User);
    assert!(matches!(declaration, Declaration::Broken));
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = read("db.toml", &text, Layer::Workspace);
        let _ = read("db.yaml", &text, Layer::Workspace);
    }

    #[test]
    fn text_made_of_the_formats_own_pieces_never_panics(
        pieces in proptest::collection::vec(
            prop::sample::select(vec![
                "interface", "readiness", "kind", "port", "env", "image", "grants", "dial", "disable", "mounts",
                ": ", " = ", "\n", "\n  ", "[", "]", "[[", "]]", "{", "}", "- ", "'", "\"", "&a ", "*a", "<<", "|", ">",
                "0", "70000", "nan", "1e400", "true", "~", "self:1", "${secret:a:b}", "\\u0000", "!!str ", "#", ",", "---",
                "\u{feff}", "\u{202e}", "é", ".", "\r\n", "\t",
            ]),
            0..40,
        )
    ) {
        let text = pieces.concat();
        for file in ["db.toml", "db.yaml"] {
            for problem in read(file, &text, Layer::User).1 {
                let _ = crate::report::snippet::render(&problem, false, 80);
            }
        }
    }

    #[test]
    fn numbers_in_every_place_never_panic(number in "[-+]?[0-9_.]{1,40}(e[-+]?[0-9]{1,5})?") {
        for text in [
            format!("interface.port = {number}\nresources.memory = {number}\nreadiness.timeout = {number}"),
            format!("readiness = {{ probe = 'x', limits = {{ poll = {number}, memory = '{number}k' }} }}"),
        ] {
            let _ = read("db.toml", &text, Layer::User);
        }
        let _ = read("db.yaml", &format!("interface: {{kind: port, port: {number}}}\nenv: {{A: {number}}}"), Layer::User);
    }
}
