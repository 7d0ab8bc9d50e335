//! Miniatures of stacks that people run, with the forms in which each of them writes what matters: order, jobs, health tests.

use super::{Imported, Outcome, imported, of};
use crate::definition::Definition;
use crate::definition::fuzzing::definition;
use crate::definition::order::check;

/// What a stack's definitions have, by the service.
type Lines = &'static [(&'static str, &'static [&'static str])];

const STACKS: &[(&str, &str, Lines)] = &[
    (
        "langfuse",
        r#"
services:
  langfuse-web:
    image: docker.io/langfuse/langfuse:3
    restart: always
    depends_on: &depends
      postgres: {condition: service_healthy}
      minio: {condition: service_healthy}
      redis: {condition: service_healthy}
      clickhouse: {condition: service_healthy}
    ports: ["3000:3000"]
    environment: {DATABASE_URL: "${DATABASE_URL:-postgresql://postgres:postgres@postgres:5432/postgres}"}
  langfuse-worker: {image: "docker.io/langfuse/langfuse-worker:3", depends_on: *depends, ports: ["127.0.0.1:3030:3030"]}
  clickhouse:
    image: docker.io/clickhouse/clickhouse-server
    healthcheck: {test: "wget --no-verbose --tries=1 --spider http://localhost:8123/ping || exit 1", interval: 5s, retries: 10}
    volumes: [langfuse_clickhouse_data:/var/lib/clickhouse]
  minio:
    image: cgr.dev/chainguard/minio
    entrypoint: sh
    command: -c 'mkdir -p /data/langfuse && minio server --address ":9000" /data'
    healthcheck: {test: ["CMD", "mc", "ready", "local"], interval: 1s}
  redis:
    image: docker.io/redis:7
    command: --requirepass ${REDIS_AUTH:-myredissecret}
    healthcheck: {test: ["CMD", "redis-cli", "ping"], interval: 3s, retries: 10}
  postgres:
    image: docker.io/postgres:${POSTGRES_VERSION:-17}
    healthcheck: {test: ["CMD-SHELL", "pg_isready -U postgres"], interval: 3s, retries: 10}
volumes: {langfuse_clickhouse_data: }
"#,
        &[
            (
                "langfuse-web",
                &["after = [\"clickhouse\", \"minio\", \"postgres\", \"redis\"]", "port = 3000"],
            ),
            ("clickhouse", &["probe = \"http\"", "settings = { path = \"/ping\" }"]),
            ("redis", &["probe = \"redis\""]),
            ("postgres", &["probe = \"postgres\""]),
        ],
    ),
    (
        "supabase",
        r#"
name: supabase
services:
  db:
    image: supabase/postgres:15.8.1.060
    healthcheck: {test: [CMD, pg_isready, "-U", postgres, "-h", localhost], interval: 5s, timeout: 5s, retries: 10}
    command: [postgres, "-c", config_file=/etc/postgresql/postgresql.conf]
  rest:
    image: postgrest/postgrest:v12.2.12
    depends_on: {db: {condition: service_healthy}}
    command: [postgrest]
  auth:
    image: supabase/gotrue:v2.174.0
    depends_on: {db: {condition: service_healthy}}
    healthcheck:
      test: [CMD, wget, "--no-verbose", "--tries=1", "--spider", "http://localhost:9999/health"]
"#,
        &[
            ("db", &["port = 5432", "probe = \"postgres\""]),
            ("rest", &["after = [\"db\"]", "kind = \"none\"", "probe = \"skip\""]),
            ("auth", &["port = 9999", "probe = \"http\"", "settings = { path = \"/health\" }"]),
        ],
    ),
    (
        "plausible",
        r#"
services:
  plausible_db: {image: "postgres:16-alpine", restart: always, volumes: ["db-data:/var/lib/postgresql/data"]}
  plausible_events_db:
    image: clickhouse/clickhouse-server:24.12-alpine
    ulimits: {nofile: {soft: 262144, hard: 262144}}
  plausible:
    image: ghcr.io/plausible/community-edition:v3.0.1
    command: sh -c "/entrypoint.sh db createdb && /entrypoint.sh db migrate && /entrypoint.sh run"
    depends_on: [plausible_db, plausible_events_db]
volumes: {db-data: {driver: local}}
"#,
        &[(
            "plausible",
            &[
                "after = [{ sidecar = \"plausible_db\", until = \"started\" }, { sidecar = \"plausible_events_db\", until = \"started\" }]",
            ],
        )],
    ),
    (
        "sentry",
        r#"
x-restart-policy: &restart_policy {restart: unless-stopped}
x-healthcheck-defaults: &healthcheck_defaults {interval: 30s, timeout: 90s, retries: 10, start_period: 10s}
services:
  redis:
    <<: *restart_policy
    image: redis:6.2.14-alpine
    healthcheck: {<<: *healthcheck_defaults, test: redis-cli ping | grep PONG}
  memcached:
    <<: *restart_policy
    image: memcached:1.6.26-alpine
    command: [-I, "${SENTRY_MAX_EXTERNAL_SOURCEMAP_SIZE:-1M}"]
  relay:
    <<: *restart_policy
    image: relay:local
    depends_on: {redis: {<<: {condition: service_healthy}}, memcached: {condition: service_started}}
"#,
        &[
            ("redis", &["probe = \"redis\"", "timeout = \"310s\""]),
            ("relay", &["after = [{ sidecar = \"memcached\", until = \"started\" }, \"redis\"]"]),
        ],
    ),
    (
        "temporal",
        r#"
services:
  postgresql: {container_name: temporal-postgresql, image: "postgres:${POSTGRESQL_VERSION}", expose: [5432]}
  temporal:
    container_name: temporal
    image: temporalio/auto-setup:${TEMPORAL_VERSION}
    depends_on: [postgresql]
    environment: [DB=postgres12, DB_PORT=5432, POSTGRES_SEEDS=postgresql]
    ports: ["7233:7233"]
  temporal-ui: {image: "temporalio/ui:${TEMPORAL_UI_VERSION}", depends_on: [temporal], ports: ["8080:8080"]}
"#,
        &[
            ("temporal", &["after = [{ sidecar = \"postgresql\", until = \"started\" }]", "port = 7233"]),
            ("temporal-ui", &["after = [{ sidecar = \"temporal\", until = \"started\" }]"]),
        ],
    ),
    (
        "airflow",
        r#"
x-airflow-common: &airflow-common
  image: ${AIRFLOW_IMAGE_NAME:-apache/airflow:3.0.1}
  environment: &airflow-common-env {AIRFLOW__CORE__EXECUTOR: CeleryExecutor}
  user: "${AIRFLOW_UID:-50000}:0"
  depends_on: &airflow-common-depends-on
    redis: {condition: service_healthy}
    postgres: {condition: service_healthy}
services:
  postgres:
    image: postgres:13
    healthcheck: {test: ["CMD", "pg_isready", "-U", "airflow"], interval: 10s, retries: 5, start_period: 5s}
  redis:
    image: redis:7.2-bookworm
    healthcheck: {test: ["CMD", "redis-cli", "ping"], interval: 10s, timeout: 30s, retries: 50}
  airflow-apiserver:
    <<: *airflow-common
    command: api-server
    ports: ["8080:8080"]
    healthcheck: {test: ["CMD", "curl", "--fail", "http://localhost:8080/api/v2/version"], interval: 30s}
    depends_on:
      <<: *airflow-common-depends-on
      airflow-init: {condition: service_completed_successfully}
  airflow-init:
    <<: *airflow-common
    entrypoint: /bin/bash
    command: ["-c", "exec /entrypoint airflow version"]
    restart: always
"#,
        &[
            ("airflow-init", &["job = \"once\"", "after = [\"postgres\", \"redis\"]", "kind = \"none\""]),
            (
                "airflow-apiserver",
                &[
                    "after = [{ sidecar = \"airflow-init\", until = \"succeeded\" }, \"postgres\", \"redis\"]",
                    "settings = { path = \"/api/v2/version\" }",
                ],
            ),
        ],
    ),
    (
        "nextcloud",
        r#"
services:
  db:
    image: mariadb:lts
    command: --transaction-isolation=READ-COMMITTED
    volumes: [db:/var/lib/mysql:Z]
    env_file: [db.env]
  redis: {image: "redis:alpine", restart: always}
  app:
    image: nextcloud:apache
    ports: ["127.0.0.1:8080:80"]
    environment: [MYSQL_HOST=db, REDIS_HOST=redis]
    depends_on: [db, redis]
volumes: {db: }
"#,
        &[("app", &["port = 80", "publish = [\"127.0.0.1:8080:80\"]"]), ("db", &["probe = \"mysql\""])],
    ),
    (
        "immich",
        r"
services:
  immich-server:
    container_name: immich_server
    image: ghcr.io/immich-app/immich-server:${IMMICH_VERSION:-release}
    ports: ['2283:2283']
    depends_on: [redis, database]
    healthcheck: {disable: false}
  redis:
    image: docker.io/valkey/valkey:8-bookworm@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    healthcheck: {test: redis-cli ping || exit 1}
  database:
    image: ghcr.io/immich-app/postgres:14-vectorchord0.3.0-pgvectors0.2.0
    shm_size: 128mb
    environment: {POSTGRES_INITDB_ARGS: --data-checksums}
",
        &[
            ("redis", &["probe = \"redis\""]),
            ("database", &["shm_size = \"128mb\"", "probe = \"postgres\""]),
            ("immich-server", &["probe = \"healthcheck\""]),
        ],
    ),
    (
        "elastic",
        r#"
version: "2.2"
services:
  setup:
    image: docker.elastic.co/elasticsearch/elasticsearch:${STACK_VERSION}
    user: "0"
    command: bash -c 'bin/elasticsearch-certutil ca --silent --pem -out config/certs/ca.zip'
    healthcheck: {test: ["CMD-SHELL", "[ -f config/certs/es01/es01.crt ]"], interval: 1s, retries: 120}
  es01:
    depends_on: {setup: {condition: service_healthy}}
    image: docker.elastic.co/elasticsearch/elasticsearch:${STACK_VERSION}
    ports: ["${ES_PORT}:9200"]
    mem_limit: ${MEM_LIMIT}
    ulimits: {memlock: {soft: -1, hard: -1}}
"#,
        &[("es01", &["after = [\"setup\"]", "port = 9200"])],
    ),
    (
        "kafka",
        r#"
services:
  broker:
    image: confluentinc/cp-kafka:7.9.0
    hostname: broker
    ports: ["9092:9092", "9101:9101"]
    healthcheck: {test: nc -z localhost 9092, interval: 5s, retries: 20}
  schema-registry:
    image: confluentinc/cp-schema-registry:7.9.0
    depends_on: [broker]
    ports: ["8081:8081"]
  init-kafka:
    image: confluentinc/cp-kafka:7.9.0
    depends_on: {broker: {condition: service_healthy}}
    entrypoint: ["/bin/sh", "-c"]
    command: ["kafka-topics --bootstrap-server broker:29092 --create --if-not-exists --topic orders"]
    ports: ["1:1"]
    healthcheck: {test: "true"}
  app:
    image: app:1
    depends_on: {init-kafka: {condition: service_completed_successfully, required: false}}
"#,
        &[
            ("broker", &["probe = \"tcp\""]),
            ("init-kafka", &["job = \"once\"", "after = [\"broker\"]"]),
            ("app", &["after = [{ sidecar = \"init-kafka\", until = \"succeeded\" }]"]),
        ],
    ),
];

/// What files of such stacks have that only looks as if it were as usual.
const ODDITIES: &[(&str, &str, Lines)] = &[
    (
        "a folder of the project, which a variable may move, and a script with a variable of the file and one of its own",
        r#"
services:
  init:
    image: ${IMAGE:-tool:|version|}
    volumes: ["${PROJECT:-.}/dags:/dags", "${DATA:-./data}:/data", "${OTHER:-/srv}/x:/x"]
    entrypoint: /bin/bash
    command: ["-ec", "id -u ${OWNER}; echo it's $$(hostname) >&2"]
  worker:
    image: tool
    command: [sh, "-ec", "exec work --name $$(hostname)"]
    depends_on: {init: {condition: service_completed_successfully}}
"#,
        &[
            (
                "init",
                &[
                    "\"bind:${PROJECT:-../..}/dags:/dags\",",
                    "\"bind:${DATA:-../../data}:/data\",",
                    "\"bind:${OTHER:-/srv}/x:/x\",",
                    r#"command = "-ec 'id -u ${OWNER}; echo it'\\''s $$(hostname) >&2'""#,
                ],
            ),
            ("worker", &[r#"command = ["sh", "-ec", "exec work --name $(hostname)"]"#]),
        ],
    ),
    (
        "settings behind a flag that shells have, too, and what is empty unless somebody sets it",
        r#"
services:
  postgres:
    image: postgres:14
    command: [postgres, "-c", wal_level=logical, "-c", "max_connections=${CONNECTIONS:-100}"]
    platform: ${PLATFORM:-}
    hostname: "${HOST-}"
    user: "${UID:-999}"
    healthcheck: {interval: $INTERVAL, retries: $RETRIES, test: ["CMD-SHELL", "pg_isready -U ${DB_USER:-postgres}"]}
"#,
        &[(
            "postgres",
            &[
                "command = \"postgres -c wal_level=logical -c 'max_connections=${CONNECTIONS:-100}'\"",
                "user = \"${UID:-999}\"",
                "probe = \"postgres\"",
            ],
        )],
    ),
    (
        "services that are reached at ports which only others know, and a test with a secret of the file",
        r#"
services:
  studio: {image: studio, environment: {META: "http://meta:8080", REST: "${REST_URL:-http://rest:3000}", QUEUE: queue}}
  meta: {image: meta, environment: [OWN=meta:1]}
  rest: {image: rest}
  queue: {image: queue}
  storage:
    image: storage
    healthcheck: {test: ["CMD", "wget", "--spider", "http://storage:5000/status"]}
  realtime:
    image: realtime
    healthcheck: {test: ["CMD-SHELL", 'curl -H "Authorization: Bearer ${KEY}" http://localhost:4000/health || echo $$?']}
"#,
        &[
            ("meta", &["port = 8080", "probe = \"tcp\""]),
            ("rest", &["port = 3000"]),
            ("queue", &["kind = \"none\""]),
            ("storage", &["port = 5000", "probe = \"http\"", "settings = { path = \"/status\" }"]),
            (
                "realtime",
                &[
                    r#"command = "/bin/sh -c 'curl -H \"Authorization: Bearer ${KEY}\" http://localhost:4000/health || echo $$?'""#,
                ],
            ),
        ],
    ),
    (
        "secrets and configurations in files, and addresses of this host that a variable may change",
        r#"
services:
  db:
    image: postgres
    secrets: [password, {source: key, target: tls.key}]
    configs: [{source: conf, target: /etc/db.conf}, plain]
    ports: ["${HOST_IP:-127.0.0.1}:${DB_PORT:-5432}:5432"]
    environment:
      - |
        PROPERTIES=
        a: b
secrets: {password: {file: db/password.txt}, key: {file: /etc/key}}
configs: {conf: {file: ./db.conf}, plain: {file: plain}}
"#,
        &[(
            "db",
            &[
                "\"bind:../../db/password.txt:/run/secrets/password:ro\",",
                "\"bind:/etc/key:/run/secrets/tls.key:ro\",",
                "\"bind:../../db.conf:/etc/db.conf:ro\",",
                "\"bind:../../plain:/plain:ro\",",
                "publish = [\"${HOST_IP:-127.0.0.1}:${DB_PORT:-5432}:5432\"]",
                "PROPERTIES = \"\\na: b\\n\"",
            ],
        )],
    ),
    (
        "links with other names",
        r#"
version: "2"
services:
  web: {image: web, links: ["db:database", "db"]}
  db: {image: "postgres:9", volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro"]}
"#,
        &[("db", &["aliases = [\"database\"]", "\"docker-socket:ro\","])],
    ),
];

#[test]
fn what_is_unusual_means_what_compose_means() {
    for (what, text, expected) in ODDITIES {
        let imported = imported(text);
        definitions(&imported);
        for (name, lines) in *expected {
            let service = of(&imported, name);
            for line in *lines {
                assert!(service.toml.contains(line), "{what}, {name}: {line}\n{}", service.toml);
            }
        }
    }
}

#[test]
fn what_would_be_lost_is_told() {
    let text = r#"
services:
  proxy:
    build: {context: ./proxy, args: {VERSION: $VERSION}, target: run}
    volumes: ["/var/run/docker.sock:/tmp/docker.sock:ro"]
    platform: ${PLATFORM:-}
    networks: {back: {ipv4_address: 10.0.0.5}}
  queue: {image: queue}
  web: {image: web, environment: {QUEUE_HOST: queue}, volumes: ["../web:/app", "/app/node_modules"], secrets: [token]}
secrets: {token: {environment: TOKEN}}
"#;
    let imported = imported(text);
    for (name, key, told) in [
        (
            "proxy",
            "build",
            "docker build -t proxy:local --target run --build-arg \"VERSION=${VERSION}\" ./proxy",
        ),
        ("proxy", "volumes", "cannot be at /tmp/docker.sock"),
        ("proxy", "platform", "empty unless a variable is set"),
        ("proxy", "networks", "the engine chooses a sidecar's address"),
        ("queue", "what others say of it", "no port is known"),
        ("web", "volumes", "/app/node_modules lies within the mount at /app"),
        ("web", "secrets", "bind a file with its content"),
    ] {
        let outcome =
            of(&imported, name).keys.iter().find(|(found, _)| found == key).map(|(_, outcome)| outcome);
        assert!(
            matches!(outcome, Some(Outcome::Lost(what)) if what.contains(told)),
            "{name}.{key}: {outcome:?}"
        );
    }
}

/// The definitions of a stack, with a number for every variable.
fn definitions(imported: &Imported) -> Vec<Definition> {
    let each = imported.services.iter().map(|service| {
        let text = crate::definition::interpolation::interpolated(&service.toml, &mut |_| {
            Ok(Some("64000000".to_owned()))
        });
        let text = text
            .expect("variables")
            .replace("64000000:9200", "6400:9200")
            .replace("64000000:64000000:5432", "127.0.0.1:6400:5432");
        definition(&service.name, &text).unwrap_or_else(|| panic!("{}:\n{text}", service.name))
    });
    each.collect()
}

#[test]
fn stacks_that_people_run_keep_their_order_their_jobs_and_their_health_tests() {
    for (stack, text, expected) in STACKS {
        let imported = imported(text);
        let mut problems = Vec::new();
        check(&definitions(&imported), &[], &mut problems);
        assert_eq!(problems, [], "{stack}");
        for (name, lines) in *expected {
            let service = of(&imported, name);
            for line in *lines {
                assert!(service.toml.contains(line), "{stack}, {name}: {line}\n{}", service.toml);
            }
        }
    }
}
