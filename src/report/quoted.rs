//! Quotes values of definitions in sentences, so that no value can fake its own end.

/// A text or a list as it could stand in a definition.
#[must_use]
pub fn quoted<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A name: as it is if it is a plain word, else quoted.
#[must_use]
pub fn word(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    if !name.is_empty() && name.bytes().all(plain) { name.to_owned() } else { quoted(name) }
}

/// Several values in one line.
#[must_use]
pub fn listed(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join("; ") }
}

/// An amount of memory.
#[must_use]
pub fn bytes(amount: u64) -> String {
    match amount {
        amount if amount != 0 && amount.is_multiple_of(1 << 20) => format!("{} MiB", amount >> 20),
        amount => format!("{amount} bytes"),
    }
}
