//! `${NAME}` in values.

use crate::check::{ENVIRONMENT, toml, yaml, yaml_problems};

/// Asserts the model name that `text` expands to, in both formats.
#[track_caller]
fn check(text: &str, expected: &str) {
    let file = format!("providers: [{{ name: a, type: mock, models: ['{text}'] }}]");
    assert_eq!(yaml(&file).config.providers[0].models, [expected]);
    let file = format!("[[providers]]\nname = 'a'\ntype = 'mock'\nmodels = ['{text}']\n");
    assert_eq!(toml(&file).config.providers[0].models, [expected]);
}

#[test]
fn references_are_replaced_by_values() {
    check("${KEY}", "sk-key");
    check("a${KEY}b${PORT}c", "ask-keyb9000c");
    check("${UNSET:-default}", "default");
    check("${EMPTY:-default}", "default");
    check("${KEY:-default}", "sk-key");
    check("${UNSET:-a:-b}", "a:-b");
    check("x${EMPTY}y${UNSET:-}", "xy");
    check("$${KEY}", "${KEY}");
    check("a$${b", "a${b");
    check("$KEY $ $$ {KEY} $}", "$KEY $ $$ {KEY} $}");
}

#[test]
fn values_of_variables_are_inserted_unchanged() {
    let odd = ENVIRONMENT.iter().find(|(name, _)| *name == "ODD").unwrap().1;
    check("${ODD}", odd);
    check("${UNSET:-$KEY}", "$KEY");
    let text =
        "providers: [{ name: a, type: zai, model_mapping: { a: '${ODD}' }, keys: [{ key: '${ODD}' }] }]";
    let provider = yaml(text).config.providers.remove(0);
    assert_eq!(provider.keys[0].key.as_ref().unwrap().expose(), odd);
    assert_eq!(provider.model_mapping.lookup("a").unwrap().as_ref(), odd);
}

#[test]
fn numbers_booleans_and_choices_may_come_from_variables() {
    let text = "
server: { timeout_ms: '${PORT}', enable_http2: '${NO}', listen: ['127.0.0.1:${PORT}'] }
logging: { level: '${LEVEL:-warn}' }
";
    let config = yaml(text).config;
    assert_eq!(config.server.timeout.unwrap().as_millis(), 9000);
    assert!(!config.server.enable_http2);
    assert_eq!(config.server.listen[0].port, 9000);
    assert_eq!(config.logging.level, relay_config::LogLevel::Warn);
    yaml_problems(
        "server: { timeout_ms: '${KEY}', enable_http2: '${PORT}' }",
        &[
            "1:23: server.timeout_ms: found a string, expected a whole number from 0 to 86400000",
            "1:47: server.enable_http2: found \"9000\", expected true or false",
        ],
    );
}

#[test]
fn an_unset_variable_is_an_error() {
    yaml_problems(
        "server:\n  listen: ${NOPE}\n  auth: { api_key: '${NO_KEY}' }\n",
        &[
            "2:11: server.listen: the environment variable NOPE is not set; set it, or give a default: ${NOPE:-…}",
            "3:20: server.auth.api_key: the environment variable NO_KEY is not set; set it, or give a default: ${NO_KEY:-…}",
        ],
    );
    yaml_problems(
        "server: { auth: { api_key: '${EMPTY}' } }",
        &["1:28: server.auth.api_key: found an empty string, expected a secret; set it, or remove the line"],
    );
}

#[test]
fn the_key_of_a_disabled_provider_may_be_unset() {
    let text = |enabled: &str, key: &str| {
        format!("providers:\n- {{ name: a, type: zai, enabled: {enabled}, keys: [{{ key: {key} }}] }}")
    };
    yaml_problems(&text("false", "'${NOPE}'"), &[]);
    yaml_problems(&text("'${NO}'", "'${NOPE}'"), &[]);
    let unset = "the environment variable NOPE is not set; set it, or give a default: ${NOPE:-…}";
    for enabled in ["true", "'${YES}'"] {
        let text = text(enabled, "'${NOPE}'");
        let column = text.lines().last().unwrap().find("'${NOPE}'").unwrap() + 1;
        yaml_problems(&text, &[&format!("2:{column}: providers[0].keys[0].key: {unset}")]);
    }
    let text = "providers:\n- { name: a, type: zai, enabled: false, base_url: '${NOPE}' }";
    yaml_problems(text, &[&format!("2:51: providers[0].base_url: {unset}")]);
}

#[test]
fn a_malformed_reference_is_an_error() {
    for text in ["${", "${}", "${KEY", "${1A}", "${a-b}", "${:-x}", "${A B}", "${KEY:=x}"] {
        let file = format!("server: {{ listen: '{text}' }}");
        yaml_problems(
            &file,
            &[
                "1:19: server.listen: `${` starts a reference like ${NAME} or ${NAME:-default}; write `$${` for the \
             characters themselves",
            ],
        );
    }
}

#[test]
fn keys_of_a_table_are_not_expanded() {
    let text = "providers: [{ name: a, type: mock, model_mapping: { '${KEY}': b } }]";
    assert!(yaml(text).config.providers[0].model_mapping.lookup("${KEY}").is_some());
}

#[test]
fn a_key_in_the_form_of_a_reference_is_no_reference_and_is_shown_as_it_is() {
    let file = "providers: [{ name: a, type: mock, model_mapping: { '${KEY}': '$${KEY}' } }]";
    let shown = yaml(file).to_yaml();
    for loaded in [yaml(file), yaml(&shown)] {
        let mapping = &loaded.config.providers[0].model_mapping;
        assert_eq!(mapping.lookup("${KEY}").as_deref(), Some("${KEY}"), "{shown}");
    }
}
