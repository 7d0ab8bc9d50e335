//! What the contract says, one world each for the capabilities, for `check` and for `settings`.
//!
//! A component has the exports whose macro it expands, and the imports that its code calls: a probe that never
//! calls `exec` does not import it, and so needs no grant for it.

wit_bindgen::generate!({
    path: "wit",
    inline: "
        package farrier:sdk;
        world capabilities {
            import farrier:probe/types@0.1.2;
            import farrier:probe/dial@0.1.2;
            import farrier:probe/tls@0.1.2;
            import farrier:probe/exec@0.1.2;
            import farrier:probe/health@0.1.2;
            import farrier:probe/logs@0.1.2;
            import farrier:probe/state@0.1.2;
            import farrier:probe/env@0.1.2;
            import farrier:probe/random@0.1.2;
            import farrier:probe/clock@0.1.2;
            import farrier:probe/log@0.1.2;
        }
    ",
    world: "farrier:sdk/capabilities",
    generate_all,
    generate_unused_types: true,
    additional_derives: [PartialEq],
});

/// The question that every probe answers.
pub mod check {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package farrier:sdk; world check { export farrier:probe/check@0.1.2; }",
        world: "farrier:sdk/check",
        with: { "farrier:probe/types@0.1.2": crate::bindings::farrier::probe::types },
        pub_export_macro: true,
        export_macro_name: "export_check",
        default_bindings_module: "farrier_probe::bindings::check",
    });
}

/// What a probe with settings exports besides.
pub mod settings {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package farrier:sdk; world settings { export farrier:probe/settings@0.1.2; }",
        world: "farrier:sdk/settings",
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_settings",
        default_bindings_module: "farrier_probe::bindings::settings",
    });
}
