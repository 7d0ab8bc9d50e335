//! The approvals of one workspace: which are in force, what is asked instead, and what becomes of an answer.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::Subject;
use super::question::{Earlier, Question};
use super::statement::Held;
use super::store::{Entry, Repository, Store};
use crate::definition::working_trees::{RepositoryPlace, repository_place};
use crate::preparation::Approval;
use crate::preparation::settings::Settings;
use crate::probe::denial::Denied;
use crate::report::error::{Code, Problem};
use crate::report::shell::command_line;

/// The approvals of one workspace.
#[derive(Clone, Debug)]
pub struct Approvals {
    store: Store,
    workspace: String,
    /// The repository that the workspace is proven to be a worktree of.
    repository: Option<Repository>,
    /// The workspace's layer.
    directory: Option<PathBuf>,
    /// The options that this command was given, for those that are suggested.
    given: Vec<String>,
}

/// The denials with these names; `None` if one of them names no grant of the subject.
fn denied_of(names: Vec<String>, subject: &impl Subject) -> Option<Denied> {
    if names.is_empty() { Some(Denied::default()) } else { Denied::of(names, &subject.grants()).ok() }
}

impl Approvals {
    /// Those of the workspace that the settings name.
    ///
    /// # Errors
    /// When the file cannot be one that only this user writes to.
    pub fn open(settings: &Settings) -> Result<Self, Problem> {
        let workspace = settings.scopes.workspace.as_deref();
        let named = settings.given.iter().any(|word| word == "--approvals");
        let trees = settings.directories.working_trees.clone().and(workspace.map(Path::to_owned));
        let store = Store::open(settings.approvals.as_deref(), named, &trees)?;
        let given = settings.given.clone();
        let directory = settings.directories.workspace.clone();
        let repository = workspace.and_then(repository_place).map(|RepositoryPlace { common, within }| {
            Repository { common: key(&common), within: key(&within) }
        });
        Ok(Self { store, workspace: workspace.map(key).unwrap_or_default(), repository, directory, given })
    }

    /// All approvals, of every workspace, and a warning where the file is damaged.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn read(&self) -> Result<(Vec<Entry>, Option<Problem>), Problem> {
        self.store.read()
    }

    fn is_of(&self, entry: &Entry, sidecar: &str) -> bool {
        entry.workspace == self.workspace && entry.sidecar == sidecar
    }

    /// Whether it is of another worktree of the same repository.
    fn is_of_worktree(&self, entry: &Entry, sidecar: &str) -> bool {
        entry.sidecar == sidecar
            && entry.workspace != self.workspace
            && self.repository.is_some()
            && entry.repository == self.repository
    }

    /// The latest approval of a sidecar in this workspace.
    fn latest<'a>(&self, entries: &'a [Entry], sidecar: &str) -> Option<&'a Entry> {
        latest(entries.iter().filter(|entry| self.is_of(entry, sidecar)))
    }

    /// The approvals of a sidecar that are in force: the latest, and earlier ones only if a person chose to keep them.
    /// What was approved once, was changed, and is back, is asked about again.
    fn in_force<'a>(&self, entries: &'a [Entry], sidecar: &str) -> impl Iterator<Item = &'a Entry> {
        let kept = entries.iter().filter(move |entry| self.is_of(entry, sidecar) && entry.kept);
        kept.chain(self.latest(entries, sidecar))
    }

    /// The approval in force of this definition: of this workspace, otherwise of another worktree of the repository.
    fn given<'a, S: Subject>(&self, entries: &'a [Entry], subject: &S) -> Option<&'a Entry> {
        let hash = subject.hash();
        let own = self.in_force(entries, subject.name()).find(|entry| entry.hash == hash);
        own.or_else(|| self.given_in_worktree(entries, subject))
    }

    /// The latest approval of this definition that is in force in another worktree of the repository. All that the question
    /// shows has to be the same, too: it may name what lies in one worktree only.
    fn given_in_worktree<'a, S: Subject>(&self, entries: &'a [Entry], subject: &S) -> Option<&'a Entry> {
        let (name, hash) = (subject.name(), subject.hash());
        let of_worktrees = || entries.iter().filter(|entry| self.is_of_worktree(entry, name));
        let is_in_force = |entry: &Entry| {
            let own = of_worktrees().filter(|other| other.workspace == entry.workspace);
            entry.kept || latest(own).is_some_and(|latest| latest.hash == entry.hash)
        };
        let mut same = of_worktrees().filter(|entry| entry.hash == hash && is_in_force(entry)).peekable();
        same.peek()?;
        let statement = subject.statement(&Held::default());
        latest(same.filter(|entry| statement.record(&entry.salt) == entry.statement))
    }

    /// Notes what is approved; gives a warning where the file is damaged.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn recognise<S: Subject>(&self, subjects: &mut [S]) -> Result<Option<Problem>, Problem> {
        let (entries, warning) = self.read()?;
        for subject in subjects.iter_mut().filter(|subject| subject.approval() != Approval::Trusted) {
            // A denial that names no grant is of another version of farrier, which meant something by it.
            let given = self.given(&entries, subject).map(|entry| entry.denied.clone());
            let denied = given.and_then(|names| denied_of(names, subject));
            subject.set_approval(if denied.is_some() { Approval::Given } else { Approval::Missing });
            subject.deny(&denied.unwrap_or_default());
        }
        Ok(warning)
    }

    /// Notes for this workspace what is approved in another worktree only, so that it stays approved here when it
    /// changes there.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn adopt<S: Subject>(&self, subjects: &[S]) -> Result<(), Problem> {
        if self.repository.is_none() {
            return Ok(());
        }
        let (entries, _) = self.read()?;
        let given = subjects.iter().filter(|subject| subject.approval() == Approval::Given);
        for subject in given {
            let hash = subject.hash();
            if !self.in_force(&entries, subject.name()).any(|entry| entry.hash == hash) {
                self.approve(&self.question(subject, &Held::default())?, &subject.denied(), false)?;
            }
        }
        Ok(())
    }

    /// What is asked.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn question(&self, subject: &impl Subject, held: &Held) -> Result<Question, Problem> {
        let statement = subject.statement(held);
        let name = subject.name();
        let (entries, _) = self.read()?;
        let in_worktrees = || latest(entries.iter().filter(|entry| self.is_of_worktree(entry, name)));
        let earlier = self.latest(&entries, name).or_else(in_worktrees).map(|entry| Earlier {
            approved_at: entry.approved_at.clone(),
            worktree: Some(entry.workspace.clone()).filter(|worktree| *worktree != self.workspace),
            denied: entry.denied.clone(),
            changes: statement.changes(&entry.salt, &entry.statement),
        });
        Ok(Question {
            name: name.to_owned(),
            workspace: self.workspace.clone(),
            verb: subject.verb(),
            file: subject.place().source.path.display().to_string(),
            hash: subject.hash(),
            command: self.suggested(name, &["--format", "json"]),
            statement,
            grants: subject.grants(),
            earlier,
        })
    }

    /// The command that approves a sidecar, with the options that this one was given.
    #[must_use]
    pub fn suggested(&self, sidecar: &str, more: &[&str]) -> String {
        let options: Vec<&str> = more.iter().copied().chain(self.given.iter().map(String::as_str)).collect();
        command_line(&["farrier", "approve"], &[sidecar], &options)
    }

    /// How to launch without a sidecar that is not approved. Without a workspace, a trusted layer that lies in it would
    /// be trusted.
    pub(super) fn way_out(&self, subject: &impl Subject) -> &'static str {
        if self.directory.as_deref() == subject.place().source.path.parent() {
            "`--no-workspace` starts without the sidecars of the workspace."
        } else {
            "The definition is in the workspace or a checkout that you work on, so it counts as the workspace's. To \
             launch without the sidecar, omit the option that names its layer's folder."
        }
    }

    /// Checks that an answer could be kept now, before a person is asked for one.
    ///
    /// # Errors
    /// If the file cannot be locked.
    pub(super) fn check_lock(&self) -> Result<(), Problem> {
        self.store.check_lock()
    }

    /// Keeps a yes to all but the denied grants, in place of earlier ones unless they are to be kept; gives a warning where a
    /// damaged file was kept aside.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn approve(
        &self,
        question: &Question,
        denied: &Denied,
        keep_earlier: bool,
    ) -> Result<Option<Problem>, Problem> {
        let mut salt = [0_u8; 16];
        getrandom::fill(&mut salt).map_err(|error| {
            Problem::error(Code::StateUnusable, format!("the system provides no random numbers: {error}"))
                .hint(
                    "Run the command again. Without random numbers, stored approvals could reveal values of the \
                     definition.",
                )
        })?;
        let salt = hex::encode(salt);
        let entry = Entry {
            workspace: self.workspace.clone(),
            sidecar: question.name.clone(),
            hash: question.hash.clone(),
            approved_at: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            statement: question.statement.record(&salt),
            salt,
            repository: self.repository.clone(),
            denied: denied.into(),
            kept: false,
        };
        self.store.change(|entries| {
            let mut in_force: Vec<String> =
                self.in_force(entries, &entry.sidecar).map(|entry| entry.hash.clone()).collect();
            in_force.retain(|hash| keep_earlier && *hash != entry.hash);
            entries.retain(|other| !self.is_of(other, &entry.sidecar) || in_force.contains(&other.hash));
            let earlier = entries.iter_mut().filter(|other| self.is_of(other, &entry.sidecar));
            earlier.for_each(|other| other.kept = true);
            entries.push(entry);
        })
    }

    /// Takes all approvals of a sidecar of this workspace back, and those of the repository's other worktrees, which would count
    /// here; gives how many there were, and a warning where a damaged file was kept aside.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn revoke(&self, sidecar: &str) -> Result<(usize, Option<Problem>), Problem> {
        let mut revoked = 0;
        let warning = self.store.change(|entries| {
            let before = entries.len();
            entries.retain(|entry| !self.is_of(entry, sidecar) && !self.is_of_worktree(entry, sidecar));
            revoked = before - entries.len();
        })?;
        Ok((revoked, warning))
    }
}

/// The latest of these approvals.
fn latest<'a>(entries: impl Iterator<Item = &'a Entry>) -> Option<&'a Entry> {
    entries.max_by(|one, other| one.approved_at.cmp(&other.approved_at))
}

/// A path as it stands in the file.
fn key(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    path.to_str().map_or_else(|| format!("bytes:{}", hex::encode(bytes)), str::to_owned)
}
