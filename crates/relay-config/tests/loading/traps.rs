//! Common mistakes of new operators: each works, or its message explains it.

use relay_config::Loader;

use crate::check::{toml, toml_problems, warnings, yaml, yaml_problems};

#[test]
fn provider_settings_below_its_tables_are_applied_in_toml() {
    let text = "\
[[providers]]
name = 'a'
type = 'zai'

[[providers.keys]]
key = 'k1'
priority = 7
models = ['glm-5.3']

[[providers.keys]]
key = 'k2'

[providers.model_mapping]
'claude-*' = 'glm-5.3'
priority = 9
idle_timeout_ms = 1000
";
    let loaded = toml(text);
    let provider = &loaded.config.providers[0];
    assert_eq!(provider.models, ["glm-5.3"]);
    assert_eq!((provider.priority, provider.keys[0].priority, provider.keys[1].priority), (9, 7, 9));
    assert_eq!(provider.idle_timeout.as_millis(), 1000);
    assert_eq!(provider.model_mapping.names().count(), 0);
    let message = |table| {
        format!(
            "by TOML's rules this line belongs to `providers[0].{table}`; it was applied to the provider. Move it up, \
             above that table"
        )
    };
    warnings(
        &loaded,
        &[
            &format!("8:1: providers[0].models: {}", message("keys")),
            &format!("15:1: providers[0].priority: {}", message("model_mapping")),
            &format!("16:1: providers[0].idle_timeout_ms: {}", message("model_mapping")),
        ],
    );
}

#[test]
fn a_key_cannot_disable_its_provider() {
    let text = "[[providers]]\nname = 'a'\ntype = 'zai'\n[[providers.keys]]\nkey = 'k'\nenabled = false\n";
    toml_problems(text, &["6:1: providers[0].keys[0].enabled: unknown key; it belongs to providers[]"]);
}

#[test]
fn a_misplaced_setting_does_not_overwrite_one_of_the_provider() {
    let text = "\
[[providers]]
name = 'a'
type = 'zai'
models = ['a']
[[providers.keys]]
key = 'k1'
models = ['b']
";
    toml_problems(text, &["7:1: providers[0].keys[0].models: unknown key; it belongs to providers[]"]);
}

#[test]
fn yaml_refuses_misplaced_settings() {
    let text = "providers: [{ name: a, type: zai, keys: [{ key: k, models: [a] }] }]";
    yaml_problems(text, &["1:52: providers[0].keys[0].models: unknown key; it belongs to providers[]"]);
}

#[test]
fn the_error_for_a_provider_setting_at_the_top_level_names_its_table() {
    toml_problems(
        "models = ['a']\n[model_mapping]\na = 'b'\n",
        &[
            "1:1: models: unknown key; it belongs to providers[]",
            "2:2: model_mapping: unknown key; it belongs to providers[] or routing; write [providers.model_mapping] below \
             its [[providers]]",
        ],
    );
}

#[test]
fn settings_of_other_relays_without_effect_are_accepted() {
    let loaded =
        yaml("cache: { mode: single, olric: [1] }\ngrpc: true\nproviders: [{ name: a, type: mock }]");
    warnings(
        &loaded,
        &[
            "1:1: cache: has no effect in cc-relay; it can be removed",
            "2:1: grpc: has no effect in cc-relay; it can be removed",
        ],
    );
}

#[test]
fn an_open_listener_without_client_keys_is_a_warning() {
    let providers = "providers: [{ name: a, type: mock }]";
    let loaded = yaml(&format!("server: {{ listen: ['127.0.0.1:1', '0.0.0.0:1'] }}\n{providers}"));
    let message =
        "0.0.0.0:1 can be reached from other machines and clients need no key; set server.auth.api_key";
    warnings(&loaded, &[&format!("1:19: server.listen: {message}")]);
    warnings(&yaml(&format!("server: {{ listen: '0.0.0.0:1', auth: {{ api_key: k }} }}\n{providers}")), &[]);
    warnings(&yaml(&format!("server: {{ listen: 'localhost:1' }}\n{providers}")), &[]);
}

#[test]
fn a_configuration_without_an_enabled_provider_is_a_warning() {
    let message = "no provider is enabled; every request will be refused";
    warnings(&yaml(""), &[&format!("1:1: providers: {message}")]);
    warnings(
        &yaml("providers: [{ name: a, type: mock, enabled: false }]"),
        &[&format!("1:12: providers: {message}")],
    );
    warnings(&Loader::new().load().unwrap(), &[]);
}

#[test]
fn keys_over_cleartext_http_are_a_warning() {
    let provider =
        |url: &str| format!("providers: [{{ name: a, type: zai, base_url: '{url}', keys: [{{ key: k }}] }}]");
    let message = "http:// sends credentials unencrypted to gateway; use https://";
    warnings(&yaml(&provider("http://gateway:80")), &[&format!("1:45: providers[0].base_url: {message}")]);
    warnings(&yaml(&provider("http://[::1]:80")), &[]);
    warnings(&yaml(&provider("https://gateway")), &[]);
}

#[test]
fn settings_of_the_original_relay_name_the_right_spelling() {
    let provider = |setting: &str| format!("providers: [{{ name: a, type: mock, {setting} }}]");
    yaml_problems(
        &provider("pooling: { enabled: true }"),
        &[
            "1:47: providers[0].pooling.enabled: unknown key; requests are always distributed over the keys; remove the line, and \
           write pooling.strategy to choose how",
        ],
    );
    yaml_problems(
        &provider("azure_deployment_id: d"),
        &[
            "1:36: providers[0].azure_deployment_id: unknown key; write the deployment as the target of a model: model_mapping: \
           { claude-opus-5-5: my-deployment }",
        ],
    );
    yaml_problems(
        "server:\n  api_key: k\n  auth:\n    allow_bearer: true\n",
        &[
            "2:3: server.api_key: unknown key; write server.auth.api_key",
            "4:5: server.auth.allow_bearer: unknown key; a client key is always accepted as `Authorization: Bearer`; remove the line, \
             or write allow_subscription: true to accept subscription tokens",
        ],
    );
    yaml_problems(
        "logging:\n  format: console\n  file: /var/log/relay\n",
        &[
            "2:11: logging.format: found \"console\", expected one of `text`, `json`; write `text`",
            "3:3: logging.file: unknown key; write the path as logging.output",
        ],
    );
}

#[test]
fn an_optional_credential_that_is_missing_can_be_removed() {
    let unset = |name: &str| {
        format!(
            "the environment variable {name} is not set; set it, give a default: ${{{name}:-…}}, or remove the line"
        )
    };
    yaml_problems(
        "providers:\n  - name: a\n    type: bedrock\n    aws_region: us-east-1\n    aws_session_token: ${AWS_SESSION_TOKEN}\n",
        &[&format!("5:24: providers[0].aws_session_token: {}", unset("AWS_SESSION_TOKEN"))],
    );
    yaml_problems(
        "providers:\n  - name: a\n    type: anthropic\n    keys:\n      - key: \"\"\n",
        &[
            "5:14: providers[0].keys[0].key: found an empty string, expected a secret; set it, or remove the line",
        ],
    );
}

#[cfg(unix)]
#[test]
fn a_file_that_other_users_can_change_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;

    for (mode, expected) in [(0o600, 0), (0o644, 0), (0o664, 1), (0o646, 1), (0o666, 1)] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.yaml");
        std::fs::write(&path, "providers: [{ name: a, type: mock }]").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let loaded = crate::check::loader(&[]).with_file(&path).load().unwrap();
        assert_eq!(loaded.warnings.len(), expected, "{mode:o}: {:?}", loaded.warnings);
        assert!(
            loaded
                .warnings
                .iter()
                .all(|warning| warning.to_string().contains("other users of this machine can change"))
        );
    }
}

#[cfg(unix)]
#[test]
fn a_file_with_secrets_that_every_user_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;

    #[track_caller]
    fn check(mode: u32, kind: &str, key: &str, expected: usize) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.yaml");
        let text = format!("providers: [{{ name: a, type: {kind}, keys: [{{ key: '{key}' }}] }}]");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let loaded = crate::check::loader(&[]).with_file(&path).load().unwrap();
        assert_eq!(loaded.warnings.len(), expected, "{:?}", loaded.warnings);
    }
    check(0o644, "zai", "written-out", 1);
    check(0o640, "zai", "written-out", 0);
    check(0o644, "zai", "${KEY}", 0);
    // Keys that are never sent carry limits only.
    for kind in ["ollama", "mock"] {
        check(0o644, kind, "written-out", 0);
    }
}

#[test]
fn a_buffer_that_holds_no_whole_body_is_warned_about() {
    let loaded = yaml("server: { max_buffered_bytes: 1000000 }\nproviders: [{ name: a, type: mock }]");
    let message = "1000000 bytes hold no body of server.max_body_bytes (33554432), which gets 503 whenever it is sent: \
                   raise this setting, or lower server.max_body_bytes";
    warnings(&loaded, &[&format!("1:31: server.max_buffered_bytes: {message}")]);
    let text = "server: { max_buffered_bytes: 0 }\nproviders: [{ name: a, type: mock }]";
    warnings(&yaml(text), &[]);
}

#[test]
fn a_provider_at_the_address_of_the_relay_is_refused() {
    let expected = "providers[0].base_url: found \"http://localhost:9999\", which is the relay's own address (server.listen: \
                    127.0.0.1:9999), expected the URL of an upstream; write the upstream's own URL";
    let text = "server: { listen: ['127.0.0.1:9998', '127.0.0.1:9999'] }\nproviders:\n  - name: a\n    type: anthropic\n    \
                base_url: http://localhost:9999\n    keys: [{ key: k }]\n";
    yaml_problems(text, &[&format!("5:15: {expected}")]);
    yaml(&text.replace("type: anthropic", "type: anthropic\n    enabled: false"));
    // The default address of the relay counts as well.
    let text = text.replace("9998", "9997").replace("9999'", "9996'").replace(":9999", ":8787");
    yaml(&text);
    let text = &text[text.find('\n').unwrap() + 1..];
    let default = expected.replace("9999", "8787");
    yaml_problems(text, &[&format!("4:15: {default}")]);
}
