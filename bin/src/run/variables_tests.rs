use std::path::PathBuf;

use relay_config::Secret;

use super::*;

const URL: &str = "http://127.0.0.1:4000";

fn source(rank: Rank, variables: &[(&'static str, &str)]) -> Source {
    Source {
        rank,
        path: (rank != Rank::Environment).then(|| PathBuf::from("a-file")),
        exists: true,
        problem: None,
        variables: variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        has_key_helper: false,
    }
}

fn facts(token: Token, sources: &[Source]) -> Facts<'_> {
    Facts {
        url: URL,
        host: "127.0.0.1",
        authorities: None,
        token,
        model: None,
        sources,
        has_login: true,
        placeholder_works: true,
    }
}

fn pairs<'a>(variables: &'a BTreeMap<&'static str, String>) -> Vec<(&'static str, &'a str)> {
    variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[test]
fn a_login_gets_the_base_url_alone() {
    let variables = Variables::of(&facts(Token::Own, &[]));
    assert_eq!(pairs(&variables.set), [(BASE_URL, URL)]);
    assert!(variables.removed.is_empty() && variables.notes.is_empty());
}

#[test]
fn a_user_without_a_credential_gets_the_placeholder_if_it_works() {
    let placeholder = [(AUTH_TOKEN, "managed-by-cc-relay"), (BASE_URL, URL)];
    let fresh = |sources: &[Source], placeholder_works| {
        Variables::of(&Facts { has_login: false, placeholder_works, ..facts(Token::Own, sources) })
    };
    assert_eq!(pairs(&fresh(&[], true).set), placeholder);
    assert_eq!(pairs(&fresh(&[], false).set), [(BASE_URL, URL)]);
    let key = [source(Rank::Environment, &[("ANTHROPIC_API_KEY", "key")])];
    assert_eq!(pairs(&fresh(&key, true).set), [(BASE_URL, URL)]);
    let helper = [Source { has_key_helper: true, ..source(Rank::User, &[]) }];
    assert_eq!(pairs(&fresh(&helper, true).set), [(BASE_URL, URL)]);
    // A stale token is no credential of the user.
    let stale = [source(Rank::Environment, &[(AUTH_TOKEN, "stale")])];
    assert_eq!(pairs(&fresh(&stale, true).set), placeholder);
}

#[test]
fn a_token_beside_a_login_is_cancelled_in_every_source() {
    for rank in [Rank::User, Rank::Environment] {
        let sources = [source(rank, &[(AUTH_TOKEN, "stale")])];
        let variables = Variables::of(&facts(Token::Own, &sources));
        assert_eq!(variables.removed, [AUTH_TOKEN]);
        assert_eq!(pairs(&variables.settings().0), [(AUTH_TOKEN, ""), (BASE_URL, URL)]);
        assert_eq!(variables.notes.len(), 1);
        assert!(!variables.notes[0].contains("stale"), "{:?}", variables.notes);
    }
}

#[test]
fn a_token_of_anthropic_may_pass_through() {
    let sources = [source(Rank::Environment, &[(AUTH_TOKEN, "sk-ant-oat01-x")])];
    let variables = Variables::of(&facts(Token::Own, &sources));
    assert_eq!((variables.removed, pairs(&variables.set)), (vec![], vec![(BASE_URL, URL)]));
}

#[test]
fn a_client_key_is_in_the_settings_only_if_a_file_has_another_token() {
    let key = || Token::Key(Secret::new("secret"));
    let variables = Variables::of(&facts(key(), &[]));
    assert_eq!(pairs(&variables.set), [(AUTH_TOKEN, "secret"), (BASE_URL, URL)]);
    assert_eq!(variables.settings(), (BTreeMap::from([(BASE_URL, URL.to_owned())]), false));
    let sources = [source(Rank::User, &[(AUTH_TOKEN, "stale")])];
    let variables = Variables::of(&facts(key(), &sources));
    let (settings, is_secret) = variables.settings();
    assert_eq!((pairs(&settings), is_secret), (vec![(AUTH_TOKEN, "secret"), (BASE_URL, URL)], true));
}

#[test]
fn variables_that_bypass_the_relay_are_cancelled() {
    let sources = [source(Rank::Environment, &[("CLAUDE_CODE_USE_BEDROCK", "1")])];
    let variables = Variables::of(&facts(Token::Own, &sources));
    assert_eq!(variables.removed, ["CLAUDE_CODE_USE_BEDROCK"]);
    assert_eq!(pairs(&variables.settings().0), [(BASE_URL, URL), ("CLAUDE_CODE_USE_BEDROCK", "")]);
    assert!(variables.notes[0].contains("it would bypass the relay"), "{:?}", variables.notes);
}

#[test]
fn the_relay_is_an_exception_of_a_proxy() {
    #[track_caller]
    fn check(variables: &[(&'static str, &str)], expected: Option<&str>) {
        let sources = [source(Rank::Environment, variables)];
        let variables = Variables::of(&facts(Token::Own, &sources));
        assert_eq!(variables.set.get("NO_PROXY").map(String::as_str), expected);
        assert_eq!(variables.set.get("no_proxy").map(String::as_str), expected);
    }
    check(&[], None);
    check(&[("HTTPS_PROXY", "http://proxy")], Some("127.0.0.1"));
    check(&[("http_proxy", "http://proxy"), ("no_proxy", "a.example, b,")], Some("a.example, b,127.0.0.1"));
    check(&[("HTTPS_PROXY", "http://proxy"), ("NO_PROXY", "a,127.0.0.1")], None);
    check(&[("HTTPS_PROXY", "http://proxy"), ("NO_PROXY", "*")], None);
    check(&[("NO_PROXY", "a")], None);
}

#[test]
fn managed_settings_and_settings_of_the_user_are_reported() {
    let sources = [
        source(Rank::Managed, &[(BASE_URL, "https://managed")]),
        source(Rank::CommandLine, &[(BASE_URL, "https://given")]),
    ];
    let notes = Variables::of(&facts(Token::Own, &sources)).notes;
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].contains("does not use the relay") && notes[1].contains("is replaced"), "{notes:?}");
}
