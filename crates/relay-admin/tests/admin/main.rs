//! The admin API over real sockets.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]

mod answers;
mod attacks;
mod control;
mod description;
mod events;
mod fixture;
