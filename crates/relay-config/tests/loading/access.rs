//! The bounds of clients: models, the end of a key, budgets.

use std::time::{Duration, SystemTime};

use relay_config::{Budget, BudgetPeriod, ClientKey, parse_rfc3339};

use crate::check::{toml, warnings, yaml, yaml_problems};

fn client(settings: &str) -> ClientKey {
    let text = format!("server: {{ auth: {{ api_keys: [{{ name: a, key: k, {settings} }}] }} }}");
    yaml(&text).config.server.auth.keys.remove(0)
}

/// Asserts the problem of a setting of a client, without its place.
#[track_caller]
fn refused(setting: &str, expected: &str) {
    let before = "server: { auth: { api_keys: [{ name: a, key: k, ";
    let (key, _) = setting.split_once(": ").expect("a setting has a value");
    let column = before.len() + key.len() + 3;
    let expected = format!("1:{column}: server.auth.api_keys[0].{key}: {expected}");
    yaml_problems(&format!("{before}{setting} }}] }} }}"), &[&expected]);
}

#[test]
fn a_client_without_settings_has_no_bounds() {
    let client = client("");
    assert!(client.models.is_unlimited() && client.models.allows("any"));
    assert_eq!((client.expires, client.budget), (None, None));
}

#[test]
fn models_are_names_and_patterns() {
    let client = client("models: ['claude-haiku-*', glm-5]");
    assert!(client.models.allows("claude-haiku-4-5") && client.models.allows("glm-5"));
    assert!(!client.models.allows("claude-opus-5-5"));
    refused("models: []", "found an empty list, expected at least one item");
    refused("models: claude-*", "found \"claude-*\", expected a list; put it in brackets: [ ]");
    let before = "server: { auth: { api_keys: [{ name: a, key: k, models: [";
    let column = before.len() + 1;
    for (item, expected) in [
        ("''", "found an empty string, expected a non-empty string"),
        (
            "'claude-*, glm-*'",
            "found \"claude-*, glm-*\", expected a name, or a pattern with `*`, without blanks; write each model as an item of its own",
        ),
        ("4.5", "found the number 4.5, expected a string; put it in quotes: \"4.5\""),
    ] {
        let problem = format!("1:{column}: server.auth.api_keys[0].models[0]: {expected}");
        yaml_problems(&format!("{before}{item}] }}] }} }}"), &[&problem]);
    }
}

#[test]
fn a_key_expires_at_the_end_of_a_date_or_at_a_time() {
    #[track_caller]
    fn check(written: &str, expected: &str) {
        let expected = parse_rfc3339(expected);
        assert_eq!(client(&format!("expires: {written}")).expires, expected, "{written}");
        let text = format!(
            "[[server.auth.api_keys]]\nname = 'a'\nkey = 'k'\nexpires = {}\n",
            written.trim_matches('"')
        );
        assert_eq!(toml(&text).config.server.auth.keys[0].expires, expected, "{written}");
    }
    check("2099-12-31", "2099-12-31T23:59:59Z");
    check("\"2099-12-31\"", "2099-12-31T23:59:59Z");
    check("2099-12-31T18:00:00Z", "2099-12-31T18:00:00Z");
    check("2099-12-31 18:00:00+02:00", "2099-12-31T16:00:00Z");
}

#[test]
fn a_text_that_is_no_date_is_refused_with_the_fix() {
    let form = "expected a date or a time with an offset, as in 2026-12-31 or 2026-12-31T18:00:00Z";
    for text in ["2026-02-30", "31.12.2026", "2026-13-01", "next week", "2026-12", "never", "90d"] {
        refused(&format!("expires: {text}"), &format!("found {text:?}, {form}"));
    }
    for text in ["2026-12-31T18:00:00", "2026-12-31 18:00:00"] {
        refused(
            &format!("expires: '{text}'"),
            &format!("found {text:?}, {form}; add the offset from UTC: {text}Z"),
        );
    }
    let text = "2026-12-31T18:00";
    let hint = format!("add seconds and the offset from UTC: {text}:00Z");
    refused(&format!("expires: '{text}'"), &format!("found {text:?}, {form}; {hint}"));
    refused("expires: 2026", &format!("found the number 2026, {form}"));
    refused("expires: true", &format!("found true, {form}"));
    refused("expires: []", &format!("found a list, {form}"));
    refused("expires: ''", "found an empty string, expected a non-empty string");
}

#[test]
fn an_expired_key_is_a_warning() {
    let text = "providers: [{ name: a, type: mock }]\n\
                server: { auth: { api_keys: [{ name: a, key: k, expires: 2020-01-01 }] } }";
    let loaded = yaml(text);
    let expected =
        "2:58: server.auth.api_keys[0].expires: the key has expired; requests with it are answered with 401";
    warnings(&loaded, &[expected]);
    let end = loaded.config.server.auth.keys[0].expires.unwrap();
    assert!(end + Duration::from_secs(1) < SystemTime::now());
}

#[test]
fn a_budget_is_a_positive_amount_in_a_period() {
    let budget = |settings: &str| client(settings).budget;
    assert_eq!(budget("budget_usd: 25"), Some(Budget::new(25.0, BudgetPeriod::Month)));
    assert_eq!(budget("budget_usd: 0.5, budget_period: day"), Some(Budget::new(0.5, BudgetPeriod::Day)));
    assert_eq!(budget("budget_usd: 1e3, budget_period: week"), Some(Budget::new(1000.0, BudgetPeriod::Week)));
    let form = "expected a number from 0.000001 to 1000000000";
    for number in
        ["0", "-5", "0.0000001", ".nan", ".inf", "-.inf", "1e400", "1e10", "99999999999999999999999"]
    {
        refused(&format!("budget_usd: {number}"), &format!("found the number {number}, {form}"));
    }
    let alone = "write the number alone, with a decimal point";
    refused("budget_usd: 25 USD", &format!("found \"25 USD\", {form}; {alone}"));
    refused("budget_usd: $25", &format!("found \"$25\", {form}; {alone}"));
    refused("budget_usd: '25'", &format!("found \"25\", {form}; remove the quotes"));
    refused("budget_usd: ~", &format!("found nothing, {form}; give a value, or remove the line"));
    refused("budget_usd: many", &format!("found \"many\", {form}"));
    refused("budget_period: year", "found \"year\", expected one of `day`, `week`, `month`");
}

#[test]
fn a_period_without_an_amount_is_refused() {
    yaml_problems(
        "server: { auth: { api_keys: [{ name: a, key: k, budget_period: day }] } }",
        &["1:30: server.auth.api_keys[0].budget_usd: missing; budget_period needs an amount: budget_usd: 25"],
    );
}

#[test]
fn an_amount_may_come_from_a_variable() {
    let text = "server: { auth: { api_keys: [{ name: a, key: k, budget_usd: '${AMOUNT}' }] } }";
    let load = |amount: &str| {
        crate::check::loader(&[("AMOUNT", amount)]).with_text("c", relay_config::Format::Yaml, text).load()
    };
    assert_eq!(load("12.5").unwrap().config.server.auth.keys[0].budget.map(|budget| budget.usd), Some(12.5));
    for amount in ["nan", "inf", "-1", ""] {
        assert!(load(amount).is_err(), "{amount}");
    }
}
