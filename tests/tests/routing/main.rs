//! The choice of a provider and a key, and failover between them.

mod affinity;
mod client_mistakes;
mod comparisons;
mod failover;
mod failure_scopes;
mod health;
mod kinds;
mod learned_limits;
mod model_failures;
mod organization_keys;
mod recoveries;
mod strategies;
mod suitable;
mod upstream_addresses;
