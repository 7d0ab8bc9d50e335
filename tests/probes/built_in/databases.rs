//! The probes of the shelf on real databases: each tells an open port from a server that serves.

use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::setup::{LONG, Sidecar};
use crate::support::servers::{mariadb_image, postgres_image, redis_image};
use crate::support::{docker, wait_until};

#[test]
fn postgresql_that_recovers_is_not_ready() {
    let standby = "entrypoint = [\"sh\", \"-c\", \"initdb -D /tmp/data -U postgres --auth=trust --no-sync && \
                   echo 'host all all all trust' >>/tmp/data/pg_hba.conf && : >/tmp/data/standby.signal && \
                   exec postgres -D /tmp/data -c listen_addresses='*' -c hot_standby=off\"]\n";
    let Some(database) = Sidecar::new("postgres", postgres_image(), 5432, standby) else { return };
    database.is_waited_for("", "the database system is not accepting connections", || {
        database.run(&["pg_ctl", "promote", "-D", "/tmp/data"]);
    });
    database.is_ready("");
    let absent = "the database \"app\" does not exist yet";
    database.fails_for("database = \"app\"", "3s", absent, "database-missing");
    let query = "query = \"select * from jobs\"";
    database.fails_for(query, "3s", "relation \"jobs\" does not exist", "query-fails");
    let role = "the server refuses the login: role \"nobody\" does not exist";
    database.fails_for("user = \"nobody\", database = \"postgres\"", "3s", role, "login-refused");
    database.run(&["psql", "-U", "postgres", "-c", "create database app"]);
    database.run(&["psql", "-U", "postgres", "-d", "app", "-c", "create table jobs ()"]);
    database.is_ready("database = \"app\", query = \"select * from jobs\"");
}

#[test]
fn postgresql_is_logged_in_to_where_a_password_is_set() {
    let guarded = "entrypoint = [\"sh\", \"-c\", \"initdb -D /tmp/data -U postgres --auth=trust --no-sync && \
                   echo 'host all all all md5' >>/tmp/data/pg_hba.conf && \
                   exec postgres -D /tmp/data -c listen_addresses='*'\"]\n";
    let Some(database) = Sidecar::new("postgres", postgres_image(), 5432, guarded) else { return };
    database.is_ready("");
    database.run(&["psql", "-U", "postgres", "-c", "create role scram login password 'secret'"]);
    let old = "set password_encryption = 'md5'; create role old login password 'secret'";
    database.run(&["psql", "-U", "postgres", "-c", old]);
    for user in ["scram", "old"] {
        let right = format!("user = \"{user}\", database = \"postgres\", password = \"secret\"");
        database.is_ready(&format!("{right}, query = \"select 1\""));
        let wrong = format!("user = \"{user}\", password = \"guess\"");
        let refused = "the server refuses the login: password authentication failed";
        database.fails_for(&wrong, "3s", refused, "login-refused");
    }
    for settings in ["query = \"select 1\"", "database = \"postgres\""] {
        database.fails_for(settings, LONG, "add `settings.password`", "login-missing");
    }
    let log = crate::support::engine::container_logs(&database.scene.container("db"));
    assert!(!log.contains("expected password response"), "{log}");
}

#[test]
fn postgresql_whose_role_comes_later_is_waited_for() {
    let guarded = "entrypoint = [\"sh\", \"-c\", \"initdb -D /tmp/data -U postgres --auth=trust --no-sync && \
                   echo 'host all all all scram-sha-256' >>/tmp/data/pg_hba.conf && \
                   exec postgres -D /tmp/data -c listen_addresses='*' -c port=9000\"]\n";
    let Some(database) = Sidecar::new("postgres", postgres_image(), 5432, guarded) else { return };
    let sql = |text: &str| {
        database.run(&["psql", "-p", "9000", "-U", "postgres", "-c", text]);
    };
    let settings = "port = 9000, user = \"late\", password = \"secret\", database = \"late\"";
    database.is_waited_for(settings, "the server refuses the login: password authentication failed", || {
        sql("create role late login password 'secret'");
        sql("create database late");
    });
}

#[test]
fn redis_that_loads_its_data_is_not_ready() {
    let loading = "entrypoint = [\"sh\", \"-c\", \"redis-server --port 0 --unixsocket /tmp/redis \
                   --enable-debug-command local --daemonize yes >/dev/null && \
                   until redis-cli -s /tmp/redis debug populate 50000; do sleep 0.1; done && \
                   redis-cli -s /tmp/redis shutdown save; exec redis-server --protected-mode no \
                   --key-load-delay 10000 --loading-process-events-interval-bytes 1024\"]\n";
    let Some(database) = Sidecar::new("redis", redis_image(), 6379, loading) else { return };
    database.is_not_ready("", "10s", "LOADING Redis is loading the dataset in memory");
    database.run(&["redis-cli", "config", "set", "key-load-delay", "0"]);
    database.is_ready("");
    assert_eq!(database.run(&["redis-cli", "dbsize"]), "50000");
}

#[test]
fn redis_is_logged_in_to_where_a_password_is_set() {
    let guarded = "command = [\"redis-server\", \"--requirepass\", \"secret\"]\n";
    let Some(database) = Sidecar::new("redis", redis_image(), 6379, guarded) else { return };
    database.is_ready("password = \"secret\"");
    database.is_ready("username = \"default\", password = \"secret\"");
    database.fails_for("", LONG, "Redis needs a password: add `settings.password`", "login-missing");
    database.fails_for("password = \"guess\"", "3s", "WRONGPASS", "login-refused");
    database.is_waited_for("username = \"late\", password = \"secret\"", "WRONGPASS", || {
        database.run(&["redis-cli", "-a", "secret", "acl", "setuser", "late", "on", ">secret", "+ping"]);
    });
}

#[test]
fn redis_that_is_a_replica_is_ready_when_it_has_synchronised() {
    let replica = "command = [\"redis-server\", \"--protected-mode\", \"no\", \"--port\", \"9000\", \
                   \"--replicaof\", \"127.0.0.1 9001\"]\n";
    let Some(database) = Sidecar::new("redis", redis_image(), 6379, replica) else { return };
    let behind = "the replica has not synchronised with its master yet: master_link_status is down";
    database.is_waited_for("port = 9000", behind, || {
        database.run(&["redis-server", "--port", "9001", "--save", "", "--daemonize", "yes"]);
    });
    let state = database.run(&["redis-cli", "-p", "9000", "info", "replication"]);
    assert!(state.contains("master_link_status:up"), "{state}");
}

#[test]
fn redis_that_listens_for_ipv6_only_is_told_so() {
    let ipv6 = "command = [\"redis-server\", \"--protected-mode\", \"no\", \"--bind\", \"::\"]\n";
    let Some(database) = Sidecar::new("redis", redis_image(), 6379, ipv6) else { return };
    database.fails_for("", "10s", "connection refused", "listens-on-ipv6");
}

#[test]
fn redis_that_speaks_tls_is_told_so() {
    let pem = include_str!("../../servers/tls.pem");
    let tls = format!(
        "entrypoint = [\"sh\", \"-c\", 'echo \"$PEM\" >/tmp/pem; exec redis-server --protected-mode no --port 0 \
         --tls-port 6379 --tls-cert-file /tmp/pem --tls-key-file /tmp/pem --tls-ca-cert-file /tmp/pem']\n\
         env = {{ PEM = {pem:?} }}\n"
    );
    let Some(database) = Sidecar::new("redis", redis_image(), 6379, &tls) else { return };
    database.fails_for("", LONG, "the port speaks TLS", "speaks-tls");
}

#[test]
fn mariadb_that_is_stopped_is_not_ready() {
    let child = "entrypoint = [\"sh\", \"-c\", \"mariadb-entrypoint & wait\"]\n";
    let Some(database) = Sidecar::new("mysql", mariadb_image(), 3306, child) else { return };
    database.is_ready("");
    let signal = |name: &str| {
        database.run(&["sh", "-c", &format!("kill -{name} $(busybox pidof mariadbd)")]);
    };
    signal("STOP");
    let silent = "the port accepts connections, but the server does not answer yet";
    database.fails_for("", "5s", silent, "slow-answer");
    signal("CONT");
    database.is_ready("");
    database.is_ready("user = \"app\"");
    database.is_ready("user = \"app\", password = \"secret\"");
    let denied = "the server refuses the login: Access denied for user 'app'@";
    database.fails_for("user = \"app\", password = \"guess\"", "3s", denied, "login-refused");
    database.fails_for("user = \"app\", database = \"mysql\"", "3s", denied, "login-refused");
}

#[test]
fn mariadb_whose_accounts_and_databases_come_later_is_waited_for() {
    let moved = "command = [\"--port=9000\"]\n";
    let Some(database) = Sidecar::new("mysql", mariadb_image(), 3306, moved) else { return };
    let sql = |text: &str| {
        database.run(&["mariadb", "-uroot", "-P9000", "-h127.0.0.1", "-e", text]);
    };
    let late = "port = 9000, user = \"late\", password = \"secret\"";
    database.is_waited_for(late, "the server refuses the login: Access denied for user 'late'@", || {
        sql("create user late@'%' identified by 'secret'; grant all on late.* to late@'%'");
    });
    let in_database = format!("{late}, database = \"late\"");
    let absent = "the database \"late\" does not exist yet";
    database.fails_for(&in_database, "3s", absent, "database-missing");
    database.is_waited_for(&in_database, absent, || sql("create database late"));
    let query = format!("{in_database}, query = \"select * from jobs\"");
    database.fails_for(&query, "3s", "the query failed: Table 'late.jobs' doesn't exist", "query-fails");
    database.is_waited_for(&query, "the query failed: ", || sql("create table late.jobs (id int)"));
}

#[test]
fn mariadb_whose_accounts_are_for_other_hosts_is_waited_for() {
    let Some(database) = Sidecar::new("mysql", mariadb_image(), 3306, "") else { return };
    database.is_ready("");
    let sql = |text: &str| {
        database.run(&["mariadb", "-uroot", "-S", "/run/mysqld/mysqld.sock", "-e", text]);
    };
    sql("drop user root@'%'; drop user app@'%'; flush privileges");
    database.is_waited_for(
        "",
        "is not allowed to connect to this MariaDB server (make an account for '%')",
        || {
            sql("create user app@'%' identified by 'secret'");
        },
    );
}

#[test]
fn mariadb_with_too_many_connections_is_not_ready() {
    let small = "command = [\"--max-connections=10\", \"--extra-port=3307\"]\n";
    let Some(database) = Sidecar::new("mysql", mariadb_image(), 3306, small) else { return };
    database.is_ready("");
    let held =
        "for each in 1 2 3 4 5 6 7 8 9 10 11; do mariadb -uroot -h127.0.0.1 -e 'do sleep(600)' & done; wait";
    docker(["exec", "--detach", &database.scene.container("db"), "sh", "-c", held]);
    let ask = |query: &str| database.run(&["mariadb", "-uroot", "-h127.0.0.1", "-P3307", "-Ne", query]);
    wait_until("all connections are held", Duration::from_mins(10), || {
        ask("select count(*) from information_schema.processlist where info = 'do sleep(600)'") == "11"
    });
    database.is_not_ready("", "3s", "Too many connections (error 1040)");
    ask("set global max_connections = 100");
    database.is_ready("");
}

#[test]
fn mariadb_never_blocks_the_probe_for_broken_handshakes() {
    let strict = "command = [\"--max-connect-errors=10\"]\n";
    let Some(database) = Sidecar::new("mysql", mariadb_image(), 3306, strict) else { return };
    // A login that succeeds would start the count again; this one is denied.
    for _ in 0..200 {
        database.is_ready("user = \"app\"");
    }
    // What a probe that only connects would do.
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
    let addresses =
        crate::support::engine::inspect(&database.scene.container("db"), format).unwrap_or_default();
    let address = addresses.split_whitespace().next().expect("an address");
    for _ in 0..12 {
        let mut connection = TcpStream::connect((address, 3306)).expect("a connection");
        let mut greeting = [0; 5];
        connection.read_exact(&mut greeting).expect("a greeting");
        connection.shutdown(Shutdown::Both).expect("an end");
    }
    database.is_not_ready("user = \"app\"", LONG, "is blocked because of many connection errors");
}

#[test]
fn redis_under_the_probe_for_another_server() {
    // It closes what speaks HTTP at once, and waits for the rest of a greeting in TLS: that is no slow answer.
    let Some(database) = Sidecar::new("http", redis_image(), 6379, "") else { return };
    let (outcome, events) = database.up("", "6s");
    let outcome = outcome.assert_code(125);
    let answers = events.answers();
    assert!(answers.iter().any(|found| found.contains("closes them without an answer")), "{answers:#?}");
    assert!(events.one("not-ready")["cause"].is_null(), "{outcome}");
    // It waits for a question, as the probe waits for a server that speaks first.
    let Some(database) = Sidecar::new("mysql", redis_image(), 6379, "") else { return };
    let (outcome, events) = database.up("", "6s");
    assert_eq!(events.one("not-ready")["cause"]["name"], "slow-answer", "{outcome}");
    assert!(outcome.stderr().contains("names the probe for this kind of server"), "{outcome}");
}
