//! The budgets of clients.

use serde::Serialize;
use utoipa::ToSchema;

use crate::budget::BudgetReport;

/// The budgets of clients.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct BudgetsBody {
    /// The budgets, in the order of the configuration.
    pub data: Vec<BudgetReport>,
}

impl BudgetsBody {
    pub(crate) fn new(data: Vec<BudgetReport>) -> Self {
        Self { data }
    }
}
