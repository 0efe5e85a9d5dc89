//! Forwards the rest of Anthropic's API to the first `anthropic` provider that can serve the request.

use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use relay_config::ProviderName;
use relay_providers::{ApiRequest, Forward, Outcome, requests_guardrail};
use relay_routing::{CredentialId, Planner};
use relay_transport::RequestStream;
use tower::{Service, ServiceExt};
use tracing::Instrument;

use crate::auth::Client;
use crate::catalog::MODEL_PATH;
use crate::error::Error;
use crate::intake::check_lists;
use crate::record::RecordHandle;
use crate::request_body::ClientBody;
use crate::response::{ResponseBody, ResponseFuture};

/// The type of all upstreams to which requests are forwarded.
const KIND: &str = "anthropic";

/// The path to which clients upload files.
const FILES_PATH: &str = "/v1/files";

/// Forwards requests without reading their bodies. Each is sent once: a body that streams cannot be sent again.
#[derive(Debug, Clone)]
pub(crate) struct Forwarder {
    /// The upstreams, highest priority first.
    upstreams: Arc<[(ProviderName, Forward)]>,
    /// Has the decisions of operators about providers and keys.
    planner: Arc<Planner>,
    head_timeout: Option<Duration>,
}

impl Forwarder {
    pub(crate) fn new(
        upstreams: Vec<(ProviderName, Forward)>,
        planner: Arc<Planner>,
        head_timeout: Option<Duration>,
    ) -> Self {
        Self { upstreams: upstreams.into(), planner, head_timeout }
    }

    /// Returns `true` if no `anthropic` provider is configured.
    pub(crate) fn is_empty(&self) -> bool {
        self.upstreams.is_empty()
    }

    /// Returns the first upstream that can serve `request` and that no operator has paused, with the credential that it uses.
    fn choose(&self, request: &ApiRequest) -> Result<(&ProviderName, &Forward, CredentialId), Error> {
        let mut withheld = None;
        for (name, upstream) in &*self.upstreams {
            if !upstream.can_serve(request.client.as_ref(), request.keys_allowed) {
                continue;
            }
            let credential = upstream.key_for(request).map_or(CredentialId::Client, CredentialId::Key);
            if !self.planner.is_withheld(name, &credential) {
                return Ok((name, upstream, credential));
            }
            withheld.get_or_insert(name);
        }
        Err(match withheld {
            Some(name) => Error::Withheld { provider: name.to_string() },
            None if self.upstreams.is_empty() => Error::NoAnthropicProvider { path: request.path.clone() },
            None => Error::NoCredential,
        })
    }

    async fn forward(
        self,
        request: ApiRequest,
        record: Option<RecordHandle>,
    ) -> Result<Response<ResponseBody>, Error> {
        if request.method == Method::POST && requests_guardrail(&request.headers) {
            return Err(Error::NoGuardrail { path: request.path });
        }
        let (name, upstream, credential) = self.choose(&request)?;
        let log = record.as_ref().map(RecordHandle::attempt_log).unwrap_or_default();
        log.start(name.clone(), KIND, credential, Arc::default());
        log.set_address(upstream.address());
        let span = tracing::error_span!("attempt", provider = name.as_str(), attempt = 1);
        match upstream.clone().oneshot(request).instrument(span).await {
            Ok(response) => {
                log.end(Some(response.status().as_u16()), outcome(response.status()).as_str(), None);
                if let Some(record) = record {
                    record.set_provider(name);
                }
                Ok(response.map(ResponseBody::from))
            }
            Err(source) => {
                log.end(None, source.as_str(), Some(source.in_one_line()));
                Err(Error::Upstream { provider: name.to_string(), source })
            }
        }
    }
}

/// Returns the meaning of a status. Nothing else of the answer is read.
fn outcome(status: StatusCode) -> Outcome {
    match status.as_u16() {
        ..400 => Outcome::Success,
        400..500 => Outcome::Refused,
        _ => Outcome::Failed,
    }
}

/// Checks that a client with a list of models may use an operation whose body is not read. It may read and delete, upload files,
/// and cancel: a request of any other form may run a model.
fn check_access(client: &Client, method: &Method, path: &str) -> Result<(), Error> {
    if client.models().is_none() {
        return Ok(());
    }
    if let Some(id) = path.strip_prefix(MODEL_PATH) {
        client.check_model(&percent_decode_str(id).decode_utf8_lossy())?;
    }
    let is_harmless = matches!(*method, Method::GET | Method::HEAD | Method::DELETE)
        || path == FILES_PATH
        || path.ends_with("/cancel");
    is_harmless.then_some(()).ok_or_else(|| Error::OperationDenied { path: path.to_owned() })
}

impl<B: ClientBody> Service<Request<B>> for Forwarder {
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        if let Err(error) = check_lists(&parts.headers) {
            return Box::pin(ready(Err(error)));
        }
        let client = parts.extensions.remove::<Client>();
        if let Some(client) = &client
            && let Err(error) = check_access(client, &parts.method, parts.uri.path())
        {
            return Box::pin(ready(Err(error)));
        }
        let record = parts.extensions.remove::<RecordHandle>();
        let mut request = ApiRequest::new(parts.method, parts.uri.path(), RequestStream::new(body));
        request.query = parts.uri.query().map(str::to_owned);
        if let Some(trace) = record.as_ref().and_then(RecordHandle::trace) {
            trace.write_attempt(0, &mut parts.headers);
        }
        request.headers = parts.headers;
        request.keys_allowed = client.as_ref().is_none_or(Client::may_use_configured_keys);
        request.client = client.and_then(Client::into_credential);
        request.head_timeout = self.head_timeout;
        Box::pin(self.clone().forward(request, record))
    }
}

#[cfg(test)]
mod tests {
    use relay_config::Pattern;

    use super::*;

    #[test]
    fn a_client_with_models_uses_no_operation_whose_models_are_not_read() {
        #[track_caller]
        fn check(method: Method, path: &str, expected: bool) {
            let limited = Client::new("a").with_models([Pattern::new("claude-haiku-*")]);
            let found = check_access(&limited, &method, path);
            assert_eq!(found.is_ok(), expected, "{method} {path}: {found:?}");
            assert!(found.err().is_none_or(|error| error.status() == StatusCode::FORBIDDEN));
            assert!(check_access(&Client::new("b"), &method, path).is_ok());
        }
        check(Method::POST, "/v1/messages/batches", false);
        check(Method::POST, "/v1/complete", false);
        check(Method::PUT, "/v1/anything", false);
        check(Method::POST, "/v1/files/x", false);
        check(Method::POST, "/v1/files", true);
        check(Method::POST, "/v1/messages/batches/b1/cancel", true);
        check(Method::GET, "/v1/messages/batches/b1/results", true);
        check(Method::DELETE, "/v1/files/f1", true);
        check(Method::GET, "/v1/models/claude-haiku-4-5", true);
        check(Method::GET, "/v1/models/claude%2Dhaiku-4-5", true);
        check(Method::GET, "/v1/models/claude-opus-5", false);
        check(Method::HEAD, "/v1/models/claude%2Dopus-5", false);
    }
}
