//! Reads the configuration file again while the relay runs.
//!
//! ```text
//! change of a file ─watch─┐
//! SIGHUP ─────────────────┼─▶ Reloader ─load─▶ Config ─prepare─▶ relay, prices, log, listeners ─one swap─▶ in use
//! POST /admin/v1/reload ──┘       └─▶ ReloadReport: the differences, or the reason that nothing has changed
//! ```
//! A configuration is put into use as a whole or not at all. Reloads run one after the other. A cause that arrives during one is
//! answered by the next one, together with all others that have arrived.

mod arguments;
mod cause;
mod changes;
mod command;
mod contents;
mod hooks;
mod part;
mod places;
mod reloader;
mod report;
mod source;
mod task;
mod watch;

pub(crate) use self::arguments::ReloadArguments;
pub(crate) use self::command::{ReloadCommandError, reload};
pub(crate) use self::hooks::Hooks;
pub(crate) use self::part::{Commit, Part};
pub(crate) use self::reloader::{Reloader, Targets};
pub(crate) use self::source::Source;
pub(crate) use self::task::run;
