//! Commands that are written for a shell and run without one.

/// Programs that read a command line.
const SHELLS: [&str; 6] = ["sh", "ash", "bash", "dash", "ksh", "zsh"];
/// Words that only a shell understands.
const OPERATORS: [&str; 10] = ["|", "||", "&", "&&", ";", "<", ">", ">>", "2>", "2>&1"];

/// Whether a command holds a shell's syntax, and no shell to read it.
pub(super) fn is_missing(command: &[String]) -> bool {
    let is_shell = |word: &String| word.rsplit('/').next().is_some_and(|name| SHELLS.contains(&name));
    if command.iter().any(is_shell) {
        return false;
    }
    let expands = |word: &str| {
        word.contains("$(")
            || word.contains("${")
            || word
                .strip_prefix('$')
                .is_some_and(|name| name.starts_with(|first: char| first.is_ascii_alphabetic()))
    };
    let is_line = command.first().is_some_and(|program| program.contains(char::is_whitespace));
    is_line || command.iter().any(|word| OPERATORS.contains(&word.as_str()) || expands(word))
}

/// Writes the command as a definition does if a shell is to read it.
pub(super) fn with_one(command: &[String]) -> String {
    let line = serde_json::Value::String(command.join(" "));
    format!("command = [\"sh\", \"-c\", {line}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax_without_a_shell_is_told_from_words_that_hold_it_by_chance() {
        for (command, expected) in [
            (&["cat /tmp/s | grep -q ready"][..], true),
            (&["pg_isready -U postgres"], true),
            (&["cat", "/tmp/s", "|", "grep", "-q", "ready"], true),
            (&["pg_isready", "-U", "$POSTGRES_USER"], true),
            (&["test", "-n", "$(cat /tmp/s)"], true),
            (&["sh", "-c", "cat /tmp/s | grep -q ready"], false),
            (&["/usr/bin/env", "bash", "-lc", "test -n \"$X\""], false),
            (&["pg_isready", "-d", "host=x user=y"], false),
            (&["grep", "-q", "a|b$", "/tmp/s"], false),
            (&["mongosh", "--eval", "db.$cmd.x"], false),
            (&[], false),
        ] {
            let command: Vec<String> = command.iter().map(ToString::to_string).collect();
            assert_eq!(is_missing(&command), expected, "{command:?}");
        }
    }

    #[test]
    fn a_command_is_quoted_as_the_definition_needs_it() {
        let command = ["grep \"a\" /tmp/s | wc -l".to_owned()];
        assert_eq!(with_one(&command), r#"command = ["sh", "-c", "grep \"a\" /tmp/s | wc -l"]"#);
    }
}
