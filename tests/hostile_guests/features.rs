//! Parts of WebAssembly that are not hosted, and imports that nobody offers.

use super::attempt::Attempt;
use super::attempt::Expected::{NotLoaded, Refused};
use super::support::guest::{self, guest, with_imports};

/// A good probe with one more core module.
fn beside(module: &str) -> String {
    guest(guest::READY).replace("(core module $code", &format!("(core module {module}) (core module $code"))
}

pub fn attempts() -> Vec<Attempt> {
    let modules = [
        ("a shared memory", "(memory 1 1 shared)"),
        ("atomic instructions", "(memory 1) (func (drop (i32.atomic.load (i32.const 0))))"),
        ("a 64-bit memory", "(memory i64 1)"),
        ("a 64-bit table", "(table i64 1 funcref)"),
        ("structures of the garbage collector", "(type (struct (field i32)))"),
        ("arrays of the garbage collector", "(type (array (mut i8)))"),
        ("references to small integers", "(func (param i31ref))"),
        (
            "relaxed vector instructions",
            "(func (param v128 v128) (result v128) local.get 0 local.get 1 i8x16.relaxed_swizzle)",
        ),
        ("exceptions", "(tag) (func (throw 0))"),
        ("continuations", "(type $f (func)) (type (cont $f))"),
        ("pages of another size", "(memory 1 (pagesize 1))"),
        (
            "128-bit arithmetic",
            "(func (param i64 i64 i64 i64) (result i64 i64) local.get 0 local.get 1 local.get 2 local.get 3 i64.add128)",
        ),
    ];
    let mut attempts: Vec<Attempt> =
        modules.iter().map(|(name, module)| Attempt::of(*name, &beside(module), NotLoaded(""))).collect();
    for import in [
        "wasi:http/outgoing-handler@0.2.0",
        "wasi:sockets/ip-name-lookup@0.3.0",
        "wasi:sockets/tcp@0.2.0-rc-2023-11-10",
        "wasi:cli/run@0.2.0",
        "wasi:keyvalue/store@0.2.0",
        "wasi:nn/graph@0.2.0",
        "host:system/exec@0.1.0",
        "farrier:probe/unheard-of@0.1.0",
        "farrier:other/dial@0.1.0",
    ] {
        let text = with_imports(&format!("(import \"{import}\" (instance))"), guest::READY, "");
        attempts.push(Attempt::of(
            format!("imports {import}"),
            &text,
            Refused("which farrier does not offer"),
        ));
    }
    for interface in ["dial", "exec", "health", "logs"] {
        let import = format!("(import \"farrier:probe/{interface}@0.1.0\" (instance))");
        let text = with_imports(&import, guest::READY, "");
        attempts.push(Attempt::of(
            format!("imports {interface} without a grant"),
            &text,
            Refused("does not grant"),
        ));
    }
    let later = with_imports("(import \"farrier:probe/dial@0.9.0\" (instance))", guest::READY, "");
    attempts.push(Attempt::of(
        "a contract of another version",
        &later,
        Refused("it is built for farrier:probe@0.9.0"),
    ));
    let function = with_imports("(import \"exec\" (func))", guest::READY, "");
    attempts.push(Attempt::of("imports a bare function", &function, Refused("which farrier does not offer")));
    let wrong = with_imports(
        "(import \"wasi:cli/exit@0.2.0\" (instance (export \"escape\" (func))))",
        guest::READY,
        "",
    );
    attempts.push(Attempt::of("a function that an interface does not have", &wrong, NotLoaded("")));
    attempts
}
