//! `ps`: the sidecars that farrier manages.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::addresses::{addresses, home};
use super::data::{print, print_json, terminal_width};
use super::managing::EngineSessions;
use crate::cli::options::{self, Format};
use crate::cli::runtime::CommandRuntime;
use crate::cli::settings::layer_directories;
use crate::definition::{LayerDirectories, PublishedPort};
use crate::event::Reporter;
use crate::manage::managed::{Inventory, Managed, SyncStatus};
use crate::plan::Cause;
use crate::plan::instance::{HealthStatus, Instance, Status};
use crate::report::elapsed::age;
use crate::report::error::Failure;
use crate::report::escape::escape;
use crate::report::exit;

/// Below this many columns, each sidecar is a block of lines instead of a row.
const NARROW: u16 = 72;
/// Longer names may be broken.
const LONGEST_NAME: usize = 24;
/// Below this many, addresses and the files of the definitions stand in a table of their own.
const WIDE: u16 = 120;
const HEADINGS: [&str; 8] =
    ["SIDECAR", "STATE", "AGE", "MATCH", "ADDRESSES", "NETWORKS", "USED BY", "DEFINITION"];

/// Lists them.
pub fn ps(options: &options::Ps, reporter: &Arc<Reporter>) -> Result<u8, Failure> {
    let mut inventory = CommandRuntime::start()?.run_alone(async {
        let sessions = EngineSessions::open(&options.layers, reporter).await?;
        sessions.sweep().await?;
        sessions.inventory().await
    })?;
    let hidden =
        if options.all { 0 } else { hide_others(&mut inventory, &layer_directories(&options.layers)) };
    match options.format {
        Format::Human => {
            let others =
                if hidden == 0 { String::new() } else { format!("{hidden} more: farrier ps --all\n") };
            print(&(running(&inventory, terminal_width()) + &others + &absent(&inventory)));
        }
        Format::Json => print_json(&as_json(&inventory)),
    }
    Ok(exit::SUCCESS)
}

/// Leaves out what neither the current layers declare nor a file in one of their folders did. Gives how many.
fn hide_others(inventory: &mut Inventory, directories: &LayerDirectories) -> usize {
    let LayerDirectories { user, org, repo, workspace, .. } = directories;
    let folders: Vec<PathBuf> = [user, org, repo, workspace]
        .into_iter()
        .flatten()
        .filter_map(|folder| std::path::absolute(folder).ok())
        .collect();
    let before = inventory.sidecars.len();
    inventory.sidecars.retain(|managed| {
        let folder = managed.definition.parent();
        managed.sync_status.is_declared()
            || folder.is_some_and(|folder| folders.iter().any(|own| own == folder))
    });
    before - inventory.sidecars.len()
}

#[cfg(any(test, fuzzing))]
pub(super) fn human(inventory: &Inventory, width: Option<u16>) -> String {
    running(inventory, width) + &absent(inventory)
}

fn running(inventory: &Inventory, width: Option<u16>) -> String {
    if inventory.sidecars.is_empty() { "no sidecars\n".to_owned() } else { table(inventory, width) }
}

fn absent(inventory: &Inventory) -> String {
    if inventory.absent.is_empty() {
        return String::new();
    }
    format!("declared, without a container: {}\n", escape(&inventory.absent.join(", ")))
}

fn table(inventory: &Inventory, width: Option<u16>) -> String {
    let rows: Vec<[String; 8]> = inventory.sidecars.iter().map(|managed| row(managed, inventory)).collect();
    match width {
        Some(..NARROW) => rows.iter().map(|row| block(row, width)).collect(),
        Some(..WIDE) => {
            let [name, state, age, matching, addresses, networks, users, definition] = HEADINGS;
            let mut table = new_table(width);
            table.set_header([name, state, age, matching, networks, users]);
            let mut places = new_table(width);
            places.set_header([name, addresses, definition]);
            for [name, state, age, matching, addresses, networks, users, definition] in rows {
                places.add_row([name.clone(), addresses, definition]);
                table.add_row([name, state, age, matching, networks, users]);
            }
            let names = inventory.sidecars.iter().map(|managed| escape(&managed.name).chars().count());
            keep_names_whole(&mut table, names);
            format!("{}\n{}\n", lines(&table), lines(&places))
        }
        _ => {
            let mut table = new_table(width);
            table.set_header(HEADINGS).add_rows(rows);
            lines(&table)
        }
    }
}

/// A line for each cell that holds something.
fn block(row: &[String; 8], width: Option<u16>) -> String {
    let mut table = new_table(width);
    let filled = HEADINGS.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
    table.add_rows(filled.map(|(heading, cell)| [(*heading).to_owned(), cell.clone()]));
    lines(&table) + "\n"
}

/// A table as wide as the terminal; without a terminal, each row is one line.
fn new_table(width: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(width) = width {
        table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}

/// Names are typed by whoever reads them: they are not broken where there is room for them.
fn keep_names_whole(table: &mut Table, names: impl Iterator<Item = usize>) {
    let longest = names.max().unwrap_or_default().min(LONGEST_NAME);
    // With the space on both sides.
    let width = u16::try_from(longest + 2).unwrap_or(u16::MAX);
    if let Some(column) = table.column_mut(0) {
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
    }
}

/// Without the spaces that a table has around its cells.
fn lines(table: &Table) -> String {
    table
        .to_string()
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line).trim_end()))
        .collect()
}

fn row(managed: &Managed, inventory: &Inventory) -> [String; 8] {
    let container = &managed.container;
    let is_same = |other: &&Managed| other.name == managed.name && other.instance == managed.instance;
    let several = inventory.sidecars.iter().filter(is_same).count() > 1;
    let name = match &managed.instance {
        _ if several => container.name.clone(),
        Some(instance) => format!("{} ({instance})", managed.name),
        None => managed.name.clone(),
    };
    let networks: Vec<&str> = container.networks.keys().map(String::as_str).collect();
    let holders = managed.holders.iter().map(|holder| format!("{} ({})", holder.command, holder.process));
    let since = container.since().map(|since| age(inventory.now.duration_since(since)));
    [
        escape(&name),
        state(container, managed.is_job),
        since.unwrap_or_default(),
        escape(&matching(managed)),
        addresses(container, home(container), &managed.ports).join(", "),
        escape(&networks.join(", ")),
        escape(&holders.collect::<Vec<_>>().join(", ")),
        escape(&short_path(&managed.definition)),
    ]
}

fn state(container: &Instance, is_job: bool) -> String {
    let health = container.health.as_ref().map(|health| format!(", {}", health_word(health.status)));
    match container.status {
        Status::Running => {
            let isolation = if container.lacks_isolation { ", no isolation" } else { "" };
            format!("running{}{isolation}", health.unwrap_or_default())
        }
        Status::Exited if is_job && container.exit_code == 0 => "succeeded".to_owned(),
        Status::Exited if is_job => format!("failed ({})", container.exit_code),
        Status::Exited | Status::Dead => format!("{} ({})", container.status, container.exit_code),
        status => status.to_string(),
    }
}

const fn health_word(status: HealthStatus) -> &'static str {
    match status {
        HealthStatus::Starting => "starting",
        HealthStatus::Healthy => "healthy",
        HealthStatus::Unhealthy => "unhealthy",
    }
}

fn matching(managed: &Managed) -> String {
    match &managed.sync_status {
        SyncStatus::Fresh => "fresh".to_owned(),
        SyncStatus::Stale(causes) => {
            let causes: Vec<String> = causes.iter().map(ToString::to_string).collect();
            format!("stale: {}", causes.join("; "))
        }
        SyncStatus::Orphan => "orphan".to_owned(),
        SyncStatus::Session => "session".to_owned(),
        SyncStatus::Undeclared if managed.instance.is_some() => "another instance".to_owned(),
        SyncStatus::Undeclared => "not declared".to_owned(),
    }
}

/// A path below the home directory as a shell would write it.
fn short_path(path: &Path) -> String {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    match home.and_then(|home| path.strip_prefix(home).ok().map(Path::to_owned)) {
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}

pub(super) fn as_json(inventory: &Inventory) -> Value {
    let sidecars: Vec<Value> =
        inventory.sidecars.iter().map(|managed| sidecar_json(managed, inventory.now)).collect();
    json!({ "sidecars": sidecars, "absent": inventory.absent })
}

fn sidecar_json(managed: &Managed, now: Timestamp) -> Value {
    let container = &managed.container;
    let since = container.since();
    let causes: Vec<Value> = match &managed.sync_status {
        SyncStatus::Stale(causes) => causes.iter().map(Cause::to_json).collect(),
        _ => Vec::new(),
    };
    let used_by = managed.holders.iter();
    let used_by = used_by.map(|holder| json!({"process": holder.process, "command": holder.command}));
    json!({
        "name": managed.name,
        "engine": managed.engine,
        "container": container.name,
        "id": container.id,
        "image_id": container.image_id,
        "instance": managed.instance,
        "session": managed.session,
        "is_job": managed.is_job,
        "lacks_isolation": container.lacks_isolation,
        "state": container.status.to_string(),
        "exit_code": (container.status == Status::Exited).then_some(container.exit_code),
        "health": container.health.as_ref().map(|health| health_word(health.status)),
        "since": since.map(|since| since.to_string()),
        "age_seconds": since.map(|since| now.duration_since(since).as_secs().max(0)),
        "match": managed.sync_status.kind(),
        "causes": causes,
        "address": home(container).and_then(|network| container.address(network)),
        "ports": managed.ports,
        "published": container.published.iter().map(published_json).collect::<Vec<_>>(),
        "networks": container.networks.keys().collect::<Vec<_>>(),
        "definition": managed.definition.display().to_string(),
        "used_by": used_by.collect::<Vec<_>>(),
    })
}

fn published_json(port: &PublishedPort) -> Value {
    json!({
        "address": port.address,
        "port": port.host,
        "container_port": port.container,
        "protocol": port.protocol.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::engine::docker::api::ContainerSpec;
    use crate::engine::docker::double::{Double, DoubleImage};
    use crate::plan::instance::Health;
    use crate::system::lock::Holder;

    fn inventory() -> Inventory {
        let engine = Double::new();
        let container = |name: &str| {
            engine.change(|world| {
                world.add_image("image:1", DoubleImage::default());
                let spec = ContainerSpec {
                    name: format!("farrier-{name}"),
                    image: "image:1".to_owned(),
                    network: "farrier".to_owned(),
                    ..ContainerSpec::default()
                };
                world.create(&spec).expect("a container");
                world.container(&spec.name).expect("a container").instance()
            })
        };
        let moment = |text: &str| text.to_owned();
        let managed = |name: &str, status, sync_status, holders| Managed {
            engine: "docker",
            name: name.to_owned(),
            container: Instance {
                status,
                exit_code: 3,
                started_at: moment("2026-03-01T10:00:00Z"),
                finished_at: moment("2026-03-01T11:30:00Z"),
                ..container(name)
            },
            instance: None,
            session: None,
            is_job: false,
            ports: vec![5432, 8008],
            definition: PathBuf::from(format!("/home/ada/.config/farrier/sidecars/{name}.toml")),
            sync_status,
            holders,
        };
        let holder = Holder { process: 4711, command: "docker run harness".to_owned() };
        let changed = Cause::Configuration(vec!["env.LEVEL".to_owned(), "command".to_owned()]);
        let mut db = managed("db", Status::Running, SyncStatus::Fresh, vec![holder]);
        let endpoint = db.container.networks.entry("farrier".to_owned()).or_default();
        endpoint.address = "172.18.0.2".parse().ok();
        db.container.published.extend(PublishedPort::of_engine("5432/tcp", "127.0.0.1", "15432"));
        db.container.health = Some(Health { status: HealthStatus::Healthy, runs: Vec::new() });
        Inventory {
            sidecars: vec![
                db,
                managed("queue", Status::Exited, SyncStatus::Stale(vec![changed]), Vec::new()),
                managed("search\u{1b}[2J", Status::Created, SyncStatus::Orphan, Vec::new()),
            ],
            absent: vec!["cache".to_owned()],
            volumes: Vec::new(),
            now: "2026-03-01T12:00:00Z".parse().expect("a moment"),
        }
    }

    #[test]
    fn a_row_each_as_wide_as_the_terminal_or_a_line_each_without_one() {
        insta::assert_snapshot!("ps-80", human(&inventory(), Some(80)));
        insta::assert_snapshot!("ps-40", human(&inventory(), Some(40)));
        insta::assert_snapshot!("ps-120", human(&inventory(), Some(120)));
        insta::assert_snapshot!("ps-piped", human(&inventory(), None));
        for width in 1..200 {
            let text = human(&inventory(), Some(width));
            let table = text.lines().take_while(|line| !line.starts_with("declared"));
            let widest = table.map(|line| line.chars().count()).max().unwrap_or_default();
            assert!(width < 24 || widest <= usize::from(width), "{width}:\n{text}");
        }
    }
}
