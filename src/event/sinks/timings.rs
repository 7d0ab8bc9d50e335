//! `--timings`: where the start-up went, as a table on standard error; and every launch's times for the next ones.

use std::io::Write;
use std::time::Duration;

use comfy_table::{Table, presets};

use crate::event::timings::history::{History, Past};
use crate::event::timings::{SidecarTimings, Timings};
use crate::event::{Event, Sink};
use crate::report::elapsed::human;
use crate::report::escape::escape;

/// Keeps the times of launches, and shows them where that was asked for.
pub struct TimingsSink {
    timings: Timings,
    history: Option<History>,
    shown: bool,
}

impl TimingsSink {
    /// A sink that knows earlier launches where there is a state folder.
    #[must_use]
    pub fn new(history: Option<History>, shown: bool) -> Self {
        Self { timings: Timings::default(), history, shown }
    }
}

impl Sink for TimingsSink {
    fn event(&mut self, at: Duration, event: &Event<'_>) {
        self.timings.note(at, event);
        if !matches!(event, Event::AllReady) {
            return;
        }
        if self.shown {
            let text = report(&self.timings, &self.history.as_ref().map(History::past).unwrap_or_default());
            // A closed standard error must not end a launch.
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
        }
        if let Some(Err(error)) = self.history.as_ref().map(|history| history.add(&self.timings)) {
            tracing::warn!("the times of this launch are not stored: {error}");
        }
    }
}

/// The table and what stands around it.
fn report(timings: &Timings, past: &Past) -> String {
    let all = timings.all_ready.unwrap_or_default();
    let critical = timings.critical_path();
    let mut is_compared = false;
    let waits = timings.sidecars.iter().any(|sidecar| sidecar.parts().held.is_some());
    let mut table = Table::new();
    let headings = ["  sidecar", "action", "held", "pull", "create", "start", "to ready", "total", "before"];
    table.load_style(presets::NOTHING).set_header(with_held(headings.map(str::to_owned), waits));
    for sidecar in &timings.sidecars {
        let parts = sidecar.parts();
        let shown = |part: Option<Duration>| part.map_or_else(|| "-".to_owned(), human);
        let before = past.median(&sidecar.container, &sidecar.action);
        is_compared |= before.is_some();
        let before = before.map_or_else(
            || "-".to_owned(),
            |(median, launches)| format!("{} (of {launches})", human(median)),
        );
        let mark = if critical.contains(&sidecar) { "*" } else { " " };
        let row = [
            format!("{mark} {}", escape(&sidecar.name)),
            sidecar.action.clone(),
            shown(parts.held),
            shown(parts.pull),
            shown(parts.create),
            shown(parts.start),
            shown(parts.ready),
            shown(parts.total),
            before,
        ];
        table.add_row(with_held(row, waits));
    }
    let mut text = format!("farrier: where {} went\n", human(all));
    text.extend(table.lines().map(|line| format!("{}\n", line.trim_end())));
    text.push_str(&format!("  {}\n", timings.before_sidecars()));
    match critical.as_slice() {
        [] => {}
        [only] => text.push_str(&format!("  * the last to be ready: {}\n", path(only))),
        several => {
            text.push_str("  * the critical path, one after the other:\n");
            text.extend(several.iter().map(|sidecar| format!("    {}\n", path(sidecar))));
        }
    }
    if is_compared {
        text.push_str(
            "  before: the median total of the latest launches with the same action for the sidecar\n",
        );
    }
    text
}

/// A row; without the time that sidecars waited for others where none did.
fn with_held(row: [String; 9], waits: bool) -> impl Iterator<Item = String> {
    row.into_iter().enumerate().filter(move |(column, _)| waits || *column != 2).map(|(_, cell)| cell)
}

/// The critical sidecar's parts, the longest first.
fn path(sidecar: &SidecarTimings) -> String {
    let parts = sidecar.parts();
    let mut named: Vec<(&str, Duration)> = [
        ("pulling", parts.pull),
        ("creating", parts.create),
        ("starting", parts.start),
        ("getting ready", parts.ready),
    ]
    .into_iter()
    .filter_map(|(name, part)| Some((name, part?)))
    .collect();
    named.sort_by_key(|(_, part)| std::cmp::Reverse(*part));
    let named: Vec<String> = named.iter().map(|(name, part)| format!("{name} {}", human(*part))).collect();
    format!("{}, by {}", escape(&sidecar.name), named.join(", "))
}
