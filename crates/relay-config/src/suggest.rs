//! Suggestions for misspelled names.

/// Returns the candidate nearest to `name`, if it is near enough to be a typing error: at most a third of its
/// letters differ.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    let distance = |candidate: &str| strsim::damerau_levenshtein(&name, &candidate.to_ascii_lowercase());
    candidates
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= candidate.len().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
