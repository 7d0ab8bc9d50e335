use std::collections::HashMap;
use std::process::Command;

/// Starts the sidecars that are not up yet, and says where the database is.
pub fn database_url() -> String {
    let output = Command::new("farrier").args(["up", "--print", "json"]).output().expect("farrier runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let variables: HashMap<String, String> = serde_json::from_slice(&output.stdout).expect("JSON");
    variables["DATABASE_URL"].clone()
}
