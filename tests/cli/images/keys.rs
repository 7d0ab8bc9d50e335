//! What a definition's keys change of a container that farrier runs itself, and what is refused.

use std::path::Path;

use super::setup::Images;
use crate::programs::setup::processes_with;
use crate::support::host_programs::with_shell;
use crate::support::{Image, PATIENT, wait_until};

/// What a shell script writes in a container with these lines in its definition.
fn script(images: &Images, lines: &str, script: &str) -> String {
    images.layout("box", &with_shell());
    images.plain(
        "box",
        &format!("{lines}\nentrypoint = ['/bin/sh', '-c', '''{script}\necho whole\nexec sleep 1000''']"),
    );
    images.farrier(["up"]).output().assert_code(0);
    images.programs.wait_for_log("box", "whole\n");
    images.programs.log("box")
}

#[test]
fn a_container_is_named_started_and_limited_as_its_definition_says() {
    let images = Images::new();
    let lines = "hostname = 'db.test'\nextra_hosts = { 'one.test' = '10.1.2.3', 'six.test' = '::7' }\nuser = '999:70'\n\
                 working_dir = '/made/here'\nulimits = { nofile = { soft = 100, hard = 200 }, core = 0 }\nlabels = { 'a.b' = 'c' }\n\
                 sysctls = { 'net.core.somaxconn' = 77, 'net.ipv4.ip_unprivileged_port_start' = 0 }\nshm_size = '1m'\ninit = true\n";
    let log = script(
        &images,
        lines,
        "pwd; id; cat /etc/hosts /etc/hostname /proc/sys/kernel/hostname; env\n\
         ulimit -Sn; ulimit -Hn; ulimit -c; cat /proc/sys/net/core/somaxconn; cat /proc/mounts",
    );
    let has = |line: &str| assert!(log.lines().any(|found| found == line), "{line}: {log}");
    for line in [
        "/made/here",
        "db.test",
        "HOSTNAME=db.test",
        "10.1.2.3\tone.test",
        "::7\tsix.test",
        "100",
        "200",
        "0",
        "77",
    ] {
        has(line);
    }
    assert!(log.contains("uid=999(svc) gid=70(extra)"), "{log}");
    let shm = log.lines().find(|line| line.starts_with("shm ")).unwrap_or_else(|| panic!("{log}"));
    assert!(shm.contains("size=1024k"), "{shm}");
    let mut lines = log.lines();
    assert!(lines.any(|line| line.contains("\tdb.test ")), "it finds itself: {log}");
}

#[test]
fn a_read_only_container_writes_to_its_mounts_only() {
    let images = Images::new();
    let log = script(
        &images,
        "read_only = true\nworking_dir = '/made'\nmounts = ['volume:data:/data', 'tmpfs:/run']",
        "pwd; for f in /x /tmp/x /etc/hosts /made/x /data/x /run/x /dev/shm/x; do (echo x > $f) 2>/dev/null && echo wrote $f; done",
    );
    let wrote: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("wrote ")).collect();
    // Its own /etc/hosts it may change, as on Docker.
    let wrote: Vec<&str> = wrote.into_iter().filter(|path| *path != "/etc/hosts").collect();
    assert_eq!(wrote, ["/data/x", "/run/x", "/dev/shm/x"], "{log}");
    assert!(log.starts_with("/made\n"), "{log}");
}

#[test]
fn capabilities_are_dropped_and_added_by_name() {
    let images = Images::new();
    let effective = |log: &str| {
        let line = log.lines().find_map(|line| line.strip_prefix("CapEff:\t")).map(str::to_owned);
        u64::from_str_radix(&line.unwrap_or_else(|| panic!("{log}")), 16).expect("a number")
    };
    let log =
        script(&images, "cap_drop = ['ALL']\ncap_add = ['CHOWN', 'CAP_IPC_LOCK']", "cat /proc/self/status");
    // CHOWN is number 0, IPC_LOCK 14.
    assert_eq!(effective(&log), 1 | (1 << 14), "{log}");
    let log = script(&images, "cap_drop = ['MKNOD']", "cat /proc/self/status");
    assert_eq!((effective(&log) & (1 << 27), effective(&log) & 1), (0, 1), "{log}");
}

/// As Docker has it.
#[test]
fn every_user_of_a_container_listens_at_every_port() {
    let images = Images::new();
    images.layout("web", &Image::new());
    images.serving("web", "web", 80, "'--reply', 'ok'", "user = '1234'");
    images.farrier(["up"]).output().assert_code(0);
}

/// A process that blocks a signal never hears its stop signal, and is killed after its grace.
#[test]
fn neither_the_program_nor_a_command_in_the_container_has_a_signal_blocked() {
    let images = Images::new();
    images.layout("box", &with_shell());
    let mask = "while read -r name mask rest; do [ $name = SigBlk: ] && echo $mask; done < /proc/self/status";
    let text = format!(
        "image = 'oci:./box'\nentrypoint = ['/bin/sh', '-c', \"\"\"{mask}\nexec sleep 1000\"\"\"]\n[interface]\nkind = 'none'\n\
         [readiness]\nprobe = 'exec'\ncommand = ['/bin/sh', '-c', '[ $({mask}) = 0000000000000000 ]']\n"
    );
    images.programs.define("box", &text);
    images.farrier(["up"]).output().assert_code(0);
    images.programs.wait_for_log("box", "0000000000000000\n");
}

#[test]
fn processes_and_processors_are_limited_and_a_bomb_of_forks_ends_with_its_container() {
    let images = Images::new();
    images.layout("box", &with_shell());
    let token = images.programs.scene.token().to_owned();
    // A shell that cannot fork ends; the first process must not.
    let bomb = "exec 2>&1; (i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i+1)); done); exec sleep 1000";
    images.plain("box", &format!(
        "resources = {{ pids = 20, cpus = 0.5 }}\nenv = {{ TOKEN = '{token}' }}\nentrypoint = ['/bin/sh', '-c', '''{bomb}''']"
    ));
    let up = images.farrier(["up"]).output();
    if up.stderr().contains("by a control group") {
        assert!(up.stderr().contains("limit processors, processes"), "{up}");
        return;
    }
    up.assert_code(0);
    images.programs.wait_for_log("box", "ork");
    assert!(processes_with("TOKEN", &token).len() <= 20);
    let id = images.sidecar("box")["id"].as_str().expect("an id").to_owned();
    let read = |path: String| std::fs::read_to_string(path).ok();
    let quota = read(format!("/sys/fs/cgroup/cpu/farrier/{id}/cpu.cfs_quota_us"));
    assert!(quota.is_none_or(|quota| quota.trim() == "50000"));
    images.farrier(["down", "--yes"]).output().assert_code(0);
    wait_until("nothing is left", PATIENT, || processes_with("TOKEN", &token).is_empty());
    for hierarchy in ["cpu", "pids", "memory"] {
        assert!(
            !Path::new("/sys/fs/cgroup").join(hierarchy).join("farrier").join(&id).exists(),
            "{hierarchy}"
        );
    }
}

#[test]
fn commands_and_health_tests_run_within_the_containers_limits() {
    let images = Images::new();
    let inside = "case \"$(cat /proc/self/cgroup)\" in */farrier/*) exit 0;; *) exit 1;; esac";
    let words = serde_json::to_string(&["/bin/sh", "-c", inside]).expect("text");
    images.layout("box", &with_shell().change(format!("HEALTHCHECK --interval=60ms CMD {words}")));
    let text = format!(
        "image = 'oci:./box'\ncommand = ['wait']\nresources.pids = 50\n[interface]\nkind = 'none'\n\
         [[readiness]]\nprobe = 'healthcheck'\n[[readiness]]\nprobe = 'exec'\ncommand = ['/bin/sh', '-c', '''{inside}''']\n"
    );
    images.programs.define("box", &text);
    let up = images.farrier(["up"]).output();
    if !up.stderr().contains("by a control group") {
        up.assert_code(0);
    }
}

#[test]
fn every_declared_port_is_reached() {
    let images = Images::new();
    images.layout("box", &Image::new());
    let text = "image = 'oci:./box'\ncommand = ['serve', '--port', '7001', '--reply', 'admin']\n\
                [interface]\nkind = 'port'\nport = 7000\nports = { admin = 7001 }\n[readiness]\nprobe = 'skip'\n";
    images.programs.define("box", text);
    let variable = images.programs.scene.variable("box");
    let fixture = crate::support::fixture_program();
    let ask = format!(
        "until {} ask \"$SWARMFORGE_TONG_{variable}_HOST\" \"$SWARMFORGE_TONG_{variable}_PORT_ADMIN\" 2>/dev/null; do :; done",
        fixture.display()
    );
    let asked = images.farrier(["launch", "--", "sh", "-c", &ask]).output().assert_code(0);
    assert_eq!(asked.stdout(), "admin\n");
}

#[test]
fn what_a_container_cannot_have_is_refused_by_name() {
    let images = Images::new();
    images.layout("box", &with_shell());
    for (line, told) in [
        ("cap_add = ['SYS_ADMIN']", "cannot have the capability `SYS_ADMIN`"),
        ("extra_hosts = { host = 'host-gateway' }", "`host-gateway` has no address"),
        ("init = false", "an init process that forwards signals"),
        ("privileged = true", "does not support `privileged`"),
        ("devices = ['/dev/fuse']", "does not support `devices`"),
        ("security_opt = ['seccomp=unconfined']", "does not support `security_opt`"),
    ] {
        images.plain("box", &format!("entrypoint = ['/bin/sh']\n{line}"));
        let up = images.farrier(["up"]).output().assert_code(125);
        assert!(up.stderr().contains("[engine-lacks]") && up.stderr().contains(told), "{line}: {up}");
    }
    assert!(images.programs.all().is_empty());
}
