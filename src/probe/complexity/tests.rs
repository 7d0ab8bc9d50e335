use super::*;

fn of(text: &str) -> Complexity {
    let bytes = wat::parse_str(text).expect("valid text");
    Complexity::of(&bytes).expect("well-formed")
}

#[test]
fn a_component_counts_as_often_as_it_is_instantiated() {
    let leaf =
        "(component $a (core module $m) (core instance (instantiate $m)) (core instance (instantiate $m)))";
    let pair = "(component $b (alias outer 1 $a (component $c)) (instance (instantiate $c)) (instance (instantiate $c)))";
    for (text, instances) in [
        ("(component)".to_owned(), 1),
        (format!("(component {leaf})"), 1),
        (format!("(component {leaf} (instance (instantiate $a)))"), 4),
        (format!("(component {leaf} {pair} (instance (instantiate $b)))"), 8),
        (format!("(component {leaf} {pair} (instance (instantiate $b)) (instance (instantiate $b)))"), 15),
        ("(component (import \"a\" (component $a)) (instance (instantiate $a)))".to_owned(), UNKNOWN + 1),
    ] {
        assert_eq!(of(&text).instances, instances, "{text}");
    }
}

#[test]
fn what_a_function_does_counts_not_its_size() {
    for (body, values) in [
        ("", 1),
        ("(drop (i32.const 1))", 3),
        ("(local i32 i32) (loop) (loop)", 11),
        ("(call $wide)", 6),
        ("(block (result i32) (br 0 (i32.const 1))) drop", 8),
        ("(block (br_table 0 0 0 (i32.const 1)))", 7),
    ] {
        let wide = "(import \"\" \"\" (func $wide (param i32 i64) (result f32 f64)))";
        let text = format!("(component (core module {wide} (func {body})))");
        // Bodies need not be valid to be counted.
        let bytes = wat::parse_str(&text).expect("text");
        assert_eq!(Complexity::of(&bytes).expect("well-formed").function_values, values, "{body}");
    }
}

#[test]
fn components_of_languages_are_far_below_the_limits() {
    for name in ["probes/built/grpc.wasm", "tests/fixtures/guests/standard.wasm"] {
        let bytes = std::fs::read(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).expect("a component");
        let counted = Complexity::of(&bytes).expect("well-formed");
        assert_eq!(counted.excess(), None, "{name}: {counted:?}");
        assert!(counted.values > 1_000 && counted.values < VALUES / 16, "{name}: {counted:?}");
    }
}

/// Components in each other, as bytes: the text format does not go as deep.
fn nested(levels: usize) -> Vec<u8> {
    const PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";
    (1..levels).fold(PREAMBLE.to_vec(), |inner, _| {
        let mut bytes = [PREAMBLE, &[4]].concat();
        let mut length = inner.len();
        while length > 0x7f {
            bytes.push(0x80 | u8::try_from(length & 0x7f).expect("seven bits"));
            length >>= 7;
        }
        bytes.push(u8::try_from(length).expect("seven bits"));
        bytes.extend(inner);
        bytes
    })
}

#[test]
fn what_is_nested_too_deeply_is_not_read_to_its_end() {
    let count = |levels: usize| Complexity::of(&nested(levels)).expect("well-formed");
    assert_eq!(count(100).excess(), None);
    for levels in [101, 5_000] {
        let counted = count(levels);
        assert_eq!(counted.nesting, 101, "{levels}");
        let excess = counted.excess().expect("too much").to_string();
        assert!(excess.contains("101 nested modules and components"), "{excess}");
    }
}
