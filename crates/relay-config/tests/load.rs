//! Whole files through the public API.

use relay_config::{Format, LoadError, Loaded, Loader};

fn load(format: Format, text: &str) -> Result<Loaded, LoadError> {
    let name = match format {
        Format::Yaml => "config.yaml",
        Format::Toml => "config.toml",
    };
    let environment = [("KEY", "a\"b#c$d\n${KEY}"), ("PORT", "9000"), ("EMPTY", "")];
    Loader::new()
        .with_environment(environment.map(|(name, value)| (name.to_owned(), value.to_owned())))
        .with_text(name, format, text)
        .load()
}

/// The problems of `text`, one line each, without the file's name.
#[track_caller]
fn check(format: Format, text: &str, expected: &[&str]) {
    let error = load(format, text).expect_err("the configuration is accepted");
    let found: Vec<String> = error.problems().iter().map(|problem| strip(&problem.to_string())).collect();
    assert_eq!(found, expected, "{error}");
}

fn strip(line: &str) -> String {
    line.trim_start_matches("config.yaml:").trim_start_matches("config.toml:").to_owned()
}

#[test]
fn all_problems_are_told_at_once_each_with_its_place() {
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
    check(
        Format::Yaml,
        text,
        &[
            "2:3: server.lissten: unknown key; did you mean `listen`?",
            "3:17: server.enable_http2: found \"yes\", expected true or false; write true",
            "7:5: providers[0].weigth: unknown key; did you mean `weight`?",
            "8:11: providers[1].name: \"a\" is already used by providers[0]",
            "10:15: providers[1].base_url: found \"https://api.z.ai/v1\", expected the URL in front of /v1/messages, \
             which cc-relay adds; write https://api.z.ai",
            "11:19: providers[1].keys[0].key: found a value without quotes, expected a string; put it in quotes",
        ],
    );
}
