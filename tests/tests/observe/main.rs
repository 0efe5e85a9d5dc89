//! Observation of a relay: the facts that it reports about its requests.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]

mod prompt_cache;
