//! What the policies permit `probe check` and `probe test` to try.

use std::ffi::OsStr;

use super::declared::Declared;
use crate::definition::artifact_reference::SCHEME;
use crate::definition::{ArtifactReference, in_the_files_language};
use crate::preparation::policy::Policies;
use crate::report::error::{Failure, Problem};

/// Refuses a probe in a registry before anything is downloaded, if a policy does not permit the registry or the tag.
///
/// # Errors
/// Every refusal.
pub fn expect_permitted_reference(policies: &Policies, probe: Option<&OsStr>) -> Result<(), Failure> {
    let text = probe.map(OsStr::to_string_lossy).filter(|text| text.starts_with(SCHEME));
    // What is wrong with a reference, whoever downloads it says.
    let Some(reference) = text.and_then(|text| ArtifactReference::parse(&text).ok()) else { return Ok(()) };
    let mut refusals = policies.reference_refusals(&reference);
    refusals.extend(policies.tag_refusals(&reference));
    expect_none(refusals)
}

/// Refuses a trial in which the probe would get more than a policy permits.
///
/// # Errors
/// Every refusal.
pub fn expect_permitted_trial(
    policies: &Policies,
    declared: Option<&Declared>,
    is_insecure: bool,
    memory: u64,
    runs_commands: bool,
) -> Result<(), Failure> {
    if let Some(Declared { definition, readiness }) = declared {
        let refusals = policies.probe_refusals(definition, readiness).into_iter();
        expect_none(refusals.map(in_the_files_language).collect())?;
    }
    expect_none(policies.trial_refusals(is_insecure, memory, runs_commands))
}

fn expect_none(refusals: Vec<Problem>) -> Result<(), Failure> {
    if refusals.is_empty() { Ok(()) } else { Err(Failure::of(refusals)) }
}
