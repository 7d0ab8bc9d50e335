//! `env`: granted variables of the definition's own environment, without WASI.

use wasmtime::component::HasData;

use super::bindings::farrier::probe::env::{self, Host};
use super::types::Denial;
use crate::definition::grants::Grants;
use crate::probe::capabilities::{Capability, Grant};
use crate::probe::grants::{adding_variable, list, quoted};
use crate::probe::store::{DENIED, HostState, Poll, shown_host};

pub const CAPABILITY: Capability = Capability {
    name: "env",
    sentence: "reads the variables that its definition grants",
    grant: Some(Grant::Choice { example: "env = [\"NAME\"]", written }),
    needs: None,
    link: |linker| env::add_to_linker::<HostState, Variables<'static>>(linker, Variables::of),
};

fn written(grants: &Grants) -> Option<String> {
    (!grants.env.is_empty()).then(|| format!("env = {}", list(grants.env.iter().map(|name| quoted(name)))))
}

/// What it sees of the store: the granted variables, and the poll.
struct Variables<'a> {
    granted: &'a [(String, String)],
    poll: &'a mut Poll,
}

impl HasData for Variables<'static> {
    type Data<'a> = Variables<'a>;
}

impl Variables<'_> {
    fn of(state: &mut HostState) -> Variables<'_> {
        Variables { granted: &state.probe_context.environment, poll: &mut state.poll }
    }
}

impl Host for Variables<'_> {
    async fn get(&mut self, name: String) -> wasmtime::Result<Result<String, Denial>> {
        if let Some((_, value)) = self.granted.iter().find(|(granted, _)| *granted == name) {
            self.poll.used.variables.insert(name);
            return Ok(Ok(value.clone()));
        }
        let is_denied = self.poll.grants.env.contains(&name);
        let asked = format!("reading the variable {} is not granted", shown_host(&name));
        let what = match adding_variable(&self.poll.grants, name) {
            _ if is_denied => format!("{asked}: {DENIED}"),
            Some(line) => {
                format!("{asked}: if the definition's `env` sets it, write `{line}` under [readiness]")
            }
            None => format!("{asked}, and cannot be: no variable has such a name"),
        };
        Ok(Err(Denial::NotGranted(self.poll.note_not_granted(&what))))
    }
}
