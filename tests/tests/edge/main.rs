//! The client's side of the relay: HTTP/1.0, 1.1 and 2, TLS, Unix sockets, web pages, paths, bodies, errors, and the stop.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]

mod attacks_edge;
mod browsers;
mod client_certificates;
mod client_http2;
mod drain;
mod errors;
mod floods;
mod framing;
mod http10;
mod http2_smuggling;
mod intake;
mod malformed_requests;
mod path_spellings;
mod raw_deflate;
mod refused_uploads;
mod request_bounds;
mod request_ids;
mod routes;
mod smuggling;
mod stopping;
mod tls_listener;
#[cfg(unix)]
mod unix_listener;
mod unread_ends;
mod vanishing_clients;
