//! Components that are small, and large to compile.

use super::attempt::Attempt;
use super::attempt::Expected::{NotLoaded, Ready, Refused};
use super::support::guest::{self, guest, with_imports};

const TOO_MUCH: &str = "compiling it would be too expensive";

fn beside(module: &str) -> String {
    guest(guest::READY).replace("(core module $code", &format!("(core module {module}) (core module $code"))
}

/// Each component instantiates the one before it twice.
fn doubling(levels: usize) -> String {
    let mut text = "(component $c0 (core module $m) (core instance (instantiate $m)))".to_owned();
    for level in 1..=levels {
        let before = level - 1;
        text += &format!(
            "(component $c{level} (alias outer 1 $c{before} (component $b)) (instance (instantiate $b)) (instance (instantiate $b)))"
        );
    }
    with_imports(&format!("{text} (instance (instantiate $c{levels}))"), guest::READY, "")
}

/// Loops in each other, around a use of each local.
fn loops(loops: usize, locals: usize) -> String {
    let uses: String = (0..locals)
        .map(|local| format!("(local.set {local} (i32.add (local.get {local}) (i32.const 1)))"))
        .collect();
    format!(
        "(func (local {}) {} {uses} {})",
        "i32 ".repeat(locals),
        "(loop ".repeat(loops),
        "(br_if 0 (i32.const 0)))".repeat(loops)
    )
}

/// Calls that take and give a thousand values each.
fn wide_calls(calls: usize) -> String {
    let values = "i64 ".repeat(1000);
    let constants = "(i64.const 1)".repeat(1000);
    let drops = "drop ".repeat(1000);
    format!(
        "(func $wide (import \"\" \"\") (param {values}) (result {values})) (func {constants} {} {drops})",
        "(call $wide)".repeat(calls)
    )
}

fn types(depth: usize, width: usize) -> String {
    let mut text = "(type $t0 (record (field \"a\" u32)))".to_owned();
    for level in 1..=depth {
        let before = level - 1;
        let fields: String = (0..width).map(|field| format!("(field \"f{field}\" $t{before})")).collect();
        text += &format!("(type $t{level} (record {fields}))");
    }
    with_imports(&text, guest::READY, "")
}

pub fn attempts() -> Vec<Attempt> {
    let refused = |name: &str, text: &str| Attempt::of(name, text, Refused(TOO_MUCH));
    let long = format!("(func {})", "(drop (i32.const 1))".repeat(800_000));
    let targets = |count: usize| {
        let values = "i64 ".repeat(100);
        format!(
            "(func (result {values}) {} (br_table {} (i32.const 0)))",
            "(i64.const 1)".repeat(100),
            "0 ".repeat(count)
        )
    };
    let exports = |count: usize| {
        let text: String =
            (0..count).map(|number| format!("(export \"e{number}\" (instance $exported))")).collect();
        with_imports("", guest::READY, &text)
    };
    let nested = |depth: usize| {
        with_imports(&format!("{}{}", "(component ".repeat(depth), ")".repeat(depth)), guest::READY, "")
    };
    vec![
        refused("components that double 30 times", &doubling(30)),
        Attempt::of("components that double 6 times", &doubling(6), Ready),
        refused("a function of 2.4 MB", &beside(&long)),
        refused("loops times locals", &beside(&loops(2_000, 2_000))),
        Attempt::of("some loops times locals", &beside(&loops(20, 300)), Ready),
        refused("five hundred calls of a thousand values", &beside(&wide_calls(500))),
        refused("a jump table that carries values", &beside(&targets(30_000))),
        refused("120,000 functions", &beside(&"(func)".repeat(120_000))),
        refused("a million types", &beside(&"(type (func (param i32 i32)))".repeat(1_000_000))),
        Attempt::of("10,000 exports", &exports(10_000), NotLoaded("instances count exceeds limit")),
        Attempt::of("a component of 90 levels", &nested(90), Ready),
        Attempt::of("types that double", &types(30, 2), NotLoaded("")),
        Attempt::of("types of 60 levels", &types(60, 1), Ready),
        Attempt::of("types of 200 levels", &types(200, 1), NotLoaded("")),
        Attempt::of("40,000 functions", &beside(&"(func)".repeat(40_000)), Ready),
        Attempt::of("forty calls of a thousand values", &beside(&wide_calls(40)), Ready),
    ]
}
