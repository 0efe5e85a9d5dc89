//! The money that clients have spent, for the budgets of [`relay_server::spending`].
//!
//! ```text
//! ledger, at the start ─┐
//! RequestRecord ────────┴▶ Budgets: client ▸ day ▸ amount ──▶ SpendingLayer: admits a request, or refuses it
//! ```
//! The amounts are kept by day in UTC, for as long as the longest period of a budget. They come from the ledger at the start, so
//! that a restart does not renew a budget. Without a ledger they begin at zero.
//!
//! An answer counts when it has ended. Requests without a known price count nothing. Each process counts for itself: the requests of
//! another process that writes to the same ledger count from the next start on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use relay_config::ClientAuth;
use relay_routing::Usd;
use relay_server::record::{RecordSubscriber, RequestRecord};
use relay_server::spending::{Spending, budget_span};
use serde::Serialize;
use utoipa::ToSchema;

use crate::fast_map::FastMap;
#[cfg(feature = "ledger")]
use crate::ledger::{LedgerError, LedgerReader};

const SECONDS_PER_DAY: u64 = 86_400;
/// The days that are kept: those of the longest month, and one for a clock that is set back.
const DAYS: i64 = 32;
/// The most clients whose amounts are kept. Names of configured clients are few; a program may name others.
const CLIENTS: usize = 10_000;
/// Nanodollars in a dollar.
const NANOS: f64 = 1e9;

/// The money that each client has spent. Clones share it.
///
/// ```
/// use std::time::{SystemTime, UNIX_EPOCH};
/// use relay_admin::budget::Budgets;
/// use relay_server::spending::Spending;
///
/// let budgets = Budgets::new();
/// // `Builder::on_finished` and `Builder::with_spending` take clones.
/// assert_eq!(budgets.spent("alice", UNIX_EPOCH, SystemTime::now()).as_nanos(), 0);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Budgets(Arc<Mutex<Clients>>);

/// The amounts of each client by the day since 1970.
#[derive(Debug, Default)]
struct Clients(FastMap<Arc<str>, Days>);

/// The amounts of the last days, in the order of the days.
type Days = Vec<(i64, Usd)>;

impl Clients {
    fn add(&mut self, client: &Arc<str>, day: i64, cost: Usd) {
        if let Some(days) = self.0.get_mut(client) {
            add(days, day, cost);
        } else if self.0.len() < CLIENTS {
            self.0.insert(Arc::clone(client), vec![(day, cost)]);
        }
    }
}

/// Adds an amount to its day. The latest day is the usual one.
fn add(days: &mut Days, day: i64, cost: Usd) {
    let later = days.iter().rev().take_while(|(known, _)| *known > day).count();
    let end = days.len() - later;
    match days[..end].last_mut() {
        Some((known, amount)) if *known == day => *amount = *amount + cost,
        _ => days.insert(end, (day, cost)),
    }
    if days.len() > DAYS as usize {
        days.remove(0);
    }
}

/// The budget of a client, and the part of it that is spent.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct BudgetReport {
    /// The name of the client.
    pub client: String,
    /// The amount that the client may spend in each period.
    pub budget_usd: f64,
    /// The amount that it has spent in this period.
    #[schema(value_type = f64)]
    pub spent_usd: Usd,
    /// The period: `day`, `week` or `month`, in UTC.
    pub period: &'static str,
    /// The end of this period in milliseconds since 1970.
    pub resets_unix_ms: u64,
}

impl Budgets {
    /// Creates the amounts of clients that have spent nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the amounts of the last 32 days of a ledger to those that have been counted. A ledger that does not exist yet is empty.
    /// Blocks for as long as the disk needs.
    ///
    /// Requests of this process that are in the ledger already are counted twice. A program calls it once, at its start.
    ///
    /// # Errors
    /// [`LedgerError`]: the ledger cannot be read.
    #[cfg(feature = "ledger")]
    pub fn add_ledger(&self, path: &std::path::Path) -> Result<(), LedgerError> {
        let reader = match LedgerReader::open(path) {
            Ok(reader) => reader,
            Err(error) if error.is_missing() => return Ok(()),
            Err(error) => return Err(error),
        };
        let read = reader.costs_by_day(day_of(SystemTime::now()) - DAYS)?;
        let mut clients = self.lock();
        for (client, day, cost) in read {
            clients.add(&client.into(), day, cost);
        }
        Ok(())
    }

    /// Returns the budgets of the configured clients, in the order of the configuration.
    #[must_use]
    pub fn report(&self, auth: &ClientAuth) -> Vec<BudgetReport> {
        let now = SystemTime::now();
        let budgets = auth.keys.iter().filter_map(|client| Some((&client.name, client.budget?)));
        budgets
            .map(|(name, budget)| {
                let span = budget_span(budget.period, now);
                let resets = span.end.duration_since(UNIX_EPOCH).unwrap_or_default();
                BudgetReport {
                    client: name.clone(),
                    budget_usd: (budget.usd * NANOS).round() / NANOS,
                    spent_usd: self.spent(name, span.start, now),
                    period: budget.period.as_str(),
                    resets_unix_ms: u64::try_from(resets.as_millis()).unwrap_or(u64::MAX),
                }
            })
            .collect()
    }

    /// Adds `cost` to the amount of `client` on the day of `time`.
    fn add(&self, client: &Arc<str>, time: SystemTime, cost: Usd) {
        self.lock().add(client, day_of(time), cost);
    }

    fn lock(&self) -> MutexGuard<'_, Clients> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spending for Budgets {
    fn spent(&self, client: &str, since: SystemTime, now: SystemTime) -> Usd {
        // Amounts of later days come from a clock that was wrong: they would be spent until then. One day is for a clock that is
        // set back a little around midnight.
        let (first, last) = (day_of(since), day_of(now).saturating_add(1));
        let clients = self.lock();
        let days = clients.0.get(client).into_iter().flatten().rev();
        let days = days.skip_while(|(day, _)| *day > last).take_while(|(day, _)| *day >= first);
        days.map(|(_, cost)| *cost).sum()
    }
}

impl RecordSubscriber for Budgets {
    fn finished(&self, record: &Arc<RequestRecord>) {
        if let (Some(client), Some(cost)) = (&record.client, record.cost) {
            self.add(client, record.started_at, cost);
        }
    }
}

/// Returns the day since 1970 that contains `time`.
fn day_of(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs() / SECONDS_PER_DAY).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use relay_config::{Budget, BudgetPeriod, ClientKey, Secret};

    use super::*;

    fn day(number: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(number * SECONDS_PER_DAY)
    }

    #[test]
    fn amounts_are_added_by_day_and_client() {
        let budgets = Budgets::new();
        let (alice, bob) = ("alice".into(), "bob".into());
        budgets.add(&alice, day(10), Usd::from_nanos(1));
        budgets.add(&alice, day(11) - Duration::from_nanos(1), Usd::from_nanos(2));
        budgets.add(&alice, day(11), Usd::from_nanos(4));
        budgets.add(&bob, day(11), Usd::from_nanos(8));
        let spent = |client, since| budgets.spent(client, day(since), day(11)).as_nanos();
        assert_eq!(
            (spent("alice", 0), spent("alice", 10), spent("alice", 11), spent("alice", 12)),
            (7, 7, 4, 0)
        );
        assert_eq!((spent("bob", 0), spent("carol", 0)), (8, 0));
    }

    #[test]
    fn amounts_of_a_clock_that_was_years_ahead_are_not_spent() {
        let budgets = Budgets::new();
        let (alice, now) = ("alice".into(), SystemTime::now());
        budgets.add(&alice, now + Duration::from_secs(4000 * SECONDS_PER_DAY), Usd::from_nanos(1));
        budgets.add(&alice, now + Duration::from_secs(3600), Usd::from_nanos(2));
        budgets.add(&alice, now, Usd::from_nanos(4));
        assert_eq!(budgets.spent("alice", day(0), now).as_nanos(), 6);
        assert_eq!(budgets.spent("alice", now + Duration::from_secs(9 * SECONDS_PER_DAY), now).as_nanos(), 0);
    }

    #[test]
    fn days_and_clients_are_bounded() {
        let budgets = Budgets::new();
        let alice: Arc<str> = "alice".into();
        for number in 0..100 {
            budgets.add(&alice, day(number), Usd::from_nanos(1));
        }
        assert_eq!(budgets.spent("alice", day(0), day(99)).as_nanos(), 32);
        for number in 0..CLIENTS {
            budgets.add(&format!("client-{number}").into(), day(0), Usd::from_nanos(1));
        }
        assert_eq!(budgets.lock().0.len(), CLIENTS);
        assert_eq!(budgets.spent("alice", day(99), day(99)).as_nanos(), 1);
    }

    #[test]
    fn a_report_lists_the_clients_with_a_budget() {
        let budgets = Budgets::new();
        budgets.add(&"alice".into(), SystemTime::now(), Usd::from_nanos(2_500_000_000));
        let key = |name: &str| ClientKey::new(name, Secret::new(name));
        let mut auth = ClientAuth::default();
        auth.keys = vec![key("bob"), key("alice").with_budget(Budget::new(10.0, BudgetPeriod::Month))];
        let report = budgets.report(&auth);
        assert_eq!(report.len(), 1);
        assert_eq!((report[0].client.as_str(), report[0].period), ("alice", "month"));
        assert_eq!((report[0].budget_usd, report[0].spent_usd.as_dollars()), (10.0, 2.5));
    }
}
