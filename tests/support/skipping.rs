//! Tests that cannot run here say so loudly; where the machine promises to have everything, they fail.

use std::io::Write;

/// With the value 1, a test that cannot have its engine, or the images of real servers, fails.
pub const REQUIRE_DOCKER: &str = "FARRIER_REQUIRE_DOCKER";
/// With the value 1, a test that cannot have packages of Python's index fails.
pub const REQUIRE_PYPI: &str = "FARRIER_REQUIRE_PYPI";
/// With the value 1, a test that cannot have a compiler with a WebAssembly target fails.
pub const REQUIRE_WASM: &str = "FARRIER_REQUIRE_WASM";
/// With the value 1, a test that cannot have clang for WebAssembly, or wit-bindgen, fails.
pub const REQUIRE_CLANG: &str = "FARRIER_REQUIRE_CLANG";
/// With the value 1, a test that cannot have Go, wit-bindgen or wasm-tools fails.
pub const REQUIRE_GO: &str = "FARRIER_REQUIRE_GO";

/// With the value 1, a test that cannot have the shells that completions are tried in fails.
pub const REQUIRE_SHELLS: &str = "FARRIER_REQUIRE_SHELLS";

/// Says why the current test is skipped, past the test harness, which would swallow it.
///
/// # Panics
/// If the variable `switch` is 1.
pub fn skip_unless_required(switch: &str, why: &str) {
    let test = current_test();
    assert!(
        std::env::var_os(switch).is_none_or(|value| value != "1"),
        "{test} cannot run, and {switch}=1 forbids to skip it: {why}"
    );
    say(&format!("SKIPPED {test}: {why}\n({switch}=1 makes this a failure.)"));
}

/// Says so loudly where a test needs more than the switches promise, and is no failure without it.
pub fn say_skipped(why: &str) {
    say(&format!("NOT COVERED {}: {why}", current_test()));
}

fn current_test() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}

fn say(text: &str) {
    drop(std::io::stderr().write_all(format!("\n{text}\n").as_bytes()));
}
