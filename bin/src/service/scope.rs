//! The users and the command line of a service.

use std::path::PathBuf;

/// The users that a service is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// One user: it runs while the user is logged in.
    User,
    /// The machine: it runs from the start of the system on.
    System,
}

/// The command line of a service.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) program: PathBuf,
    /// The configuration. `None`: the relay uses the providers in its environment.
    pub(super) config: Option<PathBuf>,
}

/// The state of a service.
#[derive(Debug)]
pub(super) struct State {
    pub(super) is_running: bool,
    pub(super) description: String,
}
