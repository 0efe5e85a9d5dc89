//! Configurations that are made in code are checked like those of a file.

use std::num::NonZeroU32;
use std::time::Duration;

use http::HeaderName;
use relay_config::{
    AdminConfig, AwsCredentials, AzureAuth, AzureConfig, BaseUrl, BedrockApi, BedrockConfig,
    BedrockGuardrail, Budget, BudgetPeriod, ClientAuth, ClientKey, CompatibleAuth, Config, Format,
    GoogleCredentials, HealthConfig, KeyConfig, KeyLimits, KindSpec, ListenAddress, Loader, MetricsConfig,
    PLACEHOLDER, Pattern, PriceRule, ProviderConfig, ProviderHeaders, ProviderKind, ProviderName,
    RoutingConfig, Secret, ServerConfig, Strategy, TokenPrices, VertexConfig,
};

fn url() -> BaseUrl {
    BaseUrl::parse("https://gateway.example").expect("a URL")
}

fn provider(name: &str, kind: ProviderKind) -> ProviderConfig {
    ProviderConfig::new(name, kind)
}

fn mock(name: &str) -> ProviderConfig {
    provider(name, ProviderKind::Mock)
}

fn zai(name: &str) -> ProviderConfig {
    provider(name, ProviderKind::zai(url()))
}

fn key(text: &str) -> KeyConfig {
    KeyConfig::new(Secret::new(text))
}

fn compatible(auth: CompatibleAuth) -> ProviderConfig {
    let spec = KindSpec::named("anthropic_compatible").expect("a known kind");
    provider("c", ProviderKind::compatible(spec, url(), auth))
}

fn bedrock(region: Option<&str>, credentials: AwsCredentials) -> BedrockConfig {
    let config = BedrockConfig::new(credentials);
    region.into_iter().fold(config, BedrockConfig::with_region)
}

/// Asserts the paths of the problems of a configuration with one mock provider, after `change`.
#[track_caller]
fn check(expected: &[&str], change: impl FnOnce(&mut Config)) {
    let mut config = Config::new([mock("a")]);
    change(&mut config);
    let problems = config.check().map_or_else(|error| error.problems, |()| Vec::new());
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, expected, "{problems:?}");
}

/// Asserts the paths of the problems of a configuration with this provider alone.
#[track_caller]
fn check_provider(expected: &[&str], provider: ProviderConfig) {
    check(expected, |config| config.providers = vec![provider]);
}

#[test]
fn a_whole_configuration_is_built_without_a_file() {
    let limits = KeyLimits::default().with_requests(50).with_tokens(100_000);
    let first = provider("first", ProviderKind::anthropic(url()))
        .with_key(key("k").with_name("team").with_priority(2).with_weight(3).with_limits(limits))
        .with_headers(
            ProviderHeaders::default().with_fixed(HeaderName::from_static("x-team"), Secret::new("t")),
        );
    let bedrock = bedrock(Some("us-east-1"), AwsCredentials::DefaultChain).with_api(BedrockApi::Messages);
    let mut second = provider("second", ProviderKind::Bedrock(bedrock)).with_priority(0).with_weight(2);
    second.models = vec!["claude-opus-5-5".to_owned()];
    let client = ClientKey::new("alice", Secret::new("a"));
    let mut server = ServerConfig::default()
        .with_listen([ListenAddress::new("::1", 9000)])
        .with_timeout(None)
        .with_max_concurrent(8)
        .with_auth(ClientAuth::default().with_key(client).with_allow_subscription(true));
    server.enable_http2 = false;
    let config = Config::new([first, second])
        .with_server(server)
        .with_routing(
            RoutingConfig::default().with_strategy(Strategy::RoundRobin).with_max_attempts(NonZeroU32::MIN),
        )
        .with_health(HealthConfig::default().with_check(None));
    assert_eq!(config.check().map_err(|error| error.to_string()), Ok(()));

    // The loader reads the same configuration from the text that shows it, apart from the secrets.
    let shown = config.to_yaml().replace("***", "k");
    let mut expected =
        Loader::new().with_text("c.yaml", Format::Yaml, shown).load().expect("a valid file").config;
    expected.providers[0].headers = config.providers[0].headers.clone();
    expected.server.auth = config.server.auth.clone();
    assert_eq!(expected.providers, config.providers);
    assert_eq!(expected.server, config.server);
    assert_eq!(expected.routing, config.routing);
    assert_eq!(expected.health, config.health);
}

#[test]
fn a_clients_credential_reaches_an_own_address_only_on_demand() {
    let at = |url| ProviderKind::anthropic(BaseUrl::parse(url).expect("a URL"));
    assert!(at("https://API.anthropic.com:443/").passes_through());
    assert!(!at("https://gateway.example").passes_through());
    assert!(at("https://gateway.example").with_passthrough(true).passes_through());
    assert!(!at("https://api.anthropic.com").with_passthrough(false).passes_through());
    assert!(!ProviderKind::Mock.with_passthrough(true).passes_through());
}

#[test]
fn a_configuration_needs_an_enabled_provider() {
    check(&[], |_| {});
    check(&["providers"], |config| config.providers.clear());
    check(&["providers"], |config| config.providers[0].enabled = false);
    let error = Config::default().check().unwrap_err();
    let text = "providers: missing; add a provider, or enable one: without it every request is refused";
    assert_eq!(error.to_string(), text);
}

#[test]
fn names_are_unique_and_can_be_written_into_headers() {
    check(&["providers[1].name"], |config| config.providers.push(mock("a")));
    check(&["providers[0].name"], |config| config.providers = vec![mock("")]);
    check(&["providers[0].name"], |config| config.providers = vec![mock("a b")]);
    check(&["providers[0].name"], |config| config.providers = vec![mock(&"x".repeat(65))]);
    let config = Config::new([mock("a"), mock("b"), mock("a")]);
    let text = "providers[2].name: \"a\" is already used by providers[0]";
    assert_eq!(config.check().unwrap_err().to_string(), text);
}

#[test]
fn keys_are_present_where_the_kind_needs_them_and_can_be_sent() {
    let keyed = |provider: ProviderConfig, text| provider.with_key(key(text));
    check_provider(&["providers[0].keys"], zai("a"));
    let mut disabled = zai("b");
    disabled.enabled = false;
    check(&[], |config| config.providers.push(disabled));
    check_provider(&[], keyed(zai("a"), "key"));
    check_provider(&["providers[0].keys[0].key"], keyed(zai("a"), ""));
    check_provider(&["providers[0].keys[0].key"], keyed(zai("a"), PLACEHOLDER));
    check_provider(&["providers[0].keys[0].key"], keyed(zai("a"), "a\nb"));
    check_provider(&["providers[0].keys[0].key"], zai("a").with_key(KeyConfig::new(None)));
    check_provider(&["providers[0].keys"], keyed(compatible(CompatibleAuth::None), "key"));
    check_provider(&["providers[0].keys"], compatible(CompatibleAuth::Bearer));
    let anthropic = ProviderKind::anthropic(url());
    check_provider(&["providers[0].keys"], provider("a", anthropic.clone()));
    check_provider(&[], provider("a", anthropic.with_passthrough(true)));
    let azure = AzureConfig::new(url(), AzureAuth::ApiKey);
    check_provider(&["providers[0].keys"], provider("a", ProviderKind::Azure(azure)));
}

#[test]
fn keys_of_one_organization_have_the_same_limits() {
    let limited = |secret, limit| {
        key(secret).with_limits(KeyLimits::default().with_requests(limit)).with_organization("o")
    };
    let with_two = |first, second| zai("a").with_key(limited("k", first)).with_key(limited("l", second));
    check_provider(&["providers[0].keys[1].rpm_limit"], with_two(1, 2));
    check_provider(&[], with_two(1, 1));
    check_provider(&["providers[0].keys[0].rpm_limit"], zai("a").with_key(limited("k", u64::MAX)));
}

#[test]
fn a_key_and_its_name_occur_once() {
    let named = |secret, name| key(secret).with_name(name);
    let with = |keys: Vec<KeyConfig>| keys.into_iter().fold(zai("a"), ProviderConfig::with_key);
    check_provider(&["providers[0].keys[1].key"], with(vec![key("k"), key("k")]));
    check_provider(&["providers[0].keys[1].name"], with(vec![named("k", "n"), named("l", "n")]));
    check_provider(&["providers[0].keys[0].name"], with(vec![named("k", "k")]));
    check_provider(&[], with(vec![named("k", "n"), named("l", "o"), key("m")]));
}

#[test]
fn numbers_and_times_have_the_bounds_of_the_file() {
    type Set = fn(&mut Config);
    let cases: &[(&str, Set)] = &[
        ("server.timeout_ms", |config| config.server.timeout = Some(Duration::ZERO)),
        ("server.write_timeout_ms", |config| config.server.write_timeout = Some(Duration::MAX)),
        ("server.drain_timeout_ms", |config| config.server.drain_timeout = Duration::MAX),
        ("server.max_body_bytes", |config| config.server.max_body_bytes = 0),
        ("server.max_buffered_bytes", |config| config.server.max_buffered_bytes = Some(0)),
        ("providers[0].pooling.max_wait_ms", |config| config.providers[0].max_wait = Duration::MAX),
        ("providers[0].connect_timeout_ms", |config| config.providers[0].connect_timeout = Duration::ZERO),
        ("providers[0].first_byte_timeout_ms", |config| {
            config.providers[0].first_byte_timeout = Duration::ZERO;
        }),
        ("providers[0].idle_timeout_ms", |config| config.providers[0].idle_timeout = Duration::ZERO),
        ("routing.failover_timeout", |config| config.routing.failover_timeout = Duration::MAX),
        ("routing.max_attempts", |config| config.routing.max_attempts = NonZeroU32::MAX),
        ("health.health_check.interval_ms", |config| config.health.check = Some(Duration::ZERO)),
        ("health.circuit_breaker.failure_threshold", |config| {
            config.health.failure_threshold = NonZeroU32::MAX;
        }),
        ("health.circuit_breaker.open_duration_ms", |config| config.health.open_duration = Duration::ZERO),
        ("health.circuit_breaker.half_open_probes", |config| {
            config.health.half_open_probes = NonZeroU32::MAX;
        }),
    ];
    for (path, set) in cases {
        check(&[path], set);
    }
    check(&[], |config| config.server.timeout = None);
}

#[test]
fn routes_name_existing_providers() {
    let name = ProviderName::new("b");
    check(&["routing.default_provider"], |config| config.routing.default_provider = Some(name.clone()));
    check(&["routing.model_mapping.claude-"], |config| {
        config.routing.model_mapping.insert("claude-".to_owned(), name.clone());
    });
    check(&[r#"routing.model_mapping."claude-*""#], |config| {
        config.routing.model_mapping.insert("claude-*".to_owned(), ProviderName::new("a"));
    });
    let mut config = Config::new([mock("main")]);
    config.routing.default_provider = Some(ProviderName::new("mian"));
    let text =
        "routing.default_provider: found \"mian\", expected the name of a provider; did you mean `main`?";
    assert_eq!(config.check().unwrap_err().to_string(), text);
}

#[test]
fn models_and_mappings_have_names() {
    check_provider(&["providers[0].models[1]"], mock("a").with_models(["m", ""]));
    check_provider(&["providers[0].model_mapping.x"], mock("a").with_model_mapping([("x", "y*")]));
    let mut discovering = mock("a");
    discovering.discover_models = true;
    check_provider(&["providers[0].discover_models"], discovering);
}

#[test]
fn headers_carry_no_credential() {
    let name = HeaderName::from_static;
    let fixed = ProviderHeaders::default().with_fixed(name("x-api-key"), Secret::new("v"));
    let kind = ProviderKind::anthropic(url()).with_passthrough(true);
    check_provider(&["providers[0].headers.x-api-key"], provider("a", kind).with_headers(fixed));
    let forwarded = ["cookie", "x-a", "x-a"].map(name).into_iter();
    let forwarded = forwarded.fold(ProviderHeaders::default(), ProviderHeaders::with_forwarded);
    let paths = ["providers[0].forward_headers[0]", "providers[0].forward_headers[2]"];
    check_provider(&paths, mock("a").with_headers(forwarded));
    let broken = ProviderHeaders::default().with_fixed(name("x-a"), Secret::new("a\nb"));
    check_provider(&["providers[0].headers.x-a"], mock("a").with_headers(broken));
}

#[test]
fn client_keys_admit_only_clients_that_have_one() {
    let client = |name: &str, key: &str| ClientKey::new(name, Secret::new(key));
    let with = |keys: Vec<ClientKey>| move |config: &mut Config| config.server.auth.keys = keys;
    check(&["server.auth.api_keys[0].key"], with(vec![client("a", "")]));
    check(&["server.auth.api_keys[0].key"], with(vec![client("a", "k,l")]));
    check(&["server.auth.api_keys[0].name"], with(vec![client("", "k")]));
    check(&["server.auth.api_keys[1].name"], with(vec![client("a", "k"), client("a", "l")]));
    check(&["server.auth.api_keys[1].key"], with(vec![client("a", "k"), client("b", "k")]));
    check(&["server.auth.bearer_secret"], |config| config.server.auth.bearer_secret = Some(Secret::new("")));
}

#[test]
fn listeners_are_addresses_and_each_is_named_once() {
    let address = |host: &str, port| ListenAddress::new(host, port);
    check(&["server.listen"], |config| config.server.listen.clear());
    check(&["server.listen[0]"], |config| config.server.listen = vec![address("http://a", 1)]);
    check(&["server.listen[1]"], |config| config.server.listen = vec![address("a", 1), address("a", 1)]);
    check(&[], |config| config.server.listen = vec![address("a", 0), address("a", 0), address("::1", 1)]);
}

#[test]
fn settings_of_clouds_are_checked() {
    let with = |config| provider("a", ProviderKind::Bedrock(config));
    check_provider(&[], with(bedrock(None, AwsCredentials::DefaultChain)));
    check_provider(
        &["providers[0].aws_region"],
        with(bedrock(Some("us-east-1a"), AwsCredentials::DefaultChain)),
    );
    let token = || AwsCredentials::BearerToken(Secret::new("t"));
    check_provider(&["providers[0].aws_region"], with(bedrock(None, token())));
    let empty = AwsCredentials::BearerToken(Secret::new(""));
    check_provider(&["providers[0].aws_bearer_token"], with(bedrock(Some("us-east-1"), empty)));
    let guarded = bedrock(Some("us-east-1"), token()).with_guardrail(BedrockGuardrail::new("a b", "0"));
    let path = "providers[0].bedrock_guardrail";
    check_provider(&[&format!("{path}.id"), &format!("{path}.version")], with(guarded));
    let credentials = GoogleCredentials::MetadataServer { host: "metadata".to_owned() };
    let vertex = VertexConfig::new(credentials)
        .with_project("My Project")
        .with_region("us-east5-a")
        .with_universe_domain("googleapis.com");
    check_provider(
        &["providers[0].gcp_region", "providers[0].gcp_project_id"],
        provider("a", ProviderKind::Vertex(vertex)),
    );
}

#[test]
fn no_problem_shows_a_secret() {
    let mut config = Config::new([zai("a")]);
    config.providers[0].keys.push(key("top\nsecret"));
    config.server.auth.bearer_secret = Some(Secret::new("top,secret"));
    let error = config.check().unwrap_err();
    assert_eq!(error.problems.len(), 2);
    assert!(!format!("{error} {error:?}").contains("top"), "{error}");
}

#[test]
fn listeners_prices_and_budgets_are_checked_like_those_of_a_file() {
    let outside = AdminConfig::default().with_listen(ListenAddress::new("0.0.0.0", 9000));
    check(&["admin.token"], |config| config.admin = outside.clone());
    check(&[], |config| config.admin = outside.clone().with_token(Secret::new("t")));
    check(&[], |config| config.admin = outside.clone().with_enabled(false));
    check(&["admin.token"], |config| config.admin.token = Some(Secret::new("")));
    let own = ListenAddress::new("localhost", 8787);
    check(&["admin.listen"], |config| config.admin = AdminConfig::default().with_listen(own.clone()));
    check(&["metrics.listen"], |config| config.metrics = MetricsConfig::default().with_listen(own.clone()));
    check(&["metrics.path"], |config| config.metrics.path = "metrics".to_owned());
    check(&["usage.retention_days"], |config| {
        config.usage.retention_days = NonZeroU32::new(36_501);
    });
    let price = |price: f64| PriceRule::new(TokenPrices::default().with_input(price));
    for figure in [f64::NAN, f64::INFINITY, -1.0, 1e9] {
        check(&["prices[0].input"], |config| config.prices = vec![price(figure)]);
    }
    check(&["prices[0]"], |config| config.prices = vec![PriceRule::default()]);
    check(&["prices[0].provider"], |config| config.prices = vec![price(1.0).with_provider("b")]);
    check(&["prices[0].models[0]"], |config| {
        config.prices = vec![price(1.0).with_models([Pattern::new("")])];
    });
    check(&[], |config| config.prices = vec![price(0.0).with_provider("a"), price(1.0).with_provider("zai")]);
    for usd in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e10] {
        let client = ClientKey::new("a", Secret::new("k")).with_budget(Budget::new(usd, BudgetPeriod::Day));
        check(&["server.auth.api_keys[0].budget_usd"], |config| {
            config.server.auth = ClientAuth::default().with_key(client);
        });
    }
    let client = ClientKey::new("a", Secret::new("k")).with_models([Pattern::new(" ")]);
    check(&["server.auth.api_keys[0].models[0]"], |config| {
        config.server.auth = ClientAuth::default().with_key(client);
    });
}
