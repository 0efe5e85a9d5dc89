//! relay-providers.
