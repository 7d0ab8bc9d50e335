//! Probe components for tests, from text: hostile, broken or merely odd, without a compiler for guests.

/// A guest that is built from `tests/guests`: the committed one, or one that was built afresh.
pub fn built(name: &str) -> Vec<u8> {
    let folder = std::env::var("FARRIER_TEST_GUESTS")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/guests").to_owned());
    let path = std::path::Path::new(&folder).join(name).with_extension("wasm");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the contract calls a context and a verdict, as every component imports them.
const TYPES: &str = r#"
  (import "farrier:probe/types@0.1.0" (instance $types
    (type $settings-context (record
      (field "sidecar" string) (field "host" string) (field "port" (option u16)) (field "attempt" u32)
      (field "elapsed-ms" u64) (field "remaining-ms" u64) (field "settings" string)))
    (export "context" (type (eq $settings-context)))
    (type $a-pending (record
      (field "reason" string) (field "retry-after-ms" (option u32)) (field "extend-ms" (option u32))))
    (export "pending" (type $pending (eq $a-pending)))
    (type $a-verdict (variant (case "ready") (case "pending" $pending) (case "failed" string)))
    (export "verdict" (type (eq $a-verdict)))))
  (alias export $types "context" (type $context))
  (alias export $types "verdict" (type $verdict))
"#;

/// The import of the log, as the contract has it.
pub const LOGS: &str = r#"
  (import "farrier:probe/logs@0.1.0" (instance
    (type $a-denial (variant
      (case "not-granted" string) (case "unresolved") (case "refused") (case "timed-out") (case "closed")
      (case "limit" string) (case "other" string)))
    (export "denial" (type $denial (eq $a-denial)))
    (export "tail" (func (param "max" u32) (result (result (list string) (error $denial)))))))
"#;

/// A component whose `check` is this body of a core function: its result is the address of a verdict. The
/// text of a reason lies at 1024; `$count` is a global that begins at 0; `$attempt` is the context's.
pub fn guest(check: &str) -> String {
    with_imports("", check, "")
}

/// The same with imports in front, and more exports behind.
pub fn with_imports(imports: &str, check: &str, exports: &str) -> String {
    format!(
        r#"(component {TYPES} {imports}
  (core module $code
    (memory (export "memory") 1)
    (global $count (mut i32) (i32.const 0))
    (global $free (mut i32) (i32.const 4096))
    (data (i32.const 1024) "a reason from the guest")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $at) (local.get 3)))
      (local.get $at))
    (func $check (export "check")
      (param i32 i32 i32 i32 i32 i32) (param $attempt i32) (param i64 i64 i32 i32) (result i32)
      {check}))
  (core instance $i (instantiate $code))
  (func $check (param "context" $context) (result $verdict)
    (canon lift (core func $i "check") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (instance $exported (export "check" (func $check)))
  (export "farrier:probe/check@0.1.0" (instance $exported))
  {exports})"#
    )
}

/// Ready at the first poll.
pub const READY: &str = "(i32.store8 (i32.const 0) (i32.const 0)) (i32.const 0)";
/// Pending with the reason, for ever.
pub const PENDING: &str = "(i32.store8 (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 1024)) \
                           (i32.store (i32.const 8) (i32.const 23)) (i32.const 0)";
/// Never answers.
pub const SPIN: &str = "(loop $for-ever (br $for-ever)) (i32.const 0)";
/// Takes memory until it gets no more, and then uses what it did not get.
pub const BOMB: &str =
    "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 64)) (i32.const -1)))) unreachable";
/// Traps.
pub const TRAP: &str = "unreachable";
/// A discriminant that no verdict has.
pub const NO_VERDICT: &str = "(i32.store8 (i32.const 0) (i32.const 7)) (i32.const 0)";
/// A reason that lies outside of its memory.
pub const OUTSIDE: &str = "(i32.store8 (i32.const 0) (i32.const 2)) (i32.store (i32.const 4) (i32.const 1024)) \
                           (i32.store (i32.const 8) (i32.const 0x7fffffff)) (i32.const 0)";
/// A reason of 8 MiB, all of it there.
pub const HUGE: &str = "(drop (memory.grow (i32.const 160))) (i32.store8 (i32.const 0) (i32.const 2)) \
                        (i32.store (i32.const 4) (i32.const 1024)) (i32.store (i32.const 8) (i32.const 0x800000)) \
                        (memory.fill (i32.const 1024) (i32.const 65) (i32.const 0x800000)) (i32.const 0)";
/// A reason that is not UTF-8.
pub const NO_TEXT: &str = "(i32.store8 (i32.const 1024) (i32.const 0xff)) (i32.store8 (i32.const 0) (i32.const 2)) \
                           (i32.store (i32.const 4) (i32.const 1024)) (i32.store (i32.const 8) (i32.const 1)) \
                           (i32.const 0)";
/// A verdict outside of its memory.
pub const FAR: &str = "(i32.const 0x7ffffffc)";
/// Calls itself until the stack is used up.
pub const DEEP: &str = "(call $check (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) \
                        (local.get $attempt) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0))";
/// Ready only when its memory is fresh and it is asked again.
pub const FRESH: &str = "(global.set $count (i32.add (global.get $count) (i32.const 1))) \
                         (if (i32.ne (global.get $count) (i32.const 1)) (then unreachable)) \
                         (i32.store8 (i32.const 0) (i32.lt_u (local.get $attempt) (i32.const 5))) \
                         (i32.store (i32.const 4) (i32.const 1024)) (i32.store (i32.const 8) (i32.const 23)) \
                         (i32.const 0)";
/// Pending, and each time it asks for a minute more.
pub const MORE_TIME: &str = "(i32.store8 (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 1024)) \
                             (i32.store (i32.const 8) (i32.const 23)) (i32.store8 (i32.const 20) (i32.const 1)) \
                             (i32.store (i32.const 24) (i32.const 60000)) (i32.const 0)";

/// An export `validate` that traps.
const VALIDATE_TRAPS: &str = r#"
  (core module $validating
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64))
    (func (export "validate") (param i32 i32) (result i32) unreachable))
  (core instance $v (instantiate $validating))
  (type $a-problem (record (field "path" string) (field "message" string)))
  (component $shim
    (type $a-problem (record (field "path" string) (field "message" string)))
    (import "problem" (type $problem (eq $a-problem)))
    (import "validate" (func $validate (param "settings" string) (result (result (error (list $problem))))))
    (export $exported "problem" (type $problem))
    (export "validate" (func $validate) (func (param "settings" string) (result (result (error (list $exported)))))))
  (func $validate (param "settings" string) (result (result (error (list $a-problem))))
    (canon lift (core func $v "validate") (memory (core memory $v "memory")) (realloc (core func $v "realloc"))))
  (instance $settings (instantiate $shim (with "problem" (type $a-problem)) (with "validate" (func $validate))))
  (export "farrier:probe/settings@0.1.0" (instance $settings))
"#;

/// An export `validate` whose body is this, and then traps.
pub fn validating(body: &str) -> String {
    VALIDATE_TRAPS.replace("unreachable", &format!("{body} unreachable"))
}

/// The component of a text.
pub fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// Takes long to compile, within what may be compiled: functions of loops in each other around a use of each of many locals. A
/// thousand of them take a second or more.
pub fn slow_to_compile(functions: usize) -> Vec<u8> {
    let uses: String = (0..300)
        .map(|local| format!("(local.set {local} (i32.add (local.get {local}) (i32.const 1)))"))
        .collect();
    let (open, close) = ("(loop ".repeat(20), "(br_if 0 (i32.const 0)))".repeat(20));
    let function = format!("(func (local {}) {open} {uses} {close})", "i32 ".repeat(300));
    let module = format!("(core module {}) (core module $code", function.repeat(functions));
    component(&guest(READY).replace("(core module $code", &module))
}
