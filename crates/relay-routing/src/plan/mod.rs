//! The order in which candidates are tried.

mod by_model;
mod shuffle;
mod weighted;

use relay_config::Strategy;
use relay_providers::RelayRequest;

pub use by_model::ModelRoutes;
pub use shuffle::Deck;
pub use weighted::SmoothWeighted;

use crate::candidate::{Candidate, Credential, Upstream};
use crate::error::PlanError;

/// Orders candidates for requests. Holds nothing that changes.
#[derive(Debug)]
pub struct Planner {
    /// In the order in which `strategy` tries them.
    upstreams: Vec<Upstream>,
    strategy: Strategy,
    strict_models: bool,
}

/// Candidates of one request with the provider of each, best first; never empty.
#[derive(Debug)]
pub struct Plan<'a>(Vec<(&'a Upstream, &'a Candidate)>);

impl<'a> Plan<'a> {
    /// The candidates in the order to try them.
    #[must_use]
    pub fn candidates(&self) -> &[(&'a Upstream, &'a Candidate)] {
        &self.0
    }
}

impl Planner {
    /// Plans over `upstreams`, given in file order. With `strict_models`, a provider that lists models is asked for
    /// those alone.
    #[must_use]
    pub fn new(mut upstreams: Vec<Upstream>, strategy: Strategy, strict_models: bool) -> Self {
        // A provider ranks by its best candidate; equal ones stay in file order.
        let rank = |upstream: &Upstream| upstream.candidates().iter().map(Candidate::priority).max();
        upstreams.sort_by_key(|upstream| std::cmp::Reverse(rank(upstream)));
        Self { upstreams, strategy, strict_models }
    }

    /// The strategy's name.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// The providers, in the order in which they are tried.
    #[must_use]
    pub fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// The candidates for `request`: those of the best provider, then those of the next. A provider that lists models
    /// without this one comes last.
    ///
    /// # Errors
    /// [`PlanError`] says why there is none.
    pub fn plan(&self, request: &RelayRequest) -> Result<Plan<'_>, PlanError> {
        let model = request.body().model();
        let (listed, unlisted): (Vec<_>, Vec<_>) =
            self.upstreams.iter().partition(|upstream| upstream.lists(model));
        let rest = if self.strict_models { Vec::new() } else { unlisted };
        if self.upstreams.is_empty() {
            return Err(PlanError::NoProvider);
        }
        if listed.is_empty() && rest.is_empty() {
            return Err(PlanError::UnknownModel { model: model.to_string() });
        }
        let candidates: Vec<_> = listed
            .into_iter()
            .chain(rest)
            .flat_map(|upstream| usable(upstream, request).map(move |candidate| (upstream, candidate)))
            .collect();
        match candidates.is_empty() {
            false => Ok(Plan(candidates)),
            true if !request.keys_allowed() => Err(PlanError::KeysNotAllowed),
            true => Err(PlanError::NoCredential),
        }
    }
}

/// What `upstream` can be asked with for `request`. A subscription goes ahead of the provider's keys; any other
/// credential of the client's is used only where the provider has none of its own.
fn usable<'a>(upstream: &'a Upstream, request: &RelayRequest) -> impl Iterator<Item = &'a Candidate> {
    let keys_allowed = request.keys_allowed();
    let is_key = |candidate: &Candidate| matches!(candidate.credential(), Credential::Key(_));
    let has_key = keys_allowed && upstream.candidates().iter().any(is_key);
    let (ahead, behind) = match request.client_credential() {
        Some(client) if client.is_subscription() => (true, false),
        Some(_) => (false, !has_key),
        None => (false, false),
    };
    let client =
        || upstream.candidates().iter().filter(|candidate| *candidate.credential() == Credential::Client);
    let own = upstream.candidates().iter().filter(move |candidate| match candidate.credential() {
        Credential::Key(_) => keys_allowed,
        Credential::None => true,
        Credential::Client => false,
    });
    client().filter(move |_| ahead).chain(own).chain(client().filter(move |_| behind))
}

#[cfg(test)]
mod tests {
    use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
    use relay_config::{KeyId, ProviderName, Secret};
    use relay_providers::{AttemptError, ClientCredential, Endpoint, MessagesBody};
    use std::time::Duration;
    use tower::service_fn;

    use super::*;
    use crate::candidate::UpstreamService;

    fn candidate(credential: &str, priority: i32) -> Candidate {
        let credential = match credential {
            "client" => Credential::Client,
            "none" => Credential::None,
            key => Credential::Key(KeyId::of(&Secret::new(key))),
        };
        let service = service_fn(|_| async { Err(AttemptError::Scripted) });
        Candidate::new(credential, priority, UpstreamService::new(service))
    }

    fn upstream(name: &str, models: &[&str], candidates: &[(&str, i32)]) -> Upstream {
        let candidates =
            candidates.iter().map(|(credential, priority)| candidate(credential, *priority)).collect();
        let models = models.iter().copied().map(str::to_owned).collect();
        Upstream::new(ProviderName::new(name), models, Duration::from_secs(90), candidates)
    }

    fn request(token: Option<&'static str>) -> RelayRequest {
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, HeaderValue::from_static(token));
        }
        let credential = ClientCredential::take(&mut headers, |_| true);
        let body = MessagesBody::parse(r#"{"model":"claude-opus-5-5"}"#.into()).unwrap();
        RelayRequest::new(Endpoint::Messages, None, headers, body).with_client_credential(credential)
    }

    #[track_caller]
    fn check(upstreams: Vec<Upstream>, strict: bool, request: &RelayRequest, expected: &[(&str, &str)]) {
        let planner = Planner::new(upstreams, Strategy::Failover, strict);
        let plan = planner.plan(request).unwrap();
        let found: Vec<(&str, String)> = plan
            .candidates()
            .iter()
            .map(|(upstream, candidate)| (upstream.name().as_str(), candidate.credential().to_string()))
            .collect();
        let expected: Vec<(&str, String)> = expected
            .iter()
            .map(|&(name, credential)| (name, self::candidate(credential, 0).credential().to_string()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn providers_go_by_their_best_key_and_keys_by_their_priority() {
        let upstreams = vec![
            upstream("ollama", &[], &[("none", 0)]),
            upstream("zai", &[], &[("z1", 1), ("z2", 3)]),
            upstream("anthropic", &[], &[("a1", 1), ("a2", 2), ("a3", 3)]),
        ];
        let order = [
            ("zai", "z2"),
            ("zai", "z1"),
            ("anthropic", "a3"),
            ("anthropic", "a2"),
            ("anthropic", "a1"),
            ("ollama", "none"),
        ];
        check(upstreams, false, &request(None), &order);
    }

    #[test]
    fn a_provider_that_does_not_list_the_model_comes_last_or_never() {
        let upstreams = || {
            vec![
                upstream("other", &["glm-5.3"], &[("k", 9)]),
                upstream("listed", &["claude-opus-5-5"], &[("k", 1)]),
                upstream("any", &[], &[("k", 2)]),
            ]
        };
        check(upstreams(), false, &request(None), &[("any", "k"), ("listed", "k"), ("other", "k")]);
        check(upstreams(), true, &request(None), &[("any", "k"), ("listed", "k")]);
        let strict =
            Planner::new(vec![upstream("other", &["glm-5.3"], &[("k", 1)])], Strategy::Failover, true);
        assert!(
            matches!(strict.plan(&request(None)), Err(PlanError::UnknownModel { model }) if model == "claude-opus-5-5")
        );
    }

    #[test]
    fn a_subscription_goes_ahead_of_keys_and_another_credential_only_where_there_are_none() {
        let upstreams = || {
            vec![
                upstream("keyed", &[], &[("k", 1), ("client", 1)]),
                upstream("bare", &[], &[("client", 1)]),
                upstream("zai", &[], &[("z", 1)]),
                upstream("ollama", &[], &[("none", 1)]),
            ]
        };
        check(upstreams(), false, &request(None), &[("keyed", "k"), ("zai", "z"), ("ollama", "none")]);
        check(
            upstreams(),
            false,
            &request(Some("Bearer sk-ant-api03-x")),
            &[("keyed", "k"), ("bare", "client"), ("zai", "z"), ("ollama", "none")],
        );
        let subscription = request(Some("Bearer sk-ant-oat01-x"));
        check(
            upstreams(),
            false,
            &subscription,
            &[("keyed", "client"), ("keyed", "k"), ("bare", "client"), ("zai", "z"), ("ollama", "none")],
        );
        check(
            upstreams(),
            false,
            &subscription.with_keys_allowed(false),
            &[("keyed", "client"), ("bare", "client"), ("ollama", "none")],
        );
    }

    #[test]
    fn no_candidate_has_its_reason() {
        let none = Planner::new(vec![], Strategy::Failover, false);
        assert!(matches!(none.plan(&request(None)), Err(PlanError::NoProvider)));
        let bare = Planner::new(vec![upstream("bare", &[], &[("client", 1)])], Strategy::Failover, false);
        assert!(matches!(bare.plan(&request(None)), Err(PlanError::NoCredential)));
        let keyed = Planner::new(vec![upstream("keyed", &[], &[("k", 1)])], Strategy::Failover, false);
        let subscription = request(Some("Bearer sk-ant-oat01-x")).with_keys_allowed(false);
        assert!(matches!(keyed.plan(&subscription), Err(PlanError::KeysNotAllowed)));
    }
}
