//! The listening sockets of the process.
//!
//! ```text
//! LISTEN_FDS (service manager) ─┐
//! hand-over (old process) ──────┴─▶ Inherited ─▶ Sockets ─take, or else bind─▶ Listener
//!                                                  └─▶ Duplicate ─▶ hand-over to the next process
//! ```

#[cfg(unix)]
mod activation;
#[cfg(unix)]
mod duplicate;
mod error;
#[cfg(unix)]
mod inherited;
mod service;

#[cfg(unix)]
use relay_messages::ErrorChain;
use relay_server::Listener;
#[cfg(unix)]
use relay_server::SocketFile;

#[cfg(unix)]
pub(crate) use activation::{ActivationError, activated};
#[cfg(unix)]
pub(crate) use duplicate::Duplicate;
pub(crate) use error::InheritedError;
#[cfg(unix)]
pub(crate) use inherited::Inherited;
pub(crate) use service::Service;

/// The sockets that the process has inherited, and duplicates of those that it uses.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    #[cfg(unix)]
    inherited: Vec<Inherited>,
    #[cfg(unix)]
    used: Vec<Duplicate>,
}

#[cfg(unix)]
impl Sockets {
    pub(crate) fn new(inherited: Vec<Inherited>) -> Self {
        Self { inherited, used: Vec::new() }
    }

    /// Takes the inherited socket of `service` that was opened for `place`, such as `127.0.0.1:8787`. `None` if there is none.
    pub(crate) fn take(&mut self, service: Service, place: &str) -> Result<Option<Listener>, InheritedError> {
        let is_it = |socket: &Inherited| socket.service == service && socket.place == place;
        let Some(index) = self.inherited.iter().position(is_it) else { return Ok(None) };
        self.inherited.remove(index).listener(&mut self.used).map(Some)
    }

    /// Takes all further sockets that a service manager has opened for `service`.
    pub(crate) fn take_given(&mut self, service: Service) -> Result<Vec<Listener>, InheritedError> {
        let is_it = |socket: &mut Inherited| socket.service == service && socket.is_given;
        let given: Vec<_> = self.inherited.extract_if(.., is_it).collect();
        given.into_iter().map(|socket| socket.listener(&mut self.used)).collect()
    }

    /// Notes that `listener` was opened for `place`, so that the next process can inherit it.
    pub(crate) fn opened(&mut self, service: Service, place: String, listener: &Listener) {
        match Duplicate::of(service, place, listener) {
            Ok(duplicate) => self.used.push(duplicate),
            Err(error) => tracing::warn!(error = %ErrorChain(&error), "a listener cannot be handed over"),
        }
    }

    /// Makes the end of the listeners remove the files of their sockets: no other process serves them from now on.
    pub(crate) fn remove_files_at_end(&self) {
        self.used.iter().filter_map(|socket| socket.file.as_ref()).for_each(SocketFile::remove_at_end);
    }

    /// Closes the inherited sockets that are not used, and returns duplicates of the others.
    pub(crate) fn into_used(self) -> Vec<Duplicate> {
        self.inherited.into_iter().for_each(Inherited::close);
        self.used
    }
}

#[cfg(not(unix))]
impl Sockets {
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the signature is that of Unix")]
    pub(crate) fn take(&mut self, _: Service, _: &str) -> Result<Option<Listener>, InheritedError> {
        Ok(None)
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the signature is that of Unix")]
    pub(crate) fn take_given(&mut self, _: Service) -> Result<Vec<Listener>, InheritedError> {
        Ok(Vec::new())
    }

    #[expect(clippy::unused_self, reason = "the signature is that of Unix")]
    pub(crate) fn opened(&mut self, _: Service, _: String, _: &Listener) {}
}
