//! The file of approvals, and questions about any definition.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use super::fingerprint::fingerprint_of;
use super::question::{Earlier, Question};
use super::statement::{Held, Statement};
use super::store::{Content, Entry, Repository, Store, written};
use super::{Approval, Subject};
use crate::definition::model::{Definition, ProbeReference, Readiness};
use crate::definition::working_trees::WorkingTrees;
use crate::fuzzing::{assert_shown, assert_told};
use crate::plan::sidecar::{Scopes, Sidecar};
use crate::preparation::ResolvedSidecar;
use crate::probe::built_in::built_in;
use crate::probe::catalogue::FoundProbe;
use crate::probe::component::ComponentFile;
use crate::probe::denial::Granted;
use crate::probe::grants::{effective, linked};

/// As narrow as terminals get, where breaking lines matters most.
const COLUMNS: usize = 40;
/// No question is longer there.
const MOST_LINES: usize = 120;

/// Any bytes as the file, and as the texts of an approval that is kept and read again.
pub fn approval_store(data: &[u8]) {
    let file = Path::new("/nowhere/approvals.json");
    let store = match Store::open(Some(file), false, &WorkingTrees::default()) {
        Ok(store) => store,
        Err(problem) => return assert_told(&problem),
    };
    match store.parse(data) {
        Ok(Content::Approvals(entries)) => kept(&store, entries),
        Ok(Content::Damaged(reason)) => assert!(!reason.is_empty()),
        Err(problem) => assert_told(&problem),
    }
    let mut texts = data.split(|byte| *byte == b'|').map(|part| String::from_utf8_lossy(part).into_owned());
    let mut next = || texts.next().unwrap_or_default();
    kept(&store, vec![entry(&mut next), entry(&mut next)]);
}

fn entry(next: &mut impl FnMut() -> String) -> Entry {
    Entry {
        workspace: next(),
        sidecar: next(),
        hash: next(),
        approved_at: next(),
        denied: vec![next()],
        salt: next(),
        statement: vec![(next(), next()), (next(), next())],
        repository: Some(Repository { common: next(), within: next() })
            .filter(|found| found.within.is_empty()),
        kept: next().is_empty(),
    }
}

/// What is written is what is read.
fn kept(store: &Store, mut entries: Vec<Entry>) {
    let bytes = written(entries.clone()).unwrap_or_default();
    let read = store.parse(&bytes).map(|content| match content {
        Content::Approvals(mut read) => {
            sort(&mut read);
            Content::Approvals(read)
        }
        damaged @ Content::Damaged(_) => damaged,
    });
    sort(&mut entries);
    assert_eq!(read, Ok(Content::Approvals(entries)));
}

fn sort(entries: &mut [Entry]) {
    entries.sort_by_cached_key(|entry| format!("{entry:?}"));
}

/// A small component, in place of any.
static COMPONENT: LazyLock<Option<Arc<ComponentFile>>> = LazyLock::new(|| {
    let bytes = built_in("skip").unwrap_or_default();
    ComponentFile::parse(bytes).ok().map(Arc::new)
});

/// What is asked about a definition shows all of it, and nothing of it stands where farrier's own words do.
pub(crate) fn assert_asked(definition: Definition) {
    let Some(component) = COMPONENT.as_ref() else { unreachable!("a probe that ships is a component") };
    let found = |readiness: &Readiness| {
        let built_in = matches!(&readiness.probe, ProbeReference::Named(name) if built_in(name).is_some());
        let grants = effective(readiness, built_in);
        FoundProbe {
            name: readiness.probe.to_string(),
            component: Arc::clone(component),
            interfaces: linked(component, &grants, built_in),
            declared: Granted { grants: Arc::new(grants), ..Granted::default() },
            granted: Granted::default(),
            built_in,
            remarks: Vec::new(),
        }
    };
    let probes = definition.readiness.iter().map(found).collect();
    let sidecar = Sidecar::new(definition, &Scopes::default());
    let prepared =
        ResolvedSidecar { sidecar, program: None, image_id: None, probes, approval: Approval::Missing };
    let held = Held { image: Some("sha256:1".to_owned()), container: Some("it is replaced".to_owned()) };
    let statement = Statement::of(&prepared, &held);
    let record = statement.record("salt");
    assert_eq!(statement.changes("salt", &record), []);
    let changes = statement.changes("salt", record.get(1..).unwrap_or_default());
    let question = Question {
        name: prepared.sidecar.name().to_owned(),
        workspace: "/w".to_owned(),
        verb: "declares",
        file: "/w/db.toml".to_owned(),
        hash: fingerprint_of(&prepared),
        command: "farrier approve".to_owned(),
        statement,
        grants: prepared.grants(),
        earlier: Some(Earlier {
            approved_at: "2026-01-01T00:00:00Z".to_owned(),
            worktree: None,
            denied: prepared.grants(),
            changes,
        }),
    };
    assert_eq!(question.hash, fingerprint_of(&prepared));
    assert_question(&question);
}

/// A question in which nothing begins a line that is not farrier's own.
pub(crate) fn assert_question(question: &Question) {
    let text = question.statement(COLUMNS);
    assert_shown(&text);
    assert_shown(&question.prompt());
    assert!(!question.prompt().contains('\n'));
    let own = ["The workspace ", "You have not approved it yet:", "It has changed since"];
    let expected = question.rows().0.len();
    let (mut begun, mut left_out) = (0, 0);
    for line in text.lines() {
        if line.starts_with("  |     ") || own.iter().any(|own| line.starts_with(own)) {
            continue;
        }
        begun += 1;
        if let Some(rest) = line.strip_prefix("  … and ") {
            left_out = rest.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
        }
        if line.starts_with("  Run `") {
            continue;
        }
        let cells: usize = line.chars().map(|character| if character.is_ascii() { 1 } else { 2 }).sum();
        assert!(cells < COLUMNS || line.starts_with("  hash  "), "{line:?} in {text}");
        let is_mark = ["  ", "- ", "+ "].iter().any(|mark| line.starts_with(mark));
        assert!(is_mark, "{line:?} in {text}");
    }
    // Beside a line each: what is left out, what is unchanged, how to deny grants, the hash, and the command that shows all.
    let (least, most) = (expected - left_out + 1, expected - left_out + 5);
    assert!((least..=most).contains(&begun), "{begun} of {expected}: {text}");
    assert!(text.lines().count() <= MOST_LINES, "{text}");
}
