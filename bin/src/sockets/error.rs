//! The error of an inherited socket.

use std::io;

use super::service::Service;

/// The error of an inherited socket that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the inherited socket {place} for {service}")]
pub(crate) struct InheritedError {
    pub(crate) place: String,
    pub(crate) service: Service,
    #[source]
    pub(crate) source: io::Error,
}
