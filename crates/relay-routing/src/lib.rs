//! relay-routing.
