//! Scripted upstreams for end-to-end scenarios.
