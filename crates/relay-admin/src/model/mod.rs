//! The JSON of the admin API. Every type is serialized as it is described in the OpenAPI document.
//!
//! Times are milliseconds, and points of time milliseconds since the Unix epoch. Money is a number of US dollars. An unknown
//! value is `null`.

mod budgets;
mod change;
mod error;
mod point;
mod request;
mod sessions;
mod state;

pub use budgets::BudgetsBody;
pub use change::{ChangeBody, ReloadBody};
pub use error::{ErrorBody, ErrorFacts};
pub use point::{Point, SeriesBody};
pub use request::{AttemptBody, ModelBody, Request, RequestsBody, Tokens};
pub use sessions::SessionsBody;
pub(crate) use state::ProcessFacts;
pub use state::{
    ConfigurationBody, ContentTimeBody, KeyBody, LedgerBody, LimitBody, ProviderBody, RestingModelBody,
    StateBody,
};

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns `time` in whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Returns `time` in milliseconds since the Unix epoch.
pub(crate) fn unix_ms(time: SystemTime) -> u64 {
    millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}
