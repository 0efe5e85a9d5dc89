//! The prices of tools that a provider runs.

use super::quantities::Quantities;

/// The prices of one call of each tool, in picodollars. Factors do not apply to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ToolRates {
    pub(super) web_search: u64,
    pub(super) web_fetch: u64,
}

impl ToolRates {
    /// Returns the price of all calls, in picodollars.
    pub(super) fn of_calls(&self, quantities: &Quantities) -> u128 {
        let searches = u128::from(quantities.web_searches) * u128::from(self.web_search);
        searches + u128::from(quantities.web_fetches) * u128::from(self.web_fetch)
    }
}
