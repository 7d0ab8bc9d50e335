//! Miniatures of real compose files: every definition that comes out is valid, and no key is passed over.

mod stacks;

use super::*;
use crate::definition::fuzzing::definition;

const FILE: &str = r#"
version: "3.8"
x-common: &common
  restart: unless-stopped
  environment: &env
    TZ: UTC
services:
  db:
    <<: *common
    image: postgres:${PG:-16}
    container_name: my-db
    environment:
      <<: *env
      POSTGRES_PASSWORD: $PASSWORD
      POSTGRES_DB: app
    ports: ["127.0.0.1:${DB_PORT:-15432}:5432"]
    volumes:
      - db_data:/var/lib/postgresql/data
      - ./init.sql:/docker-entrypoint-initdb.d/init.sql:ro
    healthcheck:
      test: ["CMD-SHELL", "pg_isready -U postgres -d $$POSTGRES_DB"]
      interval: 5s
      retries: 20
    shm_size: 128mb
    deploy: {resources: {limits: {memory: 512M, cpus: "0.5"}}, mode: global}
  api:
    build: {context: ./api, dockerfile: Dockerfile.dev}
    command: bash -c "exec api --port 8080"
    env_file: [.env, {path: more.env, required: false}]
    environment:
      - DATABASE_URL=postgres://postgres@db/app
      - TOKEN
    depends_on: {db: {condition: service_healthy}}
    expose: [8080]
    ulimits: {nofile: {soft: 1024, hard: 2048}, core: 0}
    extra_hosts: ["host.docker.internal:host-gateway"]
    cap_add: [NET_ADMIN]
    logging: {driver: json-file}
    networks: {back: {aliases: [api.test]}}
    healthcheck: {test: curl -f http://localhost:8080/health}
    secrets: [token]
    x-note: hello
    frobnicate: 1
  minio:
    image: minio/minio
    command: ["server", "/data", "--console-address", ":9001"]
    ports: [9000:9000, 9001:9001, {target: 9002, published: 9002, protocol: tcp}]
    tmpfs: /run:size=64m
    volumes: [shared:/data, /cache]
  worker:
    extends: {service: api}
    image: worker:1
    volumes: [shared:/data, /var/run/docker.sock:/var/run/docker.sock]
volumes: {db_data: , shared: }
networks: {back: }
include: [other.yaml]
"#;

fn imported(text: &str) -> Imported {
    from_compose(text, &[], Path::new("../..")).unwrap_or_else(|problem| panic!("{problem}"))
}

fn of<'a>(imported: &'a Imported, name: &str) -> &'a ImportedService {
    imported.services.iter().find(|service| service.name == name).expect("a service")
}

#[test]
fn every_key_of_every_service_is_accounted_for_and_every_definition_is_valid() {
    let imported = imported(FILE);
    let root: Json = serde_saphyr::from_str(FILE).expect("YAML");
    for service in &imported.services {
        let keys = root["services"][&service.name].as_object().expect("a service");
        for key in keys.keys().filter(|key| *key != "<<") {
            let is_told =
                service.keys.iter().any(|(told, _)| told == key || told.starts_with(&format!("{key}.")));
            assert!(is_told, "{}.{key}: {:?}", service.name, service.keys);
        }
        let text =
            crate::definition::interpolation::interpolated(&service.toml, &mut |_| Ok(Some("5".to_owned())));
        let text = text.expect("variables");
        assert!(definition(&service.name, &text).is_some(), "{}:\n{text}", service.name);
    }
    let told: Vec<&str> = imported.keys.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(told, ["include", "networks", "version", "volumes", "x-common"]);
}

#[test]
fn each_key_becomes_what_it_means() {
    let imported = imported(FILE);
    for (name, lines) in [
        (
            "db",
            &[
                "image = \"postgres:${PG:-16}\"",
                "restart = \"unless-stopped\"",
                "POSTGRES_PASSWORD = \"${PASSWORD}\"",
                "TZ = \"UTC\"",
                "\"volume:db-data:/var/lib/postgresql/data\",",
                "\"bind:../../init.sql:/docker-entrypoint-initdb.d/init.sql:ro\",",
                "memory = \"512M\"",
                "cpus = \"0.5\"",
                "port = 5432",
                "publish = [\"127.0.0.1:${DB_PORT:-15432}:5432\"]",
                "aliases = [\"my-db\"]",
                "probe = \"postgres\"",
                "timeout = \"100s\"",
            ][..],
        ),
        (
            "api",
            &[
                "image = \"api:local\"",
                "command = \"bash -c \\\"exec api --port 8080\\\"\"",
                "env_file = [\"../../.env\", { path = \"../../more.env\", required = false }]",
                "TOKEN = \"${TOKEN:-}\"",
                "ulimits = { core = 0, nofile = { soft = 1024, hard = 2048 } }",
                "extra_hosts = [\"host.docker.internal:host-gateway\"]",
                "port = 8080",
                "aliases = [\"api.test\"]",
                "after = [\"db\"]",
                "probe = \"http\"",
                "settings = { path = \"/health\" }",
            ],
        ),
        (
            "minio",
            &[
                "port = 9000",
                "ports = { p9001 = 9001, p9002 = 9002 }",
                "\"tmpfs:/run:64m\",",
                "\"volume:cache:/cache\",",
                "probe = \"http\"",
            ],
        ),
        ("worker", &["image = \"worker:1\"", "port = 8080", "\"docker-socket\","]),
    ] {
        let service = of(&imported, name);
        for line in lines {
            assert!(service.toml.contains(line), "{name}: {line}\n{}", service.toml);
        }
    }
    let lost = |name: &str, key: &str| {
        let found = of(&imported, name).keys.iter().find(|(told, _)| told == key);
        match found {
            Some((_, Outcome::Lost(what))) => what.clone(),
            other => panic!("{name}.{key}: {other:?}"),
        }
    };
    assert!(lost("api", "build").contains("docker build -t api:local -f ./api/Dockerfile.dev ./api"));
    assert!(lost("api", "secrets").contains("bind"));
    assert!(lost("minio", "volumes").contains("shared") && lost("api", "frobnicate").contains("no such key"));
}

#[test]
fn only_what_was_asked_for_is_translated() {
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let imported = from_compose(FILE, &named(&["db"]), Path::new("")).expect("a service");
    assert_eq!(imported.services.len(), 1);
    let imported = from_compose(FILE, &named(&["api"]), Path::new("")).expect("a service");
    let told = &of(&imported, "api").keys;
    let is_lost = |(key, outcome): &(String, Outcome)| {
        key == "depends_on" && matches!(outcome, Outcome::Lost(what) if what.contains("db"))
    };
    assert!(told.iter().any(is_lost) && !of(&imported, "api").toml.contains("after"), "{told:?}");
    let problem = from_compose(FILE, &named(&["dbs"]), Path::new("")).expect_err("no such service");
    assert!(problem.message.contains("no service `dbs`"), "{problem}");
}

#[test]
fn what_is_no_compose_file_is_refused_in_bounded_time() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in ('b'..='j').zip('a'..='i') {
        let aliases = vec![format!("*{before}"); 10].join(", ");
        bomb.push_str(&format!("{name}: &{name} [{aliases}]\n"));
    }
    bomb.push_str("services: {x: {image: *j}}\n");
    // Merge keys double what they take over, forty times.
    let mut merges = "x-m0: &m0 {k0: v}\n".to_owned();
    for index in 1..40 {
        let before = index - 1;
        merges.push_str(&format!("x-m{index}: &m{index} {{<<: [*m{before}, *m{before}], k{index}: v}}\n"));
    }
    merges.push_str("services: {x: {image: y, environment: *m39}}\n");
    let circle = "services: {a: {extends: b}, b: {extends: a}}";
    let enormous = format!("services:\n  a:\n    image: x\n    command: {}\n", "y".repeat(9 << 20));
    for (text, told) in [
        ("", "not a table"),
        ("[]", "not a table"),
        ("a: 1", "no `services`"),
        ("services: 5", "no `services`"),
        ("services:\n\ta: 1", "line 2 column 2: tabs"),
        ("services: {a: [", "line 1"),
        (&bomb, "line 6 column 12: it becomes too large"),
        (&merges, "it becomes too large"),
        (circle, ""),
        (&enormous, "larger than 8 MiB"),
    ] {
        let problem = from_compose(text, &[], Path::new("")).expect_err("it is refused");
        assert!(!problem.hints.is_empty() && !problem.message.contains('\n'), "{problem:?}");
        assert!(problem.message.contains(told) && !problem.message.contains("error:"), "{told}: {problem:?}");
    }
    let large: String = (0..20_000)
        .map(|index| format!("  s{index}: {{image: 'x:{index}', environment: {{A: b}}}}\n"))
        .collect();
    assert_eq!(imported(&format!("services:\n{large}")).services.len(), 20_000);
    let value = "y".repeat(100);
    let variables: String = (0..50_000).map(|index| format!("      V{index}: {value}\n")).collect();
    let five = format!("services:\n  a:\n    image: x\n    environment:\n{variables}");
    assert!(five.len() > 5 << 20);
    assert_eq!(imported(&five).services.len(), 1);
}
