//! Names that a container harness gives itself, which its own resolver answers with its own address: a sidecar of the
//! same name could not be reached.

use super::argv::DockerRun;
use super::network_mode::{self, NetworkMode};
use crate::definition::Definition;
use crate::report::error::{Code, Problem};

/// A name that means something else to the harness than to the network, and the option that says so.
struct OwnName {
    option: &'static str,
    name: String,
}

/// One problem for each sidecar that the harness would not reach by its name.
#[must_use]
pub fn collisions<'a>(
    run: &DockerRun,
    definitions: impl IntoIterator<Item = &'a Definition>,
) -> Vec<Problem> {
    // On the host's network nothing is reached by name.
    if matches!(run.network(), NetworkMode::Host) {
        return Vec::new();
    }
    let own = own_names(run);
    let collision = |definition: &Definition| {
        let aliases = definition.aliases();
        let found = own.iter().find(|own| aliases.iter().any(|alias| is_same(alias, &own.name)))?;
        let OwnName { option, name } = found;
        let message = format!(
            "the harness's `{option}` takes the name `{name}`, by which the harness must reach the sidecar `{}`",
            definition.name
        );
        let problem = Problem::error(Code::AliasTaken, message).of(definition.name.clone());
        Some(problem.hint(format!("Give the harness another name with `{option}`, or leave `{option}` out.")))
    };
    definitions.into_iter().filter_map(collision).collect()
}

/// As name servers compare: without regard to case and to a dot at the end.
fn is_same(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    plain(one) == plain(other)
}

fn own_names(run: &DockerRun) -> Vec<OwnName> {
    let last = |option: &str| run.values(option).next_back().and_then(|value| value.to_str());
    let all = |option: &'static str| run.values(option).filter_map(|value| value.to_str());
    let mut names: Vec<OwnName> = Vec::new();
    let mut add = |option: &'static str, name: &str| names.push(OwnName { option, name: name.to_owned() });
    if let Some(name) = last("name") {
        add("--name", name.strip_prefix('/').unwrap_or(name));
    }
    all("network-alias").for_each(|alias| add("--network-alias", alias));
    let client = run.connection().client;
    all("network")
        .flat_map(|value| network_mode::aliases(client, value))
        .for_each(|alias| add("--network", &alias));
    if let Some(host) = last("hostname") {
        // Docker writes the whole name and its first part to /etc/hosts.
        let domain = last("domainname").filter(|domain| !domain.is_empty());
        add("--hostname", &domain.map_or_else(|| host.to_owned(), |domain| format!("{host}.{domain}")));
        add("--hostname", host.split('.').next().unwrap_or_default());
    }
    for link in all("link") {
        add("--link", link.split_once(':').map_or(link, |(_, alias)| alias));
    }
    for host in all("add-host") {
        // Podman takes several, with a semicolon between them.
        let hosts = host.split([':', '=']).next().unwrap_or_default();
        hosts.split(';').for_each(|host| add("--add-host", host));
    }
    names
}

/// Refuses `--link` if farrier would put the harness on a network of its own: links of the default bridge, which is
/// meant then, do not reach there.
#[must_use]
pub fn link_refusal(run: &DockerRun) -> Option<Problem> {
    let link = run.values("link").next().filter(|_| matches!(run.network(), NetworkMode::Unset))?;
    let link = link.to_string_lossy();
    let target = link.split(':').next().unwrap_or_default();
    let message = format!(
        "the harness's `--link {link}` works on Docker's default bridge only, and farrier adds another network"
    );
    Some(
        Problem::error(Code::NetworkUnusable, message)
            .hint(format!(
                "Put both on a network of your own: `docker network create NAME`, `docker network connect NAME \
                 {target}`, and give the harness `--network NAME` beside `--link`."
            ))
            .hint("Or leave `--link` out if the harness does not need that container."),
    )
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use crate::harness::argv::{Harness, parse};

    use super::*;

    fn run_of(options: &[&str]) -> DockerRun {
        of_client("docker", options)
    }

    fn of_client(client: &str, options: &[&str]) -> DockerRun {
        let words = [&[client, "run"], options, &["x"]].concat();
        let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
        match parse(&words) {
            Ok(Harness::Docker(run)) => *run,
            other => panic!("{options:?}: {other:?}"),
        }
    }

    #[test]
    fn every_spelling_of_a_name_of_its_own_is_read() {
        for (options, expected) in [
            (&["--name", "db"] as &[&str], &["db"] as &[&str]),
            (&["--name=db"], &["db"]),
            (&["--name", "/db"], &["db"]),
            (&["--name", "a", "--name", "db"], &["db"]),
            (&["--network-alias", "a", "--net-alias=b"], &["a", "b"]),
            (&["--network", "name=n,alias=a,alias=b"], &["a", "b"]),
            (&["--net=name=n,Alias=a"], &["a"]),
            (&["--network", "n"], &[]),
            (&["-h", "db"], &["db", "db"]),
            (&["-hdb"], &["db", "db"]),
            (&["-h=db.example.com"], &["db.example.com", "db"]),
            (&["--hostname", "db", "--domainname", "example"], &["db.example", "db"]),
            (&["--link", "other:db", "--link", "plain"], &["db", "plain"]),
            (&["--add-host", "db:1.2.3.4", "--add-host=v6=[::1]"], &["db", "v6"]),
            (&[], &[]),
        ] {
            let names: Vec<String> = own_names(&run_of(options)).into_iter().map(|own| own.name).collect();
            assert_eq!(names, expected, "{options:?}");
        }
    }

    #[test]
    fn podman_writes_aliases_behind_the_network() {
        let run = of_client(
            "podman",
            &["--network", "n:alias=a,ip=10.0.0.2,alias=b", "--network=m", "--add-host", "c;d:10.0.0.3"],
        );
        let names: Vec<String> = own_names(&run).into_iter().map(|own| own.name).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
    }

    #[test]
    fn names_are_compared_as_name_servers_do() {
        assert!(is_same("db", "DB") && is_same("db", "Db.") && !is_same("db", "dbs"));
    }

    #[test]
    fn a_link_is_refused_only_where_farrier_adds_the_network() {
        assert!(link_refusal(&run_of(&["--link", "other"])).is_some());
        assert!(link_refusal(&run_of(&["--link=other:o", "--network", "n"])).is_none());
        assert!(link_refusal(&run_of(&[])).is_none());
    }
}
