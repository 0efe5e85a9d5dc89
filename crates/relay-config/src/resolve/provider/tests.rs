//! Tests of the settings of the three clouds.

use std::fmt::Write as _;

use crate::config::{
    AwsCredentials, AzureAuth, AzureConfig, BedrockApi, BedrockConfig, EntraConfig, GoogleCredentials,
    ProviderConfig, ProviderKind, VertexConfig,
};
use crate::error::LoadError;
use crate::load::{Format, Loaded, Loader};
use crate::secret::Secret;

/// Loads one provider, which is given as the inside of a YAML flow mapping.
fn load(environment: &[(&str, &str)], provider: &str) -> Result<Loaded, LoadError> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let text = format!("providers:\n- {{ name: a, {provider} }}");
    let loader = Loader::new().with_environment(environment).with_text("c", Format::Yaml, text);
    let loaded = loader.load();
    if let Ok(Loaded { config, .. }) = &loaded
        && config.providers.iter().any(|provider| provider.enabled)
    {
        assert_eq!(config.check(), Ok(()), "{provider}");
    }
    loaded
}

#[track_caller]
fn provider(environment: &[(&str, &str)], provider: &str) -> ProviderConfig {
    let loaded = load(environment, provider).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.warnings, [], "{provider}");
    // The output of `config show` resolves to the same provider.
    let shown = loaded.to_yaml();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let again = Loader::new().with_environment(environment).with_text("shown", Format::Yaml, shown.clone());
    let again = again.load().unwrap_or_else(|error| panic!("{error}\n{shown}")).config;
    assert_eq!(format!("{:?}", again.providers), format!("{:?}", loaded.config.providers), "{shown}");
    loaded.config.providers.into_iter().next().unwrap()
}

#[track_caller]
fn bedrock(environment: &[(&str, &str)], settings: &str) -> BedrockConfig {
    match provider(environment, settings).kind {
        ProviderKind::Bedrock(config) => config,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn azure(environment: &[(&str, &str)], settings: &str) -> AzureConfig {
    match provider(environment, settings).kind {
        ProviderKind::Azure(config) => config,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn vertex(environment: &[(&str, &str)], settings: &str) -> VertexConfig {
    match provider(environment, settings).kind {
        ProviderKind::Vertex(config) => config,
        other => panic!("{other:?}"),
    }
}

/// Asserts the problems, without the start that all places in the file have in common.
#[track_caller]
fn problems(environment: &[(&str, &str)], provider: &str, expected: &[&str]) {
    let found: Vec<_> = match load(environment, provider) {
        Ok(_) => Vec::new(),
        Err(error) => error.to_string().lines().map(without_place).collect(),
    };
    assert_eq!(found, expected, "{provider}");
}

/// Returns `x: y` for `c:2:3: providers[0].x: y`, and `VARIABLE: x: y` for `VARIABLE: providers[0].x: y`.
fn without_place(line: &str) -> String {
    let (place, fault) = line.split_once("providers[0].").unwrap_or_else(|| panic!("{line}"));
    if place.starts_with("c:2:") { fault.to_owned() } else { format!("{place}{fault}") }
}

const REGION: (&str, &str) = ("AWS_REGION", "us-west-2");

#[test]
fn every_setting_of_bedrock_is_resolved() {
    let all = "type: bedrock, base_url: 'https://vpce.example/x/', aws_region: eu-west-1, aws_access_key_id: ASIA1, \
               aws_secret_access_key: s, aws_session_token: t, bedrock_api: messages";
    let config = bedrock(&[REGION, ("AWS_BEARER_TOKEN_BEDROCK", "ambient")], all);
    assert_eq!(config.base_url.unwrap().to_string(), "https://vpce.example/x");
    assert_eq!(config.region.as_deref(), Some("eu-west-1"));
    assert_eq!(config.api, BedrockApi::Messages);
    let keys = AwsCredentials::Keys {
        access_key_id: Secret::new("ASIA1"),
        secret_access_key: Secret::new("s"),
        session_token: Some(Secret::new("t")),
    };
    assert_eq!(config.credentials, keys);
}

#[test]
fn bedrock_takes_region_and_credential_from_the_environment() {
    let from_environment = |environment: &[(&str, &str)]| bedrock(environment, "type: bedrock");
    let config = from_environment(&[REGION, ("AWS_DEFAULT_REGION", "us-east-1")]);
    assert_eq!((config.region.as_deref(), config.api), (Some("us-west-2"), BedrockApi::Invoke));
    assert!(config.base_url.is_none());
    assert_eq!(config.credentials, AwsCredentials::DefaultChain);
    let config = from_environment(&[("AWS_REGION", " "), ("AWS_DEFAULT_REGION", "us-east-1")]);
    assert_eq!(config.region.as_deref(), Some("us-east-1"));
    let token = ("AWS_BEARER_TOKEN_BEDROCK", "b");
    let keys = [("AWS_ACCESS_KEY_ID", "i"), ("AWS_SECRET_ACCESS_KEY", "s")];
    let config = from_environment(&[REGION, token, keys[0], keys[1]]);
    assert_eq!(config.credentials, AwsCredentials::BearerToken(Secret::new("b")));
    let config = bedrock(&[REGION, token], "type: bedrock, aws_profile: work");
    assert_eq!(config.credentials, AwsCredentials::Profile("work".to_owned()));
    let config = bedrock(&[REGION, token], "type: bedrock, aws_bearer_token: own");
    assert_eq!(config.credentials, AwsCredentials::BearerToken(Secret::new("own")));
}

#[test]
fn bedrock_without_a_region_is_refused() {
    let missing = "aws_region: missing; give the region, as in us-east-1, or set AWS_REGION";
    problems(&[], "type: bedrock", &[missing]);
    problems(&[], "type: bedrock, aws_bearer_token: b", &[missing]);
    let pair = "aws_access_key_id: i, aws_secret_access_key: s";
    problems(&[], &format!("type: bedrock, base_url: 'http://127.0.0.1:1', {pair}"), &[missing]);
    problems(&[], "type: bedrock, enabled: false", &[]);
    for (environment, settings) in [
        (&[("AWS_PROFILE", "work")][..], "type: bedrock"),
        (&[], "type: bedrock, aws_profile: work"),
        (&[], "type: bedrock, base_url: 'http://127.0.0.1:1', aws_bearer_token: b"),
    ] {
        assert_eq!(bedrock(environment, settings).region, None);
    }
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let environment = [("HOME", home.path().to_str().unwrap())];
    problems(&environment, "type: bedrock", &[missing]);
    std::fs::write(home.path().join(".aws/config"), "[default]\nregion = us-east-1\n").unwrap();
    assert_eq!(bedrock(&environment, "type: bedrock").region, None);
}

#[test]
fn a_malformed_region_is_reported_at_its_place() {
    let expected = "expected the code of a region, as in us-east-1";
    let fault = format!("aws_region: found \"us east 1\", {expected}; write us-east-1");
    problems(&[REGION], "type: bedrock, aws_region: us east 1", &[&fault]);
    let environment = [("AWS_DEFAULT_REGION", "us east 1")];
    problems(&environment, "type: bedrock", &[&format!("AWS_DEFAULT_REGION: {fault}")]);
    problems(&environment, "type: bedrock, aws_region: eu-west-1", &[]);
    problems(&environment, "type: bedrock, enabled: false", &[]);
}

#[test]
fn aws_credentials_must_be_complete_and_of_one_kind() {
    #[track_caller]
    fn check(settings: &str, expected: &[&str]) {
        problems(&[REGION], &format!("type: bedrock, {settings}"), expected);
    }
    let pair = "aws_access_key_id and aws_secret_access_key belong together";
    check("aws_access_key_id: i", &[&format!("aws_secret_access_key: missing; {pair}")]);
    check("aws_secret_access_key: s", &[&format!("aws_access_key_id: missing; {pair}")]);
    check("enabled: false, aws_access_key_id: i", &[]);
    check(
        "enabled: false, aws_access_key_id: '${UNSET}', aws_secret_access_key: '${UNSET}', aws_bearer_token: '${UNSET}'",
        &[],
    );
    check(
        "aws_session_token: t",
        &[&format!("aws_access_key_id: missing; {pair}"), &format!("aws_secret_access_key: missing; {pair}")],
    );
    check(
        "aws_access_key_id: ASIA1, aws_secret_access_key: s",
        &[
            "aws_session_token: missing; an access key that starts with ASIA is temporary and needs its session token",
        ],
    );
    check(
        "aws_access_key_id: i, aws_secret_access_key: s, aws_profile: p",
        &[
            "aws_profile: found aws_profile beside aws_access_key_id, expected one of them; remove the other one",
        ],
    );
    check(
        "aws_bearer_token: b, aws_profile: p",
        &[
            "aws_profile: found aws_profile beside aws_bearer_token, expected one of them; remove the other one",
        ],
    );
    check(
        "aws_bearer_token: managed-by-cc-relay",
        &[
            "aws_bearer_token: found the placeholder managed-by-cc-relay, expected a credential of the upstream",
        ],
    );
    check(
        "aws_bearer_token: ''",
        &["aws_bearer_token: found an empty string, expected a secret; set it, or remove the line"],
    );
    check(
        "bedrock_api: converse",
        &["bedrock_api: found \"converse\", expected one of `invoke`, `messages`"],
    );
}

#[test]
fn azure_is_addressed_by_its_resource_or_a_base_url() {
    let keys = "keys: [{ key: k }]";
    let config = azure(&[], &format!("type: azure, azure_resource_name: my-res, {keys}"));
    assert_eq!(config.base_url.to_string(), "https://my-res.services.ai.azure.com/anthropic");
    assert_eq!((config.api_version, config.auth), (None, AzureAuth::ApiKey));
    // The base URL is used unchanged: `/anthropic` is not appended to it.
    let own = "base_url: 'http://127.0.0.1:1/x/', azure_resource_name: unused, azure_api_version: 2024-06-01";
    let config = azure(&[], &format!("type: azure, {own}, azure_auth: api_key, {keys}"));
    assert_eq!(config.base_url.to_string(), "http://127.0.0.1:1/x");
    assert_eq!(config.api_version.as_deref(), Some("2024-06-01"));

    let missing = "azure_resource_name: missing; give the resource's name, the first part of \
                   NAME.services.ai.azure.com, or a base_url";
    problems(&[("AZURE_RESOURCE_NAME", "r")], &format!("type: azure, {keys}"), &[missing]);
    problems(
        &[],
        "type: azure, azure_resource_name: r",
        &["keys: missing; add a key, or azure_auth: entra_id"],
    );
    problems(
        &[],
        &format!(
            "type: azure, azure_resource_name: 'https://r.services.ai.azure.com', azure_api_version: 'a&b', {keys}"
        ),
        &[
            "azure_resource_name: found \"https://r.services.ai.azure.com\", expected the name of a resource: letters, \
             digits and hyphens; write r",
            "azure_api_version: found \"a&b\", expected a version, as in 2024-06-01",
        ],
    );
    problems(
        &[],
        &format!("type: azure, base_url: 'https://r.services.ai.azure.com/anthropic/v1/messages', {keys}"),
        &[
            "base_url: found \"https://r.services.ai.azure.com/anthropic/v1/messages\", expected the URL in front of \
           /v1/messages, which cc-relay adds; write https://r.services.ai.azure.com/anthropic",
        ],
    );
}

const ENTRA: &str = "type: azure, azure_resource_name: r, azure_auth: entra_id";

#[test]
fn entra_id_is_resolved_from_the_environment() {
    let application = [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", "s")];
    let AzureAuth::EntraId(entra) = azure(&application, ENTRA).auth else { panic!() };
    assert!(
        matches!(entra, EntraConfig::ClientSecret { client_secret, .. } if client_secret == Secret::new("s"))
    );
    let federated = [application[0], application[1], ("AZURE_FEDERATED_TOKEN_FILE", "/nonexistent")];
    let AzureAuth::EntraId(entra) = azure(&federated, ENTRA).auth else { panic!() };
    assert!(matches!(entra, EntraConfig::WorkloadIdentity { .. }));
    // Without a credential, the managed identity is tried with the first request.
    let AzureAuth::EntraId(entra) = azure(&[], ENTRA).auth else { panic!() };
    assert!(matches!(entra, EntraConfig::ManagedIdentity { identity_header: None, client_id: None, .. }));
}

#[test]
fn unusable_variables_of_entra_id_are_reported() {
    let loaded = load(&[("AZURE_CLIENT_SECRET", "s"), ("AZURE_CLIENT_ID", "c")], ENTRA).unwrap();
    let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    let expected = "providers[0].azure_auth: it is not used, because AZURE_TENANT_ID is not set";
    assert_eq!(warnings, [format!("AZURE_CLIENT_SECRET: {expected}")]);
    let application = [("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", "s")];
    let check = |variable: (&'static str, &'static str), tenant, fault: &str| {
        let environment = [application[0], application[1], ("AZURE_TENANT_ID", tenant), variable];
        problems(&environment, ENTRA, &[fault]);
    };
    check(
        ("AZURE_AUTHORITY_HOST", "ftp://login"),
        "t",
        "AZURE_AUTHORITY_HOST: azure_auth: the scheme is not http or https; expected a URL like https://host/path",
    );
    check(
        ("NOTHING", ""),
        "a/b",
        "AZURE_TENANT_ID: azure_auth: found \"a/b\", expected the id or the domain of a directory",
    );
}

#[test]
fn every_setting_of_vertex_is_resolved() {
    let all = "type: vertex, base_url: 'https://psc.example', gcp_project_id: my-project, gcp_region: eu, \
               credentials_file: /nonexistent/key.json";
    let environment = [("GOOGLE_CLOUD_PROJECT", "other"), ("GOOGLE_APPLICATION_CREDENTIALS", "/other.json")];
    let config = vertex(&environment, all);
    assert_eq!(config.base_url.unwrap().to_string(), "https://psc.example");
    assert_eq!((config.project.as_deref(), config.region.as_str()), (Some("my-project"), "eu"));
    assert_eq!(config.credentials, GoogleCredentials::File("/nonexistent/key.json".into()));

    let config = vertex(&environment, "type: vertex");
    assert!(config.base_url.is_none());
    assert_eq!((config.project.as_deref(), config.region.as_str()), (Some("other"), "us-east5"));
    assert_eq!(config.credentials, GoogleCredentials::File("/other.json".into()));
    let config = vertex(&[("GCE_METADATA_HOST", "127.0.0.1:1")], "type: vertex");
    assert_eq!(config.project, None);
    assert_eq!(config.credentials, GoogleCredentials::MetadataServer { host: "127.0.0.1:1".to_owned() });
}

#[test]
fn malformed_settings_of_vertex_are_reported() {
    problems(
        &[],
        "type: vertex, gcp_project_id: projects/p, gcp_region: us-east5-b, credentials_file: ~/key.json",
        &[
            "gcp_project_id: found \"projects/p\", expected the id of a project, as in my-project-123456; write p",
            "gcp_region: found \"us-east5-b\", expected a region, as in us-east5, or global, us, eu; that is a zone; write \
             us-east5",
            "credentials_file: found \"~/key.json\", expected a path without ~; write ${HOME}/key.json",
        ],
    );
    problems(
        &[("GOOGLE_CLOUD_PROJECT", "a/b"), ("GCE_METADATA_HOST", "http://h")],
        "type: vertex",
        &[
            "GCE_METADATA_HOST: credentials_file: found \"http://h\", expected a host, with or without a port",
            "GOOGLE_CLOUD_PROJECT: gcp_project_id: found \"a/b\", expected the id of a project, as in my-project-123456; it \
             is not the project's name; gcloud projects list shows both",
        ],
    );
}

#[test]
fn base_urls_with_the_path_of_their_type_are_refused() {
    #[track_caller]
    fn check(settings: &str, url: &str, in_front_of: &str) {
        problems(
            &[REGION],
            &format!("{settings}, base_url: 'https://h/{url}'"),
            &[&format!(
                "base_url: found \"https://h/{url}\", expected the URL in front of {in_front_of}, which cc-relay adds; \
                 write https://h"
            )],
        );
    }
    check("type: bedrock", "model", "/model");
    check("type: bedrock, bedrock_api: messages", "v1/messages", "/v1/messages");
    check("type: vertex", "v1", "/v1/projects");
    check("type: vertex", "v1/projects/", "/v1/projects");
    problems(&[REGION], "type: bedrock, base_url: 'https://h/v1'", &[]);
}

#[test]
fn a_bearer_token_over_cleartext_http_is_a_warning() {
    #[track_caller]
    fn check(settings: &str, expected: bool) {
        let loaded = load(&[REGION], &format!("{settings}, base_url: 'http://h'")).unwrap();
        assert_eq!(!loaded.warnings.is_empty(), expected, "{settings}: {:?}", loaded.warnings);
    }
    check("type: vertex", true);
    check("type: azure, azure_auth: entra_id", true);
    check("type: azure, keys: [{ key: k }]", true);
    check("type: bedrock, aws_bearer_token: b", true);
    check("type: bedrock, aws_access_key_id: i, aws_secret_access_key: s", false);
}

#[test]
fn keys_of_types_that_send_none_carry_only_priority() {
    for settings in ["type: bedrock", "type: vertex", ENTRA, "type: ollama", "type: mock"] {
        let provider =
            provider(&[REGION], &format!("{settings}, keys: [{{ priority: 3 }}, {{ key: ignored }}]"));
        let keys: Vec<_> = provider.keys.iter().map(|key| (key.key.is_some(), key.priority)).collect();
        assert_eq!(keys, [(false, 3), (false, 1)], "{settings}");
    }
}

#[test]
fn settings_of_another_type_are_refused() {
    let settings = [
        ("bedrock", "aws_region: r"),
        ("bedrock", "aws_access_key_id: i"),
        ("bedrock", "aws_secret_access_key: s"),
        ("bedrock", "aws_session_token: t"),
        ("bedrock", "aws_profile: p"),
        ("bedrock", "aws_bearer_token: b"),
        ("bedrock", "bedrock_api: invoke"),
        ("azure", "azure_resource_name: r"),
        ("azure", "azure_api_version: v"),
        ("azure", "azure_auth: api_key"),
        ("vertex", "gcp_project_id: p"),
        ("vertex", "gcp_region: eu"),
        ("vertex", "credentials_file: f"),
    ];
    let types = [
        ("mock", ""),
        ("bedrock", ", aws_profile: p"),
        ("azure", ", base_url: 'https://h', keys: [{ key: k }]"),
        ("vertex", ""),
    ];
    for (r#type, needed) in types {
        let mut provider = format!("type: {type}{needed}");
        let mut expected = Vec::new();
        for (_, setting) in settings.iter().filter(|(owner, _)| *owner != r#type) {
            let _ = write!(provider, ", {setting}");
            let key = setting.split(':').next().unwrap();
            expected.push(format!("{key}: a provider of type {type} has no such setting; remove it"));
        }
        problems(&[REGION], &provider, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn secrets_of_the_clouds_are_not_shown() {
    let pair = "aws_region: us-east-1, aws_access_key_id: hidden, aws_secret_access_key: hidden";
    for settings in [
        format!("type: bedrock, {pair}, aws_session_token: hidden"),
        "type: bedrock, aws_region: us-east-1, aws_bearer_token: hidden".to_owned(),
    ] {
        let shown = load(&[], &settings).unwrap();
        assert!(!shown.to_yaml().contains("hidden") && !format!("{shown:?}").contains("hidden"), "{shown:?}");
    }
    let faulty = "type: bedrock, aws_access_key_id: [hidden], aws_secret_access_key: 12345, aws_bearer_token: { hidden: 1 }";
    let error = load(&[], faulty).unwrap_err().to_string();
    assert!(!error.contains("hidden") && !error.contains("12345"), "{error}");
    let environment = [("AZURE_CLIENT_ID", "c"), ("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_SECRET", "hidden")];
    let shown = load(&environment, ENTRA).unwrap();
    assert!(!shown.to_yaml().contains("hidden") && !format!("{shown:?}").contains("hidden"), "{shown:?}");
}

#[test]
fn defaults_in_the_schema_are_the_defaults_of_the_clouds() {
    let azure_given = "type: azure, base_url: 'https://h', keys: [{ key: k }]";
    for (without, with) in [
        ("type: bedrock", "bedrock_api: invoke"),
        (azure_given, "azure_auth: api_key"),
        ("type: vertex", "gcp_region: us-east5"),
    ] {
        let schema: serde_json::Value = serde_json::from_str(&crate::schema()).unwrap();
        let (key, value) = with.split_once(": ").unwrap();
        assert_eq!(schema["$defs"]["Provider"]["properties"][key]["default"], value);
        let both = provider(&[REGION], &format!("{without}, {with}"));
        assert_eq!(format!("{both:?}"), format!("{:?}", provider(&[REGION], without)));
    }
}

#[test]
fn a_guardrail_needs_an_id_and_a_version() {
    #[track_caller]
    fn check_guardrail(guardrail: &str, problems: &[&str]) {
        let text = format!(
            "providers:\n  - name: b\n    type: bedrock\n    aws_region: us-east-1\n    bedrock_guardrail: {guardrail}"
        );
        let loaded = Loader::new().with_text("c.yaml", Format::Yaml, text).load();
        let found = loaded.err().map(|error| error.to_string()).unwrap_or_default();
        for problem in problems {
            assert!(found.contains(problem), "{found}");
        }
        assert_eq!(found.is_empty(), problems.is_empty(), "{found}");
    }
    check_guardrail("{id: abc1, version: \"1\"}", &[]);
    check_guardrail("{id: abc1, version: 12345678, trace: ENABLED_FULL}", &[]);
    check_guardrail("{id: 'arn:aws:bedrock:us-east-1:123456789012:guardrail/abc', version: DRAFT}", &[]);
    check_guardrail("{version: 1}", &["bedrock_guardrail.id: missing"]);
    check_guardrail("{id: abc1}", &["bedrock_guardrail.version: missing"]);
    check_guardrail("{id: a b, version: 1}", &["bedrock_guardrail.id: found \"a b\""]);
    check_guardrail(
        "{id: abc1, version: draft}",
        &["bedrock_guardrail.version: found \"draft\"", "write DRAFT"],
    );
    check_guardrail("{id: abc1, version: 0}", &["bedrock_guardrail.version: found \"0\""]);
    check_guardrail("{id: abc1, version: 1.5}", &["bedrock_guardrail.version: found the number 1.5"]);
    check_guardrail(
        "{id: abc1, version: 1, trace: on}",
        &["bedrock_guardrail.trace", "ENABLED", "DISABLED", "ENABLED_FULL"],
    );
    check_guardrail("{id: abc1, version: 1, tracing: true}", &["bedrock_guardrail.tracing: unknown key"]);
    check_guardrail(
        "{id: abc1, version: 1}\n    bedrock_api: messages\n    base_url: https://bedrock-mantle.us-east-1.api.aws/anthropic",
        &["an endpoint that applies guardrails"],
    );
}

/// Asserts the problems and warnings of one provider, each by a part of its text.
#[track_caller]
fn check_texts(environment: &[(&str, &str)], provider: &str, problems: &[&str], warnings: &[&str]) {
    let loaded = load(environment, provider);
    let (found, warned) = match loaded {
        Ok(loaded) => (String::new(), loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()),
        Err(error) => (error.to_string(), Vec::new()),
    };
    assert_eq!((found.is_empty(), warned.len()), (problems.is_empty(), warnings.len()), "{found} {warned:?}");
    for (part, text) in problems.iter().map(|part| (part, &found)).chain(warnings.iter().zip(&warned)) {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn switches_that_cannot_be_honoured_are_reported_with_their_place() {
    let bedrock = "type: bedrock, aws_region: us-east-1";
    let (fips, no_file) = (("AWS_USE_FIPS_ENDPOINT", "true"), ("AWS_CONFIG_FILE", "/nonexistent"));
    check_texts(&[fips, no_file], bedrock, &[], &[]);
    let own = format!("{bedrock}, base_url: 'https://gateway.example'");
    check_texts(
        &[fips, no_file],
        &own,
        &[],
        &["AWS_USE_FIPS_ENDPOINT: providers[0].base_url: it has no effect, because base_url is set"],
    );
    let fips_host = format!("{bedrock}, base_url: 'https://bedrock-runtime-fips.us-east-1.amazonaws.com'");
    check_texts(&[fips, no_file], &fips_host, &[], &[]);
    check_texts(
        &[("AWS_USE_FIPS_ENDPOINT", "1"), no_file],
        bedrock,
        &["AWS_USE_FIPS_ENDPOINT: providers[0].base_url: found \"1\", expected true or false"],
        &[],
    );
    check_texts(&[("AWS_ENDPOINT_URL", "localhost:1"), no_file], bedrock, &["AWS_ENDPOINT_URL: "], &[]);
    check_texts(
        &[("AWS_USE_FIPS_ENDPOINT", "1"), no_file],
        &format!("{bedrock}, enabled: false"),
        &[],
        &["no provider is enabled"],
    );
    check_texts(
        &[("AWS_CA_BUNDLE", "/ca.pem"), no_file],
        bedrock,
        &[],
        &["AWS_CA_BUNDLE: providers: cc-relay does not use it; set ca_file"],
    );
}

#[test]
fn every_variable_of_a_setting_with_a_problem_is_reported() {
    let no_file = ("AWS_CONFIG_FILE", "/nonexistent");
    let variables = [
        ("AWS_USE_FIPS_ENDPOINT", "1"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "yes"),
        ("AWS_ENDPOINT_URL", "localhost:1"),
        no_file,
    ];
    let expected = [
        "AWS_USE_FIPS_ENDPOINT: providers[0].base_url: found \"1\"",
        "AWS_USE_DUALSTACK_ENDPOINT: providers[0].base_url: found \"yes\"",
        "AWS_ENDPOINT_URL: providers[0].base_url: ",
    ];
    check_texts(&variables, "type: bedrock, aws_region: us-east-1", &expected, &[]);
    let google = [
        ("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent.json"),
        ("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "https://x"),
        ("GOOGLE_CLOUD_QUOTA_PROJECT", "My Project"),
        ("GOOGLE_CLOUD_PROJECT", "My Project"),
    ];
    let expected = [
        "GOOGLE_CLOUD_UNIVERSE_DOMAIN: providers[0].credentials_file: found",
        "GOOGLE_CLOUD_QUOTA_PROJECT: providers[0].credentials_file: found",
        "GOOGLE_CLOUD_PROJECT: providers[0].gcp_project_id: found",
    ];
    check_texts(&google, "type: vertex", &expected, &[]);
}

#[test]
fn a_proxy_that_cannot_be_used_is_a_warning() {
    let https = "type: zai, keys: [{ key: k }]";
    for (variable, value) in
        [("HTTPS_PROXY", "socks5://p:1"), ("all_proxy", "socks5h://p:1"), ("https_proxy", "https://p:1")]
    {
        check_texts(
            &[(variable, value)],
            https,
            &[],
            &[&format!("{variable}: providers: a proxy at {}://", value.split(':').next().unwrap())],
        );
    }
    check_texts(&[("HTTPS_PROXY", "http://p:1"), ("ALL_PROXY", "socks5://p:1")], https, &[], &[]);
    check_texts(&[("HTTPS_PROXY", "p:1")], https, &[], &[]);
    check_texts(&[("HTTPS_PROXY", "socks5://p:1")], "type: ollama", &[], &[]);
}

#[test]
fn a_proxy_for_plain_http_is_a_warning() {
    let plain = "type: anthropic_compatible, auth: none, base_url: 'http://llm.example:8080'";
    let text = |variable| {
        format!("{variable}: providers: no proxy is used for http:// upstreams such as llm.example,")
    };
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        let proxy = (variable, "http://user:secret@p:1");
        check_texts(&[proxy], plain, &[], &[&text(variable)]);
        check_texts(&[proxy, ("NO_PROXY", "other.example")], plain, &[], &[&text(variable)]);
        for exception in ["llm.example", ".example", "localhost, LLM.example", "*", "*.example"] {
            check_texts(&[proxy, ("no_proxy", exception)], plain, &[], &[]);
        }
        check_texts(&[proxy], "type: ollama", &[], &[]);
        check_texts(&[proxy], "type: zai, keys: [{ key: k }]", &[], &[]);
    }
    let address = "type: ollama, base_url: 'http://10.0.0.1:11434'";
    check_texts(&[("HTTP_PROXY", "http://p:1")], address, &[], &["such as 10.0.0.1"]);
    check_texts(&[("HTTP_PROXY", "http://p:1"), ("NO_PROXY", "10.0.0.0/8")], address, &[], &[]);
}

#[test]
fn a_url_of_another_region_is_a_warning() {
    let no_file = ("AWS_CONFIG_FILE", "/nonexistent");
    let bedrock = |host: &str| format!("type: bedrock, aws_region: eu-west-1, base_url: 'https://{host}'");
    for host in [
        "bedrock-runtime.us-east-1.amazonaws.com",
        "bedrock-runtime-fips.us-east-1.amazonaws.com",
        "bedrock-runtime.us-east-1.api.aws",
        "vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com",
    ] {
        let text = "base_url: the URL is that of the region us-east-1, and aws_region is eu-west-1;";
        check_texts(&[no_file], &bedrock(host), &[], &[text]);
        check_texts(&[no_file], &bedrock(&host.replace("us-east-1", "eu-west-1")), &[], &[]);
    }
    check_texts(&[no_file], &bedrock("bedrock-runtime.us-east-1.example"), &[], &[]);
    check_texts(
        &[no_file, ("AWS_ENDPOINT_URL", "https://bedrock-runtime.us-east-1.amazonaws.com")],
        "type: bedrock, aws_region: eu-west-1",
        &[],
        &["AWS_ENDPOINT_URL: providers[0].base_url: the URL is that of the region us-east-1"],
    );
    let file = ("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent.json");
    for host in ["us-east5-aiplatform.googleapis.com", "aiplatform.us.rep.googleapis.com"] {
        let vertex = |region: &str| format!("type: vertex, gcp_region: {region}, base_url: 'https://{host}'");
        check_texts(&[file], &vertex("europe-west1"), &[], &["and gcp_region is europe-west1;"]);
        let same = if host.contains("us-east5") { "us-east5" } else { "us" };
        check_texts(&[file], &vertex(same), &[], &[]);
    }
    check_texts(
        &[file],
        "type: vertex, gcp_region: us-east5, base_url: 'https://aiplatform.googleapis.com'",
        &[],
        &[],
    );
}

#[test]
fn the_project_has_the_variables_of_googles_libraries() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (user, service) = (path("user.json"), path("service.json"));
    std::fs::write(&user, r#"{"type":"authorized_user"}"#).unwrap();
    std::fs::write(&service, r#"{"type":"service_account","project_id":"own"}"#).unwrap();
    let check = |file: &str, variables: &[(&str, &str)], expected: Option<&str>| {
        let all = [&[("GOOGLE_APPLICATION_CREDENTIALS", file)], variables].concat();
        assert_eq!(vertex(&all, "type: vertex").project.as_deref(), expected, "{variables:?}");
    };
    let [current, previous, gcloud] =
        [("GOOGLE_CLOUD_PROJECT", "first"), ("GCLOUD_PROJECT", "second"), ("CLOUDSDK_CORE_PROJECT", "third")];
    check(&user, &[gcloud, previous, current], Some("first"));
    check(&user, &[gcloud, previous], Some("second"));
    check(&service, &[gcloud, previous], Some("second"));
    check(&user, &[gcloud], Some("third"));
    // The credentials' own project precedes gcloud's.
    check(&service, &[gcloud], None);
}

#[test]
fn a_hopeless_base_url_is_a_warning_with_the_right_one() {
    let keys = "keys: [{ key: k }]";
    check_texts(
        &[],
        &format!("type: zai, {keys}, base_url: 'https://api.z.ai/api/coding/paas/v4'"),
        &[],
        &[
            "providers[0].base_url: https://api.z.ai/api/coding/paas/v4 is not where this vendor serves the Messages API; write https://api.z.ai/api/anthropic",
        ],
    );
    check_texts(
        &[],
        &format!("type: azure, {keys}, base_url: 'https://r.services.ai.azure.com/api/projects/p'"),
        &[],
        &["write https://r.services.ai.azure.com/anthropic"],
    );
    check_texts(
        &[],
        &format!("type: moonshot, {keys}, base_url: 'https://api.moonshot.ai/v1/messages'"),
        &["write https://api.moonshot.ai/anthropic"],
        &[],
    );
}

#[test]
fn the_universe_domain_and_the_quota_project_have_variables() {
    let file = ("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent.json");
    let config = vertex(&[file], "type: vertex");
    assert_eq!((config.universe_domain.as_deref(), config.quota_project), (Some("googleapis.com"), None));
    // The metadata server reports its own.
    let config = vertex(&[("GCE_METADATA_HOST", "h")], "type: vertex");
    assert_eq!(config.universe_domain, None);
    let variables =
        [file, ("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "example.goog"), ("GOOGLE_CLOUD_QUOTA_PROJECT", "billed")];
    let config = vertex(&variables, "type: vertex");
    assert_eq!(
        (config.universe_domain.as_deref(), config.quota_project.as_deref()),
        (Some("example.goog"), Some("billed"))
    );
    for (variable, value) in
        [("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "https://x"), ("GOOGLE_CLOUD_QUOTA_PROJECT", "My Project")]
    {
        let error = load(&[file, (variable, value)], "type: vertex").unwrap_err().to_string();
        let expected = format!("{variable}: providers[0].credentials_file: found {value:?}");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn a_credentials_file_of_an_unsupported_kind_is_refused_at_its_setting() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.json");
    std::fs::write(&path, r#"{"type": "gdch_service_account", "private_key": "SECRET"}"#).unwrap();
    let path = path.to_str().unwrap();
    let of_file = format!("type: vertex, credentials_file: {path}");
    for (variables, provider) in
        [(vec![], of_file.as_str()), (vec![("GOOGLE_APPLICATION_CREDENTIALS", path)], "type: vertex")]
    {
        let error = load(&variables, provider).unwrap_err().to_string();
        let part = format!("credentials_file: found credentials of the kind gdch_service_account in {path}");
        assert!(error.contains(&part) && !error.contains("SECRET"), "{error}");
    }
    assert!(load(&[], &format!("{of_file}, enabled: false")).is_ok());
}
