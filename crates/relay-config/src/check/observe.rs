//! Checks the `metrics`, `admin`, `usage` and `prices` settings.

use super::checker::Checker;
use crate::config::{Config, PriceRule};
use crate::rules::{self, observe::Listeners};
use crate::tree::KeyPath;

pub(super) fn check(config: &Config, root: &KeyPath, to: &mut Checker) {
    let Config { server, metrics, admin, usage, .. } = config;
    if let Some(token) = &admin.token {
        to.secret(&root.key("admin").key("token"), token);
    }
    rules::observe::check(&Listeners { server, metrics, admin }, root, to);
    if let Some(days) = usage.retention_days {
        to.number(&root.key("usage").key("retention_days"), days.get());
    }
    let prices = root.key("prices");
    for (index, rule) in config.prices.iter().enumerate() {
        check_price(rule, &prices.index(index), to);
    }
    let names = config.providers.iter().map(|provider| provider.name.as_str());
    rules::prices::check(&config.prices, names, &prices, to);
}

/// Checks the figures of an entry of `prices`.
fn check_price(rule: &PriceRule, path: &KeyPath, to: &mut Checker) {
    let own =
        rule.tokens.named().into_iter().chain(rule.further()).map(|(name, price)| (path.key(name), price));
    let tier = path.key("tier");
    let of_tier = rule.tier.iter().flat_map(|tier| tier.tokens.named());
    let of_tier = of_tier.map(|(name, price)| (tier.key(name), price));
    for (path, price) in own.chain(of_tier) {
        if let Some(price) = price {
            to.float(&path, price);
        }
    }
}
