//! `providers[]`: kinds, addresses, credentials.

use std::collections::BTreeMap;

use http::uri::Scheme;

use super::{Reporter, millis, value_fault};
use crate::config::{
    AzureAuth, AzureConfig, CompatibleAuth, KeyConfig, ListenAddress, ProviderConfig, ProviderKind,
};
use crate::describe::looks_secret;
use crate::error::{Concern, Fault};
use crate::names::{BaseUrl, ModelMapping, ProviderName};
use crate::raw;
use crate::secret::Secret;
use crate::tree::Path;

/// What `cc-relay config cc init` gives Claude Code in place of a credential.
const PLACEHOLDER: &str = "managed-by-cc-relay";

pub(super) fn resolve_all(
    raw: Vec<raw::Provider>,
    path: &Path,
    to: &mut Reporter<'_>,
) -> Vec<ProviderConfig> {
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut providers = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let own = path.index(index);
        if let Some(name) = &raw.name {
            check_name(name, &own.key("name"), to);
            if let Some(first) = names.get(name) {
                let first = path.index(*first).to_string();
                to.problem(&own.key("name"), Fault::Taken { what: format!("{name:?}"), first });
            } else {
                names.insert(name.clone(), index);
            }
        }
        providers.extend(resolve(raw, &own, to));
    }
    providers
}

/// A name ends up in response headers, metrics labels and log lines.
fn check_name(name: &str, path: &Path, to: &mut Reporter<'_>) {
    if name.len() > 64 || !name.bytes().all(|b| b.is_ascii_graphic()) {
        to.problem(
            path,
            value_fault(format!("{name:?}"), "up to 64 visible ASCII characters without blanks", ""),
        );
    }
}

fn resolve(raw: raw::Provider, path: &Path, to: &mut Reporter<'_>) -> Option<ProviderConfig> {
    let enabled = raw.enabled.unwrap_or(true);
    let kind = kind(&raw, path, to)?;
    let needs = KeyNeed::of(&kind);
    let priority = raw.priority.unwrap_or(1);
    let keys = keys(raw.keys, priority, enabled, needs, kind.as_str(), &path.key("keys"), to);
    if let (true, Some(base_url)) = (enabled, kind.base_url()) {
        check_cleartext(base_url, !keys.is_empty() && needs != KeyNeed::NeverSent, path, to);
    }
    let default = ProviderConfig::new(ProviderName::new(raw.name.unwrap_or_default()), kind);
    Some(ProviderConfig {
        enabled,
        keys,
        priority,
        models: raw.models,
        model_mapping: mapping(raw.model_mapping, &path.key("model_mapping"), to),
        ca_file: raw.ca_file.inspect(|file| check_certificates(file, enabled, &path.key("ca_file"), to)),
        connect_timeout: millis(raw.connect_timeout_ms, default.connect_timeout),
        first_byte_timeout: millis(raw.first_byte_timeout_ms, default.first_byte_timeout),
        idle_timeout: millis(raw.idle_timeout_ms, default.idle_timeout),
        ..default
    })
}

/// The kind, or `None` where the type has been reported. In place of an address that has been, any will do.
fn kind(raw: &raw::Provider, path: &Path, to: &mut Reporter<'_>) -> Option<ProviderKind> {
    let r#type = raw.r#type?;
    let has = |owner| r#type == owner;
    for (key, is_set, has) in [
        ("passthrough", raw.passthrough.is_some(), has(raw::ProviderType::Anthropic)),
        ("auth", raw.auth.is_some(), has(raw::ProviderType::AnthropicCompatible)),
        ("base_url", raw.base_url.is_some(), !has(raw::ProviderType::Mock)),
    ] {
        if is_set && !has {
            to.problem(&path.key(key), Fault::NotForType { kind: r#type.as_str() });
        }
    }
    let base_url_path = path.key("base_url");
    let given = raw
        .base_url
        .as_ref()
        .map(|text| base_url(text, &base_url_path, to).unwrap_or_else(BaseUrl::anthropic));
    Some(match r#type {
        raw::ProviderType::Anthropic => ProviderKind::Anthropic {
            passthrough: raw.passthrough.unwrap_or(given.is_none()),
            base_url: given.unwrap_or_else(BaseUrl::anthropic),
        },
        raw::ProviderType::Zai => ProviderKind::Zai { base_url: given.unwrap_or_else(BaseUrl::zai) },
        raw::ProviderType::Ollama => ProviderKind::Ollama { base_url: given.unwrap_or_else(BaseUrl::ollama) },
        raw::ProviderType::Minimax => {
            ProviderKind::Minimax { base_url: given.unwrap_or_else(BaseUrl::minimax) }
        }
        raw::ProviderType::AnthropicCompatible => {
            let base_url = given.unwrap_or_else(|| {
                let expected = "type anthropic_compatible needs the upstream's URL, as in https://host/path";
                to.problem(&base_url_path, Fault::Missing { expected: expected.to_owned() });
                BaseUrl::anthropic()
            });
            let auth = match raw.auth {
                Some(raw::Auth::XApiKey) | None => CompatibleAuth::ApiKey,
                Some(raw::Auth::Bearer) => CompatibleAuth::Bearer,
                Some(raw::Auth::None) => CompatibleAuth::None,
            };
            ProviderKind::AnthropicCompatible { base_url, auth }
        }
        raw::ProviderType::Mock => ProviderKind::Mock,
    })
}

fn base_url(text: &str, path: &Path, to: &mut Reporter<'_>) -> Option<BaseUrl> {
    match BaseUrl::parse(text) {
        Ok(url) => {
            let prefix = ["/v1/messages", "/v1"].iter().find_map(|end| url.path().strip_suffix(end));
            if let Some(prefix) = prefix {
                let meant = format!("{}://{}{prefix}", url.scheme(), url.authority());
                let fault = value_fault(
                    format!("{text:?}"),
                    "the URL in front of /v1/messages, which cc-relay adds",
                    format!("write {meant}"),
                );
                to.problem(path, fault);
            }
            Some(url)
        }
        Err(source) => {
            let may_be_shown = !text.contains('@') && !looks_secret(text);
            to.problem(path, Fault::Url { found: may_be_shown.then(|| text.to_owned()), source });
            None
        }
    }
}

/// Warns where a credential would leave this machine unencrypted.
fn check_cleartext(url: &BaseUrl, has_credentials: bool, path: &Path, to: &mut Reporter<'_>) {
    let host = url.authority().host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = ListenAddress { host: bare.to_owned(), port: 0 };
    if has_credentials && *url.scheme() == Scheme::HTTP && !address.is_loopback() {
        to.warning(&path.key("base_url"), Concern::Cleartext { host: host.to_owned() });
    }
}

/// What a kind of provider does with keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyNeed {
    /// Nothing works without one.
    Required,
    /// A client's own credential does as well.
    Optional,
    /// They carry rank alone.
    NeverSent,
    /// They would mislead.
    Refused,
}

impl KeyNeed {
    fn of(kind: &ProviderKind) -> Self {
        match kind {
            ProviderKind::Anthropic { passthrough: true, .. } => Self::Optional,
            ProviderKind::Ollama { .. }
            | ProviderKind::Bedrock(_)
            | ProviderKind::Vertex(_)
            | ProviderKind::Mock => Self::NeverSent,
            ProviderKind::Azure(AzureConfig { auth: AzureAuth::EntraId(_), .. }) => Self::NeverSent,
            ProviderKind::AnthropicCompatible { auth: CompatibleAuth::None, .. } => Self::Refused,
            ProviderKind::Anthropic { .. }
            | ProviderKind::Zai { .. }
            | ProviderKind::Minimax { .. }
            | ProviderKind::Azure(_)
            | ProviderKind::AnthropicCompatible { .. } => Self::Required,
        }
    }
}

fn keys(
    raw: Vec<raw::Key>,
    priority: i32,
    enabled: bool,
    need: KeyNeed,
    r#type: &str,
    path: &Path,
    to: &mut Reporter<'_>,
) -> Vec<KeyConfig> {
    if need == KeyNeed::Refused && !raw.is_empty() {
        to.problem(
            path,
            value_fault("keys", "none with auth: none", "remove them, or set auth to x-api-key or bearer"),
        );
    }
    if need == KeyNeed::Required && raw.is_empty() && enabled {
        let expected = match r#type {
            "anthropic" => "add a key, or passthrough: true to send clients' own credentials".to_owned(),
            _ => format!("a provider of type {type} needs a key: keys: [{{ key: ${{NAME}} }}]"),
        };
        to.problem(path, Fault::Missing { expected });
    }
    let mut keys = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let path = path.index(index).key("key");
        let priority = raw.priority.unwrap_or(priority);
        match raw.key {
            _ if need == KeyNeed::NeverSent => keys.push(KeyConfig { key: None, priority }),
            Some(key) => {
                check_key(&key, &path, to);
                keys.push(KeyConfig { key: Some(Secret::new(key)), priority });
            }
            // In a disabled provider the variable may be unset; the provider is never asked.
            None if enabled => {
                to.problem(
                    &path,
                    Fault::Missing { expected: "give the credential, best as ${NAME}".to_owned() },
                );
            }
            None => {}
        }
    }
    keys
}

fn check_key(key: &str, path: &Path, to: &mut Reporter<'_>) {
    if key.trim() == PLACEHOLDER {
        let found = format!("the placeholder {PLACEHOLDER}");
        to.problem(path, value_fault(found, "a credential of the upstream", ""));
    } else if key.chars().any(char::is_control) {
        to.warning(path, Concern::UnsendableKey);
    }
}

fn mapping(raw: BTreeMap<String, String>, path: &Path, to: &mut Reporter<'_>) -> ModelMapping {
    for (name, target) in &raw {
        if name.trim().is_empty() {
            to.problem(
                &path.key(name),
                value_fault("an empty model name", "a name, or a pattern with `*`", ""),
            );
        }
        if target.contains('*') {
            let fault = value_fault(
                format!("{target:?}"),
                "one model name, without `*`",
                "only the left side may be a pattern",
            );
            to.problem(&path.key(name), fault);
        }
    }
    raw.into_iter().collect()
}

/// A file of a provider that is never asked may be missing.
fn check_certificates(file: &std::path::Path, enabled: bool, path: &Path, to: &mut Reporter<'_>) {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    if !enabled {
        return;
    }
    let reason = match std::fs::read(file) {
        Ok(pem) if pem.windows(BEGIN.len()).any(|window| window == BEGIN) => return,
        Ok(_) => "it holds no certificate in PEM form".to_owned(),
        Err(error) => error.to_string(),
    };
    to.problem(path, Fault::File { path: file.to_owned(), reason });
}
