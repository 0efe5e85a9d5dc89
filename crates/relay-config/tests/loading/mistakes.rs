//! Settings that are well-formed and cannot be meant.

use crate::check::{warnings, yaml, yaml_problems};

#[test]
fn only_the_address_is_reported_if_a_correct_one_needs_no_key() {
    #[track_caller]
    fn check(url: &str, fault: &str) {
        let text = format!("providers: [{{ name: a, type: anthropic, base_url: '{url}' }}]");
        yaml_problems(&text, &[&format!("1:51: providers[0].base_url: {fault}")]);
    }
    let own = "write https://api.anthropic.com";
    check(
        "htps://api.anthropic.com",
        "found \"htps://api.anthropic.com\": the scheme is not http or https; expected a URL like https://host/path",
    );
    for path in ["/v1/messages", "/v1"] {
        check(
            &format!("https://api.anthropic.com{path}"),
            &format!(
                "found \"https://api.anthropic.com{path}\", expected the URL in front of /v1/messages, which cc-relay \
                 adds; {own}"
            ),
        );
    }
    let website = "https://console.anthropic.com";
    check(
        website,
        &format!("found {website}, which is a website, not the API, expected Anthropic's API; {own}"),
    );
    let plain = "http://api.anthropic.com";
    check(
        plain,
        &format!("found {plain}, which sends credentials unencrypted, expected Anthropic's API; {own}"),
    );
    // A provider that always needs a key reports both.
    let text = "providers: [{ name: a, type: zai, base_url: 'htps://x' }]";
    yaml_problems(
        text,
        &[
            "1:13: providers[0].keys: missing; a provider of type zai needs a key: keys: [{ key: ${NAME} }]",
            "1:45: providers[0].base_url: found \"htps://x\": the scheme is not http or https; expected a URL like \
             https://host/path",
        ],
    );
    let text = "providers: [{ name: a, type: anthropic, base_url: 'https://gateway.example' }]";
    yaml_problems(
        text,
        &[
            "1:13: providers[0].keys: missing; add a key, or passthrough: true to send clients' own credentials",
        ],
    );
}

#[test]
fn a_key_has_a_name_of_its_own_and_occurs_once() {
    let config =
        yaml("providers: [{ name: a, type: zai, keys: [{ key: k, name: team-1 }, { key: l }] }]").config;
    let ids: Vec<_> = config.providers[0].keys.iter().map(|key| key.id().unwrap().to_string()).collect();
    assert_eq!((ids[0].as_str(), ids[1].len()), ("team-1", 8));
    assert!(config.to_yaml().contains("name: team-1"), "{}", config.to_yaml());
    let keys = |keys: &str| format!("providers: [{{ name: a, type: zai, keys: [{keys}] }}]");
    yaml_problems(
        &keys("{ key: k }, { key: l }, { key: k }"),
        &["1:73: providers[0].keys[2].key: this key is already used by providers[0].keys[0].key"],
    );
    yaml_problems(
        &keys("{ key: k, name: n }, { key: l, name: n }"),
        &["1:79: providers[0].keys[1].name: \"n\" is already used by providers[0].keys[0].name"],
    );
    for (name, found) in [("a b", "\"a b\""), ("\u{e9}", "\"\u{e9}\"")] {
        yaml_problems(
            &keys(&format!("{{ key: k, name: '{name}' }}")),
            &[&format!(
                "1:58: providers[0].keys[0].name: found {found}, expected up to 64 visible ASCII characters without blanks"
            )],
        );
    }
    yaml_problems(
        &keys("{ key: the-secret, name: the-secret }"),
        &[
            "1:67: providers[0].keys[0].name: found the secret of a key, expected the name of the key; write a name that \
           may appear in logs",
        ],
    );
}

#[test]
fn a_path_that_is_no_file_is_refused() {
    let path = "a path without ~; write ${HOME}/x";
    yaml_problems(
        "logging: { output: ~/x }\nproviders: [{ name: a, type: zai, keys: [{ key: k }], ca_file: ~/x }]",
        &[
            &format!("1:20: logging.output: found \"~/x\", expected {path}"),
            &format!("2:64: providers[0].ca_file: found \"~/x\", expected {path}"),
        ],
    );
    yaml_problems(
        "logging: { output: / }\nproviders: [{ name: m, type: mock }]",
        &[
            "1:20: logging.output: cannot use /: it is a directory; give the path of a file, or stdout or stderr",
        ],
    );
}

#[test]
fn a_weight_that_the_keys_replace_is_a_warning() {
    let loaded = yaml("providers: [{ name: a, type: zai, weight: 3, keys: [{ key: k }] }]");
    warnings(&loaded, &["1:43: providers[0].weight: it has no effect, because keys is set"]);
    warnings(&yaml("providers: [{ name: a, type: mock, weight: 3 }]"), &[]);
}
