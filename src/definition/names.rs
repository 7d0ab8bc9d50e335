//! The forms that a sidecar's name takes outside its file.

/// The part of a container's name: each run of characters outside letters, digits, `_`, `.` and `-` becomes
/// one `-`, and separators at the ends go. Empty where nothing is left.
#[must_use]
pub fn container_token(name: &str) -> String {
    let token = collapsed(name, '-', |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    token.trim_matches(['-', '_', '.']).to_owned()
}

/// The part of a variable's name: upper-cased, each run of characters outside letters and digits becomes one
/// `_`, and those at the ends go. Empty where nothing is left.
#[must_use]
pub fn variable_token(name: &str) -> String {
    let token = collapsed(&name.to_ascii_uppercase(), '_', |c| c.is_ascii_alphanumeric());
    token.trim_matches('_').to_owned()
}

/// Whether two names come to the same sidecar: by their container's name or their variables, in any case.
pub fn is_same_sidecar(one: &str, other: &str) -> bool {
    let same = |one: &str, other: &str| !one.is_empty() && one.eq_ignore_ascii_case(other);
    same(one, other)
        || same(&container_token(one), &container_token(other))
        || same(&variable_token(one), &variable_token(other))
}

fn collapsed(name: &str, replacement: char, keep: impl Fn(char) -> bool) -> String {
    let mut token = String::with_capacity(name.len());
    let mut replacing = false;
    for character in name.chars() {
        if keep(character) {
            token.push(character);
        } else if !replacing {
            token.push(replacement);
        }
        replacing = !keep(character);
    }
    token
}

/// Whether a text is a DNS name: at most 253 characters in labels of 1 to 63 letters, digits and hyphens that
/// neither begin nor end with a hyphen.
pub fn is_dns_name(name: &str) -> bool {
    dns_labels(name, |byte| byte.is_ascii_alphanumeric())
}

/// The same, with underscores: what Docker's own name server answers, and what sidecars are called.
pub fn is_sidecar_host(name: &str) -> bool {
    dns_labels(name, |byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn dns_labels(name: &str, at_ends: impl Fn(u8) -> bool) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            let bytes = label.as_bytes();
            label.len() <= 63
                && bytes.first().is_some_and(|byte| at_ends(*byte))
                && bytes.last().is_some_and(|byte| at_ends(*byte))
                && bytes.iter().all(|byte| at_ends(*byte) || *byte == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens() {
        for (name, container, variable) in [
            ("db", "db", "DB"),
            ("pg.test_01", "pg.test_01", "PG_TEST_01"),
            ("a b!!c", "a-b-c", "A_B_C"),
            ("--x--", "x", "X"),
            ("größe", "gr-e", "GR_E"),
            ("a--b", "a--b", "A_B"),
            ("...", "", ""),
            ("été", "t", "T"),
        ] {
            assert_eq!(container_token(name), container, "{name}");
            assert_eq!(variable_token(name), variable, "{name}");
        }
    }

    #[test]
    fn spellings_of_one_sidecar() {
        for (one, other, same) in [
            ("db", "db", true),
            ("db", "DB", true),
            ("my-db", "my_db", true),
            ("my-db", "My.Db", true),
            ("a b", "a!b", true),
            ("db", "db2", false),
            ("ä", "ö", false),
            ("_", "-", false),
        ] {
            assert_eq!(is_same_sidecar(one, other), same, "{one} {other}");
            assert_eq!(is_same_sidecar(other, one), same, "{other} {one}");
        }
    }

    #[test]
    fn hosts() {
        for (name, dns, host) in [
            ("db", true, true),
            ("db.test", true, true),
            ("my_db", false, true),
            ("_db", false, true),
            ("-db", false, false),
            ("db-", false, false),
            ("a..b", false, false),
            ("", false, false),
            ("a b", false, false),
            ("ä", false, false),
        ] {
            assert_eq!(is_dns_name(name), dns, "{name}");
            assert_eq!(is_sidecar_host(name), host, "{name}");
        }
        assert!(!is_dns_name(&"a".repeat(64)));
        assert!(!is_dns_name(&["a"; 128].join(".")));
    }

    proptest! {
        #[test]
        fn tokens_are_stable(name in "\\PC*") {
            let container = container_token(&name);
            prop_assert_eq!(container_token(&container), container.clone());
            let variable = variable_token(&name);
            prop_assert_eq!(variable_token(&variable), variable.clone());
        }
    }
}
