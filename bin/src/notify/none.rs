//! Reports on systems without a service manager that reads them.

/// Reports nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notifier;

#[expect(clippy::unused_self, reason = "the signatures are those of Unix")]
impl Notifier {
    pub(crate) fn from_environment() -> Self {
        Self
    }

    pub(crate) fn ready(&self, _: &str) {}

    pub(crate) fn reload_starts(&self) {}

    pub(crate) fn reload_ends(&self) {}

    pub(crate) fn stopping(&self, _: &str) {}

    pub(crate) async fn extend_stop(&self) {
        std::future::pending().await
    }

    pub(crate) async fn keep_alive(self) {}
}
