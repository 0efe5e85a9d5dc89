//! Where a request would go and why, without sending it.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use relay_config::{Config, ModelMapping, ProviderName, Strategy};
use relay_messages::MessagesBody;
use relay_providers::{Endpoint, RelayRequest};
use relay_routing::{CredentialId, PlannedCandidate, Planner};

use crate::edge::Verifier;
use crate::error::Error;

/// Where a request would go, at this moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Explanation {
    /// The model, as the client calls it.
    pub model: String,
    /// How providers are ranked.
    pub strategy: Strategy,
    /// Who would be asked, one after the other until one answers.
    pub order: Vec<Considered>,
    /// Who would not be asked.
    pub left_out: Vec<Considered>,
    /// Why nobody would be asked, as the client would be told; `None` if somebody would.
    pub refusal: Option<String>,
}

/// A provider with one of its credentials.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Considered {
    /// The provider's name.
    pub provider: ProviderName,
    /// Its type.
    pub kind: &'static str,
    /// The id of a key, `client` for what the client brings, `none` where none is needed; `None` where it does not
    /// matter.
    pub credential: Option<String>,
    /// What the model is called there.
    pub model: String,
    /// Why it would be asked at its place, or would not be.
    pub reason: String,
}

/// Explains requests; takes the way that they take, up to where they would be sent.
#[derive(Debug)]
pub(crate) struct Explainer {
    verifier: Arc<Verifier>,
    planner: Arc<Planner>,
    providers: Vec<Known>,
    max_attempts: usize,
}

/// What is told of a provider beyond its plans.
#[derive(Debug)]
struct Known {
    name: ProviderName,
    kind: &'static str,
    enabled: bool,
    mapping: ModelMapping,
}

impl Explainer {
    pub(crate) fn new(verifier: Arc<Verifier>, planner: Arc<Planner>, config: &Config) -> Self {
        let known = config.providers.iter().map(|provider| Known {
            name: provider.name.clone(),
            kind: provider.kind.as_str(),
            enabled: provider.enabled,
            mapping: provider.model_mapping.clone(),
        });
        let max_attempts = config.routing.max_attempts.get() as usize;
        Self { verifier, planner, providers: known.collect(), max_attempts }
    }

    pub(crate) fn explain(&self, mut headers: HeaderMap, body: Bytes) -> Result<Explanation, Error> {
        let client = self.verifier.check(&mut headers).map_err(|_| Error::Denied)?;
        let request = RelayRequest::new(Endpoint::Messages, None, headers, MessagesBody::parse(body)?)
            .with_client_credential(client.credential)
            .with_keys_allowed(client.keys_allowed);
        let model = request.body().model().to_string();
        let planned = self.planner.explain(&request);

        let place = |(index, candidate): (usize, &PlannedCandidate)| {
            let reason = match (&candidate.demotion, index) {
                (Some(behind), _) => format!("behind the others: {behind}"),
                (None, _) if !candidate.is_listed => "behind: its models do not list this one".to_owned(),
                (None, _) if candidate.credential == CredentialId::Client => "the client's own".to_owned(),
                (None, 0) if planned.is_affinity_hit => "the session is there".to_owned(),
                (None, 0) if planned.strategy != Strategy::Failover => {
                    format!("chosen by {}", planned.strategy.as_str())
                }
                (None, _) => format!("priority {}", candidate.priority),
            };
            let credential = Some(candidate.credential.to_string());
            self.considered(&candidate.provider, credential, &model, reason)
        };
        let mut order: Vec<_> = planned.candidates.iter().enumerate().map(place).collect();
        let mut left_out = order.split_off(self.max_attempts.min(order.len()));
        for late in &mut left_out {
            late.reason = format!("no more than {} are asked (routing.max_attempts)", self.max_attempts);
        }
        left_out.extend(planned.excluded.iter().map(|(provider, credential, reason)| {
            let credential = credential.as_ref().map(ToString::to_string);
            self.considered(provider, credential, &model, reason.clone())
        }));
        let disabled = self.providers.iter().filter(|provider| !provider.enabled);
        left_out.extend(disabled.map(|provider| {
            self.considered(&provider.name, None, &model, "it has enabled: false".to_owned())
        }));
        let refusal = match planned.error {
            Some(error) => Some(error.to_string()),
            None if order.is_empty() => Some("nobody can be asked at this moment".to_owned()),
            None => None,
        };
        Ok(Explanation { model, strategy: planned.strategy, order, left_out, refusal })
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
            model: mapped.map_or(model, |mapped| &**mapped).to_owned(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{AUTHORIZATION, HeaderValue};
    use relay_config::{Format, Loader};

    use super::*;
    use crate::Relay;

    fn explain(config: &str, bearer: Option<&'static str>) -> Result<Explanation, Error> {
        let config = Loader::new().with_text("c", Format::Yaml, config).load().unwrap().config;
        let headers = bearer.map(|value| (AUTHORIZATION, HeaderValue::from_static(value)));
        let body = Bytes::from_static(br#"{"model":"claude-opus-5-5"}"#);
        Relay::builder(config).without_proxy().build().unwrap().explain(headers.into_iter().collect(), body)
    }

    /// Asserts who is asked and who is not, as `provider model: reason`.
    #[track_caller]
    fn check(config: &str, bearer: Option<&'static str>, order: &[&str], left_out: &[&str]) {
        let explanation = explain(config, bearer).unwrap();
        let lines = |list: &[Considered]| -> Vec<String> {
            let line = |one: &Considered| format!("{} {}: {}", one.provider, one.model, one.reason);
            list.iter().map(line).collect()
        };
        assert_eq!(
            (lines(&explanation.order), lines(&explanation.left_out)),
            (owned(order), owned(left_out))
        );
        assert_eq!(explanation.refusal.is_none(), !order.is_empty(), "{explanation:?}");
    }

    fn owned(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn everybody_has_a_reason() {
        let providers = "
providers:
  - { name: a, type: mock, priority: 3, model_mapping: { 'claude-*': glm-5.3 } }
  - { name: b, type: mock, priority: 2 }
  - { name: c, type: mock, models: [other] }
  - { name: d, type: mock, enabled: false }
";
        let disabled = "d claude-opus-5-5: it has enabled: false";
        let unlisted = "c claude-opus-5-5: behind: its models do not list this one";
        let [first, second] = ["a glm-5.3: priority 3", "b claude-opus-5-5: priority 2"];
        check(providers, None, &[first, second, unlisted], &[disabled]);
        let in_turn = format!("{providers}routing: {{ strategy: round_robin, max_attempts: 2 }}");
        let late = "c claude-opus-5-5: no more than 2 are asked (routing.max_attempts)";
        check(&in_turn, None, &["a glm-5.3: chosen by round_robin", second], &[late, disabled]);
    }

    #[test]
    fn what_the_client_brings_is_admitted_as_in_a_request() {
        let token = Some("Bearer sk-ant-oat01-x");
        let provider = "providers: [{ name: a, type: anthropic }]";
        let closed = format!("server: {{ auth: {{ api_key: k }} }}\n{provider}");
        check(provider, token, &["a claude-opus-5-5: the client's own"], &[]);
        assert_eq!(explain(provider, None).unwrap().refusal, Some(Error::NoCredential.to_string()));
        assert!(matches!(explain(&closed, token), Err(Error::Denied)));
    }
}
