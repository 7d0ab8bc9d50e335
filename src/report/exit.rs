//! Exit codes; the harness's own is passed through.

use crate::report::error::{Code, Failure, Problem};

/// Everything went well.
pub const SUCCESS: u8 = 0;
/// `doctor` found something to repair.
pub const UNHEALTHY: u8 = 1;
/// The command line or a definition is invalid.
pub const INVALID: u8 = 2;
/// farrier refused, or failed before the harness ran.
pub const REFUSED: u8 = 125;
/// Added to the number of the signal that ended farrier before the harness ran.
pub const SIGNALLED: u8 = 128;

/// The exit code of a command that found these problems.
#[must_use]
pub fn code_of(problems: &[Problem]) -> u8 {
    let invalid = |problem: &Problem| {
        matches!(
            problem.code,
            Code::DefinitionSyntax
                | Code::DefinitionUnreadable
                | Code::InvalidValue
                | Code::MissingField
                | Code::UnknownKey
                | Code::ConflictingFields
                | Code::NameCollision
                | Code::DuplicateDefinition
                | Code::VariableUnset
                | Code::AfterCircle
                | Code::WorkspaceOverride
                | Code::LayerUnusable
                | Code::OutsideWorkspace
                | Code::FileUnusable
                | Code::ReadingLimit
                | Code::ProbeNotFound
                | Code::ProbeInvalid
                | Code::ProbePinMismatch
                | Code::ProbeUnpinned
                | Code::ProbeTagMoved
                | Code::ProbeArtifact
                | Code::ProbeLockUnusable
                | Code::ProbeNotGranted
                | Code::GrantUnreadable
                | Code::ProbeSettings
                | Code::ProbeProject
                | Code::ProbeBuild
                | Code::ScenarioUnreadable
                | Code::Usage
        )
    };
    let errors = || problems.iter().filter(|problem| problem.is_error());
    if errors().any(invalid) {
        INVALID
    } else if errors().next().is_some() {
        REFUSED
    } else {
        SUCCESS
    }
}

impl Failure {
    /// A failure with these problems and their exit code.
    #[must_use]
    pub fn of(problems: Vec<Problem>) -> Self {
        Self { exit: code_of(&problems), problems }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::of(vec![problem])
    }
}
