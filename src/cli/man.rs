//! `man`: the manual pages, made from the command line's own definition.

use clap::CommandFactory;

use crate::cli::options::{self, Cli};
use crate::report::error::{Code, Failure, Problem};
use crate::report::exit;

/// Writes a page for each command.
pub fn man(options: &options::Man) -> Result<u8, Failure> {
    clap_mangen::generate_to(Cli::command(), &options.folder).map(|()| exit::SUCCESS).map_err(|error| {
        let message = format!("cannot write the manual pages to {}: {error}", options.folder.display());
        Problem::error(Code::Usage, message).hint("Name an existing folder that you can write to.").into()
    })
}
