//! Attempts to get something past each rule, and what each rule lets pass. `HERE` in them is the folder of the test.

const DIGEST: &str = "@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A definition of an image with these lines.
pub fn image(lines: &str) -> String {
    let image = if lines.contains("image =") { "" } else { "image = 'postgres:16'\n" };
    let probe = if lines.contains("readiness.probe") { "" } else { "readiness.probe = 'skip'\n" };
    let interface = if lines.contains("interface") { "" } else { "interface.kind = 'none'\n" };
    format!("{image}{interface}{probe}{lines}")
}

/// A definition of a program with these lines.
fn program(lines: &str) -> String {
    format!("program = ['sh']\ninterface.kind = 'none'\nreadiness.probe = 'skip'\n{lines}")
}

/// An attempt to get something past a rule: the policy, the definition, and whether it is refused.
pub type Attempt = (&'static str, String, bool);

/// All attempts.
pub fn attempts() -> Vec<Attempt> {
    let kinds = [
        at_socket(),
        at_networks(),
        at_registries(),
        at_digests(),
        at_memory(),
        at_tls(),
        at_privileges(),
        at_files(),
        at_programs(),
    ];
    kinds.into_iter().flatten().collect()
}

/// The socket, by its own word, by its paths, through parents, links, other names and other mounts.
fn at_socket() -> Vec<Attempt> {
    vec![
        ("engine_socket = false", image("mounts = ['docker-socket']"), true),
        ("engine_socket = false", image("mounts = ['docker-socket:ro']"), true),
        ("engine_socket = true", image("mounts = ['docker-socket']"), false),
        ("engine_socket = false", image("mounts = ['bind:/:/host:ro']"), true),
        ("engine_socket = false", image("mounts = ['bind:/var/run:/x']"), true),
        ("engine_socket = false", image("mounts = ['bind:/var//./run/:/x']"), true),
        ("engine_socket = false", image("mounts = ['bind:/usr/../run:/x']"), true),
        ("engine_socket = false", image("mounts = ['bind:/proc/self/root/run:/x']"), true),
        ("engine_socket = false", image("mounts = ['bind:/proc:/x']"), true),
        ("engine_socket = false", image("mounts = ['bind:HERE/engine:/x']"), true),
        ("engine_socket = false", image("mounts = ['bind:HERE:/x']"), true),
        ("engine_socket = false", image("mounts = ['bind:HERE/engine/other-name:/x']"), true),
        ("engine_socket = false", image("mounts = ['bind:HERE/proxy.socket:/x']"), true),
        ("engine_socket = false", image("mounts = ['bind:HERE/hard:/x']"), true),
        ("engine_socket = false", image("mounts = ['bind:HERE/link:/x']"), true),
        ("engine_socket = false", image("mounts = ['bind:HERE/link-to-folder:/x']"), true),
        ("engine_socket = false", image("mounts = ['bind:HERE/holds:/x']"), true),
        ("engine_socket = false", image("mounts = ['bind:../engine:/x']"), true),
        ("engine_socket = false", image("mounts = ['bind:HERE/data:/x']"), false),
        ("engine_socket = false", image("mounts = ['volume:data:/var/run']"), false),
        ("engine_socket = false", program(""), true),
        ("engine_socket = false", program("confine = { read = ['HERE/engine'] }"), true),
        ("engine_socket = false", program("confine = { write = ['/run'] }"), true),
        ("engine_socket = false", program("confine = { read = ['HERE/data'] }"), false),
    ]
}

/// Networks.
fn at_networks() -> Vec<Attempt> {
    vec![
        ("networks = []", image("networks = ['corp']"), true),
        ("networks = ['dev']", image("networks = ['dev', 'corp']"), true),
        ("networks = ['dev']", image("networks = ['Dev']"), true),
        ("networks = ['dev']", image("networks = ['dev.']"), true),
        ("networks = ['dev']", image("networks = ['dev']"), false),
        ("networks = []", image("interface = { kind = 'port', port = 80, aliases = ['corp'] }"), false),
        ("networks = []", image("extra_hosts = ['h:host-gateway']"), true),
        ("networks = ['host']", image("extra_hosts = ['h:host-gateway']"), false),
        ("networks = []", image("extra_hosts = ['h:10.0.0.1']"), false),
        ("networks = []", program(""), true),
        ("networks = []", program("confine = { read = [] }"), true),
        ("networks = ['host']", program(""), false),
        ("networks = []", program("confine = { network = 'loopback' }"), false),
    ]
}

/// Registries, by other spellings and by names that look like others.
fn at_registries() -> Vec<Attempt> {
    vec![
        ("registries = ['docker.io']", image("image = 'postgres'"), false),
        ("registries = ['docker.io']", image("image = 'index.docker.io/library/postgres:16'"), false),
        ("registries = ['index.docker.io']", image("image = 'postgres'"), false),
        ("registries = ['docker.io']", image("image = 'registry-1.docker.io/library/postgres'"), true),
        ("registries = ['docker.io']", image("image = 'docker.io.evil.example/postgres'"), true),
        ("registries = ['docker.io']", image("image = 'docker.io:443/library/postgres'"), true),
        ("registries = ['docker.io']", image("image = 'localhost/postgres'"), true),
        ("registries = ['docker.io/library']", image("image = 'evil/postgres'"), true),
        ("registries = ['docker.io/library']", image("image = 'library-evil/postgres'"), true),
        ("registries = ['ghcr.io']", image("image = 'postgres'"), true),
        ("registries = ['ghcr.io']", image("image = 'GHCR.IO/acme/x'"), false),
        ("registries = ['ghcr.io/acme']", image("image = 'ghcr.io/acme2/x'"), true),
        ("registries = ['ghcr.io/acme']", image("image = 'ghcr.io/acme/x:1'"), false),
        ("registries = ['ghcr.io']", image("image = 'docker.io/ghcr.io/x'"), true),
        ("registries = ['ghcr.io']", image(&format!("image = 'sha256:{}'", "a".repeat(64))), true),
        ("registries = ['ghcr.io']", image(&format!("image = '{}'", "a".repeat(64))), true),
        ("registries = ['ghcr.io']", image("image = 'oci:./ghcr.io/x'"), true),
        ("registries = ['files']", image("image = 'oci:./layout'"), false),
        ("registries = []", image("image = 'postgres'"), true),
        (
            "registries = ['docker.io']",
            image(&format!("readiness.probe = 'oci://ghcr.io/acme/ready:1{DIGEST}'")),
            true,
        ),
        (
            "registries = ['docker.io', 'ghcr.io/acme']",
            image(&format!("readiness.probe = 'oci://ghcr.io/acme/ready:1{DIGEST}'")),
            false,
        ),
    ]
}

/// Digests.
fn at_digests() -> Vec<Attempt> {
    let pinned = |name: &str| image(&format!("image = '{name}{DIGEST}'"));
    let mine = |pin: &str| image(&format!("image = 'x{DIGEST}'\nreadiness.probe = './mine.wasm'\n{pin}"));
    vec![
        ("digests_only = true", image("image = 'postgres:16'"), true),
        ("digests_only = true", image("image = 'postgres'"), true),
        ("digests_only = true", pinned("postgres"), false),
        ("digests_only = true", pinned("postgres:16"), false),
        ("digests_only = true", image(&format!("image = 'sha256:{}'", "a".repeat(64))), false),
        ("digests_only = true", image("image = 'oci:./layout'"), true),
        ("digests_only = true", image("image = 'oci:./lay@out'"), true),
        ("digests_only = true", image("image = 'docker-archive:./x@y.tar'"), true),
        ("digests_only = true", image(&format!("image = 'oci:./layout:name{DIGEST}'")), true),
        ("digests_only = true", image(&format!("image = 'sha256:{}'", "A".repeat(64))), true),
        ("digests_only = false", image("image = 'postgres:16'"), false),
        ("digests_only = true", mine(""), true),
        ("digests_only = true", mine(&format!("readiness.sha256 = '{}'", "a".repeat(64))), false),
    ]
}

/// Memory.
fn at_memory() -> Vec<Attempt> {
    vec![
        ("memory = '512m'", image(""), true),
        ("memory = '512m'", image("resources.memory = '513m'"), true),
        ("memory = '512m'", image("resources.memory = '0.6g'"), true),
        ("memory = '512m'", image("resources.memory = '512MiB'"), false),
        ("memory = '512m'", program(""), true),
        ("probe_memory = '32m'", image(""), true),
        ("probe_memory = '32m'", image("readiness.limits.memory = '1g'"), true),
        ("probe_memory = '64m'", image(""), false),
    ]
}

/// TLS.
fn at_tls() -> Vec<Attempt> {
    vec![
        ("insecure_tls = false", image(&of_postgres("sslmode = 'require'", "")), true),
        ("insecure_tls = false", image(&of_postgres("tls = 'insecure'", "")), true),
        ("insecure_tls = false", image(&of_postgres("tls = true", "grants.tls = 'insecure'")), true),
        ("insecure_tls = false", image(&of_postgres("tls = true", "grants.tls.insecure = true")), true),
        ("insecure_tls = false", image(&of_postgres("tls = true", "")), false),
        ("insecure_tls = false", image(&of_postgres("sslmode = 'verify-full'", "")), false),
        ("insecure_tls = true", image(&of_postgres("tls = 'insecure'", "")), false),
    ]
}

/// Privileges.
fn at_privileges() -> Vec<Attempt> {
    vec![
        ("privileged = false", image("privileged = true"), true),
        ("privileged = false", image("privileged = false"), false),
        ("capabilities = []", image("cap_add = ['cap_net_admin']"), true),
        ("capabilities = ['NET_ADMIN']", image("cap_add = ['ALL']"), true),
        ("capabilities = ['CAP_NET_ADMIN']", image("cap_add = ['net_admin']"), false),
        ("capabilities = []", image("cap_drop = ['ALL']"), false),
        ("devices = []", image("devices = ['/dev/fuse']"), true),
        ("devices = ['/dev/fuse']", image("devices = ['/dev/mem:/dev/fuse']"), true),
        ("devices = ['/dev/fuse']", image("devices = ['/dev/x/../mem:/dev/fuse']"), true),
        ("devices = ['/dev/fuse']", image("devices = ['/dev/./fuse:/dev/x:r']"), false),
        ("devices = []", image("resources.gpus = 'all'"), true),
        ("devices = ['gpus']", image("resources.gpus = 1"), false),
        ("security_options = []", image("security_opt = ['seccomp:unconfined']"), true),
        ("security_options = []", image("security_opt = ['apparmor=unconfined']"), true),
        ("security_options = []", image("security_opt = ['label=disable']"), true),
        ("security_options = []", image("security_opt = ['no-new-privileges:false']"), true),
        ("security_options = []", image("security_opt = ['no-new-privileges:true']"), false),
    ]
}

/// Files of this host.
fn at_files() -> Vec<Attempt> {
    vec![
        ("binds = []", image("mounts = ['bind:HERE/data:/x']"), true),
        ("binds = ['HERE/data']", image("mounts = ['bind:HERE/data:/x']"), false),
        ("binds = ['HERE/data']", image("mounts = ['bind:HERE/data/deep:/x']"), false),
        ("binds = ['HERE/data']", image("mounts = ['bind:HERE/data2:/x']"), true),
        ("binds = ['HERE/data']", image("mounts = ['bind:HERE/data/../engine:/x']"), true),
        ("binds = ['HERE/data']", image("mounts = ['bind:HERE/data/out:/x']"), true),
        ("binds = ['HERE/link-to-data']", image("mounts = ['bind:HERE/data:/x']"), false),
        ("binds = ['workspace']", image("mounts = ['bind:HERE/data:/x']"), true),
        ("binds = []", program("confine = { read = ['HERE/data'] }"), true),
        ("binds = []", image("mounts = ['volume:data:/x', 'tmpfs:/y']"), false),
    ]
}

/// Programs and ports.
fn at_programs() -> Vec<Attempt> {
    vec![
        ("programs = 'none'", program("confine = {}"), true),
        ("programs = 'confined'", program(""), true),
        ("programs = 'confined'", program("confine = {}"), false),
        ("programs = 'any'", program(""), false),
        ("programs = 'none'", image(""), false),
        ("publish = 'none'", image("interface = { kind = 'port', port = 80, publish = [80] }"), true),
        ("publish = 'loopback'", image("interface = { kind = 'port', port = 80, publish = [80] }"), false),
        (
            "publish = 'loopback'",
            image("interface = { kind = 'port', port = 80, publish = ['0.0.0.0:80:80'] }"),
            true,
        ),
        (
            "publish = 'loopback'",
            image("interface = { kind = 'port', port = 80, publish = ['[::]:80:80'] }"),
            true,
        ),
        (
            "publish = 'loopback'",
            image("interface = { kind = 'port', port = 80, publish = ['[::1]:80:80', '127.9.9.9:81:80'] }"),
            false,
        ),
    ]
}

/// The lines of the built-in probe `postgres`.
fn of_postgres(settings: &str, grants: &str) -> String {
    let grants = if grants.is_empty() { String::new() } else { format!("readiness.{grants}\n") };
    format!(
        "interface = {{ kind = 'port', port = 5432 }}\nreadiness.probe = 'postgres'\n\
         readiness.settings = {{ {settings} }}\n{grants}"
    )
}
