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

            /// The kebab-case name, as it stands in JSON and in brackets behind an error.
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
    /// A key that no field has: an error where compose or docker have it, else a warning.
    UnknownKey = "unknown-key",
    /// Fields that contradict each other.
    ConflictingFields = "conflicting-fields",
    /// Two definitions that would get the same container name, variable or alias.
    NameCollision = "name-collision",
    /// Two files of one directory define the same name.
    DuplicateDefinition = "duplicate-definition",
    /// `${VAR}` stands in a value; it is not interpolated (a warning).
    NotInterpolated = "not-interpolated",
    /// The workspace tries to redefine a trusted sidecar (a warning), or to disable a required one.
    WorkspaceOverride = "workspace-override",
    /// A layer directory cannot be used.
    LayerUnusable = "layer-unusable",
    /// Reading the definitions, and what they name, would take more than it may.
    ReadingLimit = "reading-limit",
    /// A workspace file is reached through a path that leaves the workspace.
    OutsideWorkspace = "outside-workspace",
    /// Definitions near the working directory take no part (a warning).
    WorkspaceUnused = "workspace-unused",

    // Refusals: valid, but not something that farrier starts. Exit code 125.
    /// `lifecycle = "session"`.
    UnsupportedLifecycle = "unsupported-lifecycle",
    /// An interface kind that is not started.
    UnsupportedInterface = "unsupported-interface",
    /// A mount that is not offered to this sidecar.
    UnsupportedMount = "unsupported-mount",
    /// A resource that is not handed to sidecars.
    UnsupportedResource = "unsupported-resource",
    /// A `${secret:…}` reference.
    UnsupportedSecret = "unsupported-secret",
    /// A workspace definition that nobody approved.
    ApprovalRequired = "approval-required",
    /// The hash that was given for an approval is not the definition's.
    ApprovalMismatch = "approval-mismatch",

    // Probes.
    /// No probe has this name.
    ProbeNotFound = "probe-not-found",
    /// The file is not a component that can be hosted.
    ProbeInvalid = "probe-invalid",
    /// The component's SHA-256 is not the pinned one.
    ProbePinMismatch = "probe-pin-mismatch",
    /// The component is not pinned (a warning).
    ProbeUnpinned = "probe-unpinned",
    /// The component imports what its grants do not cover.
    ProbeNotGranted = "probe-not-granted",
    /// A granted folder cannot be read, or holds what is not given to probes.
    GrantUnreadable = "grant-unreadable",
    /// The component rejects its settings.
    ProbeSettings = "probe-settings",
    /// A probe's project cannot be made.
    ProbeProject = "probe-project",
    /// A component cannot be built.
    ProbeBuild = "probe-build",
    /// The probe trapped, ran out of time or out of a limit.
    ProbeCrashed = "probe-crashed",

    // The engine.
    /// No engine answers at the address.
    EngineUnreachable = "engine-unreachable",
    /// The engine's socket may not be used by this user.
    EnginePermission = "engine-permission",
    /// The engine answered with an error.
    EngineFailed = "engine-failed",
    /// The engine cannot do what a definition needs.
    EngineLacks = "engine-lacks",
    /// The docker context or address cannot be used.
    EngineContext = "engine-context",
    /// The image is absent and cannot be pulled.
    ImageUnavailable = "image-unavailable",
    /// The registry does not let this user have the image.
    ImageDenied = "image-denied",
    /// The registry has no such image.
    ImageNotFound = "image-not-found",
    /// The engine's disk is full.
    DiskFull = "disk-full",
    /// The engine has no addresses left for another network, or a network none for another container.
    AddressPoolsExhausted = "address-pools-exhausted",

    // Reconciling.
    /// A container or network of our name is somebody else's.
    NameTaken = "name-taken",
    /// Another launch uses the sidecar that would be recreated.
    SidecarInUse = "sidecar-in-use",
    /// farrier manages no sidecar of this name.
    SidecarNotFound = "sidecar-not-found",
    /// What would be removed has to be confirmed, and nobody can be asked.
    ConfirmationRequired = "confirmation-required",
    /// Something else listens on the port of this host that a program is to have.
    PortTaken = "port-taken",
    /// Another container holds the alias on the network.
    AliasTaken = "alias-taken",
    /// The container could not be created or started.
    StartFailed = "start-failed",
    /// The program that the container is to run is not in the image, or may not be executed.
    ProgramMissing = "program-missing",
    /// The image is made for another machine.
    WrongArchitecture = "wrong-architecture",
    /// The network cannot carry a sidecar.
    NetworkUnusable = "network-unusable",

    // Readiness.
    /// The deadline passed.
    NotReady = "not-ready",
    /// The container ended while it was waited for.
    SidecarExited = "sidecar-exited",
    /// The engine reports it unhealthy.
    SidecarUnhealthy = "sidecar-unhealthy",
    /// The probe said that it never will be ready.
    ProbeFailed = "probe-failed",
    /// No way to dial: the check is "the container runs" (a warning).
    CannotDial = "cannot-dial",
    /// The container that dials went through is gone, and was replaced if that was possible (a warning).
    RelayEnded = "relay-ended",

    // The harness and the command line.
    /// The command line is not understood.
    Usage = "usage",
    /// The harness command cannot be used in this form.
    HarnessShape = "harness-shape",
    /// The host has no route to a sidecar.
    HarnessNoRoute = "harness-no-route",
    /// The harness command is not found.
    HarnessNotFound = "harness-not-found",
    /// The harness command cannot be run.
    HarnessNotExecutable = "harness-not-executable",
    /// Stopped by a signal before the harness ran.
    Interrupted = "interrupted",
    /// A file or folder of farrier's own cannot be used.
    StateUnusable = "state-unusable",
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Whether a problem stops the launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Said once; the launch goes on.
    Warning,
    /// The launch does not start anything.
    Error,
}

/// The text of one definition file, kept so that a problem can show the line it is about.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as the user would type it.
    pub path: PathBuf,
    /// The whole text; empty where quoting it is not allowed.
    pub text: String,
}

/// A stretch of a definition file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub source: Arc<Source>,
    /// Byte offsets into `source.text`; empty at 0 where only the file is known.
    pub span: Range<usize>,
}

impl Place {
    /// The whole file, without a line.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        let source = Arc::new(Source { path: path.to_owned(), text: String::new() });
        Self { source, span: 0..0 }
    }

    /// Line and column, both counted from 1 (columns in characters); none where only the file is known.
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
    /// Whether a warning is told even where only errors are wanted: the container may run with more power than its
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

    /// A problem that is only said.
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

/// Why a command ends without success: everything that was found and not told already.
#[derive(Debug, thiserror::Error)]
#[error("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Failure {
    /// The exit code of the process.
    pub exit: u8,
    /// What to tell, in order.
    pub problems: Vec<Problem>,
}
