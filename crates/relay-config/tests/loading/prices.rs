//! Prices of models.

use relay_config::{Config, PriceRule};

use crate::check::{toml, toml_problems, yaml, yaml_problems};

#[test]
fn prices_are_loaded_from_both_formats() {
    let text = "
[[providers]]
name = 'mine'
type = 'mock'
[[prices]]
provider = 'mine'
models = ['glm-*', 'm']
input = 0.6
output = 2
cache_read = 1_000.5
cache_write_5m = 0
cache_write_1h = 1.25e-2
batch_factor = 0.5
us_factor = 1.2
regional_factor = 1
us_data_zone = true
web_search = 10.0
tier = { over = 200_000, input = 6 }
[[prices]]
input = 0
";
    let from_toml = toml(text).config;
    let from_yaml = yaml(
        "
providers: [{ name: mine, type: mock }]
prices:
  - provider: mine
    models: ['glm-*', m]
    input: 0.6
    output: 2
    cache_read: 1000.5
    cache_write_5m: 0
    cache_write_1h: 1.25e-2
    batch_factor: 0.5
    us_factor: 1.2
    regional_factor: 1
    us_data_zone: true
    web_search: 10.0
    tier: { over: 200000, input: 6 }
  - input: 0
",
    );
    assert_eq!(format!("{from_toml:?}"), format!("{:?}", from_yaml.config));
    let Config { prices, .. } = from_toml;
    let found = PriceRule::find(&prices, "mine", "mock", "glm-5").unwrap();
    assert_eq!((found.tokens.input, found.tokens.output), (Some(0.6), Some(2.0)));
    assert_eq!((found.tokens.cache_read, found.tokens.cache_write_1h), (Some(1000.5), Some(0.0125)));
    assert_eq!((found.us_factor, found.regional_factor), (Some(1.2), Some(1.0)));
    assert_eq!((found.us_data_zone, found.batch_factor), (Some(true), Some(0.5)));
    let tier = found.tier.unwrap();
    assert_eq!((tier.over.get(), tier.tokens.input, tier.tokens.output), (200_000, Some(6.0), None));
    let other = PriceRule::find(&prices, "other", "zai", "glm-5").unwrap();
    assert_eq!(other.tokens.input, Some(0.0));
}

#[test]
fn a_price_must_have_a_figure() {
    let expected =
        "missing; a price needs a figure, as in input: 3, output: 15 (US dollars for 1,000,000 tokens)";
    yaml_problems(
        "prices: [{}, { provider: zai }, { models: [m] }]",
        &[
            &format!("1:10: prices[0]: {expected}"),
            &format!("1:14: prices[1]: {expected}"),
            &format!("1:33: prices[2]: {expected}"),
        ],
    );
    yaml_problems(
        "prices: [{ input: 1, tier: { over: 1 } }, { input: 1, tier: { output: 1 } }]",
        &[
            "1:28: prices[0].tier: missing; a tier needs the prices of long prompts, as in input: 6, output: 22.5",
            "1:61: prices[1].tier.over: missing; give a whole number from 1 to 1000000000",
        ],
    );
}

#[test]
fn figures_have_bounds() {
    #[track_caller]
    fn check(number: &str) {
        for key in ["input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "web_search"] {
            let problem = format!(
                "1:{}: prices[0].{key}: found the number {number}, expected a number from 0 to 1000000",
                "prices: [{ : ".len() + key.len() + 1
            );
            yaml_problems(&format!("prices: [{{ {key}: {number} }}]"), &[&problem]);
        }
    }
    for number in ["-1", "-0.5", ".nan", ".inf", "1e9", "1000001"] {
        check(number);
    }
    let problem = "3:9: prices[0].input: found the number nan, expected a number from 0 to 1000000";
    toml_problems("\n[[prices]]\ninput = nan\n", &[problem]);
    for (key, column) in [("batch_factor", 26), ("us_factor", 23), ("regional_factor", 29)] {
        let problem =
            format!("1:{column}: prices[0].{key}: found the number -0.5, expected a number from 0 to 100");
        yaml_problems(&format!("prices: [{{ {key}: -0.5 }}]"), &[&problem]);
    }
}

#[test]
fn the_provider_of_a_price_must_exist() {
    yaml(
        "providers: [{ name: mine, type: mock }]\nprices: [{ provider: mine, input: 1 }, { provider: ollama, input: 0 }]",
    );
    yaml_problems(
        "prices: [{ provider: antropic, input: 1 }]",
        &[
            "1:22: prices[0].provider: found \"antropic\", expected the name or the type of a provider; did you mean `anthropic`?",
        ],
    );
    yaml_problems(
        "prices: [{ provider: '', input: 1 }]",
        &["1:22: prices[0].provider: found an empty string, expected a non-empty string"],
    );
}

#[test]
fn a_list_of_prices_is_bounded() {
    let prices: String = (0..1001).map(|index| format!("- {{ models: [m{index}], input: 1 }}\n")).collect();
    yaml_problems(&format!("prices:\n{prices}"), &["2:3: prices: found 1001 prices, expected at most 1000"]);
}

#[test]
fn two_prices_of_the_same_models_are_refused() {
    yaml(
        "prices: [{ models: [m], input: 1 }, { models: [m, n], input: 2 }, { provider: zai, models: [m], input: 3 }]",
    );
    let taken = "the price of this provider and these models is already used by prices[0]";
    yaml_problems(
        "prices: [{ models: [m], input: 1 }, { models: [m], output: 2 }, { models: ['a b'], input: 1 }]",
        &[
            &format!("1:37: prices[1]: {taken}"),
            "1:76: prices[2].models[0]: found \"a b\", expected a name, or a pattern with `*`, without blanks; write each model \
             as an item of its own",
        ],
    );
}

#[test]
fn a_list_of_models_is_bounded() {
    let models = "m, ".repeat(1001);
    let expected = "found 1001 models, expected at most 1000; a pattern with `*` matches many";
    yaml_problems(
        &format!("prices: [{{ input: 1, models: [{models}] }}]"),
        &[&format!("1:30: prices[0].models: {expected}")],
    );
}
