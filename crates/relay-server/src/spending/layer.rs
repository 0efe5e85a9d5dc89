//! The layer that checks budgets.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use foldhash::quality::RandomState;
use http::{HeaderValue, Request, Response};
use relay_config::{Budget, ClientAuth};
use relay_routing::Usd;
use tower::{BoxError, Layer, Service};

use super::error::{BudgetSpent, decimals};
use super::future::SpendingFuture;
use super::period::{BudgetSpan, Timestamp, budget_span, this};
use crate::auth::Client;

/// Nanodollars in a dollar.
const NANOS: f64 = 1e9;
/// The part of a budget from which on answers have a warning, in percent.
const WARNING_PERCENT: u64 = 80;

/// The amounts of money that clients have spent, as a program counts them.
pub trait Spending: Send + Sync + 'static {
    /// Returns the amount that the client called `client` has spent since `since`, the start of a day in UTC, until `now`.
    ///
    /// Called for each request of a client with a budget: it must not block.
    fn spent(&self, client: &str, since: SystemTime, now: SystemTime) -> Usd;
}

impl<F: Fn(&str, SystemTime) -> Usd + Send + Sync + 'static> Spending for F {
    fn spent(&self, client: &str, since: SystemTime, _now: SystemTime) -> Usd {
        self(client, since)
    }
}

/// Refuses the requests of a client that has spent its budget with [`BudgetSpent`]. From 80 % of the budget on, responses have the
/// header `x-cc-relay-budget-warning`. Cloning shares the budgets.
#[derive(Clone, Default)]
pub struct SpendingLayer {
    /// `None` without a budget, so that a relay without one does no work here.
    budgets: Option<Arc<Budgets>>,
}

#[derive(Clone)]
struct Budgets {
    spending: Arc<dyn Spending>,
    /// The amount, and the budget. An operator chooses the names, so that a fast hash is enough.
    clients: HashMap<Arc<str>, (Usd, Budget), RandomState>,
}

impl SpendingLayer {
    /// Creates a layer that reads the amounts from `spending`. No client has a budget.
    #[must_use]
    pub fn new(spending: Arc<dyn Spending>) -> Self {
        Self { budgets: Some(Arc::new(Budgets { spending, clients: HashMap::default() })) }
    }

    /// Creates a layer that lets every request pass.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// Creates a layer with the budgets of the configured clients (`server.auth.api_keys[].budget_usd`).
    #[must_use]
    pub fn of_clients(auth: &ClientAuth, spending: Arc<dyn Spending>) -> Self {
        let budgets = auth.keys.iter().filter_map(|client| Some((client.name.as_str(), client.budget?)));
        budgets.fold(Self::new(spending), |layer, (name, budget)| layer.with_client(name, budget))
    }

    /// Sets the budget of one client. To be called before the first request. A layer without a [`Spending`] stays without budgets.
    #[must_use]
    pub fn with_client(mut self, name: impl Into<Arc<str>>, budget: Budget) -> Self {
        if let Some(budgets) = &mut self.budgets {
            Arc::make_mut(budgets).clients.insert(name.into(), (usd(budget.usd), budget));
        }
        self
    }

    /// Checks the budget of `client`, and returns the warning for its response.
    fn check(
        &self,
        client: Option<&Client>,
        now: SystemTime,
    ) -> Result<Option<HeaderValue>, Box<BudgetSpent>> {
        let found = self.budgets.as_ref().zip(client.and_then(Client::name));
        let Some((budgets, name)) = found else { return Ok(None) };
        let Some((amount, budget)) = budgets.clients.get(name) else { return Ok(None) };
        let span = budget_span(budget.period, now);
        let (amount, spent) = (*amount, budgets.spending.spent(name, span.start, now));
        if spent >= amount {
            let retry_after = span.end.duration_since(now).unwrap_or_default();
            let period = budget.period;
            return Err(Box::new(BudgetSpent {
                budget: amount,
                spent,
                period,
                resets: span.end,
                retry_after,
            }));
        }
        Ok(warning(budget, amount, spent, span))
    }
}

/// Returns the amount of a budget.
fn usd(dollars: f64) -> Usd {
    Usd::from_nanos((dollars * NANOS).round() as u64)
}

fn warning(budget: &Budget, amount: Usd, spent: Usd, span: BudgetSpan) -> Option<HeaderValue> {
    let (spent, amount_nanos) = (u128::from(spent.as_nanos()) * 100, u128::from(amount.as_nanos().max(1)));
    if spent < amount_nanos * u128::from(WARNING_PERCENT) {
        return None;
    }
    let percent = spent / amount_nanos;
    let decimals = decimals(amount);
    let text = format!(
        "{percent} % of ${:.decimals$} for {} spent; resets at {}",
        amount.as_dollars(),
        this(budget.period),
        Timestamp(span.end)
    );
    HeaderValue::try_from(text).ok()
}

impl fmt::Debug for SpendingLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clients = self.budgets.as_ref().map(|budgets| &budgets.clients);
        f.debug_struct("SpendingLayer").field("clients", &clients).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for SpendingLayer {
    type Service = SpendingLimit<S>;

    fn layer(&self, inner: S) -> SpendingLimit<S> {
        SpendingLimit { inner, layer: self.clone() }
    }
}

/// The service of [`SpendingLayer`].
#[derive(Debug, Clone)]
pub struct SpendingLimit<S> {
    inner: S,
    layer: SpendingLayer,
}

impl<S, B, R> Service<Request<B>> for SpendingLimit<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = SpendingFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.layer.budgets.is_none() {
            return SpendingFuture::admitted(self.inner.call(request), None);
        }
        match self.layer.check(request.extensions().get(), SystemTime::now()) {
            Ok(warning) => SpendingFuture::admitted(self.inner.call(request), warning),
            Err(spent) => SpendingFuture::refused(spent),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use relay_config::BudgetPeriod;

    use super::*;

    /// 2026-11-26T12:00:00Z, a Thursday.
    const NOON: u64 = 1_795_694_400;

    /// Checks the budget of 10 dollars a week of a client that has spent `cents`.
    fn check(cents: u64) -> Result<Option<HeaderValue>, Box<BudgetSpent>> {
        let spending = move |client: &str, since: SystemTime| {
            assert_eq!(client, "alice");
            assert_eq!(since, UNIX_EPOCH + Duration::from_secs(NOON) - Duration::from_secs(84 * 3600));
            Usd::from_nanos(cents * 10_000_000)
        };
        let layer = SpendingLayer::new(Arc::new(spending));
        let layer = layer.with_client("alice", Budget::new(10.0, BudgetPeriod::Week));
        layer.check(Some(&Client::new("alice")), UNIX_EPOCH + Duration::from_secs(NOON))
    }

    #[test]
    fn a_client_is_warned_from_eighty_percent_on_and_then_refused() {
        assert_eq!(check(0), Ok(None));
        assert_eq!(check(799), Ok(None));
        let warning = "80 % of $10.00 for this week spent; resets at 2026-11-30T00:00:00Z";
        assert_eq!(check(800).unwrap().unwrap(), warning);
        assert!(check(999).unwrap().unwrap().to_str().unwrap().starts_with("99 %"));
        let spent = check(1000).unwrap_err();
        assert_eq!(spent.retry_seconds(), 84 * 3600);
        assert_eq!(
            check(1012).unwrap_err().to_string(),
            "the budget of this client is spent: $10.12 of $10.00 for this week; it resets at 2026-11-30T00:00:00Z"
        );
    }

    #[test]
    fn amounts_below_a_cent_are_not_rounded_to_nothing() {
        let layer = SpendingLayer::new(Arc::new(|_: &str, _: SystemTime| Usd::from_nanos(1_080_000)));
        let layer = layer.with_client("alice", Budget::new(0.001, BudgetPeriod::Day));
        let spent = layer.check(Some(&Client::new("alice")), UNIX_EPOCH).unwrap_err().to_string();
        assert!(spent.contains("$0.001080 of $0.001000 for today; "), "{spent}");
    }

    #[test]
    fn a_client_without_a_budget_passes() {
        let nothing_left = |_: &str, _: SystemTime| Usd::from_nanos(u64::MAX);
        let layer = SpendingLayer::new(Arc::new(nothing_left));
        let layer = layer.with_client("alice", Budget::new(10.0, BudgetPeriod::Day));
        let now = UNIX_EPOCH;
        assert!(layer.check(None, now).is_ok());
        assert!(layer.check(Some(&Client::new("bob")), now).is_ok());
        assert!(layer.check(Some(&Client::new("alice")), now).is_err());
        let unlimited = SpendingLayer::unlimited().with_client("alice", Budget::new(1.0, BudgetPeriod::Day));
        assert!(unlimited.check(Some(&Client::new("alice")), now).is_ok());
    }
}
