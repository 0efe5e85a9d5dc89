//! Answers to requests without a handler.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use relay_messages::cut;

use super::problem::Problem;

pub(super) async fn not_found(request: Request) -> Response {
    let path = cut(request.uri().path()).into_owned();
    Problem::new(
        StatusCode::NOT_FOUND,
        format!("{path} does not exist; /admin/v1/openapi.json lists all paths"),
    )
    .into_response()
}

pub(super) async fn method_not_allowed(request: Request) -> Response {
    let method = cut(request.method().as_str()).into_owned();
    let path = cut(request.uri().path()).into_owned();
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} does not accept {method}")).into_response()
}
