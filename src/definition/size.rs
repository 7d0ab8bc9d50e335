//! Amounts of memory as docker's command line takes them.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Reads `67108864`, `512m`, `1g`, `64MiB`, `512Mi`, `1.5GiB` into bytes.
///
/// Units are powers of 1024 whichever way they are spelled, as in docker's own `--memory` and in compose
/// (`go-units` `RAMInBytes`). Kubernetes' `Ki` to `Pi` mean the same.
///
/// # Errors
/// One clause that says why the text is not an amount.
pub fn parse(text: &str) -> Result<u64, String> {
    const SHAPE: &str = "it is not a number with a unit";
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let Some((number, unit)) = text.split_at_checked(end) else {
        return Err(SHAPE.to_owned());
    };
    let unit = unit.trim_start_matches(' ').to_ascii_lowercase();
    let power = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" | "ki" => 10,
        "m" | "mb" | "mib" | "mi" => 20,
        "g" | "gb" | "gib" | "gi" => 30,
        "t" | "tb" | "tib" | "ti" => 40,
        "p" | "pb" | "pib" | "pi" => 50,
        _ => return Err(SHAPE.to_owned()),
    };
    let too_large = || "it is more than the engine accepts".to_owned();
    if let Some((whole, fraction)) = number.split_once('.') {
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(SHAPE.to_owned());
        }
        return scaled(number, power).ok_or_else(too_large);
    }
    if number.is_empty() {
        return Err(SHAPE.to_owned());
    }
    let amount: u64 = number.parse().map_err(|_| too_large())?;
    amount.checked_mul(1 << power).filter(|bytes| i64::try_from(*bytes).is_ok()).ok_or_else(too_large)
}

/// A decimal fraction of a unit in whole bytes, rounded down.
fn scaled(number: &str, power: u32) -> Option<u64> {
    let (whole, fraction) = number.split_once('.')?;
    // As docker takes them, `.5g` and `5.g` are numbers.
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? }.checked_mul(1 << power)?;
    // Nine digits are finer than one byte in a gibibyte.
    let digits: String = fraction.chars().take(9).collect();
    let part = if digits.is_empty() { 0 } else { digits.parse::<u128>().ok()? }.checked_mul(1 << power)?
        / 10_u128.checked_pow(u32::try_from(digits.len()).ok()?)?;
    let bytes = whole.checked_add(u64::try_from(part).ok()?)?;
    i64::try_from(bytes).is_ok().then_some(bytes)
}

/// What editors accept as an amount of memory.
pub fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "oneOf": [
            { "type": "integer", "minimum": 1 },
            { "type": "string", "pattern": "^\\s*([0-9]+\\.?[0-9]*|\\.[0-9]+) *([kKmMgGtTpP]([iI]?[bB]?)|[bB])?\\s*$" },
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_docker_reads() {
        for (text, bytes) in [
            ("67108864", 67_108_864),
            ("512m", 536_870_912),
            ("512M", 536_870_912),
            ("512 mb", 536_870_912),
            ("64MiB", 67_108_864),
            ("1g", 1_073_741_824),
            ("1.5GiB", 1_610_612_736),
            ("1.5g", 1_610_612_736),
            (".5g", 536_870_912),
            ("5.m", 5_242_880),
            ("512Mi", 536_870_912),
            ("512MiB", 536_870_912),
            ("64Ki", 65_536),
            ("2Gi", 2_147_483_648),
            ("1Ti", 1_099_511_627_776),
            ("1p", 1_125_899_906_842_624),
            ("0.5k", 512),
            ("100b", 100),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "m",
            "-1m",
            "+1m",
            "1e3",
            "1..5g",
            ".",
            ".g",
            "512i",
            "512ib",
            "1Ei",
            "1mm",
            "1 gigabyte",
            "0x10",
            "nan",
            "99999999999t",
            "99999999999999999999",
            "18446744073709551615",
            "9223372036854775808.5",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn never_panics_near_the_grammar(text in "[0-9.]{0,30} ?[kmgtpKMGT]?i?[bB]?") {
            let _ = parse(&text);
        }

        #[test]
        fn whole_units_round_trip(amount in 1_u64..4096) {
            prop_assert_eq!(parse(&format!("{amount}MiB")), Ok(amount << 20));
            prop_assert_eq!(parse(&amount.to_string()), Ok(amount));
        }
    }
}
