//! Files of variables, as docker and compose have them: `NAME=value` on each line, with quotes, comments and `export`.

/// Reads a file's variables, in its order; a later one of the same name wins.
///
/// # Errors
/// The number of the first line that is not understood, and why.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, (usize, &'static str)> {
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while !rest.is_empty() {
        let start = rest;
        let (first, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after;
        let plain = first.trim();
        if plain.is_empty() || plain.starts_with('#') {
            line += 1;
            continue;
        }
        let plain = plain.strip_prefix("export ").unwrap_or(plain).trim_start();
        let Some((name, _)) = plain.split_once('=') else {
            return Err((line, "it has no `=` between a name and a value"));
        };
        let name = name.trim_end();
        if !is_name(name) {
            return Err((line, "the text before `=` is not a variable's name"));
        }
        let (_, value) = start.split_once('=').unwrap_or_default();
        let value = value.trim_start_matches([' ', '\t']);
        let value = if let Some(quote @ ('"' | '\'')) = value.chars().next() {
            let Some((value, after)) = quoted(&value[1..], quote) else {
                return Err((line, "a quote is not closed"));
            };
            let (tail, after) = after.split_once('\n').unwrap_or((after, ""));
            if !tail.trim().is_empty() && !tail.trim_start().starts_with('#') {
                return Err((line, "there is text after the closing quote"));
            }
            rest = after;
            value
        } else {
            let value = value.split('\n').next().unwrap_or_default();
            let end = value.find(" #").or_else(|| value.starts_with('#').then_some(0));
            value[..end.unwrap_or(value.len())].trim().to_owned()
        };
        line += start.len().checked_sub(rest.len()).map_or(0, |read| start[..read].matches('\n').count());
        variables.retain(|(other, _)| other != name);
        variables.push((name.to_owned(), value));
    }
    Ok(variables)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// What stands up to the closing quote, and what is behind it. Double quotes have escapes.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            _ if character == quote => return Some((value, &text[at + character.len_utf8()..])),
            '\\' if quote == '"' => match characters.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                other @ ('"' | '\\' | '$') => value.push(other),
                other => value.extend(['\\', other]),
            },
            _ => value.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_compose_reads() {
        let text = "# a comment\n\nA=1\nexport B = two words  # a comment\nC='single # $X \\n'\nD=\"a\\tb \\\"c\\\" \\$x\"\nE=\n\
                    F=a#b\nG=\"two\nlines\"\nA=2\nH = '' # nothing\n";
        let expected = [
            ("B", "two words"),
            ("C", "single # $X \\n"),
            ("D", "a\tb \"c\" $x"),
            ("E", ""),
            ("F", "a#b"),
            ("G", "two\nlines"),
            ("A", "2"),
            ("H", ""),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        assert_eq!(parse(text), Ok(expected));
        assert_eq!(parse("A=\r\nB=x\r\n").map(|found| found.len()), Ok(2));
    }

    #[test]
    fn says_which_line_is_wrong() {
        for (text, line) in
            [("A=1\nB\n", 2), ("=x", 1), ("1A=x", 1), ("A='x", 1), ("A=\"x\ny\"\nA B=1", 3), ("A='x' y", 1)]
        {
            assert_eq!(parse(text).map_err(|(line, _)| line), Err(line), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[A-C='\"\\\\# \n$ä]{0,40}") {
            let _ = parse(&text);
        }
    }
}
