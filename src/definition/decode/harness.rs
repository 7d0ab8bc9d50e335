//! What the harness gets beside the sidecar's host and port.

use std::collections::BTreeMap;

use super::interface::Decoded;
use crate::definition::keys::ContainerKeys;
use crate::definition::model::{Interface, Layer};
use crate::definition::reader::{Reader, Table};
use crate::definition::schema;
use crate::definition::template::{Part, Template};
use crate::report::error::{Code, Problem};

/// How variables begin that tell of sidecars and of farrier itself, whatever prefix a launch has.
const TAKEN_PREFIXES: [&str; 2] = ["SWARMFORGE_TONG_", "FARRIER_"];

/// Variables that change which programs run, what they load, or whom they trust.
const LOADERS: &[&str] = &[
    "PATH",
    "HOME",
    "SHELL",
    "ENV",
    "BASH_ENV",
    "BASHOPTS",
    "SHELLOPTS",
    "IFS",
    "PS4",
    "PROMPT_COMMAND",
    "ZDOTDIR",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "BROWSER",
    "MANPAGER",
    "LESSOPEN",
    "LESSCLOSE",
    "TMPDIR",
    "CDPATH",
    "GLOBIGNORE",
    "CLASSPATH",
    "NODE_PATH",
    "PERL5LIB",
    "PERL5DB",
    "RUBYLIB",
    "GEM_PATH",
    "GEM_HOME",
    "BUNDLE_GEMFILE",
    "LUA_PATH",
    "LUA_CPATH",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "MAKEFLAGS",
    "CC",
    "CXX",
    "LOCPATH",
    "NLSPATH",
    "HOSTALIASES",
    "RESOLV_HOST_CONF",
    "KUBECONFIG",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "ftp_proxy",
    "no_proxy",
    "PSModulePath",
    "TERMINFO",
    "TERMCAP",
    "GCONV_PATH",
    "CURL_HOME",
    "WGETRC",
    "NETRC",
];
/// What the names of such variables begin with.
const LOADER_PREFIXES: &[&str] = &[
    "LD_",
    "DYLD_",
    "GIT_",
    "PYTHON",
    "BASH_FUNC_",
    "XDG_",
    "CARGO_",
    "RUSTUP_",
    "NPM_CONFIG_",
    "YARN_",
    "PIP_",
    "UV_",
    "SSH_",
    "DOCKER_",
    "GNUPG",
    "MALLOC_",
    "GLIBC_",
    "DOTNET_",
    "CORECLR_",
    "COMPlus_",
];
/// What they end with.
const LOADER_SUFFIXES: &[&str] = &[
    "_OPTIONS",
    "_OPTS",
    "OPT",
    "FLAGS",
    "_CA_BUNDLE",
    "_CA_CERTS",
    "_CERT_FILE",
    "_CERT_DIR",
    "_PROXY",
    "_PRELOAD",
];

/// Reads `harness.env`.
pub fn decode(
    table: Table<'_>,
    interface: &Decoded,
    container: &ContainerKeys,
    layer: Layer,
    reader: &mut Reader<'_>,
) -> BTreeMap<String, Template> {
    let mut found = BTreeMap::new();
    let Some(node) = table.get("harness") else { return found };
    let Some(harness) = reader.table(node, "harness", schema::Harness::KEYS, table.key_span("harness"))
    else {
        return found;
    };
    let Some(node) = harness.get("env") else { return found };
    let hint = "Write names with their values: `harness.env = { URL = \"http://{host}:{port}\" }`.";
    let Some(env) = Table::of(node) else {
        reader.wrong("harness.env", "a table", node, hint);
        return found;
    };
    for entry in env.entries() {
        let field = format!("harness.env.{}", entry.key);
        if let Some(problem) = refused_name(&entry.key, layer) {
            reader.report(problem, &entry.key_span);
            continue;
        }
        let Some(scalar) = entry.value.scalar() else {
            reader.wrong(&field, "a single value", &entry.value, "A variable has one text value.");
            continue;
        };
        if scalar.text.contains(char::is_control) {
            let message = format!("`{field}` contains a line break or another control character");
            let problem = Problem::error(Code::InvalidValue, message);
            reader.report(problem.hint("Write it as one line of text."), &entry.value.span);
            continue;
        }
        match Template::parse(&scalar.text).and_then(|template| checked(template, interface, container)) {
            Ok(template) => drop(found.insert(entry.key.clone(), template)),
            Err(reason) => {
                let message = format!("`{field}` cannot be filled: {reason}");
                let hint =
                    "Write `{host}`, `{port}`, `{port.NAME}` of `interface.ports`, or `{env.NAME}` of `env`.";
                reader.report(Problem::error(Code::InvalidValue, message).hint(hint), &entry.value.span);
            }
        }
    }
    found
}

/// Whether everything is there that a template names.
fn checked(template: Template, interface: &Decoded, container: &ContainerKeys) -> Result<Template, String> {
    for part in template.parts() {
        match (part, &interface.value) {
            (Part::Host | Part::Port, _) if interface.has_port == Some(false) => {
                return Err("the sidecar has no port".to_owned());
            }
            (Part::NamedPort(name), Some(Interface::Port { ports, .. })) if !ports.contains_key(name) => {
                return Err(format!("`interface.ports` has no `{name}`"));
            }
            (Part::NamedPort(name), Some(interface)) if !matches!(interface, Interface::Port { .. }) => {
                return Err(format!("there is no port `{name}`"));
            }
            // What files set is known only once they are read.
            (Part::Variable(name), _)
                if container.env_file.is_empty() && !container.env.contains_key(name) =>
            {
                return Err(format!("`env` does not set `{name}`"));
            }
            _ => {}
        }
    }
    Ok(template)
}

fn refused_name(name: &str, layer: Layer) -> Option<Problem> {
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name {
        let message = format!("`{name}` cannot be the name of a variable for the harness");
        return Some(Problem::error(Code::InvalidValue, message).hint("Use letters, digits and `_`."));
    }
    if TAKEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        let message = format!("`{name}` is one of the variables by which farrier tells of sidecars");
        return Some(Problem::error(Code::InvalidValue, message).hint("Choose another name."));
    }
    if layer.is_trusted() || !changes_programs(name) {
        return None;
    }
    let message = format!(
        "a workspace definition may not set `{name}`, which can change which programs the harness runs or trusts"
    );
    Some(
        Problem::error(Code::InvalidValue, message)
            .hint("Choose another name, or move the definition to a trusted layer."),
    )
}

/// Whether a variable may change how programs are found, loaded or configured.
fn changes_programs(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    LOADERS.iter().any(|loader| loader.eq_ignore_ascii_case(name))
        || LOADER_PREFIXES.iter().any(|prefix| upper.starts_with(&prefix.to_ascii_uppercase()))
        || LOADER_SUFFIXES.iter().any(|suffix| upper.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_loads_programs_is_known_by_its_name() {
        for name in [
            "PATH",
            "LD_PRELOAD",
            "DYLD_INSERT_LIBRARIES",
            "NODE_OPTIONS",
            "JAVA_TOOL_OPTIONS",
            "_JAVA_OPTIONS",
            "BASH_ENV",
            "GIT_SSH_COMMAND",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "PERL5OPT",
            "RUBYOPT",
            "HTTPS_PROXY",
            "https_proxy",
            "SSL_CERT_FILE",
            "NODE_EXTRA_CA_CERTS",
            "RUSTFLAGS",
            "npm_config_registry",
            "SSH_ASKPASS",
            "DOCKER_HOST",
            "GOFLAGS",
            "JAVA_OPTS",
        ] {
            assert!(changes_programs(name), "{name}");
            assert!(
                refused_name(name, Layer::Workspace).is_some() && refused_name(name, Layer::User).is_none(),
                "{name}"
            );
        }
        for name in [
            "DATABASE_URL",
            "REDIS_URL",
            "PGHOST",
            "PGPASSWORD",
            "AWS_ENDPOINT_URL",
            "API_KEY",
            "POSTGRES_PORT",
        ] {
            assert!(refused_name(name, Layer::Workspace).is_none(), "{name}");
        }
        for name in ["", "1A", "A-B", "A=B", "Ä", "FARRIER_X", "SWARMFORGE_TONG_DB_HOST"] {
            assert!(refused_name(name, Layer::User).is_some(), "{name}");
        }
    }
}
