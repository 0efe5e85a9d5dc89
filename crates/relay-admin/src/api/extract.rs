//! The inputs of handlers. A fault in one is answered in the form of every other error.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::problem::Problem;

/// The largest body of a request, in bytes.
const BODY: usize = 64 * 1024;
/// The time in which a body has to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The names in a path, percent-decoded: a name may contain `/` as `%2F`.
pub(super) struct Names<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Names<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(names)| Self(names)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// The parameters in the query.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::try_from_uri(&parts.uri);
        query
            .map(|Query(parameters)| Self(parameters))
            .map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// Returns the value of a parameter, unless it is empty.
pub(super) fn given(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|value| !value.is_empty())
}

/// An empty body, or an empty object of JSON.
pub(super) struct NoInput;

impl<S: Send + Sync> FromRequest<S> for NoInput {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let content_type = request.headers().get(CONTENT_TYPE).cloned();
        let body = timeout(BODY_TIME, Limited::new(request.into_body(), BODY).collect()).await;
        let Ok(body) = body else {
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"));
        };
        let body = body.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
            true => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body exceeds {BODY} bytes")),
            false => Problem::bad_request("the body ended early"),
        })?;
        let body = body.to_bytes();
        let is_json = content_type.as_ref().is_none_or(|value| {
            let media_type = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
            media_type.trim_ascii().eq_ignore_ascii_case(b"application/json")
        });
        match body.trim_ascii() {
            _ if !is_json => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the content-type is not supported: send application/json, or no body",
            )),
            b"" => Ok(Self),
            body => match serde_json::from_slice::<serde_json::Map<_, serde_json::Value>>(body) {
                Ok(members) if members.is_empty() => Ok(Self),
                _ => Err(Problem::bad_request("this action has no parameters: send no body, or `{}`")),
            },
        }
    }
}
