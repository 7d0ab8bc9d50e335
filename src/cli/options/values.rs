//! How the values of options are spelled on the command line.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::engine::kinds::{EngineKind, Selection};
use crate::harness::variables::Form;
use crate::readiness::route::Dialling;

impl ValueEnum for Dialling {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Relay, Self::None]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Auto => ("auto", "From this host if it has a route, else through a relay container"),
            Self::Relay => ("relay", "Through a relay container"),
            Self::None => ("none", "Not at all: a running container counts as ready"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for Selection {
    fn value_variants<'a>() -> &'a [Self] {
        const VARIANTS: [Selection; EngineKind::ALL.len() + 1] = {
            let mut variants = [Selection::Auto; EngineKind::ALL.len() + 1];
            let mut index = 0;
            while index < EngineKind::ALL.len() {
                variants[index + 1] = Selection::All(EngineKind::ALL[index]);
                index += 1;
            }
            variants
        };
        &VARIANTS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Auto => (
                "auto",
                "Programs and image files on `native`; other images on Docker or Podman, or on `native` if neither is available",
            ),
            Self::All(kind) => (kind.name(), kind.meaning()),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for Form {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Sh, Self::Fish, Self::Dotenv, Self::Json, Self::Github]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Sh => ("sh", "For `eval` in a POSIX shell"),
            Self::Fish => ("fish", "For `source` in fish"),
            Self::Dotenv => ("dotenv", "Lines for a `.env` file"),
            Self::Json => ("json", "A JSON object"),
            Self::Github => ("github", "Lines for the file that `GITHUB_ENV` names"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}
