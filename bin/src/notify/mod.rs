//! Reports to a service manager.

#[cfg(not(unix))]
mod none;
#[cfg(unix)]
mod service_manager;
#[cfg(unix)]
mod socket;

#[cfg(not(unix))]
pub(crate) use none::Notifier;
#[cfg(unix)]
pub(crate) use service_manager::Notifier;

/// A reload is reported at its start and at its end.
impl crate::reload::Hooks for Notifier {
    fn started(&self) {
        self.reload_starts();
    }

    fn ended(&self) {
        self.reload_ends();
    }
}
