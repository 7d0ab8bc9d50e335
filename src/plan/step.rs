//! The steps that an engine takes to carry out an action. They are data: an engine plans them when it observes, and
//! carries them out without looking at anything else.

use std::fmt;

use super::instance::Mounted;
use super::short;
use super::sidecar::FirstValues;
use crate::report::escape::escape;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The sidecar's image is pulled.
    Pull,
    /// The running instance is connected to a network.
    Connect {
        /// The network's name.
        network: String,
        /// It is disconnected first, because it lacks its aliases there.
        again: bool,
    },
    /// What an interrupted recreation left behind is removed.
    RemoveLeftover {
        /// The id of an instance that was never started.
        instance: String,
    },
    /// The new instance takes over anonymous volumes of the old one.
    Carry {
        /// The volumes.
        volumes: Vec<Mounted>,
        /// Fields of the environment that have changed since their data was first written.
        changed_since: FirstValues,
        /// The sidecar's name, for the command that starts with empty data.
        sidecar: String,
    },
    /// An anonymous volume of the old instance is left, and nothing uses it any more.
    LeaveVolume {
        /// The volume.
        volume: Mounted,
        /// The command that removes it.
        removal: Option<String>,
    },
}

/// A line for people, with its end before it. Names are escaped, so that none of them begins a line.
impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pull => write!(formatter, "\n  its image will be pulled"),
            Self::Connect { network, again } => {
                let word = if *again { "reconnected" } else { "connected" };
                write!(formatter, "\n  {word} to network {}", escape(network))
            }
            Self::RemoveLeftover { .. } => {
                write!(formatter, "\n  the remains of an interrupted recreation are removed")
            }
            Self::Carry { volumes, changed_since, sidecar } => {
                for volume in volumes {
                    let target = escape(&volume.target);
                    write!(
                        formatter,
                        "\n  it keeps its data: the anonymous volume at {target} is carried over"
                    )?;
                }
                if changed_since.is_empty() {
                    return Ok(());
                }
                let fields: Vec<String> = changed_since.keys().map(|field| escape(field)).collect();
                let fields = fields.join(", ");
                let sidecar = escape(sidecar);
                write!(
                    formatter,
                    "\n  the data was first written with another {fields}, so that the new value may have no effect; `farrier down --volumes {sidecar}` removes the data"
                )
            }
            Self::LeaveVolume { volume, removal } => {
                let (name, target) = (escape(short(&volume.source)), escape(&volume.target));
                write!(formatter, "\n  the anonymous volume {name} at {target} is left unused")?;
                match removal {
                    Some(command) => write!(formatter, "; `{}` removes it", escape(command)),
                    None => Ok(()),
                }
            }
        }
    }
}
