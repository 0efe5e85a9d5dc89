//! The decisions of an operator about a provider and its credentials.
//!
//! They apply to requests that are planned afterwards: a request under way is not affected. They are part of the state that a
//! planner [inherits](crate::Planner::inherit_state).

use crate::candidate::{Candidate, ProviderPool};
use crate::clock;

impl ProviderPool {
    /// Pauses the provider: it gets no further requests. Returns `true` if it was not paused.
    pub fn pause(&self) -> bool {
        self.health().set_paused(true)
    }

    /// Resumes the provider. Returns `true` if it was paused.
    pub fn resume(&self) -> bool {
        self.health().set_paused(false)
    }

    /// Closes the circuit and ends the rest of every model. Returns `true` if the circuit was not closed, or some model rested.
    pub fn reset_circuit(&self) -> bool {
        self.health().reset_circuit(clock::now())
    }

    /// Drains a credential: it gets no further requests. Returns `true` if it was not drained, and `None` if the provider has no
    /// credential of this name. Names are those in [`KeyState::credential`](crate::KeyState::credential).
    #[must_use]
    pub fn drain_key(&self, name: &str) -> Option<bool> {
        self.key(name).map(|key| key.health().set_drained(true))
    }

    /// Uses a drained credential again. Returns `true` if it was drained, and `None` if the provider has no credential of this
    /// name.
    #[must_use]
    pub fn undrain_key(&self, name: &str) -> Option<bool> {
        self.key(name).map(|key| key.health().set_drained(false))
    }

    /// Ends the cooldown of a credential, and its rejection by the upstream. Returns `true` if one was running, and `None` if the
    /// provider has no credential of this name. Keys of one organization share them.
    #[must_use]
    pub fn reset_key(&self, name: &str) -> Option<bool> {
        self.key(name).map(|key| key.health().reset_pauses(clock::now()))
    }

    fn key(&self, name: &str) -> Option<&Candidate> {
        self.candidates().iter().find(|candidate| candidate.credential().to_string() == name)
    }
}
