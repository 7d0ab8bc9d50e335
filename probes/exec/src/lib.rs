//! `exec`: ready when the declared command, run in the container, exits with 0. Imports only `exec`.

#![cfg_attr(target_family = "wasm", no_std)]

use farrier_probe::exec::{self, Output};
use farrier_probe::{Context, Denial, Line, NoSettings, Probe, Verdict, line};

struct Exec;

impl Probe for Exec {
    type Settings = NoSettings;

    fn check(_: &Context, _: NoSettings) -> Verdict {
        let argv = exec::declared().unwrap_or_default();
        match argv.first() {
            Some(command) => verdict(command, exec::run(&argv)),
            None => Verdict::failed(
                "the exec probe needs a command, and the definition declares none: set `readiness.command`",
            ),
        }
    }
}

/// What the end of one run says. A command that the engine cannot run at all is not in the image, and waiting
/// does not bring it.
fn verdict(command: &str, ran: Result<Output, Denial>) -> Verdict {
    let line = Line::new().text("`").text(command);
    match ran {
        Ok(output) if output.exit_code == 0 => Verdict::Ready,
        Ok(output) => {
            let line = line.text("` exited ").number(output.exit_code);
            // Complaints stand on standard error; where it is silent, some commands complain on standard output.
            Verdict::pending(match line::last(&output.stderr).or_else(|| line::last(&output.stdout)) {
                Some(last) => line.text(": ").bytes(last),
                None => line,
            })
        }
        Err(Denial::NotGranted(text)) => Verdict::failed(line.text("` was not granted: ").text(&text)),
        Err(Denial::Other(text)) => Verdict::failed(line.text("` cannot be run: ").text(&text)),
        Err(Denial::TimedOut) => Verdict::pending(line.text("` did not end in time")),
        Err(denial) => Verdict::pending(line.text("` did not run: ").text(denial.text())),
    }
}

farrier_probe::export!(Exec);

#[cfg(test)]
mod tests {
    use super::*;

    fn output(exit_code: i32, stdout: &[u8], stderr: &[u8]) -> Output {
        Output { exit_code, stdout: stdout.into(), stderr: stderr.into(), truncated: false }
    }

    #[test]
    fn each_end_of_a_run_has_its_verdict() {
        let rows = [
            (Ok(output(0, b"", b"a warning")), Verdict::Ready),
            (Ok(output(2, b"", b"")), Verdict::pending("`pg_isready` exited 2")),
            (
                Ok(output(2, b"/run:5432 - no response\n", b" \n")),
                Verdict::pending("`pg_isready` exited 2: /run:5432 - no response"),
            ),
            (
                Ok(output(1, b"out", b"one\nFEHLER \xe4\n")),
                Verdict::pending("`pg_isready` exited 1: FEHLER \\xe4"),
            ),
            (Ok(output(-1, b"", b"")), Verdict::pending("`pg_isready` exited -1")),
            (Err(Denial::TimedOut), Verdict::pending("`pg_isready` did not end in time")),
            (
                Err(Denial::Limit("two at once".into())),
                Verdict::pending("`pg_isready` did not run: two at once"),
            ),
            (
                Err(Denial::Other("executable file not found in $PATH".into())),
                Verdict::failed("`pg_isready` cannot be run: executable file not found in $PATH"),
            ),
            (Err(Denial::NotGranted("x".into())), Verdict::failed("`pg_isready` was not granted: x")),
        ];
        for (ran, expected) in rows {
            assert_eq!(verdict("pg_isready", ran), expected);
        }
    }

    #[test]
    fn a_reason_stays_one_short_line() {
        let noise = [b'\n', 0xff, b'a'].repeat(4_096);
        let bytes = [0xff].repeat(60_000);
        for (stdout, stderr) in [(&noise[..], &b""[..]), (b"", &noise), (b"", &bytes)] {
            let Verdict::Pending(pending) = verdict("noisy", Ok(output(1, stdout, stderr))) else {
                panic!("a command that fails is pending");
            };
            assert!(pending.reason.chars().count() <= 200 && !pending.reason.contains('\n'));
        }
    }
}
