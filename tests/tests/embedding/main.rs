//! The relay inside another program: configurations in code, replacement under load, its state.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]

mod configuration_in_code;
mod generations;
mod reload;
mod state;
mod tls;
