//! Every secret: slips of copying around it are removed with a warning, and one that cannot be sent is refused.

use relay_config::{Config, Discovery, Format, LoadError, Loaded, ProviderKind};

use crate::check::{loader, warnings};

/// A secret's text, and the description of the removed slips, or the fault; `None` if it is accepted as it is.
type Case = (&'static str, Option<Result<&'static str, &'static str>>);

const CASES: [Case; 14] = [
    ("the-secret", None),
    ("the-secret\n", Some(Ok("blanks or line breaks"))),
    ("the-secret\r\n", Some(Ok("blanks or line breaks"))),
    (" the-secret ", Some(Ok("blanks or line breaks"))),
    ("\u{a0}the-secret", Some(Ok("blanks or line breaks"))),
    ("the-secret\u{200b}", Some(Ok("invisible characters"))),
    ("\u{feff}the-secret", Some(Ok("invisible characters"))),
    ("\"the-secret\"", Some(Ok("quotes"))),
    ("'the-secret'", Some(Ok("quotes"))),
    ("Bearer the-secret", Some(Ok("`Bearer` and blanks or line breaks"))),
    ("bEARER the-secret", Some(Ok("`Bearer` and blanks or line breaks"))),
    ("the-\nsecret", Some(Err("a secret with a line break at position 5"))),
    ("the-\u{200b}secret", Some(Err("a secret with the character U+200B at position 5"))),
    ("the-s\u{e9}cret", Some(Err("a secret with the character U+00E9 at position 6"))),
];

/// Every setting that holds a secret: its path, and a configuration in which `S` is the secret.
const SETTINGS: [(&str, &str); 9] = [
    ("server.auth.api_key", "server: { auth: { api_key: S } }"),
    ("server.auth.api_keys[0].key", "server: { auth: { api_keys: [{ name: a, key: S }] } }"),
    ("server.auth.bearer_secret", "server: { auth: { bearer_secret: S } }"),
    ("providers[0].keys[0].key", "providers: [{ name: a, type: zai, keys: [{ key: S }] }]"),
    (
        "providers[0].keys[0].key",
        "providers: [{ name: a, type: azure, azure_resource_name: r, keys: [{ key: S }] }]",
    ),
    (
        "providers[0].aws_bearer_token",
        "providers: [{ name: a, type: bedrock, aws_region: us-east-1, aws_bearer_token: S }]",
    ),
    (
        "providers[0].aws_access_key_id",
        "providers: [{ name: a, type: bedrock, aws_region: us-east-1, aws_secret_access_key: x, aws_access_key_id: S }]",
    ),
    (
        "providers[0].aws_secret_access_key",
        "providers: [{ name: a, type: bedrock, aws_region: us-east-1, aws_access_key_id: i, aws_secret_access_key: S }]",
    ),
    (
        "providers[0].aws_session_token",
        "providers: [{ name: a, type: bedrock, aws_region: us-east-1, aws_access_key_id: i, aws_secret_access_key: s, aws_session_token: S }]",
    ),
];

/// Returns every secret of the configuration that the cases can set.
fn secrets(config: &Config) -> Vec<String> {
    let auth = &config.server.auth;
    let clients = auth.keys.iter().map(|client| &client.key).chain(&auth.bearer_secret);
    let keys = config.providers.iter().flat_map(|provider| &provider.keys).filter_map(|key| key.key.as_ref());
    let mut secrets: Vec<_> = clients.chain(keys).map(|secret| secret.expose().to_owned()).collect();
    for provider in &config.providers {
        if let ProviderKind::Bedrock(bedrock) = &provider.kind {
            match &bedrock.credentials {
                relay_config::AwsCredentials::BearerToken(token) => secrets.push(token.expose().to_owned()),
                relay_config::AwsCredentials::Keys {
                    access_key_id,
                    secret_access_key,
                    session_token,
                    ..
                } => {
                    let keys = [access_key_id, secret_access_key].into_iter().chain(session_token);
                    secrets.extend(keys.map(|secret| secret.expose().to_owned()));
                }
                _ => {}
            }
        }
    }
    secrets
}

/// Loads `text`, in which the secret comes from the variable `S`. Asserts the outcome of `case`.
#[track_caller]
fn check(path: &str, text: &str, environment: &[(&str, &str)], (secret, expected): Case) {
    let loaded = loader(environment).with_text("c", Format::Yaml, text).load();
    match (loaded, expected) {
        (Ok(loaded), None | Some(Ok(_))) => {
            assert!(secrets(&loaded.config).contains(&"the-secret".to_owned()), "{path}: {secret:?}");
            let all: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
            let found: Vec<_> = all.iter().filter(|line| line.contains(path)).collect();
            match expected {
                None => assert!(found.is_empty(), "{found:?}"),
                Some(_) => assert_eq!(found.len(), 1, "{path}: {all:?}"),
            }
            if let Some(Ok(removed)) = expected {
                assert!(found[0].contains(&format!("{removed} around the secret were removed")), "{found:?}");
            }
            assert!(!all.concat().contains("the-secret"), "{all:?}");
        }
        (Err(error), Some(Err(fault))) => {
            let error = error.to_string();
            assert!(error.contains(&format!("{path}: found {fault}, expected visible ASCII")), "{error}");
            assert!(!error.contains("the-") && !error.contains("cret at"), "{error}");
        }
        (loaded, expected) => panic!("{path}: {secret:?}: {loaded:?} instead of {expected:?}"),
    }
}

#[test]
fn slips_around_every_secret_are_removed_with_a_warning() {
    for (path, text) in SETTINGS {
        for case in CASES {
            let variable = text.replace('S', "'${S}'").replace("'${S}'ecret", "Secret");
            check(path, &variable, &[("S", case.0)], case);
            let written = text.replace('S', &format!("{:?}", case.0).replace("\\u{", "\\u{"));
            if case.0.is_ascii() {
                check(path, &written, &[], case);
            }
        }
    }
}

#[test]
fn settings_from_variables_of_the_relay_are_cleaned() {
    for case in CASES {
        let providers = "providers: [{ name: a, type: mock }]";
        check("server.auth.api_key", providers, &[("CC_RELAY_SERVER__AUTH__API_KEY", case.0)], case);
        let path = "server.auth.bearer_secret";
        check(path, providers, &[("CC_RELAY_SERVER__AUTH__BEARER_SECRET", case.0)], case);
    }
}

#[test]
fn secrets_in_variables_of_aws_are_cleaned() {
    let bedrock = "providers: [{ name: a, type: bedrock, aws_region: us-east-1 }]";
    for case in CASES {
        let path = "AWS_BEARER_TOKEN_BEDROCK: providers[0].aws_bearer_token";
        check(path, bedrock, &[("AWS_BEARER_TOKEN_BEDROCK", case.0)], case);
        if case.1.is_some() {
            let path = "AWS_SECRET_ACCESS_KEY: providers[0].aws_secret_access_key";
            check(path, bedrock, &[("AWS_ACCESS_KEY_ID", "i"), ("AWS_SECRET_ACCESS_KEY", case.0)], case);
        }
    }
}

/// Loads a provider whose credentials come from AWS's own files: the texts of the credentials and the configuration file.
fn load_aws_files(credentials: &str, config: &str, settings: &str) -> (String, Result<Loaded, LoadError>) {
    let directory = tempfile::tempdir().expect("a directory");
    let paths = ["credentials", "config"].map(|name| directory.path().join(name).display().to_string());
    for (path, text) in paths.iter().zip([credentials, config]) {
        std::fs::write(path, text).expect("a writable directory");
    }
    let variables = [("AWS_SHARED_CREDENTIALS_FILE", &*paths[0]), ("AWS_CONFIG_FILE", &*paths[1])];
    let text = format!("providers: [{{ name: a, type: bedrock, aws_region: us-east-1{settings} }}]");
    let loaded = loader(&variables).with_text("c", Format::Yaml, text).load();
    (directory.path().display().to_string(), loaded)
}

#[test]
fn secrets_in_files_of_aws_are_checked_at_their_place() {
    let (blanks, quotes) = ("blanks or line breaks", "quotes");
    for key in ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"] {
        for (value, outcome) in [
            ("the-secret", None),
            ("the-secret  ", None),
            ("the-secret\u{a0}", Some(Ok(blanks))),
            ("\"the-secret\"", Some(Ok(quotes))),
            ("'the-secret' # old", Some(Ok(quotes))),
            ("Bearer the-secret", Some(Ok("`Bearer` and blanks or line breaks"))),
            ("\u{200b}the-secret", Some(Ok("invisible characters"))),
            ("the-s\u{e9}cret", Some(Err("a secret with the character U+00E9 at position 6"))),
        ] {
            for (file, profile) in [("credentials", "[work]"), ("config", "[profile work]")] {
                let text = format!("\u{feff}{profile}\r\n{key} = {value}\r\n[other]\n{key} = \"x\"\n");
                let (credentials, config) = if file == "config" { ("", &*text) } else { (&*text, "") };
                let (directory, loaded) = load_aws_files(credentials, config, ", aws_profile: work");
                let column = key.len() + 4;
                let start = format!("{directory}/{file}:2:{column}: providers[0].{key}: ");
                match outcome {
                    None => assert_eq!(loaded.unwrap().warnings, []),
                    Some(Ok(removed)) => {
                        let expected =
                            format!("{start}{removed} around the secret were removed; correct the value");
                        let found: Vec<_> =
                            loaded.unwrap().warnings.iter().map(ToString::to_string).collect();
                        assert_eq!(found, [expected]);
                    }
                    Some(Err(fault)) => {
                        let error = loaded.unwrap_err().to_string();
                        assert!(error.starts_with(&format!("{start}found {fault}")), "{error}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_faulty_region_of_a_profile_is_refused_at_its_place() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let load = |region: &str, settings: &str| {
        std::fs::write(path, format!("[profile work]\nregion = {region}\n")).unwrap();
        let text = format!("providers: [{{ name: a, type: bedrock, aws_profile: work{settings} }}]");
        loader(&[("AWS_CONFIG_FILE", path)]).with_text("c", Format::Yaml, text).load()
    };
    let expected = "expected the code of a region, as in us-east-1";
    for region in ["\"us-east-1\"", "us-east-1a", "\u{a0}us-east-1"] {
        let error = load(region, "").unwrap_err().to_string();
        assert!(error.starts_with(&format!("{path}:2:10: providers[0].aws_region: found ")), "{error}");
        assert!(error.contains(expected), "{error}");
        assert!(load(region, ", aws_region: us-east-1").is_ok(), "the setting has precedence");
        assert!(load(region, ", enabled: false").is_ok_and(|loaded| loaded.config.providers.len() == 1));
    }
    assert!(load("us-east-1 # home", "").is_ok());
}

#[test]
fn only_the_files_and_profiles_in_use_are_checked() {
    let files = |credentials: &str, config: &str, settings: &str| {
        let (_, loaded) = load_aws_files(credentials, config, settings);
        let warnings = loaded.unwrap().warnings;
        warnings.iter().filter(|warning| warning.to_string().contains("around the secret")).count()
    };
    let slip = "aws_secret_access_key = 'x'\n";
    assert_eq!(files(&format!("[default]\n{slip}"), "", ""), 1);
    assert_eq!(files(&format!("[other]\n{slip}"), "", ""), 0);
    assert_eq!(files(&format!("[default]\n{slip}"), "", ", aws_bearer_token: t"), 0);
    assert_eq!(files(&format!("[default]\n{slip}"), "", ", enabled: false"), 0);
    let chain = "[default]\nrole_arn = r\nsource_profile = base\n[profile base]\nsource_profile = default\n";
    assert_eq!(files(&format!("[base]\n{slip}"), chain, ""), 1);
    // A correct value of the credentials file has precedence.
    assert_eq!(files("[default]\naws_secret_access_key = x\n", &format!("[default]\n{slip}"), ""), 0);
}

#[test]
fn proxies_are_cleaned_or_refused_by_their_variable() {
    let zai = "providers: [{ name: a, type: zai, keys: [{ key: k }] }]";
    let load =
        |variable: &str, value: &str| loader(&[(variable, value)]).with_text("c", Format::Yaml, zai).load();
    let trimmed = "around the URL, its user or its password were removed; correct the value";
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        warnings(&load(variable, "http://user:pa%20ss@proxy:8080").unwrap(), &[]);
        let start = format!("{variable}: providers: ");
        for (value, removed) in [
            ("http://user:pass@proxy:8080\n", "blanks or line breaks"),
            ("\"http://user:pass@proxy:8080\"", "quotes"),
            ("http://user:pass%0A@proxy:8080", "line breaks or invisible characters"),
            ("\u{feff}http://user:'pass'@proxy", "invisible characters and quotes"),
        ] {
            warnings(&load(variable, value).unwrap(), &[&format!("{start}{removed} {trimmed}")]);
        }
        let error = load(variable, "http://user:se/cret@proxy:8080").unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{start}found a credential with an unencoded /, ? or #")),
            "{error}"
        );
        assert!(!error.contains("cret"), "{error}");
    }
}

#[test]
fn secrets_in_variables_of_azure_are_checked() {
    let azure = "providers: [{ name: a, type: azure, azure_resource_name: r, azure_auth: entra_id }]";
    let application =
        |secret| [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", secret)];
    let load = |secret: &'static str| loader(&application(secret)).with_text("c", Format::Yaml, azure).load();
    let place = "AZURE_CLIENT_SECRET: providers[0].azure_auth";
    warnings(&load("s").unwrap(), &[]);
    warnings(
        &load("'s'").unwrap(),
        &[&format!("{place}: quotes around the secret were removed; correct the value")],
    );
    assert!(load("s\u{e9}t").unwrap_err().to_string().starts_with(&format!("{place}: found a secret with")));
}

#[test]
fn discovered_keys_are_cleaned() {
    let variables = [
        ("ZAI_API_KEY", "\"the-secret\"\n"),
        ("MINIMAX_API_KEY", "the\u{200b}secret"),
        ("DEEPSEEK_API_KEY", "''"),
    ];
    let lookup =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let discovery = Discovery::from_environment(lookup, |_| false);
    assert_eq!(secrets(&discovery.config), ["the-secret"]);
    let line = |lines: &[String], name: &str| {
        lines.iter().find(|line| line.contains(name)).cloned().unwrap_or_default()
    };
    let expected = "zai: ZAI_API_KEY; blanks or line breaks and quotes around it were removed";
    assert_eq!(line(&discovery.found, "ZAI_API_KEY"), expected);
    let expected = "correct MINIMAX_API_KEY to use it for minimax: found a secret with the character U+200B at position 4";
    assert!(line(&discovery.faults, "MINIMAX_API_KEY").starts_with(expected), "{:?}", discovery.faults);
    assert_eq!(line(&discovery.missing, "DEEPSEEK_API_KEY"), "set DEEPSEEK_API_KEY to add deepseek");
}

#[test]
fn an_empty_secret_is_refused_with_the_remedy() {
    for (path, text) in SETTINGS {
        for empty in ["", " ", "''", "\"\"", "\u{feff}", "\n", "\u{a0}\u{200b}"] {
            let text = text.replace('S', "'${S}'").replace("'${S}'ecret", "Secret");
            let error =
                loader(&[("S", empty)]).with_text("c", Format::Yaml, text).load().unwrap_err().to_string();
            let expected =
                format!("{path}: found an empty string, expected a secret; set it, or remove the line");
            assert!(error.contains(&expected), "{empty:?}: {error}");
        }
    }
}

#[test]
fn a_blank_inside_of_a_secret_is_a_warning() {
    let text = "server: { auth: { api_key: 'two words' } }\nproviders: [{ name: a, type: mock }]";
    let loaded = loader(&[]).with_text("c", Format::Yaml, text).load().unwrap();
    let message = "contains a blank inside, which is rare in a secret; check that the value is complete and holds one secret";
    warnings(&loaded, &[&format!("1:28: server.auth.api_key: {message}")]);
}

#[test]
fn a_client_key_with_a_comma_is_refused_since_no_client_could_show_it() {
    for (path, text) in &SETTINGS[..3] {
        let text = text.replace('S', "'a,b'");
        let error = loader(&[]).with_text("c", Format::Yaml, text).load().unwrap_err().to_string();
        assert!(
            error
                .contains(&format!("{path}: found a secret with a comma, expected a secret without a comma")),
            "{error}"
        );
    }
}

#[test]
fn a_text_in_the_place_of_a_secret_is_a_warning() {
    let cases = [
        ("$ZAI_API_KEY", "looks like a variable that was not replaced; write ${NAME}"),
        ("ZAI_API_KEY=abc", "begins with the name of a variable; write the value alone"),
        ("x-api-key:abc", "begins with the name of a header; write the value alone"),
        ("<your-api-key>", "looks like a placeholder from an example; write the secret itself"),
    ];
    for (slip, message) in cases {
        for (path, text) in &SETTINGS[..4] {
            let text = text.replace('S', "'${S}'");
            let loaded = loader(&[("S", slip)]).with_text("c", Format::Yaml, &text).load().unwrap();
            let found =
                loaded.warnings.iter().map(ToString::to_string).find(|warning| warning.contains(message));
            assert!(
                found.is_some_and(|warning| warning.contains(path)),
                "{slip} at {path}: {:?}",
                loaded.warnings
            );
        }
    }
}

#[test]
fn a_login_in_the_place_of_an_api_key_is_a_warning() {
    let text = "providers: [{ name: a, type: anthropic, keys: [{ key: sk-ant-oat01-abc }] }]";
    let loaded = loader(&[]).with_text("c", Format::Yaml, text).load().unwrap();
    let message =
        "is the token of a claude.ai login, which is no API key; remove it, since clients send their own";
    warnings(&loaded, &[&format!("1:55: providers[0].keys[0].key: {message}")]);
}
