//! `providers[].headers` and `providers[].forward_headers`.

use relay_config::{Format, Loader};

use crate::check::{loader, toml, warnings, yaml, yaml_problems};

#[test]
fn headers_are_read_from_both_formats_and_shown_without_their_values() {
    let written = yaml(
        "providers: [{ name: a, type: zai, keys: [{ key: k }], forward_headers: [X-Team, traceparent], \
         headers: { X-Gateway-Key: 'Bearer \"hidden one\"', cf-aig-authorization: '${KEY}' } }]",
    );
    let also = toml(
        "[[providers]]\nname = 'a'\ntype = 'zai'\nforward_headers = ['X-Team', 'traceparent']\nkeys = [{ key = 'k' }]\n\
         headers = { X-Gateway-Key = 'Bearer \"hidden one\"', cf-aig-authorization = '${KEY}' }\n",
    );
    for loaded in [written, also] {
        warnings(&loaded, &[]);
        let headers = &loaded.config.providers[0].headers;
        let fixed: Vec<_> =
            headers.fixed.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        // Quotes and `Bearer` belong to the value of a header.
        assert_eq!(fixed, [("cf-aig-authorization", "sk-key"), ("x-gateway-key", "Bearer \"hidden one\"")]);
        assert_eq!(headers.forwarded, ["x-team", "traceparent"]);
        let shown = loaded.to_yaml();
        assert!(
            shown.contains("x-gateway-key\": \"***\"") || shown.contains("x-gateway-key: \"***\""),
            "{shown}"
        );
        assert!(!shown.contains("hidden") && !format!("{:?}", loaded.config).contains("hidden"));
        let again = Loader::new().with_text("shown", Format::Yaml, shown).load().unwrap().config;
        assert_eq!(format!("{:?}", again.providers), format!("{:?}", loaded.config.providers));
    }
}

#[test]
fn slips_around_a_value_are_removed_with_a_warning() {
    let text = "providers: [{ name: a, type: zai, keys: [{ key: k }], headers: { x-a: '${A}' } }]";
    let loaded = loader(&[("A", "\u{feff}value\n")]).with_text("c", Format::Yaml, text).load().unwrap();
    assert_eq!(loaded.config.providers[0].headers.fixed[0].1.expose(), "value");
    let message =
        "blanks, line breaks or invisible characters around the secret were removed; correct the value";
    warnings(&loaded, &[&format!("1:71: providers[0].headers.x-a: {message}")]);
    let load = |value: &str| {
        loader(&[("A", value)]).with_text("c", Format::Yaml, text).load().unwrap_err().to_string()
    };
    let start = "c:1:71: providers[0].headers.x-a: found";
    assert!(load("a\nb").starts_with(&format!("{start} a secret with a line break at position 2")));
    assert!(
        load("a\u{e9}").starts_with(&format!("{start} a secret with the character U+00E9 at position 2"))
    );
    assert!(
        load(" ")
            .starts_with(&format!("{start} an empty string, expected a secret; set it, or remove the line"))
    );
    assert!(
        load(&"x".repeat(8193))
            .starts_with(&format!("{start} a value of 8193 bytes, expected at most 8192 bytes"))
    );
}

/// Asserts the problems of a provider of this type with a header `NAME`, fixed and forwarded. `None`: it is accepted.
#[track_caller]
fn check(provider: &str, name: &str, fixed: Option<&str>, forwarded: Option<&str>) {
    let problem = |setting: &str| {
        let text = format!("providers: [{{ name: a, {provider}, {setting} }}]");
        let loaded = loader(&[]).with_text("c", Format::Yaml, text).load();
        loaded.err().map(|error| error.to_string())
    };
    let found = problem(&format!("headers: {{ '{name}': hidden }}"));
    assert_eq!(found.is_some(), fixed.is_some(), "{provider} {name}: {found:?}");
    assert!(
        found.iter().all(|found| found.contains(fixed.unwrap_or_default()) && !found.contains("hidden")),
        "{found:?}"
    );
    let found = problem(&format!("forward_headers: ['{name}']"));
    assert_eq!(found.is_some(), forwarded.is_some(), "{provider} {name}: {found:?}");
    assert!(found.iter().all(|found| found.contains(forwarded.unwrap_or_default())), "{found:?}");
}

const KEYS: &str = "keys: [{ key: k }]";

#[test]
fn headers_of_connections_and_bodies_are_refused_for_every_type() {
    for name in [
        "Connection",
        "keep-alive",
        "Proxy-Connection",
        "proxy-authenticate",
        "proxy-authorization",
        "TE",
        "trailer",
        "Transfer-Encoding",
        "upgrade",
        "Host",
        "content-length",
        "expect",
    ] {
        let expected =
            Some("which belongs to a connection or to HTTP itself, expected another header; remove it");
        check("type: ollama", name, expected, expected);
        check(&format!("type: zai, {KEYS}"), name, expected, expected);
    }
    for name in ["accept-encoding", "Content-Encoding"] {
        check("type: ollama", name, Some("how a body is encoded"), Some("how a body is encoded"));
    }
    for name in ["", "x y", "x:", "x\u{e9}", "x-*", "(a)"] {
        check("type: ollama", name, Some("expected the name of an HTTP header"), Some(""));
    }
}

#[test]
fn the_credential_header_in_use_is_refused_and_another_one_accepted() {
    let (own, client) =
        (Some("which carries the credential of this provider"), Some("a credential of the client"));
    let both = |provider: &str, api_key, authorization| {
        check(provider, "X-Api-Key", api_key, client);
        check(provider, "Authorization", authorization, client);
        check(provider, "cookie", None, client);
        check(
            provider,
            "api-key",
            if provider.contains("azure") && api_key.is_some() { own } else { None },
            client,
        );
    };
    both("type: anthropic", own, own);
    both(&format!("type: anthropic, passthrough: false, {KEYS}"), own, None);
    both(&format!("type: zai, {KEYS}"), own, None);
    both("type: ollama", None, None);
    both(&format!("type: minimax, {KEYS}"), None, own);
    both(&format!("type: deepseek, {KEYS}"), own, None);
    let compatible = "type: anthropic_compatible, base_url: 'https://a.example'";
    both(&format!("{compatible}, {KEYS}"), own, None);
    both(&format!("{compatible}, auth: bearer, {KEYS}"), None, own);
    both(&format!("{compatible}, auth: none"), None, None);
    both(&format!("type: azure, azure_resource_name: r, {KEYS}"), own, None);
    both("type: azure, azure_resource_name: r, azure_auth: entra_id", None, own);
    both("type: vertex, gcp_project_id: p, credentials_file: /f", None, own);
    both("type: bedrock, aws_region: us-east-1, aws_bearer_token: t", None, own);
    let signed = "type: bedrock, aws_region: us-east-1";
    both(signed, None, own);
    for name in ["x-amz-date", "X-Amz-Content-Sha256", "x-amz-security-token"] {
        check(signed, name, own, client);
    }
    check(signed, "x-amz-other", None, None);
    let guardrail = Some("which type bedrock sends by rules of its own");
    check(signed, "X-Amzn-Bedrock-GuardrailIdentifier", guardrail, guardrail);
    check(compatible_with_keys().as_str(), "X-Amzn-Bedrock-GuardrailIdentifier", None, None);
    check(signed, "anthropic-beta", None, Some("which is sent already"));
    check(signed, "x-forwarded-for", None, None);
}

fn compatible_with_keys() -> String {
    format!("type: anthropic_compatible, base_url: 'https://a.example', {KEYS}")
}

#[test]
fn duplicates_and_large_numbers_are_refused() {
    let problems = |setting: &str, expected: &[&str]| {
        yaml_problems(&format!("providers:\n- {{ name: a, type: ollama, {setting} }}"), expected);
    };
    problems(
        "headers: { x-a: b, X-A: c }",
        &["2:44: providers[0].headers.x-a: found x-a twice, expected each header once, in any case"],
    );
    problems(
        "forward_headers: [x-a, X-A]",
        &[
            "2:51: providers[0].forward_headers[1]: found \"X-A\" twice, expected each header once, in any case",
        ],
    );
    problems(
        "headers: { x-a: b }, forward_headers: [X-A]",
        &[
            "2:67: providers[0].forward_headers[0]: found \"X-A\" in headers too, expected either a fixed value or the client's",
        ],
    );
    let many: Vec<String> = (0..33).map(|index| format!("x-{index}")).collect();
    problems(
        &format!("forward_headers: [{}]", many.join(", ")),
        &["2:45: providers[0].forward_headers: found 33 headers, expected at most 32"],
    );
}
