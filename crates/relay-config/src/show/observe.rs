//! The `metrics`, `admin`, `usage` and `prices` settings, and the bounds of a client.

use super::writer::Writer;
use crate::capabilities::Pattern;
use crate::config::{AdminConfig, ClientKey, MetricsConfig, PriceRule, TokenPrices, UsageConfig};
use crate::date::write_rfc3339;

pub(super) fn access(client: &ClientKey, out: &mut Writer) {
    if !client.models.is_unlimited() {
        out.strings("models", client.models.iter().map(Pattern::as_str));
    }
    if let Some(end) = client.expires {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write_rfc3339(&mut text, end);
        out.string("expires", text);
    }
    if let Some(budget) = &client.budget {
        out.plain("budget_usd", budget.usd);
        out.plain("budget_period", budget.period.as_str());
    }
}

pub(super) fn metrics(metrics: &MetricsConfig, out: &mut Writer) {
    out.plain("enabled", metrics.enabled);
    if let Some(address) = &metrics.listen {
        out.string("listen", address);
    }
    out.string("path", &metrics.path);
}

pub(super) fn admin(admin: &AdminConfig, out: &mut Writer) {
    out.plain("enabled", admin.enabled);
    match admin.is_explicit {
        true => out.string("listen", &admin.listen),
        // Written as a setting, the address would have to be free.
        false => out.remark(format!("listen: {}, if it is free", admin.listen)),
    }
    if let Some(token) = &admin.token {
        out.secret("token", token);
    }
}

pub(super) fn usage(usage: &UsageConfig, out: &mut Writer) {
    out.plain("enabled", usage.enabled);
    match &usage.path {
        Some(path) => out.string("path", path.display()),
        None => out.remark("path: a file in the user's data directory"),
    }
    out.plain("retention_days", usage.retention_days.map_or(0, std::num::NonZeroU32::get));
}

pub(super) fn price(rule: &PriceRule, out: &mut Writer) {
    if let Some(provider) = &rule.provider {
        out.string("provider", provider);
    }
    if !rule.models.is_empty() {
        out.strings("models", rule.models.iter().map(Pattern::as_str));
    }
    tokens(&rule.tokens, out);
    if let Some(tier) = &rule.tier {
        out.table("tier", |out| {
            out.plain("over", tier.over);
            tokens(&tier.tokens, out);
        });
    }
    for (name, figure) in rule.further() {
        if let Some(figure) = figure {
            out.plain(name, figure);
        }
    }
    if let Some(is_us) = rule.us_data_zone {
        out.plain("us_data_zone", is_us);
    }
}

fn tokens(prices: &TokenPrices, out: &mut Writer) {
    for (name, price) in prices.named() {
        if let Some(price) = price {
            out.plain(name, price);
        }
    }
}
