//! `${…}` in strings: which are secret references, and which are only text.

/// One `${…}` in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// The whole reference, `${` and `}` included.
    pub text: &'a str,
    /// Whether it has the form `${secret:provider:reference}`.
    pub is_secret: bool,
}

/// Every `${…}` in a text, in order.
pub fn references(text: &str) -> Vec<Reference<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(candidate) = rest.get(start..) else { break };
        let Some(end) = candidate.find('}') else { break };
        let Some((reference, after)) = candidate.split_at_checked(end + 1) else {
            break;
        };
        found.push(Reference { text: reference, is_secret: is_secret(reference) });
        rest = after;
    }
    found
}

/// Whether a text holds a secret reference.
pub fn has_secret(text: &str) -> bool {
    references(text).iter().any(|reference| reference.is_secret)
}

/// `${secret:provider:reference}`; the reference may hold further colons, the provider none.
fn is_secret(reference: &str) -> bool {
    reference
        .strip_prefix("${secret:")
        .and_then(|rest| rest.strip_suffix('}'))
        .and_then(|rest| rest.split_once(':'))
        .is_some_and(|(provider, name)| !provider.is_empty() && !provider.contains('{') && !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_and_tells_apart() {
        let of =
            |text| references(text).iter().map(|found| (found.text, found.is_secret)).collect::<Vec<_>>();
        assert_eq!(of("plain $HOME $ { }"), []);
        assert_eq!(
            of("${A}-${secret:op:vault/item:field}"),
            [("${A}", false), ("${secret:op:vault/item:field}", true)]
        );
        assert_eq!(of("${secret:op:} ${secret::x} ${secret:op}").iter().filter(|found| found.1).count(), 0);
        assert_eq!(of("${unfinished"), []);
        assert!(has_secret("x ${secret:op:y}"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "[${}a:secrt ä]{0,60}") {
            let _ = references(&text);
        }
    }
}
