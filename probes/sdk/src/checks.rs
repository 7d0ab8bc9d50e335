//! What many settings have in common, for [`Probe::validate`](crate::Probe::validate).

use alloc::vec::Vec;

use crate::Problem;

/// A port that nobody listens on.
#[must_use]
pub fn port(port: Option<u16>) -> Option<Problem> {
    (port == Some(0)).then(|| Problem::new("port", "a port is a number from 1 to 65535"))
}

/// A text without a character.
#[must_use]
pub fn empty(field: &str, text: Option<&str>) -> Option<Problem> {
    text?.is_empty().then(|| Problem::new(field, "it is empty: leave it out"))
}

/// A text that holds nothing but white space.
#[must_use]
pub fn blank(field: &str, text: Option<&str>) -> Option<Problem> {
    empty(field, text.map(str::trim))
}

/// A text with a NUL character, for protocols whose texts end with one.
#[must_use]
pub fn nul(field: &str, text: Option<&str>) -> Option<Problem> {
    let message = "it holds a NUL character, which ends texts of the protocol";
    text?.contains('\0').then(|| Problem::new(field, message))
}

/// A text with a line break, for protocols whose commands end with one.
#[must_use]
pub fn line_break(field: &str, text: Option<&str>) -> Option<Problem> {
    let message = "it holds a line break, which ends a command of the protocol";
    text?.contains(['\r', '\n']).then(|| Problem::new(field, message))
}

/// The result of a validation that found these problems.
///
/// # Errors
/// The problems, if there are any.
pub fn result(problems: Vec<Problem>) -> Result<(), Vec<Problem>> {
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_finds_its_problem_and_no_other() {
        let found = |problem: Option<Problem>| problem.map(|problem| problem.path);
        assert_eq!(found(port(Some(0))).as_deref(), Some("port"));
        assert_eq!(found(port(Some(1)).or(port(None))), None);
        for (text, is_empty, is_blank, has_nul, has_break) in [
            (None, false, false, false, false),
            (Some(""), true, true, false, false),
            (Some(" "), false, true, false, false),
            (Some("a b"), false, false, false, false),
            (Some("a\0"), false, false, true, false),
            (Some("a\nb"), false, false, false, true),
            (Some("a\r"), false, false, false, true),
        ] {
            let problems = [empty("f", text), blank("f", text), nul("f", text), line_break("f", text)];
            assert_eq!(
                problems.map(|problem| problem.is_some()),
                [is_empty, is_blank, has_nul, has_break],
                "{text:?}"
            );
        }
        assert_eq!(result(Vec::new()), Ok(()));
        assert!(result(port(Some(0)).into_iter().collect()).is_err());
    }
}
