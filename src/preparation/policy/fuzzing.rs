//! Policies, and definitions that they judge.

use std::path::Path;
use std::sync::Arc;

use super::rules::Rules;
use super::{Policies, Policy, Surroundings};
use crate::definition::fuzzing::definition;
use crate::engine::kinds::Environment;
use crate::fuzzing::assert_told;
use crate::report::error::{Code, Source};

/// A policy, and behind the first byte 0xff a definition: mistakes are told, and so is what the policy refuses, each by a rule
/// that it has.
pub fn policies(data: &[u8]) {
    let (policy, judged) = match data.iter().position(|byte| *byte == 0xff) {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &b"image = \"redis:7\""[..]),
    };
    let path = Path::new("policy.toml");
    let Ok(text) = String::from_utf8(policy.to_vec()) else { return };
    let rules = match Rules::parse(&Arc::new(Source { path: path.to_owned(), text })) {
        Ok(rules) => rules,
        Err(problems) => return problems.iter().for_each(assert_told),
    };
    let is_empty = rules.names().is_empty();
    let policies = Policies { all: vec![Policy { path: path.to_owned(), is_of_machine: false, rules }] };
    let Some(definition) = std::str::from_utf8(judged).ok().and_then(|text| definition("db", text)) else {
        return;
    };
    let environment = Environment::default();
    let surroundings = Surroundings { workspace: Some(Path::new("/w")), environment: &environment };
    let mut refused = policies.refusals(&definition, surroundings);
    refused.extend(policies.registry_refusals(&definition));
    refused.extend(definition.readiness.iter().flat_map(|probe| policies.probe_refusals(&definition, probe)));
    for problem in &refused {
        assert_eq!(problem.code, Code::PolicyRefused);
        assert_told(problem);
    }
    assert!(!is_empty || refused.is_empty(), "{refused:?}");
}
