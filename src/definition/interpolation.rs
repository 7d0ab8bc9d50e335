//! `${…}` in strings: variables, which are replaced in TOML; secret references; and what is only text.

use std::ops::Range;

use super::node::{Node, ScalarKind, Value, shortened};
use crate::report::error::{Code, Problem};

/// One `${…}` in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// The whole reference, `${` and `}` included.
    pub text: &'a str,
    /// Whether it has the form `${secret:provider:reference}`.
    pub is_secret: bool,
}

/// Every `${…}` in a text, in order.
pub fn references(text: &str) -> Vec<Reference<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(candidate) = rest.get(start..) else { break };
        let Some(end) = candidate.find('}') else { break };
        let Some((reference, after)) = candidate.split_at_checked(end + 1) else {
            break;
        };
        found.push(Reference { text: reference, is_secret: is_secret(reference) });
        rest = after;
    }
    found
}

/// Whether a text holds a secret reference.
pub fn has_secret(text: &str) -> bool {
    references(text).iter().any(|reference| reference.is_secret)
}

/// `${secret:provider:reference}`; the reference may hold further colons, the provider none.
fn is_secret(reference: &str) -> bool {
    reference
        .strip_prefix("${secret:")
        .and_then(|rest| rest.strip_suffix('}'))
        .and_then(|rest| rest.split_once(':'))
        .is_some_and(|(provider, name)| !provider.is_empty() && !provider.contains('{') && !name.is_empty())
}

/// What stands for a variable's value, and how it went.
type Lookup<'a> = dyn FnMut(&str) -> Result<Option<String>, Problem> + 'a;

/// Defaults may hold variables, which have defaults.
const DEEPEST: usize = 8;

/// What a text asks for and does not get.
#[derive(Debug)]
pub enum Refused {
    /// No value, and no default.
    Unset(String, Option<String>),
    /// It is not closed, or not of a known form.
    Malformed(String),
    /// The value cannot be had.
    Problem(Problem),
}

/// A text with `${NAME}`, `${NAME:-default}`, `${NAME:?message}` replaced, as compose has them, and `$$` for a dollar sign.
/// Without the colon, an empty value counts as one. References to secrets stay as they are.
///
/// # Errors
/// The first thing that the text asks for and does not get.
pub fn interpolated(text: &str, lookup: &mut Lookup<'_>) -> Result<String, Refused> {
    replaced(text, lookup, 0)
}

fn replaced(text: &str, lookup: &mut Lookup<'_>, depth: usize) -> Result<String, Refused> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        result.push_str(before);
        if let Some(after) = from.strip_prefix("$$") {
            result.push('$');
            rest = after;
        } else if let Some(inner) = from.strip_prefix("${") {
            let end = closing(inner).ok_or_else(|| Refused::Malformed(from.to_owned()))?;
            let (expression, after) = (&inner[..end], &inner[end + 1..]);
            if expression.starts_with("secret:") {
                result.push_str(&from[..end + 3]);
            } else {
                result.push_str(&value(expression, lookup, depth)?);
            }
            rest = after;
        } else {
            // A dollar sign alone, and `$NAME`, are text.
            result.push('$');
            rest = from.strip_prefix('$').unwrap_or_default();
        }
    }
    result.push_str(rest);
    Ok(result)
}

/// Where the brace closes that was open before this text.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' if open == 0 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
    }
    None
}

fn value(expression: &str, lookup: &mut Lookup<'_>, depth: usize) -> Result<String, Refused> {
    let malformed = || Refused::Malformed(format!("${{{expression}}}"));
    let end = expression.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(expression.len());
    let (name, rest) = expression.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || depth > DEEPEST {
        return Err(malformed());
    }
    let (rest, is_colon) = rest.strip_prefix(':').map_or((rest, false), |rest| (rest, true));
    let found = lookup(name).map_err(Refused::Problem)?.filter(|value| !(is_colon && value.is_empty()));
    let operator = rest.chars().next();
    let word = rest.get(1..).unwrap_or_default();
    match (operator, found) {
        (None, _) if is_colon => Err(malformed()),
        (Some('-' | '?') | None, Some(value)) => Ok(value),
        (None, None) => Err(Refused::Unset(name.to_owned(), None)),
        (Some('-'), None) | (Some('+'), Some(_)) => replaced(word, lookup, depth + 1),
        (Some('?'), None) => {
            let message = Some(word.to_owned()).filter(|message| !message.is_empty());
            Err(Refused::Unset(name.to_owned(), message))
        }
        (Some('+'), None) => Ok(String::new()),
        _ => Err(malformed()),
    }
}

/// Replaces all of a file's strings, but for keys, and the scripts behind a shell's `-c`, whose variables are the shell's.
pub fn interpolate(root: &mut Node, lookup: &mut Lookup<'_>) -> Vec<(Problem, Range<usize>)> {
    let mut problems = Vec::new();
    walk(root, lookup, &mut problems);
    problems
}

fn walk(node: &mut Node, lookup: &mut Lookup<'_>, problems: &mut Vec<(Problem, Range<usize>)>) {
    match &mut node.value {
        Value::Scalar(scalar) if scalar.kind == ScalarKind::String && scalar.text.contains('$') => {
            match interpolated(&scalar.text, lookup) {
                Ok(text) => scalar.text = text,
                Err(refused) => problems.push((refused.into(), node.span.clone())),
            }
        }
        Value::Scalar(_) => {}
        Value::List(items) => {
            let mut after_script_flag = false;
            for item in items {
                let is_flag = item.scalar().is_some_and(|scalar| is_script_flag(&scalar.text));
                if !after_script_flag {
                    walk(item, lookup, problems);
                }
                after_script_flag = is_flag;
            }
        }
        Value::Table(entries) => {
            for entry in entries {
                walk(&mut entry.value, lookup, problems);
            }
        }
    }
}

/// `-c`, alone or at the end of a cluster such as `-ec`.
pub fn is_script_flag(word: &str) -> bool {
    word.strip_prefix('-')
        .and_then(|flags| flags.strip_suffix('c'))
        .is_some_and(|flags| flags.len() <= 4 && flags.bytes().all(|flag| flag.is_ascii_lowercase()))
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Problem(problem) => problem,
            Refused::Unset(name, message) => {
                let why = message.map(|message| format!(": {message}")).unwrap_or_default();
                Self::error(Code::VariableUnset, format!("the variable `{name}` is not set{why}"))
                    .hint(format!(
                        "Set it in the environment or in `.env`, or give it a default: `${{{name}:-value}}`."
                    ))
                    .hint("Write `$$` for a dollar sign that is meant as text.")
            }
            Refused::Malformed(text) => {
                let message =
                    format!("`{}` is not a variable in a form that farrier supports", shortened(&text));
                Self::error(Code::InvalidValue, message).hint(
                    "Write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`, and `$$` for a dollar sign.",
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_and_tells_apart() {
        let of =
            |text| references(text).iter().map(|found| (found.text, found.is_secret)).collect::<Vec<_>>();
        assert_eq!(of("plain $HOME $ { }"), []);
        assert_eq!(
            of("${A}-${secret:op:vault/item:field}"),
            [("${A}", false), ("${secret:op:vault/item:field}", true)]
        );
        assert_eq!(of("${secret:op:} ${secret::x} ${secret:op}").iter().filter(|found| found.1).count(), 0);
        assert_eq!(of("${unfinished"), []);
        assert!(has_secret("x ${secret:op:y}"));
    }

    #[test]
    fn variables_are_replaced_as_compose_does() {
        let mut lookup = |name: &str| {
            Ok(match name {
                "SET" => Some("value".to_owned()),
                "EMPTY" => Some(String::new()),
                _ => None,
            })
        };
        let mut of =
            |text: &str| interpolated(text, &mut lookup).map_err(|refused| Problem::from(refused).message);
        for (text, expected) in [
            ("", ""),
            ("plain $ $NAME { }", "plain $ $NAME { }"),
            ("${SET}/${SET}", "value/value"),
            ("$${SET} $$", "${SET} $"),
            ("$$$${SET}", "$${SET}"),
            ("$$${SET}", "$value"),
            ("${UNSET:-a b}", "a b"),
            ("${UNSET:-}", ""),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY-x}", ""),
            ("${EMPTY}", ""),
            ("${UNSET:-${SET}}", "value"),
            ("${UNSET:-${UNSET:-${SET}}}", "value"),
            ("${UNSET:-{a}}", "{a}"),
            ("${SET:+yes}${UNSET:+no}", "yes"),
            ("${SET:?needed}", "value"),
            ("${secret:op:x}${SET}", "${secret:op:x}value"),
            ("é${SET}é", "évalueé"),
        ] {
            assert_eq!(of(text).as_deref(), Ok(expected), "{text}");
        }
        for (text, reason) in [
            ("${UNSET}", "`UNSET` is not set"),
            ("${UNSET:?tell me}", "`UNSET` is not set: tell me"),
            ("${EMPTY:?}", "`EMPTY` is not set"),
            ("${UNSET:-${OTHER}}", "`OTHER` is not set"),
            ("${", "not a variable"),
            ("${SET", "not a variable"),
            ("${}", "not a variable"),
            ("${1A}", "not a variable"),
            ("${SET.x}", "not a variable"),
            ("${SET:}", "not a variable"),
            ("${SET:x}", "not a variable"),
        ] {
            let found = of(text).expect_err(text);
            assert!(found.contains(reason), "{text}: {found}");
        }
        let deep = format!("{}x{}", "${U:-".repeat(50), "}".repeat(50));
        assert!(of(&deep).is_err());
    }

    proptest! {
        #[test]
        fn replacing_never_panics(text in "[${}a:?+-ä]{0,60}") {
            let _ = interpolated(&text, &mut |_| Ok(None));
        }

        #[test]
        fn never_panics(text in "[${}a:secrt ä]{0,60}") {
            let _ = references(&text);
        }
    }
}
