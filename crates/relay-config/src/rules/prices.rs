//! The rules for `prices`.

use std::collections::BTreeMap;

use super::{Problems, value_fault};
use crate::config::PriceRule;
use crate::error::Fault;
use crate::kinds::KINDS;
use crate::suggest::nearest;
use crate::tree::KeyPath;

/// The largest number of entries. Each is compared with the provider and the model of a request.
const COUNT_MAX: usize = 1_000;

/// Checks the entries; `names` are the names of all providers.
pub(crate) fn check<'a>(
    rules: &[PriceRule],
    names: impl Iterator<Item = &'a str> + Clone,
    path: &KeyPath,
    to: &mut dyn Problems,
) {
    if rules.len() > COUNT_MAX {
        to.problem(path, value_fault(format!("{} prices", rules.len()), format!("at most {COUNT_MAX}"), ""));
    }
    let mut seen = BTreeMap::new();
    for (index, rule) in rules.iter().enumerate().take(COUNT_MAX) {
        let first = *seen.entry((&rule.provider, &rule.models)).or_insert(index);
        if first != index {
            let what = "the price of this provider and these models".to_owned();
            to.problem(&path.index(index), Fault::Taken { what, first: path.index(first).to_string() });
        }
        let path = path.index(index);
        check_figures(rule, &path, to);
        super::check_models(rule.models.iter(), &path.key("models"), to);
        if let Some(provider) = &rule.provider {
            check_provider(provider, names.clone(), &path.key("provider"), to);
        }
    }
}

/// Refuses an entry and a tier without any figure.
fn check_figures(rule: &PriceRule, path: &KeyPath, to: &mut dyn Problems) {
    if rule.is_empty() {
        let expected = "a price needs a figure, as in input: 3, output: 15 (US dollars for 1,000,000 tokens)";
        to.problem(path, Fault::Missing { expected: expected.to_owned() });
    }
    if let Some(tier) = &rule.tier
        && tier.tokens.named().iter().all(|(_, price)| price.is_none())
    {
        let expected = "a tier needs the prices of long prompts, as in input: 6, output: 22.5".to_owned();
        to.problem(&path.key("tier"), Fault::Missing { expected });
    }
}

/// Refuses the name of a provider that does not exist.
fn check_provider<'a>(
    name: &str,
    names: impl Iterator<Item = &'a str> + Clone,
    path: &KeyPath,
    to: &mut dyn Problems,
) {
    let kinds = KINDS.iter().map(|kind| kind.name).filter(|name| !name.is_empty());
    let mut known = names.chain(kinds);
    if known.clone().any(|known| known == name) {
        return;
    }
    let hint = nearest(name, known.clone()).map(|near| format!("did you mean `{near}`?"));
    let known = || format!("known here: {}", known.by_ref().collect::<Vec<_>>().join(", "));
    let hint = hint.unwrap_or_else(known);
    to.problem(path, value_fault(format!("{name:?}"), "the name or the type of a provider", hint));
}
