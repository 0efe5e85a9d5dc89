//! The relay inside another program: configurations in code, replacement under load, its state.

mod configuration_in_code;
mod reload;
mod state;
mod tls;
