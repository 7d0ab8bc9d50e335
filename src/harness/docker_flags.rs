//! The options of `docker`, `docker run` and `docker create`: what a reader of their argument lists has to
//! know.
//!
//! From the sources and the help of the docker command line 20.10 to 28, including what its help hides
//! (aliases, options for newer engines, options for Windows containers). A test compares the tables with the
//! help of the docker that is installed, which is how they stay true.

/// One option.
#[derive(Debug, PartialEq, Eq)]
pub struct Flag {
    /// The long name, without dashes.
    pub long: &'static str,
    /// The letter after one dash.
    pub short: Option<u8>,
    /// Whether it has a value; a switch has none, except attached with `=`.
    pub takes_value: bool,
    /// The long name that its occurrences count as: an older spelling names the current one.
    pub canonical: &'static str,
    /// Whether `docker run` has it and `docker create` has not.
    pub only_run: bool,
}

impl Flag {
    /// With a letter.
    #[must_use]
    pub const fn letter(self, short: u8) -> Self {
        Self { short: Some(short), ..self }
    }

    /// As an older spelling of another option.
    #[must_use]
    pub const fn same_as(self, canonical: &'static str) -> Self {
        Self { canonical, ..self }
    }

    /// As an option that `create` does not have.
    #[must_use]
    pub const fn only_run(self) -> Self {
        Self { only_run: true, ..self }
    }
}

/// An option with a value.
#[must_use]
pub const fn value(long: &'static str) -> Flag {
    Flag { long, short: None, takes_value: true, canonical: long, only_run: false }
}

/// An option without one.
#[must_use]
pub const fn switch(long: &'static str) -> Flag {
    Flag { takes_value: false, ..value(long) }
}

/// The options that stand between `docker` and its first word.
pub static GLOBAL: &[Flag] = &[
    value("config"),
    value("context").letter(b'c'),
    switch("debug").letter(b'D'),
    switch("help").letter(b'h'),
    value("host").letter(b'H'),
    value("log-level").letter(b'l'),
    switch("tls"),
    value("tlscacert"),
    value("tlscert"),
    value("tlskey"),
    switch("tlsverify"),
    switch("version").letter(b'v'),
];

/// The options that stand between `run` or `create` and the image.
pub static CONTAINER: &[Flag] = &[
    value("add-host"),
    value("annotation"),
    value("attach").letter(b'a'),
    value("blkio-weight"),
    value("blkio-weight-device"),
    value("cap-add"),
    value("cap-drop"),
    value("cgroup-parent"),
    value("cgroupns"),
    value("cidfile"),
    value("cpu-count"),
    value("cpu-percent"),
    value("cpu-period"),
    value("cpu-quota"),
    value("cpu-rt-period"),
    value("cpu-rt-runtime"),
    value("cpu-shares").letter(b'c'),
    value("cpus"),
    value("cpuset-cpus"),
    value("cpuset-mems"),
    switch("detach").letter(b'd').only_run(),
    value("detach-keys").only_run(),
    value("device"),
    value("device-cgroup-rule"),
    value("device-read-bps"),
    value("device-read-iops"),
    value("device-write-bps"),
    value("device-write-iops"),
    switch("disable-content-trust"),
    value("dns"),
    value("dns-opt").same_as("dns-option"),
    value("dns-option"),
    value("dns-search"),
    value("domainname"),
    value("entrypoint"),
    value("env").letter(b'e'),
    value("env-file"),
    value("expose"),
    value("gpus"),
    value("group-add"),
    value("health-cmd"),
    value("health-interval"),
    value("health-retries"),
    value("health-start-interval"),
    value("health-start-period"),
    value("health-timeout"),
    switch("help"),
    value("hostname").letter(b'h'),
    switch("init"),
    switch("interactive").letter(b'i'),
    value("io-maxbandwidth"),
    value("io-maxiops"),
    value("ip"),
    value("ip6"),
    value("ipc"),
    value("isolation"),
    value("kernel-memory"),
    value("label").letter(b'l'),
    value("label-file"),
    value("link"),
    value("link-local-ip"),
    value("log-driver"),
    value("log-opt"),
    value("mac-address"),
    value("memory").letter(b'm'),
    value("memory-reservation"),
    value("memory-swap"),
    value("memory-swappiness"),
    value("mount"),
    value("name"),
    value("net").same_as("network"),
    value("net-alias").same_as("network-alias"),
    value("network"),
    value("network-alias"),
    switch("no-healthcheck"),
    switch("oom-kill-disable"),
    value("oom-score-adj"),
    value("pid"),
    value("pids-limit"),
    value("platform"),
    switch("privileged"),
    value("publish").letter(b'p'),
    switch("publish-all").letter(b'P'),
    value("pull"),
    switch("quiet").letter(b'q'),
    switch("read-only"),
    value("restart"),
    switch("rm"),
    value("runtime"),
    value("security-opt"),
    value("shm-size"),
    switch("sig-proxy").only_run(),
    value("stop-signal"),
    value("stop-timeout"),
    value("storage-opt"),
    value("sysctl"),
    value("tmpfs"),
    switch("tty").letter(b't'),
    value("ulimit"),
    switch("use-api-socket"),
    value("user").letter(b'u'),
    value("userns"),
    value("uts"),
    value("volume").letter(b'v'),
    value("volume-driver"),
    value("volumes-from"),
    value("workdir").letter(b'w'),
];

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashSet;
    use std::process::Command;

    use super::{CONTAINER, Flag, GLOBAL};

    /// The help of the installed client for these words; `None` if it is not installed.
    fn help(client: &str, words: &[&str]) -> Option<String> {
        let output = Command::new(client).args(words).arg("--help").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(text)
    }

    /// Letter, long name and whether a value's type stands behind it, as in `  -e, --env list   Set …`.
    fn option_of_line(line: &str) -> Option<(Option<u8>, String, bool)> {
        let trimmed = line.trim_start();
        let (short, rest) = match trimmed.as_bytes() {
            [b'-', letter, b',', ..] if *letter != b'-' => (Some(*letter), trimmed.get(4..)?),
            _ => (None, trimmed),
        };
        let usage = rest.strip_prefix("--")?;
        let name = usage.split_whitespace().next()?;
        // The description is at least two spaces away, a value's type exactly one.
        let behind = usage.get(name.len()..)?;
        let takes_value = behind.starts_with(' ') && !behind.starts_with("  ");
        Some((short, name.to_owned(), takes_value))
    }

    pub fn compare(client: &str, words: &[&str], table: &[Flag], is_create: bool) {
        let command = [&[client], words].concat().join(" ");
        let Some(help) = help(client, words) else {
            eprintln!("`{client}` is not installed: `{command}` is not compared");
            return;
        };
        let listed: Vec<_> = help.lines().filter_map(option_of_line).collect();
        assert!(listed.len() >= 10, "only {} options were read from the help: {help}", listed.len());
        for (short, long, takes_value) in listed {
            let Some(flag) = table.iter().find(|flag| flag.long == long) else {
                panic!("`{command}` has --{long}, which the table lacks");
            };
            assert_eq!(flag.short, short, "the letter of --{long}");
            assert_eq!(flag.takes_value, takes_value, "whether --{long} takes a value");
            assert!(!(is_create && flag.only_run), "`{command}` has --{long} too");
        }
    }

    #[test]
    fn the_installed_docker_run_has_no_other_option() {
        compare("docker", &["run"], CONTAINER, false);
    }

    #[test]
    fn the_installed_docker_create_has_no_other_option() {
        compare("docker", &["create"], CONTAINER, true);
    }

    #[test]
    fn the_installed_docker_has_no_other_global_option() {
        compare("docker", &[], GLOBAL, false);
    }

    #[test]
    fn names_and_letters_are_unique_and_sorted() {
        is_in_order(&[GLOBAL, CONTAINER]);
    }

    pub fn is_in_order(tables: &[&[Flag]]) {
        for table in tables {
            assert!(table.iter().map(|flag| flag.long).is_sorted(), "the table is sorted by name");
            let names: HashSet<_> = table.iter().map(|flag| flag.long).collect();
            assert_eq!(names.len(), table.len());
            let letters: Vec<_> = table.iter().filter_map(|flag| flag.short).collect();
            assert_eq!(letters.iter().collect::<HashSet<_>>().len(), letters.len());
            for flag in *table {
                let canonical = table.iter().find(|other| other.long == flag.canonical);
                assert_eq!(canonical.map(|other| other.takes_value), Some(flag.takes_value), "{}", flag.long);
            }
        }
    }
}
