//! Values for the harness: text in which `{host}`, `{port}`, `{port.NAME}` and `{env.NAME}` stand for what is known of a
//! sidecar.

use std::fmt;

/// A text with places to fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As it stands.
    Text(String),
    /// The sidecar's host.
    Host,
    /// Its port.
    Port,
    /// Another port of its, by its name.
    NamedPort(String),
    /// A variable of its own environment.
    Variable(String),
}

impl Template {
    /// Reads a text; `{{` and `}}` stand for braces.
    ///
    /// # Errors
    /// One clause that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            if let Some((brace, after)) = [("{{", '{'), ("}}", '}')]
                .into_iter()
                .find_map(|(doubled, brace)| Some((brace, from.strip_prefix(doubled)?)))
            {
                plain.push(brace);
                rest = after;
                continue;
            }
            let inner = from.strip_prefix('{').ok_or("it has a `}` without `{`; write `}}` for a brace")?;
            let (name, after) =
                inner.split_once('}').ok_or("it has a `{` without `}`; write `{{` for a brace")?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(match name.split_once('.') {
                None if name == "host" => Part::Host,
                None if name == "port" => Part::Port,
                Some(("port", name)) if !name.is_empty() => Part::NamedPort(name.to_owned()),
                Some(("env", name)) if !name.is_empty() => Part::Variable(name.to_owned()),
                _ => return Err(format!("`{{{name}}}` stands for nothing")),
            });
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// Its parts, in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }
}

impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_places_and_text() {
        let read = |text: &str| Template::parse(text).map(|template| template.parts);
        let plain = |text: &str| Part::Text(text.to_owned());
        assert_eq!(
            read("http://u:{env.P}@{host}:{port}/{port.admin}"),
            Ok(vec![
                plain("http://u:"),
                Part::Variable("P".to_owned()),
                plain("@"),
                Part::Host,
                plain(":"),
                Part::Port,
                plain("/"),
                Part::NamedPort("admin".to_owned()),
            ])
        );
        assert_eq!(read("{{host}}"), Ok(vec![plain("{host}")]));
        assert_eq!(read(""), Ok(vec![]));
        for text in ["{", "}", "{hos}", "{port.}", "{env.}", "{}", "{host", "a}b"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[{}.a-eportä]{0,40}") {
            let _ = Template::parse(&text);
        }
    }
}
