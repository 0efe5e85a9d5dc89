//! Invalid configurations: the place and the text of each problem.

use relay_config::{Format, LoadError, Loader};

use crate::check::{load, toml_problems, types, yaml_problems};

#[test]
fn all_problems_are_reported_at_once_each_with_its_place() {
    let text = "\
server:
  lissten: 127.0.0.1:80
  enable_http2: yes
providers:
  - name: a
    type: anthropic
    weigth: 3
  - name: a
    type: zai
    base_url: https://api.z.ai/v1
    keys: [{ key: 123 }]
";
    yaml_problems(
        text,
        &[
            "2:3: server.lissten: unknown key; did you mean `listen`?",
            "3:17: server.enable_http2: found \"yes\", expected true or false; write true",
            "7:5: providers[0].weigth: unknown key; did you mean `weight`?",
            "8:11: providers[1].name: \"a\" is already used by providers[0]",
            "10:15: providers[1].base_url: found \"https://api.z.ai/v1\", expected the URL in front of /v1/messages, \
             which cc-relay adds; write https://api.z.ai/api/anthropic",
            "11:19: providers[1].keys[0].key: found a value without quotes, expected a string; put it in quotes",
        ],
    );
    let text = "\
[server]
lissten = '127.0.0.1:80'
enable_http2 = 'yes'

[[providers]]
name = 'a'
type = 'anthropic'
weigth = 3

[[providers]]
name = 'a'
type = 'zai'
base_url = 'https://api.z.ai/v1/messages/'
[[providers.keys]]
key = 123
";
    toml_problems(
        text,
        &[
            "2:1: server.lissten: unknown key; did you mean `listen`?",
            "3:16: server.enable_http2: found \"yes\", expected true or false; write true",
            "8:1: providers[0].weigth: unknown key; did you mean `weight`?",
            "11:8: providers[1].name: \"a\" is already used by providers[0]",
            "13:12: providers[1].base_url: found \"https://api.z.ai/v1/messages/\", expected the URL in front of \
             /v1/messages, which cc-relay adds; write https://api.z.ai/api/anthropic",
            "15:7: providers[1].keys[0].key: found a value without quotes, expected a string; put it in quotes",
        ],
    );
}

#[test]
fn keys_are_unique_in_yaml_too() {
    let text = "server:\n  listen: a:1\n  timeout_ms: 1\n  listen: b:1\n";
    yaml_problems(text, &["4:3: server.listen: the key is already set in line 2"]);
}

#[test]
fn the_error_for_an_unknown_key_names_its_table() {
    yaml_problems(
        "modles: {}\nrouting: { listen: a }\n",
        &[
            "1:1: modles: unknown key; known here: admin, health, logging, metrics, prices, providers, routing, server, \
             usage",
            "2:12: routing.listen: unknown key; it belongs to server",
        ],
    );
    yaml_problems(
        "models: [a]\nmodel_mapping: { a: b }\n",
        &[
            "1:1: models: unknown key; it belongs to providers[]",
            "2:1: model_mapping: unknown key; it belongs to providers[] or routing",
        ],
    );
    yaml_problems(
        "providers: [{ name: a, type: anthropic, api_key: x }]",
        &["1:41: providers[0].api_key: unknown key; write a credential as keys: [{ key: ${NAME} }]"],
    );
}

#[test]
fn values_must_have_the_type_of_the_setting() {
    #[track_caller]
    fn check(setting: &str, expected: &str) {
        let text = format!("server: {{ {setting} }}");
        yaml_problems(&text, &[expected]);
    }
    check(
        "timeout_ms: 1.5",
        "1:23: server.timeout_ms: found the number 1.5, expected a whole number from 0 to 86400000",
    );
    check(
        "timeout_ms: -1",
        "1:23: server.timeout_ms: found the number -1, expected a whole number from 0 to 86400000",
    );
    check(
        "timeout_ms: 30s",
        "1:23: server.timeout_ms: found \"30s\", expected a whole number from 0 to 86400000",
    );
    check(
        "timeout_ms: '30'",
        "1:23: server.timeout_ms: found \"30\", expected a whole number from 0 to 86400000; remove the quotes",
    );
    check(
        "timeout_ms: ",
        "1:21: server.timeout_ms: found nothing, expected a whole number from 0 to 86400000; give a value, or remove \
         the line",
    );
    check(
        "timeout_ms: 99999999999999999999999999999999999999999999",
        "1:23: server.timeout_ms: found the number 99999999999999999999999999999999999999999999, expected a whole number \
         from 0 to 86400000",
    );
    check("enable_http2: on", "1:25: server.enable_http2: found \"on\", expected true or false; write true");
    check("enable_http2: 1", "1:25: server.enable_http2: found the number 1, expected true or false");
    check(
        "enable_http2: 'true'",
        "1:25: server.enable_http2: found \"true\", expected true or false; remove the quotes",
    );
    check(
        "listen: 8787",
        "1:19: server.listen: found the number 8787, expected a string; write 127.0.0.1:8787",
    );
    check("listen: []", "1:19: server.listen: found an empty list, expected at least one item");
    check("listen: {}", "1:19: server.listen: found a table, expected a string");
    check("auth: x", "1:17: server.auth: found a string, expected a table of keys and values");
    check(
        "auth: { api_key: }",
        "1:26: server.auth.api_key: found nothing, expected a string; give a value, or remove the line",
    );
    check(
        "auth: { api_key: '' }",
        "1:28: server.auth.api_key: found an empty string, expected a secret; set it, or remove the line",
    );
    check(
        "auth: { api_key: ' ' }",
        "1:28: server.auth.api_key: found an empty string, expected a secret; set it, or remove the line",
    );
}

#[test]
fn limits_and_thresholds_have_bounds() {
    #[track_caller]
    fn check(setting: &str, found: &str, expected: &str) {
        let (path, value) = setting.split_once(": ").expect("a setting has a value");
        let sections: Vec<&str> = path.split('.').collect();
        let (open, close) = match sections[..] {
            ["keys", key] => (format!("providers: [{{ name: a, type: mock, keys: [{{ {key}: "), " }] }]"),
            ["pooling", key] => (format!("providers: [{{ name: a, type: mock, pooling: {{ {key}: "), " } }]"),
            ["routing", key] => (format!("routing: {{ {key}: "), " }"),
            [section, key] => (format!("health: {{ {section}: {{ {key}: "), " } }"),
            _ => unreachable!("every setting here is in a section"),
        };
        let path = match sections[0] {
            "keys" => format!("providers[0].keys[0].{}", sections[1]),
            "pooling" => format!("providers[0].{path}"),
            "routing" => path.to_owned(),
            _ => format!("health.{path}"),
        };
        let problem = format!("1:{}: {path}: found {found}, expected {expected}", open.len() + 1);
        yaml_problems(&format!("{open}{value}{close}"), &[&problem]);
    }
    let number = |from: u64, to: u64| format!("a whole number from {from} to {to}");
    let a_day = 86_400_000;
    check("keys.rpm_limit: -1", "the number -1", &number(0, 4_294_967_295));
    check("keys.rpm_limit: 50/min", "\"50/min\"", &number(0, 4_294_967_295));
    check("keys.tpm_limit: 1.5", "the number 1.5", &number(0, 1_000_000_000_000));
    check("keys.itpm_limit: 1e6", "the number 1e6", &number(0, 1_000_000_000_000));
    check("keys.otpm_limit: 2000000000000", "the number 2000000000000", &number(0, 1_000_000_000_000));
    check("keys.organization: ''", "an empty string", "a non-empty string");
    check("pooling.max_wait_ms: -1", "the number -1", &number(0, a_day));
    check(
        "pooling.strategy: least-loaded",
        "\"least-loaded\"",
        "one of `least_loaded`, `round_robin`, `random`, `weighted`; did you mean `least_loaded`?",
    );
    check("routing.affinity: sesion", "\"sesion\"", "one of `session`, `none`; did you mean `session`?");
    check("routing.on_stream_break: error", "\"error\"", "one of `abort`, `error_event`");
    check("health_check.interval_ms: 0", "the number 0", &number(100, a_day));
    check("circuit_breaker.failure_threshold: 0", "the number 0", &number(1, 1_000_000));
    check("circuit_breaker.open_duration_ms: 0", "the number 0", &number(1, a_day));
    check("circuit_breaker.half_open_probes: 0", "the number 0", &number(1, 1_000));
}

#[test]
fn keys_of_one_organization_must_state_the_same_limits() {
    let text = "\
providers:
  - name: a
    type: mock
    keys:
      - { organization: o, rpm_limit: 0 }
      - { organization: o, rpm_limit: 50, tpm_limit: 9 }
      - { organization: o, rpm_limit: 60, tpm_limit: 9 }
      - { organization: p, rpm_limit: 70 }
      - { rpm_limit: 80 }
  - { name: b, type: mock, keys: [{ organization: o, rpm_limit: 90 }] }
";
    let message = "7:39: providers[0].keys[2].rpm_limit: found the number 60, expected 50, as in providers[0].keys[1]; \
                keys of one organization share its limits";
    yaml_problems(text, &[message]);
}

#[test]
fn strings_that_look_like_another_type_need_quotes() {
    let text = "\
providers:
  - name: 7
    type: mock
    models: [4.5, true, 2024, ok]
    model_mapping: { a: 4.50 }
";
    yaml_problems(
        text,
        &[
            "2:11: providers[0].name: found the number 7, expected a string; put it in quotes: \"7\"",
            "4:14: providers[0].models[0]: found the number 4.5, expected a string; put it in quotes: \"4.5\"",
            "4:19: providers[0].models[1]: found true, expected a string; put it in quotes: \"true\"",
            "4:25: providers[0].models[2]: found the number 2024, expected a string; put it in quotes: \"2024\"",
            "5:25: providers[0].model_mapping.a: found the number 4.50, expected a string; put it in quotes: \"4.50\"",
        ],
    );
    toml_problems(
        "[[providers]]\nname = 'a'\ntype = 'mock'\nmodels = [2024-01-01]\n",
        &[
            "4:11: providers[0].models[0]: found the date 2024-01-01, expected a string; put it in quotes: \"2024-01-01\"",
        ],
    );
}

#[test]
fn choices_are_listed_and_the_nearest_is_suggested() {
    yaml_problems(
        "logging: { level: INFO, format: xml }",
        &[
            "1:19: logging.level: found \"INFO\", expected one of `debug`, `info`, `warn`, `error`; did you mean `info`?",
            "1:33: logging.format: found \"xml\", expected one of `text`, `json`",
        ],
    );
    yaml_problems(
        "providers: [{ name: a, type: antropic }]",
        &[&format!(
            "1:30: providers[0].type: found \"antropic\", expected one of {}; did you mean `anthropic`?",
            types()
        )],
    );
}

#[test]
fn a_provider_must_have_a_name_and_a_type() {
    yaml_problems(
        "providers: [{}, text]",
        &[
            "1:13: providers[0].name: missing; give a string",
            &format!("1:13: providers[0].type: missing; give one of {}", types()),
            "1:17: providers[1]: found a string, expected a table of keys and values",
        ],
    );
    yaml_problems(
        "providers: [{ name: a b, type: mock }]",
        &[
            "1:21: providers[0].name: found \"a b\", expected up to 64 visible ASCII characters without blanks",
        ],
    );
    yaml_problems(
        "providers: { name: a, type: mock }",
        &[
            "1:12: providers: found a table, expected a list; begin each provider with `- name:`, or in TOML with [[providers]]",
        ],
    );
}

#[test]
fn a_provider_must_have_the_keys_that_its_type_needs() {
    #[track_caller]
    fn check(provider: &str, expected: &[&str]) {
        yaml_problems(&format!("providers:\n- {{ name: a, {provider} }}"), expected);
    }
    check("type: anthropic", &[]);
    check("type: anthropic, passthrough: true, base_url: https://a.example", &[]);
    check(
        "type: anthropic, base_url: https://a.example",
        &[
            "2:3: providers[0].keys: missing; add a key, or passthrough: true to send clients' own credentials",
        ],
    );
    check(
        "type: anthropic, passthrough: false",
        &[
            "2:3: providers[0].keys: missing; add a key, or passthrough: true to send clients' own credentials",
        ],
    );
    check(
        "type: zai",
        &["2:3: providers[0].keys: missing; a provider of type zai needs a key: keys: [{ key: ${NAME} }]"],
    );
    check("type: minimax, enabled: false", &[]);
    check(
        "type: zai, keys: [{ key: a }, { priority: 2 }]",
        &["2:44: providers[0].keys[1].key: missing; add the credential, preferably as ${NAME}"],
    );
    check(
        "type: zai, keys: [sk-1]",
        &[
            "2:32: providers[0].keys[0]: found a string, expected a table of keys and values; write { key: ${NAME} }",
        ],
    );
    check(
        "type: zai, keys: [{ key: managed-by-cc-relay }]",
        &[
            "2:39: providers[0].keys[0].key: found the placeholder managed-by-cc-relay, expected a credential of the upstream",
        ],
    );
    check(
        "type: zai, keys: sk-1",
        &["2:31: providers[0].keys: found a string, expected a list; write [{ key: ${NAME} }]"],
    );
    check("type: ollama", &[]);
    check("type: ollama, keys: [{ priority: 3 }]", &[]);
    check(
        "type: mock, base_url: http://a",
        &["2:36: providers[0].base_url: a provider of type mock has no such setting; remove it"],
    );
    check(
        "type: anthropic_compatible, auth: none",
        &["2:3: providers[0].base_url: missing; type anthropic_compatible needs the upstream's URL, as in \
         https://host/path"],
    );
    check(
        "type: anthropic_compatible, base_url: https://a.example",
        &[
            "2:3: providers[0].keys: missing; a provider of type anthropic_compatible needs a key: keys: [{ key: ${NAME} }]",
        ],
    );
    check(
        "type: anthropic_compatible, base_url: https://a.example, auth: none, keys: [{ key: a }]",
        &[
            "2:89: providers[0].keys: found keys, expected none with auth: none; remove them, or set auth to x-api-key or \
         bearer",
        ],
    );
    check(
        "type: zai, auth: bearer, passthrough: true, keys: [{ key: a }]",
        &[
            "2:31: providers[0].auth: a provider of type zai has no such setting; remove it",
            "2:52: providers[0].passthrough: a provider of type zai has no such setting; remove it",
        ],
    );
    check("type: ollama, discover_models: true", &[]);
    check(
        "type: zai, discover_models: true, keys: [{ key: a }]",
        &["2:42: providers[0].discover_models: a provider of type zai has no such setting; remove it"],
    );
}

#[test]
fn base_urls_are_checked() {
    #[track_caller]
    fn check(url: &str, expected: &str) {
        yaml_problems(&format!("providers:\n- {{ name: a, type: ollama, base_url: '{url}' }}"), &[expected]);
    }
    let start = "2:38: providers[0].base_url: ";
    let end = "; expected a URL like https://host/path";
    check("api.z.ai", &format!("{start}found \"api.z.ai\": the scheme is not http or https{end}"));
    check(
        "http://a/?b=c",
        &format!("{start}found \"http://a/\": a query string does not belong in a base URL{end}"),
    );
    check("http://u:p@a", &format!("{start}credentials do not belong in a URL; use keys[]{end}"));
    check(
        "ftp://a/?t=secret#secret",
        &format!("{start}found \"ftp://a/\": the scheme is not http or https{end}"),
    );
    check("u:p@a b", &format!("{start}not a URL{end}"));
    check("", "2:38: providers[0].base_url: found an empty string, expected a non-empty string");
}

#[test]
fn listen_addresses_are_checked() {
    #[track_caller]
    fn check(address: &str, hint: &str) {
        let hint = if hint.is_empty() { String::new() } else { format!("; {hint}") };
        let expected =
            format!("1:19: server.listen: found {address:?}, expected host:port, as in 127.0.0.1:8787{hint}");
        yaml_problems(&format!("server: {{ listen: '{address}' }}"), &[&expected]);
    }
    check(":8787", "write 0.0.0.0:8787 to listen on every address");
    check("*:8787", "write 0.0.0.0:8787 to listen on every address");
    check("8787", "add the host: 127.0.0.1:8787 for this machine only, 0.0.0.0:8787 for all");
    check("localhost", "add a port: localhost:8787");
    check("localhost:", "the port is a number up to 65535");
    check("localhost:65536", "the port is a number up to 65535");
    check("localhost:+80", "the port is a number up to 65535");
    check("::1", "add a port, and put an IPv6 address in brackets: [::1]:8787");
    check("fe80:::8787", "put an IPv6 address in brackets: [fe80::]:8787");
    check("[::1]", "add a port: [::1]:8787");
    check("[a]:1", "only an IPv6 address goes in brackets");
    check("http://a:1", "remove the scheme");
    check("a/b:1", "the host is a name or an IP address");
    yaml_problems(
        "server: { listen: ['127.0.0.1:1', '[::1]:1', '127.0.0.1:1', x] }",
        &[
            "1:46: server.listen[2]: found \"127.0.0.1:1\" twice, expected each address once",
            "1:61: server.listen[3]: found \"x\", expected host:port, as in 127.0.0.1:8787; add a port: x:8787",
        ],
    );
}

#[test]
fn clients_must_have_unique_names_and_keys() {
    let text = "\
server:
  auth:
    api_key: k1
    api_keys:
      - { name: default, key: k2 }
      - { name: b, key: k1 }
      - { name: b }
";
    yaml_problems(
        text,
        &[
            "5:17: server.auth.api_keys[0].name: \"default\" is already used by server.auth.api_key",
            "6:25: server.auth.api_keys[1].key: this key is already used by server.auth.api_key",
            "7:9: server.auth.api_keys[2].key: missing; give a string",
        ],
    );
}

#[test]
fn a_model_mapping_must_name_one_model() {
    let text = "providers: [{ name: a, type: mock, model_mapping: { '': a, 'b-*': 'c-*', d: '' } }]";
    yaml_problems(
        text,
        &[
            "1:57: providers[0].model_mapping.\"\": found an empty model name, expected a name, or a pattern with `*`",
            "1:67: providers[0].model_mapping.\"b-*\": found \"c-*\", expected one model name, without `*`; only the left side \
         may be a pattern",
            "1:77: providers[0].model_mapping.d: found an empty string, expected a non-empty string",
        ],
    );
}

#[test]
fn a_certificate_file_must_contain_a_certificate() {
    yaml_problems("providers: [{ name: a, type: mock, enabled: false, ca_file: /nonexistent/ca.pem }]", &[]);
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let message = format!("cannot use {manifest}: it contains no PEM certificate");
    yaml_problems(
        &format!("providers: [{{ name: a, type: mock, ca_file: '{manifest}' }}]"),
        &[&format!("1:45: providers[0].ca_file: {message}")],
    );
    yaml_problems(
        "providers: [{ name: a, type: mock, ca_file: /nonexistent/ca.pem }]",
        &[
            "1:45: providers[0].ca_file: cannot use /nonexistent/ca.pem: No such file or directory (os error 2)",
        ],
    );
}

#[test]
fn a_secret_is_never_shown() {
    let text = "\
server: { auth: { api_key: [hidden], bearer_secret: { hidden: 1 } }, listen: sk-hidden, timeout_ms: sk-hidden }
providers:
  - { name: a, type: zai, base_url: 'https://hidden@a', keys: [{ key: 12345 }, { key: true }, hidden] }
  - { name: b, type: zai, base_url: sk-hidden, keys: hidden }
";
    let error = load(Format::Yaml, text).unwrap_err();
    let shown = error.to_string();
    assert!(
        error.problems().len() == 10
            && !shown.contains("hidden")
            && !shown.contains("12345")
            && !shown.contains("true"),
        "{shown}"
    );
}

#[test]
fn a_loader_does_not_print_its_text_or_environment() {
    let environment = [("KEY".to_owned(), "hidden".to_owned())];
    let loader = Loader::new().with_environment(environment).with_override("server.auth.api_key", "hidden");
    let loader = loader.with_text("c", Format::Yaml, "server: { auth: { api_key: hidden } }");
    assert_eq!(format!("{loader:?}"), "Loader { file: Some(\"c\"), .. }");
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_of_its_own() {
    #[track_caller]
    fn check(path: &str, expected: &str) {
        let error = Loader::new().with_file(path).load().unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(error.problems().is_empty());
    }
    check("/nonexistent/c.yaml", "/nonexistent/c.yaml: cannot read the configuration file");
    check("c.json", "c.json: a configuration file must end in .yaml, .yml or .toml");
    assert!(matches!(Loader::new().with_file("/nonexistent/c.toml").load(), Err(LoadError::Read { .. })));
}

#[test]
fn a_route_must_name_a_prefix_and_a_provider() {
    yaml_problems(
        "providers: [{ name: anthropic, type: mock }, { name: zai, type: mock }, { name: odd }]
routing:
  strategy: model_based
  model_mapping:
    claude-: antropic
    glm-: odd
    gpt-: elsewhere
    'claude-*': anthropic
    '': anthropic
  default_provider: azi
",
        &[
            &format!("1:73: providers[2].type: missing; give one of {}", types()),
            "5:14: routing.model_mapping.claude-: found \"antropic\", expected the name of a provider; \
             did you mean `anthropic`?",
            "7:11: routing.model_mapping.gpt-: found \"elsewhere\", expected the name of a provider; \
             known here: anthropic, zai, odd",
            "8:17: routing.model_mapping.\"claude-*\": found \"claude-*\", expected a prefix, without `*`; \
             write \"claude-\"",
            "9:9: routing.model_mapping.\"\": found an empty prefix, expected the start of a model's name; \
             use default_provider",
            "10:21: routing.default_provider: found \"azi\", expected the name of a provider; \
             did you mean `zai`?",
        ],
    );
}

#[test]
fn invalid_capabilities_are_refused_at_their_place() {
    let text = "\
providers:
  - name: a
    type: mock
    capabilities:
      '*':
        betas: { x: 1, y: 'a, b' }
        fields:
          a b: drop
          speed: dropp
          'messages[].x': refuse
        field: {}
";
    yaml_problems(
        text,
        &[
            "6:21: providers[0].capabilities.\"*\".betas.x: found the number 1, expected a string; put it in quotes: \"1\"",
            "6:27: providers[0].capabilities.\"*\".betas.y: found `a, b`, expected `pass`, `drop`, or the name of a beta",
            "8:16: providers[0].capabilities.\"*\".fields.\"a b\": found `a b`, expected the path of a field, such as `speed`, \
             `tools[].strict` or `blocks[image].source[url]`",
            "9:18: providers[0].capabilities.\"*\".fields.speed: found `dropp`, expected `pass`, `drop`, `refuse`, `fold`, \
             `hoist`, or a new path such as `output_config.format`",
            "10:27: providers[0].capabilities.\"*\".fields.\"messages[].x\": found `refuse`, expected `refuse` for a top-level \
             field, or for a kind of content like `blocks[document]`, `blocks[image].source[url]` or `tools[web_search_*]`",
            "11:9: providers[0].capabilities.\"*\".field: unknown key; did you mean `fields`?",
        ],
    );
}

#[test]
fn hosts_and_origins_are_written_in_full() {
    #[track_caller]
    fn check(setting: &str, expected: &str) {
        yaml_problems(&format!("server: {{ {setting} }}"), &[expected]);
    }
    let host = "expected a host name or an IP address, as in relay.example";
    check(
        "allowed_hosts: ['https://relay.example']",
        &format!("1:27: server.allowed_hosts[0]: found \"https://relay.example\", {host}; remove the scheme"),
    );
    check(
        "allowed_hosts: ['relay.example:8787']",
        &format!("1:27: server.allowed_hosts[0]: found \"relay.example:8787\", {host}; remove the port"),
    );
    check(
        "allowed_hosts: [a.example, '*']",
        &format!(
            "1:38: server.allowed_hosts[1]: found \"*\", {host}; write each name in full: with a pattern, a web page \
             could choose a name that fits"
        ),
    );
    let origin = "expected the origin of a web page, as in https://app.example";
    check(
        "cors: { allowed_origins: ['*'] }",
        &format!(
            "1:37: server.cors.allowed_origins[0]: found \"*\", {origin}; list each origin: with a pattern, any web \
             page could use the relay's keys"
        ),
    );
    check(
        "cors: { allowed_origins: [app.example] }",
        &format!("1:37: server.cors.allowed_origins[0]: found \"app.example\", {origin}; add the scheme"),
    );
    check(
        "cors: { allowed_origins: ['https://app.example/'] }",
        &format!(
            "1:37: server.cors.allowed_origins[0]: found \"https://app.example/\", {origin}; write scheme, host and \
             port only, without a path or a slash at the end"
        ),
    );
}

#[test]
fn settings_of_similar_programs_name_the_right_place() {
    let listen = "unknown key; write the address and the port as server.listen, as in 127.0.0.1:8787";
    yaml_problems(
        "server: { port: 8787, host: 0.0.0.0, listen: [8787] }",
        &[
            &format!("1:11: server.port: {listen}"),
            &format!("1:23: server.host: {listen}"),
            "1:47: server.listen[0]: found the number 8787, expected a string; write 127.0.0.1:8787",
        ],
    );
    let key = "unknown key; write a credential as keys: [{ key: ${NAME} }]";
    yaml_problems(
        "providers: [{ name: a, type: ollama, api_key: x }]",
        &[&format!("1:38: providers[0].api_key: {key}")],
    );
    yaml_problems(
        "server: { auth: { api_keys: [x] } }",
        &["1:30: server.auth.api_keys[0]: found a string, expected a table of keys and values; \
             write { name: laptop, key: ${NAME} }"],
    );
    toml_problems(
        "[providers]\nname = 'a'\ntype = 'mock'\n",
        &[
            "1:1: providers: found a table, expected a list; begin each provider with `- name:`, or in TOML with [[providers]]",
        ],
    );
}
