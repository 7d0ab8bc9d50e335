//! Turning a type into the component's exports.

use alloc::vec;
use alloc::vec::Vec;

use crate::{Context, Line, Pending, Probe, Problem, Settings, Verdict};

/// Makes a [`Probe`] the component's own: `export!(Type)`, or `export!(Type with settings)` where it
/// has settings, which are then checked before any container is started. Their type says by its
/// [`Schema`](crate::Schema) what it accepts, so that farrier finds most mistakes without running the probe; where it
/// cannot, write `export!(Type with settings and no schema)`.
///
/// The component also gets the package's name, version, description, authors, licence, repository and homepage from
/// `Cargo.toml`.
#[macro_export]
macro_rules! export {
    ($probe:ident) => {
        const _: () = assert!(
            !<<$probe as $crate::Probe>::Settings as $crate::Settings>::ANY,
            "this probe has settings: write `export!(Type with settings)`, so that they are checked early"
        );
        $crate::__export_the_check!($probe);
    };
    ($probe:ident with settings) => {
        $crate::__export_the_schema!($probe);
        $crate::export!($probe with settings and no schema);
    };
    ($probe:ident with settings and no schema) => {
        const _: () = assert!(
            <<$probe as $crate::Probe>::Settings as $crate::Settings>::ANY,
            "this probe has no settings: write `export!(Type)`"
        );
        $crate::__export_the_check!($probe);
        const _: () = {
            struct Exported;
            impl $crate::bindings::settings::exports::farrier::probe::settings::Guest for Exported {
                fn validate(settings: $crate::export::String) -> $crate::export::Validity {
                    $crate::export::validate::<$probe>(&settings)
                }
            }
            $crate::bindings::settings::export_settings!(Exported);
        };
    };
}

/// Puts the schema of the settings into the component.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_the_schema {
    ($probe:ident) => {
        const _: () = {
            type Settings = <$probe as $crate::Probe>::Settings;
            const SCHEMA: [u8; $crate::schema::length::<Settings>()] = $crate::schema::text::<Settings, _>();
            assert!(
                SCHEMA.len() <= $crate::export::LONGEST_SCHEMA,
                "farrier reads no schema of more than 64 KiB"
            );
            $crate::__section!("farrier:settings-schema", SCHEMA);
        };
    };
}

/// Puts what `Cargo.toml` says about the package into the component. The name comes under a name of farrier's own, because
/// linkers write the section `name` themselves; `farrier probe build` writes it where components have it.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_the_metadata {
    ($($section:literal: $variable:literal;)*) => {
        $(const _: () = {
            const TEXT: &str = $crate::export::or_empty(::core::option_env!($variable));
            $crate::__section!($section, $crate::export::listed::<{ TEXT.len() }>(TEXT, $section));
        };)*
    };
}

/// A custom section of the component. Nothing refers to the static, not even `#[used]`, which would keep its bytes in the
/// probe's memory as well.
#[doc(hidden)]
#[macro_export]
macro_rules! __section {
    ($name:literal, $bytes:expr) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            const LENGTH: usize = $bytes.len();
            #[allow(dead_code, unsafe_code)]
            #[unsafe(link_section = $name)]
            static SECTION: [u8; LENGTH] = $bytes;
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_the_check {
    ($probe:ident) => {
        const _: () = {
            struct Exported;
            impl $crate::bindings::check::exports::farrier::probe::check::Guest for Exported {
                fn check(context: $crate::Context) -> $crate::Verdict {
                    $crate::export::check::<$probe>(&context)
                }
            }
            $crate::bindings::check::export_check!(Exported);
        };
        $crate::__export_the_metadata! {
            "farrier:name": "CARGO_PKG_NAME";
            "version": "CARGO_PKG_VERSION";
            "description": "CARGO_PKG_DESCRIPTION";
            "authors": "CARGO_PKG_AUTHORS";
            "licenses": "CARGO_PKG_LICENSE";
            "source": "CARGO_PKG_REPOSITORY";
            "homepage": "CARGO_PKG_HOMEPAGE";
        }
    };
}

pub use alloc::string::String;

/// The longest schema that farrier reads.
pub const LONGEST_SCHEMA: usize = 64 << 10;

/// The text of a variable of the build; empty if it is not set.
#[must_use]
pub const fn or_empty(text: Option<&'static str>) -> &'static str {
    match text {
        Some(text) => text,
        None => "",
    }
}

/// The text of a section, whose length is `N`. Cargo separates authors by colons.
#[must_use]
pub const fn listed<const N: usize>(text: &str, section: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let are_authors = section.as_bytes()[0] == b'a';
    let mut index = 0;
    while index < N {
        let byte = text.as_bytes()[index];
        bytes[index] = if are_authors && byte == b':' { b',' } else { byte };
        index += 1;
    }
    bytes
}

/// What the export `validate` answers.
pub type Validity = Result<(), Vec<Problem>>;

/// Reads the settings and asks the probe.
#[must_use]
pub fn check<P: Probe>(context: &Context) -> Verdict {
    tell_panics();
    match P::Settings::from_json(&context.settings) {
        Ok(settings) => bounded(P::check(context, settings)),
        Err(problem) => {
            let place = if problem.path.is_empty() { "" } else { "." };
            Verdict::failed(
                Line::new()
                    .text("readiness.settings")
                    .text(place)
                    .text(&problem.path)
                    .text(": ")
                    .text(&problem.message),
            )
        }
    }
}

/// Reads the settings and has the probe look at them.
///
/// # Errors
/// The field that cannot be read, or what the probe objects to.
pub fn validate<P: Probe>(settings: &str) -> Validity {
    tell_panics();
    let settings = P::Settings::from_json(settings).map_err(|problem| vec![problem])?;
    P::validate(&settings)
}

/// Has a panic's text, file and line written where the host finds it. A target with WASI has a standard error for that;
/// elsewhere the text would be lost.
fn tell_panics() {
    #[cfg(all(feature = "panics", target_family = "wasm", target_os = "unknown"))]
    crate::panics::tell();
}

/// The verdict with a reason that the host takes: it ends a poll that passes more than 1 MiB.
fn bounded(mut verdict: Verdict) -> Verdict {
    if let Verdict::Pending(Pending { reason, .. }) | Verdict::Failed(reason) = &mut verdict {
        let kept = crate::line::cut(reason).len();
        reason.truncate(kept);
    }
    verdict
}
