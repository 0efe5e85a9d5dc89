//! Opens Unix sockets, in the place of the file that a dead process has left.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net;
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use super::listener::Listener;
use super::socket_file::SocketFile;
use super::tcp::BACKLOG;

/// Opens a Unix socket at `path` with the permissions `mode`, such as 0o600.
///
/// If `path` is the socket of a process that has ended, it is replaced. The file is removed when the listener is dropped,
/// unless another one has taken its place. No client can connect before the file has its permissions.
///
/// # Errors
/// - [`ErrorKind::AddrInUse`]: a process accepts connections at `path`.
/// - [`ErrorKind::AlreadyExists`]: the file at `path` is not a socket.
/// - [`ErrorKind::InvalidInput`]: `path` is too long: the system has room for 107 bytes, or 103 outside of Linux.
/// - Otherwise the system's error: the directory does not exist, or is not writable.
pub fn bind_unix(path: &Path, mode: u32) -> io::Result<Listener> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if let Err(error) = socket.bind(&address) {
        if error.kind() != ErrorKind::AddrInUse {
            return Err(error);
        }
        remove_stale(path)?;
        socket.bind(&address)?;
    }
    let file = SocketFile::of(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    // Before this call, the system refuses every connection.
    socket.listen(i32::try_from(BACKLOG).unwrap_or(i32::MAX))?;
    let socket = UnixListener::from_std(net::UnixListener::from(std::os::fd::OwnedFd::from(socket)))?;
    Ok(Listener::with_file(socket, file))
}

/// Removes the socket at `path` if no process accepts connections there.
///
/// Of two processes that start at the same time, both may find the old socket. Each moves the file away before it looks once
/// more, so that none removes the new socket of the other.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(ErrorKind::AlreadyExists.into()),
        Ok(_) if is_alive(path)? => return Err(ErrorKind::AddrInUse.into()),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    // A short name, since the path of a socket has a limit.
    let moved = &path.with_file_name(format!(".{}", std::process::id()));
    match fs::rename(path, moved) {
        // The other process has moved it.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        result => result?,
    }
    if is_alive(moved).unwrap_or(false) {
        let restored = fs::hard_link(moved, path);
        fs::remove_file(moved)?;
        restored?;
        return Err(ErrorKind::AddrInUse.into());
    }
    fs::remove_file(moved)
}

/// Returns `true` if a process accepts connections at `path`. A full queue of connections is a sign of one.
fn is_alive(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => Ok(false),
        // Not permitted: the socket of another user.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(error),
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the kind of the error of a listener at `path`.
    fn error_at(path: &Path) -> Option<ErrorKind> {
        bind_unix(path, 0o600).err().map(|error| error.kind())
    }

    #[tokio::test]
    async fn a_socket_has_its_mode_and_is_removed_with_its_listener() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("relay.sock");
        for mode in [0o600, 0o666] {
            let listener = bind_unix(&path, mode).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
            assert_eq!(listener.local_addr().unwrap().path(), Some(&*path));
            drop(listener);
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn the_socket_of_a_dead_process_is_replaced_and_a_live_one_is_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("relay.sock");
        let first = bind_unix(&path, 0o600).unwrap();
        assert_eq!(error_at(&path), Some(ErrorKind::AddrInUse));
        assert!(net::UnixStream::connect(&path).is_ok(), "the first listener is not disturbed");

        first.file().unwrap().keep();
        drop(first);
        assert!(path.exists());
        let second = bind_unix(&path, 0o600).unwrap();
        assert!(net::UnixStream::connect(&path).is_ok());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no other file is left");
        drop(second);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_that_has_taken_the_place_of_a_socket_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("relay.sock");
        let listener = bind_unix(&path, 0o600).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another").unwrap();
        drop(listener);
        assert_eq!(fs::read(&path).unwrap(), b"another");

        assert_eq!(error_at(&path), Some(ErrorKind::AlreadyExists));
        assert_eq!(fs::read(&path).unwrap(), b"another");
    }

    #[tokio::test]
    async fn a_path_that_cannot_be_used_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(error_at(&directory.path().join("x".repeat(108))), Some(ErrorKind::InvalidInput));
        assert_eq!(error_at(&directory.path().join("missing/relay.sock")), Some(ErrorKind::NotFound));
    }

    #[tokio::test]
    async fn a_listener_of_another_program_keeps_its_file_unless_it_shall_remove_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("relay.sock");
        let listener = Listener::from(UnixListener::bind(&path).unwrap());
        drop(listener);
        assert!(path.exists());
        fs::remove_file(&path).unwrap();
        let listener = Listener::from(UnixListener::bind(&path).unwrap()).removing_file().unwrap();
        drop(listener);
        assert!(!path.exists());
    }
}
