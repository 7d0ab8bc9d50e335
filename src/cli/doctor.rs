//! `doctor`: whether this machine can launch.

use serde_json::json;

use super::data::{print, print_json};
use crate::cli::options::{self, ApprovalOptions, Format, LaunchOptions};
use crate::cli::runtime::CommandRuntime;
use crate::manage::doctor::{Check, examine};
use crate::preparation::settings::Settings;
use crate::report::error::Failure;
use crate::report::escape::escape;
use crate::report::exit;

/// Prints each finding, and how to repair what is not right.
pub fn doctor(options: &options::Doctor) -> Result<u8, Failure> {
    let approval = ApprovalOptions { approvals: options.approvals.clone(), ..ApprovalOptions::default() };
    let settings = Settings::new(&options.layers, &LaunchOptions { approval, ..LaunchOptions::default() });
    let checks = CommandRuntime::start()?.run_alone(async { Ok(examine(&settings).await) })?;
    let well = checks.iter().all(Check::is_well);
    match options.format {
        Format::Human => print(&human(&checks)),
        Format::Json => {
            let checks: Vec<_> = checks.iter().map(Check::to_json).collect();
            print_json(&json!({"healthy": well, "checks": checks}));
        }
    }
    Ok(if well { exit::SUCCESS } else { exit::UNHEALTHY })
}

fn human(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let word = if check.is_well() { "OK" } else { "BROKEN" };
        text.push_str(&format!("{word:<6} {:<11} {}\n", check.name, escape(&check.finding)));
        for fix in &check.fixes {
            text.push_str(&format!("{:>20} {}\n", "fix:", escape(fix)));
        }
    }
    text
}
