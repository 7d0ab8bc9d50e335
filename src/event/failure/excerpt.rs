//! How much of what others wrote stands in a report, however much they wrote.

/// The most bytes of one text that are quoted.
const MOST_BYTES: usize = 500;

/// A text, or its beginning and its length if it is longer than what is quoted.
pub fn excerpt(text: String) -> String {
    if text.len() <= MOST_BYTES {
        return text;
    }
    let end = text.floor_char_boundary(MOST_BYTES);
    format!("{}… ({} bytes)", &text[..end], text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_long_is_cut_and_between_characters() {
        assert_eq!(excerpt("x".repeat(500)), "x".repeat(500));
        assert_eq!(excerpt("x".repeat(501)), format!("{}… (501 bytes)", "x".repeat(500)));
        assert_eq!(excerpt("€".repeat(1000)), format!("{}… (3000 bytes)", "€".repeat(166)));
    }
}
