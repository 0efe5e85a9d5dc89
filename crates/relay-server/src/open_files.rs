//! The limit of open files of the process, which the connections of clients and of upstreams share.

/// Marks a response in its extensions: no upstream was called, since the process had no free file for the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoFreeFile;
