//! The head of the OpenAPI description.

use utoipa::OpenApi;

/// The description of the API, without its paths.
#[derive(OpenApi)]
#[openapi(info(
    title = "cc-relay admin API",
    description = "The state of a relay, its last requests, events, and the actions of an operator. Times are milliseconds; \
                   money is a number of US dollars; an unknown value is null.",
    version = env!("CARGO_PKG_VERSION"),
    license(name = "MIT OR Apache-2.0")
))]
pub(super) struct Description;
