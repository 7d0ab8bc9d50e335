//! Grants as they are written on a command line, each with what answers in the container's place.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::definition::ReadingBudget;
use crate::definition::grants::{DialGrant, Grants, TlsGrant};
use crate::definition::model::{Definition, Readiness};
use crate::plan::instance::HealthStatus;
use crate::probe::directories::DirectoryCopy;
use crate::probe::tls::{FILE_BYTES, Tls};
use crate::system::bounded_file;

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

/// What stands for the sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    /// The name and port by which the probe dials it.
    pub own: Address,
    /// Where that is.
    pub target: Address,
}

/// Everything that was granted.
#[derive(Clone, Debug, Default)]
pub struct DryGrants {
    /// What the probe may dial, and where that is.
    pub places: Vec<(Address, Address)>,
    /// How it may speak TLS: as it is granted, and what that means.
    pub tls: Option<(TlsGrant, Arc<Tls>)>,
    /// What it may run.
    pub commands: Vec<Vec<String>>,
    /// Whether this host runs it. Nothing does otherwise.
    pub runs_commands: bool,
    /// The command that its definition declares.
    pub declared: Option<Vec<String>>,
    /// The health that it reads: none where the container has no health test.
    pub health: Option<Option<HealthStatus>>,
    /// Variables of the definition's own environment.
    pub environment: Vec<(String, String)>,
    /// The file whose lines are the container's log.
    pub logs: Option<PathBuf>,
    /// What its folders hold.
    pub directories: Vec<DirectoryCopy>,
}

impl DryGrants {
    /// Reads the options. They add to the sidecar's own port.
    ///
    /// # Errors
    /// The first option that cannot be understood, and why.
    pub fn parse(options: &[String], stand: &Stand) -> Result<Self, String> {
        let mut granted = Self { places: vec![(stand.own.clone(), stand.target.clone())], ..Self::default() };
        granted.add_all(options, stand)?;
        Ok(granted)
    }

    /// Grants what a definition grants, with what the options say of it: where another sidecar is, what the log holds.
    ///
    /// # Errors
    /// An option that cannot be understood, or the ones that are missing.
    pub fn declared(
        definition: &Definition,
        readiness: &Readiness,
        grants: &Grants,
        options: &[String],
        stand: &Stand,
    ) -> Result<Self, Vec<String>> {
        let mut granted = Self::default();
        granted.add_all(options, stand).map_err(|reason| vec![reason])?;
        let mut missing = Vec::new();
        for place in &grants.dial {
            let (name, port, address) = match place {
                DialGrant::This(None) => (&stand.own.host, stand.own.port, Some(stand.target.clone())),
                DialGrant::This(Some(port)) => {
                    let host = stand.target.host.clone();
                    (&stand.own.host, *port, Some(Address { host, port: *port }))
                }
                DialGrant::Sidecar { name, port } => (name, *port, None),
            };
            let named = Address { host: name.clone(), port };
            match address {
                _ if granted.places.iter().any(|(known, _)| *known == named) => {}
                Some(address) => granted.places.push((named, address)),
                None => missing.push(format!(
                    "the definition grants `{named}`: give its address with `--grant dial={named}=HOST:PORT`"
                )),
            }
        }
        if grants.allows("health") && granted.health.is_none() {
            missing.push(
                "the definition grants `health`: choose the status with `--grant health=healthy`".to_owned(),
            );
        }
        if grants.allows("logs") && granted.logs.is_none() {
            missing.push("the definition grants `logs`: name the file with `--grant logs=FILE`".to_owned());
        }
        if let (None, Some(grant)) = (&granted.tls, &grants.tls) {
            match Tls::read(definition, grant, &ReadingBudget::default()) {
                Ok(tls) => granted.tls = Some((grant.clone(), Arc::new(tls))),
                Err(error) => missing.push(error.to_string()),
            }
        }
        for grant in &grants.dirs {
            match DirectoryCopy::read(definition, grant, &ReadingBudget::default()) {
                Ok(copy) => granted.directories.push(copy),
                Err(error) => missing.push(format!(
                    "the folder `{}` cannot be given to the probe: {error}",
                    grant.host.display()
                )),
            }
        }
        granted.commands.extend(grants.exec.iter().cloned());
        granted.declared.clone_from(&readiness.command);
        let values = grants.env.iter().filter_map(|name| definition.container.env.get_key_value(name));
        granted.environment.extend(values.map(|(name, value)| (name.clone(), value.clone())));
        if missing.is_empty() { Ok(granted) } else { Err(missing) }
    }

    /// What a definition would grant for this.
    #[must_use]
    pub fn as_grants(&self, stand: &Stand) -> Grants {
        let dial = self.places.iter().map(|(name, _)| match name {
            own if *own == stand.own => DialGrant::This(None),
            Address { host, port } if *host == stand.own.host => DialGrant::This(Some(*port)),
            Address { host, port } => DialGrant::Sidecar { name: host.clone(), port: *port },
        });
        Grants {
            dial: dial.collect(),
            tls: self.tls.as_ref().map(|(grant, _)| grant.clone()),
            exec: self.commands.clone(),
            switches: self.switches().collect(),
            dirs: Vec::new(),
            env: self.environment.iter().map(|(name, _)| name.clone()).collect(),
        }
    }

    fn add_all(&mut self, options: &[String], stand: &Stand) -> Result<(), String> {
        for option in options {
            self.add(option, stand).map_err(|reason| format!("`--grant {option}`: {reason}"))?;
        }
        Ok(())
    }

    /// Grants TLS as a definition would.
    ///
    /// # Errors
    /// If a file that the grant names cannot be used.
    pub fn add_tls(&mut self, grant: TlsGrant) -> Result<(), String> {
        let tls = Tls::of(&grant, |path| bounded_file::read(path, FILE_BYTES))
            .map_err(|error| error.to_string())?;
        self.tls = Some((grant, Arc::new(tls)));
        Ok(())
    }

    fn add(&mut self, option: &str, stand: &Stand) -> Result<(), String> {
        match option.split_once('=') {
            None if option == "tls" => self.add_tls(TlsGrant::default())?,
            Some(("tls", how)) => self.add_tls(tls(how)?)?,
            Some(("dial", place)) => self.places.push(dial(place, stand)?),
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
            Some(("dirs", _)) => {
                return Err(
                    "folders are granted by a definition: name it with `--definition FILE`".to_owned()
                );
            }
            _ => {
                return Err(
                    "write dial=…, tls, tls=insecure, tls=FILE, logs=FILE, health=STATUS, env=NAME=VALUE or exec=[\"command\"]".to_owned()
                );
            }
        }
        Ok(())
    }

    /// The switches that are on.
    fn switches(&self) -> impl Iterator<Item = &'static str> {
        let on = [("health", self.health.is_some()), ("logs", self.logs.is_some())];
        on.into_iter().filter_map(|(name, is_on)| is_on.then_some(name))
    }
}

/// What is dialled, and where it is: `self`, `self:PORT`, `HOST:PORT`, `NAME:PORT=HOST:PORT`.
fn dial(place: &str, stand: &Stand) -> Result<(Address, Address), String> {
    let own = |mut address: Address, name: &str| {
        if address.host == "self" {
            name.clone_into(&mut address.host);
        }
        address
    };
    if place == "self" {
        return Ok((stand.own.clone(), stand.target.clone()));
    }
    if let Some((name, address)) = place.split_once('=') {
        return Ok((own(parse_address(name)?, &stand.own.host), parse_address(address)?));
    }
    let named = parse_address(place)?;
    Ok((own(named.clone(), &stand.own.host), own(named, &stand.target.host)))
}

/// Whom TLS trusts: anybody, or a file of authorities. A client certificate takes a definition.
fn tls(how: &str) -> Result<TlsGrant, String> {
    match how {
        "" => Err("write tls, tls=insecure, or tls=FILE with the authorities".to_owned()),
        "insecure" => Ok(TlsGrant { insecure: true, ..TlsGrant::default() }),
        file => Ok(TlsGrant { ca: Some(Path::new(file).to_owned()), ..TlsGrant::default() }),
    }
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
#[allow(clippy::expect_used, reason = "a test")]
mod tests {
    use super::*;

    fn address(host: &str, port: u16) -> Address {
        Address { host: host.to_owned(), port }
    }

    fn stand() -> Stand {
        Stand { own: address("orders", 7000), target: address("127.0.0.1", 17000) }
    }

    #[test]
    fn places() {
        let table = [
            ("self", (address("orders", 7000), address("127.0.0.1", 17000))),
            ("self:9090", (address("orders", 9090), address("127.0.0.1", 9090))),
            ("self:9090=127.0.0.1:19090", (address("orders", 9090), address("127.0.0.1", 19090))),
            ("[::1]:80", (address("::1", 80), address("::1", 80))),
            ("cache:6379=127.0.0.1:16379", (address("cache", 6379), address("127.0.0.1", 16379))),
        ];
        for (text, expected) in table {
            assert_eq!(dial(text, &stand()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_option_adds_to_the_sidecars_own_port() {
        let granted = DryGrants::parse(&["dial=cache:1".to_owned()], &stand()).expect("they are understood");
        let names: Vec<String> = granted.places.iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["orders:7000", "cache:1"]);
    }

    #[test]
    fn every_switch_can_be_granted() {
        let options = ["logs=x", "health=none"].map(str::to_owned);
        let granted = DryGrants::parse(&options, &stand()).expect("they are understood");
        let mut all: Vec<_> = crate::definition::grants::SWITCHES.iter().map(|switch| switch.name).collect();
        all.sort_unstable();
        let mut on: Vec<_> = granted.switches().collect();
        on.sort_unstable();
        assert_eq!(on, all, "a new one needs an arm here, too");
    }

    #[test]
    fn mistakes_are_named() {
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
                "dirs=certs",
                "`--grant dirs=certs`: folders are granted by a definition: name it with `--definition FILE`",
            ),
            (
                "logs",
                "`--grant logs`: write dial=…, tls, tls=insecure, tls=FILE, logs=FILE, health=STATUS, env=NAME=VALUE or exec=[\"command\"]",
            ),
        ] {
            let told = DryGrants::parse(&[option.to_owned()], &stand()).expect_err(option);
            assert_eq!(told, expected);
        }
    }
}
