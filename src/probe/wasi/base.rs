//! The base that language runtimes pull in: WASI 0.2 without HTTP. It is always offered, and inert: no files, no
//! environment, no arguments, no network, until a grant gives them something.
//!
//! The linker would name neither the interface nor the function that it lacks, and only once a component is compiled.

use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::Types;

/// The version of WASI whose functions these are.
const VERSION: &str = "0.2.12";

type Interface = (&'static str, &'static [&'static str]);

/// Packages, their interfaces, and the functions of each that `wasi` links.
const PACKAGES: &[(&str, &[Interface])] = &[
    (
        "cli",
        &[
            ("environment", &["get-environment", "get-arguments", "initial-cwd"]),
            ("exit", &["exit", "exit-with-code"]),
            ("stdin", &["get-stdin"]),
            ("stdout", &["get-stdout"]),
            ("stderr", &["get-stderr"]),
            ("terminal-input", &[]),
            ("terminal-output", &[]),
            ("terminal-stdin", &["get-terminal-stdin"]),
            ("terminal-stdout", &["get-terminal-stdout"]),
            ("terminal-stderr", &["get-terminal-stderr"]),
        ],
    ),
    (
        "clocks",
        &[
            ("monotonic-clock", &["now", "resolution", "subscribe-instant", "subscribe-duration"]),
            ("wall-clock", &["now", "resolution"]),
        ],
    ),
    (
        "filesystem",
        &[
            (
                "types",
                &[
                    "filesystem-error-code",
                    "[method]descriptor.read-via-stream",
                    "[method]descriptor.write-via-stream",
                    "[method]descriptor.append-via-stream",
                    "[method]descriptor.advise",
                    "[method]descriptor.sync-data",
                    "[method]descriptor.get-flags",
                    "[method]descriptor.get-type",
                    "[method]descriptor.set-size",
                    "[method]descriptor.set-times",
                    "[method]descriptor.read",
                    "[method]descriptor.write",
                    "[method]descriptor.read-directory",
                    "[method]descriptor.sync",
                    "[method]descriptor.create-directory-at",
                    "[method]descriptor.stat",
                    "[method]descriptor.stat-at",
                    "[method]descriptor.set-times-at",
                    "[method]descriptor.link-at",
                    "[method]descriptor.open-at",
                    "[method]descriptor.readlink-at",
                    "[method]descriptor.remove-directory-at",
                    "[method]descriptor.rename-at",
                    "[method]descriptor.symlink-at",
                    "[method]descriptor.unlink-file-at",
                    "[method]descriptor.is-same-object",
                    "[method]descriptor.metadata-hash",
                    "[method]descriptor.metadata-hash-at",
                    "[method]directory-entry-stream.read-directory-entry",
                ],
            ),
            ("preopens", &["get-directories"]),
        ],
    ),
    (
        "io",
        &[
            ("error", &["[method]error.to-debug-string"]),
            ("poll", &["poll", "[method]pollable.ready", "[method]pollable.block"]),
            (
                "streams",
                &[
                    "[method]input-stream.read",
                    "[method]input-stream.blocking-read",
                    "[method]input-stream.skip",
                    "[method]input-stream.blocking-skip",
                    "[method]input-stream.subscribe",
                    "[method]output-stream.check-write",
                    "[method]output-stream.write",
                    "[method]output-stream.blocking-write-and-flush",
                    "[method]output-stream.flush",
                    "[method]output-stream.blocking-flush",
                    "[method]output-stream.subscribe",
                    "[method]output-stream.write-zeroes",
                    "[method]output-stream.blocking-write-zeroes-and-flush",
                    "[method]output-stream.splice",
                    "[method]output-stream.blocking-splice",
                ],
            ),
        ],
    ),
    (
        "random",
        &[
            ("insecure-seed", &["insecure-seed"]),
            ("insecure", &["get-insecure-random-bytes", "get-insecure-random-u64"]),
            ("random", &["get-random-bytes", "get-random-u64"]),
        ],
    ),
    (
        "sockets",
        &[
            ("network", &[]),
            ("instance-network", &["instance-network"]),
            (
                "ip-name-lookup",
                &[
                    "resolve-addresses",
                    "[method]resolve-address-stream.resolve-next-address",
                    "[method]resolve-address-stream.subscribe",
                ],
            ),
            (
                "tcp",
                &[
                    "[method]tcp-socket.start-bind",
                    "[method]tcp-socket.finish-bind",
                    "[method]tcp-socket.start-connect",
                    "[method]tcp-socket.finish-connect",
                    "[method]tcp-socket.start-listen",
                    "[method]tcp-socket.finish-listen",
                    "[method]tcp-socket.accept",
                    "[method]tcp-socket.local-address",
                    "[method]tcp-socket.remote-address",
                    "[method]tcp-socket.is-listening",
                    "[method]tcp-socket.address-family",
                    "[method]tcp-socket.set-listen-backlog-size",
                    "[method]tcp-socket.keep-alive-enabled",
                    "[method]tcp-socket.set-keep-alive-enabled",
                    "[method]tcp-socket.keep-alive-idle-time",
                    "[method]tcp-socket.set-keep-alive-idle-time",
                    "[method]tcp-socket.keep-alive-interval",
                    "[method]tcp-socket.set-keep-alive-interval",
                    "[method]tcp-socket.keep-alive-count",
                    "[method]tcp-socket.set-keep-alive-count",
                    "[method]tcp-socket.hop-limit",
                    "[method]tcp-socket.set-hop-limit",
                    "[method]tcp-socket.receive-buffer-size",
                    "[method]tcp-socket.set-receive-buffer-size",
                    "[method]tcp-socket.send-buffer-size",
                    "[method]tcp-socket.set-send-buffer-size",
                    "[method]tcp-socket.subscribe",
                    "[method]tcp-socket.shutdown",
                ],
            ),
            ("tcp-create-socket", &["create-tcp-socket"]),
            (
                "udp",
                &[
                    "[method]udp-socket.start-bind",
                    "[method]udp-socket.finish-bind",
                    "[method]udp-socket.stream",
                    "[method]udp-socket.local-address",
                    "[method]udp-socket.remote-address",
                    "[method]udp-socket.address-family",
                    "[method]udp-socket.unicast-hop-limit",
                    "[method]udp-socket.set-unicast-hop-limit",
                    "[method]udp-socket.receive-buffer-size",
                    "[method]udp-socket.set-receive-buffer-size",
                    "[method]udp-socket.send-buffer-size",
                    "[method]udp-socket.set-send-buffer-size",
                    "[method]udp-socket.subscribe",
                    "[method]incoming-datagram-stream.receive",
                    "[method]incoming-datagram-stream.subscribe",
                    "[method]outgoing-datagram-stream.check-send",
                    "[method]outgoing-datagram-stream.send",
                    "[method]outgoing-datagram-stream.subscribe",
                ],
            ),
            ("udp-create-socket", &["create-udp-socket"]),
        ],
    ),
];

/// The functions of an interface of the base, in any version 0.2.x: within it interfaces only grow. `None` if the name
/// is of something else.
#[must_use]
pub fn functions(import: &str) -> Option<&'static [&'static str]> {
    let (interface, version) = import.strip_prefix("wasi:")?.split_once('@')?;
    version.strip_prefix("0.2.")?.parse::<u32>().ok()?;
    let (package, name) = interface.split_once('/')?;
    let (_, interfaces) = PACKAGES.iter().find(|(known, _)| *known == package)?;
    interfaces.iter().find(|(known, _)| *known == name).map(|(_, functions)| *functions)
}

/// Finds a function that a component imports from the base and that the base lacks. Interfaces that are not of the base
/// are refused by their names, as ungranted.
///
/// # Errors
/// The first such function.
pub fn compare(types: &Types, imports: &[String]) -> Result<(), String> {
    for name in imports {
        let Some(known) = functions(name) else { continue };
        let item = types.component_item_for_import(name).map(|item| item.ty);
        let Some(ComponentEntityType::Instance(id)) = item else { continue };
        let wanted = types[id].exports.iter();
        let mut wanted = wanted.filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)));
        if let Some((function, _)) = wanted.find(|(function, _)| !known.contains(&function.as_str())) {
            return Err(format!(
                "it imports the function `{function}` of {name}, which WASI {VERSION} lacks"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test")]
mod tests {
    use wasmtime::Engine;
    use wasmtime::component::Linker;

    use super::*;
    use crate::probe::store::HostState;
    use crate::probe::wasi;

    #[test]
    fn the_linker_has_each_function() {
        let engine = Engine::default();
        let mut linker: Linker<HostState> = Linker::new(&engine);
        wasi::link(&mut linker).expect("it links");
        // A name that is taken cannot be defined again.
        let mut has = |interface: &str, function: &str| {
            let mut instance = linker.instance(interface).expect("an instance");
            instance.func_new(function, |_, _, _, _| Ok(())).is_err()
        };
        for (package, interfaces) in PACKAGES {
            for (name, functions) in *interfaces {
                let interface = format!("wasi:{package}/{name}@{VERSION}");
                for function in *functions {
                    assert!(has(&interface, function), "{interface} lacks `{function}`");
                }
                assert!(!has(&interface, "nonesuch"));
            }
        }
    }

    #[test]
    fn the_base_is_wasi_0_2_and_nothing_more() {
        for import in [
            "wasi:io/poll@0.2.0",
            "wasi:cli/exit@0.2.6",
            "wasi:sockets/ip-name-lookup@0.2.12",
            "wasi:filesystem/preopens@0.2.99",
        ] {
            assert!(functions(import).is_some(), "{import}");
        }
        for import in [
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:io/poll@0.3.0",
            "wasi:io/poll@0.2.0-rc-2023",
            "wasi:io/poll",
            "wasi:cli/run@0.2.0",
            "wasi:clocks/timezone@0.2.0",
            "wasi:io@0.2.0",
            "host:io/poll@0.2.0",
        ] {
            assert!(functions(import).is_none(), "{import}");
        }
    }
}
