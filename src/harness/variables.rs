//! The variables by which a harness finds its sidecars, and the forms in which they can be printed.

use std::collections::BTreeMap;

use crate::definition::{Definition, variable_token};

/// The variables of one sidecar with a port at this host: the host, its ports, and what its definition adds.
#[must_use]
pub fn of(definition: &Definition, host: &str, prefix: &str) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    if let Some(port) = definition.port() {
        let name = format!("{prefix}{}", variable_token(&definition.name));
        variables.push((format!("{name}_HOST"), host.to_owned()));
        variables.push((format!("{name}_PORT"), port.to_string()));
        for (more, port) in definition.more_ports() {
            variables.push((format!("{name}_PORT_{}", variable_token(more)), port.to_string()));
        }
    }
    variables
}

/// A form in which variables are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Commands of a POSIX shell.
    Sh,
    /// Commands of fish.
    Fish,
    /// Lines of a file of variables.
    Dotenv,
    /// An object.
    Json,
    /// Lines for the file that `GITHUB_ENV` names.
    Github,
}

impl Form {
    /// The variables in this form, sorted by name. No value has a line break.
    #[must_use]
    pub fn print(self, variables: &[(String, String)]) -> String {
        let variables: BTreeMap<&str, &str> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if self == Self::Json {
            return format!("{:#}\n", serde_json::json!(variables));
        }
        let line = |(name, value): (&str, &str)| match self {
            Self::Sh => format!("export {name}='{}'\n", value.replace('\'', r"'\''")),
            Self::Fish => {
                format!("set -gx {name} '{}'\n", value.replace('\\', r"\\").replace('\'', r"\'"))
            }
            Self::Dotenv => {
                let escaped = value.replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$");
                format!("{name}=\"{escaped}\"\n")
            }
            Self::Github | Self::Json => format!("{name}={value}\n"),
        };
        variables.into_iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn hard() -> Vec<(String, String)> {
        vec![("B".to_owned(), "it's \"$HOME\" `x` \\ #!".to_owned()), ("A".to_owned(), "1".to_owned())]
    }

    #[test]
    fn each_form_quotes_what_it_has_to() {
        assert_eq!(Form::Sh.print(&hard()), "export A='1'\nexport B='it'\\''s \"$HOME\" `x` \\ #!'\n");
        assert_eq!(Form::Fish.print(&hard()), "set -gx A '1'\nset -gx B 'it\\'s \"$HOME\" `x` \\\\ #!'\n");
        assert_eq!(Form::Dotenv.print(&hard()), "A=\"1\"\nB=\"it's \\\"\\$HOME\\\" `x` \\\\ #!\"\n");
        assert_eq!(Form::Github.print(&hard()), "A=1\nB=it's \"$HOME\" `x` \\ #!\n");
        assert!(Form::Json.print(&hard()).starts_with("{\n"));
    }

    #[test]
    fn a_shell_reads_back_what_was_printed() {
        let script = format!("{}printf '%s' \"$B\"", Form::Sh.print(&hard()));
        let output = Command::new("sh").args(["-c", &script]).output().expect("a shell");
        assert_eq!(String::from_utf8_lossy(&output.stdout), hard()[0].1);
    }
}
