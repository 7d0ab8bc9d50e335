//! YAML text to a tree.
//!
//! The grammar is YAML 1.2. Plain scalars are typed as the Python launcher typed them (its numbers are
//! Python's: `010` is 10, `1_000` is 1000, `0x1f` is text; `yes`, `no` and `on` are text), so that its files
//! mean the same here.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::node::{Entry, MAX_DEPTH, Node, Scalar, ScalarKind, SyntaxError, Value};

/// How many nodes one file may come to once its aliases are resolved: a thousand times what a definition
/// needs, and small enough that nested aliases cannot exhaust memory.
const MAX_NODES: usize = 20_000;
/// How many bytes of text its nodes may hold, for the same reason.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Parses a whole file. An empty one is an empty table.
///
/// # Errors
/// The first syntax error: a YAML parser cannot tell what follows it.
pub fn parse(text: &str) -> Result<Node, SyntaxError> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| scan_error(text, &error))?;
        let range = span.byte_range().unwrap_or(0..0);
        builder.event(event, range, &span)?;
    }
    Ok(builder.root.unwrap_or_else(Node::empty))
}

fn scan_error(text: &str, error: &ScanError) -> SyntaxError {
    let reason = error.info();
    let mut start = error.marker().byte_offset().unwrap_or(0).min(text.len());
    if reason.contains("tab") {
        start = offending_tab(text, start);
    }
    syntax(
        start..start,
        format!("the file is not valid YAML: {reason}"),
        "Correct the YAML at this place; indentation is made of spaces, and values with `: ` or ` #` in them need \
         quotes.",
    )
}

/// The tab that the parser means: it reports the place behind the tab, or the value before it.
fn offending_tab(text: &str, reported: usize) -> usize {
    let (before, after) = text.split_at_checked(reported).unwrap_or((text, ""));
    let run = before.len() - before.trim_end_matches('\t').len();
    if run > 0 {
        return reported - run;
    }
    let in_indentation = |at: &usize| {
        let line = after.get(..*at).and_then(|skipped| skipped.rsplit_once('\n'));
        line.is_some_and(|(_, indentation)| indentation.chars().all(|character| character == ' '))
    };
    let mut tabs = after.match_indices('\t').map(|(at, _)| at);
    let first = tabs.clone().next();
    tabs.find(in_indentation).or(first).map_or(reported, |at| reported + at)
}

fn syntax(span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> SyntaxError {
    SyntaxError { message: message.into(), span, hint: hint.into() }
}

/// A list or table that is still open.
struct Frame {
    start: usize,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Table { entries: Vec<Entry>, seen: HashSet<String>, key: Option<(String, Range<usize>)> },
}

#[derive(Default)]
struct Builder {
    open: Vec<Frame>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    bytes: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, range: Range<usize>, span: &Span) -> Result<(), SyntaxError> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => Err(syntax(
                range,
                "the file contains more than one YAML document",
                "Keep one definition in each file: remove the second `---` and what follows it.",
            )),
            Event::Scalar(text, style, anchor, tag) => {
                // The parser spells an absent value `~`; what stands in the file is nothing.
                let absent = range.is_empty() && style == ScalarStyle::Plain;
                let text = if absent { String::new() } else { text.into_owned() };
                let kind = scalar_kind(&text, style, tag.as_deref(), &range, span)?;
                let node = Node { span: range, value: Value::Scalar(Scalar { text, kind }) };
                self.anchored(anchor, &node);
                self.add(node)
            }
            Event::SequenceStart(_, anchor, tag) => {
                check_collection_tag(tag.as_deref(), "seq", &range, span)?;
                self.open(range.start, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                check_collection_tag(tag.as_deref(), "map", &range, span)?;
                let content = Content::Table { entries: Vec::new(), seen: HashSet::new(), key: None };
                self.open(range.start, anchor, content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(&range),
            Event::Alias(target) => {
                let Some(node) = self.anchors.get(&target).cloned() else {
                    return Err(syntax(
                        range,
                        "the alias is inside the value that it refers to",
                        "Write the value out: a definition cannot contain itself.",
                    ));
                };
                self.alias(node, &range)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, start: usize, anchor: usize, content: Content) -> Result<(), SyntaxError> {
        if let Some(Frame { content: Content::Table { key: None, .. }, .. }) = self.open.last() {
            return Err(syntax(start..start, "a key must be a single value", "Write the key as plain text."));
        }
        self.open.push(Frame { start, anchor, content });
        Ok(())
    }

    fn close(&mut self, range: &Range<usize>) -> Result<(), SyntaxError> {
        let Some(frame) = self.open.pop() else {
            return Ok(());
        };
        let value = match frame.content {
            Content::List(items) => Value::List(items),
            Content::Table { entries, .. } => Value::Table(entries),
        };
        let node = Node { span: frame.start..range.end.max(frame.start), value };
        self.anchored(frame.anchor, &node);
        self.add(node)
    }

    fn anchored(&mut self, anchor: usize, node: &Node) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
    }

    /// Puts a copy of an anchored value here. Its weight counts, and it may not nest too deeply.
    fn alias(&mut self, node: Node, range: &Range<usize>) -> Result<(), SyntaxError> {
        let (nodes, bytes) = node.weight();
        self.grow(nodes, bytes, range)?;
        if self.open.len() + node.height() > MAX_DEPTH {
            return Err(syntax(
                range.clone(),
                format!("aliases nest more than {MAX_DEPTH} levels deep"),
                "Write the values out.",
            ));
        }
        self.place(node)
    }

    fn add(&mut self, node: Node) -> Result<(), SyntaxError> {
        let bytes = node.scalar().map_or(0, |scalar| scalar.text.len());
        self.grow(1, bytes, &node.span)?;
        self.place(node)
    }

    fn grow(&mut self, nodes: usize, bytes: usize, range: &Range<usize>) -> Result<(), SyntaxError> {
        self.nodes = self.nodes.saturating_add(nodes);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.nodes > MAX_NODES || self.bytes > MAX_BYTES {
            return Err(syntax(
                range.clone(),
                format!("the file expands to more than {MAX_NODES} values or {MAX_BYTES} bytes"),
                "Shorten it: aliases count as often as they are used.",
            ));
        }
        Ok(())
    }

    fn place(&mut self, node: Node) -> Result<(), SyntaxError> {
        let Some(frame) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Table { entries, seen, key } => match key.take() {
                Some((name, key_span)) => entries.push(Entry { key: name, key_span, value: node }),
                None => *key = Some(table_key(node, seen)?),
            },
        }
        Ok(())
    }
}

fn table_key(node: Node, seen: &mut HashSet<String>) -> Result<(String, Range<usize>), SyntaxError> {
    let Value::Scalar(scalar) = node.value else {
        return Err(syntax(node.span, "a key must be a single value", "Write the key as plain text."));
    };
    if scalar.text == "<<" {
        return Err(syntax(
            node.span,
            "merge keys (`<<`) are not supported",
            "Write the merged keys out; anchors and aliases for whole values work.",
        ));
    }
    if !seen.insert(scalar.text.clone()) {
        return Err(syntax(
            node.span,
            format!("the key `{}` appears twice in one table", super::node::shortened(&scalar.text)),
            "Keep one of the two.",
        ));
    }
    Ok((scalar.text, node.span))
}

fn unsupported_tag(range: &Range<usize>, span: &Span) -> SyntaxError {
    let at = span.tag_span().and_then(|tag| tag.byte_range()).unwrap_or_else(|| range.clone());
    syntax(at, "YAML tags are not supported here", "Remove the tag; quote the value to make it a string.")
}

fn check_collection_tag(
    tag: Option<&Tag>,
    expected: &str,
    range: &Range<usize>,
    span: &Span,
) -> Result<(), SyntaxError> {
    match tag {
        Some(tag) if tag.core_suffix() != Some(expected) => Err(unsupported_tag(range, span)),
        _ => Ok(()),
    }
}

fn scalar_kind(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    range: &Range<usize>,
    span: &Span,
) -> Result<ScalarKind, SyntaxError> {
    match tag.map(|tag| tag.core_suffix()) {
        None if style == ScalarStyle::Plain => Ok(plain_kind(text)),
        None | Some(Some("str")) => Ok(ScalarKind::String),
        Some(Some("int" | "float" | "bool" | "null")) => match plain_kind(text) {
            ScalarKind::String => Err(unsupported_tag(range, span)),
            kind => Ok(kind),
        },
        Some(_) => Err(unsupported_tag(range, span)),
    }
}

/// What a plain scalar is, in the Python launcher's order: boolean, null, Python's `int`, Python's `float`.
fn plain_kind(text: &str) -> ScalarKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return ScalarKind::Null,
        ".nan" | ".NaN" | ".NAN" => return ScalarKind::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" => return ScalarKind::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return ScalarKind::Float(f64::NEG_INFINITY),
        _ if text.eq_ignore_ascii_case("true") => return ScalarKind::Boolean(true),
        _ if text.eq_ignore_ascii_case("false") => return ScalarKind::Boolean(false),
        _ => {}
    }
    let Some(digits) = without_underscores(text) else {
        return ScalarKind::String;
    };
    let magnitude = digits.strip_prefix(['+', '-']).unwrap_or(&digits);
    if !magnitude.is_empty() && magnitude.bytes().all(|byte| byte.is_ascii_digit()) {
        return ScalarKind::Integer(digits.parse().ok());
    }
    digits.parse().map_or(ScalarKind::String, ScalarKind::Float)
}

/// Python allows single underscores between digits; anything else with one is text.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_digit = |index: Option<usize>| index.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let allowed = bytes.iter().enumerate().all(|(index, byte)| {
        *byte != b'_' || (is_digit(index.checked_sub(1)) && is_digit(index.checked_add(1)))
    });
    allowed.then(|| text.replace('_', ""))
}
