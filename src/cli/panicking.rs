//! A panic is a bug, and ends the program at once, on whichever thread it happens: the release program does not unwind, and
//! other builds should not do better than it. What was begun is as after `kill -9`, so the next command repairs it.

use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};

use crate::report::error::{Code, Problem};
use crate::report::exit::REFUSED;
use crate::report::snippet;

/// Columns of the message: nobody asks a terminal for its width at such a moment.
const WIDTH: usize = 100;

/// Tells every panic from now on, with what to do, and ends the program with 125.
#[expect(clippy::exit, reason = "nothing can be relied on any more")]
pub fn end_on_panic() {
    panic::set_hook(Box::new(|info| {
        let _ = io::stderr().lock().write_all(told(info).as_bytes());
        std::process::exit(i32::from(REFUSED))
    }));
}

fn told(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map_or_else(String::new, |place| format!(" at {place}"));
    let what = info.payload_as_str().unwrap_or("it does not say why");
    let version = env!("CARGO_PKG_VERSION");
    let message = format!("farrier {version} has a bug{place}: {what}");
    let problem = Problem::error(Code::Bug, message)
        .hint("Run the command again: it repairs what this one left behind.")
        .hint("Report this message, with the command that you ran.");
    format!("{}\n", snippet::render(&problem, false, WIDTH).trim_end())
}
