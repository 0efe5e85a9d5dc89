//! Costs that were computed by hand from the published prices.

use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use relay_config::{
    AwsCredentials, AzureAuth, AzureConfig, BaseUrl, BedrockConfig, CompatibleAuth, Config,
    GoogleCredentials, KindSpec, Pattern, PriceRule, PriceTier, ProviderConfig, ProviderKind, TokenPrices,
    VertexConfig,
};

use relay_providers::Usage;
use relay_routing::{Pricing, Usd};

use super::quantities::Quantities;
use super::*;

/// A Thursday at 02:00 UTC, in the peak hours of DeepSeek.
const PEAK: u64 = 1_795_651_200 + 2 * 3600;

/// 1,000 input, 500 output, 10,000 read, 2,000 written for five minutes and 300 for one hour.
const ALL_KINDS: Quantities = Quantities {
    input: 1000,
    output: 500,
    cache_read: 10_000,
    cache_write_5m: 2000,
    cache_write_1h: 300,
    web_searches: 0,
    web_fetches: 0,
    is_fast: false,
    is_us: false,
    is_batch: false,
};

/// 1,000 input and 500 output.
const UNCACHED: Quantities = Quantities { cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, ..ALL_KINDS };

fn url(text: &str) -> BaseUrl {
    BaseUrl::parse(text).unwrap()
}

fn compatible(kind: &str, address: &str) -> ProviderKind {
    {
        let spec = KindSpec::named(kind).unwrap();
        ProviderKind::compatible(spec, url(address), CompatibleAuth::Bearer)
    }
}

fn bedrock(region: &str) -> ProviderKind {
    ProviderKind::Bedrock(BedrockConfig::new(AwsCredentials::DefaultChain).with_region(region))
}

fn vertex(region: &str) -> ProviderKind {
    let credentials = GoogleCredentials::File("key.json".into());
    ProviderKind::Vertex(VertexConfig::new(credentials).with_region(region))
}

fn azure() -> ProviderKind {
    ProviderKind::Azure(AzureConfig::new(url("https://mine.services.ai.azure.com"), AzureAuth::ApiKey))
}

fn anthropic() -> ProviderKind {
    ProviderKind::anthropic(url("https://api.anthropic.com"))
}

fn config(kind: ProviderKind) -> Config {
    Config::new([ProviderConfig::new("p", kind)])
}

fn table(kind: ProviderKind) -> PriceTable {
    PriceTable::new(&config(kind)).unwrap()
}

fn nanos_at(unix: u64, table: &PriceTable, model: &str, quantities: Quantities) -> Option<u64> {
    let now = UNIX_EPOCH + Duration::from_secs(unix);
    table.cost_at(|| now, &"p".into(), model, &quantities).map(Usd::as_nanos)
}

/// Checks the cost of `quantities` in nanodollars.
#[track_caller]
fn check(kind: ProviderKind, model: &str, quantities: Quantities, nanos: Option<u64>) {
    assert_eq!(nanos_at(PEAK, &table(kind), model, quantities), nanos, "{model}");
}

#[test]
fn the_table_has_the_prices_of_the_toml_file() {
    let text = table_text::render();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/prices/table.rs");
    if std::env::var_os("UPDATE_PRICES").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text, "UPDATE_PRICES=1 writes table.rs");
}

#[test]
fn every_price_has_a_source_and_a_date() {
    let toml: toml_edit::DocumentMut = table_text::TOML.parse().unwrap();
    let sources = toml["sources"].as_table().unwrap();
    for price in table_text::tables(&toml, "price") {
        let named = price["source"].as_array().unwrap();
        assert!(!named.is_empty(), "{price:?}");
        assert!(named.iter().all(|source| sources.contains_key(source.as_str().unwrap())), "{price:?}");
        assert!(price["checked"].is_datetime(), "{price:?}");
    }
}

#[test]
fn every_kind_of_token_has_its_price() {
    // 4 × 1,000 + 20 × 500 + 0.2 × 10,000 + 5 × 2,000 + 8 × 300 microdollars, and the same sum for the others.
    check(anthropic(), "claude-opus-5-5", ALL_KINDS, Some(28_400_000));
    check(anthropic(), "claude-opus-5", ALL_KINDS, Some(38_000_000));
    check(anthropic(), "claude-sonnet-5-5", ALL_KINDS, Some(14_200_000));
    check(anthropic(), "claude-sonnet-4-5-20250929", ALL_KINDS, Some(22_800_000));
    check(anthropic(), "claude-haiku-4-5-20251001", ALL_KINDS, Some(7_600_000));
    check(anthropic(), "claude-haiku-5-5", ALL_KINDS, Some(760_000));
    check(anthropic(), "claude-fable-5-2", ALL_KINDS, Some(54_800_000));
    check(anthropic(), "Claude-Fable-5-2-20261109[1m]", ALL_KINDS, Some(54_800_000));
}

#[test]
fn a_price_that_is_not_listed_is_that_of_input_or_of_five_minute_writes() {
    // 0.95 × 1,000 + 4 × 500 + 0.16 × 10,000 + 0.95 × 2,300.
    check(
        compatible("moonshot", "https://api.moonshot.ai/anthropic"),
        "kimi-k2.6",
        ALL_KINDS,
        Some(6_735_000),
    );
    // 0.3 × 1,000 + 1.2 × 500 + 0.06 × 10,000 + 0.375 × 2,300.
    check(
        compatible("minimax", "https://api.minimax.io/anthropic"),
        "MiniMax-M2.7",
        ALL_KINDS,
        Some(2_362_500),
    );
    // No price of the cache at all: 0.25 × 13,300 + 1.25 × 500, at a region without a factor.
    check(bedrock("us-east-1"), "anthropic.claude-3-haiku-20240307-v1:0", ALL_KINDS, Some(3_950_000));
}

#[test]
fn a_prompt_over_the_limit_pays_the_higher_price_for_every_token() {
    let long = |input| Quantities { input, output: 100, ..Quantities::default() };
    let global = "global.anthropic.claude-sonnet-4-5-20250929-v1:0";
    check(bedrock("us-east-1"), global, long(200_000), Some(601_500_000));
    check(bedrock("us-east-1"), global, long(200_001), Some(1_202_256_000));
    let regional = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    check(bedrock("us-east-1"), regional, long(200_001), Some(1_322_481_600));
    // Cached tokens count for the length: 6 × 1 + 0.6 × 150,000 + 7.5 × 50,000.
    let cached =
        Quantities { input: 1, cache_read: 150_000, cache_write_5m: 50_000, ..Quantities::default() };
    check(bedrock("us-east-1"), global, cached, Some(465_006_000));
    check(vertex("global"), "claude-sonnet-4-5@20250929", long(200_001), Some(1_202_256_000));
    // Anthropic's own API has no such price.
    check(anthropic(), "claude-sonnet-4-5", long(200_001), Some(601_503_000));
    check(anthropic(), "claude-haiku-5-5", long(100_000), Some(10_050_000));
    check(anthropic(), "claude-haiku-5-5", long(100_001), Some(50_250_500));
}

#[test]
fn a_bedrock_model_outside_of_the_global_profile_costs_more() {
    const ID: &str = "anthropic.claude-opus-5-5";
    check(bedrock("us-east-1"), &format!("global.{ID}"), ALL_KINDS, Some(28_400_000));
    for prefix in ["", "us.", "eu.", "apac.", "au.", "jp.", "in.", "ca."] {
        check(bedrock("eu-west-1"), &format!("{prefix}{ID}"), ALL_KINDS, Some(31_240_000));
    }
    check(bedrock("us-gov-west-1"), &format!("us-gov.{ID}"), ALL_KINDS, Some(34_080_000));
    check(bedrock("us-gov-east-1"), ID, ALL_KINDS, Some(34_080_000));
    let arn = format!("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{ID}");
    check(bedrock("us-east-1"), &arn, ALL_KINDS, Some(31_240_000));
    check(bedrock("us-east-1"), "claude-opus-5-5", ALL_KINDS, Some(31_240_000));
    let application = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc";
    check(bedrock("us-east-1"), application, ALL_KINDS, None);
}

#[test]
fn a_vertex_model_outside_of_the_global_endpoint_costs_more() {
    check(vertex("global"), "claude-opus-5-5", ALL_KINDS, Some(28_400_000));
    for region in ["us-east5", "us", "eu"] {
        check(vertex(region), "claude-opus-5-5", ALL_KINDS, Some(31_240_000));
    }
    check(vertex("us-east5"), "claude-opus-4-1@20250805", UNCACHED, Some(52_500_000));
}

#[test]
fn factors_multiply_and_do_not_touch_tools() {
    let searched = Quantities { web_searches: 3, web_fetches: 5, ..ALL_KINDS };
    check(anthropic(), "claude-opus-5-5", searched, Some(58_400_000));
    check(anthropic(), "claude-opus-5-5", Quantities { is_us: true, ..searched }, Some(61_240_000));
    check(anthropic(), "claude-opus-5-5", Quantities { is_fast: true, ..ALL_KINDS }, Some(56_800_000));
    let both = Quantities { is_fast: true, is_us: true, ..searched };
    check(anthropic(), "claude-opus-5-5", both, Some(92_480_000));
    check(anthropic(), "claude-opus-5-5", Quantities { is_batch: true, ..searched }, Some(44_200_000));
    check(vertex("us"), "claude-fable-5-2", Quantities { is_fast: true, ..ALL_KINDS }, Some(120_560_000));
    check(bedrock("us-east-1"), "global.anthropic.claude-opus-5-5", searched, Some(28_400_000));
    // 0.3 × 1,000 + 1.2 × 500, and 8 calls for 0.75 dollars per 1,000.
    let deepseek = || compatible("deepseek", "https://api.deepseek.com/anthropic");
    let calls = Quantities { web_searches: 3, web_fetches: 5, ..UNCACHED };
    check(deepseek(), "deepseek-flash", calls, Some(6_900_000));
}

#[test]
fn a_mode_without_a_published_price_has_no_cost() {
    check(anthropic(), "claude-opus-4-5", Quantities { is_fast: true, ..ALL_KINDS }, None);
    check(
        bedrock("us-east-1"),
        "anthropic.claude-opus-5-5",
        Quantities { is_batch: true, ..ALL_KINDS },
        None,
    );
    // It bills fast requests as others.
    check(anthropic(), "claude-opus-4-6", Quantities { is_fast: true, ..ALL_KINDS }, Some(38_000_000));
}

#[test]
fn deepseek_is_cheaper_outside_of_its_peak_hours() {
    let deepseek = table(compatible("deepseek", "https://api.deepseek.com/anthropic"));
    assert_eq!(nanos_at(PEAK, &deepseek, "claude-opus-5-5", UNCACHED), Some(3_300_000));
    assert_eq!(nanos_at(PEAK + 2 * 3600, &deepseek, "claude-opus-5-5", UNCACHED), Some(1_650_000));
    assert_eq!(nanos_at(PEAK, &deepseek, "claude-haiku-4-5", UNCACHED), Some(900_000));
}

#[test]
fn only_a_known_model_of_a_priced_provider_has_a_cost() {
    let zai = || ProviderKind::zai(url("https://api.z.ai/api/anthropic"));
    check(zai(), "claude-opus-5-5", UNCACHED, None);
    check(zai(), "GLM-5.3", UNCACHED, Some(3_600_000));
    check(ProviderKind::ollama(url("http://localhost:11434")), "qwen3-coder:30b", ALL_KINDS, Some(0));
    check(ProviderKind::Mock, "claude-opus-5-5", ALL_KINDS, Some(0));
    check(compatible("openrouter", "https://openrouter.ai/api"), "anthropic/claude-opus-5.5", UNCACHED, None);
    check(anthropic(), "claude-2.1", UNCACHED, None);
    check(vertex("global"), "claude-mythos-5", UNCACHED, None);
    check(anthropic(), "", UNCACHED, None);
    assert_eq!(table(anthropic()).cost(&"q".into(), "claude-opus-5-5", &Usage::default()), None);
}

#[test]
fn the_prices_are_those_of_the_vendor_at_the_address() {
    let opus = "claude-opus-5-5";
    check(compatible("anthropic_compatible", "https://gateway.example"), opus, UNCACHED, None);
    check(compatible("anthropic_compatible", "https://api.anthropic.com"), opus, UNCACHED, Some(14_000_000));
    check(compatible("anthropic_compatible", "https://API.deepseek.com/x"), opus, UNCACHED, Some(3_300_000));
    check(ProviderKind::anthropic(url("https://openrouter.ai/api")), opus, UNCACHED, None);
    check(ProviderKind::anthropic(url("http://127.0.0.1:4000")), opus, UNCACHED, Some(14_000_000));
    check(compatible("minimax", "https://api.minimaxi.com/anthropic"), "MiniMax-M3", UNCACHED, None);
}

#[test]
fn a_rule_of_the_configuration_replaces_the_figures_that_it_states() {
    #[track_caller]
    fn check(rule: PriceRule, kind: ProviderKind, model: &str, quantities: Quantities, nanos: Option<u64>) {
        let mut config = config(kind);
        config.prices = vec![rule];
        let table = PriceTable::new(&config).unwrap();
        assert_eq!(nanos_at(PEAK, &table, model, quantities), nanos, "{model}");
        assert_eq!(table.version(), format!("{}+config", super::table::AS_OF));
    }
    let tokens = TokenPrices::default().with_input(1.0).with_output(2.0);
    // 1 × 13,300 + 2 × 500 for an unlisted model.
    check(PriceRule::new(tokens), ProviderKind::Mock, "any", ALL_KINDS, Some(14_300_000));
    let only = |pattern: &str| PriceRule::new(tokens).with_models([Pattern::new(pattern)]);
    check(only("claude-*"), ProviderKind::Mock, "any", ALL_KINDS, Some(0));
    check(only("claude-*").with_provider("q"), ProviderKind::Mock, "claude-x", ALL_KINDS, Some(0));
    check(only("claude-*").with_provider("p"), ProviderKind::Mock, "claude-x", UNCACHED, Some(2_000_000));
    check(only("claude-*").with_provider("mock"), ProviderKind::Mock, "claude-x", UNCACHED, Some(2_000_000));
    // The other figures of Opus 5.5, and the factor of a region: (1,000 + 1,000 + 2,000 + 10,000 + 2,400) × 1.1.
    for pattern in ["anthropic.claude-opus-*", "eu.anthropic.claude-opus-5-5", "*"] {
        check(
            only(pattern),
            bedrock("eu-west-1"),
            "eu.anthropic.claude-opus-5-5",
            ALL_KINDS,
            Some(18_040_000),
        );
    }
    let output_only = PriceRule::new(TokenPrices::default().with_output(2.0));
    check(output_only.clone(), anthropic(), "claude-opus-5-5", UNCACHED, Some(5_000_000));
    check(output_only, ProviderKind::Mock, "any", UNCACHED, None);
    let tier = PriceTier::new(999.try_into().unwrap(), TokenPrices::default().with_input(3.0));
    check(PriceRule::new(tokens).with_tier(tier), ProviderKind::Mock, "any", UNCACHED, Some(4_000_000));
    let searches = PriceRule::new(tokens).with_web_search(5.0);
    check(searches, ProviderKind::Mock, "any", Quantities { web_searches: 2, ..UNCACHED }, Some(12_000_000));
    let batch = PriceRule::new(tokens).with_batch_factor(0.25);
    check(batch, ProviderKind::Mock, "any", Quantities { is_batch: true, ..UNCACHED }, Some(500_000));
    let opus = "claude-opus-5-5";
    let (us, zone) = (Quantities { is_us: true, ..UNCACHED }, PriceRule::default().with_us_data_zone(true));
    check(PriceRule::default().with_us_factor(1.25), anthropic(), opus, us, Some(17_500_000));
    check(PriceRule::default().with_us_factor(1.25), anthropic(), opus, UNCACHED, Some(14_000_000));
    check(PriceRule::default().with_us_data_zone(false), anthropic(), opus, us, Some(14_000_000));
    check(PriceRule::default().with_regional_factor(1.0), vertex("eu"), opus, UNCACHED, Some(14_000_000));
    check(PriceRule::default().with_regional_factor(1.5), vertex("global"), opus, UNCACHED, Some(14_000_000));
    // The factor of the table for a deployment in the US Data Zone, which older models do not have.
    check(zone.clone(), azure(), opus, UNCACHED, Some(15_400_000));
    check(zone, azure(), "claude-sonnet-4-5", UNCACHED, Some(10_500_000));
}

#[test]
fn the_most_specific_rule_that_applies_to_a_model_is_used_and_of_equal_ones_the_first() {
    let rule = |input| PriceRule::new(TokenPrices::default().with_input(input).with_output(0.0));
    let mut config = config(anthropic());
    config.prices = vec![rule(2.0), rule(1.0).with_models([Pattern::new("claude-opus-*")]), rule(3.0)];
    let table = PriceTable::new(&config).unwrap();
    assert_eq!(nanos_at(PEAK, &table, "claude-opus-5-5", UNCACHED), Some(1_000_000));
    assert_eq!(nanos_at(PEAK, &table, "claude-haiku-4-5", UNCACHED), Some(2_000_000));
}

#[test]
fn a_price_that_is_no_amount_of_money_is_refused() {
    for found in [-1.0, f64::NAN, f64::INFINITY, 1e13] {
        let mut config = config(ProviderKind::Mock);
        config.prices = vec![PriceRule::default(), PriceRule::new(TokenPrices::default().with_output(found))];
        let error = PriceTable::new(&config).unwrap_err();
        assert_eq!((error.index, error.figure), (1, Figure::Output));
        assert!(error.to_string().starts_with("prices[1].output: found "), "{error}");
    }
}

fn tokens() -> impl Strategy<Value = Quantities> {
    let kinds = proptest::array::uniform7(0..2_000_000_u64);
    kinds.prop_map(
        |[input, output, cache_read, cache_write_5m, cache_write_1h, web_searches, web_fetches]| Quantities {
            input,
            output,
            cache_read,
            cache_write_5m,
            cache_write_1h,
            web_searches,
            web_fetches,
            ..Quantities::default()
        },
    )
}

fn sum(a: Quantities, b: Quantities) -> Quantities {
    Quantities {
        input: a.input + b.input,
        output: a.output + b.output,
        cache_read: a.cache_read + b.cache_read,
        cache_write_5m: a.cache_write_5m + b.cache_write_5m,
        cache_write_1h: a.cache_write_1h + b.cache_write_1h,
        web_searches: a.web_searches + b.web_searches,
        web_fetches: a.web_fetches + b.web_fetches,
        ..a
    }
}

proptest! {
    #[test]
    fn more_tokens_never_cost_less(a in tokens(), b in tokens(), index in 0..table::ENTRIES.len()) {
        let prices = &table::ENTRIES[index].prices;
        let tools = tools::ToolRates { web_search: 10_000_000_000, web_fetch: 1 };
        let cost = |quantities: &Quantities| prices.cost(quantities, entry::Place::Regional, || false, &tools).unwrap();
        prop_assert!(cost(&sum(a, b)) >= cost(&a));
    }

    #[test]
    fn costs_add_up_to_the_rounding_of_each(a in tokens(), b in tokens(), index in 0..table::ENTRIES.len()) {
        let prices = entry::Prices { tier: None, ..table::ENTRIES[index].prices };
        let tools = tools::ToolRates { web_search: 10_000_000_000, web_fetch: 1 };
        let cost = |quantities: &Quantities| prices.cost(quantities, entry::Place::Regional, || false, &tools).unwrap().as_nanos();
        prop_assert!(cost(&sum(a, b)).abs_diff(cost(&a) + cost(&b)) <= 1);
    }
}
