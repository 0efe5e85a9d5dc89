//! Credentials of clients and of upstreams, and the headers that may carry them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]

mod client_access;
mod client_limits;
mod credential_matrix;
mod credentials;
mod embedded_subscriptions;
mod provider_headers;
mod subscription_keys;
