//! Credentials of clients and of upstreams, and the headers that may carry them.

mod client_limits;
mod credential_matrix;
mod credentials;
mod embedded_subscriptions;
mod provider_headers;
mod subscription_keys;
