//! One problem as people read it: a title, the place with its line, and what to do next.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::escape::{escape, escape_into};
use crate::report::error::{Place, Problem, Severity};

/// Characters of a long line that are kept before the marked part, for context.
const CONTEXT: usize = 40;
/// Characters of a line that are quoted at most.
const LONGEST_LINE: usize = 200;
/// The narrowest width for which snippets can be laid out.
const NARROWEST: usize = 40;

/// Renders a problem for a terminal of `width` columns: `error[code]: message`, the path with line and column,
/// the line with the part in question marked, and each hint as a line of help.
///
/// No text from a file reaches the terminal unescaped.
#[must_use]
pub fn render(problem: &Problem, color: bool, width: usize) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(escape(&problem.message)).id(problem.code.as_str());
    let mut group = Group::with_title(title);
    if let Some(place) = &problem.place {
        group = with_place(group, place);
    }
    for hint in &problem.hints {
        group = group.element(Level::HELP.message(escape(hint)));
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.term_width(width.max(NARROWEST)).render(&[group])
}

fn with_place<'a>(group: Group<'a>, place: &Place) -> Group<'a> {
    let path = escape(&place.source.path.display().to_string());
    let Some((line, column)) = place.line_column() else {
        return group.element(Origin::path(path));
    };
    let origin = |path| Origin::path(path).line(line).char_column(column);
    let Some((text, span)) = quoted(place) else {
        return group.element(origin(path));
    };
    let shown_column = text.get(..span.start).map_or(0, |before| before.chars().count()) + 1;
    let snippet = Snippet::source(text).line_start(line).annotation(AnnotationKind::Primary.span(span));
    if shown_column == column {
        return group.element(snippet.path(path));
    }
    // Escapes and cuts moved the mark: the column must still be the file's own.
    group.element(origin(path)).element(snippet)
}

/// The line on which a place begins, escaped and cut to length, with the marked bytes in it.
fn quoted(place: &Place) -> Option<(String, Range<usize>)> {
    let text = &place.source.text;
    let before = text.get(..place.span.start)?;
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(line_start..)?.lines().next().unwrap_or_default();
    let start = place.span.start - line_start;
    let end = (place.span.end.max(place.span.start) - line_start).min(line.len()).max(start);

    let lead = line.get(..start).unwrap_or(line);
    let skipped = lead.chars().count().saturating_sub(CONTEXT);
    let skip = if lead.chars().count() + CONTEXT > LONGEST_LINE { skipped } else { 0 };

    let mut shown = String::new();
    let mut marked = None;
    let mut marked_end = None;
    if skip > 0 {
        shown.push('…');
    }
    for (count, (offset, character)) in line.char_indices().skip(skip).enumerate() {
        if offset == start {
            marked = Some(shown.len());
        }
        if offset == end {
            marked_end = Some(shown.len());
        }
        if count >= LONGEST_LINE {
            shown.push('…');
            break;
        }
        escape_into(character, &mut shown);
    }
    let marked = marked.unwrap_or(shown.len());
    let marked_end = marked_end.unwrap_or(shown.len()).max(marked);
    Some((shown, marked..marked_end))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::report::error::{Code, Source};

    fn place(text: &str, span: Range<usize>) -> Place {
        Place { source: Arc::new(Source { path: PathBuf::from("db.toml"), text: text.to_owned() }), span }
    }

    #[test]
    fn shows_the_line_and_what_to_do() {
        let text = "image = \"x\"\n[interface]\nport = 70000\n";
        let start = text.find("70000").unwrap_or_default();
        let problem = Problem::error(Code::InvalidValue, "`interface.port` must be from 1 to 65535")
            .at(place(text, start..start + 5))
            .hint("Write the port that the server listens on.");
        let expected = "\
error[invalid-value]: `interface.port` must be from 1 to 65535
 --> db.toml:3:8
  |
3 | port = 70000
  |        ^^^^^
  |
  = help: Write the port that the server listens on.";
        assert_eq!(render(&problem, false, 100), expected);
        assert!(render(&problem, true, 100).contains("\x1b["));
    }

    #[test]
    fn has_one_form_without_a_line() {
        let problem = Problem::warning(Code::LayerUnusable, "nothing here").hint("Look elsewhere.");
        let expected = "warning[layer-unusable]: nothing here\n |\n = help: Look elsewhere.";
        assert_eq!(render(&problem, false, 100), expected);
        let problem = problem.at(Place::file(std::path::Path::new("a/b.toml")));
        assert!(render(&problem, false, 100).contains("--> a/b.toml\n"), "{}", render(&problem, false, 100));
    }

    #[test]
    fn escapes_what_files_contain() {
        let text = "\timage = \"\x1b[2J\u{202e}\"";
        let problem = Problem::error(Code::InvalidValue, "bad \x1b]0;x\x07").at(place(text, 9..16));
        let shown = render(&problem, false, 100);
        assert!(shown.contains("\\x1b]0;x\\x07") && shown.contains("\\u{202e}"), "{shown}");
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
        assert!(shown.contains("db.toml:1:10"), "{shown}");
    }

    #[test]
    fn trims_very_long_lines() {
        let text = format!("x = [{}\"y\", {}]", "1, ".repeat(3000), "2, ".repeat(3000));
        let start = text.find('"').unwrap_or_default();
        let problem = Problem::error(Code::InvalidValue, "no").at(place(&text, start..start + 3));
        let shown = render(&problem, false, 100);
        assert!(shown.contains("\"y\"") && shown.contains(&format!("db.toml:1:{}", start + 1)), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 120), "{shown}");
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>(), start in 0_usize..80, length in 0_usize..80, width in 0_usize..200) {
            let problem = Problem::error(Code::InvalidValue, text.clone()).at(place(&text, start..start + length));
            let _ = render(&problem, false, width);
        }
    }
}
