//! The proxies of docker's client configuration, which the docker client and compose hand to each container that they
//! create. Their URLs may hold passwords: nothing here is ever printed.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::engine::address::EngineAddress;

/// The entry that is for every engine without one of its own.
const DEFAULT: &str = "default";

/// What each container gets.
#[derive(Clone, Default)]
pub struct Proxies(Entry);

#[derive(Deserialize)]
struct ClientConfig {
    #[serde(default)]
    proxies: BTreeMap<String, Entry>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Entry {
    #[serde(rename = "httpProxy")]
    http: String,
    #[serde(rename = "httpsProxy")]
    https: String,
    #[serde(rename = "noProxy")]
    no: String,
    #[serde(rename = "ftpProxy")]
    ftp: String,
    #[serde(rename = "allProxy")]
    all: String,
}

impl Proxies {
    /// Reads those for this engine. As for the docker client, an unreadable configuration names none.
    #[must_use]
    pub fn of(address: &EngineAddress) -> Self {
        let text = std::fs::read_to_string(address.config.join("config.json")).unwrap_or_default();
        Self::read(&text, &address.host)
    }

    fn read(text: &str, host: &str) -> Self {
        let Ok(mut config) = serde_json::from_str::<ClientConfig>(text) else { return Self::default() };
        let own = config.proxies.remove(host);
        Self(own.or_else(|| config.proxies.remove(DEFAULT)).unwrap_or_default())
    }

    /// Each variable in both cases, as programs look for either.
    pub fn variables(&self) -> impl Iterator<Item = (String, String)> {
        let Entry { http, https, no, ftp, all } = &self.0;
        let variables = [
            ("HTTP_PROXY", http),
            ("HTTPS_PROXY", https),
            ("NO_PROXY", no),
            ("FTP_PROXY", ftp),
            ("ALL_PROXY", all),
        ];
        variables.into_iter().filter(|(_, value)| !value.is_empty()).flat_map(|(name, value)| {
            [(name.to_owned(), value.clone()), (name.to_lowercase(), value.clone())]
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
            ("not JSON", "tcp://engine:2375", &[]),
            ("", "tcp://engine:2375", &[]),
        ] {
            let found: Vec<(String, String)> = Proxies::read(text, host).variables().collect();
            let found: Vec<(&str, &str)> =
                found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(found, expected, "{text} {host}");
        }
    }
}
