//! What is known about images by their names: the port that they listen on, the probe that proves them ready, and what
//! they do not start without. From the images' own documentation.

/// What is known of one image.
#[derive(Debug)]
pub struct KnownImage {
    /// The last parts of its name: `postgres`, or with more of its path, `mssql/server`.
    names: &'static [&'static str],
    /// Where it listens.
    pub port: u16,
    /// The built-in probe that fits.
    pub probe: &'static str,
    /// The probe's settings as TOML; empty where its defaults fit.
    pub settings: &'static str,
    /// The environment that it does not start without; `{name}` is the sidecar's name.
    pub env: &'static [(&'static str, &'static str)],
    /// What it is told to run; empty for its own command.
    pub command: &'static [&'static str],
}

const fn known(names: &'static [&'static str], port: u16, probe: &'static str) -> KnownImage {
    KnownImage { names, port, probe, settings: "", env: &[], command: &[] }
}

type Pairs = &'static [(&'static str, &'static str)];

impl KnownImage {
    const fn env(self, env: Pairs) -> Self {
        Self { env, ..self }
    }

    const fn settings(self, settings: &'static str) -> Self {
        Self { settings, ..self }
    }

    const fn command(self, command: &'static [&'static str]) -> Self {
        Self { command, ..self }
    }
}

/// How a Kafka broker that is its own controller says to its clients where it is; given one variable, the image
/// `apache/kafka` wants all of them.
const KAFKA: Pairs = &[
    ("KAFKA_NODE_ID", "1"),
    ("KAFKA_PROCESS_ROLES", "broker,controller"),
    ("KAFKA_LISTENERS", "PLAINTEXT://:9092,CONTROLLER://:9093"),
    ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://{name}:9092"),
    ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
    ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
    ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9093"),
    ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
    ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
    ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
];

const KNOWN: &[KnownImage] = &[
    // Databases.
    known(&["postgres", "postgis", "pgvector", "timescaledb", "timescaledb-ha"], 5432, "postgres")
        .env(&[("POSTGRES_PASSWORD", "dev")]),
    known(&["redis", "redis-stack", "redis-stack-server", "valkey", "keydb", "dragonfly"], 6379, "redis"),
    known(&["mysql", "percona", "percona-server"], 3306, "mysql").env(&[("MYSQL_ROOT_PASSWORD", "dev")]),
    known(&["mariadb"], 3306, "mysql").env(&[("MARIADB_ROOT_PASSWORD", "dev")]),
    known(&["mongo", "mongodb-community-server"], 27017, "tcp"),
    known(&["mssql/server", "azure-sql-edge"], 1433, "log")
        .settings("{ text = \"SQL Server is now ready for client connections\" }")
        .env(&[("ACCEPT_EULA", "Y"), ("MSSQL_SA_PASSWORD", "Dev-only-1")]),
    known(&["oracle-free", "oracle-xe"], 1521, "log")
        .settings("{ text = \"DATABASE IS READY TO USE!\" }")
        .env(&[("ORACLE_PASSWORD", "dev")]),
    known(&["cassandra", "scylla"], 9042, "tcp"),
    known(&["clickhouse", "clickhouse-server"], 8123, "http").settings("{ path = \"/ping\" }"),
    known(&["cockroach"], 26257, "http")
        .settings("{ port = 8080, path = \"/health?ready=1\" }")
        .command(&["start-single-node", "--insecure"]),
    known(&["couchdb"], 5984, "http")
        .settings("{ path = \"/_up\" }")
        .env(&[("COUCHDB_USER", "dev"), ("COUCHDB_PASSWORD", "dev")]),
    known(&["neo4j"], 7687, "tcp").env(&[("NEO4J_AUTH", "neo4j/dev-only-1")]),
    known(&["influxdb"], 8086, "http").settings("{ path = \"/health\" }"),
    known(&["memcached"], 11211, "memcached"),
    known(&["etcd"], 2379, "http").settings("{ path = \"/health\" }").command(&[
        "etcd",
        "--listen-client-urls=http://0.0.0.0:2379",
        "--advertise-client-urls=http://0.0.0.0:2379",
    ]),
    known(&["dynamodb-local"], 8000, "tcp"),
    // Search and vectors.
    known(&["elasticsearch"], 9200, "http")
        .settings("{ path = \"/_cluster/health?wait_for_status=yellow&timeout=1s\" }")
        .env(&[("discovery.type", "single-node"), ("xpack.security.enabled", "false")]),
    known(&["opensearch"], 9200, "http")
        .settings("{ path = \"/_cluster/health?wait_for_status=yellow&timeout=1s\" }")
        .env(&[
            ("discovery.type", "single-node"),
            ("DISABLE_SECURITY_PLUGIN", "true"),
            ("DISABLE_INSTALL_DEMO_CONFIG", "true"),
        ]),
    known(&["meilisearch"], 7700, "http").settings("{ path = \"/health\" }"),
    known(&["typesense"], 8108, "tcp"),
    known(&["qdrant"], 6333, "http").settings("{ path = \"/readyz\" }"),
    known(&["weaviate"], 8080, "http").settings("{ path = \"/v1/.well-known/ready\" }"),
    known(&["chroma"], 8000, "tcp"),
    known(&["ollama"], 11434, "http"),
    // Queues and brokers.
    known(&["apache/kafka", "apache/kafka-native"], 9092, "log")
        .settings("{ text = \"Kafka Server started\" }")
        .env(KAFKA),
    known(&["kafka", "cp-kafka", "confluent-local"], 9092, "tcp"),
    known(&["redpanda"], 9092, "tcp"),
    known(&["zookeeper", "cp-zookeeper"], 2181, "tcp"),
    known(&["rabbitmq"], 5672, "amqp"),
    known(&["nats"], 4222, "nats"),
    known(&["activemq-classic", "activemq-artemis", "artemis"], 61616, "tcp"),
    known(&["eclipse-mosquitto"], 1883, "tcp").command(&["mosquitto", "-c", "/mosquitto-no-auth.conf"]),
    // Clouds on one machine, and stand-ins.
    known(&["localstack", "localstack-pro"], 4566, "http").settings("{ path = \"/_localstack/health\" }"),
    known(&["minio"], 9000, "http")
        .settings("{ path = \"/minio/health/ready\" }")
        .env(&[("MINIO_ROOT_USER", "dev"), ("MINIO_ROOT_PASSWORD", "dev-only-1")])
        .command(&["server", "/data"]),
    known(&["azurite"], 10000, "tcp"),
    known(&["elasticmq", "elasticmq-native"], 9324, "tcp"),
    known(&["wiremock"], 8080, "http").settings("{ path = \"/__admin/mappings\" }"),
    known(&["mockserver"], 1080, "tcp"),
    known(&["toxiproxy"], 8474, "http").settings("{ path = \"/version\" }"),
    known(&["httpbin", "go-httpbin"], 80, "tcp"),
    known(&["mailhog"], 1025, "smtp"),
    known(&["mailpit"], 1025, "http").settings("{ port = 8025, path = \"/readyz\" }"),
    known(&["registry"], 5000, "http").settings("{ path = \"/v2/\" }"),
    known(
        &["standalone-chrome", "standalone-chromium", "standalone-firefox", "standalone-edge"],
        4444,
        "http",
    )
    .settings("{ path = \"/status\", json = [{ pointer = \"/value/ready\", equals = true }] }"),
    // Secrets and identities.
    known(&["consul"], 8500, "http").settings("{ path = \"/v1/status/leader\" }"),
    known(&["vault"], 8200, "http")
        .settings("{ path = \"/v1/sys/health\" }")
        .env(&[("VAULT_DEV_ROOT_TOKEN_ID", "dev")]),
    known(&["keycloak"], 8080, "http")
        .settings("{ path = \"/realms/master\" }")
        .env(&[("KC_BOOTSTRAP_ADMIN_USERNAME", "dev"), ("KC_BOOTSTRAP_ADMIN_PASSWORD", "dev")])
        .command(&["start-dev"]),
    // Telemetry.
    known(
        &["opentelemetry-collector", "opentelemetry-collector-contrib", "opentelemetry-collector-k8s"],
        4317,
        "tcp",
    ),
    known(&["prometheus"], 9090, "http").settings("{ path = \"/-/ready\" }"),
    known(&["grafana", "grafana-oss", "grafana-enterprise"], 3000, "http")
        .settings("{ path = \"/api/health\" }"),
    known(&["loki"], 3100, "http").settings("{ path = \"/ready\" }"),
    known(&["all-in-one", "jaeger"], 4317, "tcp"),
    // Servers of the web.
    known(&["nginx", "httpd", "caddy"], 80, "http"),
    known(&["nginx-unprivileged"], 8080, "http"),
    known(&["traefik"], 80, "tcp"),
    known(&["gitea", "forgejo"], 3000, "http").settings("{ path = \"/api/healthz\" }"),
];

/// Servers of the Model Context Protocol have no common port; 8080 is what those of the Python launcher listen on.
const MCP: KnownImage = known(&[], 8080, "mcp");

/// What is known about an image by its name; `None` for any other one.
#[must_use]
pub fn find(image: &str) -> Option<&'static KnownImage> {
    let path = image.split('@').next().unwrap_or(image);
    let start = path.rfind('/').map_or(0, |slash| slash + 1);
    let end = path.get(start..).and_then(|last| last.find(':')).map_or(path.len(), |colon| start + colon);
    let path = path.get(..end).unwrap_or(path);
    let ends_with = |name: &&str| {
        path.strip_suffix(*name).is_some_and(|before| before.is_empty() || before.ends_with('/'))
    };
    let by_name = KNOWN.iter().find(|image| image.names.iter().any(&ends_with));
    by_name.or_else(|| is_mcp(path).then_some(&MCP))
}

/// `mcp/…` is Docker's collection of such servers; elsewhere the name says it.
fn is_mcp(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or(path);
    path.split('/').any(|part| part == "mcp") || last.split(['-', '_', '.']).any(|word| word == "mcp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_the_end_of_their_names() {
        for (image, port) in [
            ("postgres", Some(5432)),
            ("docker.io/library/postgres:16-alpine", Some(5432)),
            ("localhost:5000/team/mariadb:11", Some(3306)),
            ("mcr.microsoft.com/mssql/server:2022-latest", Some(1433)),
            ("example/server", None),
            ("apache/kafka:4.0.0", Some(9092)),
            ("bitnami/kafka", Some(9092)),
            ("docker.elastic.co/elasticsearch/elasticsearch:8.15.0", Some(9200)),
            ("mcp/fetch", Some(8080)),
            ("ghcr.io/github/github-mcp-server", Some(8080)),
            ("mcr.microsoft.com/playwright/mcp", Some(8080)),
            ("mypostgres", None),
            ("example/mcpherson", None),
            (&format!("redis@sha256:{}", "0".repeat(64)), Some(6379)),
        ] {
            assert_eq!(find(image).map(|known| known.port), port, "{image}");
        }
    }

    #[test]
    fn no_name_stands_twice() {
        let mut names: Vec<&str> = KNOWN.iter().flat_map(|image| image.names).copied().collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
