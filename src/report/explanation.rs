//! The explanation of every error code: its meaning, its usual causes, and what to do. `docs/errors.md` is generated
//! from the same text.

use std::fmt;

use crate::report::error::Code;

mod definitions;
mod engine;
mod harness;
mod probes;
mod readiness;

/// The explanation of one code.
#[derive(Clone, Copy, Debug)]
pub struct Explanation {
    /// The explained code.
    pub code: Code,
    /// Its meaning, in one or two sentences.
    pub meaning: &'static str,
    /// Its usual causes, the most common first.
    pub causes: &'static [&'static str],
    /// What to do, in order.
    pub steps: &'static [&'static str],
}

/// All explanations, under the headings of `docs/errors.md`.
pub const CHAPTERS: &[(&str, &[Explanation])] = &[
    ("Definitions", definitions::EXPLANATIONS),
    ("Probes", probes::EXPLANATIONS),
    ("The engine", engine::EXPLANATIONS),
    ("Readiness", readiness::EXPLANATIONS),
    ("The harness and farrier itself", harness::EXPLANATIONS),
];

/// Returns the explanation of a code, or `None` if it has none.
#[must_use]
pub fn of(code: Code) -> Option<&'static Explanation> {
    CHAPTERS.iter().flat_map(|(_, explanations)| *explanations).find(|explanation| explanation.code == code)
}

impl fmt::Display for Explanation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}: {}", self.code, self.meaning)?;
        for (heading, items) in [("Usual causes", self.causes), ("What to do", self.steps)] {
            writeln!(formatter, "\n{heading}:")?;
            for item in items {
                writeln!(formatter, "- {item}")?;
            }
        }
        Ok(())
    }
}

/// Lists every code with its meaning, one per line, by chapter.
#[must_use]
pub fn list() -> String {
    let mut text = String::new();
    for (heading, explanations) in CHAPTERS {
        text.push_str(&format!("{heading}:\n"));
        for explanation in *explanations {
            text.push_str(&format!("  {:<22} {}\n", explanation.code.as_str(), explanation.meaning));
        }
        text.push('\n');
    }
    text.push_str("`farrier explain CODE` adds the causes and what to do.\n");
    text
}

/// Renders `docs/errors.md`.
#[must_use]
pub fn page() -> String {
    let mut text =
        "# Errors\n\nEvery error and warning has a stable code in brackets: `error[alias-taken]`. `farrier \
                    explain CODE`\nprints the same text as this page, which `farrier explain --markdown` \
                    generates.\n"
            .to_owned();
    for (heading, explanations) in CHAPTERS {
        text.push_str(&format!("\n## {heading}\n"));
        for explanation in *explanations {
            text.push_str(&format!("\n### {}\n\n{}\n", explanation.code, explanation.meaning));
            for (heading, items) in [("Usual causes", explanation.causes), ("What to do", explanation.steps)]
            {
                text.push_str(&format!("\n{heading}:\n\n"));
                text.extend(items.iter().map(|item| format!("- {item}\n")));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_explained_exactly_once() {
        let explained: Vec<Code> =
            CHAPTERS.iter().flat_map(|(_, explanations)| *explanations).map(|found| found.code).collect();
        let unique: BTreeSet<Code> = explained.iter().copied().collect();
        assert_eq!(unique.len(), explained.len(), "a code is explained twice");
        let missing: Vec<&Code> = Code::ALL.iter().filter(|code| !unique.contains(code)).collect();
        assert_eq!(missing, Vec::<&Code>::new(), "these codes have no explanation in src/explanation/");
    }

    #[test]
    fn each_has_sentences_causes_and_steps() {
        for explanation in CHAPTERS.iter().flat_map(|(_, explanations)| *explanations) {
            let code = explanation.code;
            assert!(!explanation.causes.is_empty() && !explanation.steps.is_empty(), "{code}");
            let sentences = explanation.causes.iter().chain(explanation.steps).chain([&explanation.meaning]);
            for sentence in sentences {
                assert!(sentence.ends_with('.'), "{code}: {sentence}");
            }
        }
    }
}
