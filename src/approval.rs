//! Trust in definitions of the workspace: whoever writes to a checkout decides what they say, so that a person
//! approves each one before anything of it runs.
//!
//! `subject` names what is approved, `statement` says what that is in plain words, `fingerprint` what an approval is
//! for, `question`, `fitting` and `terminal` ask, `approvals` decides what is in force, `store` keeps the answers, and
//! `lock` pins them for machines that nobody answers on.

use std::sync::Arc;

use futures_util::future::try_join_all;

mod approvals;
pub mod fingerprint;
mod fitting;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod lock;
pub mod question;
pub mod statement;
pub mod store;
mod subject;
mod terminal;

pub use self::approvals::Approvals;
use self::question::Question;
use self::statement::Held;
pub use self::subject::Subject;
use self::terminal::Terminal;
use crate::definition::{Definition, nearest};
use crate::engine::Engine;
use crate::engine::problem::engine_problem;
use crate::event::{Event, Reporter};
use crate::plan::reconcile::staleness;
use crate::plan::sidecar::ImageReference;
use crate::preparation::settings::Settings;
use crate::preparation::{Approval, Disabled, ResolvedSidecar};
use crate::probe::denial::Denied;
use crate::report::error::{Code, Failure, Problem};
use crate::system::blocking::blocking;

fn needs_approval<S: Subject>(subjects: &[S]) -> bool {
    subjects.iter().any(|subject| subject.approval() != Approval::Trusted)
}

fn missing<S: Subject>(subjects: &[S]) -> impl Iterator<Item = &S> {
    subjects.iter().filter(|subject| subject.approval() == Approval::Missing)
}

/// Notes what is approved; a damaged file is told.
///
/// # Errors
/// When there is something of the workspace, and the file of approvals cannot be used.
pub fn recognise_and_tell<S: Subject>(
    settings: &Settings,
    subjects: &mut [S],
    reporter: &Reporter,
) -> Result<(), Problem> {
    if needs_approval(subjects)
        && let Some(warning) = Approvals::open(settings)?.recognise(subjects)?
    {
        reporter.tell(&Event::Problem(&warning));
    }
    Ok(())
}

/// Notes what is approved, refuses what nobody can be asked about, and asks about what no engine is needed for.
///
/// # Errors
/// When an approval is missing and there is no terminal, an answer is not yes, or the file of approvals cannot be used.
pub async fn before_engine(
    settings: &Settings,
    sidecars: &mut [ResolvedSidecar],
    disabled: &mut [Disabled],
    reporter: &Reporter,
) -> Result<(), Failure> {
    recognise_and_tell(settings, sidecars, reporter)?;
    recognise_and_tell(settings, disabled, reporter)?;
    refuse_denied_imports(sidecars)?;
    adopt(settings, sidecars, disabled);
    let is_missing = missing(sidecars).next().is_some() || missing(disabled).next().is_some();
    if is_missing && !can_ask(settings) {
        let mut problems = unapproved(settings, disabled)?;
        problems.extend(unapproved(settings, sidecars)?);
        return Err(Failure::of(problems));
    }
    if missing(disabled).next().is_some() {
        let approvals = Approvals::open(settings)?;
        for disabled in disabled.iter_mut().filter(|disabled| disabled.approval == Approval::Missing) {
            ask_about(&approvals, disabled, &Held::default(), false, reporter).await?;
        }
    }
    Ok(())
}

/// Notes what is approved in another worktree as approved here. What cannot be written is approved all the same.
fn adopt(settings: &Settings, sidecars: &[ResolvedSidecar], disabled: &[Disabled]) {
    if (needs_approval(sidecars) || needs_approval(disabled))
        && let Ok(approvals) = Approvals::open(settings)
    {
        let _ = approvals.adopt(sidecars);
        let _ = approvals.adopt(disabled);
    }
}

/// Whether somebody can be asked.
#[must_use]
pub fn can_ask(settings: &Settings) -> bool {
    !settings.no_prompt && Terminal::open().is_ok()
}

/// Lets only what is approved pass.
///
/// # Errors
/// A problem for each subject that is not.
pub fn refuse_missing<S: Subject>(settings: &Settings, subjects: &[S]) -> Result<(), Failure> {
    let problems = unapproved(settings, subjects)?;
    if problems.is_empty() { Ok(()) } else { Err(Failure::of(problems)) }
}

/// A problem for each subject that is not approved.
fn unapproved<S: Subject>(settings: &Settings, subjects: &[S]) -> Result<Vec<Problem>, Problem> {
    if missing(subjects).next().is_none() {
        return Ok(Vec::new());
    }
    let approvals = Approvals::open(settings)?;
    missing(subjects)
        .map(|subject| {
            let question = approvals.question(subject, &Held::default())?;
            let (name, told) = (&question.name, subject.told());
            let message = match &question.earlier {
                None => format!("{told}, and you have not approved it"),
                Some(earlier) => {
                    format!("{told}, and it has changed since you approved it: {}", earlier.in_words())
                }
            };
            let command = |more: &[&str]| approvals.suggested(name, more);
            let problem = Problem::error(Code::ApprovalRequired, message);
            Ok(problem
                .at(subject.place())
                .of(name)
                .hint(format!("Review it and answer on a terminal: `{}`.", command(&[])))
                .hint(format!("If you have already reviewed it: `{}`.", command(&["--hash", &question.hash])))
                .hint(approvals.way_out(subject)))
        })
        .collect()
}

/// Notes what is approved, and warns that nothing of the rest was run.
pub fn not_run<S: Subject>(settings: &Settings, subjects: &mut [S]) -> Vec<Problem> {
    if !needs_approval(subjects) {
        return Vec::new();
    }
    let approvals = Approvals::open(settings);
    let recognised =
        approvals.and_then(|approvals| approvals.recognise(subjects).map(|told| (approvals, told)));
    let (approvals, mut problems) = match recognised {
        Ok((approvals, warning)) => (Some(approvals), warning.into_iter().collect()),
        // `farrier approve` would fail for the same reason, whose hints say what to do.
        Err(problem) => {
            (None, vec![Problem { severity: crate::report::error::Severity::Warning, ..problem }])
        }
    };
    problems.extend(missing(subjects).map(|subject| {
        let name = subject.name();
        let problem =
            Problem::warning(Code::ApprovalRequired, subject.unapproved()).at(subject.place()).of(name);
        match &approvals {
            None => problem,
            Some(approvals) => {
                problem.hint(format!("Review it and answer: `{}`.", approvals.suggested(name, &[])))
            }
        }
    }));
    problems
}

/// Fixes the images of the workspace's sidecars to the ids that they have now, and asks about each sidecar that
/// nobody approved; each yes is kept at once.
///
/// # Errors
/// When an answer is not yes, or the file of approvals cannot be used.
pub async fn ask(
    settings: &Settings,
    sidecars: &mut [ResolvedSidecar],
    engine_of: impl Fn(&Definition) -> Option<Arc<dyn Engine>>,
    reporter: &Reporter,
) -> Result<(), Failure> {
    let untrusted = sidecars.iter_mut().filter(|prepared| prepared.approval != Approval::Trusted);
    try_join_all(untrusted.map(|prepared| async {
        let Some(reference) = &prepared.sidecar.definition.image else { return Ok(()) };
        let Some(engine) = engine_of(&prepared.sidecar.definition) else { return Ok(()) };
        let Some(images) = engine.images() else { return Ok(()) };
        let found = images.present(reference).await;
        let found = found.map_err(|error| engine_problem(&format!("inspect `{reference}`"), &error))?;
        if let Some(image) = found {
            prepared.sidecar.image = ImageReference::Approved(image.id);
        }
        Ok::<_, Problem>(())
    }))
    .await?;
    if missing(sidecars).next().is_none() {
        return Ok(());
    }
    let approvals = Approvals::open(settings)?;
    // Another launch may have asked meanwhile.
    approvals.recognise(sidecars)?;
    for prepared in sidecars.iter_mut().filter(|prepared| prepared.approval == Approval::Missing) {
        let image = match &prepared.sidecar.image {
            ImageReference::Approved(id) => Some(with_extent(id, &prepared.sidecar.definition)),
            ImageReference::Declared(_) => {
                Some(with_extent("not present yet: the launch pulls it", &prepared.sidecar.definition))
            }
            ImageReference::Program | ImageReference::ApprovedProgram(_) => None,
        };
        let container = match engine_of(&prepared.sidecar.definition) {
            Some(engine) => container_of(prepared, engine.as_ref(), settings.recreate).await?,
            None => None,
        };
        let held = Held { image, container };
        ask_about(&approvals, prepared, &held, false, reporter).await?;
    }
    Ok(())
}

/// An image's id in words that say whether the approval is for that image alone.
fn with_extent(id: &str, definition: &Definition) -> String {
    let is_pinned = definition.image.as_ref().is_some_and(|image| image.contains("@sha256:"));
    if is_pinned {
        format!("{id}; the digest in its name is approved")
    } else {
        format!("{id}; the approval is for the name, and so for any image that the name refers to later")
    }
}

/// What a launch makes of the container that a sidecar has, in words; `None` if it has none.
///
/// # Errors
/// When the engine does not answer.
pub async fn container_of(
    prepared: &ResolvedSidecar,
    engine: &dyn Engine,
    recreate: bool,
) -> Result<Option<String>, Problem> {
    let sidecar = &prepared.sidecar;
    let found = engine.find(sidecar).await;
    let found = found.map_err(|error| engine_problem(&format!("inspect `{}`", sidecar.container), &error))?;
    let Some(found) = found else { return Ok(None) };
    let causes = staleness(sidecar, &found, recreate);
    let causes: Vec<String> = causes.iter().map(ToString::to_string).collect();
    let (name, status) = (&found.instance.name, found.instance.status);
    Ok(Some(if causes.is_empty() {
        format!("{name} ({status}) is reused unchanged")
    } else {
        format!("{name} ({status}) is recreated: {}", causes.join("; "))
    }))
}

/// Asks about one subject, on the terminal, and keeps a yes.
///
/// # Errors
/// When the answer is not yes, there is no terminal, or the answer cannot be kept.
pub async fn ask_about(
    approvals: &Approvals,
    subject: &mut impl Subject,
    held: &Held,
    keep_earlier: bool,
    reporter: &Reporter,
) -> Result<(), Problem> {
    let question = approvals.question(subject, held)?;
    let asked = question.clone();
    let name = question.name.as_str();
    let unanswerable = |error: std::io::Error| {
        Problem::error(Code::ApprovalRequired, format!("cannot ask about `{name}` on the terminal: {error}"))
            .of(name)
            .hint(format!(
                "Without a terminal: `{}`.",
                approvals.suggested(name, &["--hash", &question.hash])
            ))
    };
    // Nobody should read all that for an answer that cannot be kept.
    let kept = approvals.clone();
    blocking("approvals", move || kept.check_lock()).await.map_err(unanswerable)??;
    let begun = std::time::Instant::now();
    // On a thread of its own: a signal must be heard while nobody answers.
    let answer = blocking("question", move || {
        let terminal = Terminal::open()?;
        terminal.ask(&format!("\n{}\n", asked.statement(terminal.columns())), &asked.prompt())
    });
    let answer = answer.await.unwrap_or_else(Err);
    reporter.tell(&Event::Asked { sidecar: name, took: begun.elapsed() });
    let answer = answer.map_err(unanswerable)?;
    let Some(denied) = answer.and_then(|answer| question.denied_by(&answer)) else {
        return Err(Problem::error(Code::ApprovalRequired, format!("`{name}` was not approved"))
            .at(subject.place())
            .of(name)
            .hint("The sidecar was not started. To be asked again, run the command again.")
            .hint(approvals.way_out(subject)));
    };
    let denied = denied.map_err(|unknown| unknown_grant(&question, &unknown).at(subject.place()))?;
    approve_without(approvals, subject, &question, &denied, keep_earlier, reporter)
}

/// Keeps an approval without the denied grants, if the probes can run without them.
///
/// # Errors
/// If a probe imports a capability of which nothing is left, or the approval cannot be kept.
pub fn approve_without(
    approvals: &Approvals,
    subject: &mut impl Subject,
    question: &Question,
    denied: &Denied,
    keep_earlier: bool,
    reporter: &Reporter,
) -> Result<(), Problem> {
    subject.deny(denied);
    if let Some(problem) = subject.denied_imports().into_iter().next() {
        return Err(problem.hint("Nothing was approved."));
    }
    if let Some(warning) = approvals.approve(question, denied, keep_earlier)? {
        reporter.tell(&Event::Problem(&warning));
    }
    subject.set_approval(Approval::Given);
    Ok(())
}

/// Says which grants can be denied, if somebody denies one that is none.
#[must_use]
pub fn unknown_grant(question: &Question, unknown: &str) -> Problem {
    let name = &question.name;
    let message = format!("`{unknown}` is not a grant of `{name}`, so that it was not approved");
    let known: Vec<&str> = question.grants.iter().map(String::as_str).collect();
    let problem = Problem::error(Code::ApprovalRequired, message).of(name);
    if known.is_empty() {
        return problem.hint("Its definition grants its probes nothing that can be denied.");
    }
    let problem = match nearest(unknown, &known) {
        Some(near) => problem.hint(format!("Did you mean `{near}`?")),
        None => problem,
    };
    problem.hint(format!("The grants are {}.", known.join(", ")))
}

/// Refuses sidecars whose probes cannot run without what was denied.
///
/// # Errors
/// A problem for each import of which nothing is left.
pub fn refuse_denied_imports(sidecars: &[ResolvedSidecar]) -> Result<(), Failure> {
    let problems: Vec<Problem> = sidecars.iter().flat_map(Subject::denied_imports).collect();
    if problems.is_empty() { Ok(()) } else { Err(Failure::of(problems)) }
}
