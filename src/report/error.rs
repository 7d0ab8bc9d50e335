//! What went wrong, as data: a stable code, one sentence, where it is written, and what to do next.
//!
//! Every sentence that a user reads about a failure is written once, where the failure is found; rendering
//! belongs to `event::sinks`.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// The stable names of everything that farrier reports. Scripts match on these, never on prose.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The kebab-case name, as shown in JSON and in brackets after `error` or `warning`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

codes! {
    // Definitions: each of these ends in exit code 2.
    /// The file is not valid TOML or YAML.
    DefinitionSyntax = "definition-syntax",
    /// The file cannot be opened or read, is too large, or is not a regular file of UTF-8 text.
    DefinitionUnreadable = "definition-unreadable",
    /// A field has the wrong type or a value outside its range.
    InvalidValue = "invalid-value",
    /// A required field is absent.
    MissingField = "missing-field",
    /// An unknown key: an error if compose, docker or Kubernetes define it, otherwise a warning.
    UnknownKey = "unknown-key",
    /// Fields that contradict each other.
    ConflictingFields = "conflicting-fields",
    /// Two definitions that would get the same container name, variable or alias.
    NameCollision = "name-collision",
    /// Definitions whose `after` is a circle.
    AfterCircle = "after-circle",
    /// Two files of one directory define the same name.
    DuplicateDefinition = "duplicate-definition",
    /// A value in YAML contains `${VAR}`, which is not interpolated (a warning).
    NotInterpolated = "not-interpolated",
    /// A variable that a definition names is not set, and has no default.
    VariableUnset = "variable-unset",
    /// The workspace tries to redefine a trusted sidecar (a warning), or to disable a required one.
    WorkspaceOverride = "workspace-override",
    /// A layer directory cannot be used.
    LayerUnusable = "layer-unusable",
    /// Reading the definitions and the files that they name would exceed a limit.
    ReadingLimit = "reading-limit",
    /// A workspace file is reached through a path that leaves the workspace.
    OutsideWorkspace = "outside-workspace",
    /// A file that a key of a definition names cannot be used.
    FileUnusable = "file-unusable",
    /// farrier ignores definitions near the working directory (a warning).
    WorkspaceUnused = "workspace-unused",

    // Refusals: valid, but not something that farrier starts. Exit code 125.
    /// A session sidecar where there is no session, as in `farrier up`.
    UnsupportedLifecycle = "unsupported-lifecycle",
    /// An interface kind that farrier does not support.
    UnsupportedInterface = "unsupported-interface",
    /// A mount that farrier does not support for this sidecar.
    UnsupportedMount = "unsupported-mount",
    /// A `${secret:…}` reference.
    UnsupportedSecret = "unsupported-secret",
    /// A workspace definition that nobody approved.
    ApprovalRequired = "approval-required",
    /// The hash passed to `farrier approve`, or pinned by a lock, is not the definition's.
    ApprovalMismatch = "approval-mismatch",
    /// A file that pins approvals cannot be used.
    ApprovalLockUnusable = "approval-lock-unusable",
    /// The policy of this user or of this machine does not permit what a definition, a probe or a command asks for.
    PolicyRefused = "policy-refused",
    /// A policy cannot be read, or is wrong; farrier starts nothing.
    PolicyUnusable = "policy-unusable",

    // Probes.
    /// No probe has this name.
    ProbeNotFound = "probe-not-found",
    /// The file is not a component that can be hosted.
    ProbeInvalid = "probe-invalid",
    /// The component's SHA-256 is not the pinned one.
    ProbePinMismatch = "probe-pin-mismatch",
    /// The component is not pinned: an error for a probe in a registry, otherwise a warning.
    ProbeUnpinned = "probe-unpinned",
    /// The tag of a probe in a registry names another artifact than the pinned one.
    ProbeTagMoved = "probe-tag-moved",
    /// A pinned probe is not in the cache.
    ProbeNotPulled = "probe-not-pulled",
    /// What a registry has is not a probe, or not what its manifest says.
    ProbeArtifact = "probe-artifact",
    /// The file that pins the probes of a folder cannot be used.
    ProbeLockUnusable = "probe-lock-unusable",
    /// A registry cannot be reached, or refuses a probe.
    RegistryFailed = "registry-failed",
    /// The component imports something that its grants do not cover.
    ProbeNotGranted = "probe-not-granted",
    /// A granted folder cannot be read, or contains something that no probe may get.
    GrantUnreadable = "grant-unreadable",
    /// The component rejects its settings.
    ProbeSettings = "probe-settings",
    /// A probe's project cannot be created.
    ProbeProject = "probe-project",
    /// A component cannot be built.
    ProbeBuild = "probe-build",
    /// The probe trapped, or exceeded its time or another limit.
    ProbeCrashed = "probe-crashed",
    /// A scenario's file cannot be read or written.
    ScenarioUnreadable = "scenario-unreadable",
    /// The probe did something else than its scenario says.
    ScenarioFailed = "scenario-failed",

    // The engine.
    /// No engine answers at the address.
    EngineUnreachable = "engine-unreachable",
    /// This user has no permission to use the engine's socket.
    EnginePermission = "engine-permission",
    /// The engine answered with an error.
    EngineFailed = "engine-failed",
    /// The engine cannot do what a definition needs.
    EngineLacks = "engine-lacks",
    /// A container runs without being kept apart from this host (a warning).
    NoIsolation = "no-isolation",
    /// The docker context or address cannot be used.
    EngineContext = "engine-context",
    /// The image is absent and cannot be pulled.
    ImageUnavailable = "image-unavailable",
    /// A file holds no usable image, or a damaged one.
    ImageInvalid = "image-invalid",
    /// The registry denies this user the image.
    ImageDenied = "image-denied",
    /// The registry has no such image.
    ImageNotFound = "image-not-found",
    /// The engine's disk is full.
    DiskFull = "disk-full",
    /// The engine has no addresses left for another network, or a network none for another container.
    AddressPoolsExhausted = "address-pools-exhausted",

    // Reconciling.
    /// A container or network that is not farrier's has the name that farrier needs.
    NameTaken = "name-taken",
    /// Another launch uses the sidecar that would be recreated.
    SidecarInUse = "sidecar-in-use",
    /// farrier manages no sidecar of this name.
    SidecarNotFound = "sidecar-not-found",
    /// Removing something needs confirmation, and there is no terminal.
    ConfirmationRequired = "confirmation-required",
    /// Something else has a port of this host that a sidecar is to have.
    PortTaken = "port-taken",
    /// Another container holds the alias on the network.
    AliasTaken = "alias-taken",
    /// The container could not be created or started.
    StartFailed = "start-failed",
    /// The container's program is not in the image, or is not executable.
    ProgramMissing = "program-missing",
    /// The image was built for another architecture.
    WrongArchitecture = "wrong-architecture",
    /// farrier cannot connect sidecars to the network.
    NetworkUnusable = "network-unusable",

    // Readiness.
    /// The sidecar did not become ready before its deadline.
    NotReady = "not-ready",
    /// The container exited before it became ready.
    SidecarExited = "sidecar-exited",
    /// A job ended with another exit code than 0.
    JobFailed = "job-failed",
    /// The engine reports the container as unhealthy.
    SidecarUnhealthy = "sidecar-unhealthy",
    /// The probe reported that the sidecar will never be ready.
    ProbeFailed = "probe-failed",
    /// farrier cannot dial, so it only checks that the container runs (a warning).
    CannotDial = "cannot-dial",
    /// The relay container ended; farrier replaced it if possible (a warning).
    RelayEnded = "relay-ended",

    // The harness and the command line.
    /// The command line is invalid.
    Usage = "usage",
    /// The harness command cannot be used in this form.
    HarnessShape = "harness-shape",
    /// The host has no route to a sidecar.
    HarnessNoRoute = "harness-no-route",
    /// Something of a session may be left on an engine (a warning).
    SessionLeft = "session-left",
    /// A sidecar whose `on_exit` is `stop` ended while the harness ran.
    SidecarEnded = "sidecar-ended",
    /// The harness command is not found.
    HarnessNotFound = "harness-not-found",
    /// The harness command cannot be run.
    HarnessNotExecutable = "harness-not-executable",
    /// A signal stopped farrier before the harness ran.
    Interrupted = "interrupted",
    /// farrier cannot use one of its own files or folders.
    StateUnusable = "state-unusable",
    /// farrier itself has a fault.
    Bug = "bug",
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Whether a problem stops the launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// farrier reports it and continues.
    Warning,
    /// farrier starts nothing.
    Error,
}

/// The text of one definition file, kept so that a problem can show the line it is about.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as the user would type it.
    pub path: PathBuf,
    /// The whole text; empty if farrier must not quote it.
    pub text: String,
}

/// A range in a definition file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub source: Arc<Source>,
    /// Byte offsets into `source.text`; `0..0` if only the file is known.
    pub span: Range<usize>,
}

impl Place {
    /// The whole file, without a line.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        let source = Arc::new(Source { path: path.to_owned(), text: String::new() });
        Self { source, span: 0..0 }
    }

    /// The line and column, both counted from 1 (columns in characters), or `None` if only the file is known.
    #[must_use]
    pub fn line_column(&self) -> Option<(usize, usize)> {
        let before = self.source.text.get(..self.span.start)?;
        if self.source.text.is_empty() {
            return None;
        }
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Some((line, column))
    }
}

/// One thing that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The stable name.
    pub code: Code,
    /// Whether it stops the launch.
    pub severity: Severity,
    /// One sentence without a final period.
    pub message: String,
    /// Where it is written.
    pub place: Option<Place>,
    /// Next steps, each a whole sentence.
    pub hints: Vec<String>,
    /// The sidecar that it is about.
    pub sidecar: Option<String>,
    /// Whether farrier shows this warning even with `-q`, because the container may run with more power than its
    /// definition says.
    pub is_told_always: bool,
}

impl Problem {
    /// A problem that stops the launch.
    #[must_use]
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            place: None,
            hints: Vec::new(),
            sidecar: None,
            is_told_always: false,
        }
    }

    /// A problem that does not stop the launch.
    #[must_use]
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Adds the place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Adds a next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Names the sidecar.
    #[must_use]
    pub fn of(mut self, sidecar: impl Into<String>) -> Self {
        self.sidecar = Some(sidecar.into());
        self
    }

    /// Whether it stops the launch.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} [{}]", self.message, self.code)
    }
}

/// The failure of a command: all problems that farrier has not reported yet.
#[derive(Debug, thiserror::Error)]
#[error("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Failure {
    /// The exit code of the process.
    pub exit: u8,
    /// The problems to report, in order.
    pub problems: Vec<Problem>,
}
