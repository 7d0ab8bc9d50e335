//! Never answering: in every function of a component, and in every way to wait.

use std::time::Duration;

use serde_json::json;

use super::attempt::Expected::{Crashed, CrashedOrTimedOut, Ready, TimedOut};
use super::attempt::{Attempt, Guest, extended};
use super::connections::{Server, granting};
use super::support::guest::{self, guest, validating, with_imports};

const FOR_EVER: &str = "(loop $for-ever (br $for-ever))";

pub async fn attempts() -> Vec<Attempt> {
    let silent = Server::silent().await;
    let probe_context = granting(&[("db", silent)]);
    let guest_of_language = Guest::hostile(probe_context, Some(silent.port()));
    let waits = |name: &str, what| guest_of_language.tries(name, &what, TimedOut);
    let spinning_realloc =
        guest(guest::READY).replace("(local $at i32)", &format!("(local $at i32) {FOR_EVER}"));
    let start = format!("(func $start {FOR_EVER}) (start $start)");
    let after = format!("(func (export \"after\") (param i32) {FOR_EVER})");
    let filling = "(drop (memory.grow (i32.const 60))) \
                   (loop $again (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x3c0000)) (br $again)) (i32.const 0)";
    let copying = filling.replace("memory.fill", "memory.copy");
    let tables = "(table 90000 funcref)";
    let table = "(loop $again (table.fill (i32.const 0) (ref.null func) (i32.const 90000)) (br $again)) (i32.const 0)";
    let tail = "(func $ping (return_call $pong)) (func $pong (return_call $ping))";
    let mut attempts = vec![
        Attempt::check("check spins", &format!("{FOR_EVER} (i32.const 0)"), TimedOut),
        Attempt::check(
            "two loops in each other",
            "(loop $o (loop $i (br_if $i (i32.const 0)) (br $o))) (i32.const 0)",
            TimedOut,
        ),
        Attempt::of("a start function spins", &extended(guest::READY, &start, ""), TimedOut),
        Attempt::of("post-return spins", &extended(guest::READY, &after, POST_RETURN), TimedOut),
        Attempt::of("realloc spins while arguments are passed", &spinning_realloc, TimedOut),
        Attempt::of("validate spins", &with_imports("", guest::READY, &validating(FOR_EVER)), TimedOut)
            .in_validate(),
        Attempt::of(
            "a start function spins before validate",
            &extended(guest::READY, &start, "").replacen(
                "(export \"farrier:probe/check@0.1.0\" (instance $exported))",
                &format!("(export \"farrier:probe/check@0.1.0\" (instance $exported)) {}", validating("")),
                1,
            ),
            TimedOut,
        )
        .in_validate(),
        Attempt::of("tail calls without end", &extended("(call $ping) (i32.const 0)", tail, ""), TimedOut),
        Attempt::check("memory is filled without end", filling, TimedOut),
        Attempt::check("memory is copied without end", &copying, TimedOut),
        Attempt::of("a table is filled without end", &extended(table, tables, ""), TimedOut),
        Attempt::of(
            "memory is grown by nothing without end",
            &guest("(loop $again (drop (memory.grow (i32.const 0))) (br $again)) (i32.const 0)"),
            TimedOut,
        ),
        Attempt::check("mutual recursion", guest::DEEP, Crashed("stack")),
        Attempt::of(
            "a start function that traps",
            &extended(guest::READY, "(func $s unreachable) (start $s)", ""),
            Crashed("it trapped"),
        ),
        Attempt::of(
            "post-return that traps",
            &extended(guest::READY, "(func (export \"after\") (param i32) unreachable)", POST_RETURN),
            CrashedOrTimedOut,
        ),
        Attempt::of(
            "validate that traps",
            &with_imports("", guest::READY, &validating("")),
            Crashed("it trapped"),
        )
        .in_validate(),
    ];
    attempts.push(Attempt::check("a good answer", guest::READY, Ready));
    attempts.extend([
        waits("sleeps for ever", json!({"try": "sleep-for-ever"})),
        waits("naps without end", json!({"try": "nap"})),
        waits("reads a socket for ever", json!({"try": "socket-read-for-ever", "with": silent})),
        waits("writes a socket for ever", json!({"try": "socket-write-for-ever", "with": silent})),
    ]);
    attempts.extend(wasi_clocks());
    attempts
}

/// How `check` names a function to be called after its answer was read.
const POST_RETURN: &str = "(post-return (core func $i \"after\"))";

/// Waiting through each function of the clocks, under the first and a late version of WASI 0.2.
fn wasi_clocks() -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for version in ["0.2.0", "0.2.12"] {
        for (name, subscribe) in
            [("for a duration", "subscribe-duration"), ("until an instant", "subscribe-instant")]
        {
            for (how, wait) in [("blocks", BLOCK), ("polls", POLL)] {
                let text = clock(version, subscribe, wait);
                attempts.push(
                    Attempt::of(format!("{how} {name}, {version}"), &text, TimedOut)
                        .poll(Duration::from_millis(300)),
                );
            }
        }
    }
    attempts
}

const BLOCK: &str = "(call $block (local.get $p))";
const POLL: &str =
    "(i32.store (i32.const 256) (local.get $p)) (call $poll (i32.const 256) (i32.const 1) (i32.const 264))";

fn clock(version: &str, subscribe: &str, wait: &str) -> String {
    let imports = format!(
        r#"(import "wasi:io/poll@{version}" (instance $io
             (export "pollable" (type $pollable (sub resource)))
             (export "[method]pollable.block" (func (param "self" (borrow $pollable))))
             (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
           (alias export $io "pollable" (type $pollable))
           (import "wasi:clocks/monotonic-clock@{version}" (instance $clock
             (alias outer 1 $pollable (type $p)) (export "pollable" (type $q (eq $p)))
             (export "{subscribe}" (func (param "when" u64) (result (own $q))))))
           (core module $memory (memory (export "memory") 1)
             (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 512)))
           (core instance $m (instantiate $memory))
           (core func $subscribe (canon lower (func $clock "{subscribe}")))
           (core func $block (canon lower (func $io "[method]pollable.block")))
           (core func $poll (canon lower (func $io "poll") (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
           (core instance $host (export "subscribe" (func $subscribe)) (export "block" (func $block)) (export "poll" (func $poll)))"#
    );
    // The list of what is waited for lies in the memory of the other module.
    let poll_in = r#"(import "host" "subscribe" (func $subscribe (param i64) (result i32)))
                     (import "host" "block" (func $block (param i32)))
                     (import "host" "poll" (func $poll (param i32 i32 i32)))
                     (import "m" "memory" (memory 1))"#;
    let text = with_imports(
        &imports,
        &format!(
            "(local $p i32) (local.set $p (call $subscribe (i64.const 0x7fffffffffffff))) {wait} (i32.const 0)"
        ),
        "",
    );
    text.replace(
        "(core module $code\n    (memory (export \"memory\") 1)",
        &format!("(core module $code {poll_in} (export \"memory\" (memory 0))"),
    )
    .replace(
        "(core instance $i (instantiate $code))",
        "(core instance $i (instantiate $code (with \"host\" (instance $host)) (with \"m\" (instance $m))))",
    )
}
