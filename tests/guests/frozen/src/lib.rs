//! What `tests/fixtures/frozen/probe-0.1.0.wasm` was built from, once. It uses every function, variant and field of
//! farrier:probe@0.1.0, so that a host that hosts it hosts every component of that contract.

use std::io::{Read, Write};
use std::time::Duration;

use farrier_probe::{Context, Denial, Line, Probe, Problem, Verdict, dial, exec, health, log, logs};
use serde::Deserialize;

struct Frozen;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    command: Vec<String>,
    log: String,
    #[serde(default)]
    end: Option<String>,
}

farrier_probe::export!(Frozen with settings);

impl Probe for Frozen {
    type Settings = Settings;

    fn validate(settings: &Settings) -> Result<(), Vec<Problem>> {
        if settings.command.is_empty() {
            return Err(vec![Problem::new("command", "name a program"), Problem::new("", "nothing to do")]);
        }
        Ok(())
    }

    fn check(context: &Context, settings: Settings) -> Verdict {
        match settings.end.as_deref() {
            Some("failed") => return Verdict::failed("as the settings have it"),
            Some("pending") if context.attempt < 3 => {
                return Verdict::pending("not before the third poll")
                    .retry_after(Duration::from_millis(1))
                    .extend(Duration::from_secs(1));
            }
            _ => {}
        }
        match everything(context, &settings) {
            Ok(()) => Verdict::Ready,
            Err(what) => Verdict::pending(Line::new().text(&what)),
        }
    }
}

fn ensure(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn everything(context: &Context, settings: &Settings) -> Result<(), String> {
    log::debug("debug");
    log::info("info");
    log::warn("warn");
    ensure(context.host == context.sidecar && context.remaining_ms > 0, "context")?;
    let port = context.port.ok_or("no port")?;

    let says = |what: &'static str| move |denial: Denial| format!("{what}: {denial}");
    let mut stream = dial::connect(&context.host, port, None).map_err(says("dial"))?;
    stream.write_all(b"ping\n").map_err(|error| error.to_string())?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).map_err(|error| error.to_string())?;
    ensure(answer == *b"ping\n", "no echo")?;
    let denied = dial::connect(&context.host, port ^ 1, Some(Duration::from_millis(100)));
    ensure(matches!(denied, Err(Denial::NotGranted(_))), "dialled what was not granted")?;

    let output = exec::run(&settings.command).map_err(says("exec"))?;
    ensure(output.exit_code == 0 && !output.truncated, "exec")?;
    ensure(matches!(exec::run(&["id"]), Err(Denial::NotGranted(_))), "ran what was not granted")?;
    ensure(exec::declared().is_none(), "declared")?;

    let test = health::run_test().map_err(says("health"))?.ok_or("no health test")?;
    ensure(test.exit_code == 0, "health test")?;
    health::status().map_err(says("status"))?;

    let lines = logs::tail(100).map_err(says("logs"))?;
    ensure(lines.iter().any(|line| line.contains(&settings.log)), "log")
}
