//! The console blocks of the guide for authors of probes, typed one after the other into one shell.

use std::fmt::Write;

use crate::support::Scene;
use crate::support::console::{QuickStart, Shown, console_blocks, shell, without_blank_lines};
use crate::support::engine::build_directory;
use crate::support::free_port;
use crate::support::registry;
use crate::support::skipping::{REQUIRE_WASM, skip_unless_required};

const GUIDE: &str = include_str!("../../docs/writing-a-probe.md");
/// What no command prints by itself.
const MARK: &str = "=== the next command ===";
/// What the guide's launch makes.
const CONTAINER: &str = "farrier-orders";

/// Digests, sizes and times differ from run to run; what they stand beside does not, nor do exit codes and counts.
fn without_measures(text: &str) -> String {
    let digest = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits =
        |word: &str| word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && !word.is_empty();
    let measure = |word: &str, unit: &str| digits(word) && ["ms", "s", "bytes", "KiB", "MiB"].contains(&unit);
    let bare = |word: &str| word.trim_matches(|letter: char| !letter.is_ascii_alphanumeric()).to_owned();
    let mut plain = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let next = words.iter().skip(1).copied().chain([""]);
        let kept = words.iter().zip(next).map(|(word, next)| match bare(word) {
            found if digest(&found) => word.replace(&found, "DIGEST"),
            found if measure(&found, &bare(next)) => word.replace(&found, "N"),
            found if found.strip_suffix('s').is_some_and(|number| number.contains('.') && digits(number)) => {
                word.replace(&found, "Ns")
            }
            _ => (*word).to_owned(),
        });
        let _ = writeln!(plain, "{}", kept.collect::<Vec<_>>().join(" "));
    }
    plain
}

/// One script of all commands, with a mark before each. What runs in the background ends with it.
fn script(commands: &[Shown]) -> String {
    let begin = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n".to_owned();
    commands.iter().fold(begin, |script, shown| script + &format!("echo '{MARK}'\n{}\n", shown.command))
}

/// The guide's container and program, removed also where the test fails.
struct Sidecars<'a>(&'a Scene);

impl<'a> Sidecars<'a> {
    fn none_of(scene: &'a Scene) -> Self {
        drop(Self(scene));
        Self(scene)
    }
}

impl Drop for Sidecars<'_> {
    fn drop(&mut self) {
        let _ = crate::support::docker::run(["rm", "--force", "--volumes", CONTAINER]);
        let down = ["down", "--all", "--yes", "--force", "--engine", "native"];
        let outcome = self.0.farrier(down).output();
        if !std::thread::panicking() {
            outcome.assert_code(0);
        }
    }
}

#[test]
fn what_the_guide_says_is_what_a_reader_sees() {
    let Some(scene) = Scene::with_docker() else { return };
    let compiler = std::env::var("GUEST_RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let libraries = "\"$RUSTC\" --print target-libdir --target wasm32-unknown-unknown";
    let present = shell(&scene, &format!("ls \"$({libraries})\"")).env("RUSTC", &compiler).output();
    if present.code() != Some(0) {
        let why = format!("{compiler} has no wasm32-unknown-unknown, which the guide needs: {present}");
        skip_unless_required(REQUIRE_WASM, &why);
        return;
    }
    let _quickstart = QuickStart::absent(&scene);
    shell(&scene, "cargo --quiet quickstart").output().assert_code(0);
    let _sidecars = Sidecars::none_of(&scene);
    let Some(registry) = registry::open(&scene, &scene.path("storage")) else { return };

    let own_ports = ["8123", "8443"].map(|port| (port, free_port().to_string()));
    let guide = own_ports.iter().fold(GUIDE.to_owned(), |guide, (port, free)| guide.replace(port, free));
    let guide = guide.replace("localhost:5000", &registry.address);
    let shown = console_blocks(&guide);
    assert!(shown.len() >= 30, "the guide has console blocks: {shown:?}");
    let outcome = shell(&scene, &script(&shown))
        .directory(scene.workspace())
        .env("RUSTC", &compiler)
        // Other tests build projects there too, of mostly the same crates.
        .env("CARGO_TARGET_DIR", build_directory().join("projects"))
        .output();
    let printed = outcome.stdout();
    let printed: Vec<&str> = printed.split(&format!("{MARK}\n")).skip(1).collect();
    for (Shown { command, output }, printed) in shown.iter().zip(&printed) {
        let matched = snapbox::Assert::new().try_eq(
            Some(command),
            snapbox::Data::from(without_measures(&without_blank_lines(printed))),
            snapbox::Data::from(without_measures(output)),
        );
        if let Err(difference) = matched {
            panic!("$ {command}\n{}\n{difference}", outcome.stderr());
        }
    }
    assert_eq!(printed.len(), shown.len(), "a command failed: {}", outcome.stderr());
    outcome.assert_code(0);
}
