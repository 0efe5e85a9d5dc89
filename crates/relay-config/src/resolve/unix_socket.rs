//! Resolves Unix sockets among the addresses of the listener.

use crate::config::UnixSocket;
use crate::error::Fault;
use crate::rules::unix_socket::{fault, unix_fault};

/// Parses `unix:PATH` or `unix:PATH?mode=0660`. Returns `None` if `text` is another kind of address.
pub(super) fn parse(text: &str) -> Option<Result<UnixSocket, Fault>> {
    let rest = text.strip_prefix("unix:")?;
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    // `unix:///run/x` is usual elsewhere.
    let path = match path.trim_start_matches('/') {
        relative if relative.len() < path.len() => format!("/{relative}"),
        relative => relative.to_owned(),
    };
    let socket = UnixSocket::new(path);
    let socket = match query.map(mode) {
        None => socket,
        Some(Some(mode)) => socket.with_mode(mode),
        Some(None) => {
            let hint = "after the path, only the permissions of the file may follow, in octal: ?mode=0660";
            return Some(Err(unix_fault(text, hint)));
        }
    };
    Some(fault(&socket).map_or(Ok(socket), Err))
}

/// Reads `mode=0660`.
fn mode(query: &str) -> Option<u32> {
    let digits = query.strip_prefix("mode=")?;
    let is_octal = (3..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    u32::from_str_radix(digits, 8).ok().filter(|mode| is_octal && *mode <= 0o777)
}
