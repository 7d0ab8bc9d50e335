//! Values of compose as TOML.

use serde_json::Value as Json;

use crate::definition::interpolation::is_script_flag;

/// A text as TOML's basic string.
pub fn string(text: &str) -> String {
    let mut written = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            other if other.is_control() => written.push_str(&format!("\\u{:04X}", u32::from(other))),
            other => written.push(other),
        }
    }
    written + "\""
}

/// A key of a table: bare if TOML allows it.
pub fn key(text: &str) -> String {
    let is_bare =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_bare { text.to_owned() } else { string(text) }
}

/// Words that are executed. A list leaves what follows a shell's `-c` to the shell; in a line, all variables are the file's.
pub fn words(words: &[String]) -> String {
    let is_script = |index: usize| index > 0 && is_script_flag(&words[index - 1]);
    let has_variable = |word: &str| word.replace("$$", "").contains("${");
    if words.iter().enumerate().any(|(index, word)| is_script(index) && has_variable(word)) {
        let line: Vec<String> = words.iter().map(|word| shell_word(word)).collect();
        return string(&line.join(" "));
    }
    let plain = |(index, word): (usize, &String)| {
        if is_script(index) { word.replace("$$", "$") } else { word.clone() }
    };
    strings(&words.iter().enumerate().map(plain).collect::<Vec<_>>())
}

/// A word of a line; variables in it may have any value without a quote.
fn shell_word(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A word of a command that a person types: variables in it are the shell's.
pub fn typed_word(word: &str) -> String {
    if word.contains('$') {
        return format!("\"{}\"", word.replace('\\', r"\\").replace('"', "\\\"").replace('`', "\\`"));
    }
    shell_word(word)
}

/// A list of texts.
pub fn strings<T: AsRef<str>>(texts: &[T]) -> String {
    format!("[{}]", texts.iter().map(|text| string(text.as_ref())).collect::<Vec<_>>().join(", "))
}

/// A table of texts in one line.
pub fn table(pairs: &[(String, String)]) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{} = {}", key(name), string(value))).collect();
    if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
}

/// The text of a single value, with `$NAME` as `${NAME}`, which is the form that definitions have.
pub fn text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(braced(text)),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Each single value of a list, or the only one.
pub fn texts(value: &Json) -> Option<Vec<String>> {
    match value {
        Json::Array(items) => items.iter().map(text).collect(),
        single => text(single).map(|text| vec![text]),
    }
}

/// Names with values: a table, or a list of `name=value`.
pub fn pairs(value: &Json) -> Option<Vec<(String, Option<String>)>> {
    match value {
        Json::Object(table) => table
            .iter()
            .map(|(name, value)| match value {
                Json::Null => Some((name.clone(), None)),
                value => Some((name.clone(), Some(text(value)?))),
            })
            .collect(),
        Json::Array(items) => items
            .iter()
            .map(|item| {
                let text = text(item)?;
                Some(match text.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (text, None),
                })
            })
            .collect(),
        _ => None,
    }
}

/// `$NAME` as `${NAME}`.
fn braced(text: &str) -> String {
    let mut braced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        braced.push_str(before);
        if let Some(after) = from.strip_prefix("$$") {
            braced.push_str("$$");
            rest = after;
            continue;
        }
        let after = from.strip_prefix('$').unwrap_or_default();
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let (name, beyond) = after.split_at(end);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            braced.push('$');
            rest = after;
        } else {
            braced.push_str(&format!("${{{name}}}"));
            rest = beyond;
        }
    }
    braced + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_get_braces() {
        for (text, expected) in [
            ("a $B c", "a ${B} c"),
            ("${B:-x}", "${B:-x}"),
            ("$$B $", "$$B $"),
            ("$1", "$1"),
            ("$B_1/$C", "${B_1}/${C}"),
        ] {
            assert_eq!(braced(text), expected, "{text}");
        }
        assert_eq!(string("a\"\\\n\u{1b}ü"), "\"a\\\"\\\\\\n\\u001Bü\"");
    }
}
