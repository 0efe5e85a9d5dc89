//! Finds the models that a discovered Ollama can serve, and fetches the JSON of such lists.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode};
use relay_config::BaseUrl;
use relay_transport::{RequestBody, Start, Transport, answer_body, read_start};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::answer::AttemptError;
use crate::anthropic_format;
use crate::listing::ListingError;

/// The largest answer that is read, in bytes. The description of a model contains its licence and its template.
const LIMIT: usize = 4 * 1024 * 1024;
/// The largest number of Ollama's models whose capabilities are requested.
const MODELS: usize = 16;
#[derive(Deserialize)]
struct Tags {
    models: Vec<Installed>,
}

#[derive(Deserialize)]
struct Installed {
    name: String,
    #[serde(default)]
    size: u64,
    /// The server that runs a cloud model.
    #[serde(default)]
    remote_host: Option<String>,
    /// The capabilities, which newer versions list here too.
    #[serde(default)]
    capabilities: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    capabilities: Option<Vec<String>>,
}

/// Returns the largest installed model of the Ollama at `base_url` that supports tools, or `None` if there is none.
///
/// Models that run in Ollama's cloud come last, since they need an account. If an old version of Ollama does not report
/// the capabilities of its models, the result is the largest model.
///
/// # Errors
/// [`ListingError`] if the list cannot be read.
pub async fn largest_ollama_model(
    base_url: &BaseUrl,
    transport: &Transport,
) -> Result<Option<String>, ListingError> {
    let tags: Tags = call(base_url, transport, "/api/tags", None, &HeaderMap::new()).await?;
    let mut models = tags.models;
    let is_remote = |model: &Installed| model.remote_host.is_some() || model.name.ends_with("cloud");
    models
        .sort_by(|a, b| is_remote(a).cmp(&is_remote(b)).then(b.size.cmp(&a.size)).then(a.name.cmp(&b.name)));
    let mut unknown = None;
    for model in models.into_iter().take(MODELS) {
        let capabilities = match model.capabilities {
            Some(capabilities) => Some(capabilities),
            None => shown(base_url, transport, &model.name).await?,
        };
        match capabilities {
            Some(capabilities) if capabilities.iter().any(|capability| capability == "tools") => {
                return Ok(Some(model.name));
            }
            Some(_) => {}
            None => unknown = unknown.or(Some(model.name)),
        }
    }
    Ok(unknown)
}

/// Returns the capabilities of `model`, or `None` if this version of Ollama does not report them.
async fn shown(
    base_url: &BaseUrl,
    transport: &Transport,
    model: &str,
) -> Result<Option<Vec<String>>, ListingError> {
    let body = json!({ "model": model }).to_string().into();
    match call::<Shown>(base_url, transport, "/api/show", Some(body), &HeaderMap::new()).await {
        Ok(shown) => Ok(shown.capabilities),
        Err(ListingError::Status(_) | ListingError::Malformed) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sends a request, with `POST` if there is a body, and reads the JSON of its answer.
pub(crate) async fn call<T: DeserializeOwned>(
    base_url: &BaseUrl,
    transport: &Transport,
    path: &str,
    body: Option<Bytes>,
    headers: &HeaderMap,
) -> Result<T, ListingError> {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let uri = anthropic_format::uri(base_url, path, query).map_err(AttemptError::from)?;
    let method = if body.is_some() { Method::POST } else { Method::GET };
    let mut request = Request::new(RequestBody::Payload(body.unwrap_or_default().into()));
    (*request.method_mut(), *request.uri_mut()) = (method, uri);
    request.headers_mut().extend(headers.clone());
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let (mut head, body) = transport.send(request).await.map_err(AttemptError::from)?.into_parts();
    let body = answer_body(&mut head.headers, body, transport.idle_timeout());
    if head.status != StatusCode::OK {
        return Err(ListingError::Status(head.status));
    }
    match read_start(body, LIMIT, Duration::MAX).await {
        Start::Whole(bytes) => serde_json::from_slice(&bytes).map_err(|_| ListingError::Malformed),
        Start::Part(..) => Err(ListingError::Malformed),
    }
}
