//! The candidates of a provider whose credential one request may use.

use std::ops::Range;

use relay_providers::RelayRequest;

use crate::candidate::{Candidate, CredentialId, ProviderPool};

/// The candidates of a provider whose credential a request may use. It holds a rule, not a list: a request does not cost more
/// if the provider has more keys.
///
/// A client's subscription comes before the provider's keys. Any other credential of the client is used only if the provider
/// has no key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usable<'a> {
    pool: &'a ProviderPool,
    keys_allowed: bool,
    /// The place of the client's own credential.
    client: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Last,
    Nowhere,
}

impl<'a> Usable<'a> {
    pub(super) fn of(pool: &'a ProviderPool, request: &RelayRequest) -> Self {
        let keys_allowed = request.keys_allowed();
        let is_key = |candidate: &Candidate| matches!(candidate.credential(), CredentialId::Key(_));
        let client = match request.client_credential() {
            Some(client) if client.is_subscription() => Place::First,
            Some(_) if !(keys_allowed && pool.candidates().iter().any(is_key)) => Place::Last,
            _ => Place::Nowhere,
        };
        Self { pool, keys_allowed, client }
    }

    /// Returns the ranges of equal candidates, best first. A range may contain candidates that the request may not use.
    pub(super) fn groups(self) -> impl Iterator<Item = Range<usize>> + use<'a> {
        let client =
            |place| (self.client == place).then(|| self.pool.client()).filter(|range| !range.is_empty());
        let own = self.pool.groups().iter().cloned();
        client(Place::First).into_iter().chain(own).chain(client(Place::Last))
    }

    /// Returns `true` if the client's own subscription serves the request before any other credential.
    pub(super) fn is_subscription_first(self) -> bool {
        self.client == Place::First && !self.pool.client().is_empty()
    }

    /// Returns `true` if the request may use the candidate with this index.
    pub(super) fn contains(self, index: usize) -> bool {
        let candidate = &self.pool.candidates()[index];
        match candidate.is_client() {
            true => self.client != Place::Nowhere,
            false => self.keys_allowed || !candidate.spends_credential(),
        }
    }

    /// Returns the indices of the candidates, best first.
    pub(super) fn candidates(self) -> impl Iterator<Item = usize> + use<'a> {
        self.groups().flatten().filter(move |index| self.contains(*index))
    }

    /// Returns the indices of the candidates with credentials of the relay, best first, and that of the client's own one.
    pub(super) fn by_owner(self) -> (impl Iterator<Item = usize> + use<'a>, Option<usize>) {
        let own = self.pool.groups().iter().cloned().flatten().filter(move |index| self.contains(*index));
        (own, self.pool.client().find(|index| self.contains(*index)))
    }

    /// Returns `true` if there is any candidate.
    pub(super) fn any(self) -> bool {
        self.candidates().next().is_some()
    }
}
