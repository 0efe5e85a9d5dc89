//! The rules for Unix sockets.

use std::path::Path;

use super::value_fault;
use crate::config::UnixSocket;
use crate::error::Fault;

/// Returns the fault of a socket that cannot be opened.
pub(crate) fn fault(socket: &UnixSocket) -> Option<Fault> {
    let hint = hint(&socket.path)?;
    Some(unix_fault(&socket.to_string(), hint))
}

/// Returns the fault of `text` in the place of a Unix socket.
pub(crate) fn unix_fault(text: &str, hint: impl Into<String>) -> Fault {
    value_fault(format!("{text:?}"), "unix: and a path, as in unix:/run/cc-relay.sock", hint)
}

/// Returns the reason that `path` cannot be that of a socket.
fn hint(path: &Path) -> Option<String> {
    let text = path.to_string_lossy();
    let bytes = path.as_os_str().len();
    if cfg!(not(unix)) {
        Some("this system has no Unix sockets for it; write host:port".to_owned())
    } else if text.is_empty() {
        Some("add the path".to_owned())
    } else if text.starts_with(['@', '\0']) {
        Some("a socket without a file would admit every user of this machine; write a path".to_owned())
    } else if let Some(rest) = text.strip_prefix("~/") {
        Some(format!("write unix:${{HOME}}/{rest}"))
    } else if text.ends_with('/') {
        Some("add the name of the file".to_owned())
    } else if bytes > UnixSocket::MAX_PATH {
        Some(format!("the path has {bytes} bytes, and that of a socket at most {}", UnixSocket::MAX_PATH))
    } else {
        None
    }
}
