//! The proxies of docker's client configuration, which the docker client and compose hand to each container that they
//! create. Their URLs may hold passwords: nothing here is ever printed.

use serde_json::Value;

use super::address::{CONFIGURATION_BYTES, EngineAddress};
use crate::system::bounded_file;

/// The entry that is for every engine without one of its own.
const DEFAULT: &str = "default";
/// The name of each in the configuration, and of the variable in a container.
const VARIABLES: [(&str, &str); 5] = [
    ("httpProxy", "HTTP_PROXY"),
    ("httpsProxy", "HTTPS_PROXY"),
    ("noProxy", "NO_PROXY"),
    ("ftpProxy", "FTP_PROXY"),
    ("allProxy", "ALL_PROXY"),
];

/// What each container gets.
#[derive(Clone, Default)]
pub struct Proxies(Vec<(&'static str, String)>);

/// Whether this is the name of a variable that the docker client sets.
#[must_use]
pub fn is_variable(name: &str) -> bool {
    VARIABLES.iter().any(|(_, variable)| name == *variable || name == variable.to_lowercase())
}

impl Proxies {
    /// Reads those for this engine. As for the docker client, an unreadable configuration names none, and what is no
    /// text hinders nothing else.
    #[must_use]
    pub fn of(address: &EngineAddress) -> Self {
        let text =
            bounded_file::text(&address.config.join("config.json"), CONFIGURATION_BYTES).unwrap_or_default();
        Self::read(&text, &address.host)
    }

    fn read(text: &str, host: &str) -> Self {
        let config: Value = serde_json::from_str(text).unwrap_or_default();
        let entries = config.get("proxies");
        let entry = entries.and_then(|entries| entries.get(host).or_else(|| entries.get(DEFAULT)));
        let value = |key| entry.and_then(|entry| entry.get(key)?.as_str()).filter(|value| !value.is_empty());
        let given = VARIABLES.into_iter().filter_map(|(key, name)| Some((name, value(key)?.to_owned())));
        Self(given.collect())
    }

    /// Each variable in both cases, as programs look for either.
    pub fn variables(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().flat_map(|(name, value)| {
            [((*name).to_owned(), value.clone()), (name.to_lowercase(), value.clone())]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"auths": {}, "proxies": {
        "default": {"httpProxy": "http://a:3128", "noProxy": "localhost"},
        "tcp://engine:2375": {"httpsProxy": "http://b:3128"}
    }}"#;

    #[test]
    fn the_engines_own_entry_replaces_the_default_one() {
        for (text, host, expected) in [
            (
                CONFIG,
                "unix:///var/run/docker.sock",
                &[
                    ("HTTP_PROXY", "http://a:3128"),
                    ("http_proxy", "http://a:3128"),
                    ("NO_PROXY", "localhost"),
                    ("no_proxy", "localhost"),
                ][..],
            ),
            (
                CONFIG,
                "tcp://engine:2375",
                &[("HTTPS_PROXY", "http://b:3128"), ("https_proxy", "http://b:3128")],
            ),
            (r#"{"proxies": {"tcp://other:1": {"httpProxy": "x"}}}"#, "tcp://engine:2375", &[]),
            (r#"{"auths": {}}"#, "tcp://engine:2375", &[]),
            (
                r#"{"proxies": {"tcp://other:1": 5, "default": {"httpProxy": "x", "noProxy": null, "ftpProxy": 1}}}"#,
                "tcp://engine:2375",
                &[("HTTP_PROXY", "x"), ("http_proxy", "x")],
            ),
            (r#"{"proxies": ["x"]}"#, "tcp://engine:2375", &[]),
            ("not JSON", "tcp://engine:2375", &[]),
            ("", "tcp://engine:2375", &[]),
        ] {
            let found: Vec<(String, String)> = Proxies::read(text, host).variables().collect();
            let found: Vec<(&str, &str)> =
                found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(found, expected, "{text} {host}");
            assert!(found.iter().all(|(name, _)| is_variable(name)), "{found:?}");
        }
    }
}
