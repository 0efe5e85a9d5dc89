//! Resolves `providers[].headers` and `providers[].forward_headers`.

use std::collections::BTreeMap;

use http::HeaderName;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, COOKIE, EXPECT, HOST,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

use crate::config::{AwsCredentials, AzureAuth, ProviderHeaders, ProviderKind};
use crate::error::Fault;
use crate::kinds::CompatibleAuth;
use crate::resolve::reporter::{Reporter, value_fault};
use crate::secret::Secret;
use crate::tree::KeyPath;

/// The largest number of entries in each of the two settings.
const COUNT_MAX: usize = 32;
/// The longest value in bytes. Servers refuse heads of more than 8 to 16 KiB.
const VALUE_MAX: usize = 8 * 1024;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const API_KEY: HeaderName = HeaderName::from_static("api-key");
const GOOGLE_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");
const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
/// The prefix of the headers for which type `bedrock` has settings and rules of its own.
const BEDROCK_PREFIX: &str = "x-amzn-bedrock-";

/// Headers of one connection (RFC 9110 section 7.6.1), and those that HTTP itself writes.
const OF_CONNECTION: [HeaderName; 12] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HOST,
    CONTENT_LENGTH,
    EXPECT,
];
/// Headers by which the relay could no longer read one of the bodies.
const OF_BODY: [HeaderName; 2] = [ACCEPT_ENCODING, CONTENT_ENCODING];
/// Headers in which a client sends a credential, which goes to no provider except by pass-through.
const CLIENT_CREDENTIALS: [HeaderName; 6] =
    [AUTHORIZATION, X_API_KEY, API_KEY, GOOGLE_API_KEY, AMZ_SECURITY_TOKEN, COOKIE];

pub(super) fn resolve(
    fixed: BTreeMap<String, String>,
    forwarded: Vec<String>,
    kind: &ProviderKind,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> ProviderHeaders {
    let (fixed_path, forwarded_path) = (path.key("headers"), path.key("forward_headers"));
    check_count(fixed.len(), &fixed_path, to);
    check_count(forwarded.len(), &forwarded_path, to);
    let mut headers = ProviderHeaders::default();
    for (text, value) in fixed.into_iter().take(COUNT_MAX) {
        let path = fixed_path.key(&text);
        if let Some(name) = checked(&text, &path, to, |name| fixed_fault(name, kind)) {
            if headers.fixed.iter().any(|(known, _)| *known == name) {
                to.problem(&path, value_fault(format!("{name} twice"), "each header once, in any case", ""));
            }
            if value.len() > VALUE_MAX {
                let found = format!("a value of {} bytes", value.len());
                to.problem(&path, value_fault(found, format!("at most {VALUE_MAX} bytes"), ""));
            }
            headers.fixed.push((name, Secret::new(value)));
        }
    }
    headers.fixed.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    for (index, text) in forwarded.into_iter().take(COUNT_MAX).enumerate() {
        let path = forwarded_path.index(index);
        if let Some(name) = checked(&text, &path, to, |name| forwarded_fault(name, kind)) {
            if headers.forwarded.contains(&name) {
                to.problem(
                    &path,
                    value_fault(format!("{text:?} twice"), "each header once, in any case", ""),
                );
            }
            if headers.fixed.iter().any(|(known, _)| *known == name) {
                let expected = "either a fixed value or the client's";
                to.problem(&path, value_fault(format!("{text:?} in headers too"), expected, ""));
            }
            headers.forwarded.push(name);
        }
    }
    headers
}

fn check_count(count: usize, path: &KeyPath, to: &mut Reporter<'_>) {
    if count > COUNT_MAX {
        to.problem(path, value_fault(format!("{count} headers"), format!("at most {COUNT_MAX}"), ""));
    }
}

/// Returns the name in `text`, or `None` if it has been reported.
fn checked(
    text: &str,
    path: &KeyPath,
    to: &mut Reporter<'_>,
    fault: impl FnOnce(&HeaderName) -> Option<Fault>,
) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(text.as_bytes()).ok().filter(|_| !text.contains('*'));
    let fault = match &name {
        Some(name) => fault(name),
        None => {
            let hint = if text.contains('*') { "write out each name" } else { "" };
            Some(value_fault(format!("{text:?}"), "the name of an HTTP header", hint))
        }
    };
    match fault {
        Some(fault) => to.problem(path, fault),
        None => return name,
    }
    None
}

fn fixed_fault(name: &HeaderName, kind: &ProviderKind) -> Option<Fault> {
    if let Some(fault) = general_fault(name, kind) {
        return Some(fault);
    }
    let hint = "it goes into keys, or into the settings of the type";
    is_credential(name, kind).then(|| refused(name, "which carries the credential of this provider", hint))
}

fn forwarded_fault(name: &HeaderName, kind: &ProviderKind) -> Option<Fault> {
    if let Some(fault) = general_fault(name, kind) {
        return Some(fault);
    }
    if CLIENT_CREDENTIALS.contains(name) || is_credential(name, kind) {
        return Some(refused(name, "which carries a credential of the client", "remove it"));
    }
    (*name == ANTHROPIC_BETA)
        .then(|| refused(name, "which is sent already, as far as the upstream accepts it", "remove it"))
}

fn general_fault(name: &HeaderName, kind: &ProviderKind) -> Option<Fault> {
    if OF_CONNECTION.contains(name) {
        return Some(refused(name, "which belongs to a connection or to HTTP itself", "remove it"));
    }
    if OF_BODY.contains(name) {
        return Some(refused(name, "which decides how a body is encoded", "remove it"));
    }
    let has_settings = matches!(kind, ProviderKind::Bedrock(_)) && name.as_str().starts_with(BEDROCK_PREFIX);
    let hint = "remove it; bedrock_guardrail enforces a guardrail";
    has_settings.then(|| refused(name, "which type bedrock sends by rules of its own", hint))
}

fn refused(name: &HeaderName, which: &str, hint: &str) -> Fault {
    value_fault(format!("{name}, {which}"), "another header", hint)
}

/// Returns `true` if the provider's requests carry a credential or a part of their signature in the header.
fn is_credential(name: &HeaderName, kind: &ProviderKind) -> bool {
    let names: &[HeaderName] = match kind {
        ProviderKind::Anthropic { passthrough: true, .. } => &[X_API_KEY, AUTHORIZATION],
        ProviderKind::Anthropic { .. } | ProviderKind::Zai { .. } => &[X_API_KEY],
        ProviderKind::Compatible { auth, .. } => match auth {
            CompatibleAuth::ApiKey => &[X_API_KEY],
            CompatibleAuth::Bearer => &[AUTHORIZATION],
            CompatibleAuth::None => &[],
        },
        ProviderKind::Bedrock(config) => match config.credentials {
            AwsCredentials::BearerToken(_) => &[AUTHORIZATION],
            _ => &[AUTHORIZATION, AMZ_DATE, AMZ_SECURITY_TOKEN, AMZ_CONTENT_SHA256],
        },
        ProviderKind::Azure(config) => match config.auth {
            AzureAuth::ApiKey => &[X_API_KEY, API_KEY],
            AzureAuth::EntraId(_) => &[AUTHORIZATION],
        },
        ProviderKind::Vertex(_) => &[AUTHORIZATION],
        ProviderKind::Ollama { .. } | ProviderKind::Mock => &[],
    };
    names.contains(name)
}
