//! Configurations that are made in code are checked like those of a file.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use relay_config::{
    AwsCredentials, AzureAuth, AzureConfig, BaseUrl, BedrockApi, BedrockConfig, BedrockGuardrail, ClientKey,
    CompatibleAuth, Config, GoogleCredentials, KeyConfig, KeyLimits, KindSpec, ListenAddress, PLACEHOLDER,
    ProviderConfig, ProviderKind, ProviderName, Secret, VertexConfig,
};

fn url() -> BaseUrl {
    BaseUrl::parse("https://gateway.example").expect("a URL")
}

fn provider(name: &str, kind: ProviderKind) -> ProviderConfig {
    ProviderConfig::new(ProviderName::new(name), kind)
}

fn mock(name: &str) -> ProviderConfig {
    provider(name, ProviderKind::Mock)
}

fn zai(name: &str) -> ProviderConfig {
    provider(name, ProviderKind::Zai { base_url: url() })
}

fn key(text: &str) -> KeyConfig {
    KeyConfig::new(Some(Secret::new(text)))
}

fn compatible(auth: CompatibleAuth) -> ProviderConfig {
    let spec = KindSpec::named("anthropic_compatible").expect("a known kind");
    provider("c", ProviderKind::Compatible { spec, base_url: url(), auth })
}

fn bedrock(region: Option<&str>, credentials: AwsCredentials) -> BedrockConfig {
    let region = region.map(str::to_owned);
    BedrockConfig { base_url: None, region, credentials, api: BedrockApi::Invoke, guardrail: None }
}

/// Asserts the paths of the problems of a configuration with one mock provider, after `change`.
#[track_caller]
fn check(expected: &[&str], change: impl FnOnce(&mut Config)) {
    let mut config = Config { providers: vec![mock("a")], ..Config::default() };
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
    let config = Config { providers: vec![mock("a"), mock("b"), mock("a")], ..Config::default() };
    let text = "providers[2].name: \"a\" is already used by providers[0]";
    assert_eq!(config.check().unwrap_err().to_string(), text);
}

#[test]
fn keys_are_present_where_the_kind_needs_them_and_can_be_sent() {
    let keyed = |mut provider: ProviderConfig, text| {
        provider.keys.push(key(text));
        provider
    };
    check_provider(&["providers[0].keys"], zai("a"));
    check(&[], |config| config.providers.push(ProviderConfig { enabled: false, ..zai("b") }));
    check_provider(&[], keyed(zai("a"), "key"));
    check_provider(&["providers[0].keys[0].key"], keyed(zai("a"), ""));
    check_provider(&["providers[0].keys[0].key"], keyed(zai("a"), PLACEHOLDER));
    check_provider(&["providers[0].keys[0].key"], keyed(zai("a"), "a\nb"));
    let mut without = zai("a");
    without.keys.push(KeyConfig::new(None));
    check_provider(&["providers[0].keys[0].key"], without);
    check_provider(&["providers[0].keys"], keyed(compatible(CompatibleAuth::None), "key"));
    check_provider(&["providers[0].keys"], compatible(CompatibleAuth::Bearer));
    let anthropic = |passthrough| provider("a", ProviderKind::Anthropic { base_url: url(), passthrough });
    check_provider(&[], anthropic(true));
    check_provider(&["providers[0].keys"], anthropic(false));
    let azure = AzureConfig { base_url: url(), api_version: None, auth: AzureAuth::ApiKey };
    check_provider(&["providers[0].keys"], provider("a", ProviderKind::Azure(azure)));
}

#[test]
fn keys_of_one_organization_have_the_same_limits() {
    let limited = |secret, limit| {
        let limits = KeyLimits { requests: NonZeroU64::new(limit), ..KeyLimits::default() };
        KeyConfig { limits, organization: Some("o".to_owned()), ..key(secret) }
    };
    let with = |keys| ProviderConfig { keys, ..zai("a") };
    check_provider(&["providers[0].keys[1].rpm_limit"], with(vec![limited("k", 1), limited("l", 2)]));
    check_provider(&[], with(vec![limited("k", 1), limited("l", 1)]));
    check_provider(&["providers[0].keys[0].rpm_limit"], with(vec![limited("k", u64::MAX)]));
}

#[test]
fn a_key_and_its_name_occur_once() {
    let named = |secret, name: &str| KeyConfig { name: Some(name.to_owned()), ..key(secret) };
    let with = |keys| ProviderConfig { keys, ..zai("a") };
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
    let mut config = Config { providers: vec![mock("main")], ..Config::default() };
    config.routing.default_provider = Some(ProviderName::new("mian"));
    let text =
        "routing.default_provider: found \"mian\", expected the name of a provider; did you mean `main`?";
    assert_eq!(config.check().unwrap_err().to_string(), text);
}

#[test]
fn models_and_mappings_have_names() {
    check_provider(
        &["providers[0].models[1]"],
        ProviderConfig { models: vec!["m".to_owned(), String::new()], ..mock("a") },
    );
    check_provider(
        &["providers[0].model_mapping.x"],
        ProviderConfig { model_mapping: [("x", "y*")].into_iter().collect(), ..mock("a") },
    );
    check_provider(&["providers[0].discover_models"], ProviderConfig { discover_models: true, ..mock("a") });
}

#[test]
fn headers_carry_no_credential() {
    let mut fixed = mock("a");
    fixed.kind = ProviderKind::Anthropic { base_url: url(), passthrough: true };
    fixed.headers.fixed.push(("x-api-key".parse().unwrap(), Secret::new("v")));
    check_provider(&["providers[0].headers.x-api-key"], fixed);
    let mut forwarded = mock("a");
    forwarded.headers.forwarded =
        vec!["cookie".parse().unwrap(), "x-a".parse().unwrap(), "x-a".parse().unwrap()];
    check_provider(&["providers[0].forward_headers[0]", "providers[0].forward_headers[2]"], forwarded);
    let mut broken = mock("a");
    broken.headers.fixed.push(("x-a".parse().unwrap(), Secret::new("a\nb")));
    check_provider(&["providers[0].headers.x-a"], broken);
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
    let address = |host: &str, port| ListenAddress { host: host.to_owned(), port };
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
    let guardrail = BedrockGuardrail { id: "a b".to_owned(), version: "0".to_owned(), trace: None };
    let guarded = BedrockConfig { guardrail: Some(guardrail), ..bedrock(Some("us-east-1"), token()) };
    let path = "providers[0].bedrock_guardrail";
    check_provider(&[&format!("{path}.id"), &format!("{path}.version")], with(guarded));
    let vertex = VertexConfig {
        base_url: None,
        project: Some("My Project".to_owned()),
        region: "us-east5-a".to_owned(),
        credentials: GoogleCredentials::MetadataServer { host: "metadata".to_owned() },
        quota_project: None,
        universe_domain: Some("googleapis.com".to_owned()),
    };
    check_provider(
        &["providers[0].gcp_region", "providers[0].gcp_project_id"],
        provider("a", ProviderKind::Vertex(vertex)),
    );
}

#[test]
fn no_problem_shows_a_secret() {
    let mut config = Config { providers: vec![zai("a")], ..Config::default() };
    config.providers[0].keys.push(key("top\nsecret"));
    config.server.auth.bearer_secret = Some(Secret::new("top,secret"));
    let error = config.check().unwrap_err();
    assert_eq!(error.problems.len(), 2);
    assert!(!format!("{error} {error:?}").contains("top"), "{error}");
}
