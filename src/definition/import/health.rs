//! A service's health test as readiness.

use serde_json::{Map, Value as Json};

use super::writing::{string, text, texts, words};
use crate::definition::duration;
use crate::definition::known_images::KnownImage;

/// How long a wait lasts if nothing longer follows from the test.
const SHORTEST_SECONDS: u64 = 60;

/// What a health test asks, in the words of a built-in probe.
pub struct Asked {
    probe: &'static str,
    /// As TOML; empty if its defaults fit.
    settings: String,
    /// Where it asks.
    pub port: u16,
}

/// The built-in probe that asks what a service's health test asks, if there is one.
pub fn well_known(service: &Map<String, Json>, name: &str) -> Option<Asked> {
    let test = service.get("healthcheck").and_then(Json::as_object).filter(|test| !is_off(test))?;
    asked(&command(test.get("test")?).join(" "), name)
}

/// Reads the commands that health tests mostly are. One that says more, such as a password or a header, stays a command.
fn asked(script: &str, own: &str) -> Option<Asked> {
    let script = script.trim().trim_start_matches("/bin/sh -c ").trim_matches('"');
    let script = ["|| exit 1", "|| kill 1", "|| false"]
        .iter()
        .fold(script, |script, end| script.trim_end().strip_suffix(end).unwrap_or(script));
    let words: Vec<&str> = script.split_whitespace().collect();
    if script.contains(['|', ';', '`', '<', '>']) || script.contains("$(") || words.contains(&"&&") {
        return None;
    }
    let program = words.first()?.rsplit('/').next()?;
    let has = |word: &str| words.contains(&word);
    let plain = |probe, port| Some(Asked { probe, settings: String::new(), port });
    let flag = |names: &[&str]| words.iter().any(|word| names.iter().any(|name| word.starts_with(name)));
    match program {
        "pg_isready" if !flag(&["-h", "--host"]) || has("localhost") || has("127.0.0.1") => {
            let port =
                words.iter().position(|word| *word == "-p").and_then(|at| words.get(at + 1)?.parse().ok());
            plain("postgres", port.unwrap_or(5432))
        }
        "redis-cli" | "valkey-cli" if has("ping") || has("PING") => {
            // A password is the probe's to know: the command has it.
            if flag(&["-a", "--pass", "--tls", "--user"]) { None } else { plain("redis", 6379) }
        }
        "mysqladmin" | "mariadb-admin" if has("ping") => plain("mysql", 3306),
        "rabbitmq-diagnostics" | "rabbitmqctl"
            if ["ping", "status", "check_running", "check_port_connectivity"].into_iter().any(has) =>
        {
            plain("amqp", 5672)
        }
        "healthcheck.sh" if has("--connect") || has("--innodb_initialized") => plain("mysql", 3306),
        "nc" if has("-z") || has("-vz") || has("-zv") => plain("tcp", words.last()?.parse().ok()?),
        "curl"
            if !flag(&[
                "-H",
                "--header",
                "-u",
                "--user",
                "-X",
                "--request",
                "-d",
                "--data",
                "-k",
                "--insecure",
            ]) =>
        {
            page(&words, own)
        }
        "wget" if !flag(&["--header", "--user", "--post", "--no-check-certificate"]) => page(&words, own),
        _ => None,
    }
}

/// A page of this container's own server, which it may call by the service's name.
fn page(words: &[&str], own: &str) -> Option<Asked> {
    let is_url =
        |word: &&&str| word.trim_matches(['"', '\'']).contains("://") || word.starts_with("localhost");
    let mut urls = words.iter().filter(is_url);
    let (url, None) = (urls.next()?.trim_matches(['"', '\'']), urls.next()) else { return None };
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("localhost").map(|_| url))?;
    let (place, path) = rest.split_once('/').map_or((rest, ""), |(place, path)| (place, path));
    let (host, port) = place.rsplit_once(':').unwrap_or((place, "80"));
    if !["localhost", "127.0.0.1", "0.0.0.0", "[::1]", own].contains(&host) || path.contains('$') {
        return None;
    }
    let path = format!("/{path}");
    let settings = if path == "/" { String::new() } else { format!("{{ path = {} }}", string(&path)) };
    Some(Asked { probe: "http", settings, port: port.parse().ok()? })
}

fn is_off(test: &Map<String, Json>) -> bool {
    let words = test.get("test").and_then(texts).unwrap_or_default();
    test.get("disable") == Some(&true.into()) || words.first().is_some_and(|word| word == "NONE")
}

/// The lines of `[readiness]`, and in words what became of the test.
pub fn readiness(
    service: &Map<String, Json>,
    known: Option<&KnownImage>,
    asked: Option<&Asked>,
    port: Option<u16>,
) -> (String, String) {
    let has_port = port.is_some();
    let test = service.get("healthcheck").and_then(Json::as_object);
    let is_off = test.is_some_and(is_off);
    let asked = asked.filter(|asked| Some(asked.port) == port);
    let timeout = test.map_or(SHORTEST_SECONDS, seconds).max(SHORTEST_SECONDS);
    let mut lines = String::new();
    let told = match (known.filter(|known| has_port && known.probe != "tcp"), test.filter(|_| !is_off)) {
        (Some(known), _) => {
            lines.push_str(&format!("probe = {}\n", string(known.probe)));
            if !known.settings.is_empty() {
                lines.push_str(&format!("settings = {}\n", known.settings));
            }
            format!("readiness.probe = {}", string(known.probe))
        }
        (None, Some(_)) if asked.is_some() => {
            let (probe, settings) = asked.map_or(("tcp", ""), |asked| (asked.probe, asked.settings.as_str()));
            lines.push_str(&format!("probe = {}\n", string(probe)));
            if !settings.is_empty() {
                lines.push_str(&format!("settings = {settings}\n"));
            }
            format!("readiness.probe = {}", string(probe))
        }
        (None, Some(test)) if test.contains_key("test") => {
            let test = command(test.get("test").unwrap_or(&Json::Null));
            lines.push_str(&format!("probe = \"exec\"\ncommand = {}\n", words(&test)));
            "readiness.command".to_owned()
        }
        (None, Some(_)) => {
            lines.push_str("probe = \"healthcheck\"\n");
            "readiness.probe = \"healthcheck\"".to_owned()
        }
        (None, None) => {
            let probe = if has_port { "tcp" } else { "skip" };
            lines.push_str(&format!("probe = {}\n", string(probe)));
            format!("readiness.probe = {}", string(probe))
        }
    };
    lines.push_str(&format!("timeout = \"{timeout}s\"\n"));
    (lines, told)
}

/// The test's words: `CMD` executes them, everything else is a shell's.
fn command(test: &Json) -> Vec<String> {
    let shell = |script: String| vec!["/bin/sh".to_owned(), "-c".to_owned(), script];
    match test {
        Json::Array(items) => {
            let words: Vec<String> = items.iter().filter_map(text).collect();
            match words.split_first() {
                Some((kind, rest)) if kind == "CMD" => rest.to_vec(),
                Some((kind, rest)) if kind == "CMD-SHELL" => shell(rest.join(" ")),
                _ => words,
            }
        }
        single => shell(text(single).unwrap_or_default()),
    }
}

/// How long compose would wait until the test has failed for good.
fn seconds(test: &Map<String, Json>) -> u64 {
    let of = |key: &str, otherwise: u64| {
        let parsed = test.get(key).and_then(text).and_then(|text| duration::parse(&text).ok());
        parsed.map_or(otherwise, |duration| duration.as_secs())
    };
    let retries = test.get("retries").and_then(Json::as_u64).unwrap_or(3);
    of("start_period", 0).saturating_add(of("interval", 30).max(1).saturating_mul(retries)).min(3_600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tests_mostly_are_is_a_built_in_probe() {
        for (script, expected) in [
            ("pg_isready -U postgres -d app", Some(("postgres", "", 5432))),
            ("pg_isready -U $POSTGRES_USER -h localhost -p 5433", Some(("postgres", "", 5433))),
            ("pg_isready -h other", None),
            ("redis-cli ping", Some(("redis", "", 6379))),
            ("redis-cli ping || exit 1", Some(("redis", "", 6379))),
            ("redis-cli -a secret ping", None),
            ("redis-cli ping | grep PONG", None),
            ("valkey-cli --raw ping", Some(("redis", "", 6379))),
            ("mysqladmin ping -h localhost", Some(("mysql", "", 3306))),
            ("healthcheck.sh --connect --innodb_initialized", Some(("mysql", "", 3306))),
            ("rabbitmq-diagnostics -q ping", Some(("amqp", "", 5672))),
            ("rabbitmq-diagnostics check_port_connectivity", Some(("amqp", "", 5672))),
            ("rabbitmqctl status", Some(("amqp", "", 5672))),
            ("rabbitmq-diagnostics check_local_alarms", None),
            ("nc -z localhost 9092", Some(("tcp", "", 9092))),
            ("curl -f http://localhost:8080/health", Some(("http", "{ path = \"/health\" }", 8080))),
            ("curl --fail http://127.0.0.1/ || exit 1", Some(("http", "", 80))),
            (
                "wget -q --spider http://localhost:8123/ping?a=b",
                Some(("http", "{ path = \"/ping?a=b\" }", 8123)),
            ),
            ("curl -f https://localhost:8443/", None),
            ("curl -f -u a:b http://localhost:9200/", None),
            ("curl -s http://localhost:9200 | grep green", None),
            ("curl -f http://other:80/", None),
            ("wget --spider http://web:5000/status", Some(("http", "{ path = \"/status\" }", 5000))),
            ("curl -f http://localhost:80/${PATH}", None),
            ("true", None),
            ("", None),
        ] {
            let found = asked(script, "web").map(|asked| (asked.probe, asked.settings, asked.port));
            let expected = expected.map(|(probe, settings, port)| (probe, settings.to_owned(), port));
            assert_eq!(found, expected, "{script}");
        }
    }
}
