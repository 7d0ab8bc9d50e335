//! Paths in a container.

/// The path as docker would clean it.
///
/// # Errors
/// Why nothing can be mounted there.
pub fn normalised(path: &str) -> Result<String, String> {
    if path.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("its target contains a space or a control character".to_owned());
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Err("its target is the root of the container".to_owned());
    }
    Ok(format!("/{}", parts.join("/")))
}
