//! What the marks of commands on other machines mean for one that looks now. Of two that want a service differently, the one
//! that made its mark earlier gets it, and the other one sees that: whoever looks has made its own mark before. Pure.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::api::{Mark, Want};
use crate::plan::sidecar::Sidecar;
use crate::plan::snapshot::Rival;
use crate::system::digest::sha256_hex;
use crate::system::lock::Holder;

/// How long a mark has a meaning that is not renewed.
pub(super) const LIFETIME: SignedDuration = SignedDuration::from_secs(60);

/// The mark of this command.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    /// The id of the object that it is.
    pub id: String,
    /// The ids of the marks that there were before it, whatever the manager's clock says.
    pub before: BTreeSet<String>,
}

/// The marks of other machines that have a meaning.
pub(super) struct Others<'a> {
    marks: Vec<&'a Mark>,
    /// Whether a mark was made before this command's, in the order of `marks`. All were if it has none.
    is_earlier: Vec<bool>,
}

/// What a sidecar's service is to be made of, for comparisons between machines.
pub(super) fn made_of(sidecar: &Sidecar) -> String {
    sha256_hex(format!("{}\n{}", sidecar.hash, sidecar.image.as_str()).as_bytes())[..32].to_owned()
}

impl<'a> Others<'a> {
    /// Those among these marks at this moment of the manager's clock, as this machine's command with this mark sees them.
    pub(super) fn of(marks: &'a [Mark], now: Timestamp, machine: &str, own: Option<&Own>) -> Self {
        let own = own.and_then(|own| Some((own, marks.iter().find(|mark| mark.id == own.id)?)));
        let has_meaning = |mark: &&Mark| now.duration_since(mark.renewed_at) <= LIFETIME;
        let marks: Vec<&Mark> =
            marks.iter().filter(|mark| mark.machine != machine).filter(has_meaning).collect();
        let is_earlier = |mark: &&Mark| {
            own.is_none_or(|(own, of_own)| {
                own.before.contains(&mark.id) || (mark.created_at, &mark.id) < (of_own.created_at, &of_own.id)
            })
        };
        let is_earlier = marks.iter().map(is_earlier).collect();
        Self { marks, is_earlier }
    }

    fn earlier<'b>(&'b self, service: &'b str) -> impl Iterator<Item = (&'a Mark, &'a Want)> + 'b {
        let marks = self.marks.iter().zip(&self.is_earlier).filter(|(_, is_earlier)| **is_earlier);
        marks.filter_map(move |(mark, _)| Some((*mark, mark.wants.get(service)?)))
    }

    /// Earlier launches that want just this sidecar, and on which networks.
    fn alike<'b>(
        &'b self,
        sidecar: &'b Sidecar,
    ) -> impl Iterator<Item = (&'a Mark, &'a BTreeSet<String>)> + 'b {
        let own = made_of(sidecar);
        self.earlier(&sidecar.container).filter_map(move |(mark, want)| match want {
            Want::Use { of, networks } if *of == own => Some((mark, networks)),
            _ => None,
        })
    }

    /// All commands that use a service, or are about to.
    pub(super) fn users(&self, service: &str) -> Vec<Holder> {
        self.marks.iter().filter(|mark| mark.wants.contains_key(service)).map(|mark| holder(mark)).collect()
    }

    /// Those that were at it before this command.
    pub(super) fn earlier_users(&self, service: &str) -> Vec<Holder> {
        self.earlier(service).map(|(mark, _)| holder(mark)).collect()
    }

    /// Those that were at a sidecar's service before this command, and want another one.
    pub(super) fn rivals(&self, sidecar: &Sidecar) -> Vec<Rival> {
        let own = made_of(sidecar);
        let rival = |(mark, want): (&Mark, &Want)| match want {
            Want::Use { of, .. } if *of == own => None,
            want => Some(Rival { holder: holder(mark), removes: *want == Want::Removal }),
        };
        self.earlier(&sidecar.container).filter_map(rival).collect()
    }

    /// The networks on which earlier launches want this sidecar: one that lacks them is about to be made again.
    pub(super) fn networks(&self, sidecar: &Sidecar) -> BTreeSet<&'a str> {
        self.alike(sidecar).flat_map(|(_, networks)| networks).map(String::as_str).collect()
    }

    /// The networks on which any launch wants this sidecar.
    pub(super) fn all_networks(&self, sidecar: &Sidecar) -> BTreeSet<&'a str> {
        let own = made_of(sidecar);
        let all = self.marks.iter().filter_map(|mark| match mark.wants.get(&sidecar.container)? {
            Want::Use { of, networks } if *of == own => Some(networks),
            _ => None,
        });
        all.flatten().map(String::as_str).collect()
    }

    /// Earlier launches that use the service as it is: on these networks, and made as the sidecar is declared now, or not.
    /// One that is about to make it again itself loses nothing by this command's doing so.
    pub(super) fn content(
        &self,
        sidecar: &Sidecar,
        is_as_declared: bool,
        on: &BTreeSet<&str>,
    ) -> Vec<Holder> {
        let own = made_of(sidecar);
        let is_content = |want: &Want| match want {
            Want::Use { of, networks } if *of == own => {
                is_as_declared && networks.iter().all(|network| on.contains(network.as_str()))
            }
            _ => true,
        };
        let content = self.earlier(&sidecar.container).filter(|(_, want)| is_content(want));
        content.map(|(mark, _)| holder(mark)).collect()
    }

    /// Whether an earlier launch that wants just this sidecar was there before this moment, by the manager's clock: it then
    /// waits for the run that began by then.
    pub(super) fn awaits(&self, sidecar: &Sidecar, begun: Timestamp) -> bool {
        self.alike(sidecar).any(|(mark, _)| mark.created_at <= begun)
    }
}

fn holder(mark: &Mark) -> Holder {
    Holder { process: mark.process, command: format!("{}, on {}", mark.command, mark.host) }
}

#[cfg(test)]
mod tests;
