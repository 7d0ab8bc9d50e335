//! `farrier explain`.

use farrier::report::error::Code;

use crate::support::Scene;

#[test]
fn every_code_has_its_long_form_however_it_is_copied() {
    let scene = Scene::new();
    for code in Code::ALL {
        let plain = scene.farrier(["explain", code.as_str()]).output().assert_code(0).stdout();
        assert!(plain.starts_with(&format!("{code}: ")), "{plain}");
        for heading in ["\nUsual causes:\n- ", "\nWhat to do:\n- "] {
            assert!(plain.contains(heading), "{plain}");
        }
    }
    let copied = scene.farrier(["explain", "error[alias-taken]:"]).output().assert_code(0).stdout();
    assert!(copied.starts_with("alias-taken: "), "{copied}");
}

#[test]
fn all_are_listed_without_a_code() {
    let list = Scene::new().farrier(["explain"]).output().assert_code(0).stdout();
    for code in Code::ALL {
        assert!(
            list.lines().any(|line| line.trim_start().starts_with(&format!("{code} "))),
            "{code}: {list}"
        );
    }
}

#[test]
fn an_unknown_code_is_refused_with_the_one_that_is_near() {
    let scene = Scene::new();
    for (given, hint) in [("alias-takn", "`alias-taken`"), ("???", "`farrier explain`")] {
        let refused = scene.farrier(["explain", given]).output().assert_code(2);
        assert!(refused.stderr().contains(hint), "{refused}");
        assert_eq!(refused.stdout(), "");
    }
}
