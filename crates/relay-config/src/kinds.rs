//! The kinds of providers: every fact that is fixed for a kind, in one table.
//!
//! The reader of the file, the resolver, `config show`, discovery, the JSON Schema and the assembly of the server read
//! this table. A kind that speaks the Messages API and differs from the others only in these facts is one entry of
//! [`KINDS`], its documentation and its test.

use std::time::Duration;

use crate::names::BaseUrl;

/// The facts that are fixed for one kind of provider.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub struct KindSpec {
    /// The `type` in the configuration file; also the name of a discovered provider.
    pub name: &'static str,
    /// The product, as the JSON Schema and the documentation describe it.
    pub description: &'static str,
    /// The implementation that serves the kind.
    pub implementation: Implementation,
    /// The origin of the base URL.
    pub address: Address,
    /// The path that cc-relay appends to the base URL, followed by shorter forms that operators write by mistake.
    pub appended: &'static [&'static str],
    /// The use of `keys[]`, unless a setting of the provider changes it.
    pub keys: KeyNeed,
    /// The setting that replaces a key, as a clause for an error message.
    pub key_alternative: Option<&'static str>,
    /// The source from which the kind is discovered when there is no configuration file.
    pub discovery: DiscoverySource,
    /// The upstreams that accept thinking blocks of this kind.
    pub thinking: ThinkingSignatures,
    /// `true` if the upstream thinks by default, and refuses a tool turn without its thinking and a `tool_choice` that forces a
    /// call unless thinking is disabled.
    pub is_strict_about_thinking: bool,
    /// The section of the capability table that describes the upstream. `None`: requests are forwarded unchanged.
    pub capabilities: Option<&'static str>,
    /// The form of the upstream's own list of models, for `discover_models`. `None`: there is no such list.
    pub model_list: Option<ModelList>,
    /// The default of `first_byte_timeout_ms`.
    pub first_byte_timeout: Duration,
    /// The keys of the provider table that only this kind accepts.
    pub settings: &'static [&'static str],
}

/// The implementation that serves a kind of provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Implementation {
    /// Anthropic's own API, with keys or with the client's credential.
    Anthropic,
    /// Any endpoint of the Messages API that takes its key in the named header.
    Compatible(CompatibleAuth),
    /// Z.AI, which reports errors by business codes.
    Zai,
    /// Ollama, which takes no credential and omits fields of the answer.
    Ollama,
    /// AWS Bedrock.
    Bedrock,
    /// Azure AI Foundry.
    Azure,
    /// Google Vertex AI.
    Vertex,
    /// The built-in upstream.
    Mock,
}

/// The header that carries the key of a Messages-compatible upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompatibleAuth {
    /// `x-api-key: KEY`.
    #[default]
    ApiKey,
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// No credential; keys are not allowed.
    None,
}

/// The origin of a provider's base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// This URL, unless `base_url` replaces it.
    Default(&'static str),
    /// `base_url`, which must be set.
    Required,
    /// The named setting, unless `base_url` replaces it.
    Setting(&'static str),
    /// No address: the upstream is built in, and `base_url` is refused.
    BuiltIn,
}

/// The use that a kind of provider has for `keys[]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyNeed {
    /// At least one key must be configured.
    Required,
    /// A key may be configured; the client's own credential works too.
    Optional,
    /// No key is sent. An entry carries priority, weight and limits only.
    NeverSent,
    /// A configured key is an error, since it would never be sent.
    Refused,
}

/// The source from which a provider is discovered when there is no configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiscoverySource {
    /// The environment variable that holds a key.
    Key(&'static str),
    /// The credentials that the cloud's own tools use.
    CloudCredentials,
    /// A server that listens on the default base URL.
    DefaultAddress,
    /// None: such a provider is always configured.
    None,
}

/// The upstreams that accept the thinking blocks of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ThinkingSignatures {
    /// Signed by Claude: accepted by every upstream that serves Claude itself.
    Claude,
    /// Signed by the endpoint: accepted at the same base URL only.
    Endpoint,
    /// Not signed: accepted at the same base URL only.
    Unsigned,
}

/// The form of an upstream's list of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelList {
    /// Anthropic's `GET /v1/models`.
    Anthropic,
    /// Ollama's `GET /api/tags`.
    Ollama,
}

/// The path that the Messages API appends to a base URL, and its prefix.
pub(crate) const MESSAGES_PATH: &[&str] = &["/v1/messages", "/v1"];

/// The facts that most endpoints of other vendors share: their own models, a key in a bearer token, and no complaint
/// about unknown fields.
const VENDOR: KindSpec = KindSpec {
    name: "",
    description: "",
    implementation: Implementation::Compatible(CompatibleAuth::Bearer),
    address: Address::Required,
    appended: MESSAGES_PATH,
    keys: KeyNeed::Required,
    key_alternative: None,
    discovery: DiscoverySource::None,
    thinking: ThinkingSignatures::Endpoint,
    is_strict_about_thinking: false,
    capabilities: Some("vendor"),
    model_list: None,
    first_byte_timeout: Duration::from_secs(90),
    settings: &[],
};

/// Anthropic's API.
pub(crate) const ANTHROPIC: KindSpec = KindSpec {
    name: "anthropic",
    description: "Anthropic's API, or a proxy for it.",
    implementation: Implementation::Anthropic,
    address: Address::Default("https://api.anthropic.com"),
    key_alternative: Some("passthrough: true to send clients' own credentials"),
    discovery: DiscoverySource::Key("ANTHROPIC_API_KEY"),
    thinking: ThinkingSignatures::Claude,
    capabilities: None,
    model_list: Some(ModelList::Anthropic),
    settings: &["passthrough"],
    ..VENDOR
};

/// Z.AI.
pub(crate) const ZAI: KindSpec = KindSpec {
    name: "zai",
    description: "Z.AI (GLM).",
    implementation: Implementation::Zai,
    address: Address::Default("https://api.z.ai/api/anthropic"),
    discovery: DiscoverySource::Key("ZAI_API_KEY"),
    ..VENDOR
};

/// Ollama.
pub(crate) const OLLAMA: KindSpec = KindSpec {
    name: "ollama",
    description: "Ollama 0.14 or later.",
    implementation: Implementation::Ollama,
    address: Address::Default("http://localhost:11434"),
    keys: KeyNeed::NeverSent,
    discovery: DiscoverySource::DefaultAddress,
    thinking: ThinkingSignatures::Unsigned,
    capabilities: Some("ollama"),
    model_list: Some(ModelList::Ollama),
    // Ollama answers once the model is loaded, which takes minutes for a large one, and stops loading it if the request
    // is aborted: with a short limit, the model would never be available.
    first_byte_timeout: Duration::from_secs(600),
    ..VENDOR
};

/// AWS Bedrock.
pub(crate) const BEDROCK: KindSpec = KindSpec {
    name: "bedrock",
    description: "AWS Bedrock.",
    implementation: Implementation::Bedrock,
    address: Address::Setting("aws_region"),
    appended: &["/model"],
    keys: KeyNeed::NeverSent,
    discovery: DiscoverySource::CloudCredentials,
    thinking: ThinkingSignatures::Claude,
    capabilities: Some("bedrock"),
    settings: &[
        "aws_region",
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "aws_profile",
        "aws_bearer_token",
        "bedrock_api",
        "bedrock_guardrail",
    ],
    ..VENDOR
};

/// Azure AI Foundry.
pub(crate) const AZURE: KindSpec = KindSpec {
    name: "azure",
    description: "Azure AI Foundry.",
    implementation: Implementation::Azure,
    address: Address::Setting("azure_resource_name"),
    key_alternative: Some("azure_auth: entra_id"),
    discovery: DiscoverySource::CloudCredentials,
    thinking: ThinkingSignatures::Claude,
    capabilities: Some("azure"),
    settings: &["azure_resource_name", "azure_api_version", "azure_auth"],
    ..VENDOR
};

/// Google Vertex AI.
pub(crate) const VERTEX: KindSpec = KindSpec {
    name: "vertex",
    description: "Google Vertex AI.",
    implementation: Implementation::Vertex,
    address: Address::Setting("gcp_region"),
    appended: &["/v1/projects", "/v1"],
    keys: KeyNeed::NeverSent,
    discovery: DiscoverySource::CloudCredentials,
    thinking: ThinkingSignatures::Claude,
    capabilities: Some("vertex"),
    settings: &["gcp_project_id", "gcp_region", "credentials_file"],
    ..VENDOR
};

/// The built-in upstream.
pub(crate) const MOCK: KindSpec = KindSpec {
    name: "mock",
    description: "The built-in upstream for offline use.",
    implementation: Implementation::Mock,
    address: Address::BuiltIn,
    keys: KeyNeed::NeverSent,
    thinking: ThinkingSignatures::Claude,
    capabilities: None,
    ..VENDOR
};

/// A provider that a program adds in code. It is no entry of [`KINDS`], so that no file can name it.
pub(crate) const CUSTOM: KindSpec = KindSpec {
    name: "custom",
    description: "A provider that a program adds in code.",
    thinking: ThinkingSignatures::Endpoint,
    ..MOCK
};

/// Every kind of provider, in the order in which discovered providers are ranked: the first has the highest priority.
pub static KINDS: &[KindSpec] = &[
    ANTHROPIC,
    ZAI,
    KindSpec {
        name: "minimax",
        description: "MiniMax.",
        address: Address::Default("https://api.minimax.io/anthropic"),
        discovery: DiscoverySource::Key("MINIMAX_API_KEY"),
        ..VENDOR
    },
    KindSpec {
        name: "moonshot",
        description: "Moonshot AI (Kimi).",
        address: Address::Default("https://api.moonshot.ai/anthropic"),
        discovery: DiscoverySource::Key("MOONSHOT_API_KEY"),
        ..VENDOR
    },
    KindSpec {
        name: "deepseek",
        description: "DeepSeek.",
        implementation: Implementation::Compatible(CompatibleAuth::ApiKey),
        address: Address::Default("https://api.deepseek.com/anthropic"),
        discovery: DiscoverySource::Key("DEEPSEEK_API_KEY"),
        is_strict_about_thinking: true,
        ..VENDOR
    },
    KindSpec {
        name: "openrouter",
        description: "OpenRouter.",
        address: Address::Default("https://openrouter.ai/api"),
        discovery: DiscoverySource::Key("OPENROUTER_API_KEY"),
        ..VENDOR
    },
    BEDROCK,
    AZURE,
    VERTEX,
    OLLAMA,
    KindSpec {
        name: "anthropic_compatible",
        description: "Any other endpoint that speaks the Messages API.",
        implementation: Implementation::Compatible(CompatibleAuth::ApiKey),
        capabilities: None,
        settings: &["auth"],
        ..VENDOR
    },
    MOCK,
];

impl KindSpec {
    /// Returns the kind that the configuration file calls `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// Returns the base URL that applies without `base_url`, or `None` if the kind has none of its own.
    #[must_use]
    pub fn default_base_url(&self) -> Option<BaseUrl> {
        match self.address {
            // That every URL of the table can be parsed is tested.
            Address::Default(url) => BaseUrl::parse(url).ok(),
            Address::Required | Address::Setting(_) | Address::BuiltIn => None,
        }
    }

    /// Returns `true` if a provider of this kind accepts `key` in the file, given that some kind has it for itself.
    pub(crate) fn accepts(&self, key: &str) -> bool {
        match key {
            "base_url" => self.address != Address::BuiltIn,
            "discover_models" => self.model_list.is_some(),
            _ => self.settings.contains(&key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (index, kind) in KINDS.iter().enumerate() {
            assert!(KINDS[..index].iter().all(|earlier| earlier.name != kind.name), "{}", kind.name);
            assert!(std::ptr::eq(KindSpec::named(kind.name).unwrap(), kind), "{}", kind.name);
        }
        assert!(KindSpec::named("nonesuch").is_none());
    }

    #[test]
    fn every_default_base_url_can_be_parsed() {
        for kind in KINDS {
            let default = kind.default_base_url().map(|url| url.to_string());
            match kind.address {
                Address::Default(url) => assert_eq!(default.as_deref(), Some(url)),
                _ => assert_eq!(default, None, "{}", kind.name),
            }
        }
    }

    #[test]
    fn only_ollama_has_ten_minutes_to_begin_an_answer() {
        for kind in KINDS {
            let expected = if kind.name == "ollama" { 600 } else { 90 };
            assert_eq!(kind.first_byte_timeout.as_secs(), expected, "{}", kind.name);
        }
    }

    /// Asserts the facts in which one Messages-compatible vendor differs from another.
    #[track_caller]
    fn check_vendor(name: &str, base_url: &'static str, auth: CompatibleAuth, variable: &'static str) {
        let kind = KindSpec::named(name).unwrap();
        assert_eq!(kind.implementation, Implementation::Compatible(auth));
        assert_eq!(kind.address, Address::Default(base_url));
        assert_eq!(kind.discovery, DiscoverySource::Key(variable));
        assert_eq!((kind.keys, kind.thinking), (KeyNeed::Required, ThinkingSignatures::Endpoint));
    }

    #[test]
    fn vendors_have_the_address_header_and_variable_that_they_document() {
        use CompatibleAuth::{ApiKey, Bearer};
        check_vendor("minimax", "https://api.minimax.io/anthropic", Bearer, "MINIMAX_API_KEY");
        check_vendor("moonshot", "https://api.moonshot.ai/anthropic", Bearer, "MOONSHOT_API_KEY");
        check_vendor("deepseek", "https://api.deepseek.com/anthropic", ApiKey, "DEEPSEEK_API_KEY");
        check_vendor("openrouter", "https://openrouter.ai/api", Bearer, "OPENROUTER_API_KEY");
    }
}
