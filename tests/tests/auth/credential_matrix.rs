//! Every kind of client credential with every ordered pair of kinds of providers, of which the first fails and the second serves
//! the request, and with every setting of client auth. Every upstream request is inspected for credentials that must not be
//! there. The pairs of a client are divided among the settings that admit it, so that each pair runs once with it.
//!
//! One relay serves a whole setting: the model `A>B` is listed by the provider `first-A`, whose upstream fails, and by the
//! provider `second-B`, whose upstream answers. The path of a request therefore names the provider that sent it.

use std::sync::{Arc, Mutex};

use relay_tests::fakes::{anthropic, google};
use relay_tests::{Answer, Call, Relay, Request, Response, Upstream};
use serde_json::{Value, json};

const RELAY_KEY: &str = "key-for-using-the-relay";
const NAMED_KEY: &str = "key-of-a-named-client";
const BEARER_SECRET: &str = "bearer-for-using-the-relay";
const SUBSCRIPTION: &str = "sk-ant-oat01-of-the-client";
const OWN_KEY: &str = "sk-ant-api03-of-the-client";
const JUNK: &str = "junk-of-the-client";
const PLACEHOLDER: &str = "managed-by-cc-relay";
const GOOGLE_TOKEN: &str = "ya29.token-of-google";

/// The place of a provider's credential in its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sends {
    ApiKey,
    /// `x-api-key` and `api-key`, since gateways before Azure read either.
    BothKeys,
    Bearer,
    /// A signature with the provider's access key.
    Signature,
    Google,
    Nothing,
}

/// A kind of provider.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    kind: &'static str,
    sends: Sends,
    passes_through: bool,
}

const fn kind(name: &'static str, kind: &'static str, sends: Sends) -> Kind {
    Kind { name, kind, sends, passes_through: false }
}

static KINDS: [Kind; 16] = [
    Kind { passes_through: true, ..kind("own", "anthropic", Sends::Nothing) },
    Kind { passes_through: true, ..kind("own-keyed", "anthropic", Sends::ApiKey) },
    kind("proxied", "anthropic", Sends::ApiKey),
    kind("zai", "zai", Sends::ApiKey),
    kind("ollama", "ollama", Sends::Nothing),
    kind("bedrock", "bedrock", Sends::Signature),
    kind("bedrock-bearer", "bedrock", Sends::Bearer),
    kind("azure", "azure", Sends::BothKeys),
    kind("vertex", "vertex", Sends::Google),
    kind("minimax", "minimax", Sends::Bearer),
    kind("compatible-none", "anthropic_compatible", Sends::Nothing),
    kind("compatible-bearer", "anthropic_compatible", Sends::Bearer),
    kind("compatible-key", "anthropic_compatible", Sends::ApiKey),
    kind("moonshot", "moonshot", Sends::Bearer),
    kind("deepseek", "deepseek", Sends::ApiKey),
    kind("openrouter", "openrouter", Sends::Bearer),
];

impl Kind {
    /// Returns the configuration of this kind as `NAME`, with a credential of its own, at `url/NAME`.
    fn provider(&self, name: &str, upstream: &str, models: Vec<String>, credentials: &str) -> Value {
        let key = key_of(name);
        let mut provider = json!({
            "name": name, "type": self.kind, "base_url": format!("{upstream}/{name}"), "models": models,
            "model_mapping": {"*": "claude-sonnet-4-5"}, "priority": 1, "keys": [],
        });
        match self.name {
            "own" => provider["passthrough"] = json!(true),
            "own-keyed" => {
                provider["passthrough"] = json!(true);
                provider["keys"] = json!([{"key": key}]);
            }
            "ollama" => {}
            "bedrock" => {
                provider["aws_region"] = json!("us-east-1");
                provider["aws_access_key_id"] = json!(key);
                provider["aws_secret_access_key"] = json!(format!("secret-{key}"));
            }
            "bedrock-bearer" => {
                provider["aws_region"] = json!("us-east-1");
                provider["aws_bearer_token"] = json!(key);
            }
            "vertex" => {
                provider["gcp_project_id"] = json!("my-project");
                provider["credentials_file"] = json!(credentials);
            }
            "compatible-none" => provider["auth"] = json!("none"),
            "compatible-bearer" => {
                provider["auth"] = json!("bearer");
                provider["keys"] = json!([{"key": key}]);
            }
            _ => provider["keys"] = json!([{"key": key}]),
        }
        if self.kind == "bedrock" {
            provider["model_mapping"] = json!({"*": "anthropic.claude-sonnet-4-5-20250929-v1:0"});
        }
        provider
    }

    /// Returns `true` if the provider can serve a request without a credential of the client.
    fn serves_without_own(&self) -> bool {
        self.name != "own"
    }
}

fn key_of(provider: &str) -> String {
    format!("key-of-{provider}.")
}

/// A request's credential headers, as a client sends them.
#[derive(Debug, Clone, Copy)]
struct Client {
    name: &'static str,
    headers: &'static [(&'static str, &'static str)],
}

const CLIENTS: [Client; 16] = [
    Client { name: "none", headers: &[] },
    Client { name: "relay key", headers: &[("x-api-key", RELAY_KEY)] },
    Client { name: "relay bearer", headers: &[("authorization", "Bearer key-for-using-the-relay")] },
    Client { name: "named key", headers: &[("authorization", "bearer key-of-a-named-client")] },
    Client { name: "bearer secret", headers: &[("authorization", "Bearer bearer-for-using-the-relay")] },
    Client { name: "subscription", headers: &[("authorization", "Bearer sk-ant-oat01-of-the-client")] },
    Client { name: "own key", headers: &[("x-api-key", OWN_KEY)] },
    Client { name: "own bearer", headers: &[("authorization", "Bearer sk-ant-api03-of-the-client")] },
    Client { name: "placeholder", headers: &[("authorization", "Bearer managed-by-cc-relay")] },
    Client { name: "placeholder key", headers: &[("x-api-key", PLACEHOLDER)] },
    Client { name: "junk", headers: &[("x-api-key", JUNK)] },
    Client {
        name: "malformed subscription",
        headers: &[("authorization", "Bearer sk-ant-oat-junk-of-the-client")],
    },
    Client {
        name: "relay key and subscription",
        headers: &[("x-api-key", RELAY_KEY), ("authorization", "Bearer sk-ant-oat01-of-the-client")],
    },
    Client {
        name: "own key and subscription",
        headers: &[("x-api-key", OWN_KEY), ("authorization", "Bearer sk-ant-oat01-of-the-client")],
    },
    Client {
        name: "list",
        headers: &[("authorization", "Bearer key-for-using-the-relay, Bearer sk-ant-oat01-of-the-client")],
    },
    Client { name: "two lines", headers: &[("x-api-key", RELAY_KEY), ("x-api-key", OWN_KEY)] },
];

/// A setting of client auth.
#[derive(Debug, Clone)]
struct Auth {
    name: &'static str,
    settings: Value,
    keys: &'static [&'static str],
    allow_subscription: bool,
    may_use_keys: bool,
}

impl Auth {
    fn is_required(&self) -> bool {
        !self.keys.is_empty() || self.allow_subscription
    }
}

/// Returns every setting of client auth.
fn auths() -> [Auth; 7] {
    let auth = |name, settings, keys, allow_subscription, may_use_keys| Auth {
        name,
        settings,
        keys,
        allow_subscription,
        may_use_keys,
    };
    let named = json!([{"name": "a", "key": NAMED_KEY}, {"name": "b", "key": RELAY_KEY}]);
    let may_use =
        json!({"api_key": RELAY_KEY, "allow_subscription": true, "subscription_may_use_keys": true});
    [
        auth("none", json!({}), &[], false, true),
        auth(
            "none, no keys for subscriptions",
            json!({"subscription_may_use_keys": false}),
            &[],
            false,
            false,
        ),
        auth("api key", json!({"api_key": RELAY_KEY}), &[RELAY_KEY], false, false),
        auth(
            "named keys and a bearer secret",
            json!({"api_keys": named, "bearer_secret": BEARER_SECRET}),
            &[RELAY_KEY, NAMED_KEY, BEARER_SECRET],
            false,
            false,
        ),
        auth("subscriptions", json!({"allow_subscription": true}), &[], true, true),
        auth(
            "api key and subscriptions",
            json!({"api_key": RELAY_KEY, "allow_subscription": true}),
            &[RELAY_KEY],
            true,
            false,
        ),
        auth("keys for subscriptions", may_use, &[RELAY_KEY], true, true),
    ]
}

/// The access that a client has.
#[derive(Debug, Clone)]
struct Access {
    /// The credentials of the client that pass through; a subscription among them comes before keys.
    own: Vec<&'static str>,
    may_use_keys: bool,
}

/// Returns the access of `client`, or `None` if it is refused with 401.
fn access(client: &Client, auth: &Auth) -> Option<Access> {
    if matches!(client.name, "list" | "two lines") {
        return None;
    }
    let tokens: Vec<&'static str> =
        client.headers.iter().map(|(_, value)| value.split(' ').next_back().unwrap_or(value)).collect();
    let has_key = tokens.iter().any(|token| auth.keys.contains(token));
    let is_subscription = |token: &&&str| **token == SUBSCRIPTION;
    let own: Vec<&'static str> = match auth.is_required() {
        true => tokens.iter().filter(|_| auth.allow_subscription).filter(is_subscription).copied().collect(),
        false => tokens.iter().filter(|token| **token != PLACEHOLDER).copied().collect(),
    };
    let has_subscription = own.contains(&SUBSCRIPTION);
    if auth.is_required() && !has_key && !has_subscription {
        return None;
    }
    Some(Access { own, may_use_keys: has_key || !has_subscription || auth.may_use_keys })
}

/// Returns the credentials with which `kind` is tried, in order: `true` for those of the client.
fn attempts(kind: &Kind, access: &Access) -> Vec<bool> {
    let own_first = kind.passes_through && access.own.contains(&SUBSCRIPTION);
    let configured = kind.serves_without_own() && (access.may_use_keys || kind.sends == Sends::Nothing);
    let own_last = kind.passes_through && !access.own.is_empty() && !own_first && !configured;
    [(own_first, true), (configured, false), (own_last, true)]
        .into_iter()
        .filter_map(|(is_tried, is_own)| is_tried.then_some(is_own))
        .collect()
}

/// Asserts that `request` of the provider `name` carries the expected credential and no other.
#[track_caller]
fn inspect(request: &Request, name: &str, kind: &Kind, client: &Client, own: Option<&[&'static str]>) {
    let context = || format!("{client:?} at {name}: {:?}", request.headers);
    assert!(!request.mentions(PLACEHOLDER), "the placeholder was sent: {}", context());
    for secret in [RELAY_KEY, NAMED_KEY, BEARER_SECRET, SUBSCRIPTION, OWN_KEY, JUNK] {
        let may_be_sent = own.is_some_and(|own| own.iter().any(|own| own.contains(secret)));
        assert!(may_be_sent || !request.mentions(secret), "{secret} was sent: {}", context());
    }
    assert!(!request.mentions("secret-key-of"), "a secret access key was sent: {}", context());
    for other in KINDS.iter().flat_map(|kind| ["first", "second"].map(|role| format!("{role}-{}", kind.name)))
    {
        let is_sent = request.mentions(&key_of(&other));
        let is_expected =
            other == name && own.is_none() && !matches!(kind.sends, Sends::Google | Sends::Nothing);
        assert_eq!(is_sent, is_expected, "the key of {other}: {}", context());
    }
    let is_google = own.is_none() && kind.sends == Sends::Google;
    assert_eq!(request.mentions(GOOGLE_TOKEN), is_google, "the token of Google: {}", context());
    let key = key_of(name);
    let expected: Vec<(&str, String)> = match (own, kind.sends) {
        (Some(own), _) => {
            let sent = client.headers.iter().filter(|(_, value)| own.iter().any(|own| value.ends_with(own)));
            sent.map(|&(name, value)| (name, value.to_owned())).collect()
        }
        (None, Sends::Nothing) => Vec::new(),
        (None, Sends::ApiKey) => vec![("x-api-key", key)],
        (None, Sends::BothKeys) => vec![("x-api-key", key.clone()), ("api-key", key)],
        (None, Sends::Bearer) => vec![("authorization", format!("Bearer {key}"))],
        (None, Sends::Google) => vec![("authorization", format!("Bearer {GOOGLE_TOKEN}"))],
        (None, Sends::Signature) => vec![("authorization", format!("AWS4-HMAC-SHA256 Credential={key}"))],
    };
    let is_signature = own.is_none() && kind.sends == Sends::Signature;
    let found: Vec<(&str, String)> = credentials(request)
        .into_iter()
        .map(|(name, value)| {
            let value = if is_signature { value.split('/').next().unwrap_or_default() } else { value };
            (name, value.to_owned())
        })
        .collect();
    assert_eq!(found, expected, "{}", context());
}

/// Returns every header that can carry a credential.
fn credentials(request: &Request) -> Vec<(&'static str, &str)> {
    let names = ["x-api-key", "api-key", "authorization", "proxy-authorization", "cookie", "x-goog-api-key"];
    names.into_iter().flat_map(|name| request.headers.all(name).map(move |value| (name, value))).collect()
}

/// The requests that the upstream has received since the last look.
#[derive(Debug, Clone, Default)]
struct Received(Arc<Mutex<Vec<Request>>>);

impl Received {
    fn take(&self) -> Vec<Request> {
        std::mem::take(&mut *self.0.lock().expect("no test panics while it holds the lock"))
    }
}

/// Starts an upstream that fails for each `first-` provider and answers each `second-` provider.
async fn upstream(received: Received) -> Upstream {
    let success = json!({
        "type": "message", "id": "msg_1", "role": "assistant", "model": "claude-sonnet-4-5", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 1, "output_tokens": 1},
    });
    Upstream::answering(move |request| {
        received.0.lock().expect("no test panics while it holds the lock").push(request.clone());
        match request.target.starts_with("/first-") {
            true => anthropic::error(500),
            false => anthropic::success(Answer::json(200, &success)),
        }
    })
    .await
}

fn model(first: &Kind, second: &Kind) -> String {
    format!("{}>{}", first.name, second.name)
}

/// Starts a relay with each kind of provider twice: first those that fail, then those that answer.
async fn relay(auth: &Auth, upstream: &str, credentials: &str) -> Relay {
    let firsts = KINDS.iter().map(|kind| {
        let models = KINDS.iter().map(|other| model(kind, other)).collect();
        kind.provider(&format!("first-{}", kind.name), upstream, models, credentials)
    });
    let seconds = KINDS.iter().map(|kind| {
        let models = KINDS.iter().map(|other| model(other, kind)).collect();
        kind.provider(&format!("second-{}", kind.name), upstream, models, credentials)
    });
    Relay::start(&json!({
        "server": {"auth": auth.settings}, "providers": firsts.chain(seconds).collect::<Vec<_>>(),
        "routing": {"strict_models": true, "affinity": "none", "failover_timeout": 60000},
        "health": {"circuit_breaker": {"failure_threshold": 1_000_000}, "health_check": {"enabled": false}},
    }))
    .await
}

/// An expected attempt: the provider's role and kind, and `true` for a credential of the client.
type Attempt = (&'static str, &'static Kind, bool);

/// Returns the first attempt of `kind`. After a failure of the provider itself, its other credentials are not tried.
fn attempt(role: &'static str, kind: &'static Kind, access: &Access) -> Option<Attempt> {
    attempts(kind, access).first().map(|own| (role, kind, *own))
}

/// Asserts that the upstream has received these attempts, each with its credential and no other.
#[track_caller]
fn inspect_all(
    requests: &[Request],
    expected: &[Attempt],
    client: &Client,
    own: &[&'static str],
    context: &str,
) {
    let found: Vec<_> =
        requests.iter().map(|request| request.target.split('/').nth(1).unwrap_or_default()).collect();
    let names: Vec<_> = expected.iter().map(|(role, kind, _)| format!("{role}-{}", kind.name)).collect();
    assert_eq!(found, names, "{context}");
    for ((request, name), (_, kind, is_own)) in requests.iter().zip(&names).zip(expected) {
        inspect(request, name, kind, client, is_own.then_some(own));
    }
}

/// Returns the pairs of kinds that `client` tries with `auth`. The pairs are grouped by the distance from the first to the
/// second kind, so that each setting has every kind in both places. A client without access is refused before a provider is
/// chosen, and tries one pair.
fn pairs(client: &Client, auth: &Auth) -> Vec<(&'static Kind, &'static Kind)> {
    let admitting: Vec<Auth> = auths().into_iter().filter(|auth| access(client, auth).is_some()).collect();
    let Some(position) = admitting.iter().position(|admitting| admitting.name == auth.name) else {
        return vec![(&KINDS[0], &KINDS[0])];
    };
    let distances = (position..KINDS.len()).step_by(admitting.len());
    let pairs = distances.flat_map(|distance| {
        KINDS.iter().enumerate().map(move |(index, first)| (first, &KINDS[(index + distance) % KINDS.len()]))
    });
    pairs.collect()
}

/// Sends every kind of client credential to its pairs of providers with the setting `name`.
async fn check(name: &str) {
    let auth = auths().into_iter().find(|auth| auth.name == name).expect("a setting");
    let tokens = Upstream::answering(|request| google::answer(request, GOOGLE_TOKEN, 3600)).await;
    let file = google::credentials_file(&google::service_account(&tokens.url()));
    let received = Received::default();
    let upstream = upstream(received.clone()).await;
    let relay = relay(&auth, &upstream.url(), &file.path().display().to_string()).await;
    for client in &CLIENTS {
        for (first, second) in pairs(client, &auth) {
            check_pair(&relay, &received, &auth, client, first, second).await;
        }
        // The rest of Anthropic's API goes to the first provider of its kind that can serve the client.
        send(&relay, Call::get("/v1/files"), client).await;
        let access = access(client, &auth);
        let own = access.as_ref().map(|access| access.own.clone()).unwrap_or_default();
        let anthropic = KINDS.iter().filter(|kind| kind.kind == "anthropic");
        let expected = access
            .as_ref()
            .and_then(|access| anthropic.into_iter().find_map(|kind| attempt("first", kind, access)));
        inspect_all(&received.take(), expected.as_slice(), client, &own, client.name);
    }
}

/// Sends a message of `client` that `first` fails to serve and `second` serves.
async fn check_pair(
    relay: &Relay,
    received: &Received,
    auth: &Auth,
    client: &Client,
    first: &'static Kind,
    second: &'static Kind,
) {
    let access = access(client, auth);
    let own = access.as_ref().map(|access| access.own.clone()).unwrap_or_default();
    let context = format!("{} at {} with {}", client.name, model(first, second), auth.settings);
    let body = json!({"model": model(first, second), "max_tokens": 8, "messages": []});
    let response = send(relay, Call::messages(body.to_string()), client).await;
    let of = |role, kind| access.as_ref().and_then(|access| attempt(role, kind, access));
    let expected: Vec<Attempt> = [of("first", first), of("second", second)].into_iter().flatten().collect();
    inspect_all(&received.take(), &expected, client, &own, &context);
    match (&access, expected.last()) {
        (None, _) => assert_eq!(response.status, 401, "{context}"),
        (Some(_), None) => assert!(matches!(response.status, 401 | 403), "{context}: {}", response.status),
        (Some(_), Some(("second", ..))) => assert_eq!(response.status, 200, "{context}"),
        (Some(_), Some(_)) => assert!(response.status >= 500, "{context}: {}", response.status),
    }
}

async fn send(relay: &Relay, call: Call, client: &Client) -> Response {
    let call = client.headers.iter().fold(call, |call, (name, value)| call.header(name, *value));
    let response = call.send(relay.address()).await;
    for (name, value) in response.headers.iter() {
        assert!(!value.contains("key-of-"), "a key was returned in {name}: {value}");
    }
    response
}

#[tokio::test]
async fn without_client_auth_no_credential_crosses() {
    check("none").await;
}

#[tokio::test]
async fn without_client_auth_and_keys_for_subscriptions_no_credential_crosses() {
    check("none, no keys for subscriptions").await;
}

#[tokio::test]
async fn with_an_api_key_no_credential_crosses() {
    check("api key").await;
}

#[tokio::test]
async fn with_named_keys_and_a_bearer_secret_no_credential_crosses() {
    check("named keys and a bearer secret").await;
}

#[tokio::test]
async fn with_subscriptions_alone_no_credential_crosses() {
    check("subscriptions").await;
}

#[tokio::test]
async fn with_an_api_key_and_subscriptions_no_credential_crosses() {
    check("api key and subscriptions").await;
}

#[tokio::test]
async fn with_subscriptions_that_may_use_keys_no_credential_crosses() {
    check("keys for subscriptions").await;
}

#[test]
fn every_client_with_access_tries_every_pair_once() {
    for client in &CLIENTS {
        let admitting = auths().into_iter().filter(|auth| access(client, auth).is_some());
        let mut pairs: Vec<_> = admitting
            .flat_map(|auth| pairs(client, &auth))
            .map(|(first, second)| (first.name, second.name))
            .collect();
        let all = pairs.len();
        pairs.sort_unstable();
        pairs.dedup();
        let expected =
            if matches!(client.name, "list" | "two lines") { 0 } else { KINDS.len() * KINDS.len() };
        assert_eq!((pairs.len(), all), (expected, expected), "{}", client.name);
    }
}
