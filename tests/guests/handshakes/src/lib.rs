//! A probe that abuses TLS by the host. Its settings say how; its answer is what came of it.

use farrier_probe::bindings::farrier::probe::{dial, dial::Connection, tls};
use farrier_probe::{Context, Denial, Probe, Problem, Verdict};
use serde::Deserialize;

struct Handshakes;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", tag = "try", content = "with")]
enum Attempt {
    /// Shakes hands so many times, and forgets the connections.
    Many(u32),
    /// Shakes hands inside TLS.
    Twice,
    /// Reads from the connection that it has given away.
    UseAfterStart,
    /// Asks for the protocol of a connection that it never had.
    ForgedHandle(u32),
    /// Names a server with so many bytes.
    LongName(usize),
    /// Offers so many protocols.
    ManyProtocols(usize),
    /// Offers one of so many bytes.
    LongProtocol(usize),
    /// Asks for this name.
    Name(String),
    /// Reads all that comes, so many times.
    Read(u32),
}

farrier_probe::export!(Handshakes with settings and no schema);

impl Probe for Handshakes {
    type Settings = Attempt;

    fn validate(_: &Attempt) -> Result<(), Vec<Problem>> {
        Ok(())
    }

    fn check(context: &Context, attempt: Attempt) -> Verdict {
        match carry_out(context, attempt) {
            Ok(answer) => Verdict::pending(answer),
            Err(failure) => Verdict::pending(format!("denied: {failure:?}")),
        }
    }
}

fn connect(context: &Context) -> Result<Connection, tls::Failure> {
    dial::connect(&context.host, context.port.unwrap_or_default(), None).map_err(tls::Failure::Denied)
}

fn start(context: &Context, name: &str, protocols: &[String]) -> Result<Connection, tls::Failure> {
    tls::start(connect(context)?, name, protocols)
}

fn carry_out(context: &Context, attempt: Attempt) -> Result<String, tls::Failure> {
    Ok(match attempt {
        Attempt::Many(count) => {
            for _ in 0..count {
                std::mem::forget(start(context, "localhost", &[])?);
            }
            format!("shook hands {count} times")
        }
        Attempt::Twice => {
            tls::start(start(context, "localhost", &[])?, "localhost", &[])?;
            "shook hands twice".to_owned()
        }
        Attempt::UseAfterStart => {
            let plain = connect(context)?;
            let handle = plain.take_handle();
            // SAFETY: none: that it is not the guest's any more is what is tried.
            let given = unsafe { Connection::from_handle(handle) };
            // It fails, so that no other connection gets the number of the one that is gone.
            let refused = tls::start(given, "", &[]);
            let gone = std::mem::ManuallyDrop::new(unsafe { Connection::from_handle(handle) });
            format!("{refused:?}, then read {:?}", gone.read(1))
        }
        Attempt::ForgedHandle(handle) => {
            // SAFETY: as above.
            let forged = std::mem::ManuallyDrop::new(unsafe { Connection::from_handle(handle) });
            format!("speaks {:?}", tls::protocol(&forged))
        }
        Attempt::LongName(bytes) => format!("{:?}", start(context, &"x".repeat(bytes), &[])?),
        Attempt::ManyProtocols(count) => {
            format!("{:?}", start(context, "localhost", &vec!["h2".to_owned(); count])?)
        }
        Attempt::LongProtocol(bytes) => format!("{:?}", start(context, "localhost", &["x".repeat(bytes)])?),
        Attempt::Name(name) => format!("{:?}", start(context, &name, &[])?),
        Attempt::Read(times) => {
            let secured = start(context, "localhost", &[])?;
            secured.write(b"GET / HTTP/1.0\r\n\r\n").map_err(tls::Failure::Denied)?;
            for _ in 0..times {
                match secured.read(u32::MAX) {
                    Ok(bytes) if bytes.is_empty() => break,
                    Ok(_) | Err(Denial::TimedOut) => {}
                    Err(denial) => return Err(tls::Failure::Denied(denial)),
                }
            }
            "read".to_owned()
        }
    })
}
