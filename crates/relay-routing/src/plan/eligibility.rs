//! The providers and candidates that can serve a request at all.

use std::fmt;

use relay_config::ProviderName;
use relay_messages::Unsupported;
use relay_providers::{GuardrailConflict, RelayRequest};

use super::usable::Usable;
use crate::candidate::ProviderPool;
use crate::error::PlanError;

/// The place of a provider among those that can serve a request. A plan has the providers in this order, whatever the strategy
/// chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Suitability {
    /// The provider lists the model, or lists no models.
    Listed,
    /// The provider lists other models only.
    Unlisted,
    /// The provider needs a text in the place of some content.
    LastResort,
}

/// The condition of a request that a provider does not meet, now or later. Its text is a clause about the provider.
#[derive(Debug)]
pub(super) enum Ineligible {
    /// The provider does not list the model, and `strict_models` is set.
    Model,
    /// The request may use none of its credentials, because keys may not serve it.
    Keys,
    /// The request may use none of its credentials.
    Credential,
    Guardrail(GuardrailConflict),
    Feature(Unsupported),
}

impl fmt::Display for Ineligible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => f.write_str("it does not list the model, and routing.strict_models is set"),
            Self::Keys => f.write_str("its keys may not serve a subscription"),
            Self::Credential => {
                f.write_str("it has no key, and the request has no credential that can be passed through")
            }
            Self::Guardrail(conflict) => write!(f, "it {conflict}"),
            Self::Feature(feature) => write!(f, "it {feature}"),
        }
    }
}

/// Returns the place of `pool` among those that can serve `request`, and its candidates that the request may use.
///
/// # Errors
/// The first condition that the provider does not meet.
pub(super) fn eligibility<'a>(
    pool: &'a ProviderPool,
    strict_models: bool,
    request: &RelayRequest,
) -> Result<(Suitability, Usable<'a>), Ineligible> {
    let is_listed = pool.lists(request.body().model());
    if strict_models && !is_listed {
        return Err(Ineligible::Model);
    }
    let usable = Usable::of(pool, request);
    if !usable.any() {
        return Err(if request.keys_allowed() { Ineligible::Credential } else { Ineligible::Keys });
    }
    if let Some(conflict) = pool.guardrail_conflict(request) {
        return Err(Ineligible::Guardrail(conflict));
    }
    match pool.unsupported(request) {
        None if is_listed => Ok((Suitability::Listed, usable)),
        None => Ok((Suitability::Unlisted, usable)),
        Some(feature) if feature.is_replaceable() => Ok((Suitability::LastResort, usable)),
        Some(feature) => Err(Ineligible::Feature(feature)),
    }
}

/// Returns the error of a request that none of `pools` can serve: the condition that no provider meets, after the conditions
/// that some provider meets.
#[cold]
pub(super) fn plan_error(pools: &[ProviderPool], strict_models: bool, request: &RelayRequest) -> PlanError {
    let model = request.body().model();
    let (mut unsupported, mut conflicts, mut has_no_credential) = (Vec::new(), Vec::new(), false);
    // Those that list the model come first.
    let listed = pools.iter().filter(|pool| pool.lists(model));
    for pool in listed.chain(pools.iter().filter(|pool| !pool.lists(model))) {
        let name = || -> ProviderName { pool.name().clone() };
        match eligibility(pool, strict_models, request) {
            Err(Ineligible::Feature(feature)) => unsupported.push((name(), feature)),
            Err(Ineligible::Guardrail(conflict)) => conflicts.push((name(), conflict)),
            Err(Ineligible::Keys | Ineligible::Credential) => has_no_credential = true,
            Err(Ineligible::Model) | Ok(_) => {}
        }
    }
    match has_no_credential {
        _ if !unsupported.is_empty() => PlanError::Unsuitable { unsupported },
        _ if !conflicts.is_empty() => PlanError::Guardrail { conflicts },
        true if request.keys_allowed() => PlanError::NoCredential,
        true => PlanError::KeysNotAllowed,
        false if pools.is_empty() => PlanError::NoProvider,
        false => PlanError::UnknownModel { model: model.to_string() },
    }
}
