//! `wasi:cli/environment`: the granted variables, and a note that they were read.

use wasmtime::component::HasData;
use wasmtime_wasi::p2::bindings::cli::environment::Host;

use crate::probe::store::HostState;
use crate::probe::usage::Usage;

/// The granted variables, as the linker knows them.
pub struct Environment;

impl HasData for Environment {
    type Data<'a> = Variables<'a>;
}

/// What this interface sees of a store.
pub struct Variables<'a> {
    granted: &'a [(String, String)],
    used: &'a mut Usage,
}

impl Variables<'_> {
    /// The part of a store that this interface sees.
    pub fn of(state: &mut HostState) -> Variables<'_> {
        Variables { granted: &state.probe_context.environment, used: &mut state.poll.used }
    }
}

impl Host for Variables<'_> {
    /// All of them at once: a guest's language picks the one that it is asked for.
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        self.used.variables.extend(self.granted.iter().map(|(name, _)| name.clone()));
        Ok(self.granted.to_vec())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}
