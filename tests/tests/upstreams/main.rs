//! The upstream's side of the relay: connections, responses, streams and their faults.

mod answers;
mod attacks_upstream;
mod cancelling;
mod complete_streams;
mod dying_uploads;
mod early_answers;
mod first_event;
mod foreign_events;
mod http11_required;
mod http2_upstreams;
mod odd_streams;
mod outages;
mod pool;
mod silent_upstreams;
mod streaming;
mod trace_headers;
mod transport;
mod unprocessed_requests;
mod unusable_answers;
mod upstream;
