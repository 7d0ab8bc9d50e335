//! `approve`: answers about definitions of the workspace, and the list of those given.

mod lock;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::data::{indented, print, print_json};
use crate::approval::question::Question;
use crate::approval::statement::{Change, Held};
use crate::approval::{
    self, Approvals, Subject, approve_without, ask_about, can_ask, recognise_and_tell, refuse_missing,
    unknown_grant,
};
use crate::cli::options::{self, Format, LaunchOptions};
use crate::cli::runtime::CommandRuntime;
use crate::engine::Engine;
use crate::engine::kinds::{Choice, EngineKind, Selection};
use crate::event::{Event, Reporter, problem_json};
use crate::launch::connection;
use crate::plan::instance::Status;
use crate::plan::sidecar::{LABEL_SIDECAR, container_name, scope_of};
use crate::preparation::settings::Settings;
use crate::preparation::{self, Approval, Disabled, ResolvedSidecar};
use crate::probe::denial::Denied;
use crate::report::error::{Code, Failure, Problem};
use crate::report::escape::escape;
use crate::report::exit;
use crate::report::shell::command_line;

/// The width of what is printed where nobody is asked.
const COLUMNS: usize = 110;
/// How long the engine may take to say whether a container is there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks, approves by hash, lists or revokes.
pub fn approve(options: &options::Approve, reporter: &Arc<Reporter>) -> Result<u8, Failure> {
    let approval = options::ApprovalOptions {
        no_prompt: options.approval.no_prompt,
        approvals: options.approval.approvals.clone(),
    };
    let mut settings =
        Settings::new(&options.layers, &LaunchOptions { approval, ..LaunchOptions::default() });
    // Of every profile: a launch may use any.
    settings.choice.all = true;
    let settings = settings;
    let result = if options.list {
        list(options.format, &settings, reporter)
    } else if let Some(name) = &options.revoke {
        revoke(name, options, &settings, reporter)
    } else {
        answer(options, &settings, reporter)
    };
    match (result, options.format) {
        (Err(failure), Format::Json) => {
            let problems: Vec<Value> = failure.problems.iter().map(problem_json).collect();
            print_json(&json!({ "problems": problems }));
            Ok(failure.exit)
        }
        (result, _) => result,
    }
}

fn list(format: Format, settings: &Settings, reporter: &Reporter) -> Result<u8, Failure> {
    let (entries, warning) = Approvals::open(settings)?.read()?;
    tell(warning, reporter);
    match format {
        Format::Human if entries.is_empty() => print("nothing is approved\n"),
        Format::Human => {
            for entry in &entries {
                let (workspace, name) = (escape(&entry.workspace), escape(&entry.sidecar));
                let (hash, approved_at) = (escape(&entry.hash), escape(&entry.approved_at));
                let denied = escape(&entry.denied.join(", "));
                let without = if denied.is_empty() { denied } else { format!("  without {denied}") };
                print(&format!("{workspace}  {name}  {hash}  {approved_at}{without}\n"));
            }
        }
        Format::Json => {
            let approvals: Vec<Value> = entries
                .iter()
                .map(|entry| {
                    json!({
                        "workspace": entry.workspace,
                        "sidecar": entry.sidecar,
                        "hash": entry.hash,
                        "approved_at": entry.approved_at,
                        "denied": entry.denied,
                    })
                })
                .collect();
            print_json(&json!({ "approvals": approvals }));
        }
    }
    Ok(exit::SUCCESS)
}

/// Takes the approvals back, and says what became of the container: it runs on.
fn revoke(
    name: &str,
    options: &options::Approve,
    settings: &Settings,
    reporter: &Reporter,
) -> Result<u8, Failure> {
    let (revoked, warning) = Approvals::open(settings)?.revoke(name)?;
    tell(warning, reporter);
    if revoked == 0 {
        return Err(Problem::error(Code::Usage, format!("`{name}` is not approved in this workspace"))
            .hint("List the approvals with `farrier approve --list`.")
            .into());
    }
    let left = CommandRuntime::start()?.run_alone(async { Ok(left(name, settings).await) })?;
    print(&match options.format {
        Format::Human => format!("{}: revoked\n{}", escape(name), left.in_words(name)),
        Format::Json => indented(&left.to_json(name)),
    });
    Ok(exit::SUCCESS)
}

/// The remains of a sidecar after its approvals were revoked.
enum Left {
    /// A container.
    Container { name: String, status: Status },
    /// Nothing.
    Nothing,
    /// The engine did not tell.
    Unknown,
}

impl Left {
    fn in_words(&self, sidecar: &str) -> String {
        let down = |name: &str| escape(&command_line(&["farrier", "down"], &[name], &[]));
        match self {
            Self::Container { name, status } => {
                format!("its container {name} still exists ({status}): remove it with `{}`\n", down(name))
            }
            Self::Nothing => String::new(),
            Self::Unknown => format!(
                "the engine does not answer: if its container is running, it keeps running until you remove it \
                 with `{}`\n",
                down(sidecar)
            ),
        }
    }

    fn to_json(&self, sidecar: &str) -> Value {
        let mut value = json!({ "revoked": sidecar });
        match self {
            Self::Container { name, status } => {
                value["container"] = json!({ "name": name, "state": status.to_string() });
            }
            Self::Nothing => value["container"] = Value::Null,
            Self::Unknown => {}
        }
        value
    }
}

/// Asks the engine about what a launch would do with the container that there is. No engine is needed to approve.
async fn container_of(prepared: &ResolvedSidecar, settings: &Settings) -> Option<String> {
    let asked = async |engine: Arc<dyn Engine>| {
        approval::container_of(prepared, engine.as_ref(), settings.recreate).await.ok()
    };
    asked_soon(settings.engine.of(&prepared.sidecar.definition), settings, asked).await.flatten()
}

/// The engine's answer, or `None` if it does not come soon.
async fn asked_soon<T>(
    kind: EngineKind,
    settings: &Settings,
    question: impl AsyncFnOnce(Arc<dyn Engine>) -> Option<T>,
) -> Option<T> {
    let asked = async {
        let connection = connection::open(kind, &Choice::default(), settings).ok()?;
        question(connection.engine).await
    };
    tokio::time::timeout(PATIENCE, asked).await.ok().flatten()
}

/// Asks the engines about the container: the approvals are taken back already, and the definition may be gone.
async fn left(sidecar: &str, settings: &Settings) -> Left {
    let scope = settings.scopes.workspace.as_deref().map(scope_of);
    let name = container_name(sidecar, scope.as_deref());
    let is_asked = |kind: &EngineKind| match settings.engine.asked() {
        Selection::All(asked) => *kind == asked,
        Selection::Auto => kind.may_be_in_use(&settings.folders()),
    };
    let mut left = Left::Nothing;
    for kind in EngineKind::ALL.into_iter().filter(is_asked) {
        match asked_soon(kind, settings, async |engine| engine.inspect(&name).await.ok()).await {
            None => left = Left::Unknown,
            Some(Some(found)) if found.labels.get(LABEL_SIDECAR).is_some_and(|label| label == sidecar) => {
                return Left::Container { name: found.name, status: found.status };
            }
            Some(_) => {}
        }
    }
    left
}

fn answer(options: &options::Approve, settings: &Settings, reporter: &Arc<Reporter>) -> Result<u8, Failure> {
    let preparation = preparation::prepare(settings);
    preparation.accept(Vec::new())?;
    for problem in &preparation.problems {
        reporter.tell(&Event::Problem(problem));
    }
    let (mut sidecars, mut disabled) = (preparation.sidecars, preparation.disabled);
    check_names(options, &sidecars, &disabled)?;
    let named = |name: &str| options.names.is_empty() || options.names.iter().any(|one| one == name);
    sidecars.retain(|prepared| named(prepared.name()) && prepared.approval != Approval::Trusted);
    disabled.retain(|disabled| named(disabled.name()));
    recognise_and_tell(settings, &mut sidecars, reporter)?;
    recognise_and_tell(settings, &mut disabled, reporter)?;
    let approvals = Approvals::open(settings)?;
    if let Some(file) = &options.from_lock {
        let keep_earlier = options.keep_earlier;
        lock::approve(file, settings, &approvals, &mut sidecars, &mut disabled, keep_earlier, reporter)?;
    } else if let Some(hash) = &options.hash {
        for prepared in &mut sidecars {
            approve_by_hash(&approvals, prepared, hash, options, reporter)?;
        }
        for disabled in &mut disabled {
            approve_by_hash(&approvals, disabled, hash, options, reporter)?;
        }
    } else if options.format == Format::Human && can_ask(settings) {
        CommandRuntime::start()?.run(async {
            for disabled in disabled.iter_mut().filter(|disabled| disabled.approval == Approval::Missing) {
                ask_about(&approvals, disabled, &Held::default(), options.keep_earlier, reporter).await?;
            }
            for prepared in sidecars.iter_mut().filter(|prepared| prepared.approval == Approval::Missing) {
                let container = container_of(prepared, settings).await;
                let held = Held { container, ..Held::default() };
                ask_about(&approvals, prepared, &held, options.keep_earlier, reporter).await?;
            }
            Ok(())
        })?;
    }
    let code = report(options.format, settings, &approvals, &sidecars, &disabled)?;
    if let Some(file) = options.lock.as_ref().filter(|_| code == exit::SUCCESS) {
        lock::write(file, options.format, &sidecars, &disabled)?;
    }
    Ok(code)
}

/// The approval question for a subject, what was denied, and whether the subject is approved.
type Asked = (Question, Denied, bool);

fn questions<S: Subject>(approvals: &Approvals, subjects: &[S]) -> Result<Vec<Asked>, Problem> {
    let asked = |subject: &S| {
        let is_given = subject.approval() == Approval::Given;
        Ok((approvals.question(subject, &Held::default())?, subject.denied(), is_given))
    };
    subjects.iter().map(asked).collect()
}

/// Prints each sidecar's approval, and the approval question if the sidecar still needs approval.
fn report(
    format: Format,
    settings: &Settings,
    approvals: &Approvals,
    sidecars: &[ResolvedSidecar],
    disabled: &[Disabled],
) -> Result<u8, Failure> {
    let mut questions = questions(approvals, sidecars)?;
    questions.extend(self::questions(approvals, disabled)?);
    if format == Format::Json {
        let sidecars: Vec<Value> =
            questions.iter().map(|(question, denied, given)| as_json(question, denied, *given)).collect();
        print_json(&json!({ "sidecars": sidecars }));
        let missing = questions.iter().any(|(_, _, given)| !given);
        return Ok(if missing { exit::REFUSED } else { exit::SUCCESS });
    }
    if questions.is_empty() {
        print("the workspace declares no sidecar\n");
    }
    for (question, denied, given) in &questions {
        let without = if denied.is_empty() { String::new() } else { format!(" without {denied}") };
        print(&if *given {
            format!("{}: approved{}\n", escape(&question.name), escape(&without))
        } else {
            question.statement(COLUMNS)
        });
    }
    refuse_missing(settings, sidecars)?;
    refuse_missing(settings, disabled)?;
    Ok(exit::SUCCESS)
}

fn as_json(question: &Question, denied: &Denied, given: bool) -> Value {
    let lines = question.statement.lines.iter();
    let earlier = question.earlier.as_ref().filter(|_| !given);
    let changes =
        earlier.map(|earlier| earlier.changes.iter().map(|change| &change.label).collect::<Vec<_>>());
    let differences = earlier.map(|earlier| {
        let difference =
            |change: &Change| json!({"label": change.label, "approved": change.approved, "now": change.now});
        earlier.changes.iter().map(difference).collect::<Vec<_>>()
    });
    json!({
        "sidecar": question.name,
        "workspace": question.workspace,
        "file": question.file,
        "disables": question.verb == "disables",
        "hash": question.hash,
        "approved": given,
        "grants": question.grants,
        "denied": Vec::from(denied),
        "changes": changes,
        "differences": differences,
        "statement": lines.map(|line| json!({"label": line.label, "text": line.text})).collect::<Vec<_>>(),
    })
}

fn check_names(
    options: &options::Approve,
    sidecars: &[ResolvedSidecar],
    disabled: &[Disabled],
) -> Result<(), Failure> {
    if options.hash.is_some() && options.names.len() != 1 {
        return Err(Problem::error(Code::Usage, "`--hash` is for one sidecar")
            .hint("Name one: `farrier approve NAME --hash HEX`.")
            .into());
    }
    let unknown = |name: &&String| {
        let found = sidecars.iter().find(|prepared| prepared.sidecar.name() == **name);
        found.is_none_or(|prepared| prepared.approval == Approval::Trusted)
            && disabled.iter().all(|disabled| disabled.name() != **name)
    };
    let problems: Vec<Problem> = options
        .names
        .iter()
        .filter(unknown)
        .map(|name| {
            let trusted = sidecars.iter().any(|prepared| prepared.sidecar.name() == name);
            let message = if trusted {
                format!("`{name}` comes from a trusted layer and needs no approval")
            } else {
                format!("the workspace declares no sidecar `{name}`")
            };
            Problem::error(Code::Usage, message).hint("List the layers with `farrier validate`.")
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(Failure::of(problems)) }
}

fn approve_by_hash(
    approvals: &Approvals,
    subject: &mut impl Subject,
    hash: &str,
    options: &options::Approve,
    reporter: &Reporter,
) -> Result<(), Problem> {
    let question = approvals.question(subject, &Held::default())?;
    let name = &question.name;
    if !question.hash.eq_ignore_ascii_case(hash) {
        let message = format!("`{name}` has the hash {}, not {hash}", question.hash);
        return Err(Problem::error(Code::ApprovalMismatch, message).at(subject.place()).of(name).hint(
            "Find out what has changed since you noted the hash; `farrier approve` shows the current definition.",
        ));
    }
    let denied = Denied::of(options.deny.iter().cloned(), &question.grants)
        .map_err(|unknown| unknown_grant(&question, &unknown).at(subject.place()))?;
    approve_without(approvals, subject, &question, &denied, options.keep_earlier, reporter)
}

fn tell(warning: Option<Problem>, reporter: &Reporter) {
    if let Some(warning) = warning {
        reporter.tell(&Event::Problem(&warning));
    }
}
