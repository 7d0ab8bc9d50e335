//! How far an instance is: its run, as its supervisor writes it down.

use serde::{Deserialize, Serialize};

use super::processes::Process;
use super::roles::Failure;

/// The file of an instance that says how its run is going. It is absent until the run begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// Where the numbers of processes are valid: a boot of this machine and a namespace of processes.
    pub place: String,
    /// Who looks after it.
    pub supervisor: Process,
    /// The program; `None` until it is started.
    pub program: Option<Process>,
    /// When the run began.
    pub started_at: String,
    /// Whether it was asked to end.
    pub stopping: bool,
    /// How the run ended. It is written last.
    pub end: Option<End>,
    /// How many runs were before this one.
    #[serde(default)]
    pub restarts: u32,
    /// Who begins another run; `None` if nobody does.
    #[serde(default)]
    pub keeper: Option<Process>,
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When.
    pub at: String,
    /// The program's exit code, 128 + N if signal N ended it.
    pub exit_code: i64,
    /// Whether the kernel ended one of its processes because its memory did not suffice.
    #[serde(default)]
    pub out_of_memory: bool,
    /// Why the program could not be started; empty if it was.
    pub error: String,
}

/// What a supervisor says once the run has begun, or could not begin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
    /// Why not; `None` if it has begun.
    pub failure: Option<Failure>,
}

/// A moment as it is written down.
pub fn moment(time: jiff::Timestamp) -> String {
    // As many digits always, so that moments sort as texts.
    time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_nine_digits() {
        let time = jiff::Timestamp::new(1_000_000_000, 5_000_000).expect("a moment");
        assert_eq!(moment(time), "2001-09-09T01:46:40.005000000Z");
        assert_eq!(moment(time).parse::<jiff::Timestamp>().expect("a moment"), time);
    }
}
