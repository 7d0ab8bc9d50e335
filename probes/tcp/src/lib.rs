//! `tcp`: ready when a port of the sidecar accepts a connection: the declared one, or the one that the settings name.
//! Imports only `dial`.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod settings;

use core::time::Duration;

use farrier_probe::{Context, Denial, Line, Probe, Verdict, dial};

use settings::Settings;

/// How long one dial may take: the most that a host allows. `TIMED_OUT` names it.
const TIMEOUT: Duration = Duration::from_secs(1);
const TIMED_OUT: &str = "no answer within 1 s";

struct Tcp;

impl Probe for Tcp {
    type Settings = Settings;

    fn check(context: &Context, settings: Settings) -> Verdict {
        match settings.port.or(context.port) {
            Some(port) => verdict(dial::connect(&context.host, port, Some(TIMEOUT)).map(drop)),
            None => Verdict::failed(
                "the tcp probe needs a port, and the interface declares none: set `interface.port`, or `port` in \
                 the probe's settings",
            ),
        }
    }
}

/// What the end of one dial says. Only a missing grant cannot mend itself while the sidecar starts.
fn verdict(dialled: Result<(), Denial>) -> Verdict {
    match dialled {
        Ok(()) => Verdict::Ready,
        Err(Denial::NotGranted(text)) => {
            Verdict::failed(Line::new().text("the dial was not granted: ").text(&text))
        }
        Err(Denial::Unresolved) => Verdict::pending("the name does not resolve yet"),
        Err(Denial::TimedOut) => Verdict::pending(TIMED_OUT),
        Err(denial) => Verdict::pending(Line::new().text(denial.text())),
    }
}

farrier_probe::export!(Tcp with settings);

#[cfg(test)]
mod tests {
    use farrier_probe::testing::{Peer, Sidecar};

    use super::*;

    #[test]
    fn each_end_of_a_dial_has_its_verdict() {
        let rows = [
            (Ok(()), Verdict::Ready),
            (Err(Denial::Refused), Verdict::pending("connection refused")),
            (Err(Denial::TimedOut), Verdict::pending("no answer within 1 s")),
            (Err(Denial::Unresolved), Verdict::pending("the name does not resolve yet")),
            (Err(Denial::Closed), Verdict::pending("connection closed")),
            (Err(Denial::Other("no route\nto host".into())), Verdict::pending("no route to host")),
            (Err(Denial::Limit("one dial a poll".into())), Verdict::pending("one dial a poll")),
            (
                Err(Denial::NotGranted("grant dial = [\"db:1\"]".into())),
                Verdict::failed("the dial was not granted: grant dial = [\"db:1\"]"),
            ),
        ];
        for (dialled, expected) in rows {
            assert_eq!(verdict(dialled), expected);
        }
        assert_eq!(TIMED_OUT, format!("no answer within {} s", TIMEOUT.as_secs()));
    }

    #[test]
    fn the_settings_may_name_another_port() {
        let sidecar = Sidecar::new().port(5432).accepts(5432, Peer::refuses()).accepts(9000, Peer::new());
        assert_eq!(sidecar.check::<Tcp>(), Verdict::pending("connection refused"));
        assert_eq!(sidecar.settings(r#"{"port":9000}"#).check::<Tcp>(), Verdict::Ready);
    }

    #[test]
    fn without_a_port_there_is_nothing_to_wait_for() {
        let context = Context {
            sidecar: "db".into(),
            host: "db".into(),
            port: None,
            attempt: 1,
            elapsed_ms: 0,
            remaining_ms: 30_000,
            settings: "{}".into(),
        };
        assert!(
            matches!(Tcp::check(&context, Settings::default()), Verdict::Failed(reason) if reason.contains("port"))
        );
    }
}
