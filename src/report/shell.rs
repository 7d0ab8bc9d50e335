//! Command lines in hints, quoted for a POSIX shell.

/// Renders a command line from the command, its operands and its options. Quotes words for a shell, and keeps operands
/// from being taken for options.
#[must_use]
pub fn command_line(command: &[&str], operands: &[&str], options: &[&str]) -> String {
    let looks_like_option = operands.iter().any(|operand| operand.starts_with('-'));
    let words = if looks_like_option {
        [command, options, &["--"], operands].concat()
    } else {
        [command, operands, options].concat()
    };
    words.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// `chmod MODE PATH`, which many hints end in.
#[must_use]
pub fn chmod(mode: &str, path: &std::path::Path) -> String {
    command_line(&["chmod", mode], &[&path.to_string_lossy()], &[])
}

fn quoted(word: &str) -> String {
    // No argument holds a NUL, so that nothing is lost.
    shlex::try_quote(&word.replace('\0', "")).map(std::borrow::Cow::into_owned).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_words_that_were_meant() {
        for (operands, options, line) in [
            (&["db"] as &[&str], &[] as &[&str], "do it db"),
            (&["db"], &["--hash", "ab"], "do it db --hash ab"),
            (&["-db"], &["--hash", "ab"], "do it --hash ab -- -db"),
            (&["net", "-db"], &[], "do it -- net -db"),
            (&["x; rm -r ~"], &[], "do it 'x; rm -r ~'"),
            (&["$(id)`id`"], &[], "do it '$(id)`id`'"),
            (&["it's"], &[], "do it \"it's\""),
            (&["", "*"], &[], "do it '' '*'"),
            (&["a\0b"], &[], "do it ab"),
        ] {
            let found = command_line(&["do", "it"], operands, options);
            assert_eq!(found, line);
            let words = shlex::split(&found).expect("words");
            for operand in operands {
                assert!(words.contains(&operand.replace('\0', "")), "{found}");
            }
        }
        assert_eq!(chmod("o-w", std::path::Path::new("/my files")), "chmod o-w '/my files'");
    }
}
