//! The load client. It checks each answer, and any failure ends the run.

mod check;
pub(crate) mod closed;
pub(crate) mod connection;
pub(crate) mod rate;
pub(crate) mod stalled;
pub(crate) mod streams;
