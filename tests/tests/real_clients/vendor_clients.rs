//! The requests of the `anthropic` package's client of each cloud, compared with those that the relay makes of the same
//! parameters: every difference is listed here, with its reason.

use std::collections::{BTreeMap, BTreeSet};

use relay_tests::fakes::{azure, bedrock, google, vertex};
use relay_tests::{PROVIDER_KEY, Python, Relay, Request, Upstream, provider};
use serde_json::{Value, json};

const ACCESS_KEY: &str = "AKIDEXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const SESSION_TOKEN: &str = "FwoGZXIvYXdzTOKEN+/=";
const REGION: &str = "eu-west-1";
const GOOGLE_TOKEN: &str = "ya29.token-of-google";
const ENTRA_TOKEN: &str = "token-of-entra";

/// A beta that every cloud accepts, one that belongs to a field, one with another name at clouds, and one that Bedrock and
/// Vertex refuse.
const BETAS: &str = "interleaved-thinking-2025-05-14,context-management-2025-06-27,advanced-tool-use-2025-11-20,\
                     files-api-2025-04-14";

/// The parts of a request from the vendor's client or the relay, by place: `method`, `path`, `query`, `header NAME`,
/// `body NAME`.
type Places = BTreeMap<String, String>;

/// A place, its content in the vendor's request, its content in the relay's request, and the reason. `-` is no content; a
/// final `…` matches any continuation.
type Row = (&'static str, &'static str, &'static str, &'static str);

/// The differences in HTTP itself, which are the same for every cloud.
const TRANSPORT: [Row; 2] = [
    (
        "header accept-encoding",
        "gzip, deflate",
        "-",
        "the relay reads and rewrites answers as they arrive, so that it requests them without a coding",
    ),
    ("header connection", "keep-alive", "-", "connections of HTTP/1.1 stay open by default"),
];

/// The difference that depends on the relay's client, which is the package's plain client here.
const CLIENT: Row = (
    "header user-agent",
    "Anthropic…",
    "Anthropic/Python …",
    "each client sends its own name, and the relay forwards the name of its client",
);

/// Bedrock's InvokeModel reads none of Anthropic's headers, and a proxy that changes a signed header invalidates the
/// signature.
const INVOKE: [Row; 8] = [
    (
        "header x-stainless-…",
        "…",
        "-",
        "describes the client's process, without a meaning to AWS: only headers of InvokeModel are sent",
    ),
    ("header accept", "application/json", "-", "optional in InvokeModel, and this is its default"),
    (
        "header anthropic-beta",
        BETAS,
        "-",
        "Bedrock reads betas from the header and the body, and refuses an unknown beta in either: only the body \
         has them",
    ),
    (
        "body anthropic_beta",
        r#"["interleaved-thinking-2025-05-14","context-management-2025-06-27","advanced-tool-use-2025-11-20","files-api-2025-04-14"]"#,
        r#"["interleaved-thinking-2025-05-14","context-management-2025-06-27","tool-search-tool-2025-10-19"]"#,
        "Bedrock has another name for the third, and \"invalid beta flag\" for the fourth",
    ),
    (
        "body context_management",
        r#"{"edits":[{"keep":"all","type":"clear_thinking_20251015"},{"type":"clear_tool_uses_20250919"}]}"#,
        r#"{"edits":[{"type":"clear_tool_uses_20250919"}]}"#,
        "Bedrock refuses the first edit, which Claude Code always sends, as an extra input",
    ),
    ("body service_tier", r#""auto""#, "-", "Bedrock refuses it as an extra input"),
    ("header content-length", "…", "…", "follows from the body"),
    CLIENT,
];

/// `anthropic_version` for models that accept only one.
const OLD_MODEL: Row = (
    "body anthropic_version",
    r#""2026-10-21""#,
    r#""bedrock-2023-05-31""#,
    "models before Claude 4.7 accept only the older version; the package sends the newer one to all",
);

const SIGNED_WITH_TOKEN: Row = (
    "signed headers",
    "accept;accept-encoding;anthropic-beta;content-length;content-type;host;x-amz-date;x-amz-security-token;x-stainless-…",
    "content-type;host;x-amz-date;x-amz-security-token",
    "only the headers that AWS requires are signed: a proxy may change any other",
);

const SIGNED: Row = (
    "signed headers",
    "accept;accept-encoding;anthropic-beta;anthropic-version;content-length;content-type;host;x-amz-date;x-stainless-…",
    "content-type;host;x-amz-date",
    SIGNED_WITH_TOKEN.3,
);

const SCOPE: Row = (
    "credential scope",
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/…",
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/…",
    "the host decides: the relay signs for `bedrock-mantle` at Mantle's hosts, and for `bedrock` elsewhere",
);

const MESSAGES_BETA: Row = (
    "header anthropic-beta",
    BETAS,
    "interleaved-thinking-2025-05-14,context-management-2025-06-27,tool-search-tool-2025-10-19,files-api-2025-04-14",
    "AWS has another name for the third; this endpoint is known to refuse only some, and the fourth is none of them",
);

const VERTEX: [Row; 4] = [
    (
        "header anthropic-beta",
        BETAS,
        "interleaved-thinking-2025-05-14,context-management-2025-06-27,tool-search-tool-2025-10-19",
        "Vertex has another name for the third, and refuses a request for the fourth",
    ),
    ("body service_tier", r#""auto""#, "-", "Vertex does not serve it, and refuses unknown fields"),
    ("header content-length", "…", "…", "follows from the body"),
    CLIENT,
];

/// The parameters of every request here.
fn parameters(model: &str, stream: bool) -> Value {
    json!({
        "model": model,
        "max_tokens": 64,
        "stream": stream,
        "betas": BETAS.split(',').collect::<Vec<_>>(),
        "system": [{"type": "text", "text": "Réponds 🚀", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": "What is in /tmp/ä?"}],
        "tools": [{
            "name": "read",
            "description": "Reads a file",
            "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
        }],
        "tool_choice": {"type": "auto"},
        "metadata": {"user_id": "user-1"},
        "stop_sequences": ["\n\nEnd"],
        "service_tier": "auto",
        "context_management": {"edits": [
            {"type": "clear_thinking_20251015", "keep": "all"},
            {"type": "clear_tool_uses_20250919"},
        ]},
    })
}

/// Makes the same two calls, one of them streaming, with the vendor's client and through a relay, to the same upstream.
/// Both have to get the same message, and their requests may differ only in `expected`.
async fn compare(
    model: &str,
    upstream: &Upstream,
    (client, arguments): (&str, Value),
    relay: &Relay,
    expected: &[&[Row]],
) {
    let expected = expected.concat();
    let Some(python) = Python::find() else { return };
    let through_relay = json!({"base_url": relay.url(), "api_key": "sk-ant-api03-of-the-client"});
    let calls: Vec<Value> = [(client, arguments), ("Anthropic", through_relay)]
        .iter()
        .flat_map(|(client, arguments)| {
            [false, true].map(|stream| {
                json!({"client": client, "arguments": arguments, "parameters": parameters(model, stream)})
            })
        })
        .collect();
    let outcomes = python.cloud_calls(&calls).await;
    assert!(outcomes.iter().all(|outcome| outcome["message"].is_object()), "{outcomes:#?}");
    assert_eq!(outcomes[..2], outcomes[2..], "the message");

    let requests = upstream.requests();
    let [vendors, vendors_stream, ours, our_stream] = &requests[..] else { panic!("four requests") };
    let (mut met, mut unexpected) = (BTreeSet::new(), BTreeSet::new());
    for (vendors, ours) in [(vendors, ours), (vendors_stream, our_stream)] {
        for (place, vendors, ours) in differences(&places(vendors), &places(ours)) {
            let is_expected = |row: &&Row| fits(row.0, &place) && fits(row.1, &vendors) && fits(row.2, &ours);
            match expected.iter().find(is_expected) {
                Some(row) => drop(met.insert(*row)),
                None => drop(unexpected.insert((place, vendors, ours))),
            }
        }
        if !expected.iter().any(|row| row.0.starts_with("body ")) {
            assert_eq!(vendors.body, ours.body, "the members are equal, the bytes are not");
        }
        assert!(!ours.mentions("sk-ant-"), "the client's own key was forwarded");
    }
    assert!(unexpected.is_empty(), "place, the vendor's client, the relay: {unexpected:#?}");
    let unmet: Vec<_> = expected.iter().filter(|row| !met.contains(*row)).collect();
    assert!(unmet.is_empty(), "no such difference: {unmet:#?}");
}

fn fits(pattern: &str, text: &str) -> bool {
    pattern.strip_suffix('…').map_or(pattern == text, |start| text != "-" && text.starts_with(start))
}

fn differences(vendors: &Places, ours: &Places) -> Vec<(String, String, String)> {
    let names: BTreeSet<_> = vendors.keys().chain(ours.keys()).collect();
    let at = |places: &Places, name| places.get(name).map_or("-", String::as_str).to_owned();
    let all = names.into_iter().map(|name| (name.clone(), at(vendors, name), at(ours, name)));
    all.filter(|(_, vendors, ours)| vendors != ours).collect()
}

fn places(request: &Request) -> Places {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, "-"));
    let mut places: Places =
        [("method", &*request.method), ("path", path), ("query", query)].map(own).into_iter().collect();
    for (name, _) in request.headers.iter() {
        let value = request.headers.all(name).collect::<Vec<_>>().join(" | ");
        let name = format!("header {}", name.to_ascii_lowercase());
        match value.split_once(", Signature=").map(|(signed, _)| signed.split_once(", SignedHeaders=")) {
            Some(Some((scope, signed))) => {
                places.insert("credential scope".to_owned(), scope.to_owned());
                places.insert("signed headers".to_owned(), signed.to_owned());
            }
            // The two were not sent within one second.
            _ if name == "header x-amz-date" => {
                let form = value.replace(|digit: char| digit.is_ascii_digit(), "0");
                places.insert(name, form);
            }
            _ => {
                places.insert(name, value);
            }
        }
    }
    let body = request.json();
    let members = body.as_object().expect("an object");
    places.extend(members.iter().map(|(name, value)| (format!("body {name}"), value.to_string())));
    places
}

fn own((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

async fn relay(provider: &Value) -> Relay {
    Relay::start(&json!({"providers": [provider]})).await
}

#[tokio::test]
async fn bedrock_with_keys() {
    let upstream = Upstream::answering(bedrock::answer).await;
    let relay = relay(&json!({
        "name": "b", "type": "bedrock", "base_url": upstream.url(), "aws_region": REGION,
        "aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY, "aws_session_token": SESSION_TOKEN,
    }))
    .await;
    let arguments = json!({
        "base_url": upstream.url(), "aws_region": REGION, "aws_access_key": ACCESS_KEY,
        "aws_secret_key": SECRET_KEY, "aws_session_token": SESSION_TOKEN,
    });
    let model = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";
    compare(
        model,
        &upstream,
        ("AnthropicBedrock", arguments),
        &relay,
        &[&TRANSPORT, &INVOKE, &[OLD_MODEL, SIGNED_WITH_TOKEN]],
    )
    .await;
}

#[tokio::test]
async fn bedrock_with_a_bearer_token_and_a_newer_model() {
    let upstream = Upstream::answering(bedrock::answer).await;
    let relay = relay(&json!({
        "name": "b", "type": "bedrock", "base_url": upstream.url(), "aws_region": REGION,
        "aws_bearer_token": PROVIDER_KEY,
    }))
    .await;
    let arguments = json!({"base_url": upstream.url(), "aws_region": REGION, "api_key": PROVIDER_KEY});
    let model = "eu.anthropic.claude-opus-4-7";
    compare(model, &upstream, ("AnthropicBedrock", arguments), &relay, &[&TRANSPORT, &INVOKE]).await;
}

#[tokio::test]
async fn bedrocks_messages_endpoint() {
    let upstream = Upstream::answering(azure::answer).await;
    let base_url = format!("{}/anthropic", upstream.url());
    let relay = relay(&json!({
        "name": "b", "type": "bedrock", "bedrock_api": "messages", "base_url": base_url, "aws_region": REGION,
        "aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY,
    }))
    .await;
    let arguments = json!({
        "base_url": base_url, "aws_region": REGION, "aws_access_key": ACCESS_KEY, "aws_secret_key": SECRET_KEY,
    });
    let model = "anthropic.claude-opus-5";
    compare(
        model,
        &upstream,
        ("AnthropicBedrockMantle", arguments),
        &relay,
        &[&TRANSPORT, &[CLIENT, MESSAGES_BETA, SCOPE, SIGNED]],
    )
    .await;
}

#[tokio::test]
async fn vertex_ai() {
    let tokens = Upstream::answering(|request| google::answer(request, GOOGLE_TOKEN, 3600)).await;
    let upstream = Upstream::answering(vertex::answer).await;
    let file = google::credentials_file(&google::service_account(&tokens.url()));
    let relay = relay(&json!({
        "name": "v", "type": "vertex", "base_url": upstream.url(), "gcp_project_id": "my-project",
        "gcp_region": "europe-west1", "credentials_file": file.path(),
    }))
    .await;
    let arguments = json!({
        "base_url": format!("{}/v1", upstream.url()), "project_id": "my-project", "region": "europe-west1",
        "access_token": GOOGLE_TOKEN,
    });
    let model = "claude-sonnet-4-5@20250929";
    compare(model, &upstream, ("AnthropicVertex", arguments), &relay, &[&TRANSPORT, &VERTEX]).await;
}

#[tokio::test]
async fn foundry_with_a_key() {
    let upstream = Upstream::answering(azure::answer).await;
    let base_url = format!("{}{}", upstream.url(), azure::PREFIX);
    let relay = relay(&provider("a", "azure", &base_url)).await;
    let arguments = json!({"base_url": base_url, "api_key": PROVIDER_KEY});
    compare("claude-opus-5", &upstream, ("AnthropicFoundry", arguments), &relay, &[&TRANSPORT, &[CLIENT]])
        .await;
}

#[tokio::test]
async fn foundry_with_a_token_of_entra() {
    let entra = Upstream::answering(|request| azure::entra(request, ENTRA_TOKEN, 3600)).await;
    let upstream = Upstream::answering(azure::answer).await;
    let base_url = format!("{}{}", upstream.url(), azure::PREFIX);
    let authority = entra.url();
    let environment = azure::client_secret(&authority);
    let provider = json!({"name": "a", "type": "azure", "base_url": base_url, "azure_auth": "entra_id"});
    let relay = Relay::start_with_env(&environment, &json!({"providers": [provider]})).await;
    let arguments = json!({"base_url": base_url, "azure_ad_token": ENTRA_TOKEN});
    compare("claude-opus-5", &upstream, ("AnthropicFoundry", arguments), &relay, &[&TRANSPORT, &[CLIENT]])
        .await;
}
