//! `approve --lock` and `--from-lock`: all hashes in one file.

use std::path::Path;

use super::tell;
use crate::approval::lock::Lock;
use crate::approval::statement::Held;
use crate::approval::{Approvals, Subject};
use crate::cli::data::print;
use crate::cli::options::Format;
use crate::event::Reporter;
use crate::preparation::settings::Settings;
use crate::preparation::{Approval, Disabled, ResolvedSidecar};
use crate::report::error::{Failure, Problem};
use crate::report::escape::escape;

/// Pins what is approved.
pub fn write(
    file: &Path,
    format: Format,
    sidecars: &[ResolvedSidecar],
    disabled: &[Disabled],
) -> Result<(), Problem> {
    let mut lock = Lock::default();
    for sidecar in sidecars {
        lock.pin(sidecar);
    }
    for disabled in disabled {
        lock.pin(disabled);
    }
    lock.write(file)?;
    if format == Format::Human {
        let (count, file) = (lock.len(), escape(&file.to_string_lossy()));
        print(&format!("{file} pins {count} {}\n", if count == 1 { "hash" } else { "hashes" }));
    }
    Ok(())
}

/// Approves all that the lock pins, or nothing if it differs from the workspace in anything.
pub fn approve(
    file: &Path,
    settings: &Settings,
    approvals: &Approvals,
    sidecars: &mut [ResolvedSidecar],
    disabled: &mut [Disabled],
    keep_earlier: bool,
    reporter: &Reporter,
) -> Result<(), Failure> {
    let workspace = settings.scopes.workspace.clone();
    let lock = Lock::read(file, &settings.directories.working_trees.clone().and(workspace))?;
    let mut problems: Vec<Problem> = sidecars.iter().filter_map(|sidecar| lock.difference(sidecar)).collect();
    problems.extend(disabled.iter().filter_map(|disabled| lock.difference(disabled)));
    let is = |subject: &dyn Subject, verb: &str, name: &str| subject.verb() == verb && subject.name() == name;
    problems.extend(lock.missing(|verb, name| {
        sidecars.iter().any(|sidecar| is(sidecar, verb, name))
            || disabled.iter().any(|disabled| is(disabled, verb, name))
    }));
    if !problems.is_empty() {
        return Err(Failure::of(problems));
    }
    approve_all(approvals, sidecars, keep_earlier, reporter)?;
    approve_all(approvals, disabled, keep_earlier, reporter)?;
    Ok(())
}

fn approve_all<S: Subject>(
    approvals: &Approvals,
    subjects: &mut [S],
    keep_earlier: bool,
    reporter: &Reporter,
) -> Result<(), Problem> {
    for subject in subjects.iter_mut().filter(|subject| subject.approval() == Approval::Missing) {
        let question = approvals.question(subject, &Held::default())?;
        tell(approvals.approve(&question, keep_earlier)?, reporter);
        subject.set_approval(Approval::Given);
    }
    Ok(())
}
