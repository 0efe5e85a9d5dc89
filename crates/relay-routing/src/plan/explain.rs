//! Explains the plan for a request without sending it.

use std::sync::Mutex;

use relay_config::{ProviderName, Strategy};
use relay_providers::RelayRequest;

use super::availability::Availability;
use super::comparison::Figure;
use super::demand::Demand;
use super::eligibility::eligibility;
use super::planner::Planner;
use super::usable::Usable;
use crate::candidate::{CredentialId, ProviderPool};
use crate::clock;
use crate::error::PlanError;
use crate::lock::lock;

/// The plan for a request at this moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlanExplanation {
    /// The strategy that orders the candidates.
    pub strategy: Strategy,
    /// `true` if the first candidate is the one that the request's session prefers.
    pub is_affinity_hit: bool,
    /// The candidates that would be tried, best first.
    pub candidates: Vec<PlannedCandidate>,
    /// The candidates that would not be tried, with the reason. If it applies to all candidates of a
    /// provider, the credential is `None`.
    pub excluded: Vec<(ProviderName, Option<CredentialId>, String)>,
    /// The reason for which no candidate can serve the request, now or later.
    pub error: Option<PlanError>,
}

/// One candidate of a plan.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlannedCandidate {
    /// The provider.
    pub provider: ProviderName,
    /// The credential.
    pub credential: CredentialId,
    /// The provider's name of the model.
    pub model: String,
    /// The candidate's priority.
    pub priority: i32,
    /// `true` if the provider lists the model, or lists no models.
    pub is_listed: bool,
    /// The reason for which it is tried after all others; `None` if it is free.
    pub demotion: Option<String>,
    /// The figure by which the strategy compares the provider with others; `None` if it compares none.
    pub figure: Option<Figure>,
}

impl Planner {
    /// Explains the plan for `request`. No rotation advances and no lease is taken.
    #[must_use]
    pub fn explain(&self, request: &RelayRequest) -> PlanExplanation {
        let now = clock::now();
        let model = request.body().model();
        let rotations = Mutex::new(lock(self.rotations(request)).clone());
        let mut explanation = PlanExplanation {
            strategy: self.strategy,
            is_affinity_hit: false,
            candidates: Vec::new(),
            excluded: Vec::new(),
            error: None,
        };
        let plan = match self.plan_with(&rotations, request, now) {
            Ok(plan) => plan,
            Err(error) => {
                explanation.error = Some(error);
                explanation.excluded = self.ineligible(request);
                return explanation;
            }
        };
        explanation.is_affinity_hit = plan.is_affinity_hit;
        let comparison = self.comparison(&Demand::new(request, None), now);
        for (pool, candidate, availability) in plan.in_order(now) {
            let (provider, credential) = (pool.name().clone(), candidate.credential().clone());
            if !availability.is_usable() {
                explanation.excluded.push((provider, Some(credential), availability.to_string()));
                continue;
            }
            explanation.candidates.push(PlannedCandidate {
                provider,
                credential,
                model: pool.mapped(model).to_string(),
                priority: candidate.priority(),
                is_listed: pool.lists(model),
                demotion: demotion(pool, request, availability),
                figure: comparison.as_ref().map(|by| by.figure(pool, Usable::of(pool, request), model)),
            });
        }
        explanation.excluded.extend(self.ineligible(request));
        explanation
    }

    /// Returns the providers that cannot serve `request` at all, with the reason.
    fn ineligible(&self, request: &RelayRequest) -> Vec<(ProviderName, Option<CredentialId>, String)> {
        let excluded = self.pools.iter().filter_map(|pool| {
            let reason = eligibility(pool, self.strict_models, request).err()?;
            Some((pool.name().clone(), None, reason.to_string()))
        });
        excluded.collect()
    }
}

/// Returns the reason for which a candidate of `pool` is tried after others.
fn demotion(pool: &ProviderPool, request: &RelayRequest, availability: Availability) -> Option<String> {
    let last_resort = pool
        .unsupported(request)
        .map(|feature| format!("it {feature}; a text takes the place of such content"));
    last_resort.or_else(|| availability.is_demoted().then(|| availability.to_string()))
}
