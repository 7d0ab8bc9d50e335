//! Values that are none, and values that are too large, in both directions.

use serde_json::json;

use super::attempt::Expected::{Crashed, Failed, Pending};
use super::attempt::{Attempt, Guest, extended};
use super::support::guest::{self, guest};
use farrier::probe::context::ProbeContext;

/// A verdict of this case, with a text at this place and of this length.
fn verdict(case: i64, at: i64, length: i64) -> String {
    format!(
        "(i32.store8 (i32.const 0) (i32.const {case})) (i32.store (i32.const 4) (i32.const {at})) \
         (i32.store (i32.const 8) (i32.const {length})) (i32.const 0)"
    )
}

/// A reason of these bytes, as they stand in a text.
fn reason(bytes: &str, length: i64) -> String {
    guest(&verdict(2, 1024, length)).replace("a reason from the guest", bytes)
}

pub fn attempts() -> Vec<Attempt> {
    let outside = |body: &str| guest(guest::READY).replace("(local.get $at))", &format!("{body})"));
    let utf16 = |units: i64| extended(&verdict(2, 1024, units), "", "string-encoding=utf16");
    let guest_of_language = Guest::hostile(ProbeContext::default(), None);
    let mut attempts = vec![
        Attempt::check("a verdict that is none", &verdict(3, 0, 0), Crashed("discriminant")),
        Attempt::check("a verdict of case 255", &verdict(255, 0, 0), Crashed("discriminant")),
        Attempt::check(
            "an option that is neither",
            &format!("(i32.store8 (i32.const 12) (i32.const 2)) {}", verdict(1, 1024, 3)),
            Crashed("discriminant"),
        ),
        Attempt::check("a verdict at an odd place", "(i32.const 1)", Crashed("not aligned")),
        Attempt::check("a verdict at the end", "(i32.const 65532)", Crashed("out of bounds")),
        Attempt::check("a verdict beyond", "(i32.const -4)", Crashed("out of bounds")),
        Attempt::check("a reason beyond", &verdict(2, 0xfff0, 100), Crashed("out of bounds")),
        Attempt::check("a reason that wraps around", &verdict(2, -16, 64), Crashed("out of bounds")),
        Attempt::check("a reason of 4 GiB", &verdict(2, 0, -1), Crashed("")),
        Attempt::check("a reason of 2 GiB", &verdict(1, 0, i64::from(i32::MIN)), Crashed("")),
        Attempt::of("a byte that begins nothing", &reason("\\ff", 1), Crashed("utf-8")),
        Attempt::of("a cut character", &reason("\\e2\\82", 2), Crashed("utf-8")),
        Attempt::of("a surrogate in UTF-8", &reason("\\ed\\a0\\80", 3), Crashed("utf-8")),
        Attempt::of("an overlong zero", &reason("\\c0\\80", 2), Crashed("utf-8")),
        Attempt::of(
            "a lone surrogate in UTF-16",
            &utf16(4).replace("a reason from the guest", "\\00\\d8\\41\\00\\00\\d8\\00\\d8"),
            Crashed("unpaired surrogate"),
        ),
        Attempt::of("2 GiB of UTF-16", &utf16(0x4000_0000), Crashed("")),
        Attempt::of(
            "Latin-1 or UTF-16 beyond",
            &extended(
                &verdict(2, 1024, i64::from(i32::MIN) | 0x7fff_fff0),
                "",
                "string-encoding=latin1+utf16",
            ),
            Crashed(""),
        ),
        Attempt::of(
            "realloc gives what is outside",
            &outside("(i32.const 0x7ffffff8)"),
            Crashed("beyond end of memory"),
        ),
        Attempt::of("realloc gives nothing", &outside("(i32.const -1)"), Crashed("")),
        Attempt::of("realloc traps", &outside("unreachable"), Crashed("it trapped")),
        Attempt::check("an answer of 8 MiB", guest::HUGE, Crashed("too much data")).memory(64 << 20),
        guest_of_language.tries(
            "a reason of 8 MB from a language",
            &json!({"try": "long-reason", "with": 8_000_000}),
            // The SDK hands over no more than the host keeps.
            Pending("xxx"),
        ),
        guest_of_language.tries(
            "a reason that is cut",
            &json!({"try": "long-reason", "with": 900_000}),
            Pending("xxxx"),
        ),
        guest_of_language.tries(
            "a reason of many lines",
            &json!({"try": "reason", "with": "a\nb\r\n\nc"}),
            Pending("a b c"),
        ),
        guest_of_language.tries(
            "deep settings",
            &json!({"try": "reason", "with": deep(400)}),
            Failed("recursion limit"),
        ),
    ];
    let mut large = Attempt::check("settings of 10 MB", guest::READY, Crashed(""));
    large.settings = format!("\"{}\"", "x".repeat(10_000_000));
    attempts.push(large);
    attempts
}

fn deep(levels: usize) -> serde_json::Value {
    (0..levels).fold(json!(0), |inner, _| json!([inner]))
}
