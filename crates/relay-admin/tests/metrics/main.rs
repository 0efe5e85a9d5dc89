//! Tests of the metrics of a relay.

mod documents;
mod exposition;
mod hostile;
mod promtool;
mod requests;
mod served;
