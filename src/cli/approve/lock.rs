//! `approve --lock` and `--from-lock`: all hashes in one file.

use std::path::Path;

use crate::approval::lock::Lock;
use crate::approval::statement::Held;
use crate::approval::{Approvals, Subject, approve_without, unknown_grant};
use crate::cli::data::print;
use crate::cli::options::Format;
use crate::event::Reporter;
use crate::preparation::settings::Settings;
use crate::preparation::{Approval, Disabled, ResolvedSidecar};
use crate::probe::denial::Denied;
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
    approve_all(&lock, approvals, sidecars, keep_earlier, reporter)?;
    approve_all(&lock, approvals, disabled, keep_earlier, reporter)?;
    Ok(())
}

/// What is approved already is approved again if the lock denies more of it.
fn approve_all<S: Subject>(
    lock: &Lock,
    approvals: &Approvals,
    subjects: &mut [S],
    keep_earlier: bool,
    reporter: &Reporter,
) -> Result<(), Problem> {
    for subject in subjects {
        let denied = lock.denied(subject);
        let mut names: Vec<String> = Vec::from(&denied);
        if subject.approval() == Approval::Given {
            // What this user denied stays denied.
            names.extend(subject.denied().names().cloned());
        }
        let question = approvals.question(subject, &Held::default())?;
        let denied = Denied::of(names, &question.grants)
            .map_err(|unknown| unknown_grant(&question, &unknown).at(subject.place()))?;
        let before = subject.denied();
        subject.deny(&denied);
        if subject.approval() == Approval::Missing || subject.denied() != before {
            approve_without(approvals, subject, &question, &denied, keep_earlier, reporter)?;
        }
    }
    Ok(())
}
