//! `skip`: ready at once, on nothing but the definition's word. Imports no capability.

#![cfg_attr(target_family = "wasm", no_std)]

use farrier_probe::{Context, NoSettings, Probe, Verdict};

struct Skip;

impl Probe for Skip {
    type Settings = NoSettings;

    fn check(_: &Context, _: NoSettings) -> Verdict {
        Verdict::Ready
    }
}

farrier_probe::export!(Skip);
