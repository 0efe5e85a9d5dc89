//! Resolves the entries of `prices`.

use crate::capabilities::Pattern;
use crate::config::{PriceRule, PriceTier, TokenPrices};
use crate::raw;
use crate::resolve::reporter::Reporter;
use crate::rules;
use crate::tree::KeyPath;

/// Resolves the list; `names` are the names of all providers.
pub(super) fn resolve(
    raw: Vec<raw::Price>,
    names: &[String],
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> Vec<PriceRule> {
    let rules: Vec<_> = raw.into_iter().map(rule).collect();
    rules::prices::check(&rules, names.iter().map(String::as_str), path, to);
    rules
}

fn rule(raw: raw::Price) -> PriceRule {
    let tokens = TokenPrices {
        input: raw.input,
        output: raw.output,
        cache_read: raw.cache_read,
        cache_write_5m: raw.cache_write_5m,
        cache_write_1h: raw.cache_write_1h,
    };
    PriceRule {
        provider: raw.provider,
        models: raw.models.unwrap_or_default().into_iter().map(Pattern::new).collect(),
        tokens,
        tier: raw.tier.and_then(tier),
        batch_factor: raw.batch_factor,
        us_factor: raw.us_factor,
        regional_factor: raw.regional_factor,
        us_data_zone: raw.us_data_zone,
        web_search: raw.web_search,
    }
}

/// Resolves a tier. The schema requires `over`, so that a missing one has been reported.
fn tier(raw: raw::PriceTier) -> Option<PriceTier> {
    let tokens = TokenPrices {
        input: raw.input,
        output: raw.output,
        cache_read: raw.cache_read,
        cache_write_5m: raw.cache_write_5m,
        cache_write_1h: raw.cache_write_1h,
    };
    Some(PriceTier::new(raw.over?, tokens))
}
