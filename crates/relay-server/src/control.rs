//! The decisions of an operator about providers and keys while the relay runs.

use std::sync::PoisonError;

use crate::relay::Relay;
use crate::reload::Reloadable;

/// A decision of an operator about a provider or one of its keys.
///
/// It applies to requests that arrive afterwards, and ends with the process. A relay that
/// [inherits the state](crate::Builder::inherit_state) keeps it for the names that still exist.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// Sends no further request to the provider.
    Pause,
    /// Ends a pause.
    Resume,
    /// Closes the circuit of the provider, and ends the rest of its models.
    ResetCircuit,
    /// Sends no further request with the key of this name, as [`KeyState::credential`](crate::KeyState::credential) has it.
    DrainKey(String),
    /// Uses a drained key again.
    UndrainKey(String),
    /// Ends the cooldown of the key of this name, and its rejection by the upstream.
    ResetKey(String),
}

/// The reason for which a decision cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// No provider has this name.
    #[error("no provider has the name `{name}`")]
    UnknownProvider {
        /// The name.
        name: String,
    },
    /// The configuration disables the provider.
    #[error(
        "the configuration disables the provider `{name}` (providers[].enabled); change the file and reload it"
    )]
    Disabled {
        /// The name.
        name: String,
    },
    /// The provider has no key of this name.
    #[error("provider `{provider}` has no key with the name `{key}`")]
    UnknownKey {
        /// The name of the provider.
        provider: String,
        /// The name of the key.
        key: String,
    },
}

impl Relay {
    /// Applies the decision of an operator about the provider with this name. Returns `true` if it changes something. The
    /// effect is part of [`state`](Self::state) and of [`explain`](Self::explain).
    ///
    /// ```
    /// use relay_config::{Format, Loader};
    /// use relay_server::{Control, Relay};
    ///
    /// let config = "providers: [{ name: a, type: mock }]";
    /// let config = Loader::new().with_text("relay.yaml", Format::Yaml, config).load()?.config;
    /// let relay = Relay::builder(config).build()?;
    /// assert_eq!(relay.control("a", &Control::Pause), Ok(true));
    /// assert!(relay.state().providers[0].pool.as_ref().is_some_and(|pool| pool.is_paused));
    /// assert!(relay.control("b", &Control::Pause).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ControlError`] if the provider or the key does not exist, or if the provider is disabled.
    pub fn control(&self, provider: &str, control: &Control) -> Result<bool, ControlError> {
        let name = || provider.to_owned();
        let Some(pool) = self.planner().pools().iter().find(|pool| pool.name().as_str() == provider) else {
            return Err(match self.is_configured(provider) {
                true => ControlError::Disabled { name: name() },
                false => ControlError::UnknownProvider { name: name() },
            });
        };
        let (changed, key) = match control {
            Control::Pause => return Ok(pool.pause()),
            Control::Resume => return Ok(pool.resume()),
            Control::ResetCircuit => return Ok(pool.reset_circuit()),
            Control::DrainKey(key) => (pool.drain_key(key), key),
            Control::UndrainKey(key) => (pool.undrain_key(key), key),
            Control::ResetKey(key) => (pool.reset_key(key), key),
        };
        changed.ok_or_else(|| ControlError::UnknownKey { provider: name(), key: key.clone() })
    }
}

impl Reloadable {
    /// Applies the decision of an operator to the relay in use, as [`Relay::control`] describes. It blocks while the relay is
    /// being replaced, so that the decision is not lost.
    ///
    /// # Errors
    /// [`ControlError`], for the same reasons as [`Relay::control`].
    pub fn control(&self, provider: &str, control: &Control) -> Result<bool, ControlError> {
        let _replacing = self.replacing().lock().unwrap_or_else(PoisonError::into_inner);
        self.relay().control(provider, control)
    }
}
