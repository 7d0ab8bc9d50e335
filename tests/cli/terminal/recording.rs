//! The recordings in `docs/screens.md`: a good launch, a slow one and a failing one, at 80 and 40 columns. They are
//! taken anew, and written there, by
//!
//! ```sh
//! FARRIER_RECORD_SCREENS=1 cargo test --test cli recordings
//! ```

use std::fmt::Write as _;
use std::path::Path;

use super::screen::{define, launch, listen, server, shown, silent, wait_for_screen};
use crate::support::Scene;

const TCP: &str = "probe = \"tcp\"\ntimeout = \"60s\"";
const HEAD: &str = "\
# What a launch shows

`FARRIER_RECORD_SCREENS=1 cargo test --test cli recordings` records these screens and writes this page. `farrier launch`
draws a line for each sidecar while it waits, and leaves one line when the harness starts. If standard error is not a
terminal, or is a terminal that cannot move its cursor, farrier prints a plain line for each change instead.
";

/// A title and what the terminal showed.
type Shot = (&'static str, String);

/// Three launches on a terminal of this width.
fn record(columns: u16) -> Option<Vec<Shot>> {
    let scene = Scene::with_docker()?;
    define(&scene, "cache", &server("0", "", TCP));
    define(&scene, "db", &server("300", "env = { LEVEL = \"1\" }", TCP));
    let hello: &[&str] = &["print", "Hello from the harness"];
    let first = launch(&scene, &[], hello, columns, &[]).wait().assert_code(0);
    let again = launch(&scene, &[], hello, columns, &[]).wait().assert_code(0);
    define(&scene, "db", &silent("env = { LEVEL = \"2\" }", TCP));
    let slow = launch(&scene, &[], hello, columns, &[]);
    let early = wait_for_screen(&slow, columns, "its first answer", |screen| {
        screen.contains("cache") && screen.contains("connection refused")
    });
    let late = wait_for_screen(&slow, columns, "a long wait", |screen| {
        let long = if columns < 60 { is_later(screen) } else { screen.contains("waiting until") };
        long && screen.contains("cache") && screen.contains("connection refused")
    });
    listen(&scene);
    let slow = slow.wait().assert_code(0);
    let failing = "probe = \"tcp\"\ntimeout = \"1s\"";
    define(&scene, "db", &server("600000", "env = { LEVEL = \"3\" }", failing));
    let failed = launch(&scene, &[], hello, columns, &[]).wait().assert_code(125);
    Some(vec![
        ("A first launch, after it ended", shown(&first.stdout(), columns)),
        ("A second launch, which reuses both sidecars", shown(&again.stdout(), columns)),
        ("A slow launch that recreates one sidecar, before that sidecar is ready", early),
        ("The slow launch after three seconds", late),
        ("The slow launch, after it ended", shown(&slow.stdout(), columns)),
        ("A launch that fails", shown(&failed.stdout(), columns)),
    ])
}

/// Whether a line tells of three seconds or more, as a live line does before its text.
pub fn is_later(screen: &str) -> bool {
    let mut waited =
        screen.lines().filter_map(|line| line.split_once(" s  ")?.0.rsplit(' ').next()?.parse().ok());
    waited.any(|seconds: f64| seconds >= 3.0)
}

#[test]
fn recordings_of_good_slow_and_failing_launches_are_what_the_documentation_shows() {
    let mut page = HEAD.to_owned();
    for columns in [80, 40] {
        let Some(shots) = record(columns) else { return };
        write!(page, "\n## {columns} columns\n").expect("text");
        for (title, screen) in &shots {
            write!(page, "\n{title}:\n\n```text\n{screen}\n```\n").expect("text");
        }
        let ready = |screen: &str| screen.starts_with("farrier: 2 sidecars ready after ");
        assert!(ready(&shots[0].1) && ready(&shots[1].1) && ready(&shots[4].1), "{page}");
        assert!(
            shots[5].1.replace('\n', "").starts_with("error[not-ready]: sidecar `db` is not ready: "),
            "{page}"
        );
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screens.md");
    if std::env::var_os("FARRIER_RECORD_SCREENS").is_some() {
        std::fs::write(&path, &page).expect("the page can be written");
    }
    // Times and counts differ from run to run; the parts of a page do not.
    let titles = |page: &str| -> Vec<String> {
        page.lines().filter(|line| line.ends_with(':') || line.starts_with('#')).map(str::to_owned).collect()
    };
    let written = std::fs::read_to_string(&path).expect("docs/screens.md");
    let headings =
        |page: &str| titles(page).into_iter().filter(|line| !line.starts_with(' ')).collect::<Vec<_>>();
    assert_eq!(headings(&written), headings(&page), "record it anew: FARRIER_RECORD_SCREENS=1");
}
