//! Turning a type into the component's exports.

use alloc::vec;
use alloc::vec::Vec;

use crate::{Context, Line, Pending, Probe, Problem, Settings, Verdict};

/// Makes a [`Probe`] the component's own: `export!(Type)`, or `export!(Type with settings)` where it
/// has settings, which are then checked before any container is started.
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
    };
}

pub use alloc::string::String;

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
