//! The order in which candidates are tried.
//!
//! ```text
//! providers ─can serve it─▶ those that list the model ─strategy─▶ the first, then the others by priority ─▶ Plan
//!                           the others, unless strict ──────────▶ by priority, behind
//! ```
//! Within a provider candidates go by their priority, and among equals `pooling` decides. Planning is a function of the
//! request and of whose turn it is; turns are all that changes, and each is taken under one lock, so that requests at
//! the same time take different ones.

mod by_model;
mod shuffle;
mod turns;
mod weighted;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
use relay_config::Strategy;
use relay_providers::{Endpoint, RelayRequest};

pub use by_model::ModelRoutes;
pub use shuffle::Deck;
pub use weighted::SmoothWeighted;

use crate::candidate::{Candidate, Credential, Upstream};
use crate::error::PlanError;
use turns::Turns;

/// Orders candidates for requests, and knows whose turn it is.
#[derive(Debug)]
pub struct Planner {
    /// By priority, equal ones in file order.
    upstreams: Vec<Upstream>,
    strategy: Strategy,
    strict_models: bool,
    routes: ModelRoutes,
    messages: Mutex<Turns>,
    /// Apart, so that a client that counts before each message does not take every other turn away.
    counts: Mutex<Turns>,
}

/// The candidates of one request with the provider of each, best first, and each once; never empty at first.
///
/// Among candidates of equal priority, one takes its turn when the plan gets to it: a provider that is not needed loses
/// none.
#[derive(Debug)]
pub struct Plan<'a> {
    tiers: VecDeque<Tier<'a>>,
    turns: &'a Mutex<Turns>,
}

/// Candidates of one provider among which it is a matter of turns who is tried first; never empty.
#[derive(Debug)]
struct Tier<'a> {
    upstream: &'a Upstream,
    /// The provider's index among all.
    index: usize,
    /// Indices among the provider's candidates, in their order.
    candidates: Vec<usize>,
}

impl<'a> Iterator for Plan<'a> {
    type Item = (&'a Upstream, &'a Candidate);

    fn next(&mut self) -> Option<Self::Item> {
        let tier = self.tiers.front_mut()?;
        let upstream = tier.upstream;
        let chosen = match tier.candidates[..] {
            [only] => only,
            _ => lock(self.turns).candidates[tier.index].take(&tier.candidates)?,
        };
        tier.candidates.retain(|candidate| *candidate != chosen);
        if tier.candidates.is_empty() {
            self.tiers.pop_front();
        }
        Some((upstream, &upstream.candidates()[chosen]))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.tiers.iter().map(|tier| tier.candidates.len()).sum();
        (left, Some(left))
    }
}

impl ExactSizeIterator for Plan<'_> {}

impl Planner {
    /// Plans over `upstreams`, given in file order. With `strict_models`, a provider that lists models is asked for
    /// those alone.
    #[must_use]
    pub fn new(mut upstreams: Vec<Upstream>, strategy: Strategy, strict_models: bool) -> Self {
        // A provider ranks by its best candidate; equal ones stay in file order.
        let rank = |upstream: &Upstream| upstream.candidates().iter().map(Candidate::priority).max();
        upstreams.sort_by_key(|upstream| std::cmp::Reverse(rank(upstream)));
        let mut random = Rng::new();
        let mut turns = || Mutex::new(Turns::new(&upstreams, strategy, &mut random));
        let (messages, counts) = (turns(), turns());
        Self { upstreams, strategy, strict_models, routes: ModelRoutes::default(), messages, counts }
    }

    /// What [`Strategy::ModelBased`] goes by; without, it is [`Strategy::Failover`]. A route to a provider that is not
    /// there, or cannot take the request, has no effect on it.
    #[must_use]
    pub fn with_routes(mut self, routes: ModelRoutes) -> Self {
        self.routes = routes;
        self
    }

    /// Makes chance repeatable: all turns begin anew, and the same seed brings the same ones.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        for turns in [&mut self.messages, &mut self.counts] {
            *turns = Mutex::new(Turns::new(&self.upstreams, self.strategy, &mut random));
        }
        self
    }

    /// The strategy's name.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// The providers by priority.
    #[must_use]
    pub fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// The candidates for `request`: those of the provider that the strategy chooses, then those of the others by
    /// priority. A provider that lists models without this one comes last, whatever the strategy. Takes the turn of the
    /// chosen provider; one that cannot take the request has none.
    ///
    /// # Errors
    /// [`PlanError`] says why there is none.
    pub fn plan(&self, request: &RelayRequest) -> Result<Plan<'_>, PlanError> {
        let model = request.body().model();
        if self.upstreams.is_empty() {
            return Err(PlanError::NoProvider);
        }
        let (listed, mut unlisted): (Vec<usize>, Vec<usize>) =
            (0..self.upstreams.len()).partition(|&index| self.upstreams[index].lists(model));
        if self.strict_models {
            unlisted.clear();
        }
        if listed.is_empty() && unlisted.is_empty() {
            return Err(PlanError::UnknownModel { model: model.to_string() });
        }
        let can_serve = |index: &usize| usable(&self.upstreams[*index], request).next().is_some();
        let [mut first, mut last] =
            [listed, unlisted].map(|group| group.into_iter().filter(can_serve).collect::<Vec<_>>());
        if first.is_empty() {
            std::mem::swap(&mut first, &mut last);
        }
        let turns = match request.endpoint() {
            Endpoint::Messages => &self.messages,
            Endpoint::CountTokens => &self.counts,
        };
        if let Some(place) = self.choose(&first, model, turns) {
            first[..=place].rotate_right(1);
        }
        let tiers: VecDeque<_> =
            first.into_iter().chain(last).flat_map(|index| self.tiers(index, request)).collect();
        match tiers.is_empty() {
            false => Ok(Plan { tiers, turns }),
            true if !request.keys_allowed() => Err(PlanError::KeysNotAllowed),
            true => Err(PlanError::NoCredential),
        }
    }

    /// The place among these providers of the one that the strategy puts first, if it does.
    fn choose(&self, among: &[usize], model: &str, turns: &Mutex<Turns>) -> Option<usize> {
        if self.strategy == Strategy::ModelBased {
            let name = self.routes.provider(model)?;
            return among.iter().position(|&index| self.upstreams[index].name() == name);
        }
        let chosen = lock(turns).providers.take(among)?;
        among.iter().position(|&index| index == chosen)
    }

    fn tiers(&self, index: usize, request: &RelayRequest) -> Vec<Tier<'_>> {
        let upstream = &self.upstreams[index];
        let usable: Vec<usize> = usable(upstream, request).collect();
        // A client's credential has its place ahead or behind, and takes no turns with keys.
        let tier = |candidate: &usize| {
            let candidate = &upstream.candidates()[*candidate];
            (*candidate.credential() == Credential::Client, candidate.priority())
        };
        let tiers = usable.chunk_by(|one, next| tier(one) == tier(next));
        tiers.map(|candidates| Tier { upstream, index, candidates: candidates.to_vec() }).collect()
    }
}

/// No panic can leave turns half taken, so that a poisoned lock is as good as any.
fn lock(turns: &Mutex<Turns>) -> MutexGuard<'_, Turns> {
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `upstream` can be asked with for `request`, as indices of its candidates. A subscription goes ahead of the
/// provider's keys; any other credential of the client's is used only where the provider has none of its own.
fn usable<'a>(upstream: &'a Upstream, request: &RelayRequest) -> impl Iterator<Item = usize> + use<'a> {
    let keys_allowed = request.keys_allowed();
    let is_key = |candidate: &Candidate| matches!(candidate.credential(), Credential::Key(_));
    let has_key = keys_allowed && upstream.candidates().iter().any(is_key);
    let (ahead, behind) = match request.client_credential() {
        Some(client) if client.is_subscription() => (true, false),
        Some(_) => (false, !has_key),
        None => (false, false),
    };
    let those = |is_usable: fn(&Credential, bool) -> bool| {
        let candidates = upstream.candidates().iter().enumerate();
        candidates
            .filter(move |(_, candidate)| is_usable(candidate.credential(), keys_allowed))
            .map(|(index, _)| index)
    };
    let client = || those(|credential, _| *credential == Credential::Client);
    let own = those(|credential, keys_allowed| match credential {
        Credential::Key(_) => keys_allowed,
        Credential::None => true,
        Credential::Client => false,
    });
    client().filter(move |_| ahead).chain(own).chain(client().filter(move |_| behind))
}

#[cfg(test)]
mod tests {
    use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
    use relay_config::{KeyId, Pooling, ProviderName, Secret};
    use relay_providers::{AttemptError, ClientCredential, Endpoint, MessagesBody};
    use std::num::NonZeroU32;
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
    fn a_model_is_listed_if_the_one_that_it_is_mapped_to_is() {
        let mapping = [("claude-opus-*", "glm-5.3"), ("claude-*", "glm-0")];
        let mapping =
            mapping.map(|(name, target)| (name.to_owned(), target.to_owned())).into_iter().collect();
        let mapped = upstream("a", &["glm-5.3"], &[("k", 2)]).with_mapping(mapping);
        let other = upstream("b", &["claude-sonnet-5-5"], &[("k", 1)]);
        let planner = Planner::new(vec![mapped, other], Strategy::Failover, true);
        assert_eq!(names(&planner, &about("claude-opus-5-5")), "a");
        assert_eq!(names(&planner, &about("glm-5.3")), "a");
        assert_eq!(names(&planner, &about("claude-sonnet-5-5")), "b");
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

    fn weight(weight: u32) -> NonZeroU32 {
        NonZeroU32::new(weight).unwrap()
    }

    /// Providers `a`, `b` … with these weights, the first with the highest priority, and a key each.
    fn shares(weights: &[u32]) -> Vec<Upstream> {
        let upstreams = ["a", "b", "c", "d", "e"].iter().zip(weights).zip((0..10).rev());
        upstreams
            .map(|((name, &share), priority)| {
                upstream(name, &[], &[(name, priority)]).with_share(weight(share))
            })
            .collect()
    }

    fn names(planner: &Planner, request: &RelayRequest) -> String {
        planner.plan(request).unwrap().map(|(upstream, _)| upstream.name().to_string()).collect()
    }

    fn keys(planner: &Planner) -> String {
        let plan = planner.plan(&request(None)).unwrap();
        let id = |name: &str| KeyId::of(&Secret::new(name));
        plan.map(|(_, candidate)| {
            let is = |name: &&str| *candidate.credential() == Credential::Key(id(name));
            ["a", "b", "c", "d"].into_iter().find(is).unwrap_or("?")
        })
        .collect()
    }

    fn about(model: &str) -> RelayRequest {
        let body = MessagesBody::parse(format!(r#"{{"model":"{model}"}}"#).into()).unwrap();
        RelayRequest::new(Endpoint::Messages, None, HeaderMap::new(), body)
    }

    #[test]
    fn each_strategy_chooses_the_first_and_the_others_follow_by_priority() {
        #[track_caller]
        fn check(strategy: Strategy, weights: &[u32], expected: &[&str]) {
            let planner = Planner::new(shares(weights), strategy, false).with_seed(1);
            let found: Vec<_> = expected.iter().map(|_| names(&planner, &request(None))).collect();
            assert_eq!(found, expected, "{strategy:?}");
        }
        check(Strategy::Failover, &[1, 9, 1], &["abc", "abc", "abc"]);
        check(Strategy::ModelBased, &[1, 9, 1], &["abc", "abc", "abc"]);
        check(Strategy::RoundRobin, &[1, 9, 1], &["abc", "bac", "cab", "abc", "bac", "cab"]);
        check(Strategy::WeightedRoundRobin, &[2, 1], &["ab", "ba", "ab", "ab", "ba", "ab"]);
        check(Strategy::WeightedRoundRobin, &[1, 3], &["ba", "ab", "ba", "ba", "ba", "ab", "ba", "ba"]);
    }

    #[test]
    fn a_shuffle_puts_each_first_once_in_a_round() {
        let planner = Planner::new(shares(&[1; 5]), Strategy::Shuffle, false).with_seed(3);
        let again = Planner::new(shares(&[1; 5]), Strategy::Shuffle, false).with_seed(3);
        for _ in 0..20 {
            let round: Vec<_> = (0..5).map(|_| names(&planner, &request(None))).collect();
            let mut first: Vec<_> = round.iter().map(|plan| &plan[..1]).collect();
            first.sort_unstable();
            assert_eq!(first.concat(), "abcde");
            assert_eq!(round, (0..5).map(|_| names(&again, &request(None))).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_model_decides_by_its_longest_prefix_then_by_default() {
        let routes = || {
            let route = |prefix: &str, name: &str| (prefix.to_owned(), ProviderName::new(name));
            ModelRoutes::new([route("claude-", "b"), route("claude-haiku-", "c"), route("gone", "nobody")])
        };
        let planner = || Planner::new(shares(&[1; 3]), Strategy::ModelBased, false);
        let without = planner().with_routes(routes());
        let with = planner().with_routes(routes().with_default(Some(ProviderName::new("c"))));
        for (model, expected, by_default) in [
            ("claude-opus-5-5", "bac", "bac"),
            ("claude-haiku-4-5", "cab", "cab"),
            ("glm-5.3", "abc", "cab"),
            ("gone", "abc", "abc"),
        ] {
            assert_eq!(names(&without, &about(model)), expected, "{model}");
            assert_eq!(names(&with, &about(model)), by_default, "{model}");
        }
    }

    #[test]
    fn turns_are_among_the_providers_that_list_the_model() {
        let upstreams = || {
            vec![
                upstream("a", &["glm"], &[("k", 4)]),
                upstream("b", &["opus", "haiku"], &[("k", 3)]),
                upstream("c", &[], &[("k", 2)]),
                upstream("d", &["opus"], &[("client", 1)]),
            ]
        };
        let planner = Planner::new(upstreams(), Strategy::RoundRobin, false);
        // `d` cannot be asked, as the client has no credential.
        let found: Vec<_> = (0..4).map(|_| names(&planner, &about("opus"))).collect();
        assert_eq!(found, ["bca", "cba", "bca", "cba"]);
        let unlisted = Planner::new(upstreams().drain(..2).collect(), Strategy::RoundRobin, false);
        let found: Vec<_> = (0..2).map(|_| names(&unlisted, &about("other"))).collect();
        assert_eq!(found, ["ab", "ba"]);
        let routes = ModelRoutes::new([("opus".to_owned(), ProviderName::new("a"))]);
        let by_model = Planner::new(upstreams(), Strategy::ModelBased, false).with_routes(routes.clone());
        assert_eq!(names(&by_model, &about("opus")), "bca");
        let strict = Planner::new(upstreams(), Strategy::ModelBased, true).with_routes(routes);
        assert_eq!(names(&strict, &about("opus")), "bc");
    }

    #[test]
    fn alternating_models_do_not_pin_each_to_one_provider() {
        for strategy in [Strategy::RoundRobin, Strategy::Shuffle] {
            let upstreams = vec![
                upstream("a", &["opus"], &[("k", 1)]),
                upstream("b", &["opus"], &[("k", 1)]),
                upstream("c", &["haiku"], &[("k", 1)]),
                upstream("d", &["haiku"], &[("k", 1)]),
            ];
            let planner = Planner::new(upstreams, strategy, true);
            let mut first: Vec<_> = (0..80)
                .map(|turn| names(&planner, &about(["opus", "haiku"][turn % 2]))[..1].to_owned())
                .collect();
            first.sort_unstable();
            assert_eq!(first.concat(), ["a", "b", "c", "d"].map(|name| name.repeat(20)).concat());
        }
    }

    #[test]
    fn counting_tokens_takes_no_turn_from_messages() {
        let planner = Planner::new(shares(&[1, 1]), Strategy::RoundRobin, false);
        let body = MessagesBody::parse(r#"{"model":"m"}"#.into()).unwrap();
        let count = RelayRequest::new(Endpoint::CountTokens, None, HeaderMap::new(), body);
        for expected in ["ab", "ba", "ab", "ba"] {
            assert_eq!(
                (names(&planner, &count), names(&planner, &request(None))),
                (expected.into(), expected.into())
            );
        }
    }

    #[test]
    fn pooling_chooses_among_keys_of_equal_priority() {
        let candidates = || {
            let keys = [("a", 1, 2), ("b", 1, 1), ("c", 0, 1), ("d", 0, 1)];
            let keys = keys.map(|(key, rank, share)| candidate(key, rank).with_weight(weight(share)));
            Upstream::new(ProviderName::new("p"), vec![], Duration::from_secs(90), keys.into())
        };
        #[track_caller]
        fn check(upstream: Upstream, expected: &[&str]) {
            let planner = Planner::new(vec![upstream], Strategy::Failover, false).with_seed(1);
            let found: Vec<_> = expected.iter().map(|_| keys(&planner)).collect();
            assert_eq!(found, expected);
        }
        check(candidates(), &["abcd", "abcd"]);
        check(candidates().with_pooling(Pooling::RoundRobin), &["abcd", "badc", "abcd", "badc"]);
        check(
            candidates().with_pooling(Pooling::Weighted),
            &["abcd", "badc", "abcd", "abdc", "bacd", "abdc"],
        );
        let random =
            Planner::new(vec![candidates().with_pooling(Pooling::Random)], Strategy::Failover, false)
                .with_seed(1);
        let mut seen: Vec<_> = (0..100).map(|_| keys(&random)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, ["abcd", "abdc", "bacd", "badc"]);
    }

    #[test]
    fn a_key_that_is_not_needed_keeps_its_turn() {
        let two = |name: &str| upstream(name, &[], &[("a", 1), ("b", 1)]).with_pooling(Pooling::RoundRobin);
        let planner = Planner::new(vec![two("first"), two("second")], Strategy::RoundRobin, false);
        // Each provider is the first every other time, and nothing is tried beyond its first key.
        let used: Vec<_> = (0..8)
            .map(|_| {
                let (upstream, candidate) = planner.plan(&request(None)).unwrap().next().unwrap();
                (upstream.name().to_string(), candidate.credential().clone())
            })
            .collect();
        let count = |name: &str, key: &str| {
            let key = Credential::Key(KeyId::of(&Secret::new(key)));
            used.iter().filter(|(used, credential)| used == name && *credential == key).count()
        };
        assert_eq!(["first", "second"].map(|name| (count(name, "a"), count(name, "b"))), [(2, 2), (2, 2)]);
    }

    #[test]
    fn every_usable_candidate_is_in_every_plan_exactly_once() {
        let strategies = [
            Strategy::Failover,
            Strategy::RoundRobin,
            Strategy::WeightedRoundRobin,
            Strategy::Shuffle,
            Strategy::ModelBased,
        ];
        let pooling = [Pooling::LeastLoaded, Pooling::RoundRobin, Pooling::Random, Pooling::Weighted];
        let mut random = Rng::with_seed(6);
        for round in 0..300 {
            let upstreams: Vec<_> = (0..random.usize(1..5))
                .map(|index| {
                    let candidates = (0..random.usize(1..5)).map(|key| {
                        let key = candidate(&format!("{index}-{key}"), random.i32(0..2));
                        key.with_weight(weight(random.u32(1..4)))
                    });
                    let candidates = candidates.collect();
                    let models = if random.bool() { vec![] } else { vec!["m".to_owned()] };
                    let name = ProviderName::new(index.to_string());
                    Upstream::new(name, models, Duration::from_secs(90), candidates)
                        .with_share(weight(random.u32(1..4)))
                        .with_pooling(pooling[random.usize(..pooling.len())])
                })
                .collect();
            let all: usize = upstreams.iter().map(|upstream| upstream.candidates().len()).sum();
            let routes = ModelRoutes::new([("o".to_owned(), ProviderName::new("1"))]);
            let planner =
                Planner::new(upstreams, strategies[round % strategies.len()], false).with_routes(routes);
            for model in ["m", "other", "m"] {
                let plan = planner.plan(&about(model)).unwrap();
                assert_eq!(plan.len(), all);
                let mut found: Vec<_> = plan
                    .map(|(upstream, candidate)| format!("{} {}", upstream.name(), candidate.credential()))
                    .collect();
                found.sort_unstable();
                found.dedup();
                assert_eq!(found.len(), all, "{planner:?}");
            }
        }
    }

    #[test]
    fn threads_do_not_skew_the_cycle() {
        for strategy in [Strategy::RoundRobin, Strategy::WeightedRoundRobin, Strategy::Shuffle] {
            let weights = if strategy == Strategy::WeightedRoundRobin { [3, 2, 1] } else { [2, 2, 2] };
            let planner = Planner::new(shares(&weights), strategy, false);
            let work =
                || (0..600).map(|_| names(&planner, &request(None))[..1].to_owned()).collect::<Vec<_>>();
            let mut first: Vec<String> = std::thread::scope(|scope| {
                [scope.spawn(work), scope.spawn(work)].into_iter().flat_map(|t| t.join().unwrap()).collect()
            });
            first.sort_unstable();
            let expected =
                ["a", "b", "c"].iter().zip(weights).map(|(name, share)| name.repeat(share as usize * 200));
            assert_eq!(first.concat(), expected.collect::<String>(), "{strategy:?}");
        }
    }
}
