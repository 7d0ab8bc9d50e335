//! The program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    farrier::run(std::env::args_os())
}
