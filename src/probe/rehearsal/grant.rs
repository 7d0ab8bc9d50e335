//! Grants as they are written on a command line, each with what answers in the container's place.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::engine::HealthStatus;

/// A place in the network by name and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an address, an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

impl Address {
    /// The first address that this host knows for it; none where it knows none.
    pub async fn resolve(&self) -> Option<SocketAddr> {
        tokio::net::lookup_host((self.host.as_str(), self.port)).await.ok()?.next()
    }
}

/// Reads `HOST:PORT`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_address(text: &str) -> Result<Address, String> {
    let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("`{text}` names no port"))?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() {
        return Err(format!("`{text}` names no host"));
    }
    match port.parse::<u16>() {
        Ok(port) if port != 0 => Ok(Address { host: host.to_owned(), port }),
        _ => Err(format!("the port of `{text}` is not a whole number from 1 to 65535")),
    }
}

/// Everything that was granted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rehearsed {
    /// What the probe may dial, and where that is.
    pub places: Vec<(Address, Address)>,
    /// What it may run; nothing runs it.
    pub commands: Vec<Vec<String>>,
    /// The health that it reads: none where the container has no health test.
    pub health: Option<Option<HealthStatus>>,
    /// Variables of the definition's own environment.
    pub environment: Vec<(String, String)>,
    /// The file whose lines are the container's log.
    pub logs: Option<PathBuf>,
}

impl Rehearsed {
    /// Reads the options; without any that says what may be dialled it is the target.
    ///
    /// # Errors
    /// The first option that cannot be understood, and why.
    pub fn parse(options: &[String], target: &Address) -> Result<Self, String> {
        let mut granted = Self::default();
        for option in options {
            granted.add(option, target).map_err(|reason| format!("`--grant {option}`: {reason}"))?;
        }
        if granted.places.is_empty() {
            granted.places.push((target.clone(), target.clone()));
        }
        Ok(granted)
    }

    fn add(&mut self, option: &str, target: &Address) -> Result<(), String> {
        match option.split_once('=') {
            Some(("dial", place)) => self.places.push(dial(place, target)?),
            Some(("logs", file)) if !file.is_empty() => self.logs = Some(PathBuf::from(file)),
            Some(("health", status)) => self.health = Some(health(status)?),
            Some(("env", variable)) => {
                let (name, value) = variable.split_once('=').ok_or("write env=NAME=VALUE")?;
                self.environment.push((name.to_owned(), value.to_owned()));
            }
            Some(("exec", command)) => {
                let words: Vec<String> = serde_json::from_str(command)
                    .map_err(|_| "write the whole command as a JSON list of strings".to_owned())?;
                self.commands.push(words);
            }
            _ => {
                return Err(
                    "write dial=…, logs=FILE, health=STATUS, env=NAME=VALUE or exec=[\"command\"]".to_owned()
                );
            }
        }
        Ok(())
    }

    /// The interfaces that this covers.
    #[must_use]
    pub fn interfaces(&self) -> Vec<&'static str> {
        let mut names = vec!["dial"];
        names.extend((!self.commands.is_empty()).then_some("exec"));
        names.extend(self.health.is_some().then_some("health"));
        names.extend(self.logs.is_some().then_some("logs"));
        names
    }
}

/// What is dialled, and where it is: `self`, `self:PORT`, `HOST:PORT`, `NAME:PORT=HOST:PORT`.
fn dial(place: &str, target: &Address) -> Result<(Address, Address), String> {
    if place == "self" {
        return Ok((target.clone(), target.clone()));
    }
    if let Some((name, address)) = place.split_once('=') {
        return Ok((parse_address(name)?, parse_address(address)?));
    }
    let mut named = parse_address(place)?;
    if named.host == "self" {
        named.host.clone_from(&target.host);
    }
    Ok((named.clone(), named))
}

fn health(status: &str) -> Result<Option<HealthStatus>, String> {
    match status {
        "starting" => Ok(Some(HealthStatus::Starting)),
        "healthy" => Ok(Some(HealthStatus::Healthy)),
        "unhealthy" => Ok(Some(HealthStatus::Unhealthy)),
        "none" => Ok(None),
        _ => Err("the status is starting, healthy, unhealthy or none".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, port: u16) -> Address {
        Address { host: host.to_owned(), port }
    }

    #[test]
    fn places() {
        let target = address("db", 5432);
        let table = [
            ("self", (target.clone(), target.clone())),
            ("self:9090", (address("db", 9090), address("db", 9090))),
            ("[::1]:80", (address("::1", 80), address("::1", 80))),
            ("cache:6379=127.0.0.1:16379", (address("cache", 6379), address("127.0.0.1", 16379))),
        ];
        for (text, expected) in table {
            assert_eq!(dial(text, &target), Ok(expected), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let target = address("db", 5432);
        for (option, expected) in [
            ("dial=db", "`--grant dial=db`: `db` names no port"),
            ("dial=db:0", "`--grant dial=db:0`: the port of `db:0` is not a whole number from 1 to 65535"),
            ("dial=:80", "`--grant dial=:80`: `:80` names no host"),
            ("health=well", "`--grant health=well`: the status is starting, healthy, unhealthy or none"),
            (
                "exec=pg_isready",
                "`--grant exec=pg_isready`: write the whole command as a JSON list of strings",
            ),
            (
                "logs",
                "`--grant logs`: write dial=…, logs=FILE, health=STATUS, env=NAME=VALUE or exec=[\"command\"]",
            ),
        ] {
            assert_eq!(Rehearsed::parse(&[option.to_owned()], &target), Err(expected.to_owned()));
        }
    }
}
