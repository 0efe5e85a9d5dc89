//! Whole configurations through the public API.

mod access;
mod check;
mod environment;
mod interpolation;
mod listeners;
mod mistakes;
mod observe;
mod prices;
mod problems;
mod properties;
mod provider_headers;
mod secrets;
mod settings;
mod syntax;
mod traps;
mod unimplemented;
mod yaml;
