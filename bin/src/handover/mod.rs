//! Hands the listening sockets over to a new process of the program, which serves from then on. No connection is refused or reset:
//! both processes have the same sockets.
//!
//! ```text
//! old process                                  new process
//! SIGUSR2 ─ start own program ───────────────▶ standard input is a Unix socket
//!           sockets, as descriptors ─────────▶ configuration, relay, listeners
//!           ◀──────────────── "ready", or "failed: REASON"
//!           "serve" ─────────────────────────▶ accept
//!           ◀──────────────────────── "serving"
//!           stop accepting, close the stream ▶ report to the service manager
//!           finish open requests, end
//! ```
//! Until the new process accepts, the old one does: if the new one fails, ends, is stopped by a signal, or does not accept within
//! [`READY_TIME`], the old one serves as before. If the old one ends in between, the new one serves.

mod error;
mod predecessor;
mod successor;
mod wire;

use std::time::Duration;

pub(crate) use error::ReceiveError;
pub(crate) use predecessor::Predecessor;
pub(crate) use successor::{HandOver, Successor};

/// The variable that holds the id of the old process. Its name has not the prefix of settings.
const VARIABLE: &str = "_CC_RELAY_HANDOVER";
/// The time in which a new process has to accept connections.
const READY_TIME: Duration = Duration::from_secs(30);
/// The answer of a new process that is ready.
const READY: &str = "ready";
/// The start of the answer of a new process that is not.
const FAILED: &str = "failed: ";
/// The command to the new process to serve.
const SERVE: &[u8] = b"serve\n";
/// The answer of a new process that accepts connections.
const SERVING: &str = "serving";
