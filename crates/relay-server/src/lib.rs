//! relay-server.
