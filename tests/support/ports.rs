//! Ports of this host that a test may use.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that the system gives to connections, and to listeners that name none: nobody else takes one meanwhile.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// A port that nobody listens on, and that no other test of this process gets.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at the same time begin at different ones.
    let begin = u16::try_from(std::process::id() % u32::from(COUNT)).expect("it is small");
    (0..COUNT)
        .map(|_| FIRST + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .find(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok())
        .expect("a free port")
}
