//! `explain`: the long form of error codes.

use clap_complete::CompletionCandidate;

use super::data::print;
use crate::cli::options;
use crate::report::error::{Code, Failure, Problem};
use crate::report::exit;
use crate::report::explanation;

/// Prints one, or a list of all.
pub fn explain(options: &options::Explain) -> Result<u8, Failure> {
    let text = match &options.code {
        Some(text) => one(text)?,
        None if options.markdown => explanation::page(),
        None => explanation::list(),
    };
    print(&text);
    Ok(exit::SUCCESS)
}

/// The code as a user copies it, with or without what stands around it in a message.
pub(super) fn one(text: &str) -> Result<String, Problem> {
    let inner = text.rsplit('[').next().unwrap_or(text).trim_end_matches([']', ':']).to_lowercase();
    let known = Code::ALL.iter().find(|code| code.as_str() == inner);
    if let Some(found) = known.and_then(|code| explanation::of(*code)) {
        return Ok(found.to_string());
    }
    let problem = Problem::error(Code::Usage, format!("there is no error code `{inner}`"));
    let near = Code::ALL.iter().min_by_key(|code| strsim::damerau_levenshtein(code.as_str(), &inner));
    // At least half of what was written is right.
    let allowed = (inner.chars().count() / 2).min(4);
    let near = near.filter(|code| strsim::damerau_levenshtein(code.as_str(), &inner) <= allowed);
    Err(match near {
        Some(near) => problem.hint(format!("Did you mean `{near}`?")),
        None => problem.hint("List all codes with `farrier explain`."),
    })
}

/// Completion candidates for error codes.
pub(crate) fn code_names() -> Vec<CompletionCandidate> {
    Code::ALL.iter().map(|code| CompletionCandidate::new(code.as_str())).collect()
}
