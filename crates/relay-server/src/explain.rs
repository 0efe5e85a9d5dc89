//! Explains the route of a request without sending it.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use relay_config::{Config, ModelMapping, ProviderName, Strategy};
use relay_messages::MessagesBody;
use relay_providers::{Endpoint, RelayRequest};
use relay_routing::{CredentialId, Figure, PlannedCandidate, Planner};

use crate::auth::ConfiguredKeys;
use crate::error::Error;
use crate::intake::check_lists;

/// The route that a request would take at this moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Explanation {
    /// The model in the request.
    pub model: String,
    /// The strategy that orders the candidates.
    pub strategy: Strategy,
    /// The candidates that would be tried, one after the other until an outcome is final.
    pub order: Vec<Considered>,
    /// The candidates that would not be tried.
    pub excluded: Vec<Considered>,
    /// The reason for which no candidate would be tried, as the client would receive it; `None` if one would be tried.
    pub refusal: Option<String>,
}

/// A candidate of the request: a provider with one of its credentials.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Considered {
    /// The provider's name.
    pub provider: ProviderName,
    /// The provider's `type`.
    pub kind: &'static str,
    /// The id of a key, `client` for the client's own credential, or `none` if the provider needs none. `None` if the reason
    /// applies to the provider with every credential.
    pub credential: Option<String>,
    /// The provider's name of the model.
    pub model: String,
    /// The reason for its place in the order, or for its exclusion.
    pub reason: String,
    /// The figure by which the strategy compares the provider with others, such as the price of the request. `None` if the
    /// strategy compares none, and for a provider that would not be tried.
    pub figure: Option<Figure>,
}

/// Explains requests. It uses the verifier and the planner that serve them.
#[derive(Debug)]
pub(crate) struct Explainer {
    keys: ConfiguredKeys,
    planner: Arc<Planner>,
    providers: Vec<KnownProvider>,
    max_attempts: usize,
}

/// The facts about a provider that its plans do not have.
#[derive(Debug)]
struct KnownProvider {
    name: ProviderName,
    kind: &'static str,
    enabled: bool,
    mapping: ModelMapping,
}

impl Explainer {
    pub(crate) fn new(keys: ConfiguredKeys, planner: Arc<Planner>, config: &Config) -> Self {
        let known = config.providers.iter().map(|provider| KnownProvider {
            name: provider.name.clone(),
            kind: provider.kind.as_str(),
            enabled: provider.enabled,
            mapping: provider.model_mapping.clone(),
        });
        let max_attempts = config.routing.max_attempts.get() as usize;
        Self { keys, planner, providers: known.collect(), max_attempts }
    }

    /// The name and the `type` of every provider, and `true` if it is enabled.
    pub(crate) fn providers(&self) -> impl Iterator<Item = (&ProviderName, &'static str, bool)> {
        self.providers.iter().map(|provider| (&provider.name, provider.kind, provider.enabled))
    }

    pub(crate) fn explain(&self, mut headers: HeaderMap, body: Bytes) -> Result<Explanation, Error> {
        let client = self.keys.check(&mut headers)?;
        check_lists(&headers)?;
        let body = MessagesBody::parse(body)?;
        client.check_models(&body)?;
        let request = RelayRequest::new(Endpoint::Messages, None, headers, body)
            .with_keys_allowed(client.may_use_configured_keys())
            .with_client_credential(client.into_credential());
        let model = request.body().model().to_string();
        let planned = self.planner.explain(&request);

        let place = |(index, candidate): (usize, &PlannedCandidate)| {
            let reason = match (&candidate.demotion, index) {
                (Some(reason), _) => format!("after the others: {reason}"),
                (None, _) if !candidate.is_listed => {
                    "after the others: its models do not list this one".to_owned()
                }
                (None, _) if candidate.credential == CredentialId::Client => {
                    "the client's own credential".to_owned()
                }
                (None, 0) if planned.is_affinity_hit => "preferred by its session".to_owned(),
                (None, 0) if planned.strategy != Strategy::Failover => {
                    format!("chosen by {}", planned.strategy.as_str())
                }
                (None, _) => format!("priority {}", candidate.priority),
            };
            let credential = Some(candidate.credential.to_string());
            let reason = match &candidate.figure {
                Some(figure) => format!("{reason}; {figure}"),
                None => reason,
            };
            let considered = self.considered(&candidate.provider, credential, &model, reason);
            Considered { figure: candidate.figure, ..considered }
        };
        let mut order: Vec<_> = planned.candidates.iter().enumerate().map(place).collect();
        let mut excluded = order.split_off(self.max_attempts.min(order.len()));
        for late in &mut excluded {
            late.reason =
                format!("beyond the limit of {} attempts (routing.max_attempts)", self.max_attempts);
        }
        excluded.extend(planned.excluded.iter().map(|(provider, credential, reason)| {
            let credential = credential.as_ref().map(ToString::to_string);
            self.considered(provider, credential, &model, reason.clone())
        }));
        let disabled = self.providers.iter().filter(|provider| !provider.enabled);
        excluded.extend(disabled.map(|provider| {
            self.considered(&provider.name, None, &model, "it has enabled: false".to_owned())
        }));
        let refusal = match planned.error {
            Some(error) => Some(error.to_string()),
            None if order.is_empty() => Some("no candidate is available at this moment".to_owned()),
            None => None,
        };
        Ok(Explanation { model, strategy: planned.strategy, order, excluded, refusal })
    }

    fn considered(
        &self,
        provider: &ProviderName,
        credential: Option<String>,
        model: &str,
        reason: String,
    ) -> Considered {
        let known = self.providers.iter().find(|known| known.name == *provider);
        let mapped = known.and_then(|known| known.mapping.lookup(model));
        Considered {
            provider: provider.clone(),
            kind: known.map_or("", |known| known.kind),
            credential,
            model: mapped.as_deref().unwrap_or(model).to_owned(),
            reason,
            figure: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{AUTHORIZATION, HeaderValue};
    use relay_config::{Format, Loader};
    use relay_providers::Usage;
    use relay_routing::{Pricing, Usd};

    use super::*;
    use crate::Relay;

    fn explain(config: &str, bearer: Option<&'static str>) -> Result<Explanation, Error> {
        let config = Loader::new().with_text("c", Format::Yaml, config).load().unwrap().config;
        let headers = bearer.map(|value| (AUTHORIZATION, HeaderValue::from_static(value)));
        let body = Bytes::from_static(br#"{"model":"claude-opus-5-5"}"#);
        Relay::builder(config).without_proxy().build().unwrap().explain(headers.into_iter().collect(), body)
    }

    /// Asserts the candidates in order and the excluded ones, each as `provider model: reason`.
    #[track_caller]
    fn check(config: &str, bearer: Option<&'static str>, order: &[&str], excluded: &[&str]) {
        let explanation = explain(config, bearer).unwrap();
        let lines = |list: &[Considered]| -> Vec<String> {
            let line = |candidate: &Considered| {
                let Considered { provider, model, reason, .. } = candidate;
                format!("{provider} {model}: {reason}")
            };
            list.iter().map(line).collect()
        };
        assert_eq!(
            (lines(&explanation.order), lines(&explanation.excluded)),
            (owned(order), owned(excluded))
        );
        assert_eq!(explanation.refusal.is_none(), !order.is_empty(), "{explanation:?}");
    }

    fn owned(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn each_candidate_has_a_reason() {
        let providers = "
providers:
  - { name: a, type: mock, priority: 3, model_mapping: { 'claude-*': glm-5.3 } }
  - { name: b, type: mock, priority: 2 }
  - { name: c, type: mock, models: [other] }
  - { name: d, type: mock, enabled: false }
";
        let disabled = "d claude-opus-5-5: it has enabled: false";
        let unlisted = "c claude-opus-5-5: after the others: its models do not list this one";
        let [first, second] = ["a glm-5.3: priority 3", "b claude-opus-5-5: priority 2"];
        check(providers, None, &[first, second, unlisted], &[disabled]);
        let in_turn = format!("{providers}routing: {{ strategy: round_robin, max_attempts: 2 }}");
        let late = "c claude-opus-5-5: beyond the limit of 2 attempts (routing.max_attempts)";
        check(&in_turn, None, &["a glm-5.3: chosen by round_robin", second], &[late, disabled]);
    }

    #[test]
    fn the_figures_of_a_comparison_are_reasons() {
        let providers = "
providers:
  - { name: a, type: mock }
  - { name: b, type: mock }
  - { name: c, type: mock, priority: 0 }
";
        struct ByName;
        impl Pricing for ByName {
            fn cost(&self, provider: &ProviderName, _: &str, usage: &Usage) -> Option<Usd> {
                let tokens = usage.input_tokens? + usage.output_tokens?;
                (provider.as_str() == "b").then_some(Usd::from_nanos(tokens.max(1_000) * 10_000))
            }
        }
        let config = |strategy: &str| {
            let text = format!("{providers}routing: {{ strategy: {strategy} }}");
            Loader::new().with_text("c", Format::Yaml, text).load().unwrap().config
        };
        let reasons = |builder: crate::Builder| -> Vec<String> {
            let relay = builder.without_proxy().build().unwrap();
            let body = Bytes::from_static(br#"{"model":"claude-opus-5-5","max_tokens":1}"#);
            let order = relay.explain(HeaderMap::new(), body).unwrap().order;
            order.iter().map(|candidate| format!("{}: {}", candidate.provider, candidate.reason)).collect()
        };
        assert_eq!(
            reasons(Relay::builder(config("cost_based")).with_pricing(Arc::new(ByName))),
            [
                "b: chosen by cost_based; about $0.0100 for this request",
                "a: priority 1; its price for this model is unknown",
                "c: priority 0; its price for this model is unknown"
            ]
        );
        let unknown = "its time to the first content is unknown, to be measured";
        assert_eq!(
            reasons(Relay::builder(config("latency_based"))),
            [
                format!("a: chosen by latency_based; {unknown}"),
                format!("b: priority 1; {unknown}"),
                format!("c: priority 0; {unknown}")
            ]
        );
    }

    #[test]
    fn a_client_credential_is_admitted_as_in_a_request() {
        let token = Some("Bearer sk-ant-oat01-x");
        let provider = "providers: [{ name: a, type: anthropic }]";
        let closed = format!("server: {{ auth: {{ api_key: k }} }}\n{provider}");
        check(provider, token, &["a claude-opus-5-5: the client's own credential"], &[]);
        assert_eq!(explain(provider, None).unwrap().refusal, Some(Error::NoCredential.to_string()));
        assert!(matches!(explain(&closed, token), Err(Error::Denied(_))));
    }
}
