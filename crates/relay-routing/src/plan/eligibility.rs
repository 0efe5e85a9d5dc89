//! The providers and candidates that can serve a request at all.

use relay_providers::RelayRequest;

use super::usable::Usable;
use crate::candidate::ProviderPool;
use crate::error::PlanError;

/// Returns the indices of the providers that can serve `request`, now or later: first those that list its
/// model, then the others, which `strict_models` excludes, and last those that need a text in the place of some content.
///
/// # Errors
/// [`PlanError`] names the condition that no provider meets.
pub(super) fn eligible_providers(
    pools: &[ProviderPool],
    strict_models: bool,
    request: &RelayRequest,
) -> Result<[Vec<usize>; 3], PlanError> {
    let model = request.body().model();
    if pools.is_empty() {
        return Err(PlanError::NoProvider);
    }
    let (listed, mut unlisted): (Vec<usize>, Vec<usize>) =
        (0..pools.len()).partition(|&index| pools[index].lists(model));
    if strict_models {
        unlisted.clear();
    }
    if listed.is_empty() && unlisted.is_empty() {
        return Err(PlanError::UnknownModel { model: model.to_string() });
    }
    let has_credential = |index: &usize| Usable::of(&pools[*index], request).any();
    let with_credential =
        [listed, unlisted].map(|group| group.into_iter().filter(has_credential).collect::<Vec<_>>());
    if with_credential.iter().all(Vec::is_empty) {
        return Err(match request.keys_allowed() {
            false => PlanError::KeysNotAllowed,
            true => PlanError::NoCredential,
        });
    }
    let mut conflicts = Vec::new();
    let mut has_no_conflict = |index: &usize| {
        let conflict = pools[*index].guardrail_conflict(request);
        let has_none = conflict.is_none();
        conflicts.extend(conflict.map(|conflict| (pools[*index].name().clone(), conflict)));
        has_none
    };
    let guarded =
        with_credential.map(|group| group.into_iter().filter(&mut has_no_conflict).collect::<Vec<_>>());
    if guarded.iter().all(Vec::is_empty) {
        return Err(PlanError::Guardrail { conflicts });
    }
    by_support(pools, guarded, request)
}

/// Separates the providers of `groups` that can serve `request` only with a text in the place of some content: they become the
/// third group.
fn by_support(
    pools: &[ProviderPool],
    groups: [Vec<usize>; 2],
    request: &RelayRequest,
) -> Result<[Vec<usize>; 3], PlanError> {
    let (mut unsupported, mut last_resort) = (Vec::new(), Vec::new());
    let mut supports_all = |index: &usize| {
        let Some(feature) = pools[*index].unsupported(request) else { return true };
        if feature.is_replaceable() {
            last_resort.push(*index);
        }
        unsupported.push((pools[*index].name().clone(), feature));
        false
    };
    let [listed, unlisted] =
        groups.map(|group| group.into_iter().filter(&mut supports_all).collect::<Vec<_>>());
    match listed.is_empty() && unlisted.is_empty() && last_resort.is_empty() {
        true => Err(PlanError::Unsuitable { unsupported }),
        false => Ok([listed, unlisted, last_resort]),
    }
}
