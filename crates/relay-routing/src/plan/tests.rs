//! Plans: their candidates and the order of these.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use relay_config::{KeyId, Pooling, ProviderName, Secret, Strategy};
use relay_messages::MessagesBody;
use relay_providers::{
    Answer, AnswerBody, AttemptError, ClientCredential, Endpoint, LimitScope, Outcome, RelayRequest,
};
use tower::service_fn;

use super::attempts::NextAttempt;
use super::model_routes::ModelRoutes;
use super::planner::Planner;
use crate::affinity::AffinityTable;
use crate::candidate::{Candidate, CandidateService, CredentialId, ProviderPool};
use crate::clock;
use crate::error::PlanError;

pub(super) fn candidate(credential: &str, priority: i32) -> Candidate {
    let credential = match credential {
        "client" => CredentialId::Client,
        "none" => CredentialId::None,
        key => CredentialId::Key(KeyId::of(&Secret::new(key))),
    };
    let service = service_fn(|_| async { Err(AttemptError::Scripted) });
    Candidate::new(credential, priority, CandidateService::new(service))
}

pub(super) fn pool(name: &str, models: &[&str], candidates: &[(&str, i32)]) -> ProviderPool {
    let candidates =
        candidates.iter().map(|(credential, priority)| candidate(credential, *priority)).collect();
    let models = models.iter().copied().map(str::to_owned).collect();
    ProviderPool::new(ProviderName::new(name), models, Duration::from_secs(90), candidates)
}

pub(super) fn request(token: Option<&'static str>) -> RelayRequest {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        headers.insert(AUTHORIZATION, HeaderValue::from_static(token));
    }
    let credential = ClientCredential::take(&mut headers, |_| true);
    let body = MessagesBody::parse(r#"{"model":"claude-opus-5-5"}"#.into()).unwrap();
    RelayRequest::new(Endpoint::Messages, None, headers, body).with_client_credential(credential)
}

/// Returns all candidates in the order in which they are tried if each fails.
fn order<'a>(planner: &'a Planner, request: &RelayRequest) -> Vec<(&'a ProviderPool, &'a Candidate)> {
    let now = clock::now();
    let mut plan = planner.plan(request, now).unwrap();
    let mut order = Vec::new();
    while let NextAttempt::Try(leased) = plan.next(now) {
        let names = (leased.pool.name(), leased.candidate.credential());
        order.push(find(planner, names));
    }
    order
}

fn find<'a>(
    planner: &'a Planner,
    (name, credential): (&ProviderName, &CredentialId),
) -> (&'a ProviderPool, &'a Candidate) {
    let pool = planner.pools().iter().find(|pool| pool.name() == name).unwrap();
    let is_it = |candidate: &&Candidate| candidate.credential() == credential;
    (pool, pool.candidates().iter().find(is_it).unwrap())
}

#[track_caller]
fn check(pools: Vec<ProviderPool>, strict: bool, request: &RelayRequest, expected: &[(&str, &str)]) {
    let planner = Planner::new(pools, Strategy::Failover, strict);
    let found: Vec<(&str, String)> = order(&planner, request)
        .into_iter()
        .map(|(pool, candidate)| (pool.name().as_str(), candidate.credential().to_string()))
        .collect();
    let expected: Vec<(&str, String)> = expected
        .iter()
        .map(|&(name, credential)| (name, self::candidate(credential, 0).credential().to_string()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn providers_are_ordered_by_their_best_key_and_keys_by_their_priority() {
    let pools = vec![
        pool("ollama", &[], &[("none", 0)]),
        pool("zai", &[], &[("z1", 1), ("z2", 3)]),
        pool("anthropic", &[], &[("a1", 1), ("a2", 2), ("a3", 3)]),
    ];
    let order = [
        ("zai", "z2"),
        ("zai", "z1"),
        ("anthropic", "a3"),
        ("anthropic", "a2"),
        ("anthropic", "a1"),
        ("ollama", "none"),
    ];
    check(pools, false, &request(None), &order);
}

#[test]
fn a_provider_that_does_not_list_the_model_comes_last_or_never() {
    let pools = || {
        vec![
            pool("other", &["glm-5.3"], &[("k", 9)]),
            pool("listed", &["claude-opus-5-5"], &[("k", 1)]),
            pool("any", &[], &[("k", 2)]),
        ]
    };
    check(pools(), false, &request(None), &[("any", "k"), ("listed", "k"), ("other", "k")]);
    check(pools(), true, &request(None), &[("any", "k"), ("listed", "k")]);
    let strict = Planner::new(vec![pool("other", &["glm-5.3"], &[("k", 1)])], Strategy::Failover, true);
    assert!(
        matches!(strict.plan(&request(None), clock::now()), Err(PlanError::UnknownModel { model }) if model == "claude-opus-5-5")
    );
}

#[test]
fn a_model_is_listed_if_it_is_mapped_to_a_listed_model() {
    let mapping = [("claude-opus-*", "glm-5.3"), ("claude-*", "glm-0")];
    let mapping = mapping.map(|(name, target)| (name.to_owned(), target.to_owned())).into_iter().collect();
    let mapped = pool("a", &["glm-5.3"], &[("k", 2)]).with_mapping(mapping);
    let other = pool("b", &["claude-sonnet-5-5"], &[("k", 1)]);
    let planner = Planner::new(vec![mapped, other], Strategy::Failover, true);
    assert_eq!(names(&planner, &about("claude-opus-5-5")), "a");
    assert_eq!(names(&planner, &about("glm-5.3")), "a");
    assert_eq!(names(&planner, &about("claude-sonnet-5-5")), "b");
}

#[test]
fn a_subscription_comes_before_keys_and_another_credential_is_used_only_without_keys() {
    let pools = || {
        vec![
            pool("keyed", &[], &[("k", 1), ("client", 1)]),
            pool("bare", &[], &[("client", 1)]),
            pool("zai", &[], &[("z", 1)]),
            pool("ollama", &[], &[("none", 1)]),
        ]
    };
    check(pools(), false, &request(None), &[("keyed", "k"), ("zai", "z"), ("ollama", "none")]);
    check(
        pools(),
        false,
        &request(Some("Bearer sk-ant-api03-x")),
        &[("keyed", "k"), ("bare", "client"), ("zai", "z"), ("ollama", "none")],
    );
    let subscription = request(Some("Bearer sk-ant-oat01-x"));
    check(
        pools(),
        false,
        &subscription,
        &[("keyed", "client"), ("keyed", "k"), ("bare", "client"), ("zai", "z"), ("ollama", "none")],
    );
    check(
        pools(),
        false,
        &subscription.with_keys_allowed(false),
        &[("keyed", "client"), ("bare", "client"), ("ollama", "none")],
    );
}

#[test]
fn an_error_names_the_reason_for_which_no_candidate_can_serve() {
    let none = Planner::new(vec![], Strategy::Failover, false);
    assert!(matches!(none.plan(&request(None), clock::now()), Err(PlanError::NoProvider)));
    let bare = Planner::new(vec![pool("bare", &[], &[("client", 1)])], Strategy::Failover, false);
    assert!(matches!(bare.plan(&request(None), clock::now()), Err(PlanError::NoCredential)));
    let keyed = Planner::new(vec![pool("keyed", &[], &[("k", 1)])], Strategy::Failover, false);
    let subscription = request(Some("Bearer sk-ant-oat01-x")).with_keys_allowed(false);
    assert!(matches!(keyed.plan(&subscription, clock::now()), Err(PlanError::KeysNotAllowed)));
}

fn weight(weight: u32) -> NonZeroU32 {
    NonZeroU32::new(weight).unwrap()
}

/// Creates providers `a`, `b` … with one key each and these weights, the first with the highest priority.
fn weighted(weights: &[u32]) -> Vec<ProviderPool> {
    let pools = ["a", "b", "c", "d", "e"].iter().zip(weights).zip((0..10).rev());
    pools
        .map(|((name, &share), priority)| pool(name, &[], &[(name, priority)]).with_weight(weight(share)))
        .collect()
}

pub(super) fn names(planner: &Planner, request: &RelayRequest) -> String {
    order(planner, request).into_iter().map(|(pool, _)| pool.name().to_string()).collect()
}

fn keys(planner: &Planner) -> String {
    let id = |name: &str| KeyId::of(&Secret::new(name));
    let name = |(_, candidate): (&ProviderPool, &Candidate)| {
        let is = |name: &&str| *candidate.credential() == CredentialId::Key(id(name));
        ["a", "b", "c", "d"].into_iter().find(is).unwrap_or("?")
    };
    order(planner, &request(None)).into_iter().map(name).collect()
}

fn about(model: &str) -> RelayRequest {
    let body = MessagesBody::parse(format!(r#"{{"model":"{model}"}}"#).into()).unwrap();
    RelayRequest::new(Endpoint::Messages, None, HeaderMap::new(), body)
}

#[test]
fn each_strategy_chooses_the_first_and_the_others_follow_by_priority() {
    #[track_caller]
    fn check(strategy: Strategy, weights: &[u32], expected: &[&str]) {
        let planner = Planner::new(weighted(weights), strategy, false).with_seed(1);
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
    let planner = Planner::new(weighted(&[1; 5]), Strategy::Shuffle, false).with_seed(3);
    let again = Planner::new(weighted(&[1; 5]), Strategy::Shuffle, false).with_seed(3);
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
        ModelRoutes::new([route("claude-", "b"), route("claude-haiku-", "c"), route("gone", "missing")])
    };
    let planner = || Planner::new(weighted(&[1; 3]), Strategy::ModelBased, false);
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
fn the_rotation_is_among_the_providers_that_list_the_model() {
    let pools = || {
        vec![
            pool("a", &["glm"], &[("k", 4)]),
            pool("b", &["opus", "haiku"], &[("k", 3)]),
            pool("c", &[], &[("k", 2)]),
            pool("d", &["opus"], &[("client", 1)]),
        ]
    };
    let planner = Planner::new(pools(), Strategy::RoundRobin, false);
    // `d` cannot be tried: the client has no credential.
    let found: Vec<_> = (0..4).map(|_| names(&planner, &about("opus"))).collect();
    assert_eq!(found, ["bca", "cba", "bca", "cba"]);
    let unlisted = Planner::new(pools().drain(..2).collect(), Strategy::RoundRobin, false);
    let found: Vec<_> = (0..2).map(|_| names(&unlisted, &about("other"))).collect();
    assert_eq!(found, ["ab", "ba"]);
    let routes = ModelRoutes::new([("opus".to_owned(), ProviderName::new("a"))]);
    let by_model = Planner::new(pools(), Strategy::ModelBased, false).with_routes(routes.clone());
    assert_eq!(names(&by_model, &about("opus")), "bca");
    let strict = Planner::new(pools(), Strategy::ModelBased, true).with_routes(routes);
    assert_eq!(names(&strict, &about("opus")), "bc");
}

#[test]
fn alternating_models_are_not_pinned_to_one_provider_each() {
    for strategy in [Strategy::RoundRobin, Strategy::Shuffle] {
        let pools = vec![
            pool("a", &["opus"], &[("k", 1)]),
            pool("b", &["opus"], &[("k", 1)]),
            pool("c", &["haiku"], &[("k", 1)]),
            pool("d", &["haiku"], &[("k", 1)]),
        ];
        let planner = Planner::new(pools, strategy, true);
        let mut first: Vec<_> = (0..80)
            .map(|turn| names(&planner, &about(["opus", "haiku"][turn % 2]))[..1].to_owned())
            .collect();
        first.sort_unstable();
        assert_eq!(first.concat(), ["a", "b", "c", "d"].map(|name| name.repeat(20)).concat());
    }
}

#[test]
fn counting_tokens_does_not_advance_the_rotation_of_messages() {
    let planner = Planner::new(weighted(&[1, 1]), Strategy::RoundRobin, false);
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
        ProviderPool::new(ProviderName::new("p"), vec![], Duration::from_secs(90), keys.into())
    };
    #[track_caller]
    fn check(pool: ProviderPool, expected: &[&str]) {
        let planner = Planner::new(vec![pool], Strategy::Failover, false).with_seed(1);
        let found: Vec<_> = expected.iter().map(|_| keys(&planner)).collect();
        assert_eq!(found, expected);
    }
    check(candidates(), &["abcd", "abcd"]);
    check(candidates().with_pooling(Pooling::RoundRobin), &["abcd", "badc", "abcd", "badc"]);
    check(candidates().with_pooling(Pooling::Weighted), &["abcd", "badc", "abcd", "abdc", "bacd", "abdc"]);
    let random = Planner::new(vec![candidates().with_pooling(Pooling::Random)], Strategy::Failover, false)
        .with_seed(1);
    let mut seen: Vec<_> = (0..100).map(|_| keys(&random)).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, ["abcd", "abdc", "bacd", "badc"]);
}

#[test]
fn a_key_that_is_not_needed_keeps_its_turn() {
    let two = |name: &str| pool(name, &[], &[("a", 1), ("b", 1)]).with_pooling(Pooling::RoundRobin);
    let planner = Planner::new(vec![two("first"), two("second")], Strategy::RoundRobin, false);
    // Each provider is first every other time, and only its first key is tried.
    let used: Vec<_> = (0..8)
        .map(|_| {
            let (request, now) = (request(None), clock::now());
            let NextAttempt::Try(first) = planner.plan(&request, now).unwrap().next(now) else {
                panic!("no candidate is free")
            };
            (first.pool.name().to_string(), first.candidate.credential().clone())
        })
        .collect();
    let count = |name: &str, key: &str| {
        let key = CredentialId::Key(KeyId::of(&Secret::new(key)));
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
        Strategy::LeastLoaded,
        Strategy::CostBased,
        Strategy::LatencyBased,
    ];
    let pooling = [Pooling::LeastLoaded, Pooling::RoundRobin, Pooling::Random, Pooling::Weighted];
    let mut random = Rng::with_seed(6);
    for round in 0..300 {
        let pools: Vec<_> = (0..random.usize(1..5))
            .map(|index| {
                let candidates = (0..random.usize(1..5)).map(|key| {
                    let key = candidate(&format!("{index}-{key}"), random.i32(0..2));
                    key.with_weight(weight(random.u32(1..4)))
                });
                let candidates = candidates.collect();
                let models = if random.bool() { vec![] } else { vec!["m".to_owned()] };
                let name = ProviderName::new(index.to_string());
                ProviderPool::new(name, models, Duration::from_secs(90), candidates)
                    .with_weight(weight(random.u32(1..4)))
                    .with_pooling(pooling[random.usize(..pooling.len())])
            })
            .collect();
        let all: usize = pools.iter().map(|pool| pool.candidates().len()).sum();
        let routes = ModelRoutes::new([("o".to_owned(), ProviderName::new("1"))]);
        let planner = Planner::new(pools, strategies[round % strategies.len()], false).with_routes(routes);
        for model in ["m", "other", "m"] {
            let mut found: Vec<_> = order(&planner, &about(model))
                .into_iter()
                .map(|(pool, candidate)| format!("{} {}", pool.name(), candidate.credential()))
                .collect();
            assert_eq!(found.len(), all, "{planner:?}");
            found.sort_unstable();
            found.dedup();
            assert_eq!(found.len(), all, "{planner:?}");
        }
    }
}

#[test]
fn concurrent_requests_do_not_skew_the_rotation() {
    for strategy in [Strategy::RoundRobin, Strategy::WeightedRoundRobin, Strategy::Shuffle] {
        let weights = if strategy == Strategy::WeightedRoundRobin { [3, 2, 1] } else { [2, 2, 2] };
        let planner = Planner::new(weighted(&weights), strategy, false);
        let work = || (0..600).map(|_| names(&planner, &request(None))[..1].to_owned()).collect::<Vec<_>>();
        let mut first: Vec<String> = std::thread::scope(|scope| {
            [scope.spawn(work), scope.spawn(work)].into_iter().flat_map(|t| t.join().unwrap()).collect()
        });
        first.sort_unstable();
        let expected =
            ["a", "b", "c"].iter().zip(weights).map(|(name, share)| name.repeat(share as usize * 200));
        assert_eq!(first.concat(), expected.collect::<String>(), "{strategy:?}");
    }
}

#[test]
fn a_new_planner_inherits_the_state_of_the_old_one() {
    let now = clock::now();
    let planner = || {
        let pools = vec![pool("a", &[], &[("k", 2), ("l", 1)]), pool("b", &[], &[("k", 0)])];
        Planner::new(pools, Strategy::Failover, false).with_affinity(Arc::new(AffinityTable::new()))
    };
    let request = request(None);
    let before = planner();
    let NextAttempt::Try(mut first) = before.plan(&request, now).unwrap().next(now) else {
        panic!("no candidate is free")
    };
    let response = http::Response::new(AnswerBody::default());
    let limited = Outcome::RateLimited { retry_after: Some(Duration::from_secs(9)), scope: LimitScope::Key };
    first.lease.record_answer(&Answer::new(limited, response), now);
    drop(first);
    assert_eq!(names(&before, &request), "ab", "the best key of `a` is limited");
    assert_eq!(names(&planner(), &request), "aab");
    assert_eq!(names(&planner().inherit_state(&before), &request), "ab");
}

/// The number of keys of a provider with many.
const MANY: usize = 200;

fn many_keys(pooling: Pooling) -> Planner {
    let keys = (0..MANY).map(|key| candidate(&key.to_string(), 1).with_weight(weight(1 + key as u32 % 2)));
    let pool = ProviderPool::new(ProviderName::new("p"), vec![], Duration::from_secs(90), keys.collect());
    Planner::new(vec![pool.with_pooling(pooling)], Strategy::Failover, false).with_seed(1)
}

/// Returns the candidate of the first attempt at a request, which ends at once.
fn first(planner: &Planner, now: Instant) -> usize {
    let request = request(None);
    let NextAttempt::Try(leased) = planner.plan(&request, now).unwrap().next(now) else {
        panic!("no candidate is free")
    };
    leased.pool.index_of(leased.candidate.credential()).unwrap()
}

#[test]
fn many_keys_are_used_equally_often_or_by_their_weights() {
    let now = clock::now();
    for (pooling, turns, largest_deviation) in [
        (Pooling::LeastLoaded, 4, 0),
        (Pooling::RoundRobin, 4, 0),
        (Pooling::Weighted, 9, 2),
        (Pooling::Random, 20, 19),
    ] {
        let (planner, mut used) = (many_keys(pooling), vec![0_usize; MANY]);
        for _ in 0..turns * MANY {
            used[first(&planner, now)] += 1;
        }
        for (key, used) in used.into_iter().enumerate() {
            let expected = match pooling {
                Pooling::Weighted => turns * 2 * (1 + key % 2) / 3,
                _ => turns,
            };
            assert!(
                used.abs_diff(expected) <= largest_deviation,
                "{pooling:?}: key {key} was used {used} times"
            );
        }
    }
}

#[test]
fn the_only_free_key_of_many_is_found_and_none_is_tried_twice() {
    let now = clock::now();
    for pooling in [Pooling::LeastLoaded, Pooling::RoundRobin, Pooling::Weighted, Pooling::Random] {
        let planner = many_keys(pooling);
        let candidates = planner.pools()[0].candidates();
        for (index, candidate) in candidates.iter().enumerate() {
            if index != 177 {
                candidate.health().quota().unwrap().start_cooldown(Some(Duration::from_secs(9)), now);
            }
        }
        let request = request(None);
        for _ in 0..4 {
            let mut plan = planner.plan(&request, now).unwrap();
            let NextAttempt::Try(only) = plan.next(now) else { panic!("one candidate is free") };
            assert_eq!(planner.pools()[0].index_of(only.candidate.credential()), Some(177));
            assert!(!plan.has_more(now));
            assert!(matches!(plan.next(now), NextAttempt::Exhausted));
            assert_eq!(plan.blocked(now).limited, Some(Duration::from_secs(9)));
        }
        let later = now + Duration::from_secs(9);
        assert_eq!(order_at(&planner, &request, later), MANY, "all are free again");
    }
}

fn order_at(planner: &Planner, request: &RelayRequest, now: Instant) -> usize {
    let mut plan = planner.plan(request, now).unwrap();
    let mut seen = std::collections::HashSet::new();
    while let NextAttempt::Try(leased) = plan.next(now) {
        assert!(seen.insert(leased.candidate.credential().clone()), "a candidate is tried once");
    }
    seen.len()
}
