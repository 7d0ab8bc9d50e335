//! Using up what a host has: memories, tables, instances, the stack.

use serde_json::json;

use super::attempt::Expected::{Crashed, CrashedOrTimedOut, NotLoaded, Pending, Ready};
use super::attempt::{Attempt, Guest, extended};
use super::support::guest::{self, guest};
use farrier::probe::context::ProbeContext;

const TOO_MUCH: &str = "it needed more memory than its limit of 4 MiB";

/// The same component with these fields before its core module.
fn preceded(fields: &str) -> String {
    guest(guest::READY).replace("(core module $code", &format!("{fields} (core module $code"))
}

/// So many instances of one module.
fn instances(module: &str, count: usize) -> String {
    let each = "(core instance (instantiate $more)) ".repeat(count);
    preceded(&format!("(core module $more {module}) {each}"))
}

pub fn attempts() -> Vec<Attempt> {
    let memories = |count: usize, pages: usize| format!("(memory {pages}) ").repeat(count);
    let in_module = |fields: &str| extended(guest::READY, fields, "");
    let many_tables = "(table 10000 funcref) ".repeat(20);
    let many_parameters = format!("(param {})", "i64 ".repeat(900));
    let wide = format!(
        "(func $wide {many_parameters} (call $wide {}))",
        (0..900).map(|index| format!("(local.get {index})")).collect::<String>()
    );
    let wide_call = format!("(call $wide {}) (i32.const 0)", "(i64.const 1)".repeat(900));
    let guest_of_language = Guest::hostile(ProbeContext::default(), None);
    vec![
        Attempt::check("grows its memory without end", guest::BOMB, Crashed(TOO_MUCH)),
        Attempt::of("begins with 4 GiB", &instances("(memory 65536)", 1), Crashed(TOO_MUCH)),
        Attempt::of("begins just above the limit", &instances("(memory 64)", 1), Crashed(TOO_MUCH)),
        Attempt::of("begins just below the limit", &instances("(memory 63)", 1), Ready),
        Attempt::of("a hundred small memories", &in_module(&memories(98, 1)), Crashed(TOO_MUCH)),
        Attempt::of(
            "more empty memories than there may be",
            &instances("(memory 0)", 150),
            Crashed("resource limit"),
        ),
        Attempt::of(
            "many empty memories in one module",
            &in_module(&memories(120, 0)),
            NotLoaded("memories"),
        ),
        Attempt::of(
            "grows many memories by turns",
            &extended(
                &(0..20)
                    .map(|index| format!("(drop (memory.grow {index} (i32.const 10)))"))
                    .chain(["unreachable".to_owned()])
                    .collect::<String>(),
                &memories(20, 0),
                "",
            ),
            Crashed(TOO_MUCH),
        ),
        Attempt::of("more instances than there may be", &instances("", 150), Crashed("resource limit")),
        Attempt::of("a table of 10 million", &in_module("(table 10000000 funcref)"), Crashed(TOO_MUCH)),
        Attempt::of("many large tables", &in_module(&many_tables), Crashed(TOO_MUCH)),
        Attempt::of(
            "grows a table without end",
            &extended(
                "(loop $more (br_if $more (i32.ne (table.grow (ref.null func) (i32.const 1000)) (i32.const -1)))) unreachable",
                "(table 0 funcref)",
                "",
            ),
            Crashed(TOO_MUCH),
        ),
        Attempt::of(
            "more tables than there may be",
            &in_module(&"(table 0 funcref) ".repeat(120)),
            NotLoaded("tables"),
        ),
        Attempt::of(
            "data far away",
            &instances("(memory 16384) (data (i32.const 0) \"x\") (data (i32.const 0x3fffffff) \"x\")", 1),
            Crashed(TOO_MUCH),
        ),
        Attempt::of(
            "data outside",
            &instances("(memory 1) (data (i32.const 65536) \"x\")", 1),
            Crashed("out of bounds"),
        ),
        Attempt::of(
            "elements outside",
            &instances("(table 1 funcref) (func $f) (elem (i32.const 1) $f)", 1),
            Crashed("out of bounds"),
        ),
        Attempt::of("recursion with large frames", &extended(&wide_call, &wide, ""), Crashed("stack")),
        Attempt::check(
            "an allocation of 3 GiB at once",
            "(drop (memory.grow (i32.const 49152))) unreachable",
            Crashed(TOO_MUCH),
        ),
        guest_of_language.tries(
            "a language's vector of 1 GiB",
            &json!({"try": "allocate", "with": 1_u64 << 30}),
            Crashed("it needed more memory"),
        ),
        guest_of_language.tries("a heap of small blocks", &json!({"try": "fragment"}), CrashedOrTimedOut),
        guest_of_language.tries(
            "a language's recursion",
            &json!({"try": "recurse", "with": 10_000_000}),
            Crashed("it trapped"),
        ),
        guest_of_language.tries(
            "what fits",
            &json!({"try": "allocate", "with": 4 << 20}),
            Pending("allocated 4194304"),
        ),
    ]
}
