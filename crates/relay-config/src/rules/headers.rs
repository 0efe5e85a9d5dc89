//! The rules for `providers[].headers` and `providers[].forward_headers`.

use http::HeaderName;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, COOKIE, EXPECT, HOST,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

use super::{Problems, value_fault};
use crate::config::{AwsCredentials, AzureAuth, ProviderHeaders, ProviderKind};
use crate::error::Fault;
use crate::kinds::CompatibleAuth;
use crate::tree::KeyPath;

/// The largest number of entries in each of the two settings.
pub(crate) const COUNT_MAX: usize = 32;
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

/// Checks every header of `headers` and the numbers of both lists.
pub(crate) fn check(headers: &ProviderHeaders, kind: &ProviderKind, path: &KeyPath, to: &mut dyn Problems) {
    let (fixed_path, forwarded_path) = (path.key("headers"), path.key("forward_headers"));
    check_count(headers.fixed.len(), &fixed_path, to);
    check_count(headers.forwarded.len(), &forwarded_path, to);
    for (index, (name, value)) in headers.fixed.iter().enumerate().take(COUNT_MAX) {
        let path = fixed_path.key(name.as_str());
        let is_known = headers.fixed[..index].iter().any(|(known, _)| known == name);
        check_fixed(name, value.expose(), is_known, kind, &path, to);
    }
    for (index, name) in headers.forwarded.iter().enumerate().take(COUNT_MAX) {
        let path = forwarded_path.index(index);
        let is_fixed = headers.fixed.iter().any(|(known, _)| known == name);
        let is_known = headers.forwarded[..index].contains(name);
        if let Some(fault) = forwarded_fault(name, kind) {
            to.problem(&path, fault);
        } else {
            check_forwarded(name.as_str(), is_known, is_fixed, &path, to);
        }
    }
}

/// Refuses more headers than a request head has room for.
pub(crate) fn check_count(count: usize, path: &KeyPath, to: &mut dyn Problems) {
    if count > COUNT_MAX {
        to.problem(path, value_fault(format!("{count} headers"), format!("at most {COUNT_MAX}"), ""));
    }
}

/// Checks a header with a fixed value. `is_known` is true if an earlier header has the same name.
fn check_fixed(
    name: &HeaderName,
    value: &str,
    is_known: bool,
    kind: &ProviderKind,
    path: &KeyPath,
    to: &mut dyn Problems,
) {
    if let Some(fault) = fixed_fault(name, kind) {
        return to.problem(path, fault);
    }
    if value.is_empty() {
        to.problem(path, value_fault("an empty string", "a secret", "set it, or remove the line"));
    } else if let Some(fault) = crate::secret_text::fault(value) {
        to.problem(path, fault);
    }
    check_fixed_entry(name, value, is_known, path, to);
}

/// Refuses a name that is used twice, and a value that is too long.
pub(crate) fn check_fixed_entry(
    name: &HeaderName,
    value: &str,
    is_known: bool,
    path: &KeyPath,
    to: &mut dyn Problems,
) {
    if is_known {
        to.problem(path, value_fault(format!("{name} twice"), "each header once, in any case", ""));
    }
    if value.len() > VALUE_MAX {
        let found = format!("a value of {} bytes", value.len());
        to.problem(path, value_fault(found, format!("at most {VALUE_MAX} bytes"), ""));
    }
}

/// Refuses the name of a client header that is used twice, or has a fixed value.
pub(crate) fn check_forwarded(
    text: &str,
    is_known: bool,
    is_fixed: bool,
    path: &KeyPath,
    to: &mut dyn Problems,
) {
    if is_known {
        to.problem(path, value_fault(format!("{text:?} twice"), "each header once, in any case", ""));
    }
    if is_fixed {
        let expected = "either a fixed value or the client's";
        to.problem(path, value_fault(format!("{text:?} in headers too"), expected, ""));
    }
}

/// Returns the fault of a header with a fixed value, by its name.
pub(crate) fn fixed_fault(name: &HeaderName, kind: &ProviderKind) -> Option<Fault> {
    if let Some(fault) = general_fault(name, kind) {
        return Some(fault);
    }
    let hint = "it goes into keys, or into the settings of the type";
    is_credential(name, kind).then(|| refused(name, "which carries the credential of this provider", hint))
}

/// Returns the fault of a client header that is passed on, by its name.
pub(crate) fn forwarded_fault(name: &HeaderName, kind: &ProviderKind) -> Option<Fault> {
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
        ProviderKind::Ollama { .. } | ProviderKind::Mock | ProviderKind::Custom { .. } => &[],
    };
    names.contains(name)
}
