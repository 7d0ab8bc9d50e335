//! Text from files made safe for a terminal.

/// Replaces every character that a terminal would act on or hide (controls, bidirectional marks, zero-width
/// characters, line separators, tags) by its escape: `\x1b`, `\u{202e}`.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        escape_into(character, &mut escaped);
    }
    escaped
}

/// Appends one character, escaped if necessary.
pub fn escape_into(character: char, escaped: &mut String) {
    match character {
        '\n' => escaped.push_str("\\n"),
        '\r' => escaped.push_str("\\r"),
        '\t' => escaped.push_str("\\t"),
        '\0'..='\u{1f}' | '\u{7f}' => escaped.extend(format!("\\x{:02x}", u32::from(character)).chars()),
        _ if is_hidden(character) => escaped.extend(character.escape_unicode()),
        _ => escaped.push(character),
    }
}

/// Like `escape`, but for serialised JSON: uses JSON's own escapes, so that a terminal shows the characters and a parser
/// restores them.
#[must_use]
pub fn escape_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\u{7f}' || is_hidden(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// C1 controls, and the format characters that reorder or hide the text around them (Unicode's category Cf
/// and the line and paragraph separators, as far as terminals know them), and characters that look like nothing.
const fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\u{80}'..='\u{9f}'
            | '\u{a0}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3000}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e01ef}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_what_a_terminal_acts_on() {
        for (text, escaped) in [
            ("plain – größe 🦀", "plain – größe 🦀"),
            ("\x1b[31mred", "\\x1b[31mred"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("\0\x7f\u{9b}", "\\x00\\x7f\\u{9b}"),
            ("one\ntwo\r\t", "one\\ntwo\\r\\t"),
            ("\u{200b}\u{feff}\u{2028}", "\\u{200b}\\u{feff}\\u{2028}"),
            ("back\\slash", "back\\slash"),
        ] {
            assert_eq!(escape(text), escaped);
        }
    }

    proptest! {
        #[test]
        fn json_shows_every_character_and_keeps_its_meaning(text in any::<String>()) {
            let value = serde_json::json!({ "text": text });
            let written = escape_json(&value.to_string());
            prop_assert!(!written.chars().any(|c| c.is_control() || is_hidden(c)));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&written).expect("JSON"), value);
        }

        #[test]
        fn leaves_no_control_character(text in any::<String>()) {
            prop_assert!(!escape(&text).chars().any(|c| c.is_control() || is_hidden(c)));
        }
    }
}
