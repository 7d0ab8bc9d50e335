//! The interface `tls` is of farrier:probe@0.1.1: older components do without it, and a component that needs it is granted
//! it, or refused by its name.

use crate::support::certificates::Certificates;
use crate::support::guest::{self, READY, component, with_imports};
use crate::support::{Layer, Scene};

/// The imports of a component that dials and speaks TLS, in this version of the contract.
fn imports(version: &str) -> String {
    let denial = "(type $denied (variant (case \"not-granted\" string) (case \"unresolved\") (case \"refused\") \
                  (case \"timed-out\") (case \"closed\") (case \"limit\" string) (case \"other\" string)))";
    format!(
        "(import \"farrier:probe/dial@{version}\" (instance $dial (export \"connection\" (type (sub resource)))))
         (alias export $dial \"connection\" (type $connection))
         (import \"farrier:probe/tls@{version}\" (instance
           (alias outer 1 $connection (type $outer))
           (export \"connection\" (type $own (eq $outer)))
           {denial} (export \"denial\" (type $denial (eq $denied)))
           (type $failed (variant (case \"denied\" $denial) (case \"not-tls\" string) (case \"untrusted\" string)
             (case \"expired\" string) (case \"wrong-name\" string) (case \"handshake\" string)))
           (export \"failure\" (type $failure (eq $failed)))
           (export \"start\" (func (param \"connection\" (own $own)) (param \"server-name\" string)
             (param \"protocols\" (list string)) (result (result (own $own) (error $failure)))))))"
    )
}

fn define(scene: &Scene, grants: &str) {
    scene.define(
        "db",
        &format!(
            "image = 'x'\n[interface]\nkind = 'port'\nport = 443\n[readiness]\nprobe = './mine.wasm'\ngrants = {{ {grants} }}\n"
        ),
    );
}

#[test]
fn a_component_that_needs_tls_is_granted_it_or_refused_by_its_name() {
    let scene = Scene::new();
    let Some(_) = Certificates::in_folder(&scene.layer(Layer::User).join("certs")) else { return };
    for version in ["0.1.1", "0.1.2", "0.1.7"] {
        scene.define_in(Layer::User, "mine.wasm", component(&with_imports(&imports(version), READY, "")));
        for grant in ["true", "'insecure'", "{ ca = 'certs/ca.pem' }"] {
            define(&scene, &format!("dial = ['self'], tls = {grant}"));
            scene.farrier(["validate"]).output().assert_code(0);
        }
        define(&scene, "dial = ['self']");
        let told = scene.farrier(["validate"]).output().assert_code(2).stdout();
        for words in [
            &format!("imports farrier:probe/tls@{version}, which its definition does not grant"),
            "`grants.tls = true`",
        ] {
            assert!(told.contains(words), "{told}");
        }
    }
}

#[test]
fn what_no_host_has_yet_is_refused_as_tls_is_by_an_older_one() {
    let scene = Scene::new();
    let later = imports("0.1.1").replace("farrier:probe/tls@0.1.1", "farrier:probe/quic@0.1.3");
    scene.define_in(Layer::User, "mine.wasm", component(&with_imports(&later, READY, "")));
    define(&scene, "dial = ['self']");
    let told = scene.farrier(["validate"]).output().assert_code(2).stdout();
    for words in [
        "imports farrier:probe/quic@0.1.3, which farrier does not offer",
        "This version of farrier hosts farrier:probe@0.1.2: install one that has this interface",
    ] {
        assert!(told.contains(words), "{told}");
    }
    // And one whose functions differ from the contract's.
    let other = imports("0.1.1").replace("(param \"protocols\" (list string))", "");
    scene.define_in(Layer::User, "mine.wasm", component(&with_imports(&other, READY, "")));
    define(&scene, "dial = ['self'], tls = true");
    let told = scene.farrier(["validate"]).output().assert_code(2).stdout();
    assert!(told.contains("it imports `start` of farrier:probe/tls@0.1.1 with another type"), "{told}");
}

#[test]
fn a_grant_that_makes_no_sense_is_told_with_its_place() {
    let scene = Scene::new();
    let Some(certificates) = Certificates::in_folder(&scene.layer(Layer::User).join("certs")) else { return };
    drop(certificates);
    scene.define_in(Layer::User, "mine.wasm", component(&guest::guest(READY)));
    for (grant, told) in [
        ("'sometimes'", "`readiness.grants.tls`"),
        ("{ ca = 'certs/none.pem' }", "the file `certs/none.pem` cannot be read"),
        (
            "{ ca = 'certs/ca.key' }",
            "the file `certs/ca.key` cannot be used for TLS: it contains no certificate in PEM",
        ),
        ("{ cert = 'certs/client.pem' }", "`readiness.grants.tls.key` is missing"),
        (
            "{ cert = 'certs/client.pem', key = 'certs/server.key' }",
            "it is not the key of the certificate `certs/client.pem`",
        ),
        ("{ cert = 'certs/client.pem', key = 'certs/client.pem' }", "it contains no private key in PEM"),
        (
            "{ ca = 'certs/ca.pem', insecure = true }",
            "`readiness.grants.tls.ca` has no effect beside `insecure`",
        ),
    ] {
        define(&scene, &format!("dial = ['self'], tls = {grant}"));
        let outcome = scene.farrier(["validate"]).output().assert_code(2);
        assert!(outcome.stdout().contains(told), "{grant}: {outcome}");
    }
}

#[test]
fn a_built_in_probe_gets_tls_by_its_settings_and_files_by_its_grants() {
    let scene = Scene::new();
    let Some(_) = Certificates::in_folder(&scene.layer(Layer::User).join("certs")) else { return };
    let ca = "grants = { tls = { ca = 'certs/ca.pem' } }";
    for (settings, grants, code, told) in [
        ("scheme = 'https'", "", 0, " 0 errors"),
        ("scheme = 'https'", ca, 0, " 0 errors"),
        ("scheme = 'https', insecure = true", "", 0, " 0 errors"),
        ("scheme = 'https', port = 8443", "grants = { dial = ['self:8443'], tls = true }", 0, " 0 errors"),
        ("path = '/'", ca, 2, "`readiness.grants` is not accepted with the built-in probe `http`"),
        (
            "path = '/', port = 80",
            ca,
            2,
            "`readiness.grants.tls` is not accepted with the built-in probe `http`: its settings ask for no TLS",
        ),
        (
            "scheme = 'https'",
            "grants = { dial = ['self:8443'], tls = true }",
            2,
            "`readiness.grants.dial` is not accepted",
        ),
        ("scheme = 'https', insecure = true", ca, 2, "`readiness.grants.tls.ca` has no effect"),
        ("insecure = true", "", 2, "readiness.settings.insecure: it is for TLS: add `scheme = \"https\"`"),
    ] {
        scene.define(
            "web",
            &format!(
                "image = 'x'\n[interface]\nkind = 'port'\nport = 443\n[readiness]\nprobe = 'http'\n\
                 settings = {{ {settings} }}\n{grants}\n"
            ),
        );
        let outcome = scene.farrier(["validate"]).output().assert_code(code);
        assert!(outcome.stdout().contains(told), "{settings} {grants}: {outcome}");
    }
}
