//! Every setting of this version, from the file to the configuration.

use std::num::NonZeroU64;
use std::time::Duration;

use relay_config::{
    Affinity, ClientLimits, CompatibleAuth, Concern, Config, Discovery, Format, KeyConfig, KeyLimits, Loader,
    LogFormat, LogLevel, LogOutput, Origin, Pooling, ProviderKind, Strategy, StreamBreak, TEMPLATE,
    TEMPLATE_TOML, demo, schema,
};

use crate::check::{loader, warnings, yaml};

const EVERYTHING: &str = "
server:
  listen: ['127.0.0.1:1', '[::1]:2']
  timeout_ms: 1000
  max_concurrent: 5
  max_body_bytes: 2048
  max_buffered_bytes: 4096
  drain_timeout_ms: 2000
  drain_delay_ms: 7
  write_timeout_ms: 8
  enable_http2: false
  allowed_hosts: [Relay.Example., '::1', 10.0.0.1]
  cors: { allowed_origins: ['https://App.Example:443', 'http://localhost:3000'] }
  auth:
    api_key: one
    api_keys: [{ name: laptop, key: two, rpm_limit: 6, tpm_limit: 7, max_concurrent: 8, models: ['claude-*', glm-5], expires: 2099-12-31, budget_usd: 25.5, budget_period: week }, { name: free, key: four, rpm_limit: 0, tpm_limit: 0, max_concurrent: 0 }]
    allow_subscription: true
    bearer_secret: three
    subscription_may_use_keys: false
providers:
  - name: first
    type: anthropic
    enabled: false
    base_url: https://a.example/x/
    passthrough: true
    keys: [{ key: k1, priority: 3, weight: 5, rpm_limit: 50, tpm_limit: 4, itpm_limit: 3, otpm_limit: 2, organization: acme }, { key: k2 }]
    priority: -4
    weight: 7
    pooling: { strategy: random, max_wait_ms: 4 }
    models: [m1, 'm: 2']
    model_mapping: { 'claude-*': m1, exact: m2 }
    connect_timeout_ms: 1
    first_byte_timeout_ms: 2
    idle_timeout_ms: 3
  - { name: second, type: zai, keys: [{ key: k }] }
  - { name: third, type: ollama, weight: 4, keys: [{ key: ignored, priority: 2, weight: 3, rpm_limit: 9, organization: o }], pooling: { strategy: round_robin } }
  - { name: fourth, type: minimax, keys: [{ key: k }], pooling: { strategy: weighted } }
  - { name: fifth, type: anthropic_compatible, base_url: 'http://localhost:3', auth: bearer, keys: [{ key: k }] }
  - { name: sixth, type: mock, weight: 6 }
routing:
  strategy: model_based
  failover_timeout: 100
  max_attempts: 2
  debug: true
  strict_models: true
  restore_model_name: false
  model_mapping: { claude-: first, claude-haiku-4.5: sixth }
  default_provider: second
  affinity: none
  on_stream_break: error_event
health:
  health_check: { interval_ms: 200 }
  circuit_breaker: { failure_threshold: 7, open_duration_ms: 6, half_open_probes: 2 }
logging:
  level: debug
  format: json
  output: /var/log/cc-relay.log
  pretty: true
  debug_options: { log_request_body: true, log_response_headers: true, max_body_log_size: 5 }
metrics: { enabled: false, listen: '0.0.0.0:9090', path: /prometheus }
admin: { enabled: false, listen: '[::1]:9', token: five }
usage: { enabled: true, path: /var/lib/usage.db, retention_days: 7 }
prices:
  - { provider: zai, models: ['glm-*', m1], input: 0.6, output: 2, cache_read: 0.11, cache_write_5m: 0, cache_write_1h: 1.5, batch_factor: 0.5, us_factor: 1.2, regional_factor: 1.3, us_data_zone: true, web_search: 10 }
  - { input: 3, tier: { over: 200000, input: 6.25, output: 22.5 } }
";

#[test]
fn every_setting_is_loaded() {
    let Config { server, providers, routing, health, logging, .. } = yaml(EVERYTHING).config;
    assert_eq!(server.listen.iter().map(ToString::to_string).collect::<Vec<_>>(), ["127.0.0.1:1", "[::1]:2"]);
    assert_eq!(server.timeout.unwrap().as_millis(), 1000);
    assert_eq!(server.max_concurrent.unwrap().get(), 5);
    assert_eq!(
        (server.max_body_bytes, server.drain_timeout.as_millis(), server.enable_http2),
        (2048, 2000, false)
    );
    assert_eq!((server.drain_delay.as_millis(), server.write_timeout.unwrap().as_millis()), (7, 8));
    assert_eq!(server.max_buffered_bytes, Some(4096));
    let hosts: Vec<_> = server.allowed_hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["relay.example", "[::1]", "10.0.0.1"]);
    let origins: Vec<_> = server.allowed_origins.iter().map(Origin::as_str).collect();
    assert_eq!(origins, ["https://app.example", "http://localhost:3000"]);
    let clients: Vec<_> =
        server.auth.keys.iter().map(|client| (client.name.as_str(), client.key.expose())).collect();
    assert_eq!(clients, [("default", "one"), ("laptop", "two"), ("free", "four")]);
    let laptop = ClientLimits::default().with_requests(6).with_tokens(7).with_concurrent(8);
    let limits: Vec<_> = server.auth.keys.iter().map(|client| client.limits).collect();
    assert_eq!(limits, [ClientLimits::default(), laptop, ClientLimits::default()]);
    assert_eq!(server.auth.bearer_secret.unwrap().expose(), "three");
    assert_eq!((server.auth.allow_subscription, server.auth.subscription_may_use_keys), (true, Some(false)));

    let first = &providers[0];
    assert!(!first.enabled);
    assert!(matches!(&first.kind, ProviderKind::Anthropic { base_url, passthrough: true, .. }
        if base_url.to_string() == "https://a.example/x"));
    let keys: Vec<_> =
        first.keys.iter().map(|key| (key.key.as_ref().unwrap().expose(), key.priority)).collect();
    assert_eq!(keys, [("k1", 3), ("k2", -4)]);
    assert_eq!((first.priority, first.models.join(" ")), (-4, "m1 m: 2".to_owned()));
    assert_eq!(first.model_mapping.lookup("claude-x").unwrap().as_ref(), "m1");
    let pooling: Vec<_> = providers.iter().map(|provider| provider.pooling).collect();
    use Pooling::{LeastLoaded, Random, RoundRobin, Weighted};
    assert_eq!(pooling, [Random, LeastLoaded, RoundRobin, Weighted, LeastLoaded, LeastLoaded]);
    let shares: Vec<_> = providers.iter().map(|provider| provider.share().get()).collect();
    assert_eq!((first.weight.get(), shares), (7, vec![6, 1, 3, 1, 1, 6]));
    let timeouts = [first.connect_timeout, first.first_byte_timeout, first.idle_timeout, first.max_wait];
    assert_eq!(timeouts.map(|timeout| timeout.as_millis()), [1, 2, 3, 4]);
    let limits = |provider: usize, key: usize| {
        let KeyConfig { limits, organization, .. } = &providers[provider].keys[key];
        let limits = [limits.requests, limits.tokens, limits.input_tokens, limits.output_tokens];
        (limits.map(|limit| limit.map_or(0, NonZeroU64::get)), organization.as_deref())
    };
    assert_eq!(limits(0, 0), ([50, 4, 3, 2], Some("acme")));
    assert_eq!(limits(0, 1), ([0; 4], None));
    assert_eq!(limits(2, 0), ([9, 0, 0, 0], Some("o")));
    assert!(matches!(&providers[2], third if third.keys[0].key.is_none() && third.keys[0].priority == 2));
    assert!(matches!(providers[4].kind, ProviderKind::Compatible { auth: CompatibleAuth::Bearer, .. }));
    let kinds: Vec<_> = providers.iter().map(|provider| provider.kind.as_str()).collect();
    assert_eq!(kinds, ["anthropic", "zai", "ollama", "minimax", "anthropic_compatible", "mock"]);

    assert_eq!((routing.failover_timeout.as_millis(), routing.max_attempts.get()), (100, 2));
    assert_eq!(routing.strategy, Strategy::ModelBased);
    let routes: Vec<_> =
        routing.model_mapping.iter().map(|(prefix, name)| (prefix.as_str(), name.as_str())).collect();
    assert_eq!(routes, [("claude-", "first"), ("claude-haiku-4.5", "sixth")]);
    assert_eq!(routing.default_provider.unwrap().as_str(), "second");
    assert!(routing.debug && routing.strict_models && !routing.restore_model_name);
    assert_eq!((routing.affinity, routing.on_stream_break), (Affinity::None, StreamBreak::ErrorEvent));
    assert_eq!((health.check.unwrap().as_millis(), health.open_duration.as_millis()), (200, 6));
    assert_eq!((health.failure_threshold.get(), health.half_open_probes.get()), (7, 2));
    assert_eq!(
        (logging.level, logging.format, logging.pretty),
        (LogLevel::Debug, LogFormat::Json, Some(true))
    );
    assert_eq!(logging.output, LogOutput::File("/var/log/cc-relay.log".into()));
    assert!(logging.debug.log_request_body && logging.debug.log_response_headers);
    assert_eq!(logging.debug.max_body_log_size, 5);
}

#[test]
fn passthrough_is_the_default_at_anthropics_own_address() {
    #[track_caller]
    fn check(provider: &str, expected: bool) {
        let config =
            yaml(&format!("providers: [{{ name: a, type: anthropic, keys: [{{ key: k }}] {provider} }}]"))
                .config;
        assert!(
            matches!(config.providers[0].kind, ProviderKind::Anthropic { passthrough, .. } if passthrough == expected)
        );
    }
    check("", true);
    check(", passthrough: false", false);
    check(", base_url: https://a.example", false);
    check(", base_url: https://api.anthropic.com", true);
    check(", base_url: https://api.anthropic.com/", true);
    check(", base_url: https://API.anthropic.com:443", true);
    check(", base_url: http://api.anthropic.com", false);
    check(", base_url: https://api.anthropic.com.evil.example", false);
    check(", base_url: https://api.anthropic.com, passthrough: false", false);
    check(", base_url: https://a.example, passthrough: true", true);
}

#[test]
fn a_subscription_token_that_no_provider_receives_is_a_warning() {
    #[track_caller]
    fn check(auth: &str, provider: &str, expected: Option<&str>) {
        let loaded = yaml(&format!(
            "server: {{ auth: {{ {auth} }} }}\nproviders: [{{ name: z, type: zai, keys: [{{ key: k }}] }}, {{ name: a, {provider} }}]"
        ));
        warnings(&loaded, &expected.into_iter().collect::<Vec<_>>());
    }
    let none = "1:39: server.auth.allow_subscription: no enabled provider receives a client's subscription token: add one of \
                type anthropic at its own address, or set passthrough: true for an anthropic provider that may receive it";
    let allowed = "allow_subscription: true";
    let other = "type: anthropic, base_url: https://a.example, keys: [{ key: a }]";
    check(allowed, other, Some(none));
    check(allowed, "type: anthropic, passthrough: false, keys: [{ key: a }]", Some(none));
    check(allowed, "type: anthropic, enabled: false", Some(none));
    check(allowed, "type: ollama", Some(none));
    check("allow_subscription: false", other, None);
    check(allowed, "type: anthropic", None);
    check(allowed, "type: anthropic, base_url: https://api.anthropic.com, keys: [{ key: a }]", None);
    check(allowed, "type: anthropic, base_url: https://a.example, passthrough: true", None);
    // Without a file, the providers are those of the environment.
    let variable = ("CC_RELAY_SERVER__AUTH__ALLOW_SUBSCRIPTION", "true");
    let found = Discovery::from_environment(|_| None, |_| false).config.providers;
    warnings(&loader(&[variable]).with_default_providers(found).load().unwrap(), &[]);
    let place = "CC_RELAY_SERVER__AUTH__ALLOW_SUBSCRIPTION: server.auth.allow_subscription";
    let expected = none.replace("1:39: server.auth.allow_subscription", place);
    warnings(&loader(&[variable]).with_default_providers(demo().providers).load().unwrap(), &[&expected]);
}

#[test]
fn keys_that_a_made_up_token_opens_are_a_warning() {
    #[track_caller]
    fn check(server: &str, is_warned: bool) {
        let loaded = yaml(&format!("server: {{ {server} }}\nproviders: [{{ name: a, type: anthropic }}]"));
        let concerns: Vec<_> = loaded.warnings.iter().map(|warning| &warning.concern).collect();
        let expected = if is_warned { vec![&Concern::SubscriptionOpensKeys] } else { Vec::new() };
        assert_eq!(concerns, expected, "{server}");
    }
    let open = "allow_subscription: true, subscription_may_use_keys: true";
    check(&format!("auth: {{ {open} }}"), false);
    check(&format!("auth: {{ {open}, api_key: k }}"), true);
    check(&format!("listen: '0.0.0.0:1', auth: {{ {open} }}"), true);
    check("auth: { api_key: k, subscription_may_use_keys: true }", false);
    check("auth: { api_key: k, allow_subscription: true }", false);
}

#[test]
fn a_limit_of_zero_is_no_limit() {
    let config = yaml("providers: [{ name: a, type: mock, keys: [{ rpm_limit: 0, tpm_limit: 0 }] }]").config;
    assert_eq!(config.providers[0].keys[0].limits, KeyLimits::default());
}

#[test]
fn limits_of_one_key_apply_to_all_keys_of_its_organization() {
    let keys = "{ organization: o, rpm_limit: 0 }, { organization: o, rpm_limit: 5 }, { tpm_limit: 6, organization: o }, {}";
    let config = yaml(&format!("providers: [{{ name: a, type: mock, keys: [{keys}] }}]")).config;
    let limits = KeyLimits::default().with_requests(5).with_tokens(6);
    let found: Vec<_> = config.providers[0].keys.iter().map(|key| key.limits).collect();
    assert_eq!(found, [limits, limits, limits, KeyLimits::default()]);
}

#[test]
fn disabled_probes_have_no_interval() {
    #[track_caller]
    fn check(settings: &str, expected: Option<u64>) {
        let config = yaml(&format!("health: {{ health_check: {{ {settings} }} }}")).config;
        assert_eq!(config.health.check, expected.map(Duration::from_millis));
    }
    check("", Some(10_000));
    check("interval_ms: 200", Some(200));
    check("enabled: true", Some(10_000));
    check("enabled: false", None);
    check("enabled: false, interval_ms: 200", None);
}

#[test]
fn the_shown_configuration_can_be_loaded_again() {
    for config in [
        yaml(EVERYTHING).config,
        Config::default(),
        yaml("health: { health_check: { enabled: false } }").config,
        demo(),
        Discovery::from_environment(|_| Some("key".to_owned()), |_| true).config,
        yaml(
            "providers: [{ name: a, type: mock, models: ['4.5', 'true', '$${x}', \"a\\n'b\", ''] }]"
                .replace(", ''", "")
                .as_str(),
        )
        .config,
    ] {
        let shown = config.to_yaml();
        // Two clients with the same key are refused, and here every key reads `***`.
        let mut distinct = String::new();
        for (index, part) in shown.split("***").enumerate() {
            distinct.push_str(&if index == 0 { part.to_owned() } else { format!("secret-{index}{part}") });
        }
        let again = Loader::new().with_text("shown", Format::Yaml, distinct.clone()).load();
        let again = again.unwrap_or_else(|error| panic!("{error}\n{distinct}")).config;
        let mut config = config;
        config.server.auth.subscription_may_use_keys = again.server.auth.subscription_may_use_keys;
        for (own, again) in config.providers.iter_mut().zip(&again.providers) {
            // A rule for the names of models is shown as its names of today's models.
            if own.model_mapping.rule().is_some() {
                let model = "claude-haiku-4-5-20251001";
                assert_eq!(again.model_mapping.lookup(model), own.model_mapping.lookup(model));
                own.model_mapping = again.model_mapping.clone();
            }
        }
        assert_eq!(format!("{again:?}"), format!("{config:?}"));
    }
}

#[test]
fn secrets_are_not_shown() {
    let shown = yaml(EVERYTHING).to_yaml();
    for secret in ["one", "two", "three", "five", "k1", "k2"] {
        assert!(!shown.lines().any(|line| line.trim_end().ends_with(&format!(": {secret}"))), "{shown}");
    }
    assert!(shown.contains("- name: laptop\n        key: \"***\"\n"), "{shown}");
}

#[test]
fn the_template_loads_unchanged() {
    let loaded = Loader::new().with_text("template", Format::Yaml, TEMPLATE).load().unwrap();
    warnings(&loaded, &[]);
    assert_eq!(loaded.config.providers.len(), 1);
}

#[test]
fn both_templates_have_the_same_settings() {
    let provider = "[[providers]]\nname = \"anthropic\"\ntype = \"anthropic\"\npriority = 2\n";
    let toml = TEMPLATE_TOML.replace("# providers\n", provider);
    let toml = Loader::new().with_text("template", Format::Toml, toml).load().unwrap();
    warnings(&toml, &[]);
    let yaml = Loader::new().with_text("template", Format::Yaml, TEMPLATE).load().unwrap();
    assert_eq!(toml.to_yaml(), yaml.to_yaml());
}

#[test]
fn every_part_of_the_template_loads_when_it_is_uncommented() {
    let mut seen_settings = false;
    let uncommented: String = TEMPLATE
        .lines()
        .map(|line| {
            seen_settings |= line == "server:";
            let is_setting = |rest: &str| {
                rest.starts_with("- ") || rest.split(' ').next().is_some_and(|word| word.ends_with(':'))
            };
            match line.trim_start().strip_prefix("# ") {
                Some(rest) if seen_settings && is_setting(rest.trim_start()) => {
                    line.replacen("# ", "", 1) + "\n"
                }
                _ => line.to_owned() + "\n",
            }
        })
        .collect();
    let names = [
        "RELAY_ADMIN_TOKEN",
        "RELAY_KEY_LAPTOP",
        "ANTHROPIC_API_KEY",
        "ZAI_API_KEY",
        "MINIMAX_API_KEY",
        "OTHER_API_KEY",
    ];
    let loader =
        Loader::new().with_environment(names.map(|name| (name.to_owned(), format!("value-of-{name}"))));
    let loaded = loader
        .with_text("template", Format::Yaml, uncommented)
        .load()
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.config.providers.len(), 6);
    assert_eq!(loaded.config.server.auth.keys.len(), 1);
    assert_eq!((loaded.config.admin.token.is_some(), loaded.config.prices.len()), (true, 1));
}

#[test]
fn the_defaults_in_the_schema_are_the_defaults() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    let table = |name: &str| {
        let rows = schema["$defs"][name]["properties"].as_object().unwrap().iter();
        // Settings that only one type accepts do not belong to the type in this test.
        let others = ["auth", "azure_auth", "bedrock_api", "gcp_region"];
        let rows = rows.filter(|(key, _)| !others.contains(&key.as_str()));
        let rows = rows.filter_map(|(key, rule)| {
            Some(format!("{key}: {}", rule.get("default").filter(|d| !d.is_array() && !d.is_object())?))
        });
        rows.collect::<Vec<_>>().join(", ")
    };
    let text = format!(
        "server: {{ {} }}\nproviders: [{{ name: a, type: mock, {}, pooling: {{ {} }}, keys: [{{ {} }}] }}]\n\
         routing: {{ {} }}\nhealth: {{ health_check: {{ {} }}, circuit_breaker: {{ {} }} }}\n\
         logging: {{ {}, debug_options: {{ {} }} }}\nmetrics: {{ {} }}\nadmin: {{ {} }}\nusage: {{ {} }}",
        table("Server"),
        table("Provider"),
        table("Pooling"),
        table("Key"),
        table("Routing"),
        table("HealthCheck"),
        table("CircuitBreaker"),
        table("Logging"),
        table("DebugOptions"),
        table("Metrics"),
        table("Admin"),
        table("Usage"),
    );
    let mut without = yaml("providers: [{ name: a, type: mock, keys: [{}] }]").config;
    without.admin.is_explicit = true;
    assert_eq!(format!("{:?}", yaml(&text).config), format!("{without:?}"));
    let empty = yaml("").config;
    assert_eq!(format!("{empty:?}"), format!("{:?}", Config::default()));
}

#[test]
fn default_providers_apply_if_the_file_names_none() {
    let providers = demo().providers;
    let loader = Loader::new().with_default_providers(providers);
    assert_eq!(loader.load().unwrap().config.providers.len(), 2);
    let named = loader.with_text("c", Format::Yaml, "providers: [{ name: a, type: mock }]").load().unwrap();
    assert_eq!(named.config.providers.len(), 1);
}

#[test]
fn a_file_is_read_in_the_format_of_its_extension() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("a.yaml", "providers: [{ name: a, type: mock }]"),
        ("a.yml", "providers: [{ name: a, type: mock }]"),
        ("a.toml", "[[providers]]\nname = 'a'\ntype = 'mock'\n"),
    ] {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        let loaded = Loader::new().with_file(&path).load().unwrap();
        assert_eq!(loaded.file.as_deref(), Some(path.as_path()));
        assert_eq!(loaded.config.providers.len(), 1);
    }
}

#[test]
fn every_strategy_has_its_name() {
    for name in [
        "failover",
        "round_robin",
        "weighted_round_robin",
        "shuffle",
        "model_based",
        "least_loaded",
        "cost_based",
        "latency_based",
    ] {
        let config = yaml(&format!("routing: {{ strategy: {name} }}")).config;
        assert_eq!(config.routing.strategy.as_str(), name);
        assert!(config.to_yaml().contains(&format!("strategy: {name}\n")));
    }
}

#[test]
fn routes_may_name_default_providers() {
    let loader = Loader::new().with_default_providers(demo().providers);
    let name = demo().providers[0].name.clone();
    let text = format!("routing: {{ strategy: model_based, default_provider: {name} }}");
    let config = loader.with_text("c", Format::Yaml, text).load().unwrap().config;
    assert_eq!(config.routing.default_provider, Some(name));
}

#[test]
fn routes_that_the_strategy_does_not_read_are_a_warning() {
    let loaded = yaml(
        "providers: [{ name: a, type: mock }]\nrouting: { model_mapping: { x: a }, default_provider: a }",
    );
    warnings(
        &loaded,
        &[
            "2:27: routing.model_mapping: has no effect with routing.strategy failover; it is for model_based",
            "2:55: routing.default_provider: has no effect with routing.strategy failover; it is for model_based",
        ],
    );
}

#[test]
fn capabilities_apply_by_model() {
    let loaded = yaml(
        "\
providers:
  - name: a
    type: mock
    capabilities:
      '*':
        betas: { '*': drop, effort-2025-11-24: pass, advanced-*: tool-search }
      '*-4-5*':
        fields: { 'blocks[].cache_control.ttl': pass, speed: refuse, 'messages[system]': fold }
",
    );
    let capabilities = &loaded.config.providers[0].capabilities;
    let rules = |model: &str| -> Vec<_> {
        let known: Vec<_> = capabilities.of(model).collect();
        let betas =
            known.iter().filter_map(|known| known.beta("advanced-1")).map(|rule| rule.as_str().to_owned());
        let fields = known.iter().flat_map(|known| known.fields());
        betas.chain(fields.map(|(path, rule)| format!("{} {rule}", path.as_str()))).collect()
    };
    assert_eq!(rules("m"), ["tool-search"]);
    assert_eq!(
        rules("m-4-5-v1"),
        ["tool-search", "blocks[].cache_control.ttl pass", "messages[system] fold", "speed refuse"]
    );
    let shown = loaded.config.to_yaml();
    assert_eq!(yaml(&shown).config.to_yaml(), shown);
    assert!(shown.contains("\"blocks[].cache_control.ttl\": pass"), "{shown}");
}

#[test]
fn the_first_byte_timeout_depends_on_the_kind_unless_it_is_set() {
    let text = "providers:\n  - {name: a, type: ollama}\n  - {name: b, type: ollama, first_byte_timeout_ms: 7}\n  \
        - {name: c, type: zai, keys: [{key: k}]}\n";
    let config = Loader::new().with_text("x.yaml", Format::Yaml, text).load().unwrap().config;
    let timeouts: Vec<_> =
        config.providers.iter().map(|provider| provider.first_byte_timeout.as_millis()).collect();
    assert_eq!(timeouts, [600_000, 7, 90_000]);
}
