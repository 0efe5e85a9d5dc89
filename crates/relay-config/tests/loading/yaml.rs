//! The parts of YAML that are accepted, and those that are refused.

use crate::check::{toml, yaml, yaml_problems};

#[test]
fn aliases_repeat_the_value_of_their_anchor() {
    let text = "\
providers:
  - name: a
    type: mock
    models: &models [x, y]
    model_mapping: &mapping { 'claude-*': x }
  - { name: b, type: mock, models: *models, model_mapping: *mapping }
";
    let config = yaml(text).config;
    assert_eq!(config.providers[1].models, ["x", "y"]);
    assert_eq!(config.providers[0].model_mapping, config.providers[1].model_mapping);
}

#[test]
fn aliases_cannot_repeat_more_values_than_the_limit() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    yaml_problems(
        &text,
        &[
            "5:10: a4[0]: aliases that repeat more than 20000 values are not supported here; use fewer aliases",
        ],
    );
}

#[test]
fn a_file_with_ten_thousand_keys_of_providers_and_of_clients_is_read() {
    let mut text = "providers:\n  - name: a\n    type: zai\n    keys:\n".to_owned();
    for key in 0..10_000 {
        text.push_str(&format!("      - {{ key: provider-key-{key:06}, name: p{key} }}\n"));
    }
    text.push_str("server:\n  auth:\n    api_keys:\n");
    for key in 0..10_000 {
        text.push_str(&format!("      - {{ key: client-key-{key:06}, name: c{key} }}\n"));
    }
    let config = yaml(&text).config;
    assert_eq!((config.providers[0].keys.len(), config.server.auth.keys.len()), (10_000, 10_000));
}

#[test]
fn an_anchor_cannot_contain_itself() {
    yaml_problems(
        "a: &a [*a]\n",
        &["1:8: a[0]: an alias inside of its own anchor is not supported here; write it out"],
    );
}

#[test]
fn unsupported_constructs_are_refused_with_an_alternative() {
    yaml_problems(
        "providers:\n- { <<: { a: b } }\n",
        &["2:5: providers[0]: a merge key (`<<`) is not supported here; write the keys out, or use an alias"],
    );
    yaml_problems(
        "server:\n  listen: !env LISTEN\n",
        &[
            "2:11: server.listen: a tag other than !!str is not supported here; remove it, since the setting determines the type",
        ],
    );
    yaml_problems(
        "a: 1\n---\nb: 1\n",
        &["2:1: several documents are not supported here; remove everything from the second `---` on"],
    );
    yaml_problems("? [a]\n: b\n", &["1:3: a key that is not plain text is not supported here; write a name"]);
    let deep = format!("a: {}{}", "[".repeat(100), "]".repeat(100));
    yaml_problems(&deep, &["1:36: nesting this deep is not supported here; no setting needs it"]);
}

#[test]
fn a_string_may_be_written_in_every_style() {
    let text = "\
%YAML 1.2
---
providers:
  - name: 'single'
    type: \"mock\"
    models:
      - !!str 4.5
      - plain text
      - \"tab\\tand \\u00e9\"
      - |-
        literal
      - >-
        folded
        text
...
";
    assert_eq!(
        yaml(text).config.providers[0].models,
        ["4.5", "plain text", "tab\tand é", "literal", "folded text"]
    );
}

#[test]
fn plain_scalars_have_the_types_of_yaml_1_2() {
    let models =
        |text: &str| yaml(&format!("providers: [{{ name: a, type: mock, models: [{text}] }}]")).config;
    let found =
        models("yes, on, 0o, 1_000, 1:30, 2024-01-01, +, ., e5, 0xg, inf, nan").providers[0].models.join(" ");
    assert_eq!(found, "yes on 0o 1_000 1:30 2024-01-01 + . e5 0xg inf nan");
    let timeout = |text: &str| yaml(&format!("server: {{ timeout_ms: {text} }}")).config.server.timeout;
    let millis = |text| timeout(text).map(|limit| limit.as_millis());
    assert_eq!(millis("0x10"), Some(16));
    assert_eq!(millis("0o10"), Some(8));
    assert_eq!(millis("010"), Some(10));
    assert_eq!(millis("+5"), Some(5));
    assert_eq!(millis("0"), None);
}

#[test]
fn an_empty_file_is_an_empty_configuration() {
    for text in ["", "\n", "# nothing\n", "---\n", "~", "{}"] {
        assert_eq!(yaml(text).config.providers.len(), 0, "{text:?}");
    }
    yaml_problems("just text", &["1:1: found a string, expected a table of keys and values"]);
    yaml_problems("[a]", &["1:1: found a list, expected a table of keys and values"]);
}

#[test]
fn a_section_without_settings_is_empty() {
    let text = "metrics:\nserver:\nproviders:\n  - name: a\n    type: mock\n    keys:\n    models:\n    model_mapping:\nlogging:\n";
    assert_eq!(yaml(text).config.providers[0].keys.len(), 0);
}

#[test]
fn line_endings_and_byte_order_marks_are_accepted() {
    let text = "\u{feff}providers:\r\n  - name: a\r\n    type: mock\r\n    models: [b]\r\n";
    assert_eq!(yaml(text).config.providers[0].models, ["b"]);
    yaml_problems(
        "server:\r\n  x: 1\r\n",
        &["2:3: server.x: unknown key; known here: allowed_hosts, auth, cors, drain_delay_ms, \
        drain_timeout_ms, enable_http2, listen, max_body_bytes, max_buffered_bytes, max_concurrent, timeout_ms, \
        tls, write_timeout_ms"],
    );
    let text = "\u{feff}[[providers]]\r\nname = 'a'\r\ntype = 'mock'\r\nmodels = ['b']\r\n";
    assert_eq!(toml(text).config.providers[0].models, ["b"]);
}
