//! The program as a user meets it: what it prints, how it ends, and that it does what it says in between.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod config;
mod explain;
mod process;
mod proxy;
mod serve;
mod status;
#[cfg(unix)]
mod stop;
mod usage;
