//! Calls of other parts of the process at a reload.

/// Calls at the start and at the end of a reload.
pub(crate) trait Hooks: Send + Sync {
    /// Called before the configuration is read.
    fn started(&self) {}

    /// Called once the configuration is in use, or stays as it was.
    fn ended(&self) {}
}

/// Does nothing.
impl Hooks for () {}

/// Calls [`Hooks::ended`] when it is dropped, also by a panic.
pub(super) struct Running<'a>(&'a dyn Hooks);

impl<'a> Running<'a> {
    /// Calls [`Hooks::started`].
    pub(super) fn start(hooks: &'a dyn Hooks) -> Self {
        hooks.started();
        Self(hooks)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.ended();
    }
}
