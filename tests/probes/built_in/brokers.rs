//! The probes `amqp`, `nats` and `memcached` on `RabbitMQ`, NATS and memcached from Debian's packages.

use super::setup::{LONG, Sidecar};
use crate::support::engine::container_logs;
use crate::support::servers::image_of_brokers;
use crate::support::{PATIENT, wait_until};

const SILENT: &str = "the port accepts connections, but ";

/// A server that is stopped accepts connections, but answers nobody. Nothing in its container can stop its first process.
fn is_not_ready_while_stopped(sidecar: &Sidecar, program: &str, settings: &str) {
    let signal = |name: &str| {
        sidecar.run(&["sh", "-c", &format!("kill -{name} $(busybox pidof {program})")]);
    };
    signal("STOP");
    sidecar.fails_for(settings, "5s", SILENT, "slow-answer");
    signal("CONT");
    sidecar.is_ready(settings);
}

#[test]
fn rabbitmq_is_waited_for_until_it_has_the_user_and_the_virtual_host() {
    let command = "command = [\"rabbitmq-server\"]\n";
    let Some(broker) = Sidecar::new("amqp", image_of_brokers(), 5672, command) else { return };
    // It starts for seconds. Then it answers, but `guest` may log in only where the broker runs.
    broker.is_ready("");
    let refused = "the server refuses the login: ACCESS_REFUSED";
    broker.fails_for("password = \"guest\"", "3s", refused, "login-refused");
    broker.fails_for("vhost = \"orders\"", "3s", refused, "login-refused");
    let late = "user = \"late\", password = \"secret\"";
    broker.is_waited_for(late, refused, || {
        broker.run(&["rabbitmqctl", "add_user", "late", "secret"]);
        broker.run(&["rabbitmqctl", "set_permissions", "late", ".*", ".*", ".*"]);
    });
    let orders = format!("{late}, vhost = \"orders\"");
    let absent = "the virtual host \"orders\" does not exist yet";
    broker.fails_for(&orders, "3s", absent, "database-missing");
    broker.is_waited_for(&orders, absent, || {
        broker.run(&["rabbitmqctl", "add_vhost", "orders"]);
        broker.run(&["rabbitmqctl", "set_permissions", "--vhost", "orders", "late", ".*", ".*", ".*"]);
    });
    wait_until("a poll has closed its connection as the protocol asks for", PATIENT, || {
        let log = container_logs(&broker.scene.container("db"));
        let mut closed =
            log.lines().filter(|line| line.contains("[info]") && line.contains("closing AMQP connection"));
        closed.any(|line| line.contains("vhost: 'orders', user: 'late'"))
    });
    is_not_ready_while_stopped(&broker, "beam.smp", &orders);
}

#[test]
fn nats_is_ready_when_it_answers_the_client_and_jetstream() {
    let child = "entrypoint = [\"sh\", \"-c\", \"nats-server --jetstream --store_dir /tmp/nats & wait\"]\n";
    let Some(server) = Sidecar::new("nats", image_of_brokers(), 4222, child) else { return };
    server.is_ready("");
    server.is_ready("jetstream = true");
    is_not_ready_while_stopped(&server, "nats-server", "jetstream = true");
    let plain = "command = [\"nats-server\", \"--port\", \"9000\"]\n";
    let Some(server) = Sidecar::new("nats", image_of_brokers(), 4222, plain) else { return };
    server.is_ready("port = 9000");
    server.is_not_ready(
        "port = 9000, jetstream = true",
        LONG,
        "JetStream is off: start the server with `-js`",
    );
}

#[test]
fn nats_is_logged_in_to_if_the_settings_have_a_login() {
    let guarded = "entrypoint = [\"sh\", \"-c\", \"echo 'authorization { users = [ { user: app, password: secret } ] }' \
                   >/tmp/conf; exec nats-server -c /tmp/conf\"]\n";
    let Some(server) = Sidecar::new("nats", image_of_brokers(), 4222, guarded) else { return };
    server.is_ready("user = \"app\", password = \"secret\"");
    server.fails_for("", LONG, "NATS needs a login: add `settings.user`", "login-missing");
    let refused = "the server refuses the login: Authorization Violation";
    server.fails_for("user = \"app\", password = \"guess\"", "3s", refused, "login-refused");
    server.fails_for("token = \"secret\"", "3s", refused, "login-refused");
    server.is_waited_for("user = \"late\", password = \"secret\"", refused, || {
        let users = "authorization { users = [ { user: late, password: secret } ] }";
        server.run(&["sh", "-c", &format!("echo '{users}' >/tmp/conf; kill -HUP 1")]);
    });
}

#[test]
fn memcached_is_ready_when_it_tells_its_version() {
    let child = "entrypoint = [\"sh\", \"-c\", \"memcached & wait\"]\n";
    let Some(server) = Sidecar::new("memcached", image_of_brokers(), 11211, child) else { return };
    server.is_ready("");
    is_not_ready_while_stopped(&server, "memcached", "");
    // What should be a login is an ordinary value to a server without logins.
    server.is_ready("username = \"app\", password = \"secret\"");
}

#[test]
fn memcached_is_logged_in_to_if_the_settings_have_a_login() {
    let guarded = "entrypoint = [\"sh\", \"-c\", \"echo app:secret >/tmp/logins; exec memcached --port=9000 \
                   --auth-file=/tmp/logins\"]\n";
    let Some(server) = Sidecar::new("memcached", image_of_brokers(), 11211, guarded) else { return };
    server.is_ready("port = 9000, username = \"app\", password = \"secret\"");
    server.fails_for("port = 9000", LONG, "memcached needs a login", "login-missing");
    let refused = "the server refuses the login: CLIENT_ERROR authentication failure";
    let wrong = "port = 9000, username = \"app\", password = \"guess\"";
    server.fails_for(wrong, "3s", refused, "login-refused");
    server.is_waited_for("port = 9000, username = \"late\", password = \"secret\"", refused, || {
        server.run(&["sh", "-c", "echo late:secret >/tmp/logins; kill -HUP 1"]);
    });
}

#[test]
fn each_broker_under_the_probe_for_another_one() {
    let rows = [
        ("amqp", "nats-server", 4222, "the port does not speak the protocol of AMQP 0-9-1"),
        ("nats", "rabbitmq-server", 5672, "the port accepts connections, but NATS does not answer yet"),
        ("memcached", "nats-server", 4222, "the port does not speak the protocol of memcached"),
        ("smtp", "nats-server", 4222, "the port does not speak the protocol of SMTP"),
    ];
    for (probe, program, port, answer) in rows {
        let command = format!("command = [\"{program}\"]\n");
        let Some(server) = Sidecar::new(probe, image_of_brokers(), port, &command) else { return };
        server.is_not_ready("", if program == "rabbitmq-server" { "3m" } else { LONG }, answer);
    }
}
