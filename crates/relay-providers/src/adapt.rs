//! Changes each attempt to the form that its upstream accepts, as a layer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{HeaderName, HeaderValue};
use pin_project_lite::pin_project;
use relay_config::{BedrockApi, ProviderConfig, ProviderKind};
use relay_messages::{Adapter, Replaced};
use tower::{Layer, Service};

use crate::answer::{Answer, AttemptError};
use crate::request::Attempt;

/// The response header with a summary of the parts that the upstream does not support, such as `document (1)`.
const REPLACED: HeaderName = HeaderName::from_static("x-cc-relay-replaced");

/// Returns the adapter for `provider`: the capability table's section for its kind, with the rules of its configuration.
#[must_use]
pub fn adapter_for(provider: &ProviderConfig) -> Adapter {
    let section = match &provider.kind {
        ProviderKind::Bedrock(config) if config.api == BedrockApi::Messages => "bedrock_messages",
        kind => kind.spec().capabilities.unwrap_or_default(),
    };
    let fetches_images = provider.fetch_images && cfg!(feature = "fetch-images");
    Adapter::of(section).with_capabilities(&provider.capabilities).with_fetched_images(fetches_images)
}

/// Changes `attempt` to the form that the upstream of `adapter` accepts. The model must have been mapped before.
pub(crate) fn adapt(adapter: &Adapter, attempt: &mut Attempt) {
    // Most upstreams have no rules, and nothing has to be copied for them.
    if !adapter.has_rules() {
        return;
    }
    let request = attempt.request().clone();
    let betas: Vec<String> = attempt.betas().into_iter().map(str::to_owned).collect();
    let model = attempt.model().to_owned();
    if let Some(betas) = adapter.adapt(&model, request.body(), &betas, attempt.edits_mut()) {
        attempt.set_betas(betas);
    }
}

/// Adapts each attempt at one provider.
#[derive(Debug, Clone)]
pub struct AdaptLayer {
    adapter: Arc<Adapter>,
}

impl AdaptLayer {
    /// Creates a layer that adapts by the rules of `adapter`.
    #[must_use]
    pub fn new(adapter: Arc<Adapter>) -> Self {
        Self { adapter }
    }
}

impl<S> Layer<S> for AdaptLayer {
    type Service = Adapt<S>;

    fn layer(&self, inner: S) -> Adapt<S> {
        Adapt { inner, adapter: Arc::clone(&self.adapter) }
    }
}

/// The service of [`AdaptLayer`].
#[derive(Debug, Clone)]
pub struct Adapt<S> {
    inner: S,
    adapter: Arc<Adapter>,
}

impl<S> Service<Attempt> for Adapt<S>
where
    S: Service<Attempt, Response = Answer, Error = AttemptError>,
{
    type Response = Answer;
    type Error = AttemptError;
    type Future = AdaptFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut attempt: Attempt) -> Self::Future {
        let replaced = self.adapter.replaced(attempt.model(), attempt.request().body());
        adapt(&self.adapter, &mut attempt);
        AdaptFuture { inner: self.inner.call(attempt), replaced }
    }
}

pin_project! {
    /// The future of [`Adapt`].
    #[derive(Debug)]
    pub struct AdaptFuture<F> {
        #[pin]
        inner: F,
        // The parts of the request that were replaced by a text.
        replaced: Option<Replaced>,
    }
}

impl<F: Future<Output = Result<Answer, AttemptError>>> Future for AdaptFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let replaced = this.replaced.as_ref();
        this.inner.poll(cx).map_ok(|answer| match replaced {
            None => answer,
            Some(replaced) => with_replaced(answer, &replaced.to_string()),
        })
    }
}

/// Adds `summary`, of parts that were replaced, to the head of `answer`, after the summary that is there already.
pub(crate) fn with_replaced(mut answer: Answer, summary: &str) -> Answer {
    let headers = answer.response.headers_mut();
    let earlier = headers.get(&REPLACED).and_then(|value| value.to_str().ok());
    let all = earlier.map_or(summary.to_owned(), |earlier| format!("{earlier}, {summary}"));
    if let Ok(value) = HeaderValue::from_str(&all) {
        headers.insert(REPLACED, value);
    }
    answer
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use relay_config::KINDS;
    use relay_messages::MessagesBody;

    use super::*;
    use crate::request::{Endpoint, RelayRequest};

    #[track_caller]
    fn check(kind: &str, betas: &'static str, expected: &str) {
        let mut headers = HeaderMap::new();
        headers.insert("anthropic-beta", HeaderValue::from_static(betas));
        let body = MessagesBody::parse(r#"{"model":"m","max_tokens":1,"safeguards":[{}]}"#.into()).unwrap();
        let mut attempt = Attempt::new(RelayRequest::new(Endpoint::Messages, None, headers, body));
        adapt(&Adapter::of(kind), &mut attempt);
        assert_eq!(attempt.headers()["anthropic-beta"], expected, "{kind}");
    }

    #[test]
    fn every_kind_names_a_section_of_the_capability_table() {
        for section in KINDS.iter().filter_map(|kind| kind.capabilities) {
            assert!(Adapter::of(section).has_rules(), "{section}");
        }
    }

    #[test]
    fn betas_of_an_upstream_without_rules_are_not_changed() {
        for kind in ["anthropic", "anthropic_compatible", "mock"] {
            check(kind, "a, b,safeguards-x", "a, b,safeguards-x");
        }
    }

    #[test]
    fn betas_that_an_upstream_does_not_accept_are_removed() {
        check("vendor", "afk-mode-2026-01-31, effort-2025-11-24", "effort-2025-11-24");
    }
}
