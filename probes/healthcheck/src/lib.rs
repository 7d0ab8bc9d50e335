//! `healthcheck`: ready when the image's own HEALTHCHECK says so. Imports only `health`.
//!
//! The engine runs its first test only after the image's `interval` (30 s by default), so that while it still
//! says `starting` the probe has the test run itself. A success counts; a failure is only the engine's to call.

#![cfg_attr(target_family = "wasm", no_std)]

use farrier_probe::health::{self, HealthStatus, TestResult};
use farrier_probe::{Context, Denial, Line, NoSettings, Probe, Verdict, line};

const NO_TEST: &str = "the image declares no HEALTHCHECK, so there is nothing to ask: add one to the image, or set \
                       `readiness.probe` to tcp or exec";
const UNHEALTHY: &str = "the engine reports the container unhealthy: its HEALTHCHECK test failed as often as the \
                         image allows";

struct Healthcheck;

impl Probe for Healthcheck {
    type Settings = NoSettings;

    fn check(_: &Context, _: NoSettings) -> Verdict {
        verdict(health::status(), health::run_test)
    }
}

/// What the engine's word says, and, while it has none, what one run of the test says.
fn verdict(
    status: Result<HealthStatus, Denial>,
    run_test: impl FnOnce() -> Result<Option<TestResult>, Denial>,
) -> Verdict {
    match status {
        Ok(HealthStatus::Healthy) => Verdict::Ready,
        Ok(HealthStatus::Unhealthy) => Verdict::failed(UNHEALTHY),
        Ok(HealthStatus::None) => Verdict::failed(NO_TEST),
        Ok(HealthStatus::Starting) => match run_test() {
            Ok(Some(result)) if result.exit_code == 0 => Verdict::Ready,
            Ok(Some(result)) => Verdict::pending(failure(&result)),
            Ok(None) => Verdict::failed(NO_TEST),
            Err(denial) => denied("the health test did not run", denial),
        },
        Err(denial) => denied("the engine did not say how the container is", denial),
    }
}

fn failure(result: &TestResult) -> Line {
    let line = Line::new().text("health test exited ").number(result.exit_code);
    match line::last(result.output.as_bytes()) {
        Some(last) => line.text(": ").bytes(last),
        None => line,
    }
}

/// Only a missing grant cannot mend itself while the container starts.
fn denied(what: &str, denial: Denial) -> Verdict {
    let line = Line::new().text(what).text(": ");
    match denial {
        Denial::NotGranted(text) => Verdict::failed(line.text("not granted: ").text(&text)),
        denial => Verdict::pending(line.text(denial.text())),
    }
}

farrier_probe::export!(Healthcheck);

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(exit_code: i32, output: &str) -> TestResult {
        TestResult { exit_code, output: output.into() }
    }

    #[test]
    fn while_the_engine_has_no_word_the_test_is_run() {
        let rows = [
            (Ok(Some(ended(0, "accepting"))), Verdict::Ready),
            (Ok(Some(ended(1, ""))), Verdict::pending("health test exited 1")),
            (
                Ok(Some(ended(2, "starting\nno response\n\n"))),
                Verdict::pending("health test exited 2: no response"),
            ),
            (Ok(None), Verdict::failed(NO_TEST)),
            (Err(Denial::TimedOut), Verdict::pending("the health test did not run: timed out")),
            (Err(Denial::Other("gone".into())), Verdict::pending("the health test did not run: gone")),
            (
                Err(Denial::NotGranted("grant health".into())),
                Verdict::failed("the health test did not run: not granted: grant health"),
            ),
        ];
        for (result, expected) in rows {
            assert_eq!(verdict(Ok(HealthStatus::Starting), || result), expected);
        }
    }

    #[test]
    fn the_engines_word_is_final_and_runs_no_test() {
        let rows = [
            (Ok(HealthStatus::Healthy), Verdict::Ready),
            (Ok(HealthStatus::Unhealthy), Verdict::failed(UNHEALTHY)),
            (Ok(HealthStatus::None), Verdict::failed(NO_TEST)),
            (
                Err(Denial::Other("it left".into())),
                Verdict::pending("the engine did not say how the container is: it left"),
            ),
        ];
        for (status, expected) in rows {
            let mut runs = 0;
            let found = verdict(status, || {
                runs += 1;
                Ok(Some(ended(0, "")))
            });
            assert_eq!((found, runs), (expected, 0));
        }
    }
}
