//! Writes an entry of `providers` as YAML.

use super::writer::{Writer, map_key};
use crate::capabilities::ModelCapabilities;
use crate::config::{
    AwsCredentials, AzureAuth, AzureConfig, BedrockApi, BedrockConfig, EntraConfig, GoogleCredentials,
    KeyConfig, Pooling, ProviderConfig, ProviderHeaders, ProviderKind, VertexConfig,
};
use crate::kinds::CompatibleAuth;
use crate::model_rule::ModelRule;

pub(super) fn provider(provider: &ProviderConfig, out: &mut Writer) {
    out.string("name", &provider.name);
    out.plain("type", provider.kind.as_str());
    out.plain("enabled", provider.enabled);
    kind(&provider.kind, out);
    out.list("keys", &provider.keys, |key| key.id().map(|id| id.to_string()), key);
    headers(&provider.headers, out);
    out.plain("priority", provider.priority);
    out.plain("weight", provider.weight);
    out.table("pooling", |out| {
        let strategy = match provider.pooling {
            Pooling::LeastLoaded => "least_loaded",
            Pooling::RoundRobin => "round_robin",
            Pooling::Random => "random",
            Pooling::Weighted => "weighted",
        };
        out.plain("strategy", strategy);
        out.millis("max_wait_ms", provider.max_wait);
    });
    out.strings("models", provider.models.iter());
    out.plain("discover_models", provider.discover_models);
    out.table("model_mapping", |out| {
        for (name, target) in provider.model_mapping.entries() {
            out.string(&map_key(name), target);
        }
        for (name, target) in provider.model_mapping.rule().into_iter().flat_map(ModelRule::known_names) {
            out.string(&map_key(name), target);
        }
    });
    if !provider.capabilities.is_empty() {
        out.table("capabilities", |out| {
            for (pattern, known) in provider.capabilities.entries() {
                out.table(&map_key(pattern.as_str()), |out| capabilities(known, out));
            }
        });
    }
    out.plain("fetch_images", provider.fetch_images);
    if let Some(file) = &provider.ca_file {
        out.string("ca_file", file.display());
    }
    out.millis("connect_timeout_ms", provider.connect_timeout);
    out.millis("first_byte_timeout_ms", provider.first_byte_timeout);
    out.millis("idle_timeout_ms", provider.idle_timeout);
}

fn headers(headers: &ProviderHeaders, out: &mut Writer) {
    if !headers.fixed.is_empty() {
        out.table("headers", |out| {
            for (name, value) in &headers.fixed {
                out.secret(&map_key(name.as_str()), value);
            }
        });
    }
    if !headers.forwarded.is_empty() {
        out.strings("forward_headers", headers.forwarded.iter());
    }
}

fn capabilities(known: &ModelCapabilities, out: &mut Writer) {
    out.table("betas", |out| {
        for (beta, rule) in known.betas() {
            out.string(&map_key(beta.as_str()), rule.as_str());
        }
    });
    out.table("fields", |out| {
        for (field, rule) in known.fields() {
            out.string(&map_key(field.as_str()), rule);
        }
    });
}

fn key(key: &KeyConfig, out: &mut Writer) {
    if let Some(secret) = &key.key {
        out.secret("key", secret);
    }
    if let Some(name) = &key.name {
        out.string("name", name);
    }
    out.plain("priority", key.priority);
    out.plain("weight", key.weight);
    let limits = &key.limits;
    for (name, limit) in [
        ("rpm_limit", limits.requests),
        ("tpm_limit", limits.tokens),
        ("itpm_limit", limits.input_tokens),
        ("otpm_limit", limits.output_tokens),
    ] {
        if let Some(limit) = limit {
            out.plain(name, limit);
        }
    }
    if let Some(organization) = &key.organization {
        out.string("organization", organization);
    }
}

fn kind(kind: &ProviderKind, out: &mut Writer) {
    if let Some(base_url) = kind.base_url() {
        out.string("base_url", base_url);
    }
    match kind {
        ProviderKind::Anthropic { passthrough, .. } => out.plain("passthrough", passthrough),
        ProviderKind::Compatible { spec, auth, .. } if spec.accepts("auth") => {
            let auth = match auth {
                CompatibleAuth::ApiKey => "x-api-key",
                CompatibleAuth::Bearer => "bearer",
                CompatibleAuth::None => "none",
            };
            out.plain("auth", auth);
        }
        ProviderKind::Bedrock(config) => bedrock(config, out),
        ProviderKind::Azure(config) => azure(config, out),
        ProviderKind::Vertex(config) => vertex(config, out),
        ProviderKind::Zai { .. }
        | ProviderKind::Ollama { .. }
        | ProviderKind::Compatible { .. }
        | ProviderKind::Mock
        | ProviderKind::Custom { .. } => {}
    }
}

fn bedrock(config: &BedrockConfig, out: &mut Writer) {
    if let Some(region) = &config.region {
        out.string("aws_region", region);
    }
    match &config.credentials {
        AwsCredentials::Keys { access_key_id, secret_access_key, session_token } => {
            out.secret("aws_access_key_id", access_key_id);
            out.secret("aws_secret_access_key", secret_access_key);
            if let Some(token) = session_token {
                out.secret("aws_session_token", token);
            }
        }
        AwsCredentials::BearerToken(token) => out.secret("aws_bearer_token", token),
        AwsCredentials::Profile(profile) => out.string("aws_profile", profile),
        AwsCredentials::DefaultChain => out.remark("credentials: the AWS default chain"),
    }
    let api = match config.api {
        BedrockApi::Invoke => "invoke",
        BedrockApi::Messages => "messages",
    };
    out.plain("bedrock_api", api);
    if let Some(guardrail) = &config.guardrail {
        out.table("bedrock_guardrail", |out| {
            out.string("id", &guardrail.id);
            out.string("version", &guardrail.version);
            if let Some(trace) = guardrail.trace {
                out.plain("trace", trace.as_str());
            }
        });
    }
}

fn azure(config: &AzureConfig, out: &mut Writer) {
    if let Some(version) = &config.api_version {
        out.string("azure_api_version", version);
    }
    match &config.auth {
        AzureAuth::ApiKey => out.plain("azure_auth", "api_key"),
        AzureAuth::EntraId(entra) => {
            out.plain("azure_auth", "entra_id");
            match entra {
                EntraConfig::ClientSecret { client_id, tenant_id, .. } => {
                    out.remark(format_args!("credentials: the secret of {client_id:?} in {tenant_id:?}"));
                }
                EntraConfig::WorkloadIdentity { client_id, token_file, .. } => {
                    out.remark(format_args!(
                        "credentials: the workload identity {client_id:?}, by the token in {token_file:?}"
                    ));
                }
                EntraConfig::ManagedIdentity { endpoint, .. } => {
                    out.remark(format_args!("credentials: a managed identity, from {endpoint}"));
                }
            }
        }
    }
}

fn vertex(config: &VertexConfig, out: &mut Writer) {
    if let Some(project) = &config.project {
        out.string("gcp_project_id", project);
    }
    out.string("gcp_region", &config.region);
    if let Some(project) = &config.quota_project {
        out.remark(format_args!("quota project: {project}"));
    }
    let universe_domain = config.universe_domain.as_deref().unwrap_or("of the metadata server");
    out.remark(format_args!("universe domain: {universe_domain}"));
    match &config.credentials {
        GoogleCredentials::File(file) => out.string("credentials_file", file.display()),
        GoogleCredentials::MetadataServer { host } => {
            out.remark(format_args!("credentials: the metadata server {host:?}"));
        }
    }
}
