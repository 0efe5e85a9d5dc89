//! An admitted client.

use std::sync::Arc;

use relay_config::{ModelPatterns, Pattern};
use relay_providers::ClientCredential;

/// An admitted client, in the extensions of its requests.
///
/// ```
/// use relay_server::auth::Client;
///
/// let client = Client::new("alice");
/// assert_eq!(client.name(), Some("alice"));
/// assert!(client.may_use_configured_keys());
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) name: Option<Arc<str>>,
    pub(super) credential: Option<ClientCredential>,
    pub(super) may_use_configured_keys: bool,
    /// `None`: every model.
    pub(super) models: Option<Arc<ModelPatterns>>,
}

impl Client {
    /// Creates a client with a name and without a credential of its own. Providers with configured keys may serve it.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: Some(name.into()), credential: None, may_use_configured_keys: true, models: None }
    }

    /// Limits the client to models that these patterns match, by the names that it sends. Without a pattern, it may use every
    /// model.
    #[must_use]
    pub fn with_models(mut self, models: impl IntoIterator<Item = Pattern>) -> Self {
        self.models = shared(&models.into_iter().collect());
        self
    }

    /// The name of the key that admitted the client; `None` if that has no name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The models that the client may use; `None` if it may use every model.
    #[must_use]
    pub fn models(&self) -> Option<&ModelPatterns> {
        self.models.as_deref()
    }

    /// Returns `true` if providers with configured keys may serve the client
    /// (`server.auth.subscription_may_use_keys`).
    #[must_use]
    pub fn may_use_configured_keys(&self) -> bool {
        self.may_use_configured_keys
    }

    /// The client's own credential for an upstream, if it may be passed through. It cannot be read.
    #[must_use]
    pub fn credential(&self) -> Option<&ClientCredential> {
        self.credential.as_ref()
    }

    /// Takes the credential out, which ends its way through the layers.
    pub(crate) fn into_credential(self) -> Option<ClientCredential> {
        self.credential
    }

    /// The name, to be shared.
    pub(crate) fn shared_name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }
}

/// Returns the models of a client in shared form, or `None` if it may use every model.
pub(super) fn shared(models: &ModelPatterns) -> Option<Arc<ModelPatterns>> {
    (!models.is_unlimited()).then(|| Arc::new(models.clone()))
}
