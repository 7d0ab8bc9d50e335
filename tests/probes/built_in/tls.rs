//! The built-in probes on real servers that speak TLS, with certificates that an authority of the test's own issued.

use crate::support::certificates::Certificates;
use crate::support::servers::{image_of_brokers, mariadb_image, nginx_image, postgres_image, redis_image};
use crate::support::{Events, Layer, Outcome, Scene};

/// A server under its probe. Its container has its certificate in `/tmp/pem`, with the key, and the authority's in `/tmp/ca`.
struct Server {
    scene: Scene,
    probe: &'static str,
    image: String,
    port: u16,
    /// What the container executes after that.
    command: String,
    environment: String,
}

impl Server {
    fn new(probe: &'static str, image: Option<String>, port: u16, command: &str) -> Option<Self> {
        let scene = Scene::with_docker()?;
        let image = image?;
        let certificates = Certificates::in_folder(&scene.layer(Layer::User).join("certs"))?;
        let (pem, ca) = (certificates.text("both.pem"), certificates.text("ca.pem"));
        let environment = format!("env = {{ PEM = {pem:?}, CA = {ca:?} }}");
        Some(Self { scene, probe, image, port, command: command.to_owned(), environment })
    }

    fn up(&self, settings: &str, grants: &str, timeout: &str, options: &[&str]) -> (Outcome, Events) {
        let Self { probe, image, port, command, environment, .. } = self;
        let script =
            format!("echo \"$PEM\" >/tmp/pem; echo \"$CA\" >/tmp/ca; chmod 600 /tmp/pem; exec {command}");
        let grants =
            if grants.is_empty() { String::new() } else { format!("grants = {{ tls = {grants} }}\n") };
        self.scene.define(
            "db",
            &format!(
                "image = \"{image}\"\nentrypoint = [\"sh\", \"-c\", {script:?}]\n{environment}\n[interface]\nkind = \"port\"\n\
                 port = {port}\n[readiness]\nprobe = \"{probe}\"\nsettings = {{ {settings} }}\n{grants}timeout = \"{timeout}\"\n"
            ),
        );
        let path = self.scene.path("events.jsonl");
        drop(std::fs::remove_file(&path));
        let outcome = self.scene.farrier(["up", "--events"]).arg(&path).args(options).output();
        (outcome, Events::read(&path))
    }

    fn is_ready(&self, settings: &str, grants: &str) {
        self.up(settings, grants, "90s", &[]).0.assert_code(0);
    }

    /// Fails with this answer. With a cause, that is told; without, the answer says it all.
    fn fails(&self, settings: &str, grants: &str, timeout: &str, answer: &str, cause: Option<&str>) {
        let (outcome, events) = self.up(settings, grants, timeout, &[]);
        let outcome = outcome.assert_code(125);
        let answers = events.answers();
        assert!(answers.iter().any(|found| found.contains(answer)), "{answers:#?}\n{outcome}");
        if let Some(expected) = cause {
            assert_eq!(events.one("not-ready")["cause"]["name"], expected, "{outcome}");
        }
    }
}

/// Whom each server's certificate is from.
const CA: &str = "{ ca = \"certs/ca.pem\" }";
const CLIENT: &str = "{ ca = \"certs/ca.pem\", cert = \"certs/client.pem\", key = \"certs/client.key\" }";
/// An answer that ends the wait at once must come long before this.
const LONG: &str = "60s";
const UNTRUSTED: &str = "the server's certificate comes from an authority that is not trusted";
const REFUSED: Option<&str> = Some("certificate-refused");

#[test]
fn nginx_with_a_client_certificate() {
    let configuration = "events {} http { access_log off; client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; \
                         fastcgi_temp_path /tmp/fastcgi; uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi; \
                         server { listen 8080 ssl; server_name db.test; ssl_certificate /tmp/pem; \
                         ssl_certificate_key /tmp/pem; ssl_client_certificate /tmp/ca; ssl_verify_client on; \
                         location / { return 204; } } }";
    let command = format!(
        "sh -c \"echo '{configuration}' >/tmp/conf; exec nginx -c /tmp/conf -g 'daemon off; pid /tmp/pid; error_log stderr;'\""
    );
    let Some(server) = Server::new("http", nginx_image(), 8080, &command) else { return };
    let settings = "scheme = \"https\", server_name = \"db.test\", status = 204";
    server.is_ready(settings, CLIENT);
    // nginx asks for it and says so in HTTP.
    server.fails(settings, CA, "2s", "HTTP 400", None);
    server.fails(
        "scheme = \"https\"",
        CA,
        LONG,
        "is for `localhost`, `db.test`, `127.0.0.1`, not for `db-",
        REFUSED,
    );
    server.fails(settings, "", LONG, UNTRUSTED, REFUSED);
    server.fails("path = \"/\"", "", LONG, "the port speaks TLS", Some("speaks-tls"));
}

#[test]
fn redis_inside_tls_and_through_the_relay() {
    let command = "redis-server --protected-mode no --save '' --port 0 --tls-port 6379 --tls-cert-file /tmp/pem \
                   --tls-key-file /tmp/pem --tls-ca-cert-file /tmp/ca";
    let Some(server) = Server::new("redis", redis_image(), 6379, command) else { return };
    let settings = "tls = true, server_name = \"db.test\"";
    server.is_ready(settings, CLIENT);
    server.up(settings, CLIENT, "90s", &["--dial", "relay"]).0.assert_code(0);
    server.fails(
        settings,
        CA,
        "2s",
        "the server asks for a client certificate: name its files in `grants.tls`",
        None,
    );
    server.fails(settings, "", LONG, UNTRUSTED, REFUSED);
    server.fails("", "", LONG, "the port speaks TLS", Some("speaks-tls"));
    let plain = Server { command: "redis-server --protected-mode no --save ''".to_owned(), ..server };
    plain.fails(settings, CA, "3s", "TLS", None);
    plain.is_ready("", "");
}

#[test]
fn nats_and_memcached_inside_tls() {
    let nats = "nats-server --tls --tlscert /tmp/pem --tlskey /tmp/pem";
    let memcached = "memcached --enable-ssl -o ssl_chain_cert=/tmp/pem,ssl_key=/tmp/pem";
    for (probe, port, command) in [("nats", 4222, nats), ("memcached", 11211, memcached)] {
        let Some(server) = Server::new(probe, image_of_brokers(), port, command) else { return };
        let settings = "tls = true, server_name = \"db.test\"";
        server.is_ready(settings, CA);
        server.is_ready("tls = \"insecure\"", "");
        server.fails(settings, "", LONG, UNTRUSTED, REFUSED);
        server.fails("", "", LONG, "the port speaks TLS", Some("speaks-tls"));
        let plain = Server { command: probe.replace("nats", "nats-server"), ..server };
        plain.fails(settings, CA, "3s", "TLS", None);
        plain.is_ready("", "");
    }
}

#[test]
fn rabbitmq_inside_tls() {
    let command = "sh -c \"echo 'listeners.tcp = none' >/tmp/rabbitmq.conf; echo 'listeners.ssl.default = 5671' \
                   >>/tmp/rabbitmq.conf; echo 'ssl_options.certfile = /tmp/pem' >>/tmp/rabbitmq.conf; \
                   echo 'ssl_options.keyfile = /tmp/pem' >>/tmp/rabbitmq.conf; \
                   RABBITMQ_CONFIG_FILE=/tmp/rabbitmq exec rabbitmq-server\"";
    let Some(server) = Server::new("amqp", image_of_brokers(), 5671, command) else { return };
    server.is_ready("tls = true, server_name = \"db.test\"", CA);
    server.fails("tls = true", CA, LONG, "not for `db-", REFUSED);
    server.fails("", "", LONG, "the port speaks TLS", Some("speaks-tls"));
}

#[test]
fn postgresql_inside_tls() {
    let command = "postgres-entrypoint -c ssl=on -c ssl_cert_file=/tmp/pem -c ssl_key_file=/tmp/pem -c ssl_ca_file=/tmp/ca";
    let Some(server) = Server::new("postgres", postgres_image(), 5432, command) else { return };
    let verified = "sslmode = \"verify-full\", server_name = \"db.test\"";
    server.is_ready(verified, CA);
    server.is_ready("tls = true, server_name = \"db.test\", query = \"select 1\"", CA);
    server.is_ready("sslmode = \"require\", query = \"select 1 from pg_stat_ssl where ssl\"", "");
    server.up(verified, CA, "90s", &["--dial", "relay"]).0.assert_code(0);
    server.is_ready("", "");
    server.fails(verified, "", LONG, UNTRUSTED, REFUSED);
    server.fails("tls = true", CA, LONG, "not for `db-", REFUSED);
    let off = Server { command: "postgres-entrypoint".to_owned(), ..server };
    off.fails(
        verified,
        CA,
        LONG,
        "the port does not speak TLS: PostgreSQL has `ssl = off`",
        Some("lacks-tls"),
    );
    off.is_ready("", "");
}

#[test]
fn mariadb_inside_tls() {
    let command = "mariadb-entrypoint --ssl-cert=/tmp/pem --ssl-key=/tmp/pem --ssl-ca=/tmp/ca";
    let Some(server) = Server::new("mysql", mariadb_image(), 3306, command) else { return };
    let login = "user = \"app\", password = \"secret\", server_name = \"db.test\"";
    let settings = format!("tls = true, {login}");
    server.is_ready(&settings, CA);
    server.is_ready(&format!("{settings}, query = \"select 1\""), CA);
    server.is_ready("tls = \"insecure\", query = \"select 1\"", "");
    server.up(&settings, CA, "90s", &["--dial", "relay"]).0.assert_code(0);
    server.is_ready("", "");
    server.fails(&settings, "", LONG, UNTRUSTED, REFUSED);
    let strict = Server { command: format!("{command} --require-secure-transport=ON"), ..server };
    strict.is_ready(&settings, CA);
    let plain = "user = \"app\", password = \"secret\"";
    strict.fails(plain, "", "3s", "the server refuses the login: Access denied", None);
    let off = Server { command: "mariadb-entrypoint".to_owned(), ..strict };
    off.fails(
        &settings,
        CA,
        LONG,
        "the port does not speak TLS: the server has no certificate",
        Some("lacks-tls"),
    );
}
