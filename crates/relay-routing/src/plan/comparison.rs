//! The comparison of providers by a figure: the price of the request, or the time to the first content.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_config::Strategy;
use relay_providers::Usage;

use super::availability::RelativeLoad;
use super::demand::Demand;
use super::usable::Usable;
use crate::candidate::ProviderPool;
use crate::health::Form;
use crate::pricing::{Pricing, Usd};

/// The output tokens that a request is expected to use, if `max_tokens` permits them. `max_tokens` itself is no estimate: Claude
/// Code requests 128 000 and uses some hundreds.
const OUTPUT: u64 = 1_000;

/// The figure by which a strategy compares a provider with others of the same priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Figure {
    /// The expected price of the request: its estimated input, uncached, and an output of 1,000 tokens. `None` if the price of
    /// the model is unknown.
    Price(Option<Usd>),
    /// The client's own subscription pays for the request.
    Subscription,
    /// The time to the first content of an answer.
    #[non_exhaustive]
    ContentTime {
        /// The average of the model at the provider, in which recent answers have more influence; `None` before the first answer.
        average: Option<Duration>,
        /// The attempts at the provider that wait for their first content.
        waiting: u32,
        /// `true` if the provider is tried first to measure it: its average is old, or there is none.
        is_due: bool,
    },
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Price(Some(price)) => write!(f, "about {price} for this request"),
            Self::Price(None) => f.write_str("its price for this model is unknown"),
            Self::Subscription => f.write_str("the client's subscription pays"),
            Self::ContentTime { average, waiting, is_due } => {
                match average {
                    Some(average) => write!(f, "{:.2} s to the first content", average.as_secs_f64())?,
                    None => f.write_str("its time to the first content is unknown")?,
                }
                match waiting {
                    0 => {}
                    1 => f.write_str(", 1 request waits for it")?,
                    waiting => write!(f, ", {waiting} requests wait for it")?,
                }
                if *is_due { f.write_str(", to be measured") } else { Ok(()) }
            }
        }
    }
}

/// The prices of a program.
#[derive(Clone)]
pub(super) struct Prices(pub(super) Arc<dyn Pricing>);

impl fmt::Debug for Prices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prices")
    }
}

/// A comparison of providers for one request.
#[derive(Debug)]
pub(super) enum Comparison<'a> {
    Price { prices: Option<&'a Prices>, usage: Usage },
    ContentTime { form: Form, now: Instant },
}

/// The place of a provider in a comparison: the least comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The class, by which the amount is compared: to be measured, known, unknown.
    class: u8,
    amount: u64,
    /// Decides between equal prices.
    load: Option<RelativeLoad>,
}

impl<'a> Comparison<'a> {
    /// Returns the comparison that `strategy` makes for a request, or `None` if it makes none. Token counts cost nothing and are
    /// not measured.
    pub(super) fn of(
        strategy: Strategy,
        prices: Option<&'a Prices>,
        demand: &Demand<'_>,
        now: Instant,
    ) -> Option<Self> {
        let cost = demand.cost()?;
        match strategy {
            Strategy::CostBased => {
                let mut usage = Usage::default();
                usage.input_tokens = Some(cost.input_tokens());
                usage.output_tokens = Some(cost.max_tokens().unwrap_or(OUTPUT).min(OUTPUT));
                Some(Self::Price { prices, usage })
            }
            Strategy::LatencyBased => Some(Self::ContentTime { form: Form::of(cost.is_stream()), now }),
            _ => None,
        }
    }

    /// Returns the figure of a provider for `model`, the client's name of it. `usable` are its candidates for the request.
    pub(super) fn figure(&self, pool: &ProviderPool, usable: Usable<'_>, model: &Arc<str>) -> Figure {
        match self {
            Self::Price { .. } if usable.is_subscription_first() => Figure::Subscription,
            Self::Price { prices, usage } => {
                let price = |prices: &Prices| prices.0.cost(pool.name(), &pool.mapped(model), usage);
                Figure::Price(prices.and_then(price))
            }
            Self::ContentTime { form, now } => {
                let (time, waiting) = pool.health().content_time(model, *form, *now);
                Figure::ContentTime { average: time.average, waiting, is_due: time.is_due }
            }
        }
    }

    /// Returns the place of a provider, whose candidates for the request are `usable`.
    pub(super) fn place(&self, pool: &ProviderPool, usable: Usable<'_>, model: &Arc<str>) -> Place {
        Place::of(self.figure(pool, usable, model), pool)
    }
}

impl Place {
    fn of(figure: Figure, pool: &ProviderPool) -> Self {
        let load = || Some(RelativeLoad::new(pool.health().load().in_flight(), pool.weight()));
        let (class, amount, load) = match figure {
            Figure::Subscription => (1, 0, load()),
            Figure::Price(Some(price)) => (1, price.as_nanos(), load()),
            Figure::Price(None) => (2, 0, None),
            Figure::ContentTime { is_due: true, .. } => (0, 0, None),
            // Each attempt that waits makes the provider less attractive, so that not all requests go to the fastest one.
            Figure::ContentTime { average: Some(average), waiting, .. } => {
                let micros = u64::try_from(average.as_micros()).unwrap_or(u64::MAX);
                (1, micros.max(1).saturating_mul(u64::from(waiting) + 1), None)
            }
            Figure::ContentTime { average: None, waiting, .. } => (2, waiting.into(), None),
        };
        Self { class, amount, load }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use relay_config::ProviderName;
    use relay_messages::MessagesBody;
    use relay_providers::{Endpoint, RelayRequest};

    use super::super::tests::{names, pool, request};
    use super::*;
    use crate::clock;
    use crate::health::WaitEnd;
    use crate::plan::Planner;

    const SECOND: Duration = Duration::from_secs(1);
    const MODEL: &str = "claude-opus-5-5";

    /// Prices of a token by provider, in nanodollars.
    struct PerToken(&'static [(&'static str, u64)]);

    impl Pricing for PerToken {
        fn cost(&self, provider: &ProviderName, model: &str, usage: &Usage) -> Option<Usd> {
            assert_eq!(model, MODEL);
            let (_, price) = self.0.iter().find(|(name, _)| *name == provider.as_str())?;
            Some(Usd::from_nanos((usage.input_tokens? + usage.output_tokens?).saturating_mul(*price)))
        }
    }

    /// Providers with one key each, of these priorities.
    fn pools(priorities: &[(&str, i32)]) -> Vec<ProviderPool> {
        priorities.iter().map(|&(name, priority)| pool(name, &[], &[("k", priority)])).collect()
    }

    fn by_price(priorities: &[(&str, i32)], prices: &'static [(&'static str, u64)]) -> Planner {
        Planner::new(pools(priorities), Strategy::CostBased, false).with_pricing(Arc::new(PerToken(prices)))
    }

    fn by_time(priorities: &[(&str, i32)]) -> Planner {
        Planner::new(pools(priorities), Strategy::LatencyBased, false)
    }

    /// Ends an attempt at the provider with this name after `waited`.
    fn measure(planner: &Planner, name: &str, end: WaitEnd, waited: Duration) {
        let (model, now) = (MODEL.into(), clock::now());
        let pool = planner.pools().iter().find(|pool| pool.name().as_str() == name).unwrap();
        assert!(pool.health().begin_wait(&model, Form::Whole, now));
        pool.health().end_wait(&model, Form::Whole, end, waited, now);
    }

    #[test]
    fn the_cheapest_provider_of_the_highest_priority_comes_first_and_unknown_prices_last() {
        let priorities = [("dear", 1), ("unknown", 1), ("cheap", 1), ("free", 0), ("medium", 1)];
        let planner = by_price(&priorities, &[("dear", 9), ("cheap", 1), ("free", 0), ("medium", 5)]);
        let names = planner_names(&planner);
        assert_eq!(names, ["cheap", "medium", "dear", "unknown", "free"]);
    }

    /// Returns the names of the providers in the order of attempts.
    fn planner_names(planner: &Planner) -> Vec<String> {
        let explanation = planner.explain(&request(None));
        explanation.candidates.iter().map(|candidate| candidate.provider.to_string()).collect()
    }

    #[test]
    fn without_prices_the_order_is_that_of_failover() {
        assert_eq!(names(&by_price(&[("a", 1), ("b", 2), ("c", 2)], &[]), &request(None)), "bca");
        let planner = Planner::new(pools(&[("a", 1), ("b", 2)]), Strategy::CostBased, false);
        assert_eq!(names(&planner, &request(None)), "ba");
    }

    #[test]
    fn of_equal_prices_the_provider_with_fewer_requests_comes_first() {
        let planner = by_price(&[("a", 1), ("b", 1)], &[("a", 2), ("b", 2)]);
        assert_eq!(names(&planner, &request(None)), "ab");
        planner.pools()[0].health().load().begin(1);
        assert_eq!(names(&planner, &request(None)), "ba");
    }

    #[test]
    fn extreme_prices_have_an_order() {
        let planner =
            by_price(&[("a", 1), ("b", 1), ("c", 1)], &[("a", u64::MAX), ("b", 0), ("c", u64::MAX - 1)]);
        assert_eq!(names(&planner, &request(None)), "bac");
    }

    #[test]
    fn the_subscription_of_the_client_costs_the_operator_nothing() {
        let pools = vec![pool("k", &[], &[("k", 1)]), pool("s", &[], &[("k", 1), ("client", 1)])];
        let planner = Planner::new(pools, Strategy::CostBased, false)
            .with_pricing(Arc::new(PerToken(&[("k", 1), ("s", 9)])));
        assert_eq!(names(&planner, &request(None)), "ks");
        let subscription = request(Some("Bearer sk-ant-oat01-x"));
        assert_eq!(names(&planner, &subscription), "ssk");
        let figures: Vec<_> =
            planner.explain(&subscription).candidates.iter().map(|candidate| candidate.figure).collect();
        assert_eq!(figures[0], Some(Figure::Subscription));
    }

    #[test]
    fn token_counts_are_not_compared() {
        let body = MessagesBody::parse(r#"{"model":"claude-opus-5-5"}"#.into()).unwrap();
        let count = RelayRequest::new(Endpoint::CountTokens, None, HeaderMap::new(), body);
        assert_eq!(names(&by_price(&[("a", 1), ("b", 1)], &[("a", 2), ("b", 1)]), &count), "ab");
        let planner = by_time(&[("a", 1), ("b", 1)]);
        measure(&planner, "a", WaitEnd::Content, SECOND);
        assert_eq!(names(&planner, &count), "ab");
    }

    #[test]
    fn every_provider_is_measured_and_then_the_fastest_comes_first() {
        let planner = by_time(&[("a", 1), ("b", 1), ("c", 1), ("d", 0)]);
        assert_eq!(planner_names(&planner).concat(), "abcd");
        measure(&planner, "a", WaitEnd::Content, 3 * SECOND);
        assert_eq!(planner_names(&planner).concat(), "bcad");
        measure(&planner, "b", WaitEnd::Content, SECOND);
        measure(&planner, "c", WaitEnd::Content, 2 * SECOND);
        measure(&planner, "d", WaitEnd::Content, Duration::ZERO);
        assert_eq!(planner_names(&planner).concat(), "bcad", "a lower priority is not chosen for its speed");
        measure(&planner, "b", WaitEnd::Failed, Duration::ZERO);
        assert_eq!(planner_names(&planner).concat(), "cabd");
    }

    #[tokio::test(start_paused = true)]
    async fn a_figure_that_is_old_is_measured_again_by_one_request() {
        let planner = by_time(&[("a", 1), ("b", 1)]);
        measure(&planner, "b", WaitEnd::Content, 2 * SECOND);
        for _ in 0..40 {
            measure(&planner, "a", WaitEnd::Content, SECOND);
            tokio::time::advance(10 * SECOND).await;
        }
        assert_eq!(planner_names(&planner), ["b", "a"]);
        let model = MODEL.into();
        planner.pools()[1].health().begin_wait(&model, Form::Whole, clock::now());
        assert_eq!(planner_names(&planner), ["a", "b"], "a second request does not follow");
    }

    #[test]
    fn requests_that_wait_make_the_fastest_provider_less_attractive() {
        let planner = by_time(&[("a", 1), ("b", 1)]);
        measure(&planner, "a", WaitEnd::Content, SECOND);
        measure(&planner, "b", WaitEnd::Content, Duration::from_millis(2500));
        let (model, mut chosen) = (MODEL.into(), String::new());
        for _ in 0..8 {
            let first = &planner_names(&planner)[0];
            let pool = planner.pools().iter().find(|pool| pool.name().as_str() == *first).unwrap();
            pool.health().begin_wait(&model, Form::Whole, clock::now());
            chosen += first;
        }
        assert_eq!(chosen, "aabaaaba");
    }

    #[test]
    fn times_are_kept_by_a_new_planner_and_shown() {
        let before = by_time(&[("a", 1), ("b", 1)]);
        measure(&before, "a", WaitEnd::Content, 2 * SECOND);
        measure(&before, "b", WaitEnd::Content, SECOND);
        let after = by_time(&[("b", 1), ("a", 1), ("c", 1)]).inherit_state(&before);
        assert_eq!(planner_names(&after), ["c", "b", "a"]);
        let figures: Vec<_> = after.explain(&request(None)).candidates;
        let figures: Vec<_> = figures.iter().map(|candidate| candidate.figure.unwrap().to_string()).collect();
        assert_eq!(
            figures,
            [
                "its time to the first content is unknown, to be measured",
                "1.00 s to the first content",
                "2.00 s to the first content"
            ]
        );
        let times = after.pools()[0].state().content_times;
        assert_eq!((times[0].model.as_str(), times[0].is_stream, times[0].average), (MODEL, false, SECOND));
        // A planner that compares no times measures none.
        let other = Planner::new(pools(&[("a", 1)]), Strategy::Failover, false).inherit_state(&before);
        assert!(other.pools()[0].state().content_times.is_empty());
    }
}
