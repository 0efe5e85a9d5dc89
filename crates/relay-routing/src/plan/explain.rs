//! Saying where a request would go, and why, without sending it.

use std::sync::Mutex;

use relay_config::{ProviderName, Strategy};
use relay_providers::RelayRequest;
use tokio::time::Instant;

use super::{Planner, usable};
use crate::candidate::Credential;
use crate::error::PlanError;
use crate::lock::lock;

/// Where a request would go now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Explanation {
    /// How the candidates are ordered.
    pub strategy: Strategy,
    /// Whether the session of the request has a place that comes first.
    pub is_affinity_hit: bool,
    /// Those that would be tried, best first.
    pub candidates: Vec<PlannedCandidate>,
    /// Those that would not, and why; without a credential where none of the provider's is usable.
    pub excluded: Vec<(ProviderName, Option<Credential>, String)>,
    /// Why nobody can serve the request, now or later.
    pub error: Option<PlanError>,
}

/// One candidate of a plan.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlannedCandidate {
    /// Who would be asked.
    pub provider: ProviderName,
    /// With what.
    pub credential: Credential,
    /// For which model.
    pub model: String,
    /// Its priority.
    pub priority: i32,
    /// Whether the provider lists the model.
    pub is_listed: bool,
    /// Why it comes behind others; `None` if it is free.
    pub demotion: Option<String>,
}

impl Planner {
    /// Says where `request` would go now. Nobody's turn is taken.
    #[must_use]
    pub fn explain(&self, request: &RelayRequest) -> Explanation {
        let now = Instant::now();
        let model = &**request.body().model();
        let rotations = Mutex::new(lock(self.rotations(request)).clone());
        let mut explanation = Explanation {
            strategy: self.strategy,
            is_affinity_hit: false,
            candidates: Vec::new(),
            excluded: Vec::new(),
            error: None,
        };
        let plan = match self.plan_by(&rotations, request, now) {
            Ok(plan) => plan,
            Err(error) => {
                explanation.error = Some(error);
                explanation.excluded = self.unsuitable(request);
                return explanation;
            }
        };
        explanation.is_affinity_hit = plan.is_affinity_hit;
        for (pool, candidate, availability) in plan.in_order(now) {
            let (provider, credential) = (pool.name().clone(), candidate.credential().clone());
            if !availability.is_usable() {
                explanation.excluded.push((provider, Some(credential), availability.to_string()));
                continue;
            }
            explanation.candidates.push(PlannedCandidate {
                provider,
                credential,
                model: pool.mapped(model).to_owned(),
                priority: candidate.priority(),
                is_listed: pool.lists(model),
                demotion: availability.is_demoted().then(|| availability.to_string()),
            });
        }
        explanation.excluded.extend(self.unsuitable(request));
        explanation
    }

    /// Those that cannot serve `request` at all.
    fn unsuitable(&self, request: &RelayRequest) -> Vec<(ProviderName, Option<Credential>, String)> {
        let model = request.body().model();
        let reason = |pool: &crate::candidate::ProviderPool| {
            if self.strict_models && !pool.lists(model) {
                return Some("it does not list the model, and routing.strict_models is set".to_owned());
            }
            if usable(pool, request).next().is_none() {
                return Some(match request.keys_allowed() {
                    false => "its keys may not serve a subscription".to_owned(),
                    true => "it has no key, and the request brings no credential that it could be asked with"
                        .to_owned(),
                });
            }
            pool.unsupported(request).map(|reason| format!("it {reason}"))
        };
        let excluded = self
            .pools
            .iter()
            .filter_map(|pool| reason(pool).map(|reason| (pool.name().clone(), None, reason)));
        excluded.collect()
    }
}
