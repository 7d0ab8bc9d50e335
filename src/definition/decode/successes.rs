//! How many polls in a row have to say ready, and how far apart.

use std::time::Duration;

use crate::definition::model::Readiness;
use crate::definition::node::ScalarKind;
use crate::definition::reader::{Reader, Table};
use crate::report::error::{Code, Problem};

/// Successes in a row.
pub struct InARow {
    /// How many.
    pub successes: u32,
    /// How far apart they are at least.
    pub interval: Duration,
}

/// Reads `successes` and `interval`; `None` if one of them is wrong, or both ask for more than `timeout` allows.
pub fn decode(
    table: Table<'_>,
    field: &str,
    timeout: Option<Duration>,
    reader: &mut Reader<'_>,
) -> Option<InARow> {
    let successes = successes(table, field, reader);
    let interval = match table.get("interval") {
        Some(node) => reader.interval(node, &format!("{field}.interval")),
        None => Some(Duration::ZERO),
    };
    let (successes, interval) = (successes?, interval?);
    if !interval.is_zero() && successes == 1 {
        let message =
            format!("`{field}.interval` is the time between successes, but `{field}.successes` is 1");
        let hint = "Write `successes = 2` or more, or remove `interval`.";
        reader
            .report(Problem::error(Code::ConflictingFields, message).hint(hint), table.key_span("interval"));
        return None;
    }
    let takes = interval.saturating_mul(successes - 1);
    if timeout.is_some_and(|timeout| takes >= timeout) {
        let message = format!(
            "`{field}.timeout` is too short for {successes} successes that are `{field}.interval` apart"
        );
        let hint = "Raise `timeout`, or lower `successes` or `interval`.";
        let key = if table.get("interval").is_some() { "interval" } else { "successes" };
        reader.report(Problem::error(Code::ConflictingFields, message).hint(hint), table.key_span(key));
        return None;
    }
    Some(InARow { successes, interval })
}

fn successes(table: Table<'_>, field: &str, reader: &mut Reader<'_>) -> Option<u32> {
    let Some(node) = table.get("successes") else { return Some(1) };
    let field = format!("{field}.successes");
    let most = Readiness::MOST_SUCCESSES;
    let count = node.scalar().and_then(|scalar| match scalar.kind {
        ScalarKind::Integer(count) => u32::try_from(count?).ok(),
        _ => None,
    });
    let count = count.filter(|count| (1..=most).contains(count));
    if count.is_none() {
        reader.out_of_range(node, &field, &format!("a whole number from 1 to {most}"));
    }
    count
}
